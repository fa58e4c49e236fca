/* SPDX-License-Identifier: MIT */
/* Tests of the runtime as a whole: start and stop, what a stopped runtime answers, threads and
 * their masks, the environment, shutdown, waiting for idle, fork and exit. What can be tried only
 * once per process, because libomp reads its settings once, runs in a child process: this program
 * again, with --child and a name. */
#define SUITE "runtime"
#include "recorded_job.h"

#include "placement/survey.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_THREADS = 512 };

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    while (directory && readdir(directory)) {
        count++;
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

/* ---- errands: a function on a given kind of thread ------------------------------------------- */

enum kind { ON_LOOP, ON_WORKER, ON_GANG_LEADER, ON_GANG_MEMBER, ON_BLOCKING, KINDS };

static const char *const kind_names[] = {"a loop", "a worker", "the gang's leader",
                                         "a thread of a gang's region", "a blocking thread"};

struct errand {
    loomp_job job;
    enum kind kind;
    void (*fn)(loomp_runtime *runtime, void *arg);
    loomp_runtime *runtime;
    void *arg;
    struct gate finished;
};

static int errand_work(loomp_job *job)
{
    struct errand *errand = LOOMP_CONTAINER(job, struct errand, job);
    if (errand->kind == ON_GANG_MEMBER) {
#pragma omp parallel
        if (omp_get_thread_num() == omp_get_num_threads() - 1) {
            errand->fn(errand->runtime, errand->arg);
        }
    } else {
        errand->fn(errand->runtime, errand->arg);
    }
    return 0;
}

static void errand_done(loomp_job *job, int status)
{
    (void)status;
    gate_arrive(&LOOMP_CONTAINER(job, struct errand, job)->finished);
}

static void errand_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct errand *errand = arg;
    errand->fn(errand->runtime, errand->arg);
    gate_arrive(&errand->finished);
}

/* Returns when fn has run there. */
static void run_on(enum kind kind, loomp_runtime *runtime,
                   void (*fn)(loomp_runtime *runtime, void *arg), void *arg)
{
    struct errand errand = {.kind = kind, .fn = fn, .runtime = runtime, .arg = arg};
    gate_init(&errand.finished);
    loomp_job_init(&errand.job, errand_work, errand_done);
    errand.job.kind = kind == ON_GANG_LEADER || kind == ON_GANG_MEMBER ? LOOMP_GANG : LOOMP_SERIAL;
    int err = kind == ON_LOOP ? loomp_post(loomp_loop_at(runtime, 0), errand_on_loop, &errand)
              : kind == ON_BLOCKING ? loomp_submit_blocking(runtime, &errand.job)
                                    : loomp_submit(runtime, &errand.job);
    if (CHECK(err == 0)) {
        gate_wait_for_arrivals(&errand.finished, 1);
    }
}

static void nothing(loomp_runtime *runtime, void *arg)
{
    (void)runtime;
    (void)arg;
}

static int answer_42(void *arg)
{
    (void)arg;
    return 42;
}

static void post_nothing(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

static void group_nothing(loomp_group *group, int status, void *arg)
{
    (void)group;
    (void)status;
    (void)arg;
}

/* ---- child processes ------------------------------------------------------------------------- */

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "child: %s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
                    loomp_error());                                                                \
            child_failures++;                                                                      \
        }                                                                                          \
    } while (0)

static int child_failures;

/* A forked child has none of the threads whose memory the leak sanitizer would find. */
static bool is_forked;
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
    return is_forked;
}

/* Unless told otherwise the thread sanitizer sleeps for a second at the end of every child. */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}

/* In a forked child. */
_Noreturn static void exit_forked(int status)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    fflush(NULL);
    _exit(status); /* Archer's part of exit crashes there, in any program that forks */
#endif
#endif
    exit(status);
}

static bool is_openmp_variable(const char *entry)
{
    return strncmp(entry, "OMP_", 4) == 0 || strncmp(entry, "KMP_", 4) == 0 ||
           strncmp(entry, "LIBOMP_", 7) == 0;
}

/* Runs this program again as `--child name`, without OpenMP's variables but with these; returns its
 * wait status. */
static int run_child(const char *name, const char *const *variables)
{
    enum { MOST = 4096 };
    static char *environment[MOST];
    int count = 0;
    for (char **entry = environ; *entry && count < MOST / 2; entry++) {
        if (!is_openmp_variable(*entry)) {
            environment[count++] = *entry;
        }
    }
    for (; variables && *variables; variables++) {
        environment[count++] = (char *)(uintptr_t)*variables;
    }
    environment[count] = NULL;
    char *arguments[] = {"test_runtime", "--child", (char *)(uintptr_t)name, NULL};
    pid_t pid;
    int status = -1;
    fflush(NULL);
    if (CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environment) == 0)) {
        CHECK(waitpid(pid, &status, 0) == pid);
    }
    return status;
}

static bool exited_with(int status, int code)
{
    if (!WIFEXITED(status)) {
        fprintf(stderr, "the child did not exit: signal %d\n", WTERMSIG(status));
    } else if (WEXITSTATUS(status) != code) {
        fprintf(stderr, "the child exited with %d instead of %d\n", WEXITSTATUS(status), code);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* ---- start ----------------------------------------------------------------------------------- */

TEST(a_second_start_is_refused_while_one_runs)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_runtime *second = (loomp_runtime *)(uintptr_t)1;
    CHECK(loomp_start(&second, NULL) == -EALREADY);
    CHECK(second == (loomp_runtime *)(uintptr_t)1);
    CHECK(loomp_error()[0] != '\0');
    CHECK(loomp_default() == runtime);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(start_without_a_place_for_the_result_is_refused)
{
    CHECK(loomp_start(NULL, NULL) == -EINVAL);
    CHECK(loomp_default() == NULL);
}

TEST(start_and_stop_can_be_repeated)
{
    for (int i = 0; i < 5; i++) {
        loomp_runtime *runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        for (int kind = 0; kind < KINDS; kind++) {
            run_on((enum kind)kind, runtime, nothing, NULL);
        }
        CHECK(loomp_stop(runtime) == 0);
    }
}

TEST(the_number_of_threads_may_change_from_start_to_start)
{
    static const int numbers[] = {1, 3, 2, 1, 4};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        loomp_runtime *runtime = runtime_with(numbers[i], NULL);
        if (!runtime) {
            return;
        }
        CHECK(loomp_pool_threads(loomp_pool_named(runtime, "compute")) == numbers[i]);
        for (int kind = 0; kind < KINDS; kind++) {
            run_on((enum kind)kind, runtime, nothing, NULL);
        }
        CHECK(loomp_stop(runtime) == 0);
    }
}

/* A start with this one setting must fail, name the setting and leave nothing behind. */
static void start_fails_for(const char *key, const char *value)
{
    loomp_runtime *first = runtime_under_test(); /* all threads that are kept exist from here on */
    if (!first) {
        return;
    }
    CHECK(loomp_stop(first) == 0);
    int threads = count_entries("/proc/self/task");
    int descriptors = count_entries("/proc/self/fd");

    loomp_runtime *runtime = NULL;
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, key, value) == 0);
    CHECK(loomp_start(&runtime, config) == -EINVAL);
    CHECK(contains(loomp_error(), key));
    CHECK(runtime == NULL);
    CHECK(loomp_default() == NULL);
    loomp_config_free(config);

    CHECK(count_entries("/proc/self/task") == threads);
    CHECK(count_entries("/proc/self/fd") == descriptors);
    for (char **entry = environ; *entry; entry++) {
        CHECK(strncmp(*entry, "OMP_PLACES=", 11) != 0);
    }
    runtime = runtime_under_test();
    if (runtime) {
        run_on(ON_WORKER, runtime, nothing, NULL);
        CHECK(loomp_stop(runtime) == 0);
    }
}

