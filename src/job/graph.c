/* SPDX-License-Identifier: MIT */
/* Owns the wait graph. Its nodes are groups, its edges are waits (struct lp_edge): from the group of a
 * job that waits to the group that it waits for. Any thread of a pool's, and any that submits, enters.
 *
 * Why it is there. A thread that waits for a group runs unstarted jobs of that group, or a pool whose
 * threads all wait would never run what they wait for. That is not enough for chains: a GANG waits for
 * a SERIAL job, which waits on a worker for another GANG, which only the leader can run, who waits for
 * the SERIAL job. So it may run jobs of all groups that are below its own in the graph. They are what
 * it waits for anyway: no unrelated job is ever put on top of another.
 *
 * An edge hangs on two lists: at its lower end among the waiters of `to` (for walks up, and to be
 * woken at zero), at its upper end among the nested waits of `from` (for walks down). Each list is
 * guarded by its group's lock, and nobody holds two locks. A walk that goes on to another group joins
 * it before it lets go of the lock under which it has seen the edge:
 *
 *   down   `to` is there, because the edge is taken off the list of `from` before its wait returns;
 *          it may be empty already, then there is nothing to find (lp_group_try_join).
 *   up     `from` is not empty, because a job of it is in the wait that the edge stands for.
 *
 * A job that is to start after a group is an edge too, from its own group to that one, with no thread
 * that could run anything. It is taken off the list of `from` before anybody who waits for `to` is
 * woken; who comes to `to` later, and finds it empty, must not free it before the job has begun.
 *
 * An edge stays on its lists until its wait returns, also while its thread runs another job in the
 * meantime: then it is only a part of paths, and not `asleep`. The upper end is needed only by others,
 * and only while nobody is awake on this stack: it is made when the thread is about to sleep, for all
 * waits of the stack that have none yet.
 *
 * Why no wake-up is lost. Let a thread sleep in the wait W, and a job Q that it could run be queued in
 * a group below. Look at what came last:
 *
 *   W was armed   After it is armed a thread looks (lp_edge_take_job), and sees the edges and Q: the
 *                 edges by the groups' locks; Q because its push, the look for waiters after it, the
 *                 registration of a waiter and the look after it are seq_cst, or because an older
 *                 waiter made the pusher take the lock that arming takes too.
 *   Q was pushed  The pusher walks up (lp_graph_offer). At each group it wakes who can run Q; where
 *                 one is asleep that can, it does not go beyond it, because that thread will look.
 *   an edge came  Whoever published it walks up from there (lp_edge_publish) and wakes all that can
 *                 run something that it cannot run itself.
 *
 * So the one who is not woken though it could run Q has, on each path to Q, another thread T that can
 * do it too and is awake. T takes Q, or something else that it waits for; should T end up asleep
 * again, then in a wait further down. There is a lowest one. Of all waits that sleep for ever, with
 * unstarted jobs below that their threads can run, take the lowest: no other such wait is on its
 * paths, so it was woken, and looked. What it found it has not run for ever: jobs end.
 *
 * Where it ends: two pools whose jobs wait for each other's without being in a chain. Then what could
 * be run is not waited for by the thread that could run it. */
#include "job/graph.h"

#include "job/job.h"

/* How many edges are published. Added to (seq_cst) before whoever publishes one walks up; read by who
 * looks for work after it is armed: either the reader sees the edge, or the walk sees the reader. */
static _Atomic uint64_t published;

static uint64_t next_walk(void)
{
    static _Atomic uint64_t walks;
    return atomic_fetch_add_explicit(&walks, 1, memory_order_relaxed) + 1;
}

/* Marks a group as seen on this walk; false if it was. Another walk may overwrite the mark, which
 * costs a second visit. The group stays during the call. */
static bool enter(loomp_group *group, uint64_t walk)
{
    struct lp_group_words *words = lp_group_words(group);
    lp_group_lock(group);
    bool is_new = words->walk != walk;
    words->walk = walk;
    lp_group_unlock(group);
    return is_new;
}

static void insert_nest(struct lp_nest **at, struct lp_nest *nest)
{
    nest->next = *at;
    nest->link = at;
    if (nest->next) {
        nest->next->link = &nest->next;
    }
    *at = nest;
}

static void remove_nest(struct lp_nest *nest)
{
    *nest->link = nest->next;
    if (nest->next) {
        nest->next->link = nest->link;
    }
}

