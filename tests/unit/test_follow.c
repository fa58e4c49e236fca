/* SPDX-License-Identifier: MIT */
/* Living with change: a pool that may use fewer places than it has, and the thread that follows the
 * limits of a recorded machine whose files the test rewrites. */
#define SUITE "follow"
#include "gate.h"

#include "base/futex.h"
#include "base/log.h"
#include "runtime/runtime.h"

#include <fcntl.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORKERS = 3,
    JOBS = 64
};

/* Three workers, also where there are fewer CPUs; nothing follows but what the test starts. */
static loomp_runtime *three_workers(void)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "compute.threads", "3") == 0);
    CHECK(loomp_config_set(config, "follow", "false") == 0);
    loomp_runtime *runtime = NULL;
    CHECK(loomp_start(&runtime, config) == 0);
    loomp_config_free(config);
    return runtime;
}

static struct loomp_pool *compute(void)
{
    return lp_process.parts.compute;
}

/* ---- the limit of a pool --------------------------------------------------------------------- */

struct crowd {
    loomp_job jobs[JOBS];
    _Atomic int by_worker[WORKERS];
    _Atomic int widest; /* region of a gang */
};

static int note_worker(loomp_job *job)
{
    struct crowd *crowd = job->data;
    int index = loomp_thread_index(loomp_pool_named(loomp_current(), "compute"));
    atomic_fetch_add(&crowd->by_worker[index], 1);
    return 0;
}

static int note_width(loomp_job *job)
{
    struct crowd *crowd = job->data;
#pragma omp parallel
#pragma omp single
    atomic_store(&crowd->widest, omp_get_num_threads());
    return 0;
}

