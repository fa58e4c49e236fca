/* SPDX-License-Identifier: MIT */
/* Owns loomp-run's table of options. */
#include "tools/run/run.h"

#include "base/error.h"
#include "tools/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"P", "performance", "E", "efficiency", NULL};

/* In the order of the help. Those that stand for a setting come first. */
static const struct lp_option table[] = {
    {"threads", 't', LP_VALUE_NEEDED, "N", "compute-threads", NULL, NULL,
     "threads of the team; 0: as many as the limits allow"},
    {"places", 'p', LP_VALUE_NEEDED, "PLACES", "places", NULL, NULL,
     "cores, threads, l3, numa or a list like OMP_PLACES"},
    {"spread", 0, LP_VALUE_NEEDED, "WORD", "spread", NULL, NULL, "compact or scatter"},
    {"smt", 0, LP_VALUE_OPTIONAL, "WORD", "smt", "use", NULL,
     "hardware threads of a core: avoid, use (--smt alone), spill"},
    {"kind", 'k', LP_VALUE_NEEDED, "KIND", "cores", NULL, kinds,
     "performance cores P, efficiency cores E, or all"},
    {"cpus", 'c', LP_VALUE_NEEDED, "LIST", NULL, NULL, NULL, "only these CPUs, like 0-5,8"},
    {"reserve", 'r', LP_VALUE_NEEDED, "N", "reserve", NULL, NULL, "keep N CPUs back"},
    {"rounding", 0, LP_VALUE_NEEDED, "WORD", "rounding", NULL, NULL,
     "of a CPU quota: down, nearest, up"},
    {"near", 'n', LP_VALUE_NEEDED, "WHAT", NULL, NULL, NULL,
     "gpu:0, gpu:amd:1, nic:eth0, disk:nvme0n1, numa:1"},
    {"io", 'i', LP_VALUE_NEEDED, "N", NULL, NULL, NULL,
     "leave CPUs to N I/O threads of the program"},
    {"quota", 'q', LP_VALUE_NEEDED, "N", NULL, NULL, NULL, "plan for a quota of N CPUs"},
    {"config", 'f', LP_VALUE_NEEDED, "FILE", NULL, NULL, NULL,
     "settings, instead of $LOOMP_CONFIG"},
    {"one-openmp", '1', LP_VALUE_NONE, NULL, NULL, NULL, NULL,
     "run a program built with gcc on LLVM's OpenMP runtime"},
    {"hidden-helpers", 0, LP_VALUE_NONE, NULL, NULL, NULL, NULL,
     "leave libomp its hidden helper threads"},
    {"verify", 'v', LP_VALUE_NONE, NULL, NULL, NULL, NULL,
     "stay, and report threads that are not where they should be"},
    {"strict", 's', LP_VALUE_NONE, NULL, NULL, NULL, NULL, "do not run if there is a warning"},
    {"print", 0, LP_VALUE_NONE, NULL, NULL, NULL, NULL, "print the command instead of running it"},
    {"why", 'w', LP_VALUE_NONE, NULL, NULL, NULL, NULL, "print the reasons of the plan first"},
    {"help", 'h', LP_VALUE_NONE, NULL, NULL, NULL, NULL, "print this"},
    {"version", 'V', LP_VALUE_NONE, NULL, NULL, NULL, NULL, "print the version"},
    {0},
};

/* The two things that an option can be about beside the choices. */
struct reader {
    struct run_choices *choices;
    loomp_config *config;
};

/* As an option of its own, so that it is as strong as the others. */
static int set_as(const struct reader *reader, const char *name, const char *setting,
                  const char *value)
{
    const struct lp_option table_of_one[] = {
        {name, 0, LP_VALUE_NEEDED, "", setting, NULL, NULL, ""}, {0}};
    struct lp_options one = {.tool = "loomp-run", .table = table_of_one};
    char option[64];
    snprintf(option, sizeof option, "--%s", name);
    char *line[] = {(char *)"", option, (char *)(uintptr_t)value, NULL};
    int used = lp_options_read(&one, reader->config, 3, line);
    return used < 0 ? used : 0;
}

