/* SPDX-License-Identifier: MIT */
/* CG of the NAS parallel benchmarks: the smallest eigenvalue of a sparse random matrix by inverse
 * iteration, each of its solves being 25 steps of conjugate gradients. Short loops with a reduction
 * after each: a region per solve with loops in it, or a taskloop for each loop, whose partial sums
 * are kept by blocks of rows and added in their order.
 *
 * Any thread may enter it, several at once. */
#include "kernels.h"
#include "npb_random.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUTER = 15,    /* inverse iterations */
    INNER = 25,    /* steps of a solve */
    BLOCKS = 64,   /* of rows */
    WIDEST = 8 + 1 /* entries of a random vector */
};

#define CONDITION 0.1 /* of the matrix, its reciprocal */

struct problem {
    int rows;
    int entries; /* of each random vector */
    double shift;
    double zeta; /* known */
};

struct matrix {
    int rows;
    int *start; /* rows + 1 */
    int *column;
    double *value;
};

/* One solve of A z = x. */
struct solve {
    struct matrix a;
    double *x, *z, *p, *q, *r;
    double part[BLOCKS][3];
};

/* A random sparse vector: distinct indices, values in (0, 1). */
struct sparse {
    int length;
    int index[WIDEST];
    double value[WIDEST];
};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){1400, 7, 10, 8.5971775078648};
        return 0;
    case 'W':
        *problem = (struct problem){7000, 8, 12, 10.362595087124};
        return 0;
    default:
        return -EINVAL;
    }
}

static int find(const struct sparse *vector, int index)
{
    int at = 0;
    while (at < vector->length && vector->index[at] != index) {
        at++;
    }
    return at;
}

/* The vector of a row: the row's own index is in it, with the value 0.5. */
static void draw_vector(int rows, int entries, int row, uint64_t *state, struct sparse *vector)
{
    int range = 1;
    while (range < rows) {
        range *= 2;
    }
    vector->length = 0;
    while (vector->length < entries) {
        double value = npb_random(state, NPB_RANDOM_A);
        int index = (int)(range * npb_random(state, NPB_RANDOM_A));
        if (index < rows && find(vector, index) == vector->length) {
            vector->index[vector->length] = index;
            vector->value[vector->length++] = value;
        }
    }
    int at = find(vector, row);
    vector->length += at == vector->length;
    vector->index[at] = row;
    vector->value[at] = 0.5;
}

/* Adds to an element of a row that has length of them in the order of their columns, and room. */
static void add_element(int *column, double *value, int *length, int at_column, double addend)
{
    int at = *length;
    while (at > 0 && column[at - 1] > at_column) {
        at--;
    }
    if (at > 0 && column[at - 1] == at_column) {
        value[at - 1] += addend;
        return;
    }
    memmove(column + at + 1, column + at, (size_t)(*length - at) * sizeof *column);
    memmove(value + at + 1, value + at, (size_t)(*length - at) * sizeof *value);
    column[at] = at_column;
    value[at] = addend;
    ++*length;
}

/* Brings the rows, which have gaps after them, together. */
static void close_gaps(struct matrix *a, const int *length)
{
    int end = 0;
    for (int row = 0; row < a->rows; row++) {
        int from = a->start[row];
        memmove(a->column + end, a->column + from, (size_t)length[row] * sizeof *a->column);
        memmove(a->value + end, a->value + from, (size_t)length[row] * sizeof *a->value);
        a->start[row] = end;
        end += length[row];
    }
    a->start[a->rows] = end;
}

/* The sum of the outer products of the vectors, weighted so that the condition is what it should
 * be, with that condition less the shift on the diagonal. */
static int make_matrix(const struct problem *problem, struct matrix *a)
{
    int rows = problem->rows, err = -ENOMEM;
    struct sparse *vector = malloc((size_t)rows * sizeof *vector);
    int *length = calloc((size_t)rows, sizeof *length);
    *a = (struct matrix){.rows = rows, .start = calloc((size_t)rows + 1, sizeof *a->start)};
    if (!vector || !length || !a->start) {
        goto out;
    }
    uint64_t state = npb_random_skip(314159265, 1);
    for (int i = 0; i < rows; i++) {
        draw_vector(rows, problem->entries, i, &state, &vector[i]);
        for (int e = 0; e < vector[i].length; e++) {
            a->start[vector[i].index[e] + 1] += vector[i].length;
        }
    }
    for (int i = 0; i < rows; i++) {
        a->start[i + 1] += a->start[i];
    }
    a->column = malloc((size_t)a->start[rows] * sizeof *a->column);
    a->value = malloc((size_t)a->start[rows] * sizeof *a->value);
    if (!a->column || !a->value) {
        goto out;
    }
    double weight = 1, ratio = pow(CONDITION, 1.0 / rows);
    for (int i = 0; i < rows; i++, weight *= ratio) {
        for (int e = 0; e < vector[i].length; e++) {
            int row = vector[i].index[e], start = a->start[row];
            double scale = weight * vector[i].value[e];
            for (int f = 0; f < vector[i].length; f++) {
                int column = vector[i].index[f];
                double addend = scale * vector[i].value[f];
                if (row == i && column == i) {
                    addend += CONDITION - problem->shift;
                }
                add_element(a->column + start, a->value + start, &length[row], column, addend);
            }
        }
    }
    close_gaps(a, length);
    err = 0;
out:
    free(vector);
    free(length);
    return err;
}

