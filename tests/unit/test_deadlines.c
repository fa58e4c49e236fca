/* SPDX-License-Identifier: MIT */
/* Deadlines of jobs: who is too late gets -ETIMEDOUT and nothing else, who is in time notices
 * nothing, and what keeps the time goes away with the jobs. */
#define SUITE "deadlines"
#include "recorded_job.h"

#include "../fault/faults.h"
#include "base/object_pool.h"
#include "base/platform.h"
#include "job/job.h"

#include <errno.h>
#include <ev.h>
#include <math.h>
#include <sched.h>

static const double SOON = 2e-3, NEVER = 3600;

/* ---- helpers --------------------------------------------------------------------------------- */

/* A recorded job that says when its done has run. */
struct limited {
    struct recorded_job recorded;
    struct gate *finished;
    int again; /* times that done submits it once more */
    int statuses[8];
};

static loomp_job *job_of(struct limited *limited)
{
    return &limited->recorded.job;
}

static void limited_done(loomp_job *job, int status)
{
    struct limited *limited = LOOMP_CONTAINER(job, struct limited, recorded.job);
    struct gate *finished = limited->finished;
    CHECK(loomp_job_state(job) == LOOMP_JOB_IDLE);
    limited->statuses[limited->recorded.dones % 8] = status;
    recorded_done(job, status);
    if (limited->again > 0) {
        limited->again--;
        CHECK(loomp_submit(loomp_current(), job) == 0);
    }
    if (finished) {
        gate_arrive(finished);
    }
}

static void limited_init(struct limited *limited, double deadline_s, loomp_loop *home,
                         struct gate *finished)
{
    memset((void *)limited, 0, sizeof *limited);
    recorded_init(&limited->recorded, NULL);
    limited->finished = finished;
    job_of(limited)->done = limited_done;
    job_of(limited)->deadline_s = deadline_s;
    job_of(limited)->home = home;
}

static bool timed_out(const struct limited *limited)
{
    return limited->recorded.works == 0 && limited->recorded.dones == 1 &&
           limited->recorded.status == -ETIMEDOUT;
}

/* A runtime whose workers are all held at a gate, and a gate for what is done meanwhile. */
struct held {
    loomp_runtime *runtime;
    loomp_loop *home;
    struct gate gate;
    struct gate finished;
    struct recorded_job jobs[MOST_WORKERS];
};

static bool start_held(struct held *held, int workers, const char *const *settings)
{
    gate_init(&held->gate);
    gate_init(&held->finished);
    held->runtime = runtime_with(workers, settings);
    if (!held->runtime) {
        return false;
    }
    held->home = loomp_loop_at(held->runtime, 0);
    hold_all_workers(held->runtime, held->jobs, &held->gate);
    return true;
}

static void stop_held(struct held *held)
{
    gate_open(&held->gate);
    CHECK(loomp_stop(held->runtime) == 0);
}

static void wait_until_ended(loomp_job *job)
{
    while (loomp_job_state(job) != LOOMP_JOB_ENDED) {
        sched_yield();
    }
}

static void pass_time_until(uint64_t time_ns)
{
    while (lp_now_ns() < time_ns) {
        sched_yield();
    }
}

static void look_around(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

/* ---- too late -------------------------------------------------------------------------------- */

TEST(without_a_free_worker_a_deadline_is_kept_on_the_home_loop)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), (const char *const[]){"io.threads", "2", NULL})) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct limited job;
        limited_init(&job, SOON, loomp_loop_at(held.runtime, i), &held.finished);
        CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
        gate_wait_for_arrivals(&held.finished, i + 1);
        CHECK(timed_out(&job));
        CHECK(job.recorded.done_loop == loomp_loop_at(held.runtime, i));
    }
    stop_held(&held);
}