TEST(a_start_with_cpus_that_are_not_allowed_names_the_setting_and_leaves_nothing)
{
    start_fails_for("cpus", "4000");
}

TEST(a_start_with_io_cpus_that_are_not_allowed_names_the_setting_and_leaves_nothing)
{
    start_fails_for("io.cpus", "4000");
}

static void child_start_without_libev(void)
{
    loomp_runtime *runtime = NULL;
    EXPECT(loomp_start(&runtime, NULL) == -ENOMEM);
    EXPECT(runtime == NULL);
    EXPECT(loomp_default() == NULL);
    EXPECT(loomp_error()[0] != '\0');
    unsetenv("LIBEV_FLAGS");
    EXPECT(loomp_start(&runtime, NULL) == 0);
    EXPECT(loomp_install(runtime, answer_42, NULL) == 42);
    EXPECT(loomp_stop(runtime) == 0);
}

TEST(a_start_that_fails_after_the_teams_are_up_takes_them_down_again)
{
    /* 16 is a backend that Linux does not have */
    static const char *const variables[] = {"LIBEV_FLAGS=16", NULL};
    CHECK(exited_with(run_child("start-without-libev", variables), 0));
}

static void child_start_without_descriptors(void)
{
    loomp_runtime *runtime = NULL;
    EXPECT(loomp_start(&runtime, NULL) == 0); /* libomp itself aborts if it cannot open a file */
    EXPECT(loomp_stop(runtime) == 0);
    runtime = NULL;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int err = loomp_start(&runtime, NULL);
    setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT(err < 0);
    EXPECT(runtime == NULL);
    EXPECT(loomp_start(&runtime, NULL) == 0);
    EXPECT(loomp_stop(runtime) == 0);
}

TEST(a_start_without_free_descriptors_is_an_error_and_not_an_abort)
{
    CHECK(exited_with(run_child("start-without-descriptors", NULL), 0));
}

/* ---- where settings come from ---------------------------------------------------------------- */

static bool has_thread_named(loomp_runtime *runtime, const char *name)
{
    struct loomp_thread_info threads[MOST_THREADS];
    int count = loomp_threads(runtime, threads, MOST_THREADS);
    for (int i = 0; i < count && i < MOST_THREADS; i++) {
        if (strcmp(threads[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

TEST(variables_of_loomp_count_only_without_a_config)
{
    setenv("LOOMP_PREFIX", "fromenv", 1);
    loomp_runtime *runtime = runtime_under_test();
    if (runtime) {
        CHECK(has_thread_named(runtime, "loomp-io-0000"));
        CHECK(loomp_stop(runtime) == 0);
    }
    runtime = NULL;
    CHECK(loomp_start(&runtime, NULL) == 0);
    if (runtime) {
        CHECK(has_thread_named(runtime, "fromenv-io-0000"));
        CHECK(loomp_stop(runtime) == 0);
    }
    unsetenv("LOOMP_PREFIX");
}

TEST(an_unknown_variable_of_loomp_fails_only_a_start_without_a_config)
{
    setenv("LOOMP_IO_THREDS", "1", 1);
    loomp_runtime *runtime = NULL;
    CHECK(loomp_start(&runtime, NULL) == -EINVAL);
    CHECK(contains(loomp_error(), "LOOMP_IO_THREDS"));
    CHECK(contains(loomp_error(), "LOOMP_IO_THREADS"));
    CHECK(loomp_default() == NULL);
    runtime = runtime_under_test();
    if (runtime) {
        CHECK(loomp_stop(runtime) == 0);
    }
    unsetenv("LOOMP_IO_THREDS");
}

TEST(a_bad_value_of_a_variable_fails_a_start_without_a_config_and_names_it)
{
    setenv("LOOMP_COMPUTE_THREADS", "many", 1);
    loomp_runtime *runtime = NULL;
    CHECK(loomp_start(&runtime, NULL) == -EINVAL);
    CHECK(contains(loomp_error(), "LOOMP_COMPUTE_THREADS"));
    unsetenv("LOOMP_COMPUTE_THREADS");
    CHECK(loomp_start(&runtime, NULL) == 0);
    if (runtime) {
        CHECK(loomp_stop(runtime) == 0);
    }
}

TEST(the_file_of_LOOMP_CONFIG_is_read_only_without_a_config)
{
    char path[] = "/tmp/loomp-test-XXXXXX";
    int fd = mkstemp(path);
    if (!CHECK(fd >= 0)) {
        return;
    }
    dprintf(fd, "loomp = { prefix = \"file\"; };\n");
    close(fd);
    setenv("LOOMP_CONFIG", path, 1);
    loomp_runtime *runtime = NULL;
    CHECK(loomp_start(&runtime, NULL) == 0);
    if (runtime) {
        CHECK(has_thread_named(runtime, "file-io-0000"));
        CHECK(loomp_stop(runtime) == 0);
    }
    runtime = runtime_under_test();
    if (runtime) {
        CHECK(has_thread_named(runtime, "loomp-io-0000"));
        CHECK(loomp_stop(runtime) == 0);
    }
    unlink(path);
    runtime = NULL;
    CHECK(loomp_start(&runtime, NULL) == -ENOENT);
    CHECK(contains(loomp_error(), path));
    CHECK(loomp_default() == NULL);
    runtime = runtime_under_test();
    if (runtime) {
        CHECK(loomp_stop(runtime) == 0);
    }
    unsetenv("LOOMP_CONFIG");
}

TEST(the_caller_may_free_its_config_after_start)
{
    loomp_config *config = loomp_config_new();
    loomp_config_set(config, "prefix", "copied");
    loomp_runtime *runtime = NULL;
    CHECK(loomp_start(&runtime, config) == 0);
    loomp_config_set(config, "prefix", "changed");
    loomp_config_free(config);
    if (runtime) {
        CHECK(has_thread_named(runtime, "copied-io-0000"));
        CHECK(loomp_stop(runtime) == 0);
    }
}

/* ---- stop ------------------------------------------------------------------------------------ */

TEST(stop_is_idempotent)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_default() == NULL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_stop_now(runtime) == 0);
}

static void *stop_on_thread(void *runtime)
{
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_submit(runtime, &(loomp_job)LOOMP_JOB_INIT(recorded_work, NULL)) == -ESHUTDOWN);
    return NULL;
}

TEST(two_threads_may_stop_at_the_same_time_and_both_return_when_it_is_down)
{
    for (int round = 0; round < 10; round++) {
        loomp_runtime *runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        struct gate gate = GATE_INIT;
        struct recorded_job job;
        recorded_init(&job, &gate);
        CHECK(loomp_submit(runtime, &job.job) == 0);
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            pthread_create(&threads[i], NULL, stop_on_thread, runtime);
        }
        gate_open(&gate);
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        CHECK(job.dones == 1);
        CHECK(loomp_default() == NULL);
    }
}

TEST(stop_runs_what_is_queued)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    enum { JOBS = 200 };
    static struct recorded_job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
        jobs[i].job.kind = i % 10 == 9 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
    int good = 0;
    for (int i = 0; i < JOBS; i++) {
        good += jobs[i].works == 1 && jobs[i].dones == 1 && jobs[i].status == 0;
    }
    CHECK(good == JOBS);
}

struct until_cancelled {
    loomp_job job;
    struct gate started;
    int status;
    _Atomic int dones;
};

static int work_until_cancelled(loomp_job *job)
{
    gate_arrive(&LOOMP_CONTAINER(job, struct until_cancelled, job)->started);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    return -EINTR;
}

static void until_cancelled_done(loomp_job *job, int status)
{
    struct until_cancelled *self = LOOMP_CONTAINER(job, struct until_cancelled, job);
    self->status = status;
    self->dones++;
}

