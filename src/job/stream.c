/* SPDX-License-Identifier: MIT */
/* Owns the life of a stream: it is opened, on its loop or on the way there, closed or broken off,
 * and ends when it is empty and nothing comes before it in its chain. Any thread opens; all else is
 * done on the stream's loop. */
#include "job/stream.h"

#include "base/error.h"
#include "base/self.h"
#include "handoff/ledger.h"
#include "job/engine.h"

#include <errno.h>
#include <stdlib.h>

enum {
    WIDEST = 65536,
    ITEMS_PER_THREAD = 4
};

/* ---- kicks ----------------------------------------------------------------------------------- */

static void adopt(struct loomp_stream *stream);

static void run_kick(struct lp_item *item)
{
    struct loomp_stream *stream = LOOMP_CONTAINER(item, struct loomp_stream, kick);
    loomp_loop *home = stream->options.home;
    stream->kicked = false;
    adopt(stream);
    lp_self.inside++;
    lp_stream_advance(stream); /* the stream may be gone from here on */
    lp_self.inside--;
    lp_loop_settle(home);
    lp_ledger_finish(&lp_tracked);
}

/* The caller has it counted in the ledger. */
static void send_kick(struct loomp_stream *stream)
{
    stream->kicked = true;
    stream->kick.run = run_kick;
    lp_loop_expect(stream->options.home);
    lp_loop_push(stream->options.home, &stream->kick);
}

/* Only when the loop is about to end can it be refused: then the loop's exit does what there is to
 * do. */
void lp_stream_kick(struct loomp_stream *stream)
{
    if (!stream->kicked && lp_ledger_enter(&lp_tracked) == 0) {
        send_kick(stream);
    }
}

/* ---- chains ---------------------------------------------------------------------------------- */

static void join_chain(struct loomp_stream *stream)
{
    struct loomp_stream *to = stream->options.to;
    stream->next_source = to->sources;
    stream->source_link = &to->sources;
    if (to->sources) {
        to->sources->source_link = &stream->next_source;
    }
    to->sources = stream;
}

static void leave_chain(struct loomp_stream *stream)
{
    lp_turn_leave(&stream->options.to->queue, &stream->turn);
    *stream->source_link = stream->next_source;
    if (stream->next_source) {
        stream->next_source->source_link = stream->source_link;
    }
}

/* Whether there are stages before it. */
static bool has_sources(struct loomp_stream *stream)
{
    return stream->sources || atomic_load_explicit(&stream->announced, memory_order_relaxed);
}

/* ---- the end --------------------------------------------------------------------------------- */

void lp_stream_break(struct loomp_stream *stream, int32_t status)
{
    if (stream->aborted) {
        return;
    }
    stream->aborted = stream->closing = true;
    stream->status = status;
    if (stream->options.to) {
        lp_turn_leave(&stream->options.to->queue, &stream->turn);
    }
    lp_stream_forget_room(stream);
    for (struct lp_slot *slot = stream->first; slot; slot = slot->next) {
        if (!slot->ended) {
            loomp_cancel(&slot->job);
        }
    }
    /* What they have mapped could go nowhere. */
    for (struct loomp_stream *source = stream->sources; source; source = source->next_source) {
        lp_stream_break(source, status == -ESHUTDOWN ? status : -ECANCELED);
    }
    if (!stream->busy) {
        lp_stream_kick(stream);
    }
}

void lp_stream_end(struct loomp_stream *stream)
{
    while (stream && stream->closing && !stream->in_flight && !has_sources(stream) &&
           !stream->kicked && !stream->busy) {
        const loomp_stream_options *options = &stream->options;
        struct loomp_stream *to = options->to;
        stream->busy =
            true; /* closed may run the loop (virtual time), which must not end it again */
        lp_stream_forget_room(stream);
        lp_loop_remove_exit(&stream->exit);
        if (options->closed) {
            options->closed(stream->status, options->arg);
        }
        if (to) {
            leave_chain(stream); /* after closed: until then `to` cannot end */
            if (!has_sources(to)) {
                to->closing = true;
                if (stream->status == -ESHUTDOWN && !to->aborted) {
                    to->status = stream->status;
                }
            }
        }
        lp_slots_settle(options->window);
        free(stream);
        stream = to;
    }
}

