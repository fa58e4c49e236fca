/* SPDX-License-Identifier: MIT */
/* The wait graph: which jobs wait, in which group they are, and for which group they wait. A thread
 * that waits finds in it what it can do meanwhile, and who queues something finds whom to wake. */
#ifndef LP_JOB_GRAPH_H
#define LP_JOB_GRAPH_H

#include "job/group.h"
#include "team/pool.h"

#include <loomp/job.h>

/* How far a pool's queues have been searched for jobs of one group. */
struct lp_graph_cursors {
    struct lp_queue_cursors serial;
    struct lp_gang_cursors gangs;
};

/* One wait of one thread, on its stack. It is an edge from the group of the job that waits to the
 * group that is waited for. */
struct lp_edge {
    struct lp_thread_waiter waiter; /* on the list of `to`, from the first arm to the end */
    loomp_group *to;
    loomp_group *from; /* NULL: no job waits, or it is in no group */
    struct loomp_pool *pool;
    uint32_t helps;        /* 1u << LOOMP_SERIAL | ...: what of the pool's it can run meanwhile */
    bool enlisted;         /* the owner's: the waiter has been put on the list */
    bool published;        /* the owner's: it is among the waits of `from` */
    bool asleep;           /* guarded by the lock of `to`: it is of use to wake it */
    struct lp_edge *outer; /* the wait below it on the same stack */
    struct lp_nest nest;   /* on the list of `from`, guarded by that group's lock */
    /* How far the queues have been searched for jobs of `to`. */
    struct lp_graph_cursors cursors;
};

void lp_edge_init(struct lp_edge *edge, loomp_group *to);

/* An unstarted job that the wait comes to an end the sooner for: of `to`, or of the groups that its
 * jobs wait for, and so on. NULL if there is none that the thread can run. */
loomp_job *lp_edge_take_job(struct lp_edge *edge);

/* From now on work that appears wakes the thread, which looks once more before it sleeps. False, and
 * the status: the group is empty. */
bool lp_edge_arm(struct lp_edge *edge, int32_t *status);

/* The thread has something to do. */
void lp_edge_disarm(struct lp_edge *edge);

/* Before a sleep: those who wait for the group of this job, and for those of the jobs below it on the
 * stack, learn what these wait for. */
void lp_edge_publish(struct lp_edge *edge);

enum lp_edge_timeout { LP_EDGE_TIMED_OUT, LP_EDGE_STIRRED, LP_EDGE_ENDED };

/* The time is up: whether something has come in that moment, which must be looked at first. */
enum lp_edge_timeout lp_edge_time_out(struct lp_edge *edge, int32_t *status);

/* Before the wait returns. */
void lp_edge_end(struct lp_edge *edge);

/* A job of the group `from` is to start after the group nest->to: published before it is registered
 * there, told of when it is (the caller holds `from`), and taken back before it is queued. */
void lp_graph_publish_pending(struct lp_nest *nest, loomp_group *from);
void lp_graph_tell_of_pending(loomp_group *from);
void lp_graph_take_back_pending(struct lp_nest *nest, loomp_group *from);

/* A job of that kind, of a group that the caller holds, is waiting in a queue of the pool: wakes who
 * waits for the group, directly or by way of others, and can run it. */
void lp_graph_offer(loomp_group *group, struct loomp_pool *pool, uint32_t kind);

/* Takes an unstarted job of a group out of a pool's queues; kinds as lp_edge.helps; cursors begin
 * with 0, NULL: searches all. */
loomp_job *lp_graph_take_tagged(struct loomp_pool *pool, uint32_t kinds, const loomp_group *group,
                                struct lp_graph_cursors *cursors);

#endif
