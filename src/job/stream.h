/* SPDX-License-Identifier: MIT */
/* What the files of a stream share. All of it belongs to the thread of the stream's loop: nothing here
 * is atomic, nothing is locked. Only the jobs of its items run elsewhere; they read what does not
 * change while the stream is open (map, arg), and write their slot's item. */
#ifndef LP_JOB_STREAM_H
#define LP_JOB_STREAM_H

#include "loop/loop.h"

#include <loomp/stream.h>

#include <stdbool.h>
#include <stdint.h>

/* An item between push and deliver, with its job. A slot goes with its item from stage to stage, so
 * that what one stage has taken cannot fail to find room in the next for lack of memory. */
struct lp_slot {
    loomp_job job;
    struct loomp_stream *stream;
    void *item;
    struct lp_slot *next, *previous; /* in the stream; next also of free ones */
    int32_t status;
    bool ended;  /* nothing more will be done to it here; status holds */
    bool passed; /* it came with its error from an earlier stage and is not mapped */
};

struct loomp_stream {
    loomp_stream_options options; /* nothing in it changes but by open */
    loomp_runtime *runtime;
    struct lp_item kick;       /* on its way to the loop while `kicked` */
    struct lp_loop_exit exit;  /* in the loop's list once `adopted` */
    struct lp_stream_retry *retry; /* NULL: none is set */

    /* The items: in the order of their pushes; without order, what has ended comes first. */
    struct lp_slot *first, *last;
    struct lp_slot *ready; /* without order: the last of those that have ended */
    uint32_t in_flight;    /* items in that list */
    uint32_t running;      /* of these, jobs that have been submitted and are not done */

    /* The chain: the stages before this one, and of these, those that wait for room, oldest first. */
    struct loomp_stream *sources;
    struct loomp_stream *next_source, **source_link;
    struct loomp_stream *waiting, **waiting_end;
    struct loomp_stream *next_waiting;

    int32_t status;   /* for closed */
    bool adopted;     /* its loop knows of it */
    bool kicked;
    bool closing;     /* no more pushes; it ends when it is empty */
    bool aborted;     /* what has not been delivered is cancelled */
    bool stopping;    /* LOOMP_STREAM_STOP: there is an error among the items; no more pushes */
    bool busy;        /* lp_stream_advance is below us on the stack, or it is ending */
    bool waits;       /* in the next stage's list `waiting` */
    bool choked;      /* the pool has refused an item; until one of ours ends, or a moment later */
    bool wants_room;  /* a push was refused */
};

_Static_assert(sizeof(struct loomp_stream) <= 480, "an idle stream takes less than 512 bytes");

/* ---- stream_slots.c ------------------------------------------------------------------------------ */

/* A slot, whose job's private words are those of an idle job and whose other fields are not set. NULL
 * without memory; allocates only until the thread is warm. */
struct lp_slot *lp_slot_take(void);
void lp_slot_give(struct lp_slot *slot);

/* How many are kept follows the streams that are open on this thread. */
void lp_slots_expect(uint32_t window);
void lp_slots_settle(void);

/* ---- stream_items.c ------------------------------------------------------------------------------ */

/* A new item, in a push. 0 or why the pool does not take it. */
int lp_stream_enter(struct loomp_stream *stream, void *item);

/* Delivers and moves on what can be, and ends the stream if it is over: calls the user's functions. The
 * stream may be gone when this returns. */
void lp_stream_advance(struct loomp_stream *stream);

/* ---- stream.c: never calls the user's functions, but for lp_stream_end --------------------------- */

/* Makes its loop call lp_stream_advance soon. */
void lp_stream_kick(struct loomp_stream *stream);

/* The same in a moment, when the pool may have room again. */
void lp_stream_retry_later(struct loomp_stream *stream);

/* Cancels what has not been delivered, also in the stages before. */
void lp_stream_break(struct loomp_stream *stream, int32_t status);

/* What the next stage has refused waits for room there, or does not any more. */
void lp_stream_wait(struct loomp_stream *stream);
void lp_stream_stop_waiting(struct loomp_stream *stream);

/* Calls closed if the stream is over, and ends the next one if that is over then. They may be gone when
 * this returns. */
void lp_stream_end(struct loomp_stream *stream);

#endif
