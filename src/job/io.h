/* SPDX-License-Identifier: MIT */
/* Operations of I/O that end by a call: what jobs of <loomp/io.h> and OpenMP tasks that read or
 * write are built on. */
#ifndef LP_JOB_IO_H
#define LP_JOB_IO_H

#include "handoff/overflow.h"
#include "loop/watch.h"

#include <loomp/io.h>
#include <loomp/runtime.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum lp_io_what {
    LP_IO_READ,
    LP_IO_READ_ALL,
    LP_IO_WRITE,
    LP_IO_READY,
    LP_IO_ACCEPT,
    LP_IO_SLEEP,
    LP_IO_CHILD,
    LP_IO_CALL
};

/* One operation. The caller clears it, and sets what it needs of the fields after `moved`, unless
 * they are private. From start until finished begins it is loomp's, and so are buffer and
 * descriptor. */
struct lp_io {
    union {
        struct lp_watch watch;        /* private: on a loop */
        struct lp_overflow_link late; /* private: on the pool `blocking` */
    };
    uint64_t moved; /* private: bytes so far */
    /* The operation has ended: bytes, events, a descriptor, what fn returned, or a negative errno
     * value. Called exactly once, never inside lp_io_start, on the loop's thread or on one of the
     * pool `blocking`. It runs no user code; in it the operation may be freed, or started again. */
    void (*finished)(struct lp_io *io, int64_t result);
    /* Whether nobody wants the result any more: asked on the same threads, before it begins, and
     * after lp_ios_reconsider. NULL: lp_io_cancel alone says so. */
    bool (*is_unwanted)(struct lp_io *io);
    union {
        void *buffer;     /* READ, READ_ALL, WRITE (which only reads it) */
        int *wait_status; /* CHILD; NULL: nobody asks */
        loomp_io_fn fn;   /* CALL */
    };
    union {
        size_t bytes; /* READ, READ_ALL, WRITE */
        void *arg;    /* CALL */
    };
    union {
        off_t offset;     /* READ, READ_ALL, WRITE: or LOOMP_IO_HERE */
        double seconds;   /* SLEEP: not NaN; from the start on */
        pid_t pid;        /* CHILD: > 0 */
        uint64_t when_ns; /* private: SLEEP, once it is started */
    };
    int fd;         /* READ, READ_ALL, WRITE, READY, ACCEPT */
    uint8_t what;   /* enum lp_io_what */
    uint8_t events; /* READY: LOOMP_IO_READABLE | _WRITABLE */
    uint8_t file;   /* private: what kind of file it is */
    union {
        _Atomic uint8_t
            cancelled; /* private: on the pool; written by who cancels, relaxed: a wish */
        uint8_t error; /* private: an errno value that it ends with */
    };
};

/* Begins an operation, which has been accepted already: what is wrong reaches finished. loop: where
 * it waits (of a CALL: where fn is called); NULL: the runtime's first. Any thread that knows that
 * runtime and loop stay until finished has run; does not block, allocates only until warm. The
 * operation may be gone when this returns. */
void lp_io_start(loomp_runtime *runtime, loomp_loop *loop, struct lp_io *io);

/* Nobody wants it any more. If it has not moved any bytes, and can be stopped at all, it ends with
 * -ECANCELED; if it has moved some, with their number. Any thread, while the caller knows that
 * finished has not run, and is counted in the ledger (or runs in something that is); finished may
 * be running, or have run, when this returns. Twice is once. */
void lp_io_cancel(struct lp_io *io);

/* Something has been cancelled that operations ask for by is_unwanted (a job, a group, all): each
 * is asked soon, on its loop. Any thread, at any time; takes a lock, so that it is not for a hot
 * path. */
void lp_ios_reconsider(void);

/* ---- for jobs, which go through queues of their own ------------------------------------------ */

/* Finds out what kind of file it is: one for the pool `blocking`? A system call. */
void lp_io_classify(struct lp_io *io);
bool lp_io_is_for_pool(const struct lp_io *io);

/* Begins it on a loop, classified and not for the pool, as lp_io_start does: first all that
 * lp_io_cancel needs, which then may come at any time; then the loop gets it. */
void lp_io_bind(loomp_loop *loop, struct lp_io *io);
void lp_io_watch(struct lp_io *io);

/* The result of one for the pool that needs none of its threads: a short read of what is in the
 * page cache; else LP_WATCH_AGAIN. A hand-over costs many times what that does (doc/guide/io.md).
 */
int64_t lp_io_at_once(const struct lp_io *io);

/* Makes it, on a thread of the pool: blocks. The result. */
int64_t lp_io_perform(struct lp_io *io);

/* Whether an item of the pool's is an operation without a job, which then is to be run by this. */
bool lp_is_io(const void *item);
void lp_io_run(void *item);

#endif
