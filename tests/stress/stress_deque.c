/* SPDX-License-Identifier: MIT */
/* A worker's own queue under its owner, thieves, threads that take by tag and threads that
 * withdraw. Each item is counted once. LOOMP_TEST_JOBS (default 2 million) is how many items pass
 * in all. */
#define SUITE "stress deque"
#include "../unit/gate.h"

#include "base/platform.h"
#include "handoff/deque.h"
#include "handoff/parking.h"

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

enum { TAGS = 2, RECENT = 32, MOST = 8 };

static const char tags[TAGS + 1];

/* What is pushed: its address; taken counts how many got it. */
struct entry {
    _Atomic uint32_t taken;
    uint32_t number;
};

struct crowd;

struct taker {
    struct crowd *crowd;
    unsigned index;
    pthread_t thread;
};

struct crowd {
    struct lp_deque deque;
    long items;
    unsigned thieves, taggers, withdrawers;
    unsigned depth; /* how far the owner lets the deque fill before it takes from it */
    struct entry *entries;
    _Atomic uint64_t recent[RECENT]; /* tickets for the withdrawers to try */
    struct taker takers[MOST];
    _Atomic uint32_t over;
    _Atomic long taken, withdrawn;
};

/* True if the caller is the first to get it. */
static bool take_entry(struct crowd *crowd, struct entry *entry)
{
    atomic_fetch_add_explicit(&crowd->taken, 1, memory_order_relaxed);
    return atomic_fetch_add_explicit(&entry->taken, 1, memory_order_relaxed) == 0;
}

/* What a thief gets is always younger than what it got before. */
static void *steal_some(void *arg)
{
    struct taker *taker = arg;
    struct crowd *crowd = taker->crowd;
    unsigned random = taker->index;
    long last = -1;
    bool good = true;
    while (!atomic_load(&crowd->over)) {
        struct entry *entry = lp_deque_steal(&crowd->deque);
        if (!entry) {
            if (next_random(&random) % 8 == 0) {
                sched_yield();
            }
            continue;
        }
        good = good && take_entry(crowd, entry) && (long)entry->number > last;
        last = (long)entry->number;
        busy(next_random(&random) % 64);
    }
    CHECK(good);
    return NULL;
}

static void *take_by_tag(void *arg)
{
    struct taker *taker = arg;
    struct crowd *crowd = taker->crowd;
    unsigned random = taker->index;
    const void *tag = &tags[1 + taker->index % TAGS];
    bool good = true;
    while (!atomic_load(&crowd->over)) {
        struct entry *entry = lp_deque_take_tagged(&crowd->deque, tag);
        if (entry) {
            good = good && take_entry(crowd, entry) && &tags[entry->number % (TAGS + 1)] == tag;
        }
        busy(next_random(&random) % 128);
    }
    CHECK(good);
    return NULL;
}

/* Which item it was is not told, so withdrawn items are counted, and must be those nobody got. */
static void *withdraw_some(void *arg)
{
    struct taker *taker = arg;
    struct crowd *crowd = taker->crowd;
    unsigned random = 77 + taker->index;
    bool good = true;
    while (!atomic_load(&crowd->over)) {
        uint64_t ticket = atomic_load_explicit(&crowd->recent[next_random(&random) % RECENT],
                                               memory_order_relaxed);
        if (ticket && lp_deque_withdraw(&crowd->deque, ticket)) {
            atomic_fetch_add_explicit(&crowd->withdrawn, 1, memory_order_relaxed);
            good = good && !lp_deque_withdraw(&crowd->deque, ticket);
        }
        busy(next_random(&random) % 128);
    }
    CHECK(good);
    return NULL;
}

/* The owner: random numbers of pushes and pops. What it pops is the newest, so only what it pushed
 * since can come before an item that is younger. */
static bool own(struct crowd *crowd)
{
    unsigned random = 5;
    bool good = true;
    long next = 0;
    for (long waiting = 0; next < crowd->items || waiting;) {
        unsigned more = 1 + next_random(&random) % crowd->depth;
        for (; more > 0 && next < crowd->items; more--) {
            struct entry *entry = &crowd->entries[next];
            uint64_t ticket = 0;
            entry->number = (uint32_t)next;
            if (!lp_deque_push(&crowd->deque, entry, &tags[next % (TAGS + 1)], &ticket)) {
                break;
            }
            good = good && ticket != 0;
            atomic_store_explicit(&crowd->recent[next % RECENT], ticket, memory_order_relaxed);
            next++;
        }
        long last = INT32_MAX;
        unsigned fewer = next < crowd->items ? next_random(&random) % (crowd->depth + 1) : ~0u;
        for (waiting = 1; fewer > 0 && waiting; fewer--) {
            const void *tag = &tags[next_random(&random) % (TAGS + 1)];
            struct entry *entry = fewer % 4 ? lp_deque_pop(&crowd->deque)
                                            : lp_deque_pop_tagged(&crowd->deque, tag);
            if (entry) {
                good = good && take_entry(crowd, entry) && (long)entry->number < last;
                last = (long)entry->number;
            } else if (fewer % 4) {
                waiting = 0;
            }
        }
        busy(next_random(&random) % 128);
    }
    return good;
}

