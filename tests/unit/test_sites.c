/* SPDX-License-Identifier: MIT */
/* Jobs with a site through the public interface: where they may run, what an inline run is like, what
 * becomes of the site. Most tests tie a site to an arm, so that nothing in them depends on how long
 * anything takes; those about costs declare them. */
#define SUITE "sites"
#include "site_jobs.h"

#include "adaptive/learner.h"
#include "adaptive/site.h"

#include <errno.h>
#include <ev.h>
#include <fenv.h>
#include <omp.h>
#include <sched.h>

static const char *const two_loops[] = {"io.threads", "2", NULL};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool error_names(const char *what)
{
    return strstr(loomp_error(), what) != NULL;
}

/* ---- the first calls ------------------------------------------------------------------------- */

TEST(a_sites_first_call_is_offloaded)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("first call", LOOMP_HINT_UNKNOWN);
    struct site_job job;
    site_job_init(&job, &site, LOOMP_SERIAL);
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(!job.inside && job.work_loop == NULL);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 1 && stats.tasks == 1 && stats.inlined == 0);
}

struct one_by_one {
    struct site_job job;
    loomp_site *site;
    int inlined;
    bool was_done; /* when the submission returned */
};

static void submit_and_look(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct one_by_one *run = arg;
    site_job_init(&run->job, run->site, LOOMP_SERIAL);
    CHECK(site_job_submit(&run->job) == 0);
    if (run->job.works && run->job.inside) {
        run->inlined++;
        run->was_done |= run->job.dones != 0;
    }
}

/* Calls one after the other, until some have run inline. Each that was measured while the machine had
 * other things to do may cost a hundred. */
static int calls_until_inline(loomp_runtime *runtime, struct one_by_one *run, int wanted)
{
    int calls = 0;
    while (run->inlined < wanted && calls < 20000) {
        on_loop(loomp_loop_at(runtime, 0), submit_and_look, run);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        site_job_ended_well(&run->job, loomp_loop_at(runtime, 0));
        calls++;
    }
    return calls;
}

TEST(cheap_work_soon_runs_inline_and_its_done_runs_later)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("cheap", LOOMP_HINT_UNKNOWN);
    struct one_by_one run = {.site = &site};
    calls_until_inline(runtime, &run, 20);
    CHECK(run.inlined == 20);
    CHECK(!run.was_done);
    CHECK(run.job.work_loop == loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&site).inlined == 20);
}

TEST(what_is_said_to_be_long_is_offloaded_three_times)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("said to be long", LOOMP_HINT_HIGH);
    struct one_by_one run = {.site = &site};
    int calls = calls_until_inline(runtime, &run, 1);
    CHECK(run.inlined == 1);
    CHECK(calls > 3);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_call_may_be_said_to_be_long_when_its_site_is_not)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("one long call", LOOMP_HINT_LOW);
    struct site_job job;
    site_job_init(&job, &site, LOOMP_SERIAL);
    job.job.hint = LOOMP_HINT_HIGH;
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(!job.inside);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- where nothing runs inline --------------------------------------------------------------- */

static loomp_site inline_site = LOOMP_SITE("always inline", LOOMP_HINT_UNKNOWN);

static loomp_runtime *start_with_inline_site(const char *const *settings)
{
    site_setting_count = 0;
    pin_site(&inline_site, LOOMP_INLINE, 0);
    return runtime_with_sites(settings);
}

TEST(on_a_loop_of_loomps_all_kinds_may_run_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &inline_site, kind);
        job.result = -EIO;
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(job.inside);
        site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_that_may_wait_never_runs_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &inline_site, kind);
        job.job.flags = LOOMP_MAY_WAIT;
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(!job.inside && job.work_loop == NULL);
        site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(on_an_attached_loop_only_serial_jobs_run_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct ev_loop *ev = ev_loop_new(0);
    loomp_loop *loop;
    CHECK(loomp_attach(runtime, ev, &loop) == 0);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &inline_site, kind);
        CHECK(site_job_submit(&job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(job.inside == (kind == LOOMP_SERIAL));
        site_job_ended_well(&job, loop);
    }
    CHECK(loomp_detach(loop) == 0);
    CHECK(loomp_stop(runtime) == 0);
    ev_loop_destroy(ev);
}

