/* SPDX-License-Identifier: MIT */
/* OpenMP codes as jobs beside each other: who runs at the same time as whom, and that the kernels
 * of examples/kernels give their answers whatever runs beside them. Threads that must be there at
 * the same time meet at a gate. */
#define SUITE "kernels as jobs"
#include "patience.h"

#include "../../examples/kernels/kernels.h"

#include <errno.h>

/* A relief that never comes within the test. */
static const char *const no_relief[] = {"gang.relief_us", "1e7", NULL};

/* Submits so many SERIAL jobs, one after the other, each of which has to be done; the place that all of
 * them ran on, -1 if there were several. */
static int place_of_serial_jobs(loomp_runtime *runtime, int count)
{
    struct recorded_job serial;
    loomp_group group;
    int place = -2;
    CHECK(loomp_group_init(&group, runtime) == 0);
    for (int i = 0; i < count; i++) {
        recorded_init(&serial, NULL);
        serial.job.group = &group;
        if (!CHECK(loomp_submit(runtime, &serial.job) == 0) ||
            !CHECK(loomp_group_wait(&group, 30) == 0)) {
            return -1;
        }
        place = i == 0 || place == serial.work_index ? serial.work_index : -1;
    }
    return place;
}

/* ---- TASKS ----------------------------------------------------------------------------------- */

/* A TASKS job whose children wait at a gate, so that as many threads as children are in them when
 * they have all arrived. */
struct children {
    struct recorded_job recorded; /* first: its done is that of a recorded job */
    int count;
    pthread_t thread[MOST_WORKERS];
    struct gate *gate;
};

static int create_by_tasks(loomp_job *job)
{
    struct children *c = LOOMP_CONTAINER(job, struct children, recorded.job);
    atomic_fetch_add(&c->recorded.works, 1);
    for (int i = 0; i < c->count; i++) {
#pragma omp task firstprivate(c, i)
        {
            c->thread[i] = pthread_self();
            gate_pass(c->gate);
        }
    }
#pragma omp taskwait
    return 0;
}

static void submit_children(loomp_runtime *runtime, struct children *c, int count, unsigned width,
                            struct gate *gate)
{
    recorded_init(&c->recorded, NULL);
    c->recorded.job.work = create_by_tasks;
    c->recorded.job.kind = LOOMP_TASKS;
    c->recorded.job.width = width;
    c->count = count;
    c->gate = gate;
    if (!CHECK(loomp_submit(runtime, &c->recorded.job) == 0)) {
        fprintf(stderr, "%s\n", loomp_error());
        for (int i = 0; i < count; i++) {
            gate_arrive(gate); /* nobody else will */
        }
    }
}

TEST(children_of_a_tasks_job_are_on_two_threads_while_serial_jobs_are_answered_by_relief)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate gate = GATE_INIT;
    struct children c;
    submit_children(runtime, &c, 2, 0, &gate);
    gate_wait_for_arrivals(&gate, 2);
    for (int round = 0; round < 5; round++) {
        place_of_serial_jobs(runtime, 10);
    }
    CHECK(c.recorded.works == 1 && c.recorded.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(c.recorded.dones == 1 && c.recorded.status == 0);
    CHECK(!pthread_equal(c.thread[0], c.thread[1]));
}

