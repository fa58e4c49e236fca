/* SPDX-License-Identifier: MIT */
/* The ledger counts what was accepted and what is finished, and knows whether more is accepted. It
 * is what "idle" means.
 *
 * The counts are spread over lines, so that threads do not fight for one; only sums mean anything.
 * Idle is when the sums are equal, the finished ones being read first: every finished entry was
 * accepted before, so equal sums mean that at the moment between the two readings nothing was under
 * way.
 *
 * Why no end is missed: a watcher is announced (seq_cst) before it looks at the sums; whoever
 * finishes adds (seq_cst) before it looks for watchers. In their single order one of the two sees
 * the other; the last of several finishers sees all the others' additions.
 *
 * Why nothing slips in after the gate was closed: a submitter adds to `accepted` before it looks at
 * the gate, the closer closes before it looks at the sums. A submitter that is refused has been
 * counted for a moment, which at worst delays an idle. */
#ifndef LP_HANDOFF_LEDGER_H
#define LP_HANDOFF_LEDGER_H

#include "base/platform.h"
#include "handoff/waiter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { LP_LEDGER_LINES = 64 };

enum lp_gate {
    LP_GATE_DOWN = 0, /* no runtime runs */
    LP_GATE_OPEN,
    LP_GATE_SHUT,  /* only what running work brings is accepted */
    LP_GATE_CHILD, /* a forked child: the threads are the parent's */
};

struct lp_ledger {
    LP_OWN_LINE _Atomic uint32_t gate;     /* enum lp_gate; hot and read-only */
    _Atomic uint32_t discard;              /* stop_now: what is queued is not run */
    _Atomic uint32_t watchers;             /* how many are in the list below */
    struct {
        LP_OWN_LINE _Atomic uint64_t accepted;
        _Atomic uint64_t finished;
    } lines[LP_LEDGER_LINES];
    pthread_mutex_t lock; /* guards list */
    struct lp_waiter *list;
};

/* The two of the process. They outlive every runtime, so that a late call finds a shut gate and not
 * freed memory. Tracked: jobs, posts, notifications. Untracked: jobs with LOOMP_UNTRACKED, which only
 * stop waits for; its gate is not used. */
extern struct lp_ledger lp_tracked;
extern struct lp_ledger lp_untracked;

/* Accepts one entry, or refuses: -ESHUTDOWN, -EOWNERDEAD with a sentence. Work that runs for the
 * runtime itself (lp_self.inside) passes a shut gate. With the entry the call itself is counted, so
 * that nothing is freed under it when the entry is finished at once: it ends with another finish. */
int lp_ledger_accept(struct lp_ledger *ledger);

/* Counts a call that uses the runtime and brings nothing: until its finish nothing is freed under it. 0,
 * -ESHUTDOWN (down), -EOWNERDEAD. */
int lp_ledger_enter(struct lp_ledger *ledger);

/* Counts a call on an entry that is known to be unfinished. */
void lp_ledger_hold(struct lp_ledger *ledger);

/* An entry, or a call that was counted, is finished. */
void lp_ledger_finish(struct lp_ledger *ledger);

/* Whether the runtime can be used at all: 0, -ESHUTDOWN (down), -EOWNERDEAD. */
int lp_ledger_check(struct lp_ledger *ledger);

/* Whether it takes entries from anybody. */
static inline bool lp_ledger_is_open(struct lp_ledger *ledger)
{
    return atomic_load_explicit(&ledger->gate, memory_order_seq_cst) == LP_GATE_OPEN;
}

/* Whether this is a forked child, where no lock of ours may be taken. */
static inline bool lp_is_forked_child(void)
{
    return atomic_load_explicit(&lp_tracked.gate, memory_order_relaxed) == LP_GATE_CHILD;
}

/* How many entries are under way; exact only when nothing moves. */
uint64_t lp_ledger_pending(struct lp_ledger *ledger);

bool lp_ledger_idle(struct lp_ledger *ledger);

/* Whether nothing is under way in either ledger: one reading over both, because what is in one may
 * bring work to the other. */
bool lp_ledgers_idle(void);

/* Registers a waiter that is woken once when the ledger is idle (at once, if it already is). */
void lp_ledger_watch(struct lp_ledger *ledger, struct lp_waiter *waiter);

/* Returns when nobody is inside a wake-up of watchers any more. */
void lp_ledger_settle(struct lp_ledger *ledger);

/* Takes a waiter back. True if it had not been woken yet; either way it is not touched any more. */
bool lp_ledger_unwatch(struct lp_ledger *ledger, struct lp_waiter *waiter);

#endif
