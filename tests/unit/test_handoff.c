/* SPDX-License-Identifier: MIT */
/* How work is handed over: the ring, the completion stack, parking, thread waiters, the ledger and
 * the object pool, each by itself. What many threads do to them at once is in stress_handoff. */
#define SUITE "handoff"
#include "gate.h"

#include "base/object_pool.h"
#include "base/platform.h"
#include "base/self.h"
#include "handoff/completion.h"
#include "handoff/ledger.h"
#include "handoff/parking.h"
#include "handoff/ring.h"
#include "handoff/waiter.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { NUMBERS = 4096, NONE = -1 };

static const uint64_t ms = 1000000;
static int numbers[NUMBERS]; /* the items of the rings are pointers into it */

static bool put(struct lp_ring *ring, int number, const void *tag, uint64_t *position)
{
    return lp_ring_push(ring, &numbers[number], tag, position);
}

static int number_of(const void *item)
{
    return item ? (int)((const int *)item - numbers) : NONE;
}

static int get(struct lp_ring *ring)
{
    return number_of(lp_ring_pop(ring));
}

/* A ring whose next position is `used`: that many items went through it. */
static void init_used(struct lp_ring *ring, uint64_t limit, int used)
{
    uint64_t position;
    CHECK(lp_ring_init(ring, limit) == 0);
    for (int i = 0; i < used; i++) {
        CHECK(put(ring, i % NUMBERS, NULL, &position) && position == (uint64_t)i);
        CHECK(get(ring) == i % NUMBERS);
    }
}

/* ---- the ring -------------------------------------------------------------------------------- */

TEST(a_new_ring_is_empty)
{
    struct lp_ring ring;
    CHECK(lp_ring_init(&ring, 4) == 0);
    CHECK(!lp_ring_maybe_nonempty(&ring));
    CHECK(lp_ring_pop(&ring) == NULL);
    CHECK(!lp_ring_withdraw(&ring, 0));
    CHECK(!lp_ring_withdraw(&ring, UINT64_MAX));
    uint64_t cursor = 0;
    CHECK(lp_ring_take_tagged(&ring, numbers, &cursor) == NULL);
    lp_ring_fini(&ring);
}

TEST(a_ring_gives_out_in_the_order_of_the_pushes)
{
    struct lp_ring ring;
    CHECK(lp_ring_init(&ring, 100) == 0);
    uint64_t position;
    for (int i = 0; i < 100; i++) {
        CHECK(put(&ring, i, NULL, &position) && position == (uint64_t)i);
        CHECK(lp_ring_maybe_nonempty(&ring));
    }
    for (int i = 0; i < 100; i++) {
        CHECK(get(&ring) == i);
    }
    CHECK(get(&ring) == NONE);
    CHECK(!lp_ring_maybe_nonempty(&ring));
    lp_ring_fini(&ring);
}

TEST(a_ring_takes_exactly_its_limit_on_every_lap)
{
    static const int limits[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000};
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        struct lp_ring ring;
        int limit = limits[l];
        uint64_t position;
        CHECK(lp_ring_init(&ring, (uint64_t)limit) == 0);
        for (int lap = 0; lap < 4; lap++) {
            for (int i = 0; i < limit; i++) {
                CHECK(put(&ring, i, NULL, &position));
            }
            position = 7777;
            CHECK(!put(&ring, limit, NULL, &position));
            CHECK(position == 7777);
            CHECK(get(&ring) == 0);
            CHECK(put(&ring, limit, NULL, &position));
            CHECK(!put(&ring, limit + 1, NULL, &position));
            for (int i = 1; i <= limit; i++) {
                CHECK(get(&ring) == i);
            }
            CHECK(get(&ring) == NONE);
        }
        lp_ring_fini(&ring);
    }
}