TEST(a_job_without_a_home_is_withdrawn_in_time_and_done_on_the_team)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct limited job;
    limited_init(&job, SOON, NULL, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    wait_until_ended(job_of(&job));
    CHECK(job.recorded.dones == 0);
    gate_open(&held.gate);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(timed_out(&job));
    CHECK(job.recorded.done_index >= 0);
    stop_held(&held);
}

TEST(a_group_whose_jobs_have_neither_home_nor_done_is_empty_at_their_deadline)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, held.runtime);
    struct recorded_job jobs[4];
    for (int i = 0; i < 4; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.done = NULL;
        jobs[i].job.group = &group;
        jobs[i].job.deadline_s = SOON;
        CHECK(loomp_submit(held.runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_group_wait(&group, -1) == -ETIMEDOUT);
    stop_held(&held);
    CHECK(jobs[0].works + jobs[1].works + jobs[2].works + jobs[3].works == 0);
}

TEST(a_missed_deadline_is_an_error_of_the_group)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, held.runtime);
    struct limited job;
    struct recorded_job later;
    limited_init(&job, SOON, held.home, &held.finished);
    job_of(&job)->group = &group;
    recorded_init(&later, NULL);
    later.job.group = &group;
    later.result = -EIO;
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    CHECK(loomp_submit(held.runtime, &later.job) == 0);
    gate_wait_for_arrivals(&held.finished, 1);
    on_loop(held.home, look_around, NULL); /* after its done it has left the group */
    gate_open(&held.gate);
    CHECK(loomp_group_wait(&group, -1) == -ETIMEDOUT);
    CHECK(timed_out(&job) && later.works == 1);
    stop_held(&held);
}

TEST(a_gang_behind_another_misses_its_deadline)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT, finished = GATE_INIT;
    struct recorded_job leader;
    struct limited job;
    recorded_init(&leader, &gate);
    leader.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &leader.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    limited_init(&job, SOON, loomp_loop_at(runtime, 0), &finished);
    job_of(&job)->kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, job_of(&job)) == 0);
    gate_wait_for_arrivals(&finished, 1);
    CHECK(timed_out(&job));
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(leader.dones == 1);
}

TEST(a_gang_whose_places_come_free_too_late_does_not_run)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct limited job;
    limited_init(&job, SOON, held.home, &held.finished);
    job_of(&job)->kind = LOOMP_GANG;
    uint64_t late_ns = lp_now_ns() + 50000000u;
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    pass_time_until(late_ns);
    gate_open(&held.gate);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(timed_out(&job));
    stop_held(&held);
}

TEST(a_blocking_job_behind_others_misses_its_deadline)
{
    loomp_runtime *runtime = runtime_with(1, (const char *const[]){"blocking.threads", "1", NULL});
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT, finished = GATE_INIT;
    struct recorded_job first;
    struct limited job;
    recorded_init(&first, &gate);
    CHECK(loomp_submit_blocking(runtime, &first.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    limited_init(&job, SOON, loomp_loop_at(runtime, 0), &finished);
    CHECK(loomp_submit_blocking(runtime, job_of(&job)) == 0);
    gate_wait_for_arrivals(&finished, 1);
    CHECK(timed_out(&job));
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_may_be_submitted_again_in_the_done_of_its_missed_deadline)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct limited job;
    limited_init(&job, SOON, held.home, &held.finished);
    job.again = 5;
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    gate_wait_for_arrivals(&held.finished, 6);
    CHECK(job.recorded.works == 0 && job.recorded.dones == 6);
    for (int i = 0; i < 6; i++) {
        CHECK(job.statuses[i] == -ETIMEDOUT);
    }
    stop_held(&held);
}

TEST(an_untracked_job_misses_its_deadline_too)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct limited job;
    limited_init(&job, SOON, held.home, &held.finished);
    job_of(&job)->flags = LOOMP_UNTRACKED;
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(timed_out(&job));
    stop_held(&held);
}

/* Submits them on their loop, where none can be done before all are submitted, and reads when
 * each is due. */
enum { SEVERAL = 300 };

