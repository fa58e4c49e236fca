/* SPDX-License-Identifier: MIT */
/* Jobs: one piece of work, intrusive like a libev watcher. `work` runs on a team, then `done` runs
 * on the job's home loop with its result. */
#ifndef LOOMP_JOB_H
#define LOOMP_JOB_H

#include <loomp/group.h>
#include <loomp/loop.h>
#include <loomp/pool.h>
#include <loomp/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct loomp_job loomp_job;

/* The work: runs on a team thread, or with a site perhaps on the submitting loop (0 or a negative errno
 * value, handed to done). An exception, longjmp or pthread_exit out of it is the caller's bug. */
typedef int (*loomp_work_fn)(loomp_job *job);

/* Called exactly once per accepted job, on the home loop, never inside the submitting call, with
 * work's result, or -ECANCELED or -ETIMEDOUT (deadline_s) if work did not run. loomp touches the job
 * no more once it has begun: it may free or resubmit the job. */
typedef void (*loomp_done_fn)(loomp_job *job, int status);

/* job.kind: how `work` uses OpenMP. With a site TASKS and GANG jobs may be run by one thread too, as if
 * the gang team were that. */
#define LOOMP_SERIAL 0u /* alone on one thread; any OpenMP in it sees a team of one */
#define LOOMP_TASKS 1u  /* creates tasks or taskloops, which the pool's gang team runs */
#define LOOMP_GANG 2u   /* has parallel regions of its own, which get the pool's gang team */

/* job.priority */
#define LOOMP_LOW (-1)
#define LOOMP_NORMAL 0
#define LOOMP_HIGH 1

/* job.flags */
#define LOOMP_MAY_WAIT 0x1u  /* may block or wait: never run on a loop thread */
#define LOOMP_UNTRACKED 0x2u /* wait_idle does not wait for it; the caller does */
#define LOOMP_FP_ENV 0x4u    /* runs with the submitter's rounding and flush-to-zero */
#define LOOMP_FIFO 0x8u      /* submitted by a job: starts in order, not newest first */
#define LOOMP_IF_OK 0x10u    /* with loomp_group_then: not run if the group's status is an error */

struct loomp_job {
    loomp_work_fn work;
    loomp_done_fn done;  /* may be NULL */
    void *data;          /* the caller's, never read by loomp */
    loomp_pool *pool;    /* NULL: the pool `compute` */
    loomp_group *group;  /* NULL: none */
    loomp_loop *home;    /* NULL: the submitting loop; submitted elsewhere, done runs on the team */
    uint32_t kind;       /* LOOMP_SERIAL, LOOMP_TASKS, LOOMP_GANG */
    int32_t priority;    /* LOOMP_LOW, LOOMP_NORMAL, LOOMP_HIGH */
    uint32_t width;      /* TASKS, GANG: threads of its region; 0 = the whole team */
    uint32_t flags;      /* LOOMP_MAY_WAIT | ... */
    double deadline_s;   /* has to start so many seconds after submission; 0: no deadline */
    struct loomp_site *site; /* NULL, or where it runs is decided by what it costs (loomp/site.h) */
    uint64_t size;       /* of its input, for the site; 0: unknown */
    uint32_t hint;       /* LOOMP_HINT_* of this call; 0: the site's */
    uint32_t spare_;
    uint64_t private_[32];
};

/* Static initialiser; loomp_job_init does the same at run time. */
#ifdef __cplusplus
#define LOOMP_JOB_INIT(work_fn, done_fn) \
    loomp_job { (work_fn), (done_fn), nullptr, nullptr, nullptr, nullptr, 0, 0, 0, 0, 0, \
                nullptr, 0, 0, 0, {} }
#else
#define LOOMP_JOB_INIT(work_fn, done_fn) \
    {                                    \
        .work = (work_fn), .done = (done_fn) \
    }
#endif

/* The struct that embeds a job (or group), from a pointer to it. */
#define LOOMP_CONTAINER(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Clears the job and sets its two functions. Not on a job that is under way. */
void loomp_job_init(loomp_job *job, loomp_work_fn work, loomp_done_fn done);