TEST(a_ring_keeps_its_order_over_many_laps)
{
    struct lp_ring ring;
    CHECK(lp_ring_init(&ring, 5) == 0);
    int in = 0, out = 0;
    uint64_t position;
    for (int round = 0; round < 100000; round++) {
        int more = (round * 7) % 6;
        for (int i = 0; i < more && in - out < 5; i++, in++) {
            if (!put(&ring, in % NUMBERS, NULL, &position) || position != (uint64_t)in) {
                CHECK(!"a push was refused, or has another position");
                return;
            }
        }
        for (int i = 0; i < (round * 5) % 4 && out < in; i++, out++) {
            if (get(&ring) != out % NUMBERS) {
                CHECK(!"another item came out");
                return;
            }
        }
    }
    CHECK(in > 100000);
    lp_ring_fini(&ring);
}

TEST(a_withdrawn_item_is_not_given_out)
{
    /* each of five waiting items in turn, on the first lap and across the end of the ring */
    for (int used = 0; used < 9; used++) {
        for (int victim = 0; victim < 5; victim++) {
            struct lp_ring ring;
            uint64_t positions[5];
            init_used(&ring, 8, used);
            for (int i = 0; i < 5; i++) {
                CHECK(put(&ring, i, NULL, &positions[i]));
            }
            CHECK(lp_ring_withdraw(&ring, positions[victim]));
            CHECK(!lp_ring_withdraw(&ring, positions[victim]));
            for (int i = 0; i < 5; i++) {
                if (i != victim) {
                    CHECK(get(&ring) == i);
                    CHECK(!lp_ring_withdraw(&ring, positions[i]));
                }
            }
            CHECK(get(&ring) == NONE);
            CHECK(!lp_ring_maybe_nonempty(&ring));
            lp_ring_fini(&ring);
        }
    }
}

TEST(all_items_can_be_withdrawn_in_any_order)
{
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}};
    for (int o = 0; o < 4; o++) {
        struct lp_ring ring;
        CHECK(lp_ring_init(&ring, 4) == 0);
        for (int lap = 0; lap < 3; lap++) {
            uint64_t positions[4];
            for (int i = 0; i < 4; i++) {
                CHECK(put(&ring, i, NULL, &positions[i]));
            }
            for (int i = 0; i < 4; i++) {
                CHECK(lp_ring_withdraw(&ring, positions[orders[o][i]]));
            }
            /* nothing of it is left at the front, so all the room is there again */
            CHECK(!lp_ring_maybe_nonempty(&ring));
            CHECK(get(&ring) == NONE);
        }
        lp_ring_fini(&ring);
    }
}

TEST(what_was_withdrawn_at_the_front_makes_room)
{
    struct lp_ring ring;
    uint64_t positions[4], position;
    CHECK(lp_ring_init(&ring, 4) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK(put(&ring, i, NULL, &positions[i]));
    }
    CHECK(lp_ring_withdraw(&ring, positions[0]));
    CHECK(put(&ring, 4, NULL, &position));
    CHECK(!put(&ring, 5, NULL, &position));
    /* 2 is behind 1; with 1 gone too both make room */
    CHECK(lp_ring_withdraw(&ring, positions[2]));
    CHECK(lp_ring_withdraw(&ring, positions[1]));
    CHECK(put(&ring, 5, NULL, &position));
    CHECK(put(&ring, 6, NULL, &position));
    CHECK(!put(&ring, 7, NULL, &position));
    for (int i = 3; i < 7; i++) {
        CHECK(get(&ring) == i);
    }
    CHECK(get(&ring) == NONE);
    lp_ring_fini(&ring);
}

TEST(what_was_withdrawn_makes_room_when_a_pop_brings_it_to_the_front)
{
    struct lp_ring ring;
    uint64_t positions[3], position;
    CHECK(lp_ring_init(&ring, 3) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(put(&ring, i, NULL, &positions[i]));
    }
    CHECK(lp_ring_withdraw(&ring, positions[1]));
    CHECK(get(&ring) == 0);
    CHECK(put(&ring, 3, NULL, &position));
    CHECK(put(&ring, 4, NULL, &position));
    CHECK(!put(&ring, 5, NULL, &position));
    for (int i = 2; i < 5; i++) {
        CHECK(get(&ring) == i);
    }
    lp_ring_fini(&ring);
}

