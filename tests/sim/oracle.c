/* SPDX-License-Identifier: MIT */
/* Owns the policies that learn nothing: the two that always do the same, and the oracles. */
#include "policies.h"

#include <stdlib.h>

static void *nothing_new(const struct trace *trace, uint64_t seed)
{
    (void)trace;
    (void)seed;
    return NULL;
}

static void nothing_learnt(void *self, const struct sim_call *call, double done_ns,
                           double handed_ns)
{
    (void)self;
    (void)call;
    (void)done_ns;
    (void)handed_ns;
}

static struct sim_decision choose_inline(void *self, const struct sim_view *view)
{
    (void)self;
    (void)view;
    return (struct sim_decision){LOOMP_INLINE, 1, 0, false, 0, 0};
}

static struct sim_decision choose_offload(void *self, const struct sim_view *view)
{
    (void)self;
    if (view->trace->curve != CURVE_SERIAL) {
        return (struct sim_decision){LOOMP_TEAM, view->width, 0, false, 0, 0};
    }
    return (struct sim_decision){LOOMP_TASK, 1, 0, false, 0, 0};
}

const struct sim_policy always_inline = {"inline", nothing_new, free, choose_inline,
                                         nothing_learnt};
const struct sim_policy always_offload = {"offload", nothing_new, free, choose_offload,
                                          nothing_learnt};

/* ---- oracles --------------------------------------------------------------------------------- */

enum oracle_kind {
    INFORMED,
    CLAIRVOYANT,
    UNRAILED
};

/* What rail 3 remembers, of each loop. */
struct strikes {
    unsigned until;
    double low, high; /* ln size */
};

struct oracle {
    enum oracle_kind kind;
    double to_done; /* mean of what has been seen */
    unsigned done;
    struct strikes strikes[16];
};

static void *oracle_new(enum oracle_kind kind)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    if (!oracle) {
        abort();
    }
    oracle->kind = kind;
    oracle->to_done = SIM_WAKE_NS;
    return oracle;
}

static void *informed_new(const struct trace *trace, uint64_t seed)
{
    (void)trace;
    (void)seed;
    return oracle_new(INFORMED);
}

static void *clairvoyant_new(const struct trace *trace, uint64_t seed)
{
    (void)trace;
    (void)seed;
    return oracle_new(CLAIRVOYANT);
}

static void *unrailed_new(const struct trace *trace, uint64_t seed)
{
    (void)trace;
    (void)seed;
    return oracle_new(UNRAILED);
}

static double ln_size(const struct sim_view *view)
{
    return lp_ln_size(view->call->size);
}

/* The rails as promised, on the true 95th percentile. */
static bool is_railed(const struct oracle *oracle, const struct sim_view *view, double mean,
                      double square, double p95)
{
    const struct lp_policy *rails = &lp_policy_defaults;
    const struct strikes *strikes = &oracle->strikes[view->loop];
    double pressure = view->load.ready + view->rate * square / (2 * mean);
    double x = ln_size(view), near = log(2);
    return p95 > rails->gr1_ns || (p95 > rails->gr2_ns && pressure > rails->gr2_pressure) ||
           (view->load.alone && p95 >= rails->gr0_ns && pressure >= rails->gr0_pressure) ||
           view->load.spent_ns + mean > rails->budget_ns ||
           (view->index < strikes->until && x >= strikes->low - near && x <= strikes->high + near);
}

/* Of everybody, if the work takes that long on average. */
static double cost_inline(const struct sim_view *view, double mean, double square)
{
    return mean * (1 + view->ready) + view->rate * square / 2;
}

static double cost_task(const struct oracle *oracle, const struct sim_view *view, double mean)
{
    return mean + (SIM_SUBMIT_NS + SIM_COMPLETE_NS) * (1 + view->ready) + view->to_start +
           oracle->to_done;
}

static double cost_team(const struct oracle *oracle, const struct sim_view *view, double mean)
{
    return cost_task(oracle, view, mean) - view->to_start + view->gang_to_start;
}

