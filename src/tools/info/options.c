/* SPDX-License-Identifier: MIT */
/* Owns the command line of loomp-info: what options there are, and what their values mean. */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_S 2.0

static const char *const no_synonyms[] = {NULL};

#define SETTING(name, value, setting, help)                                                        \
    {                                                                                              \
        name, 0, LP_VALUE_NEEDED, value, setting, NULL, no_synonyms, help                          \
    }
#define VALUE(name, value, help)                                                                   \
    {                                                                                              \
        name, 0, LP_VALUE_NEEDED, value, NULL, NULL, no_synonyms, help                             \
    }
#define SWITCH(name, letter, help)                                                                 \
    {                                                                                              \
        name, letter, LP_VALUE_NONE, NULL, NULL, NULL, no_synonyms, help                           \
    }

static const struct lp_option table[] = {
    VALUE("topology", "PATH",
          "for the machine of a hwloc XML file, a recorded tree or its archive"),
    VALUE("synthetic", "TEXT", "for a machine described like \"pack:2 core:8 pu:2\""),
    VALUE("root", "DIR", "proc and sys of a recorded machine, for groups and devices"),
    VALUE("cpus", "LIST", "as if these CPUs were allowed, like 0-5,8"),
    VALUE("quota", "N", "as if this were the CPU quota, like 7.5"),
    VALUE("rank", "R/N", "for local rank R of N"),
    VALUE("io", "N", "for N I/O threads, 0 for none"),
    SETTING("gpu", "GPUS", "gpu", "near these: 0, amd:1, a UUID, a PCI address, all"),
    VALUE("config", "FILE", "settings file, instead of $LOOMP_CONFIG"),
    SWITCH("json", 0, "show everything, for programs"),
    SWITCH("env", 0, "show assignments of OMP_PLACES and its like, for eval"),
    VALUE("svg", "FILE", "draw the plan on the machine; - is standard output"),
    SWITCH("why", 0, "show every decision with its reason"),
    SWITCH("settings", 0, "show every setting, its value and where it came from"),
    VALUE("pid", "N", "show the threads of process N: where bound, where last run"),
    VALUE("check", "PROGRAM", "show which OpenMP runtimes a program loads"),
    VALUE("save-topology", "FILE", "write a file for the setting topology"),
    {"watch", 0, LP_VALUE_OPTIONAL, "SECONDS", NULL, NULL, no_synonyms,
     "show the page or --pid again every 2 seconds"},
    SWITCH("help", 'h', "this text; --loomp-help lists the settings"),
    SWITCH("version", 0, "the version"),
    {0},
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A whole number from low to high and nothing else. */
static bool whole(const char *text, long low, long high, long *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || text[strspn(text, "0123456789")] || value < low ||
        value > high) {
        return false;
    }
    *out = value;
    return true;
}

/* A positive number, without the words and hexadecimal forms that strtod also takes. This program
 * never leaves the C locale, so a point is a point. */
static bool positive(const char *text, double high, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || text[strspn(text, "0123456789.eE+-")] || !(value > 0) ||
        value > high) {
        return false;
    }
    *out = value;
    return true;
}

/* Both settings, as the options that they have themselves. */
static int take_rank(struct info_options *options, const char *value)
{
    const char *slash = strchr(value, '/');
    long rank, size;
    char first[16], local[64], local_size[64];
    snprintf(first, sizeof first, "%.*s", slash ? (int)(slash - value) : 0, value);
    if (!slash || slash - value >= (int)sizeof first || !whole(first, 0, 65535, &rank) ||
        !whole(slash + 1, 1, 65536, &size) || rank >= size) {
        return lp_fail(-EINVAL,
                       "--rank takes a rank and the number of ranks like 0/4, not `%.100s'", value);
    }
    snprintf(local, sizeof local, "--loomp-rank-local=%ld", rank);
    snprintf(local_size, sizeof local_size, "--loomp-rank-local-size=%ld", size);
    char *argv[] = {"loomp-info", local, local_size, NULL};
    int argc = 3;
    return loomp_config_args(options->config, &argc, argv);
}

static int take_number(const char *name, const char *value, long low, long high, int *out)
{
    long number;
    if (!whole(value, low, high, &number)) {
        return lp_fail(-EINVAL, "--%s takes a whole number from %ld to %ld, not `%.100s'", name,
                       low, high, value);
    }
    *out = (int)number;
    return 0;
}

static int take_real(const char *name, const char *value, double high, double *out)
{
    return positive(value, high, out)
               ? 0
               : lp_fail(-EINVAL, "--%s takes a number above 0 and up to %.0f, not `%.100s'", name,
                         high, value);
}

static const char *output_name(enum info_output output)
{
    static const char *const names[] = {
        [INFO_PAGE] = "",       [INFO_JSON] = "json",       [INFO_ENV] = "env",
        [INFO_SVG] = "svg",     [INFO_WHY] = "why",         [INFO_SETTINGS] = "settings",
        [INFO_PROCESS] = "pid", [INFO_CHECK] = "check",     [INFO_SAVE_TOPOLOGY] = "save-topology",
        [INFO_HELP] = "help",   [INFO_VERSION] = "version",
    };
    return names[output];
}

