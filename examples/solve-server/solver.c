/* SPDX-License-Identifier: MIT */
/* The solver, as its author would write it without loomp: pragmas on the loops, nothing about who
 * calls it on which thread. Every vector operation is one parallel region. */
#include "solver.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct solve {
    const struct csr *a;
    const double *b;
    double *x;
    const struct solver_options *options;
    struct solver_result *result;
    double norm_b;
    double size_a; /* the largest absolute row sum */
    double best;   /* the smallest residual so far, and when it was reached */
    int64_t best_at;
    int64_t patience;     /* iterations without a better residual before giving up */
    int64_t history_step; /* every how many iterations a point is kept */
};

/* What a method ended with. */
enum ended {
    ENDED_SMALL,    /* its residual meets the tolerance */
    ENDED_SPENT,    /* no iterations left */
    ENDED_STOPPED,  /* the caller said so */
    ENDED_NOT_SPD,  /* CG met p^T A p <= 0 */
    ENDED_STUCK,    /* the residual has not fallen for long */
    ENDED_BROKEN,   /* BiCGSTAB divides by zero */
    ENDED_INFINITE, /* NaN or overflow */
};

static void fill(double *x, int64_t n, double value)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        x[i] = value;
    }
}

static void copy(double *to, const double *from, int64_t n)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        to[i] = from[i];
    }
}

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0.0;

#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

static double row_times(const struct csr *a, int64_t i, const double *x)
{
    double sum = 0.0;

    for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
        sum += a->value[k] * x[a->column[k]];
    }
    return sum;
}

/* r = b - A x; returns r^T r. */
static double residual(const struct csr *a, const double *b, const double *x, double *r)
{
    double sum = 0.0;

#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (int64_t i = 0; i < a->n; i++) {
        double d = b[i] - row_times(a, i, x);
        r[i] = d;
        sum += d * d;
    }
    return sum;
}

/* y = A x; *xy = x^T y, *xx = x^T x, *yy = y^T y. */
static void multiply(const struct csr *a, const double *x, double *y, double *xy, double *xx,
                     double *yy)
{
    double sum_xy = 0.0;
    double sum_xx = 0.0;
    double sum_yy = 0.0;

#pragma omp parallel for schedule(static) reduction(+ : sum_xy, sum_xx, sum_yy)
    for (int64_t i = 0; i < a->n; i++) {
        double sum = row_times(a, i, x);
        y[i] = sum;
        sum_xy += x[i] * sum;
        sum_xx += x[i] * x[i];
        sum_yy += sum * sum;
    }
    *xy = sum_xy;
    *xx = sum_xx;
    *yy = sum_yy;
}

static double largest_row_sum(const struct csr *a)
{
    double largest = 0.0;

#pragma omp parallel for schedule(static) reduction(max : largest)
    for (int64_t i = 0; i < a->n; i++) {
        double sum = 0.0;
        for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
            sum += fabs(a->value[k]);
        }
        if (sum > largest) {
            largest = sum;
        }
    }
    return largest;
}

static int count_threads(void)
{
    int threads = 1;

#pragma omp parallel
    {
#pragma omp single
        threads = omp_get_num_threads();
    }
    return threads;
}

/* The history has room for a fixed number of points: when it is full, every second one is dropped
 * and from then on half as many are kept. */
static void remember(struct solve *s, double relative)
{
    struct solver_result *result = s->result;

    if (result->iterations % s->history_step != 0) {
        return;
    }
    if (result->points == SOLVER_HISTORY - 1) {
        s->history_step *= 2;
        int kept = 0;
        for (int k = 0; k < result->points; k++) {
            if (result->history[k].iteration % s->history_step == 0) {
                result->history[kept++] = result->history[k];
            }
        }
        result->points = kept;
        if (result->iterations % s->history_step != 0) {
            return;
        }
    }
    result->history[result->points].iteration = result->iterations;
    result->history[result->points++].residual = relative;
}

