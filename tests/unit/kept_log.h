/* SPDX-License-Identifier: MIT */
/* What the library logs while a test runs: how many lines, and the last one. For tests of one thread. A
 * file that includes it includes harness.h before. */
#ifndef LP_TESTS_KEPT_LOG_H
#define LP_TESTS_KEPT_LOG_H

#include "base/log.h"

#include <loomp/error.h>

#include <stdio.h>

static int lines;
static char last_line[512];

static inline void keep_line(void *arg, int32_t level, const char *line)
{
    (void)arg;
    (void)level;
    lines++;
    snprintf(last_line, sizeof last_line, "%s", line);
}

/* From now on, warnings that were written before included. */
static inline void keep_lines(void)
{
    lp_log_reset();
    loomp_set_log(keep_line, NULL);
    lines = 0;
}

#endif
