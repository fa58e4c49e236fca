/* SPDX-License-Identifier: MIT */
/* The gang team: whole regions on the pinned places, one job at a time, beside the task team. */
#define SUITE "gang"
#include "gate.h"

#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

enum { MOST = 64 };

static int wait_for_job(loomp_runtime *runtime, loomp_job *job)
{
    int err = loomp_submit(runtime, job);
    return err ? err : loomp_wait_idle(runtime, -1);
}

struct view {
    int threads;
    char names[MOST][16];
    int cpus[MOST];     /* the CPU of its mask, -1 if there are several */
    int index[MOST];
};

static int lone_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    if (CPU_COUNT(&set) != 1) {
        return -1;
    }
    int cpu = 0;
    while (!CPU_ISSET(cpu, &set)) {
        cpu++;
    }
    return cpu;
}

static int look_around(loomp_job *job)
{
    struct view *view = job->data;
#pragma omp parallel
    {
        int i = omp_get_thread_num();
#pragma omp single
        view->threads = omp_get_num_threads();
        if (i < MOST) {
            pthread_getname_np(pthread_self(), view->names[i], 16);
            view->cpus[i] = lone_cpu();
            view->index[i] = loomp_thread_index(loomp_pool_named(loomp_current(), "compute"));
        }
    }
    return 0;
}

