/* SPDX-License-Identifier: MIT */
/* Tests of the example's solver and generator, without loomp: it is an ordinary OpenMP program. */
#define SUITE "solver"
#include "harness.h"

#include "poisson.h"
#include "solver.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct entry {
    int32_t row;
    int32_t column;
    double value;
};

/* From entries with indices from 1, as in a file. */
static struct csr make(int64_t n, const struct entry *entries, int64_t count, bool mirror)
{
    int32_t row[64];
    int32_t column[64];
    double value[64];
    struct csr a = {0};

    for (int64_t k = 0; k < count; k++) {
        row[k] = entries[k].row - 1;
        column[k] = entries[k].column - 1;
        value[k] = entries[k].value;
    }
    CHECK(csr_from_coordinates(&a, n, count, row, column, value, mirror) == 0);
    return a;
}

#define MAKE(n, mirror, ...)                                                                       \
    make((n), (const struct entry[]){__VA_ARGS__},                                                 \
         sizeof((struct entry[]){__VA_ARGS__}) / sizeof(struct entry), (mirror))

/* Solves for a right-hand side of ones, or b, and checks that the reported residual is true. */
static struct solver_result solve(const struct csr *a, const double *b, double tolerance)
{
    struct solver_options options = {.tolerance = tolerance, .max_iterations = 5000};
    struct solver_result result;
    double *ones = malloc((size_t)a->n * sizeof *ones);
    double *x = malloc((size_t)a->n * sizeof *x);
    double rr = 0.0;
    double bb = 0.0;

    for (int64_t i = 0; i < a->n; i++) {
        ones[i] = b != NULL ? b[i] : 1.0;
    }
    solver_run(a, ones, x, &options, &result);
    for (int64_t i = 0; i < a->n; i++) {
        double r = ones[i];
        for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
            r -= a->value[k] * x[a->column[k]];
        }
        rr += r * r;
        bb += ones[i] * ones[i];
    }
    if (bb > 0.0 && isfinite(rr)) {
        double relative = sqrt(rr / bb);
        CHECK(fabs(result.residual - relative) <= 1e-3 * relative + 1e-13);
    }
    if (result.outcome == SOLVER_CONVERGED) {
        CHECK(result.residual <= 1.01 * tolerance);
        CHECK(result.reason[0] == '\0');
    } else {
        CHECK(result.reason[0] != '\0');
    }
    free(x);
    free(ones);
    return result;
}

TEST(the_generator_makes_the_five_point_matrix)
{
    struct csr a;
    CHECK(poisson_build(&a, 0) == -EINVAL);
    CHECK(poisson_build(&a, 1000000) == -EINVAL);
    for (int64_t side = 1; side <= 5; side++) {
        if (!CHECK(poisson_build(&a, side) == 0)) {
            return;
        }
        CHECK(a.n == side * side && a.entries == poisson_entries(side));
        CHECK(csr_is_symmetric(&a) && csr_empty_row(&a) == -1);
        double sum = 0.0;
        for (int64_t k = 0; k < a.entries; k++) {
            sum += a.value[k];
        }
        /* Each side of the square has cut `side` neighbours off. */
        CHECK(sum == 4.0 * (double)side);
        csr_fini(&a);
    }
}

TEST(cg_solves_poisson_problems)
{
    static const int sides[] = {1, 2, 3, 17, 64};
    for (size_t k = 0; k < sizeof sides / sizeof *sides; k++) {
        struct csr a;
        if (!CHECK(poisson_build(&a, sides[k]) == 0)) {
            return;
        }
        struct solver_result result = solve(&a, NULL, 1e-10);
        CHECK(result.outcome == SOLVER_CONVERGED);
        CHECK_TEXT(result.method, "cg");
        CHECK(result.threads >= 1);
        CHECK(result.iterations < 4 * sides[k] + 10);
        csr_fini(&a);
    }
}

TEST(a_matrix_stored_in_full_is_found_to_be_symmetric)
{
    struct csr a = MAKE(2, false, {1, 1, 2}, {1, 2, 1}, {2, 1, 1}, {2, 2, 3});
    CHECK_TEXT(solve(&a, NULL, 1e-12).method, "cg");
    csr_fini(&a);
}

TEST(bicgstab_solves_what_is_not_symmetric)
{
    struct csr a =
        MAKE(3, false, {1, 1, 4}, {1, 2, -1}, {2, 2, 4}, {2, 3, -2}, {3, 1, 1}, {3, 3, 4});
    struct solver_result result = solve(&a, NULL, 1e-10);
    CHECK(result.outcome == SOLVER_CONVERGED);
    CHECK_TEXT(result.method, "bicgstab");
    csr_fini(&a);
}

TEST(a_matrix_that_is_not_positive_definite_goes_on_to_bicgstab)
{
    struct csr a = MAKE(3, true, {1, 1, 2}, {2, 2, 3}, {3, 1, 1}, {3, 2, 1});
    struct solver_result result = solve(&a, NULL, 1e-10);
    CHECK(result.outcome == SOLVER_CONVERGED);
    CHECK_TEXT(result.method, "cg, then bicgstab");
    csr_fini(&a);
    a = MAKE(2, true, {1, 1, -1}, {2, 2, -1});
    CHECK(solve(&a, NULL, 1e-10).outcome == SOLVER_CONVERGED);
    csr_fini(&a);
}

