/* SPDX-License-Identifier: MIT */
/* loomp-info: shows where loomp would run which thread, on this machine or another, and why. */
#include "tools/info/info.h"

#include "base/error.h"

#include <loomp/version.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAILED = 1,
    MISUSED = 2
};

static int complain(int status)
{
    fprintf(stderr, "loomp-info: %s\n", loomp_error());
    return status;
}

static int print(const struct info *info, FILE *out)
{
    switch (info->options->output) {
    case INFO_JSON:
        return info_print_json(info, out);
    case INFO_ENV:
        return info_print_env(info, out);
    case INFO_SVG:
        return info_print_svg(info, out);
    case INFO_WHY:
        return info_print_why(info, out);
    default:
        return info_print_page(info, out);
    }
}

/* What nobody would see otherwise. The page and JSON show warnings themselves. */
static void warn(const struct info *info)
{
    if (info->options->output == INFO_PAGE || info->options->output == INFO_JSON) {
        return;
    }
    for (unsigned i = 0; i < info->log.count; i++) {
        fprintf(stderr, "loomp-info: %s\n", info->log.lines[i]);
    }
    for (unsigned i = 0; i < info->plan.warnings.count && info->options->output != INFO_WHY; i++) {
        fprintf(stderr, "loomp-info: %s\n", info->plan.warnings.entries[i].text);
    }
}

static int print_to_file(const struct info *info)
{
    const char *name = info->options->target;
    FILE *out = fopen(name, "we");
    if (!out) {
        return lp_fail(-errno, "cannot write %s: %s", name, strerror(errno));
    }
    int err = print(info, out);
    bool bad = ferror(out);
    if ((fclose(out) || bad) && !err) {
        err = lp_fail(-EIO, "cannot write %s: %s", name, strerror(errno));
    }
    return err;
}

static int show(const struct info_options *options)
{
    struct info info;
    int err = info_read(&info, options, 0);
    if (err) {
        return err;
    }
    if (options->output == INFO_SAVE_TOPOLOGY) {
        err = lp_topology_save(&info.survey.topology, options->target);
    } else if (options->output == INFO_SVG && strcmp(options->target, "-") != 0) {
        err = print_to_file(&info);
    } else {
        err = print(&info, stdout);
    }
    warn(&info);
    info_fini(&info);
    return err;
}

static int run(const struct info_options *options)
{
    switch (options->output) {
    case INFO_HELP:
        info_options_help(stdout);
        return 0;
    case INFO_SETTINGS_HELP:
        loomp_config_help(stdout);
        return 0;
    case INFO_VERSION:
        puts("loomp-info (loomp) " LOOMP_VERSION_STRING);
        return 0;
    case INFO_SETTINGS:
        return info_print_settings(options->config, stdout);
    case INFO_PROCESS:
        return info_watch_process(options, stdout);
    case INFO_CHECK:
        return info_check(options, stdout);
    default:
        return options->watch_s > 0 ? info_watch_page(options, stdout) : show(options);
    }
}

int main(int argc, char **argv)
{
    struct info_options options;
    if (info_options_read(&options, argc, argv)) {
        return complain(MISUSED);
    }
    int err = run(&options);
    info_options_fini(&options);
    if (!err && (fflush(stdout) || ferror(stdout))) {
        err = lp_fail(-EIO, "cannot write the output: %s", strerror(errno));
    }
    return err ? complain(FAILED) : EXIT_SUCCESS;
}
