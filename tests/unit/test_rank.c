/* SPDX-License-Identifier: MIT */
/* Tests of placement/rank.c with the variables that launchers set. */
#define SUITE "rank"
#include "harness.h"

#include "base/log.h"
#include "placement/rank.h"

#include <errno.h>
#include <stdint.h>

static char log_text[4096];

static void note_line(void *arg, int32_t level, const char *line)
{
    (void)arg;
    (void)level;
    size_t used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

/* Reads the rank and checks it; `sources` is "VARIABLE of rank, VARIABLE of size". */
static void check(const char *const *variables, int wanted_local, int wanted_size, int local,
                  int local_size, const char *sources)
{
    struct lp_environment environment = lp_environment_of(variables);
    struct lp_rank rank = {-1, -1, "?", "?"};
    char text[80];
    log_text[0] = '\0';
    lp_log_reset();
    loomp_set_log(note_line, NULL);
    CHECK(lp_rank_read(&rank, &environment, wanted_local, wanted_size) == 0);
    snprintf(text, sizeof text, "%s, %s", rank.local_from, rank.size_from);
    CHECK(rank.local == local);
    CHECK(rank.local_size == local_size);
    CHECK_TEXT(text, sources);
}

#define VARIABLES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING ((const char *const[]){NULL})

TEST(without_a_launcher_there_is_one_rank)
{
    check(VARIABLES("HOME=/root", "PATH=/bin"), -1, 0, 0, 1, ", ");
    CHECK_TEXT(log_text, "");
}

TEST(each_launcher_is_known)
{
    check(VARIABLES("OMPI_COMM_WORLD_LOCAL_RANK=1", "OMPI_COMM_WORLD_LOCAL_SIZE=4"), -1, 0, 1, 4,
          "OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE");
    check(VARIABLES("MPI_LOCALRANKID=3", "MPI_LOCALNRANKS=4"), -1, 0, 3, 4,
          "MPI_LOCALRANKID, MPI_LOCALNRANKS");
    CHECK_TEXT(log_text, "");
    check(VARIABLES("MPI_LOCALNRANKID=2", "MPI_LOCALNRANKS=4"), -1, 0, 2, 4,
          "MPI_LOCALNRANKID, MPI_LOCALNRANKS");
    CHECK_TEXT(log_text, "");
    check(VARIABLES("MV2_COMM_WORLD_LOCAL_RANK=0", "MV2_COMM_WORLD_LOCAL_SIZE=2"), -1, 0, 0, 2,
          "MV2_COMM_WORLD_LOCAL_RANK, MV2_COMM_WORLD_LOCAL_SIZE");
    check(VARIABLES("PALS_LOCAL_RANKID=11", "PALS_LOCAL_SIZE=12"), -1, 0, 11, 12,
          "PALS_LOCAL_RANKID, PALS_LOCAL_SIZE");
    check(VARIABLES("FLUX_TASK_LOCAL_ID=2", "FLUX_JOB_SIZE=8", "FLUX_JOB_NNODES=2"), -1, 0, 2, 4,
          "FLUX_TASK_LOCAL_ID, FLUX_JOB_SIZE");
    check(VARIABLES("SLURM_STEP_ID=0", "SLURM_LOCALID=1", "SLURM_NODEID=0",
                    "SLURM_STEP_TASKS_PER_NODE=2"),
          -1, 0, 1, 2, "SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE");
    CHECK_TEXT(log_text, "");
}

TEST(an_inner_launcher_wins_over_the_job_around_it)
{
#define STEP                                                                                       \
    "SLURM_STEP_ID=0", "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_STEP_TASKS_PER_NODE=1(x4)"
    check(VARIABLES(STEP, "OMPI_COMM_WORLD_LOCAL_RANK=5", "OMPI_COMM_WORLD_LOCAL_SIZE=8"), -1, 0, 5,
          8, "OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE");
    check(VARIABLES(STEP, "MPI_LOCALRANKID=6", "MPI_LOCALNRANKS=8"), -1, 0, 6, 8,
          "MPI_LOCALRANKID, MPI_LOCALNRANKS");
    check(VARIABLES(STEP, "FLUX_TASK_LOCAL_ID=1", "FLUX_JOB_SIZE=2", "FLUX_JOB_NNODES=1"), -1, 0, 1,
          2, "FLUX_TASK_LOCAL_ID, FLUX_JOB_SIZE");
}

/* The variables of a batch script that asked for 2 nodes with 4 tasks each. */
#define BATCH                                                                                      \
    "SLURM_JOB_ID=77", "SLURM_NTASKS=8", "SLURM_NTASKS_PER_NODE=4", "SLURM_TASKS_PER_NODE=4(x2)",  \
        "SLURM_PROCID=0", "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_TASK_PID=4711"

TEST(a_program_of_a_batch_script_has_the_node_to_itself)
{
    check(VARIABLES(BATCH), -1, 0, 0, 1, ", ");
    CHECK_TEXT(log_text, "");
}

TEST(a_step_that_is_smaller_than_its_job_counts_its_own_tasks)
{
    check(VARIABLES(BATCH, "SLURM_STEP_ID=3", "SLURM_STEP_TASKS_PER_NODE=1"), -1, 0, 0, 1,
          "SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE");
    check(VARIABLES(BATCH, "SLURM_STEP_ID=3"), -1, 0, 0, 4, "SLURM_LOCALID, SLURM_TASKS_PER_NODE");
}

/* In a step, as rank `local` on node `node`. */
static void check_slurm(const char *tasks, const char *node, const char *local, int local_size)
{
    char tasks_text[128], node_text[64], local_text[64];
    snprintf(tasks_text, sizeof tasks_text, "SLURM_STEP_TASKS_PER_NODE=%s", tasks);
    snprintf(node_text, sizeof node_text, "SLURM_NODEID=%s", node);
    snprintf(local_text, sizeof local_text, "SLURM_LOCALID=%s", local);
    check(VARIABLES("SLURM_STEP_ID=0", tasks_text, node_text, local_text), -1, 0,
          local_size > 1 ? 1 : 0, local_size > 1 ? local_size : 1,
          local_size > 1 ? "SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE" : ", ");
    CHECK((log_text[0] == '\0') == (local_size > 1));
}

TEST(the_list_of_tasks_per_node_is_read_at_this_node)
{
    check_slurm("4", "0", "1", 4);
    check_slurm("4(x2),3", "0", "1", 4);
    check_slurm("4(x2),3", "1", "1", 4);
    check_slurm("4(x2),3", "2", "1", 3);
    check_slurm("2,5(x3),7", "3", "1", 5);
    check_slurm("2,5(x3),7", "4", "1", 7);
}

TEST(a_list_of_tasks_per_node_without_sense_is_no_opinion)
{
    static const char *const bad[] = {"4(x2),3",
                                      "",
                                      "x",
                                      "4(",
                                      "4(x",
                                      "4(x9",
                                      "4(9)",
                                      "4(x9)7",
                                      "4,,4,4",
                                      "1,2,3,-4",
                                      "9999999999(x9)",
                                      "4(x9999999999)"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_slurm(bad[i], "3", "1", 0);
    }
    check_slurm("4", "minus", "1", 0);
    check(VARIABLES("SLURM_STEP_ID=0", "SLURM_LOCALID=1", "SLURM_TASKS_PER_NODE=4"), -1, 0, 0, 1,
          ", ");
}

TEST(tasks_of_flux_that_do_not_divide_are_no_opinion)
{
    check(VARIABLES("FLUX_TASK_LOCAL_ID=2", "FLUX_JOB_SIZE=7", "FLUX_JOB_NNODES=2"), -1, 0, 0, 1,
          ", ");
    CHECK(strstr(log_text, "FLUX_JOB_SIZE=7") != NULL);
    check(VARIABLES("FLUX_TASK_LOCAL_ID=2", "FLUX_JOB_SIZE=8", "FLUX_JOB_NNODES=0"), -1, 0, 0, 1,
          ", ");
    check(VARIABLES("FLUX_TASK_LOCAL_ID=2", "FLUX_JOB_SIZE=8"), -1, 0, 0, 1, ", ");
}

TEST(half_an_opinion_is_none_and_is_warned_of)
{
    check(VARIABLES("MV2_COMM_WORLD_LOCAL_SIZE=16"), -1, 0, 0, 1, ", ");
    CHECK_TEXT(log_text, "MV2_COMM_WORLD_LOCAL_SIZE is ignored, because MV2_COMM_WORLD_LOCAL_RANK "
                         "is not set\n");
    check(VARIABLES("OMPI_COMM_WORLD_LOCAL_RANK=1"), -1, 0, 0, 1, ", ");
    CHECK_TEXT(log_text, "OMPI_COMM_WORLD_LOCAL_RANK is ignored, because "
                         "OMPI_COMM_WORLD_LOCAL_SIZE is not set\n");
}

TEST(a_bad_opinion_is_skipped_and_the_next_is_asked)
{
    static const char *const bad[] = {"",   "x",   "-1", "1x",
                                      " 1", "1.0", "4",  "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[80];
        snprintf(text, sizeof text, "OMPI_COMM_WORLD_LOCAL_RANK=%s", bad[i]);
        check(VARIABLES(text, "OMPI_COMM_WORLD_LOCAL_SIZE=4", "PALS_LOCAL_RANKID=1",
                        "PALS_LOCAL_SIZE=2"),
              -1, 0, 1, 2, "PALS_LOCAL_RANKID, PALS_LOCAL_SIZE");
        CHECK(strstr(log_text, "OMPI_COMM_WORLD_LOCAL_RANK") != NULL);
    }
    check(VARIABLES("MPI_LOCALRANKID=0", "MPI_LOCALNRANKS=0"), -1, 0, 0, 1, ", ");
    CHECK(strstr(log_text, "MPI_LOCALRANKID=0 is not below the 0 ranks") != NULL);
}

#define OPEN_MPI "OMPI_COMM_WORLD_LOCAL_RANK=1", "OMPI_COMM_WORLD_LOCAL_SIZE=4"

TEST(settings_win_over_a_launcher)
{
    check(VARIABLES(OPEN_MPI), 2, 3, 2, 3, "rank.local, rank.local_size");
    check(VARIABLES(OPEN_MPI), 2, 0, 2, 4, "rank.local, OMPI_COMM_WORLD_LOCAL_SIZE");
    check(VARIABLES(OPEN_MPI), -1, 2, 1, 2, "OMPI_COMM_WORLD_LOCAL_RANK, rank.local_size");
    check(NOTHING, 2, 3, 2, 3, "rank.local, rank.local_size");
    CHECK_TEXT(log_text, "");
    /* What nobody needs is not complained about. */
    check(VARIABLES("PALS_LOCAL_RANKID=one"), 2, 3, 2, 3, "rank.local, rank.local_size");
    CHECK_TEXT(log_text, "");
}

TEST(a_local_size_of_one_switches_the_split_off)
{
    check(VARIABLES(OPEN_MPI), -1, 1, 0, 1, ", rank.local_size");
    check(NOTHING, -1, 1, 0, 1, ", rank.local_size");
    CHECK_TEXT(log_text, "");
}

TEST(a_setting_that_fits_nothing_is_no_opinion)
{
    check(NOTHING, -1, 4, 0, 1, ", ");
    CHECK(strstr(log_text, "rank.local_size = 4 is ignored") != NULL);
    check(NOTHING, 3, 0, 0, 1, ", ");
    CHECK(strstr(log_text, "rank.local = 3 is ignored") != NULL);
    check(VARIABLES(OPEN_MPI), 4, 0, 0, 1, ", ");
    CHECK(strstr(log_text, "rank.local = 4 is ignored: it is not below the number of ranks on this "
                           "node, which is 4 by OMPI_COMM_WORLD_LOCAL_SIZE") != NULL);
    check(VARIABLES("PALS_LOCAL_RANKID=3", "PALS_LOCAL_SIZE=4"), -1, 2, 0, 1, ", ");
    CHECK(strstr(log_text, "PALS_LOCAL_RANKID = 3 is ignored") != NULL);
    check(NOTHING, 0, 0, 0, 1, "rank.local, ");
    CHECK_TEXT(log_text, "");
}

TEST(settings_that_contradict_each_other_are_an_error)
{
    struct lp_environment environment = lp_environment_of(NOTHING);
    struct lp_rank rank = {.local = 7};
    CHECK(lp_rank_read(&rank, &environment, 4, 4) == -EINVAL);
    CHECK_TEXT(loomp_error(), "rank.local = 4 is not below rank.local_size = 4");
    CHECK(rank.local == 7);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
