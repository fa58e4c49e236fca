/* SPDX-License-Identifier: MIT */
/* Groups: a counter of unfinished jobs. A job joins the group named in its field when it is
 * submitted, and leaves it after its `done` has returned. */
#ifndef LOOMP_GROUP_H
#define LOOMP_GROUP_H

#include <loomp/loop.h>
#include <loomp/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Embed it, like a job. All fields are loomp's. */
struct loomp_group {
    loomp_runtime *runtime_;
    uint64_t private_[15];
};
typedef struct loomp_group loomp_group;

/* Prepares an empty group. Any thread; does not block. Returns 0 or -EINVAL. */
int loomp_group_init(loomp_group *group, loomp_runtime *runtime);

/* Ends the use of a group. It must be empty and nobody may wait for it. A group whose wait returned
 * or whose callback runs may simply be freed. */
void loomp_group_fini(loomp_group *group);

/* Waits until the group is empty, or timeout_s seconds have passed (negative: no limit; 0: look
 * only). On a plain thread it blocks. On a team thread it runs, meanwhile, unstarted jobs of this
 * group that fit its team, and else gives its place to others. Returns 0 or the first error of a
 * job of the group since it was last empty (forgotten when the group is used again); -ETIMEDOUT (a
 * job that the waiting thread runs itself is not interrupted); -EDEADLK on a loop thread, inside a
 * parallel region of a GANG job, and in a job of the group, where waiting could never end; -EINVAL;
 * -EOWNERDEAD. */
int loomp_group_wait(loomp_group *group, double timeout_s);

/* A function that is called when a group becomes empty; status as loomp_group_wait's result. */
typedef void (*loomp_group_fn)(loomp_group *group, int status, void *arg);

/* Calls fn(group, status, arg) once on the loop when the group is empty (soon, if it already is;
 * never inside this call). The group may be freed or filled again in fn. Any thread; does not
 * block; one notification at a time per group. Returns 0, -EBUSY (one is pending), -EINVAL,
 * -ESHUTDOWN, -EOWNERDEAD. */
int loomp_group_notify(loomp_group *group, loomp_loop *loop, loomp_group_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
