/* SPDX-License-Identifier: MIT */
/* Jobs with a site for the tests: they write down where they ran, and whether that was inside the
 * submission. What a job wrote may be read when its done is known to have run; its work's part also
 * after a submission that ran it inline. */
#ifndef LP_TESTS_SITE_JOBS_H
#define LP_TESTS_SITE_JOBS_H

#include "patience.h"

#include <loomp/site.h>

/* The job that the calling thread is just submitting, or NULL. */
static _Thread_local struct site_job *site_job_submitting;

struct site_job {
    loomp_job job;
    void (*body)(struct site_job *self); /* of work; may be NULL */
    void *arg;
    int result;
    _Atomic int works, dones;
    bool inside;      /* work ran inside the submission */
    bool done_inside; /* and that must never be */
    int status;
    pthread_t work_thread;
    loomp_loop *work_loop, *done_loop;
};

static inline struct site_job *site_job_of(loomp_job *job)
{
    return LOOMP_CONTAINER(job, struct site_job, job);
}

static inline int site_job_work(loomp_job *job)
{
    struct site_job *self = site_job_of(job);
    self->inside = site_job_submitting == self;
    self->work_thread = pthread_self();
    self->work_loop = loomp_loop_here();
    if (self->body) {
        self->body(self);
    }
    atomic_fetch_add(&self->works, 1);
    return self->result;
}

static inline void site_job_done(loomp_job *job, int status)
{
    struct site_job *self = site_job_of(job);
    self->done_inside = site_job_submitting == self;
    self->status = status;
    self->done_loop = loomp_loop_here();
    atomic_fetch_add(&self->dones, 1);
}

static inline void site_job_init(struct site_job *self, loomp_site *site, uint32_t kind)
{
    memset((void *)self, 0, sizeof *self);
    loomp_job_init(&self->job, site_job_work, site_job_done);
    self->job.kind = kind;
    self->job.site = site;
    self->status = 12345;
}

static inline int site_job_submit(struct site_job *self)
{
    struct site_job *outer = site_job_submitting;
    site_job_submitting = self;
    int err = loomp_submit(loomp_default(), &self->job);
    site_job_submitting = outer;
    return err;
}

static inline void submit_site_job_there(loomp_loop *loop, void *self)
{
    (void)loop;
    CHECK(site_job_submit(self) == 0);
}

/* Submits it on a loop and waits until all is done. */
static inline void run_site_job(loomp_loop *loop, struct site_job *self)
{
    on_loop(loop, submit_site_job_there, self);
    CHECK(loomp_wait_idle(loomp_default(), PATIENCE_S) == 0);
}

/* Ran once, and done once, on that loop. */
static inline bool site_job_ended_well(const struct site_job *self, loomp_loop *loop)
{
    return CHECK(self->works == 1) && CHECK(self->dones == 1) &&
           CHECK(self->status == self->result) && CHECK(!self->done_inside) &&
           CHECK(self->done_loop == loop);
}

/* ---- settings -------------------------------------------------------------------------------- */

enum { SITE_SETTINGS = 128 };

/* Of all runtimes that a test program starts from now on. */
static struct {
    char key[192], value[16];
} site_settings[SITE_SETTINGS];
static int site_setting_count;

static inline void set_site_setting(const char *site, const char *member, const char *value)
{
    int i = site_setting_count++;
    if (CHECK(i < SITE_SETTINGS)) {
        snprintf(site_settings[i].key, sizeof site_settings[i].key, "sites.%s.%s", site, member);
        snprintf(site_settings[i].value, sizeof site_settings[i].value, "%s", value);
    }
}

/* Where all calls of a site are to go; width 0: all threads. */
static inline void pin_site(const loomp_site *site, uint32_t arm, uint32_t width)
{
    char text[16];
    set_site_setting(site->name, "arm",
                     arm == LOOMP_INLINE ? "inline"
                     : arm == LOOMP_TASK ? "task"
                                         : "team");
    if (width) {
        snprintf(text, sizeof text, "%u", width);
        set_site_setting(site->name, "width", text);
    }
}

/* A runtime with these settings and the pins. */
static inline loomp_runtime *runtime_with_sites(const char *const *settings)
{
    const char *all[2 * SITE_SETTINGS + 32];
    int count = 0;
    for (; settings && *settings && count < 30; settings++) {
        all[count++] = *settings;
    }
    for (int i = 0; i < site_setting_count; i++) {
        all[count++] = site_settings[i].key;
        all[count++] = site_settings[i].value;
    }
    all[count] = NULL;
    return runtime_with(workers_under_test(), all);
}

/* All that is known of the site; after loomp_stop that is all there is. */
static inline struct loomp_site_stats stats_of(const loomp_site *site)
{
    struct loomp_site_stats stats = {.size = sizeof stats};
    CHECK(loomp_site_stats_read(site, &stats) == 0);
    return stats;
}

/* A decision about work that is said to have taken so long. Returns the arm. */
static inline uint32_t declare_call(loomp_site *site, uint64_t size, double cost_s,
                                    loomp_decision *decision)
{
    loomp_decision own;
    decision = decision ? decision : &own;
    if (!CHECK(loomp_choose(loomp_default(), site, size, decision) == 0)) {
        return 0;
    }
    decision->cost_s = cost_s;
    loomp_finish(decision);
    return decision->arm;
}

#endif