static void put_on_list(struct lp_nest *nest, loomp_group *from)
{
    lp_group_lock(from);
    insert_nest(&lp_group_words(from)->nested, nest);
    lp_group_unlock(from);
    atomic_fetch_add_explicit(&published, 1, memory_order_seq_cst);
}

static void take_off_list(struct lp_nest *nest, loomp_group *from)
{
    lp_group_lock(from);
    remove_nest(nest);
    lp_group_unlock(from);
    atomic_fetch_sub_explicit(&published, 1, memory_order_seq_cst);
}

/* ---- down: what can I do? ----------------------------------------------------------------------- */

loomp_job *lp_graph_take_tagged(struct loomp_pool *pool, uint32_t kinds, const loomp_group *group,
                                struct lp_graph_cursors *cursors)
{
    loomp_job *job = NULL;
    if (kinds & (1u << LOOMP_GANG | 1u << LOOMP_TASKS) && !pool->options.blocking) {
        job = lp_pool_take_gang_tagged(pool, group, cursors ? &cursors->gangs : NULL);
    }
    if (!job && kinds & 1u << LOOMP_SERIAL) {
        job = lp_pool_take_serial_tagged(pool, group, cursors ? &cursors->serial : NULL);
    }
    return job;
}

struct search {
    struct loomp_pool *pool;
    uint32_t helps;
    uint64_t walk; /* 0 where it begins */
};

/* The group stays during the call. */
static loomp_job *search(const struct search *how, loomp_group *group,
                         struct lp_graph_cursors *cursors)
{
    loomp_job *job = lp_graph_take_tagged(how->pool, how->helps, group, cursors);
    if (job || !atomic_load_explicit(&published, memory_order_seq_cst)) {
        return job;
    }
    uint64_t walk = how->walk ? how->walk : next_walk();
    struct search below = {.pool = how->pool, .helps = how->helps, .walk = walk};
    struct lp_nest place = {.to = NULL}; /* keeps ours in the list while it is unlocked */
    lp_group_lock(group);
    struct lp_nest *nest = lp_group_words(group)->nested;
    while (nest && !job) {
        loomp_group *to = nest->to;
        if (!to || !lp_group_try_join(to)) {
            nest = nest->next;
            continue;
        }
        insert_nest(&nest->next, &place);
        lp_group_unlock(group);
        if (enter(to, walk)) {
            job = search(&below, to, NULL);
        }
        lp_group_leave(to, 0); /* it may be gone from here on */
        lp_group_lock(group);
        nest = place.next;
        remove_nest(&place);
    }
    lp_group_unlock(group);
    return job;
}

loomp_job *lp_edge_take_job(struct lp_edge *edge)
{
    if (!edge->helps) {
        return NULL;
    }
    struct search how = {.pool = edge->pool, .helps = edge->helps};
    return search(&how, edge->to, &edge->cursors);
}

/* ---- up: who can do it? ------------------------------------------------------------------------- */

struct news {
    uint64_t walk;
    struct loomp_pool *pool;
    uint32_t kinds;
    bool is_job; /* a job of these kinds in this pool; else, whatever is not of them */
};

static bool concerns(const struct news *news, const struct lp_edge *edge)
{
    if (!edge->asleep) {
        return false;
    }
    if (news->is_job) {
        return edge->pool == news->pool && edge->helps & news->kinds;
    }
    return edge->helps & ~(edge->pool == news->pool ? news->kinds : 0);
}

/* The group stays during the call. */
static void spread(const struct news *news, loomp_group *group)
{
    if (!enter(group, news->walk)) {
        return;
    }
    struct lp_waiter place = {.wake = NULL}; /* keeps ours in the list while it is unlocked */
    lp_group_lock(group);
    struct lp_waiter *waiter = lp_group_words(group)->waiters;
    while (waiter) {
        struct lp_edge *edge =
            waiter->kind == LP_WAITER_EDGE ? (struct lp_edge *)(void *)waiter : NULL;
        loomp_group *above = edge                                ? edge->from
                             : waiter->kind == LP_WAITER_PENDING ? lp_pending_group(waiter)
                                                                 : NULL;
        if (edge && concerns(news, edge)) {
            edge->asleep = false;
            lp_thread_waiter_stir(&edge->waiter);
            above = news->is_job ? NULL : above;
        }
        if (!above || !lp_group_try_join(above)) {
            waiter = waiter->next;
            continue;
        }
        lp_waiter_insert(&waiter->next, &place);
        lp_group_unlock(group);
        spread(news, above);
        lp_group_leave(above, 0); /* it may be gone from here on */
        lp_group_lock(group);
        waiter = place.next;
        lp_group_remove_waiter(group, &place);
    }
    lp_group_unlock(group);
}

