/* SPDX-License-Identifier: MIT */
/* What the parts of loomp-info share: the options, what was found out, and the ways to show it. One
 * thread; everything here blocks on files and streams. */
#ifndef LP_TOOLS_INFO_INFO_H
#define LP_TOOLS_INFO_INFO_H

#include "placement/survey.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum info_output {
    INFO_PAGE,
    INFO_JSON,
    INFO_ENV,
    INFO_SVG,
    INFO_WHY,
    INFO_SETTINGS,
    INFO_PROCESS,
    INFO_CHECK,
    INFO_SAVE_TOPOLOGY,
    INFO_HELP,
    INFO_VERSION,
    INFO_SETTINGS_HELP
};

/* The command line, and the settings of all sources. The texts are those of argv. */
struct info_options {
    enum info_output output;
    const char *target;    /* of INFO_SVG, INFO_SAVE_TOPOLOGY and INFO_CHECK: a file */
    int pid;               /* of INFO_PROCESS */
    double watch_s;        /* 0: look once */
    const char *topology;  /* a file, a directory or an archive; NULL */
    const char *synthetic; /* NULL */
    const char *root;      /* NULL */
    const char *cpus;      /* NULL */
    const char *file;      /* of settings; NULL */
    double quota;          /* 0: the cgroup's */
    int io_threads;        /* -1: the setting's */
    loomp_config *config;
};

/* Reads argv, the settings file and the environment. 0; a negative errno with a sentence. */
int info_options_read(struct info_options *options, int argc, char **argv);
void info_options_fini(struct info_options *options);
void info_options_help(FILE *out);

/* What the planner does not ask for and people want to know. */
struct info_host {
    char name[256];      /* of the machine, or of what stands for it */
    char cpu_model[128]; /* "" if unknown */
    lp_cpuset *offline;  /* NULL: none or unknown */
    unsigned node_count; /* NUMA nodes whose memory is known */
    struct info_node {
        unsigned os;
        uint64_t memory_bytes;
    } * nodes;
    unsigned openmp_count; /* OpenMP runtimes that a program without a search path would load */
    char openmp[4][256];
    char memory_policy[128];
};

/* root: prefix of /proc and /sys, NULL: a machine of which only the topology is known; here: that
 * it is the machine this program runs on. -ENOMEM with a sentence. */
int info_host_read(struct info_host *host, const char *name, const char *root, bool here);
void info_host_fini(struct info_host *host);
/* 0 if unknown. */
uint64_t info_host_memory(const struct info_host *host, unsigned node_os);

/* The lines that the library logged, for the page and for JSON; the rest goes to standard error. */
struct info_log {
    unsigned count;
    char **lines;
};

/* Throttling at the time of the page before, for --watch. */
struct info_throttling {
    bool known;
    uint64_t periods;
    uint64_t throttled_periods;
    double throttled_s;
};

struct info {
    const struct info_options *options;
    struct lp_survey survey;
    struct lp_plan plan;
    struct info_host host;
    struct info_log log;
    struct info_throttling before;
    bool here; /* it is this machine, as it is */
};

/* Finds everything out and plans. pid: the limits and CPUs of that process; 0: of this one. 0 or a
 * negative errno with a sentence. */
int info_read(struct info *info, const struct info_options *options, int pid);
void info_fini(struct info *info);

/* The outputs: 0, or a negative errno with a sentence. */
int info_print_page(const struct info *info, FILE *out);
int info_print_json(const struct info *info, FILE *out);
int info_print_env(const struct info *info, FILE *out);
int info_print_svg(const struct info *info, FILE *out);
int info_print_why(const struct info *info, FILE *out);

int info_print_settings(const loomp_config *config, FILE *out);

/* Look again and again until interrupted; options->watch_s 0: once. */
int info_watch_page(const struct info_options *options, FILE *out);
int info_watch_process(const struct info_options *options, FILE *out);

/* Which OpenMP runtimes a program loads; -EEXIST for more than one, with a sentence. */
int info_check(const struct info_options *options, FILE *out);

#endif