struct several {
    loomp_runtime *runtime;
    struct limited jobs[SEVERAL];
    uint64_t due_ns[SEVERAL];
    uint64_t last_due_ns;
    int out_of_order;
    struct gate finished;
};

static struct several several;

static void several_done(loomp_job *job, int status)
{
    struct limited *limited = LOOMP_CONTAINER(job, struct limited, recorded.job);
    uint64_t due_ns = several.due_ns[limited - several.jobs];
    several.out_of_order += due_ns < several.last_due_ns;
    several.last_due_ns = due_ns;
    limited_done(job, status);
}

static void submit_several(loomp_loop *loop, void *arg)
{
    struct several *all = arg;
    for (int i = 0; i < SEVERAL; i++) {
        double deadline_s = (1 + (i * 7919) % 211) * 1e-4;
        limited_init(&all->jobs[i], deadline_s, loop, &all->finished);
        job_of(&all->jobs[i])->done = several_done;
        CHECK(loomp_submit(all->runtime, job_of(&all->jobs[i])) == 0);
        all->due_ns[i] = lp_job_words(job_of(&all->jobs[i]))->deadline->alarm.when_ns;
    }
}

TEST(several_deadlines_pass_in_their_order)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    memset((void *)&several, 0, sizeof several);
    gate_init(&several.finished);
    several.runtime = held.runtime;
    on_loop(held.home, submit_several, &several);
    gate_wait_for_arrivals(&several.finished, SEVERAL);
    for (int i = 0; i < SEVERAL; i++) {
        CHECK(timed_out(&several.jobs[i]));
    }
    CHECK(several.out_of_order == 0);
    stop_held(&held);
}

TEST(an_earlier_deadline_that_comes_later_is_kept_in_time)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct limited far, near;
    limited_init(&far, NEVER, held.home, &held.finished);
    limited_init(&near, SOON, held.home, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&far)) == 0);
    CHECK(loomp_submit(held.runtime, job_of(&near)) == 0);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(timed_out(&near));
    stop_held(&held);
    CHECK(far.recorded.works == 1 && far.recorded.status == 0);
}

/* ---- in time --------------------------------------------------------------------------------- */

static int work_past_deadline(loomp_job *job)
{
    struct limited *limited = LOOMP_CONTAINER(job, struct limited, recorded.job);
    pass_time_until(lp_now_ns() + (uint64_t)(2e9 * job->deadline_s));
    CHECK(!loomp_cancelled());
    return recorded_work(&limited->recorded.job);
}

TEST(a_job_that_starts_in_time_is_not_disturbed_when_its_deadline_passes)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += LOOMP_GANG) {
        struct limited job;
        /* On a machine with other things to do, the first may be too late. */
        for (double deadline_s = 5e-3; deadline_s < 10; deadline_s *= 4) {
            struct gate finished = GATE_INIT;
            limited_init(&job, deadline_s, loomp_loop_at(runtime, 0), &finished);
            job_of(&job)->work = work_past_deadline;
            job_of(&job)->kind = kind;
            job.recorded.result = 7;
            CHECK(loomp_submit(runtime, job_of(&job)) == 0);
            gate_wait_for_arrivals(&finished, 1);
            if (job.recorded.status != -ETIMEDOUT) {
                break;
            }
            CHECK(timed_out(&job));
        }
        CHECK(job.recorded.works == 1 && job.recorded.dones == 1 && job.recorded.status == 7);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(zero_and_negative_and_endless_deadlines_are_none)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    static const double none[] = {0, -0.0, -1e-9, -5, -INFINITY, INFINITY, 1e300};
    enum { COUNT = sizeof none / sizeof none[0] };
    struct limited jobs[COUNT], last;
    for (int i = 0; i < COUNT; i++) {
        limited_init(&jobs[i], none[i], held.home, NULL);
        CHECK(loomp_submit(held.runtime, job_of(&jobs[i])) == 0);
    }
    limited_init(&last, SOON, held.home, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&last)) == 0);
    gate_wait_for_arrivals(&held.finished, 1);
    stop_held(&held);
    for (int i = 0; i < COUNT; i++) {
        CHECK(jobs[i].recorded.works == 1 && jobs[i].recorded.dones == 1);
        CHECK(jobs[i].recorded.status == 0);
    }
}