TEST(a_position_of_an_earlier_lap_is_refused)
{
    struct lp_ring ring;
    uint64_t old[4], position;
    CHECK(lp_ring_init(&ring, 4) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK(put(&ring, i, NULL, &old[i]));
    }
    for (int i = 0; i < 2; i++) {
        CHECK(get(&ring) == i);
    }
    CHECK(lp_ring_withdraw(&ring, old[2]));
    CHECK(lp_ring_withdraw(&ring, old[3]));
    for (int lap = 1; lap < 4; lap++) {
        for (int i = 0; i < 4; i++) {
            CHECK(put(&ring, 10 * lap + i, NULL, &position));
            CHECK(position == (uint64_t)(4 * lap + i));
        }
        for (int i = 0; i < 4; i++) {
            CHECK(!lp_ring_withdraw(&ring, old[i]));
        }
        for (int i = 0; i < 4; i++) {
            CHECK(get(&ring) == 10 * lap + i);
        }
    }
    /* and one that has not come yet */
    CHECK(!lp_ring_withdraw(&ring, position + 1));
    CHECK(!lp_ring_withdraw(&ring, position + 4));
    lp_ring_fini(&ring);
}

TEST(take_tagged_finds_the_oldest_with_that_tag)
{
    static const char red, blue, green;
    for (int used = 0; used < 9; used++) {
        struct lp_ring ring;
        uint64_t position, reds = 0, blues = 0, greens = 0;
        init_used(&ring, 8, used);
        for (int i = 0; i < 8; i++) {
            CHECK(put(&ring, i, i % 2 ? &blue : &red, &position));
        }
        CHECK(number_of(lp_ring_take_tagged(&ring, &red, &reds)) == 0);
        CHECK(number_of(lp_ring_take_tagged(&ring, &red, &reds)) == 2);
        CHECK(number_of(lp_ring_take_tagged(&ring, &blue, &blues)) == 1);
        CHECK(lp_ring_take_tagged(&ring, &green, &greens) == NULL);
        CHECK(get(&ring) == 3);
        CHECK(number_of(lp_ring_take_tagged(&ring, &blue, &blues)) == 5);
        CHECK(number_of(lp_ring_take_tagged(&ring, &red, &reds)) == 4);
        CHECK(get(&ring) == 6);
        CHECK(lp_ring_take_tagged(&ring, &red, &reds) == NULL);
        CHECK(get(&ring) == 7);
        CHECK(lp_ring_take_tagged(&ring, &blue, &blues) == NULL);
        CHECK(get(&ring) == NONE);
        lp_ring_fini(&ring);
    }
}

TEST(the_cursor_of_take_tagged_does_not_look_back)
{
    static const char red, blue;
    struct lp_ring ring;
    uint64_t position, cursor = 0, fresh = 0;
    CHECK(lp_ring_init(&ring, 8) == 0);
    CHECK(put(&ring, 0, &blue, &position));
    CHECK(put(&ring, 1, &red, &position));
    CHECK(put(&ring, 2, &blue, &position));
    CHECK(number_of(lp_ring_take_tagged(&ring, &red, &cursor)) == 1);
    CHECK(cursor == 2);
    CHECK(lp_ring_take_tagged(&ring, &red, &cursor) == NULL);
    CHECK(cursor == 3);
    /* 0 has the tag that is asked for now, and is passed by */
    CHECK(lp_ring_take_tagged(&ring, &blue, &cursor) == NULL);
    CHECK(put(&ring, 3, &red, &position));
    CHECK(number_of(lp_ring_take_tagged(&ring, &red, &cursor)) == 3);
    CHECK(number_of(lp_ring_take_tagged(&ring, &blue, &fresh)) == 0);
    CHECK(number_of(lp_ring_take_tagged(&ring, &blue, &fresh)) == 2);
    lp_ring_fini(&ring);
}

TEST(a_cursor_from_laps_ago_still_finds_what_is_new)
{
    static const char red;
    struct lp_ring ring;
    uint64_t position, cursor = 0;
    CHECK(lp_ring_init(&ring, 4) == 0);
    for (int i = 0; i < 50; i++) {
        CHECK(put(&ring, i, i % 10 == 9 ? &red : NULL, &position));
        CHECK(number_of(lp_ring_take_tagged(&ring, &red, &cursor)) == (i % 10 == 9 ? i : NONE));
        CHECK(get(&ring) == (i % 10 == 9 ? NONE : i));
    }
    lp_ring_fini(&ring);
}