TEST(on_a_plain_thread_nothing_runs_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &inline_site, kind);
        job.job.home = loomp_loop_at(runtime, 0);
        CHECK(site_job_submit(&job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(!job.inside);
        site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void submit_another(struct site_job *self)
{
    struct site_job *inner = self->arg;
    CHECK(site_job_submit(inner) == 0);
    CHECK(!(inner->works && inner->inside));
}

TEST(in_a_job_nothing_runs_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job outer, inner;
        site_job_init(&outer, NULL, kind);
        site_job_init(&inner, &inline_site, LOOMP_SERIAL);
        outer.body = submit_another;
        outer.arg = &inner;
        CHECK(site_job_submit(&outer) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(inner.works == 1 && inner.dones == 1 && !inner.inside && !inner.done_inside);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(inside_inline_work_nothing_runs_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct site_job outer, inner;
    site_job_init(&outer, &inline_site, LOOMP_SERIAL);
    site_job_init(&inner, &inline_site, LOOMP_SERIAL);
    outer.body = submit_another;
    outer.arg = &inner;
    run_site_job(loomp_loop_at(runtime, 0), &outer);
    CHECK(outer.inside && !inner.inside && inner.work_loop == NULL);
    site_job_ended_well(&outer, loomp_loop_at(runtime, 0));
    site_job_ended_well(&inner, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

static void submit_next(loomp_job *job, int status);

static struct {
    struct site_job job;
    int left, inlined;
    int depth, deepest; /* of dones */
} chain;

static void submit_next(loomp_job *job, int status)
{
    site_job_done(job, status);
    chain.depth++;
    chain.deepest = chain.depth > chain.deepest ? chain.depth : chain.deepest;
    if (chain.left-- > 0) {
        site_job_init(&chain.job, &inline_site, LOOMP_SERIAL);
        chain.job.job.done = submit_next;
        CHECK(site_job_submit(&chain.job) == 0);
        chain.inlined += chain.job.works && chain.job.inside;
    }
    chain.depth--;
}

TEST(done_may_submit_what_runs_inline_without_end)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    chain.left = 5000;
    chain.inlined = chain.depth = chain.deepest = 0;
    site_job_init(&chain.job, &inline_site, LOOMP_SERIAL);
    chain.job.job.done = submit_next;
    run_site_job(loomp_loop_at(runtime, 0), &chain.job);
    CHECK(chain.left == -1 && chain.inlined == 5000);
    CHECK(chain.deepest == 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(for_a_named_pool_nothing_runs_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    options.threads = 1;
    loomp_pool *pool = NULL;
    if (CHECK(loomp_pool_open(runtime, "named", &options, &pool) == 0)) {
        for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
            struct site_job job;
            site_job_init(&job, &inline_site, kind);
            job.job.pool = pool;
            run_site_job(loomp_loop_at(runtime, 0), &job);
            CHECK(!job.inside && job.work_loop == NULL);
            site_job_ended_well(&job, loomp_loop_at(runtime, 0));
        }
        CHECK(loomp_pool_close(pool) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(for_the_pool_blocking_a_site_means_nothing)
{
    static loomp_site site = LOOMP_SITE("blocking", LOOMP_HINT_LOW);
    loomp_runtime *runtime = runtime_under_test();
    struct site_job job;
    site_job_init(&job, &site, LOOMP_SERIAL);
    job.job.pool = loomp_pool_named(runtime, "blocking");
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(!job.inside && job.work_loop == NULL);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&site).calls == 0);
}

static void submit_then(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct site_job *job = arg;
    loomp_group *group = job->arg;
    site_job_submitting = job;
    CHECK(loomp_group_then(group, &job->job) == 0);
    site_job_submitting = NULL;
}

TEST(what_starts_after_a_group_does_not_run_inline)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    job.arg = &group;
    on_loop(loomp_loop_at(runtime, 0), submit_then, &job);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(!job.inside && job.work_loop == NULL);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    loomp_group_fini(&group);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- calls that end elsewhere ---------------------------------------------------------------- */

static void keep_latest(const struct loomp_call *call, void *arg)
{
    struct loomp_call *latest = arg;
    if (call->at_s > latest->at_s) {
        *latest = *call;
    }
}

/* Submits jobs, on a loop or here, until one is placed by what is known of the site. */
static bool learns(loomp_runtime *runtime, struct site_job *job, loomp_loop *from,
                   void (*submit)(loomp_loop *loop, void *arg))
{
    struct site_job fresh = *job;
    for (int i = 0; i < 2000; i++) {
        struct loomp_call latest = {0};
        *job = fresh;
        if (from) {
            on_loop(from, submit, job);
        } else {
            submit(NULL, job);
        }
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(job->works == 1 && job->dones == 1);
        CHECK(loomp_trace_read(runtime, keep_latest, &latest) >= 0);
        if (latest.reason && latest.reason != LOOMP_BY_COLD && latest.reason != LOOMP_BY_TRIAL) {
            return true;
        }
    }
    return false;
}

static loomp_runtime *start_traced(void)
{
    return runtime_with(workers_under_test(), (const char *const[]){"io.threads", "2",
                                                                    "adaptive.trace", "1", NULL});
}

TEST(a_loop_whose_jobs_are_done_on_another_learns_of_them)
{
    static loomp_site sites[] = {LOOMP_SITE("home elsewhere 0", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("home elsewhere 1", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("home elsewhere 2", LOOMP_HINT_UNKNOWN)};
    loomp_runtime *runtime = start_traced();
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &sites[kind], kind);
        job.job.home = loomp_loop_at(runtime, 1);
        CHECK(learns(runtime, &job, loomp_loop_at(runtime, 0), submit_site_job_there));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_plain_thread_whose_jobs_are_done_on_a_loop_learns_of_them)
{
    static loomp_site sites[] = {LOOMP_SITE("home on a loop 0", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("home on a loop 1", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("home on a loop 2", LOOMP_HINT_UNKNOWN)};
    loomp_runtime *runtime = start_traced();
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &sites[kind], kind);
        job.job.home = loomp_loop_at(runtime, 0);
        CHECK(learns(runtime, &job, NULL, submit_site_job_there));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(what_starts_after_a_group_is_learnt_from)
{
    static loomp_site sites[] = {LOOMP_SITE("after a group 0", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("after a group 1", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("after a group 2", LOOMP_HINT_UNKNOWN)};
    loomp_runtime *runtime = start_traced();
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, &sites[kind], kind);
        job.arg = &group;
        CHECK(learns(runtime, &job, loomp_loop_at(runtime, 0), submit_then));
    }
    loomp_group_fini(&group);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- a job's other fields, inline ------------------------------------------------------------ */

TEST(an_inline_jobs_done_runs_on_the_home_that_it_names)
{
    loomp_runtime *runtime = start_with_inline_site(two_loops);
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    job.job.home = loomp_loop_at(runtime, 1);
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(job.inside && job.work_loop == loomp_loop_at(runtime, 0));
    site_job_ended_well(&job, loomp_loop_at(runtime, 1));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(an_inline_job_keeps_its_deadline_or_does_not_run)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (int i = 0; i < 50; i++) {
        struct site_job job;
        site_job_init(&job, &inline_site, LOOMP_SERIAL);
        job.job.deadline_s = i % 2 ? 3600 : 1e-9;
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(job.dones == 1 && !job.done_inside);
        CHECK(job.works == (job.status == 0) && (job.status == 0 || job.status == -ETIMEDOUT));
        CHECK(i % 2 == 0 || (job.inside && job.status == 0));
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void cancel_itself(struct site_job *self)
{
    CHECK(!loomp_cancelled());
    CHECK(loomp_job_state(&self->job) == LOOMP_JOB_RUNNING);
    CHECK(loomp_cancel(&self->job) == -EINPROGRESS);
    CHECK(loomp_cancelled() && loomp_job_cancelled(&self->job));
    self->result = -ECANCELED;
}

TEST(inline_work_hears_that_it_is_cancelled)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    job.body = cancel_itself;
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(job.inside);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

static void wait_for_cancel(struct site_job *self)
{
    gate_pass(self->arg);
    CHECK(loomp_cancelled());
}

TEST(inline_work_is_cancelled_from_another_thread)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct gate gate = GATE_INIT;
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    job.body = wait_for_cancel;
    job.arg = &gate;
    CHECK(loomp_post(loomp_loop_at(runtime, 0), submit_site_job_there, &job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_cancel(&job.job) == -EINPROGRESS);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(job.inside);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(work_that_is_cancelled_while_it_runs_teaches_nothing)
{
    static loomp_site sites[] = {LOOMP_SITE("cancelled inline", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("cancelled task", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("cancelled team", LOOMP_HINT_UNKNOWN)};
    site_setting_count = 0;
    for (uint32_t arm = LOOMP_INLINE; arm <= LOOMP_TEAM; arm++) {
        pin_site(&sites[arm - 1], arm, 0);
    }
    loomp_runtime *runtime = runtime_with_sites(NULL);
    for (int i = 0; i < 30; i++) {
        struct site_job job;
        site_job_init(&job, &sites[i % 3], i % 3 == 2 ? LOOMP_GANG : LOOMP_SERIAL);
        job.body = cancel_itself;
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(job.inside == (i % 3 == 0));
        site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    }
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < 3; i++) {
        struct loomp_site_stats stats = stats_of(&sites[i]);
        CHECK(stats.calls == 10 && stats.model_count == 0);
    }
}

static void submit_and_cancel(loomp_loop *loop, void *arg)
{
    struct site_job *job = arg;
    submit_site_job_there(loop, job);
    CHECK(job->works == 1 && job->dones == 0);
    CHECK(loomp_job_state(&job->job) == LOOMP_JOB_ENDED);
    CHECK(loomp_cancel(&job->job) == -EALREADY);
}

TEST(when_an_inline_submission_returns_it_is_too_late_to_cancel)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    on_loop(loomp_loop_at(runtime, 0), submit_and_cancel, &job);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(in_a_cancelled_group_inline_work_does_not_run)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job held;
    recorded_init(&held, &gate);
    held.job.group = &group; /* so that the group's cancellation lasts */
    CHECK(loomp_submit(runtime, &held.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    loomp_group_cancel(&group);
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    job.job.group = &group;
    on_loop(loomp_loop_at(runtime, 0), submit_site_job_there, &job);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(job.works == 0 && job.dones == 1 && job.status == -ECANCELED && !job.done_inside);
    loomp_group_fini(&group);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_group_counts_its_inline_jobs_and_has_their_error)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct site_job jobs[10];
    for (int i = 0; i < 10; i++) {
        site_job_init(&jobs[i], &inline_site, LOOMP_SERIAL);
        jobs[i].job.group = &group;
        jobs[i].result = i == 7 ? -EDOM : 0;
        on_loop(loomp_loop_at(runtime, 0), submit_site_job_there, &jobs[i]);
    }
    CHECK(loomp_group_wait(&group, PATIENCE_S) == -EDOM);
    for (int i = 0; i < 10; i++) {
        CHECK(jobs[i].inside && jobs[i].dones == 1);
    }
    loomp_group_fini(&group);
    CHECK(loomp_stop(runtime) == 0);
}

static void wait_for_a_group(struct site_job *self)
{
    CHECK(loomp_group_wait(self->arg, -1) == -EDEADLK);
}

TEST(inline_work_must_not_wait)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct site_job job;
    site_job_init(&job, &inline_site, LOOMP_SERIAL);
    job.body = wait_for_a_group;
    job.arg = &group;
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(job.inside);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    loomp_group_fini(&group);
    CHECK(loomp_stop(runtime) == 0);
}

static void write_scratch(struct site_job *self)
{
    self->arg = loomp_scratch(&self->job, 10000);
    if (CHECK(self->arg != NULL)) {
        memset(self->arg, 77, 10000);
    }
}

static void read_scratch(loomp_job *job, int status)
{
    struct site_job *self = site_job_of(job);
    const unsigned char *memory = self->arg;
    CHECK(memory && memory[0] == 77 && memory[9999] == 77);
    site_job_done(job, status);
}

TEST(inline_work_has_scratch_memory_until_its_done_has_run)
{
    loomp_runtime *runtime = start_with_inline_site(two_loops);
    struct site_job job;
    for (int i = 0; i < 20; i++) {
        site_job_init(&job, &inline_site, LOOMP_SERIAL);
        job.body = write_scratch;
        job.job.done = read_scratch;
        job.job.home = loomp_loop_at(runtime, i % 2);
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(job.inside);
        site_job_ended_well(&job, loomp_loop_at(runtime, i % 2));
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct rounding {
    struct site_job job;
    int before, inside, after;
};

static void look_at_rounding(struct site_job *self)
{
    struct rounding *rounding = LOOMP_CONTAINER(self, struct rounding, job);
    rounding->inside = fegetround();
    fesetround(FE_DOWNWARD);
}

static void submit_with_rounding(loomp_loop *loop, void *arg)
{
    struct rounding *rounding = arg;
    fesetround(rounding->before);
    submit_site_job_there(loop, &rounding->job);
    rounding->after = fegetround();
    fesetround(FE_TONEAREST);
}

static void rounding_init(struct rounding *rounding, uint32_t flags)
{
    site_job_init(&rounding->job, &inline_site, LOOMP_SERIAL);
    rounding->job.job.flags = flags;
    rounding->job.body = look_at_rounding;
    rounding->before = FE_UPWARD;
}

TEST(inline_work_rounds_as_the_job_says_and_leaves_the_loops_rounding)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct ev_loop *ev = ev_loop_new(0);
    loomp_loop *attached;
    CHECK(loomp_attach(runtime, ev, &attached) == 0);
    for (int i = 0; i < 4; i++) {
        struct rounding rounding;
        rounding_init(&rounding, i % 2 ? LOOMP_FP_ENV : 0);
        if (i < 2) {
            on_loop(loomp_loop_at(runtime, 0), submit_with_rounding, &rounding);
        } else {
            submit_with_rounding(attached, &rounding);
        }
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(rounding.job.inside && rounding.job.dones == 1);
        CHECK(rounding.inside == (i % 2 ? FE_UPWARD : FE_TONEAREST));
        CHECK(rounding.after == FE_UPWARD);
    }
    CHECK(loomp_detach(attached) == 0);
    CHECK(loomp_stop(runtime) == 0);
    ev_loop_destroy(ev);
}

/* ---- calls that others disturbed ------------------------------------------------------------- */

enum { DISTURBED = 40 };

/* As if the kernel had taken the CPU away in each of them. */
static void finish_disturbed(loomp_loop *loop, void *arg)
{
    (void)loop;
    loomp_site *site = arg;
    for (int i = 0; i < DISTURBED; i++) {
        loomp_decision decision;
        struct lp_placed *placed = (struct lp_placed *)(void *)decision.private_;
        CHECK(loomp_choose(loomp_default(), site, 0, &decision) == 0);
        placed->ended_ns = placed->started_ns + 1000000;
        placed->disturbed = 1;
        lp_adaptive_finish(placed, 0, NULL, 0);
    }
}

TEST(what_is_always_disturbed_is_learnt)
{
    static loomp_site site = LOOMP_SITE("always disturbed", LOOMP_HINT_UNKNOWN);
    loomp_runtime *runtime = runtime_with_sites(NULL);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    on_loop(loop, finish_disturbed, &site);
    on_loop(loop, finish_disturbed, &site);
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 2 * DISTURBED);
    /* All but one in 32, which might be chance. */
    CHECK(stats.models[0].calls == 2 * DISTURBED - 2);
}

/* ---- OpenMP inline --------------------------------------------------------------------------- */

struct icvs {
    int threads, dynamic, levels, chunk, device, limit;
    omp_sched_t schedule;
    cpu_set_t mask;
};

static void look_at_icvs(struct icvs *icvs)
{
    memset(icvs, 0, sizeof *icvs);
    icvs->threads = omp_get_max_threads();
    icvs->dynamic = omp_get_dynamic();
    icvs->levels = omp_get_max_active_levels();
    icvs->device = omp_get_default_device();
    icvs->limit = omp_get_thread_limit();
    omp_get_schedule(&icvs->schedule, &icvs->chunk);
    sched_getaffinity(0, sizeof icvs->mask, &icvs->mask);
}

static bool same_icvs(const struct icvs *a, const struct icvs *b)
{
    return CHECK(a->threads == b->threads) && CHECK(a->dynamic == b->dynamic) &&
           CHECK(a->levels == b->levels) && CHECK(a->device == b->device) &&
           CHECK(a->limit == b->limit) && CHECK(a->schedule == b->schedule) &&
           CHECK(a->chunk == b->chunk) && CHECK(CPU_EQUAL(&a->mask, &b->mask));
}

static int orphaned; /* a reduction's variable has to be shared */

static void openmp_by_tasks(struct site_job *self)
{
    int members = 0, singles = 0;
    orphaned = 0;
    CHECK(omp_get_num_threads() == 1 && omp_get_thread_num() == 0 && !omp_in_parallel());
#pragma omp for reduction(+ : orphaned)
    for (int i = 0; i < 100; i++) {
        orphaned += i;
    }
#pragma omp single
    singles++;
#pragma omp barrier
    CHECK(orphaned == 4950 && singles == 1);
#pragma omp parallel reduction(+ : members)
    members += 1;
#pragma omp parallel num_threads(3) reduction(+ : members)
    members += 1;
    CHECK(members == 2);
    int tasks = 0;
#pragma omp taskgroup
    for (int i = 0; i < 10; i++) {
#pragma omp task shared(tasks)
#pragma omp atomic
        tasks++;
    }
    CHECK(tasks == 10);
    omp_set_num_threads(7);
    omp_set_dynamic(!omp_get_dynamic());
    omp_set_max_active_levels(3);
    omp_set_schedule(omp_sched_guided, 11);
    omp_set_default_device(omp_get_default_device() + 1);
    *(bool *)self->arg = true;
}

struct openmp_use {
    struct site_job job;
    struct icvs before, after;
    bool used;
};

static void submit_openmp_use(loomp_loop *loop, void *arg)
{
    struct openmp_use *use = arg;
    look_at_icvs(&use->before);
    submit_site_job_there(loop, &use->job);
    look_at_icvs(&use->after);
}

static void openmp_use_init(struct openmp_use *use, uint32_t kind)
{
    site_job_init(&use->job, &inline_site, kind);
    use->job.body = openmp_by_tasks;
    use->job.arg = &use->used;
    use->used = false;
}

TEST(openmp_in_inline_work_has_one_thread_and_leaves_the_loops_settings)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct openmp_use use;
        openmp_use_init(&use, kind);
        on_loop(loomp_loop_at(runtime, 0), submit_openmp_use, &use);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(use.used && use.job.inside && use.job.dones == 1);
        same_icvs(&use.before, &use.after);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int members_of_a_region(void)
{
    int members = 0;
#pragma omp parallel num_threads(3) reduction(+ : members)
    members += 1;
    return members;
}

static int members_of_an_open_region(void)
{
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    return members;
}

TEST(after_inline_work_an_attached_loops_own_regions_are_as_wide_as_before)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    struct ev_loop *ev = ev_loop_new(0);
    loomp_loop *loop;
    CHECK(loomp_attach(runtime, ev, &loop) == 0);
    int before = members_of_a_region(), open_before = members_of_an_open_region();
    CHECK(before == 3);
    struct openmp_use use;
    openmp_use_init(&use, LOOMP_SERIAL);
    submit_openmp_use(loop, &use);
    CHECK(use.used && use.job.inside);
    same_icvs(&use.before, &use.after);
    CHECK(members_of_a_region() == before);
    CHECK(members_of_an_open_region() == open_before);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(members_of_a_region() == before);
    CHECK(loomp_detach(loop) == 0);
    CHECK(loomp_stop(runtime) == 0);
    ev_loop_destroy(ev);
}

struct masks {
    struct site_job job;
    cpu_set_t before, inside, after;
};

static void look_at_mask_inside(struct site_job *self)
{
    struct masks *masks = LOOMP_CONTAINER(self, struct masks, job);
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    CHECK(members == 1);
    sched_getaffinity(0, sizeof masks->inside, &masks->inside);
}

static void submit_between_masks(loomp_loop *loop, void *arg)
{
    struct masks *masks = arg;
    sched_getaffinity(0, sizeof masks->before, &masks->before);
    submit_site_job_there(loop, &masks->job);
    sched_getaffinity(0, sizeof masks->after, &masks->after);
}

/* A loop in a thread of its own, which has not met OpenMP before. */
static void *attach_and_submit(void *arg)
{
    struct masks *masks = arg;
    struct ev_loop *ev = ev_loop_new(0);
    loomp_loop *loop;
    if (CHECK(loomp_attach(loomp_default(), ev, &loop) == 0)) {
        submit_between_masks(loop, masks);
        CHECK(loomp_detach(loop) == 0);
    }
    ev_loop_destroy(ev);
    return NULL;
}

TEST(the_first_inline_work_of_a_thread_leaves_its_cpu_mask)
{
    loomp_runtime *runtime = start_with_inline_site(NULL);
    for (int i = 0; i < 2; i++) {
        struct masks masks;
        site_job_init(&masks.job, &inline_site, LOOMP_SERIAL);
        masks.job.body = look_at_mask_inside;
        pthread_t thread;
        if (i == 0) {
            on_loop(loomp_loop_at(runtime, 0), submit_between_masks, &masks);
        } else if (CHECK(pthread_create(&thread, NULL, attach_and_submit, &masks) == 0)) {
            pthread_join(thread, NULL);
        }
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(masks.job.inside && masks.job.dones == 1);
        CHECK(CPU_EQUAL(&masks.before, &masks.inside));
        CHECK(CPU_EQUAL(&masks.before, &masks.after));
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- sites ----------------------------------------------------------------------------------- */

TEST(a_site_without_a_proper_name_is_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    static const char *const names[] = {
        NULL, "", "a\nb", "\x7f",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    for (int i = 0; i < 5; i++) {
        loomp_site site = LOOMP_SITE(names[i], LOOMP_HINT_UNKNOWN);
        struct site_job job;
        loomp_decision decision;
        site_job_init(&job, NULL, LOOMP_SERIAL);
        CHECK(loomp_submit_adaptive(runtime, &job.job, &site, 1) == -EINVAL);
        CHECK(error_names("a site needs a name of 1 to 63 printable characters"));
        CHECK(names[i] == NULL || error_names(names[i]));
        CHECK(loomp_choose(runtime, &site, 1, &decision) == -EINVAL);
        CHECK(error_names("a site needs a name"));
        CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE && job.dones == 0);
    }
    static loomp_site longest =
        LOOMP_SITE("longest 9012345678901234567890123456789012345678901234567890123", 0);
    CHECK(strlen(longest.name) == 63);
    struct site_job job;
    site_job_init(&job, &longest, LOOMP_SERIAL);
    run_site_job(loomp_loop_at(runtime, 0), &job);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
    CHECK_TEXT(stats_of(&longest).name, longest.name);
}

TEST(an_unknown_hint_is_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site good = LOOMP_SITE("good hint", LOOMP_HINT_LOW);
    static loomp_site bad = LOOMP_SITE("bad hint", 4);
    static loomp_site strange = {.name = "strange kind", .kind = 3};
    struct site_job job;
    loomp_decision decision;
    site_job_init(&job, &good, LOOMP_SERIAL);
    job.job.hint = 4;
    CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
    CHECK(error_names("hint is 4"));
    site_job_init(&job, &bad, LOOMP_SERIAL);
    CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
    CHECK(error_names("hint of the site `bad hint' is 4"));
    CHECK(loomp_choose(runtime, &bad, 0, &decision) == -EINVAL);
    CHECK(error_names("hint of the site `bad hint' is 4"));
    CHECK(loomp_choose(runtime, &strange, 0, &decision) == -EINVAL);
    CHECK(error_names("kind") && error_names("3"));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(what_is_missing_is_named)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("never used", LOOMP_HINT_LOW);
    struct site_job job;
    loomp_decision decision;
    site_job_init(&job, NULL, LOOMP_SERIAL);
    CHECK(loomp_submit_adaptive(runtime, &job.job, NULL, 1) == -EINVAL);
    CHECK(error_names("site is NULL"));
    CHECK(loomp_submit_adaptive(runtime, NULL, &site, 1) == -EINVAL);
    CHECK(error_names("job is NULL"));
    CHECK(loomp_submit_adaptive(NULL, &job.job, &site, 1) == -EINVAL);
    CHECK(error_names("runtime is NULL"));
    CHECK(loomp_choose(NULL, &site, 1, &decision) == -EINVAL);
    CHECK(error_names("runtime is NULL"));
    CHECK(loomp_choose(runtime, NULL, 1, &decision) == -EINVAL);
    CHECK(error_names("site is NULL"));
    CHECK(loomp_choose(runtime, &site, 1, NULL) == -EINVAL);
    CHECK(error_names("decision is NULL"));
    loomp_finish(NULL);
    struct loomp_site_stats stats = {0};
    CHECK(loomp_site_stats_read(&site, &stats) == -EINVAL);
    CHECK(error_names("size"));
    stats.size = sizeof stats;
    CHECK(loomp_site_stats_read(NULL, &stats) == -EINVAL);
    CHECK(loomp_site_stats_read(&site, NULL) == -EINVAL);
    static loomp_site unused = LOOMP_SITE("truly never used", LOOMP_HINT_LOW);
    CHECK(loomp_site_stats_read(&unused, &stats) == -ENOENT);
    CHECK(error_names("truly never used"));
    loomp_sites_each(NULL, NULL);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(sites_of_one_name_are_one_site)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site here = LOOMP_SITE("of one name", LOOMP_HINT_UNKNOWN);
    static loomp_site there = LOOMP_SITE("of one name", LOOMP_HINT_UNKNOWN);
    struct site_job job;
    for (int i = 0; i < 6; i++) {
        site_job_init(&job, i % 3 ? &here : &there, LOOMP_SERIAL);
        run_site_job(loomp_loop_at(runtime, 0), &job);
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&here).calls == 6);
    CHECK(stats_of(&there).calls == 6);
}

TEST(what_was_learnt_outlives_the_runtime)
{
    static loomp_site site = LOOMP_SITE("learnt before", LOOMP_HINT_UNKNOWN);
    loomp_decision decision;
    for (int run = 0; run < 3; run++) {
        loomp_runtime *runtime = runtime_under_test();
        CHECK(loomp_choose(runtime, &site, 5, &decision) == 0);
        CHECK((decision.reason == LOOMP_BY_COLD) == (run == 0));
        CHECK(run == 0 || (decision.work_s > 3e-3 && decision.work_s < 5e-3));
        decision.cost_s = 4e-3;
        loomp_finish(&decision);
        for (int i = 0; i < 20; i++) {
            declare_call(&site, 5, 4e-3, NULL);
        }
        struct site_job job;
        site_job_init(&job, &site, LOOMP_SERIAL);
        CHECK(loomp_stop(runtime) == 0);
        struct loomp_site_stats stats = stats_of(&site);
        CHECK(stats.calls == 21u * (unsigned)(run + 1));
        CHECK(stats.model_count == 1 && stats.models[0].calls == stats.calls);
    }
}

enum { MANY = 1000 };

struct many_sites {
    loomp_site sites[MANY];
    char names[MANY][16];
    struct site_job jobs[MANY];
};

static void submit_to_many(loomp_loop *loop, void *arg)
{
    struct many_sites *many = arg;
    for (int i = 0; i < MANY; i++) {
        site_job_init(&many->jobs[i], &many->sites[i], LOOMP_SERIAL);
        submit_site_job_there(loop, &many->jobs[i]);
    }
}

struct order_of_sites {
    int next;
};

static void check_order(const struct loomp_site_stats *stats, void *arg)
{
    struct order_of_sites *order = arg;
    char expected[16];
    snprintf(expected, sizeof expected, "many %d", order->next);
    if (strcmp(stats->name, expected) == 0) {
        order->next++;
        CHECK(stats->size == sizeof *stats && stats->calls == 2);
    }
}

TEST(there_may_be_a_thousand_sites)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), two_loops);
    static struct many_sites many;
    for (int i = 0; i < MANY; i++) {
        snprintf(many.names[i], sizeof many.names[i], "many %d", i);
        many.sites[i].name = many.names[i];
    }
    for (int i = 0; i < 2; i++) {
        on_loop(loomp_loop_at(runtime, i), submit_to_many, &many);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        for (int j = 0; j < MANY; j++) {
            CHECK(many.jobs[j].works == 1 && many.jobs[j].dones == 1);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
    struct order_of_sites order = {0};
    loomp_sites_each(check_order, &order);
    CHECK(order.next == MANY);
}

/* ---- choose and finish ----------------------------------------------------------------------- */

struct declared {
    loomp_site *site;
    double cost_s;
    int calls;
    int arms[4], reasons[16];
};

static void declare_calls(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct declared *declared = arg;
    memset(declared->arms, 0, sizeof declared->arms);
    memset(declared->reasons, 0, sizeof declared->reasons);
    for (int i = 0; i < declared->calls; i++) {
        loomp_decision decision;
        declared->arms[declare_call(declared->site, 0, declared->cost_s, &decision)]++;
        declared->reasons[decision.reason]++;
    }
}

/* One call in each turn. */
static void declare_turns(loomp_loop *loop, struct declared *declared, int turns)
{
    declared->calls = 1;
    for (int i = 0; i < turns; i++) {
        on_loop(loop, declare_calls, declared);
    }
}

TEST(what_is_declared_cheap_is_chosen_inline_on_a_loop)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("declared cheap", LOOMP_HINT_UNKNOWN);
    struct declared declared = {.site = &site, .cost_s = 200e-9};
    declare_turns(loomp_loop_at(runtime, 0), &declared, 1);
    CHECK(declared.arms[LOOMP_TASK] == 1 && declared.reasons[LOOMP_BY_COLD] == 1);
    declare_turns(loomp_loop_at(runtime, 0), &declared, 30);
    declared.calls = 100;
    on_loop(loomp_loop_at(runtime, 0), declare_calls, &declared);
    CHECK(declared.arms[LOOMP_INLINE] + declared.reasons[LOOMP_BY_TRIAL] == 100);
    CHECK(declared.arms[LOOMP_INLINE] > 90);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(what_is_declared_long_is_never_chosen_inline)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("declared long", LOOMP_HINT_UNKNOWN);
    struct declared declared = {.site = &site, .cost_s = 5e-3};
    for (int i = 0; i < 50; i++) {
        declare_turns(loomp_loop_at(runtime, 0), &declared, 1);
        CHECK(declared.arms[LOOMP_TASK] == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_call_may_be_finished_once_or_never)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("finished twice", LOOMP_HINT_LOW);
    loomp_decision once, never, nothing = {0};
    CHECK(loomp_choose(runtime, &site, 1, &once) == 0);
    CHECK(loomp_choose(runtime, &site, 1, &never) == 0);
    once.cost_s = 1e-5;
    loomp_finish(&once);
    loomp_finish(&once);
    loomp_finish(&nothing);
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 2 && stats.model_count == 1 && stats.models[0].calls == 1);
    loomp_finish(&never); /* its runtime is gone */
    stats = stats_of(&site);
    CHECK(stats.models[0].calls == 1);
}

static void *finish_elsewhere(void *decision)
{
    loomp_finish(decision);
    return NULL;
}

static void choose_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    loomp_decision *decision = arg;
    CHECK(loomp_choose(loomp_default(), decision->site, 3, decision) == 0);
    decision->cost_s = 2e-3;
}

TEST(a_call_may_be_finished_on_another_thread)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("finished elsewhere", LOOMP_HINT_LOW);
    for (int i = 0; i < 20; i++) {
        loomp_decision decision = {.site = &site};
        on_loop(loomp_loop_at(runtime, 0), choose_there, &decision);
        pthread_t thread;
        if (CHECK(pthread_create(&thread, NULL, finish_elsewhere, &decision) == 0)) {
            pthread_join(thread, NULL);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 20);
    if (CHECK(stats.model_count == 1)) {
        double cost = loomp_site_model_cost(&stats.models[0], 3);
        CHECK(stats.models[0].calls == 20);
        CHECK(cost > 1.5e-3 && cost < 2.5e-3);
    }
}

static void choose_in_a_job(struct site_job *self)
{
    loomp_decision decision;
    CHECK(declare_call(self->arg, 7, 1e-6, &decision) != 0);
    CHECK(decision.size == 7 && decision.site == self->arg);
}

TEST(in_jobs_and_on_plain_threads_one_may_choose_too)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("chosen in jobs", LOOMP_HINT_UNKNOWN);
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct site_job job;
        site_job_init(&job, NULL, kind);
        job.body = choose_in_a_job;
        job.arg = &site;
        CHECK(loomp_submit(runtime, &job.job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(job.works == 1);
        declare_call(&site, 7, 1e-6, NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 6 && stats.size_least == 7 && stats.size_most == 7);
}

TEST(without_a_runtime_there_is_no_choice)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("no runtime", LOOMP_HINT_UNKNOWN);
    CHECK(loomp_stop(runtime) == 0);
    loomp_decision decision;
    CHECK(loomp_choose(runtime, &site, 1, &decision) == -ESHUTDOWN);
    struct site_job job;
    site_job_init(&job, &site, LOOMP_SERIAL);
    CHECK(loomp_submit(runtime, &job.job) == -ESHUTDOWN);
    CHECK(job.works == 0 && job.dones == 0);
}

TEST(when_shut_down_jobs_may_still_choose)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("shut down", LOOMP_HINT_UNKNOWN);
    struct gate gate = GATE_INIT;
    struct recorded_job held;
    struct site_job job;
    recorded_init(&held, &gate);
    CHECK(loomp_submit(runtime, &held.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    site_job_init(&job, NULL, LOOMP_SERIAL);
    job.body = choose_in_a_job;
    job.arg = &site;
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_shutdown(runtime) == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(job.works == 1 && stats_of(&site).calls == 1);
}

/* ---- rails ----------------------------------------------------------------------------------- */

static void learn_cheap(loomp_runtime *runtime, loomp_site *site, int loops)
{
    struct declared cheap = {.site = site, .cost_s = 1e-6};
    for (int i = 0; i < loops; i++) {
        declare_turns(loomp_loop_at(runtime, i), &cheap, 40);
        CHECK(cheap.arms[LOOMP_INLINE] == 1);
    }
}

TEST(one_long_inline_run_keeps_all_loops_from_the_next_hundred)
{
    /* The turns come one after the other, so that by their cost even one in a hundred of them that is
     * so long would be kept away from the loop. */
    loomp_runtime *runtime =
        runtime_with(workers_under_test(),
                     (const char *const[]){"io.threads", "2", "adaptive.io_weight", "0", NULL});
    static loomp_site site = LOOMP_SITE("strikes", LOOMP_HINT_UNKNOWN);
    learn_cheap(runtime, &site, 2);
    struct declared strike = {.site = &site, .cost_s = 2e-3};
    do { /* now and then a task is tried, and then it is no strike */
        declare_turns(loomp_loop_at(runtime, 0), &strike, 1);
    } while (strike.arms[LOOMP_INLINE] == 0);
    struct declared after = {.site = &site, .cost_s = 1e-6};
    for (int i = 0; i < 99; i++) {
        for (int loop = 0; loop < 2; loop++) {
            declare_turns(loomp_loop_at(runtime, loop), &after, 1);
            CHECK(after.arms[LOOMP_INLINE] == 0);
        }
    }
    for (int i = 0; i < 5000 && after.arms[LOOMP_INLINE] == 0; i++) {
        declare_turns(loomp_loop_at(runtime, 1), &after, 1);
    }
    CHECK(after.arms[LOOMP_INLINE] == 1); /* it is forgiven in the end */
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&site).strikes == 1);
}

static void spin(struct site_job *self);

struct strike {
    struct site_job jobs[2];
    bool inlined; /* the first */
};

static void submit_two(loomp_loop *loop, void *arg)
{
    struct strike *strike = arg;
    struct site_job *first = &strike->jobs[0], *second = &strike->jobs[1];
    submit_site_job_there(loop, first);
    strike->inlined = first->works && first->inside;
    submit_site_job_there(loop, second);
    if (strike->inlined) {
        CHECK(first->dones == 0);
        CHECK(stats_of(first->job.site).strikes == 1);
        CHECK(!(second->works && second->inside));
    }
}

TEST(a_strike_counts_before_the_done_of_its_job)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(), (const char *const[]){"adaptive.gr3_us", "10", "adaptive.io_weight",
                                                    "0", NULL});
    static loomp_site site = LOOMP_SITE("strike at once", LOOMP_HINT_UNKNOWN);
    learn_cheap(runtime, &site, 1);
    struct strike strike = {.inlined = false};
    for (int i = 0; i < 1000 && !strike.inlined; i++) { /* now and then a task is tried */
        for (int j = 0; j < 2; j++) {
            site_job_init(&strike.jobs[j], &site, LOOMP_SERIAL);
        }
        strike.jobs[0].body = spin;
        on_loop(loomp_loop_at(runtime, 0), submit_two, &strike);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    }
    CHECK(strike.inlined);
    CHECK(loomp_stop(runtime) == 0);
}

struct two_sizes {
    loomp_site *site;
    uint64_t size;
    loomp_decision decision;
};

static void choose_size(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct two_sizes *two = arg;
    CHECK(loomp_choose(loomp_default(), two->site, two->size, &two->decision) == 0);
}

static void finish_long(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct two_sizes *two = arg;
    two->decision.cost_s = 2e-3;
    loomp_finish(&two->decision);
}

TEST(of_two_strikes_at_the_same_time_both_are_heard)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(),
                     (const char *const[]){"io.threads", "2", "sites.both.arm", "inline", NULL});
    static loomp_site site = LOOMP_SITE("both", LOOMP_HINT_LOW);
    struct two_sizes calls[2] = {{.site = &site, .size = 2}, {.site = &site, .size = 1u << 20}};
    for (int i = 0; i < 2; i++) {
        on_loop(loomp_loop_at(runtime, i), choose_size, &calls[i]);
        CHECK(calls[i].decision.arm == LOOMP_INLINE);
    }
    for (int i = 0; i < 2; i++) {
        on_loop(loomp_loop_at(runtime, i), finish_long, &calls[i]);
    }
    struct lp_site_record *record = lp_site_find(&site);
    CHECK(record->strike_low < lp_ln_size(3) && record->strike_high > lp_ln_size(1u << 19));
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&site).strikes == 2);
}

/* Turns of a loop: a timer's callback is called once in each. */
struct turns {
    struct declared declared;
    ev_timer timer;
    int count;
    struct gate over;
};

static void on_turn(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    struct turns *turns = timer->data;
    struct declared *declared = &turns->declared;
    declare_calls(NULL, declared);
    /* A task may be tried instead of one of the five. */
    CHECK(declared->arms[LOOMP_INLINE] == 5);
    CHECK(declared->reasons[LOOMP_BY_BUDGET] + declared->reasons[LOOMP_BY_TRIAL] == 15);
    if (++turns->count == 20) {
        ev_timer_stop(ev, timer);
        gate_arrive(&turns->over);
    }
}

static void start_turns(loomp_loop *loop, void *arg)
{
    struct turns *turns = arg;
    ev_timer_init(&turns->timer, on_turn, 0., 1e-9);
    turns->timer.data = turns;
    ev_timer_start(loomp_loop_ev(loop), &turns->timer);
}

TEST(when_the_budget_of_a_turn_is_spent_the_rest_is_offloaded)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"adaptive.inline_budget_us", "11", NULL});
    static loomp_site site = LOOMP_SITE("budget", LOOMP_HINT_UNKNOWN);
    struct turns turns = {.declared = {.site = &site, .cost_s = 2e-6}};
    declare_turns(loomp_loop_at(runtime, 0), &turns.declared, 40);
    gate_init(&turns.over);
    turns.declared.calls = 20;
    on_loop(loomp_loop_at(runtime, 0), start_turns, &turns);
    gate_wait_for_arrivals(&turns.over, 1);
    CHECK(loomp_stop(runtime) == 0);
}

enum { SPINNERS = 40, SPIN_NS = 20000, BUDGET_NS = 110000 /* as set below */ };

struct spinners {
    struct site_job jobs[SPINNERS];
    loomp_site *site;
    int inlined;
};

static void spin(struct site_job *self)
{
    (void)self;
    uint64_t end_ns = now_ns() + SPIN_NS;
    while (now_ns() < end_ns) {
    }
}

static void submit_spinners(loomp_loop *loop, void *arg)
{
    struct spinners *spinners = arg;
    spinners->inlined = 0;
    for (int i = 0; i < SPINNERS; i++) {
        struct site_job *job = &spinners->jobs[i];
        site_job_init(job, spinners->site, LOOMP_SERIAL);
        job->body = spin;
        submit_site_job_there(loop, job);
        spinners->inlined += job->works && job->inside;
    }
}

TEST(jobs_spend_the_budget_with_the_time_that_they_take)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"adaptive.inline_budget_us", "110", NULL});
    static loomp_site site = LOOMP_SITE("spinners", LOOMP_HINT_LOW);
    static struct spinners spinners = {.site = &site};
    int some = 0;
    for (int turn = 0; turn < 500 && some < 10; turn++) {
        on_loop(loomp_loop_at(runtime, 0), submit_spinners, &spinners);
        CHECK(spinners.inlined <= BUDGET_NS / SPIN_NS + 1);
        some += spinners.inlined > 0;
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        for (int i = 0; i < SPINNERS; i++) {
            site_job_ended_well(&spinners.jobs[i], loomp_loop_at(runtime, 0));
        }
    }
    CHECK(some == 10);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

