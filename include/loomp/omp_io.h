/* SPDX-License-Identifier: MIT */
/* I/O as OpenMP tasks: a read is a node of a task graph.
 *
 *     omp_event_handle_t ev;
 *     #pragma omp task detach(ev) depend(out: tile[0])
 *     loomp_omp_read(fd, tile, bytes, offset, &got, ev);
 *     #pragma omp task depend(in: tile[0])
 *     use(tile, got);
 *
 * The task begins the operation and ends at once; it is complete, and what depends on it may run,
 * when the operation is, which a loop or a thread of the pool `blocking` finds out and tells OpenMP
 * (omp_fulfill_event). No thread waits in it.
 *
 * Only in TASKS and GANG jobs, and only with clang: gcc's `detach` on libomp is ignored or crashes,
 * use <loomp/io.h> there. libomp before 19 asserts or hangs in programs with `detach`: there the
 * functions refuse, unless the setting omp_io.unsafe_detach is true.
 *
 * *result: what <loomp/io.h> calls the status, bytes or a negative errno value; it is written before
 * the task completes and has to stay until then; NULL: nobody asks. What a function refuses
 * (-EPERM: not in a TASKS or GANG job; -ENOTSUP: libomp before 19; -EINVAL, -ENOMEM, -ESHUTDOWN) it
 * writes there as well, and it completes the task: so no taskwait waits for ever. The same number is
 * returned. When the job is cancelled, or the runtime is stopped at once, operations that have not
 * moved any bytes end with -ECANCELED. */
#ifndef LOOMP_OMP_IO_H
#define LOOMP_OMP_IO_H

#if defined(__GNUC__) && !defined(__clang__)
#error "loomp/omp_io.h needs clang: gcc's detach clause does not work on libomp; <loomp/io.h> does the same with jobs"
#endif

#include <loomp/io.h>

#include <omp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As loomp_io_read and so on. */
int loomp_omp_read(int fd, void *buffer, size_t bytes, off_t offset, ssize_t *result,
                   omp_event_handle_t event);
int loomp_omp_read_all(int fd, void *buffer, size_t bytes, off_t offset, ssize_t *result,
                       omp_event_handle_t event);
int loomp_omp_write(int fd, const void *buffer, size_t bytes, off_t offset, ssize_t *result,
                    omp_event_handle_t event);
int loomp_omp_ready(int fd, uint32_t events, ssize_t *result, omp_event_handle_t event);
int loomp_omp_accept(int listener, ssize_t *result, omp_event_handle_t event);
int loomp_omp_sleep(double seconds, ssize_t *result, omp_event_handle_t event);
int loomp_omp_child(pid_t pid, int *wait_status, ssize_t *result, omp_event_handle_t event);
int loomp_omp_call(loomp_loop *loop, loomp_io_fn fn, void *arg, ssize_t *result,
                   omp_event_handle_t event);

/* As `taskwait`, for a task whose children are such operations or depend on them: it runs what can
 * be run, and sleeps while there is only I/O to wait for, where `taskwait` would spin. In the work
 * of a TASKS or GANG job and in its tasks; elsewhere it is a taskwait. Returns how many operations
 * of the job have failed since the last call, at most INT_MAX. */
int loomp_omp_wait(void);

#ifdef __cplusplus
}
#endif
#endif
