/* SPDX-License-Identifier: MIT */
/* Tests of virtual time in <loomp/test.h>: what happens when, in which order, and what is refused. What
 * happens is written down as text, with the second at which it did. */
#define SUITE "virtual_time"
#include "harness.h"

#define LOOMP_TEST_WITHOUT_CUNIT
#include <loomp/test.h>

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

LOOMP_TEST_VIRTUAL_CLOCK;

/* ---- what happened ------------------------------------------------------------------------------- */

enum { LOG_BYTES = 4096 };

static struct {
    pthread_mutex_t lock; /* guards the rest */
    char text[LOG_BYTES];
    size_t length;
} events = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(const char *what)
{
    pthread_mutex_lock(&events.lock);
    int length = snprintf(events.text + events.length, LOG_BYTES - events.length, "%s %.9g\n", what,
                          loomp_test_now());
    events.length += (size_t)length;
    pthread_mutex_unlock(&events.lock);
}

static char reported[1024]; /* the last failure */

static void report(const char *what, const char *file, unsigned line)
{
    (void)file;
    (void)line;
    snprintf(reported, sizeof reported, "%s", what);
}

static int run_with(loomp_test_fn body, struct loomp_test_options options)
{
    options.size = sizeof options;
    options.limit_s = 60;
    events.text[0] = *reported = '\0';
    events.length = 0;
    return loomp_test_run("virtual", "some-file.c", 1, body, &options, report);
}

/* In virtual time, with so many threads of the team; it must report nothing. */
static bool run(loomp_test_fn body, int compute)
{
    int failures = run_with(body, (struct loomp_test_options){.compute = compute,
                                                              .virtual_time = 1});
    CHECK_TEXT(reported, "");
    return CHECK(failures == 0);
}

/* ---- jobs that take time ------------------------------------------------------------------------- */

struct timed_job {
    loomp_job job;
    const char *name;
    double takes_s;
};

static int timed_work(loomp_job *job)
{
    loomp_test_takes(LOOMP_CONTAINER(job, struct timed_job, job)->takes_s);
    return 0;
}

static void timed_done(loomp_job *job, int status)
{
    struct timed_job *timed = LOOMP_CONTAINER(job, struct timed_job, job);
    char what[64];
    snprintf(what, sizeof what, "%s%s", timed->name, status == -ETIMEDOUT ? " expired" : "");
    note(what);
}

static void timed_init(struct timed_job *timed, const char *name, double takes_s)
{
    timed->name = name;
    timed->takes_s = takes_s;
    loomp_job_init(&timed->job, timed_work, timed_done);
}

static struct timed_job jobs[16];

static int long_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    timed_init(&jobs[0], "job", 7200);
    return loomp_submit(runtime, &jobs[0].job);
}

TEST(a_job_of_two_hours_ends_two_hours_later)
{
    for (int compute = 1; compute <= 2; compute++) {
        run(long_body, compute);
        CHECK_TEXT(events.text, "job 7200\n");
    }
}

static int ten_body(loomp_loop *loop, loomp_runtime *runtime)
{
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    (void)loop;
    for (int i = 0; i < 10; i++) {
        timed_init(&jobs[i], names[i], 1);
        LOOMP_CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    return 0;
}

TEST(as_many_jobs_run_at_a_time_as_there_are_threads)
{
    run(ten_body, 1);
    CHECK_TEXT(events.text, "0 1\n1 2\n2 3\n3 4\n4 5\n5 6\n6 7\n7 8\n8 9\n9 10\n");
    run(ten_body, 2);
    CHECK_TEXT(events.text, "0 1\n1 1\n2 2\n3 2\n4 3\n5 3\n6 4\n7 4\n8 5\n9 5\n");
}

TEST(the_order_of_events_is_the_same_every_time)
{
    for (int i = 0; i < 20; i++) {
        run(ten_body, 2);
        if (!CHECK_TEXT(events.text,
                        "0 1\n1 1\n2 2\n3 2\n4 3\n5 3\n6 4\n7 4\n8 5\n9 5\n")) {
            return;
        }
    }
}

/* ---- the loop's timers ---------------------------------------------------------------------------- */

static ev_timer timer, other_timer;

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int revents)
{
    (void)ev;
    (void)revents;
    note(watcher->data);
}

static void start_timer(loomp_loop *loop, ev_timer *watcher, const char *name, double after,
                        double repeat)
{
    ev_timer_init(watcher, on_timer, after, repeat);
    watcher->data = (void *)(uintptr_t)name;
    ev_timer_start(loomp_loop_ev(loop), watcher);
}