struct scope_use {
    loomp_runtime *runtime;
    loomp_site *site;
    struct site_job child;
    int result; /* of the body */
    int err;    /* of the call */
    int bodies, dones, status;
    bool in_call, inside, done_inside;
    loomp_loop *body_loop, *done_loop;
};

static int scope_body(loomp_group *scope, void *arg)
{
    struct scope_use *use = arg;
    use->bodies++;
    use->body_loop = loomp_loop_here();
    use->inside = use->body_loop && use->in_call;
    site_job_init(&use->child, NULL, LOOMP_SERIAL);
    use->child.job.group = scope;
    CHECK(loomp_submit(use->runtime, &use->child.job) == 0);
    return use->result;
}

static void scope_done(int status, void *arg)
{
    struct scope_use *use = arg;
    CHECK(use->child.works == 1 && use->child.dones == 1);
    use->dones++;
    use->done_inside = use->in_call;
    use->status = status;
    use->done_loop = loomp_loop_here();
}

static void begin_scope(loomp_loop *loop, void *arg)
{
    struct scope_use *use = arg;
    use->in_call = true;
    use->err = loomp_scope_adaptive(loop, use->site, 1, scope_body, use, scope_done);
    use->in_call = false;
}

TEST(the_body_of_a_scope_may_be_a_call_of_a_site)
{
    static loomp_site task_site = LOOMP_SITE("always a task", LOOMP_HINT_LOW);
    loomp_runtime *runtime = start_with_inline_site(
        (const char *const[]){"sites.always a task.arm", "task", NULL});
    for (int i = 0; i < 8; i++) {
        struct scope_use use = {.runtime = runtime,
                                .site = i % 2 ? &task_site : &inline_site,
                                .result = i % 4 < 2 ? 0 : -EXDEV};
        on_loop(loomp_loop_at(runtime, 0), begin_scope, &use);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(use.err == 0 && use.bodies == 1 && use.dones == 1 && use.status == use.result);
        CHECK(use.inside == (i % 2 == 0));
        CHECK(!use.done_inside && use.done_loop == loomp_loop_at(runtime, 0));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_scope_that_cannot_begin_does_nothing)
{
    loomp_runtime *runtime = start_with_inline_site(two_loops);
    static loomp_site nameless = LOOMP_SITE("", LOOMP_HINT_LOW);
    struct scope_use use = {.runtime = runtime, .site = &inline_site};
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    CHECK(loomp_scope_adaptive(loop, &inline_site, 1, scope_body, &use, scope_done) == -EPERM);
    CHECK(loomp_scope_adaptive(loop, NULL, 1, scope_body, &use, scope_done) == -EINVAL);
    CHECK(loomp_scope_adaptive(NULL, &inline_site, 1, scope_body, &use, scope_done) == -EINVAL);
    CHECK(loomp_scope_adaptive(loop, &inline_site, 1, NULL, &use, scope_done) == -EINVAL);
    CHECK(loomp_scope_adaptive(loop, &inline_site, 1, scope_body, &use, NULL) == -EINVAL);
    use.site = &nameless;
    on_loop(loop, begin_scope, &use);
    CHECK(use.err == -EINVAL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(use.bodies == 0 && use.dones == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- what one gets to see -------------------------------------------------------------------- */

TEST(the_figures_of_a_site_add_up)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), two_loops);
    static loomp_site site = LOOMP_SITE("figures", LOOMP_HINT_UNKNOWN);
    static struct site_job jobs[300];
    unsigned inlined = 0;
    for (unsigned i = 0; i < 300; i++) {
        site_job_init(&jobs[i], &site, i % 7 == 6 ? LOOMP_GANG : i % 5 == 4 ? LOOMP_TASKS : 0);
        jobs[i].job.size = i % 11 ? 10 + i : 0;
        if (i % 3 == 2) {
            CHECK(site_job_submit(&jobs[i]) == 0);
        } else {
            on_loop(loomp_loop_at(runtime, (int)i % 2), submit_site_job_there, &jobs[i]);
        }
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < 300; i++) {
        CHECK(jobs[i].works == 1 && jobs[i].dones == 1 && !jobs[i].done_inside);
        inlined += jobs[i].inside;
    }
    struct loomp_site_stats stats = stats_of(&site);
    /* All 200 of the loops; of the others those that no other thread without a loop kept away. */
    CHECK(stats.calls >= 200 && stats.calls <= 300);
    CHECK(stats.inlined == inlined);
    CHECK(stats.inlined + stats.tasks + stats.teams == stats.calls);
    uint64_t railed = 0, learnt = 0;
    for (int i = 0; i < 4; i++) {
        railed += stats.railed[i];
    }
    CHECK(railed <= stats.calls - stats.inlined);
    for (uint32_t i = 0; i < stats.model_count; i++) {
        learnt += stats.models[i].calls;
        CHECK(i == 0 || stats.models[i].width > stats.models[i - 1].width);
        CHECK(loomp_site_model_cost(&stats.models[i], 100) > 0);
    }
    CHECK(learnt > 0 && learnt <= stats.calls);
    CHECK(stats.size_least >= 11 && stats.size_most <= 309);
    CHECK(stats.regret_s >= 0);
}

TEST(a_short_struct_of_figures_is_not_overrun)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("short figures", LOOMP_HINT_LOW);
    declare_call(&site, 1, 1e-6, NULL);
    struct loomp_site_stats stats;
    memset(&stats, 0x55, sizeof stats);
    stats.size = offsetof(struct loomp_site_stats, inlined);
    CHECK(loomp_site_stats_read(&site, &stats) == 0);
    CHECK(stats.size == offsetof(struct loomp_site_stats, inlined));
    CHECK(stats.calls == 1);
    CHECK(stats.inlined == 0x5555555555555555u);
    CHECK(loomp_stop(runtime) == 0);
}

