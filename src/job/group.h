/* SPDX-License-Identifier: MIT */
/* The inside of a group, for the files that own its counter and its part of the wait graph. */
#ifndef LP_JOB_GROUP_H
#define LP_JOB_GROUP_H

#include "handoff/completion.h"
#include "handoff/waiter.h"

#include <loomp/group.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* That a job of this group waits for another group: a thread's wait, or a job that is to start after it.
 * On the list `nested`. */
struct lp_nest {
    loomp_group *to; /* NULL: a mark of somebody who walks over the list */
    struct lp_nest *next, **link;
};

struct __attribute__((may_alias)) lp_group_words {
    _Atomic uint64_t word; /* see group.c */
    /* The rest but the notification is guarded by the lock of this group. */
    struct lp_waiter *waiters; /* who waits for it */
    struct lp_nest *nested;    /* what its own jobs wait for */
    uint64_t walk;             /* the last walk over the wait graph that came here */
    /* The one notification. */
    struct lp_item item;
    struct lp_waiter waiter;
    /* NULL: none pending. Claimed by who asks (compare-exchange), let go of on the loop (release). */
    _Atomic(loomp_loop *) loop;
    loomp_group_fn fn;
    void *arg;
};

_Static_assert(sizeof(struct lp_group_words) <= sizeof(((loomp_group *)0)->private_),
               "a group has room for its words");

static inline struct lp_group_words *lp_group_words(loomp_group *group)
{
    return (struct lp_group_words *)(void *)group->private_;
}

/* The lock that guards the lists of a group. It is not in the group, which may be freed as soon as it
 * is empty, and several groups share one: nobody ever holds two. */
void lp_group_lock(const loomp_group *group);
void lp_group_unlock(const loomp_group *group);

/* Joins a group if it is not empty: then it stays until the caller leaves. The caller knows that its
 * memory is there. */
bool lp_group_try_join(loomp_group *group);

/* Puts a waiter on the list of a group, or returns false and the status if it is empty, which then
 * counts as reported. With the lock held. */
bool lp_group_add_waiter(loomp_group *group, struct lp_waiter *waiter, int32_t *status);

/* With the lock held: takes a waiter off that is on the list; its wake-up will not come. */
void lp_group_remove_waiter(loomp_group *group, struct lp_waiter *waiter);

/* A job of I/O is in it, which watches on a loop: who cancels the group has to say so there. By one who
 * has joined it. */
void lp_group_note_io(loomp_group *group);

/* Puts a waiter behind `at`, the link of another or of the list. With the lock held. */
static inline void lp_waiter_insert(struct lp_waiter **at, struct lp_waiter *waiter)
{
    waiter->next = *at;
    waiter->link = at;
    if (waiter->next) {
        waiter->next->link = &waiter->next;
    }
    *at = waiter;
}

#endif
