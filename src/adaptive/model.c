/* SPDX-License-Identifier: MIT */
/* Owns the cost model. Means and products are updated about the current means, as West (1979) does
 * for weighted data, because sums of squares about zero lose all digits when sizes hardly differ;
 * models are merged as Chan, Golub and LeVeque (1979) do. The moments of the cost follow from the
 * ratio of cost and prediction by smearing (Duan 1983), whatever the shape of the noise is. */
#include "adaptive/model.h"

#include <math.h>

/* Where nothing is forgotten memory is infinite: 1 / memory and exp(-k / memory) are 0 and 1. */

/* Before anything is known of them: of ln cost around the line; of the slope, about 1 (work that
 * grows as its input does). As weights: how many observations these beliefs stand for. */
#define DEVIATION 0.35
#define DEVIATION_WEIGHT 2.0
#define SLOPE 1.0
#define SLOPE_DEVIATION 0.5

/* A hint counts as one observation until more than so many have been seen. */
#define HINT_HOLDS 5.0
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

#define NORMAL_P95 1.645

double lp_ln_size(uint64_t size)
{
    return size > 1 ? log((double)size) : 0;
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
    double variance =
        (fmax(rest, 0) + DEVIATION_WEIGHT * DEVIATION * DEVIATION) / (model->n + DEVIATION_WEIGHT);
    model->variance = fmax(variance, LEAST_DEVIATION * LEAST_DEVIATION);
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

void lp_model_predict(const struct lp_model *model, double ln_size, double hint_ns,
                      struct lp_prediction *prediction)
{
    if (model->n <= 0) {
        predict_from_hint(hint_ns, prediction);
        return;
    }
    double line = line_at(model, ln_size);
    double uncertainty = uncertainty_at(model, ln_size);
    if (hint_ns > 0 && model->n <= HINT_HOLDS) {
        line = (model->n * line + log(hint_ns)) / (model->n + 1);
    }
    double level = exp(bounded(line, log(LP_LEAST_NS), log(LP_MOST_NS)));
    /* What is not known of the line makes slow calls likelier; ln_p95 is what is known of the
     * noise. */
    double beyond = sqrt(model->ln_p95 * model->ln_p95 + NORMAL_P95 * NORMAL_P95 * uncertainty);
    *prediction = (struct lp_prediction){
        .ln_cost = line,
        .uncertainty = uncertainty,
        .cost = level * model->ratio,
        .cost2 = level * level * model->ratio2,
        .p95 = level * exp(fmin(beyond, 20)),
    };
}

/* ---- learning -------------------------------------------------------------------------------- */

static void forget(struct lp_model *model, double kept)
{
    model->n *= kept;
    model->cxx *= kept;
    model->cxy *= kept;
    model->cyy *= kept;
}

static void add(struct lp_model *model, double x, double y)
{
    model->n += 1;
    double dx = x - model->mean_x;
    double dy = y - model->mean_y;
    model->mean_x += dx / model->n;
    model->mean_y += dy / model->n;
    model->cxx += dx * (x - model->mean_x);
    model->cxy += dx * (y - model->mean_y);
    model->cyy += dy * (y - model->mean_y);
}

/* Of deviations: no percentile is farther from the mean, but that of costs of which one in 10 to
 * one in 20 is of another kind. It takes the first beliefs back, for which the steps below are too
 * small, as soon as the variance says that there is little noise. */
#define MOST_P95 (2 * NORMAL_P95)

/* The percentile goes up by 0.95 of a step when ln r is above it, and down by 0.05 of it when it is
 * below: there it stays where one in 20 is above (Robbins and Monro 1951). */
static void learn_percentile(struct lp_model *model, double ln_ratio)
{
    double step = sqrt(model->variance) * fmax(0.15, 2 / (model->ratio_n + 1));
    model->ln_p95 += ln_ratio > model->ln_p95 ? 0.95 * step : -0.05 * step;
    double most = MOST_P95 * sqrt(model->variance);
    model->ln_p95 = bounded(model->ln_p95, 0, most);
}

/* After the line has been fitted to the call as well: the first of all has the ratio 1. */
static void learn_ratio(struct lp_model *model, double memory, double ln_ratio)
{
    double ratio = exp(bounded(ln_ratio, -20, 20));
    model->ratio_n = 1 + model->ratio_n * (1 - 1 / memory);
    model->ratio += (ratio - model->ratio) / model->ratio_n;
    model->ratio2 += (ratio * ratio - model->ratio2) / model->ratio_n;
    learn_percentile(model, ln_ratio);
}

/* One side of the change detector (Page 1954). z: the residual in standard deviations, turned so
 * that this side looks for large ones. */
static bool has_changed(double *sum, double *residuals, uint32_t *length, double z, double residual)
{
    *sum += bounded(z, -CLIP, CLIP) - SLACK;
    if (*sum <= 0) {
        *sum = 0;
        *residuals = 0;
        *length = 0;
        return false;
    }
    *residuals += residual;
    ++*length;
    return *sum > CHANGE;
}

static void forget_changes(struct lp_model *model)
{
    model->above.sum = model->below.sum = 0;
    model->above.residuals = model->below.residuals = 0;
    model->above.length = model->below.length = 0;
}

/* Looks at a residual before it is learnt. On a change the line moves to where the run of residuals
 * was, and little is left of what it rested on. */
static bool follow_change(struct lp_model *model, double residual)
{
    double deviation = fmax(sqrt(model->variance), LEAST_CHANGE_DEVIATION);
    double z = residual / deviation;
    bool up =
        has_changed(&model->above.sum, &model->above.residuals, &model->above.length, z, residual);
    bool down =
        has_changed(&model->below.sum, &model->below.residuals, &model->below.length, -z, residual);
    if (!up && !down) {
        return false;
    }
    model->mean_y += up ? model->above.residuals / model->above.length
                        : model->below.residuals / model->below.length;
    if (model->n > KEPT) {
        forget(model, KEPT / model->n);
    }
    forget_changes(model);
    return true;
}

/* Before the first call: what the ratio is believed to be, with the weight of one. */
static void begin(struct lp_model *model)
{
    model->ratio_n = 1;
    model->ratio = 1;
    model->ratio2 = 1 + DEVIATION * DEVIATION;
    model->ln_p95 = NORMAL_P95 * DEVIATION;
}

/* The batch has no line of its own worth the name: its ratios are those to the model's. */
static void add_to_batch(struct lp_model *batch, bool changed, double x, double y, double ln_ratio)
{
    if (changed) {
        *batch = (struct lp_model){0};
    }
    double ratio = exp(bounded(ln_ratio, -20, 20));
    add(batch, x, y);
    batch->seen++;
    batch->ratio_n += 1;
    batch->ratio += (ratio - batch->ratio) / batch->ratio_n;
    batch->ratio2 += (ratio * ratio - batch->ratio2) / batch->ratio_n;
}

bool lp_model_learn(struct lp_model *model, struct lp_model *batch,
                    const struct lp_model_options *options, double ln_size, double cost_ns)
{
    double y = log(bounded(cost_ns, LP_LEAST_NS, LP_MOST_NS)); /* not a number: the least */
    bool changed = false;
    if (model->n <= 0) {
        begin(model);
    } else if (!isinf(options->memory)) {
        changed = follow_change(model, y - line_at(model, ln_size));
        forget(model, 1 - 1 / options->memory);
    }
    add(model, ln_size, y);
    solve(model);
    double ln_ratio = y - line_at(model, ln_size);
    learn_ratio(model, options->ratio_memory, ln_ratio);
    model->seen++;
    if (batch) {
        add_to_batch(batch, changed, ln_size, y, ln_ratio);
        batch->ln_p95 = model->ln_p95;
    }
    return changed;
}

static void merge_lines(struct lp_model *model, const struct lp_model *batch)
{
    double n = model->n + batch->n;
    double dx = batch->mean_x - model->mean_x;
    double dy = batch->mean_y - model->mean_y;
    double share = model->n * batch->n / n;
    model->cxx += batch->cxx + share * dx * dx;
    model->cxy += batch->cxy + share * dx * dy;
    model->cyy += batch->cyy + share * dy * dy;
    model->mean_x += dx * batch->n / n;
    model->mean_y += dy * batch->n / n;
    model->n = n;
}

static void merge_ratios(struct lp_model *model, const struct lp_model *batch)
{
    double n = model->ratio_n + batch->ratio_n;
    double weight = batch->ratio_n / n;
    model->ratio += weight * (batch->ratio - model->ratio);
    model->ratio2 += weight * (batch->ratio2 - model->ratio2);
    model->ln_p95 = batch->ln_p95; /* which has the model's behind it */
    model->ratio_n = n;
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
    merge_lines(model, batch);
    merge_ratios(model, batch);
    model->seen += batch->seen;
    forget_changes(model);
    solve(model);
}