static void solve_fini(struct solve *solve)
{
    free(solve->a.start);
    free(solve->a.column);
    free(solve->a.value);
    free(solve->x);
}

static int solve_init(struct solve *solve, const struct problem *problem)
{
    size_t rows = (size_t)problem->rows;
    *solve = (struct solve){0};
    int err = make_matrix(problem, &solve->a);
    double *vectors = calloc(5 * rows, sizeof *vectors);
    if (err || !vectors) {
        free(vectors);
        solve_fini(solve);
        return -ENOMEM;
    }
    solve->x = vectors;
    solve->z = vectors + rows;
    solve->p = vectors + 2 * rows;
    solve->q = vectors + 3 * rows;
    solve->r = vectors + 4 * rows;
    for (size_t i = 0; i < rows; i++) {
        solve->x[i] = 1;
    }
    return 0;
}

/* The first row of a block; that of the block after the last is the number of rows. */
static int first_row(const struct solve *solve, int block)
{
    return (int)((long)solve->a.rows * block / BLOCKS);
}

static double row_product(const struct matrix *a, int row, const double *vector)
{
    double sum = 0;
    for (int e = a->start[row]; e < a->start[row + 1]; e++) {
        sum += a->value[e] * vector[a->column[e]];
    }
    return sum;
}

/* The functions of a block of rows. */

static double begin(struct solve *solve, int block)
{
    double sum = 0;
    for (int i = first_row(solve, block); i < first_row(solve, block + 1); i++) {
        solve->z[i] = 0;
        solve->r[i] = solve->p[i] = solve->x[i];
        sum += solve->r[i] * solve->r[i];
    }
    return sum;
}

static double multiply(struct solve *solve, int block)
{
    double sum = 0;
    for (int i = first_row(solve, block); i < first_row(solve, block + 1); i++) {
        solve->q[i] = row_product(&solve->a, i, solve->p);
        sum += solve->p[i] * solve->q[i];
    }
    return sum;
}

static double advance(struct solve *solve, int block, double alpha)
{
    double sum = 0;
    for (int i = first_row(solve, block); i < first_row(solve, block + 1); i++) {
        solve->z[i] += alpha * solve->p[i];
        solve->r[i] -= alpha * solve->q[i];
        sum += solve->r[i] * solve->r[i];
    }
    return sum;
}

static void turn(struct solve *solve, int block, double beta)
{
    for (int i = first_row(solve, block); i < first_row(solve, block + 1); i++) {
        solve->p[i] = solve->r[i] + beta * solve->p[i];
    }
}

/* x.z, z.z and the square of the residual x - A z */
static void conclude(const struct solve *solve, int block, double sums[3])
{
    sums[0] = sums[1] = sums[2] = 0;
    for (int i = first_row(solve, block); i < first_row(solve, block + 1); i++) {
        double rest = solve->x[i] - row_product(&solve->a, i, solve->z);
        sums[0] += solve->x[i] * solve->z[i];
        sums[1] += solve->z[i] * solve->z[i];
        sums[2] += rest * rest;
    }
}

static void normalise(struct solve *solve, int block, double norm)
{
    for (int i = first_row(solve, block); i < first_row(solve, block + 1); i++) {
        solve->x[i] = solve->z[i] / norm;
    }
}

