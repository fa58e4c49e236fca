/* SPDX-License-Identifier: MIT */
/* In which order SERIAL jobs of one priority start. */
#define SUITE "order"
#include "patience.h"

#include <stdatomic.h>

enum { MANY = 2000, FEW = 20 /* less than it takes until a thread looks elsewhere for once */ };

/* A job that notes on which worker it started, and after how many others there. */
struct numbered {
    loomp_job job;
    int worker;
    int place; /* in the order of that worker */
    struct numbered *submits; /* so many, from work */
    int count;
    uint32_t flags;
    struct gate *gate; /* passed after that */
};

static int started_on[MOST_WORKERS]; /* by that worker only */

static int numbered_work(loomp_job *job)
{
    struct numbered *n = LOOMP_CONTAINER(job, struct numbered, job);
    n->worker = loomp_thread_index(compute_of(loomp_current()));
    if (n->worker >= 0 && n->worker < MOST_WORKERS) {
        n->place = started_on[n->worker]++;
    }
    for (int i = 0; i < n->count; i++) {
        n->submits[i].job.flags = n->flags;
        CHECK(loomp_submit(loomp_current(), &n->submits[i].job) == 0);
    }
    if (n->gate) {
        gate_pass(n->gate);
    }
    return 0;
}

static void numbered_init(struct numbered *jobs, int count)
{
    memset((void *)jobs, 0, (size_t)count * sizeof *jobs);
    for (int i = 0; i < count; i++) {
        loomp_job_init(&jobs[i].job, numbered_work, NULL);
        jobs[i].worker = -1;
    }
}

/* Whether of jobs[0], jobs[1], ... those of each worker started in this order there. */
static bool each_worker_in_order(const struct numbered *jobs, int count)
{
    int last[MOST_WORKERS];
    for (int i = 0; i < MOST_WORKERS; i++) {
        last[i] = -1;
    }
    for (int i = 0; i < count; i++) {
        int worker = jobs[i].worker;
        if (worker < 0 || worker >= MOST_WORKERS || jobs[i].place <= last[worker]) {
            printf("    job %d: worker %d, number %d there\n", i, worker, jobs[i].place);
            return false;
        }
        last[worker] = jobs[i].place;
    }
    return true;
}

TEST(what_a_plain_thread_submits_starts_in_that_order)
{
    static struct numbered jobs[MANY];
    loomp_runtime *runtime = runtime_under_test();
    for (int held = 0; held < 2; held++) {
        struct gate gate = GATE_INIT;
        struct recorded_job holding[MOST_WORKERS];
        if (held) {
            hold_all_workers(runtime, holding, &gate);
        }
        numbered_init(jobs, MANY);
        for (int i = 0; i < MANY; i++) {
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(each_worker_in_order(jobs, MANY));
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void submit_from_loop(loomp_loop *loop, void *arg)
{
    struct numbered *jobs = arg;
    (void)loop;
    for (int i = 0; i < MANY; i++) {
        CHECK(loomp_submit(loomp_current(), &jobs[i].job) == 0);
    }
}

TEST(what_a_loop_submits_starts_in_that_order)
{
    static struct numbered jobs[MANY];
    loomp_runtime *runtime = runtime_under_test();
    numbered_init(jobs, MANY);
    on_loop(loomp_loop_at(runtime, 0), submit_from_loop, jobs);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(each_worker_in_order(jobs, MANY));
    CHECK(loomp_stop(runtime) == 0);
}

static void *submit_many(void *arg)
{
    struct numbered *jobs = arg;
    for (int i = 0; i < MANY; i++) {
        CHECK(loomp_submit(loomp_default(), &jobs[i].job) == 0);
    }
    return NULL;
}

TEST(of_several_submitters_each_has_its_order)
{
    enum { SUBMITTERS = 3 };
    static struct numbered jobs[SUBMITTERS][MANY];
    loomp_runtime *runtime = runtime_under_test();
    pthread_t threads[SUBMITTERS];
    for (int i = 0; i < SUBMITTERS; i++) {
        numbered_init(jobs[i], MANY);
        pthread_create(&threads[i], NULL, submit_many, jobs[i]);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int i = 0; i < SUBMITTERS; i++) {
        CHECK(each_worker_in_order(jobs[i], MANY));
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- what a job submits -------------------------------------------------------------------------- */

/* A job on a pool of one that submits FEW others. */
static void submit_few(struct numbered *few, uint32_t flags)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    struct numbered parent;
    started_on[0] = 0;
    numbered_init(few, FEW);
    numbered_init(&parent, 1);
    parent.submits = few;
    parent.count = FEW;
    parent.flags = flags;
    CHECK(loomp_submit(runtime, &parent.job) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(on_its_own_worker_what_a_job_submits_starts_newest_first)
{
    static struct numbered few[FEW];
    submit_few(few, 0);
    for (int i = 0; i < FEW; i++) {
        CHECK(few[i].place == FEW - i);
    }
}

TEST(with_FIFO_what_a_job_submits_starts_in_order)
{
    static struct numbered few[FEW];
    submit_few(few, LOOMP_FIFO);
    for (int i = 0; i < FEW; i++) {
        CHECK(few[i].place == 1 + i);
    }
}

/* Two workers: one runs a job that submits FEW others and stays, so that the other takes them. */
static void let_the_other_take(uint32_t flags)
{
    static struct numbered few[FEW];
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate gate = GATE_INIT;
    struct numbered parent;
    loomp_group group;
    loomp_group_init(&group, runtime);
    numbered_init(few, FEW);
    for (int i = 0; i < FEW; i++) {
        few[i].job.group = &group;
    }
    numbered_init(&parent, 1);
    parent.submits = few;
    parent.count = FEW;
    parent.flags = flags;
    parent.gate = &gate;
    CHECK(loomp_submit(runtime, &parent.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(group_ends(&group));
    for (int i = 0; i < FEW; i++) {
        CHECK(few[i].worker == 1 - parent.worker);
    }
    CHECK(each_worker_in_order(few, FEW));
    gate_open(&gate);
    expect_stop(runtime);
}

TEST(another_worker_takes_what_a_job_submitted_oldest_first)
{
    let_the_other_take(0);
}

TEST(another_worker_takes_what_a_job_submitted_with_FIFO_in_order)
{
    let_the_other_take(LOOMP_FIFO);
}

TEST(a_worker_takes_what_its_job_submitted_before_what_came_from_outside)
{
    static struct numbered few[FEW], outside;
    loomp_runtime *runtime = runtime_with(1, NULL);
    struct gate gate = GATE_INIT;
    struct numbered parent;
    started_on[0] = 0;
    numbered_init(few, FEW);
    numbered_init(&parent, 1);
    numbered_init(&outside, 1);
    parent.submits = few;
    parent.count = FEW;
    parent.gate = &gate;
    CHECK(loomp_submit(runtime, &parent.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit(runtime, &outside.job) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(outside.place == FEW + 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_local_backlog_beyond_any_queue_is_run_completely_or_refused)
{
    enum { TOO_MANY = 5000 };
    static struct recorded_job jobs[TOO_MANY];
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"queue_limit", "100", NULL});
    int accepted = 0, works = 0, dones = 0;
    for (int i = 0; i < TOO_MANY; i++) {
        recorded_init(&jobs[i], NULL);
        int err = loomp_submit(runtime, &jobs[i].job);
        CHECK(err == 0 || err == -EAGAIN);
        accepted += err == 0;
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int i = 0; i < TOO_MANY; i++) {
        works += jobs[i].works;
        dones += jobs[i].dones;
    }
    CHECK(works == accepted && dones == accepted && accepted >= 100);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
