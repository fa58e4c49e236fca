/* SPDX-License-Identifier: MIT */
/* The stages of a question. What can be told to be small, from a few lines of the file, is one job:
 * read, solve, answer. A large file, or one that begins with a long comment, is read by a SERIAL
 * job that comes back through `done`, which submits the solve; where that is large it is a GANG, so
 * that the solver's parallel regions get the whole team. Solving goes through one site, so loomp
 * learns what it costs and a tiny system may be solved on the loop itself; reading alone does not.
 * The answer is written where the system is solved, and large arrays are freed there: the loop only
 * moves pointers. */
#include "solve.h"

#include "json.h"
#include "matrix_market.h"
#include "poisson.h"
#include "solver.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Times are doubles of nanoseconds: exact to a microsecond for a hundred years. */
static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

loomp_site solve_site = LOOMP_SITE("solve", LOOMP_HINT_UNKNOWN);

void solve_init(struct solve *solve, const struct solve_limits *limits)
{
    memset(solve, 0, sizeof *solve);
    solve->limits = limits;
    solve->tolerance = 1e-6;
    solve->max_iterations = 20000;
    solve->repetitions = 1;
}

void solve_fini(struct solve *solve)
{
    free(solve->body);
    free(solve->rhs);
    free(solve->json);
    csr_fini(&solve->a);
}

void solve_refuse(struct solve *solve, int status, long line, const char *text)
{
    struct json j;

    free(solve->json);
    json_init(&j);
    json_open(&j, NULL, '{');
    json_text(&j, "error", text);
    if (line > 0) {
        json_int(&j, "line", line);
    }
    json_close(&j, '}');
    solve->json = json_finish(&j, &solve->json_bytes);
    solve->status = status;
    solve->failed = true;
}

/* --- the right-hand side --------------------------------------------------------------------- */

static bool parse_list(const char *text, double *b, int64_t n)
{
    char *end;

    for (int64_t i = 0; i < n; i++) {
        b[i] = strtod(text, &end);
        if (end == text || !isfinite(b[i]) || *end != (i + 1 < n ? ',' : '\0')) {
            return false;
        }
        text = end + 1;
    }
    return true;
}

/* False: refused. */
static bool make_rhs(struct solve *solve, double *b)
{
    const struct csr *a = &solve->a;
    char text[96];

    if (solve->rhs == NULL || strcmp(solve->rhs, "ones") == 0) {
        for (int64_t i = 0; i < a->n; i++) {
            b[i] = 1.0;
        }
    } else if (strcmp(solve->rhs, "sin") == 0) {
        for (int64_t i = 0; i < a->n; i++) {
            b[i] = sin((double)(i + 1));
        }
    } else if (strcmp(solve->rhs, "rowsums") == 0) {
        for (int64_t i = 0; i < a->n; i++) {
            b[i] = 0.0;
            for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
                b[i] += a->value[k];
            }
        }
    } else if (!parse_list(solve->rhs, b, a->n)) {
        snprintf(text, sizeof text,
                 "rhs is none of ones, sin, rowsums and a list of %lld numbers with commas",
                 (long long)a->n);
        solve_refuse(solve, 400, 0, text);
        return false;
    }
    return true;
}

/* --- solving and answering ------------------------------------------------------------------- */

static int should_stop(void *arg)
{
    struct solve *solve = arg;

    return loomp_cancelled() || now_ns() > solve->give_up_ns;
}

static int status_of(enum solver_outcome outcome)
{
    switch (outcome) {
    case SOLVER_CONVERGED:
    case SOLVER_MAX_ITERATIONS:
    case SOLVER_STOPPED:
        return 200;
    case SOLVER_NO_MEMORY:
        return 503;
    default:
        return 422; /* well-formed, but without an answer */
    }
}

static void answer(struct solve *solve, const struct solver_result *r, int64_t repetitions,
                   const double *x)
{
    struct json j;
    const char *kind = solve->on_loop                  ? "INLINE"
                       : solve->job.kind == LOOMP_GANG ? "GANG"
                                                       : "SERIAL";

    solve->running_ns += now_ns() - solve->started_ns;
    solve->status = status_of(r->outcome);
    json_init(&j);
    json_open(&j, NULL, '{');
    if (solve->status != 200) {
        json_text(&j, "error", r->reason);
    }
    json_int(&j, "n", solve->a.n);
    json_int(&j, "nnz", solve->a.entries);
    json_text(&j, "method", r->method);
    json_int(&j, "iterations", r->iterations);
    json_double(&j, "residual", 4, r->residual);
    json_double(&j, "tolerance", 4, solve->tolerance);
    json_bool(&j, "converged", r->outcome == SOLVER_CONVERGED);
    json_text(&j, "reason", r->reason);
    json_int(&j, "repetitions", repetitions);
    json_double(&j, "queued_ms", 6, solve->queued_ns / 1e6);
    json_double(&j, "running_ms", 6, solve->running_ns / 1e6);
    json_text(&j, "kind", kind);
    json_bool(&j, "offloaded", !solve->on_loop);
    json_int(&j, "threads", r->threads);
    json_text(&j, "loop_thread", solve->loop_thread);
    json_text(&j, "team_thread", solve->team_thread);
    json_open(&j, "history", '[');
    for (int k = 0; k < r->points; k++) {
        json_open(&j, NULL, '[');
        json_int(&j, NULL, r->history[k].iteration);
        json_double(&j, NULL, 4, r->history[k].residual);
        json_close(&j, ']');
    }
    json_close(&j, ']');
    if (solve->want_x) {
        json_open(&j, "x", '[');
        for (int64_t i = 0; i < solve->a.n; i++) {
            json_double(&j, NULL, 17, x[i]);
        }
        json_close(&j, ']');
    }
    json_close(&j, '}');
    solve->json = json_finish(&j, &solve->json_bytes);
}

