/* SPDX-License-Identifier: MIT */
/* Owns the scores. */
#include "score.h"

#include <stdlib.h>

enum {
    LEARNT = 100,
    SETTLED = 50,
    WINDOW_END = 1000,
    STEP_WINDOW = 500
};

const struct sim_policy *const score_policies[SCORE_POLICIES] = {
    [SCORE_ORACLE] = &informed_oracle,
    [SCORE_UNRAILED] = &unrailed_oracle,
    [SCORE_CLAIRVOYANT] = &clairvoyant_oracle,
    [SCORE_INLINE] = &always_inline,
    [SCORE_OFFLOAD] = &always_offload,
    [SCORE_ANCESTOR] = &ancestor,
    [SCORE_LOOMP] = &loomp_policy,
    [SCORE_WEIGHTED] = &loomp_io_weight_10,
};

static double sum(const struct sim_result *result, unsigned first, unsigned end)
{
    double total = 0;
    for (unsigned i = first; i < end && i < result->calls; i++) {
        total += result->latency[i];
    }
    return total;
}

static double share_inlined(const struct sim_result *result)
{
    unsigned inlined = 0;
    for (unsigned i = LEARNT; i < result->calls; i++) {
        inlined += result->arm[i] == LOOMP_INLINE;
    }
    return result->calls > LEARNT ? (double)inlined / (result->calls - LEARNT) : 0;
}

static bool is_long(const struct sim_result *result, unsigned i)
{
    return result->arm[i] == LOOMP_INLINE && result->run[i] > lp_policy_defaults.gr3_ns;
}

unsigned score_repeated(const struct sim_result *result)
{
    unsigned repeated = 0;
    for (unsigned i = 0; i < result->calls; i++) {
        for (unsigned before = i > LEARNT ? i - LEARNT : 0; before < i && is_long(result, i);
             before++) {
            double apart = fabs(lp_ln_size(result->size[i]) - lp_ln_size(result->size[before]));
            if (is_long(result, before) && apart <= log(2)) {
                repeated++;
                break;
            }
        }
    }
    return repeated;
}

static void judge(struct score *score, const struct sim_result *result)
{
    score->bad = result->bad > score->bad ? result->bad : score->bad;
    score->blind = result->blind > score->blind ? result->blind : score->blind;
    score->repeated += score_repeated(result);
}

static void add(struct score *score, enum score_policy policy, const struct sim_result *result,
                unsigned seeds)
{
    unsigned step = score->trace.step_at;
    double *total = score->total[policy];
    total[SCORE_ALL] += sum(result, 0, WINDOW_END);
    total[SCORE_LATER] += sum(result, LEARNT, WINDOW_END);
    total[SCORE_SETTLED] += sum(result, SETTLED, WINDOW_END);
    total[SCORE_FOLLOWED] += step ? sum(result, step + LEARNT, step + STEP_WINDOW) : 0;
    score->event_p99[policy] += result->event_p99 / seeds;
    score->inlined[policy] += share_inlined(result) / seeds;
}

void score_trace(const struct trace *trace, uint64_t first_seed, unsigned seeds,
                 struct score *score)
{
    struct sim_result *result = malloc(sizeof *result);
    if (!result) {
        abort();
    }
    *score = (struct score){.trace = trace_world(trace), .seeds = seeds};
    for (unsigned i = 0; i < seeds; i++) {
        for (unsigned policy = 0; policy < SCORE_POLICIES; policy++) {
            struct sim_referee *referee = policy == SCORE_LOOMP ? bad_calls_new() : NULL;
            sim_run(trace, score_policies[policy], first_seed + i, referee, result);
            add(score, policy, result, seeds);
            if (referee) {
                judge(score, result);
                bad_calls_free(referee);
            }
        }
    }
    free(result);
}

double score_regret(const struct score *score, enum score_policy policy, enum score_policy base,
                    enum score_window window)
{
    double other = score->total[base][window];
    return other > 0 ? score->total[policy][window] / other - 1 : 0;
}

enum score_policy score_best_fixed(const struct score *score, enum score_window window)
{
    return score->total[SCORE_INLINE][window] < score->total[SCORE_OFFLOAD][window] ? SCORE_INLINE
                                                                                    : SCORE_OFFLOAD;
}

enum score_policy score_best_simple(const struct score *score, enum score_window window)
{
    enum score_policy best = score_best_fixed(score, window);
    return score->total[SCORE_ANCESTOR][window] < score->total[best][window] ? SCORE_ANCESTOR
                                                                             : best;
}
