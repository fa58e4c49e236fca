/* SPDX-License-Identifier: MIT */
/* A loop: libev's, with a stack of completions that any thread pushes to. */
#ifndef LP_LOOP_LOOP_H
#define LP_LOOP_LOOP_H

#include "handoff/completion.h"
#include "handoff/ledger.h"
#include "loop/alarm.h"
#include "loop/load.h"
#include "placement/plan.h"

#include <loomp/loop.h>

struct lp_loop_options {
    struct loomp_runtime *runtime;
    const char *prefix;
    int index;
    bool alone; /* of its runtime's own loops it is the only one */
    const struct lp_topology *topology;
    const struct lp_place *place;
};

/* A loop of loomp's own on a thread of its own; returns when it runs. 0 or a negative errno. */
int lp_loop_start(loomp_loop **loop, const struct lp_loop_options *options);

/* Ends it: runs what is left, its at_exit functions, and frees it. Nothing is pushed any more. */
void lp_loop_stop(loomp_loop *loop);

/* A loop of the application's, on its own thread; of the options only the runtime and the index count. */
int lp_loop_attach(loomp_loop **loop, const struct lp_loop_options *options, struct ev_loop *ev);

/* Runs what is outstanding and lets go; frees the loop. -EDEADLK inside ev_run. */
int lp_loop_detach(loomp_loop *loop);

bool lp_loop_is_attached(const loomp_loop *loop);

/* Whose loop it is. */
struct loomp_runtime *lp_loop_runtime(const loomp_loop *loop);

/* Whether libev is running this loop right now. On the loop's thread. */
bool lp_loop_is_running(loomp_loop *loop);

/* Runs an attached loop once, sleeping until something is ready or limit_s seconds have passed
 * (negative: no limit). On its thread. */
void lp_loop_run_once(loomp_loop *loop, double limit_s);

/* Makes an attached loop's sleep end; any thread. */
void lp_loop_nudge(loomp_loop *loop);

/* One more thing will be pushed to this loop; it has been run, or will not be pushed after all. Any
 * thread; with both, the ledger keeps the loop alive. */
void lp_loop_expect(loomp_loop *loop);
void lp_loop_settle(loomp_loop *loop);

/* Hands an item to the loop, whose thread runs it soon. Any thread; the item may be gone when this
 * returns. */
void lp_loop_push(loomp_loop *loop, struct lp_item *item);

/* What is called on the loop's thread when the loop ends, last added first; loomp_detach comes back to
 * them as long as they bring work. An entry that is called has been removed. */
struct lp_loop_exit {
    struct lp_loop_exit *next;
    struct lp_loop_exit **link; /* what points to it; NULL: it is not in the list */
    void (*run)(struct lp_loop_exit *exit);
};

/* On the loop's thread. Removing one that is not there does nothing. */
void lp_loop_add_exit(loomp_loop *loop, struct lp_loop_exit *exit);
void lp_loop_remove_exit(struct lp_loop_exit *exit);

/* The alarms that are set on it (loop/alarm.h). */
struct lp_alarms *lp_loop_alarms(loomp_loop *loop);

/* Makes the loop look at them soon; any thread. */
void lp_loop_look_at_alarms(loomp_loop *loop);

/* What watches descriptors for it (loop/watch.h); NULL without memory. On its thread. */
struct lp_watcher *lp_loop_watcher(loomp_loop *loop);

/* How busy it is, counted up to now; goes on being so. On its thread. */
struct lp_loop_view {
    struct lp_loop_load load;
    uint64_t turn_ns; /* of lp_stopwatch_ns: when the turn began, or a little before */
};
const struct lp_loop_view *lp_loop_look(loomp_loop *loop);

/* The completion that runs is no event from outside, but what placing a job has brought: it would not
 * be there had that been placed elsewhere. On its thread. */
void lp_loop_discount(loomp_loop *loop);

/* So much of the turn was spent on work that has been run inline. On its thread. */
void lp_loop_spend(loomp_loop *loop, double ns);

/* ---- in virtual time (base/clock.h): on the thread of a loop that libev is running -------------- */

/* Makes libev read its clock. */
void lp_loop_read_clock(loomp_loop *loop);

/* Runs what is ready, once: completions, alarms, libev's watchers. False: there was nothing but
 * watchers that run every time. */
bool lp_loop_run_ready(loomp_loop *loop);

/* When the next alarm or timer of libev's is due, if that is before limit_ns; else limit_ns. */
uint64_t lp_loop_next_ns(loomp_loop *loop, uint64_t limit_ns);

void lp_loop_describe(loomp_loop *loop, struct loomp_thread_info *info);

#endif
