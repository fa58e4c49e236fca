/* SPDX-License-Identifier: MIT */
/* Fork and join in one call: index ranges in chunks, two functions at once. */
#ifndef LOOMP_PARALLEL_H
#define LOOMP_PARALLEL_H

#include <loomp/group.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does the indices begin <= i < end; 0 or an error. */
typedef int (*loomp_for_fn)(int64_t begin, int64_t end, void *arg);

/* Calls body for consecutive chunks of `grain` indices (the last may be shorter) that cover begin to
 * end, each once, on the threads of `compute`, several at a time. grain 0: range / (8 x threads), at
 * least 1, and more where calls with the same body have shown that such a chunk takes less than 2 us; a
 * range of less than 50 us is then done by the caller. (Of loomp_for_reduce always the former.) An
 * error keeps chunks that have not begun from beginning. begin >= end does nothing.
 *
 * On a plain thread, and in a job of a blocking pool, it blocks. In other SERIAL jobs the caller does
 * chunks too. In a GANG job, between its regions, and in a TASKS job and its tasks it runs on their
 * team. Inside a region of a GANG, and in a job that runs inline on a loop (loomp/site.h), the caller
 * does all chunks. Returns 0 or the first error (of body; -ECANCELED when the job around it is
 * cancelled and not all chunks have begun); -EDEADLK on a loop elsewhere: use loomp_for_async;
 * -EINVAL, -EAGAIN, -ESHUTDOWN, -EOWNERDEAD. Allocates nothing once warm. */
int loomp_for(loomp_runtime *runtime, int64_t begin, int64_t end, int64_t grain, loomp_for_fn body,
              void *arg);

typedef void (*loomp_for_done_fn)(int status, void *arg);

/* The same without waiting, from a loop's own thread: done(status, arg) is called there, never
 * inside this call. Returns 0; -EPERM (another thread), -EINVAL, -EAGAIN, -ENOMEM, -ESHUTDOWN,
 * -EOWNERDEAD; then neither body nor done is called. */
int loomp_for_async(loomp_loop *loop, int64_t begin, int64_t end, int64_t grain, loomp_for_fn body,
                    void *arg, loomp_for_done_fn done);

/* How chunks add up to one result. */
struct loomp_reduction {
    size_t bytes; /* of a partial result */
    /* Sets a partial result to the neutral element. */
    void (*start)(void *partial, void *arg);
    /* Adds the indices begin <= i < end to a partial result; 0 or an error. */
    int (*body)(int64_t begin, int64_t end, void *partial, void *arg);
    /* Adds `from`, which stands for higher indices, to `into`. */
    void (*combine)(void *into, const void *from, void *arg);
};

/* loomp_for with a result: every chunk has a partial result of its own, and these are combined in
 * the order of their indices, so that equal grains give equal results to the last bit, whatever the
 * threads did. result: room for `bytes`; undefined after an error. Allocates room for the partial
 * results. Returns as loomp_for, and -ENOMEM. */
int loomp_for_reduce(loomp_runtime *runtime, int64_t begin, int64_t end, int64_t grain,
                     const struct loomp_reduction *reduction, void *result, void *arg);

/* Calls f(f_arg) and g(g_arg) and returns when both have returned: at the same time if a thread has
 * time for the second, one after the other if not, and in a job that runs inline on a loop. On a
 * team thread f runs here. Nests to any depth. Blocks. Returns f's result if it is not 0, or else g's; -ECANCELED (the job around it was cancelled,
 * or loomp_stop_now came, before g had begun); -EDEADLK on a loop elsewhere; -EINVAL,
 * -EAGAIN (queue_limit, not on a team thread), -ESHUTDOWN, -EOWNERDEAD; then neither was called. */
int loomp_join(loomp_runtime *runtime, int (*f)(void *arg), void *f_arg, int (*g)(void *arg),
               void *g_arg);

#ifdef __cplusplus
}
#endif
#endif
