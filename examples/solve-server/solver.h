/* SPDX-License-Identifier: MIT */
/* Iterative solvers for sparse linear systems: conjugate gradients for symmetric positive definite
 * matrices, BiCGSTAB for others. */
#ifndef SOLVER_H
#define SOLVER_H

#include "csr.h"

#include <stdint.h>

struct solver_options {
    double tolerance;       /* of the residual, relative to the right-hand side */
    int64_t max_iterations; /* of both methods together */
    int (*stop)(void *arg); /* asked once per iteration, on the calling thread; may be NULL */
    void *stop_arg;
};

enum solver_outcome {
    SOLVER_CONVERGED,
    SOLVER_MAX_ITERATIONS,
    SOLVER_STOPPED,    /* `stop` said so */
    SOLVER_SINGULAR,   /* a row is empty */
    SOLVER_BREAKDOWN,  /* no progress: singular, or beyond these methods */
    SOLVER_NOT_FINITE, /* overflow or NaN on the way */
    SOLVER_NO_MEMORY,
};

#define SOLVER_HISTORY 256

struct solver_point {
    int64_t iteration;
    double residual; /* relative, as the recurrence has it */
};

struct solver_result {
    enum solver_outcome outcome;
    const char *method; /* "cg", "bicgstab", "cg, then bicgstab" */
    int64_t iterations;
    double residual;  /* |b - A x| / |b|, computed anew from the final x */
    int threads;      /* of the parallel regions */
    char reason[160]; /* one sentence where it did not converge, else "" */
    int points;
    struct solver_point history[SOLVER_HISTORY];
};

/* Solves A x = b, starting from x = 0; x and b have a->n elements. Calls parallel regions. The
 * result is always filled in, and x holds the last iterate. Returns result->outcome. */
enum solver_outcome solver_run(const struct csr *a, const double *b, double *x,
                               const struct solver_options *options, struct solver_result *result);

#endif
