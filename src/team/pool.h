/* SPDX-License-Identifier: MIT */
/* A pool: a set of places, the queues of work for them, and the teams that serve the queues.
 *
 * What runs is opaque here: the layer above hands in pointers and a function that runs one. */
#ifndef LP_TEAM_POOL_H
#define LP_TEAM_POOL_H

#include "base/futex.h"
#include "base/platform.h"
#include "base/sleeper.h"
#include "base/thread.h"
#include "handoff/completion.h"
#include "handoff/overflow.h"
#include "handoff/parking.h"
#include "handoff/rundown.h"
#include "handoff/waiter.h"
#include "placement/plan.h"
#include "team/queues.h"

#include <loomp/job.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the layer above knows of an item. */
struct lp_item_ops {
    void (*run)(void *item);       /* on a thread of the pool's, as an OpenMP task */
    uint64_t (*note)(const void *item); /* lp_note of it */
};

/* What the gang team has to know of a job that it has not taken: its kind, and how many threads it
 * asks for (0: all). */
static inline uint64_t lp_note(uint32_t kind, uint32_t width)
{
    return (uint64_t)width << 8 | kind;
}

static inline uint32_t lp_note_kind(uint64_t note)
{
    return note & 0xff;
}

static inline unsigned lp_note_width(uint64_t note)
{
    return (unsigned)(note >> 8);
}

struct lp_pool_options {
    const char *name;
    const char *prefix; /* of thread names */
    const struct lp_topology *topology;
    const struct lp_place *places; /* one per thread; a blocking pool has one for all */
    unsigned threads;
    bool blocking;
    bool crowded; /* threads of loomp's share CPUs, of this pool or of another */
    bool named;   /* its places are none of those that libomp knows in this order */
    bool counted; /* who closes it waits for its jobs: they count themselves in `uses` */
    bool local_memory; /* threads take memory from the NUMA node of their place */
    /* Set and woken when a thread takes work, unless it is set; NULL: nobody wants to know. */
    _Atomic uint32_t *stirred;
    size_t stack_bytes;
    uint64_t queue_limit;
    uint64_t spin_ns;
    uint64_t relief_ns;
    double max_share; /* of the time, that gangs get while SERIAL work waits; at most 1 */
    struct lp_item_ops ops;
    struct loomp_runtime *runtime;
};

/* One thread's public face, written by it alone, read by loomp_threads (relaxed: a snapshot). */
struct lp_thread_card {
    _Atomic uint32_t state; /* LOOMP_STATE_* */
    _Atomic int32_t tid;    /* 0: no such thread yet */
    _Atomic uint64_t jobs;
    char name[16]; /* written before tid */
    int cpu;
    /* For loomp_pool_stats_read; as jobs. */
    _Atomic uint64_t kinds[3]; /* by LOOMP_SERIAL, _TASKS, _GANG: jobs whose work began here */
    _Atomic uint64_t gangs_narrowed, helped, stolen, relieved, broadcasts;
    /* The waiter of the job that waits on this thread, if it is one that is called (lp_pool_listen). */
    pthread_mutex_t lock; /* guards it */
    struct lp_thread_waiter *waiting;
    struct lp_sleeper sleeper; /* what tests with a clock of their own see of it */
};

struct lp_worker {
    /* 1: it may be running work on its place. Written by the worker, read by the gang leader; both
     * sides seq_cst, because each writes its own word (busy, claim) and then reads the other's. */
    LP_OWN_LINE _Atomic uint32_t busy;
    uint64_t spin_ns;
    uint64_t gap_ns;  /* running mean of how long it was without work */
    bool was_idle;    /* it looks for more work behind what it takes, and wakes another */
    struct lp_taker taker;
    /* When work that waits behind gangs is to be relieved: counted from when this worker, which has not
     * run anything since, has first seen it. 0: it has seen none. */
    uint64_t relief_at_ns;
    /* What only this thread may run (lp_worker_mail). */
    struct lp_completions mail;
    _Atomic uint64_t started; /* SERIAL jobs; written by the worker, read by a gang that pauses */
    struct lp_thread_card card;
};

/* Of whom the gang leader wants to hear at job boundaries. */
enum lp_attention { LP_HEAR_NOBODY = 0, LP_HEAR_CLAIMED, LP_HEAR_ALL };

