/* SPDX-License-Identifier: MIT */
/* For tests of applications that use loomp, with CUnit:
 *
 *     LOOMP_TEST(answers_are_right, .io = 1, .compute = 2)
 *     {
 *         ... submit jobs; this runs on a loop of a fresh runtime ...
 *         LOOMP_CHECK(1 + 1 == 2);
 *         return 0;
 *     }
 *     ... CU_add_test(suite, "answers are right", answers_are_right);
 *
 * The body runs on the first loop of a runtime of its own (by default 1 loop, 2 team threads, not
 * pinned, thread names after the test), with `loop` and `runtime` in scope, and returns 0 or an
 * error. The test ends when all that the body started is done. A result that is not 0, a failed
 * LOOMP_CHECK on any thread, and work that is not done within the limit (default 60 s) are failures.
 * After such a hang the runtime cannot be taken down, so every later LOOMP_TEST of the program fails
 * too and says why.
 *
 * With .virtual_time = 1 a test does not wait for time to pass. Its clock stands still while anything
 * happens, and goes on to the next moment for which something is due, when the body asks for that
 * (loomp_test_advance) and after the body as long as anything is under way. By this clock go the
 * deadlines of jobs, the time limits of waits in jobs, and the timers of the loop; a job says itself how
 * long it takes (loomp_test_takes). */
#ifndef LOOMP_TEST_H
#define LOOMP_TEST_H

#include <loomp.h>

#include <sys/time.h>
#include <time.h>

/* loomp itself, and other test frameworks, use the declarations without CUnit. */
#ifndef LOOMP_TEST_WITHOUT_CUNIT
#include <CUnit/CUnit.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct loomp_test_options {
    size_t size;           /* sizeof of this struct */
    int32_t io;            /* loops; 0: 1 */
    int32_t compute;       /* team threads; 0: 2 */
    int32_t pin;           /* 1: threads are pinned */
    int32_t virtual_time;  /* 1: the clock is the test's, see below */
    double limit_s;        /* 0: 60 */
    const char *const *settings; /* more, "key", "value", ..., NULL; may be NULL */
};

typedef int (*loomp_test_fn)(loomp_loop *loop, loomp_runtime *runtime);

/* Told of each failure, on the thread that runs the test. */
typedef void (*loomp_test_report_fn)(const char *what, const char *file, unsigned line);

/* Runs a test body as described above and reports failures; returns how many. Plain threads. */
int loomp_test_run(const char *name, const char *file, unsigned line, loomp_test_fn body,
                   const struct loomp_test_options *options, loomp_test_report_fn report);

/* Notes a failure of the running test. Any thread; blocks only for other notes. */
void loomp_test_fail(const char *what, const char *file, unsigned line);

/* CUnit's assertions are not thread-safe; this one may be used on every thread. */
#define LOOMP_CHECK(condition) \
    ((condition) ? (void)0 : loomp_test_fail(#condition, __FILE__, __LINE__))

/* ---- virtual time -------------------------------------------------------------------------------- */

/* libev asks the C library for the time. So that it is told the test's, put this once into a source
 * file of the test program, outside of any function:
 *
 *     LOOMP_TEST_VIRTUAL_CLOCK;
 *
 * It defines clock_gettime and gettimeofday for the program. They are the C library's but on the loop's
 * thread of a test with virtual time. */
#define LOOMP_TEST_VIRTUAL_CLOCK                                                                  \
    LOOMP_TEST_C_FUNCTION clock_gettime(clockid_t id, struct timespec *time) LOOMP_TEST_NOTHROW   \
    {                                                                                             \
        return loomp_test_clock(id, time);                                                        \
    }                                                                                             \
    LOOMP_TEST_C_FUNCTION gettimeofday(struct timeval *__restrict time,                           \
                                       void *__restrict zone) LOOMP_TEST_NOTHROW                  \
    {                                                                                             \
        struct timespec now;                                                                      \
        int err = loomp_test_clock(CLOCK_REALTIME, &now);                                         \
        (void)zone;                                                                               \
        time->tv_sec = now.tv_sec;                                                                \
        time->tv_usec = now.tv_nsec / 1000;                                                       \
        return err;                                                                               \
    }                                                                                             \
    struct timespec

#ifdef __cplusplus
#define LOOMP_TEST_C_FUNCTION extern "C" __attribute__((visibility("default"))) int
#define LOOMP_TEST_NOTHROW noexcept
#else
#define LOOMP_TEST_C_FUNCTION __attribute__((visibility("default"))) int
#define LOOMP_TEST_NOTHROW
#endif

/* What they are made of; as clock_gettime. */
int loomp_test_clock(int id, struct timespec *time);

/* Lets so many seconds go by: runs the loop, inside this call, and lets the jobs go on, to each moment
 * for which something is due, and returns when nothing is left to do at the last of them. On the loop's
 * thread: in the body, in done, in callbacks. Other threads of the application's are not waited for.
 * 0, -EPERM (not that thread, or no virtual time), -EINVAL. */
int loomp_test_advance(loomp_loop *loop, double seconds);

/* Seconds since the body began; 0 without virtual time. Any thread. */
double loomp_test_now(void);

/* In the work of a job: it takes so long. On a thread of a pool it blocks until the clock has gone on by
 * that; on the loop it makes the clock go on, for the jobs too, as a call would that keeps the loop busy.
 * Inside a parallel region of a job, on threads of the application's, and without virtual time it fails
 * the test and returns. */
void loomp_test_takes(double seconds);

#ifndef LOOMP_TEST_WITHOUT_CUNIT

static inline void loomp_test_report_to_cunit(const char *what, const char *file, unsigned line)
{
    CU_assertImplementation(CU_FALSE, line, what, file, "", CU_FALSE);
}

#define LOOMP_TEST(name, ...)                                                                    \
    static int name##_body(loomp_loop *loop, loomp_runtime *runtime);                            \
    static void name(void)                                                                       \
    {                                                                                            \
        struct loomp_test_options options = {.size = sizeof(struct loomp_test_options),           \
                                             __VA_ARGS__};                                       \
        loomp_test_run(#name, __FILE__, __LINE__, name##_body, &options,                         \
                       loomp_test_report_to_cunit);                                              \
    }                                                                                            \
    static int name##_body(loomp_loop *loop __attribute__((unused)),                             \
                           loomp_runtime *runtime __attribute__((unused)))

#endif

#ifdef __cplusplus
}
#endif
#endif
