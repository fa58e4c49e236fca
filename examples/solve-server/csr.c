/* SPDX-License-Identifier: MIT */
/* Building and inspecting sparse matrices. Knows OpenMP, but neither loomp nor HTTP. */
#include "csr.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int csr_init(struct csr *a, int64_t n, int64_t entries)
{
    memset(a, 0, sizeof *a);
    /* At least one element each: malloc(0) may answer NULL, which would look like a failure. */
    a->start = malloc(((size_t)n + 1) * sizeof *a->start);
    a->column = malloc(((size_t)entries + 1) * sizeof *a->column);
    a->value = malloc(((size_t)entries + 1) * sizeof *a->value);
    if (a->start == NULL || a->column == NULL || a->value == NULL) {
        csr_fini(a);
        return -ENOMEM;
    }
    a->n = n;
    a->entries = entries;
    return 0;
}

void csr_fini(struct csr *a)
{
    free(a->start);
    free(a->column);
    free(a->value);
    memset(a, 0, sizeof *a);
}

struct pair {
    int32_t column;
    double value;
};

static int compare_pairs(const void *left, const void *right)
{
    int32_t l = ((const struct pair *)left)->column;
    int32_t r = ((const struct pair *)right)->column;

    return (l > r) - (l < r);
}

/* Rows of sparse matrices are short and mostly in order already, where insertion wins; a dense row
 * of a large matrix would make it quadratic. */
static int sort_row(int32_t *column, double *value, int64_t count)
{
    if (count <= 64) {
        for (int64_t i = 1; i < count; i++) {
            int32_t c = column[i];
            double v = value[i];
            int64_t k = i;
            while (k > 0 && column[k - 1] > c) {
                column[k] = column[k - 1];
                value[k] = value[k - 1];
                k--;
            }
            column[k] = c;
            value[k] = v;
        }
        return 0;
    }
    struct pair *pairs = malloc((size_t)count * sizeof *pairs);
    if (pairs == NULL) {
        return -ENOMEM;
    }
    for (int64_t i = 0; i < count; i++) {
        pairs[i].column = column[i];
        pairs[i].value = value[i];
    }
    qsort(pairs, (size_t)count, sizeof *pairs, compare_pairs);
    for (int64_t i = 0; i < count; i++) {
        column[i] = pairs[i].column;
        value[i] = pairs[i].value;
    }
    free(pairs);
    return 0;
}

/* Adds up neighbours with the same column and closes the gaps; start[] moves with them. */
static int merge_duplicates(struct csr *a)
{
    int64_t out = 0;
    int64_t begin = 0;

    for (int64_t i = 0; i < a->n; i++) {
        int64_t end = a->start[i + 1];
        int64_t row_out = out;
        for (int64_t k = begin; k < end; k++) {
            if (out > row_out && a->column[out - 1] == a->column[k]) {
                a->value[out - 1] += a->value[k];
                if (!isfinite(a->value[out - 1])) {
                    return -ERANGE;
                }
            } else {
                a->column[out] = a->column[k];
                a->value[out] = a->value[k];
                out++;
            }
        }
        begin = end;
        a->start[i + 1] = out;
    }
    a->entries = out;
    return 0;
}

int csr_from_coordinates(struct csr *a, int64_t n, int64_t count, const int32_t *row,
                         const int32_t *column, const double *value, bool mirror)
{
    struct csr built;
    int64_t entries = count;
    int err;

    if (mirror) {
        for (int64_t k = 0; k < count; k++) {
            entries += row[k] != column[k];
        }
    }
    int64_t *next = malloc(((size_t)n + 1) * sizeof *next);
    if (next == NULL) {
        return -ENOMEM;
    }
    err = csr_init(&built, n, entries);
    if (err < 0) {
        goto free_next;
    }

    memset(built.start, 0, ((size_t)n + 1) * sizeof *built.start);
    for (int64_t k = 0; k < count; k++) {
        built.start[row[k] + 1]++;
        if (mirror && row[k] != column[k]) {
            built.start[column[k] + 1]++;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        built.start[i + 1] += built.start[i];
    }
    memcpy(next, built.start, (size_t)n * sizeof *next);
    for (int64_t k = 0; k < count; k++) {
        int64_t at = next[row[k]]++;
        built.column[at] = column[k];
        built.value[at] = value[k];
        if (mirror && row[k] != column[k]) {
            at = next[column[k]]++;
            built.column[at] = row[k];
            built.value[at] = value[k];
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = built.start[i];
        err = sort_row(built.column + begin, built.value + begin, built.start[i + 1] - begin);
        if (err < 0) {
            goto free_built;
        }
    }
    err = merge_duplicates(&built);
    if (err < 0) {
        goto free_built;
    }
    built.symmetric = mirror;
    *a = built;
    free(next);
    return 0;

free_built:
    csr_fini(&built);
free_next:
    free(next);
    return err;
}

/* The stored value at (i, j), or 0. */
static double value_at(const struct csr *a, int64_t i, int32_t j)
{
    int64_t low = a->start[i];
    int64_t high = a->start[i + 1];

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (a->column[middle] < j) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < a->start[i + 1] && a->column[low] == j ? a->value[low] : 0.0;
}

bool csr_is_symmetric(const struct csr *a)
{
    int64_t different = 0;

#pragma omp parallel for schedule(static) reduction(+ : different)
    for (int64_t i = 0; i < a->n; i++) {
        for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
            double here = a->value[k];
            double there = value_at(a, a->column[k], (int32_t)i);
            different += fabs(here - there) > 1e-14 * (fabs(here) + fabs(there));
        }
    }
    return different == 0;
}

int64_t csr_empty_row(const struct csr *a)
{
    for (int64_t i = 0; i < a->n; i++) {
        if (a->start[i] == a->start[i + 1]) {
            return i;
        }
    }
    return -1;
}