static int mixed_body(loomp_loop *loop, loomp_runtime *runtime)
{
    start_timer(loop, &timer, "timer", 30, 0);
    timed_init(&jobs[0], "job", 10);
    timed_init(&jobs[1], "late", 1);
    jobs[1].job.deadline_s = 5;
    LOOMP_CHECK(loomp_submit(runtime, &jobs[0].job) == 0);
    LOOMP_CHECK(loomp_submit(runtime, &jobs[1].job) == 0);
    LOOMP_CHECK(loomp_test_now() == 0);
    LOOMP_CHECK(loomp_test_advance(loop, 30) == 0);
    LOOMP_CHECK(loomp_test_now() == 30);
    note("body");
    return 0;
}

TEST(timers_jobs_and_deadlines_come_in_the_order_of_their_times)
{
    for (int i = 0; i < 20; i++) {
        run(mixed_body, 1);
        if (!CHECK_TEXT(events.text, "late expired 5\njob 10\ntimer 30\nbody 30\n")) {
            return;
        }
    }
}

static void note_io(loomp_job *job, int status)
{
    note(job->data);
    LOOMP_CHECK(status == 0 || status == -ETIMEDOUT);
}

static int io_body(loomp_loop *loop, loomp_runtime *runtime)
{
    static loomp_job minute, hour, limited;
    static char byte;
    int fds[2];
    loomp_job_init(&minute, NULL, note_io);
    loomp_job_init(&hour, NULL, note_io);
    loomp_job_init(&limited, NULL, note_io);
    minute.data = (void *)(uintptr_t) "minute";
    hour.data = (void *)(uintptr_t) "hour";
    limited.data = (void *)(uintptr_t) "limit";
    limited.deadline_s = 600;
    LOOMP_CHECK(pipe(fds) == 0);
    LOOMP_CHECK(loomp_io_sleep(runtime, &hour, 3600) == 0);
    LOOMP_CHECK(loomp_io_sleep(runtime, &minute, 60) == 0);
    LOOMP_CHECK(loomp_io_read(runtime, &limited, fds[0], &byte, 1, LOOMP_IO_HERE) == 0);
    LOOMP_CHECK(loomp_test_advance(loop, 10000) == 0);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

TEST(io_sleeps_and_is_late_in_virtual_time)
{
    run(io_body, 1);
    CHECK_TEXT(events.text, "minute 60\nlimit 600\nhour 3600\n");
}

static int repeating_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    start_timer(loop, &timer, "a", 0.25, 0.25);
    start_timer(loop, &other_timer, "b", 0.1, 0.4);
    LOOMP_CHECK(loomp_test_advance(loop, 1) == 0);
    ev_timer_stop(loomp_loop_ev(loop), &timer);
    ev_timer_stop(loomp_loop_ev(loop), &other_timer);
    LOOMP_CHECK(loomp_test_advance(loop, 1) == 0);
    return 0;
}

TEST(timers_that_repeat_do_so_without_drift)
{
    run(repeating_body, 1);
    CHECK_TEXT(events.text, "b 0.1\na 0.25\na 0.5\nb 0.5\na 0.75\nb 0.9\na 1\n");
}

static int chained; /* how many timers, each started by the one before */

static void on_chain(struct ev_loop *ev, ev_timer *watcher, int revents)
{
    (void)revents;
    if (++chained < 10000) {
        ev_timer_set(watcher, 0.01, 0.);
        ev_timer_start(ev, watcher);
    } else {
        note("end");
    }
}

static int chain_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    chained = 0;
    ev_timer_init(&timer, on_chain, 0.01, 0.);
    ev_timer_start(loomp_loop_ev(loop), &timer);
    LOOMP_CHECK(loomp_test_advance(loop, 100) == 0);
    return 0;
}

TEST(ten_thousand_timers_one_after_the_other_end_on_time)
{
    run(chain_body, 2);
    CHECK(chained == 10000);
    CHECK_TEXT(events.text, "end 100\n");
}

static int periodics;

static bool is_near(double time, double expected)
{
    return time > expected - 1e-5 && time < expected + 1e-5; /* a double of seconds since 1970 */
}

static void on_periodic(struct ev_loop *ev, ev_periodic *watcher, int revents)
{
    (void)revents;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    LOOMP_CHECK(is_near(ev_now(ev), *(double *)watcher->data));
    LOOMP_CHECK(is_near(ev_now(ev), (double)now.tv_sec + (double)now.tv_nsec / 1e9));
    LOOMP_CHECK(is_near(loomp_test_now(), 3600));
    periodics++;
}

