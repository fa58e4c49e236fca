/* SPDX-License-Identifier: MIT */
/* Owns the source "file": from libconfig's tree to values. The only file that includes libconfig.
 * One thread at a time per config; it blocks on files. */
#include "settings/settings.h"

#include "base/error.h"
#include "settings/batch.h"
#include "settings/file_text.h"

#include <errno.h>
#include <libconfig.h>
#include <string.h>

enum {
    WHERE_BYTES = 320
};

static void describe_origin(const struct lp_file_text *text, unsigned line, char where[WHERE_BYTES])
{
    unsigned line_of_file;
    const char *file = lp_file_text_origin(text, line, &line_of_file);
    snprintf(where, WHERE_BYTES, "%.200s:%u", file, line_of_file);
}

/* Whether some key begins with the group's name and a dot. */
static bool is_group(const char *name)
{
    size_t bytes = strlen(name);
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        if (strncmp(lp_rows[row].key, name, bytes) == 0 && lp_rows[row].key[bytes] == '.') {
            return true;
        }
    }
    return false;
}

static struct lp_given given_by(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
        return (struct lp_given){.kind = LP_GIVEN_INT, .number = config_setting_get_int(setting)};
    case CONFIG_TYPE_INT64:
        return (struct lp_given){.kind = LP_GIVEN_INT, .number = config_setting_get_int64(setting)};
    case CONFIG_TYPE_FLOAT:
        return (struct lp_given){.kind = LP_GIVEN_DOUBLE,
                                 .real = config_setting_get_float(setting)};
    case CONFIG_TYPE_BOOL:
        return (struct lp_given){.kind = LP_GIVEN_BOOL, .number = config_setting_get_bool(setting)};
    case CONFIG_TYPE_STRING: {
        const char *text = config_setting_get_string(setting);
        return (struct lp_given){.kind = LP_GIVEN_STRING, .text = text ? text : ""};
    }
    default:
        return (struct lp_given){.kind = LP_GIVEN_LIST};
    }
}

static int fail_outside(const char *where, const char *name, const char *in, const char *meant)
{
    return lp_fail(-EINVAL, "%s: unknown key `%.100s'%s; `%s' stands outside of groups", where,
                   name, in, meant);
}

/* group: "" or "io". */
static int fail_unknown_key(const char *where, const char *name, const char *group, const char *key)
{
    char in[LP_NAME_BYTES] = "";
    struct lp_nearest nearest = lp_row_nearest(key);
    const char *suggestion = lp_rows[nearest.index].key;
    size_t group_bytes = strlen(group);
    if (group_bytes) {
        snprintf(in, sizeof in, " in group `%s'", group);
        if (strcmp(name, lp_pools_group) == 0) {
            return fail_outside(where, name, in, lp_pools_group);
        }
        if (strncmp(suggestion, group, group_bytes) == 0 && suggestion[group_bytes] == '.') {
            suggestion += group_bytes + 1;
        } else if (!strchr(suggestion, '.') && lp_nearest_is_close(&nearest)) {
            return fail_outside(where, name, in, suggestion);
        }
    }
    return lp_fail_unknown(where, "key", name, in, &nearest, suggestion);
}

static int fail_unknown_group(const char *where, const char *name)
{
    char candidate[LP_NAME_BYTES];
    struct lp_nearest nearest = {.wanted = name, .index = -1};
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        const char *dot = strrchr(lp_rows[row].key, '.');
        if (dot) {
            snprintf(candidate, sizeof candidate, "%.*s", (int)(dot - lp_rows[row].key),
                     lp_rows[row].key);
            lp_nearest_offer(&nearest, candidate, 0, row);
        }
    }
    lp_nearest_offer(&nearest, lp_pools_group, 0, LP_KEY_COUNT);
    if (nearest.index == LP_KEY_COUNT) {
        snprintf(candidate, sizeof candidate, "%s", lp_pools_group);
    } else {
        const char *key = lp_rows[nearest.index].key;
        snprintf(candidate, sizeof candidate, "%.*s", (int)(strrchr(key, '.') - key), key);
    }
    return lp_fail_unknown(where, "group", name, "", &nearest, candidate);
}

static int fail_no_setting(const char *where, const char *key, const char *takes)
{
    return lp_fail(-EINVAL, "%s: %s is a setting, not a group; it takes %s", where, key, takes);
}

static int fail_no_group(const char *where, const char *key, const char *name)
{
    return lp_fail(-EINVAL, "%s: %s is a group, written %s: { ... };", where, key, name);
}

