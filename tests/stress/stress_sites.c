/* SPDX-License-Identifier: MIT */
/* A few sites used from everywhere at once: two loops, an attached one, plain threads, jobs, the body
 * of scopes, while others read what is known of them and jobs are cancelled. Each job is counted once,
 * each done too, and the figures of the sites are those of the jobs in the end. The number of jobs is
 * LOOMP_TEST_JOBS (default 60 thousand in all; a sanitizer takes longer for them). */
#define SUITE "stress sites"
#include "../unit/site_jobs.h"

#include <errno.h>
#include <ev.h>
#include <sched.h>
#include <stdatomic.h>

enum { SITES = 5, LOOPS = 2, PLAIN = 2, SOURCES = LOOPS + 1 + PLAIN, WINDOW = 64 };

static loomp_site sites[SITES] = {
    LOOMP_SITE("stress: short", LOOMP_HINT_UNKNOWN), LOOMP_SITE("stress: mixed", LOOMP_HINT_LOW),
    LOOMP_SITE("stress: sized", LOOMP_HINT_MEDIUM),  LOOMP_SITE("stress: long", LOOMP_HINT_HIGH),
    LOOMP_SITE("stress: inline", LOOMP_HINT_UNKNOWN)};

static long jobs_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) : 60000;
}

/* SplitMix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* What was submitted, and what became of it. Added to by all threads (relaxed: read when all is over). */
static struct {
    _Atomic uint64_t submitted, refused, works, dones, cancelled, expired, wrong;
    _Atomic uint64_t of_site[SITES]; /* decisions that were asked for */
    _Atomic uint64_t inlined;        /* works that ran inside their submission */
    _Atomic bool over;
} counted;