struct description {
    loomp_site *site;
    char *text;
};

static void describe_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct description *description = arg;
    size_t bytes;
    FILE *out = open_memstream(&description->text, &bytes);
    loomp_site_describe(description->site, out);
    fclose(out);
}

TEST(a_site_describes_itself_and_its_last_decision)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(), (const char *const[]){"sites.described.arm", "inline", NULL});
    static loomp_site site = LOOMP_SITE("described", LOOMP_HINT_UNKNOWN);
    struct description description = {.site = &site};
    describe_there(NULL, &description);
    CHECK(strstr(description.text, "described") != NULL);
    free(description.text);
    struct site_job job;
    site_job_init(&job, &site, LOOMP_SERIAL);
    run_site_job(loomp_loop_at(runtime, 0), &job);
    on_loop(loomp_loop_at(runtime, 0), describe_there, &description);
    CHECK(strstr(description.text, "site described: 1 calls: 100.0 % inline") != NULL);
    CHECK(strstr(description.text, "last here: inline: the settings say so") != NULL);
    free(description.text);
    static loomp_site unused = LOOMP_SITE("described unused", LOOMP_HINT_UNKNOWN);
    description.site = &unused;
    describe_there(NULL, &description);
    CHECK_TEXT(description.text, "site described unused: not used yet\n");
    free(description.text);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_decision_says_what_it_rests_on)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("decision", LOOMP_HINT_UNKNOWN);
    loomp_decision decision;
    char text[512], cut[10];
    CHECK(loomp_choose(runtime, &site, 1, &decision) == 0);
    int length = loomp_decision_text(&decision, text, sizeof text);
    CHECK(length == (int)strlen(text));
    CHECK(strstr(text, "task: nothing is known of the site yet") == text);
    CHECK(loomp_decision_text(&decision, cut, sizeof cut) == length);
    CHECK(strncmp(cut, text, sizeof cut - 1) == 0 && strlen(cut) == sizeof cut - 1);
    CHECK(loomp_stop(runtime) == 0);
}

