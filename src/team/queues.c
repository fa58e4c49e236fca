/* SPDX-License-Identifier: MIT */
/* Owns the queues of SERIAL work and the order in which they are looked at. Any thread injects; a
 * worker pushes to its own queue; every thread of the pool takes.
 *
 * Why a sleeper misses nothing: who pushes publishes the item (seq_cst), then makes sure that the bits
 * over it are set (a seq_cst load, or a read-modify-write), then looks for sleepers; a sleeper
 * announces itself (seq_cst), then reads the bits and what is under them. A bit is cleared only by who
 * has found nothing under it, and who then looks once more and sets it again if there is something: a
 * pusher that saw the bit set did so before the clearing, and its item before that, so the look after
 * the clearing finds the item. A worker's bit in its group is cleared by that worker alone, which is
 * the only one to push there. */
#include "team/queues.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCAL_ITEMS = 256,
    TAKES_PER_ROUND = 61 /* one of them looks elsewhere first, in another group each time */
};

#define DEQUE_BIT ((uintptr_t)1)

bool lp_ticket_withdraw(const struct lp_ticket *ticket)
{
    uintptr_t queue = (uintptr_t)ticket->queue;
    if (!queue) {
        return false;
    }
    return queue & DEQUE_BIT
               ? lp_deque_withdraw((struct lp_deque *)(queue - DEQUE_BIT), ticket->position)
               : lp_ring_withdraw((struct lp_ring *)queue, ticket->position);
}

/* ---- which worker belongs to which group -------------------------------------------------------- */

static unsigned cache_count_of(const struct lp_place *places, unsigned workers)
{
    int most = -1;
    for (unsigned i = 0; i < workers; i++) {
        most = places[i].cache > most ? places[i].cache : most;
    }
    return (unsigned)(most + 1);
}

static unsigned words_of(unsigned workers)
{
    return (workers + 63) / 64;
}

/* Gives each cache that has workers a group, in the order of the places, and further ones where a
 * group is full; beyond the last they share from the first on. */
static int assign(struct lp_queues *queues, const struct lp_place *places, unsigned workers)
{
    unsigned caches = cache_count_of(places, workers);
    int *open = malloc((caches + 1) * sizeof *open); /* the group that takes more of a cache */
    if (!open) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i <= caches; i++) {
        open[i] = -1;
    }
    unsigned groups = 0, next = 0;
    for (unsigned i = 0; i < workers; i++) {
        int *at = &open[places[i].cache < 0 ? caches : (unsigned)places[i].cache];
        if (*at < 0 || queues->groups[*at].members == LP_GROUP_MEMBERS) {
            bool is_first = *at < 0;
            if (groups < LP_QUEUE_GROUPS) {
                *at = (int)groups++;
            } else {
                /* 64 groups of 64 are more workers than there can be, so one has room. */
                while (queues->groups[next].members == LP_GROUP_MEMBERS) {
                    next = (next + 1) % LP_QUEUE_GROUPS;
                }
                *at = (int)next;
                next = (next + 1) % LP_QUEUE_GROUPS;
            }
            if (is_first && places[i].cache >= 0) {
                queues->group_of_cache[places[i].cache] = (uint8_t)*at;
            }
        }
        struct lp_queue_group *group = &queues->groups[*at];
        group->mask[i / 64] |= (uint64_t)1 << i % 64;
        queues->locals[i].group = (unsigned)*at;
        queues->locals[i].member = group->members;
        group->worker[group->members++] = (uint16_t)i;
    }
    queues->used_count = groups;
    free(open);
    return 0;
}

static int no_memory(unsigned workers)
{
    return lp_fail(-ENOMEM, "no memory for the queues of %u workers", workers);
}

static unsigned most_groups(const struct lp_place *places, unsigned workers)
{
    unsigned caches = places ? cache_count_of(places, workers) + 1 : 1;
    unsigned most = caches + words_of(workers);
    return most < LP_QUEUE_GROUPS ? most : LP_QUEUE_GROUPS;
}

static int init_locals(struct lp_queues *queues, const struct lp_place *places, unsigned workers,
                       uint64_t limit)
{
    unsigned capacity = LOCAL_ITEMS;
    while (capacity > 2 && capacity > limit) {
        capacity /= 2;
    }
    queues->cache_count = cache_count_of(places, workers);
    queues->group_of_cache = calloc(queues->cache_count + 1, 1);
    queues->locals = aligned_alloc(LP_CACHE_LINE, workers * sizeof *queues->locals);
    if (!queues->group_of_cache || !queues->locals) {
        return no_memory(workers);
    }
    memset((void *)queues->locals, 0, workers * sizeof *queues->locals);
    int err = 0;
    for (; !err && queues->worker_count < workers; queues->worker_count++) {
        struct lp_local_queue *local = &queues->locals[queues->worker_count];
        for (int row = 0; !err && row < LP_PRIORITIES; row++) {
            err = lp_deque_init(&local->rows[row], capacity);
        }
    }
    return err;
}

