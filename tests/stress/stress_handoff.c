/* SPDX-License-Identifier: MIT */
/* The hand-over under many threads, without a runtime around it: the ring, the completion stack,
 * parking, the ledger. Each item is counted once; a lost wake-up is a hang, which the driver's
 * time limit turns into a failure. LOOMP_TEST_JOBS (default 2 million) is how many items pass in
 * all. */
#define SUITE "stress handoff"
#include "../unit/gate.h"

#include "base/platform.h"
#include "handoff/completion.h"
#include "handoff/ledger.h"
#include "handoff/parking.h"
#include "handoff/ring.h"
#include "handoff/waiter.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

static long items_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) : 2000000;
}

static void busy(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        lp_relax();
    }
}

/* Different in every thread and step, the same in every run. */
static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* ---- the ring -------------------------------------------------------------------------------- */

enum { PRODUCERS = 3, TAGS = 2, RECENT = 64 };

/* What was pushed: the address of an entry; taken counts how many got it. */
struct entry {
    _Atomic uint32_t taken;
    uint32_t producer;
    uint32_t number;
};

struct crowd;

struct producer {
    struct crowd *crowd;
    unsigned index;
    struct entry *entries;
    _Atomic uint64_t recent[RECENT]; /* positions, for the withdrawer to try */
    pthread_t thread;
};

struct consumer {
    struct crowd *crowd;
    unsigned index;
    long got;
    pthread_t thread;
};

struct crowd {
    struct lp_ring ring;
    long each; /* items per producer */
    unsigned taggers, poppers, withdrawers;
    bool waits_for_room;
    struct producer producers[PRODUCERS];
    struct consumer consumers[8];
    _Atomic long taken;
    _Atomic long withdrawn;
    _Atomic uint32_t positions_seen;
};

static const char tags[TAGS + 1];

static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct crowd *crowd = producer->crowd;
    unsigned random = producer->index;
    for (long i = 0; i < crowd->each; i++) {
        struct entry *entry = &producer->entries[i];
        entry->producer = producer->index;
        entry->number = (uint32_t)i;
        const void *tag = &tags[next_random(&random) % (TAGS + 1)];
        uint64_t position;
        while (!lp_ring_push(&crowd->ring, entry, tag, &position)) {
            if (crowd->waits_for_room) {
                lp_ring_wait_for_room(&crowd->ring, UINT64_MAX);
            } else {
                sched_yield();
            }
        }
        atomic_store_explicit(&producer->recent[i % RECENT], position + 1, memory_order_relaxed);
    }
    return NULL;
}

/* True if it was the first to get this entry. */
static bool take_entry(struct crowd *crowd, struct entry *entry)
{
    atomic_fetch_add_explicit(&crowd->taken, 1, memory_order_relaxed);
    return atomic_fetch_add_explicit(&entry->taken, 1, memory_order_relaxed) == 0;
}

static bool all_taken(struct crowd *crowd)
{
    return atomic_load(&crowd->taken) + atomic_load(&crowd->withdrawn) >=
           crowd->each * PRODUCERS;
}

/* What one consumer gets of one producer must come in the order of the pushes. */
static void *consume(void *arg)
{
    struct consumer *consumer = arg;
    struct crowd *crowd = consumer->crowd;
    long last[PRODUCERS] = {-1, -1, -1};
    bool good = true;
    while (!all_taken(crowd)) {
        struct entry *entry = lp_ring_pop(&crowd->ring);
        if (!entry) {
            sched_yield();
            continue;
        }
        good = good && take_entry(crowd, entry) && (long)entry->number > last[entry->producer];
        last[entry->producer] = (long)entry->number;
        consumer->got++;
    }
    CHECK(good);
    return NULL;
}