TEST(a_deadline_that_is_no_number_is_refused_by_its_name)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct limited job;
    limited_init(&job, NAN, NULL, NULL);
    CHECK(loomp_submit(runtime, job_of(&job)) == -EINVAL);
    CHECK(strstr(loomp_error(), "deadline_s") != NULL);
    CHECK(loomp_job_state(job_of(&job)) == LOOMP_JOB_IDLE);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(job.recorded.dones == 0);
}

TEST(a_job_that_is_cancelled_before_its_deadline_is_cancelled_and_no_more)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct limited cancelled, last;
    limited_init(&cancelled, 2 * SOON, held.home, NULL);
    limited_init(&last, 3 * SOON, held.home, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&cancelled)) == 0);
    int answer = loomp_cancel(job_of(&cancelled));
    CHECK(loomp_submit(held.runtime, job_of(&last)) == 0);
    gate_wait_for_arrivals(&held.finished, 1); /* by now the other deadline has passed too */
    CHECK(cancelled.recorded.works == 0 && cancelled.recorded.dones == 1);
    CHECK(cancelled.recorded.status == (answer == 0 ? -ECANCELED : -ETIMEDOUT));
    stop_held(&held);
}

TEST(stop_now_ends_jobs_with_deadlines_once)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    static struct limited jobs[100];
    for (int i = 0; i < 100; i++) {
        limited_init(&jobs[i], i % 2 ? NEVER : 1e-4 * i, i % 3 ? held.home : NULL, NULL);
        CHECK(loomp_submit(held.runtime, job_of(&jobs[i])) == 0);
    }
    gate_open(&held.gate);
    CHECK(loomp_stop_now(held.runtime) == 0);
    for (int i = 0; i < 100; i++) {
        int status = jobs[i].recorded.status;
        CHECK(jobs[i].recorded.dones == 1);
        CHECK(jobs[i].recorded.works == (status == 0));
        CHECK(status == 0 || status == -ECANCELED || (status == -ETIMEDOUT && i % 2 == 0));
    }
}

/* ---- full queues ----------------------------------------------------------------------------- */

TEST(a_submitter_that_waits_for_room_does_so_until_the_deadline_only)
{
    static struct held held;
    if (!start_held(&held, 1,
                    (const char *const[]){"queue_limit", "1", "queue_policy", "block", NULL})) {
        return;
    }
    struct recorded_job full;
    struct limited job;
    recorded_init(&full, NULL);
    CHECK(loomp_submit(held.runtime, &full.job) == 0);
    limited_init(&job, SOON, held.home, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(timed_out(&job));
    stop_held(&held);
    CHECK(full.works == 1);
}

TEST(a_job_that_its_caller_runs_keeps_its_deadline)
{
    static struct held held;
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "caller_runs", NULL};
    if (!start_held(&held, 1, settings)) {
        return;
    }
    struct recorded_job full;
    struct limited in_time, late;
    recorded_init(&full, NULL);
    CHECK(loomp_submit(held.runtime, &full.job) == 0);
    limited_init(&in_time, NEVER, held.home, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&in_time)) == 0);
    CHECK(in_time.recorded.works == 1);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(in_time.recorded.dones == 1 && in_time.recorded.status == 0);
    limited_init(&late, 1e-12, held.home, &held.finished);
    CHECK(loomp_submit(held.runtime, job_of(&late)) == 0);
    gate_wait_for_arrivals(&held.finished, 2);
    CHECK(timed_out(&late));
    stop_held(&held);
}

