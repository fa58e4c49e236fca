/* SPDX-License-Identifier: MIT */
/* I/O that completes jobs: a job whose work is a read, a write, a wait. It is submitted as others
 * are, with a group, a home and a `done`; groups count it, loomp_group_then starts work behind it,
 * and no thread waits in it.
 *
 * job.work is NULL. job.done gets the result as its status: what each function says, or a negative
 * errno value; the group's status becomes that only if it is negative. job.home, group, data and
 * LOOMP_UNTRACKED mean what they always do; a deadline_s ends the operation with -ETIMEDOUT when
 * that time is over, though it has begun (but not while a thread makes a call for it, see below);
 * kind, width, site and hint mean nothing here. To start one behind other jobs, submit it in a done
 * or a notification.
 *
 * loomp_cancel ends an operation that has not moved any bytes: done gets -ECANCELED. It returns
 * -EINPROGRESS for one that a loop waits with, and done tells. loomp_stop_now does the same.
 *
 * Regular files and block devices are read and written by threads of the pool `blocking`; all else
 * waits until the descriptor is ready on a loop: the job's home, or the runtime's first. The
 * descriptor's mode does not matter: O_NONBLOCK is not set, and blocking ones do not block a loop.
 * Some can only be called in a way that may block: terminals, pipes that were opened by name,
 * eventfds and the like, and listeners, all in blocking mode. When those are ready a thread of the
 * pool `blocking` makes the call, which nothing ends early; with O_NONBLOCK they do without.
 * Buffers and descriptors are the caller's and have to stay until done begins. Several operations
 * on one descriptor, in one direction and on one loop, end in the order of their submission; on
 * regular files they may overtake each other.
 *
 * All functions: any thread; do not block; allocate only until warm. They return as loomp_submit
 * does: 0, -EINVAL, -EBUSY, -ESHUTDOWN, -ENOMEM, -EOWNERDEAD, and -EAGAIN if the first thread of
 * the pool `blocking` cannot be made, but not for a full queue; what is wrong with the descriptor
 * reaches done (-EBADF). */
#ifndef LOOMP_IO_H
#define LOOMP_IO_H

#include <loomp/job.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the descriptor is: for pipes, sockets, and files that are read from front to back. */
#define LOOMP_IO_HERE (-1)

/* Reads once, up to `bytes` (at most 2147479552, as read(2); not files: 1 MiB). Status: bytes read;
 * 0 at the end. */
int loomp_io_read(loomp_runtime *runtime, loomp_job *job, int fd, void *buffer, size_t bytes,
                  off_t offset);

/* Reads until all is there or the end has come. Status: bytes read. After a cancellation or a
 * deadline that comes later than the first bytes: those bytes. After an error: those bytes, and the
 * next read tells; but of sockets, which tell it once, the error, and how much was read is not
 * known. */
int loomp_io_read_all(loomp_runtime *runtime, loomp_job *job, int fd, void *buffer, size_t bytes,
                      off_t offset);

/* Writes all of it. Status: bytes; fewer than asked for if an error came after some, which the next
 * write tells. Sockets and pipes without a reader: -EPIPE, without the signal. */
int loomp_io_write(loomp_runtime *runtime, loomp_job *job, int fd, const void *buffer, size_t bytes,
                   off_t offset);

/* Waits until the descriptor is ready. events: LOOMP_IO_READABLE, _WRITABLE. Status: those that it
 * is ready for. */
#define LOOMP_IO_READABLE 1u
#define LOOMP_IO_WRITABLE 2u
int loomp_io_ready(loomp_runtime *runtime, loomp_job *job, int fd, uint32_t events);

/* Accepts a connection. Status: its descriptor, close-on-exec and non-blocking, the caller's. */
int loomp_io_accept(loomp_runtime *runtime, loomp_job *job, int listener);

/* Waits so many seconds from the call; not more than 0: not at all. Status: 0. */
int loomp_io_sleep(loomp_runtime *runtime, loomp_job *job, double seconds);

/* Waits until a child process has ended, and takes its status (waitpid): it must not be waited for
 * elsewhere. *wait_status: as of waitpid, valid when done begins; NULL: none. Status: 0, or
 * -ECHILD. Through a pidfd: neither SIGCHLD nor libev's default loop is needed. */
int loomp_io_child(loomp_runtime *runtime, loomp_job *job, pid_t pid, int *wait_status);

/* Calls fn(arg) on a loop, as loomp_post does. Status: what fn returns. */
typedef int (*loomp_io_fn)(void *arg);
int loomp_io_call(loomp_runtime *runtime, loomp_job *job, loomp_loop *loop, loomp_io_fn fn,
                  void *arg);

#ifdef __cplusplus
}
#endif
#endif
