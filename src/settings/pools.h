/* SPDX-License-Identifier: MIT */
/* Declared pools: keys like pools.hdd.threads, whose names are the user's and so in no table, and
 * the values that one source gives for them. Only src/settings includes it. */
#ifndef LP_SETTINGS_POOLS_H
#define LP_SETTINGS_POOLS_H

#include "settings/table.h"

enum lp_pool_member {
    LP_MEMBER_THREADS,
    LP_MEMBER_CPUS,
    LP_MEMBER_GPU,
    LP_MEMBER_SHARE,
    LP_MEMBER_BLOCKING,
    LP_MEMBER_COUNT
};

enum {
    LP_POOL_NAME_MAX = 31,
    LP_POOLS_MAX = 64
};

/* The first part of the keys, which is a group in a file. */
extern const char lp_pools_group[];

/* Rows whose keys are the last parts alone. Numbers are 0 and truth values false by default. */
extern const struct lp_row lp_pool_rows[LP_MEMBER_COUNT];

/* The member of that name, or -1. */
int lp_pool_member_find(const char *name);
struct lp_nearest lp_pool_member_nearest(const char *name);

/* A key taken apart. Parts too long are cut, which makes them invalid. */
struct lp_pool_key {
    char name[LP_NAME_BYTES];
    char member[LP_NAME_BYTES]; /* "" where the key ends before it */
};

/* Takes "pools.hdd.threads" apart at its first and its last separator, so that a name may contain
 * it. False, and then *parts is untouched, if the key does not begin with pools and a separator. */
bool lp_pool_key_split(const char *key, char separator, struct lp_pool_key *parts);

/* "pools.hdd.threads" */
void lp_pool_key_print(const char *name, int member, char out[LP_NAME_BYTES]);

/* Whether a key begins with a misspelt "pools" and goes on like one of a pool; then out is the key
 * as it was meant. */
bool lp_pool_key_meant(const char *key, char separator, char out[LP_NAME_BYTES]);

/* Fails with "unknown {what} `{shown}'", whose end is the pool's key, and the same with the nearest
 * member, in capitals where the separator is that of variables. where may be NULL. */
int lp_pool_fail_member(const char *where, const char *what, const char *shown, const char *key,
                        char separator);

/* The values of one pool from one source. */
struct lp_pool_values {
    char *name;
    char *where; /* that gave the name first */
    struct lp_value members[LP_MEMBER_COUNT];
};

/* In the order in which the names were given. Pointers, so that moving one cannot fail. */
struct lp_pools {
    struct lp_pool_values *at[LP_POOLS_MAX];
    size_t count;
};

struct lp_pool_values *lp_pools_find(const struct lp_pools *pools, const char *name);

/* Finds or makes the pool of that name. 0; -EINVAL for a bad name or one too many; -ENOMEM. */
int lp_pools_declare(struct lp_pools *pools, const char *name, const char *where,
                     struct lp_pool_values **pool);
int lp_pools_fail_full(const char *name, const char *where);

/* Replaces what `from` has values for, and takes those over; there must be room. */
void lp_pools_move(struct lp_pools *to, struct lp_pools *from);
int lp_pools_copy(struct lp_pools *to, const struct lp_pools *from);
void lp_pools_clear(struct lp_pools *pools);

#endif
