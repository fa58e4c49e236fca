/* SPDX-License-Identifier: MIT */
/* Single decisions of the adaptive policy: what forbids to run a call on the loop, and who is told
 * what to do. Each begins with a call that would be run inline. */
#define SUITE "policy rails"
#include "harness.h"

#include "adaptive/policy.h"

#include <math.h>

enum {
    CALLS = 100
};

struct scene {
    struct lp_policy policy;
    struct lp_site_state site;
    struct lp_call call;
    struct lp_loop_load loop;
    struct lp_pool_load pool;
};

/* A site that has cost so much each time, on a quiet loop, with a pool that is slow to start. */
static struct scene scene_of(double cost_ns)
{
    struct scene scene = {
        .policy = lp_policy_defaults,
        .call = {.kind = LOOMP_SERIAL, .may_inline = true},
        .loop = {.rate = 1e-7},
        .pool = {.width = 8, .submit = 600, .to_start = 5e6, .gang_to_start = 5e6, .to_done = 25e3},
    };
    for (unsigned i = 0; i < CALLS; i++) {
        lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_TASK, 0, 0, cost_ns, 0);
    }
    scene.site.calls = CALLS;
    return scene;
}

static struct lp_choice choice_in(struct scene *scene)
{
    struct lp_choice choice;
    uint64_t random = 1;
    lp_policy_choose(&scene->policy, &scene->site, &scene->call, &scene->loop, &scene->pool,
                     &random, &choice);
    return choice;
}

static bool goes(struct scene *scene, uint32_t arm, uint32_t reason)
{
    struct lp_choice choice = choice_in(scene);
    return choice.arm == arm && choice.reason == reason;
}

TEST(a_short_call_on_a_quiet_loop_is_run_inline)
{
    struct scene scene = scene_of(40e3);
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    struct lp_choice choice = choice_in(&scene);
    CHECK(fabs(choice.work.cost - 40e3) < 1e3);
    CHECK(choice.inline_cost < choice.task_cost);
}

TEST(what_is_cheaper_in_the_pool_goes_there_by_cost)
{
    struct scene scene = scene_of(40e3);
    scene.pool.to_start = 500;
    scene.pool.to_done = 500;
    scene.loop.ready = 2;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_COST));
}

TEST(on_a_busy_loop_a_delay_is_dearer_and_the_way_back_is_free)
{
    struct scene scene = scene_of(40e3);
    scene.loop.ready = 1;
    scene.pool.to_start = scene.pool.to_done = 30e3;
    struct lp_choice calm = choice_in(&scene);
    scene.loop.busy = 0.75;
    struct lp_choice busy = choice_in(&scene);
    double harm = calm.inline_cost - calm.work.cost;
    CHECK(fabs(busy.inline_cost - busy.work.cost - 4 * harm) < 1);
    double handing = busy.task_cost - calm.task_cost; /* of h R, three times more; of to_done less */
    CHECK(fabs(handing - (3 * scene.pool.submit - 0.75 * 30e3)) < 1);
    CHECK(calm.arm == LOOMP_INLINE && busy.arm == LOOMP_TASK);
    scene.loop.busy = 1;
    CHECK(choice_in(&scene).inline_cost < INFINITY);
}

TEST(rail_0_speaks_on_a_single_loop_that_is_busy)
{
    struct scene scene = scene_of(60e3);
    scene.loop.alone = true;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    scene.loop.ready = 1;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR0));
    scene.policy.gr0 = false;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    scene.policy.gr0 = true;
    scene.loop.alone = false;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
}

TEST(rail_1_speaks_where_a_call_may_take_250_us)
{
    struct scene scene = scene_of(200e3);
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    scene = scene_of(260e3);
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR1));
    scene.policy.gr1 = false;
    CHECK(!goes(&scene, LOOMP_TASK, LOOMP_BY_GR1));
}

TEST(rail_2_speaks_under_pressure)
{
    struct scene scene = scene_of(120e3);
    scene.loop.ready = 2;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    scene.loop.ready = 4;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR2));
    scene.policy.gr2 = false;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
}

TEST(rail_3_speaks_for_100_calls_at_sizes_near_a_strike)
{
    struct scene scene = scene_of(5e3);
    scene.call.ln_size = log(100);
    for (unsigned i = 0; i < CALLS; i++) {
        lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_TASK, 0, log(100), 5e3, 0);
    }
    lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_INLINE, 0, log(100), 1.1e6, 0);
    scene.policy.gr1 = false;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR3));
    scene.call.ln_size = log(199);
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR3));
    scene.call.ln_size = log(25);
    CHECK(!goes(&scene, LOOMP_TASK, LOOMP_BY_GR3));
    scene.call.ln_size = log(100);
    scene.site.calls += scene.policy.gr3_calls - 1;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR3));
    scene.site.calls++;
    CHECK(!goes(&scene, LOOMP_TASK, LOOMP_BY_GR3));
}

TEST(a_turn_of_the_loop_has_a_budget)
{
    struct scene scene = scene_of(40e3);
    scene.loop.spent_ns = 200e3;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    scene.loop.spent_ns = 220e3;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_BUDGET));
}

