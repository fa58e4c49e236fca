/* SPDX-License-Identifier: MIT */
/* What the files of a stream share. All of it belongs to the thread of the stream's loop: nothing
 * here is locked, and only `announced` is atomic. Only the jobs of its items run elsewhere; they
 * read what does not change while the stream is open (map, arg), and write their slot's item and
 * `ran`. */
#ifndef LP_JOB_STREAM_H
#define LP_JOB_STREAM_H

#include "loop/loop.h"

#include <loomp/stream.h>

#include <stdatomic.h>
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
    bool ran;    /* its map has been called; the job's done orders what the loop reads of it */
    bool failed; /* status is an error, and not that it was cancelled before it ran */
    bool passed; /* it came with its error from an earlier stage and is not mapped */
};

/* A place in a queue of those that wait for something, oldest first. */
struct lp_turn {
    struct lp_turn *next;
    struct lp_turn **link; /* what points to it; NULL: it is not in a queue */
};

struct lp_turns {
    struct lp_turn *first,
        **end; /* end: what the next one is put into; not set while it is empty */
};

/* At the end, unless it is there already. */
static inline void lp_turn_wait(struct lp_turns *turns, struct lp_turn *turn)
{
    if (!turn->link) {
        turn->next = NULL;
        turn->link = turns->first ? turns->end : &turns->first;
        turns->end = &turn->next;
        *turn->link = turn;
    }
}

/* Does nothing if it is not there. */
static inline void lp_turn_leave(struct lp_turns *turns, struct lp_turn *turn)
{
    if (turn->link) {
        *turn->link = turn->next;
        *(turn->next ? &turn->next->link : &turns->end) = turn->link;
        turn->link = NULL;
    }
}

struct loomp_stream {
    loomp_stream_options options; /* nothing in it changes but by open */
    loomp_runtime *runtime;
    struct lp_item kick;      /* on its way to the loop while `kicked` */
    struct lp_loop_exit exit; /* in the loop's list once `adopted` */
    struct lp_turn refused;   /* by its pool (stream_room.c) */

    /* The items: in the order of their pushes; without order, what has ended comes first. */
    struct lp_slot *first, *last;
    struct lp_slot *ready; /* without order: the last of those that have ended */
    uint32_t in_flight;    /* items in that list */
    uint32_t running;      /* of these, jobs that have been submitted and are not done */

    /* The chain: the stages before this one. */
    struct loomp_stream *sources;
    struct loomp_stream *next_source, **source_link;

    /* Who waits for room here: the stages before this one, each with its `turn`, and who pushes
     * into this one, with `own_turn`. */
    struct lp_turns queue;
    struct lp_turn own_turn;
    struct lp_turn *served; /* whose turn it is this moment; NULL: nobody's */
    struct lp_turn turn;    /* in the next stage's queue */

    /* Stages that other threads have opened before this one and that its loop does not know of yet;
     * it does not end before. Added to by who opens, taken from by the loop, read by the loop.
     * relaxed: it orders nothing; that the opener's call comes before the end is the caller's to
     * order. */
    _Atomic uint32_t announced;

    int32_t status; /* for closed */
    bool adopted;   /* its loop knows of it */
    bool announces; /* it is counted in `announced` of the next stage */
    bool kicked;
    bool closing;  /* no more pushes; it ends when it is empty */
    bool aborted;  /* what has not been delivered is cancelled */
    bool stopping; /* LOOMP_STREAM_STOP: there is an error among the items; no more pushes */
    bool busy;     /* lp_stream_advance is below us on the stack, or it is ending */
    bool choked;   /* the pool has refused an item, and had no room since */
};

_Static_assert(sizeof(struct loomp_stream) <= 496, "an idle stream takes less than 512 bytes");

/* ---- stream_slots.c -------------------------------------------------------------------------- */

/* A slot, whose job's private words are those of an idle job and whose other fields are not set.
 * NULL without memory; allocates only until the thread is warm. */
struct lp_slot *lp_slot_take(void);
void lp_slot_give(struct lp_slot *slot);

/* How many are kept follows the windows of the streams that are open on this thread. */
void lp_slots_expect(uint32_t window);
void lp_slots_settle(uint32_t window);

/* ---- stream_room.c --------------------------------------------------------------------------- */

/* The pool has refused an item: the stream is choked, and its loop calls lp_stream_advance when
 * there is room, unless one of its own jobs ends sooner. */
void lp_stream_await_room(struct loomp_stream *stream);

/* It has room, or does not want any. */
void lp_stream_forget_room(struct loomp_stream *stream);

bool lp_stream_pool_has_room(const struct loomp_stream *stream);

/* ---- stream_items.c -------------------------------------------------------------------------- */

/* A new item, in a push. 0 or why the pool does not take it. */
int lp_stream_enter(struct loomp_stream *stream, void *item);

/* Whether stages before this one wait for its room, and it is not the turn of who pushes. */
static inline bool lp_stream_sources_first(const struct loomp_stream *stream)
{
    const struct lp_turn *first = stream->queue.first;
    return first && stream->served != &stream->own_turn &&
           (first != &stream->own_turn || first->next);
}

/* Delivers and moves on what can be, and ends the stream if it is over: calls the user's functions.
 * The stream may be gone when this returns. */
void lp_stream_advance(struct loomp_stream *stream);

/* ---- stream.c: never calls the user's functions, but for lp_stream_end ----------------------- */

/* Makes its loop call lp_stream_advance soon. */
void lp_stream_kick(struct loomp_stream *stream);

/* Cancels what has not been delivered, also in the stages before. */
void lp_stream_break(struct loomp_stream *stream, int32_t status);

/* Calls closed if the stream is over, and ends the next one if that is over then. They may be gone
 * when this returns. */
void lp_stream_end(struct loomp_stream *stream);

#endif
