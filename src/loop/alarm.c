/* SPDX-License-Identifier: MIT */
/* Owns alarms: how any thread sets one, and the heap that the loop's thread keeps of them. libev's
 * timer is the loop's (loop.c).
 *
 * The heap is a pairing heap of links inside the alarms: once an alarm exists nothing that becomes
 * of it can fail for lack of memory, so none is lost.
 *
 * Void alarms may stay in the heap. Those that have come to its top go when the loop looks next,
 * and as soon as more than SWEEP_LEAST are void, and more than half of the heap, all of them: who
 * makes the one void that is too many wakes the loop. That is one wake-up, and one walk over the
 * heap, for at least as many alarms as are kept. */
#include "loop/alarm.h"

#include "base/object_pool.h"
#include "loop/loop.h"

/* What has happened to an alarm. Each is added once, by an atomic or: the two that let go are the
 * last touch of their side, and acq_rel, so that who comes second sees all that the first did. Who
 * makes an alarm void that the loop still has counts it, and the loop takes it from the count when
 * it lets go of it; both are decided by this one word. */
enum { IS_VOID = 1, OWNER_HAS_LEFT = 2, LOOP_HAS_LEFT = 4 };

enum { SWEEP_LEAST = 64 };

void lp_alarm_init(struct lp_alarm *alarm, loomp_loop *loop, void (*ring)(struct lp_alarm *alarm))
{
    alarm->alarms = lp_loop_alarms(loop);
    alarm->ring = ring;
    atomic_init(&alarm->state, 0);
}

/* For the loop, or in its place. */
static void leave(struct lp_alarm *alarm)
{
    struct lp_alarms *alarms = alarm->alarms;
    uint32_t before =
        atomic_fetch_or_explicit(&alarm->state, LOOP_HAS_LEFT, memory_order_acq_rel);
    if (before & IS_VOID) {
        atomic_fetch_sub_explicit(&alarms->voided, 1, memory_order_seq_cst);
    }
    if (before & OWNER_HAS_LEFT) {
        lp_object_give(alarm);
    }
}

static void count_void(struct lp_alarms *alarms, uint32_t before)
{
    if (before & (IS_VOID | LOOP_HAS_LEFT)) {
        return;
    }
    int64_t voided = atomic_fetch_add_explicit(&alarms->voided, 1, memory_order_seq_cst) + 1;
    /* Just the one that reaches it: the others know that the loop has been woken. */
    if (voided == atomic_load_explicit(&alarms->too_many, memory_order_seq_cst)) {
        lp_loop_look_at_alarms(alarms->loop);
    }
}

void lp_alarm_void(struct lp_alarm *alarm)
{
    count_void(alarm->alarms,
               atomic_fetch_or_explicit(&alarm->state, IS_VOID, memory_order_seq_cst));
}

void lp_alarm_drop(struct lp_alarm *alarm)
{
    struct lp_alarms *alarms = alarm->alarms;
    uint32_t before = atomic_fetch_or_explicit(&alarm->state, IS_VOID | OWNER_HAS_LEFT,
                                               memory_order_seq_cst);
    if (before & LOOP_HAS_LEFT) {
        lp_object_give(alarm);
    }
    count_void(alarms, before);
}

void lp_alarm_set(struct lp_alarm *alarm)
{
    struct lp_alarms *alarms = alarm->alarms;
    uint64_t when_ns = alarm->when_ns;
    if (lp_alarm_is_void(alarm)) {
        leave(alarm);
        return;
    }
    lp_completions_push(&alarms->incoming, &alarm->item); /* the alarm may be gone from here on */
    if (when_ns < atomic_load_explicit(&alarms->next_ns, memory_order_seq_cst)) {
        lp_loop_look_at_alarms(alarms->loop);
    }
}

/* ---- the heap ---------------------------------------------------------------------------------- */

/* Of two heaps, each without a sibling. */
static struct lp_alarm *merge(struct lp_alarm *one, struct lp_alarm *other)
{
    if (other->when_ns < one->when_ns) {
        struct lp_alarm *later = one;
        one = other;
        other = later;
    }
    other->sibling = one->child;
    one->child = other;
    return one;
}

static void insert(struct lp_alarms *alarms, struct lp_alarm *alarm)
{
    alarm->child = NULL;
    alarm->sibling = NULL;
    alarms->first = alarms->first ? merge(alarms->first, alarm) : alarm;
    alarms->held++;
}

/* Siblings become one heap: first in pairs, then the pairs from the last to the first, which is
 * what keeps the heap flat. */