/* The loop ends. What is still under way keeps an attached loop from that. */
static void on_exit_of_loop(struct lp_loop_exit *exit)
{
    struct loomp_stream *stream = LOOMP_CONTAINER(exit, struct loomp_stream, exit);
    if (!stream->closing || stream->in_flight || has_sources(stream)) {
        lp_stream_break(stream, -ESHUTDOWN);
    }
    lp_stream_advance(stream); /* the stream may be gone from here on */
}

/* ---- opening --------------------------------------------------------------------------------- */

/* On its loop, before anything else is done with it there. */
static void adopt(struct loomp_stream *stream)
{
    if (stream->adopted) {
        return;
    }
    struct loomp_stream *to = stream->options.to;
    stream->adopted = true;
    lp_slots_expect(stream->options.window);
    if (to) {
        adopt(to); /* first, so that it ends after this one when the loop does */
        join_chain(stream);
        if (stream->announces) {
            atomic_fetch_sub_explicit(&to->announced, 1, memory_order_relaxed);
        }
    }
    stream->exit.run = on_exit_of_loop;
    lp_loop_add_exit(stream->options.home, &stream->exit);
    if (to && to->aborted) {
        lp_stream_break(stream, -ECANCELED);
    }
}

static int check_job(const loomp_stream_options *options)
{
    if (options->kind > LOOMP_GANG) {
        return lp_fail(-EINVAL, "loomp_stream_open: kind is %u, not LOOMP_SERIAL, _TASKS or _GANG",
                       options->kind);
    }
    if (options->priority < LOOMP_LOW || options->priority > LOOMP_HIGH) {
        return lp_fail(-EINVAL,
                       "loomp_stream_open: priority is %d, not LOOMP_LOW, _NORMAL or _HIGH",
                       options->priority);
    }
    if (options->flags & ~(LOOMP_MAY_WAIT | LOOMP_FP_ENV)) {
        return lp_fail(-EINVAL,
                       "loomp_stream_open: flags has bits 0x%x besides LOOMP_MAY_WAIT and "
                       "LOOMP_FP_ENV",
                       options->flags & ~(LOOMP_MAY_WAIT | LOOMP_FP_ENV));
    }
    if (options->hint > LOOMP_HINT_HIGH) {
        return lp_fail(-EINVAL,
                       "loomp_stream_open: hint is %u, not LOOMP_HINT_UNKNOWN, _LOW, "
                       "_MEDIUM or _HIGH",
                       options->hint);
    }
    return 0;
}

static int check(const loomp_stream_options *options)
{
    if (options->size != sizeof *options) {
        return lp_fail(-EINVAL, "loomp_stream_open: the options are of another version, or "
                                "loomp_stream_options_init was not called");
    }
    if (options->window > WIDEST) {
        return lp_fail(-EINVAL, "loomp_stream_open: window is %u, more than %d", options->window,
                       (int)WIDEST);
    }
    if (options->order > LOOMP_STREAM_UNORDERED) {
        return lp_fail(-EINVAL,
                       "loomp_stream_open: order is %u, not LOOMP_STREAM_ORDERED or "
                       "_UNORDERED",
                       options->order);
    }
    if (options->on_error > LOOMP_STREAM_STOP) {
        return lp_fail(-EINVAL,
                       "loomp_stream_open: on_error is %u, not LOOMP_STREAM_PASS, _SKIP or "
                       "_STOP",
                       options->on_error);
    }
    if (!options->deliver && !options->to) {
        return lp_fail(-EINVAL, "loomp_stream_open: deliver and to are both NULL");
    }
    return check_job(options);
}

static int check_places(const loomp_stream_options *options, const loomp_loop *home)
{
    const struct loomp_stream *to = options->to;
    if (!home) {
        return lp_fail(-EINVAL, "loomp_stream_open: home is NULL, and this thread has no loop");
    }
    if (to && to->options.home != home) {
        return lp_fail(-EINVAL, "loomp_stream_open: the stream `to` is on another loop");
    }
    if (to && lp_self.loop == home && to->closing) {
        return lp_fail(-EINVAL, "loomp_stream_open: the stream `to` is closed");
    }
    return 0;
}

