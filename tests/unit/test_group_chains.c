/* SPDX-License-Identifier: MIT */
/* Chains of jobs that wait for each other: a job of one kind waits for a job of another, which waits
 * for a third, and so on. Each step holds until the one above is asleep, so that what it submits comes
 * when nobody but a waiting thread can run it. A chain that does not come to its end is a hang, which
 * the driver's limit ends. */
#define SUITE "group chains"
#include "gate.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#include <sys/syscall.h>

enum { MOST_THREADS = 256 };

static const char *const quick_relief[] = {"gang.relief_us", "100", NULL};

static int this_tid(void)
{
    return (int)syscall(SYS_gettid);
}

static bool is_paused(loomp_runtime *runtime, int tid)
{
    struct loomp_thread_info threads[2 * MOST_THREADS];
    int count = loomp_threads(runtime, threads, 2 * MOST_THREADS);
    for (int i = 0; i < count && i < 2 * MOST_THREADS; i++) {
        if (threads[i].tid == tid) {
            return threads[i].state == LOOMP_STATE_PAUSED;
        }
    }
    return false;
}

/* ---- one chain ----------------------------------------------------------------------------------- */

enum { LONGEST = 4 };

/* S: SERIAL, G: GANG, B: SERIAL in the pool for blocking work, I: install */
struct step {
    loomp_job job;
    struct chain *chain;
    int index;
    _Atomic int tid; /* of the thread that runs it, 0 before */
    int result;
};

struct chain {
    loomp_runtime *runtime;
    const char *kinds;
    int workers;
    struct step steps[LONGEST];
};

/* Whether a thread begins step `index` though the step above it is still awake, and all before that
 * wait. A GANG does not: it needs the places of those that are awake. */
static bool starts_by_itself(const struct chain *chain, int index)
{
    int workers = chain->workers;
    for (int i = 0; i < index; i++) {
        workers -= chain->kinds[i] == 'S';
    }
    return chain->kinds[index] == 'B' || (chain->kinds[index] == 'S' && workers > 0);
}

static void wait_for_parent_to_sleep(struct step *step)
{
    struct chain *chain = step->chain;
    if (step->index == 0 || chain->kinds[step->index - 1] == 'B') {
        return; /* these say nothing of their sleep */
    }
    int parent = chain->steps[step->index - 1].tid;
    while (parent != this_tid() && !is_paused(chain->runtime, parent)) {
        sched_yield();
    }
}

static int run_step(struct step *step);

static int step_work(loomp_job *job)
{
    return run_step(LOOMP_CONTAINER(job, struct step, job));
}

static int step_installed(void *arg)
{
    return run_step(arg);
}

static int wait_for_step(struct step *step, bool starts_first)
{
    struct chain *chain = step->chain;
    char kind = chain->kinds[step->index];
    if (kind == 'I') {
        return loomp_install(chain->runtime, step_installed, step);
    }
    loomp_group group;
    loomp_group_init(&group, chain->runtime);
    loomp_job_init(&step->job, step_work, NULL);
    step->job.group = &group;
    step->job.kind = kind == 'G' ? LOOMP_GANG : LOOMP_SERIAL;
    CHECK((kind == 'B' ? loomp_submit_blocking : loomp_submit)(chain->runtime, &step->job) == 0);
    while (starts_first && !step->tid) {
        sched_yield();
    }
    return loomp_group_wait(&group, -1);
}

static int run_step(struct step *step)
{
    struct chain *chain = step->chain;
    step->tid = this_tid();
    wait_for_parent_to_sleep(step);
    int next = step->index + 1;
    if (!chain->kinds[next]) {
        return -1000;
    }
    int result = wait_for_step(&chain->steps[next], starts_by_itself(chain, next));
    return result ? result - 1 : 0;
}

/* The error of the last step comes up, one less at each. */
static void run_chain(loomp_runtime *runtime, const char *kinds)
{
    struct chain chain = {.runtime = runtime, .kinds = kinds};
    chain.workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    int length = (int)strlen(kinds);
    for (int i = 0; i < LONGEST; i++) {
        chain.steps[i].chain = &chain;
        chain.steps[i].index = i;
    }
    int result = wait_for_step(&chain.steps[0], false);
    if (!CHECK(result == -1000 - (length - 1))) {
        printf("    in the chain %s\n", kinds);
    }
}

