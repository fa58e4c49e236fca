/* SPDX-License-Identifier: MIT */
/* Owns giving way: a job runs another one inside itself. Threads of pools enter it, in a job. */
#include "base/error.h"
#include "base/self.h"
#include "job/job.h"
#include "team/worker.h"

#include <errno.h>

/* Jobs inside each other share one stack. */
enum { DEEPEST = 16 };

static int yield(const char *name, bool local)
{
    if (!lp_self.job || (lp_self.role != LP_WORKER && lp_self.role != LP_BLOCKING)) {
        return lp_fail(-ENOENT, "%s belongs in a SERIAL job", name);
    }
    return lp_self.yields < DEEPEST && lp_worker_yield(lp_self.pool, local);
}

int loomp_yield(void)
{
    return yield("loomp_yield", false);
}

int loomp_yield_local(void)
{
    return yield("loomp_yield_local", true);
}