static void *take_by_tag(void *arg)
{
    struct consumer *consumer = arg;
    struct crowd *crowd = consumer->crowd;
    const void *tag = &tags[1 + consumer->index % TAGS];
    uint64_t cursor = 0;
    long last[PRODUCERS] = {-1, -1, -1};
    bool good = true;
    while (!all_taken(crowd)) {
        struct entry *entry = lp_ring_take_tagged(&crowd->ring, tag, &cursor);
        if (!entry) {
            sched_yield();
            continue;
        }
        good = good && take_entry(crowd, entry) && (long)entry->number > last[entry->producer];
        last[entry->producer] = (long)entry->number;
        consumer->got++;
    }
    CHECK(good);
    return NULL;
}

/* Tries positions that producers have had lately: some wait, some are gone, some laps ago. Which
 * item it was is not told, so withdrawn items are counted, and must be those that nobody got. */
static void *withdraw_some(void *arg)
{
    struct consumer *consumer = arg;
    struct crowd *crowd = consumer->crowd;
    unsigned random = 77 + consumer->index;
    while (!all_taken(crowd)) {
        struct producer *producer = &crowd->producers[next_random(&random) % PRODUCERS];
        uint64_t position = atomic_load_explicit(
            &producer->recent[next_random(&random) % RECENT], memory_order_relaxed);
        if (position && lp_ring_withdraw(&crowd->ring, position - 1)) {
            atomic_fetch_add_explicit(&crowd->withdrawn, 1, memory_order_relaxed);
            consumer->got++;
        }
        if (next_random(&random) % 4 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void run_crowd(struct crowd *crowd, uint64_t limit, long items)
{
    crowd->each = items / PRODUCERS;
    CHECK(lp_ring_init(&crowd->ring, limit) == 0);
    unsigned count = crowd->poppers + crowd->taggers + crowd->withdrawers;
    for (unsigned i = 0; i < count; i++) {
        crowd->consumers[i] = (struct consumer){.crowd = crowd, .index = i};
        pthread_create(&crowd->consumers[i].thread, NULL,
                       i < crowd->poppers                    ? consume
                       : i < crowd->poppers + crowd->taggers ? take_by_tag
                                                             : withdraw_some,
                       &crowd->consumers[i]);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        struct producer *producer = &crowd->producers[i];
        producer->crowd = crowd;
        producer->index = i;
        producer->entries = calloc((size_t)crowd->each, sizeof *producer->entries);
        pthread_create(&producer->thread, NULL, produce, producer);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(crowd->producers[i].thread, NULL);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(crowd->consumers[i].thread, NULL);
    }
    long nobody = 0, twice = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        for (long j = 0; j < crowd->each; j++) {
            uint32_t taken = atomic_load(&crowd->producers[i].entries[j].taken);
            nobody += taken == 0;
            twice += taken > 1;
        }
        free(crowd->producers[i].entries);
    }
    CHECK(twice == 0);
    CHECK(nobody == atomic_load(&crowd->withdrawn));
    CHECK(atomic_load(&crowd->taken) + nobody == crowd->each * PRODUCERS);
    CHECK(lp_ring_pop(&crowd->ring) == NULL);
    CHECK(!lp_ring_maybe_nonempty(&crowd->ring));
    lp_ring_fini(&crowd->ring);
}

TEST(a_single_consumer_sees_each_producers_order)
{
    struct crowd crowd = {.poppers = 1};
    run_crowd(&crowd, 100, items_in_all() / 8);
}

TEST(each_item_goes_to_one_of_several_consumers)
{
    struct crowd crowd = {.poppers = 3};
    run_crowd(&crowd, 16, items_in_all() / 8);
}

TEST(poppers_taggers_and_withdrawers_share_the_items)
{
    static const uint64_t limits[] = {3, 64, 5000};
    for (int i = 0; i < 3; i++) {
        struct crowd crowd = {.poppers = 2, .taggers = 2, .withdrawers = 2};
        run_crowd(&crowd, limits[i], items_in_all() / 24);
    }
}

TEST(producers_that_wait_for_room_are_always_told)
{
    static const uint64_t limits[] = {1, 2, 7};
    for (int i = 0; i < 3; i++) {
        struct crowd crowd = {.poppers = 1, .withdrawers = 1, .waits_for_room = true};
        run_crowd(&crowd, limits[i], items_in_all() / 48);
    }
}

/* ---- parking --------------------------------------------------------------------------------- */

/* Workers that serve a ring and park when it is empty, as the teams do. */
struct served {
    struct lp_ring ring;
    struct lp_parking parking;
    unsigned workers;
    _Atomic uint32_t stop;
    _Atomic uint64_t got; /* how many items have been served */
    _Atomic uint32_t idle_waiter;
    bool chain;    /* who finds more than it takes wakes another */
    bool deadlines; /* some sleeps are limited */
};

struct server {
    struct served *served;
    unsigned index;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    struct served *served = server->served;
    unsigned random = server->index;
    while (!atomic_load(&served->stop)) {
        bool found = false;
        while (lp_ring_pop(&served->ring)) {
            found = true;
            if (served->chain && lp_ring_maybe_nonempty(&served->ring)) {
                lp_parking_wake_lowest(&served->parking, 0);
            }
            atomic_fetch_add(&served->got, 1);
        }
        if (found && next_random(&random) % 2) {
            busy(next_random(&random) % 64);
            continue;
        }
        lp_parking_announce(&served->parking, server->index);
        if (lp_ring_maybe_nonempty(&served->ring) || atomic_load(&served->stop)) {
            lp_parking_withdraw(&served->parking, server->index);
        } else if (served->deadlines && next_random(&random) % 2) {
            lp_parking_sleep(&served->parking, server->index,
                             lp_now_ns() + next_random(&random) % 30000);
        } else {
            lp_parking_sleep(&served->parking, server->index, UINT64_MAX);
        }
    }
    return NULL;
}

struct client {
    struct served *served;
    unsigned index;
    long rounds;
    long burst; /* items it brings before it waits for all to be served */
    _Atomic uint64_t *pushed;
    pthread_t thread;
};

/* Brings items, and does not go on before they are served: a wake-up that is lost hangs it. */
static void *bring(void *arg)
{
    struct client *client = arg;
    struct served *served = client->served;
    unsigned random = 1000 + client->index;
    for (long i = 0; i < client->rounds; i++) {
        uint64_t position, mine = 0;
        for (long j = 0; j < client->burst; j++) {
            while (!lp_ring_push(&served->ring, client, NULL, &position)) {
                sched_yield();
            }
            mine = atomic_fetch_add(client->pushed, 1) + 1;
            if (next_random(&random) % 8) {
                lp_parking_wake_lowest(&served->parking, 0);
            } else {
                lp_parking_wake_highest(&served->parking);
            }
        }
        /* no yielding for a while: the server's way into its sleep is what is to be hit */
        for (unsigned turn = 0; atomic_load(&served->got) < mine; turn++) {
            if (turn % 256 == 255) {
                sched_yield();
            }
            lp_relax();
        }
        busy(next_random(&random) % 400);
    }
    return NULL;
}

static void ping_pong(unsigned workers, unsigned clients, long burst, bool deadlines, long items)
{
    enum { MOST = 16 };
    struct served served = {.workers = workers, .chain = burst > 1, .deadlines = deadlines};
    struct server servers[MOST];
    struct client bringers[MOST];
    _Atomic uint64_t pushed = 0;
    CHECK(lp_ring_init(&served.ring, 64) == 0);
    CHECK(lp_parking_init(&served.parking, workers) == 0);
    for (unsigned i = 0; i < workers; i++) {
        servers[i] = (struct server){.served = &served, .index = i};
        pthread_create(&servers[i].thread, NULL, serve, &servers[i]);
    }
    for (unsigned i = 0; i < clients; i++) {
        bringers[i] = (struct client){.served = &served,
                                      .index = i,
                                      .rounds = items / burst / clients,
                                      .burst = burst,
                                      .pushed = &pushed};
        pthread_create(&bringers[i].thread, NULL, bring, &bringers[i]);
    }
    for (unsigned i = 0; i < clients; i++) {
        pthread_join(bringers[i].thread, NULL);
    }
    CHECK(atomic_load(&served.got) == atomic_load(&pushed));
    atomic_store(&served.stop, 1);
    lp_parking_wake_all(&served.parking);
    for (unsigned i = 0; i < workers; i++) {
        pthread_join(servers[i].thread, NULL);
    }
    CHECK(!lp_parking_wake_lowest(&served.parking, 0));
    lp_ring_fini(&served.ring);
    lp_parking_fini(&served.parking);
}

TEST(a_single_sleeper_misses_no_item)
{
    ping_pong(1, 1, 1, false, items_in_all() / 40);
}

TEST(several_sleepers_and_several_bringers_miss_no_item)
{
    ping_pong(4, 3, 1, false, items_in_all() / 80);
    ping_pong(12, 2, 5, false, items_in_all() / 40);
}

TEST(sleepers_with_deadlines_lose_no_wake_up)
{
    ping_pong(3, 2, 2, true, items_in_all() / 80);
}

/* Threads that hand one token round, each asleep until its turn: only one thing is ever under way,
 * so every wake-up counts. */
struct ring_of_threads {
    struct lp_parking parking;
    unsigned count;
    long laps;
    _Atomic uint64_t turn;
};

struct runner {
    struct ring_of_threads *ring;
    unsigned index;
    pthread_t thread;
};

static void *run_laps(void *arg)
{
    struct runner *runner = arg;
    struct ring_of_threads *ring = runner->ring;
    unsigned random = runner->index;
    for (long lap = 0; lap < ring->laps; lap++) {
        uint64_t mine = (uint64_t)lap * ring->count + runner->index;
        busy(next_random(&random) % 32);
        while (atomic_load(&ring->turn) < mine) {
            lp_parking_announce(&ring->parking, runner->index);
            if (atomic_load(&ring->turn) >= mine) {
                lp_parking_withdraw(&ring->parking, runner->index);
            } else {
                lp_parking_sleep(&ring->parking, runner->index, UINT64_MAX);
            }
        }
        atomic_store(&ring->turn, mine + 1);
        /* Whose turn it is may be at any slot: all are told, and the others go back to sleep. */
        lp_parking_wake_all(&ring->parking);
    }
    return NULL;
}

TEST(a_token_goes_round_sleeping_threads)
{
    enum { RUNNERS = 5 };
    struct ring_of_threads ring = {.count = RUNNERS, .laps = items_in_all() / 400};
    struct runner runners[RUNNERS];
    CHECK(lp_parking_init(&ring.parking, RUNNERS) == 0);
    for (unsigned i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.ring = &ring, .index = i};
        pthread_create(&runners[i].thread, NULL, run_laps, &runners[i]);
    }
    for (unsigned i = 0; i < RUNNERS; i++) {
        pthread_join(runners[i].thread, NULL);
    }
    CHECK(atomic_load(&ring.turn) == (uint64_t)ring.laps * RUNNERS);
    lp_parking_fini(&ring.parking);
}

/* ---- the completion stack -------------------------------------------------------------------- */

struct inbox {
    struct lp_completions stack;
    struct lp_parking parking; /* one slot: the consumer */
    long each;
};

struct letter {
    struct lp_item item;
    unsigned sender;
    long number;
};

struct sender {
    struct inbox *inbox;
    unsigned index;
    struct letter *letters;
    pthread_t thread;
};

static void *send_letters(void *arg)
{
    struct sender *sender = arg;
    unsigned random = sender->index;
    for (long i = 0; i < sender->inbox->each; i++) {
        sender->letters[i] = (struct letter){.sender = sender->index, .number = i};
        if (lp_completions_push(&sender->inbox->stack, &sender->letters[i].item)) {
            lp_parking_wake_lowest(&sender->inbox->parking, 0);
        }
        if (next_random(&random) % 4 == 0) {
            busy(next_random(&random) % 512);
        }
    }
    return NULL;
}

/* The consumer relies on this: who pushes onto the empty stack wakes, nobody else has to. */
static long receive_letters(struct inbox *inbox, long expected)
{
    long last[PRODUCERS] = {-1, -1, -1};
    long got = 0;
    while (got < expected) {
        struct lp_item *item = lp_completions_take(&inbox->stack);
        if (!item) {
            lp_parking_announce(&inbox->parking, 0);
            if (lp_completions_empty(&inbox->stack)) {
                lp_parking_sleep(&inbox->parking, 0, UINT64_MAX);
            } else {
                lp_parking_withdraw(&inbox->parking, 0);
            }
        }
        for (; item; item = item->next) {
            struct letter *letter = LOOMP_CONTAINER(item, struct letter, item);
            if (letter->number != last[letter->sender] + 1) {
                CHECK(!"a letter came out of order");
                return got;
            }
            last[letter->sender]++;
            got++;
        }
    }
    return got;
}

TEST(completions_of_several_threads_come_once_and_in_order)
{
    struct inbox inbox = {.each = items_in_all() / 4 / PRODUCERS};
    struct sender senders[PRODUCERS];
    lp_completions_init(&inbox.stack);
    CHECK(lp_parking_init(&inbox.parking, 1) == 0);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        senders[i] = (struct sender){.inbox = &inbox, .index = i};
        senders[i].letters = calloc((size_t)inbox.each, sizeof *senders[i].letters);
        pthread_create(&senders[i].thread, NULL, send_letters, &senders[i]);
    }
    CHECK(receive_letters(&inbox, inbox.each * PRODUCERS) == inbox.each * PRODUCERS);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(senders[i].thread, NULL);
        free(senders[i].letters);
    }
    CHECK(lp_completions_empty(&inbox.stack));
    lp_parking_fini(&inbox.parking);
}