TEST(a_job_that_is_refused_has_no_deadline_and_may_be_submitted_again)
{
    static struct held held;
    if (!start_held(&held, 1, (const char *const[]){"queue_limit", "1", NULL})) {
        return;
    }
    struct recorded_job full;
    struct limited job;
    recorded_init(&full, NULL);
    CHECK(loomp_submit(held.runtime, &full.job) == 0);
    limited_init(&job, NEVER, held.home, &held.finished);
    for (int i = 0; i < 10; i++) {
        CHECK(loomp_submit(held.runtime, job_of(&job)) == -EAGAIN);
        CHECK(loomp_job_state(job_of(&job)) == LOOMP_JOB_IDLE);
    }
    CHECK(loomp_cancel(&full.job) == 0);
    job_of(&job)->deadline_s = SOON;
    int err;
    while ((err = loomp_submit(held.runtime, job_of(&job))) == -EAGAIN) {
        sched_yield();
    }
    CHECK(err == 0);
    gate_wait_for_arrivals(&held.finished, 1);
    CHECK(timed_out(&job));
    stop_held(&held);
}

TEST(without_memory_for_its_deadline_a_job_is_refused_and_stays_the_callers)
{
    static struct held held;
    if (!start_held(&held, 1, NULL)) {
        return;
    }
    struct limited job;
    int err = 0, accepted = 0;
    while (err == 0 && accepted < 100) {
        limited_init(&job, SOON, held.home, &held.finished);
        lp_object_pool_release(); /* the next object has to be allocated */
        atomic_store(&fault_countdown[FAULT_MEMORY], 1);
        err = loomp_submit(held.runtime, job_of(&job));
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        if (err == 0) { /* another thread has met the fault, one that binds itself, say */
            gate_wait_for_arrivals(&held.finished, ++accepted);
        }
    }
    CHECK(err == -ENOMEM);
    CHECK(loomp_job_state(job_of(&job)) == LOOMP_JOB_IDLE);
    CHECK(loomp_submit(held.runtime, job_of(&job)) == 0);
    gate_wait_for_arrivals(&held.finished, accepted + 1);
    CHECK(timed_out(&job));
    stop_held(&held);
}

/* ---- who waits ------------------------------------------------------------------------------- */

struct parent {
    struct recorded_job recorded;
    struct limited child;
    bool cancels;
    int result;
};

/* On the only worker: nobody else is there to call the child's done. */
static int wait_for_lost_child(loomp_job *job)
{
    struct parent *parent = LOOMP_CONTAINER(job, struct parent, recorded.job);
    loomp_runtime *runtime = loomp_current();
    loomp_group group;
    loomp_group_init(&group, runtime);
    limited_init(&parent->child, parent->cancels ? 0 : SOON, NULL, NULL);
    job_of(&parent->child)->group = &group;
    CHECK(loomp_submit(runtime, job_of(&parent->child)) == 0);
    if (parent->cancels) {
        CHECK(loomp_cancel(job_of(&parent->child)) == 0);
    } else {
        wait_until_ended(job_of(&parent->child));
    }
    parent->result = loomp_group_wait(&group, -1);
    return 0;
}

