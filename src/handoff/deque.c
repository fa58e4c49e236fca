/* SPDX-License-Identifier: MIT */
/* Owns the local queue of a worker. Push, pop and pop_tagged are the owner's, any thread enters the
 * rest but init and fini.
 *
 * Indices count up from 0; an index has the cell at index & mask. The owner fills the cell at
 * bottom and takes from below it, so it uses an index again and again; thieves move top up by one
 * at a time.
 *
 * A cell's word is stamp << 1 | full. Each filling has a new stamp (a ticket is stamp and cell), so
 * a word never comes back: no ABA, and whoever clears the full bit by compare-exchange owns exactly
 * the item that it read before. Nothing else gives items out; top and bottom are only bounds:
 *
 *   between pushes no cell of an index below top or at or above bottom is full       (1)
 *
 * All memory zero is an empty deque, so its pages cost nothing until they are used.
 *
 * The owner keeps (1) at its end: pop clears the bit first and lowers bottom afterwards. At the
 * other end top moves from t to t + 1 only by a compare-exchange of a thread that has
 *
 *   read top == t, then bottom > t, then a word of t's cell without the bit          (thief)
 *
 * and since the owner may fill t again, that cell could meanwhile be full: an item below top, lost.
 * So push looks again:
 *
 *   stores the word of t, then bottom = t + 1, then reads top                        (owner)
 *
 * - It reads a top below t. All these accesses to top and bottom are seq_cst. A thief that reads
 *   top == t then does so later in their single order than the owner, so it reads that bottom or
 *   one that the owner stored later, which are all at least releases: it sees the word of this
 *   filling, or a later word. A thief with an older word does not exist.
 * - It reads t or more. Then such a thief may be on its way. The owner takes the item back, by
 *   compare-exchange as everybody, and puts it at a higher index; if it does not get the item back,
 *   somebody has it, which is as good.
 * - An index that was never used before (`high`) needs no look: nobody has read a bottom above it
 *   before the owner's store, so who reads one sees the word.
 *
 * Therefore pop leaves bottom where it is when it takes the item at top: there the next push would
 * be in the second case. The cell stays behind, empty, and the pushes and pops above it have a top
 * that does not move, until a thief passes it.
 *
 * That a cell is empty when the owner fills it: its index is at or above bottom, (1), and the index
 * one lap before is below top. Whoever emptied it has read item and tag before, and the owner has
 * acquired its word, or a top that was moved by one who had, before it writes them again. */
#include "handoff/deque.h"

#include "base/error.h"

#include <errno.h>
#include <sys/mman.h>

static struct lp_deque_cell *cell_at(const struct lp_deque *deque, uint64_t index)
{
    return &deque->cells[index & deque->mask];
}

static size_t bytes_of(const struct lp_deque *deque)
{
    return ((size_t)1 << deque->shift) * sizeof *deque->cells;
}

