/* SPDX-License-Identifier: MIT */
/* What the programs of this folder share: a runtime of so many workers, and expectations that
 * decide the exit status. */
#ifndef PATTERN_H
#define PATTERN_H

#include <loomp.h>

#include <stdio.h>
#include <stdlib.h>

static int pattern_failures;

#define EXPECT(condition)                                                                          \
    ((condition) ? (void)0                                                                         \
                 : (void)(pattern_failures++,                                                      \
                          fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition)))

/* One loop and `threads` workers. */
static inline loomp_runtime *pattern_start(int threads)
{
    loomp_runtime *runtime = NULL;
    loomp_config *config = loomp_config_new();
    if (!config || loomp_config_set_int(config, "compute.threads", threads) ||
        loomp_start(&runtime, config)) {
        fprintf(stderr, "cannot start: %s\n", loomp_error());
        exit(1);
    }
    loomp_config_free(config);
    return runtime;
}

/* Stops; the program's exit status. */
static inline int pattern_end(loomp_runtime *runtime)
{
    EXPECT(loomp_stop(runtime) == 0);
    return pattern_failures ? 1 : 0;
}

#endif
