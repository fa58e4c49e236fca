/* SPDX-License-Identifier: MIT */
/* Owns the cost model. Means and products are updated about the current means, as West (1979) does
 * for weighted data, because sums of squares about zero lose all digits when sizes hardly differ;
 * models are merged as Chan, Golub and LeVeque (1979) do. The moments of the cost follow from the
 * ratio of cost and prediction by smearing (Duan 1983), whatever the shape of the noise is. */
#include "adaptive/model.h"

#include <math.h>

/* 1 / memory and exp(-k / memory) are 0 and 1 where nothing is forgotten: memory is infinite then.
 */

/* Before anything is known of them: of ln cost around the line; of the slope, about 1 (work that
 * grows as its input does). As weights: how many observations these beliefs stand for. */
#define DEVIATION 0.35
#define DEVIATION_WEIGHT 2.0
#define SLOPE 1.0
#define SLOPE_DEVIATION 0.5

/* A hint counts as one observation until more than so many have been seen. */
#define HINT_HOLDS 5
/* Without a hint, and without any observation: anywhere from 1 us to 10 ms. */
#define NOTHING_KNOWN_NS 100e3
#define NOTHING_KNOWN_DEVIATION 2.0
#define HINT_DEVIATION 1.0

/* Noise below it is not believed: caches and clocks make more. */
#define LEAST_DEVIATION 0.02

/* The cumulative sums: residuals count in standard deviations, at most CLIP of them, so that single
 * slow calls are no change; each less SLACK; a change is when they add up to CHANGE. After it the
 * level is that of the run, as if KEPT calls had been seen. */
#define CLIP 3.0
#define SLACK 0.5
#define CHANGE 10.0
#define LEAST_CHANGE_DEVIATION 0.15
#define KEPT 4.0

/* The ratio of one call counts no more than that. */
#define MOST_RATIO 5e8

#define NORMAL_P95 1.645

/* Floats are exact enough for what is predicted, to some millionths, and their functions take half
 * the time. What is learnt is learnt in doubles. */
static double exp_of(double x)
{
    return (double)expf((float)x);
}

double lp_ln_size(uint64_t size)
{
    return size > 1 ? (double)logf((float)size) : 0;
}

static double bounded(double value, double least, double most)
{
    return value > least ? value < most ? value : most : least;
}

/* The weight that the belief about the slope has beside cxx. */
static double slope_weight(double variance)
{
    return variance / (SLOPE_DEVIATION * SLOPE_DEVIATION);
}

/* From the sums: the slope, drawn towards the belief as ridge regression does, and the variance of
 * the residuals, never below zero whatever rounding does to the difference. */
static void solve(struct lp_model *model)
{
    double before = model->variance > 0 ? model->variance : DEVIATION * DEVIATION;
    double weight = slope_weight(before);
    model->slope = (model->cxy + weight * SLOPE) / (model->cxx + weight);
    double rest = model->cyy + model->slope * (model->slope * model->cxx - 2 * model->cxy);
    double variance = ((rest > 0 ? rest : 0) + DEVIATION_WEIGHT * DEVIATION * DEVIATION) /
                      (model->n + DEVIATION_WEIGHT);
    double least = LEAST_DEVIATION * LEAST_DEVIATION;
    model->variance = variance > least ? variance : least;
    model->deviation = sqrt(model->variance);
}

static double line_at(const struct lp_model *model, double x)
{
    return model->mean_y + model->slope * (x - model->mean_x);
}

/* Of the line at x: of its level, and of its slope. */
static double uncertainty_at(const struct lp_model *model, double x)
{
    double distance = x - model->mean_x;
    return model->variance *
           (1 / model->n + distance * distance / (model->cxx + slope_weight(model->variance)));
}

static void predict_from_hint(double hint_ns, struct lp_prediction *prediction)
{
    double deviation = hint_ns > 0 ? HINT_DEVIATION : NOTHING_KNOWN_DEVIATION;
    double cost = hint_ns > 0 ? hint_ns : NOTHING_KNOWN_NS;
    *prediction = (struct lp_prediction){
        .ln_cost = log(cost),
        .uncertainty = deviation * deviation,
        .cost = cost,
        .cost2 = cost * cost,
        .p95 = cost * exp(NORMAL_P95 * deviation),
    };
}

static void predict(const struct lp_model *model, double ln_size, double hint_ns,
                    struct lp_prediction *prediction)
{
    double line = line_at(model, ln_size);
    double uncertainty = uncertainty_at(model, ln_size);
    if (hint_ns > 0 && model->seen <= HINT_HOLDS) {
        line = (model->n * line + log(hint_ns)) / (model->n + 1);
    }
    double level = exp_of(bounded(line, log(LP_LEAST_NS), log(LP_MOST_NS)));
    /* What is not known of the line makes slow calls likelier; ln_p95 is what is known of the
     * noise. */
    double beyond = sqrt(model->ln_p95 * model->ln_p95 + NORMAL_P95 * NORMAL_P95 * uncertainty);
    *prediction = (struct lp_prediction){
        .ln_cost = line,
        .uncertainty = uncertainty,
        .cost = level * model->ratio,
        .cost2 = level * level * model->ratio2,
        .p95 = level * exp_of(fmin(beyond, 20)),
    };
}