_Static_assert(offsetof(struct lp_edge, waiter) == 0 &&
                   offsetof(struct lp_thread_waiter, waiter) == 0,
               "spread finds the edge by its waiter");

void lp_graph_offer(loomp_group *group, struct loomp_pool *pool, uint32_t kind)
{
    if (lp_group_is_waited_for(group)) {
        struct news news = {
            .walk = next_walk(), .pool = pool, .kinds = 1u << kind, .is_job = true};
        spread(&news, group);
    }
}

void lp_graph_publish_pending(struct lp_nest *nest, loomp_group *from)
{
    put_on_list(nest, from);
}

void lp_graph_tell_of_pending(loomp_group *from)
{
    struct news news = {.walk = next_walk()};
    spread(&news, from);
}

void lp_graph_take_back_pending(struct lp_nest *nest, loomp_group *from)
{
    take_off_list(nest, from);
}

/* ---- the life of an edge ------------------------------------------------------------------------ */

void lp_edge_init(struct lp_edge *edge, loomp_group *to)
{
    *edge = (struct lp_edge){.to = to};
    lp_thread_waiter_init(&edge->waiter);
    edge->waiter.waiter.kind = LP_WAITER_EDGE;
}

/* The group is empty, or was: the wake-up has come or is coming, and is the last touch. */
static int32_t receive_end(struct lp_edge *edge)
{
    lp_thread_waiter_settle(&edge->waiter);
    lp_thread_waiter_sleep(&edge->waiter, UINT64_MAX);
    return edge->waiter.waiter.status;
}

/* Puts the waiter on its list unless it is there. False, and the status: the group is empty, or was
 * at some time of this wait. */
static bool enlist(struct lp_edge *edge, bool asleep, int32_t *status)
{
    struct lp_waiter *waiter = &edge->waiter.waiter;
    lp_group_lock(edge->to);
    if (!edge->enlisted && !lp_group_add_waiter(edge->to, waiter, &waiter->status)) {
        waiter->wake(waiter); /* as if it had been on the list */
    }
    edge->enlisted = true;
    bool waits = waiter->link;
    if (waits) {
        lp_thread_waiter_settle(&edge->waiter);
        edge->asleep = asleep;
    }
    lp_group_unlock(edge->to);
    if (!waits) {
        *status = receive_end(edge);
    }
    return waits;
}

bool lp_edge_arm(struct lp_edge *edge, int32_t *status)
{
    return enlist(edge, true, status);
}

void lp_edge_disarm(struct lp_edge *edge)
{
    lp_group_lock(edge->to);
    edge->asleep = false;
    lp_group_unlock(edge->to);
}

static void publish(struct lp_edge *edge)
{
    if (edge->from) {
        edge->nest.to = edge->to;
        put_on_list(&edge->nest, edge->from);
        edge->published = true;
    }
}

void lp_edge_publish(struct lp_edge *edge)
{
    loomp_group *above = NULL; /* of the lowest edge that is new; the others are on the way up */
    for (struct lp_edge *each = edge; each && !each->published; each = each->outer) {
        int32_t status;
        /* The lower end first: the walk below needs it. If the group of an outer wait is empty, its
         * thread finds that out when it comes back to it. */
        if (each->enlisted || enlist(each, false, &status)) {
            publish(each);
            above = above ? above : each->from;
        }
    }
    if (above) {
        struct news news = {.walk = next_walk(), .pool = edge->pool, .kinds = edge->helps};
        spread(&news, above);
    }
}

enum lp_edge_timeout lp_edge_time_out(struct lp_edge *edge, int32_t *status)
{
    lp_group_lock(edge->to);
    bool listed = edge->waiter.waiter.link;
    bool stirred = !edge->asleep;
    edge->asleep = false;
    lp_group_unlock(edge->to);
    if (!listed) {
        *status = receive_end(edge);
        return LP_EDGE_ENDED;
    }
    return stirred ? LP_EDGE_STIRRED : LP_EDGE_TIMED_OUT;
}

void lp_edge_end(struct lp_edge *edge)
{
    if (edge->published) {
        take_off_list(&edge->nest, edge->from);
    }
    if (edge->enlisted) {
        lp_group_lock(edge->to);
        bool listed = edge->waiter.waiter.link;
        if (listed) {
            lp_group_remove_waiter(edge->to, &edge->waiter.waiter);
        }
        lp_group_unlock(edge->to);
        if (!listed) {
            receive_end(edge);
        }
    }
}