TEST(the_only_worker_calls_the_done_of_a_withdrawn_job_that_it_waits_for)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    for (int cancels = 0; cancels < 2; cancels++) {
        static struct parent parent;
        memset((void *)&parent, 0, sizeof parent);
        recorded_init(&parent.recorded, NULL);
        parent.recorded.job.work = wait_for_lost_child;
        parent.cancels = cancels;
        CHECK(loomp_submit(runtime, &parent.recorded.job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(parent.result == (cancels ? -ECANCELED : -ETIMEDOUT));
        CHECK(parent.child.recorded.dones == 1 && parent.child.recorded.works == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* A gang that waits while the only worker waits for it; the child is withdrawn while both sleep. */
static int wait_for_late_child(loomp_job *job)
{
    struct parent *parent = LOOMP_CONTAINER(job, struct parent, recorded.job);
    loomp_runtime *runtime = loomp_current();
    loomp_group group;
    loomp_group_init(&group, runtime);
    limited_init(&parent->child, SOON, NULL, NULL);
    job_of(&parent->child)->group = &group;
    job_of(&parent->child)->kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, job_of(&parent->child)) == 0);
    parent->result = loomp_group_wait(&group, -1);
    return 0;
}

TEST(a_worker_that_sleeps_is_woken_to_call_the_done_of_a_withdrawn_gang)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job leader;
    recorded_init(&leader, &gate);
    leader.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &leader.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    static struct parent parent;
    memset((void *)&parent, 0, sizeof parent);
    recorded_init(&parent.recorded, NULL);
    loomp_group group;
    loomp_group_init(&group, runtime);
    parent.recorded.job.work = wait_for_late_child;
    parent.recorded.job.group = &group;
    CHECK(loomp_submit(runtime, &parent.recorded.job) == 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(parent.result == -ETIMEDOUT);
    CHECK(timed_out(&parent.child));
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- attached loops -------------------------------------------------------------------------- */

TEST(on_an_attached_loop_deadlines_are_kept_and_nothing_is_left_of_those_that_were_met)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(0);
    loomp_loop *loop;
    CHECK(loomp_attach(held.runtime, ev, &loop) == 0);
    struct limited late[20], met[20];
    for (int i = 0; i < 20; i++) {
        limited_init(&late[i], SOON, NULL, NULL);
        CHECK(loomp_submit(held.runtime, job_of(&late[i])) == 0);
    }
    ev_run(ev, 0); /* ends when they are done */
    for (int i = 0; i < 20; i++) {
        CHECK(timed_out(&late[i]));
        CHECK(late[i].recorded.done_loop == loop);
    }
    for (int i = 0; i < 20; i++) {
        limited_init(&met[i], NEVER, NULL, NULL);
        CHECK(loomp_submit(held.runtime, job_of(&met[i])) == 0);
    }
    CHECK(ev_run(ev, EVRUN_NOWAIT) != 0); /* the alarms are set, the jobs have not run */
    gate_open(&held.gate);
    ev_run(ev, 0);
    for (int i = 0; i < 20; i++) {
        CHECK(met[i].recorded.works == 1 && met[i].recorded.dones == 1);
    }
    CHECK(ev_run(ev, EVRUN_NOWAIT) == 0); /* the timer that is left holds no reference */
    CHECK(loomp_detach(loop) == 0);
    CHECK(ev_run(ev, EVRUN_NOWAIT) == 0);
    CHECK(ev_pending_count(ev) == 0);
    ev_loop_destroy(ev);
    stop_held(&held);
}

static void *submit_to_home(void *arg)
{
    loomp_job *job = arg;
    CHECK(loomp_submit(loomp_default(), job) == 0);
    return NULL;
}

TEST(a_deadline_that_another_thread_sets_on_an_attached_loop_ends_a_detach)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(), NULL)) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(0);
    for (int round = 0; round < 20; round++) {
        loomp_loop *loop;
        CHECK(loomp_attach(held.runtime, ev, &loop) == 0);
        struct limited job;
        pthread_t thread;
        limited_init(&job, 1e-3, loop, NULL);
        __real_pthread_create(&thread, NULL, submit_to_home, job_of(&job));
        if (round % 2) {
            pthread_join(thread, NULL);
        } else {
            while (job.recorded.dones == 0) {
                ev_run(ev, EVRUN_NOWAIT);
            }
        }
        CHECK(loomp_detach(loop) == 0);
        if (round % 2 == 0) {
            pthread_join(thread, NULL);
        }
        CHECK(timed_out(&job));
    }
    ev_loop_destroy(ev);
    stop_held(&held);
}

/* ---- what is left ---------------------------------------------------------------------------- */