TEST(stop_now_cancels_what_is_queued_and_asks_what_runs_to_end)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    struct until_cancelled running = {.status = 1};
    gate_init(&running.started);
    loomp_job_init(&running.job, work_until_cancelled, until_cancelled_done);
    CHECK(loomp_submit(runtime, &running.job) == 0);
    gate_wait_for_arrivals(&running.started, 1);
    enum { JOBS = 20 };
    struct recorded_job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
        jobs[i].job.kind = i % 4 ? LOOMP_SERIAL : LOOMP_GANG;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0 || i % 4 == 0);
    }
    CHECK(loomp_stop_now(runtime) == 0);
    CHECK(running.dones == 1);
    CHECK(running.status == -EINTR);
    int cancelled = 0;
    for (int i = 0; i < JOBS; i++) {
        CHECK(jobs[i].dones == 1);
        if (jobs[i].job.kind == LOOMP_SERIAL) {
            CHECK(jobs[i].works == 0);
            CHECK(jobs[i].status == -ECANCELED);
            cancelled += jobs[i].status == -ECANCELED;
        } else {
            CHECK(jobs[i].works ? jobs[i].status == 0 : jobs[i].status == -ECANCELED);
        }
    }
    CHECK(cancelled == JOBS * 3 / 4);
}

TEST(after_a_stop_now_the_next_runtime_runs_jobs_again)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_stop_now(runtime) == 0);
    CHECK(loomp_stop_now(runtime) == 0);
    runtime = runtime_under_test();
    if (runtime) {
        CHECK(loomp_install(runtime, answer_42, NULL) == 42);
        CHECK(loomp_stop(runtime) == 0);
    }
}

/* ---- a stopped runtime ----------------------------------------------------------------------- */

static void shutdown_nothing(loomp_runtime *runtime, void *arg)
{
    (void)runtime;
    (void)arg;
}

static int main_nothing(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    return 0;
}

TEST(calls_on_a_stopped_runtime_are_answered_with_ESHUTDOWN)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_stop(runtime) == 0);
    struct recorded_job job;
    recorded_init(&job, NULL);
    CHECK(loomp_submit(runtime, &job.job) == -ESHUTDOWN);
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    CHECK(loomp_submit_blocking(runtime, &job.job) == -ESHUTDOWN);
    job.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &job.job) == -ESHUTDOWN);
    CHECK(loomp_call(runtime, answer_42, NULL, NULL, NULL) == -ESHUTDOWN);
    CHECK(loomp_install(runtime, answer_42, NULL) == -ESHUTDOWN);
    CHECK(loomp_shutdown(runtime) == -ESHUTDOWN);
    CHECK(loomp_wait_idle(runtime, 0) == -ESHUTDOWN);
    CHECK(loomp_wait_idle(runtime, -1) == -ESHUTDOWN);
    CHECK(loomp_run_until_complete(runtime, main_nothing, NULL) == -ESHUTDOWN);
    loomp_loop *loop = NULL;
    CHECK(loomp_attach(runtime, EV_DEFAULT, &loop) == -ESHUTDOWN);
    CHECK(loop == NULL);
    CHECK(loomp_gang_pause(runtime) == -EPERM);
    CHECK(loomp_is_idle(runtime));
    CHECK(job.works == 0 && job.dones == 0);
}

TEST(a_stopped_runtime_has_no_threads_loops_and_pools)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_thread_info info;
    char cpus[8] = "x";
    CHECK(loomp_threads(runtime, &info, 1) == 0);
    CHECK(loomp_cpus(runtime, cpus, sizeof cpus) == 0);
    CHECK_TEXT(cpus, "");
    CHECK(loomp_loop_count(runtime) == 0);
    CHECK(loomp_loop_at(runtime, 0) == NULL);
    CHECK(loomp_pool_named(runtime, "compute") == NULL);
    CHECK(loomp_default() == NULL);
    CHECK(loomp_current() == NULL);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    loomp_describe(runtime, out);
    fclose(out);
    CHECK(bytes > 0);
    free(text);
}

/* Of libraries that learn late that it is over: their loop is gone, the answer is not. */
static void child_late_calls_with_a_loop(void)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    loomp_group group;
    loomp_group_init(&group, runtime);
    EXPECT(loomp_stop(runtime) == 0);
    EXPECT(loomp_shutdown_notify(runtime, loop, shutdown_nothing, NULL) == -ESHUTDOWN);
    EXPECT(loomp_post(loop, post_nothing, NULL) == -ESHUTDOWN);
    EXPECT(loomp_group_notify(&group, loop, group_nothing, NULL) == -ESHUTDOWN);
    struct recorded_job job;
    recorded_init(&job, NULL);
    job.job.home = loop;
    EXPECT(loomp_submit(runtime, &job.job) == -ESHUTDOWN);
}

TEST(a_post_or_notification_on_a_loop_of_a_stopped_runtime_is_answered_with_ESHUTDOWN)
{
    CHECK(exited_with(run_child("late-calls-with-a-loop", NULL), 0));
}

static void *look_until_stopped(void *runtime)
{
    struct loomp_thread_info threads[8];
    char cpus[64];
    FILE *out = fopen("/dev/null", "w");
    while (loomp_threads(runtime, threads, 8)) {
        loomp_cpus(runtime, cpus, sizeof cpus);
        loomp_describe(runtime, out);
        loomp_pool_named(runtime, "compute");
        loomp_loop_at(runtime, 0);
        loomp_is_idle(runtime);
    }
    fclose(out);
    return NULL;
}

static void child_observed_while_stopping(void)
{
    for (int round = 0; round < 8; round++) {
        loomp_runtime *runtime = runtime_under_test();
        pthread_t observer;
        EXPECT(pthread_create(&observer, NULL, look_until_stopped, runtime) == 0);
        EXPECT(loomp_install(runtime, answer_42, NULL) == 42);
        EXPECT(loomp_stop(runtime) == 0);
        pthread_join(observer, NULL);
    }
}

TEST(a_thread_may_look_at_the_runtime_while_another_stops_it)
{
    CHECK(exited_with(run_child("observed-while-stopping", NULL), 0));
}

static void *submit_until_refused(void *runtime)
{
    int accepted = 0, err;
    do {
        err = loomp_call(runtime, answer_42, NULL, NULL, NULL);
        accepted += !err;
    } while (!err || err == -EAGAIN);
    CHECK(err == -ESHUTDOWN);
    return (void *)(intptr_t)accepted;
}

TEST(a_thread_may_submit_while_another_stops_the_runtime)
{
    for (int round = 0; round < 10; round++) {
        loomp_runtime *runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        pthread_t submitter;
        pthread_create(&submitter, NULL, submit_until_refused, runtime);
        run_on(ON_WORKER, runtime, nothing, NULL);
        CHECK(loomp_stop_now(runtime) == 0);
        pthread_join(submitter, NULL);
    }
}

/* ---- which runtime, on which thread ---------------------------------------------------------- */

static void check_current(loomp_runtime *runtime, void *where)
{
    if (loomp_default() != runtime || loomp_current() != runtime) {
        char text[128];
        snprintf(text, sizeof text, "loomp_default and loomp_current know the runtime on %s",
                 (const char *)where);
        harness_note(false, __FILE__, __LINE__, text);
    }
}

TEST(default_and_current_know_the_runtime_on_each_kind_of_thread)
{
    CHECK(loomp_default() == NULL);
    CHECK(loomp_current() == NULL);
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_default() == runtime);
    CHECK(loomp_current() == NULL);
    for (int kind = 0; kind < KINDS; kind++) {
        run_on((enum kind)kind, runtime, check_current, (void *)(uintptr_t)kind_names[kind]);
    }
    loomp_loop *attached = NULL;
    CHECK(loomp_attach(runtime, EV_DEFAULT, &attached) == 0);
    CHECK(loomp_current() == runtime);
    CHECK(loomp_detach(attached) == 0);
    CHECK(loomp_current() == NULL);
    CHECK(loomp_shutdown(runtime) == 0);
    CHECK(loomp_default() == runtime);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_default() == NULL);
    CHECK(loomp_current() == NULL);
}

