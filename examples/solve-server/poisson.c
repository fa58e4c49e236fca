/* SPDX-License-Identifier: MIT */
/* The generator of the model problem. An ordinary OpenMP function: knows neither loomp nor HTTP. */
#include "poisson.h"

#include <errno.h>

int64_t poisson_entries(int64_t side)
{
    /* 20,000 x 20,000 unknowns and five times as many entries are the last that fit the 32-bit
     * columns with room to spare; well before that memory ends. */
    if (side < 1 || side > 20000) {
        return -1;
    }
    return 5 * side * side - 4 * side;
}

int poisson_build(struct csr *a, int64_t side)
{
    int64_t entries = poisson_entries(side);
    int err;

    if (entries < 0) {
        return -EINVAL;
    }
    err = csr_init(a, side * side, entries);
    if (err < 0) {
        return err;
    }
    /* Every grid row is filled by the thread that will later multiply it, so that first touch puts
     * it near that thread. A grid row y begins after y rows of 5 * side - 2 entries each, less the
     * `side` entries that the first row has no upper neighbours for. */
#pragma omp parallel for schedule(static)
    for (int64_t y = 0; y < side; y++) {
        int64_t at = y * (5 * side - 2) - (y > 0 ? side : 0);
        for (int64_t x = 0; x < side; x++) {
            int64_t i = y * side + x;
            a->start[i] = at;
            if (y > 0) {
                a->column[at] = (int32_t)(i - side);
                a->value[at++] = -1.0;
            }
            if (x > 0) {
                a->column[at] = (int32_t)(i - 1);
                a->value[at++] = -1.0;
            }
            a->column[at] = (int32_t)i;
            a->value[at++] = 4.0;
            if (x + 1 < side) {
                a->column[at] = (int32_t)(i + 1);
                a->value[at++] = -1.0;
            }
            if (y + 1 < side) {
                a->column[at] = (int32_t)(i + side);
                a->value[at++] = -1.0;
            }
        }
    }
    a->start[a->n] = entries;
    a->symmetric = true;
    return 0;
}
