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

struct loomp_job;

/* group.flags, to be set after loomp_group_init and before the first job joins */
#define LOOMP_GROUP_CANCEL_ON_ERROR 0x1u /* the first error cancels the rest, as loomp_group_cancel */

/* Embed it, like a job. */
struct loomp_group {
    uint32_t flags; /* LOOMP_GROUP_CANCEL_ON_ERROR */
    uint32_t spare_;
    loomp_runtime *runtime_;
    uint64_t private_[15];
};
typedef struct loomp_group loomp_group;

/* Prepares an empty group. Any thread; does not block. Returns 0 or -EINVAL. */
int loomp_group_init(loomp_group *group, loomp_runtime *runtime);

/* Ends the use of a group. It must be empty and nobody may wait for it. A group whose wait returned
 * or whose callback runs may simply be freed; with several who wait, when all have returned. */
void loomp_group_fini(loomp_group *group);

/* Waits until the group is empty, or timeout_s seconds have passed (negative: no limit; 0: look
 * only). On a plain thread it blocks. On a team thread it runs, meanwhile, unstarted jobs that fit
 * its team of this group, and of the groups that jobs of this group wait for; else it gives its
 * place to others. Returns 0 or the first error of a job of the group since a status was last
 * reported (by a wait or a notification); -ETIMEDOUT (a job that the waiting thread runs itself is
 * not interrupted); -EDEADLK on a loop thread, inside a parallel region of a GANG job, in the function
 * of a broadcast, and in a job of the group, where waiting could never end; -EINVAL; -EOWNERDEAD. A
 * task that a TASKS job created may wait too; but what such a task waits for is not known to those
 * who wait for the job, so that a job of another pool, which waits for this one, must not be among
 * it. */
int loomp_group_wait(loomp_group *group, double timeout_s);

/* A function that is called when a group becomes empty; status as loomp_group_wait's result. */
typedef void (*loomp_group_fn)(loomp_group *group, int status, void *arg);

/* Calls fn(group, status, arg) once on the loop when the group is empty (soon, if it already is;
 * never inside this call). The group may be freed or filled again in fn. Any thread; does not
 * block; one notification at a time per group. Returns 0, -EBUSY (one is pending), -EINVAL,
 * -ESHUTDOWN, -EOWNERDEAD. */
int loomp_group_notify(loomp_group *group, loomp_loop *loop, loomp_group_fn fn, void *arg);

/* Starts the job when the group is empty (soon, if it already is). The job is accepted now, as by
 * loomp_submit, with its own group, home and priority; any number of jobs may wait for one group. It
 * runs whatever the group's status is; with LOOMP_IF_OK it does not run after an error, and its done
 * gets -ECANCELED. Its deadline counts from when it is started. loomp_cancel answers
 * -EINPROGRESS, and the job is not run when its time comes. The group must stay until the job has
 * begun, or its done. Any thread; does not block. Returns as
 * loomp_submit, but never -EAGAIN; -EDEADLK if the job is in the group itself. */
int loomp_group_then(loomp_group *group, struct loomp_job *job);

/* Jobs of the group that have not started are withdrawn, their done gets -ECANCELED; those that run
 * are asked to end early (loomp_cancelled). Ends with the group's becoming empty. Any thread that
 * knows that the group stays, also a job of the group; does not block. */
void loomp_group_cancel(loomp_group *group);

/* ---- scopes ---- */

/* The body of a scope: submits jobs with job.group = scope. What it returns is an error of the
 * scope like that of a job. */
typedef int (*loomp_scope_fn)(loomp_group *scope, void *arg);

/* Runs body(scope, arg) here and now and returns when all jobs that joined the scope have ended:
 * nothing they use of the caller's stack goes away under them. Jobs of the scope may submit further
 * jobs to it. Waits as loomp_group_wait, on whose threads it may be called. Returns the body's
 * error, or else the first one of a job; -EDEADLK, -EINVAL, -ESHUTDOWN, -EOWNERDEAD without having
 * run the body. */
int loomp_scope(loomp_runtime *runtime, loomp_scope_fn body, void *arg);

typedef void (*loomp_scope_done_fn)(int status, void *arg);

/* The same for a loop: runs body here and now, on the loop's own thread, and calls done(status, arg)
 * there when all jobs have ended, never inside this call. Does not block. Returns 0; -EPERM
 * (another thread), -ENOMEM, -EINVAL, -ESHUTDOWN, -EOWNERDEAD without having run the body. */
int loomp_scope_async(loomp_loop *loop, loomp_scope_fn body, void *arg, loomp_scope_done_fn done);

#ifdef __cplusplus
}
#endif
#endif
