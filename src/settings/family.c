/* SPDX-License-Identifier: MIT */
/* Owns the keys of families: how each source spells them, and sets of names with the values that
 * one source gives. What a family's names and members are, its own file says. Pure but for memory
 * and the error sentence; one thread at a time per set. */
#include "settings/family.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct lp_family *const lp_families[LP_FAMILY_COUNT] = {
    [LP_FAMILY_POOLS] = &lp_pool_family,
    [LP_FAMILY_SITES] = &lp_site_family,
};

/* ---- keys ------------------------------------------------------------------------------------ */

const struct lp_family *lp_family_find(const char *group)
{
    for (int i = 0; i < LP_FAMILY_COUNT; i++) {
        if (strcmp(lp_families[i]->group, group) == 0) {
            return lp_families[i];
        }
    }
    return NULL;
}

int lp_member_find(const struct lp_family *family, const char *name)
{
    for (int member = 0; member < family->row_count; member++) {
        if (strcmp(family->rows[member].key, name) == 0) {
            return member;
        }
    }
    return -1;
}

struct lp_nearest lp_member_nearest(const struct lp_family *family, const char *name)
{
    struct lp_nearest nearest = {.wanted = name, .index = -1};
    for (int member = 0; member < family->row_count; member++) {
        lp_nearest_offer(&nearest, family->rows[member].key, 0, member);
    }
    return nearest;
}

/* The family with whose group and a separator the key begins, or NULL. */
static const struct lp_family *family_of(const char *key, char separator)
{
    for (int i = 0; i < LP_FAMILY_COUNT; i++) {
        size_t bytes = strlen(lp_families[i]->group);
        if (strncmp(key, lp_families[i]->group, bytes) == 0 && key[bytes] == separator) {
            return lp_families[i];
        }
    }
    return NULL;
}

bool lp_family_key_split(const char *key, char separator, struct lp_family_key *parts)
{
    const struct lp_family *family = family_of(key, separator);
    if (!family) {
        return false;
    }
    const char *name = key + strlen(family->group) + 1;
    const char *end = strrchr(name, separator);
    size_t name_bytes = end ? (size_t)(end - name) : strlen(name);
    if (name_bytes >= sizeof parts->name) {
        name_bytes = sizeof parts->name - 1;
    }
    parts->family = family;
    memcpy(parts->name, name, name_bytes);
    parts->name[name_bytes] = '\0';
    snprintf(parts->member, sizeof parts->member, "%s", end ? end + 1 : "");
    return true;
}

void lp_family_key_print(const struct lp_family *family, const char *name, int member,
                         char out[LP_NAME_BYTES])
{
    snprintf(out, LP_NAME_BYTES, "%s.%s.%s", family->group, name, family->rows[member].key);
}

bool lp_family_key_meant(const char *key, char separator, char out[LP_NAME_BYTES])
{
    char first[16];
    const char *rest = strchr(key, separator);
    if (!rest || !strchr(rest + 1, separator) || (size_t)(rest - key) >= sizeof first) {
        return false;
    }
    snprintf(first, sizeof first, "%.*s", (int)(rest - key), key);
    struct lp_nearest nearest = {.wanted = first, .index = -1};
    for (int i = 0; i < LP_FAMILY_COUNT; i++) {
        lp_nearest_offer(&nearest, lp_families[i]->group, 0, i);
    }
    if (nearest.distance > 1) {
        return false;
    }
    const char *group = lp_families[nearest.index]->group;
    snprintf(out, LP_NAME_BYTES, "%s%s", group, rest);
    for (char *c = out; separator == '_' && c < out + strlen(group); c++) {
        *c = lp_upper(*c);
    }
    return true;
}

