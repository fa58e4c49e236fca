/* SPDX-License-Identifier: MIT */
/* Owns the way of an item through a stream: it enters with a job, ends, and leaves in its turn, to
 * the user or to the next stage. The stream's loop enters; run_map alone runs where the job does.
 *
 * What was refused room waits where it is and is called back by whoever made room: a stage that has
 * let items go serves those that wait for it, the stages before it and who pushes into it, in one
 * queue. So each item that waits waits, in the end, for a job, a kick or a retry that is under way,
 * all of which the ledger counts. */
#include "base/error.h"
#include "base/platform.h"
#include "base/self.h"
#include "handoff/ledger.h"
#include "job/stream.h"

#include <errno.h>

/* So many items are delivered in one go before other things of the loop get their turn. */
enum {
    BATCH = 64
};

/* Or fewer, if they take longer than this. Looked at after every few. */
enum {
    BATCH_NS = 200 * 1000,
    ITEMS_PER_LOOK = 4
};

/* ---- the list -------------------------------------------------------------------------------- */

/* Before `next`; NULL: at the end. */
static void insert(struct loomp_stream *stream, struct lp_slot *slot, struct lp_slot *next)
{
    slot->next = next;
    slot->previous = next ? next->previous : stream->last;
    *(slot->previous ? &slot->previous->next : &stream->first) = slot;
    *(next ? &next->previous : &stream->last) = slot;
}

static void unlink_slot(struct loomp_stream *stream, struct lp_slot *slot)
{
    if (stream->ready == slot) {
        stream->ready = slot->previous;
    }
    *(slot->previous ? &slot->previous->next : &stream->first) = slot->next;
    *(slot->next ? &slot->next->previous : &stream->last) = slot->previous;
}

static void add(struct loomp_stream *stream, struct lp_slot *slot)
{
    slot->stream = stream;
    slot->ended = false;
    insert(stream, slot, NULL);
    stream->in_flight++;
}

static void take_out(struct loomp_stream *stream, struct lp_slot *slot)
{
    unlink_slot(stream, slot);
    stream->in_flight--;
}

/* ---- an item ends ---------------------------------------------------------------------------- */

/* What comes after an error that stops the stream is not wanted any more; what comes before it is.
 */
static void stop_after(struct loomp_stream *stream, struct lp_slot *slot)
{
    stream->stopping = true;
    for (struct lp_slot *later = slot->next; later; later = later->next) {
        if (!later->ended) {
            loomp_cancel(&later->job);
        }
    }
}

static void end_item(struct loomp_stream *stream, struct lp_slot *slot, int32_t status)
{
    slot->status = status;
    slot->ended = true;
    if (stream->options.order == LOOMP_STREAM_UNORDERED) {
        struct lp_slot *next = stream->ready ? stream->ready->next : stream->first;
        if (next != slot) {
            unlink_slot(stream, slot);
            insert(stream, slot, next);
        }
        stream->ready = slot;
    }
    if (slot->failed && !slot->passed && stream->options.on_error == LOOMP_STREAM_STOP) {
        stop_after(stream, slot);
    }
}

static int run_map(loomp_job *job)
{
    struct lp_slot *slot = LOOMP_CONTAINER(job, struct lp_slot, job);
    const loomp_stream_options *options = &slot->stream->options;
    slot->ran = true;
    return options->map(&slot->item, options->arg);
}

static void on_done(loomp_job *job, int status)
{
    struct lp_slot *slot = LOOMP_CONTAINER(job, struct lp_slot, job);
    struct loomp_stream *stream = slot->stream;
    stream->running--;
    slot->failed = status < 0 && (slot->ran || status != -ECANCELED);
    if (stream->choked) {
        if (lp_stream_pool_has_room(stream)) {
            lp_stream_forget_room(stream);
        } else {
            lp_stream_await_room(stream);
        }
    }
    end_item(stream, slot, status);
    lp_stream_advance(stream);
}

/* ---- an item begins -------------------------------------------------------------------------- */

static int submit(struct loomp_stream *stream, struct lp_slot *slot)
{
    const loomp_stream_options *options = &stream->options;
    loomp_job *job = &slot->job;
    job->work = run_map;
    job->done = on_done;
    job->pool = options->pool;
    job->home = options->home;
    job->kind = options->kind;
    job->priority = options->priority;
    job->width = options->width;
    job->flags = options->flags;
    job->site = options->site;
    job->hint = options->hint;
    job->size = options->size_of ? options->size_of(slot->item, options->arg) : 0;
    slot->ran = false;
    stream->running++;
    int err = loomp_submit(stream->runtime, job);
    if (err) {
        stream->running--;
    }
    if (err == -EAGAIN) {
        lp_stream_await_room(stream);
    } else if (stream->choked) {
        lp_stream_forget_room(stream);
    }
    return err;
}

/* Without a map there is no job: what the item waits for is the kick that delivers it. */
static int pass_unchanged(struct loomp_stream *stream, struct lp_slot *slot)
{
    int err = lp_ledger_accept(&lp_tracked);
    if (err) {
        return err;
    }
    end_item(stream, slot, 0);
    lp_stream_kick(stream);
    lp_ledger_finish(&lp_tracked); /* the entry, in whose place the kick is, */
    lp_ledger_finish(&lp_tracked); /* and this call */
    return 0;
}