/* One inverse iteration by a region of its own for the solve, and one for the next x. */
static int iterate_region(struct solve *solve, double sums[3])
{
    double rho = 0, rho_next = 0, curvature = 0, xz = 0, zz = 0, rest = 0;
    int threads = 1;
#pragma omp parallel
    {
#pragma omp for schedule(static) reduction(+ : rho)
        for (int block = 0; block < BLOCKS; block++) {
            rho += begin(solve, block);
        }
        for (int step = 0; step < INNER; step++) {
#pragma omp for schedule(static) reduction(+ : curvature)
            for (int block = 0; block < BLOCKS; block++) {
                curvature += multiply(solve, block);
            }
            double alpha = rho / curvature;
#pragma omp for schedule(static) reduction(+ : rho_next)
            for (int block = 0; block < BLOCKS; block++) {
                rho_next += advance(solve, block, alpha);
            }
            double beta = rho_next / rho;
#pragma omp for schedule(static)
            for (int block = 0; block < BLOCKS; block++) {
                turn(solve, block, beta);
            }
            /* Everybody has read the sums: the loop before ends in a barrier. */
#pragma omp single
            {
                rho = rho_next;
                rho_next = curvature = 0;
            }
        }
#pragma omp for schedule(static) reduction(+ : xz, zz, rest)
        for (int block = 0; block < BLOCKS; block++) {
            double part[3];
            conclude(solve, block, part);
            xz += part[0];
            zz += part[1];
            rest += part[2];
        }
#pragma omp single nowait
        threads = omp_get_num_threads();
    }
    double norm = sqrt(zz);
#pragma omp parallel for schedule(static)
    for (int block = 0; block < BLOCKS; block++) {
        normalise(solve, block, norm);
    }
    sums[0] = xz;
    sums[1] = zz;
    sums[2] = rest;
    return threads;
}

static double sum_of_parts(const struct solve *solve, int which)
{
    double sum = 0;
    for (int block = 0; block < BLOCKS; block++) {
        sum += solve->part[block][which];
    }
    return sum;
}

/* Blocks per task, so that a task of a loop with so much to do in all takes ten microseconds or so,
 * which is worth its creation. */
static int grain(int amount)
{
    int blocks = (int)((long)BLOCKS * 12288 / amount);
    return blocks < 1 ? 1 : blocks < BLOCKS ? blocks : BLOCKS;
}

/* The same by taskloops, each of which waits for its tasks. */
static int iterate_tasks(struct solve *solve, double sums[3])
{
    int product = grain(solve->a.start[solve->a.rows]), vector = grain(3 * solve->a.rows);
#pragma omp taskloop grainsize(vector)
    for (int block = 0; block < BLOCKS; block++) {
        solve->part[block][0] = begin(solve, block);
    }
    double rho = sum_of_parts(solve, 0);
    for (int step = 0; step < INNER; step++) {
#pragma omp taskloop grainsize(product)
        for (int block = 0; block < BLOCKS; block++) {
            solve->part[block][0] = multiply(solve, block);
        }
        double alpha = rho / sum_of_parts(solve, 0);
#pragma omp taskloop grainsize(vector) firstprivate(alpha)
        for (int block = 0; block < BLOCKS; block++) {
            solve->part[block][0] = advance(solve, block, alpha);
        }
        double rho_next = sum_of_parts(solve, 0), beta = rho_next / rho;
        rho = rho_next;
#pragma omp taskloop grainsize(vector) firstprivate(beta)
        for (int block = 0; block < BLOCKS; block++) {
            turn(solve, block, beta);
        }
    }
#pragma omp taskloop grainsize(product)
    for (int block = 0; block < BLOCKS; block++) {
        conclude(solve, block, solve->part[block]);
    }
    for (int which = 0; which < 3; which++) {
        sums[which] = sum_of_parts(solve, which);
    }
    double norm = sqrt(sums[1]);
#pragma omp taskloop grainsize(vector) firstprivate(norm)
    for (int block = 0; block < BLOCKS; block++) {
        normalise(solve, block, norm);
    }
    return omp_get_num_threads();
}

static int run(char size, int (*iterate)(struct solve *solve, double sums[3]),
               struct kernel_result *result)
{
    struct problem problem;
    struct solve solve;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    err = solve_init(&solve, &problem);
    if (err) {
        return err;
    }
    double sums[3] = {0}, start = kernel_clock();
    int threads = 1;
    for (int i = 0; i < OUTER; i++) {
        threads = iterate(&solve, sums);
    }
    double zeta = problem.shift + 1 / sums[0], rest = sqrt(sums[2]);
    *result = (struct kernel_result){.verified = kernel_close(zeta, problem.zeta, 1e-10),
                                     .value = {zeta, rest},
                                     .count = solve.a.start[solve.a.rows],
                                     .seconds = kernel_clock() - start,
                                     .threads = threads};
    snprintf(result->text, sizeof result->text, "zeta %.13f, residual %.1e", zeta, rest);
    solve_fini(&solve);
    return 0;
}

int cg_region(char size, struct kernel_result *result)
{
    return run(size, iterate_region, result);
}

int cg_tasks(char size, struct kernel_result *result)
{
    return run(size, iterate_tasks, result);
}