TEST(singular_matrices_are_told)
{
    double b[] = {1.0, 0.0, 0.0};
    struct csr empty_row = MAKE(3, false, {1, 1, 1}, {3, 3, 1});
    struct csr rank_one = MAKE(2, true, {1, 1, 1}, {2, 1, 2}, {2, 2, 4});
    struct csr floating = MAKE(3, true, {1, 1, 1}, {2, 1, -1}, {2, 2, 2}, {3, 2, -1}, {3, 3, 1});
    struct csr zero = MAKE(2, false, {1, 1, 0}, {2, 2, 0});
    struct csr cycle = MAKE(2, false, {1, 1, 1}, {1, 2, 2}, {2, 1, 2}, {2, 2, 4}, {1, 2, 1e-3});

    struct solver_result result = solve(&empty_row, NULL, 1e-8);
    CHECK(result.outcome == SOLVER_SINGULAR);
    CHECK_TEXT(result.reason, "row 2 is empty: the matrix is singular");
    CHECK(solve(&rank_one, NULL, 1e-8).outcome == SOLVER_BREAKDOWN);
    CHECK(solve(&floating, b, 1e-8).outcome == SOLVER_BREAKDOWN);
    CHECK(solve(&zero, NULL, 1e-8).outcome == SOLVER_BREAKDOWN);
    CHECK(solve(&cycle, NULL, 1e-8).outcome == SOLVER_CONVERGED);
    csr_fini(&empty_row);
    csr_fini(&rank_one);
    csr_fini(&floating);
    csr_fini(&zero);
    csr_fini(&cycle);
}

TEST(a_singular_system_that_has_a_solution_is_solved)
{
    double b[] = {1.0, 2.0};
    struct csr a = MAKE(2, true, {1, 1, 1}, {2, 1, 2}, {2, 2, 4});
    CHECK(solve(&a, b, 1e-8).outcome == SOLVER_CONVERGED);
    csr_fini(&a);
}

TEST(a_right_hand_side_of_zeros_has_the_solution_zero)
{
    double b[] = {0.0, 0.0};
    struct csr a = MAKE(2, true, {1, 1, 1}, {2, 2, 4});
    struct solver_result result = solve(&a, b, 1e-8);
    CHECK(result.outcome == SOLVER_CONVERGED && result.iterations == 0 && result.residual == 0.0);
    csr_fini(&a);
}

TEST(overflow_and_nan_end_the_iteration)
{
    double b[] = {1.0, NAN};
    struct csr a = MAKE(2, true, {1, 1, 1}, {2, 2, 4});
    CHECK(solve(&a, b, 1e-8).outcome == SOLVER_NOT_FINITE);
    csr_fini(&a);
    a = MAKE(2, true, {1, 1, 1.7e308}, {2, 1, 1.7e308}, {2, 2, 1});
    CHECK(solve(&a, NULL, 1e-8).outcome == SOLVER_NOT_FINITE);
    csr_fini(&a);
}

static int stop_after_three(void *arg)
{
    return ++*(int *)arg > 3;
}

TEST(it_stops_when_asked_and_when_its_iterations_are_spent)
{
    struct csr a;
    if (!CHECK(poisson_build(&a, 32) == 0)) {
        return;
    }
    double *b = malloc((size_t)a.n * sizeof *b);
    double *x = malloc((size_t)a.n * sizeof *x);
    for (int64_t i = 0; i < a.n; i++) {
        b[i] = 1.0;
    }
    int asked = 0;
    struct solver_options options = {
        .tolerance = 1e-10, .max_iterations = 5000, .stop = stop_after_three, .stop_arg = &asked};
    struct solver_result result;
    CHECK(solver_run(&a, b, x, &options, &result) == SOLVER_STOPPED);
    CHECK(result.iterations == 3 && asked == 4);
    options.stop = NULL;
    options.max_iterations = 7;
    CHECK(solver_run(&a, b, x, &options, &result) == SOLVER_MAX_ITERATIONS);
    CHECK(result.iterations == 7);
    CHECK(result.residual > 0.0);
    free(x);
    free(b);
    csr_fini(&a);
}

TEST(the_history_has_bounded_size_and_rising_steps)
{
    struct csr a;
    if (!CHECK(poisson_build(&a, 160) == 0)) {
        return;
    }
    struct solver_result result = solve(&a, NULL, 1e-13);
    CHECK(result.iterations > SOLVER_HISTORY);
    CHECK(result.points > SOLVER_HISTORY / 4 && result.points < SOLVER_HISTORY);
    CHECK(result.history[0].iteration == 0 && fabs(result.history[0].residual - 1.0) < 1e-12);
    int wrong = 0;
    for (int k = 1; k < result.points; k++) {
        wrong += result.history[k].iteration <= result.history[k - 1].iteration;
    }
    CHECK(wrong == 0);
    csr_fini(&a);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