static uint32_t default_window(const loomp_runtime *runtime, const loomp_pool *pool)
{
    uint32_t threads = pool ? pool->width : runtime->compute->width;
    uint32_t window = (threads ? threads : 1) * ITEMS_PER_THREAD;
    return window < WIDEST ? window : WIDEST;
}

/* With the call counted in the ledger. */
static int open_stream(loomp_runtime *runtime, const loomp_stream_options *options,
                       loomp_loop *home, loomp_stream **out)
{
    struct loomp_stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        return lp_fail(-ENOMEM, "no memory for a stream");
    }
    stream->options = *options;
    stream->options.home = home;
    stream->runtime = runtime;
    if (!options->window) {
        stream->options.window = default_window(runtime, options->pool);
    }
    *out = stream; /* before its loop can know of it */
    if (lp_self.loop == home) {
        adopt(stream);
    } else {
        if (options->to) {
            stream->announces = true;
            atomic_fetch_add_explicit(&options->to->announced, 1, memory_order_relaxed);
        }
        lp_ledger_hold(&lp_tracked);
        send_kick(stream);
    }
    return 0;
}

void loomp_stream_options_init(loomp_stream_options *options)
{
    if (options) {
        *options = (loomp_stream_options){.size = sizeof *options};
    }
}

int loomp_stream_open(loomp_runtime *runtime, const loomp_stream_options *options,
                      loomp_stream **stream)
{
    if (!runtime || !options || !stream) {
        return lp_fail(-EINVAL, "loomp_stream_open: the %s NULL",
                       !runtime   ? "runtime is"
                       : !options ? "options are"
                                  : "place for the stream is");
    }
    int err = lp_ledger_accept(&lp_tracked);
    if (err) {
        return err;
    }
    loomp_loop *home = options->home ? options->home : lp_self.loop;
    err = check(options);
    err = err ? err : check_places(options, home);
    err = err ? err : open_stream(runtime, options, home, stream);
    lp_ledger_finish(&lp_tracked); /* the entry: an open stream is none, */
    lp_ledger_finish(&lp_tracked); /* and this call */
    return err;
}

/* ---- the user's calls ------------------------------------------------------------------------ */

/* Whether this is the stream's loop, which then knows of it. */
static bool is_here(struct loomp_stream *stream)
{
    if (!stream || lp_self.loop != stream->options.home) {
        return false;
    }
    adopt(stream);
    return true;
}

int loomp_stream_push(loomp_stream *stream, void *item)
{
    if (!stream) {
        return lp_fail(-EINVAL, "loomp_stream_push: the stream is NULL");
    }
    if (!is_here(stream)) {
        return lp_fail(-EPERM, "loomp_stream_push belongs on the thread of the stream's loop");
    }
    if (stream->closing || stream->stopping) {
        return lp_fail(-EPIPE, "loomp_stream_push: the stream is %s",
                       stream->stopping  ? "stopped by an error"
                       : stream->aborted ? "aborted"
                                         : "closed");
    }
    int err = stream->in_flight >= stream->options.window
                  ? lp_fail(-EAGAIN, "the stream's window is full: %u items are on their way",
                            stream->in_flight)
              : lp_stream_sources_first(stream)
                  ? lp_fail(-EAGAIN, "stages before the stream wait for its room")
                  : lp_stream_enter(stream, item);
    if (err == -EAGAIN) {
        lp_turn_wait(&stream->queue, &stream->own_turn);
    }
    return err;
}

void loomp_stream_close(loomp_stream *stream)
{
    if (is_here(stream) && !stream->closing) {
        stream->closing = true;
        if (!stream->in_flight && !has_sources(stream) && !stream->busy) {
            lp_stream_kick(stream);
        }
    }
}

void loomp_stream_abort(loomp_stream *stream)
{
    if (is_here(stream)) {
        lp_stream_break(stream, -ECANCELED);
    }
}

uint32_t loomp_stream_in_flight(const loomp_stream *stream)
{
    return stream ? stream->in_flight : 0;
}

bool loomp_stream_is_full(const loomp_stream *stream)
{
    return stream &&
           (stream->in_flight >= stream->options.window || lp_stream_sources_first(stream) ||
            (stream->choked && !lp_stream_pool_has_room(stream)));
}
