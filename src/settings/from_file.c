/* SPDX-License-Identifier: MIT */
/* Owns the source "file": from libconfig's tree to values. One thread at a time per config; it
 * blocks on files. */
#include "settings/settings.h"

#include "base/error.h"
#include "settings/batch.h"
#include "settings/file_tree.h"

#include <errno.h>
#include <string.h>

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
        if (lp_family_find(name)) {
            return fail_outside(where, name, in, name);
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
    for (int i = 0; i < LP_FAMILY_COUNT; i++) {
        lp_nearest_offer(&nearest, lp_families[i]->group, 0, LP_KEY_COUNT + i);
    }
    if (nearest.index >= LP_KEY_COUNT) {
        snprintf(candidate, sizeof candidate, "%s",
                 lp_families[nearest.index - LP_KEY_COUNT]->group);
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

/* Takes the group of one pool or site. An empty one declares it, too. */
static int take_name(struct lp_batch *batch, const struct lp_file_tree *tree,
                     const struct lp_family *family, const config_setting_t *group)
{
    const char *name = config_setting_name(group);
    char where[LP_WHERE_BYTES], path[LP_NAME_BYTES], key[LP_NAME_BYTES], takes[LP_NAME_BYTES];
    char in[LP_NAME_BYTES + 16];
    lp_file_tree_where(tree, group, where);
    snprintf(path, sizeof path, "%s.%.*s", family->group, LP_NAME_BYTES / 2, name);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP) {
        return fail_no_group(where, path, name);
    }
    int err = lp_batch_declare(batch, family, name, where);
    for (int i = 0; err == 0 && i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const char *member_name = config_setting_name(setting);
        int member = lp_member_find(family, member_name);
        lp_file_tree_where(tree, setting, where);
        if (member < 0) {
            snprintf(in, sizeof in, " in group `%s'", path);
            struct lp_nearest nearest = lp_member_nearest(family, member_name);
            err = lp_fail_unknown(where, "key", member_name, in, &nearest,
                                  family->rows[nearest.index].key);
        } else if (config_setting_type(setting) == CONFIG_TYPE_GROUP) {
            lp_family_key_print(family, name, member, key);
            lp_row_takes(&family->rows[member], takes);
            err = fail_no_setting(where, key, takes);
        } else {
            struct lp_given given = lp_file_tree_given(setting);
            err = lp_batch_put_member(batch, family, name, member, &given, where, where);
        }
    }
    return err;
}

static int take_names(struct lp_batch *batch, const struct lp_file_tree *tree,
                      const struct lp_family *family, const config_setting_t *names)
{
    int err = 0;
    for (int i = 0; err == 0 && i < config_setting_length(names); i++) {
        err = take_name(batch, tree, family, config_setting_get_elem(names, (unsigned)i));
    }
    return err;
}

/* Takes the members of a group; path is "" or the group's name. Goes no deeper than the keys of
 * the table do. */
static int take_group(struct lp_batch *batch, const struct lp_file_tree *tree,
                      const config_setting_t *group, const char *path)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(member);
        bool member_is_group = config_setting_type(member) == CONFIG_TYPE_GROUP;
        char key[LP_NAME_BYTES], where[LP_WHERE_BYTES], takes[LP_NAME_BYTES];
        /* A name that is cut here is unknown anyway. */
        int bytes = snprintf(key, sizeof key, "%s%s%s", path, *path ? "." : "", name);
        lp_file_tree_where(tree, member, where);
        int row = bytes < (int)sizeof key ? lp_row_find(key) : -1;
        const struct lp_family *family = lp_family_find(key);
        int err;
        if (row >= 0 && member_is_group) {
            lp_row_takes(&lp_rows[row], takes);
            err = fail_no_setting(where, key, takes);
        } else if (row >= 0) {
            struct lp_given given = lp_file_tree_given(member);
            err = lp_batch_put(batch, row, &given, where, where);
        } else if (family) {
            err = member_is_group ? take_names(batch, tree, family, member)
                                  : fail_no_group(where, key, name);
        } else if (is_group(key)) {
            err = member_is_group ? take_group(batch, tree, member, key)
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

static int take_tree(struct lp_batch *batch, const struct lp_file_tree *tree)
{
    const config_setting_t *root = config_root_setting(&tree->parsed);
    const config_setting_t *own = config_setting_get_member(root, "loomp");
    if (!own) {
        return take_group(batch, tree, root, "");
    }
    if (config_setting_type(own) != CONFIG_TYPE_GROUP) {
        char where[LP_WHERE_BYTES];
        lp_file_tree_where(tree, own, where);
        return lp_fail(-EINVAL, "%s: loomp is a group, written loomp: { ... };", where);
    }
    return take_group(batch, tree, own, "");
}

static int read_file(loomp_config *config, const char *path, bool optional)
{
    if (!path) {
        return lp_fail(-EINVAL, "loomp_config_file: no path given");
    }
    struct lp_file_tree tree;
    int err = lp_file_tree_init(&tree, path);
    if (err != 0) {
        return err == -ENOENT && optional ? 0 : err;
    }
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_FILE);
    err = take_tree(&batch, &tree);
    if (err == 0) {
        err = lp_batch_commit(&batch, config);
    } else {
        lp_batch_discard(&batch);
    }
    lp_file_tree_fini(&tree);
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