static void run_crowd(loomp_runtime *runtime, struct crowd *crowd)
{
    memset((void *)crowd, 0, sizeof *crowd);
    for (int i = 0; i < JOBS; i++) {
        loomp_job_init(&crowd->jobs[i], note_worker, NULL);
        crowd->jobs[i].data = crowd;
        CHECK(loomp_submit(runtime, &crowd->jobs[i]) == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
}

static int width_of_a_gang(loomp_runtime *runtime, struct crowd *crowd)
{
    loomp_job_init(&crowd->jobs[0], note_width, NULL);
    crowd->jobs[0].kind = LOOMP_GANG;
    crowd->jobs[0].data = crowd;
    CHECK(loomp_submit(runtime, &crowd->jobs[0]) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    return atomic_load(&crowd->widest);
}

TEST(a_limited_pool_uses_its_first_places_only)
{
    static struct crowd crowd;
    loomp_runtime *runtime = three_workers();
    lp_pool_set_limit(compute(), 1);
    run_crowd(runtime, &crowd);
    CHECK(atomic_load(&crowd.by_worker[0]) == JOBS);
    CHECK(width_of_a_gang(runtime, &crowd) == 1);
    lp_pool_set_limit(compute(), 2);
    run_crowd(runtime, &crowd);
    CHECK(atomic_load(&crowd.by_worker[2]) == 0);
    CHECK(width_of_a_gang(runtime, &crowd) == 2);
    lp_pool_set_limit(compute(), 3);
    CHECK(width_of_a_gang(runtime, &crowd) == 3);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_limit_stays_between_one_and_all)
{
    loomp_runtime *runtime = three_workers();
    lp_pool_set_limit(compute(), 0);
    CHECK(lp_pool_limit(compute()) == 1);
    lp_pool_set_limit(compute(), 1000);
    CHECK(lp_pool_limit(compute()) == WORKERS);
    CHECK(loomp_stop(runtime) == 0);
}

struct held {
    loomp_job job;
    struct gate *gate;
};

static int hold(loomp_job *job)
{
    gate_pass(LOOMP_CONTAINER(job, struct held, job)->gate);
    return 0;
}

/* Three jobs that wait for each other need three workers: they run together only when the limit has
 * been raised again, although nobody submits anything after that. */
TEST(raising_the_limit_wakes_workers_for_what_waits)
{
    struct gate gate = GATE_INIT;
    struct held jobs[WORKERS];
    loomp_runtime *runtime = three_workers();
    lp_pool_set_limit(compute(), 1);
    for (int i = 0; i < WORKERS; i++) {
        loomp_job_init(&jobs[i].job, hold, NULL);
        jobs[i].gate = &gate;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    gate_wait_for_arrivals(&gate, 1);
    CHECK(gate.arrived == 1);
    lp_pool_set_limit(compute(), WORKERS);
    gate_wait_for_arrivals(&gate, WORKERS);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

struct chain {
    loomp_job waiting;  /* on compute, for a job of the pool `blocking` ... */
    loomp_job blocking; /* ... which waits for another one of compute */
    loomp_job last;
    loomp_runtime *runtime;
};

static int do_nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static void wait_for_one(struct chain *chain, loomp_job *job)
{
    loomp_group group;
    CHECK(loomp_group_init(&group, chain->runtime) == 0);
    job->group = &group;
    job->data = chain;
    CHECK(loomp_submit(chain->runtime, job) == 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    loomp_group_fini(&group);
}

static int wait_for_last(loomp_job *job)
{
    struct chain *chain = job->data;
    loomp_job_init(&chain->last, do_nothing, NULL);
    wait_for_one(chain, &chain->last);
    return 0;
}

static int wait_for_blocking(loomp_job *job)
{
    struct chain *chain = job->data;
    loomp_job_init(&chain->blocking, wait_for_last, NULL);
    chain->blocking.pool = loomp_pool_named(chain->runtime, "blocking");
    wait_for_one(chain, &chain->blocking);
    return 0;
}

/* A job that waits uses no CPU, so the limit does not hold the next place back from what it waits
 * for. */
TEST(with_a_limit_of_one_a_job_may_wait_for_another)
{
    struct chain chain = {.runtime = three_workers()};
    lp_pool_set_limit(compute(), 1);
    loomp_job_init(&chain.waiting, wait_for_blocking, NULL);
    chain.waiting.data = &chain;
    CHECK(loomp_submit(chain.runtime, &chain.waiting) == 0);
    CHECK(loomp_wait_idle(chain.runtime, -1) == 0);
    CHECK(loomp_stop(chain.runtime) == 0);
}

/* ---- following ------------------------------------------------------------------------------- */

static char root[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    /* Replaced as a whole: the follower must not read half of it. */
    char next[272];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    if (CHECK(file != NULL)) {
        fputs(text, file);
        CHECK(fclose(file) == 0);
        CHECK(rename(next, path) == 0);
    }
}

static void record_machine(void)
{
    snprintf(root, sizeof root, "/tmp/loomp-follow-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    write_file("proc/self/cgroup", "0::/job\n");
    write_file("proc/self/mountinfo",
               "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    write_file("sys/fs/cgroup/job/cpu.max", "max 100000\n");
}

static void forget_machine(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    CHECK(system(command) == 0);
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t logged = PTHREAD_COND_INITIALIZER;
static int changes;
static int losses;
static int returns;

static void note_log(void *arg, int level, const char *line)
{
    (void)arg;
    (void)level;
    pthread_mutex_lock(&log_lock);
    changes += strstr(line, "limits of this process have changed") != NULL;
    losses += strstr(line, "has been taken away") != NULL;
    returns += strstr(line, "is back") != NULL;
    pthread_cond_broadcast(&logged);
    pthread_mutex_unlock(&log_lock);
}

static void wait_for(const int *what, int count)
{
    pthread_mutex_lock(&log_lock);
    while (*what < count) {
        pthread_cond_wait(&logged, &log_lock);
    }
    pthread_mutex_unlock(&log_lock);
}

/* The threads of the test stay where they are: the CPUs of the recorded machine are not ours. */
static void bind_nobody(void *arg, const lp_cpuset *allowed)
{
    (void)arg;
    (void)allowed;
}

struct following {
    loomp_runtime *runtime;
    struct lp_follower *follower;
    _Atomic uint32_t stirred;
    struct gate busy; /* a job is kept running: without work nobody looks */
    struct held job;
};

static void begin_following(struct following *following)
{
    *following = (struct following){.busy = GATE_INIT};
    changes = losses = returns = 0;
    record_machine();
    following->runtime = three_workers();
    lp_log_set_level(LOOMP_LOG_INFO);
    loomp_set_log(note_log, NULL);
    loomp_job_init(&following->job.job, hold, NULL);
    following->job.gate = &following->busy;
    CHECK(loomp_submit(following->runtime, &following->job.job) == 0);
    gate_wait_for_arrivals(&following->busy, 1);
    atomic_store(&following->stirred, 1);
    struct lp_parts *parts = &lp_process.parts;
    CHECK(lp_follow_start(&following->follower,
                          &(struct lp_follow_options){
                              .config = parts->config,
                              .root = root,
                              .topology = &parts->survey.topology,
                              .plan = &parts->plan,
                              .rank = NULL,
                              .pool = parts->compute,
                              .bind_again = bind_nobody,
                              .period_ns = 1000000,
                          },
                          &following->stirred) == 0);
}

static void end_following(struct following *following)
{
    gate_open(&following->busy);
    CHECK(loomp_wait_idle(following->runtime, -1) == 0);
    lp_follow_stop(following->follower);
    CHECK(loomp_stop(following->runtime) == 0);
    loomp_set_log(NULL, NULL);
    forget_machine();
}

TEST(a_quota_that_changes_changes_the_number_of_workers)
{
    struct following following;
    begin_following(&following);
    unsigned others = lp_process.parts.plan.budget_of_others;
    CHECK(lp_pool_limit(compute()) == WORKERS);
    char quota[64];
    snprintf(quota, sizeof quota, "%u 100000\n", (2 + others) * 100000);
    write_file("sys/fs/cgroup/job/cpu.max", quota);
    wait_for(&changes, 1);
    CHECK(lp_pool_limit(compute()) == 2);
    write_file("sys/fs/cgroup/job/cpu.max", "50000 100000\n");
    wait_for(&changes, 2);
    CHECK(lp_pool_limit(compute()) == 1);
    write_file("sys/fs/cgroup/job/cpu.max", "max 100000\n");
    wait_for(&changes, 3);
    CHECK(lp_pool_limit(compute()) == WORKERS);
    end_following(&following);
}

TEST(a_cpu_that_is_taken_away_is_reported_and_its_return_too)
{
    struct following following;
    begin_following(&following);
    /* No CPU of this machine, so every place is lost. */
    write_file("sys/fs/cgroup/job/cpuset.cpus.effective", "1000000\n");
    wait_for(&losses, WORKERS);
    write_file("sys/fs/cgroup/job/cpuset.cpus.effective", "0-99999\n");
    wait_for(&returns, WORKERS);
    end_following(&following);
}

TEST(without_work_nobody_looks)
{
    struct following following;
    begin_following(&following);
    gate_open(&following.busy);
    CHECK(loomp_wait_idle(following.runtime, -1) == 0);
    while (atomic_load(&following.stirred)) {
        sched_yield();
    }
    write_file("sys/fs/cgroup/job/cpu.max", "50000 100000\n");
    CHECK(lp_pool_limit(compute()) == WORKERS);
    atomic_store(&following.stirred, 1);
    lp_futex_wake(&following.stirred, 1);
    wait_for(&changes, 1);
    CHECK(lp_pool_limit(compute()) == 1);
    end_following(&following);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