static int periodic_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    struct ev_loop *ev = loomp_loop_ev(loop);
    double at = ev_now(ev) + 3600;
    ev_periodic periodic;
    ev_periodic_init(&periodic, on_periodic, at, 0., NULL);
    periodic.data = &at;
    ev_periodic_start(ev, &periodic);
    LOOMP_CHECK(loomp_test_advance(loop, 3599) == 0);
    LOOMP_CHECK(periodics == 0);
    LOOMP_CHECK(loomp_test_advance(loop, 2) == 0);
    LOOMP_CHECK(periodics == 1);
    ev_periodic_stop(ev, &periodic);
    return 0;
}

TEST(the_time_of_day_goes_on_with_the_clock)
{
    periodics = 0;
    run(periodic_body, 1);
}

/* ---- every kind of work --------------------------------------------------------------------------- */

static int kinds_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    static const char *const names[] = {"serial", "tasks", "gang", "blocking", "tasks too"};
    static const uint32_t kinds[] = {LOOMP_SERIAL, LOOMP_TASKS, LOOMP_GANG, LOOMP_SERIAL,
                                     LOOMP_TASKS};
    for (int i = 0; i < 5; i++) {
        timed_init(&jobs[i], names[i], 1 + i);
        jobs[i].job.kind = kinds[i];
        LOOMP_CHECK((i == 3 ? loomp_submit_blocking(runtime, &jobs[i].job)
                            : loomp_submit(runtime, &jobs[i].job)) == 0);
    }
    return 0;
}

static bool has_event(const char *name)
{
    return strstr(events.text, name) != NULL;
}

TEST(every_kind_of_job_takes_its_time)
{
    for (int compute = 1; compute <= 3; compute++) {
        run(kinds_body, compute);
        CHECK(has_event("serial "));
        CHECK(has_event("blocking 4\n"));
        CHECK(has_event("tasks "));
        CHECK(has_event("gang "));
        CHECK(has_event("tasks too "));
    }
}

static int tasks_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    static const char *const names[] = {"0", "1", "2", "3", "4", "5"};
    for (int i = 0; i < 6; i++) {
        timed_init(&jobs[i], names[i], 1);
        jobs[i].job.kind = LOOMP_TASKS;
        LOOMP_CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    return 0;
}

TEST(tasks_jobs_run_side_by_side)
{
    run(tasks_body, 1);
    CHECK_TEXT(events.text, "0 1\n1 2\n2 3\n3 4\n4 5\n5 6\n");
    for (int i = 0; i < 20; i++) {
        run(tasks_body, 2);
        bool together = strstr(events.text, "5 3\n") != NULL;
        /* The first may begin before the second is there, and has the region alone then. */
        bool one_alone = strstr(events.text, "0 1\n1 2\n2 2\n3 3\n4 3\n5 4\n") != NULL;
        if (!CHECK(together || one_alone)) {
            CHECK_TEXT(events.text, "");
            return;
        }
    }
}

static int gang_work(loomp_job *job)
{
    (void)job;
    int sum = 0;
#pragma omp parallel reduction(+ : sum)
    sum += 1;
    loomp_test_takes(1);
#pragma omp parallel reduction(+ : sum)
    sum += 1;
    LOOMP_CHECK(sum == 4);
    return 0;
}

static int gang_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    timed_init(&jobs[0], "gang", 0);
    jobs[0].job.work = gang_work;
    jobs[0].job.kind = LOOMP_GANG;
    return loomp_submit(runtime, &jobs[0].job);
}

TEST(a_gang_takes_time_between_its_regions)
{
    run(gang_body, 2);
    CHECK_TEXT(events.text, "gang 1\n");
}

static int slow_items(int64_t begin, int64_t end, void *arg)
{
    (void)arg;
    loomp_test_takes((double)(end - begin));
    return 0;
}

static int for_work(loomp_job *job)
{
    (void)job;
    LOOMP_CHECK(loomp_for(loomp_current(), 0, 8, 1, slow_items, NULL) == 0);
    note("loop");
    return 0;
}

static int for_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    timed_init(&jobs[0], "job", 0);
    jobs[0].job.work = for_work;
    return loomp_submit(runtime, &jobs[0].job);
}

TEST(the_chunks_of_a_parallel_loop_take_time_side_by_side)
{
    run(for_body, 1);
    CHECK_TEXT(events.text, "loop 8\njob 8\n");
    run(for_body, 2);
    CHECK_TEXT(events.text, "loop 4\njob 4\n");
}