void lp_model_predict_anew(struct lp_model *model, double ln_size, double hint_ns,
                           struct lp_prediction *prediction)
{
    if (model->n <= 0) {
        predict_from_hint(hint_ns, prediction);
        return;
    }
    predict(model, ln_size, hint_ns, prediction);
    model->last = *prediction;
    model->last_ln_size = ln_size;
    model->has_last = model->seen > HINT_HOLDS; /* a hint may be another next time */
}

/* ---- learning -------------------------------------------------------------------------------- */

static void forget(struct lp_model *model, double kept)
{
    model->n *= kept;
    model->cxx *= kept;
    model->cxy *= kept;
    model->cyy *= kept;
}

/* Sums of some calls, about their means. */
struct sums {
    double n, mean_x, mean_y, cxx, cxy, cyy;
};

static void add_sums(struct lp_model *model, const struct sums *sums)
{
    double n = model->n + sums->n;
    double weight = sums->n / n;
    double share = model->n * weight;
    double dx = sums->mean_x - model->mean_x;
    double dy = sums->mean_y - model->mean_y;
    model->cxx += sums->cxx + share * dx * dx;
    model->cxy += sums->cxy + share * dx * dy;
    model->cyy += sums->cyy + share * dy * dy;
    model->mean_x += dx * weight;
    model->mean_y += dy * weight;
    model->n = n;
}

/* What calls have shown of the ratio. */
struct ratios {
    double n, sum, sum2;
};

static void add_ratios(struct lp_model *model, const struct ratios *ratios)
{
    double n = model->ratio_n + ratios->n;
    double share = 1 / n;
    model->ratio += (ratios->sum - ratios->n * model->ratio) * share;
    model->ratio2 += (ratios->sum2 - ratios->n * model->ratio2) * share;
    model->ratio_n = n;
}

/* Of deviations: no percentile is farther from the mean, but that of costs of which one in 10 to
 * one in 20 is of another kind. It takes the first beliefs back, for which the steps below are too
 * small, as soon as the variance says that there is little noise. */
#define MOST_P95 (2 * NORMAL_P95)

/* The percentile goes up by 0.95 of a step for each ln r above it, and down by 0.05 of it for each
 * below: there it stays where one in 20 is above (Robbins and Monro 1951). */
static void learn_percentile(struct lp_model *model, double step, unsigned above, unsigned below)
{
    double moved = model->ln_p95 + step * (0.95 * above - 0.05 * below);
    model->ln_p95 = bounded(moved, 0, MOST_P95 * model->deviation);
}

static void forget_changes(struct lp_model *model)
{
    model->above = model->below = (struct lp_run){.length = 0};
}

/* One side of the change detector (Page 1954). z: the residual in standard deviations, turned so
 * that this side looks for large ones. Without a branch: noise is not to be foreseen. */
static inline void add_to_run(struct lp_run *run, double z, double residual)
{
    double sum = run->sum + (z - SLACK);
    run->sum = sum > 0 ? sum : 0;
    run->residuals = sum > 0 ? run->residuals + residual : 0;
    run->length = sum > 0 ? run->length + 1 : 0;
}

/* On a change the line moves to where the run of residuals was, and little is left of what it
 * rested on. */
static void follow_change(struct lp_model *model, const struct lp_run *run)
{
    model->mean_y += run->residuals / run->length;
    if (model->n > KEPT) {
        forget(model, KEPT / model->n);
    }
    forget_changes(model);
}

/* Looks at the calls that wait before they are learnt, with the line as it was. */
static bool look_for_change(struct lp_model *model, const double *y)
{
    double deviation = model->deviation;
    double scale = 1 / (deviation > LEAST_CHANGE_DEVIATION ? deviation : LEAST_CHANGE_DEVIATION);
    struct lp_run above = model->above, below = model->below;
    bool changed = false;
    for (unsigned i = 0; i < model->waiting; i++) {
        double residual = y[i] - line_at(model, model->calls[i].ln_size);
        double z = bounded(residual * scale, -CLIP, CLIP);
        add_to_run(&above, z, residual);
        add_to_run(&below, -z, residual);
        if (above.sum > CHANGE || below.sum > CHANGE) {
            follow_change(model, above.sum > CHANGE ? &above : &below);
            above = below = (struct lp_run){.length = 0};
            changed = true;
        }
    }
    model->above = above;
    model->below = below;
    return changed;
}

/* Before the first call: what the ratio is believed to be, with the weight of one. */
static void begin(struct lp_model *model)
{
    model->ratio_n = 1;
    model->ratio = 1;
    model->ratio2 = 1 + DEVIATION * DEVIATION;
    model->ln_p95 = NORMAL_P95 * DEVIATION;
}

