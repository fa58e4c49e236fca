/* SPDX-License-Identifier: MIT */
/* One line on the terminal that tells how far the search is, and messages between its redrawings.
 */
#ifndef DUPS_PROGRESS_H
#define DUPS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool shown; /* standard error is a terminal and nobody asked for quiet */
    bool drawn;
    const char *stage;
    size_t files;
    size_t files_total; /* 0: not known yet */
    uint64_t bytes;
    uint64_t bytes_total;
    uint64_t bytes_at_start;
    double started_s;
};

/* A stage begins, of so many files and bytes. */
void progress_begin(struct progress *progress, const char *stage, size_t files, uint64_t bytes);

/* Draws the line again, with the bytes read since the program began. */
void progress_draw(struct progress *progress, uint64_t bytes);

/* Takes the line away, as before any other output. */
void progress_clear(struct progress *progress);

/* Writes a path for people: control characters as \ooo. */
void progress_path(const char *path);

#endif
