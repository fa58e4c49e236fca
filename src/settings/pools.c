/* SPDX-License-Identifier: MIT */
/* Owns the keys of declared pools: what a name may be, which members there are, how each source
 * spells them, and sets of pools with the values that one source gives. Pure but for memory and the
 * error sentence; one thread at a time per set. */
#include "settings/pools.h"

#include "base/error.h"
#include "settings/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char lp_pools_group[] = "pools";

const struct lp_row lp_pool_rows[LP_MEMBER_COUNT] = {
    [LP_MEMBER_THREADS] = {"threads", LP_TYPE_INT, 0, 4096, "0", NULL, "threads of the pool"},
    [LP_MEMBER_CPUS] = {"cpus", LP_TYPE_CPU_LIST, 0, 0, "", NULL, "CPUs that it chooses among"},
    [LP_MEMBER_GPU] = {"gpu", LP_TYPE_DEVICES, 0, 256, "", NULL, "devices that it is near"},
    [LP_MEMBER_SHARE] = {"share", LP_TYPE_BOOL, 0, 1, "false", NULL, "use places of others"},
    [LP_MEMBER_BLOCKING] = {"blocking", LP_TYPE_BOOL, 0, 1, "false", NULL,
                            "for work that sleeps in I/O"},
};

/* ---- keys ------------------------------------------------------------------------------------ */

int lp_pool_member_find(const char *name)
{
    for (int member = 0; member < LP_MEMBER_COUNT; member++) {
        if (strcmp(lp_pool_rows[member].key, name) == 0) {
            return member;
        }
    }
    return -1;
}

struct lp_nearest lp_pool_member_nearest(const char *name)
{
    struct lp_nearest nearest = {.wanted = name, .index = -1};
    for (int member = 0; member < LP_MEMBER_COUNT; member++) {
        lp_nearest_offer(&nearest, lp_pool_rows[member].key, 0, member);
    }
    return nearest;
}

bool lp_pool_key_split(const char *key, char separator, struct lp_pool_key *parts)
{
    size_t group_bytes = strlen(lp_pools_group);
    if (strncmp(key, lp_pools_group, group_bytes) != 0 || key[group_bytes] != separator) {
        return false;
    }
    const char *name = key + group_bytes + 1;
    const char *end = strrchr(name, separator);
    size_t name_bytes = end ? (size_t)(end - name) : strlen(name);
    if (name_bytes >= sizeof parts->name) {
        name_bytes = sizeof parts->name - 1;
    }
    memcpy(parts->name, name, name_bytes);
    parts->name[name_bytes] = '\0';
    snprintf(parts->member, sizeof parts->member, "%s", end ? end + 1 : "");
    return true;
}

void lp_pool_key_print(const char *name, int member, char out[LP_NAME_BYTES])
{
    snprintf(out, LP_NAME_BYTES, "%s.%s.%s", lp_pools_group, name, lp_pool_rows[member].key);
}

bool lp_pool_key_meant(const char *key, char separator, char out[LP_NAME_BYTES])
{
    char first[16], group[sizeof lp_pools_group];
    const char *rest = strchr(key, separator);
    if (!rest || !strchr(rest + 1, separator) || (size_t)(rest - key) >= sizeof first) {
        return false;
    }
    snprintf(first, sizeof first, "%.*s", (int)(rest - key), key);
    struct lp_nearest nearest = {.wanted = first, .index = -1};
    lp_nearest_offer(&nearest, lp_pools_group, 0, 0);
    if (nearest.distance > 1) {
        return false;
    }
    strcpy(group, lp_pools_group);
    for (char *c = group; separator == '_' && *c; c++) {
        *c = lp_upper(*c);
    }
    snprintf(out, LP_NAME_BYTES, "%s%s", group, rest);
    return true;
}