static void add(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

struct source;

struct counted_job {
    loomp_job job;
    struct source *source;
    int site;
    unsigned spin;  /* steps of work */
    bool spawns;
    _Atomic int free; /* 1: the source may use it; set by done (release), seen by the source */
    int works;
};

/* One that submits, from a thread of its own or on a loop. */
struct source {
    loomp_runtime *runtime;
    uint64_t random;
    long left;
    loomp_group group;
    struct counted_job jobs[WINDOW];
    ev_timer timer;       /* on a loop */
    loomp_loop *loop;
    struct gate over;
};

static _Thread_local const loomp_job *submitting;

static int count_work(loomp_job *job)
{
    struct counted_job *self = LOOMP_CONTAINER(job, struct counted_job, job);
    self->works++;
    add(&counted.works);
    if (submitting == job) {
        add(&counted.inlined);
    }
    for (unsigned i = 0; i < self->spin && !loomp_cancelled(); i++) {
        atomic_signal_fence(memory_order_seq_cst); /* a step */
    }
    if (job->kind == LOOMP_GANG) {
        int members = 0;
#pragma omp parallel reduction(+ : members)
        members += 1;
        if (members < 1 || (job->width && members > (int)job->width)) {
            add(&counted.wrong);
        }
    }
    if (self->spawns) {
        loomp_decision decision;
        struct source *source = self->source;
        if (loomp_choose(source->runtime, &sites[self->site], job->size, &decision) == 0) {
            add(&counted.of_site[self->site]);
            loomp_finish(&decision);
        }
    }
    return 0;
}

static void count_done(loomp_job *job, int status)
{
    struct counted_job *self = LOOMP_CONTAINER(job, struct counted_job, job);
    add(&counted.dones);
    if (status == -ECANCELED) {
        add(&counted.cancelled);
    } else if (status == -ETIMEDOUT) {
        add(&counted.expired);
    } else if (status != 0) {
        add(&counted.wrong);
    }
    if (self->works != (status == 0) || submitting == job) {
        add(&counted.wrong);
    }
    atomic_store_explicit(&self->free, 1, memory_order_release);
}

static void prepare(struct source *source, struct counted_job *self)
{
    uint64_t random = next_random(&source->random);
    uint32_t kind = random % 16 == 0 ? LOOMP_GANG : random % 16 == 1 ? LOOMP_TASKS : LOOMP_SERIAL;
    loomp_job_init(&self->job, count_work, count_done);
    self->source = source;
    self->works = 0;
    self->site = (int)(random >> 8 & 0xff) % SITES;
    self->spawns = (random >> 16 & 7) == 0;
    self->job.kind = kind;
    self->job.width = (uint32_t)(random >> 20 & 3);
    self->job.site = &sites[self->site];
    self->job.size = random >> 24 & 0xfff;
    self->job.group = (random >> 55 & 7) == 0 ? &source->group : NULL;
    self->job.hint = random >> 37 & 3;
    self->job.flags = (random >> 39 & 15) == 0 ? LOOMP_MAY_WAIT : 0;
    self->job.home = random >> 43 & 1 ? loomp_loop_at(source->runtime, random >> 44 & 1) : NULL;
    self->job.deadline_s = (random >> 45 & 31) == 0 ? 1e-6 : 0;
    switch (self->site) {
    case 0: self->spin = 10; break;
    case 1: self->spin = (random >> 50 & 31) == 0 ? 200000 : 20; break;
    case 2: self->spin = (unsigned)self->job.size; break;
    case 3: self->spin = 60000; break;
    default: self->spin = 100; break;
    }
}

static struct counted_job *free_job(struct source *source)
{
    for (int i = 0; i < WINDOW; i++) {
        if (atomic_load_explicit(&source->jobs[i].free, memory_order_acquire)) {
            return &source->jobs[i];
        }
    }
    return NULL;
}

/* False: nothing is free now. */
static bool submit_one(struct source *source)
{
    struct counted_job *self = free_job(source);
    if (!self) {
        return false;
    }
    prepare(source, self);
    atomic_store_explicit(&self->free, 0, memory_order_relaxed);
    const loomp_job *outer = submitting;
    submitting = &self->job;
    int site = self->site;
    int err = loomp_submit(source->runtime, &self->job);
    submitting = outer; /* the job may be done already */
    if (err) {
        add(&counted.refused);
        atomic_store_explicit(&self->free, 1, memory_order_relaxed);
    } else {
        add(&counted.submitted);
        add(&counted.of_site[site]);
    }
    source->left--;
    if (next_random(&source->random) % 512 == 0) {
        loomp_group_cancel(&source->group);
    }
    return true;
}

static void source_init(struct source *source, loomp_runtime *runtime, int seed, long jobs)
{
    memset((void *)source, 0, sizeof *source);
    source->runtime = runtime;
    source->random = (uint64_t)seed * 1000003u;
    source->left = jobs;
    loomp_group_init(&source->group, runtime);
    gate_init(&source->over);
    for (int i = 0; i < WINDOW; i++) {
        atomic_store_explicit(&source->jobs[i].free, 1, memory_order_relaxed);
    }
}

/* ---- sources --------------------------------------------------------------------------------- */

static void *submit_from_a_thread(void *arg)
{
    struct source *source = arg;
    while (source->left > 0) {
        if (!submit_one(source)) {
            sched_yield();
        }
    }
    gate_arrive(&source->over);
    return NULL;
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    struct source *source = timer->data;
    for (int i = 0; i < 16 && source->left > 0 && submit_one(source); i++) {
    }
    if (source->left <= 0) {
        ev_timer_stop(ev, timer);
        gate_arrive(&source->over);
    }
}

static void submit_from_a_loop(loomp_loop *loop, void *arg)
{
    struct source *source = arg;
    source->loop = loop;
    ev_timer_init(&source->timer, on_timer, 0., 1e-6);
    source->timer.data = source;
    ev_timer_start(loomp_loop_ev(loop), &source->timer);
}

static void *submit_from_an_attached_loop(void *arg)
{
    struct source *source = arg;
    struct ev_loop *ev = ev_loop_new(0);
    loomp_loop *loop;
    if (CHECK(loomp_attach(source->runtime, ev, &loop) == 0)) {
        submit_from_a_loop(loop, source);
        ev_run(ev, 0);
        CHECK(loomp_detach(loop) == 0);
    }
    ev_loop_destroy(ev);
    return NULL;
}

static void look_at_stats(const struct loomp_site_stats *stats, void *arg)
{
    (void)arg;
    if (stats->calls != stats->inlined + stats->tasks + stats->teams) {
        add(&counted.wrong);
    }
}

static void look_at_call(const struct loomp_call *call, void *arg)
{
    (void)arg;
    if (strncmp(call->site, "stress: ", 8) != 0 || call->arm < LOOMP_INLINE ||
        call->arm > LOOMP_TEAM || !(call->cost_s >= 0) || !(call->wait_s >= 0)) {
        add(&counted.wrong);
    }
}

/* Reads all there is while it changes. */
static void *read_all(void *runtime)
{
    FILE *out = fopen("/dev/null", "w");
    while (out && !atomic_load(&counted.over)) {
        loomp_sites_each(look_at_stats, NULL);
        loomp_trace_read(runtime, look_at_call, NULL);
        for (int i = 0; i < SITES; i++) {
            loomp_site_describe(&sites[i], out);
        }
        sched_yield();
    }
    if (out) {
        fclose(out);
    }
    return NULL;
}

TEST(every_job_of_a_site_is_done_once_and_counted_once)
{
    static struct source sources[SOURCES];
    pin_site(&sites[4], LOOMP_INLINE, 0);
    loomp_runtime *runtime = runtime_with_sites(
        (const char *const[]){"io.threads", "2", "adaptive.trace", "64", NULL});
    pthread_t threads[SOURCES], reader;
    pthread_create(&reader, NULL, read_all, runtime);
    for (int i = 0; i < SOURCES; i++) {
        source_init(&sources[i], runtime, i + 1, jobs_in_all() / SOURCES);
        if (i < LOOPS) {
            CHECK(loomp_post(loomp_loop_at(runtime, i), submit_from_a_loop, &sources[i]) == 0);
        } else {
            pthread_create(&threads[i], NULL,
                           i == LOOPS ? submit_from_an_attached_loop : submit_from_a_thread,
                           &sources[i]);
        }
    }
    for (int i = 0; i < SOURCES; i++) {
        gate_wait_for_arrivals(&sources[i].over, 1);
        if (i >= LOOPS) {
            pthread_join(threads[i], NULL);
        }
    }
    CHECK(loomp_wait_idle(runtime, 120) == 0);
    CHECK(loomp_stop(runtime) == 0);
    atomic_store(&counted.over, true);
    pthread_join(reader, NULL);
    CHECK(counted.wrong == 0);
    CHECK(counted.submitted + counted.refused == (uint64_t)(jobs_in_all() / SOURCES) * SOURCES);
    CHECK(counted.dones == counted.submitted);
    CHECK(counted.works + counted.cancelled + counted.expired == counted.dones);
    CHECK(counted.inlined > 0 && counted.inlined < counted.works);
    uint64_t inlined = 0;
    for (int i = 0; i < SITES; i++) {
        struct loomp_site_stats stats = stats_of(&sites[i]);
        CHECK(stats.calls == stats.inlined + stats.tasks + stats.teams);
        /* Threads without a loop that choose at the same moment go uncounted, all but one. */
        CHECK(stats.calls > 0 && stats.calls <= counted.of_site[i] + counted.refused);
        inlined += stats.inlined;
        for (uint32_t m = 0; m < stats.model_count; m++) {
            CHECK(stats.models[m].samples > 0 && stats.models[m].deviation >= 0);
            CHECK(loomp_site_model_cost(&stats.models[m], 100) > 0);
        }
    }
    /* Of the calls that were placed inline some did not run: they were late or cancelled. */
    CHECK(inlined >= counted.inlined);
    printf("    %llu jobs, %llu inline, %llu cancelled, %llu late\n",
           (unsigned long long)counted.submitted, (unsigned long long)counted.inlined,
           (unsigned long long)counted.cancelled, (unsigned long long)counted.expired);
    for (int i = 0; i < SOURCES; i++) {
        loomp_group_fini(&sources[i].group);
    }
}

/* ---- strikes --------------------------------------------------------------------------------- */

enum { STRIKE_ROUNDS = 30, AFTER = 99 };

struct striker {
    loomp_site *site;
    double cost_s;
    int calls, inlined;
};

static void call_it(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct striker *striker = arg;
    striker->inlined = 0;
    for (int i = 0; i < striker->calls; i++) {
        striker->inlined += declare_call(striker->site, 64, striker->cost_s, NULL) == LOOMP_INLINE;
    }
}

TEST(a_strike_on_one_loop_is_heard_on_the_other_before_its_next_call)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"io.threads", "2",
                                                                 "adaptive.io_weight", "0", NULL});
    static loomp_site site = LOOMP_SITE("strikes across", LOOMP_HINT_LOW);
    struct striker cheap = {.site = &site, .cost_s = 1e-7, .calls = 1};
    struct striker strike = {.site = &site, .cost_s = 3e-3, .calls = 1};
    struct striker after = {.site = &site, .cost_s = 1e-7, .calls = AFTER};
    uint64_t strikes = 0;
    for (int round = 0; round < STRIKE_ROUNDS; round++) {
        loomp_loop *here = loomp_loop_at(runtime, round % 2);
        loomp_loop *there = loomp_loop_at(runtime, 1 - round % 2);
        for (int i = 0; i < 3000; i++) { /* until it is believed again */
            on_loop(here, call_it, &cheap);
            on_loop(there, call_it, &cheap);
            if (i > 200 && cheap.inlined) {
                break;
            }
        }
        CHECK(cheap.inlined == 1);
        on_loop(here, call_it, &strike);
        strikes += (uint64_t)strike.inlined;
        if (strike.inlined) {
            on_loop(there, call_it, &after);
            CHECK(after.inlined == 0);
            on_loop(here, call_it, &after);
            CHECK(after.inlined == 0);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(strikes > STRIKE_ROUNDS / 2);
    CHECK(stats_of(&site).strikes == strikes);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
