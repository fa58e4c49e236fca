/* SPDX-License-Identifier: MIT */
/* The cost model: that its numbers stay sound whatever comes, that it is the least-squares line
 * when nothing is forgotten, and that it follows what changes. */
#define SUITE "cost model"
#include "harness.h"

#include "adaptive/model.h"
#include "sim/random.h"

enum {
    MILLION = 1000000,
    BATCHES = 20,
    IN_A_BATCH = 50
};

static const struct lp_model_options forgetting = {.memory = 300, .ratio_memory = 2000};
static const struct lp_model_options remembering = {.memory = INFINITY, .ratio_memory = INFINITY};

static bool is_near(double value, double other, double share)
{
    return fabs(value - other) <= share * fmax(fabs(other), 1e-9);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool is_sound(struct lp_model *model, double ln_size)
{
    struct lp_prediction p;
    lp_model_predict(model, ln_size, 0, &p);
    return isfinite(model->n) && isfinite(model->mean_x) && isfinite(model->mean_y) &&
           isfinite(model->slope) && isfinite(model->variance) && model->variance > 0 &&
           isfinite(p.ln_cost) && isfinite(p.uncertainty) && p.uncertainty > 0 &&
           isfinite(p.cost) && p.cost > 0 && isfinite(p.cost2) && isfinite(p.p95) && p.p95 > 0 &&
           p.cost2 >= p.cost * p.cost * (1 - 1e-9);
}

static uint64_t any_size(struct random *random)
{
    return (uint64_t)exp(log(1e12) * random_uniform(random));
}

/* 20 ns to 100 s. */
static double any_cost(struct random *random)
{
    return 20 * exp(log(100e9 / 20) * random_uniform(random));
}

static void learn_a_million(const struct lp_model_options *options, double absurd_share)
{
    static const double absurd[] = {0,        -0.0,      -1,          -1e300, 1e300, 1e-300,
                                    INFINITY, -INFINITY, (double)NAN, 5e-324, 1e14,  1};
    struct random random = random_stream(1, 1);
    struct lp_model model = {0};
    for (unsigned i = 0; i < MILLION; i++) {
        uint64_t size = any_size(&random);
        double cost = any_cost(&random);
        if (random_uniform(&random) < absurd_share) {
            uint64_t which = random_bits(&random);
            cost = absurd[which % (sizeof absurd / sizeof absurd[0])];
            size = which & 64 ? 0 : which & 128 ? UINT64_MAX : size;
        }
        lp_model_learn(&model, NULL, options, lp_ln_size(size), cost, true);
        if (!CHECK(is_sound(&model, lp_ln_size(any_size(&random))))) {
            return;
        }
    }
    CHECK(model.seen == MILLION);
}

TEST(a_million_calls_leave_sound_numbers)
{
    learn_a_million(&forgetting, 0);
    learn_a_million(&remembering, 0);
}

TEST(a_million_calls_some_of_them_absurd_leave_sound_numbers)
{
    learn_a_million(&forgetting, 0.1);
    learn_a_million(&remembering, 0.1);
}

TEST(equal_calls_leave_sound_numbers)
{
    static const double costs[] = {0, 1, 20, 1e11, 1e14, INFINITY};
    for (unsigned k = 0; k < sizeof costs / sizeof costs[0]; k++) {
        struct lp_model model = {0};
        for (unsigned i = 0; i < 10000; i++) {
            lp_model_learn(&model, NULL, &forgetting, lp_ln_size(1000000), costs[k], true);
        }
        CHECK(is_sound(&model, lp_ln_size(1000000)));
        CHECK(is_sound(&model, lp_ln_size(UINT64_MAX)));
        struct lp_prediction p;
        lp_model_predict(&model, lp_ln_size(1000000), 0, &p);
        CHECK(is_near(p.cost, fmin(fmax(costs[k], LP_LEAST_NS), LP_MOST_NS), 0.01));
    }
}

/* The slope is drawn towards a belief, which a million calls outweigh. */
TEST(without_forgetting_it_is_the_least_squares_line)
{
    struct random random = random_stream(2, 1);
    struct lp_model model = {0};
    long double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (unsigned i = 0; i < MILLION; i++) {
        double x = lp_ln_size(any_size(&random));
        double cost = fmin(20 * exp(0.7 * x + 0.5 * random_normal(&random)), 100e9);
        lp_model_learn(&model, NULL, &remembering, x, cost, true);
        long double dx = (long double)x - 13, y = logl((long double)fmax(cost, LP_LEAST_NS));
        n += 1;
        sx += dx;
        sy += y;
        sxx += dx * dx;
        sxy += dx * y;
    }
    double slope = (double)((sxy - sx * sy / n) / (sxx - sx * sx / n));
    CHECK(is_near(model.slope, slope, 1e-6));
    for (double x = 0; x < 28; x += 4) {
        struct lp_prediction p;
        lp_model_predict(&model, x, 0, &p);
        double line = (double)(sy / n) + slope * (x - 13 - (double)(sx / n));
        CHECK(is_near(p.ln_cost, line, 1e-6));
    }
}

/* ---- what it predicts ------------------------------------------------------------------------ */

TEST(nothing_seen_predicts_the_hint)
{
    struct lp_model model = {0};
    struct lp_prediction p;
    lp_model_predict(&model, 0, 30e3, &p);
    CHECK(is_near(p.cost, 30e3, 1e-9));
    CHECK(p.p95 > 30e3);
}

TEST(a_hint_that_was_wrong_is_dropped_after_some_calls)
{
    struct lp_model model = {0};
    struct lp_prediction p;
    for (unsigned i = 0; i < 6; i++) {
        lp_model_learn(&model, NULL, &forgetting, 0, 5e3, true);
    }
    lp_model_predict(&model, 0, 1e6, &p);
    CHECK(is_near(p.cost, 5e3, 0.05));
}

TEST(other_sizes_are_predicted_from_those_seen)
{
    struct random random = random_stream(3, 1);
    struct lp_model model = {0};
    for (unsigned i = 0; i < 200; i++) {
        double x = log(100) + random_uniform(&random) * log(100);
        lp_model_learn(&model, NULL, &forgetting, x,
                       50 * exp(1.5 * x + 0.1 * random_normal(&random)), true);
    }
    struct lp_prediction p;
    lp_model_predict(&model, log(1e5), 0, &p);
    CHECK(is_near(p.cost, 50 * pow(1e5, 1.5), 0.3));
}

/* Both moments and the percentile of a cost that is not log-normal at all. */
TEST(moments_are_those_of_two_costs)
{
    struct random random = random_stream(4, 1);
    struct lp_model model = {0};
    struct lp_prediction p;
    double mean = 0, square = 0;
    enum {
        CALLS = 2000,
        AFTER = 1000
    };
    for (unsigned i = 0; i < CALLS; i++) {
        lp_model_learn(&model, NULL, &forgetting, 0, random_uniform(&random) < 0.1 ? 2e6 : 5e3, true);
        lp_model_predict(&model, 0, 0, &p);
        mean += i < AFTER ? 0 : p.cost / (CALLS - AFTER);
        square += i < AFTER ? 0 : p.cost2 / (CALLS - AFTER);
    }
    CHECK(is_near(mean, 0.1 * 2e6 + 0.9 * 5e3, 0.4));
    CHECK(is_near(square, 0.1 * 2e6 * 2e6, 0.6));
    CHECK(p.p95 > 250e3);
}

TEST(one_call_in_20_is_above_the_95th_percentile)
{
    struct random random = random_stream(5, 1);
    struct lp_model model = {0};
    unsigned above = 0;
    for (unsigned i = 0; i < 20000; i++) {
        double cost = 30e3 * exp(0.8 * random_normal(&random));
        struct lp_prediction p;
        lp_model_predict(&model, 0, 0, &p);
        above += i >= 1000 && cost > p.p95;
        lp_model_learn(&model, NULL, &forgetting, 0, cost, true);
    }
    CHECK(above > 19000 * 0.03);
    CHECK(above < 19000 * 0.07);
}

/* Rails look at it: what is believed of the noise at first must not forbid for long what costs the
 * same each time. */
TEST(the_95th_percentile_of_equal_costs_is_near_them_after_30_calls)
{
    struct lp_model model = {0};
    for (unsigned i = 0; i < 30; i++) {
        lp_model_learn(&model, NULL, &forgetting, 0, 30e3, true);
    }
    struct lp_prediction p;
    lp_model_predict(&model, 0, 0, &p);
    CHECK(p.p95 >= 30e3);
    CHECK(p.p95 < 45e3);
}

/* ---- change ---------------------------------------------------------------------------------- */

static void follow_step(double before, double after)
{
    struct random random = random_stream(6, 1);
    struct lp_model model = {0};
    for (unsigned i = 0; i < 1000; i++) {
        lp_model_learn(&model, NULL, &forgetting, 0, before * exp(0.2 * random_normal(&random)), true);
    }
    bool seen = false;
    for (unsigned i = 0; i < 20; i++) {
        seen |=
            lp_model_learn(&model, NULL, &forgetting, 0, after * exp(0.2 * random_normal(&random)), true);
    }
    CHECK(seen);
    struct lp_prediction p;
    lp_model_predict(&model, 0, 0, &p);
    CHECK(is_near(exp(p.ln_cost), after, 0.3));
}

TEST(a_step_is_seen_within_20_calls)
{
    follow_step(30e3, 300e3);
    follow_step(300e3, 30e3);
}

TEST(noise_is_seldom_taken_for_a_step)
{
    struct random random = random_stream(7, 1);
    struct lp_model model = {0};
    unsigned changes = 0;
    for (unsigned i = 0; i < 10000; i++) {
        changes +=
            lp_model_learn(&model, NULL, &forgetting, 0, 30e3 * exp(0.5 * random_normal(&random)), true);
    }
    CHECK(changes <= 10);
}

TEST(nothing_changes_where_nothing_is_forgotten)
{
    struct lp_model model = {0};
    for (unsigned i = 0; i < 1000; i++) {
        CHECK(!lp_model_learn(&model, NULL, &remembering, 0, i < 500 ? 1e3 : 1e6, true));
    }
}

/* ---- batches --------------------------------------------------------------------------------- */

static double some_call(struct random *random, double *ln_size)
{
    *ln_size = lp_ln_size(any_size(random));
    return 20 * exp(0.6 * *ln_size + 0.3 * random_normal(random));
}

/* One loop's model, and one that gets its batches. */
static void learn_in_batches(const struct lp_model_options *options, struct lp_model *loops,
                             struct lp_model *merged)
{
    struct random random = random_stream(8, 1);
    for (unsigned i = 0; i < BATCHES; i++) {
        struct lp_model batch = {0};
        for (unsigned k = 0; k < IN_A_BATCH; k++) {
            double x, cost = some_call(&random, &x);
            CHECK(!lp_model_learn(loops, &batch, options, x, cost, true));
        }
        CHECK(batch.seen == IN_A_BATCH);
        lp_model_merge(merged, &batch, false, options);
    }
}

TEST(merging_batches_is_learning_in_one_go)
{
    struct lp_model loops = {0}, merged = {0};
    learn_in_batches(&remembering, &loops, &merged);
    CHECK(merged.seen == loops.seen);
    CHECK(is_near(merged.n, loops.n, 1e-9));
    CHECK(is_near(merged.mean_x, loops.mean_x, 1e-9));
    CHECK(is_near(merged.mean_y, loops.mean_y, 1e-9));
    CHECK(is_near(merged.cxx, loops.cxx, 1e-9));
    CHECK(is_near(merged.cxy, loops.cxy, 1e-9));
    CHECK(is_near(merged.cyy, loops.cyy, 1e-9));
    CHECK(is_near(merged.ratio_n, loops.ratio_n, 1e-9));
    CHECK(is_near(merged.ratio, loops.ratio, 1e-9));
    CHECK(is_near(merged.ratio2, loops.ratio2, 1e-9));
    CHECK(is_near(merged.ln_p95, loops.ln_p95, 1e-9));
    /* Both rest on the variance that was known before, which is not the same one. */
    CHECK(is_near(merged.slope, loops.slope, 1e-4));
    CHECK(is_near(merged.variance, loops.variance, 1e-4));
}

/* A batch is forgotten as a whole, not call by call. */
TEST(merging_batches_with_forgetting_is_nearly_learning_in_one_go)
{
    struct lp_model loops = {0}, merged = {0};
    learn_in_batches(&forgetting, &loops, &merged);
    struct lp_prediction one, other;
    lp_model_predict(&loops, lp_ln_size(1000000), 0, &one);
    lp_model_predict(&merged, lp_ln_size(1000000), 0, &other);
    CHECK(is_near(other.cost, one.cost, 0.05));
    CHECK(is_near(other.p95, one.p95, 0.1));
    CHECK(is_near(merged.n, loops.n, 0.15));
}

TEST(a_merged_change_leaves_little_of_what_was)
{
    struct lp_model loops = {0}, merged = {0};
    for (unsigned i = 0; i < 500; i++) {
        lp_model_learn(&loops, &merged, &forgetting, 0, 30e3, true);
    }
    struct lp_model batch = {0};
    bool changed = false;
    for (unsigned i = 0; i < 30; i++) {
        changed |= lp_model_learn(&loops, &batch, &forgetting, 0, 900e3, true);
    }
    CHECK(changed);
    lp_model_merge(&merged, &batch, changed, &forgetting);
    struct lp_prediction p;
    lp_model_predict(&merged, 0, 0, &p);
    CHECK(is_near(exp(p.ln_cost), 900e3, 0.05));
    CHECK(merged.seen >= 500);
}

TEST(an_empty_batch_changes_nothing)
{
    struct lp_model model = {0}, empty = {0};
    lp_model_learn(&model, NULL, &forgetting, 1, 5e3, true);
    struct lp_model before = model;
    lp_model_merge(&model, &empty, false, &forgetting);
    CHECK(memcmp(&before, &model, sizeof model) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