int lp_pool_fail_member(const char *where, const char *what, const char *shown, const char *key,
                        char separator)
{
    const char *rest = key + strlen(lp_pools_group) + 1;
    const char *end = strrchr(rest, separator);
    struct lp_nearest nearest = lp_pool_member_nearest(end ? end + 1 : rest);
    int kept = (int)(nearest.wanted - shown); /* the key ends shown */
    const char *between = "";
    if (!end) {
        /* The end of pools.hdd lacks, or the middle of pools.threads, or both. */
        bool is_member = nearest.distance == 0;
        between = is_member || !*rest ? "NAME" : rest;
        nearest = (struct lp_nearest){
            .wanted = rest,
            .index = is_member ? nearest.index : LP_MEMBER_THREADS,
        };
    }
    char member[LP_NAME_BYTES], suggestion[4 * LP_NAME_BYTES];
    snprintf(member, sizeof member, "%s", lp_pool_rows[nearest.index].key);
    for (char *c = member; separator == '_' && *c; c++) {
        *c = lp_upper(*c);
    }
    char joint[] = {end ? '\0' : separator, '\0'};
    snprintf(suggestion, sizeof suggestion, "%.*s%s%s%s", kept, shown, between, joint, member);
    return lp_fail_unknown(where, what, shown, "", &nearest, suggestion);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int lp_pool_name_check(const char *name, const char *where)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > LP_POOL_NAME_MAX || !strchr(letters, *name) ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != bytes) {
        return lp_fail(-EINVAL,
                       "%s: `%.100s' cannot name a pool: a name has 1 to %d of a-z, 0-9, _ and -, "
                       "a letter first",
                       where, name, LP_POOL_NAME_MAX);
    }
    if (strcmp(name, "compute") == 0 || strcmp(name, "blocking") == 0) {
        return lp_fail(-EINVAL, "%s: the pool `%s' is always there; %s.threads sets its size",
                       where, name, name);
    }
    if (strncmp(name, "gpu", 3) == 0 && is_digit(name[3])) {
        return lp_fail(-EINVAL,
                       "%s: `%s' cannot name a pool: gpu with a number is left to gpu_pools", where,
                       name);
    }
    return 0;
}

/* ---- sets ------------------------------------------------------------------------------------ */

struct lp_pool_values *lp_pools_find(const struct lp_pools *pools, const char *name)
{
    for (size_t i = 0; i < pools->count; i++) {
        if (strcmp(pools->at[i]->name, name) == 0) {
            return pools->at[i];
        }
    }
    return NULL;
}

static void free_pool(struct lp_pool_values *pool)
{
    for (int member = 0; member < LP_MEMBER_COUNT; member++) {
        lp_value_clear(&pool->members[member]);
    }
    free(pool->where);
    free(pool->name);
    free(pool);
}

static struct lp_pool_values *new_pool(const char *name, const char *where)
{
    struct lp_pool_values *pool = calloc(1, sizeof *pool);
    if (!pool) {
        return NULL;
    }
    pool->name = strdup(name);
    pool->where = strdup(where);
    if (!pool->name || !pool->where) {
        free_pool(pool);
        return NULL;
    }
    return pool;
}

int lp_pools_fail_full(const char *name, const char *where)
{
    return lp_fail(-EINVAL, "%s: the pool `%s' is one too many, there can be %d", where, name,
                   LP_POOLS_MAX);
}

int lp_pools_declare(struct lp_pools *pools, const char *name, const char *where,
                     struct lp_pool_values **pool)
{
    int err = lp_pool_name_check(name, where);
    if (err != 0) {
        return err;
    }
    *pool = lp_pools_find(pools, name);
    if (*pool) {
        return 0;
    }
    if (pools->count == LP_POOLS_MAX) {
        return lp_pools_fail_full(name, where);
    }
    *pool = new_pool(name, where);
    if (!*pool) {
        return lp_fail_memory();
    }
    pools->at[pools->count++] = *pool;
    return 0;
}

void lp_pools_move(struct lp_pools *to, struct lp_pools *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct lp_pool_values *old = lp_pools_find(to, from->at[i]->name);
        if (!old) {
            to->at[to->count++] = from->at[i];
            continue;
        }
        for (int member = 0; member < LP_MEMBER_COUNT; member++) {
            struct lp_value *value = &from->at[i]->members[member];
            if (value->text) {
                lp_value_clear(&old->members[member]);
                old->members[member] = *value;
                *value = (struct lp_value){0};
            }
        }
        free_pool(from->at[i]);
    }
    from->count = 0;
}

int lp_pools_copy(struct lp_pools *to, const struct lp_pools *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        const struct lp_pool_values *old = from->at[i];
        struct lp_pool_values *pool = new_pool(old->name, old->where);
        if (!pool) {
            lp_pools_clear(to);
            return lp_fail_memory();
        }
        to->at[to->count++] = pool;
        for (int member = 0; member < LP_MEMBER_COUNT; member++) {
            int err = lp_value_copy(&pool->members[member], &old->members[member]);
            if (err != 0) {
                lp_pools_clear(to);
                return err;
            }
        }
    }
    return 0;
}

void lp_pools_clear(struct lp_pools *pools)
{
    for (size_t i = 0; i < pools->count; i++) {
        free_pool(pools->at[i]);
    }
    pools->count = 0;
}
