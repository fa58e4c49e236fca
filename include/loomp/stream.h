/* SPDX-License-Identifier: MIT */
/* Streams: an ordered map over items that arrive one by one. Items are pushed on a loop, mapped in
 * parallel on a pool, and delivered on the same loop in the order in which they came. At most
 * `window` of them are between push and deliver; who pushes more is told to wait, and called when
 * there is room. */
#ifndef LOOMP_STREAM_H
#define LOOMP_STREAM_H

#include <loomp/job.h>
#include <loomp/site.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct loomp_stream loomp_stream;

/* What a map returns for an item that does not go on: a filter's no. */
#define LOOMP_STREAM_DROP 1

/* Runs on a team thread, for several items at once; also on the loop, inside push or between two
 * stages, where the stream has a site, or the pool's queue is full and queue_policy is caller_runs.
 * It may put another pointer into *item, which is then the item. Returns 0, LOOMP_STREAM_DROP, or a
 * negative errno value; loomp_cancelled() tells it that nobody wants the result any more. */
typedef int (*loomp_stream_map_fn)(void **item, void *arg);

/* Gets each accepted item back, exactly once, on the loop, never inside push. status: 0,
 * LOOMP_STREAM_DROP, the map's error, or -ECANCELED after an abort (map may have run or not). It
 * may push to this stream and to others, close and abort them. */
typedef void (*loomp_stream_deliver_fn)(void *item, int status, void *arg);

/* There is room again after pushes that returned -EAGAIN; on the loop, once for all of them, and
 * not after a close or an abort. Push in it: where stages before this one wait for the same room,
 * they get it when this returns, and pushes are refused until it is this one's turn again. */
typedef void (*loomp_stream_writable_fn)(loomp_stream *stream, void *arg);

/* The last call of a stream, on its loop; the handle is not valid afterwards. status: 0, the error
 * that ended it (LOOMP_STREAM_STOP), -ECANCELED (loomp_stream_abort), -ESHUTDOWN (its loop ended
 * first). */
typedef void (*loomp_stream_closed_fn)(int status, void *arg);

/* The size of an item's input, for the site. On the loop, also inside push; it calls nothing of the
 * stream's. */
typedef uint64_t (*loomp_stream_size_fn)(const void *item, void *arg);

/* on_error: what becomes of an item whose map returned an error.
 * PASS: it goes on in its place, with its status, to the end of the chain. SKIP: it is delivered by
 * its own stage; the rest goes on. STOP: as if the stream were aborted with that error: later items
 * of the order, and those that are pushed, get -ECANCELED. */
#define LOOMP_STREAM_PASS 0u
#define LOOMP_STREAM_SKIP 1u
#define LOOMP_STREAM_STOP 2u

/* order */
#define LOOMP_STREAM_ORDERED 0u
#define LOOMP_STREAM_UNORDERED 1u /* delivered as they are ready */

typedef struct loomp_stream_options {
    size_t size;                     /* sizeof this struct, set by loomp_stream_options_init */
    loomp_stream_map_fn map;         /* NULL: items pass unchanged */
    loomp_stream_deliver_fn deliver; /* NULL only with `to`: what ends here is then delivered by the
                                        next stage that has one, with that stage's arg */
    loomp_stream_writable_fn writable; /* may be NULL */
    loomp_stream_closed_fn closed;     /* may be NULL */
    void *arg;                         /* of all callbacks */
    /* The next stage: what this one has mapped is pushed there instead of being delivered, and
     * waits in its place while there is no room. Items that end here (dropped, skipped, cancelled)
     * are delivered here. It has the same loop, and closes when the last stage before it has; it
     * must not be closed sooner. Who opens this stage on another thread sees to it that `to` has
     * not ended when the call begins: an error may stop it, or an abort, or the end of those before
     * it; once the call has returned this stage is one of those. NULL: none. */
    loomp_stream *to;
    uint32_t
        window; /* items between push and deliver, 1 to 65536; 0: 4 for each thread of the pool */
    uint32_t order;    /* LOOMP_STREAM_ORDERED, _UNORDERED */
    uint32_t on_error; /* LOOMP_STREAM_PASS, _SKIP, _STOP */
    /* Of each item's job, as in struct loomp_job. */
    uint32_t kind;
    int32_t priority;
    uint32_t width;
    uint32_t flags;               /* LOOMP_MAY_WAIT, LOOMP_FP_ENV */
    uint32_t hint;                /* of the site's calls */
    loomp_pool *pool;             /* NULL: the pool `compute` */
    loomp_loop *home;             /* where the stream lives; NULL: the calling loop */
    loomp_site *site;             /* NULL, or each item is placed where it is cheapest */
    loomp_stream_size_fn size_of; /* NULL: unknown */
} loomp_stream_options;

/* Clears the options and sets `size`. */
void loomp_stream_options_init(loomp_stream_options *options);

/* Opens a stream; the options are copied. An open stream holds neither loomp_wait_idle nor
 * loomp_stop up, its items do; when its loop ends it is aborted (closed gets -ESHUTDOWN). An idle
 * one takes less than 512 bytes: one for each connection is what it is made for. Any thread, which
 * hands the stream over to its loop with that; does not block; allocates. Returns 0, -EINVAL
 * (loomp_error names the option), -ENOMEM, -ESHUTDOWN, -EOWNERDEAD. */
int loomp_stream_open(loomp_runtime *runtime, const loomp_stream_options *options,
                      loomp_stream **stream);

/* Gives an item to the stream. From here to its delivery it is the stream's. On the stream's loop,
 * also in its callbacks; does not block; allocates only until it is warm. Returns 0; -EAGAIN: the
 * window or the pool's queue is full, or stages before this one wait for room; the item stays the
 * caller's, and `writable` will be called once for all such refusals; -EPIPE: closed,
 * aborted or stopped; -EPERM: another thread; -EINVAL; -ENOMEM; -ESHUTDOWN. After anything but 0
 * the item is the caller's. */
int loomp_stream_push(loomp_stream *stream, void *item);

/* No more items. When the last one has been delivered (or has gone on), the next stage is closed
 * and `closed` is called, never inside this call. Twice is once. On the stream's loop. */
void loomp_stream_close(loomp_stream *stream);

/* The same, but items that have not been delivered are cancelled: each is delivered with
 * -ECANCELED, those whose map is running when it has returned. Stages after this one go on with
 * what they have. On the stream's loop, also in its callbacks. */
void loomp_stream_abort(loomp_stream *stream);

/* Items between push and deliver. On the stream's loop. */
uint32_t loomp_stream_in_flight(const loomp_stream *stream);

/* Whether push would be refused for lack of room; of the pool's queue that is known only after it
 * has refused one. On the stream's loop. */
bool loomp_stream_is_full(const loomp_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
