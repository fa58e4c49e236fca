/* SPDX-License-Identifier: MIT */
/* One place, one team at a time: every job marks its place as taken while it runs, in each thread of
 * a gang's regions and in each SERIAL job, and finds it free before. Gangs of every width, SERIAL
 * jobs that wait in the middle, gangs that pause. Relief is switched off, because it is the one
 * exception. A wrong order of two stores shows here after some ten thousand meetings. */
#define SUITE "stress places"
#include "../unit/gate.h"

#include "team/pool.h"

#include <errno.h>
#include <omp.h>
#include <stdatomic.h>

enum { PLACES = 1024, WINDOW = 64 };

static struct {
    _Alignas(128) _Atomic int taken;
} places[PLACES];

static _Atomic long violations, finished;
static loomp_pool *compute;

static long jobs_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) / 10 : 100000;
}

static void take(int place)
{
    if (atomic_exchange_explicit(&places[place].taken, 1, memory_order_relaxed)) {
        violations++;
    }
}

static void leave(int place)
{
    atomic_store_explicit(&places[place].taken, 0, memory_order_relaxed);
}

/* A little time on the place, without touching the clock. */
static void dwell(int turns)
{
    for (int i = 0; i < turns; i++) {
        __asm__ volatile("" ::: "memory");
    }
}

static int serial(loomp_job *job)
{
    int place = loomp_thread_index(compute);
    take(place);
    /* Some stay long enough for a gang that should not have begun to come and see. */
    dwell(job->priority ? 60000 : 60);
    leave(place);
    return 0;
}

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

/* Gives its place up in the middle. */
static int serial_that_waits(loomp_job *job)
{
    int place = loomp_thread_index(compute);
    loomp_job child;
    loomp_group group;
    loomp_group_init(&group, loomp_current());
    loomp_job_init(&child, nothing, NULL);
    child.kind = LOOMP_GANG;
    child.group = &group;
    take(place);
    dwell(20);
    leave(place);
    int err = loomp_submit(loomp_current(), &child);
    if (!err) {
        err = loomp_group_wait(&group, -1);
    }
    take(place);
    dwell(20);
    leave(place);
    CHECK(err == 0 || err == -EAGAIN);
    (void)job;
    return 0;
}

static void region(void)
{
#pragma omp parallel
    {
        int place = loomp_thread_index(compute);
        take(place);
        dwell(50);
        leave(place);
    }
}

static int gang(loomp_job *job)
{
    take(0); /* the leader's own */
    dwell(50);
    leave(0);
    region();
    region();
    if ((uintptr_t)job & 64) {
        CHECK(loomp_gang_pause(loomp_current()) >= 0);
        region();
    }
    return 0;
}

static void count(loomp_job *job, int status)
{
    CHECK(status == 0);
    atomic_fetch_add(&finished, 1);
    atomic_store_explicit((_Atomic uint32_t *)job->data, 1, memory_order_release);
}

static void *submitter(void *runtime)
{
    static _Atomic int next_seed;
    unsigned seed = 12345u + 77u * (unsigned)next_seed++;
    loomp_job jobs[WINDOW];
    _Atomic uint32_t free_slots[WINDOW];
    for (int i = 0; i < WINDOW; i++) {
        atomic_init(&free_slots[i], 1);
    }
    long mine = jobs_in_all() / 3;
    for (long i = 0; i < mine; i++) {
        int slot = (int)(i % WINDOW);
        while (!atomic_load_explicit(&free_slots[slot], memory_order_acquire)) {
            sched_yield();
        }
        seed = seed * 1103515245u + 12345u;
        unsigned dice = seed >> 16 & 63;
        loomp_job_init(&jobs[slot], dice < 4 ? gang : dice < 6 ? serial_that_waits : serial, count);
        jobs[slot].kind = dice < 4 ? LOOMP_GANG : LOOMP_SERIAL;
        jobs[slot].width = dice % 4;
        jobs[slot].priority = dice % 8 == 7 ? LOOMP_HIGH : LOOMP_NORMAL;
        jobs[slot].data = &free_slots[slot];
        atomic_store_explicit(&free_slots[slot], 0, memory_order_relaxed);
        CHECK(loomp_submit(runtime, &jobs[slot]) == 0);
        if (seed & 1u << 20) {
            dwell((int)(seed >> 8 & 4095)); /* lets workers run dry now and then */
        }
    }
    for (int i = 0; i < WINDOW; i++) {
        while (!atomic_load_explicit(&free_slots[i], memory_order_acquire)) {
            sched_yield();
        }
    }
    return NULL;
}

static void meet(const char *spin_us)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.relief_us", "1e7",
                                                                 "spin_us", spin_us, NULL});
    if (!runtime) {
        return;
    }
    compute = loomp_pool_named(runtime, "compute");
    violations = finished = 0;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, submitter, runtime);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(violations == 0);
    CHECK(finished == jobs_in_all() / 3 * 3);
}

TEST(no_place_is_used_by_two_threads_where_workers_search)
{
    meet("25");
}

TEST(no_place_is_used_by_two_threads_where_workers_park_at_once)
{
    meet("0");
}

/* The narrowest meeting: a worker wakes up and takes its place in the moment in which the leader
 * claims it. With the worker's store or the leader's out of order, each could miss the other; what
 * comes of it would rarely be seen from outside, because both share a CPU, so the SERIAL job looks
 * inside: while it runs, the leader may have claimed its place but not gone on. */
static int serial_that_looks_inside(loomp_job *job)
{
    unsigned place = (unsigned)loomp_thread_index(compute);
    for (int i = 0; i < 200; i++) {
        unsigned claim = atomic_load(&compute->claim);
        unsigned leader = atomic_load(&compute->gang.cards[0].state);
        if (claim > place && leader == LOOMP_STATE_BUSY) {
            violations++;
            break;
        }
    }
    (void)job;
    return 0;
}

TEST(a_gang_does_not_go_on_while_a_worker_has_just_taken_its_place)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.relief_us", "1e7",
                                                                 "spin_us", "0", NULL});
    if (!runtime) {
        return;
    }
    compute = loomp_pool_named(runtime, "compute");
    violations = 0;
    int workers = loomp_pool_threads(compute);
    long rounds = jobs_in_all() / 5;
    for (long i = 0; i < rounds; i++) {
        enum { SERIALS = 4 };
        loomp_job serials[SERIALS], gang_job;
        loomp_group group;
        loomp_group_init(&group, runtime);
        for (int k = 0; k < SERIALS && k < workers; k++) {
            loomp_job_init(&serials[k], serial_that_looks_inside, NULL);
            serials[k].group = &group;
            CHECK(loomp_submit(runtime, &serials[k]) == 0);
        }
        dwell((int)(i * 37 % 16384));
        loomp_job_init(&gang_job, nothing, NULL);
        gang_job.kind = LOOMP_GANG;
        gang_job.group = &group;
        CHECK(loomp_submit(runtime, &gang_job) == 0);
        /* If this thread keeps a worker's CPU busy, the worker begins when this thread sleeps. */
        dwell((int)(i * 53 % 65536));
        CHECK(loomp_group_wait(&group, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(violations == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
