/* SPDX-License-Identifier: MIT */
/* Owns the learnt grain: a small table without locks, in which a body that comes to another's row
 * takes it. A row is two words that are written one after the other; who reads half of each gets a
 * bad estimate once, which costs time and nothing else. */
#include "adaptive/grain.h"

#include <stdatomic.h>
#include <string.h>

enum {
    ROWS = 256,
    SHARES = 8 /* chunks for each thread */
};

/* A chunk is claimed in some 20 ns, and in ten times that when many threads do it at once. */
#define LEAST_CHUNK_NS 2000.0

/* The weight of the last measurement: half after three. */
#define WEIGHT 0.2

static struct {
    _Atomic(lp_body) body;
    _Atomic uint64_t ns; /* the bits of a double */
} rows[ROWS];

static unsigned row_of(lp_body body)
{
    uint64_t bits = (uint64_t)(uintptr_t)body;
    return (unsigned)((bits * 0x9e3779b97f4a7c15u) >> 56); /* Fibonacci hashing to 8 bits */
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double lp_grain_index_ns(lp_body body)
{
    unsigned row = row_of(body);
    return atomic_load_explicit(&rows[row].body, memory_order_relaxed) == body
               ? double_of(atomic_load_explicit(&rows[row].ns, memory_order_relaxed))
               : 0;
}

void lp_grain_learn(lp_body body, uint64_t indices, double ns)
{
    double measured = ns / (double)indices;
    double known = lp_grain_index_ns(body);
    double value = known > 0 ? known + WEIGHT * (measured - known) : measured;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    unsigned row = row_of(body);
    atomic_store_explicit(&rows[row].ns, bits, memory_order_relaxed);
    atomic_store_explicit(&rows[row].body, body, memory_order_relaxed);
}

uint64_t lp_grain_of(uint64_t length, unsigned threads, double index_ns)
{
    uint64_t grain = length / (SHARES * (uint64_t)threads);
    if (index_ns > 0) {
        double least = LEAST_CHUNK_NS / index_ns;
        uint64_t wanted = least < (double)length ? (uint64_t)least + 1 : length;
        grain = grain > wanted ? grain : wanted;
    }
    return grain ? grain : 1;
}
