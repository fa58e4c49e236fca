/* SPDX-License-Identifier: MIT */
/* What every test program shares: tests register themselves, run in the order of the file, and end
 * with the line "N passed, N failed" and the exit status 0 or 1.
 *
 *     #define SUITE "settings"
 *     #include "harness.h"
 *
 *     TEST(a_file_overrides_a_default)
 *     {
 *         CHECK(...);
 *         CHECK_TEXT(actual, "expected");
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         return harness_run(argc, argv);
 *     }
 *
 * CHECK may be called from any thread: CUnit's own assertions are not thread-safe, so failures are
 * noted under a lock and handed to CUnit when the test's body has returned; the threads of a test
 * must have said all they have to say by then. An argument of the program is a part of the names
 * of the tests to run. One translation unit per program includes this file. */
#ifndef LP_TESTS_HARNESS_H
#define LP_TESTS_HARNESS_H

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifndef SUITE
#define SUITE __FILE__
#endif

enum {
    HARNESS_TESTS = 512,
    HARNESS_FAILURES = 64,
    HARNESS_TEXT_BYTES = 1024
};

struct harness_failure {
    const char *file;
    unsigned line;
    char what[HARNESS_TEXT_BYTES];
};

static struct {
    const char *name;
    void (*run)(void);
} harness_tests[HARNESS_TESTS];
static unsigned harness_test_count;

static pthread_mutex_t harness_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct harness_failure harness_failures[HARNESS_FAILURES];
static unsigned harness_failure_count; /* may exceed what is kept */

static inline void harness_register(const char *name, void (*run)(void))
{
    if (harness_test_count < HARNESS_TESTS) {
        harness_tests[harness_test_count].name = name;
        harness_tests[harness_test_count].run = run;
    }
    harness_test_count++;
}

static inline bool harness_note(bool good, const char *file, unsigned line, const char *what)
{
    if (good) {
        return true;
    }
    pthread_mutex_lock(&harness_lock);
    if (harness_failure_count < HARNESS_FAILURES) {
        struct harness_failure *failure = &harness_failures[harness_failure_count];
        failure->file = file;
        failure->line = line;
        snprintf(failure->what, sizeof failure->what, "%s", what);
    }
    harness_failure_count++;
    pthread_mutex_unlock(&harness_lock);
    return false;
}

static inline bool harness_note_text(const char *actual, const char *expected, const char *file,
                                     unsigned line, const char *expression)
{
    char what[HARNESS_TEXT_BYTES];
    bool good = actual && expected ? strcmp(actual, expected) == 0 : actual == expected;
    snprintf(what, sizeof what, "%.200s is\n        \"%.380s\", not\n        \"%.380s\"", expression,
             actual ? actual : "(null)", expected ? expected : "(null)");
    return harness_note(good, file, line, what);
}

/* Hands what the test's threads noted to CUnit, on the thread that runs CUnit. */
static inline void harness_replay(void)
{
    pthread_mutex_lock(&harness_lock);
    for (unsigned i = 0; i < harness_failure_count && i < HARNESS_FAILURES; i++) {
        const struct harness_failure *failure = &harness_failures[i];
        CU_assertImplementation(CU_FALSE, failure->line, failure->what, failure->file, "",
                                CU_FALSE);
    }
    harness_failure_count = 0;
    pthread_mutex_unlock(&harness_lock);
}

static inline void harness_test_done(const CU_pTest test, const CU_pSuite suite,
                                     const CU_pFailureRecord failures)
{
    (void)suite;
    if (failures) {
        printf("FAILED %s\n", test->pName);
    }
    for (CU_pFailureRecord f = failures; f; f = f->pNext) {
        printf("    %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    }
    fflush(stdout);
}

/* Both yield whether the check held, so that a test can return early. */
#define CHECK(condition) harness_note((condition), __FILE__, __LINE__, #condition)
#define CHECK_TEXT(actual, expected)                                                               \
    harness_note_text((actual), (expected), __FILE__, __LINE__, #actual)

#define TEST(name)                                                                                 \
    static void name(void);                                                                        \
    static void name##_run(void)                                                                   \
    {                                                                                              \
        name();                                                                                    \
        harness_replay();                                                                          \
    }                                                                                              \
    __attribute__((constructor)) static void name##_register(void)                                 \
    {                                                                                              \
        harness_register(#name, name##_run);                                                       \
    }                                                                                              \
    static void name(void)

static inline int harness_run(int argc, char **argv)
{
    if (harness_test_count > HARNESS_TESTS || CU_initialize_registry() != CUE_SUCCESS) {
        fprintf(stderr, "%s: the test registry does not take the tests\n", SUITE);
        return 1;
    }
    CU_pSuite suite = CU_add_suite(SUITE, NULL, NULL);
    for (unsigned i = 0; suite && i < harness_test_count; i++) {
        if ((argc < 2 || strstr(harness_tests[i].name, argv[1])) &&
            !CU_add_test(suite, harness_tests[i].name, harness_tests[i].run)) {
            suite = NULL;
        }
    }
    CU_set_test_complete_handler(harness_test_done);
    bool ran = suite && CU_run_all_tests() == CUE_SUCCESS;
    unsigned failed = CU_get_number_of_tests_failed();
    unsigned passed = CU_get_number_of_tests_run() - failed;
    if (!ran) {
        printf("%s: CUnit stopped: %s\n", SUITE, CU_get_error_msg());
    }
    CU_cleanup_registry();
    printf("%u passed, %u failed\n", passed, failed);
    return ran && failed == 0 && passed > 0 ? 0 : 1;
}

#endif
