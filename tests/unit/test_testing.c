/* SPDX-License-Identifier: MIT */
/* Tests of <loomp/test.h>: LOOMP_TEST as a user of CUnit writes it, and with a report function of
 * this file's, to see what is reported. The last test hangs a runtime, so nothing can follow it. */
#define SUITE "testing"
#include "recorded_job.h"

#include <loomp/test.h>

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

/* ---- as a user writes it --------------------------------------------------------------------- */

static int bodies; /* that have run */

static bool is_unpinned(const struct loomp_thread_info *info)
{
    cpu_set_t allowed, set;
    CPU_ZERO(&set);
    CPU_ZERO(&allowed);
    sched_getaffinity((pid_t)getpid(), sizeof allowed, &allowed);
    sched_getaffinity(info->tid, sizeof set, &set);
    return CPU_EQUAL(&set, &allowed);
}

LOOMP_TEST(by_default)
{
    bodies++;
    LOOMP_CHECK(loomp_loop_here() == loop);
    LOOMP_CHECK(loomp_loop_at(runtime, 0) == loop);
    LOOMP_CHECK(loomp_default() == runtime);
    LOOMP_CHECK(loomp_loop_count(runtime) == 1);
    LOOMP_CHECK(loomp_pool_threads(loomp_pool_named(runtime, "compute")) == 2);
    struct loomp_thread_info threads[16];
    int count = loomp_threads(runtime, threads, 16);
    LOOMP_CHECK(count == 5);
    for (int i = 0; i < count && i < 16; i++) {
        LOOMP_CHECK(strncmp(threads[i].name, "by_de", 5) == 0); /* cut to the kernel's limit */
        LOOMP_CHECK(is_unpinned(&threads[i]));
    }
    return 0;
}

LOOMP_TEST(as_asked, .io = 2, .compute = 3, .pin = 1,
           .settings = (const char *const[]){"prefix", "own", "queue_limit", "1", NULL})
{
    bodies++;
    LOOMP_CHECK(loomp_loop_count(runtime) == 2);
    LOOMP_CHECK(loomp_pool_threads(loomp_pool_named(runtime, "compute")) == 3);
    struct loomp_thread_info threads[16];
    int count = loomp_threads(runtime, threads, 16);
    LOOMP_CHECK(count == 8);
    for (int i = 0; i < count && i < 16; i++) {
        LOOMP_CHECK(threads[i].cpu >= 0);
        LOOMP_CHECK(strncmp(threads[i].name, "own-", 4) == 0);
    }
    return 0;
}

struct chain {
    loomp_job job;
    int left;
};

static struct chain chain;

static int chain_work(loomp_job *job)
{
    LOOMP_CHECK(loomp_thread_index(loomp_pool_named(loomp_current(), "compute")) >= 0);
    (void)job;
    return 0;
}

static void chain_done(loomp_job *job, int status)
{
    LOOMP_CHECK(status == 0);
    if (--LOOMP_CONTAINER(job, struct chain, job)->left > 0) {
        LOOMP_CHECK(loomp_submit(loomp_current(), job) == 0);
    }
}

LOOMP_TEST(that_starts_work, .compute = 1)
{
    bodies++;
    loomp_job_init(&chain.job, chain_work, chain_done);
    chain.left = 100;
    LOOMP_CHECK(loomp_submit(runtime, &chain.job) == 0);
    return 0;
}

LOOMP_TEST(whose_name_is_a_whole_sentence_about_behaviour_and_longer_than_any_prefix_of_a_thread)
{
    bodies++;
    return 0;
}

TEST(a_body_runs_on_the_first_loop_of_a_small_unpinned_runtime)
{
    bodies = 0;
    by_default();
    CHECK(bodies == 1);
    CHECK(loomp_default() == NULL);
}

TEST(a_body_runs_with_the_threads_and_settings_it_asks_for)
{
    bodies = 0;
    as_asked();
    CHECK(bodies == 1);
    CHECK(loomp_default() == NULL);
}

TEST(a_test_ends_when_all_that_its_body_started_is_done)
{
    bodies = 0;
    that_starts_work();
    CHECK(bodies == 1);
    CHECK(chain.left == 0);
}