struct seen_calls {
    int calls;
    uint64_t last_size[3]; /* by loop; at the end those without one */
    int of_loop[3];
};

static void see_call(const struct loomp_call *call, void *arg)
{
    struct seen_calls *seen = arg;
    int loop = call->loop < 0 ? 2 : call->loop;
    seen->calls++;
    if (!CHECK(loop <= 2)) {
        return;
    }
    CHECK_TEXT(call->site, "traced");
    CHECK(seen->of_loop[loop] == 0 || call->size == seen->last_size[loop] + 1);
    seen->of_loop[loop]++;
    seen->last_size[loop] = call->size;
    CHECK(call->arm == LOOMP_INLINE || call->arm == LOOMP_TASK);
    CHECK(call->width == 1 && call->reason != 0);
    CHECK(call->cost_s > 0.9e-6 && call->cost_s < 1.1e-6);
    CHECK(call->at_s > 0 && call->wait_s == 0 && call->return_s == 0);
}

struct traced {
    loomp_site *site;
    uint64_t size;
};

static void declare_traced(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct traced *traced = arg;
    declare_call(traced->site, traced->size, 1e-6, NULL);
}

TEST(the_trace_has_the_last_calls_of_each_loop_in_order)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(),
        (const char *const[]){"io.threads", "2", "adaptive.trace", "8", NULL});
    static loomp_site site = LOOMP_SITE("traced", LOOMP_HINT_UNKNOWN);
    struct seen_calls seen = {0};
    CHECK(loomp_trace_read(NULL, see_call, &seen) == -EINVAL);
    CHECK(loomp_trace_read(runtime, NULL, &seen) == -EINVAL);
    CHECK(loomp_trace_read(runtime, see_call, &seen) == 0);
    for (uint64_t i = 1; i <= 20; i++) {
        struct traced traced = {&site, i};
        on_loop(loomp_loop_at(runtime, 0), declare_traced, &traced);
        if (i > 17) {
            on_loop(loomp_loop_at(runtime, 1), declare_traced, &traced);
            declare_traced(NULL, &traced);
        }
    }
    CHECK(loomp_trace_read(runtime, see_call, &seen) == 8 + 3 + 3);
    CHECK(seen.calls == 14);
    CHECK(seen.of_loop[0] == 8 && seen.of_loop[1] == 3 && seen.of_loop[2] == 3);
    CHECK(seen.last_size[0] == 20 && seen.last_size[1] == 20 && seen.last_size[2] == 20);
    CHECK(loomp_stop(runtime) == 0);
}

