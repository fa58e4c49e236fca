/* SPDX-License-Identifier: MIT */
/* Owns the streams that a pool has refused an item and that have no job under way whose end would
 * tell of room. Each thread with streams has one alarm for all of its own, which looks at the
 * queues less and less often while they stay full, and calls back only as many streams as there is
 * room for. Loops' threads enter, each for its own streams; no function of the user's is called. */
#include "base/clock.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "handoff/ledger.h"
#include "job/engine.h"
#include "job/stream.h"
#include "loop/alarm.h"

#include <stddef.h>

/* To look in each turn of the loop would take the time that empties the queue. */
#define FIRST_PAUSE_S 0.001
#define LONGEST_PAUSE_S 0.064

/* Counted in the ledger and expected by its loop while it is set. */
struct retry {
    struct lp_alarm alarm;
    loomp_loop *home;
};

_Static_assert(sizeof(struct retry) <= LP_OBJECT_BYTES, "an alarm is an object of the pool");
_Static_assert(offsetof(struct retry, alarm) == 0, "an alarm is the beginning of its object");

static _Thread_local struct {
    struct lp_turns refused; /* who was refused first is first */
    struct retry *retry;     /* NULL: none is set */
    double pause_s;          /* before it rings */
} mine __attribute__((tls_model("initial-exec")));

static uint64_t room_for(const struct loomp_stream *stream)
{
    const loomp_stream_options *options = &stream->options;
    loomp_pool *pool = options->pool ? options->pool : stream->runtime->compute;
    if (lp_pool_enter(pool)) {
        return UINT64_MAX; /* the next push will be told why */
    }
    uint64_t room = lp_pool_room(pool, options->kind == LOOMP_SERIAL, options->priority);
    lp_pool_leave(pool, 2);
    return room;
}

bool lp_stream_pool_has_room(const struct loomp_stream *stream)
{
    return room_for(stream) > 0;
}

static void drop(struct retry *retry)
{
    if (retry) {
        loomp_loop *home = retry->home;
        lp_alarm_drop(&retry->alarm); /* the retry may be gone from here on */
        lp_loop_settle(home);
        lp_ledger_finish(&lp_tracked);
    }
}

static void call_back(struct loomp_stream *stream)
{
    lp_turn_leave(&mine.refused, &stream->refused);
    stream->choked = false;
    lp_stream_kick(stream);
}

static struct loomp_stream *stream_of(struct lp_turn *refused)
{
    return LOOMP_CONTAINER(refused, struct loomp_stream, refused);
}

static void ring(struct lp_alarm *alarm);

/* For those that are refused, of which there are some. Without memory they try at once. */
static void set_retry(loomp_loop *home)
{
    if (lp_ledger_enter(&lp_tracked)) {
        return; /* the loop is about to end, and they with it */
    }
    struct retry *retry = lp_object_take();
    mine.retry = retry;
    if (!retry) {
        while (mine.refused.first) {
            call_back(stream_of(mine.refused.first));
        }
        lp_ledger_finish(&lp_tracked);
        return;
    }
    lp_loop_expect(home);
    retry->home = home;
    lp_alarm_init(&retry->alarm, home, ring);
    retry->alarm.when_ns = lp_clock_deadline_ns(mine.pause_s);
    lp_alarm_set(&retry->alarm);
}

static void ring(struct lp_alarm *alarm)
{
    struct retry *retry = (struct retry *)(void *)alarm;
    uint64_t called = 0;
    mine.retry = NULL;
    for (struct lp_turn *turn = mine.refused.first, *next; turn; turn = next) {
        next = turn->next;
        /* One place for each, also where their pools differ: who is left over is first next time.
         */
        if (room_for(stream_of(turn)) > called) {
            call_back(stream_of(turn));
            called++;
        }
    }
    mine.pause_s = called                               ? FIRST_PAUSE_S
                   : mine.pause_s * 2 < LONGEST_PAUSE_S ? mine.pause_s * 2
                                                        : LONGEST_PAUSE_S;
    if (mine.refused.first) {
        set_retry(retry->home);
    }
    drop(retry);
}

void lp_stream_await_room(struct loomp_stream *stream)
{
    stream->choked = true;
    if (stream->running) {
        return; /* the end of one of those will tell */
    }
    lp_turn_wait(&mine.refused, &stream->refused);
    if (!mine.retry) {
        mine.pause_s = FIRST_PAUSE_S;
        set_retry(stream->options.home);
    }
}

void lp_stream_forget_room(struct loomp_stream *stream)
{
    stream->choked = false;
    lp_turn_leave(&mine.refused, &stream->refused);
    if (!mine.refused.first) {
        struct retry *retry = mine.retry;
        mine.retry = NULL;
        drop(retry);
    }
}