struct deadlocks {
    enum kind kind;
    loomp_group group; /* has a job under way */
};

static int result_of_wait_idle;

static void check_deadlocks(loomp_runtime *runtime, void *arg)
{
    struct deadlocks *self = arg;
    loomp_runtime *second = NULL;
    bool good = loomp_start(&second, NULL) == -EDEADLK;
    good = good && loomp_stop(runtime) == -EDEADLK;
    good = good && loomp_error()[0] != '\0';
    good = good && loomp_stop_now(runtime) == -EDEADLK;
    good = good && loomp_wait_idle(runtime, -1) == -EDEADLK;
    good = good && loomp_wait_idle(runtime, 0) == -EDEADLK;
    good = good && loomp_run_until_complete(runtime, main_nothing, NULL) == -EDEADLK;
    if (self->kind == ON_LOOP || self->kind == ON_GANG_MEMBER) {
        good = good && loomp_group_wait(&self->group, -1) == -EDEADLK;
        good = good && loomp_install(runtime, answer_42, NULL) == -EDEADLK;
    }
    if (!good) {
        char text[128];
        snprintf(text, sizeof text, "on %s all that could wait for ever is refused",
                 kind_names[self->kind]);
        harness_note(false, __FILE__, __LINE__, text);
    }
}

TEST(calls_that_would_wait_for_their_own_thread_are_refused_with_EDEADLK)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct deadlocks self;
    loomp_group_init(&self.group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job job; /* keeps the group open */
    recorded_init(&job, &gate);
    job.job.group = &self.group;
    CHECK(loomp_submit_blocking(runtime, &job.job) == 0);
    for (int kind = 0; kind < KINDS; kind++) {
        self.kind = (enum kind)kind;
        run_on((enum kind)kind, runtime, check_deadlocks, &self);
    }
    gate_open(&gate);
    CHECK(loomp_group_wait(&self.group, -1) == 0);
    CHECK(loomp_default() == runtime);
    CHECK(loomp_submit(runtime, &job.job) == 0); /* nothing of it shut the gate */
    CHECK(loomp_stop(runtime) == 0);
}

static void attached_refuses(loomp_loop *loop, void *arg)
{
    (void)loop;
    loomp_runtime *runtime = arg;
    CHECK(loomp_stop(runtime) == -EDEADLK);
    CHECK(loomp_stop_now(runtime) == -EDEADLK);
    CHECK(loomp_wait_idle(runtime, -1) == -EDEADLK);
    CHECK(loomp_wait_idle(runtime, 0) == -EDEADLK);
    CHECK(loomp_run_until_complete(runtime, main_nothing, NULL) == -EDEADLK);
    loomp_runtime *second = NULL;
    CHECK(loomp_start(&second, NULL) == -EDEADLK);
}

TEST(in_a_callback_of_an_attached_loop_waiting_is_refused_with_EDEADLK)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_loop *loop = NULL;
    CHECK(loomp_attach(runtime, EV_DEFAULT, &loop) == 0);
    CHECK(loomp_post(loop, attached_refuses, runtime) == 0);
    ev_run(EV_DEFAULT, 0);
    CHECK(loomp_submit(runtime, &(loomp_job)LOOMP_JOB_INIT(NULL, NULL)) == -EINVAL);
    CHECK(loomp_post(loop, post_nothing, NULL) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static void check_deadlock_in_caller(loomp_job *job, int status)
{
    (void)job;
    (void)status;
}

static int waits_in_caller(loomp_job *job)
{
    loomp_runtime *runtime = job->data;
    result_of_wait_idle = loomp_wait_idle(runtime, 0);
    if (result_of_wait_idle == -EDEADLK) {
        CHECK(loomp_stop(runtime) == -EDEADLK);
    }
    return 0;
}

TEST(a_job_that_its_submitter_runs_cannot_wait_for_idle_either)
{
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "caller_runs", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    static struct recorded_job held[MOST_WORKERS];
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (int i = 0; i < workers; i++) {
        recorded_init(&held[i], &gate);
        CHECK(loomp_submit(runtime, &held[i].job) == 0);
        gate_wait_for_arrivals(&gate, i + 1);
    }
    struct recorded_job filler;
    recorded_init(&filler, NULL);
    CHECK(loomp_submit(runtime, &filler.job) == 0);
    loomp_job job = LOOMP_JOB_INIT(waits_in_caller, check_deadlock_in_caller);
    job.data = runtime;
    result_of_wait_idle = 0;
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(result_of_wait_idle == -EDEADLK);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- threads --------------------------------------------------------------------------------- */

static int describe_all(loomp_runtime *runtime, struct loomp_thread_info *threads)
{
    for (int kind = 0; kind < KINDS; kind++) { /* so that a blocking thread is there too */
        run_on((enum kind)kind, runtime, nothing, NULL);
    }
    int count = loomp_threads(runtime, threads, MOST_THREADS);
    CHECK(count > 0 && count <= MOST_THREADS);
    return count;
}

TEST(threads_are_listed_with_role_and_name)
{
    static const char *const settings[] = {"prefix", "app", "io.threads", "2", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    int roles[4] = {0};
    static const char *const parts[] = {"io", "omp", "gang", "blk"};
    for (int i = 0; i < count; i++) {
        char expected[32];
        int role = threads[i].role;
        if (!CHECK(role >= LOOMP_THREAD_IO && role <= LOOMP_THREAD_BLOCKING)) {
            continue;
        }
        snprintf(expected, sizeof expected, "app-%s-%04d", parts[role], roles[role]++);
        char name[sizeof threads[i].name];
        memcpy(name, threads[i].name, sizeof name);
        CHECK_TEXT(name, expected);
        CHECK(threads[i].state >= LOOMP_STATE_PARKED && threads[i].state <= LOOMP_STATE_PAUSED);
        CHECK(threads[i].tid > 0);
    }
    CHECK(roles[LOOMP_THREAD_IO] == 2);
    CHECK(roles[LOOMP_THREAD_OMP] == workers);
    CHECK(roles[LOOMP_THREAD_GANG] == workers);
    CHECK(roles[LOOMP_THREAD_BLOCKING] == 1);
    CHECK(loomp_stop(runtime) == 0);
}

static void read_comm(int tid, char name[32])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    FILE *file = fopen(path, "r");
    name[0] = '\0';
    if (file && fgets(name, 32, file)) {
        name[strcspn(name, "\n")] = '\0';
    }
    if (file) {
        fclose(file);
    }
}

TEST(a_long_prefix_is_cut_so_that_names_have_15_characters)
{
    static const char *const settings[] = {"prefix", "abcdefghijklmnopqrstuvwxyz", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    CHECK_TEXT(threads[0].name, "abcdefg-io-0000");
    for (int i = 0; i < count; i++) {
        char seen[32], name[sizeof threads[i].name]; /* seen by top */
        memcpy(name, threads[i].name, sizeof name);
        read_comm(threads[i].tid, seen);
        CHECK_TEXT(seen, name);
        CHECK(strlen(threads[i].name) == 15);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(threads_fills_no_more_entries_than_it_was_given)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct loomp_thread_info threads[3];
    memset(threads, 0x5a, sizeof threads);
    int count = loomp_threads(runtime, NULL, 0);
    CHECK(count >= 3);
    CHECK(loomp_threads(runtime, threads, 2) == count);
    CHECK(threads[0].tid > 0 && threads[1].tid > 0);
    CHECK(threads[2].tid == 0x5a5a5a5a);
    CHECK(loomp_stop(runtime) == 0);
}

static bool cpu_set_of(int tid, cpu_set_t *set)
{
    CPU_ZERO(set);
    return sched_getaffinity(tid, sizeof *set, set) == 0;
}

/* What the plan says, asked in the same way as start does. */
static int make_plan(struct lp_survey *survey, struct lp_plan *plan, int workers)
{
    loomp_config *config = loomp_config_new();
    const struct lp_survey_options here = {.root = "", .environment = lp_process_environment};
    int err = loomp_config_set_int(config, "compute.threads", workers);
    if (!err) {
        err = lp_survey_make(survey, &here, config);
    }
    if (!err) {
        err = lp_survey_plan(survey, config, 2, plan);
    }
    loomp_config_free(config);
    return err;
}

static int planned_cpu(const struct lp_plan *plan, int role, int index)
{
    switch (role) {
    case LOOMP_THREAD_IO:
        return lp_cpuset_first(plan->io[index].cpus);
    case LOOMP_THREAD_OMP:
    case LOOMP_THREAD_GANG:
        return lp_cpuset_first(lp_plan_compute(plan)->places[index].cpus);
    default:
        return lp_cpuset_count(plan->io_cpus) == 1 ? lp_cpuset_first(plan->io_cpus) : -1;
    }
}

TEST(every_pinned_thread_has_the_mask_of_its_planned_CPU)
{
    static const char *const settings[] = {"io.threads", "2", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    struct lp_survey survey;
    struct lp_plan plan;
    if (!runtime || !CHECK(make_plan(&survey, &plan, workers_under_test()) == 0)) {
        return;
    }
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    int roles[4] = {0};
    for (int i = 0; i < count; i++) {
        int role = threads[i].role;
        int cpu = planned_cpu(&plan, role, roles[role]++);
        CHECK(threads[i].cpu == cpu);
        cpu_set_t set;
        CHECK(cpu_set_of(threads[i].tid, &set));
        if (role == LOOMP_THREAD_BLOCKING) {
            CHECK(CPU_COUNT(&set) == lp_cpuset_count(plan.io_cpus));
            CHECK(CPU_ISSET((size_t)lp_cpuset_first(plan.io_cpus), &set));
        } else {
            CHECK(CPU_COUNT(&set) == 1);
            CHECK(CPU_ISSET((size_t)cpu, &set));
        }
    }
    lp_plan_fini(&plan);
    lp_survey_fini(&survey);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(without_pinning_every_thread_may_use_every_allowed_CPU)
{
    static const char *const settings[] = {"pin", "false", NULL};
    cpu_set_t allowed, set;
    CHECK(cpu_set_of(0, &allowed));
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    for (int i = 0; i < count; i++) {
        CHECK(cpu_set_of(threads[i].tid, &set));
        if (!CPU_EQUAL(&set, &allowed)) {
            char text[128];
            snprintf(text, sizeof text, "%.15s may use %d of %d CPUs", threads[i].name,
                     CPU_COUNT(&set), CPU_COUNT(&allowed));
            harness_note(false, __FILE__, __LINE__, text);
        }
        CHECK(threads[i].cpu == (CPU_COUNT(&allowed) == 1 ? sched_getcpu() : -1));
    }
    CHECK(loomp_stop(runtime) == 0);
}

static bool blocks_signal(const char *hexadecimal, int signal_number)
{
    return strtoull(hexadecimal, NULL, 16) >> (signal_number - 1) & 1;
}

static void check_signals_of(int tid)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP,  SIGQUIT, SIGUSR1,
                                  SIGUSR2, SIGCHLD, SIGALRM, SIGPIPE, SIGWINCH};
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
    FILE *file = fopen(path, "r");
    if (!CHECK(file != NULL)) {
        return;
    }
    bool found = false;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "SigBlk:", 7) == 0) {
            found = true;
            for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
                CHECK(blocks_signal(line + 7, signals[i]));
            }
        }
    }
    CHECK(found);
    fclose(file);
}