static int init_groups(struct lp_queues *queues, unsigned most, unsigned workers)
{
    queues->groups = aligned_alloc(LP_CACHE_LINE, most * sizeof *queues->groups);
    if (!queues->groups) {
        return no_memory(workers);
    }
    memset((void *)queues->groups, 0, most * sizeof *queues->groups);
    for (; queues->group_count < most; queues->group_count++) {
        uint64_t *mask = calloc(words_of(workers), sizeof *mask);
        if (!mask) {
            return no_memory(workers);
        }
        queues->groups[queues->group_count].mask = mask;
    }
    return 0;
}

static int init_rings(struct lp_queues *queues, uint64_t limit)
{
    int err = 0;
    for (unsigned g = 0; g < queues->used_count; g++) {
        for (int row = 0; !err && row < LP_PRIORITIES; row++) {
            err = lp_ring_init(&queues->groups[g].rings[row], limit);
        }
    }
    return err;
}

int lp_queues_init(struct lp_queues *queues, const struct lp_place *places, unsigned workers,
                   uint64_t limit)
{
    memset((void *)queues, 0, sizeof *queues);
    queues->used_count = 1;
    int err = init_groups(queues, most_groups(places, workers), workers);
    if (!err && places) {
        err = init_locals(queues, places, workers, limit);
        err = err || !assign(queues, places, workers) ? err : no_memory(workers);
    }
    err = err ? err : init_rings(queues, limit);
    if (err) {
        lp_queues_fini(queues);
    }
    return err;
}

void lp_queues_fini(struct lp_queues *queues)
{
    for (unsigned g = 0; g < queues->group_count; g++) {
        for (int row = 0; row < LP_PRIORITIES; row++) {
            lp_ring_fini(&queues->groups[g].rings[row]);
        }
        free(queues->groups[g].mask);
    }
    for (unsigned w = 0; w < queues->worker_count; w++) {
        for (int row = 0; row < LP_PRIORITIES; row++) {
            lp_deque_fini(&queues->locals[w].rows[row]);
        }
    }
    free(queues->groups);
    free(queues->locals);
    free(queues->group_of_cache);
    memset((void *)queues, 0, sizeof *queues);
}

unsigned lp_queues_group_of_cache(const struct lp_queues *queues, int cache)
{
    return cache >= 0 && (unsigned)cache < queues->cache_count ? queues->group_of_cache[cache] : 0;
}

/* ---- putting in ---------------------------------------------------------------------------------- */

static void set_bit(_Atomic uint64_t *word, unsigned bit)
{
    uint64_t mask = (uint64_t)1 << bit;
    if (!(atomic_load_explicit(word, memory_order_seq_cst) & mask)) {
        atomic_fetch_or_explicit(word, mask, memory_order_seq_cst);
    }
}

bool lp_queues_inject(struct lp_queues *queues, unsigned group, unsigned row, void *item,
                      const void *tag, struct lp_ticket *ticket)
{
    struct lp_ring *ring = &queues->groups[group].rings[row];
    *ticket = (struct lp_ticket){ring, LP_NO_POSITION};
    if (!lp_ring_push(ring, item, tag, &ticket->position)) {
        return false;
    }
    set_bit(&queues->maybe[row], group); /* the item may be gone */
    return true;
}

bool lp_queues_push_local(struct lp_queues *queues, unsigned worker, unsigned row, void *item,
                          const void *tag, struct lp_ticket *ticket)
{
    struct lp_local_queue *local = &queues->locals[worker];
    struct lp_deque *deque = &local->rows[row];
    *ticket = (struct lp_ticket){(void *)((uintptr_t)deque | DEQUE_BIT), LP_NO_POSITION};
    if (!lp_deque_push(deque, item, tag, &ticket->position)) {
        ticket->queue = NULL;
        return false;
    }
    set_bit(&queues->groups[local->group].locals[row], local->member); /* the item may be gone */
    set_bit(&queues->maybe[row], local->group);
    return true;
}

/* ---- looking ------------------------------------------------------------------------------------- */

static uint64_t bit_of(unsigned number)
{
    return (uint64_t)1 << number;
}