/* An output may be named twice, but there is only one. */
static int take_output(struct info_options *options, const char *name)
{
    int wanted = INFO_JSON;
    while (strcmp(output_name((enum info_output)wanted), name) != 0) {
        wanted++;
    }
    if (options->output != INFO_PAGE && (int)options->output != wanted) {
        return lp_fail(-EINVAL, "--%s and --%s cannot be asked for at once",
                       output_name(options->output), name);
    }
    options->output = (enum info_output)wanted;
    return 0;
}

static int take_source(struct info_options *options, const char *name, const char *value)
{
    const char **out = strcmp(name, "topology") == 0    ? &options->topology
                       : strcmp(name, "synthetic") == 0 ? &options->synthetic
                       : strcmp(name, "root") == 0      ? &options->root
                                                        : &options->file;
    *out = value;
    return *value ? 0 : lp_fail(-EINVAL, "--%s takes a text that is not empty", name);
}

static int take_cpus(struct info_options *options, const char *value)
{
    options->cpus = value;
    if (!*value) {
        return lp_fail(-EINVAL, "--cpus takes a list like 0-5,8, not an empty text");
    }
    return lp_cpu_list_parse(value, NULL, NULL);
}

static int take(void *arg, const struct lp_option *option, const char *value)
{
    struct info_options *options = arg;
    const char *name = option->name;
    if (strcmp(name, "cpus") == 0) {
        return take_cpus(options, value);
    }
    if (strcmp(name, "quota") == 0) {
        return take_real(name, value, 1e6, &options->quota);
    }
    if (strcmp(name, "rank") == 0) {
        return take_rank(options, value);
    }
    if (strcmp(name, "io") == 0) {
        return take_number(name, value, 0, 1024, &options->io_threads);
    }
    if (strcmp(name, "watch") == 0) {
        options->watch_s = WATCH_S;
        return value ? take_real(name, value, 86400, &options->watch_s) : 0;
    }
    if (strcmp(name, "topology") == 0 || strcmp(name, "synthetic") == 0 ||
        strcmp(name, "root") == 0 || strcmp(name, "config") == 0) {
        return take_source(options, name, value);
    }
    int err = take_output(options, name);
    if (!err && strcmp(name, "pid") == 0) {
        return take_number(name, value, 1, 1L << 30, &options->pid);
    }
    if (!err && option->value == LP_VALUE_NEEDED) {
        options->target = value;
        return *value ? 0 : lp_fail(-EINVAL, "--%s takes the name of a file", name);
    }
    return err;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int check_combination(const struct info_options *options)
{
    if (options->topology && options->synthetic) {
        return lp_fail(-EINVAL, "--topology and --synthetic cannot be given at once");
    }
    if (options->watch_s > 0 && options->output != INFO_PAGE && options->output != INFO_PROCESS) {
        return lp_fail(-EINVAL, "--watch goes with the page and with --pid, not with --%s",
                       output_name(options->output));
    }
    if ((options->output == INFO_PROCESS || options->watch_s > 0) &&
        (options->topology || options->synthetic || options->root)) {
        return lp_fail(-EINVAL,
                       "%s is about this machine; --topology, --synthetic and --root are "
                       "about others",
                       options->output == INFO_PROCESS ? "--pid" : "--watch");
    }
    return 0;
}

int info_options_read(struct info_options *options, int argc, char **argv)
{
    *options = (struct info_options){.io_threads = -1, .config = loomp_config_new()};
    if (!options->config) {
        return -ENOMEM;
    }
    struct lp_options reader = {
        .tool = "loomp-info",
        .table = table,
        .take = take,
        .arg = options,
    };
    int end = lp_options_read(&reader, options->config, argc, argv);
    int err = end < 0 ? end : 0;
    if (!err && end < argc) {
        err = lp_fail(-EINVAL, "`%.100s' is no option; --help lists them", argv[end]);
    }
    if (!err) {
        options->output = reader.wants_settings_help ? INFO_SETTINGS_HELP : options->output;
        err = check_combination(options);
    }
    if (!err && options->output != INFO_HELP && options->output != INFO_VERSION) {
        bool here = !options->topology && !options->synthetic && !options->root;
        err = here ? lp_settings_read_openmp(options->config) : 0;
        if (!err) {
            err = lp_options_other_sources(options->config, options->file);
        }
    }
    if (err) {
        info_options_fini(options);
    }
    return err;
}

void info_options_fini(struct info_options *options)
{
    loomp_config_free(options->config);
    options->config = NULL;
}

void info_options_help(FILE *out)
{
    fprintf(out, "usage: loomp-info [options]\n"
                 "Shows where loomp would run which thread, and why: a page to read, unless an "
                 "option asks for\nanother form.\n\n");
    lp_options_help(table, out);
    fprintf(out, "  %-34s %s\n", "    --loomp-KEY=VALUE", "any setting");
}
