/* SPDX-License-Identifier: MIT */
/* Owns the slots that no item uses, one list for each thread that has streams. As many are kept as
 * the windows of the streams that are open there hold together, so that streams which fill and
 * empty do not allocate, but no more than the widest window there may be; without an open stream
 * only a few are. Loops' threads enter, each for itself. */
#include "base/self.h"
#include "job/stream.h"

#include <stdlib.h>
#include <string.h>

enum {
    FEW = 64,
    MANY = 65536
};

static _Thread_local struct {
    struct lp_slot *free;
    uint32_t kept, most;
    uint64_t windows;         /* of the open streams, together */
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

static void follow_windows(void)
{
    trim(mine.windows < FEW ? FEW : mine.windows > MANY ? MANY : (uint32_t)mine.windows);
}

void lp_slots_expect(uint32_t window)
{
    if (!mine.exit.link) {
        mine.exit.run = on_exit_of_loop;
        lp_loop_add_exit(lp_self.loop, &mine.exit);
    }
    mine.windows += window;
    follow_windows();
}

void lp_slots_settle(uint32_t window)
{
    mine.windows -= window;
    if (mine.exit.link) {
        follow_windows();
    }
}