/* The region in which TASKS jobs run (tasks_region.c). */
struct lp_tasks_region {
    /* 1 while it is under way: written by the leader before and after, read by threads inside, whose
     * coming and going the region's own fork and join order. */
    _Atomic uint32_t open;
    /* Written by the leader while it is closed. */
    unsigned width, most; /* threads that it has, and that it could have */
    _Atomic uint32_t takes_in; /* 1: more jobs than the one it was opened for; any thread ends that */
    /* Tokens: tasks that hold a job or are about to look for one. Changed by every thread. */
    LP_OWN_LINE _Atomic uint32_t tokens;
    _Atomic uint32_t taken; /* jobs since it was opened */
};

struct lp_gang {
    lp_thread *leader;
    _Atomic uint32_t takes; /* as lp_taker's; by the leader and in the region of TASKS jobs */
    uint64_t held_ns;       /* how long the last job had the places */
    unsigned threads;       /* the size its regions get */
    void *item;             /* the job that the leader has taken */
    unsigned item_width;
    _Atomic(void *) running; /* a GANG, for loomp_cancelled on the threads of its regions */
    struct lp_tasks_region tasks;
    struct lp_parking parking; /* one slot: the leader */
    /* The gate of the rest region: members leave when it changes. Written by the leader (seq_cst),
     * which then looks for sleepers; members announce themselves and sleep on it. */
    LP_OWN_LINE _Atomic uint32_t gate;
    _Atomic uint32_t gate_sleepers;
    _Atomic uint32_t linger; /* 1: members spin at the gate, their places are still the gang's */
    struct lp_thread_card *cards;
};

struct lp_blocking {
    pthread_mutex_t lock;      /* guards the starting of threads: once per thread */
    _Atomic uint32_t count;    /* threads that exist; they only grow */
    _Atomic uint32_t starting; /* 1: another is on its way */
    uint32_t next;             /* its index, written before it starts */
    lp_thread **threads;
    struct lp_thread_card *cards;
};

struct loomp_pool {
    struct lp_pool_options options;
    unsigned width; /* how many workers it got */

    /* Read at every job boundary, written when gangs come and go. */
    LP_OWN_LINE _Atomic uint32_t claim; /* the places below it belong to the gang team */
    /* How long the GANGs with a site that are accepted and have not ended are expected to take. Any
     * thread adds and subtracts; relaxed: a guess. */
    _Atomic int64_t expected_ns;
    _Atomic uint32_t limit;             /* the places from it on are in nobody's use, 1..width */
    _Atomic uint32_t attention;         /* enum lp_attention */
    _Atomic uint32_t relief;            /* workers that serve beside a gang that has all places */
    _Atomic uint32_t stopping;
    _Atomic uint32_t frozen;            /* the process exits: no thread takes work any more */
    _Atomic uint32_t quiet;             /* threads that have seen it */
    _Atomic uint32_t blocked;           /* workers whose job waits for others */
    _Atomic uint32_t relief_wanted;     /* resumed workers that have waited for relief_ns */
    _Atomic uint32_t listeners;         /* threads on which jobs wait that can be called */
    _Atomic uint32_t place_epoch;       /* grows when places are given back ... */
    _Atomic uint32_t place_waiters;     /* ... for resumed workers that want theirs */

    LP_OWN_LINE _Atomic uint32_t searching; /* workers that are looking for work */

    LP_OWN_LINE struct lp_rundown uses; /* if counted: jobs, and calls that bring or withdraw them */

    unsigned whole; /* the places from it on are siblings of others on their cores */
    struct lp_queues serial;
    struct lp_ring gangs[LP_PRIORITIES]; /* GANG and TASKS jobs */
    struct lp_overflow late_serial; /* what had to be queued when there was no room */
    struct lp_overflow late_gangs;
    /* Jobs that left the queues without having begun; written where that happens. */
    _Atomic uint64_t withdrawn, expired;
    struct lp_completions dones; /* for jobs without a home that did not run here */

    struct lp_parking parking; /* the workers, or the blocking threads */
    struct lp_worker *workers;
    lp_thread *leader; /* of the task team */
    struct lp_gang gang;
    struct lp_blocking blocking;
    /* Start: how many threads have arrived in a region; the last one sets ready. */
    _Atomic uint32_t arrived;
    _Atomic uint32_t ready;
};

/* Allocates the queues. 0 or a negative errno with a sentence. */
int lp_pool_init(struct loomp_pool *pool, const struct lp_pool_options *options);
void lp_pool_fini(struct loomp_pool *pool);

/* The process exits with teams at work: they take no more, so that libomp's end does not meet
 * regions that begin or end. Waits for what is running, but not past the deadline. The pool is of no
 * use afterwards. */
