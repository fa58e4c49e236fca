/* SPDX-License-Identifier: MIT */
/* What happens without memory, threads, descriptors or a system call's success: the n-th of them
 * fails inside start, some work and stop, for n = 1, 2, ... until none does. Each time either all
 * works, or a call says so with a sentence, nothing is left behind, and the next start works. */
#define SUITE "faults"
#include "../unit/gate.h"
#include "faults.h"
#include "leftovers.h"

#include "base/object_pool.h"

#include <ev.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void arm(enum fault kind, long n)
{
    atomic_store(&fault_hits, 0);
    atomic_store(&fault_countdown[kind], n);
}

/* Whether a call has failed since arm. */
static bool disarm(void)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        atomic_store(&fault_countdown[kind], 0);
    }
    return atomic_load(&fault_hits) > 0;
}

/* Leaves a sentence that no failing start leaves, so that a missing one shows. */
static void leave_other_sentence(void)
{
    CHECK(loomp_start(NULL, NULL) == -EINVAL);
    CHECK(strstr(loomp_error(), "place for the runtime") != NULL);
}

static bool said_why(void)
{
    return CHECK(loomp_error()[0] != '\0') &&
           CHECK(strstr(loomp_error(), "place for the runtime") == NULL);
}

static loomp_config *config_under_test(void)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set_int(config, "compute.threads", workers_under_test()) == 0);
    CHECK(loomp_config_set_int(config, "io.threads", 2) == 0);
    CHECK(loomp_config_set_int(config, "blocking.threads", 2) == 0);
    CHECK(loomp_config_set_int(config, "queue_limit", 64) == 0);
    /* that a thread cannot be bound is a warning, not an error */
    CHECK(loomp_config_set(config, "log.level", "none") == 0);
    return config;
}

/* ---- some work ------------------------------------------------------------------------------- */

static _Atomic long works, dones;

static int count_work(loomp_job *job)
{
    atomic_fetch_add(&works, 1);
    if (job->kind == LOOMP_GANG) {
#pragma omp parallel
        atomic_thread_fence(memory_order_relaxed);
    }
    return 0;
}

static void count_done(loomp_job *job, int status)
{
    (void)job;
    CHECK(status == 0);
    atomic_fetch_add(&dones, 1);
}

static int count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&works, 1);
    return 0;
}

static void count_result(void *arg, int result)
{
    (void)arg;
    CHECK(result == 0);
    atomic_fetch_add(&dones, 1);
}

static void count_post(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    atomic_fetch_add(&works, 1);
    atomic_fetch_add(&dones, 1);
}

static void count_group(loomp_group *group, int status, void *arg)
{
    (void)group;
    count_result(arg, status);
    atomic_fetch_add(&works, 1);
}

static void call_at_exit(loomp_loop *loop, void *arg)
{
    count_post(loop, arg);
}

/* Accepted, or refused for a reason that lack of something can have. */
static bool accepted(int err)
{
    CHECK(err == 0 || err == -ENOMEM || err == -EAGAIN || err == -EMFILE);
    return err == 0;
}

/* Submits never allocate but for the first thread of the blocking pool; calls, posts and
 * attachments may fail. Whatever was accepted is done. */
static void work_on(loomp_runtime *runtime)
{
    loomp_job jobs[3];
    loomp_group group;
    long expected = 0;
    atomic_store(&works, 0);
    atomic_store(&dones, 0);
    CHECK(loomp_group_init(&group, runtime) == 0);
    for (int i = 0; i < 3; i++) {
        loomp_job_init(&jobs[i], count_work, count_done);
        jobs[i].group = &group;
    }
    jobs[1].kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &jobs[0]) == 0);
    CHECK(loomp_submit(runtime, &jobs[1]) == 0);
    expected += 2;
    leave_other_sentence();
    int err = loomp_submit_blocking(runtime, &jobs[2]);
    expected += accepted(err) || !said_why();
    loomp_loop *loop = loomp_loop_at(runtime, 1);
    leave_other_sentence();
    err = loomp_group_notify(&group, loop, count_group, NULL);
    expected += accepted(err) || !said_why();
    leave_other_sentence();
    err = loomp_call(runtime, count_call, NULL, count_result, NULL);
    expected += accepted(err) || !said_why();
    leave_other_sentence();
    err = loomp_post(loop, count_post, NULL);
    expected += accepted(err) || !said_why();
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(atomic_load(&works) == expected && atomic_load(&dones) == expected);
    loomp_group_fini(&group);
}