/* ---- the ledger ------------------------------------------------------------------------------ */

struct books {
    struct lp_ledger ledger;
    struct lp_ring ring; /* accepted, to be finished by another thread */
    long rounds;
    bool alone; /* one watcher: nobody else accepts anything */
    _Atomic uint32_t over;
    _Atomic long idles;
};

static void *finish_entries(void *arg)
{
    struct books *books = arg;
    for (;;) {
        if (lp_ring_pop(&books->ring)) {
            lp_ledger_finish(&books->ledger);
        } else if (atomic_load(&books->over)) {
            return NULL;
        } else {
            sched_yield();
        }
    }
}

/* Accepts a little and waits until all is idle, again and again. */
static void *accept_and_watch(void *arg)
{
    struct books *books = arg;
    unsigned random = (unsigned)(uintptr_t)&random;
    for (long i = 0; i < books->rounds; i++) {
        uint64_t position;
        for (unsigned j = next_random(&random) % 3; j < 3; j++) {
            if (lp_ledger_accept(&books->ledger) != 0) {
                CHECK(!"an open gate refused");
                return NULL;
            }
            while (!lp_ring_push(&books->ring, books, NULL, &position)) {
                sched_yield();
            }
            lp_ledger_finish(&books->ledger); /* the call */
        }
        struct lp_thread_waiter waiter;
        lp_thread_waiter_init(&waiter);
        lp_ledger_watch(&books->ledger, &waiter.waiter);
        if (next_random(&random) % 8 == 0) {
            /* gives up at once; either way the waiter is left alone afterwards */
            if (!lp_ledger_unwatch(&books->ledger, &waiter.waiter)) {
                CHECK(lp_thread_waiter_woken(&waiter));
            }
        } else {
            lp_thread_waiter_sleep(&waiter, UINT64_MAX);
            lp_ledger_settle(&books->ledger);
            if (books->alone && !lp_ledger_idle(&books->ledger)) {
                CHECK(!"woken before the end");
                return NULL;
            }
            atomic_fetch_add(&books->idles, 1);
        }
    }
    return NULL;
}