/* Hands the job over.
 *
 * SERIAL jobs of one priority start in the order in which one thread submitted them, but for those
 * that a job submits: they start newest first near the thread that submitted them, and oldest first
 * where others take them over; LOOMP_FIFO asks for order. TASKS and GANG jobs of one priority start
 * in the order of their submission. More urgent jobs start first, but for one start in 32, which the
 * less urgent get so that they are not starved.
 *
 * TASKS jobs run together in one parallel region and are done when all tasks they created are. Those
 * that wait when the region begins, and as many as there are threads, begin together; one that comes
 * later begins when one of them ends, as libomp's threads that are idle in the region can be given
 * tasks but no job. A GANG runs alone. While either is under way its `width` threads are taken from
 * the SERIAL jobs.
 *
 * Any thread; does not block (but see queue_policy = "block"), allocates nothing (but what keeps
 * a deadline). From acceptance until `done` begins the job is loomp's: only loomp_cancel and
 * loomp_job_state may be called on it. Returns 0; -EAGAIN (queue_limit; the job stays the
 * caller's); -EBUSY (it is under way already); -ESHUTDOWN; -EINVAL (a field; loomp_error names it);
 * -ENOMEM (a deadline, a new site); -EOWNERDEAD in a forked child. */
int loomp_submit(loomp_runtime *runtime, loomp_job *job);

/* The same to that pool, whatever job.pool says. */
int loomp_submit_to(loomp_pool *pool, loomp_job *job);

/* The same to the pool `blocking`, for work that sleeps in I/O: SERIAL only. */
int loomp_submit_blocking(loomp_runtime *runtime, loomp_job *job);

/* Withdraws a job that has not started: its done gets -ECANCELED. One that runs is asked to end
 * early: loomp_cancelled() turns true in it. Legal only while the caller knows that done has not
 * run. Any thread; does not block. Returns 0 (withdrawn: work will not run), -EINPROGRESS (it has
 * started), -EALREADY (work has ended, or the job is not under way). */
int loomp_cancel(loomp_job *job);

/* In a job: whether somebody wants it to end early (loomp_cancel, loomp_group_cancel of its group,
 * loomp_stop_now). False elsewhere. Cheap enough for every step of an iteration. On threads that a
 * GANG's regions run on it answers for the GANG. A child task of a TASKS job is answered only where
 * it runs on the thread of the job's own work: ask loomp_job_cancelled there. */
bool loomp_cancelled(void);

/* The same of a job that is known to be running: for the tasks that a TASKS job created, on any
 * thread. */
bool loomp_job_cancelled(const loomp_job *job);

/* Memory that ends with the job, after its done: at least `bytes` of it, aligned to 64, not cleared.
 * Only in the job's work, on the thread that runs it, and in its done. Allocates only until the
 * thread's store is warm, but for requests of more than 64 KiB. NULL without memory, or elsewhere. */
void *loomp_scratch(loomp_job *job, size_t bytes);

#define LOOMP_JOB_IDLE 0    /* not under way: new, or done has begun */
#define LOOMP_JOB_QUEUED 1  /* accepted, work has not started */
#define LOOMP_JOB_RUNNING 2 /* work runs */
#define LOOMP_JOB_ENDED 3   /* work has ended or was withdrawn, done has not begun */

/* Where the job is, for main loops that poll. Legal under the same condition as loomp_cancel. */
int loomp_job_state(const loomp_job *job);

/* A job without a struct of one's own: fn(arg) runs as a SERIAL job, then done_fn(done_arg, result)
 * on the calling loop (on the team thread if called elsewhere; done_fn may be NULL). The object
 * comes from a pool of the calling thread's: no allocation once warm (call.pool_size). Any thread;
 * does not block. Returns as loomp_submit, and -ENOMEM. */
int loomp_call(loomp_runtime *runtime, int (*fn)(void *arg), void *arg,
               void (*done_fn)(void *done_arg, int result), void *done_arg);

/* Runs fn(arg) as a GANG job and waits for it: its parallel regions get the pinned team. For plain
 * threads; a SERIAL job may call it and gives its place meanwhile; in a GANG, between its regions,
 * it calls at once, as in a TASKS job, where regions have one thread. Blocks. Returns fn's result;
 * -EDEADLK on a loop, inside a region of a GANG and in the function of a broadcast; -EINVAL,
 * -ESHUTDOWN, -EAGAIN, -ECANCELED (loomp_stop_now), -EOWNERDEAD. thread-locals and threadprivate
 * data are those of loomp's threads. */
int loomp_install(loomp_runtime *runtime, int (*fn)(void *arg), void *arg);

/* In a GANG job, between its regions (once per time step): gives its places to the SERIAL jobs that
 * are waiting now and takes them back when those have been served. Costs a few loads when none
 * waits. Returns how many jobs were waiting, 0 if none; -EPERM outside of a GANG's top level. */
int loomp_gang_pause(loomp_runtime *runtime);

#ifdef __cplusplus
}
#endif
#endif