static void work_on_attached_loop(loomp_runtime *runtime)
{
    struct ev_loop *ev = __real_ev_loop_new(EVFLAG_AUTO);
    loomp_loop *loop;
    leave_other_sentence();
    int err = loomp_attach(runtime, ev, &loop);
    if (accepted(err)) {
        atomic_store(&works, 0);
        atomic_store(&dones, 0);
        loomp_job job;
        loomp_job_init(&job, count_work, count_done);
        CHECK(loomp_submit(runtime, &job) == 0);
        long expected = 1;
        expected += accepted(loomp_post(loop, count_post, NULL));
        expected += accepted(loomp_loop_at_exit(loop, call_at_exit, NULL));
        CHECK(loomp_detach(loop) == 0);
        CHECK(atomic_load(&works) == expected && atomic_load(&dones) == expected);
    } else {
        said_why();
    }
    CHECK(loomp_loop_here() == NULL);
    ev_loop_destroy(ev);
}

static bool shut_down;

static void note_shutdown(loomp_runtime *runtime, void *arg)
{
    (void)runtime;
    (void)arg;
    shut_down = true;
}

/* One life of a runtime; whether it started. */
static bool live(const loomp_config *config)
{
    loomp_runtime *runtime = NULL;
    leave_other_sentence();
    int err = loomp_start(&runtime, config);
    if (err) {
        CHECK(err < 0 && !runtime);
        CHECK(loomp_default() == NULL);
        said_why();
        return false;
    }
    work_on(runtime);
    work_on_attached_loop(runtime);
    leave_other_sentence();
    shut_down = false;
    err = loomp_shutdown_notify(runtime, loomp_loop_at(runtime, 0), note_shutdown, NULL);
    bool told = accepted(err) || !said_why();
    CHECK(loomp_stop(runtime) == 0);
    CHECK(shut_down == told);
    return true;
}

/* ---- in this process, whose threads stay for the next start ---------------------------------- */

static int pass_gate(loomp_job *job)
{
    gate_pass(job->data);
    return 0;
}

static int pass_gate_in_call(void *arg)
{
    gate_pass(arg);
    return 0;
}

/* How many threads the blocking pool makes, and how many objects of calls and posts are out at once,
 * depends on timing; both are kept. So as many as there can be are made once, all together. */