static void run_all_chains(int length)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), quick_relief);
    if (!runtime) {
        return;
    }
    static const char letters[] = "SGBI";
    for (int number = 0; number < 1 << 2 * length; number++) {
        char kinds[LONGEST + 2] = "";
        for (int i = 0; i < length; i++) {
            kinds[i] = letters[number >> 2 * i & 3];
        }
        run_chain(runtime, kinds);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_gang_waits_for_a_serial_job_that_waits_for_a_gang)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), quick_relief);
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 10; round++) {
        run_chain(runtime, "GSG");
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_serial_job_in_a_gang_installs)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), quick_relief);
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 10; round++) {
        run_chain(runtime, "GSI");
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(every_chain_of_two_ends)
{
    run_all_chains(2);
}

TEST(every_chain_of_three_ends)
{
    run_all_chains(3);
}

TEST(every_chain_of_four_ends)
{
    run_all_chains(4);
}

/* ---- a wait below others on one stack --------------------------------------------------------------
 *
 * The GANG waits for A, which runs on a worker and waits for B, which that worker runs on top of it
 * and which waits for a GANG. Only the leader can run that, who knows of A. */
struct stacked {
    loomp_runtime *runtime;
    loomp_job gang, a, b, last;
    loomp_group of_a, of_b, of_last;
    struct gate a_started;
    _Atomic int leader, worker;
    bool b_was_on_top;
    _Atomic int lasts;
};

static int count_last(loomp_job *job)
{
    atomic_fetch_add(&LOOMP_CONTAINER(job, struct stacked, last)->lasts, 1);
    return 0;
}

static int stacked_b(loomp_job *job)
{
    struct stacked *s = LOOMP_CONTAINER(job, struct stacked, b);
    s->b_was_on_top = s->worker == this_tid();
    loomp_group_init(&s->of_last, s->runtime);
    loomp_job_init(&s->last, count_last, NULL);
    s->last.kind = LOOMP_GANG;
    s->last.group = &s->of_last;
    while (s->b_was_on_top && !is_paused(s->runtime, s->leader)) {
        sched_yield();
    }
    CHECK(loomp_submit(s->runtime, &s->last) == 0);
    return loomp_group_wait(&s->of_last, -1);
}

static int stacked_a(loomp_job *job)
{
    struct stacked *s = LOOMP_CONTAINER(job, struct stacked, a);
    s->worker = this_tid();
    gate_arrive(&s->a_started);
    while (!is_paused(s->runtime, s->leader)) {
        sched_yield();
    }
    loomp_group_init(&s->of_b, s->runtime);
    loomp_job_init(&s->b, stacked_b, NULL);
    s->b.group = &s->of_b;
    CHECK(loomp_submit(s->runtime, &s->b) == 0);
    return loomp_group_wait(&s->of_b, -1);
}

static int stacked_gang(loomp_job *job)
{
    struct stacked *s = LOOMP_CONTAINER(job, struct stacked, gang);
    s->leader = this_tid();
    loomp_group_init(&s->of_a, s->runtime);
    loomp_job_init(&s->a, stacked_a, NULL);
    s->a.group = &s->of_a;
    CHECK(loomp_submit(s->runtime, &s->a) == 0);
    gate_wait_for_arrivals(&s->a_started, 1);
    return loomp_group_wait(&s->of_a, -1);
}

TEST(a_wait_on_top_of_another_is_seen_by_who_waits_for_the_job_at_the_bottom)
{
    loomp_runtime *runtime = runtime_with(1, quick_relief);
    if (!runtime) {
        return;
    }
    int on_top = 0;
    for (int round = 0; round < 50; round++) {
        struct stacked s = {.runtime = runtime};
        gate_init(&s.a_started);
        loomp_job_init(&s.gang, stacked_gang, NULL);
        s.gang.kind = LOOMP_GANG;
        CHECK(loomp_submit(runtime, &s.gang) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(s.lasts == 1);
        on_top += s.b_was_on_top;
    }
    CHECK(on_top > 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- no unrelated job is run meanwhile ------------------------------------------------------------- */

static _Atomic int strangers;

static int stranger_work(loomp_job *job)
{
    (void)job;
    atomic_fetch_add(&strangers, 1);
    return 0;
}

struct apart {
    loomp_job gang, serial, child, stranger;
    loomp_group group, below;
    loomp_runtime *runtime;
    struct gate started;
    int strangers_inside;
    _Atomic int leader;
};

static int apart_child(loomp_job *job)
{
    struct apart *self = LOOMP_CONTAINER(job, struct apart, child);
    self->strangers_inside += strangers;
    return 0;
}

static int apart_serial(loomp_job *job)
{
    struct apart *self = LOOMP_CONTAINER(job, struct apart, serial);
    gate_arrive(&self->started);
    while (!is_paused(self->runtime, self->leader)) {
        sched_yield();
    }
    loomp_group_init(&self->below, self->runtime);
    loomp_job_init(&self->child, apart_child, NULL);
    self->child.kind = LOOMP_GANG;
    self->child.group = &self->below;
    CHECK(loomp_submit(self->runtime, &self->child) == 0);
    return loomp_group_wait(&self->below, -1);
}

static int apart_gang(loomp_job *job)
{
    struct apart *self = LOOMP_CONTAINER(job, struct apart, gang);
    self->leader = this_tid();
    loomp_job_init(&self->stranger, stranger_work, NULL);
    self->stranger.kind = LOOMP_GANG;
    CHECK(loomp_submit(self->runtime, &self->stranger) == 0);
    loomp_group_init(&self->group, self->runtime);
    loomp_job_init(&self->serial, apart_serial, NULL);
    self->serial.group = &self->group;
    CHECK(loomp_submit(self->runtime, &self->serial) == 0);
    gate_wait_for_arrivals(&self->started, 1);
    int err = loomp_group_wait(&self->group, -1);
    self->strangers_inside += strangers;
    return err;
}

TEST(a_leader_that_waits_runs_the_gang_that_it_waits_for_and_not_the_one_before_it)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), quick_relief);
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 20; round++) {
        struct apart self = {.runtime = runtime};
        strangers = 0;
        gate_init(&self.started);
        loomp_job_init(&self.gang, apart_gang, NULL);
        self.gang.kind = LOOMP_GANG;
        CHECK(loomp_submit(runtime, &self.gang) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(self.strangers_inside == 0);
        CHECK(strangers == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- trees ----------------------------------------------------------------------------------------- */

enum { TREES = 16, DEPTH = 8, MANY_CHILDREN_DOWN_TO = 3 };

struct node {
    loomp_job job;
    loomp_runtime *runtime;
    int depth;
    int mixed; /* every so manieth level is of GANGs; 0: none */
};

static _Atomic int nodes;

static int node_work(loomp_job *job)
{
    struct node *node = LOOMP_CONTAINER(job, struct node, job);
    atomic_fetch_add(&nodes, 1);
    if (node->depth == DEPTH) {
        return 0;
    }
    loomp_group group;
    loomp_group_init(&group, node->runtime);
    struct node children[3];
    int count = node->depth < MANY_CHILDREN_DOWN_TO ? 3 : 1;
    for (int i = 0; i < count; i++) {
        children[i] = (struct node){
            .runtime = node->runtime, .depth = node->depth + 1, .mixed = node->mixed};
        loomp_job_init(&children[i].job, node_work, NULL);
        children[i].job.group = &group;
        bool is_gang = node->mixed && (node->depth + i) % node->mixed == 0;
        children[i].job.kind = is_gang ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(node->runtime, &children[i].job) == 0);
    }
    return loomp_group_wait(&group, -1);
}

static void grow_trees(int mixed)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), quick_relief);
    if (!runtime) {
        return;
    }
    static struct node roots[TREES];
    static loomp_group groups[TREES];
    atomic_store(&nodes, 0);
    for (int i = 0; i < TREES; i++) {
        roots[i] = (struct node){.runtime = runtime, .depth = 1, .mixed = mixed};
        loomp_group_init(&groups[i], runtime);
        loomp_job_init(&roots[i].job, node_work, NULL);
        roots[i].job.group = &groups[i];
        CHECK(loomp_submit(runtime, &roots[i].job) == 0);
    }
    for (int i = 0; i < TREES; i++) {
        CHECK(loomp_group_wait(&groups[i], -1) == 0);
    }
    /* 1 + 3 + 9, and 9 on each level below */
    CHECK(nodes == TREES * (1 + 3 + 9 * (DEPTH - 2)));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(of_16_groups_nested_8_deep_every_job_waits_for_its_children)
{
    grow_trees(0);
}

TEST(gangs_among_the_serial_jobs_of_the_trees_do_not_hold_them_up)
{
    grow_trees(5);
}

TEST(every_second_level_of_the_trees_may_be_of_gangs)
{
    grow_trees(2);
}

/* ---- through a job that starts after a group ------------------------------------------------------ */

struct detour {
    loomp_job job, first, second;
    loomp_group before, after;
    uint32_t kind; /* of `first`, which nobody waits for but by way of `second` */
    int status;
};

static int run_nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static int take_detour(loomp_job *job)
{
    struct detour *detour = LOOMP_CONTAINER(job, struct detour, job);
    loomp_runtime *runtime = loomp_current();
    loomp_group_init(&detour->before, runtime);
    loomp_group_init(&detour->after, runtime);
    loomp_job_init(&detour->first, run_nothing, NULL);
    loomp_job_init(&detour->second, run_nothing, NULL);
    detour->first.kind = detour->kind;
    detour->first.group = &detour->before;
    detour->second.group = &detour->after;
    CHECK(loomp_submit(runtime, &detour->first) == 0);
    CHECK(loomp_group_then(&detour->before, &detour->second) == 0);
    detour->status = loomp_group_wait(&detour->after, -1);
    return 0;
}

static void take_detours(uint32_t outer, uint32_t inner)
{
    enum { AT_ONCE = 8 };
    loomp_runtime *runtime = runtime_with(workers_under_test(), quick_relief);
    static struct detour detours[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        loomp_job_init(&detours[i].job, take_detour, NULL);
        detours[i].job.kind = outer;
        detours[i].kind = inner;
        detours[i].status = -1;
        CHECK(loomp_submit(runtime, &detours[i].job) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < AT_ONCE; i++) {
        CHECK(detours[i].status == 0);
    }
}

TEST(every_worker_may_wait_for_a_job_that_starts_after_one_that_nobody_waits_for)
{
    take_detours(LOOMP_SERIAL, LOOMP_SERIAL);
}

TEST(a_tasks_job_may_wait_for_a_job_that_starts_after_another_tasks_job)
{
    take_detours(LOOMP_TASKS, LOOMP_TASKS);
}

TEST(a_gang_may_wait_for_a_job_that_starts_after_another_gang)
{
    take_detours(LOOMP_GANG, LOOMP_GANG);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
