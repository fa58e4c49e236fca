/* SPDX-License-Identifier: MIT */
/* Where a pool's SERIAL work waits: for each cache group and priority an injection queue, and for each
 * worker and priority a local queue of what its own jobs have submitted. */
#ifndef LP_TEAM_QUEUES_H
#define LP_TEAM_QUEUES_H

#include "handoff/deque.h"
#include "handoff/ring.h"
#include "placement/plan.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LP_PRIORITIES = 3,      /* rows; 0 is the most urgent */
    LP_QUEUE_GROUPS = 64,   /* at most: a bit for each in one word */
    LP_GROUP_MEMBERS = 64,  /* the same for the workers of one */
    LP_TAKES_PER_TURN = 32, /* one of them looks at a less urgent row first */
    LP_CURSOR_GROUPS = 4,
    LP_NO_WORKER = -1       /* a thread that has no local queue */
};

/* Where an item waits, for who withdraws it. The push writes it before anybody can see the item; until
 * then, and after a push that failed, nothing waits at its position. */
struct lp_ticket {
    void *queue; /* a ring, or with its lowest bit set a deque; NULL: it waits nowhere */
    uint64_t position;
};

#define LP_NO_POSITION UINT64_MAX

/* Takes the item out if it still waits there. Any thread. */
bool lp_ticket_withdraw(const struct lp_ticket *ticket);

struct lp_queue_group {
    struct lp_ring rings[LP_PRIORITIES];
    /* A bit for each member whose local queue may hold something. Set by that worker before it looks
     * for sleepers (seq_cst), cleared by it when it has nothing to do. Read by everybody. */
    LP_OWN_LINE _Atomic uint64_t locals[LP_PRIORITIES];
    unsigned members;
    uint16_t worker[LP_GROUP_MEMBERS];
    uint64_t *mask; /* the same as bits of worker numbers, for waking one of them */
};

struct lp_local_queue {
    struct lp_deque rows[LP_PRIORITIES];
    unsigned group, member;
};

struct lp_queues {
    unsigned group_count, used_count; /* allocated; with workers, 1 where nobody has a local queue */
    struct lp_queue_group *groups;
    unsigned worker_count; /* 0: the threads have no local queues */
    struct lp_local_queue *locals;
    unsigned cache_count; /* which group serves a cache; those that no worker has are served by 0 */
    uint8_t *group_of_cache;
    /* A bit for each group where something of the row may wait: the first thing that who looks for
     * work reads. Set after a push unless it is set; cleared by who finds nothing there, who then
     * looks again (settle in queues.c). */
    LP_OWN_LINE _Atomic uint64_t maybe[LP_PRIORITIES];
};

/* places: one per worker; NULL: no local queues, one group. 0 or -ENOMEM. */
int lp_queues_init(struct lp_queues *queues, const struct lp_place *places, unsigned workers,
                   uint64_t limit);
void lp_queues_fini(struct lp_queues *queues);

/* The group near a cache (lp_place.cache), or of a worker. */
unsigned lp_queues_group_of_cache(const struct lp_queues *queues, int cache);

/* Puts an item into a group's injection queue. False: it is full. */
bool lp_queues_inject(struct lp_queues *queues, unsigned group, unsigned row, void *item,
                      const void *tag, struct lp_ticket *ticket);

/* Puts an item into the calling worker's own queue. False: that is full. */
bool lp_queues_push_local(struct lp_queues *queues, unsigned worker, unsigned row, void *item,
                          const void *tag, struct lp_ticket *ticket);

/* How a thread goes about it: its own count of what it took, so that every so often it looks first
 * where it would look last. */
struct lp_taker {
    int worker;     /* or LP_NO_WORKER */
    unsigned takes;
    bool stole;     /* whether the last came from another's queue */
};

/* The row that a thread which has taken so many looks at first. Mostly the most urgent; every so often
 * one of the others, in turn, so that none waits for ever. */
static inline unsigned lp_first_row(unsigned takes)
{
    return takes % LP_TAKES_PER_TURN == LP_TAKES_PER_TURN - 1
               ? 1 + takes / LP_TAKES_PER_TURN % (LP_PRIORITIES - 1)
               : 0;
}

/* The item to run next, or NULL. The row order is that of urgency, but for one take in 32. Within a
 * row: the worker's own, newest first; its group's injection queue; its group's other workers, oldest
 * first; then the other groups in the same way. */
void *lp_queues_take(struct lp_queues *queues, struct lp_taker *taker);

/* Only of the calling worker's own. */
void *lp_queues_take_local(struct lp_queues *queues, unsigned worker);

/* One item with that tag from anywhere. cursors: zero at first, spare looking at the same cells of the
 * first groups' injection queues again; NULL if it is done once. They are on the stack of each wait. */
struct lp_queue_cursors {
    uint64_t at[LP_CURSOR_GROUPS][LP_PRIORITIES];
};
void *lp_queues_take_tagged(struct lp_queues *queues, int worker, const void *tag,
                            struct lp_queue_cursors *cursors);

/* Whether something may wait (seq_cst loads): the second look before a sleep. */
bool lp_queues_any(struct lp_queues *queues);

/* The calling worker has found nothing to do: forgets where it has looked in vain. */
void lp_queues_settle(struct lp_queues *queues, int worker);

/* How many items wait in injection queues, for who wants to know it at every submission; a snapshot. */
uint64_t lp_queues_waiting(struct lp_queues *queues);

/* How many items wait; a snapshot. */
uint64_t lp_queues_count(struct lp_queues *queues);

#endif