int lp_fail_member(const struct lp_family *family, const char *where, const char *what,
                   const char *shown, const char *key, char separator)
{
    const char *rest = key + strlen(family->group) + 1;
    const char *end = strrchr(rest, separator);
    struct lp_nearest nearest = lp_member_nearest(family, end ? end + 1 : rest);
    int kept = (int)(nearest.wanted - shown); /* the key ends shown */
    const char *between = "";
    if (!end) {
        /* The end of pools.hdd lacks, or the middle of pools.threads, or both. */
        bool is_member = nearest.distance == 0;
        between = is_member || !*rest ? "NAME" : rest;
        nearest = (struct lp_nearest){
            .wanted = rest,
            .index = is_member ? nearest.index : 0,
        };
    }
    char member[LP_NAME_BYTES], suggestion[4 * LP_NAME_BYTES];
    snprintf(member, sizeof member, "%s", family->rows[nearest.index].key);
    for (char *c = member; separator == '_' && *c; c++) {
        *c = lp_upper(*c);
    }
    char joint[] = {end ? '\0' : separator, '\0'};
    snprintf(suggestion, sizeof suggestion, "%.*s%s%s%s", kept, shown, between, joint, member);
    return lp_fail_unknown(where, what, shown, "", &nearest, suggestion);
}

int lp_fail_name(const struct lp_family *family, const char *where, const char *name,
                 const char *rule)
{
    return lp_fail(-EINVAL, "%s: `%.100s' cannot name a %s: %s", where, name, family->noun, rule);
}

/* ---- sets ------------------------------------------------------------------------------------ */

struct lp_named *lp_names_find(const struct lp_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->at[i]->name, name) == 0) {
            return names->at[i];
        }
    }
    return NULL;
}

static void free_named(struct lp_named *named)
{
    for (int member = 0; member < LP_MEMBERS_MAX; member++) {
        lp_value_clear(&named->members[member]);
    }
    free(named->where);
    free(named->name);
    free(named);
}

static struct lp_named *new_named(const char *name, const char *where)
{
    struct lp_named *named = calloc(1, sizeof *named);
    if (!named) {
        return NULL;
    }
    named->name = strdup(name);
    named->where = strdup(where);
    if (!named->name || !named->where) {
        free_named(named);
        return NULL;
    }
    return named;
}

int lp_fail_full(const struct lp_family *family, const char *name, const char *where)
{
    return lp_fail(-EINVAL, "%s: the %s `%s' is one too many, there can be %zu", where,
                   family->noun, name, family->most);
}

int lp_names_declare(struct lp_names *names, const struct lp_family *family, const char *name,
                     const char *where, struct lp_named **named)
{
    int err = family->check(name, where);
    if (err != 0) {
        return err;
    }
    *named = lp_names_find(names, name);
    if (*named) {
        return 0;
    }
    if (names->count == family->most) {
        return lp_fail_full(family, name, where);
    }
    *named = new_named(name, where);
    if (!*named) {
        return lp_fail_memory();
    }
    names->at[names->count++] = *named;
    return 0;
}

void lp_names_move(struct lp_names *to, struct lp_names *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct lp_named *old = lp_names_find(to, from->at[i]->name);
        if (!old) {
            to->at[to->count++] = from->at[i];
            continue;
        }
        for (int member = 0; member < LP_MEMBERS_MAX; member++) {
            struct lp_value *value = &from->at[i]->members[member];
            if (value->text) {
                lp_value_clear(&old->members[member]);
                old->members[member] = *value;
                *value = (struct lp_value){0};
            }
        }
        free_named(from->at[i]);
    }
    from->count = 0;
}

int lp_names_copy(struct lp_names *to, const struct lp_names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        const struct lp_named *old = from->at[i];
        struct lp_named *named = new_named(old->name, old->where);
        if (!named) {
            lp_names_clear(to);
            return lp_fail_memory();
        }
        to->at[to->count++] = named;
        for (int member = 0; member < LP_MEMBERS_MAX; member++) {
            int err = lp_value_copy(&named->members[member], &old->members[member]);
            if (err != 0) {
                lp_names_clear(to);
                return err;
            }
        }
    }
    return 0;
}

void lp_names_clear(struct lp_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free_named(names->at[i]);
    }
    names->count = 0;
}