static void fill_pools(const loomp_config *config)
{
    enum {
        BLOCKING = 2, /* blocking.threads */
        AT_ONCE = 8
    };
    struct gate gate = GATE_INIT;
    loomp_job jobs[BLOCKING];
    loomp_runtime *runtime = NULL;
    if (!CHECK(loomp_start(&runtime, config) == 0)) {
        return;
    }
    for (int i = 0; i < BLOCKING; i++) {
        loomp_job_init(&jobs[i], pass_gate, NULL);
        jobs[i].data = &gate;
        CHECK(loomp_submit_blocking(runtime, &jobs[i]) == 0);
    }
    gate_wait_for_arrivals(&gate, BLOCKING);
    for (int i = 0; i < AT_ONCE; i++) {
        CHECK(loomp_call(runtime, pass_gate_in_call, &gate, NULL, NULL) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

static void sweep(enum fault kind)
{
    loomp_config *config = config_under_test();
    /* twice, until thread objects, pools and the like are there */
    CHECK(live(config) && live(config));
    fill_pools(config);
    long blocks = atomic_load(&live_blocks);
    int descriptors = open_descriptors();
    long n = 1;
    for (bool hit = true; hit; n++) {
        arm(kind, n);
        bool started = live(config);
        hit = disarm();
        CHECK(started || hit);
        if (!started && !CHECK(live(config))) {
            printf("no start after the failure of number %ld: %s\n", n, loomp_error());
            break;
        }
        if (!CHECK(open_descriptors() == descriptors)) {
            printf("the failure of number %ld leaves descriptors\n", n);
            break;
        }
        if (!CHECK(atomic_load(&live_blocks) == blocks)) {
            printf("the failure of number %ld leaves %ld blocks\n", n,
                   atomic_load(&live_blocks) - blocks);
            break;
        }
    }
    CHECK(n > 5); /* something was made to fail at all */
    loomp_config_free(config);
}

TEST(each_allocation_that_fails_is_an_error_and_leaves_nothing)
{
    sweep(FAULT_MEMORY);
}

TEST(each_system_call_that_fails_is_an_error_and_leaves_nothing)
{
    sweep(FAULT_SYSTEM);
}

/* ---- pools that are opened ------------------------------------------------------------------- */

/* Opens a pool, lets it work and closes it; whether it was opened. */
static bool pool_lives(loomp_runtime *runtime, const struct loomp_pool_options *options)
{
    loomp_pool *pool = NULL;
    leave_other_sentence();
    int err = loomp_pool_open(runtime, "side", options, &pool);
    if (!accepted(err)) {
        CHECK(pool == NULL && loomp_pool_named(runtime, "side") == NULL);
        said_why();
        return false;
    }
    loomp_job job;
    loomp_job_init(&job, count_work, count_done);
    job.pool = pool;
    leave_other_sentence();
    err = loomp_submit(runtime, &job); /* may need the first thread of a blocking pool */
    if (!accepted(err)) {
        said_why();
    }
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(loomp_pool_named(runtime, "side") == NULL);
    return true;
}

static void sweep_pools(loomp_runtime *runtime, enum fault kind, uint32_t blocking, const char *cpus)
{
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    options.threads = 1;
    options.blocking = blocking;
    options.cpus = cpus;
    CHECK(pool_lives(runtime, &options) && pool_lives(runtime, &options));
    long blocks = atomic_load(&live_blocks);
    int descriptors = open_descriptors(), threads = running_threads();
    bool hit = true;
    long n = 1;
    for (; hit; n++) {
        arm(kind, n);
        bool opened = pool_lives(runtime, &options);
        hit = disarm();
        CHECK(opened || hit);
        CHECK(open_descriptors() == descriptors && running_threads() == threads);
        if (!CHECK(atomic_load(&live_blocks) == blocks)) {
            printf("the failure of number %ld leaves %ld blocks\n", n,
                   atomic_load(&live_blocks) - blocks);
            break;
        }
        CHECK(pool_lives(runtime, &options));
    }
    CHECK(n > (kind == FAULT_MEMORY ? 5 : 1));
}

TEST(a_pool_that_cannot_be_opened_leaves_nothing)
{
    loomp_config *config = config_under_test();
    loomp_runtime *runtime = NULL;
    /* the follower allocates while the pool works */
    CHECK(loomp_config_set(config, "follow", "false") == 0);
    if (CHECK(loomp_start(&runtime, config) == 0)) {
        for (uint32_t blocking = 0; blocking < 2; blocking++) {
            sweep_pools(runtime, FAULT_MEMORY, blocking, NULL);
            sweep_pools(runtime, FAULT_SYSTEM, blocking, NULL);
        }
        /* some CPU that is there */
        char cpus[64];
        loomp_cpus(runtime, cpus, sizeof cpus);
        sweep_pools(runtime, FAULT_MEMORY, 0, cpus);
        CHECK(loomp_stop(runtime) == 0);
    }
    loomp_config_free(config);
}

TEST(settings_without_memory_say_so)
{
    long blocks = atomic_load(&live_blocks);
    bool hit = true;
    for (long n = 1; hit; n++) {
        arm(FAULT_MEMORY, n);
        loomp_config *config = loomp_config_new();
        if (config) {
            int err = loomp_config_set(config, "prefix", "abc");
            err = err ? err : loomp_config_set(config, "cpus", "0-3");
            err = err ? err : loomp_config_set_double(config, "spin_us", 1.5);
            err = err ? err : loomp_config_set(config, "prefix", "abcdef");
            err = err ? err : loomp_config_env(config, "LOOMP_FAULTS");
            hit = disarm();
            CHECK(hit ? err == -ENOMEM || err == 0 : err == 0);
            if (err == 0) {
                CHECK_TEXT(loomp_config_value(config, "prefix"), "abcdef");
            }
            loomp_config_free(config);
        } else {
            hit = disarm();
            CHECK(hit);
        }
        if (!CHECK(atomic_load(&live_blocks) == blocks)) {
            break;
        }
    }
}

/* Takes every LOOMP_ variable out of the environment: those of the tests are no settings, so the
 * reader would refuse them. Returns how many were kept for put_back. */
static int take_out(char **kept, int most)
{
    int count = 0;
    for (char **entry = environ; *entry && count < most;) {
        if (strncmp(*entry, "LOOMP_", 6) != 0) {
            entry++;
            continue;
        }
        char name[128];
        kept[count] = strdup(*entry);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
        unsetenv(name); /* the next entry is here now */
        count++;
    }
    return count;
}

static void put_back(char **kept, int count)
{
    for (int i = 0; i < count; i++) {
        char *value = strchr(kept[i], '=');
        *value = '\0';
        setenv(kept[i], value + 1, 1);
        free(kept[i]);
    }
}

TEST(defaults_from_the_environment_without_memory_say_so)
{
    char *kept[64];
    int count = take_out(kept, 64);
    setenv("LOOMP_COMPUTE_THREADS", "1", 1);
    setenv("LOOMP_LOG_LEVEL", "none", 1);
    bool hit = true;
    loomp_runtime *runtime;
    for (long n = 1; hit; n++) {
        arm(FAULT_MEMORY, n);
        leave_other_sentence();
        int err = loomp_start(&runtime, NULL);
        hit = disarm();
        CHECK(err == 0 ? loomp_stop(runtime) == 0 : hit && said_why());
    }
    unsetenv("LOOMP_COMPUTE_THREADS");
    unsetenv("LOOMP_LOG_LEVEL");
    put_back(kept, count);
}

TEST(calls_and_posts_without_memory_are_refused_and_then_work)
{
    loomp_config *config = config_under_test();
    loomp_runtime *runtime;
    if (!CHECK(loomp_start(&runtime, config) == 0)) {
        return;
    }
    bool hit = true;
    for (long n = 1; hit; n++) {
        lp_object_pool_release(); /* the next object has to be allocated */
        arm(FAULT_MEMORY, n);
        work_on(runtime);
        work_on_attached_loop(runtime);
        hit = disarm();
    }
    CHECK(loomp_stop(runtime) == 0);
    loomp_config_free(config);
}

/* ---- parallel loops ---------------------------------------------------------------------------- */

static void start_count(void *partial, void *arg)
{
    (void)arg;
    *(long *)partial = 0;
}

static int add_count(int64_t begin, int64_t end, void *partial, void *arg)
{
    (void)arg;
    *(long *)partial += (long)(end - begin);
    return 0;
}

static void combine_counts(void *into, const void *from, void *arg)
{
    (void)arg;
    *(long *)into += *(const long *)from;
}

static int count_indices(int64_t begin, int64_t end, void *arg)
{
    atomic_fetch_add((_Atomic long *)arg, (long)(end - begin));
    return 0;
}

static int add_one(void *arg)
{
    atomic_fetch_add((_Atomic long *)arg, 1);
    return 0;
}

/* What needs no memory of its own: a loop whose helpers cannot be had goes on without them. */
static void run_loops(loomp_runtime *runtime)
{
    _Atomic long indices = 0, calls = 0;
    CHECK(loomp_for(runtime, 0, 1000, 1, count_indices, &indices) == 0 && indices == 1000);
    CHECK(loomp_join(runtime, add_one, &calls, add_one, &calls) == 0 && calls == 2);
}

TEST(parallel_loops_without_memory_go_on_or_say_so)
{
    static const struct loomp_reduction count = {sizeof(long), start_count, add_count,
                                                 combine_counts};
    bool hit = true;
    for (long n = 1; hit; n++) {
        /* new threads each time, whose pools of objects are empty */
        loomp_config *config = config_under_test();
        loomp_runtime *runtime;
        CHECK(loomp_config_set_bool(config, "follow", false) == 0);
        if (!CHECK(loomp_start(&runtime, config) == 0)) {
            return;
        }
        arm(FAULT_MEMORY, n);
        run_loops(runtime);
        long result = 0;
        leave_other_sentence();
        int err = loomp_for_reduce(runtime, 0, 1000, 1, &count, &result, NULL);
        hit = disarm();
        CHECK(err == 0 ? result == 1000 : err == -ENOMEM && hit);
        CHECK(loomp_stop(runtime) == 0);
        loomp_config_free(config);
    }
}

static struct gate all_here;

static int warm_up(loomp_job *job)
{
    (void)job;
    gate_pass(&all_here);
    run_loops(loomp_current());
    return 0;
}

TEST(a_warm_loop_allocates_nothing)
{
    enum { WORKERS = 2 };
    loomp_config *config = config_under_test();
    loomp_runtime *runtime;
    CHECK(loomp_config_set_bool(config, "follow", false) == 0);
    CHECK(loomp_config_set_int(config, "compute.threads", WORKERS) == 0);
    if (!CHECK(loomp_start(&runtime, config) == 0)) {
        return;
    }
    /* Each worker begins loops, with objects of its own. */
    gate_init(&all_here);
    loomp_job jobs[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        loomp_job_init(&jobs[i], warm_up, NULL);
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    gate_wait_for_arrivals(&all_here, WORKERS);
    gate_open(&all_here);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    arm(FAULT_MEMORY, 1);
    for (int i = 0; i < 50; i++) {
        run_loops(runtime);
    }
    CHECK(!disarm());
    CHECK(loomp_stop(runtime) == 0);
    loomp_config_free(config);
}

/* ---- the pool of objects --------------------------------------------------------------------- */

static void *count_kept(void *arg)
{
    (void)arg;
    enum { OBJECTS = 20, LIMIT = 7 };
    void *objects[OBJECTS];
    lp_object_pool_set_limit(LIMIT);
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = lp_object_take();
    }
    long taken = atomic_load(&live_blocks);
    for (int i = 0; i < OBJECTS; i++) {
        lp_object_give(objects[i]);
    }
    CHECK(atomic_load(&live_blocks) == taken - (OBJECTS - LIMIT));
    arm(FAULT_MEMORY, 1);
    for (int i = 0; i < LIMIT; i++) {
        objects[i] = lp_object_take();
        CHECK(objects[i] != NULL);
    }
    CHECK(lp_object_take() == NULL);
    CHECK(disarm());
    for (int i = 0; i < LIMIT; i++) {
        lp_object_give(objects[i]);
    }
    return NULL;
}

TEST(a_thread_keeps_no_more_objects_than_the_limit)
{
    long before = atomic_load(&live_blocks);
    pthread_t thread;
    __real_pthread_create(&thread, NULL, count_kept, NULL);
    pthread_join(thread, NULL);
    CHECK(atomic_load(&live_blocks) == before);
    lp_object_pool_set_limit(1024);
}

/* ---- in new processes, which have none of loomp's threads yet -------------------------------- */

enum { NOT_REACHED = 42 };

/* What this new process has to say; true if nothing. */
static bool is_content(void)
{
    for (unsigned i = 0; i < harness_failure_count && i < HARNESS_FAILURES; i++) {
        printf("    %s:%u: %s\n", harness_failures[i].file, harness_failures[i].line,
               harness_failures[i].what);
    }
    fflush(stdout);
    return harness_failure_count == 0;
}

/* The new process: `kind` fails for the n-th time; then all works. Returns its exit status. */
static int child_with_fault(enum fault kind, long n)
{
    loomp_config *config = config_under_test();
    int descriptors = open_descriptors();
    arm(kind, n);
    live(config);
    bool hit = disarm();
    CHECK(open_descriptors() <= descriptors + 1); /* libomp may keep one */
    CHECK(live(config));
    loomp_config_free(config);
    return !is_content() ? 1 : hit ? 0 : NOT_REACHED;
}

/* Only n more descriptors can be opened. */
static int child_with_descriptors(long n)
{
    struct rlimit before, limit;
    loomp_config *config = config_under_test();
    omp_get_max_threads(); /* libomp ends the process if it starts without a descriptor */
    int lowest = dup(0);
    close(lowest);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)(lowest + n);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    loomp_runtime *runtime = NULL;
    leave_other_sentence();
    int err = loomp_start(&runtime, config);
    if (err) {
        said_why();
    } else {
        CHECK(loomp_stop(runtime) == 0);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(live(config));
    loomp_config_free(config);
    return !is_content() ? 1 : err ? 0 : NOT_REACHED;
}

/* In a runtime that is up, the n-th thread of a pool that is opened cannot be started. */
static int child_without_pool_threads(long n)
{
    loomp_config *config = config_under_test();
    loomp_runtime *runtime = NULL;
    CHECK(loomp_start(&runtime, config) == 0);
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    arm(FAULT_THREAD, n);
    bool opened = pool_lives(runtime, &options);
    bool hit = disarm();
    CHECK(opened != hit);
    CHECK(pool_lives(runtime, &options));
    CHECK(loomp_stop(runtime) == 0);
    loomp_config_free(config);
    return !is_content() ? 1 : hit ? 0 : NOT_REACHED;
}

static int status_of_child(const char *what, long n)
{
    char number[32];
    snprintf(number, sizeof number, "%ld", n);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_faults", "--child", what, number, (char *)NULL);
        _exit(99);
    }
    int status = -1;
    if (!CHECK(pid > 0) || !CHECK(waitpid(pid, &status, 0) == pid)) {
        return 99;
    }
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != NOT_REACHED)) {
        printf("with failure of %s number %ld: wait status %d\n", what, n, status);
        CHECK(!"a process with a failure ended badly");
        return 99;
    }
    return WEXITSTATUS(status);
}