static struct sim_decision offload(const struct oracle *oracle, const struct sim_view *view,
                                   double mean, double *cost)
{
    struct sim_decision best = {LOOMP_TASK, 1, 0, false, 0, 0};
    *cost = cost_task(oracle, view, mean);
    unsigned width = view->trace->curve == CURVE_SERIAL ? view->width : 1;
    while (width < view->width) {
        width = 2 * width < view->width ? 2 * width : view->width;
        double scaled = mean * trace_scaled(view->trace, width, view->width);
        double here = cost_team(oracle, view, scaled);
        if (here < *cost) {
            *cost = here;
            best = (struct sim_decision){LOOMP_TEAM, width, 0, false, 0, 0};
        }
    }
    return best;
}

static struct sim_decision oracle_choose(void *self, const struct sim_view *view)
{
    const struct oracle *oracle = self;
    const struct trace_call *call = view->call;
    bool all = oracle->kind == CLAIRVOYANT;
    double mean = all ? call->cost_ns : call->mean;
    double square = all ? call->cost_ns * call->cost_ns : call->square;
    double p95 = all ? call->cost_ns : call->p95;
    bool may = oracle->kind == UNRAILED || !is_railed(oracle, view, mean, square, p95);
    double cost;
    struct sim_decision best = offload(oracle, view, mean, &cost);
    if (may && cost_inline(view, mean, square) <= cost) {
        return (struct sim_decision){LOOMP_INLINE, 1, 0, false, 0, 0};
    }
    return best;
}

static void strike(struct oracle *oracle, const struct sim_call *call)
{
    struct strikes *strikes = &oracle->strikes[call->loop];
    double x = lp_ln_size(call->call.size);
    if (call->index >= strikes->until) {
        strikes->low = strikes->high = x;
    }
    strikes->low = fmin(strikes->low, x);
    strikes->high = fmax(strikes->high, x);
    strikes->until = call->index + 1 + lp_policy_defaults.gr3_calls;
}

static void oracle_learn(void *self, const struct sim_call *call, double done_ns, double handed_ns)
{
    struct oracle *oracle = self;
    (void)handed_ns;
    if (call->decision.arm != LOOMP_INLINE) {
        oracle->done++;
        oracle->to_done += (done_ns - call->finished - oracle->to_done) / oracle->done;
    } else if (call->run_ns > lp_policy_defaults.gr3_ns) {
        strike(oracle, call);
    }
}

const struct sim_policy informed_oracle = {"informed oracle", informed_new, free, oracle_choose,
                                           oracle_learn};
const struct sim_policy clairvoyant_oracle = {"clairvoyant oracle", clairvoyant_new, free,
                                              oracle_choose, oracle_learn};
const struct sim_policy unrailed_oracle = {"oracle without rails", unrailed_new, free,
                                           oracle_choose, oracle_learn};

/* ---- the referee ----------------------------------------------------------------------------- */

/* What this very call costs everybody if it goes there. */
static double realised(const struct oracle *oracle, const struct sim_view *view,
                       const struct sim_decision *decision)
{
    double cost = view->call->cost_ns;
    if (decision->arm == LOOMP_INLINE) {
        return cost_inline(view, cost, cost * cost);
    }
    if (decision->arm == LOOMP_TEAM) {
        cost *= trace_scaled(view->trace, decision->width, view->width);
        return cost_team(oracle, view, cost);
    }
    return cost_task(oracle, view, cost);
}

static bool is_bad(void *self, const struct sim_view *view, const struct sim_decision *decision)
{
    struct sim_decision better = oracle_choose(self, view);
    return (better.arm != decision->arm || better.width != decision->width) &&
           realised(self, view, decision) > 2 * realised(self, view, &better);
}

struct sim_referee *bad_calls_new(void)
{
    struct sim_referee *referee = calloc(1, sizeof *referee);
    if (!referee) {
        abort();
    }
    *referee = (struct sim_referee){is_bad, oracle_new(INFORMED)};
    return referee;
}

void bad_calls_free(struct sim_referee *referee)
{
    free(referee->self);
    free(referee);
}