static bool group_has(struct lp_queues *queues, const struct lp_queue_group *group, unsigned row)
{
    struct lp_queue_group *g = (struct lp_queue_group *)(uintptr_t)group;
    if (lp_ring_maybe_nonempty(&g->rings[row])) {
        return true;
    }
    uint64_t members = atomic_load_explicit(&g->locals[row], memory_order_seq_cst);
    for (; members; members &= members - 1) {
        unsigned worker = g->worker[__builtin_ctzll(members)];
        if (lp_deque_maybe_nonempty(&queues->locals[worker].rows[row])) {
            return true;
        }
    }
    return false;
}

bool lp_queues_any(struct lp_queues *queues)
{
    for (unsigned row = 0; row < LP_PRIORITIES; row++) {
        uint64_t maybe = atomic_load_explicit(&queues->maybe[row], memory_order_seq_cst);
        for (; maybe; maybe &= maybe - 1) {
            if (group_has(queues, &queues->groups[__builtin_ctzll(maybe)], row)) {
                return true;
            }
        }
    }
    return false;
}

void lp_queues_settle(struct lp_queues *queues, int worker)
{
    for (unsigned row = 0; row < LP_PRIORITIES; row++) {
        if (worker >= 0) {
            struct lp_local_queue *local = &queues->locals[worker];
            _Atomic uint64_t *locals = &queues->groups[local->group].locals[row];
            uint64_t mine = bit_of(local->member);
            if ((atomic_load_explicit(locals, memory_order_relaxed) & mine) &&
                !lp_deque_maybe_nonempty(&local->rows[row])) {
                atomic_fetch_and_explicit(locals, ~mine, memory_order_seq_cst);
            }
        }
        uint64_t maybe = atomic_load_explicit(&queues->maybe[row], memory_order_seq_cst);
        for (; maybe; maybe &= maybe - 1) {
            unsigned g = (unsigned)__builtin_ctzll(maybe);
            if (!group_has(queues, &queues->groups[g], row)) {
                atomic_fetch_and_explicit(&queues->maybe[row], ~bit_of(g), memory_order_seq_cst);
                if (group_has(queues, &queues->groups[g], row)) {
                    set_bit(&queues->maybe[row], g);
                }
            }
        }
    }
}

uint64_t lp_queues_waiting(struct lp_queues *queues)
{
    uint64_t count = 0;
    for (unsigned row = 0; row < LP_PRIORITIES; row++) {
        /* relaxed: a group more or less */
        uint64_t maybe = atomic_load_explicit(&queues->maybe[row], memory_order_relaxed);
        for (; maybe; maybe &= maybe - 1) {
            count += lp_ring_count(&queues->groups[__builtin_ctzll(maybe)].rings[row]);
        }
    }
    return count;
}

uint64_t lp_queues_count(struct lp_queues *queues)
{
    uint64_t count = 0;
    for (unsigned g = 0; g < queues->used_count; g++) {
        for (int row = 0; row < LP_PRIORITIES; row++) {
            count += lp_ring_count(&queues->groups[g].rings[row]);
        }
    }
    for (unsigned w = 0; w < queues->worker_count; w++) {
        for (int row = 0; row < LP_PRIORITIES; row++) {
            count += lp_deque_count(&queues->locals[w].rows[row]);
        }
    }
    return count;
}

/* ---- taking -------------------------------------------------------------------------------------- */

/* The oldest of some worker's of the group, beginning behind the taker so that takers part. */
static void *steal_within(struct lp_queues *queues, struct lp_queue_group *group, unsigned row,
                          const struct lp_taker *taker)
{
    uint64_t members = atomic_load_explicit(&group->locals[row], memory_order_seq_cst);
    if (!members) {
        return NULL;
    }
    unsigned from = taker->worker >= 0 ? queues->locals[taker->worker].member + 1 : 0;
    uint64_t behind = from < 64 ? members & ~(bit_of(from) - 1) : 0;
    for (int half = 0; half < 2; half++) {
        for (uint64_t left = half ? members & ~behind : behind; left; left &= left - 1) {
            unsigned worker = group->worker[__builtin_ctzll(left)];
            void *item = lp_deque_steal(&queues->locals[worker].rows[row]);
            if (item) {
                return item;
            }
        }
    }
    return NULL;
}

/* Where within a row a taker looks first. */
enum first_look {
    OWN = 0, /* its own queue, then its group's injection queue */
    INJECTED,
    LOCAL, /* the queues of a group's workers */
};

static void *take_of_group(struct lp_queues *queues, unsigned g, unsigned row,
                           struct lp_taker *taker, enum first_look look)
{
    struct lp_queue_group *group = &queues->groups[g];
    void *item = look == LOCAL ? steal_within(queues, group, row, taker) : NULL;
    taker->stole = true;
    if (item) {
        return item;
    }
    item = lp_ring_pop(&group->rings[row]);
    if (item) {
        taker->stole = taker->worker >= 0 && g != queues->locals[taker->worker].group;
        return item;
    }
    return look == LOCAL ? NULL : steal_within(queues, group, row, taker);
}

