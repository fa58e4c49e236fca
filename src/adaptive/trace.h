/* SPDX-License-Identifier: MIT */
/* The last calls of one learner. Its thread writes, anybody reads. */
#ifndef LP_ADAPTIVE_TRACE_H
#define LP_ADAPTIVE_TRACE_H

#include <loomp/site.h>

#include <stdatomic.h>
#include <stdint.h>

enum {
    LP_CALL_WORDS = sizeof(struct loomp_call) / sizeof(uint64_t)
};

_Static_assert(sizeof(struct loomp_call) % sizeof(uint64_t) == 0, "a call is whole words");

/* A slot is whole while `version` is even and the same before and after reading it. */
struct lp_trace_slot {
    _Atomic uint64_t version;
    _Atomic uint64_t words[LP_CALL_WORDS];
};

struct lp_trace {
    unsigned size;
    _Atomic uint64_t count; /* calls that were written */
    struct lp_trace_slot *slots;
};

/* size 0: no trace. Without memory there is none either, and 0 is not returned but -ENOMEM. */
int lp_trace_init(struct lp_trace *trace, unsigned size);
void lp_trace_fini(struct lp_trace *trace);

void lp_trace_write(struct lp_trace *trace, const struct loomp_call *call);

/* Oldest first; a call that is being overwritten is left out. Returns how many. */
int lp_trace_read(struct lp_trace *trace, loomp_call_fn fn, void *arg);

#endif
