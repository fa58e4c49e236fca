/* SPDX-License-Identifier: MIT */
/* Gauss-Seidel sweeps for the heat in a plate with one hot edge: a task per block and sweep, which
 * depends on its neighbours' tasks of this sweep before it and of the last sweep after it. So a
 * wave front passes over the plate, with the next behind it.
 *
 * The function of a block is not inlined: then one code computes both by tasks and in sequence, and
 * the plates are equal to the bit. Any thread may enter it, several at once. */
#include "kernels.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plate {
    int n;        /* points a side, within the edges */
    int side;     /* of a block */
    double *cell; /* (n + 2)^2 */
};

struct problem {
    int n, side, sweeps;
};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){512, 64, 10};
        return 0;
    case 'W':
        *problem = (struct problem){1024, 128, 80};
        return 0;
    default:
        return -EINVAL;
    }
}

static int plate_init(struct plate *plate, const struct problem *problem)
{
    size_t side = (size_t)problem->n + 2;
    *plate = (struct plate){problem->n, problem->side, malloc(side * side * sizeof(double))};
    for (size_t i = 0; plate->cell && i < side * side; i++) {
        plate->cell[i] = i < side ? 100 : 0;
    }
    return plate->cell ? 0 : -ENOMEM;
}

static __attribute__((noinline)) void sweep_block(const struct plate *plate, int row, int column)
{
    size_t stride = (size_t)plate->n + 2, side = (size_t)plate->side;
    size_t corner = ((size_t)row * side + 1) * stride + (size_t)column * side + 1;
    for (size_t i = 0; i < side; i++) {
        double *here = plate->cell + corner + i * stride;
        const double *above = here - stride, *below = here + stride;
        for (int j = 0; j < plate->side; j++) {
            here[j] = 0.25 * (above[j] + below[j] + here[j - 1] + here[j + 1]);
        }
    }
}

static void sweep_alone(const struct plate *plate, int sweeps)
{
    int blocks = plate->n / plate->side;
    for (int sweep = 0; sweep < sweeps; sweep++) {
        for (int row = 0; row < blocks; row++) {
            for (int column = 0; column < blocks; column++) {
                sweep_block(plate, row, column);
            }
        }
    }
}

/* A block stands for itself by a byte in done; those beyond the edges are nobody's. */
static void sweep_tasks(const struct plate *plate, int sweeps, char *done)
{
    int blocks = plate->n / plate->side, stride = blocks + 2;
    /* Only its addresses are used, and in a clause, which gcc takes for no use. */
    (void)done;
    for (int sweep = 0; sweep < sweeps; sweep++) {
        for (int row = 0; row < blocks; row++) {
            for (int column = 0; column < blocks; column++) {
                int here = (row + 1) * stride + column + 1;
#pragma omp task depend(in : done[here - stride], done[here + stride], done[here - 1],             \
                            done[here + 1]) depend(inout : done[here])                             \
    firstprivate(plate, row, column)
                sweep_block(plate, row, column);
            }
        }
    }
#pragma omp taskwait
}

int stencil_tasks(char size, struct kernel_result *result)
{
    struct problem problem;
    struct plate plate, plain;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    err = plate_init(&plate, &problem);
    if (err) {
        return err;
    }
    err = plate_init(&plain, &problem);
    if (err) {
        goto fini_plate;
    }
    size_t blocks = (size_t)(problem.n / problem.side) + 2;
    size_t bytes = ((size_t)problem.n + 2) * ((size_t)problem.n + 2) * sizeof *plate.cell;
    char *done = calloc(blocks, blocks);
    if (!done) {
        err = -ENOMEM;
        goto fini_plain;
    }
    double start = kernel_clock();
    sweep_tasks(&plate, problem.sweeps, done);
    double seconds = kernel_clock() - start;
    sweep_alone(&plain, problem.sweeps);
    double middle = plate.cell[(problem.n + 2) + problem.n / 2];
    *result = (struct kernel_result){.verified = memcmp(plate.cell, plain.cell, bytes) == 0,
                                     .value = {middle},
                                     .count = problem.n,
                                     .seconds = seconds,
                                     .threads = omp_get_num_threads()};
    snprintf(result->text, sizeof result->text, "%d sweeps, %.6f below the hot edge",
             problem.sweeps, middle);
    free(done);
fini_plain:
    free(plain.cell);
fini_plate:
    free(plate.cell);
    return err;
}

int stencil_region(char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = stencil_tasks(size, result);
    return err;
}