TEST(a_test_may_have_a_long_name)
{
    bodies = 0;
    whose_name_is_a_whole_sentence_about_behaviour_and_longer_than_any_prefix_of_a_thread();
    CHECK(bodies == 1);
}

TEST(tests_follow_each_other)
{
    bodies = 0;
    for (int i = 0; i < 3; i++) {
        by_default();
        as_asked();
    }
    CHECK(bodies == 6);
}

/* ---- what is reported ------------------------------------------------------------------------ */

static struct {
    int count;
    char what[200][512];
    char file[200][256];
    unsigned line[200];
    int elsewhere; /* not on the thread that runs the test */
    pthread_t thread;
} reports;

static void report(const char *what, const char *file, unsigned line)
{
    reports.elsewhere += !pthread_equal(pthread_self(), reports.thread);
    if (reports.count < 200) {
        snprintf(reports.what[reports.count], sizeof reports.what[0], "%s", what);
        snprintf(reports.file[reports.count], sizeof reports.file[0], "%s", file);
        reports.line[reports.count] = line;
    }
    reports.count++;
}

static int run(const char *name, loomp_test_fn body, struct loomp_test_options options)
{
    memset(&reports, 0, sizeof reports);
    reports.thread = pthread_self();
    options.size = sizeof options;
    int failures = loomp_test_run(name, "some-file.c", 77, body, &options, report);
    CHECK(reports.elsewhere == 0);
    return failures;
}

static bool reported(const char *what)
{
    for (int i = 0; i < reports.count && i < 200; i++) {
        if (strstr(reports.what[i], what)) {
            return true;
        }
    }
    return false;
}

static int good_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    (void)runtime;
    LOOMP_CHECK(1 + 1 == 2);
    return 0;
}

TEST(a_good_test_reports_nothing)
{
    CHECK(run("good", good_body, (struct loomp_test_options){.io = 0}) == 0);
    CHECK(reports.count == 0);
}

static unsigned line_of_check;

static int failing_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    (void)runtime;
    line_of_check = __LINE__ + 1;
    LOOMP_CHECK(1 + 1 == 3);
    return 0;
}

TEST(a_failed_check_is_reported_with_its_text_and_place)
{
    CHECK(run("failing", failing_body, (struct loomp_test_options){.io = 0}) == 1);
    CHECK(reports.count == 1);
    CHECK_TEXT(reports.what[0], "1 + 1 == 3");
    CHECK_TEXT(reports.file[0], __FILE__);
    CHECK(reports.line[0] == line_of_check);
    CHECK(run("good", good_body, (struct loomp_test_options){.io = 0}) == 0); /* not twice */
    CHECK(reports.count == 0);
}

static int result_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    (void)runtime;
    return -EIO;
}

TEST(a_result_other_than_0_is_reported)
{
    CHECK(run("result", result_body, (struct loomp_test_options){.io = 0}) == 1);
    CHECK(reports.count == 1);
    CHECK(reported("-5"));
    CHECK_TEXT(reports.file[0], "some-file.c");
    CHECK(reports.line[0] == 77);
}

static int failing_work(loomp_job *job)
{
    LOOMP_CHECK(job == NULL);
    return 0;
}

static void failing_done(loomp_job *job, int status)
{
    (void)job;
    LOOMP_CHECK(status == 4711);
}

static void failing_post(loomp_loop *loop, void *arg)
{
    (void)arg;
    LOOMP_CHECK(loop == NULL);
}

static void *failing_thread(void *arg)
{
    LOOMP_CHECK(arg != NULL);
    return NULL;
}

static loomp_job failing_jobs[3];

static int busy_body(loomp_loop *loop, loomp_runtime *runtime)
{
    for (int i = 0; i < 3; i++) {
        loomp_job_init(&failing_jobs[i], failing_work, failing_done);
        failing_jobs[i].kind = i == 1 ? LOOMP_GANG : LOOMP_SERIAL;
        LOOMP_CHECK((i == 2 ? loomp_submit_blocking(runtime, &failing_jobs[i])
                            : loomp_submit(runtime, &failing_jobs[i])) == 0);
    }
    LOOMP_CHECK(loomp_post(loop, failing_post, NULL) == 0);
    pthread_t thread;
    pthread_create(&thread, NULL, failing_thread, NULL);
    pthread_join(thread, NULL);
    return 0;
}

