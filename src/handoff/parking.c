/* SPDX-License-Identifier: MIT */
/* Owns the set of sleepers and their futexes. The argument is in the header. */
#include "handoff/parking.h"

#include "base/error.h"
#include "base/futex.h"

#include <errno.h>
#include <stdlib.h>

int lp_parking_init(struct lp_parking *parking, unsigned count)
{
    parking->count = count;
    parking->words = (count + 63) / 64;
    parking->slots = aligned_alloc(LP_CACHE_LINE, count * sizeof *parking->slots);
    parking->bits = calloc(parking->words, sizeof *parking->bits);
    if (!parking->slots || !parking->bits) {
        lp_parking_fini(parking);
        return lp_fail(-ENOMEM, "no memory for %u sleepers", count);
    }
    for (unsigned i = 0; i < count; i++) {
        atomic_init(&parking->slots[i].word, 0);
        atomic_init(&parking->slots[i].woken_at_ns, 0);
    }
    return 0;
}

void lp_parking_fini(struct lp_parking *parking)
{
    free(parking->slots);
    free(parking->bits);
    parking->slots = NULL;
    parking->bits = NULL;
}

void lp_parking_announce(struct lp_parking *parking, unsigned slot)
{
    atomic_fetch_or_explicit(&parking->bits[slot / 64], (uint64_t)1 << slot % 64,
                             memory_order_seq_cst);
}

/* Takes a bit: true for the one thread that cleared it, which then owes the wake-up. */
static bool take_bit(struct lp_parking *parking, unsigned slot)
{
    uint64_t bit = (uint64_t)1 << slot % 64;
    return atomic_fetch_and_explicit(&parking->bits[slot / 64], ~bit, memory_order_seq_cst) & bit;
}

static void wake(struct lp_parking *parking, unsigned slot)
{
    atomic_store_explicit(&parking->slots[slot].woken_at_ns, lp_now_ns(), memory_order_relaxed);
    /* release: what the waker did before is seen by the woken, beyond what queues publish */
    atomic_store_explicit(&parking->slots[slot].word, 1, memory_order_release);
    lp_futex_wake(&parking->slots[slot].word, 1);
}

static bool receive(struct lp_parking *parking, unsigned slot, uint64_t deadline_ns)
{
    _Atomic uint32_t *word = &parking->slots[slot].word;
    while (!atomic_load_explicit(word, memory_order_acquire)) {
        if (!lp_futex_wait(word, 0, deadline_ns) &&
            !atomic_load_explicit(word, memory_order_acquire)) {
            return false;
        }
    }
    atomic_store_explicit(word, 0, memory_order_relaxed);
    return true;
}

bool lp_parking_withdraw(struct lp_parking *parking, unsigned slot)
{
    if (take_bit(parking, slot)) {
        return false;
    }
    receive(parking, slot, UINT64_MAX);
    return true;
}

bool lp_parking_sleep(struct lp_parking *parking, unsigned slot, uint64_t deadline_ns)
{
    return receive(parking, slot, deadline_ns) || lp_parking_withdraw(parking, slot);
}

bool lp_parking_wake_between(struct lp_parking *parking, unsigned from, unsigned to)
{
    return lp_parking_wake_among(parking, NULL, from, to);
}

bool lp_parking_wake_among(struct lp_parking *parking, const uint64_t *mask, unsigned from,
                           unsigned to)
{
    for (unsigned i = from / 64; i < parking->words; i++) {
        uint64_t bits = atomic_load_explicit(&parking->bits[i], memory_order_seq_cst);
        bits &= mask ? mask[i] : ~(uint64_t)0;
        if (i == from / 64) {
            bits &= ~(uint64_t)0 << from % 64;
        }
        while (bits) {
            unsigned slot = i * 64 + (unsigned)__builtin_ctzll(bits);
            if (slot >= to) {
                return false;
            }
            if (take_bit(parking, slot)) {
                wake(parking, slot);
                return true;
            }
            bits &= bits - 1;
        }
    }
    return false;
}

bool lp_parking_wake_lowest(struct lp_parking *parking, unsigned from)
{
    return lp_parking_wake_between(parking, from, parking->count);
}

bool lp_parking_wake_slot(struct lp_parking *parking, unsigned slot)
{
    if (!take_bit(parking, slot)) {
        return false;
    }
    wake(parking, slot);
    return true;
}

bool lp_parking_wake_highest(struct lp_parking *parking)
{
    for (unsigned i = parking->words; i-- > 0;) {
        uint64_t bits = atomic_load_explicit(&parking->bits[i], memory_order_seq_cst);
        while (bits) {
            unsigned slot = i * 64 + 63 - (unsigned)__builtin_clzll(bits);
            if (take_bit(parking, slot)) {
                wake(parking, slot);
                return true;
            }
            bits &= ~((uint64_t)1 << slot % 64);
        }
    }
    return false;
}

void lp_parking_wake_all(struct lp_parking *parking)
{
    while (lp_parking_wake_lowest(parking, 0)) {
    }
}
