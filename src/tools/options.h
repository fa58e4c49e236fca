/* SPDX-License-Identifier: MIT */
/* The command line of the tools: one table of options per tool, every setting of the library as
 * --loomp-KEY=VALUE, and the other sources of settings. One thread. */
#ifndef LP_TOOLS_OPTIONS_H
#define LP_TOOLS_OPTIONS_H

#include "settings/settings.h"

#include <stdbool.h>
#include <stdio.h>

enum lp_option_value {
    LP_VALUE_NONE,
    LP_VALUE_OPTIONAL,
    LP_VALUE_NEEDED
};

struct lp_option {
    const char *name;            /* without the dashes; NULL ends a table */
    char letter;                 /* its short form, or 0 */
    enum lp_option_value value;  /* an optional one follows after `=' only */
    const char *value_name;      /* in the help: "LIST" */
    const char *setting;         /* short for --loomp-SETTING=VALUE; NULL: the tool takes it */
    const char *without;         /* the setting's value if none is given */
    const char *const *synonyms; /* pairs of a word and what the setting calls it, then NULL */
    const char *help;
};

struct lp_options {
    const char *tool; /* "loomp-run" */
    const struct lp_option *table;
    /* Given each option without a setting; 0 or a negative errno with a sentence. */
    int (*take)(void *arg, const struct lp_option *option, const char *value);
    void *arg;
    bool wants_settings_help; /* set when --loomp-help was among the options */
};

/* Reads options up to the first word that is none, or to "--". Settings go into the config as those
 * of the command line, a later one replaces an earlier one. Returns the index of the first word
 * after the options (argc: none), or a negative errno with a sentence that names the option. */
int lp_options_read(struct lp_options *options, loomp_config *config, int argc, char **argv);

/* One line per option. */
void lp_options_help(const struct lp_option *table, FILE *out);

/* The weaker sources, as loomp_start reads them: the file (NULL: the one that LOOMP_CONFIG names,
 * if any) and the variables LOOMP_*. 0 or a negative errno with a sentence. */
int lp_options_other_sources(loomp_config *config, const char *file);

#endif
