/* SPDX-License-Identifier: MIT */
/* A libconfig file as a tree whose errors can name file and line. Only src/settings includes it. */
#ifndef LP_SETTINGS_FILE_TREE_H
#define LP_SETTINGS_FILE_TREE_H

#include "settings/file_text.h"
#include "settings/value.h"

#include <libconfig.h>

enum {
    LP_WHERE_BYTES = 320
};

struct lp_file_tree {
    struct lp_file_text text;
    config_t parsed;
};

/* Reads and parses a file and what it includes. Blocks on the files. Returns 0 or what
 * lp_file_text_init returns, -EINVAL also for what libconfig does not take. Fini is due on success
 * only. */
int lp_file_tree_init(struct lp_file_tree *tree, const char *path);
void lp_file_tree_fini(struct lp_file_tree *tree);

/* "app.conf:7" */
void lp_file_tree_where(const struct lp_file_tree *tree, const config_setting_t *setting,
                        char where[LP_WHERE_BYTES]);

/* The value of a setting; texts belong to the tree. */
struct lp_given lp_file_tree_given(const config_setting_t *setting);

#endif
