/* SPDX-License-Identifier: MIT */
/* Pools: named sets of places with the teams on them, or of threads for work that sleeps in I/O. */
#ifndef LOOMP_POOL_H
#define LOOMP_POOL_H

#include <loomp/loop.h>
#include <loomp/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct loomp_pool loomp_pool;

/* The pool of that name: "compute" and "blocking" always exist, those of the settings (pools.NAME.*)
 * from start to stop, those of loomp_pool_open until they are closed. NULL if there is none. Any
 * thread; does not block. */
loomp_pool *loomp_pool_named(loomp_runtime *runtime, const char *name);

/* Its name, valid as long as the pool. */
const char *loomp_pool_name(const loomp_pool *pool);

/* How many threads (places) a pool has; for one that is blocking, how many it may grow to. */
int loomp_pool_threads(loomp_pool *pool);

/* The index of this thread in the pool, in wake order, or -1 if it is not one of its threads. */
int loomp_thread_index(loomp_pool *pool);

/* What a pool is to be, as the settings pools.NAME.* say it. */
struct loomp_pool_options {
    size_t size;         /* sizeof this struct, set by loomp_pool_options_init */
    uint32_t threads;    /* 0: as many as there are places; of a blocking pool, 64 */
    uint32_t blocking;   /* 1: threads for work that sleeps, started when needed; SERIAL jobs only */
    const char *cpus;    /* a CPU list, "" or NULL: the places of `compute` */
    const char *gpu;     /* devices to be near to, as the setting gpu */
    uint64_t spare_[8];
};

void loomp_pool_options_init(struct loomp_pool_options *options);

/* Opens a pool while the runtime runs. The plan that is in force stays: the places of the new pool
 * are its own only as far as `cpus` or `gpu` name CPUs that no other pool has, otherwise the kernel
 * shares them. Plain threads; blocks until its threads are up (a blocking pool has none yet). On
 * success *pool is set, and valid until loomp_pool_close or loomp_stop. Returns 0; -EEXIST (the name
 * is taken); -EINVAL (the name, an option; loomp_error says which); -ENODEV (no such GPU); -ENOMEM;
 * -EAGAIN (threads); -EDEADLK (on a thread of loomp's); -ESHUTDOWN; -EOWNERDEAD. */
int loomp_pool_open(loomp_runtime *runtime, const char *name,
                    const struct loomp_pool_options *options, loomp_pool **pool);

/* Waits until the pool's jobs are done, ends its threads and frees it. From the call on only jobs of
 * the pool may submit to it; others get -ESHUTDOWN while it lasts, and the pool must not be used
 * after it. Plain threads; blocks. Returns 0; -EINVAL (a pool of loomp_start's); -EALREADY (somebody
 * else closes it); -EDEADLK (on a thread of loomp's, in a job); -ESHUTDOWN (loomp_stop has freed it,
 * as far as can be known); -EOWNERDEAD. */
int loomp_pool_close(loomp_pool *pool);

/* ---- every thread once ---- */

/* Called with the thread's index, the number of threads, and the caller's argument; 0 or an error. */
typedef int (*loomp_broadcast_fn)(int index, int count, void *arg);

/* Calls fn(index, count, arg) once on every thread of the pool's task team, as a SERIAL job there:
 * on each after the jobs that this thread itself has submitted, and before it looks for others. fn
 * must not wait. results: NULL, or room for one int per thread. Blocks until all have run; on a
 * thread of the pool's it runs its own part meanwhile. Returns 0 or the error of the lowest index;
 * -EINVAL (also for a blocking pool, whose threads come and go); -EDEADLK (on a loop: use
 * loomp_broadcast_async; in a parallel region; inside a broadcast); -ENOMEM, -ESHUTDOWN,
 * -EOWNERDEAD. */
int loomp_broadcast(loomp_pool *pool, loomp_broadcast_fn fn, void *arg, int *results);

/* status as the result of loomp_broadcast; results[count], valid during the call. */
typedef void (*loomp_broadcast_done_fn)(loomp_pool *pool, int status, const int *results, int count,
                                        void *arg);

/* The same without waiting: done(...) is called once, on `home`, or on one of the pool's threads if
 * home is NULL. Any thread; allocates. Returns 0 or as above; then done is not called. */
int loomp_broadcast_async(loomp_pool *pool, loomp_broadcast_fn fn, void *arg, loomp_loop *home,
                          loomp_broadcast_done_fn done);

/* ---- giving way ---- */

/* In a SERIAL job: runs one other SERIAL job of the pool here and now, inside this one, if one is
 * waiting. It may be any: what it waits for must not be held by the job that yields. Returns 1 (ran
 * one), 0 (none waits, or 16 such jobs are inside each other already), -ENOENT elsewhere. */
int loomp_yield(void);

/* The same, but only a job that this very thread has submitted and that nobody has taken yet. */
int loomp_yield_local(void);

/* ---- figures ---- */

/* Counted since the pool was started; each is read by itself, so that sums may be off by what is
 * under way. */
struct loomp_pool_stats {
    size_t size;             /* sizeof this struct, set by the caller */
    uint64_t threads;        /* as loomp_pool_threads */
    uint64_t queued;         /* SERIAL jobs that wait now; a withdrawn one until a thread passes it */
    uint64_t queued_gangs;   /* TASKS and GANG jobs that wait now; likewise */
    uint64_t serial;         /* SERIAL jobs started */
    uint64_t tasks;          /* TASKS jobs started */
    uint64_t gangs;          /* GANG jobs started */
    uint64_t gangs_narrowed; /* of these, run with a team of one, inside a TASKS job that waits */
    uint64_t helped;         /* of all, run by a thread that waited for their group */
    uint64_t stolen;         /* SERIAL jobs taken over from another worker or cache group */
    uint64_t relieved;       /* SERIAL jobs run beside a gang that has all places */
    uint64_t withdrawn;      /* jobs cancelled before they started */
    uint64_t expired;        /* jobs that did not start before their deadline */
    uint64_t broadcasts;     /* calls of broadcast functions */
    uint64_t spare_[12];
};

/* Fills what stats->size has room for. Any thread; does not block. Returns 0, -EINVAL. */
int loomp_pool_stats_read(loomp_pool *pool, struct loomp_pool_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