struct waiting_producer {
    struct lp_ring *ring;
    struct gate done;
};

static void *push_when_there_is_room(void *arg)
{
    struct waiting_producer *producer = arg;
    uint64_t position;
    while (!put(producer->ring, 100, NULL, &position)) {
        lp_ring_wait_for_room(producer->ring, UINT64_MAX);
    }
    gate_arrive(&producer->done);
    return NULL;
}

TEST(a_producer_that_waits_for_room_gets_it_from_a_pop_and_from_a_withdrawal)
{
    for (int how = 0; how < 3; how++) {
        struct lp_ring ring;
        uint64_t first, second;
        CHECK(lp_ring_init(&ring, 2) == 0);
        CHECK(put(&ring, 0, &ring, &first) && put(&ring, 1, NULL, &second));
        struct waiting_producer producer = {.ring = &ring};
        gate_init(&producer.done);
        pthread_t thread;
        pthread_create(&thread, NULL, push_when_there_is_room, &producer);
        while (!atomic_load(&ring.room_wanted)) {
            sched_yield();
        }
        uint64_t cursor = 0;
        if (how == 0) {
            CHECK(get(&ring) == 0);
        } else if (how == 1) {
            CHECK(lp_ring_withdraw(&ring, first));
        } else {
            CHECK(number_of(lp_ring_take_tagged(&ring, &ring, &cursor)) == 0);
        }
        pthread_join(thread, NULL);
        CHECK(producer.done.arrived == 1);
        CHECK(get(&ring) == 1);
        CHECK(get(&ring) == 100);
        lp_ring_fini(&ring);
    }
}

TEST(waiting_for_room_ends_at_its_deadline_and_at_once_if_there_is_room)
{
    struct lp_ring ring;
    uint64_t position;
    CHECK(lp_ring_init(&ring, 1) == 0);
    lp_ring_wait_for_room(&ring, UINT64_MAX);
    CHECK(put(&ring, 0, NULL, &position));
    lp_ring_wait_for_room(&ring, lp_now_ns() + ms);
    CHECK(atomic_load(&ring.room_wanted) == 0);
    CHECK(get(&ring) == 0);
    lp_ring_fini(&ring);
}

/* ---- the completion stack -------------------------------------------------------------------- */

TEST(completions_come_in_the_order_of_the_pushes)
{
    struct lp_completions stack;
    struct lp_item items[100];
    lp_completions_init(&stack);
    CHECK(lp_completions_empty(&stack));
    CHECK(lp_completions_take(&stack) == NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            /* only who pushes onto the empty stack has to wake the consumer */
            CHECK(lp_completions_push(&stack, &items[i]) == (i == 0));
            CHECK(!lp_completions_empty(&stack));
        }
        struct lp_item *item = lp_completions_take(&stack);
        CHECK(lp_completions_empty(&stack));
        for (int i = 0; i < 100; i++) {
            CHECK(item == &items[i]);
            item = item ? item->next : NULL;
        }
        CHECK(item == NULL);
        CHECK(lp_completions_take(&stack) == NULL);
    }
}

/* ---- parking --------------------------------------------------------------------------------- */

/* Whether a waker has chosen this slot; takes the slot back. The tests announce several slots on
 * one thread, so that who is woken does not depend on who is fast. */
static bool was_woken(struct lp_parking *parking, unsigned slot)
{
    return lp_parking_withdraw(parking, slot);
}

