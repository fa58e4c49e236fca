/* SPDX-License-Identifier: MIT */
/* Owns the injection queue. Any thread enters every function but init and fini.
 *
 * A cell's `word` says which lap of the ring it is in and what it holds: lap * 4 + FREE, FULL or
 * TAKEN. Words only grow, so a word seen twice means that nothing happened in between: no ABA, and
 * whoever changes FULL to TAKEN owns exactly the item that it read before. All memory zero is an
 * empty ring, so a large ring costs no memory until it is used.
 *
 *   from   to             by                      with
 *   FREE   FULL           the producer that moved the tail over it   store
 *   FULL   TAKEN          withdraw or take_tagged  compare-exchange
 *   FULL   FREE, next lap the consumer that moved the head over it   compare-exchange
 *   TAKEN  FREE, next lap the same consumer        store
 *
 * A producer that is interrupted between moving the tail and filling its cell hides what is behind
 * it until it goes on; nothing is lost, because it wakes a consumer after it has filled the cell,
 * and a consumer that finds more behind what it took wakes another. */
#include "handoff/ring.h"

#include "base/error.h"
#include "base/futex.h"

#include <errno.h>
#include <sys/mman.h>

enum { FREE = 0, FULL = 1, TAKEN = 2 };

struct lp_ring_cell {
    _Atomic uint64_t word;
    /* Written by the producer before the word says FULL, read by anybody who has seen it; relaxed,
     * because a reader whose compare-exchange of the word then fails throws them away. */
    _Atomic(void *) item;
    _Atomic(const void *) tag;
    _Atomic uint64_t note;
};

_Static_assert(sizeof(struct lp_ring_cell) == 32, "two cells to a line of 64 bytes");

static uint64_t word_of(const struct lp_ring *ring, uint64_t position, unsigned state)
{
    return (position >> ring->shift) << 2 | state;
}

static uint64_t word_of_next_lap(const struct lp_ring *ring, uint64_t position)
{
    return ((position >> ring->shift) + 1) << 2 | FREE;
}

static struct lp_ring_cell *cell_at(const struct lp_ring *ring, uint64_t position)
{
    return &ring->cells[position & ring->mask];
}

/* Pages of the kernel's are zero; an allocator may have to clear memory that was used before, which
 * for all queues together takes longer than the rest of a start. */
static size_t bytes_of(const struct lp_ring *ring)
{
    return ((size_t)1 << ring->shift) * sizeof *ring->cells;
}

int lp_ring_init(struct lp_ring *ring, uint64_t limit)
{
    ring->shift = 1;
    while ((uint64_t)1 << ring->shift < limit) {
        ring->shift++;
    }
    ring->mask = ((uint64_t)1 << ring->shift) - 1;
    ring->limit = limit;
    ring->cells = mmap(NULL, bytes_of(ring), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring->cells == MAP_FAILED) {
        ring->cells = NULL;
        return lp_fail(-ENOMEM, "no memory for a queue of %llu jobs (queue_limit)",
                       (unsigned long long)limit);
    }
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->room_wanted, 0);
    atomic_init(&ring->room_epoch, 0);
    return 0;
}

void lp_ring_fini(struct lp_ring *ring)
{
    if (ring->cells) {
        munmap(ring->cells, bytes_of(ring));
        ring->cells = NULL;
    }
}

/* After a cell was freed. The compare-exchange or exchange that freed it was seq_cst, as is this
 * load: either we see the waiter, or it sees the room when it tries again. */
static void tell_of_room(struct lp_ring *ring)
{
    if (atomic_load_explicit(&ring->room_wanted, memory_order_seq_cst)) {
        atomic_fetch_add_explicit(&ring->room_epoch, 1, memory_order_seq_cst);
        lp_futex_wake(&ring->room_epoch, INT_MAX);
    }
}

/* Moves the head over cells at the front whose items were taken out, so that they do not count
 * against the limit. A taken cell in the middle counts until the head gets there. True if it moved. */
static bool trim(struct lp_ring *ring)
{
    for (bool moved = false;;) {
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
        struct lp_ring_cell *cell = cell_at(ring, head);
        if (atomic_load_explicit(&cell->word, memory_order_acquire) !=
            word_of(ring, head, TAKEN)) {
            return moved;
        }
        if (atomic_compare_exchange_strong_explicit(&ring->head, &head, head + 1,
                                                    memory_order_seq_cst,
                                                    memory_order_relaxed)) {
            atomic_exchange_explicit(&cell->word, word_of_next_lap(ring, head),
                                     memory_order_seq_cst);
            tell_of_room(ring);
            moved = true;
        }
    }
}

bool lp_ring_push(struct lp_ring *ring, void *item, const void *tag, uint64_t *position)
{
    return lp_ring_push_noted(ring, item, tag, 0, position);
}