TEST(signals_are_blocked_on_all_threads_of_loomps_and_only_there)
{
    sigset_t before, after; /* the kernel fills only a part */
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    for (int i = 0; i < count; i++) {
        check_signals_of(threads[i].tid);
    }
    /* Leaders, libomp's threads and those that rest from earlier starts, too. */
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        int tid = atoi(entry->d_name);
        if (tid > 0 && tid != (int)gettid()) {
            check_signals_of(tid);
        }
    }
    closedir(tasks);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK(!sigismember(&after, SIGTERM));
    CHECK(loomp_stop(runtime) == 0);
}

static int region(void *arg)
{
    int *threads = arg;
#pragma omp parallel
#pragma omp single
    *threads = omp_get_num_threads();
    return 0;
}

/* Everything an application's thread does with a runtime, and its mask after each step. */
static bool mask_survives(void)
{
    cpu_set_t before, now;
    bool good = cpu_set_of(0, &before);
#define SAME_MASK (cpu_set_of(0, &now) && CPU_EQUAL(&before, &now))
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "caller_runs", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    good = good && runtime && SAME_MASK;
    if (!runtime) {
        return false;
    }
    int threads = 0;
    good = loomp_install(runtime, region, &threads) == 0 && good && SAME_MASK;
    good = threads == loomp_pool_threads(loomp_pool_named(runtime, "compute")) && good;
    enum { JOBS = 100 };
    static struct recorded_job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) { /* of which this thread runs some itself */
        recorded_init(&jobs[i], NULL);
        good = loomp_submit(runtime, &jobs[i].job) == 0 && good;
    }
    good = SAME_MASK && good;
    good = loomp_wait_idle(runtime, -1) == 0 && good && SAME_MASK;
    good = loomp_stop(runtime) == 0 && good && SAME_MASK;
#undef SAME_MASK
    return good;
}

static void *mask_survives_on_thread(void *arg)
{
    (void)arg;
    CHECK(mask_survives());
    return NULL;
}

TEST(the_mask_of_an_applications_thread_is_left_alone)
{
    CHECK(mask_survives());
    pthread_t thread;
    pthread_create(&thread, NULL, mask_survives_on_thread, NULL);
    pthread_join(thread, NULL);
}

static void child_mask(void)
{
    EXPECT(mask_survives());
    EXPECT(mask_survives());
}

TEST(the_mask_of_an_applications_thread_is_left_alone_when_the_user_binds_OpenMP)
{
    static const char *const variables[] = {"OMP_PROC_BIND=true", "OMP_PLACES=cores", NULL};
    CHECK(exited_with(run_child("mask", variables), 0));
    CHECK(exited_with(run_child("mask", NULL), 0));
}

/* libomp remembers that it was told to bind, and binds main when main has a region later on. */
static void child_second_start(void)
{
    char first[256], second[256];
    loomp_runtime *runtime = NULL;
    EXPECT(loomp_start(&runtime, NULL) == 0);
    loomp_cpus(runtime, first, sizeof first);
    EXPECT(loomp_stop(runtime) == 0);
#pragma omp parallel
    atomic_thread_fence(memory_order_relaxed);
    EXPECT(loomp_start(&runtime, NULL) == 0);
    loomp_cpus(runtime, second, sizeof second);
    EXPECT(strcmp(first, second) == 0);
    EXPECT(loomp_stop(runtime) == 0);
}

TEST(a_second_start_has_the_same_cpus_although_main_had_a_region)
{
    static const char *const gomp[] = {"GOMP_CPU_AFFINITY=0-1023", NULL};
    CHECK(exited_with(run_child("second-start", NULL), 0));
    CHECK(exited_with(run_child("second-start", gomp), 0));
}