static struct lp_alarm *merge_siblings(struct lp_alarm *next)
{
    struct lp_alarm *pairs = NULL;
    while (next) {
        struct lp_alarm *pair = next, *second = next->sibling;
        next = second ? second->sibling : NULL;
        pair->sibling = NULL;
        if (second) {
            second->sibling = NULL;
            pair = merge(pair, second);
        }
        pair->sibling = pairs;
        pairs = pair;
    }
    struct lp_alarm *heap = NULL;
    while (pairs) {
        struct lp_alarm *pair = pairs;
        pairs = pair->sibling;
        pair->sibling = NULL;
        heap = heap ? merge(heap, pair) : pair;
    }
    return heap;
}

static struct lp_alarm *take_first(struct lp_alarms *alarms)
{
    struct lp_alarm *alarm = alarms->first;
    alarms->first = merge_siblings(alarm->child);
    alarms->held--;
    return alarm;
}

/* Takes all apart, and puts those together again that are not void, or none. How many are gone. */
static int64_t sweep(struct lp_alarms *alarms, bool keep)
{
    struct lp_alarm *todo = alarms->first;
    int64_t held = alarms->held;
    alarms->first = NULL;
    alarms->held = 0;
    while (todo) {
        struct lp_alarm *alarm = todo;
        todo = alarm->sibling;
        if (alarm->child) {
            struct lp_alarm *last = alarm->child;
            while (last->sibling) {
                last = last->sibling;
            }
            last->sibling = todo;
            todo = alarm->child;
        }
        if (keep && !lp_alarm_is_void(alarm)) {
            insert(alarms, alarm);
        } else {
            leave(alarm);
        }
    }
    return held - alarms->held;
}

/* ---- the loop ---------------------------------------------------------------------------------- */

void lp_alarms_init(struct lp_alarms *alarms, loomp_loop *loop)
{
    lp_completions_init(&alarms->incoming);
    atomic_init(&alarms->next_ns, UINT64_MAX);
    atomic_init(&alarms->voided, 0);
    atomic_init(&alarms->too_many, SWEEP_LEAST + 1);
    alarms->first = NULL;
    alarms->held = 0;
    alarms->loop = loop;
}

/* How many of them were void already. */
static int64_t take_incoming(struct lp_alarms *alarms)
{
    int64_t gone = 0;
    struct lp_item *item = lp_completions_take(&alarms->incoming);
    while (item) {
        struct lp_alarm *alarm = (struct lp_alarm *)(void *)item;
        item = item->next;
        if (lp_alarm_is_void(alarm)) {
            leave(alarm);
            gone++;
        } else {
            insert(alarms, alarm);
        }
    }
    return gone;
}

void lp_alarms_fini(struct lp_alarms *alarms)
{
    take_incoming(alarms);
    sweep(alarms, false);
}

static bool too_many_void(struct lp_alarms *alarms)
{
    return atomic_load_explicit(&alarms->voided, memory_order_seq_cst) >=
           atomic_load_explicit(&alarms->too_many, memory_order_relaxed); /* the loop's own */
}

bool lp_alarms_wait_for_loop(struct lp_alarms *alarms)
{
    return !lp_completions_empty(&alarms->incoming) || too_many_void(alarms);
}

static void throw_out(struct lp_alarms *alarms)
{
    for (;;) {
        while (alarms->first && lp_alarm_is_void(alarms->first)) {
            leave(take_first(alarms));
        }
        int64_t half = alarms->held / 2;
        atomic_store_explicit(&alarms->too_many, (half > SWEEP_LEAST ? half : SWEEP_LEAST) + 1,
                              memory_order_seq_cst);
        if (!too_many_void(alarms)) {
            return;
        }
        int64_t gone = take_incoming(alarms);
        gone += sweep(alarms, true);
        if (!gone) {
            return; /* they are on their way, in lp_alarm_set: another time */
        }
    }
}

uint64_t lp_alarms_collect(struct lp_alarms *alarms)
{
    uint64_t before_ns, next_ns;
    do {
        take_incoming(alarms);
        throw_out(alarms);
        before_ns = atomic_load_explicit(&alarms->next_ns, memory_order_relaxed); /* our own */
        next_ns = alarms->first ? alarms->first->when_ns : UINT64_MAX;
        atomic_store_explicit(&alarms->next_ns, next_ns, memory_order_seq_cst);
    } while (next_ns > before_ns && !lp_completions_empty(&alarms->incoming));
    return next_ns;
}

void lp_alarms_ring(struct lp_alarms *alarms, uint64_t now_ns, int most)
{
    while (most-- > 0 && alarms->first && alarms->first->when_ns <= now_ns) {
        struct lp_alarm *alarm = take_first(alarms);
        if (!lp_alarm_is_void(alarm)) {
            alarm->ring(alarm);
        }
        leave(alarm);
    }
}