bool lp_ring_push_noted(struct lp_ring *ring, void *item, const void *tag, uint64_t note,
                        uint64_t *position)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        /* acquire: a cell that the head has passed is free, or about to be */
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - head >= ring->limit && tail >= head) {
            uint64_t again = atomic_load_explicit(&ring->tail, memory_order_relaxed);
            if (again == tail && !trim(ring)) {
                return false;
            }
            tail = again;
            continue;
        }
        struct lp_ring_cell *cell = cell_at(ring, tail);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        uint64_t free_word = word_of(ring, tail, FREE);
        if (word == free_word) {
            /* seq_cst: a sleeper's second look compares tail and head */
            if (atomic_compare_exchange_weak_explicit(&ring->tail, &tail, tail + 1,
                                                      memory_order_seq_cst,
                                                      memory_order_relaxed)) {
                *position = tail;
                atomic_store_explicit(&cell->item, item, memory_order_relaxed);
                atomic_store_explicit(&cell->tag, tag, memory_order_relaxed);
                atomic_store_explicit(&cell->note, note, memory_order_relaxed);
                /* Release publishes the item; seq_cst orders it before the caller's look for
                 * sleepers (pairs with their announcement, see parking.h). */
                atomic_store_explicit(&cell->word, free_word | FULL, memory_order_seq_cst);
                return true;
            }
        } else if (word < free_word) {
            /* The consumer of the last lap has moved the head but not yet freed the cell. */
            lp_relax();
            tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        } else {
            tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        }
    }
}

void *lp_ring_pop(struct lp_ring *ring)
{
    return lp_ring_pop_if(ring, NULL, NULL);
}

void *lp_ring_pop_if(struct lp_ring *ring, bool (*wanted)(uint64_t note, const void *arg),
                     const void *arg)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        struct lp_ring_cell *cell = cell_at(ring, head);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        uint64_t free_word = word_of(ring, head, FREE);
        if (word <= free_word) {
            return NULL; /* empty, or its producer is not ready */
        }
        if (word > (free_word | TAKEN)) {
            head = atomic_load_explicit(&ring->head, memory_order_relaxed);
            continue;
        }
        /* The note belongs to this position if the head has not moved when it is moved below. */
        if (wanted && word == (free_word | FULL) &&
            !wanted(atomic_load_explicit(&cell->note, memory_order_relaxed), arg)) {
            uint64_t again = atomic_load_explicit(&ring->head, memory_order_acquire);
            if (again == head) {
                return NULL;
            }
            head = again;
            continue;
        }
        /* seq_cst: who waits for the queue to be empty announces that and then compares head and
         * tail; who has emptied it looks for such announcements (team/gang_team.c) */
        if (!atomic_compare_exchange_weak_explicit(&ring->head, &head, head + 1,
                                                   memory_order_seq_cst,
                                                   memory_order_relaxed)) {
            continue;
        }
        void *item = atomic_load_explicit(&cell->item, memory_order_relaxed);
        uint64_t full_word = free_word | FULL;
        bool is_ours = atomic_compare_exchange_strong_explicit(
            &cell->word, &full_word, word_of_next_lap(ring, head), memory_order_seq_cst,
            memory_order_acquire);
        if (!is_ours) {
            atomic_exchange_explicit(&cell->word, word_of_next_lap(ring, head),
                                     memory_order_seq_cst);
        }
        tell_of_room(ring);
        if (is_ours) {
            return item;
        }
        head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    }
}

bool lp_ring_peek(struct lp_ring *ring, uint64_t behind, uint64_t *note)
{
    uint64_t position = atomic_load_explicit(&ring->head, memory_order_seq_cst) + behind;
    struct lp_ring_cell *cell = cell_at(ring, position);
    uint64_t full_word = word_of(ring, position, FULL);
    if (atomic_load_explicit(&cell->word, memory_order_acquire) != full_word) {
        return false;
    }
    *note = atomic_load_explicit(&cell->note, memory_order_relaxed);
    return true;
}

bool lp_ring_withdraw(struct lp_ring *ring, uint64_t position)
{
    uint64_t full_word = word_of(ring, position, FULL);
    bool taken = atomic_compare_exchange_strong_explicit(
        &cell_at(ring, position)->word, &full_word, word_of(ring, position, TAKEN),
        memory_order_acq_rel, memory_order_relaxed);
    if (taken) {
        trim(ring);
    }
    return taken;
}

void *lp_ring_take_tagged(struct lp_ring *ring, const void *tag, uint64_t *cursor)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_seq_cst);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_seq_cst);
    bool all_ready = true; /* the cursor stays at the first cell whose producer is not ready */
    for (uint64_t position = *cursor > head ? *cursor : head; position < tail; position++) {
        struct lp_ring_cell *cell = cell_at(ring, position);
        uint64_t full_word = word_of(ring, position, FULL);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        all_ready = all_ready && word >= full_word;
        if (all_ready) {
            *cursor = position + 1;
        }
        if (word == full_word && atomic_load_explicit(&cell->tag, memory_order_relaxed) == tag) {
            void *item = atomic_load_explicit(&cell->item, memory_order_relaxed);
            if (lp_ring_withdraw(ring, position)) {
                return item;
            }
        }
    }
    return NULL;
}

void lp_ring_wait_for_room(struct lp_ring *ring, uint64_t deadline_ns)
{
    uint32_t epoch = atomic_load_explicit(&ring->room_epoch, memory_order_seq_cst);
    atomic_fetch_add_explicit(&ring->room_wanted, 1, memory_order_seq_cst);
    /* Look again: room made before we announced ourselves was not told to us. */
    uint64_t used = atomic_load_explicit(&ring->tail, memory_order_seq_cst) -
                    atomic_load_explicit(&ring->head, memory_order_seq_cst);
    if (used >= ring->limit) {
        lp_futex_wait(&ring->room_epoch, epoch, deadline_ns);
    }
    atomic_fetch_sub_explicit(&ring->room_wanted, 1, memory_order_seq_cst);
}
