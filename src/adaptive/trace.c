/* SPDX-License-Identifier: MIT */
/* Owns the trace of decisions: a ring of slots, each with a version of its own, as in Boehm (2012),
 * Can seqlocks get along with programming language memory models? The words are atomic, so that a
 * reader who comes in between reads nonsense and not undefined behaviour, and throws it away. */
#include "adaptive/trace.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lp_trace_init(struct lp_trace *trace, unsigned size)
{
    trace->size = 0;
    atomic_init(&trace->count, 0);
    trace->slots = size ? calloc(size, sizeof *trace->slots) : NULL;
    if (size && !trace->slots) {
        return lp_fail(-ENOMEM, "no memory for a trace of %u calls", size);
    }
    trace->size = size;
    return 0;
}

void lp_trace_fini(struct lp_trace *trace)
{
    free(trace->slots);
    trace->slots = NULL;
    trace->size = 0;
}

void lp_trace_write(struct lp_trace *trace, const struct loomp_call *call)
{
    if (!trace->size) {
        return;
    }
    uint64_t words[LP_CALL_WORDS];
    memcpy(words, call, sizeof words);
    uint64_t count = atomic_load_explicit(&trace->count, memory_order_relaxed);
    struct lp_trace_slot *slot = &trace->slots[count % trace->size];
    uint64_t version = atomic_load_explicit(&slot->version, memory_order_relaxed);
    /* The words are release stores: none is seen without the odd version before it. */
    atomic_store_explicit(&slot->version, version + 1, memory_order_relaxed);
    for (int i = 0; i < LP_CALL_WORDS; i++) {
        atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&slot->version, version + 2, memory_order_release);
    atomic_store_explicit(&trace->count, count + 1, memory_order_release);
}

static bool read_slot(struct lp_trace_slot *slot, struct loomp_call *call)
{
    uint64_t words[LP_CALL_WORDS];
    uint64_t before = atomic_load_explicit(&slot->version, memory_order_acquire);
    for (int i = 0; i < LP_CALL_WORDS; i++) {
        words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
    }
    uint64_t after = atomic_load_explicit(&slot->version, memory_order_relaxed);
    memcpy(call, words, sizeof *call);
    return before == after && before % 2 == 0 && before;
}

int lp_trace_read(struct lp_trace *trace, loomp_call_fn fn, void *arg)
{
    uint64_t count = atomic_load_explicit(&trace->count, memory_order_acquire);
    int calls = 0;
    for (uint64_t i = count > trace->size ? count - trace->size : 0; i < count; i++) {
        struct loomp_call call;
        if (read_slot(&trace->slots[i % trace->size], &call)) {
            fn(&call, arg);
            calls++;
        }
    }
    return calls;
}
