/* SPDX-License-Identifier: MIT */
/* Loops: a thread of loomp's running one libev loop, or a loop of the application's own that was
 * attached. Use libev's own watchers on them; loomp wraps none. */
#ifndef LOOMP_LOOP_H
#define LOOMP_LOOP_H

#include <loomp/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop;

typedef struct loomp_loop loomp_loop;

/* The i-th loop of loomp's own (0 <= index < loomp_loop_count), or NULL. Any thread; does not
 * block. Valid until stop. */
loomp_loop *loomp_loop_at(loomp_runtime *runtime, int index);

/* How many loops of its own the runtime has (setting io.threads). */
int loomp_loop_count(loomp_runtime *runtime);

/* The loop whose thread this is, or NULL. An attached loop is found only on the thread that
 * attached it. Any thread; does not block. */
loomp_loop *loomp_loop_here(void);

/* The libev loop, for libev's own calls, which are allowed on the loop's own thread only. Its user
 * data, release and invoke-pending callbacks are free for the application. */
struct ev_loop *loomp_loop_ev(loomp_loop *loop);

/* A function that is called on a loop. */
typedef void (*loomp_post_fn)(loomp_loop *loop, void *arg);

/* Calls fn(loop, arg) on the loop's thread, soon, in order with other posts of this thread, never
 * inside this call. Any thread, also one that loomp does not know; does not block; allocates only
 * until the thread's object pool is warm. `arg` stays the caller's. Counts as tracked work.
 * Returns 0, -ENOMEM, -ESHUTDOWN, -EOWNERDEAD. */
int loomp_post(loomp_loop *loop, loomp_post_fn fn, void *arg);

/* Calls fn(loop, arg) on the loop's thread when the loop ends (last registered first): stop your
 * watchers and close descriptors there. Call it on the loop's own thread. For an attached loop the
 * calls are made by loomp_detach. Returns 0, -ENOMEM, -EPERM (another thread). */
int loomp_loop_at_exit(loomp_loop *loop, loomp_post_fn fn, void *arg);

/* Makes a libev loop of the application's own a home for jobs. Call it on the thread that runs that
 * loop, outside of ev_run or in one of its callbacks. loomp adds one ev_async watcher; it holds a
 * reference (ev_ref) only while something with that home is under way. The thread's CPU mask is
 * left alone. Returns 0, -EALREADY (this thread has a loop), -EINVAL, -ENOMEM, -EMFILE or -ENFILE
 * (no descriptor for the watcher), -ESHUTDOWN, -EOWNERDEAD. */
int loomp_attach(loomp_runtime *runtime, struct ev_loop *ev, loomp_loop **loop);

/* Runs what is outstanding with that home (it runs the libev loop for it, so the application's own
 * watchers are served too), then lets go of the libev loop, which stays the application's. On the
 * attached loop's own thread, with ev_run not running. Blocks until the loop's jobs are done.
 * Returns 0, -EINVAL (not attached), -EPERM (another thread), -EDEADLK (inside ev_run). */
int loomp_detach(loomp_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