static void run_crowd(struct crowd *crowd, unsigned capacity, long items)
{
    crowd->items = items;
    crowd->entries = calloc((size_t)items, sizeof *crowd->entries);
    CHECK(lp_deque_init(&crowd->deque, capacity) == 0);
    unsigned count = crowd->thieves + crowd->taggers + crowd->withdrawers;
    for (unsigned i = 0; i < count; i++) {
        crowd->takers[i] = (struct taker){.crowd = crowd, .index = i};
        pthread_create(&crowd->takers[i].thread, NULL,
                       i < crowd->thieves                    ? steal_some
                       : i < crowd->thieves + crowd->taggers ? take_by_tag
                                                             : withdraw_some,
                       &crowd->takers[i]);
    }
    CHECK(own(crowd));
    /* The owner has found it empty, and nobody else pushes. */
    CHECK(lp_deque_count(&crowd->deque) == 0);
    CHECK(lp_deque_steal(&crowd->deque) == NULL);
    CHECK(!lp_deque_maybe_nonempty(&crowd->deque));
    atomic_store(&crowd->over, 1);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(crowd->takers[i].thread, NULL);
    }
    long nobody = 0, twice = 0;
    for (long i = 0; i < items; i++) {
        uint32_t taken = atomic_load(&crowd->entries[i].taken);
        nobody += taken == 0;
        twice += taken > 1;
    }
    CHECK(twice == 0);
    CHECK(nobody == atomic_load(&crowd->withdrawn));
    CHECK(atomic_load(&crowd->taken) + nobody == items);
    free(crowd->entries);
    lp_deque_fini(&crowd->deque);
}

TEST(the_last_items_go_to_the_owner_or_one_thief)
{
    static const unsigned depths[] = {1, 2, 3};
    for (int i = 0; i < 3; i++) {
        struct crowd crowd = {.thieves = 1, .depth = depths[i]};
        run_crowd(&crowd, 4, items_in_all() / 12);
    }
}

TEST(each_item_goes_to_the_owner_or_one_of_several_thieves)
{
    static const unsigned depths[] = {2, 5, 100};
    for (int i = 0; i < 3; i++) {
        struct crowd crowd = {.thieves = 4, .depth = depths[i]};
        run_crowd(&crowd, i == 2 ? 64 : 4, items_in_all() / 12);
    }
}

TEST(the_owner_shares_with_taggers_and_withdrawers)
{
    static const unsigned depths[] = {1, 3, 20};
    for (int i = 0; i < 3; i++) {
        struct crowd crowd = {.taggers = 2, .withdrawers = 2, .depth = depths[i]};
        run_crowd(&crowd, i == 2 ? 16 : 2, items_in_all() / 12);
    }
}

TEST(owner_thieves_taggers_and_withdrawers_share_the_items)
{
    static const unsigned depths[] = {2, 4, 50};
    for (int i = 0; i < 3; i++) {
        struct crowd crowd = {.thieves = 2, .taggers = 1, .withdrawers = 1, .depth = depths[i]};
        run_crowd(&crowd, i == 2 ? 256 : 4, items_in_all() / 12);
    }
}

/* ---- sleepers ------------------------------------------------------------------------------ */

/* The owner pushes, wakes, and then does not go on before the item is gone; a thief sleeps when the
 * deque looks empty: a wake-up that is lost hangs both. */
struct den {
    struct lp_deque deque;
    struct lp_parking parking;
    _Atomic uint64_t got;
    _Atomic uint32_t over;
};

struct sleeper {
    struct den *den;
    unsigned slot;
    pthread_t thread;
};

static void *sleep_and_steal(void *arg)
{
    struct sleeper *sleeper = arg;
    struct den *den = sleeper->den;
    while (!atomic_load(&den->over)) {
        while (lp_deque_steal(&den->deque)) {
            atomic_fetch_add(&den->got, 1);
        }
        lp_parking_announce(&den->parking, sleeper->slot);
        if (lp_deque_maybe_nonempty(&den->deque) || atomic_load(&den->over)) {
            lp_parking_withdraw(&den->parking, sleeper->slot);
        } else {
            lp_parking_sleep(&den->parking, sleeper->slot, UINT64_MAX);
        }
    }
    return NULL;
}

static void wake_sleepers(unsigned count, long rounds)
{
    struct den den = {.got = 0};
    struct sleeper sleepers[MOST];
    unsigned random = 3;
    uint64_t pushed = 0, ticket;
    CHECK(lp_deque_init(&den.deque, 8) == 0);
    CHECK(lp_parking_init(&den.parking, count) == 0);
    for (unsigned i = 0; i < count; i++) {
        sleepers[i] = (struct sleeper){.den = &den, .slot = i};
        pthread_create(&sleepers[i].thread, NULL, sleep_and_steal, &sleepers[i]);
    }
    for (long i = 0; i < rounds; i++) {
        /* some that the owner takes back, so that indices are used again */
        for (unsigned more = next_random(&random) % 3; more > 0; more--) {
            CHECK(lp_deque_push(&den.deque, &den, NULL, &ticket));
            pushed++;
        }
        while (next_random(&random) % 4 && lp_deque_pop(&den.deque)) {
            atomic_fetch_add(&den.got, 1);
        }
        CHECK(lp_deque_push(&den.deque, &den, NULL, &ticket));
        pushed++;
        lp_parking_wake_lowest(&den.parking, 0);
        for (unsigned turn = 0; atomic_load(&den.got) < pushed; turn++) {
            if (turn % 256 == 255) {
                sched_yield();
            }
            lp_relax();
        }
        busy(next_random(&random) % 400);
    }
    CHECK(atomic_load(&den.got) == pushed);
    atomic_store(&den.over, 1);
    lp_parking_wake_all(&den.parking);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(sleepers[i].thread, NULL);
    }
    lp_parking_fini(&den.parking);
    lp_deque_fini(&den.deque);
}

TEST(a_sleeping_thief_misses_no_item)
{
    wake_sleepers(1, items_in_all() / 40);
    wake_sleepers(4, items_in_all() / 80);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