TEST(cpus_are_listed_and_cut_to_the_buffer)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    char whole[256], cut[3] = "##", one[1] = "#";
    int length = loomp_cpus(runtime, whole, sizeof whole);
    CHECK(length > 0 && (size_t)length == strlen(whole));
    CHECK(loomp_cpus(runtime, cut, 2) == length);
    CHECK(cut[0] == whole[0] && cut[1] == '\0');
    CHECK(loomp_cpus(runtime, one, 1) == length);
    CHECK(one[0] == '\0');
    CHECK(loomp_cpus(runtime, NULL, 0) == length);
    char gpu[8] = "###";
    CHECK(loomp_gpu(runtime, gpu, sizeof gpu) == 0 && gpu[0] == '\0'); /* none was asked for */
    lp_cpuset *set = lp_cpuset_parse(whole);
    CHECK(set != NULL);
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    for (int i = 0; set && i < count; i++) {
        CHECK(threads[i].cpu < 0 || lp_cpuset_has(set, (unsigned)threads[i].cpu));
    }
    lp_cpuset_free(set);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(the_description_names_the_CPUs_and_every_thread)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct loomp_thread_info threads[MOST_THREADS];
    int count = describe_all(runtime, threads);
    char cpus[256], *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    loomp_describe(runtime, out);
    fclose(out);
    loomp_cpus(runtime, cpus, sizeof cpus);
    CHECK(contains(text, cpus));
    for (int i = 0; i < count; i++) {
        CHECK(contains(text, threads[i].name));
    }
    free(text);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- the environment ------------------------------------------------------------------------- */

static int count_openmp_variables(void)
{
    int count = 0;
    for (char **entry = environ; *entry; entry++) {
        if (is_openmp_variable(*entry)) {
            fprintf(stderr, "child: %s\n", *entry);
            count++;
        }
    }
    return count;
}

static void child_environment_clean(void)
{
    loomp_runtime *runtime = runtime_under_test();
    EXPECT(runtime != NULL);
    EXPECT(count_openmp_variables() == 0);
    int threads = 0;
    EXPECT(loomp_install(runtime, region, &threads) == 0);
    EXPECT(count_openmp_variables() == 0);
    EXPECT(loomp_stop(runtime) == 0);
    EXPECT(count_openmp_variables() == 0);
    runtime = runtime_under_test();
    EXPECT(count_openmp_variables() == 0);
    EXPECT(loomp_stop(runtime) == 0);
}

TEST(start_leaves_no_variable_of_OpenMP_in_the_environment)
{
    CHECK(exited_with(run_child("environment-clean", NULL), 0));
}

static void child_environment_kept(void)
{
    loomp_runtime *runtime = runtime_under_test();
    EXPECT(runtime != NULL);
    EXPECT(getenv("OMP_NUM_THREADS") && strcmp(getenv("OMP_NUM_THREADS"), "3") == 0);
    EXPECT(getenv("OMP_PROC_BIND") && strcmp(getenv("OMP_PROC_BIND"), "false") == 0);
    EXPECT(getenv("KMP_BLOCKTIME") && strcmp(getenv("KMP_BLOCKTIME"), "17") == 0);
    EXPECT(getenv("KMP_HOT_TEAMS_MODE") && strcmp(getenv("KMP_HOT_TEAMS_MODE"), "0") == 0);
    EXPECT(getenv("OMP_STACKSIZE") && strcmp(getenv("OMP_STACKSIZE"), "16M") == 0);
    EXPECT(count_openmp_variables() == 5);
    int threads = 0;
    EXPECT(loomp_install(runtime, region, &threads) == 0);
    EXPECT(threads == loomp_pool_threads(loomp_pool_named(runtime, "compute")));
    EXPECT(loomp_stop(runtime) == 0);
    EXPECT(count_openmp_variables() == 5);
}

TEST(variables_of_OpenMP_that_the_user_has_set_stay_as_they_were)
{
    static const char *const variables[] = {"OMP_NUM_THREADS=3", "OMP_PROC_BIND=false",
                                            "KMP_BLOCKTIME=17",  "KMP_HOT_TEAMS_MODE=0",
                                            "OMP_STACKSIZE=16M", NULL};
    CHECK(exited_with(run_child("environment-kept", variables), 0));
}

static void child_environment_after_a_failed_start(void)
{
    loomp_runtime *runtime = NULL;
    EXPECT(loomp_start(&runtime, NULL) < 0);
    EXPECT(count_openmp_variables() == 0);
}

TEST(a_failed_start_leaves_no_variable_of_OpenMP_either)
{
    static const char *const variables[] = {"LIBEV_FLAGS=16", NULL};
    CHECK(exited_with(run_child("environment-after-a-failed-start", variables), 0));
}

/* ---- shutdown -------------------------------------------------------------------------------- */

struct offspring {
    loomp_runtime *runtime;
    loomp_job first;
    loomp_job from_work;
    loomp_job from_done;
    loomp_job from_post;
    struct gate gate;
    int results[8];
    _Atomic int dones;
};

static int offspring_simple_work(loomp_job *job)
{
    (void)job;
    return 0;
}

static void offspring_simple_done(loomp_job *job, int status)
{
    struct offspring *self = job->data;
    CHECK(status == 0);
    self->dones++;
}

static void offspring_post(loomp_loop *loop, void *arg)
{
    struct offspring *self = arg;
    self->results[5] = loomp_submit(self->runtime, &self->from_post);
    self->results[6] = loomp_post(loop, post_nothing, NULL);
}

static int offspring_work(loomp_job *job)
{
    struct offspring *self = job->data;
    gate_pass(&self->gate);
    self->results[0] = loomp_submit(self->runtime, &self->from_work);
    self->results[1] = loomp_call(self->runtime, answer_42, NULL, NULL, NULL);
    return 0;
}

static void offspring_done(loomp_job *job, int status)
{
    struct offspring *self = job->data;
    CHECK(status == 0);
    self->results[2] = loomp_submit(self->runtime, &self->from_done);
    self->results[3] = loomp_post(loomp_loop_at(self->runtime, 0), offspring_post, self);
    self->results[4] = loomp_call(self->runtime, answer_42, NULL, NULL, NULL);
    self->dones++;
}

TEST(after_a_shutdown_work_is_refused_from_outside_and_accepted_from_inside_until_idle)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct offspring self = {.runtime = runtime};
    gate_init(&self.gate);
    for (int i = 0; i < 8; i++) {
        self.results[i] = i < 7 ? 1 : 0;
    }
    loomp_job_init(&self.first, offspring_work, offspring_done);
    loomp_job_init(&self.from_work, offspring_simple_work, offspring_simple_done);
    loomp_job_init(&self.from_done, offspring_simple_work, offspring_simple_done);
    loomp_job_init(&self.from_post, offspring_simple_work, offspring_simple_done);
    self.first.data = self.from_work.data = self.from_done.data = self.from_post.data = &self;
    CHECK(loomp_submit(runtime, &self.first) == 0);
    CHECK(loomp_shutdown(runtime) == 0);
    CHECK(loomp_shutdown(runtime) == 0);

    loomp_job outside = LOOMP_JOB_INIT(offspring_simple_work, NULL);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    loomp_group group;
    loomp_group_init(&group, runtime);
    CHECK(loomp_submit(runtime, &outside) == -ESHUTDOWN);
    CHECK(contains(loomp_error(), "shut"));
    CHECK(loomp_job_state(&outside) == LOOMP_JOB_IDLE);
    CHECK(loomp_submit_blocking(runtime, &outside) == -ESHUTDOWN);
    CHECK(loomp_call(runtime, answer_42, NULL, NULL, NULL) == -ESHUTDOWN);
    CHECK(loomp_install(runtime, answer_42, NULL) == -ESHUTDOWN);
    CHECK(loomp_post(loop, post_nothing, NULL) == -ESHUTDOWN);
    CHECK(loomp_group_notify(&group, loop, group_nothing, NULL) == -ESHUTDOWN);
    CHECK(loomp_run_until_complete(runtime, main_nothing, NULL) == -ESHUTDOWN);
    loomp_loop *attached = NULL;
    CHECK(loomp_attach(runtime, EV_DEFAULT, &attached) == -ESHUTDOWN);
    CHECK(!loomp_is_idle(runtime));

    gate_open(&self.gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < 8; i++) {
        CHECK(self.results[i] == 0);
    }
    CHECK(self.dones == 4);
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_submit(runtime, &outside) == -ESHUTDOWN);
    CHECK(loomp_stop(runtime) == 0);
}

