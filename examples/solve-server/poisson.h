/* SPDX-License-Identifier: MIT */
/* A model problem of any size: the five-point Laplacian on a side x side grid. */
#ifndef POISSON_H
#define POISSON_H

#include "csr.h"

/* How many entries the matrix for this grid has, or -1 where they do not fit the index types. */
int64_t poisson_entries(int64_t side);

/* Builds it: symmetric positive definite, side * side unknowns. Returns 0, -EINVAL, -ENOMEM. */
int poisson_build(struct csr *a, int64_t side);

#endif