TEST(the_lowest_sleeper_from_a_slot_on_is_woken)
{
    struct lp_parking parking;
    CHECK(lp_parking_init(&parking, 130) == 0);
    CHECK(!lp_parking_wake_lowest(&parking, 0));
    static const unsigned sleepers[] = {3, 5, 63, 64, 70, 129};
    for (int i = 0; i < 6; i++) {
        lp_parking_announce(&parking, sleepers[i]);
    }
    CHECK(lp_parking_wake_lowest(&parking, 0)); /* 3 */
    CHECK(lp_parking_wake_lowest(&parking, 6)); /* 63 */
    CHECK(lp_parking_wake_lowest(&parking, 64)); /* 64 */
    CHECK(lp_parking_wake_lowest(&parking, 71)); /* 129 */
    CHECK(!lp_parking_wake_lowest(&parking, 71));
    static const bool woken[] = {true, false, true, true, false, true};
    for (int i = 0; i < 6; i++) {
        CHECK(was_woken(&parking, sleepers[i]) == woken[i]);
    }
    CHECK(!lp_parking_wake_lowest(&parking, 0));
    lp_parking_fini(&parking);
}

TEST(the_highest_sleeper_is_woken)
{
    struct lp_parking parking;
    CHECK(lp_parking_init(&parking, 130) == 0);
    CHECK(!lp_parking_wake_highest(&parking));
    lp_parking_announce(&parking, 0);
    lp_parking_announce(&parking, 63);
    lp_parking_announce(&parking, 128);
    CHECK(lp_parking_wake_highest(&parking));
    CHECK(was_woken(&parking, 128));
    CHECK(lp_parking_wake_highest(&parking));
    CHECK(was_woken(&parking, 63));
    CHECK(!was_woken(&parking, 0));
    CHECK(!lp_parking_wake_highest(&parking));
    lp_parking_fini(&parking);
}

TEST(every_sleeper_is_woken_by_wake_all)
{
    struct lp_parking parking;
    CHECK(lp_parking_init(&parking, 200) == 0);
    for (unsigned i = 0; i < 200; i += 7) {
        lp_parking_announce(&parking, i);
    }
    lp_parking_wake_all(&parking);
    for (unsigned i = 0; i < 200; i += 7) {
        CHECK(was_woken(&parking, i));
    }
    CHECK(!lp_parking_wake_lowest(&parking, 0));
    lp_parking_fini(&parking);
}

TEST(a_withdrawal_after_the_waker_came_receives_the_wake_up)
{
    struct lp_parking parking;
    CHECK(lp_parking_init(&parking, 2) == 0);
    for (int i = 0; i < 3; i++) {
        lp_parking_announce(&parking, 1);
        uint64_t before = lp_now_ns();
        CHECK(lp_parking_wake_lowest(&parking, 0));
        uint64_t woken_at = lp_parking_woken_at_ns(&parking, 1);
        CHECK(before <= woken_at && woken_at <= lp_now_ns());
        CHECK(lp_parking_withdraw(&parking, 1));
        /* nothing is left of it for the next time */
        lp_parking_announce(&parking, 1);
        CHECK(!lp_parking_sleep(&parking, 1, lp_now_ns() + ms));
        lp_parking_announce(&parking, 1);
        CHECK(!lp_parking_withdraw(&parking, 1));
    }
    lp_parking_fini(&parking);
}

TEST(a_sleep_past_its_deadline_withdraws_the_sleeper)
{
    struct lp_parking parking;
    CHECK(lp_parking_init(&parking, 1) == 0);
    uint64_t deadline = lp_now_ns() + 2 * ms;
    lp_parking_announce(&parking, 0);
    CHECK(!lp_parking_sleep(&parking, 0, deadline));
    CHECK(lp_now_ns() >= deadline);
    CHECK(!lp_parking_wake_lowest(&parking, 0));
    /* a deadline that has passed already, with a wake-up that has come */
    lp_parking_announce(&parking, 0);
    CHECK(lp_parking_wake_lowest(&parking, 0));
    CHECK(lp_parking_sleep(&parking, 0, 1));
    lp_parking_fini(&parking);
}

struct sleeper {
    struct lp_parking *parking;
    unsigned slot;
    bool woken;
    pthread_t thread;
};

static void *sleep_once(void *arg)
{
    struct sleeper *sleeper = arg;
    lp_parking_announce(sleeper->parking, sleeper->slot);
    sleeper->woken = lp_parking_sleep(sleeper->parking, sleeper->slot, UINT64_MAX);
    return NULL;
}