TEST(stop_does_not_wait_for_deadlines_that_were_met)
{
    for (int round = 0; round < 5; round++) {
        long before = atomic_load(&live_blocks);
        loomp_runtime *runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        struct limited jobs[50];
        for (int i = 0; i < 50; i++) {
            limited_init(&jobs[i], NEVER, i % 2 ? loomp_loop_at(runtime, 0) : NULL, NULL);
            CHECK(loomp_submit(runtime, job_of(&jobs[i])) == 0);
        }
        CHECK(loomp_stop(runtime) == 0);
        for (int i = 0; i < 50; i++) {
            CHECK(jobs[i].recorded.works == 1 && jobs[i].recorded.status == 0);
        }
        lp_object_pool_release();
        CHECK(round == 0 || atomic_load(&live_blocks) == before);
    }
}

enum { MANY = 100000 };

/* Objects that are out, as allocated blocks: threads keep none, but for those that were given back
 * to a thread which has taken none since. */
static long blocks_now(void)
{
    lp_object_give(lp_object_take());
    return atomic_load(&live_blocks);
}

/* The jobs have no home, so that nothing wakes the loop but what is to be thrown out. */
static void leave_nothing_of(struct held *held, struct recorded_job *jobs, bool at_once)
{
    long before = blocks_now();
    for (int i = 0; i < MANY; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.deadline_s = NEVER - i * 1e-3;
        CHECK(loomp_submit(held->runtime, &jobs[i].job) == 0);
    }
    if (!at_once) {
        /* but for a few objects from before, which may come back meanwhile */
        CHECK(atomic_load(&live_blocks) - before > MANY - 100);
        gate_open(&held->gate);
    }
    CHECK(loomp_wait_idle(held->runtime, -1) == 0);
    while (blocks_now() - before > 300) {
        sched_yield(); /* the loop is at it, or this does not end */
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(jobs[i].works == 1 && jobs[i].status == 0);
    }
}

TEST(far_deadlines_of_many_jobs_that_have_started_keep_no_objects)
{
    static struct held held;
    if (!start_held(&held, workers_under_test(),
                    (const char *const[]){"queue_limit", "200000", "call.pool_size", "0", NULL})) {
        return;
    }
    struct recorded_job *jobs = calloc(MANY, sizeof *jobs);
    struct limited first; /* earlier than all, so that the void ones are not at the top */
    limited_init(&first, NEVER / 2, held.home, NULL);
    job_of(&first)->kind = LOOMP_GANG; /* waits for the workers, or runs */
    CHECK(loomp_submit(held.runtime, job_of(&first)) == 0);
    leave_nothing_of(&held, jobs, false);
    leave_nothing_of(&held, jobs, true);
    free(jobs);
    stop_held(&held);
}

/* Such a job has no place in the queue: its deadline must leave alone who has. */
TEST(a_job_that_starts_after_a_group_and_finds_no_room_is_done_once_and_so_are_the_others)
{
    enum { ROOM = 4 };
    struct held held;
    if (!start_held(&held, 1, (const char *const[]){"queue_limit", "4", NULL})) {
        return;
    }
    struct limited waiting[ROOM], late;
    for (int i = 0; i < ROOM; i++) {
        limited_init(&waiting[i], 0, NULL, NULL);
        CHECK(loomp_submit(held.runtime, job_of(&waiting[i])) == 0);
    }
    loomp_group empty;
    loomp_group_init(&empty, held.runtime);
    limited_init(&late, SOON, NULL, NULL);
    CHECK(loomp_group_then(&empty, job_of(&late)) == 0);
    pass_time_until(lp_now_ns() + 20000000);
    stop_held(&held);
    for (int i = 0; i < ROOM; i++) {
        CHECK(waiting[i].recorded.works == 1 && waiting[i].recorded.dones == 1);
    }
    CHECK(late.recorded.works == 0 && late.recorded.dones == 1);
    CHECK(late.recorded.status == -ETIMEDOUT);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