TEST(who_weighs_events_higher_has_narrower_rails)
{
    struct scene scene = scene_of(40e3);
    scene.policy.io_weight = 10;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_GR1));
}

TEST(what_must_not_run_on_the_loop_does_not)
{
    struct scene scene = scene_of(40e3);
    scene.call.may_inline = false;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_PLACE));
    CHECK(isinf(choice_in(&scene).inline_cost));
}

TEST(what_nobody_knows_is_offloaded)
{
    struct scene scene = scene_of(40e3);
    scene.site = (struct lp_site_state){.calls = 0};
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_COLD));
    scene.call.hint = LOOMP_HINT_LOW;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
}

TEST(the_first_three_calls_of_a_high_site_are_offloaded)
{
    struct scene scene = scene_of(5e3);
    scene.call.hint = LOOMP_HINT_HIGH;
    scene.site.calls = scene.site.models[0].seen = 2;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_HINT));
    scene.site.calls = scene.site.models[0].seen = 3;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
    scene.site.calls = 0; /* but more are known, from a profile */
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_COST));
}

TEST(a_pin_is_obeyed)
{
    struct scene scene = scene_of(40e3);
    scene.site.pin.arm = LOOMP_TASK;
    CHECK(goes(&scene, LOOMP_TASK, LOOMP_BY_PIN));
    scene = scene_of(5e6);
    scene.site.pin.arm = LOOMP_INLINE;
    CHECK(goes(&scene, LOOMP_INLINE, LOOMP_BY_PIN));
}

/* ---- widths ---------------------------------------------------------------------------------- */

TEST(the_first_gang_has_half_of_the_width)
{
    struct scene scene = scene_of(40e3);
    scene.site = (struct lp_site_state){.calls = 0};
    scene.call.kind = LOOMP_GANG;
    scene.call.may_inline = false;
    CHECK(choice_in(&scene).arm == LOOMP_TEAM);
    CHECK(choice_in(&scene).width == 4);
    scene.call.width = 2;
    CHECK(choice_in(&scene).width == 2);
}

TEST(one_width_is_tried_at_a_time)
{
    struct scene scene = scene_of(40e3);
    scene.site = (struct lp_site_state){.calls = 0};
    scene.call.kind = LOOMP_GANG;
    scene.call.may_inline = false;
    scene.pool.gang_to_start = 1e3;
    for (unsigned i = 0; i < 10; i++) {
        lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_TEAM, lp_width_model(4), 0, 1e6, 0);
    }
    struct lp_choice choice = choice_in(&scene);
    CHECK(choice.arm == LOOMP_TEAM && choice.width == 8 && choice.reason == LOOMP_BY_TRIAL);
    lp_policy_decided(&scene.policy, &scene.site, &scene.call, &choice);
    for (unsigned i = 0; i < 20; i++) {
        choice = choice_in(&scene);
        CHECK(choice.width == 4);
        lp_policy_decided(&scene.policy, &scene.site, &scene.call, &choice);
    }
    lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_TEAM, lp_width_model(8), 0, 1e5, 0);
    choice = choice_in(&scene);
    CHECK(choice.width == 8);
}

/* Which is where it is learnt from if that is not where it was submitted. */
TEST(a_trial_is_over_when_another_loop_has_seen_it)
{
    struct scene scene = scene_of(40e3);
    struct lp_site_state other = {.calls = 0};
    unsigned four = lp_width_model(4), eight = lp_width_model(8);
    scene.site = other;
    scene.call.kind = LOOMP_GANG;
    scene.call.may_inline = false;
    scene.pool.gang_to_start = 1e3;
    for (unsigned i = 0; i < 10; i++) {
        lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_TEAM, four, 0, 1e6, 0);
        lp_policy_learn(&scene.policy, &other, NULL, LOOMP_TEAM, eight, 0, 1e6, 0);
    }
    struct lp_choice choice = choice_in(&scene);
    CHECK(choice.width == 8 && choice.reason == LOOMP_BY_TRIAL);
    lp_policy_decided(&scene.policy, &scene.site, &scene.call, &choice);
    CHECK(choice_in(&scene).reason != LOOMP_BY_TRIAL);
    lp_model_adopt(&scene.site.models[eight], &other.models[eight]);
    choice = choice_in(&scene);
    CHECK(choice.width == 2 && choice.reason == LOOMP_BY_TRIAL);
}

/* Otherwise a job that was withdrawn while it was the trial would end all trials. */
TEST(a_trial_that_never_ends_is_given_up)
{
    struct scene scene = scene_of(40e3);
    scene.call.kind = LOOMP_GANG;
    scene.call.may_inline = false;
    scene.site = (struct lp_site_state){.calls = 7, .trying = 4, .trying_until = 100};
    lp_policy_learn(&scene.policy, &scene.site, NULL, LOOMP_TEAM, lp_width_model(4), 0, 1e6, 0);
    CHECK(choice_in(&scene).width != 8);
    scene.site.calls = 100;
    CHECK(choice_in(&scene).width == 8);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