TEST(a_check_may_fail_on_every_thread)
{
    CHECK(run("busy", busy_body, (struct loomp_test_options){.io = 0}) == 8);
    CHECK(reports.count == 8);
    CHECK(reported("job == NULL"));
    CHECK(reported("status == 4711"));
    CHECK(reported("loop == NULL"));
    CHECK(reported("arg != NULL"));
}

static int loud_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    (void)runtime;
    for (int i = 0; i < 150; i++) {
        LOOMP_CHECK(i < 0);
    }
    return 0;
}

TEST(of_very_many_failures_all_are_counted)
{
    CHECK(run("loud", loud_body, (struct loomp_test_options){.io = 0}) == 150);
    CHECK(reports.count >= 1 && reports.count <= 150);
    CHECK(run("good", good_body, (struct loomp_test_options){.io = 0}) == 0);
}

TEST(options_of_another_version_are_refused)
{
    memset(&reports, 0, sizeof reports);
    reports.thread = pthread_self();
    struct loomp_test_options options = {.size = 8};
    CHECK(loomp_test_run("old", "some-file.c", 77, good_body, &options, report) == 1);
    CHECK(reports.count == 1);
    CHECK(loomp_default() == NULL);
}

TEST(a_runtime_that_does_not_start_is_reported_with_the_reason)
{
    static const char *const bad[] = {"queue_policy", "perhaps", NULL};
    CHECK(run("bad", good_body, (struct loomp_test_options){.settings = bad}) == 1);
    CHECK(reported("queue_policy"));
    static const char *const nowhere[] = {"cpus", "4000", NULL};
    CHECK(run("nowhere", good_body, (struct loomp_test_options){.settings = nowhere}) == 1);
    CHECK(reported("cpus"));
    CHECK(run("good", good_body, (struct loomp_test_options){.io = 0}) == 0);
}

TEST(a_test_beside_a_running_runtime_fails_and_leaves_it_alone)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(run("second", good_body, (struct loomp_test_options){.io = 0}) == 1);
    CHECK(reported("running"));
    CHECK(loomp_default() == runtime);
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(virtual_time_needs_the_clock_of_the_program)
{
    CHECK(run("clock", good_body, (struct loomp_test_options){.virtual_time = 1}) == 1);
    CHECK(reported("LOOMP_TEST_VIRTUAL_CLOCK"));
    CHECK_TEXT(reports.file[0], "some-file.c");
    CHECK(loomp_default() == NULL);
    CHECK(run("good", good_body, (struct loomp_test_options){.io = 0}) == 0);
}

static int shutdown_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    LOOMP_CHECK(loomp_shutdown(runtime) == 0);
    return 0;
}

TEST(a_body_may_shut_its_runtime_down)
{
    CHECK(run("shutdown", shutdown_body, (struct loomp_test_options){.io = 0}) == 0);
    CHECK(loomp_default() == NULL);
}

/* ---- a hang: the last test ------------------------------------------------------------------- */

static struct gate hang = GATE_INIT;
static struct recorded_job hanging;

static int hanging_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    recorded_init(&hanging, &hang);
    LOOMP_CHECK(loomp_submit(runtime, &hanging.job) == 0);
    return 0;
}

TEST(zz_a_hang_is_reported_and_so_is_every_later_test)
{
    CHECK(run("hanging", hanging_body, (struct loomp_test_options){.limit_s = 0.01}) == 1);
    CHECK(reports.count == 1);
    CHECK(reported("hang"));
    CHECK_TEXT(reports.file[0], "some-file.c");
    CHECK(reports.line[0] == 77);
    CHECK(run("later", good_body, (struct loomp_test_options){.io = 0}) == 1);
    CHECK(reported("hanging"));
    gate_open(&hang);
    loomp_runtime *runtime = loomp_default();
    if (CHECK(runtime != NULL)) {
        CHECK(loomp_stop(runtime) == 0);
    }
    CHECK(hanging.dones == 1);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
