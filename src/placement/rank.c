/* SPDX-License-Identifier: MIT */
/* Owns the knowledge of what launchers of parallel jobs say about a process. Pure but for warnings
 * in the log; any thread enters. */
#include "placement/rank.h"

#include "base/error.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    NUMBER_MAX = 1 << 20
};

/* Reads digits at *at and moves past them; false if there are none or the number is absurd. */
static bool read_digits(const char **at, int *number)
{
    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    int value = 0;
    for (; isdigit((unsigned char)**at); (*at)++) {
        value = value * 10 + (**at - '0');
        if (value > NUMBER_MAX) {
            return false;
        }
    }
    *number = value;
    return true;
}

static bool read_number(const char *text, int *number)
{
    int value;
    if (!read_digits(&text, &value) || *text) {
        return false;
    }
    *number = value;
    return true;
}

/* Reads the entry of a node in Slurm's list of tasks per node: "4(x2),3" is 4, 4, 3. */
static bool read_entry(const char *list, int node, int *tasks)
{
    while (*list) {
        int value, repeat = 1;
        if (!read_digits(&list, &value)) {
            return false;
        }
        if (strncmp(list, "(x", 2) == 0) {
            list += 2;
            if (!read_digits(&list, &repeat) || *list != ')') {
                return false;
            }
            list++;
        }
        if (node < repeat) {
            *tasks = value;
            return !*list || *list == ',';
        }
        node -= repeat;
        if (*list != ',') {
            return false;
        }
        list++;
    }
    return false;
}

/* The number of ranks on this node, from the launcher's text; false: no sense in it. */
static bool read_plain_size(const struct lp_environment *environment, const char *text, int *size)
{
    (void)environment;
    return read_number(text, size);
}

static bool read_slurm_size(const struct lp_environment *environment, const char *text, int *size)
{
    const char *node_text = lp_environment_get(environment, "SLURM_NODEID");
    int node = 0;
    return node_text && read_number(node_text, &node) && read_entry(text, node, size);
}

/* Flux has no variable for it. It deals tasks out evenly unless told otherwise, so where they do
 * not divide, nothing is known. */
static bool read_flux_size(const struct lp_environment *environment, const char *text, int *size)
{
    const char *nodes_text = lp_environment_get(environment, "FLUX_JOB_NNODES");
    int tasks, nodes = 0;
    if (!read_number(text, &tasks) || !nodes_text || !read_number(nodes_text, &nodes) ||
        nodes == 0 || tasks % nodes != 0) {
        return false;
    }
    *size = tasks / nodes;
    return true;
}

/* The first name of a pair that is set is read; the second may be NULL. */
struct launcher {
    const char *ranks[2];
    const char *sizes[2];
    const char *needs; /* without this variable the others mean nothing, or NULL */
    bool (*read_size)(const struct lp_environment *environment, const char *text, int *size);
};

/* The first that has an opinion wins. A launcher that is started inside another's job, as mpirun in
 * one of Slurm's, inherits the outer one's variables, so those that only start programs come before
 * those that own nodes.
 *
 * In a batch script or under salloc, Slurm describes the whole job: SLURM_LOCALID is 0 and
 * SLURM_TASKS_PER_NODE has what was asked for, even though this is the only process that runs and
 * all CPUs are its own. Only srun starts ranks, and a step's processes have SLURM_STEP_ID, which a
 * batch script has not. SLURM_NTASKS_PER_NODE is not asked: it stays what the job requested when a
 * step has fewer. */