TEST(threads_that_sleep_are_woken_one_by_one)
{
    enum { SLEEPERS = 5 };
    struct lp_parking parking;
    struct sleeper sleepers[SLEEPERS];
    CHECK(lp_parking_init(&parking, SLEEPERS) == 0);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){.parking = &parking, .slot = i};
        pthread_create(&sleepers[i].thread, NULL, sleep_once, &sleepers[i]);
    }
    for (int woken = 0; woken < SLEEPERS;) {
        if (lp_parking_wake_lowest(&parking, 0)) {
            woken++;
        } else {
            sched_yield(); /* not all have announced themselves */
        }
    }
    for (int i = 0; i < SLEEPERS; i++) {
        pthread_join(sleepers[i].thread, NULL);
        CHECK(sleepers[i].woken);
    }
    CHECK(!lp_parking_wake_lowest(&parking, 0));
    lp_parking_fini(&parking);
}

/* ---- thread waiters -------------------------------------------------------------------------- */

struct waiting_thread {
    struct lp_thread_waiter waiter;
    struct gate *ready;
    bool woken;
    pthread_t thread;
};

static void *sleep_on_waiter(void *arg)
{
    struct waiting_thread *waiting = arg;
    gate_arrive(waiting->ready);
    waiting->woken = lp_thread_waiter_sleep(&waiting->waiter, UINT64_MAX);
    return NULL;
}

TEST(a_list_of_thread_waiters_is_woken)
{
    enum { THREADS = 4 };
    struct waiting_thread waiting[THREADS];
    struct gate ready;
    gate_init(&ready);
    struct lp_waiter *list = NULL;
    for (int i = 0; i < THREADS; i++) {
        waiting[i].ready = &ready;
        lp_thread_waiter_init(&waiting[i].waiter);
        CHECK(!lp_thread_waiter_woken(&waiting[i].waiter));
        waiting[i].waiter.waiter.next = list;
        list = &waiting[i].waiter.waiter;
        pthread_create(&waiting[i].thread, NULL, sleep_on_waiter, &waiting[i]);
    }
    gate_wait_for_arrivals(&ready, THREADS);
    lp_waiters_wake(list);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(waiting[i].thread, NULL);
        CHECK(waiting[i].woken && lp_thread_waiter_woken(&waiting[i].waiter));
    }
    lp_waiters_wake(NULL);
}

