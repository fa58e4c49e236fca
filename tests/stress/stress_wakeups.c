/* SPDX-License-Identifier: MIT */
/* One thing under way at a time, or nearly, so that every wake-up of the runtime is needed: who
 * brings the next one knows that the last is done, or about to be, and pauses for as long as it
 * takes the other side to fall asleep, or nearly so. A lost wake-up is a hang, which the driver's
 * time limit turns into a failure. LOOMP_TEST_JOBS (default 2 million) sets how many round trips
 * there are. */
#define SUITE "stress wake-ups"
#include "../unit/gate.h"

#include "base/platform.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

static const char *const spins[] = {"0", "1", "25"};

enum { SPINS = 3 };

/* share: so many round trips for each 10000 jobs. */
static long trips(long share)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    long rounds = (text ? atol(text) : 2000000) / 10000 * share;
    return rounds > 0 ? rounds : 1;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* The ways of the other side into its sleep take some hundred nanoseconds, some microseconds
 * through an OpenMP region, or spin_us longer: so pauses of each size, evenly spread. */
static void pause_at_random(unsigned *random, const char *spin_us)
{
    unsigned turns = next_random(random) % 256;
    uint64_t ns = 0;
    switch (next_random(random) % 4) {
    case 0:
        break;
    case 1:
        ns = next_random(random) % 3000;
        break;
    case 2:
        ns = next_random(random) % 20000;
        break;
    default:
        ns = (uint64_t)atoi(spin_us) * 1000 + next_random(random) % 3000;
    }
    for (uint64_t until = ns ? lp_now_ns() + ns : 0; ns && lp_now_ns() < until;) {
        lp_relax();
    }
    for (unsigned i = 0; i < turns; i++) {
        __asm__ volatile("" ::: "memory");
    }
}

static void pause_for(uint64_t ns)
{
    for (uint64_t until = lp_now_ns() + ns; lp_now_ns() < until;) {
        lp_relax();
    }
}

/* A pause that seeks the moment in which the other side falls asleep: it grows by tiny steps as
 * long as what follows is answered quickly, that is by somebody awake, and goes back when the
 * answer takes the time of waking up. So it passes that moment again and again, wherever it is. */
struct aim {
    uint64_t pause_ns;
    uint64_t quick_ns; /* an answer of somebody awake */
    uint64_t asked_at_ns;
    unsigned random;
};

enum { STEP_NS = 40, BACK_NS = 2000, WAKING_NS = 2000, LONGEST_NS = 100000 };

static void pause_and_ask(struct aim *aim)
{
    pause_for(aim->pause_ns);
    aim->asked_at_ns = lp_now_ns();
}

static void answered(struct aim *aim)
{
    uint64_t took = lp_now_ns() - aim->asked_at_ns;
    /* forgets, because the machine may be slower for a while */
    uint64_t quick = aim->quick_ns + aim->quick_ns / 64 + 1;
    aim->quick_ns = aim->quick_ns && quick < took ? quick : took;
    if (took > 2 * aim->quick_ns + WAKING_NS) {
        uint64_t back = next_random(&aim->random) % BACK_NS;
        aim->pause_ns -= back < aim->pause_ns ? back : aim->pause_ns;
    } else {
        aim->pause_ns += next_random(&aim->random) % STEP_NS;
    }
    if (aim->pause_ns > LONGEST_NS) {
        aim->pause_ns = 0;
    }
}

/* Without sleeping, because the time from its end to what follows is what is to be chosen. */
static void wait_for(_Atomic long *count, long value)
{
    for (unsigned turn = 0; atomic_load(count) < value; turn++) {
        if (turn >= 500) {
            sched_yield();
        }
        lp_relax();
    }
}

/* One blocking thread, because a second one that sleeps would be woken in place of the first. */
static loomp_runtime *start_with(int workers, const char *spin_us)
{
    return runtime_with(workers,
                        (const char *const[]){"spin_us", spin_us, "blocking.threads", "1", NULL});
}

static loomp_runtime *start(const char *spin_us)
{
    return start_with(workers_under_test(), spin_us);
}