TEST(a_gang_has_the_whole_team_on_the_planned_places)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    struct loomp_thread_info threads[3 * MOST];
    int count = loomp_threads(runtime, threads, 3 * MOST);
    for (int round = 0; round < 20; round++) {
        static struct view view;
        loomp_job job;
        loomp_job_init(&job, look_around, NULL);
        job.kind = LOOMP_GANG;
        job.data = &view;
        CHECK(wait_for_job(runtime, &job) == 0);
        CHECK(view.threads == workers);
        for (int i = 0; i < view.threads && i < MOST; i++) {
            char name[16];
            snprintf(name, sizeof name, "loomp-gang-%04d", i);
            CHECK_TEXT(view.names[i], name);
            CHECK(view.index[i] == i);
            for (int k = 0; k < count && k < 3 * MOST; k++) {
                if (threads[k].role == LOOMP_THREAD_GANG && strcmp(threads[k].name, name) == 0) {
                    CHECK(view.cpus[i] == threads[k].cpu && threads[k].cpu >= 0);
                }
            }
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int count_threads(loomp_job *job)
{
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    *(int *)job->data = members;
    return 0;
}

TEST(a_gangs_width_is_the_size_of_its_regions)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    for (int round = 0; round < 30; round++) {
        int members = 0;
        loomp_job job;
        loomp_job_init(&job, count_threads, NULL);
        job.kind = LOOMP_GANG;
        job.width = (uint32_t)round % 4;
        job.data = &members;
        CHECK(wait_for_job(runtime, &job) == 0);
        CHECK(members == (job.width == 1 ? 1 : 2));
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- one place, one team ------------------------------------------------------------------------- */

static _Atomic int gangs_inside, serials_inside, overlaps;

static int exclusive_gang(loomp_job *job)
{
    (void)job;
    overlaps += atomic_fetch_add(&gangs_inside, 1) != 0 || atomic_load(&serials_inside) != 0;
#pragma omp parallel
    {
        if (atomic_load(&serials_inside)) {
            overlaps++;
        }
    }
    overlaps += atomic_load(&serials_inside) != 0;
    atomic_fetch_sub(&gangs_inside, 1);
    return 0;
}

static int exclusive_serial(loomp_job *job)
{
    (void)job;
    atomic_fetch_add(&serials_inside, 1);
    if (atomic_load(&gangs_inside)) {
        overlaps++;
    }
    atomic_fetch_sub(&serials_inside, 1);
    return 0;
}

TEST(without_relief_a_place_is_never_used_by_both_teams)
{
    /* A relief that never comes within the test. */
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.relief_us", "1e7", NULL});
    static loomp_job jobs[4000];
    gangs_inside = serials_inside = overlaps = 0;
    for (int i = 0; i < 4000; i++) {
        bool gang = i % 20 == 0;
        loomp_job_init(&jobs[i], gang ? exclusive_gang : exclusive_serial, NULL);
        jobs[i].kind = gang ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(overlaps == 0);
}

static int gang_at_gate(loomp_job *job)
{
    gate_pass(job->data);
    return 0;
}

static int quick(loomp_job *job)
{
    (void)job;
    return 0;
}

TEST(serial_jobs_are_answered_while_a_gang_holds_all_places)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate gate = GATE_INIT;
    loomp_job gang, serial[20];
    loomp_job_init(&gang, gang_at_gate, NULL);
    gang.kind = LOOMP_GANG;
    gang.data = &gate;
    CHECK(loomp_submit(runtime, &gang) == 0);
    gate_wait_for_arrivals(&gate, 1);
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++) {
            loomp_job_init(&serial[i], quick, NULL);
            serial[i].group = &group;
            CHECK(loomp_submit(runtime, &serial[i]) == 0);
        }
        CHECK(loomp_group_wait(&group, 30) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(serial_jobs_that_wait_when_a_gang_begins_are_answered_too)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    struct gate first = GATE_INIT, second = GATE_INIT;
    loomp_job blocker, gang, serial[20];
    loomp_job_init(&blocker, gang_at_gate, NULL);
    blocker.data = &first;
    CHECK(loomp_submit(runtime, &blocker) == 0);
    gate_wait_for_arrivals(&first, 1);
    loomp_job_init(&gang, gang_at_gate, NULL);
    gang.kind = LOOMP_GANG;
    gang.data = &second;
    CHECK(loomp_submit(runtime, &gang) == 0);
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int i = 0; i < 20; i++) {
        loomp_job_init(&serial[i], quick, NULL);
        serial[i].group = &group;
        CHECK(loomp_submit(runtime, &serial[i]) == 0);
    }
    gate_open(&first);
    gate_wait_for_arrivals(&second, 1);
    CHECK(loomp_group_wait(&group, 30) == 0);
    gate_open(&second);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_narrow_gang_leaves_the_other_places_to_serial_jobs)
{
    loomp_runtime *runtime =
        runtime_with(2, (const char *const[]){"gang.relief_us", "1e7", NULL});
    struct gate gate = GATE_INIT;
    loomp_job gang, serial;
    loomp_job_init(&gang, gang_at_gate, NULL);
    gang.kind = LOOMP_GANG;
    gang.width = 1;
    gang.data = &gate;
    CHECK(loomp_submit(runtime, &gang) == 0);
    gate_wait_for_arrivals(&gate, 1);
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int i = 0; i < 100; i++) {
        loomp_job_init(&serial, quick, NULL);
        serial.group = &group;
        CHECK(loomp_submit(runtime, &serial) == 0);
        CHECK(loomp_group_wait(&group, 9) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- install and pause --------------------------------------------------------------------------- */

static int installed(void *arg)
{
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    *(int *)arg = members;
    return 42;
}

TEST(install_runs_a_function_on_the_team_and_returns_its_result)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (int i = 0; i < 100; i++) {
        int members = 0;
        CHECK(loomp_install(runtime, installed, &members) == 42);
        CHECK(members == workers);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void *install_often(void *runtime)
{
    for (int i = 0; i < 200; i++) {
        int members = 0;
        CHECK(loomp_install(runtime, installed, &members) == 42 && members >= 1);
    }
    return NULL;
}

TEST(several_plain_threads_install_at_once)
{
    loomp_runtime *runtime = runtime_under_test();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, install_often, runtime);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct paused {
    loomp_job job;
    loomp_runtime *runtime;
    struct gate *gate;
    _Atomic int *served;
    int seen_after_pause;
    int waiting;
    int empty_pause;
};

static int pause_once(loomp_job *job)
{
    struct paused *paused = LOOMP_CONTAINER(job, struct paused, job);
    gate_pass(paused->gate);
    paused->waiting = loomp_gang_pause(paused->runtime);
    paused->seen_after_pause = atomic_load(paused->served);
    paused->empty_pause = loomp_gang_pause(paused->runtime);
    int members = 0;
#pragma omp parallel reduction(+ : members)
    {
        members += 1;
#pragma omp single
        CHECK(loomp_gang_pause(paused->runtime) == -EPERM);
    }
    return members;
}

static int serve(loomp_job *job)
{
    atomic_fetch_add((_Atomic int *)job->data, 1);
    return 0;
}

TEST(a_gang_that_pauses_lets_the_waiting_serial_jobs_run)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.relief_us", "1e7", NULL});
    struct gate gate = GATE_INIT;
    _Atomic int served = 0;
    struct paused paused = {.runtime = runtime, .gate = &gate, .served = &served};
    loomp_job_init(&paused.job, pause_once, NULL);
    paused.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &paused.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    static loomp_job serial[50];
    for (int i = 0; i < 50; i++) {
        loomp_job_init(&serial[i], serve, NULL);
        serial[i].data = &served;
        CHECK(loomp_submit(runtime, &serial[i]) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(paused.waiting == 50);
    CHECK(paused.seen_after_pause == 50);
    CHECK(paused.empty_pause == 0);
    CHECK(loomp_gang_pause(runtime) == -EPERM);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- OpenMP inside a gang ------------------------------------------------------------------------ */

static int private_to_thread;
#pragma omp threadprivate(private_to_thread)

/* A function of its own, which tests/data/thread-sanitizer.supp names. */
__attribute__((noinline)) static int count_tasks(void)
{
    int tasks = 0;
#pragma omp parallel
#pragma omp single
    for (int i = 0; i < 50; i++) {
#pragma omp task shared(tasks)
        {
#pragma omp atomic
            tasks += 1;
        }
    }
    return tasks;
}

static int regions_after_regions(loomp_job *job)
{
    int bad = 0;
#pragma omp parallel
    private_to_thread = omp_get_thread_num() + 1;
    for (int i = 0; i < 100; i++) {
        long sum = 0;
#pragma omp parallel for reduction(+ : sum) schedule(static)
        for (int k = 0; k < 1000; k++) {
            sum += k;
        }
        bad += sum != 499500;
    }
#pragma omp parallel reduction(+ : bad)
    bad += private_to_thread != omp_get_thread_num() + 1;
    bad += count_tasks() != 50;
    (void)job;
    return bad ? -EIO : 0;
}

static void expect_success(loomp_job *job, int status)
{
    (void)job;
    CHECK(status == 0);
}

TEST(regions_reductions_tasks_and_threadprivate_work_inside_a_gang)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int i = 0; i < 20; i++) {
        loomp_job job;
        loomp_job_init(&job, regions_after_regions, expect_success);
        job.kind = LOOMP_GANG;
        CHECK(wait_for_job(runtime, &job) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
