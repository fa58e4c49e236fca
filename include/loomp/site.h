/* SPDX-License-Identifier: MIT */
/* Sites: where in a program jobs are submitted, and what the scheduler has learnt there. A job with
 * a site is run where that is expected to cost everybody least: inline on the loop, as one task, or
 * on several threads of the gang team. */
#ifndef LOOMP_SITE_H
#define LOOMP_SITE_H

#include <loomp/job.h>

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the caller expects a call to cost, for the first few; measurements replace it. */
#define LOOMP_HINT_UNKNOWN 0u
#define LOOMP_HINT_LOW 1u    /* below 50 us: taken for 30 us */
#define LOOMP_HINT_MEDIUM 2u /* taken for 200 us */
#define LOOMP_HINT_HIGH 3u   /* above 500 us: taken for 1 ms, and the first three are offloaded */

/* Where a call runs. */
#define LOOMP_INLINE 1u /* on the loop, before the submission returns */
#define LOOMP_TASK 2u   /* one task on the task team */
#define LOOMP_TEAM 3u   /* as its kind says, on `width` threads of the gang team */

/* Why: what a decision rests on. */
#define LOOMP_BY_COST 1u     /* the arm that is expected to cost least */
#define LOOMP_BY_COLD 2u     /* nothing is known yet: offloaded to find out */
#define LOOMP_BY_HINT 3u     /* offloaded because of LOOMP_HINT_HIGH */
#define LOOMP_BY_GR0 4u      /* rail 0: a single loop, a long call and a busy loop */
#define LOOMP_BY_GR1 5u      /* rail 1: the call may take too long for any loop */
#define LOOMP_BY_GR2 6u      /* rail 2: under pressure, and not short */
#define LOOMP_BY_GR3 7u      /* rail 3: such a call took too long inline not long ago */
#define LOOMP_BY_BUDGET 8u   /* adaptive.inline_budget_us of this turn of the loop is spent */
#define LOOMP_BY_PLACE 9u    /* inline is not possible: MAY_WAIT, no loop here, inside other work */
#define LOOMP_BY_PIN 10u     /* sites.NAME.arm */
#define LOOMP_BY_PROFILE 11u /* adaptive.mode = "frozen" */
#define LOOMP_BY_MODE 12u    /* adaptive.mode is "off", or "frozen" and the profile does not say */
#define LOOMP_BY_TRIAL 13u   /* to learn what has not been tried, or not for long */

/* Usually static, one for each place in the source; all zero but the name is fine. */
struct loomp_site {
    const char *name; /* 1 to 63 printable characters; sites of one name are one site */
    uint32_t hint;    /* LOOMP_HINT_* */
    uint32_t kind;    /* for loomp_choose: of the work, LOOMP_SERIAL, ... */
    uint64_t private_[6];
};
typedef struct loomp_site loomp_site;

#ifdef __cplusplus
#define LOOMP_SITE(site_name, site_hint) \
    loomp_site { (site_name), (site_hint), LOOMP_SERIAL, {} }
#else
#define LOOMP_SITE(site_name, site_hint)         \
    {                                            \
        .name = (site_name), .hint = (site_hint) \
    }
#endif

/* loomp_submit with job.site and job.size set. size: of the input, in whatever unit grows with the
 * work (bytes, rows, non-zeros); 0: unknown. Work that runs inline has run when this returns; its
 * done has not. Inline and as a task OpenMP sees a team of one, whatever the kind. Only a job for
 * `compute`, submitted on a loop and not by other work, runs inline (TASKS and GANG jobs on loops of
 * loomp's own, not on attached ones), and only without
 * LOOMP_MAY_WAIT, which work that waits has to have. Threads, result: as loomp_submit; -EINVAL also
 * for a site without a name, -ENOMEM for one that is used for the first time. */
int loomp_submit_adaptive(loomp_runtime *runtime, loomp_job *job, loomp_site *site, uint64_t size);

/* loomp_scope_async whose body is a call of the site: it runs inline before this returns, or on a
 * thread of `compute`, wherever it is cheapest; so it must not wait. The jobs that it submits go
 * where they always go: from a team they have no home but what their field says. Returns as
 * loomp_scope_async, and -EAGAIN (queue_limit): then the body is not run. */
int loomp_scope_adaptive(loomp_loop *loop, loomp_site *site, uint64_t size, loomp_scope_fn body,
                         void *arg, loomp_scope_done_fn done);

/* A decision and what it rests on. Costs are those of everybody: the delay of this call, and of all
 * other events and jobs through it. */
struct loomp_decision {
    loomp_site *site;
    uint64_t size;
    uint32_t arm;    /* LOOMP_INLINE, ... */
    uint32_t width;  /* threads: 1 but for LOOMP_TEAM */
    uint32_t reason; /* LOOMP_BY_* */
    uint32_t spare_;
    double cost_s;     /* for loomp_finish: how long the work took; 0: since loomp_choose */
    double work_s;     /* predicted: the work on one thread, mean ... */
    double work_p95_s; /* ... and 95th percentile */
    double inline_s; /* predicted cost of each arm; infinite: not possible; NaN: nobody could decide
                        (no memory, or another thread without a loop was deciding) */
    double task_s;
    double team_s; /* of the best width; while widths are being tried, as task_s */
    uint64_t private_[12];
};
typedef struct loomp_decision loomp_decision;