static void sweep_children(const char *what, long first, long step, long most)
{
    long n = first;
    int status = 0;
    for (; n < most && status == 0; n += step) {
        status = status_of_child(what, n);
    }
    CHECK(status == NOT_REACHED);
    CHECK(n > first + step); /* something was made to fail at all */
}

TEST(each_thread_that_cannot_be_started_is_an_error_and_leaves_nothing)
{
    sweep_children("threads", 1, 1, 100);
}

TEST(each_thread_of_a_pool_that_cannot_be_started_is_an_error)
{
    sweep_children("pool-threads", 1, 1, 10);
}

/* As the sweep above, where no object of a thread is there yet; a few are enough. */
TEST(allocations_of_a_first_start_fail_with_an_error)
{
    sweep_children("memory", 1, 23, 2000);
}

TEST(a_first_start_without_descriptors_is_an_error)
{
    sweep_children("descriptors", 0, 1, 40);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--child") == 0) {
        long n = atol(argv[3]);
        return strcmp(argv[2], "threads") == 0        ? child_with_fault(FAULT_THREAD, n)
               : strcmp(argv[2], "pool-threads") == 0 ? child_without_pool_threads(n)
               : strcmp(argv[2], "memory") == 0       ? child_with_fault(FAULT_MEMORY, n)
                                                      : child_with_descriptors(n);
    }
    return harness_run(argc, argv);
}
