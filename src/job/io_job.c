/* SPDX-License-Identifier: MIT */
/* Owns the calls of <loomp/io.h>: each describes an operation, which submit.c then accepts as it
 * does other jobs. Any thread enters. */
#include "base/error.h"
#include "job/job.h"

#include <errno.h>
#include <limits.h>
#include <math.h>

/* What read(2) and write(2) move at most, and what an int can say. */
#define MOST_BYTES ((size_t)(INT_MAX & ~4095))

/* Of those that name a descriptor: what it is decides who makes it. A descriptor that is none is
 * found out by who makes it. */
static int submit(loomp_runtime *runtime, loomp_job *job, struct lp_io *io)
{
    lp_io_classify(io);
    return lp_job_submit_io(runtime, job, io, NULL);
}

static int move(loomp_runtime *runtime, loomp_job *job, enum lp_io_what what, int fd, void *buffer,
                size_t bytes, off_t offset)
{
    static const char *const names[] = {"read", "read_all", "write"};
    if (!buffer && bytes) {
        return lp_fail(-EINVAL, "loomp_io_%s: the buffer is NULL", names[what]);
    }
    if (offset < LOOMP_IO_HERE) {
        return lp_fail(-EINVAL, "loomp_io_%s: the offset is %lld", names[what], (long long)offset);
    }
    if (bytes > MOST_BYTES && what != LP_IO_READ) {
        return lp_fail(-EINVAL,
                       "loomp_io_%s: %zu bytes are more than a status can say: at most %zu",
                       names[what], bytes, MOST_BYTES);
    }
    struct lp_io io = {.what = (uint8_t)what,
                       .fd = fd,
                       .buffer = buffer,
                       .bytes = bytes < MOST_BYTES ? bytes : MOST_BYTES,
                       .offset = offset};
    return submit(runtime, job, &io);
}

int loomp_io_read(loomp_runtime *runtime, loomp_job *job, int fd, void *buffer, size_t bytes,
                  off_t offset)
{
    return move(runtime, job, LP_IO_READ, fd, buffer, bytes, offset);
}

int loomp_io_read_all(loomp_runtime *runtime, loomp_job *job, int fd, void *buffer, size_t bytes,
                      off_t offset)
{
    return move(runtime, job, LP_IO_READ_ALL, fd, buffer, bytes, offset);
}

int loomp_io_write(loomp_runtime *runtime, loomp_job *job, int fd, const void *buffer, size_t bytes,
                   off_t offset)
{
    return move(runtime, job, LP_IO_WRITE, fd, (void *)(uintptr_t)buffer, bytes, offset);
}

int loomp_io_ready(loomp_runtime *runtime, loomp_job *job, int fd, uint32_t events)
{
    if (!events || events & ~(LOOMP_IO_READABLE | LOOMP_IO_WRITABLE)) {
        return lp_fail(-EINVAL,
                       "loomp_io_ready: the events are 0x%x, not LOOMP_IO_READABLE, "
                       "_WRITABLE or both",
                       events);
    }
    struct lp_io io = {.what = LP_IO_READY, .fd = fd, .events = (uint8_t)events};
    return submit(runtime, job, &io);
}

int loomp_io_accept(loomp_runtime *runtime, loomp_job *job, int listener)
{
    struct lp_io io = {.what = LP_IO_ACCEPT, .fd = listener};
    return submit(runtime, job, &io);
}

int loomp_io_sleep(loomp_runtime *runtime, loomp_job *job, double seconds)
{
    if (isnan(seconds)) {
        return lp_fail(-EINVAL, "loomp_io_sleep: the number of seconds is not a number");
    }
    struct lp_io io = {.what = LP_IO_SLEEP, .seconds = seconds};
    return submit(runtime, job, &io);
}

int loomp_io_child(loomp_runtime *runtime, loomp_job *job, pid_t pid, int *wait_status)
{
    if (pid <= 0) {
        return lp_fail(-EINVAL, "loomp_io_child: %lld is not the number of one process",
                       (long long)pid);
    }
    struct lp_io io = {.what = LP_IO_CHILD, .pid = pid, .wait_status = wait_status};
    return submit(runtime, job, &io);
}

int loomp_io_call(loomp_runtime *runtime, loomp_job *job, loomp_loop *loop, loomp_io_fn fn,
                  void *arg)
{
    if (!loop || !fn) {
        return lp_fail(-EINVAL, "loomp_io_call: the %s is NULL", loop ? "function" : "loop");
    }
    struct lp_io io = {.what = LP_IO_CALL, .fn = fn, .arg = arg};
    return lp_job_submit_io(runtime, job, &io, loop);
}