static void keep_books(unsigned watchers, unsigned finishers, long rounds)
{
    enum { MOST = 8 };
    struct books *books = aligned_alloc(LP_CACHE_LINE, sizeof *books);
    memset((void *)books, 0, sizeof *books);
    pthread_mutex_init(&books->ledger.lock, NULL);
    atomic_store(&books->ledger.gate, LP_GATE_OPEN);
    books->rounds = rounds;
    books->alone = watchers == 1;
    pthread_t watching[MOST], finishing[MOST];
    CHECK(lp_ring_init(&books->ring, 16) == 0);
    for (unsigned i = 0; i < finishers; i++) {
        pthread_create(&finishing[i], NULL, finish_entries, books);
    }
    for (unsigned i = 0; i < watchers; i++) {
        pthread_create(&watching[i], NULL, accept_and_watch, books);
    }
    for (unsigned i = 0; i < watchers; i++) {
        pthread_join(watching[i], NULL);
    }
    atomic_store(&books->over, 1);
    for (unsigned i = 0; i < finishers; i++) {
        pthread_join(finishing[i], NULL);
    }
    CHECK(lp_ledger_idle(&books->ledger));
    CHECK(atomic_load(&books->ledger.watchers) == 0 && !books->ledger.list);
    CHECK(atomic_load(&books->idles) > 0);
    lp_ring_fini(&books->ring);
    free(books);
}

