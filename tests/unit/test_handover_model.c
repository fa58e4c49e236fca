/* SPDX-License-Identifier: MIT */
/* What handing over costs, by the state of the pool. */
#define SUITE "hand-over model"
#include "harness.h"

#include "adaptive/handover.h"

#include <math.h>

enum {
    THREADS = 4
};

static bool is_near(double value, double other, double share)
{
    return fabs(value - other) <= share * fabs(other);
}

static void learn(struct lp_handover *handover, unsigned state, double ns, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        lp_handover_learn_start(handover, false, state, ns, 1);
    }
}

TEST(a_pool_without_waiting_work_is_what_its_threads_do)
{
    CHECK(lp_pool_state(true, true, 0, THREADS) == LP_POOL_SEARCHING);
    CHECK(lp_pool_state(true, false, 0, THREADS) == LP_POOL_SEARCHING);
    CHECK(lp_pool_state(false, true, 0, THREADS) == LP_POOL_PARKED);
    CHECK(lp_pool_state(false, false, 0, THREADS) == LP_POOL_BUSY);
}

TEST(a_backlog_is_counted_per_thread_in_powers_of_two)
{
    CHECK(lp_pool_state(true, true, 1, THREADS) == LP_POOL_BACKLOG);
    CHECK(lp_pool_state(false, false, 4, THREADS) == LP_POOL_BACKLOG);
    CHECK(lp_pool_state(false, false, 5, THREADS) == LP_POOL_BACKLOG + 1);
    CHECK(lp_pool_state(false, false, 8, THREADS) == LP_POOL_BACKLOG + 1);
    CHECK(lp_pool_state(false, false, 9, THREADS) == LP_POOL_BACKLOG + 2);
    CHECK(lp_pool_state(false, false, UINT64_MAX, THREADS) == LP_POOL_STATES - 1);
}

TEST(beliefs_grow_with_what_is_in_the_way)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    CHECK(lp_handover_to_start(&handover, LP_POOL_SEARCHING) > 0);
    CHECK(lp_handover_to_start(&handover, LP_POOL_SEARCHING) <
          lp_handover_to_start(&handover, LP_POOL_PARKED));
    for (unsigned state = LP_POOL_BACKLOG; state < LP_POOL_STATES; state++) {
        CHECK(lp_handover_to_start(&handover, state) > lp_handover_to_start(&handover, state - 1));
        CHECK(lp_handover_gang_to_start(&handover, state) >
              lp_handover_gang_to_start(&handover, state - 1));
    }
    CHECK(handover.to_done.value > 0 && handover.submit.value > 0);
}

TEST(measurements_replace_beliefs)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    learn(&handover, LP_POOL_PARKED, 5e3, 100);
    CHECK(is_near(lp_handover_to_start(&handover, LP_POOL_PARKED), 5e3, 0.05));
    CHECK(lp_handover_to_start(&handover, LP_POOL_SEARCHING) < 5e3);
    learn(&handover, LP_POOL_PARKED, 20e3, 200);
    CHECK(is_near(lp_handover_to_start(&handover, LP_POOL_PARKED), 20e3, 0.05));
}

TEST(longer_backlogs_are_guessed_from_a_shorter_one)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    learn(&handover, LP_POOL_BACKLOG + 1, 1e6, 200);
    CHECK(is_near(lp_handover_to_start(&handover, LP_POOL_BACKLOG + 1), 1e6, 0.05));
    CHECK(is_near(lp_handover_to_start(&handover, LP_POOL_BACKLOG + 3), 4e6, 0.05));
}

TEST(gangs_and_tasks_do_not_mix)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    double tasks = lp_handover_to_start(&handover, LP_POOL_PARKED);
    for (unsigned i = 0; i < 100; i++) {
        lp_handover_learn_start(&handover, true, LP_POOL_PARKED, 99e3, 1);
    }
    CHECK(lp_handover_to_start(&handover, LP_POOL_PARKED) == tasks);
    CHECK(is_near(lp_handover_gang_to_start(&handover, LP_POOL_PARKED), 99e3, 0.05));
}

TEST(who_waits_for_gangs_that_are_known_does_not_look_at_what_others_waited)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    for (unsigned i = 0; i < 100; i++) {
        lp_handover_learn_start(&handover, true, LP_POOL_BACKLOG, 9e9, 1);
    }
    double alone = lp_handover_gang_wait(&handover, LP_POOL_PARKED, 0, 0);
    CHECK(alone == lp_handover_gang_to_start(&handover, LP_POOL_PARKED));
    CHECK(lp_handover_gang_wait(&handover, LP_POOL_BACKLOG, 200e3, 1) == alone + 100e3);
    CHECK(lp_handover_gang_wait(&handover, LP_POOL_BACKLOG, 200e3, 4) == alone + 175e3);
    CHECK(lp_handover_gang_wait(&handover, LP_POOL_BACKLOG, 0, 1) > 1e6);
}

TEST(a_mean_is_exact_at_first)
{
    struct lp_mean mean = {123, 0};
    lp_mean_learn(&mean, 10);
    CHECK(mean.value == 10);
    lp_mean_learn(&mean, 20);
    lp_mean_learn(&mean, 60);
    CHECK(is_near(mean.value, 30, 1e-12));
}

TEST(a_time_slice_of_the_kernel_does_not_spoil_a_mean)
{
    struct lp_mean mean = {0, 0};
    for (unsigned i = 0; i < 100; i++) {
        lp_mean_learn(&mean, 1000);
    }
    lp_mean_learn(&mean, 10e6);
    CHECK(mean.value < 1500);
}

TEST(the_first_wait_in_a_state_may_be_chance)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    double guess = lp_handover_to_start(&handover, LP_POOL_BACKLOG);
    learn(&handover, LP_POOL_BACKLOG, 1e9, 1);
    CHECK(lp_handover_to_start(&handover, LP_POOL_BACKLOG) < 10 * guess);
}

TEST(what_is_not_met_any_more_is_forgotten_for_what_its_neighbours_say)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    learn(&handover, LP_POOL_BACKLOG, 50e6, 100);
    CHECK(lp_handover_to_start(&handover, LP_POOL_BACKLOG) > 10e6);
    learn(&handover, LP_POOL_PARKED, 25e3, 5000);
    CHECK(lp_handover_to_start(&handover, LP_POOL_BACKLOG) < 100e3);
}

TEST(a_state_is_stale_a_second_after_it_was_measured)
{
    struct lp_handover handover;
    lp_handover_init(&handover);
    lp_handover_learn_start(&handover, false, LP_POOL_PARKED, 1e3, 5000000000u);
    CHECK(!lp_handover_is_stale(&handover, LP_POOL_PARKED, 5500000000u));
    CHECK(lp_handover_is_stale(&handover, LP_POOL_PARKED, 6500000000u));
    CHECK(lp_handover_is_stale(&handover, LP_POOL_BUSY, 5500000000u));
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
