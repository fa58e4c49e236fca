/* SPDX-License-Identifier: MIT */
/* The runtime: loops, pools and the teams on them. One at a time per process. */
#ifndef LOOMP_RUNTIME_H
#define LOOMP_RUNTIME_H

#include <loomp/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct loomp_runtime loomp_runtime;

/* Starts the runtime. config NULL: defaults, the file named by $LOOMP_CONFIG, and LOOMP_*
 * variables; otherwise exactly what the config says. Call it from a plain thread. Blocks until
 * every thread is up and bound (milliseconds; loading the topology of a large node may take
 * longer). On success *runtime is set; it stays a valid handle for ever, so that a late call on a
 * stopped runtime is answered with -ESHUTDOWN. On an error nothing is left behind and loomp_error()
 * says why in a sentence. Returns 0, -EALREADY (one is running), -EINVAL (settings), -ENOENT (the
 * file of $LOOMP_CONFIG), -ENOMEM, -EAGAIN (threads), -EIO (topology), -EDEADLK (called on a thread
 * of loomp's), -EOWNERDEAD (a forked child). */
int loomp_start(loomp_runtime **runtime, const loomp_config *config);

/* The running runtime, for libraries; NULL if none runs. Any thread; does not block. */
loomp_runtime *loomp_default(void);

/* The runtime of this loop or team thread; NULL on every other thread. Does not block. */
loomp_runtime *loomp_current(void);

/* Writes the effective CPUs as a list like "0-5,8" (loops and teams together), cut to size - 1
 * characters. Returns the full length. Any thread; does not block. */
int loomp_cpus(loomp_runtime *runtime, char *buffer, size_t size);

/* Writes the GPUs near which `compute` is (the setting gpu), as PCI addresses with commas, cut to
 * size - 1 characters; nothing if none was asked for. Returns the full length. Any thread; does not
 * block. */
int loomp_gpu(loomp_runtime *runtime, char *buffer, size_t size);

/* Prints the plan and its reasons, the teams, and every thread with its place and state. Any
 * thread; blocks only on the stream. */
void loomp_describe(loomp_runtime *runtime, FILE *out);

/* What a thread of loomp's is for, and what it is doing. */
#define LOOMP_THREAD_IO 0
#define LOOMP_THREAD_OMP 1
#define LOOMP_THREAD_GANG 2
#define LOOMP_THREAD_BLOCKING 3

#define LOOMP_STATE_PARKED 0    /* asleep, costs nothing */
#define LOOMP_STATE_SEARCHING 1 /* looking for work before it parks */
#define LOOMP_STATE_BUSY 2      /* runs a job, a region or callbacks */
#define LOOMP_STATE_PAUSED 3    /* its place belongs to the other team for now */

struct loomp_thread_info {
    char name[16];
    int32_t role;      /* LOOMP_THREAD_* */
    int32_t state;     /* LOOMP_STATE_*, a snapshot */
    int32_t cpu;       /* the CPU of its place (an OS index), -1 if not pinned to one */
    int32_t tid;       /* kernel thread id */
    uint64_t jobs;     /* jobs, for loops callbacks, that it has run since start */
    uint64_t spare_[2];
};

/* Fills at most `max` entries with a snapshot of loomp's threads: loops, the task team, the gang
 * team, blocking threads. Any thread; does not block. Returns how many threads there are. */
int loomp_threads(loomp_runtime *runtime, struct loomp_thread_info *threads, int max);

/* True when every tracked job and post is done. Any thread but never exact for longer than the call
 * unless the runtime is shut down. Does not block. */
bool loomp_is_idle(loomp_runtime *runtime);

/* Refuses work from outside from now on (-ESHUTDOWN); what a job or a `done` of accepted work
 * submits is accepted until idle. Any thread, also loops, teams; does not block; idempotent. */
int loomp_shutdown(loomp_runtime *runtime);

/* Waits until idle, or timeout_s seconds (negative: no limit; 0: look only). Blocks a plain thread;
 * on an attached loop's own thread it runs that loop meanwhile. Returns 0; -ETIMEDOUT with what is
 * still under way in loomp_error(); -EDEADLK in a job, on a thread of loomp's or inside ev_run;
 * -ESHUTDOWN (stopped already), -EOWNERDEAD. */
int loomp_wait_idle(loomp_runtime *runtime, double timeout_s);

/* A function that is told of the end of a shutdown. */
typedef void (*loomp_shutdown_fn)(loomp_runtime *runtime, void *arg);

struct loomp_loop;

/* Shuts down and calls fn(runtime, arg) on the loop once everything is done: the form for a signal
 * watcher, which may not wait. The call itself is not tracked work. Any thread; does not block.
 * Returns 0, -ENOMEM, -EINVAL, -ESHUTDOWN (stopped), -EOWNERDEAD. */
int loomp_shutdown_notify(loomp_runtime *runtime, struct loomp_loop *loop, loomp_shutdown_fn fn,
                          void *arg);

/* Shuts down, waits until idle, ends every thread's work and frees what start took. Any thread that
 * is not a loop or team thread, and an attached loop's own thread while ev_run is not running
 * (attached loops of that thread are detached; others must have been). Blocks. Idempotent: a second
 * call, also a concurrent one, returns 0 when the runtime is down. Returns 0, -EDEADLK,
 * -EBUSY (another thread's loop is still attached), -EOWNERDEAD. */
int loomp_stop(loomp_runtime *runtime);

/* The same, but jobs that have not started are not run: their done gets -ECANCELED. Running jobs
 * see loomp_cancelled(). */
int loomp_stop_now(loomp_runtime *runtime);

/* A program's main part that starts on a loop. */
typedef int (*loomp_main_fn)(struct loomp_loop *loop, void *arg);

/* Calls fn(loop, arg) on the first loop and returns its result when the runtime is idle, that is
 * when all it started is done. Blocks; plain threads only. Returns fn's result or -EDEADLK,
 * -ESHUTDOWN, -ENOMEM. */
int loomp_run_until_complete(loomp_runtime *runtime, loomp_main_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