static void see_job(const struct loomp_call *call, void *arg)
{
    struct loomp_call *seen = arg;
    *seen = *call;
}

TEST(the_trace_of_a_job_has_its_times)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"adaptive.trace", "1", NULL});
    static loomp_site site = LOOMP_SITE("traced job", LOOMP_HINT_UNKNOWN);
    struct site_job job;
    site_job_init(&job, &site, LOOMP_SERIAL);
    job.job.size = 77;
    job.body = spin;
    run_site_job(loomp_loop_at(runtime, 0), &job);
    struct loomp_call call = {0};
    CHECK(loomp_trace_read(runtime, see_job, &call) == 1);
    CHECK_TEXT(call.site, "traced job");
    CHECK(call.size == 77 && call.arm == LOOMP_TASK && call.reason == LOOMP_BY_COLD);
    CHECK(call.loop == 0 && call.cost_s >= SPIN_NS / 1e9);
    CHECK(call.wait_s > 0 && call.return_s > 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- after a fork ---------------------------------------------------------------------------- */

static void see_any(const struct loomp_site_stats *stats, void *arg)
{
    (void)stats;
    ++*(int *)arg;
}

static void see_any_call(const struct loomp_call *call, void *arg)
{
    (void)call;
    ++*(int *)arg;
}

/* Of the refusals that a forked child expects, how many are missing, as bits. */
static int refusals_missing(loomp_runtime *runtime, loomp_site *known)
{
    static loomp_site new = LOOMP_SITE("new in a child", LOOMP_HINT_UNKNOWN);
    struct loomp_site_stats stats = {.size = sizeof stats};
    struct site_job job;
    loomp_group group;
    char *text = NULL;
    size_t bytes;
    int seen = 0, missing = 0;
    loomp_group_init(&group, runtime);
    site_job_init(&job, &new, LOOMP_SERIAL);
    missing |= loomp_submit(runtime, &job.job) == -EOWNERDEAD ? 0 : 1;
    missing |= loomp_group_then(&group, &job.job) == -EOWNERDEAD ? 0 : 2;
    missing |= lp_site_find(&new) == NULL ? 0 : 4; /* that would have taken a lock */
    missing |= loomp_site_stats_read(known, &stats) == -EOWNERDEAD ? 0 : 8;
    missing |= loomp_trace_read(runtime, see_any_call, &seen) == -EOWNERDEAD ? 0 : 16;
    loomp_sites_each(see_any, &seen);
    missing |= seen == 0 ? 0 : 32;
    FILE *out = open_memstream(&text, &bytes);
    loomp_site_describe(known, out);
    fclose(out);
    missing |= strstr(text, "not used yet") ? 0 : 64;
    return missing;
}

TEST(a_forked_child_is_refused_and_waits_for_no_lock_of_a_site)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_site site = LOOMP_SITE("forked", LOOMP_HINT_LOW);
    declare_call(&site, 1, 1e-6, NULL);
    struct lp_site_record *record = lp_site_find(&site);
    fflush(NULL);
    pthread_mutex_lock(&record->lock); /* as another thread may have it at any time */
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_S);
        _exit(refusals_missing(runtime, &site));
    }
    pthread_mutex_unlock(&record->lock);
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