static const struct launcher launchers[] = {
    {{"OMPI_COMM_WORLD_LOCAL_RANK"}, {"OMPI_COMM_WORLD_LOCAL_SIZE"}, NULL, read_plain_size},
    /* The second spelling is what PMIx sets for programs of MPICH. */
    {{"MPI_LOCALRANKID", "MPI_LOCALNRANKID"}, {"MPI_LOCALNRANKS"}, NULL, read_plain_size},
    {{"MV2_COMM_WORLD_LOCAL_RANK"}, {"MV2_COMM_WORLD_LOCAL_SIZE"}, NULL, read_plain_size},
    {{"PALS_LOCAL_RANKID"}, {"PALS_LOCAL_SIZE"}, NULL, read_plain_size},
    {{"FLUX_TASK_LOCAL_ID"}, {"FLUX_JOB_SIZE"}, "FLUX_TASK_LOCAL_ID", read_flux_size},
    {{"SLURM_LOCALID"},
     {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"},
     "SLURM_STEP_ID",
     read_slurm_size},
};

enum {
    LAUNCHERS = sizeof launchers / sizeof launchers[0]
};

/* The name of the pair that is set, with its text, or the first name and NULL. */
static const char *find(const struct lp_environment *environment, const char *const names[2],
                        const char **text)
{
    *text = lp_environment_get(environment, names[0]);
    if (!*text && names[1]) {
        *text = lp_environment_get(environment, names[1]);
        return *text ? names[1] : names[0];
    }
    return names[0];
}

/* True if the launcher has an opinion, which is then in *rank. */
static bool ask(struct lp_rank *rank, const struct lp_environment *environment,
                const struct launcher *launcher)
{
    if (launcher->needs && !lp_environment_get(environment, launcher->needs)) {
        return false;
    }
    const char *rank_text, *size_text;
    const char *rank_name = find(environment, launcher->ranks, &rank_text);
    const char *size_name = find(environment, launcher->sizes, &size_text);
    if (!rank_text && !size_text) {
        return false;
    }
    if (!rank_text || !size_text) {
        lp_log(LOOMP_LOG_WARNING, "%s is ignored, because %s is not set",
               rank_text ? rank_name : size_name, rank_text ? size_name : rank_name);
        return false;
    }
    int local, size;
    if (!read_number(rank_text, &local)) {
        lp_log(LOOMP_LOG_WARNING, "%s=%.60s is no rank on a node; it is ignored", rank_name,
               rank_text);
        return false;
    }
    if (!launcher->read_size(environment, size_text, &size)) {
        lp_log(LOOMP_LOG_WARNING,
               "%s=%.60s does not tell the number of ranks on this node; it and %s are ignored",
               size_name, size_text, rank_name);
        return false;
    }
    if (local >= size) {
        lp_log(LOOMP_LOG_WARNING,
               "%s=%d is not below the %d ranks on this node of %s=%.60s; both "
               "are ignored",
               rank_name, local, size, size_name, size_text);
        return false;
    }
    rank->local = local;
    rank->local_size = size;
    snprintf(rank->local_from, sizeof rank->local_from, "%s", rank_name);
    snprintf(rank->size_from, sizeof rank->size_from, "%s", size_name);
    return true;
}

int lp_rank_read(struct lp_rank *rank, const struct lp_environment *environment, int wanted_local,
                 int wanted_size)
{
    const struct lp_rank unknown = {.local_size = 1};
    if (wanted_local >= 0 && wanted_size > 0 && wanted_local >= wanted_size) {
        return lp_fail(-EINVAL, "rank.local = %d is not below rank.local_size = %d", wanted_local,
                       wanted_size);
    }
    struct lp_rank found = unknown;
    /* With both settings nobody's opinion matters, so nobody is complained about either. */
    bool asked = wanted_local < 0 || wanted_size <= 0;
    for (int i = 0; asked && i < LAUNCHERS && !ask(&found, environment, &launchers[i]); i++) {
    }
    if (wanted_local >= 0) {
        found.local = wanted_local;
        snprintf(found.local_from, sizeof found.local_from, "rank.local");
    }
    if (wanted_size > 0) {
        found.local_size = wanted_size;
        snprintf(found.size_from, sizeof found.size_from, "rank.local_size");
    }
    if (wanted_size == 1 && wanted_local < 0) {
        /* The way to say that the node is not to be split: the rank does not matter. */
        found.local = 0;
        found.local_from[0] = '\0';
    } else if (wanted_size > 0 && !found.local_from[0]) {
        lp_log(LOOMP_LOG_WARNING,
               "rank.local_size = %d is ignored: no launcher's variable and no "
               "rank.local says which of them this is",
               wanted_size);
        found = unknown;
    } else if (found.local >= found.local_size) {
        lp_log(LOOMP_LOG_WARNING,
               "%s = %d is ignored: it is not below the number of ranks on this "
               "node, which is %d by %s",
               found.local_from, found.local, found.local_size,
               found.size_from[0] ? found.size_from : "default (rank.local_size sets it)");
        found = unknown;
    }
    *rank = found;
    return 0;
}
