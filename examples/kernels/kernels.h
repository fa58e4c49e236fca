/* SPDX-License-Identifier: MIT */
/* What the OpenMP kernels of this folder have in common: their table, their result, and what every
 * one of them keeps to, so that it can be put into any program that uses OpenMP.
 *
 * A kernel has two forms of the same computation. X_region() brings a parallel region, or several,
 * of its own. X_tasks() has none: it creates tasks and waits for them, and is called by one thread
 * of a team whose others help; it may itself be a task. Where there is one thread, be it outside of
 * any region, in a region of one, or because nesting is off, both forms are right too.
 *
 * Both may be called from any thread and any number of times at once: they keep nothing between
 * calls and share nothing; what they allocate is freed when they return. They know nothing but
 * OpenMP. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>
#include <stddef.h>

struct kernel_result {
    bool verified;   /* the answer is the one that is known, or that of the plain sequential form */
    double value[4]; /* the answer; text says of what */
    int count;       /* an answer that is a whole number, or the size of the problem */
    double seconds;  /* of the computation, without its set-up and verification */
    int threads;     /* of the team that computed */
    char text[128];
};

/* Runs the problem of a size, 'S' or 'W', and writes the result. Blocks until it is done. Returns
 * 0, -EINVAL for another size, -ENOMEM; an answer that is wrong is no error but is not verified. */
typedef int kernel_fn(char size, struct kernel_result *result);

struct kernel {
    const char *name;
    const char *sizes;
    kernel_fn *region, *tasks;
    const char *what;
};

/* Ended by one without a name. */
extern const struct kernel kernels[];

/* NULL if there is none. */
const struct kernel *kernel_find(const char *name);

/* Seconds of a clock that only goes on. */
double kernel_clock(void);

/* Whether value is reference but for a relative error. */
bool kernel_close(double value, double reference, double error);

kernel_fn ep_region, ep_tasks;
kernel_fn cg_region, cg_tasks;
kernel_fn mg_region, mg_tasks;
kernel_fn fib_region, fib_tasks;
kernel_fn nqueens_region, nqueens_tasks;
kernel_fn sort_region, sort_tasks;
kernel_fn strassen_region, strassen_tasks;
kernel_fn sparselu_region, sparselu_tasks;
kernel_fn stencil_region, stencil_tasks;

#endif
