/* SPDX-License-Identifier: MIT */
/* Owns the slots that no item uses, one list for each thread that has streams. They are kept up to the
 * largest window of the streams that are open there, so that a stream which fills and empties does not
 * allocate; without an open stream only a few are. Loops' threads enter, each for itself. */
#include "base/self.h"
#include "job/stream.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 64 };

static _Thread_local struct {
    struct lp_slot *free;
    uint32_t kept, most;
    uint32_t streams;
    struct lp_loop_exit exit; /* in the loop's list while something may be kept */
} mine __attribute__((tls_model("initial-exec")));

struct lp_slot *lp_slot_take(void)
{
    struct lp_slot *slot = mine.free;
    if (slot) {
        mine.free = slot->next;
        mine.kept--;
        return slot;
    }
    slot = malloc(sizeof *slot);
    if (slot) {
        memset((void *)slot, 0, sizeof *slot);
    }
    return slot;
}

void lp_slot_give(struct lp_slot *slot)
{
    if (mine.kept >= mine.most) {
        free(slot);
        return;
    }
    slot->next = mine.free;
    mine.free = slot;
    mine.kept++;
}

static void trim(uint32_t most)
{
    mine.most = most;
    while (mine.kept > most) {
        free(lp_slot_take());
    }
}

static void on_exit_of_loop(struct lp_loop_exit *exit)
{
    (void)exit;
    trim(0);
}

void lp_slots_expect(uint32_t window)
{
    if (!mine.exit.link) {
        mine.exit.run = on_exit_of_loop;
        lp_loop_add_exit(lp_self.loop, &mine.exit);
    }
    mine.streams++;
    uint32_t most = window > FEW ? window : FEW;
    mine.most = most > mine.most ? most : mine.most;
}

void lp_slots_settle(void)
{
    if (--mine.streams == 0 && mine.exit.link) {
        trim(FEW);
    }
}
