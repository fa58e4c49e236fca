/* SPDX-License-Identifier: MIT */
/* Owns the reading of the tools' command lines. getopt_long is not used because it knows neither
 * --loomp-KEY nor which setting a word stands for. One thread. */
#include "tools/options.h"

#include "base/error.h"
#include "settings/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static int fail_unknown(const struct lp_options *options, const char *word)
{
    char name[LP_NAME_BYTES], suggestion[2 * LP_NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    struct lp_nearest nearest = {.wanted = name + strspn(name, "-"), .index = -1};
    for (int i = 0; options->table[i].name; i++) {
        lp_nearest_offer(&nearest, options->table[i].name, 0, i);
    }
    if (nearest.index < 0 || !lp_nearest_is_close(&nearest)) {
        return lp_fail(-EINVAL, "unknown option `%.100s'; %s --help lists them", word,
                       options->tool);
    }
    snprintf(suggestion, sizeof suggestion, "--%s", options->table[nearest.index].name);
    return lp_fail_unknown(NULL, "option", word, "", &nearest, suggestion);
}

/* One option of the library's own, as a command line of its own, so that a later one wins. */
static int set(loomp_config *config, const char *argument, bool *help)
{
    char *copy = strdup(argument);
    if (!copy) {
        return lp_fail(-ENOMEM, "no memory for the option %.100s", argument);
    }
    char *line[] = {copy, copy, NULL};
    int count = 2;
    int result = loomp_config_args(config, &count, line);
    if (result > 0) {
        *help = true;
        result = 0;
    }
    free(copy);
    return result;
}

/* Puts the short option's name before an error sentence in place of the long one's. */
static int fail_as(int err, const struct lp_option *option)
{
    char long_name[128], sentence[512];
    snprintf(long_name, sizeof long_name, "--loomp-%s", option->setting);
    snprintf(sentence, sizeof sentence, "%s", loomp_error());
    const char *rest = begins(sentence, long_name) ? sentence + strlen(long_name) : NULL;
    return lp_fail(err, "--%s%s%s", option->name, rest ? "" : ": ", rest ? rest : sentence);
}

static int set_for(loomp_config *config, const struct lp_option *option, const char *value)
{
    for (const char *const *pair = option->synonyms; pair && *pair; pair += 2) {
        if (strcasecmp(value, pair[0]) == 0) {
            value = pair[1];
            break;
        }
    }
    char *argument;
    if (asprintf(&argument, "--loomp-%s=%s", option->setting, value) < 0) {
        return lp_fail(-ENOMEM, "no memory for the option --%s", option->name);
    }
    bool help;
    int err = set(config, argument, &help);
    free(argument);
    return err ? fail_as(err, option) : 0;
}

/* Of "name" or "name=value" after two dashes, or of the letter after one. */
static const struct lp_option *find(const struct lp_option *table, const char *word)
{
    bool is_long = begins(word, "--");
    size_t bytes = is_long ? strcspn(word + 2, "=") : 0;
    for (const struct lp_option *option = table; option->name; option++) {
        if (is_long ? strlen(option->name) == bytes && memcmp(option->name, word + 2, bytes) == 0
                    : option->letter && word[1] == option->letter && !word[2]) {
            return option;
        }
    }
    return NULL;
}

/* Reads the option at *at and moves it behind. */
static int read_one(struct lp_options *options, loomp_config *config, int argc, char **argv,
                    int *at)
{
    const char *word = argv[(*at)++];
    if (begins(word, "--loomp-") || begins(word, "--no-loomp-")) {
        return set(config, word, &options->wants_settings_help);
    }
    const struct lp_option *option = find(options->table, word);
    if (!option) {
        return fail_unknown(options, word);
    }
    const char *value = begins(word, "--") ? strchr(word, '=') : NULL;
    if (value) {
        value++;
        if (option->value == LP_VALUE_NONE) {
            return lp_fail(-EINVAL, "--%s takes no value", option->name);
        }
    } else if (option->value == LP_VALUE_NEEDED) {
        if (*at >= argc || strcmp(argv[*at], "--") == 0) {
            return lp_fail(-EINVAL, "--%s needs a value: %s", option->name, option->value_name);
        }
        value = argv[(*at)++];
    }
    if (option->setting) {
        return set_for(config, option, value ? value : option->without);
    }
    return options->take(options->arg, option, value);
}

int lp_options_read(struct lp_options *options, loomp_config *config, int argc, char **argv)
{
    int at = 1;
    while (at < argc && argv[at][0] == '-' && argv[at][1]) {
        if (strcmp(argv[at], "--") == 0) {
            return at + 1;
        }
        int err = read_one(options, config, argc, argv, &at);
        if (err) {
            return err;
        }
    }
    return at;
}

void lp_options_help(const struct lp_option *table, FILE *out)
{
    for (const struct lp_option *option = table; option->name; option++) {
        char names[64];
        const char *open = option->value == LP_VALUE_NONE       ? ""
                           : option->value == LP_VALUE_OPTIONAL ? "[="
                                                                : "=";
        snprintf(names, sizeof names, "%s%.1s%s--%s%s%s%s", option->letter ? "-" : "    ",
                 option->letter ? &option->letter : "", option->letter ? ", " : "", option->name,
                 open, option->value == LP_VALUE_NONE ? "" : option->value_name,
                 option->value == LP_VALUE_OPTIONAL ? "]" : "");
        fprintf(out, "  %-34s %s\n", names, option->help);
    }
}

int lp_options_other_sources(loomp_config *config, const char *file)
{
    if (!file) {
        file = lp_settings_environment("LOOMP_CONFIG");
    }
    int err = file && *file ? loomp_config_file(config, file) : 0;
    return err ? err : loomp_config_env(config, "LOOMP");
}
