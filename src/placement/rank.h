/* SPDX-License-Identifier: MIT */
/* Which of the processes of one parallel job on this node this is, as the launcher's variables say.
 * Pure. */
#ifndef LP_PLACEMENT_RANK_H
#define LP_PLACEMENT_RANK_H

#include "placement/environment.h"

struct lp_rank {
    int local;            /* 0 if unknown */
    int local_size;       /* 1 if unknown */
    char local_from[32];  /* the variable or setting that says so; "" if unknown */
    char size_from[32];
};

/* wanted_local (-1: not given) and wanted_size (0: not given) are the settings rank.local and
 * rank.local_size, which win; a size of 1 alone means that the node is not split. Else the first of
 * these that says both:
 *
 *     Open MPI              OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE
 *     Hydra (MPICH, Intel)  MPI_LOCALRANKID, MPI_LOCALNRANKS
 *     PMIx, for MPICH       MPI_LOCALNRANKID, MPI_LOCALNRANKS
 *     MVAPICH2              MV2_COMM_WORLD_LOCAL_RANK, MV2_COMM_WORLD_LOCAL_SIZE
 *     Cray PALS             PALS_LOCAL_RANKID, PALS_LOCAL_SIZE
 *     Flux                  FLUX_TASK_LOCAL_ID, FLUX_JOB_SIZE / FLUX_JOB_NNODES if that divides
 *     Slurm, with srun      SLURM_LOCALID, this node's (SLURM_NODEID) entry in
 *                           SLURM_STEP_TASKS_PER_NODE or SLURM_TASKS_PER_NODE; only in a job step,
 *                           which has SLURM_STEP_ID: a batch script's own programs are no ranks
 *
 * PMIx by itself exports a rank in the job (PMIX_RANK) but none on the node; the launchers that use
 * it (Open MPI's, srun, PALS) have theirs beside it.
 *
 * A size without a rank, a rank without a size, a rank not below the size, or text that is no number
 * is no opinion: skipped, with a warning in the log; -EINVAL for settings that contradict each
 * other. */
int lp_rank_read(struct lp_rank *rank, const struct lp_environment *environment, int wanted_local,
                 int wanted_size);

#endif