static int read_cpus(const struct reader *reader, const char *list)
{
    return *list ? set_as(reader, "cpus", "cpus", list)
                 : lp_fail(-EINVAL, "--cpus takes a list like 0-5,8, not an empty text");
}

static int read_near(const struct reader *reader, const char *what)
{
    static const char *const kinds_of_near[] = {"nic:", "disk:", "numa:"};
    if (strncmp(what, "gpu:", 4) == 0 && what[4]) {
        return set_as(reader, "near", "gpu", what + 4);
    }
    for (size_t i = 0; i < sizeof kinds_of_near / sizeof *kinds_of_near; i++) {
        size_t bytes = strlen(kinds_of_near[i]);
        if (strncmp(what, kinds_of_near[i], bytes) == 0 && what[bytes]) {
            reader->choices->near = what;
            return 0;
        }
    }
    return lp_fail(-EINVAL, "--near: `%.100s' is none of gpu:0, nic:eth0, disk:nvme0n1, numa:1",
                   what);
}

static int read_quota(const struct reader *reader, const char *text)
{
    char *end;
    double quota = strtod(text, &end);
    if (end == text || *end || !isfinite(quota) || quota <= 0 || quota > 1e6) {
        return lp_fail(-EINVAL, "--quota: `%.100s' is no number of CPUs above 0", text);
    }
    reader->choices->quota = quota;
    return 0;
}

static int read_io(const struct reader *reader, const char *text)
{
    char *end;
    long threads = strtol(text, &end, 10);
    if (end == text || *end || threads < 0 || threads > 1024) {
        return lp_fail(-EINVAL, "--io: `%.100s' is no whole number from 0 to 1024", text);
    }
    reader->choices->io_threads = (int)threads;
    return 0;
}

static int take(void *arg, const struct lp_option *option, const char *value)
{
    const struct reader *reader = arg;
    struct run_choices *choices = reader->choices;
    if (strcmp(option->name, "near") == 0) {
        return read_near(reader, value);
    }
    if (strcmp(option->name, "quota") == 0) {
        return read_quota(reader, value);
    }
    if (strcmp(option->name, "io") == 0) {
        return read_io(reader, value);
    }
    if (strcmp(option->name, "config") == 0) {
        choices->config_file = value;
        return *value ? 0
                      : lp_fail(-EINVAL, "--config takes the name of a file, not an empty text");
    }
    if (strcmp(option->name, "cpus") == 0) {
        return read_cpus(reader, value);
    }
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"print", &choices->print},
        {"why", &choices->why},
        {"one-openmp", &choices->one_openmp},
        {"verify", &choices->verify},
        {"strict", &choices->strict},
        {"hidden-helpers", &choices->hidden_helpers},
        {"help", &choices->help},
        {"version", &choices->version},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(option->name, flags[i].name) == 0) {
            *flags[i].flag = true;
        }
    }
    return 0;
}

int run_choices_read(struct run_choices *choices, loomp_config *config, int argc, char **argv)
{
    *choices = (struct run_choices){0};
    struct reader reader = {.choices = choices, .config = config};
    struct lp_options options = {.tool = "loomp-run", .table = table, .take = take, .arg = &reader};
    int first = lp_options_read(&options, config, argc, argv);
    if (first < 0) {
        return first;
    }
    choices->help |= options.wants_settings_help;
    if (first < argc && !*argv[first]) {
        return lp_fail(-EINVAL, "the program's name is empty; loomp-run --help says more");
    }
    if (first >= argc && !choices->help && !choices->version && !choices->print && !choices->why) {
        return lp_fail(-EINVAL, "there is no program to run; loomp-run --help says more");
    }
    return first;
}

void run_choices_help(FILE *out)
{
    fputs("usage: loomp-run [OPTION]... [--] PROGRAM [ARGUMENT]...\n\n"
          "Plans where the threads of an OpenMP program should be, for this control group, GPU\n"
          "and rank, sets OMP_PLACES and its like, binds, and becomes the program.\n\n",
          out);
    lp_options_help(table, out);
    fputs("\nand every setting of loomp:\n\n", out);
    loomp_config_help(out);
}