int lp_stream_enter(struct loomp_stream *stream, void *item)
{
    struct lp_slot *slot = lp_slot_take();
    if (!slot) {
        return lp_fail(-ENOMEM, "no memory for an item of a stream");
    }
    slot->item = item;
    slot->failed = slot->passed = false;
    add(stream, slot);
    int err = stream->options.map ? submit(stream, slot) : pass_unchanged(stream, slot);
    if (err) {
        take_out(stream, slot);
        lp_slot_give(slot);
    }
    return err;
}

/* ---- an item leaves -------------------------------------------------------------------------- */

static bool has_room(const struct loomp_stream *stream)
{
    return stream->in_flight < stream->options.window && !stream->choked && !stream->stopping;
}

/* Whether the item goes on to the next stage; else it is delivered here, with *status. */
static bool goes_on(const struct loomp_stream *stream, const struct lp_slot *slot, int32_t *status)
{
    *status = stream->aborted ? -ECANCELED : slot->status;
    if (!stream->options.to || stream->aborted) {
        return false;
    }
    return slot->passed || slot->status == 0 ||
           (slot->failed && stream->options.on_error == LOOMP_STREAM_PASS);
}

/* Into the next stage; false: it stays where it is until there is room. */
static bool move(struct loomp_stream *stream, struct lp_slot *slot)
{
    struct loomp_stream *to = stream->options.to;
    if (!has_room(to) || (to->queue.first && to->served != &stream->turn)) {
        lp_turn_wait(&to->queue, &stream->turn);
        return false;
    }
    int32_t status = slot->status;
    take_out(stream, slot);
    add(to, slot);
    int err = 0;
    if (slot->failed) {
        slot->passed = true;
    } else if (to->options.map) {
        err = submit(to, slot);
        if (err == -EAGAIN) {
            take_out(to, slot);
            slot->stream = stream;
            slot->status = status;
            slot->ended = true;
            insert(stream, slot, stream->first);
            stream->in_flight++;
            if (!stream->ready && stream->options.order == LOOMP_STREAM_UNORDERED) {
                stream->ready = slot;
            }
            lp_turn_wait(&to->queue, &stream->turn);
            return false;
        }
        slot->failed = err != 0;
        status = err;
    }
    if (err || slot->passed || !to->options.map) {
        end_item(to, slot, status);
        lp_stream_advance(to); /* which stays while it has a source */
    }
    return true;
}

static void deliver(struct loomp_stream *stream, struct lp_slot *slot, int32_t status)
{
    const loomp_stream_options *options = &stream->options;
    void *item = slot->item;
    bool stops = slot->failed && !slot->passed && options->on_error == LOOMP_STREAM_STOP;
    take_out(stream, slot);
    lp_slot_give(slot);
    if (stops) {
        lp_stream_break(stream, status);
    }
    while (!options->deliver) {
        options = &options->to->options; /* which ends after those before it */
    }
    options->deliver(item, status, options->arg);
}

/* The first item leaves, if it can. */
static bool let_go(struct loomp_stream *stream)
{
    struct lp_slot *slot = stream->first;
    int32_t status;
    if (!slot || !slot->ended || stream->turn.link) {
        return false;
    }
    if (goes_on(stream, slot, &status)) {
        return move(stream, slot);
    }
    deliver(stream, slot, status);
    return true;
}

static void tell_writable(struct loomp_stream *stream)
{
    const loomp_stream_options *options = &stream->options;
    if (options->writable && !stream->closing) {
        options->writable(stream, options->arg);
    }
}

/* Those that wait, each as far as there is room; who still waits goes to the end. Who pushes is
 * told when half of the window is free if nobody else wants it, so that it comes with a batch. */
static void let_in(struct loomp_stream *stream)
{
    struct lp_turn *outer = stream->served;
    while (stream->queue.first && has_room(stream)) {
        struct lp_turn *turn = stream->queue.first;
        bool own = turn == &stream->own_turn;
        if (own && !turn->next && stream->in_flight > stream->options.window / 2) {
            break;
        }
        lp_turn_leave(&stream->queue, turn);
        stream->served = turn;
        if (own) {
            tell_writable(stream);
        } else {
            lp_stream_advance(LOOMP_CONTAINER(turn, struct loomp_stream, turn));
        }
    }
    stream->served = outer;
}

void lp_stream_advance(struct loomp_stream *stream)
{
    if (stream->busy) {
        return; /* the one below us goes on when we return */
    }
    stream->busy = true;
    uint64_t deadline = 0;
    int left = BATCH;
    bool moved;
    do {
        moved = false;
        while (left > 0 && let_go(stream)) {
            moved = true;
            left--;
            if (left == BATCH - 1) {
                deadline = lp_now_ns() + BATCH_NS;
            } else if (left % ITEMS_PER_LOOK == 0 && lp_now_ns() > deadline) {
                left = 0;
            }
        }
        let_in(stream);
    } while (moved && left > 0);
    stream->busy = false;
    if (stream->first && stream->first->ended && !stream->turn.link) {
        lp_stream_kick(stream);
    }
    lp_stream_end(stream); /* the stream may be gone from here on */
}