TEST(a_single_watcher_misses_no_idle)
{
    keep_books(1, 1, items_in_all() / 80);
    keep_books(1, 3, items_in_all() / 80);
}

TEST(several_watchers_among_finishers_are_all_woken)
{
    keep_books(4, 2, items_in_all() / 200);
}

/* The gate: nothing is accepted once it was closed and the ledger was seen idle. */
struct closing {
    struct lp_ledger ledger;
    _Atomic uint32_t closed_and_idle;
    _Atomic long accepted_late;
};

static void *submit_until_refused(void *arg)
{
    struct closing *closing = arg;
    while (lp_ledger_accept(&closing->ledger) == 0) {
        if (atomic_load(&closing->closed_and_idle)) {
            atomic_fetch_add(&closing->accepted_late, 1);
        }
        lp_ledger_finish(&closing->ledger);
        lp_ledger_finish(&closing->ledger);
    }
    return NULL;
}

TEST(nothing_is_accepted_after_a_closed_ledger_was_idle)
{
    enum { SUBMITTERS = 3 };
    struct closing *closing = aligned_alloc(LP_CACHE_LINE, sizeof *closing);
    for (long round = 0; round < items_in_all() / 4000; round++) {
        memset((void *)closing, 0, sizeof *closing);
        pthread_mutex_init(&closing->ledger.lock, NULL);
        atomic_store(&closing->ledger.gate, LP_GATE_OPEN);
        pthread_t threads[SUBMITTERS];
        for (int i = 0; i < SUBMITTERS; i++) {
            pthread_create(&threads[i], NULL, submit_until_refused, closing);
        }
        busy((unsigned)round % 97 * 50);
        atomic_store(&closing->ledger.gate, LP_GATE_SHUT);
        struct lp_thread_waiter waiter;
        lp_thread_waiter_init(&waiter);
        lp_ledger_watch(&closing->ledger, &waiter.waiter);
        lp_thread_waiter_sleep(&waiter, UINT64_MAX);
        atomic_store(&closing->closed_and_idle, 1);
        for (int i = 0; i < SUBMITTERS; i++) {
            pthread_join(threads[i], NULL);
        }
        lp_ledger_settle(&closing->ledger);
        CHECK(atomic_load(&closing->accepted_late) == 0);
        CHECK(lp_ledger_idle(&closing->ledger));
        CHECK(atomic_load(&closing->ledger.watchers) == 0);
    }
    free(closing);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