TEST(a_thread_waiter_sleeps_to_its_deadline_and_not_at_all_once_woken)
{
    struct lp_thread_waiter waiter;
    lp_thread_waiter_init(&waiter);
    uint64_t deadline = lp_now_ns() + 2 * ms;
    CHECK(!lp_thread_waiter_sleep(&waiter, deadline));
    CHECK(lp_now_ns() >= deadline);
    lp_waiters_wake(&waiter.waiter);
    CHECK(lp_thread_waiter_sleep(&waiter, UINT64_MAX));
    CHECK(lp_thread_waiter_sleep(&waiter, 1));
    lp_thread_waiter_init(&waiter);
    CHECK(!lp_thread_waiter_sleep(&waiter, 1));
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static void ledger_init(struct lp_ledger *ledger, enum lp_gate gate)
{
    memset((void *)ledger, 0, sizeof *ledger);
    pthread_mutex_init(&ledger->lock, NULL);
    atomic_store(&ledger->gate, gate);
}

TEST(a_ledger_is_idle_when_all_that_it_accepted_is_finished)
{
    struct lp_ledger ledger;
    ledger_init(&ledger, LP_GATE_OPEN);
    CHECK(lp_ledger_idle(&ledger) && lp_ledger_pending(&ledger) == 0);
    CHECK(lp_ledger_accept(&ledger) == 0);
    CHECK(lp_ledger_pending(&ledger) == 2); /* the entry, and the call */
    lp_ledger_finish(&ledger);
    CHECK(!lp_ledger_idle(&ledger));
    lp_ledger_hold(&ledger);
    lp_ledger_finish(&ledger);
    CHECK(!lp_ledger_idle(&ledger) && lp_ledger_pending(&ledger) == 1);
    lp_ledger_finish(&ledger);
    CHECK(lp_ledger_idle(&ledger));
}

TEST(a_closed_gate_refuses_with_a_reason_and_counts_nothing)
{
    struct lp_ledger ledger;
    ledger_init(&ledger, LP_GATE_DOWN);
    CHECK(lp_ledger_check(&ledger) == -ESHUTDOWN);
    CHECK(lp_ledger_accept(&ledger) == -ESHUTDOWN);
    CHECK_TEXT(loomp_error(), "the runtime is stopped");
    CHECK(lp_ledger_idle(&ledger));

    atomic_store(&ledger.gate, LP_GATE_SHUT);
    CHECK(lp_ledger_check(&ledger) == 0);
    CHECK(lp_ledger_accept(&ledger) == -ESHUTDOWN);
    CHECK(strstr(loomp_error(), "shutting down") != NULL);
    CHECK(lp_ledger_idle(&ledger));

    atomic_store(&ledger.gate, LP_GATE_CHILD);
    CHECK(lp_ledger_check(&ledger) == -EOWNERDEAD);
    CHECK(lp_ledger_accept(&ledger) == -EOWNERDEAD);
    CHECK(strstr(loomp_error(), "child") != NULL);
    CHECK(lp_ledger_idle(&ledger));
}

TEST(what_runs_inside_passes_a_shut_gate_but_no_other)
{
    struct lp_ledger ledger;
    ledger_init(&ledger, LP_GATE_SHUT);
    lp_self.inside = 1;
    CHECK(lp_ledger_accept(&ledger) == 0);
    atomic_store(&ledger.gate, LP_GATE_DOWN);
    CHECK(lp_ledger_accept(&ledger) == -ESHUTDOWN);
    atomic_store(&ledger.gate, LP_GATE_CHILD);
    CHECK(lp_ledger_accept(&ledger) == -EOWNERDEAD);
    lp_self.inside = 0;
    CHECK(lp_ledger_pending(&ledger) == 2);
    lp_ledger_finish(&ledger);
    lp_ledger_finish(&ledger);
    CHECK(lp_ledger_idle(&ledger));
}

struct counting_waiter {
    struct lp_waiter waiter;
    int woken;
};

static void count_wake(struct lp_waiter *waiter)
{
    ((struct counting_waiter *)(void *)waiter)->woken++;
}

TEST(watchers_are_woken_once_by_the_last_finish)
{
    struct lp_ledger ledger;
    struct counting_waiter waiters[3];
    ledger_init(&ledger, LP_GATE_OPEN);
    CHECK(lp_ledger_accept(&ledger) == 0);
    for (int i = 0; i < 3; i++) {
        waiters[i] = (struct counting_waiter){.waiter.wake = count_wake};
        lp_ledger_watch(&ledger, &waiters[i].waiter);
    }
    lp_ledger_finish(&ledger);
    CHECK(waiters[0].woken + waiters[1].woken + waiters[2].woken == 0);
    lp_ledger_finish(&ledger);
    for (int i = 0; i < 3; i++) {
        CHECK(waiters[i].woken == 1);
        CHECK(!lp_ledger_unwatch(&ledger, &waiters[i].waiter));
    }
    /* a refused submission was counted for a moment; an idle after it wakes nobody again */
    atomic_store(&ledger.gate, LP_GATE_SHUT);
    CHECK(lp_ledger_accept(&ledger) == -ESHUTDOWN);
    CHECK(waiters[0].woken == 1);
    CHECK(atomic_load(&ledger.watchers) == 0);
    lp_ledger_settle(&ledger);
}

TEST(watching_an_idle_ledger_wakes_at_once)
{
    struct lp_ledger ledger;
    struct counting_waiter waiter = {.waiter.wake = count_wake};
    ledger_init(&ledger, LP_GATE_OPEN);
    lp_ledger_watch(&ledger, &waiter.waiter);
    CHECK(waiter.woken == 1);
    CHECK(!lp_ledger_unwatch(&ledger, &waiter.waiter));
}

TEST(a_waiter_that_was_taken_back_is_not_woken)
{
    struct lp_ledger ledger;
    struct counting_waiter waiters[3];
    ledger_init(&ledger, LP_GATE_OPEN);
    CHECK(lp_ledger_accept(&ledger) == 0);
    lp_ledger_finish(&ledger);
    for (int i = 0; i < 3; i++) {
        waiters[i] = (struct counting_waiter){.waiter.wake = count_wake};
        lp_ledger_watch(&ledger, &waiters[i].waiter);
    }
    CHECK(atomic_load(&ledger.watchers) == 3);
    CHECK(lp_ledger_unwatch(&ledger, &waiters[1].waiter));
    CHECK(!lp_ledger_unwatch(&ledger, &waiters[1].waiter));
    CHECK(atomic_load(&ledger.watchers) == 2);
    lp_ledger_finish(&ledger);
    CHECK(waiters[0].woken == 1 && waiters[1].woken == 0 && waiters[2].woken == 1);
}

/* ---- the object pool ------------------------------------------------------------------------- */

enum { OBJECTS = 200 };

static void fill(void *object)
{
    memset(object, 0x5a, LP_OBJECT_BYTES);
}

/* Runs on a thread of its own, whose pool is new. */
static void in_new_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;
    pthread_create(&thread, NULL, fn, arg);
    pthread_join(thread, NULL);
}