/* Takes the group of one pool. An empty one declares it, too. */
static int take_pool(struct lp_batch *batch, const struct lp_file_text *text,
                     const config_setting_t *pool)
{
    const char *name = config_setting_name(pool);
    char where[WHERE_BYTES], path[LP_NAME_BYTES], key[LP_NAME_BYTES], takes[LP_NAME_BYTES];
    char in[LP_NAME_BYTES + 16];
    describe_origin(text, config_setting_source_line(pool), where);
    snprintf(path, sizeof path, "%s.%.*s", lp_pools_group, LP_NAME_BYTES / 2, name);
    if (config_setting_type(pool) != CONFIG_TYPE_GROUP) {
        return fail_no_group(where, path, name);
    }
    int err = lp_batch_declare_pool(batch, name, where);
    for (int i = 0; err == 0 && i < config_setting_length(pool); i++) {
        const config_setting_t *setting = config_setting_get_elem(pool, (unsigned)i);
        const char *member_name = config_setting_name(setting);
        int member = lp_pool_member_find(member_name);
        describe_origin(text, config_setting_source_line(setting), where);
        if (member < 0) {
            snprintf(in, sizeof in, " in group `%s'", path);
            struct lp_nearest nearest = lp_pool_member_nearest(member_name);
            err = lp_fail_unknown(where, "key", member_name, in, &nearest,
                                  lp_pool_rows[nearest.index].key);
        } else if (config_setting_type(setting) == CONFIG_TYPE_GROUP) {
            lp_pool_key_print(name, member, key);
            lp_row_takes(&lp_pool_rows[member], takes);
            err = fail_no_setting(where, key, takes);
        } else {
            struct lp_given given = given_by(setting);
            err = lp_batch_put_pool(batch, name, member, &given, where, where);
        }
    }
    return err;
}

static int take_pools(struct lp_batch *batch, const struct lp_file_text *text,
                      const config_setting_t *pools)
{
    int err = 0;
    for (int i = 0; err == 0 && i < config_setting_length(pools); i++) {
        err = take_pool(batch, text, config_setting_get_elem(pools, (unsigned)i));
    }
    return err;
}

/* Takes the members of a group; path is "" or the group's name. Goes no deeper than the keys of
 * the table do. */
static int take_group(struct lp_batch *batch, const struct lp_file_text *text,
                      const config_setting_t *group, const char *path)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(member);
        bool member_is_group = config_setting_type(member) == CONFIG_TYPE_GROUP;
        char key[LP_NAME_BYTES], where[WHERE_BYTES], takes[LP_NAME_BYTES];
        /* A name that is cut here is unknown anyway. */
        int bytes = snprintf(key, sizeof key, "%s%s%s", path, *path ? "." : "", name);
        describe_origin(text, config_setting_source_line(member), where);
        int row = bytes < (int)sizeof key ? lp_row_find(key) : -1;
        int err;
        if (row >= 0 && member_is_group) {
            lp_row_takes(&lp_rows[row], takes);
            err = fail_no_setting(where, key, takes);
        } else if (row >= 0) {
            struct lp_given given = given_by(member);
            err = lp_batch_put(batch, row, &given, where, where);
        } else if (strcmp(key, lp_pools_group) == 0) {
            err =
                member_is_group ? take_pools(batch, text, member) : fail_no_group(where, key, name);
        } else if (is_group(key)) {
            err = member_is_group ? take_group(batch, text, member, key)
                                  : fail_no_group(where, key, name);
        } else if (member_is_group && !*path) {
            err = fail_unknown_group(where, name);
        } else {
            err = fail_unknown_key(where, name, path, key);
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int take_text(struct lp_batch *batch, const struct lp_file_text *text, config_t *parsed)
{
    char where[WHERE_BYTES];
    if (config_read_string(parsed, text->text ? text->text : "") != CONFIG_TRUE) {
        const char *what = config_error_text(parsed);
        describe_origin(text, (unsigned)config_error_line(parsed), where);
        return lp_fail(-EINVAL, "%s: %s", where, what ? what : "not readable");
    }
    const config_setting_t *root = config_root_setting(parsed);
    const config_setting_t *own = config_setting_get_member(root, "loomp");
    if (!own) {
        return take_group(batch, text, root, "");
    }
    if (config_setting_type(own) != CONFIG_TYPE_GROUP) {
        describe_origin(text, config_setting_source_line(own), where);
        return lp_fail(-EINVAL, "%s: loomp is a group, written loomp: { ... };", where);
    }
    return take_group(batch, text, own, "");
}

static int read_file(loomp_config *config, const char *path, bool optional)
{
    if (!path) {
        return lp_fail(-EINVAL, "loomp_config_file: no path given");
    }
    struct lp_file_text text;
    int err = lp_file_text_init(&text, path);
    if (err != 0) {
        return err == -ENOENT && optional ? 0 : err;
    }
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_FILE);
    config_t parsed;
    config_init(&parsed);
    err = take_text(&batch, &text, &parsed);
    config_destroy(&parsed);
    if (err == 0) {
        err = lp_batch_commit(&batch, config);
    } else {
        lp_batch_discard(&batch);
    }
    lp_file_text_fini(&text);
    return err;
}

int loomp_config_file(loomp_config *config, const char *path)
{
    return read_file(config, path, false);
}

int loomp_config_file_optional(loomp_config *config, const char *path)
{
    return read_file(config, path, true);
}
