/* SPDX-License-Identifier: MIT */
/* The search: directories, then heads, then whole files, each read by the pool of its device, all
 * coordinated on one loop. */
#ifndef DUPS_SEARCH_H
#define DUPS_SEARCH_H

#include "files.h"

#include <stdbool.h>
#include <loomp.h>

/* How many threads a pool gets. */
struct pool_rule {
    const char *name; /* of the pool, or the device's numbers like 8:0; NULL: every pool */
    unsigned threads;
    bool met; /* there was a pool of that name */
};

struct search_options {
    const char *sysfs;
    const char *mountinfo;
    struct pool_rule *rules; /* the last one that fits counts */
    size_t rule_count;
    bool hard_links;
    bool empty;
    bool one_file_system;
    bool quiet;
    bool verbose;
};

struct search;

enum search_end {
    SEARCH_COMPLETE,
    SEARCH_INTERRUPTED, /* by a signal; jobs may be under way */
    SEARCH_FAILED,      /* the reason has been printed; jobs may be under way */
};

/* NULL without memory. The options are copied, the rules and texts in them are not. */
struct search *search_new(loomp_runtime *runtime, const struct search_options *options);

/* Searches these directories. Called once, on a plain thread, because it opens the pools; blocks.
 * The runtime must be stopped before anything else is asked of the search. */
enum search_end search_run(struct search *search, char *const *roots, size_t count);

/* What is known. 0 or -ENOMEM. To be freed with groups_free, before search_free. */
int search_groups(struct search *search, struct groups *groups);

/* How many files and directories could not be read or had changed. */
size_t search_left_out(const struct search *search);

void search_free(struct search *search);

#endif