static void *take_and_give(void *arg)
{
    (void)arg;
    void *objects[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = lp_object_take();
        CHECK(objects[i] != NULL && (uintptr_t)objects[i] % 16 == 0);
        fill(objects[i]);
        for (int j = 0; j < i; j++) {
            if (objects[i] == objects[j]) {
                CHECK(!"an object was given out twice");
            }
        }
    }
    for (int i = 0; i < OBJECTS; i++) {
        lp_object_give(objects[i]);
    }
    /* the last that was given is the warmest */
    void *again = lp_object_take();
    CHECK(again == objects[OBJECTS - 1]);
    lp_object_give(again);
    return NULL;
}

TEST(objects_are_distinct_aligned_and_used_again)
{
    in_new_thread(take_and_give, NULL);
}

static void *give_all(void *objects)
{
    for (int i = 0; i < OBJECTS; i++) {
        lp_object_give(((void **)objects)[i]);
    }
    return NULL;
}

static bool is_among(void *const *objects, const void *object)
{
    for (int i = 0; i < OBJECTS; i++) {
        if (objects[i] == object) {
            return true;
        }
    }
    return false;
}

static void *take_and_have_given(void *arg)
{
    (void)arg;
    void *objects[OBJECTS], *again[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = lp_object_take();
        fill(objects[i]);
    }
    in_new_thread(give_all, objects);
    for (int i = 0; i < OBJECTS; i++) {
        again[i] = lp_object_take();
        CHECK(is_among(objects, again[i]));
        fill(again[i]);
    }
    give_all(again);
    return NULL;
}

TEST(what_another_thread_gives_comes_back_to_who_took_it)
{
    in_new_thread(take_and_have_given, NULL);
}

static void *take_all(void *objects)
{
    for (int i = 0; i < OBJECTS; i++) {
        ((void **)objects)[i] = lp_object_take();
        fill(((void **)objects)[i]);
    }
    return NULL;
}

/* Whether anything leaks here is seen by the address sanitizer and by valgrind. */
TEST(objects_outlive_the_thread_that_took_them)
{
    void *objects[OBJECTS];
    in_new_thread(take_all, objects);
    for (int i = 0; i < OBJECTS; i++) {
        fill(objects[i]);
    }
    give_all(objects);
    /* some given back by another thread while the owner lives, the rest when it has ended */
    in_new_thread(take_all, objects);
    in_new_thread(give_all, objects);
}

static void *release_with_objects_out(void *arg)
{
    (void)arg;
    void *objects[OBJECTS], *more[OBJECTS];
    take_all(objects);
    lp_object_pool_release();
    lp_object_pool_release();
    take_all(more); /* from a new pool */
    for (int i = 0; i < OBJECTS; i++) {
        CHECK(!is_among(objects, more[i]));
    }
    give_all(objects);
    give_all(more);
    lp_object_pool_release();
    return NULL;
}

TEST(a_pool_can_be_let_go_of_while_its_objects_are_out)
{
    in_new_thread(release_with_objects_out, NULL);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