void lp_pool_freeze(struct loomp_pool *pool, uint64_t deadline_ns);

/* Pools that can be closed while the runtime runs count what is under way in them; the others stay
 * until nothing is under way at all. Enter counts two uses, what comes in and the call that brings it,
 * or fails with -ESHUTDOWN. A pool that has been left may be gone. */
int lp_pool_enter(struct loomp_pool *pool);

/* One more use, by who knows of one that has not ended. */
static inline void lp_pool_hold(struct loomp_pool *pool)
{
    if (pool->options.counted) {
        lp_rundown_hold(&pool->uses);
    }
}

static inline void lp_pool_leave(struct loomp_pool *pool, unsigned uses)
{
    if (pool->options.counted) {
        lp_rundown_leave(&pool->uses, uses);
    }
}

/* For the pool's threads: whether to take no more work; and, if that is for ever, the place to
 * sleep. */
static inline bool lp_pool_ends(struct loomp_pool *pool)
{
    return atomic_load_explicit(&pool->stopping, memory_order_seq_cst) ||
           atomic_load_explicit(&pool->frozen, memory_order_seq_cst);
}
void lp_pool_sleep_if_frozen(struct loomp_pool *pool);

/* Puts an item of the SERIAL kind, or of the others, where threads of the pool will look for it;
 * priority as job.priority. in_order: not into the queue of the worker that calls this. False: the
 * queue is full, and ticket->queue is that ring. */
bool lp_pool_push_serial(struct loomp_pool *pool, int priority, void *item, const void *tag,
                         bool in_order, struct lp_ticket *ticket);
bool lp_pool_push_gang(struct loomp_pool *pool, int priority, void *item, const void *tag,
                       struct lp_ticket *ticket);

/* How many more jobs the queue takes that such a push from this thread, which is no worker of the
 * pool's, would go to; a snapshot. */
uint64_t lp_pool_room(struct loomp_pool *pool, bool serial, int priority);

/* There is SERIAL work for the task team, or a job for the gang team: wakes who should look, if
 * anybody has to be woken. After the push. Of workers, one near the caller is preferred. */
void lp_pool_wake_worker(struct loomp_pool *pool);
void lp_pool_wake_for_gang(struct loomp_pool *pool);

/* Lets the pool use the first `limit` of its places from now on (1..width): work that runs on others
 * ends there, no new work begins. For a CPU quota that changes. */
void lp_pool_set_limit(struct loomp_pool *pool, unsigned limit);

static inline unsigned lp_pool_limit(struct loomp_pool *pool)
{
    return atomic_load_explicit(&pool->limit, memory_order_seq_cst);
}

/* How many threads a region of the gang team can have now. */
static inline unsigned lp_gang_most(struct loomp_pool *pool)
{
    unsigned limit = lp_pool_limit(pool);
    return limit < pool->gang.threads ? limit : pool->gang.threads;
}

/* The places from it on are in nobody's use: a job that waits uses no CPU, so another place may. May
 * be more than there are places. */
static inline unsigned lp_pool_open(struct loomp_pool *pool)
{
    return lp_pool_limit(pool) + atomic_load_explicit(&pool->blocked, memory_order_seq_cst);
}

/* Whether a gang leaves nobody to serve: it has all places, or all but those whose jobs wait. The
 * width is looked at only beside a gang, when the start that writes it is long over. */
static inline bool lp_pool_all_claimed(struct loomp_pool *pool)
{
    unsigned claim = atomic_load_explicit(&pool->claim, memory_order_seq_cst);
    if (!claim) {
        return false;
    }
    unsigned open = lp_pool_open(pool);
    open = open < pool->width ? open : pool->width;
    return claim + atomic_load_explicit(&pool->blocked, memory_order_seq_cst) >= open;
}

/* A thread has taken work: tells whoever follows that. */
static inline void lp_pool_stir(struct loomp_pool *pool)
{
    _Atomic uint32_t *stirred = pool->options.stirred;
    if (stirred && !atomic_load_explicit(stirred, memory_order_seq_cst) &&
        !atomic_exchange_explicit(stirred, 1, memory_order_seq_cst)) {
        lp_futex_wake(stirred, 1);
    }
}

/* Wakes jobs that have waited and want their places, or else the relief, to go on
 * (lp_worker_reenter_place). After the change, which must be seq_cst. */
void lp_pool_wake_place_waiters(struct loomp_pool *pool);