/* exp(-k / memory), for few calls: 1 - 1 / memory, k times. */
static double kept_after(unsigned calls, double memory)
{
    double power = 1 - 1 / memory, kept = 1;
    for (; calls; calls /= 2, power *= power) {
        kept *= calls % 2 ? power : 1;
    }
    return kept;
}

static void sum_up(const struct lp_model *model, const double *y, struct sums *sums)
{
    unsigned count = model->waiting;
    *sums = (struct sums){.n = count};
    for (unsigned i = 0; i < count; i++) {
        sums->mean_x += model->calls[i].ln_size;
        sums->mean_y += y[i];
    }
    if (count == 1) {
        return;
    }
    sums->mean_x /= count;
    sums->mean_y /= count;
    for (unsigned i = 0; i < count; i++) {
        double dx = model->calls[i].ln_size - sums->mean_x;
        double dy = y[i] - sums->mean_y;
        sums->cxx += dx * dx;
        sums->cxy += dx * dy;
        sums->cyy += dy * dy;
    }
}

/* With the line as it is when it has been fitted to the calls as well: the first of all has the
 * ratio 1. */
static void learn_ratios(struct lp_model *model, double memory, const double *y,
                         struct ratios *ratios)
{
    double step = model->deviation * bounded(2 / model->ratio_n, 0.15, 2);
    double last = NAN, inverse = 0; /* of the size before, exp(-line): sizes often repeat */
    double sum = 0, sum2 = 0;
    unsigned above = 0;
    for (unsigned i = 0; i < model->waiting; i++) {
        double line = line_at(model, model->calls[i].ln_size);
        if (line != last) {
            inverse = exp_of(-line);
            last = line;
        }
        double ratio = bounded(bounded(model->calls[i].cost, LP_LEAST_NS, LP_MOST_NS) * inverse,
                               LP_LEAST_RATIO, MOST_RATIO);
        sum += ratio;
        sum2 += ratio * ratio;
        above += y[i] - line > model->ln_p95;
    }
    *ratios = (struct ratios){model->waiting, sum, sum2};
    learn_percentile(model, step, above, model->waiting - above);
    model->ratio_n *= kept_after(model->waiting, memory);
    add_ratios(model, ratios);
}

bool lp_model_settle(struct lp_model *model, struct lp_model *batch,
                     const struct lp_model_options *options)
{
    double y[LP_WAITING_CALLS];
    struct sums sums;
    struct ratios ratios;
    bool changed = false;
    if (!model->waiting) {
        return false;
    }
    for (unsigned i = 0; i < model->waiting; i++) {
        y[i] = log(bounded(model->calls[i].cost, LP_LEAST_NS, LP_MOST_NS)); /* NaN: the least */
    }
    if (model->n <= 0) {
        begin(model);
    } else {
        changed = !isinf(options->memory) && look_for_change(model, y);
        forget(model, kept_after(model->waiting, options->memory));
    }
    sum_up(model, y, &sums);
    add_sums(model, &sums);
    solve(model);
    model->has_last = false;
    learn_ratios(model, options->ratio_memory, y, &ratios);
    model->seen += model->waiting;
    if (batch) {
        if (changed) {
            *batch = (struct lp_model){.seen = batch->seen};
        }
        add_sums(batch, &sums);
        add_ratios(batch, &ratios);
        batch->ln_p95 = model->ln_p95;
        batch->seen += model->waiting;
    }
    model->waiting = 0;
    return changed;
}

void lp_model_merge(struct lp_model *model, const struct lp_model *batch, bool changed,
                    const struct lp_model_options *options)
{
    if (batch->n <= 0) {
        return;
    }
    if (model->n <= 0 || changed) {
        double kept = model->ratio_n, ratio = model->ratio, ratio2 = model->ratio2;
        uint64_t seen = model->seen;
        *model = (struct lp_model){.seen = seen};
        begin(model);
        if (seen) {
            model->ratio_n = kept;
            model->ratio = ratio;
            model->ratio2 = ratio2;
        }
    } else {
        forget(model, exp(-(double)batch->seen / options->memory));
        model->ratio_n *= exp(-(double)batch->seen / options->ratio_memory);
    }
    add_sums(model, &(struct sums){batch->n, batch->mean_x, batch->mean_y, batch->cxx, batch->cxy,
                                   batch->cyy});
    add_ratios(model, &(struct ratios){batch->ratio_n, batch->ratio * batch->ratio_n,
                                       batch->ratio2 * batch->ratio_n});
    model->ln_p95 = batch->ln_p95; /* which has the model's behind it */
    model->seen += batch->seen;
    forget_changes(model);
    solve(model);
    model->has_last = false;
}

void lp_model_adopt(struct lp_model *model, const struct lp_model *other)
{
    struct lp_model before = *model;
    *model = *other;
    model->above = before.above;
    model->below = before.below;
    model->waiting = 0;
}

void lp_model_restore(struct lp_model *model, double memory)
{
    if (model->n > memory) {
        forget(model, memory / model->n);
    }
    solve(model);
}
