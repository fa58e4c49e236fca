/* SPDX-License-Identifier: MIT */
/* Owns the line of progress. Entered by one thread at a time: the loop's, and main's after it. */
#include "progress.h"

#include <stdio.h>
#include <time.h>

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void progress_begin(struct progress *progress, const char *stage, size_t files, uint64_t bytes)
{
    progress->stage = stage;
    progress->files = 0;
    progress->files_total = files;
    progress->bytes_total = bytes;
    progress->bytes_at_start = progress->bytes;
    progress->started_s = now_s();
}

void progress_draw(struct progress *progress, uint64_t bytes)
{
    double taken_s = now_s() - progress->started_s;

    progress->bytes = bytes;
    if (!progress->shown || progress->stage == NULL) {
        return;
    }
    progress->drawn = true;
    if (progress->files_total == 0) {
        fprintf(stderr, "\r\033[K%s: %zu files, %.0f/s", progress->stage, progress->files,
                (double)progress->files / (taken_s + 1e-9));
        return;
    }
    double done = (double)(bytes - progress->bytes_at_start);
    double total = (double)progress->bytes_total;
    fprintf(stderr, "\r\033[K%s: %zu of %zu files, %.1f of %.1f MB, %.1f MB/s", progress->stage,
            progress->files, progress->files_total, done / 1e6, total / 1e6,
            done / 1e6 / (taken_s + 1e-9));
    if (done > 0 && total > done) {
        fprintf(stderr, ", %.0f s left", taken_s * (total - done) / done);
    }
}

void progress_clear(struct progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        progress->drawn = false;
    }
}

void progress_path(const char *path)
{
    for (const unsigned char *p = (const unsigned char *)path; *p != '\0'; p++) {
        if (*p < ' ' || *p == 0x7f) {
            fprintf(stderr, "\\%03o", *p);
        } else {
            putc(*p, stderr);
        }
    }
}