int lp_deque_init(struct lp_deque *deque, unsigned capacity)
{
    deque->shift = 1;
    while ((uint64_t)1 << deque->shift < capacity) {
        deque->shift++;
    }
    deque->mask = ((uint64_t)1 << deque->shift) - 1;
    deque->cells = mmap(NULL, bytes_of(deque), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (deque->cells == MAP_FAILED) {
        deque->cells = NULL;
        return lp_fail(-ENOMEM, "no memory for a worker's own queue of %u jobs", capacity);
    }
    atomic_init(&deque->bottom, 0);
    atomic_init(&deque->top, 0);
    deque->high = 0;
    deque->stamp = 0;
    deque->top_seen = 0;
    return 0;
}

void lp_deque_fini(struct lp_deque *deque)
{
    if (deque->cells) {
        munmap(deque->cells, bytes_of(deque));
        deque->cells = NULL;
    }
}

/* Full to empty: true for exactly one caller per stamp. */
static bool claim(struct lp_deque_cell *cell, uint64_t full_word)
{
    return atomic_compare_exchange_strong_explicit(&cell->word, &full_word,
                                                   full_word & ~(uint64_t)LP_DEQUE_FULL,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/* The caller is a thief of the proof above. */
static void pass(struct lp_deque *deque, uint64_t top)
{
    atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1, memory_order_seq_cst,
                                            memory_order_relaxed);
}

/* Moves top over what was taken out at the front, so that it does not count as waiting. */
static void pass_empty_cells(struct lp_deque *deque)
{
    for (;;) {
        uint64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
        uint64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
        if (top >= bottom || atomic_load_explicit(&cell_at(deque, top)->word,
                                                  memory_order_acquire) & LP_DEQUE_FULL) {
            return;
        }
        pass(deque, top);
    }
}

/* Drops empty cells at the front and, if that is not enough, at the back. Returns the index to fill
 * instead of `index`. */
static uint64_t make_room(struct lp_deque *deque, uint64_t index)
{
    pass_empty_cells(deque);
    deque->top_seen = atomic_load_explicit(&deque->top, memory_order_acquire);
    if (index - deque->top_seen <= deque->mask) {
        return index;
    }
    while (index > deque->top_seen &&
           !(atomic_load_explicit(&cell_at(deque, index - 1)->word, memory_order_acquire) &
             LP_DEQUE_FULL)) {
        index--;
    }
    return index;
}

/* `index`, or the next one that push can expect to keep: above top, or never used. */
static uint64_t lowest_to_keep(const struct lp_deque *deque, uint64_t index)
{
    if (index > deque->top_seen || index >= deque->high) {
        return index;
    }
    return deque->top_seen < deque->high ? deque->top_seen + 1 : deque->high;
}

bool lp_deque_push(struct lp_deque *deque, void *item, const void *tag, uint64_t *ticket)
{
    uint64_t index = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    for (;;) {
        index = lowest_to_keep(deque, index);
        if (index - deque->top_seen > deque->mask) {
            index = lowest_to_keep(deque, make_room(deque, index));
            if (index - deque->top_seen > deque->mask) {
                return false;
            }
        }
        struct lp_deque_cell *cell = cell_at(deque, index);
        uint64_t stamp = ++deque->stamp;
        uint64_t full_word = stamp << 1 | LP_DEQUE_FULL;
        *ticket = stamp << deque->shift | (index & deque->mask);
        atomic_store_explicit(&cell->item, item, memory_order_relaxed);
        atomic_store_explicit(&cell->tag, tag, memory_order_relaxed);
        /* Release publishes the item to who looks at the cell without having looked at bottom. */
        atomic_store_explicit(&cell->word, full_word, memory_order_release);
        /* seq_cst: see the proof; and the caller's look for sleepers comes after it, which pairs
         * with their announcement (parking.h). */
        atomic_store_explicit(&deque->bottom, index + 1, memory_order_seq_cst);
        /* item may be gone from here on */
        if (index >= deque->high) {
            deque->high = index + 1;
            return true;
        }
        deque->top_seen = atomic_load_explicit(&deque->top, memory_order_seq_cst);
        if (deque->top_seen < index || !claim(cell, full_word)) {
            return true;
        }
        index++;
    }
}

/* NULL for a tag that the newest item does not have, unless any will do. */
static inline void *take_newest(struct lp_deque *deque, bool any, const void *tag)
{
    for (uint64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);; bottom--) {
        uint64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
        if (top >= bottom) {
            return NULL;
        }
        struct lp_deque_cell *cell = cell_at(deque, bottom - 1);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        void *item = NULL;
        if (word & LP_DEQUE_FULL) {
            if (!any && atomic_load_explicit(&cell->tag, memory_order_relaxed) != tag) {
                return NULL;
            }
            item = atomic_load_explicit(&cell->item, memory_order_relaxed);
            if (!claim(cell, word)) {
                item = NULL;
            }
        }
        /* Release, and after the claim: who reads it must find the cell empty, and what the owner
         * put in earlier. */
        if (top < bottom - 1) {
            atomic_store_explicit(&deque->bottom, bottom - 1, memory_order_release);
        }
        if (item) {
            return item;
        }
    }
}

void *lp_deque_pop(struct lp_deque *deque)
{
    return take_newest(deque, true, NULL);
}

void *lp_deque_pop_tagged(struct lp_deque *deque, const void *tag)
{
    return take_newest(deque, false, tag);
}

void *lp_deque_steal(struct lp_deque *deque)
{
    for (;;) {
        uint64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
        uint64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
        if (top >= bottom) {
            return NULL;
        }
        struct lp_deque_cell *cell = cell_at(deque, top);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        if (!(word & LP_DEQUE_FULL)) {
            pass(deque, top);
            continue;
        }
        void *item = atomic_load_explicit(&cell->item, memory_order_relaxed);
        /* The word could be of the next lap, and its item not the oldest. Then the owner had read a
         * larger top before it stored the word that we have acquired, so we read one too. */
        if (atomic_load_explicit(&deque->top, memory_order_relaxed) == top && claim(cell, word)) {
            pass(deque, top);
            return item;
        }
    }
}

bool lp_deque_withdraw(struct lp_deque *deque, uint64_t ticket)
{
    uint64_t full_word = ticket >> deque->shift << 1 | LP_DEQUE_FULL;
    bool taken = claim(cell_at(deque, ticket), full_word);
    if (taken) {
        pass_empty_cells(deque);
    }
    return taken;
}

void *lp_deque_take_tagged(struct lp_deque *deque, const void *tag)
{
    uint64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
    uint64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
    for (uint64_t index = top; index < bottom; index++) {
        struct lp_deque_cell *cell = cell_at(deque, index);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_acquire);
        if (word & LP_DEQUE_FULL &&
            atomic_load_explicit(&cell->tag, memory_order_relaxed) == tag) {
            void *item = atomic_load_explicit(&cell->item, memory_order_relaxed);
            if (claim(cell, word)) {
                pass_empty_cells(deque);
                return item;
            }
        }
    }
    return NULL;
}

unsigned lp_deque_count(struct lp_deque *deque)
{
    uint64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    uint64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_acquire);
    unsigned count = 0;
    for (uint64_t index = top; index < bottom && index - top <= deque->mask; index++) {
        count += atomic_load_explicit(&cell_at(deque, index)->word, memory_order_relaxed) &
                 LP_DEQUE_FULL;
    }
    return count;
}
