/* SPDX-License-Identifier: MIT */
/* A job of I/O that writes down what it came to, for the tests of I/O. */
#ifndef LP_TESTS_IO_JOB_H
#define LP_TESTS_IO_JOB_H

#include "recorded_job.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct io_job {
    loomp_job job;
    struct gate ended; /* done arrives here */
    int status;
    int order; /* how many had ended before it, if `count` is set */
    _Atomic int *count;
    loomp_loop *loop; /* loomp_loop_here in done */
    void (*then)(struct io_job *io); /* called last in done */
};

static inline void io_done(loomp_job *job, int status)
{
    struct io_job *io = LOOMP_CONTAINER(job, struct io_job, job);
    io->status = status;
    io->loop = loomp_loop_here();
    if (io->count) {
        io->order = atomic_fetch_add(io->count, 1);
    }
    if (io->then) {
        io->then(io);
    }
    gate_arrive(&io->ended);
}

static inline struct io_job *io_init(struct io_job *io, loomp_loop *home)
{
    memset((void *)io, 0, sizeof *io);
    loomp_job_init(&io->job, NULL, io_done);
    io->job.home = home;
    gate_init(&io->ended);
    io->status = 12345;
    return io;
}

/* Waits until done has run; what it was given. */
static inline int io_wait(struct io_job *io)
{
    gate_wait_for_arrivals(&io->ended, 1);
    return io->status;
}

static inline void do_nothing(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

/* Returns when the loop has begun all operations that were submitted before. */
static inline void loop_catches_up(loomp_loop *loop)
{
    on_loop(loop, do_nothing, NULL);
}

static inline bool io_has_ended(struct io_job *io)
{
    pthread_mutex_lock(&io->ended.lock);
    bool ended = io->ended.arrived > 0;
    pthread_mutex_unlock(&io->ended.lock);
    return ended;
}

/* A file without a name, for the caller to close; -1: none. */
static inline int temporary_file(void)
{
    FILE *file = tmpfile();
    int fd = file ? dup(fileno(file)) : -1;
    if (file) {
        fclose(file);
    }
    return fd;
}

#endif
