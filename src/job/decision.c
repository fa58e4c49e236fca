/* SPDX-License-Identifier: MIT */
/* Owns loomp_choose and loomp_finish, for work that the caller runs, and the words for a decision.
 */
#include "adaptive/learner.h"
#include "base/error.h"
#include "base/self.h"
#include "base/stopwatch.h"
#include "job/engine.h"
#include "loop/loop.h"

#include <loomp/site.h>

#include <errno.h>
#include <math.h>
#include <string.h>

_Static_assert(sizeof(struct lp_placed) <= sizeof(((loomp_decision *)0)->private_),
               "a decision has room for how it was placed");

static struct lp_placed *placed_of(loomp_decision *decision)
{
    return (struct lp_placed *)(void *)decision->private_;
}

/* With the runtime held. */
static inline int choose(loomp_runtime *runtime, loomp_site *site, uint64_t size, loomp_decision *decision)
{
    struct lp_request request = {
        .size = size,
        .call = {.hint = site->hint,
                 .kind = site->kind,
                 .may_inline = site->kind == LOOMP_SERIAL || !lp_self.loop ||
                               !lp_loop_is_attached(lp_self.loop)},
        .pool = runtime->compute,
        .loop = lp_self.loop,
    };
    int err = lp_site_record(site, &request.site);
    if (!err) {
        struct lp_placed *placed = placed_of(decision);
        decision->site = site;
        decision->size = size;
        decision->cost_s = 0;
        lp_adaptive_choose(&request, placed, decision);
        placed->submitted_ns = placed->started_ns = lp_stopwatch_ns();
    }
    return err;
}

int loomp_choose(loomp_runtime *runtime, loomp_site *site, uint64_t size, loomp_decision *decision)
{
    if (!runtime || !site || !decision) {
        return lp_fail(-EINVAL, "loomp_choose: the %s is NULL",
                       !runtime ? "runtime"
                       : !site  ? "site"
                                : "decision");
    }
    if (site->kind > LOOMP_GANG) {
        return lp_fail(-EINVAL, "loomp_choose: kind of the site is %u", site->kind);
    }
    if (lp_self.loop) {
        /* While there is a loop there is the pool: the runtime's own end before it is freed, and it
         * is not taken down while another is attached. */
        int err = lp_ledger_is_open(&lp_tracked) ? 0 : lp_ledger_check(&lp_tracked);
        return err ? err : choose(runtime, site, size, decision);
    }
    int err = lp_ledger_enter(&lp_tracked);
    if (!err) {
        err = choose(runtime, site, size, decision);
        lp_ledger_finish(&lp_tracked);
    }
    return err;
}

void loomp_finish(loomp_decision *decision)
{
    if (!decision || !placed_of(decision)->site) {
        return;
    }
    struct lp_placed *placed = placed_of(decision);
    double cost_s = decision->cost_s;
    bool measured = cost_s != 0;
    if (measured && !(cost_s > 0 && cost_s < LP_MOST_NS / 1e9)) {
        placed->site = NULL; /* no time at all: learnt from as little as a call that is dropped */
        return;
    }
    /* A loop's scheduler stays as long as the loop; that of other threads ends with the runtime. */
    bool hold = !lp_self.loop;
    if (hold && lp_ledger_enter(&lp_tracked)) {
        return;
    }
    placed->ended_ns = measured ? placed->started_ns + (uint64_t)(cost_s * 1e9) : lp_stopwatch_ns();
    placed->disturbed = 0;
    if (!measured) {
        lp_adaptive_ended(placed);
    }
    if (placed->arm == LOOMP_INLINE && lp_self.loop) {
        lp_loop_spend(lp_self.loop, (double)(int64_t)(placed->ended_ns - placed->started_ns));
    }
    lp_adaptive_finish(placed, decision->size, NULL, 0);
    placed->site = NULL; /* once */
    if (hold) {
        lp_ledger_finish(&lp_tracked);
    }
}