/* Places have been given back: wakes jobs that want theirs after a wait, and a worker if there is
 * work. After the change, which must be seq_cst. */
void lp_pool_places_freed(struct loomp_pool *pool);

/* For a job that waits on the calling thread, a worker or one of a blocking pool: what only such
 * threads can do, mail and dones, stirs its waiter from now on; NULL: no more. What came before has to
 * be looked for after it. */
void lp_pool_listen(struct loomp_pool *pool, struct lp_thread_waiter *waiter);
bool lp_pool_is_called(struct loomp_pool *pool);

/* Stirs the job that waits on that thread, if it listens; false if it does not. After a push that was
 * seq_cst. */
bool lp_pool_call(struct lp_thread_card *card);

/* Stirs one of those that listen, if any do. */
void lp_pool_call_anyone(struct loomp_pool *pool);

/* What a submitter finds; a snapshot. Costs the same whatever the number of threads (but for a word of
 * each 64 sleepers). serial: it is not about the gang team. */
struct lp_pool_view {
    bool searching;    /* a worker looks for work */
    bool parked;       /* a worker can be woken */
    bool gang_runs;    /* the gang team has places */
    uint64_t waiting;  /* SERIAL jobs in the injection queues */
    uint64_t gangs;    /* the others */
    int64_t expected_ns; /* of the GANGs, as far as known */
};
void lp_pool_look(struct loomp_pool *pool, bool serial, struct lp_pool_view *view);

/* So much more is expected of GANGs, or, negative, has come or will not. */
static inline void lp_pool_expect(struct loomp_pool *pool, int64_t ns)
{
    atomic_fetch_add_explicit(&pool->expected_ns, ns, memory_order_relaxed);
}

/* Whether SERIAL work may be waiting (seq_cst loads). */
bool lp_pool_has_serial(struct loomp_pool *pool);
bool lp_pool_has_gang(struct loomp_pool *pool);

/* The most urgent item, or NULL; one in 32 is of another priority, so that none waits for ever. */
void *lp_pool_take_serial(struct loomp_pool *pool, struct lp_taker *taker);
void *lp_pool_take_gang(struct loomp_pool *pool);

/* The same, if `wanted` says so of its note. NULL, and *is_other: the next one is not wanted. */
void *lp_pool_take_gang_if(struct loomp_pool *pool, bool (*wanted)(uint64_t note, const void *arg),
                           const void *arg, bool *is_other);

/* Something was taken out of the queues without having begun (it has left them already): a leader that
 * waits for what workers bring about may have waited for that. */
void lp_pool_withdrew(struct loomp_pool *pool);

/* The note of what lp_pool_take_gang would give now; false if that cannot be said. By the leader. */
bool lp_pool_peek_gang(struct loomp_pool *pool, uint64_t *note);

/* An item with that tag, for a thread that waits. cursors as lp_queues_take_tagged's. */
struct lp_gang_cursors {
    uint64_t at[LP_PRIORITIES];
};
void *lp_pool_take_serial_tagged(struct loomp_pool *pool, const void *tag,
                                 struct lp_queue_cursors *cursors);
void *lp_pool_take_gang_tagged(struct loomp_pool *pool, const void *tag,
                               struct lp_gang_cursors *cursors);

/* Sets up the calling thread's description: name, mask, lp_self, card. */
enum lp_role_of_team { LP_TEAM_OMP, LP_TEAM_GANG, LP_TEAM_BLOCKING };
void lp_pool_adopt_thread(struct loomp_pool *pool, enum lp_role_of_team team, unsigned index);
void lp_pool_drop_thread(void);

/* Until it is taken back the calling thread is none of the pool's: libomp may give it to another team.
 * Taking back costs nothing if it comes back to the same index; false: it has to be adopted. */
void lp_pool_lend_thread(void);
bool lp_pool_retake_thread(const struct loomp_pool *pool, unsigned index);

static inline void lp_card_state(struct lp_thread_card *card, uint32_t state)
{
    atomic_store_explicit(&card->state, state, memory_order_relaxed);
}

/* 0: there is no such thread yet. */
static inline int lp_card_tid(const struct lp_thread_card *card)
{
    return atomic_load_explicit(&((struct lp_thread_card *)(uintptr_t)card)->tid,
                                memory_order_acquire);
}

/* A count of a card's: one writer, so that no read-modify-write is needed. */
static inline void lp_card_add(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static inline void lp_card_count(struct lp_thread_card *card)
{
    lp_card_add(&card->jobs);
}

#endif