/* The groups with something in the row, `first` before those behind it. */
static void *take_of_groups(struct lp_queues *queues, unsigned row, unsigned first,
                            struct lp_taker *taker, enum first_look look)
{
    uint64_t maybe = atomic_load_explicit(&queues->maybe[row], memory_order_seq_cst);
    uint64_t behind = maybe & ~(bit_of(first) - 1);
    for (int half = 0; half < 2; half++) {
        for (uint64_t left = half ? maybe & ~behind : behind; left; left &= left - 1) {
            void *item = take_of_group(queues, (unsigned)__builtin_ctzll(left), row, taker, look);
            if (item) {
                return item;
            }
        }
    }
    return NULL;
}

static void *take_of_row(struct lp_queues *queues, unsigned row, struct lp_taker *taker,
                         enum first_look look)
{
    if (!atomic_load_explicit(&queues->maybe[row], memory_order_seq_cst)) {
        return NULL;
    }
    bool is_worker = taker->worker >= 0;
    void *item = NULL;
    taker->stole = false;
    if (is_worker && look == OWN) {
        item = lp_deque_pop(&queues->locals[taker->worker].rows[row]);
    }
    if (!item) {
        unsigned own = is_worker ? queues->locals[taker->worker].group : 0;
        unsigned first = look == OWN ? own : taker->takes / TAKES_PER_ROUND % queues->used_count;
        item = take_of_groups(queues, row, first, taker, look);
    }
    if (!item && is_worker && look != OWN) {
        taker->stole = false;
        item = lp_deque_pop(&queues->locals[taker->worker].rows[row]);
    }
    return item;
}

/* In the row that has its turn: each place in turn. In the others: mostly its own, every so often one of
 * the two others. */
static enum first_look first_look(unsigned takes, bool has_its_turn)
{
    if (has_its_turn) {
        return (enum first_look)(takes / (LP_TAKES_PER_TURN * (LP_PRIORITIES - 1)) % 3);
    }
    return takes % TAKES_PER_ROUND < TAKES_PER_ROUND - 1 ? OWN
           : takes / TAKES_PER_ROUND % 2                 ? INJECTED
                                                         : LOCAL;
}

void *lp_queues_take(struct lp_queues *queues, struct lp_taker *taker)
{
    unsigned first = lp_first_row(taker->takes);
    void *item = take_of_row(queues, first, taker, first_look(taker->takes, first > 0));
    enum first_look look = first_look(taker->takes, false);
    for (unsigned row = 0; !item && row < LP_PRIORITIES; row++) {
        item = row == first ? NULL : take_of_row(queues, row, taker, look);
    }
    taker->takes += item != NULL;
    return item;
}

void *lp_queues_take_local(struct lp_queues *queues, unsigned worker)
{
    void *item = NULL;
    for (unsigned row = 0; !item && row < LP_PRIORITIES; row++) {
        item = lp_deque_pop(&queues->locals[worker].rows[row]);
    }
    return item;
}

static void *take_tagged_of_group(struct lp_queues *queues, unsigned g, unsigned row,
                                  const void *tag, struct lp_queue_cursors *cursors)
{
    struct lp_queue_group *group = &queues->groups[g];
    uint64_t from_start = 0;
    void *item = lp_ring_take_tagged(&group->rings[row], tag,
                                     cursors && g < LP_CURSOR_GROUPS ? &cursors->at[g][row]
                                                                     : &from_start);
    uint64_t members = atomic_load_explicit(&group->locals[row], memory_order_seq_cst);
    for (; !item && members; members &= members - 1) {
        unsigned worker = group->worker[__builtin_ctzll(members)];
        item = lp_deque_take_tagged(&queues->locals[worker].rows[row], tag);
    }
    return item;
}

void *lp_queues_take_tagged(struct lp_queues *queues, int worker, const void *tag,
                            struct lp_queue_cursors *cursors)
{
    for (unsigned row = 0; worker >= 0 && row < LP_PRIORITIES; row++) {
        /* What waits was mostly submitted by the job that waits. */
        void *item = lp_deque_pop_tagged(&queues->locals[worker].rows[row], tag);
        if (item) {
            return item;
        }
    }
    for (unsigned row = 0; row < LP_PRIORITIES; row++) {
        uint64_t maybe = atomic_load_explicit(&queues->maybe[row], memory_order_seq_cst);
        for (; maybe; maybe &= maybe - 1) {
            unsigned g = (unsigned)__builtin_ctzll(maybe);
            void *item = take_tagged_of_group(queues, g, row, tag, cursors);
            if (item) {
                return item;
            }
        }
    }
    return NULL;
}
