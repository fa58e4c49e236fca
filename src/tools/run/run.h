/* SPDX-License-Identifier: MIT */
/* What the parts of loomp-run share: the choices of its command line, what it tells its user, and
 * the steps from a plan to a running program. loomp-run has one thread. */
#ifndef LP_TOOLS_RUN_RUN_H
#define LP_TOOLS_RUN_RUN_H

#include "placement/survey.h"
#include "tools/openmp_of.h"

#include <signal.h>
#include <stdbool.h>

/* As env(1), nohup(1) and timeout(1) end. */
enum {
    RUN_FAILED = 125,
    RUN_NOT_EXECUTABLE = 126,
    RUN_NOT_FOUND = 127
};

struct run_choices {
    const char *config_file; /* NULL: LOOMP_CONFIG */
    const char *near;        /* "nic:eth0", "disk:sda", "numa:1", or NULL; a GPU is a setting */
    double quota;            /* 0: the cgroup's */
    int io_threads;
    bool print;
    bool why;
    bool one_openmp;
    bool verify;
    bool strict;
    bool hidden_helpers;
    bool help;
    bool version;
};

/* ---- choices.c ------------------------------------------------------------------------------- */

/* Reads the command line; returns the index of the program or a negative errno with a sentence. */
int run_choices_read(struct run_choices *choices, loomp_config *config, int argc, char **argv);
void run_choices_help(FILE *out);

/* ---- messages.c ------------------------------------------------------------------------------ */

/* Takes over loomp's log. Warnings wait until run_messages_open says whether this rank is one that
 * speaks; without it they are written by run_failure. */
void run_messages_begin(void);
void run_messages_open(bool speaks);

/* A warning is counted, a note is not: it tells of a wish that the user has expressed. */
__attribute__((format(printf, 1, 2))) void run_warn(const char *format, ...);
__attribute__((format(printf, 1, 2))) void run_note(const char *format, ...);
unsigned run_warnings(void);

/* One line, also from a rank that does not speak. */
__attribute__((format(printf, 1, 2))) void run_say(const char *format, ...);

/* Says why and returns the exit status. */
__attribute__((format(printf, 2, 3))) int run_failure(int status, const char *format, ...);

/* ---- near.c ---------------------------------------------------------------------------------- */

/* Narrows the setting cpus to the CPUs near a device or of a NUMA node. Nothing near that is
 * allowed is a warning, and the setting stays. `reason` gets a sentence, or "". 0 or a negative
 * errno. */
int run_near(const char *near, const struct lp_survey *survey, loomp_config *config, char *reason,
             size_t size);

/* ---- variables.c ----------------------------------------------------------------------------- */

enum {
    RUN_VARIABLES = 6
};

/* One variable that the plan has a value for. */
struct run_variable {
    const char *name;
    char *text;        /* "NAME=value", or NULL: the plan has no opinion */
    const char *value; /* in it */
    const char *users; /* what the user has set, which stays; NULL: the text is set */
};

struct run_variables {
    struct run_variable entries[RUN_VARIABLES];
    bool user_binds; /* the user's places stay, so the plan's are none of the program's business */
    const char *not_applied; /* the user's variable that keeps threads from the plan's places */
};

/* What the program would get. preload: a library for LD_PRELOAD or NULL. 0 or -ENOMEM. */
int run_variables_make(struct run_variables *variables, const struct lp_plan *plan,
                       const struct run_choices *choices, const struct lp_openmp_runtimes *runtimes,
                       const char *preload);
void run_variables_fini(struct run_variables *variables);

/* How many threads the user's OMP_NUM_THREADS asks for, 0 if it does not. */
unsigned run_variables_user_threads(void);

/* A line for each that the user has set to something else, and the conflicts with the plan. */
void run_variables_report(const struct run_variables *variables, unsigned planned_threads,
                          const struct lp_openmp_runtimes *runtimes);

/* The environment with the variables in it; NULL without memory; the caller frees the array. The
 * texts belong to both arguments. */
char **run_variables_apply(const struct run_variables *variables, char **given);

/* ---- one_openmp.c ---------------------------------------------------------------------------- */

/* The library that takes libgomp's place, if this program can do with libomp. runtimes becomes what
 * the program will then load; *needed false: it has no libgomp. 0 or a negative errno with a
 * sentence. */
int run_one_openmp(const char *program, unsigned threads, struct lp_openmp_runtimes *runtimes,
                   bool *needed, char *library, size_t size);

/* ---- print.c --------------------------------------------------------------------------------- */

/* One line that a shell understands and that does what loomp-run would do; given: the environment,
 * whose variables of OpenMP are part of it. */
void run_print(const struct run_variables *variables, char *const *given, const lp_cpuset *mask,
               char *const *program);

/* ---- verify.c -------------------------------------------------------------------------------- */

struct run_expectation {
    const struct lp_plan *plan;
    const lp_cpuset *mask; /* that no thread should leave */
    unsigned threads;      /* in the team */
};

/* Runs the program as a child, with loomp-run's streams, process group and mask, compares where its
 * threads are with the plan until it ends, and ends as the program did: returns its exit status, or
 * dies by the same signal. Drift is RUN_FAILED with `strict` if the program itself ended well. */
int run_verified(char *const *program, char **environment,
                 const struct run_expectation *expectation, bool strict);

/* The exit status for an errno of exec. */
int run_exec_failure(const char *program, int error);

/* ---- child.c --------------------------------------------------------------------------------- */

struct run_child {
    int pid;
    int signals;     /* signalfd: what arrives for loomp-run, SIGCHLD among it */
    sigset_t before; /* the mask of signals that the child has */
};

/* Starts the program; 0 or the exit status after a failure was reported. */
int run_child_start(struct run_child *child, char *const *program, char **environment);

/* Waits up to timeout_ms (-1: no limit) and forwards signals meanwhile. True: the child has ended
 * and can still be looked at. */
bool run_child_wait(struct run_child *child, int timeout_ms);

/* Takes the ended child away and returns its exit status, or dies as it did. `status` 0 is replaced
 * by `instead`. */
int run_child_end(struct run_child *child, int instead);

/* ---- threads.c ------------------------------------------------------------------------------- */

struct run_thread {
    int tid;
    char name[32];
    lp_cpuset *mask;
};

/* The threads of one process, in the order of their numbers. */
struct run_threads {
    int pid;
    unsigned count;
    struct run_thread *entries;
};

/* Of the process and its descendants, the one with the most threads. A process that has ended
 * meanwhile has none. 0 or -ENOMEM. */
int run_threads_look(struct run_threads *threads, int pid);
void run_threads_fini(struct run_threads *threads);

#endif
