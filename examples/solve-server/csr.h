/* SPDX-License-Identifier: MIT */
/* A square sparse matrix in compressed rows. Owns its three arrays; columns are sorted within a row
 * and unique. Plain data: any thread may read one that nobody changes. */
#ifndef CSR_H
#define CSR_H

#include <stdbool.h>
#include <stdint.h>

struct csr {
    int64_t n;       /* rows and columns */
    int64_t entries; /* stored entries, both triangles */
    int64_t *start;  /* n + 1 offsets into column and value */
    int32_t *column;
    double *value;
    bool symmetric; /* known to be; set by whoever built it */
};

/* Allocates the arrays, contents undefined. Returns 0 or -ENOMEM, and then nothing is held. */
int csr_init(struct csr *a, int64_t n, int64_t entries);

/* Frees the arrays; an all-zero matrix is fine. */
void csr_fini(struct csr *a);

/* Builds a matrix from coordinates (0-based, any order); duplicates are added up. With `mirror`
 * every entry off the diagonal stands for its transpose, too. Returns 0, -ENOMEM, or -ERANGE where
 * a sum of duplicates is not finite. */
int csr_from_coordinates(struct csr *a, int64_t n, int64_t count, const int32_t *row,
                         const int32_t *column, const double *value, bool mirror);

/* Compares every entry with its transpose, up to rounding. */
bool csr_is_symmetric(const struct csr *a);

/* The first row without an entry, or -1. */
int64_t csr_empty_row(const struct csr *a);

#endif