/* ---- plain threads --------------------------------------------------------------------------- */

struct traveller;

struct ticket {
    loomp_job job;
    struct traveller *traveller;
};

struct traveller {
    struct ticket tickets[2]; /* in turn, because the next trip may begin before the last is over */
    loomp_runtime *runtime;
    loomp_pool *pool;
    const char *spin_us;
    long rounds;
    uint32_t kind;
    bool gangs_too;
    unsigned random;
    struct aim early, late; /* from the beginning of the last work, from its done */
    _Atomic long begun;
    _Atomic long done;
    pthread_t thread;
};

static int use_the_team(void)
{
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    return members > 0 ? 0 : -EINVAL;
}

static int begin_trip(loomp_job *job)
{
    struct traveller *traveller = LOOMP_CONTAINER(job, struct ticket, job)->traveller;
    atomic_fetch_add(&traveller->begun, 1);
    /* so long that a submission can be through before the team looks for the next job */
    pause_for(700);
    return job->kind == LOOMP_GANG ? use_the_team() : 0;
}

static void end_trip(loomp_job *job, int status)
{
    struct traveller *traveller = LOOMP_CONTAINER(job, struct ticket, job)->traveller;
    CHECK(status == 0);
    atomic_fetch_add(&traveller->done, 1);
}

static loomp_job *next_job(struct traveller *traveller, long trip)
{
    struct ticket *ticket = &traveller->tickets[trip % 2];
    ticket->traveller = traveller;
    loomp_job_init(&ticket->job, begin_trip, end_trip);
    ticket->job.pool = traveller->pool;
    ticket->job.kind = traveller->kind;
    if (traveller->gangs_too) {
        ticket->job.kind = next_random(&traveller->random) % 3 ? LOOMP_SERIAL : LOOMP_GANG;
        ticket->job.priority = (int32_t)(next_random(&traveller->random) % 3) - 1;
    }
    return &ticket->job;
}

static bool depart(struct traveller *traveller, long trip)
{
    return CHECK(loomp_submit(traveller->runtime, next_job(traveller, trip)) == 0);
}

static void *travel(void *arg)
{
    struct traveller *traveller = arg;
    for (long i = 0; i < traveller->rounds && depart(traveller, i); i++) {
        wait_for(&traveller->done, i + 1);
        pause_at_random(&traveller->random, traveller->spin_us);
    }
    return NULL;
}

/* The pause before the next trip is aimed. It begins when the last is done, or when its work
 * begins: the team may be asleep again before anybody can act on what is done. */
static void *travel_aimed(void *arg)
{
    struct traveller *traveller = arg;
    struct aim *aim = NULL;
    for (long i = 0; i < traveller->rounds; i++) {
        if (aim) {
            pause_and_ask(aim);
        }
        wait_for(&traveller->done, i - 1); /* the ticket's last trip */
        if (!depart(traveller, i)) {
            return NULL;
        }
        wait_for(&traveller->begun, i + 1);
        if (aim) {
            answered(aim);
        }
        aim = i / 500 % 3 ? &traveller->early : &traveller->late;
        if (aim == &traveller->late) {
            wait_for(&traveller->done, i + 1);
        }
    }
    wait_for(&traveller->done, traveller->rounds);
    return NULL;
}