struct gang_offspring {
    loomp_job gang;
    loomp_runtime *runtime;
    struct gate gate;
    _Atomic int refused;
    _Atomic int called;
};

static int count_call(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
    return 0;
}

static int gang_offspring_work(loomp_job *job)
{
    struct gang_offspring *self = LOOMP_CONTAINER(job, struct gang_offspring, gang);
    gate_pass(&self->gate);
#pragma omp parallel
    if (loomp_call(self->runtime, count_call, &self->called, NULL, NULL) != 0) {
        self->refused++;
    }
    return 0;
}

TEST(every_thread_of_a_gangs_region_may_submit_after_a_shutdown)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gang_offspring self = {.runtime = runtime};
    gate_init(&self.gate);
    loomp_job_init(&self.gang, gang_offspring_work, NULL);
    self.gang.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &self.gang) == 0);
    gate_wait_for_arrivals(&self.gate, 1);
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    CHECK(loomp_shutdown(runtime) == 0);
    gate_open(&self.gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(self.refused == 0);
    CHECK(self.called == workers);
}

static struct {
    loomp_runtime *runtime;
    int result;
    struct gate finished;
    ev_timer timer;
} outside_watcher;

static void on_outside_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    outside_watcher.result = loomp_call(outside_watcher.runtime, answer_42, NULL, NULL, NULL);
    ev_timer_stop(ev, timer);
    gate_arrive(&outside_watcher.finished);
}

static void start_outside_timer(loomp_loop *loop, void *arg)
{
    (void)arg;
    CHECK(loomp_shutdown(outside_watcher.runtime) == 0); /* any thread, also a loop */
    ev_timer_init(&outside_watcher.timer, on_outside_timer, 0., 0.);
    ev_timer_start(loomp_loop_ev(loop), &outside_watcher.timer);
}

TEST(a_watcher_of_the_applications_is_outside)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    outside_watcher.runtime = runtime;
    outside_watcher.result = 0;
    gate_init(&outside_watcher.finished);
    CHECK(loomp_post(loomp_loop_at(runtime, 0), start_outside_timer, NULL) == 0);
    gate_wait_for_arrivals(&outside_watcher.finished, 1);
    CHECK(outside_watcher.result == -ESHUTDOWN);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- idle ------------------------------------------------------------------------------------ */

TEST(wait_idle_only_looks_with_a_limit_of_0)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_wait_idle(runtime, 0) == 0);
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(!loomp_is_idle(runtime));
    CHECK(loomp_wait_idle(runtime, 0) == -ETIMEDOUT);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_wait_idle(runtime, 0) == 0);
    CHECK(job.dones == 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(wait_idle_reports_what_is_under_way_when_its_time_is_up)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job jobs[3];
    for (int i = 0; i < 3; i++) {
        recorded_init(&jobs[i], &gate);
        jobs[i].job.home = loomp_loop_at(runtime, 0);
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, 0.001) == -ETIMEDOUT);
    CHECK(strncmp(loomp_error(), "3 ", 2) == 0);
    CHECK(contains(loomp_error(), "under way"));
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, 1000) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static void *wait_idle_on_thread(void *runtime)
{
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    return NULL;
}

TEST(several_threads_may_wait_for_idle)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, wait_idle_on_thread, runtime);
    }
    gate_open(&gate);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(job.dones == 1);
    CHECK(loomp_stop(runtime) == 0);
}

struct notice {
    struct gate called;
    loomp_runtime *runtime;
    loomp_loop *loop; /* it was called on */
    bool idle;
    int submit;
    int calls;
};

static void on_shutdown(loomp_runtime *runtime, void *arg)
{
    struct notice *notice = arg;
    notice->runtime = runtime;
    notice->loop = loomp_loop_here();
    notice->idle = loomp_is_idle(runtime);
    notice->submit = loomp_call(runtime, answer_42, NULL, NULL, NULL);
    notice->calls++;
    gate_arrive(&notice->called);
}

TEST(shutdown_notify_calls_back_on_the_loop_when_everything_is_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    struct notice notices[2] = {{.calls = 0}, {.calls = 0}};
    gate_init(&notices[0].called);
    gate_init(&notices[1].called);
    CHECK(loomp_shutdown_notify(runtime, loop, on_shutdown, &notices[0]) == 0);
    CHECK(loomp_submit(runtime, &job.job) == -ESHUTDOWN);
    CHECK(loomp_shutdown_notify(runtime, loop, on_shutdown, &notices[1]) == 0);
    CHECK(!loomp_is_idle(runtime));
    gate_open(&gate);
    for (int i = 0; i < 2; i++) {
        gate_wait_for_arrivals(&notices[i].called, 1);
        CHECK(notices[i].runtime == runtime);
        CHECK(notices[i].loop == loop);
        CHECK(notices[i].idle);
        CHECK(notices[i].submit == -ESHUTDOWN);
    }
    CHECK(job.dones == 1);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(notices[0].calls == 1 && notices[1].calls == 1);
}

TEST(shutdown_notify_on_an_idle_runtime_calls_back_soon)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct notice notice = {.calls = 0};
    gate_init(&notice.called);
    CHECK(loomp_shutdown_notify(runtime, NULL, on_shutdown, &notice) == -EINVAL);
    CHECK(loomp_shutdown_notify(runtime, loomp_loop_at(runtime, 0), NULL, &notice) == -EINVAL);
    CHECK(loomp_submit(runtime, &(loomp_job)LOOMP_JOB_INIT(NULL, NULL)) == -EINVAL);
    CHECK(loomp_shutdown_notify(runtime, loomp_loop_at(runtime, 0), on_shutdown, &notice) == 0);
    gate_wait_for_arrivals(&notice.called, 1);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(notice.calls == 1);
}

TEST(shutdown_notify_on_an_attached_loop_lets_ev_run_end_by_itself)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_loop *loop = NULL;
    CHECK(loomp_attach(runtime, EV_DEFAULT, &loop) == 0);
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    struct notice notice = {.calls = 0};
    gate_init(&notice.called);
    CHECK(loomp_shutdown_notify(runtime, loop, on_shutdown, &notice) == 0);
    gate_open(&gate);
    ev_run(EV_DEFAULT, 0);
    CHECK(job.dones == 1);
    CHECK(notice.calls == 1);
    CHECK(notice.loop == loop);
    CHECK(notice.idle);
    CHECK(loomp_stop(runtime) == 0);
}

static void notify_from_loop(loomp_loop *loop, void *arg)
{
    struct notice *notice = arg;
    CHECK(loomp_shutdown_notify(loomp_current(), loop, on_shutdown, notice) == 0);
    CHECK(notice->calls == 0);
}

TEST(shutdown_notify_may_be_called_on_the_loop_itself)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct notice notice = {.calls = 0};
    gate_init(&notice.called);
    CHECK(loomp_post(loomp_loop_at(runtime, 0), notify_from_loop, &notice) == 0);
    gate_wait_for_arrivals(&notice.called, 1);
    CHECK(notice.idle);
    CHECK(loomp_stop(runtime) == 0);
}

struct main_part {
    loomp_job job;
    loomp_runtime *runtime;
    int rounds;
    loomp_loop *loop;
};

static void main_part_done(loomp_job *job, int status)
{
    struct main_part *self = LOOMP_CONTAINER(job, struct main_part, job);
    CHECK(status == 0);
    CHECK(loomp_loop_here() == self->loop);
    if (++self->rounds < 50) {
        CHECK(loomp_submit(self->runtime, job) == 0);
    }
}

static int main_part(loomp_loop *loop, void *arg)
{
    struct main_part *self = arg;
    self->loop = loop;
    CHECK(loomp_loop_here() == loop);
    CHECK(loomp_loop_at(self->runtime, 0) == loop);
    loomp_job_init(&self->job, offspring_simple_work, main_part_done);
    CHECK(loomp_submit(self->runtime, &self->job) == 0);
    return 17;
}

