/* SPDX-License-Identifier: MIT */
/* What loomp has learnt of the program's sites, and the last calls that its trace holds: as JSON
 * for the page, as CSV for whoever replays them. */
#ifndef SITES_H
#define SITES_H

#include <loomp.h>

#include <stddef.h>

/* All sites, and of the calls that were over after `after` seconds of the monotonic clock the
 * newest few hundred. Short enough for a loop; any thread. The caller frees the text; NULL without
 * memory. */
char *sites_json(loomp_runtime *runtime, double after, size_t *size);

/* Writes the calls of the trace to a file, in the order of their submission and with times from the
 * first. On a plain thread; blocks. Returns 0 or a negative errno value. */
int sites_write_calls(loomp_runtime *runtime, const char *path);

#endif
