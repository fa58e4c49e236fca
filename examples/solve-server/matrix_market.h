/* SPDX-License-Identifier: MIT */
/* Reading Matrix Market files: coordinate; real, integer or pattern; general or symmetric. */
#ifndef MATRIX_MARKET_H
#define MATRIX_MARKET_H

#include "csr.h"

#include <stddef.h>

struct matrix_market_limits {
    int64_t max_rows;
    int64_t max_entries; /* lines with entries; a symmetric file may expand to twice that */
};

struct matrix_market_error {
    long line;      /* the offending line, from 1; 0 if it is not one line's fault */
    char text[200]; /* one sentence, without the line number */
};

/* Reads a whole file from memory; text[size] must be readable and 0. What is allocated is bounded
 * by the size of the text, whatever its counts claim. Any thread. Returns 0 and a matrix the caller
 * frees, or with `error` filled in -EINVAL (the text), -E2BIG (a limit), -ENOMEM. */
int matrix_market_parse(struct csr *a, const char *text, size_t size,
                        const struct matrix_market_limits *limits,
                        struct matrix_market_error *error);

/* What the first lines of a file say of its matrix. */
struct matrix_market_outline {
    int64_t n;
    int64_t entries; /* at most, both triangles */
    bool symmetric;
};

/* Reads no further than the line with the sizes, and not beyond 4 KiB, so that it costs next to
 * nothing whatever the text is. Returns 0, or -EINVAL where that line is not found or makes no
 * sense; the parser has the words for it. */
int matrix_market_outline(struct matrix_market_outline *outline, const char *text, size_t size);

#endif
