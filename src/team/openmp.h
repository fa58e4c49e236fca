/* SPDX-License-Identifier: MIT */
/* libomp as a whole: its start, its version, what the user told it. */
#ifndef LP_TEAM_OPENMP_H
#define LP_TEAM_OPENMP_H

#include <stdbool.h>
#include <stddef.h>

/* Starts libomp on the calling thread, if nobody has, and sets the defaults that can be set late. On
 * the thread that leads the gang team. crowded: threads of the pools share CPUs, so that
 * libomp's spinning threads must yield; the last one to say so decides for all. */
void lp_openmp_start(size_t stack_bytes, bool crowded);

/* Settings of loomp's own regions, for the calling leader: exact sizes, one level. */
void lp_openmp_own_regions(void);

/* The user's settings, for the job that the calling leader is about to run; `threads` is what a
 * region without a num_threads clause gets. */
void lp_openmp_user_regions(unsigned threads);

/* For a leader whose pool has other places than libomp knows: its regions bind no threads, not by a
 * proc_bind clause either. Between loomp's places and those of OMP_PLACES libomp would choose by the
 * size of each region, and move threads when that changes. For ever. */
void lp_openmp_leave_binding_alone(void);

/* For a thread that runs SERIAL jobs: any region there is a team of one, also where the team around
 * it is one thread and therefore no active level. Bind a thread that is in no team afterwards,
 * because libomp may bind a thread that it sees for the first time. */
void lp_openmp_isolate_thread(void);

/* For the same thread, inside a region or with none of its own behind it: omp_get_max_threads says what
 * a region gets. (Of a thread that leads regions libomp would end those of its threads that are more.) */
void lp_openmp_expect_one_thread(void);

/* For a thread of the gang team, before it leaves a region of loomp's: whether it may spin while it
 * waits for the next region. One that the job's regions do not use must not: its place belongs to
 * the task team. */
void lp_openmp_spin_in_barriers(bool spin);

/* Whether the calling thread is inside a parallel region (of any size). */
int lp_openmp_level(void);

/* How many places libomp knew when loomp met it; 0 if it does not bind. Any thread, after a start:
 * asking libomp itself would make the asking thread one of its roots, and bind it. */
int lp_openmp_places(void);

/* The path of the libomp that is loaded. */
const char *lp_openmp_path(void);

/* Warns of several OpenMP runtimes in this process; 1 if there are. */
int lp_openmp_warn_of_two(void);

#endif
