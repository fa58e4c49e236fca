/* SPDX-License-Identifier: MIT */
/* Watches: what is tried on a loop until it succeeds: when a descriptor is ready, when a time has
 * come. Those of one descriptor and direction succeed in the order in which they were started. */
#ifndef LP_LOOP_WATCH_H
#define LP_LOOP_WATCH_H

#include "handoff/completion.h"

#include <loomp/loop.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_watch;

/* Where it waits, on its loop. */
enum lp_watch_for {
    LP_WATCH_TIME, /* for its time alone */
    LP_WATCH_READABLE,
    LP_WATCH_WRITABLE,
    LP_WATCH_EITHER
};

/* What attempt returns: nothing is there yet; the watch waits where it says. */
#define LP_WATCH_AGAIN INT64_MIN

/* There was a lot: others come first, then it goes on. */
#define LP_WATCH_MORE (INT64_MIN + 1)

/* It can be made, but may block the thread that makes it: `send` hands it to another. */
#define LP_WATCH_BLOCKS (INT64_MIN + 2)

/* All are called on the loop's thread, and run no user code; but for the first attempt, if it gives
 * a result. */
struct lp_watch_ops {
    /* Tries without waiting. The result, or one of the above. */
    int64_t (*attempt)(struct lp_watch *watch);
    /* After LP_WATCH_BLOCKS: has another thread make it, which then has the loop call
     * lp_watch_return. 0 or a negative errno value. */
    int (*send)(struct lp_watch *watch);
    /* Whether nobody wants the result any more. */
    bool (*is_unwanted)(struct lp_watch *watch);
    /* What it comes to that it ends with this error. */
    int64_t (*give_up)(struct lp_watch *watch, int64_t error);
    /* It has ended; called once. The watch may be gone afterwards; it ends no other. */
    void (*ended)(struct lp_watch *watch, int64_t result);
};

struct lp_watch {
    union {
        struct lp_item item; /* on its way to the loop */
        struct {
            struct lp_watch *next, *before; /* where it waits */
        };
        int64_t result; /* it has ended, and a wish that it does is still on its way */
    };
    struct lp_item wish; /* that it ends, on its way to the loop */
    const struct lp_watch_ops *ops;
    struct loomp_loop *loop;
    struct lp_alarm *alarm; /* that it waits for, or NULL */
    /* What has become of it, and of wishes that it ends: see watch.c. */
    _Atomic uint8_t state;
    uint8_t waits_for; /* enum lp_watch_for; set before the start, or by attempt */
    uint8_t phase;     /* the loop's: whether it has begun, and waits */
    uint8_t doom;      /* the loop's: an errno value that it is to end with when it begins, or comes
                        * back; or 0 */
    int fd;            /* that it waits for; -1: none. Set as waits_for */
};

/* Prepares a watch, with ops, waits_for and fd set, for a loop; lp_watch_cancel may come from then
 * on. To be followed by the start. */
void lp_watch_init(struct lp_watch *watch, loomp_loop *loop);

/* Hands it to its loop, which tries it soon. Any thread; never fails, allocates nothing. The watch
 * may be gone when this returns. */
void lp_watch_start(struct lp_watch *watch);

/* In attempt: it is tried at that time (of lp_clock_ns), and not before. 0 or -ENOMEM. */
int lp_watch_at(struct lp_watch *watch, uint64_t when_ns);

/* What was sent away has come back, with what attempt might have returned. On the loop's thread,
 * not in ops. The watch may be gone when this returns. */
void lp_watch_return(struct lp_watch *watch, int64_t result);

/* It is to end with this error, unless it already has; one that is away, if it comes back without a
 * result. On the loop's thread, not in ops. */
void lp_watch_end(struct lp_watch *watch, int64_t error);

/* The same from any thread, with -ECANCELED, while the caller knows that `ended` has not run. */
void lp_watch_cancel(struct lp_watch *watch);

/* Each watch of each loop is asked soon whether it is still wanted. Any thread, at any time. */
void lp_watches_reconsider(void);

/* ---- the loop's side: on its thread ---------------------------------------------------------- */

/* Made with the first watch that a loop gets; NULL without memory. */
struct lp_watcher;
struct ev_loop;
struct lp_watcher *lp_watcher_new(loomp_loop *loop, struct ev_loop *ev);

/* Asks its watches whether they are still wanted, if that is to be done. NULL is a no-op. */
void lp_watcher_answer(struct lp_watcher *watcher);

/* No watch is left. NULL is a no-op. */
void lp_watcher_free(struct lp_watcher *watcher);

#endif