/* What every iteration of both methods begins with. True: the method ends with *ended. */
static bool at_end(struct solve *s, double rr, enum ended *ended)
{
    double relative = sqrt(rr) / s->norm_b;

    if (!isfinite(relative)) {
        *ended = ENDED_INFINITE;
        return true;
    }
    remember(s, relative);
    if (relative <= s->options->tolerance) {
        *ended = ENDED_SMALL;
        return true;
    }
    if (relative < 0.999 * s->best) {
        s->best = relative;
        s->best_at = s->result->iterations;
    } else if (s->result->iterations - s->best_at > s->patience) {
        *ended = ENDED_STUCK;
        return true;
    }
    if (s->result->iterations >= s->options->max_iterations) {
        *ended = ENDED_SPENT;
        return true;
    }
    if (s->options->stop != NULL && s->options->stop(s->options->stop_arg) != 0) {
        *ended = ENDED_STOPPED;
        return true;
    }
    return false;
}

static enum ended conjugate_gradients(struct solve *s, double *work)
{
    const struct csr *a = s->a;
    int64_t n = a->n;
    double *x = s->x;
    double *r = work;
    double *p = work + n;
    double *q = work + 2 * n;
    double rr = residual(a, s->b, x, r);
    enum ended ended;

    copy(p, r, n);
    while (!at_end(s, rr, &ended)) {
        double pq;
        double pp;
        double qq;
        multiply(a, p, q, &pq, &pp, &qq);
        if (!isfinite(pq)) {
            return ENDED_INFINITE;
        }
        /* Rounding makes the zero of a singular matrix a small number of either sign. */
        if (pq <= 1e-15 * s->size_a * pp) {
            return ENDED_NOT_SPD;
        }
        double alpha = rr / pq;
        double rr_new = 0.0;
#pragma omp parallel for schedule(static) reduction(+ : rr_new)
        for (int64_t i = 0; i < n; i++) {
            x[i] += alpha * p[i];
            r[i] -= alpha * q[i];
            rr_new += r[i] * r[i];
        }
        double beta = rr_new / rr;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n; i++) {
            p[i] = r[i] + beta * p[i];
        }
        rr = rr_new;
        s->result->iterations++;
    }
    return ended;
}

static enum ended bicgstab(struct solve *s, double *work)
{
    const struct csr *a = s->a;
    int64_t n = a->n;
    double *x = s->x;
    double *r = work;
    double *shadow = work + n;
    double *p = work + 2 * n;
    double *v = work + 3 * n;
    double *t = work + 4 * n;
    double rr = residual(a, s->b, x, r);
    double rho = rr;
    double pv;
    double pp;
    double vv;
    double st;
    double ss;
    double tt;
    enum ended ended;

    copy(shadow, r, n);
    copy(p, r, n);
    while (!at_end(s, rr, &ended)) {
        multiply(a, p, v, &pv, &pp, &vv);
        double sv = dot(shadow, v, n);
        if (!isfinite(sv) || !isfinite(vv)) {
            return ENDED_INFINITE;
        }
        if (sv == 0.0) {
            return ENDED_BROKEN;
        }
        double alpha = rho / sv;
        /* r becomes the intermediate residual s of the textbook. */
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n; i++) {
            x[i] += alpha * p[i];
            r[i] -= alpha * v[i];
        }
        multiply(a, r, t, &st, &ss, &tt);
        s->result->iterations++;
        /* An exact hit after half a step: omega would be 0 / 0. */
        if (sqrt(ss) <= s->options->tolerance * s->norm_b) {
            rr = ss;
            continue;
        }
        double omega = st / tt;
        if (!isfinite(omega)) {
            return tt == 0.0 ? ENDED_BROKEN : ENDED_INFINITE;
        }
        double rr_new = 0.0;
        double rho_new = 0.0;
#pragma omp parallel for schedule(static) reduction(+ : rr_new, rho_new)
        for (int64_t i = 0; i < n; i++) {
            x[i] += omega * r[i];
            r[i] -= omega * t[i];
            rr_new += r[i] * r[i];
            rho_new += r[i] * shadow[i];
        }
        rr = rr_new;
        /* Both are breakdowns that a start from the present x with a new shadow gets over. */
        if (omega == 0.0 || fabs(rho_new) < 1e-14 * sqrt(rr_new) * sqrt(dot(shadow, shadow, n))) {
            rr = residual(a, s->b, x, r);
            if (omega == 0.0 && rr >= s->best * s->best * s->norm_b * s->norm_b) {
                return ENDED_BROKEN;
            }
            rho = rr;
            copy(shadow, r, n);
            copy(p, r, n);
            continue;
        }
        double beta = rho_new / rho * (alpha / omega);
        rho = rho_new;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n; i++) {
            p[i] = r[i] + beta * (p[i] - omega * v[i]);
        }
    }
    return ended;
}