static void travel_alone(const char *spin_us, const char *pool, uint32_t kind, long rounds)
{
    /* Of several workers another one would be woken in place of the one that was missed. */
    loomp_runtime *runtime = kind == LOOMP_GANG ? start(spin_us) : start_with(1, spin_us);
    struct traveller traveller = {.runtime = runtime,
                                  .pool = loomp_pool_named(runtime, pool),
                                  .spin_us = spin_us,
                                  .kind = kind,
                                  .rounds = rounds};
    travel_aimed(&traveller);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(serial_jobs_of_a_plain_thread_one_at_a_time)
{
    for (int s = 0; s < SPINS; s++) {
        travel_alone(spins[s], "compute", LOOMP_SERIAL, trips(150));
    }
}

TEST(gang_jobs_of_a_plain_thread_one_at_a_time)
{
    for (int s = 0; s < SPINS; s++) {
        travel_alone(spins[s], "compute", LOOMP_GANG, trips(50));
    }
}

TEST(blocking_jobs_of_a_plain_thread_one_at_a_time)
{
    travel_alone("0", "blocking", LOOMP_SERIAL, trips(150));
}

TEST(serial_and_gang_jobs_of_plain_threads_take_places_from_each_other)
{
    enum { TRAVELLERS = 3 };
    for (int s = 0; s < SPINS; s++) {
        loomp_runtime *runtime = start(spins[s]);
        struct traveller travellers[TRAVELLERS];
        for (int i = 0; i < TRAVELLERS; i++) {
            travellers[i] = (struct traveller){.runtime = runtime,
                                               .spin_us = spins[s],
                                               .rounds = trips(15),
                                               .gangs_too = true,
                                               .random = 10 + (unsigned)i};
            pthread_create(&travellers[i].thread, NULL, travel, &travellers[i]);
        }
        for (int i = 0; i < TRAVELLERS; i++) {
            pthread_join(travellers[i].thread, NULL);
        }
        CHECK(loomp_stop(runtime) == 0);
    }
}

/* ---- as many at once as there are workers ---------------------------------------------------- */

/* Jobs that end only when all of them run: as many as workers, so none may be left asleep while a
 * job waits. */
struct meeting {
    _Atomic long arrived;
    _Atomic long done;
    long round;
    long members;
};

struct member {
    loomp_job job;
    struct meeting *meeting;
};

static int meet(loomp_job *job)
{
    struct meeting *meeting = LOOMP_CONTAINER(job, struct member, job)->meeting;
    atomic_fetch_add(&meeting->arrived, 1);
    wait_for(&meeting->arrived, (meeting->round + 1) * meeting->members);
    return 0;
}

static void count_member(loomp_job *job, int status)
{
    CHECK(status == 0);
    atomic_fetch_add(&LOOMP_CONTAINER(job, struct member, job)->meeting->done, 1);
}

TEST(no_worker_sleeps_while_a_job_waits)
{
    enum { MOST = 8 };
    for (int s = 0; s < SPINS; s++) {
        loomp_runtime *runtime = start(spins[s]);
        int width = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
        struct meeting meeting = {.members = width < MOST ? width : MOST};
        struct member members[MOST];
        unsigned random = 20;
        for (long i = 0; i < meeting.members; i++) {
            loomp_job_init(&members[i].job, meet, count_member);
            members[i].meeting = &meeting;
        }
        for (long rounds = trips(30); meeting.round < rounds; meeting.round++) {
            for (long i = 0; i < meeting.members; i++) {
                CHECK(loomp_submit(runtime, &members[i].job) == 0);
                if (next_random(&random) % 4 == 0) {
                    pause_at_random(&random, spins[s]);
                }
            }
            wait_for(&meeting.done, (meeting.round + 1) * meeting.members);
            pause_at_random(&random, spins[s]);
        }
        CHECK(loomp_stop(runtime) == 0);
    }
}

/* ---- loops ----------------------------------------------------------------------------------- */

/* A job that goes round between its loop and the team. */
struct commuter {
    loomp_job job;
    loomp_runtime *runtime;
    loomp_loop *loop;
    long rounds;
    bool gangs_too;
    unsigned random;
    struct aim at_team, at_loop;
};

static int work_a_little(loomp_job *job)
{
    struct commuter *commuter = LOOMP_CONTAINER(job, struct commuter, job);
    answered(&commuter->at_team);
    int result = job->kind == LOOMP_GANG ? use_the_team() : 0;
    pause_and_ask(&commuter->at_loop);
    return result;
}

static void go_again(struct commuter *commuter)
{
    if (commuter->rounds-- > 0) {
        if (commuter->gangs_too) {
            commuter->job.kind = next_random(&commuter->random) % 2 ? LOOMP_GANG : LOOMP_SERIAL;
        }
        pause_and_ask(&commuter->at_team);
        CHECK(loomp_submit(commuter->runtime, &commuter->job) == 0);
    }
}

static void arrive_on_loop(loomp_job *job, int status)
{
    struct commuter *commuter = LOOMP_CONTAINER(job, struct commuter, job);
    answered(&commuter->at_loop);
    CHECK(status == 0 && loomp_loop_here() == commuter->loop);
    go_again(commuter);
}

static void set_out(loomp_loop *loop, void *arg)
{
    struct commuter *commuter = arg;
    commuter->loop = loop;
    go_again(commuter);
}

static void commute(bool gangs_too, long rounds)
{
    for (int s = 0; s < SPINS; s++) {
        loomp_runtime *runtime = start(spins[s]);
        struct commuter commuter = {.runtime = runtime,
                                    .rounds = rounds,
                                    .gangs_too = gangs_too,
                                    .random = 30};
        loomp_job_init(&commuter.job, work_a_little, arrive_on_loop);
        CHECK(loomp_post(loomp_loop_at(runtime, 0), set_out, &commuter) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(commuter.rounds == -1);
        CHECK(loomp_stop(runtime) == 0);
    }
}

TEST(serial_jobs_of_a_loop_one_at_a_time)
{
    commute(false, trips(25));
}

TEST(serial_and_gang_jobs_of_a_loop_one_at_a_time)
{
    commute(true, trips(25));
}

static void count_post(loomp_loop *loop, void *arg)
{
    (void)loop;
    atomic_fetch_add((_Atomic long *)arg, 1);
}

TEST(posts_of_a_plain_thread_one_at_a_time)
{
    loomp_runtime *runtime = start("0");
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    _Atomic long posted = 0;
    struct aim aim = {0};
    for (long i = 0, rounds = trips(100); i < rounds; i++) {
        pause_and_ask(&aim);
        if (!CHECK(loomp_post(loop, count_post, (void *)&posted) == 0)) {
            break;
        }
        wait_for(&posted, i + 1);
        answered(&aim);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int count_call(void *arg)
{
    atomic_fetch_add((_Atomic long *)arg, 1);
    return 0;
}

TEST(wait_idle_after_each_job)
{
    loomp_runtime *runtime = start("1");
    _Atomic long calls = 0;
    unsigned random = 50;
    for (long i = 0, rounds = trips(60); i < rounds; i++) {
        CHECK(loomp_call(runtime, count_call, (void *)&calls, NULL, NULL) == 0);
        pause_at_random(&random, "1");
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        if (!CHECK(atomic_load(&calls) == i + 1)) {
            break; /* it said idle too early */
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct idler {
    loomp_runtime *runtime;
    long rounds;
    unsigned random;
    pthread_t thread;
};

static void *call_and_wait(void *arg)
{
    struct idler *idler = arg;
    _Atomic long calls = 0;
    for (long i = 0; i < idler->rounds; i++) {
        CHECK(loomp_call(idler->runtime, count_call, (void *)&calls, NULL, NULL) == 0);
        CHECK(loomp_wait_idle(idler->runtime, -1) == 0);
        if (!CHECK(atomic_load(&calls) == i + 1)) {
            break; /* what this thread itself had brought was not done */
        }
        pause_at_random(&idler->random, "0");
    }
    return NULL;
}

TEST(wait_idle_of_several_threads_sees_each_ones_jobs)
{
    enum { IDLERS = 3 };
    loomp_runtime *runtime = start("0");
    struct idler idlers[IDLERS];
    for (int i = 0; i < IDLERS; i++) {
        idlers[i] =
            (struct idler){.runtime = runtime, .rounds = trips(40), .random = 60 + (unsigned)i};
        pthread_create(&idlers[i].thread, NULL, call_and_wait, &idlers[i]);
    }
    for (int i = 0; i < IDLERS; i++) {
        pthread_join(idlers[i].thread, NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* A family: the parent submits children to its group and waits for them on its own thread, which
 * has to run them itself if there is nobody else. */
struct family {
    loomp_job parent;
    loomp_job children[2];
    loomp_job grandchild;
    loomp_group group;
    loomp_group inner;
    loomp_runtime *runtime;
    unsigned random;
    _Atomic long ran;
    _Atomic long done;
};

static int be_grandchild(loomp_job *job)
{
    atomic_fetch_add(&LOOMP_CONTAINER(job, struct family, grandchild)->ran, 1);
    return 0;
}

/* One more job of the same group, when the parent is perhaps asleep already. */
static int be_child(loomp_job *job)
{
    struct family *family = job->data;
    atomic_fetch_add(&family->ran, 1);
    if (job == &family->children[0]) {
        pause_at_random(&family->random, "0");
        CHECK(loomp_submit(family->runtime, &family->grandchild) == 0);
    }
    return 0;
}

static int be_parent(loomp_job *job)
{
    struct family *family = LOOMP_CONTAINER(job, struct family, parent);
    long before = atomic_load(&family->ran);
    for (int i = 0; i < 2; i++) {
        CHECK(loomp_submit(family->runtime, &family->children[i]) == 0);
    }
    CHECK(loomp_group_wait(&family->group, -1) == 0);
    CHECK(atomic_load(&family->ran) == before + 3);
    return 0;
}

static void count_parent(loomp_job *job, int status)
{
    CHECK(status == 0);
    atomic_fetch_add(&LOOMP_CONTAINER(job, struct family, parent)->done, 1);
}

static void raise_families(uint32_t parent_kind, uint32_t child_kind, long rounds)
{
    for (int s = 0; s < SPINS; s++) {
        loomp_runtime *runtime = start(spins[s]);
        struct family family = {.runtime = runtime, .random = 70};
        unsigned random = 71;
        loomp_group_init(&family.group, runtime);
        loomp_job_init(&family.parent, be_parent, count_parent);
        family.parent.kind = parent_kind;
        for (int i = 0; i < 2; i++) {
            loomp_job_init(&family.children[i], be_child, NULL);
            family.children[i].kind = i ? LOOMP_SERIAL : child_kind;
            family.children[i].group = &family.group;
            family.children[i].data = &family;
        }
        loomp_job_init(&family.grandchild, be_grandchild, NULL);
        family.grandchild.kind = child_kind;
        family.grandchild.group = &family.group;
        for (long i = 0; i < rounds; i++) {
            CHECK(loomp_submit(runtime, &family.parent) == 0);
            wait_for(&family.done, i + 1);
            pause_at_random(&random, spins[s]);
        }
        CHECK(loomp_stop(runtime) == 0);
        loomp_group_fini(&family.group);
    }
}

TEST(serial_parents_wait_for_serial_children)
{
    raise_families(LOOMP_SERIAL, LOOMP_SERIAL, trips(25));
}

TEST(serial_parents_wait_for_gang_children)
{
    raise_families(LOOMP_SERIAL, LOOMP_GANG, trips(10));
}

TEST(gang_parents_wait_for_serial_children)
{
    raise_families(LOOMP_GANG, LOOMP_SERIAL, trips(10));
}

TEST(gang_parents_wait_for_gang_children)
{
    raise_families(LOOMP_GANG, LOOMP_GANG, trips(10));
}

static int region(void *arg)
{
    _Atomic long *count = arg;
#pragma omp parallel
    {
#pragma omp master
        atomic_fetch_add(count, 1);
    }
    return 0;
}

struct installer {
    loomp_runtime *runtime;
    long rounds;
    unsigned random;
    pthread_t thread;
};

static void *install_again(void *arg)
{
    struct installer *installer = arg;
    _Atomic long count = 0;
    for (long i = 0; i < installer->rounds; i++) {
        CHECK(loomp_install(installer->runtime, region, (void *)&count) == 0);
        if (!CHECK(atomic_load(&count) == i + 1)) {
            break;
        }
        pause_at_random(&installer->random, "1");
    }
    return NULL;
}

TEST(installs_of_two_plain_threads)
{
    enum { THREADS = 2 };
    loomp_runtime *runtime = start("1");
    struct installer installers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        installers[i] =
            (struct installer){.runtime = runtime, .rounds = trips(20), .random = 80 + (unsigned)i};
        pthread_create(&installers[i].thread, NULL, install_again, &installers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(installers[i].thread, NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