static int waiting_work(loomp_job *job)
{
    (void)job;
    loomp_group group;
    loomp_group_init(&group, loomp_current());
    timed_init(&jobs[1], "inner", 10);
    jobs[1].job.group = &group;
    LOOMP_CHECK(loomp_submit_blocking(loomp_current(), &jobs[1].job) == 0);
    LOOMP_CHECK(loomp_group_wait(&group, 3) == -ETIMEDOUT);
    note("timed out");
    LOOMP_CHECK(loomp_group_wait(&group, 7) == 0); /* both at 10 */
    note("waited");
    loomp_group_fini(&group);
    return 0;
}

static int waiting_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    timed_init(&jobs[0], "outer", 0);
    jobs[0].job.work = waiting_work;
    return loomp_submit(runtime, &jobs[0].job);
}

TEST(the_time_limit_of_a_wait_in_a_job_is_virtual)
{
    for (int compute = 1; compute <= 2; compute++) {
        run(waiting_body, compute);
        CHECK_TEXT(events.text, "timed out 3\ninner 10\nwaited 10\nouter 10\n");
    }
}

/* ---- adaptive decisions ---------------------------------------------------------------------------- */

static int on_loop, on_team; /* where the last fifty of a site's runs were */

static int placed_work(loomp_job *job)
{
    loomp_test_takes(LOOMP_CONTAINER(job, struct timed_job, job)->takes_s);
    if (loomp_loop_here()) {
        on_loop++;
    } else {
        on_team++;
    }
    return 0;
}

static int learn(loomp_loop *loop, loomp_runtime *runtime, loomp_site *site, double takes_s)
{
    for (int i = 0; i < 150; i++) {
        if (i == 100) {
            on_loop = on_team = 0;
        }
        timed_init(&jobs[0], "job", takes_s);
        jobs[0].job.work = placed_work;
        LOOMP_CHECK(loomp_submit_adaptive(runtime, &jobs[0].job, site, 0) == 0);
        LOOMP_CHECK(loomp_test_advance(loop, 1) == 0);
    }
    return 0;
}

static int long_site_body(loomp_loop *loop, loomp_runtime *runtime)
{
    static loomp_site site = LOOMP_SITE("a second", LOOMP_HINT_UNKNOWN);
    return learn(loop, runtime, &site, 1);
}

static int short_site_body(loomp_loop *loop, loomp_runtime *runtime)
{
    static loomp_site site = LOOMP_SITE("a hundred nanoseconds", LOOMP_HINT_UNKNOWN);
    return learn(loop, runtime, &site, 1e-7);
}

TEST(an_adaptive_site_learns_what_its_jobs_take)
{
    run(long_site_body, 2);
    CHECK(on_loop == 0 && on_team == 50);
    run(short_site_body, 2);
    CHECK(on_team < 10);
}

/* ---- the loop, advanced and busy ------------------------------------------------------------------ */

static int busy_body(loomp_loop *loop, loomp_runtime *runtime)
{
    start_timer(loop, &timer, "timer", 1.5, 0);
    for (int i = 0; i < 3; i++) {
        timed_init(&jobs[i], "job", 1);
        LOOMP_CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    loomp_test_takes(2.5); /* the loop learns of nothing, but the third job begins at 2 */
    note("body");
    LOOMP_CHECK(loomp_test_advance(loop, 0) == 0);
    note("and on");
    return 0;
}

TEST(while_the_loop_is_busy_only_jobs_go_on)
{
    run(busy_body, 1);
    CHECK_TEXT(events.text, "body 2.5\njob 2.5\njob 2.5\ntimer 2.5\nand on 2.5\njob 3\n");
}

static void on_nested(struct ev_loop *ev, ev_timer *watcher, int revents)
{
    (void)ev;
    (void)revents;
    note("nested");
    LOOMP_CHECK(loomp_test_advance(watcher->data, 5) == 0);
    note("nested end");
}

static int nested_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    ev_timer_init(&timer, on_nested, 1., 0.);
    timer.data = loop;
    ev_timer_start(loomp_loop_ev(loop), &timer);
    start_timer(loop, &other_timer, "other", 3, 0);
    LOOMP_CHECK(loomp_test_advance(loop, 2) == 0);
    note("body");
    return 0;
}

TEST(a_callback_may_advance_the_clock_too)
{
    run(nested_body, 1);
    CHECK_TEXT(events.text, "nested 1\nother 3\nnested end 6\nbody 6\n");
}