static void say(struct solver_result *result, enum solver_outcome outcome, const char *reason)
{
    result->outcome = outcome;
    snprintf(result->reason, sizeof result->reason, "%s", reason);
}

static void judge(struct solve *s, enum ended ended)
{
    struct solver_result *result = s->result;

    switch (ended) {
    case ENDED_SMALL:
        say(result, SOLVER_BREAKDOWN,
            "rounding keeps the true residual above the tolerance: the matrix is too "
            "ill-conditioned for it");
        break;
    case ENDED_SPENT:
        say(result, SOLVER_MAX_ITERATIONS, "not converged within the allowed iterations");
        break;
    case ENDED_STOPPED:
        say(result, SOLVER_STOPPED, "stopped before it converged");
        break;
    case ENDED_NOT_SPD:
    case ENDED_STUCK:
    case ENDED_BROKEN:
        say(result, SOLVER_BREAKDOWN,
            "the residual stopped falling: the matrix is singular or too ill-conditioned");
        break;
    case ENDED_INFINITE:
        say(result, SOLVER_NOT_FINITE, "the iteration ran into numbers that are not finite");
        break;
    }
}

/* Runs one method, and again from where it ended while the recurrence believes in a residual that
 * the true one does not confirm. */
static enum ended run_method(struct solve *s, enum ended (*method)(struct solve *, double *),
                             double *work)
{
    enum ended ended;
    double previous = INFINITY;

    s->best = INFINITY;
    s->best_at = s->result->iterations;
    for (;;) {
        ended = method(s, work);
        s->result->residual = sqrt(residual(s->a, s->b, s->x, work)) / s->norm_b;
        if (ended != ENDED_SMALL && ended != ENDED_BROKEN) {
            return ended;
        }
        /* The difference to the recurrence is rounding; hair-splitting helps nobody. */
        if (s->result->residual <= 1.01 * s->options->tolerance) {
            s->result->outcome = SOLVER_CONVERGED;
            return ENDED_SMALL;
        }
        if (!(s->result->residual < 0.5 * previous)) {
            return ended;
        }
        previous = s->result->residual;
    }
}

enum solver_outcome solver_run(const struct csr *a, const double *b, double *x,
                               const struct solver_options *options, struct solver_result *result)
{
    struct solve s = {.a = a, .b = b, .x = x, .options = options, .result = result};
    int64_t n = a->n;
    enum ended ended = ENDED_NOT_SPD;

    *result = (struct solver_result){.method = "none", .outcome = SOLVER_BREAKDOWN};
    result->threads = count_threads();
    fill(x, n, 0.0);
    s.norm_b = sqrt(dot(b, b, n));
    s.size_a = largest_row_sum(a);
    if (!isfinite(s.norm_b) || !isfinite(s.size_a)) {
        result->residual = 1.0;
        say(result, SOLVER_NOT_FINITE, "the matrix or the right-hand side is too large to compute");
        return result->outcome;
    }
    if (s.norm_b == 0.0) {
        result->outcome = SOLVER_CONVERGED;
        return result->outcome;
    }
    result->residual = 1.0;
    int64_t empty = csr_empty_row(a);
    if (empty >= 0) {
        say(result, SOLVER_SINGULAR, "");
        snprintf(result->reason, sizeof result->reason, "row %lld is empty: the matrix is singular",
                 (long long)empty + 1);
        return result->outcome;
    }
    double *work = malloc((size_t)n * 5 * sizeof *work);
    if (work == NULL) {
        say(result, SOLVER_NO_MEMORY, "no memory for the vectors");
        return result->outcome;
    }
    s.history_step = 1;
    /* The residual of CG may rise until the information has crossed the domain, so the patience
     * grows with the side of a square of n points. */
    s.patience = 1000 + 10 * (int64_t)sqrt((double)n);

    bool symmetric = a->symmetric || csr_is_symmetric(a);
    if (symmetric) {
        result->method = "cg";
        ended = run_method(&s, conjugate_gradients, work);
    }
    if (ended == ENDED_NOT_SPD) {
        result->method = symmetric ? "cg, then bicgstab" : "bicgstab";
        fill(x, n, 0.0);
        ended = run_method(&s, bicgstab, work);
    }
    free(work);
    if (result->outcome != SOLVER_CONVERGED || ended != ENDED_SMALL) {
        judge(&s, ended);
    }
    return result->outcome;
}