/* Returns how many repetitions came to their end. A system without an answer has none the next time
 * either. */
static int64_t repeat(struct solve *solve, const double *b, double *x,
                      const struct solver_options *options, struct solver_result *result)
{
    int64_t count = 0;

    do {
        solver_run(&solve->a, b, x, options, result);
        if (result->outcome != SOLVER_CONVERGED && result->outcome != SOLVER_MAX_ITERATIONS) {
            break;
        }
        count++;
        /* Asked here too: a solver that finds its answer at once does not ask. */
    } while (count < solve->repetitions && !should_stop(solve));
    if (solve->repetitions > 1 && count < solve->repetitions && status_of(result->outcome) == 200) {
        result->outcome = SOLVER_STOPPED;
        snprintf(result->reason, sizeof result->reason, "stopped after %lld of %lld repetitions",
                 (long long)count, (long long)solve->repetitions);
    }
    return count;
}

static void solve_system(struct solve *solve)
{
    size_t bytes = (size_t)solve->a.n * sizeof(double);
    double *b = malloc(bytes);
    double *x = malloc(bytes);
    struct solver_result *result = malloc(sizeof *result);

    if (b == NULL || x == NULL || result == NULL) {
        solve_refuse(solve, 503, 0, "no memory for the vectors");
    } else if (make_rhs(solve, b)) {
        struct solver_options options = {
            .tolerance = solve->tolerance,
            .max_iterations = solve->max_iterations,
            .stop = should_stop,
            .stop_arg = solve,
        };
        solve->give_up_ns = now_ns() + solve->limits->max_seconds * 1e9;
        int64_t count = repeat(solve, b, x, &options, result);
        answer(solve, result, count, x);
    }
    free(result);
    free(x);
    free(b);
    csr_fini(&solve->a);
}

/* --- getting the matrix ---------------------------------------------------------------------- */

static void read_matrix(struct solve *solve)
{
    struct matrix_market_limits limits = {
        .max_rows = solve->limits->max_rows,
        .max_entries = solve->limits->max_entries,
    };
    struct matrix_market_error error;
    int err = matrix_market_parse(&solve->a, solve->body, solve->body_bytes, &limits, &error);

    free(solve->body);
    solve->body = NULL;
    if (err < 0) {
        solve_refuse(solve,
                     err == -ENOMEM  ? 503
                     : err == -E2BIG ? 413
                                     : 400,
                     error.line, error.text);
    }
}

static void generate_matrix(struct solve *solve)
{
    if (poisson_build(&solve->a, solve->poisson) < 0) {
        solve_refuse(solve, 503, 0, "no memory for the matrix");
    }
}

static bool is_large(const struct solve *solve, int64_t entries)
{
    return entries >= solve->limits->gang_entries;
}

/* --- how much work it is --------------------------------------------------------------------- */

/* The unit of a size is one entry of the matrix in one multiplication, a nanosecond or two. What
 * else takes time, in that unit: with it the cost is nearly proportional to the size, as the page
 * shows, from the smallest system on. */
#define SIZE_OF_READING 60.0
#define SIZE_OF_ANSWER 20000.0
#define SIZE_OF_PRINTING 200.0 /* a number of the solution */

/* Multiplications by the matrix until the residual has fallen by `tolerance`. CG needs no more than
 * ln(2 / tolerance) sqrt(condition) / 2 (Saad, Iterative Methods for Sparse Linear Systems, 6.11),
 * and a five-point grid of n points has the condition 4 (sqrt(n) + 1)^2 / pi^2. Other matrices are
 * taken for such grids: that is wrong for each of them by a factor, and loomp learns the factor, as
 * long as it does not depend on n. BiCGSTAB has no such bound; it multiplies twice in an iteration,
 * and is taken to need as many. */
static double expected_products(const struct solve *solve, double n, bool symmetric)
{
    double iterations = log(2.0 / solve->tolerance) * (sqrt(n) + 1.0) / 3.14159265358979;

    iterations = fmin(iterations, fmin(n, (double)solve->max_iterations));
    return (symmetric ? 1.0 : 2.0) * iterations * (double)solve->repetitions;
}

static void set_size(struct solve *solve, int64_t n, int64_t entries, bool symmetric)
{
    double per_entry = expected_products(solve, (double)n, symmetric);

    if (solve->body != NULL) {
        per_entry += SIZE_OF_READING;
    }
    double size = (double)entries * per_entry + SIZE_OF_ANSWER;
    if (solve->want_x) {
        size += (double)n * SIZE_OF_PRINTING;
    }
    solve->size = (uint64_t)fmin(size, 1e18);
}