/* For handlers that run the work themselves: says where a call of this size is cheapest, counting
 * on the pool `compute`. The decision belongs to the caller, who runs the work and calls
 * loomp_finish, or drops it. Any thread; does not block; allocates only at the first use of a site
 * on a loop. Returns 0, -EINVAL, -ENOMEM, -ESHUTDOWN, -EOWNERDEAD. */
int loomp_choose(loomp_runtime *runtime, loomp_site *site, uint64_t size, loomp_decision *decision);

/* The work has run as loomp_choose, which returned 0, decided: learns from how long it took. On the
 * thread that chose, with cost_s 0; elsewhere, or after work that ran elsewhere, with cost_s set. A
 * second time does nothing. Does not block. */
void loomp_finish(loomp_decision *decision);

/* The decision in one sentence; returns its length, as snprintf. Any thread. */
int loomp_decision_text(const loomp_decision *decision, char *text, size_t bytes);

/* What was learnt of a site for one number of threads. */
struct loomp_site_model {
    uint32_t width; /* threads; 1 stands for inline and for tasks */
    uint32_t spare_;
    uint64_t calls; /* seen */
    double samples; /* of these, by weight, not yet forgotten */
    double ln_cost; /* cost in ns = exp(ln_cost + slope * ln size) * mean_ratio */
    double slope;
    double deviation;  /* standard deviation of ln cost around that */
    double mean_ratio; /* mean of cost / exp(...) */
    double p95_ratio;  /* 95th percentile of it */
};

#define LOOMP_SITE_MODELS 12

struct loomp_site_stats {
    size_t size; /* sizeof this struct, set by the caller */
    char name[64];
    uint64_t calls;                 /* decisions */
    uint64_t inlined, tasks, teams; /* of these, by arm */
    uint64_t railed[4]; /* of these, where inline cost least and rail 0 to 3 forbade it */
    uint64_t strikes;   /* inline runs of more than adaptive.gr3_us */
    double regret_s;    /* sum of what decisions were predicted to cost beyond the best arm */
    uint64_t size_least, size_most; /* sizes seen; 0: none */
    uint32_t model_count;           /* of the following */
    uint32_t spare_;
    struct loomp_site_model models[LOOMP_SITE_MODELS];
};

/* Reads what is known of a site; what other loops learnt in their last calls, up to 256 each, is
 * missing. Any thread; does not block for long. Returns 0, -EINVAL, -ENOENT (never used). */
int loomp_site_stats_read(const loomp_site *site, struct loomp_site_stats *stats);

/* The mean cost in seconds that a model predicts for a size. */
double loomp_site_model_cost(const struct loomp_site_model *model, uint64_t size);

/* Prints what is known of a site and why its last call on this thread went where it went. Any
 * thread. */
void loomp_site_describe(const loomp_site *site, FILE *out);

/* Calls fn for every site that has been used in this process or read from a profile, in the order
 * of their first use. Any thread. */
typedef void (*loomp_site_fn)(const struct loomp_site_stats *stats, void *arg);
void loomp_sites_each(loomp_site_fn fn, void *arg);

/* A call that is over, as adaptive.trace keeps the last of them for each loop. */
struct loomp_call {
    const char *site; /* its name, valid as long as the process */
    uint64_t size;
    uint32_t arm, width, reason;
    int32_t loop;    /* index; -1: an attached loop, or none */
    double at_s;     /* when it was decided, CLOCK_MONOTONIC */
    double cost_s;   /* how long the work took */
    double wait_s;   /* from the submission to the beginning of the work; inline 0 */
    double return_s; /* from the end of the work to done; 0 unless that came back to this loop */
    double work_s;   /* predicted */
    double inline_s, task_s, team_s; /* predicted */
    double ready;                    /* events that were ready on the loop */
    double rate;                     /* events per second there */
};

/* Calls fn for each call that the trace holds, loop by loop, oldest first. Any thread; does not
 * stop the loops; allocates. Returns how many, or -EINVAL, -ENOMEM. */
typedef void (*loomp_call_fn)(const struct loomp_call *call, void *arg);
int loomp_trace_read(loomp_runtime *runtime, loomp_call_fn fn, void *arg);

/* Writes the profile, as the runtime does when it stops in mode learn if adaptive.profile names a
 * file; what loops learnt in their last calls is missing as above. Plain threads; blocks. Returns
 * 0, -EINVAL, -EDEADLK (another thread), -ESHUTDOWN, -EOWNERDEAD, or the error of the file. */
int loomp_profile_save(loomp_runtime *runtime, const char *path);

#ifdef __cplusplus
}
#endif
#endif
