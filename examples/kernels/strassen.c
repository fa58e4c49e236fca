/* SPDX-License-Identifier: MIT */
/* The product of two square matrices by Strassen's seven products of halves, each a task that does
 * the same with its own. The elements are small whole numbers, so that no order of the sums rounds
 * anything, and the product is that of the plain form to the bit. Any thread may enter it, several
 * at once. */
#include "kernels.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAF = 64 };

/* A square part of a matrix, whose rows are stride apart. */
struct part {
    double *cell;
    size_t stride;
};

static int order_of(char size, size_t *n)
{
    switch (size) {
    case 'S':
        *n = 256;
        return 0;
    case 'W':
        *n = 1024;
        return 0;
    default:
        return -EINVAL;
    }
}

static struct part quarter(struct part whole, size_t half, int down, int right)
{
    double *cell = whole.cell + (down ? half * whole.stride : 0) + (right ? half : 0);
    return (struct part){cell, whole.stride};
}

/* c = a b, or rows of it. */
static void multiply_plain(size_t rows, size_t n, struct part a, struct part b, struct part c)
{
    for (size_t i = 0; i < rows; i++) {
        double *restrict row = c.cell + i * c.stride;
        memset(row, 0, n * sizeof *row);
        for (size_t k = 0; k < n; k++) {
            double factor = a.cell[i * a.stride + k];
            const double *from = b.cell + k * b.stride;
            for (size_t j = 0; j < n; j++) {
                row[j] += factor * from[j];
            }
        }
    }
}

/* c = a + sign b */
static void add(size_t n, struct part a, double sign, struct part b, struct part c)
{
    for (size_t i = 0; i < n; i++) {
        const double *first = a.cell + i * a.stride, *second = b.cell + i * b.stride;
        double *to = c.cell + i * c.stride;
        for (size_t j = 0; j < n; j++) {
            to[j] = first[j] + sign * second[j];
        }
    }
}

static int strassen(size_t n, struct part a, struct part b, struct part c);

/* product = (a0 + a_sign a1) (b0 + b_sign b1), where a sign of 0 leaves a summand away. room has
 * places for the two sums. */
static int multiply_sums(size_t n, const struct part a[2], double a_sign, const struct part b[2],
                         double b_sign, struct part product, double *room)
{
    struct part left = a[0], right = b[0];
    if (a_sign != 0) {
        left = (struct part){room, n};
        add(n, a[0], a_sign, a[1], left);
    }
    if (b_sign != 0) {
        right = (struct part){room + n * n, n};
        add(n, b[0], b_sign, b[1], right);
    }
    return strassen(n, left, right, product);
}

/* c = a b. Returns -ENOMEM if there was no room, and c is not set. */
static int strassen(size_t n, struct part a, struct part b, struct part c)
{
    if (n <= LEAF) {
        multiply_plain(n, n, a, b, c);
        return 0;
    }
    size_t half = n / 2, cells = half * half;
    double *room = malloc(7 * 3 * cells * sizeof *room);
    if (!room) {
        return -ENOMEM;
    }
    struct part a11 = quarter(a, half, 0, 0), a12 = quarter(a, half, 0, 1);
    struct part a21 = quarter(a, half, 1, 0), a22 = quarter(a, half, 1, 1);
    struct part b11 = quarter(b, half, 0, 0), b12 = quarter(b, half, 0, 1);
    struct part b21 = quarter(b, half, 1, 0), b22 = quarter(b, half, 1, 1);
    struct part c11 = quarter(c, half, 0, 0), c12 = quarter(c, half, 0, 1);
    struct part c21 = quarter(c, half, 1, 0), c22 = quarter(c, half, 1, 1);
    const struct product {
        struct part a[2];
        double a_sign;
        struct part b[2];
        double b_sign;
    } products[7] = {
        {{a11, a22}, 1, {b11, b22}, 1},  {{a21, a22}, 1, {b11, b11}, 0},
        {{a11, a11}, 0, {b12, b22}, -1}, {{a22, a22}, 0, {b21, b11}, -1},
        {{a11, a12}, 1, {b22, b22}, 0},  {{a21, a11}, -1, {b11, b12}, 1},
        {{a12, a22}, -1, {b21, b22}, 1},
    };
    struct part m[7];
    int errs[7], err = 0;
    for (int p = 0; p < 7; p++) {
        m[p] = (struct part){room + (size_t)p * 3 * cells, half};
#pragma omp task shared(products, m, errs) firstprivate(p)
        errs[p] = multiply_sums(half, products[p].a, products[p].a_sign, products[p].b,
                                products[p].b_sign, m[p], m[p].cell + cells);
    }
#pragma omp taskwait
    for (int p = 0; p < 7; p++) {
        err = errs[p] ? errs[p] : err;
    }
    if (!err) {
        add(half, m[0], 1, m[3], c11);
        add(half, c11, -1, m[4], c11);
        add(half, c11, 1, m[6], c11);
        add(half, m[2], 1, m[4], c12);
        add(half, m[1], 1, m[3], c21);
        add(half, m[0], -1, m[1], c22);
        add(half, c22, 1, m[2], c22);
        add(half, c22, 1, m[5], c22);
    }
    free(room);
    return err;
}

/* Whole numbers from -8 to 8. */
static void fill(double *cell, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        cell[i] = (double)(seed >> 16) * 17 / 65536 - 8;
        cell[i] = floor(cell[i]);
    }
}

/* How many elements of c are not those of the plain product, by tasks for rows of it. */
static size_t count_wrong(size_t n, struct part a, struct part b, struct part c, double *room)
{
    size_t wrong = 0;
#pragma omp taskloop grainsize(1) shared(room)
    for (size_t row = 0; row < n; row += 16) {
        struct part some = {a.cell + row * a.stride, a.stride}, to = {room + row * n, n};
        multiply_plain(16, n, some, b, to);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            wrong += c.cell[i * c.stride + j] != room[i * n + j];
        }
    }
    return wrong;
}

int strassen_tasks(char size, struct kernel_result *result)
{
    size_t n;
    int err = order_of(size, &n);
    if (err) {
        return err;
    }
    double *cells = malloc(4 * n * n * sizeof *cells);
    if (!cells) {
        return -ENOMEM;
    }
    struct part a = {cells, n}, b = {cells + n * n, n}, c = {cells + 2 * n * n, n};
    fill(a.cell, n * n, 1);
    fill(b.cell, n * n, 2);
    double start = kernel_clock();
    err = strassen(n, a, b, c);
    double seconds = kernel_clock() - start;
    if (!err) {
        size_t wrong = count_wrong(n, a, b, c, cells + 3 * n * n);
        *result = (struct kernel_result){.verified = wrong == 0,
                                         .value = {(double)wrong, c.cell[0]},
                                         .count = (int)n,
                                         .seconds = seconds,
                                         .threads = omp_get_num_threads()};
        snprintf(result->text, sizeof result->text, "order %zu, %zu elements wrong", n, wrong);
    }
    free(cells);
    return err;
}

int strassen_region(char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = strassen_tasks(size, result);
    return err;
}
