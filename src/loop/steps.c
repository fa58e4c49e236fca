/* SPDX-License-Identifier: MIT */
/* Owns what virtual time has to do with libev. The thread of the loop enters, inside ev_run.
 *
 * libev does not say when its next timer is due, but it keeps its timers in a heap, and the watcher's
 * field that says it is active is its place there. A timer of ours that comes before all others has
 * the first place; so where that ends, found by bisection, the next of the others is. */
#include "loop/steps.h"

#include "base/clock.h"
#include "base/self.h"

#include <ev.h>
#include <math.h>
#include <stdint.h>

/* Runs that find more than usual before that has become usual. */
enum { RUNS_TO_LEARN = 8 };

#define RESOLUTION_NS UINT64_C(100)

/* Long before any time that a timer could have. */
#define LONG_AGO_S (-1e9)

/* ---- what is ready ------------------------------------------------------------------------------- */

/* What the run that is under way has found; libev calls the function below with nothing but itself. */
static _Thread_local unsigned found __attribute__((tls_model("initial-exec")));

/* libev has looked for what is due; what runs now is to see the time as it is. */
static void invoke_pending(struct ev_loop *ev)
{
    found += ev_pending_count(ev);
    lp_virtual_ahead_ns = 0;
    ev_now_update(ev);
    ev_invoke_pending(ev);
    lp_virtual_ahead_ns = LP_VIRTUAL_AHEAD_NS;
}

bool lp_steps_run(struct lp_steps *steps, struct ev_loop *ev)
{
    /* For watchers it is as if the loop had called them; the callback or job below has nothing to do
     * with them. */
    struct lp_self below = lp_self;
    lp_self.inside = 0;
    lp_self.job = NULL;
    lp_self.finishing = NULL;
    unsigned found_below = found;
    found = 0;
    ev_set_invoke_pending_cb(ev, invoke_pending);
    lp_virtual_ahead_ns = LP_VIRTUAL_AHEAD_NS;
    ev_run(ev, EVRUN_NOWAIT);
    lp_virtual_ahead_ns = 0;
    ev_now_update(ev);
    ev_set_invoke_pending_cb(ev, ev_invoke_pending);
    unsigned count = found;
    found = found_below;
    lp_self.inside = below.inside;
    lp_self.job = below.job;
    lp_self.finishing = below.finishing;

    if (count <= steps->usual) {
        steps->usual = count;
        steps->runs = 0;
        return false;
    }
    steps->least = steps->runs && steps->least < count ? steps->least : count;
    if (++steps->runs < RUNS_TO_LEARN) {
        return true;
    }
    steps->usual = steps->least;
    steps->runs = 0;
    return false;
}

/* ---- when the next timer is due ------------------------------------------------------------------- */

static void ignore_timer(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)watcher;
    (void)events;
}

static void ignore_periodic(struct ev_loop *ev, ev_periodic *watcher, int events)
{
    (void)ev;
    (void)watcher;
    (void)events;
}

/* The place that a timer, or a periodic, would have. */
static int place_of_timer(struct ev_loop *ev, double after_s)
{
    ev_timer probe;
    ev_timer_init(&probe, ignore_timer, after_s, 0.);
    ev_timer_start(ev, &probe);
    int place = ev_is_active(&probe);
    ev_timer_stop(ev, &probe);
    return place;
}

static int place_of_periodic(struct ev_loop *ev, double after_s)
{
    ev_periodic probe;
    ev_periodic_init(&probe, ignore_periodic,
                     ev_now(ev) + after_s, 0., NULL);
    ev_periodic_start(ev, &probe);
    int place = ev_is_active(&probe);
    ev_periodic_stop(ev, &probe);
    return place;
}

/* In how many seconds the first of them is due; at most limit_s. */
static double find_next(struct ev_loop *ev, int (*place)(struct ev_loop *ev, double after_s),
                        double limit_s)
{
    int first = place(ev, LONG_AGO_S);
    double before = 0, behind = limit_s;
    if (place(ev, behind) == first) {
        return limit_s;
    }
    while (behind - before > 1e-9) {
        double middle = (before + behind) / 2;
        if (middle <= before || middle >= behind) {
            break; /* neighbours, as numbers go */
        }
        if (place(ev, middle) == first) {
            before = middle;
        } else {
            behind = middle;
        }
    }
    return behind;
}

uint64_t lp_steps_next_ns(struct ev_loop *ev, uint64_t limit_ns)
{
    uint64_t now_ns = lp_clock_ns();
    if (limit_ns <= now_ns) {
        return limit_ns;
    }
    /* libev takes no timers beyond that seriously either. */
    double limit_s = fmin((double)(limit_ns - now_ns) / 1e9, 1e9);
    double next_s = find_next(ev, place_of_periodic, find_next(ev, place_of_timer, limit_s));
    if (next_s >= limit_s) {
        return limit_ns;
    }
    uint64_t next_ns = now_ns + (uint64_t)(next_s * 1e9);
    next_ns = (next_ns + RESOLUTION_NS / 2) / RESOLUTION_NS * RESOLUTION_NS;
    next_ns = next_ns > now_ns ? next_ns : now_ns + RESOLUTION_NS;
    return next_ns < limit_ns ? next_ns : limit_ns;
}

bool lp_steps_work(struct ev_loop *ev)
{
    ev_timer first;
    ev_timer_init(&first, ignore_timer, LONG_AGO_S, 0.);
    ev_timer_start(ev, &first);
    int place = ev_is_active(&first);
    bool differ = place_of_timer(ev, 2 * LONG_AGO_S) == place && place_of_timer(ev, 0) != place;
    ev_timer_stop(ev, &first);
    return differ;
}
