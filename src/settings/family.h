/* SPDX-License-Identifier: MIT */
/* Keys like pools.hdd.threads and sites.solve.arm, whose names are the user's and so in no table,
 * and the values that one source gives for them. Only src/settings includes it. */
#ifndef LP_SETTINGS_FAMILY_H
#define LP_SETTINGS_FAMILY_H

#include "settings/table.h"

/* Members of the families. By default their numbers are 0, their truth values false and their words
 * the first. */
enum lp_pool_member {
    LP_MEMBER_THREADS,
    LP_MEMBER_CPUS,
    LP_MEMBER_GPU,
    LP_MEMBER_SHARE,
    LP_MEMBER_BLOCKING,
    LP_POOL_MEMBERS
};

enum lp_site_member {
    LP_MEMBER_ARM,
    LP_MEMBER_WIDTH,
    LP_SITE_MEMBERS
};

enum {
    LP_POOL_NAME_MAX = 31,
    LP_POOLS_MAX = 64,
    LP_SITE_NAME_MAX = 63,
    LP_SITES_MAX = 256,
    LP_MEMBERS_MAX = LP_POOL_MEMBERS, /* of any family */
    LP_NAMES_MAX = LP_SITES_MAX
};

enum lp_family_id {
    LP_FAMILY_POOLS,
    LP_FAMILY_SITES,
    LP_FAMILY_COUNT
};

/* What the keys with one first part have in common. The first member is the one to suggest where a
 * key has none. */
struct lp_family {
    enum lp_family_id id;
    const char *group;         /* the first part of the keys, which is a group in a file */
    const char *noun;          /* of one name, for sentences */
    const char *title;         /* of the members, in the help */
    const struct lp_row *rows; /* whose keys are the last parts alone */
    int row_count;
    size_t most; /* names, from all sources together */
    int (*check)(const char *name, const char *where);
};

extern const struct lp_family lp_pool_family, lp_site_family;
extern const struct lp_family *const lp_families[LP_FAMILY_COUNT];

/* The family whose group has that name, or NULL. */
const struct lp_family *lp_family_find(const char *group);

/* The member of that name, or -1. */
int lp_member_find(const struct lp_family *family, const char *name);
struct lp_nearest lp_member_nearest(const struct lp_family *family, const char *name);

/* A key taken apart. Parts too long are cut, which makes them invalid. */
struct lp_family_key {
    const struct lp_family *family;
    char name[LP_NAME_BYTES];
    char member[LP_NAME_BYTES]; /* "" where the key ends before it */
};

/* Takes "pools.hdd.threads" apart at its first and its last separator, so that a name may contain
 * it. False, and then *parts is untouched, if the key does not begin with a family's group and a
 * separator. */
bool lp_family_key_split(const char *key, char separator, struct lp_family_key *parts);

/* "pools.hdd.threads" */
void lp_family_key_print(const struct lp_family *family, const char *name, int member,
                         char out[LP_NAME_BYTES]);

/* Whether a key begins with a misspelt group of a family and goes on like one of its keys; then out
 * is the key as it was meant. */
bool lp_family_key_meant(const char *key, char separator, char out[LP_NAME_BYTES]);

/* Fails with "unknown {what} `{shown}'", whose end is the key, and the same with the nearest
 * member, in capitals where the separator is that of variables. where may be NULL. */
int lp_fail_member(const struct lp_family *family, const char *where, const char *what,
                   const char *shown, const char *key, char separator);

/* Fails for a name that breaks the rule of its family. */
int lp_fail_name(const struct lp_family *family, const char *where, const char *name,
                 const char *rule);

/* The values of one name from one source. */
struct lp_named {
    char *name;
    char *where; /* that gave the name first */
    struct lp_value members[LP_MEMBERS_MAX];
};

/* Of one family, in the order in which the names were given. Pointers, so that moving one cannot
 * fail. */
struct lp_names {
    struct lp_named *at[LP_NAMES_MAX];
    size_t count;
};

struct lp_named *lp_names_find(const struct lp_names *names, const char *name);

/* Finds or makes what has that name. 0; -EINVAL for a bad name or one too many; -ENOMEM. */
int lp_names_declare(struct lp_names *names, const struct lp_family *family, const char *name,
                     const char *where, struct lp_named **named);
int lp_fail_full(const struct lp_family *family, const char *name, const char *where);

/* Replaces what `from` has values for, and takes those over; there must be room. */
void lp_names_move(struct lp_names *to, struct lp_names *from);
int lp_names_copy(struct lp_names *to, const struct lp_names *from);
void lp_names_clear(struct lp_names *names);

#endif