static void on_idle(struct ev_loop *ev, ev_idle *watcher, int revents)
{
    (void)ev;
    (void)watcher;
    (void)revents;
}

static int idle_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    static ev_idle idle;
    ev_idle_init(&idle, on_idle);
    ev_idle_start(loomp_loop_ev(loop), &idle);
    start_timer(loop, &timer, "timer", 1, 0);
    LOOMP_CHECK(loomp_test_advance(loop, 1) == 0);
    ev_idle_stop(loomp_loop_ev(loop), &idle);
    return 0;
}

TEST(watchers_that_run_every_time_do_not_stop_the_clock)
{
    run(idle_body, 1);
    CHECK_TEXT(events.text, "timer 1\n");
}

/* A chain over many pipes' worth of posts: all of it at one time. */
static void post_again(loomp_loop *loop, void *arg)
{
    int *left = arg;
    if (--*left) {
        LOOMP_CHECK(loomp_post(loop, post_again, arg) == 0);
    } else {
        note("posts");
    }
}

static int posts_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    static int left;
    left = 1000;
    start_timer(loop, &timer, "timer", 1e-6, 0);
    LOOMP_CHECK(loomp_post(loop, post_again, &left) == 0);
    LOOMP_CHECK(loomp_test_advance(loop, 1) == 0);
    return 0;
}

TEST(the_clock_waits_for_posts)
{
    run(posts_body, 1);
    CHECK_TEXT(events.text, "posts 0\ntimer 1e-06\n");
}

/* ---- the end, and what is refused ----------------------------------------------------------------- */

static int real_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    LOOMP_CHECK(loomp_test_now() == 0);
    LOOMP_CHECK(loomp_test_advance(loop, 1) == -EPERM);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    do {
        clock_gettime(CLOCK_MONOTONIC, &after);
    } while (before.tv_sec == after.tv_sec && before.tv_nsec == after.tv_nsec);
    return 0;
}

TEST(afterwards_the_clock_is_the_machines)
{
    run(long_body, 1);
    CHECK(run_with(real_body, (struct loomp_test_options){.io = 1}) == 0);
    CHECK_TEXT(reported, "");
}

static int takes_in_real_time(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    (void)runtime;
    loomp_test_takes(3600);
    return 0;
}

TEST(without_virtual_time_taking_time_fails_the_test)
{
    CHECK(run_with(takes_in_real_time, (struct loomp_test_options){.io = 1}) == 1);
    CHECK(strstr(reported, "virtual_time") != NULL);
}

TEST(two_loops_are_refused)
{
    CHECK(run_with(long_body, (struct loomp_test_options){.io = 2, .virtual_time = 1}) == 1);
    CHECK(strstr(reported, ".io") != NULL);
    CHECK(loomp_default() == NULL);
}

static int region_work(loomp_job *job)
{
    (void)job;
#pragma omp parallel
    loomp_test_takes(1);
    return 0;
}

static int region_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    timed_init(&jobs[0], "gang", 0);
    jobs[0].job.work = region_work;
    jobs[0].job.kind = LOOMP_GANG;
    return loomp_submit(runtime, &jobs[0].job);
}

TEST(inside_a_parallel_region_taking_time_fails_the_test)
{
    CHECK(run_with(region_body, (struct loomp_test_options){.compute = 2, .virtual_time = 1}) == 2);
    CHECK(has_event("gang 0\n"));
}

static int bad_numbers_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)runtime;
    LOOMP_CHECK(loomp_test_advance(loop, -1) == -EINVAL);
    LOOMP_CHECK(loomp_test_advance(loop, 0. / 0.) == -EINVAL);
    LOOMP_CHECK(loomp_test_advance(NULL, 1) == -EPERM);
    LOOMP_CHECK(loomp_test_now() == 0);
    return 0;
}

TEST(times_that_are_no_numbers_are_refused)
{
    run(bad_numbers_body, 1);
}

static int forgotten_work(loomp_job *job)
{
    (void)job;
    loomp_test_takes(1e6);
    return -EIO;
}

static int forgotten_body(loomp_loop *loop, loomp_runtime *runtime)
{
    (void)loop;
    timed_init(&jobs[0], "forgotten", 0);
    jobs[0].job.work = forgotten_work;
    jobs[0].job.flags = LOOMP_UNTRACKED;
    return loomp_submit(runtime, &jobs[0].job);
}

TEST(what_is_under_way_after_the_body_comes_to_its_end)
{
    run(forgotten_body, 1);
    CHECK_TEXT(events.text, "forgotten 1000000\n");
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
