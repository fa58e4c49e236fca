/* SPDX-License-Identifier: MIT */
/* Owns the way from a file to libconfig's tree, and from its settings to values. One thread at a
 * time per tree; it blocks on files. */
#include "settings/file_tree.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>

static void describe_line(const struct lp_file_text *text, unsigned line,
                          char where[LP_WHERE_BYTES])
{
    unsigned line_of_file;
    const char *file = lp_file_text_origin(text, line, &line_of_file);
    snprintf(where, LP_WHERE_BYTES, "%.200s:%u", file, line_of_file);
}

int lp_file_tree_init(struct lp_file_tree *tree, const char *path)
{
    int err = lp_file_text_init(&tree->text, path);
    if (err != 0) {
        return err;
    }
    config_init(&tree->parsed);
    if (config_read_string(&tree->parsed, tree->text.text ? tree->text.text : "") != CONFIG_TRUE) {
        char where[LP_WHERE_BYTES];
        const char *what = config_error_text(&tree->parsed);
        describe_line(&tree->text, (unsigned)config_error_line(&tree->parsed), where);
        err = lp_fail(-EINVAL, "%s: %s", where, what ? what : "not readable");
        lp_file_tree_fini(tree);
    }
    return err;
}

void lp_file_tree_fini(struct lp_file_tree *tree)
{
    config_destroy(&tree->parsed);
    lp_file_text_fini(&tree->text);
}

void lp_file_tree_where(const struct lp_file_tree *tree, const config_setting_t *setting,
                        char where[LP_WHERE_BYTES])
{
    describe_line(&tree->text, config_setting_source_line(setting), where);
}

struct lp_given lp_file_tree_given(const config_setting_t *setting)
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
