/* SPDX-License-Identifier: MIT */
/* The policy of src/adaptive in the simulator: what it sees and learns is what the scheduler sees
 * and measures; each loop has its own knowledge. */
#include "policies.h"

#include "adaptive/handover.h"

#include <stdlib.h>
#include <string.h>

struct loop_knowledge {
    struct lp_site_state site;
    struct lp_handover handover;
};

struct player {
    struct lp_policy policy;
    struct random random;
    struct loop_knowledge loops[];
};

static struct player *player_new(const struct trace *trace, uint64_t seed, double io_weight)
{
    struct player *player =
        calloc(1, sizeof *player + trace->loops * sizeof(struct loop_knowledge));
    if (!player) {
        abort();
    }
    player->policy = lp_policy_defaults;
    player->policy.io_weight = io_weight;
    player->random = random_stream(seed, 2000);
    for (unsigned i = 0; i < trace->loops; i++) {
        lp_handover_init(&player->loops[i].handover);
    }
    return player;
}

static void *new_by_default(const struct trace *trace, uint64_t seed)
{
    return player_new(trace, seed, 1);
}

static void *new_for_events(const struct trace *trace, uint64_t seed)
{
    return player_new(trace, seed, 10);
}

static struct sim_decision choose(void *self, const struct sim_view *view)
{
    struct player *player = self;
    struct loop_knowledge *loop = &player->loops[view->loop];
    const struct lp_handover *handover = &loop->handover;
    bool serial = view->trace->curve == CURVE_SERIAL;
    struct lp_call call = {
        .ln_size = lp_ln_size(view->call->size),
        .hint = view->trace->hint,
        .kind = serial ? LOOMP_SERIAL : LOOMP_TASKS,
        .may_inline = true,
    };
    struct lp_pool_load pool = {
        .width = view->width,
        .submit = handover->submit.value,
        .to_start = lp_handover_to_start(handover, view->pool_state),
        .gang_to_start =
            lp_handover_gang_wait(handover, view->gang_state, view->gangs_ns, view->gangs),
        .to_done = handover->to_done.value,
        .backlog = view->backlog,
        .stale = lp_handover_is_stale(handover, view->pool_state, view->now_ns),
    };
    struct lp_choice choice;
    lp_policy_choose(&player->policy, &loop->site, &call, &view->load, &pool, &player->random.state,
                     &choice);
    lp_policy_decided(&player->policy, &loop->site, &call, &choice);
    bool trial = choice.reason == LOOMP_BY_COLD || choice.reason == LOOMP_BY_TRIAL;
    return (struct sim_decision){choice.arm, choice.width,     choice.model,
                                 trial,      choice.work.cost, choice.team_run};
}

static void learn(void *self, const struct sim_call *call, double done_ns, double handed_ns)
{
    struct player *player = self;
    struct loop_knowledge *loop = &player->loops[call->loop];
    const struct sim_decision *decision = &call->decision;
    if (decision->arm != LOOMP_INLINE) {
        /* `at` includes the wait for the loop, which is no part of the hand-over. */
        lp_handover_learn_start(&loop->handover, decision->arm == LOOMP_TEAM, call->pool_state,
                                call->started - call->handed, (uint64_t)done_ns);
        lp_mean_learn(&loop->handover.to_done, done_ns - call->finished);
        lp_mean_learn(&loop->handover.submit, handed_ns);
    }
    lp_policy_learn(&player->policy, &loop->site, NULL, decision->arm, decision->model,
                    lp_ln_size(call->call.size), call->run_ns, decision->work_ns);
}

const struct sim_policy loomp_policy = {"loomp", new_by_default, free, choose, learn};
const struct sim_policy loomp_io_weight_10 = {"loomp, io_weight 10", new_for_events, free, choose,
                                              learn};