/* On the loop, a system gets as many threads as it would get as a job, so that a comparison shows
 * where the work runs and nothing else. */
static void set_inline_width(struct solve *solve, int64_t entries)
{
    loomp_pool *pool = loomp_pool_named(loomp_current(), "compute");

    omp_set_num_threads(is_large(solve, entries) ? loomp_pool_threads(pool) : 1);
}

/* --- the jobs -------------------------------------------------------------------------------- */

static void run_stage(struct solve *solve)
{
    solve->started_ns = now_ns();
    solve->queued_ns += solve->started_ns - solve->submitted_ns;
    pthread_getname_np(pthread_self(), solve->team_thread, sizeof solve->team_thread);
    solve->on_loop = pthread_equal(pthread_self(), solve->loop_pthread);
    if (solve->a.start == NULL) {
        if (solve->body != NULL) {
            read_matrix(solve);
        } else {
            if (solve->bare) {
                set_inline_width(solve, poisson_entries(solve->poisson));
            }
            generate_matrix(solve);
        }
        if (solve->failed) {
            return;
        }
        if (solve->read_only) {
            solve->resubmit = true;
            solve->running_ns += now_ns() - solve->started_ns;
            return;
        }
    }
    if (solve->bare) {
        set_inline_width(solve, solve->a.entries);
    }
    solve_system(solve);
}

static int work(loomp_job *job)
{
    run_stage(LOOMP_CONTAINER(job, struct solve, job));
    return 0;
}

static int submit(loomp_runtime *runtime, struct solve *solve)
{
    solve->submitted_ns = now_ns();
    if (solve->read_only || solve->offload) {
        solve->job.site = NULL;
        return loomp_submit(runtime, &solve->job);
    }
    return loomp_submit_adaptive(runtime, &solve->job, &solve_site, solve->size);
}

static void refuse_submission(struct solve *solve, int err)
{
    solve_refuse(solve, 503, 0,
                 err == -ESHUTDOWN ? "the server is shutting down" : loomp_strerror(err));
}

static void done(loomp_job *job, int status)
{
    struct solve *solve = LOOMP_CONTAINER(job, struct solve, job);

    if (status == 0 && solve->resubmit && !solve->cancelled) {
        solve->resubmit = false;
        solve->read_only = false;
        if (is_large(solve, solve->a.entries)) {
            solve->job.kind = LOOMP_GANG;
        }
        set_size(solve, solve->a.n, solve->a.entries, solve->a.symmetric);
        int err = submit(loomp_current(), solve);
        if (err == 0) {
            return;
        }
        refuse_submission(solve, err);
    } else if (status < 0 || solve->cancelled) {
        solve_refuse(solve, 503, 0, "the solve was cancelled");
    }
    solve->finished(solve);
    /* The solve may be gone from here on. */
}

static void begin(struct solve *solve)
{
    struct matrix_market_outline outline;

    pthread_getname_np(pthread_self(), solve->loop_thread, sizeof solve->loop_thread);
    solve->loop_pthread = pthread_self();
    loomp_job_init(&solve->job, work, done);
    if (solve->body == NULL) {
        /* Its size is known, so a large one is built by the gang that solves it and its pages are
         * first touched by the threads that use them. */
        int64_t entries = poisson_entries(solve->poisson);
        if (is_large(solve, entries)) {
            solve->job.kind = LOOMP_GANG;
        }
        set_size(solve, solve->poisson * solve->poisson, entries, true);
    } else if (matrix_market_outline(&outline, solve->body, solve->body_bytes) == 0 &&
               !is_large(solve, outline.entries)) {
        set_size(solve, outline.n, outline.entries, outline.symmetric);
    } else {
        solve->read_only = true;
    }
}

int solve_start(loomp_runtime *runtime, struct solve *solve)
{
    begin(solve);
    return submit(runtime, solve);
}

void solve_cancel(struct solve *solve)
{
    solve->cancelled = true;
    loomp_cancel(&solve->job);
}

void solve_inline(struct solve *solve)
{
    cpu_set_t pinned;
    cpu_set_t allowed;
    bool have_masks = sched_getaffinity(0, sizeof pinned, &pinned) == 0 &&
                      sched_getaffinity(getpid(), sizeof allowed, &allowed) == 0;

    begin(solve);
    solve->submitted_ns = now_ns();
    solve->bare = true;
    solve->read_only = false;
    solve->job.kind = LOOMP_GANG; /* one stage: there is no second queue to wait in */
    /* A server that solves on its loop would not have pinned that thread to the CPU for I/O, so for
     * the comparison it may run where main() may. Afterwards it is put back, also in case the
     * OpenMP runtime has bound it to a place of its choice. */
    if (have_masks) {
        sched_setaffinity(0, sizeof allowed, &allowed);
    }
    run_stage(solve);
    if (have_masks) {
        sched_setaffinity(0, sizeof pinned, &pinned);
    }
}