TEST(a_tasks_job_of_width_two_leaves_the_third_place_to_serial_jobs)
{
    loomp_runtime *runtime = runtime_with(3, no_relief);
    struct gate gate = GATE_INIT;
    struct children c;
    submit_children(runtime, &c, 2, 2, &gate);
    gate_wait_for_arrivals(&gate, 2);
    CHECK(place_of_serial_jobs(runtime, 20) == 2);
    CHECK(c.recorded.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(c.recorded.dones == 1);
    CHECK(!pthread_equal(c.thread[0], c.thread[1]));
}

TEST(a_tasks_job_of_width_one_leaves_the_second_place_to_serial_jobs)
{
    loomp_runtime *runtime = runtime_with(2, no_relief);
    struct gate gate = GATE_INIT;
    struct children c;
    submit_children(runtime, &c, 1, 1, &gate);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(place_of_serial_jobs(runtime, 20) == 1);
    CHECK(c.recorded.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(c.recorded.dones == 1);
}

/* Both wait when the region begins: one that came later would begin when the first ends. */
TEST(children_of_two_tasks_jobs_meet)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate gate = GATE_INIT, held = GATE_INIT;
    struct children c[2];
    struct recorded_job gang;
    hold_gang_team(runtime, &gang, &held);
    submit_children(runtime, &c[0], 1, 0, &gate);
    submit_children(runtime, &c[1], 1, 0, &gate);
    gate_open(&held);
    gate_wait_for_arrivals(&gate, 2);
    place_of_serial_jobs(runtime, 10);
    CHECK(c[0].recorded.dones == 0 && c[1].recorded.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(c[0].recorded.dones == 1 && c[1].recorded.dones == 1);
}

/* ---- GANG ------------------------------------------------------------------------------------ */

/* A GANG whose region waits at a gate. */
static int region_at_gate(loomp_job *job)
{
    struct recorded_job *r = LOOMP_CONTAINER(job, struct recorded_job, job);
#pragma omp parallel
    gate_pass(r->gate);
    return 0;
}

TEST(a_narrow_gang_leaves_its_second_place_to_serial_jobs_that_end_before_it)
{
    loomp_runtime *runtime = runtime_with(2, no_relief);
    struct gate gate = GATE_INIT;
    struct recorded_job gang;
    recorded_init(&gang, &gate);
    gang.job.work = region_at_gate;
    gang.job.kind = LOOMP_GANG;
    gang.job.width = 1;
    CHECK(loomp_submit(runtime, &gang.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(place_of_serial_jobs(runtime, 100) == 1);
    CHECK(gang.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(gang.dones == 1 && gang.status == 0);
}

TEST(serial_jobs_are_answered_while_a_region_of_a_gang_is_on_all_places)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate gate = GATE_INIT;
    struct recorded_job gang;
    recorded_init(&gang, &gate);
    gang.job.work = region_at_gate;
    gang.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &gang.job) == 0);
    gate_wait_for_arrivals(&gate, 2);
    place_of_serial_jobs(runtime, 10);
    CHECK(gang.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(gang.dones == 1);
}

/* ---- the kernels ----------------------------------------------------------------------------- */

struct kernel_job {
    loomp_job job;
    kernel_fn *function;
    struct kernel_result result;
};

static int call_kernel(loomp_job *job)
{
    struct kernel_job *k = LOOMP_CONTAINER(job, struct kernel_job, job);
    return k->function('S', &k->result);
}

static void submit_kernel(loomp_runtime *runtime, struct kernel_job *k, uint32_t kind,
                          kernel_fn *function, loomp_group *group)
{
    memset((void *)k, 0, sizeof *k);
    loomp_job_init(&k->job, call_kernel, NULL);
    k->job.kind = kind;
    k->job.group = group;
    k->function = function;
    CHECK(loomp_submit(runtime, &k->job) == 0);
}

TEST(each_kernel_gives_its_answer_as_every_kind_of_job_at_the_same_time)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (const struct kernel *kernel = kernels; kernel->name; kernel++) {
        struct kernel_job k[4];
        loomp_group group;
        CHECK(loomp_group_init(&group, runtime) == 0);
        submit_kernel(runtime, &k[0], LOOMP_SERIAL, kernel->region, &group);
        submit_kernel(runtime, &k[1], LOOMP_SERIAL, kernel->tasks, &group);
        submit_kernel(runtime, &k[2], LOOMP_TASKS, kernel->tasks, &group);
        submit_kernel(runtime, &k[3], LOOMP_GANG, kernel->region, &group);
        CHECK(loomp_group_wait(&group, -1) == 0);
        for (int i = 0; i < 4; i++) {
            if (!CHECK(k[i].result.verified)) {
                printf("    %s, kind %u: %s\n", kernel->name, k[i].job.kind, k[i].result.text);
            }
            CHECK(k[i].result.threads == (k[i].job.kind == LOOMP_SERIAL ? 1 : workers));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