TEST(run_until_complete_returns_the_result_when_all_that_was_started_is_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct main_part self = {.runtime = runtime};
    CHECK(loomp_run_until_complete(runtime, main_part, &self) == 17);
    CHECK(self.rounds == 50);
    self.rounds = 0;
    CHECK(loomp_run_until_complete(runtime, main_part, &self) == 17);
    CHECK(self.rounds == 50);
    CHECK(loomp_run_until_complete(runtime, NULL, NULL) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- fork and exit --------------------------------------------------------------------------- */

struct forked {
    loomp_runtime *runtime;
    loomp_loop *loop;
    loomp_group *open_group; /* has a job under way */
};

static void expect_owner_dead(const struct forked *parent)
{
    loomp_runtime *runtime = parent->runtime;
    loomp_runtime *second = NULL;
    loomp_group group;
    loomp_loop *attached = NULL;
    struct recorded_job job;
    recorded_init(&job, NULL);
    EXPECT(loomp_group_init(&group, runtime) == 0);
    EXPECT(loomp_start(&second, NULL) == -EOWNERDEAD);
    EXPECT(contains(loomp_error(), "fork"));
    EXPECT(loomp_submit(runtime, &job.job) == -EOWNERDEAD);
    EXPECT(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    EXPECT(loomp_submit_blocking(runtime, &job.job) == -EOWNERDEAD);
    EXPECT(loomp_call(runtime, answer_42, NULL, NULL, NULL) == -EOWNERDEAD);
    EXPECT(loomp_install(runtime, answer_42, NULL) == -EOWNERDEAD);
    EXPECT(loomp_post(parent->loop, post_nothing, NULL) == -EOWNERDEAD);
    EXPECT(loomp_group_notify(&group, parent->loop, group_nothing, NULL) == -EOWNERDEAD);
    EXPECT(loomp_shutdown(runtime) == -EOWNERDEAD);
    EXPECT(loomp_wait_idle(runtime, -1) == -EOWNERDEAD);
    EXPECT(loomp_shutdown_notify(runtime, parent->loop, shutdown_nothing, NULL) == -EOWNERDEAD);
    EXPECT(loomp_run_until_complete(runtime, main_nothing, NULL) == -EOWNERDEAD);
    EXPECT(loomp_attach(runtime, EV_DEFAULT, &attached) == -EOWNERDEAD);
    EXPECT(loomp_stop(runtime) == -EOWNERDEAD);
    EXPECT(loomp_stop_now(runtime) == -EOWNERDEAD);
    EXPECT(loomp_default() == NULL);
    EXPECT(loomp_current() == NULL);
    EXPECT(loomp_loop_here() == NULL);
    EXPECT(loomp_threads(runtime, NULL, 0) == 0);
    EXPECT(loomp_loop_count(runtime) == 0);
    if (parent->open_group) {
        EXPECT(loomp_group_wait(parent->open_group, 0.001) == -EOWNERDEAD);
    }
    EXPECT(job.works == 0 && job.dones == 0);
}

/* The child tries everything and exits; the parent looks at how. */
static void check_fork(const struct forked *parent)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        is_forked = true;
        child_failures = 0;
        expect_owner_dead(parent);
        exit_forked(child_failures ? 1 : 9);
    }
    int status = -1;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(exited_with(status, 9));
}

TEST(in_a_forked_child_every_call_says_EOWNERDEAD_and_the_parent_goes_on)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_install(runtime, answer_42, NULL) == 42);
    struct forked self = {.runtime = runtime,
                          .loop = loomp_loop_at(runtime, 0)};
    check_fork(&self);
    CHECK(loomp_install(runtime, answer_42, NULL) == 42);
    for (int kind = 0; kind < KINDS; kind++) {
        run_on((enum kind)kind, runtime, nothing, NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_child_may_be_forked_while_the_pool_is_busy)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    static struct recorded_job held[MOST_WORKERS];
    int workers = hold_all_workers(runtime, held, &gate);
    enum { JOBS = 500 };
    static struct recorded_job jobs[JOBS];
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int i = 0; i < JOBS; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.group = &group;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    struct forked self = {.runtime = runtime,
                          .loop = loomp_loop_at(runtime, 0),
                          .open_group = &group};
    check_fork(&self);
    gate_open(&gate);
    self.open_group = NULL;
    check_fork(&self); /* now they really run */
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < JOBS; i++) {
        CHECK(jobs[i].works == 1 && jobs[i].dones == 1);
    }
    for (int i = 0; i < workers; i++) {
        CHECK(held[i].dones == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_child_that_was_forked_after_stop_cannot_start)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_stop(runtime) == 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        is_forked = true;
        child_failures = 0;
        EXPECT(loomp_start(&runtime, NULL) == -EOWNERDEAD);
        exit_forked(child_failures ? 1 : 9);
    }
    int status = -1;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(exited_with(status, 9));
}

static struct gate never = GATE_INIT;
static struct recorded_job exit_jobs[2000];

static void child_exit_with_work(void)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int i = 0; i < 2000; i++) {
        recorded_init(&exit_jobs[i], NULL);
        exit_jobs[i].job.kind = i % 50 ? LOOMP_SERIAL : LOOMP_GANG;
        exit_jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
        loomp_submit(runtime, &exit_jobs[i].job);
    }
    exit(7);
}

static void child_exit_with_work_that_waits(void)
{
    static struct recorded_job held[MOST_WORKERS];
    static struct recorded_job gang;
    loomp_runtime *runtime = runtime_under_test();
    recorded_init(&gang, NULL);
    gang.job.kind = LOOMP_GANG;
    hold_all_workers(runtime, held, &never);
    loomp_submit(runtime, &gang.job);
    for (int i = 0; i < 2000; i++) {
        recorded_init(&exit_jobs[i], NULL);
        loomp_submit(runtime, &exit_jobs[i].job);
    }
    exit(8);
}

static void child_exit_while_idle(void)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_install(runtime, answer_42, NULL);
    loomp_wait_idle(runtime, -1);
    exit(5);
}

static int exit_work(loomp_job *job)
{
    (void)job;
    exit(6);
}

static void child_exit_inside_a_job(void)
{
    static loomp_job job;
    loomp_runtime *runtime = runtime_under_test();
    loomp_job_init(&job, exit_work, NULL);
    loomp_submit(runtime, &job);
    gate_pass(&never);
}

TEST(a_program_may_exit_without_stop)
{
    CHECK(exited_with(run_child("exit-while-idle", NULL), 5));
}

TEST(a_program_may_exit_with_work_queued)
{
    for (int round = 0; round < 5; round++) {
        CHECK(exited_with(run_child("exit-with-work", NULL), 7));
    }
    CHECK(exited_with(run_child("exit-with-work-that-waits", NULL), 8));
    CHECK(exited_with(run_child("exit-inside-a-job", NULL), 6));
}

static const struct {
    const char *name;
    void (*run)(void);
} children[] = {
    {"start-without-libev", child_start_without_libev},
    {"start-without-descriptors", child_start_without_descriptors},
    {"late-calls-with-a-loop", child_late_calls_with_a_loop},
    {"observed-while-stopping", child_observed_while_stopping},
    {"mask", child_mask},
    {"second-start", child_second_start},
    {"environment-clean", child_environment_clean},
    {"environment-kept", child_environment_kept},
    {"environment-after-a-failed-start", child_environment_after_a_failed_start},
    {"exit-while-idle", child_exit_while_idle},
    {"exit-with-work", child_exit_with_work},
    {"exit-with-work-that-waits", child_exit_with_work_that_waits},
    {"exit-inside-a-job", child_exit_inside_a_job},
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0) {
        for (size_t i = 0; i < sizeof children / sizeof *children; i++) {
            if (strcmp(children[i].name, argv[2]) == 0) {
                children[i].run();
                return child_failures ? 1 : 0;
            }
        }
        return 2;
    }
    return harness_run(argc, argv);
}
