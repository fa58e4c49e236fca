/* SPDX-License-Identifier: MIT */
/* What a call costs, by the size of its input: ln cost = a + b ln size, learnt as calls are seen.
 * Pure: no clock, no threads; whoever holds a model is its only user. */
#ifndef LP_ADAPTIVE_MODEL_H
#define LP_ADAPTIVE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct lp_model_options {
    double memory; /* observations that count: the weight of one that is k old is exp(-k / memory);
                      infinite: nothing is forgotten */
    double ratio_memory; /* the same for what is learnt of the ratio */
};

enum {
    LP_WAITING_CALLS = 16, /* are learnt together */
    LP_SEEN_AT_ONCE = 100  /* but so many of a site each when it is seen */
};

/* A call of some ln size: in ln ns the mean, and the variance of the mean, from which both moments
 * and the percentile follow. */
struct lp_prediction {
    double ln_cost, uncertainty;
    double cost;  /* E[c], ns */
    double cost2; /* E[c^2] */
    double p95;   /* ns */
};

/* A one-sided cumulative sum of residuals, with the length and the sum of the run of residuals that
 * it is about. */
struct lp_run {
    double sum, residuals;
    double length; /* a whole number */
};

/* Zero bytes are a model that has seen nothing. */
struct lp_model {
    uint64_t seen;
    /* Weighted least squares of y = ln cost over x = ln size, about the means. */
    double n, mean_x, mean_y, cxx, cxy, cyy;
    /* The ratio r = cost / exp(prediction): weighted means of r and r^2, and of ln r the 95th
     * percentile. */
    double ratio_n, ratio, ratio2, ln_p95;
    struct lp_run above, below; /* for a change of level, to each side */
    /* Follows from the rest: the line's slope, and of the residuals the variance and its root. */
    double slope, variance, deviation;
    /* Calls that are still to be learnt, together, which takes less time. */
    uint32_t waiting;
    struct {
        double ln_size, cost;
    } calls[LP_WAITING_CALLS];
    /* The last prediction, while nothing has been learnt since: sizes often repeat. */
    bool has_last;
    double last_ln_size;
    struct lp_prediction last;
};

/* hint_ns: what to expect of it while little has been seen; 0: unknown. */
void lp_model_predict_anew(struct lp_model *model, double ln_size, double hint_ns,
                           struct lp_prediction *prediction);
static inline void lp_model_predict(struct lp_model *model, double ln_size, double hint_ns,
                                    struct lp_prediction *prediction)
{
    if (model->has_last && model->last_ln_size == ln_size) {
        *prediction = model->last;
    } else {
        lp_model_predict_anew(model, ln_size, hint_ns, prediction);
    }
}

/* Learns the calls that wait. batch: NULL, or a model that collects what was learnt here, without
 * forgetting anything but what lies before a change, to be merged into another model. True: a
 * change of level has been seen, and what lies before it is all but forgotten. */
bool lp_model_settle(struct lp_model *model, struct lp_model *batch,
                     const struct lp_model_options *options);

/* A call of that ln size has cost so many ns. It waits for some that follow, or all are learnt at
 * once. Returns the same. */
static inline bool lp_model_learn(struct lp_model *model, struct lp_model *batch,
                                  const struct lp_model_options *options, double ln_size,
                                  double cost_ns, bool at_once)
{
    unsigned i = model->waiting++;
    model->calls[i].ln_size = ln_size;
    model->calls[i].cost = cost_ns;
    return (at_once || model->seen < LP_SEEN_AT_ONCE || i + 1 == LP_WAITING_CALLS) &&
           lp_model_settle(model, batch, options);
}

/* Adds a batch to a model, as what came after it. changed: learning one of the batch's calls has
 * said so. */
void lp_model_merge(struct lp_model *model, const struct lp_model *batch, bool changed,
                    const struct lp_model_options *options);

/* The rest of a model of which all has been set up to `ln_p95`; of so many calls no more than
 * memory count. */
void lp_model_restore(struct lp_model *model, double memory);

/* Takes what another model knows, but not where that is in looking for a change. */
void lp_model_adopt(struct lp_model *model, const struct lp_model *other);

/* Below it costs are not told apart, and above LP_MOST_NS neither: a clock's step, a day. */
#define LP_LEAST_NS 1.0
#define LP_MOST_NS 1e14

/* The ratio of one call counts no less, and no more than MOST_RATIO. */
#define LP_LEAST_RATIO 2e-9

/* ln size as models use it; 0 (unknown) is that of size 1. */
double lp_ln_size(uint64_t size);

#endif
