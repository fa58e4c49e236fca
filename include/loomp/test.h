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
 * too and says why. */
#ifndef LOOMP_TEST_H
#define LOOMP_TEST_H

#include <loomp.h>

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
    int32_t reserved_;
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
