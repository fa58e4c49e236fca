/* SPDX-License-Identifier: MIT */
/* Owns the running of tests of applications (<loomp/test.h>). Failures are noted on any thread and
 * reported on the thread that runs the test, because CUnit's assertions are not thread-safe. */
#include "adaptive/site.h"
#include "base/error.h"
#include "base/self.h"
#include "runtime/virtual_time.h"

#define LOOMP_TEST_WITHOUT_CUNIT
#include <loomp/test.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES = 64, NOTE_BYTES = 256 };

static struct {
    pthread_mutex_t lock; /* guards the rest */
    unsigned count;       /* noted, also those beyond what is kept */
    struct {
        char what[NOTE_BYTES];
        char file[NOTE_BYTES];
        unsigned line;
    } kept[NOTES];
} notes = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The test that hung, "" if none has. Written and read by the thread that runs tests. */
static char hung[NOTE_BYTES];

void loomp_test_fail(const char *what, const char *file, unsigned line)
{
    pthread_mutex_lock(&notes.lock);
    if (notes.count < NOTES) {
        snprintf(notes.kept[notes.count].what, NOTE_BYTES, "%s", what);
        snprintf(notes.kept[notes.count].file, NOTE_BYTES, "%s", file);
        notes.kept[notes.count].line = line;
    }
    notes.count++;
    pthread_mutex_unlock(&notes.lock);
}

static int report_all(loomp_test_report_fn report)
{
    pthread_mutex_lock(&notes.lock);
    unsigned count = notes.count;
    notes.count = 0;
    pthread_mutex_unlock(&notes.lock);
    for (unsigned i = 0; i < count && i < NOTES; i++) {
        report(notes.kept[i].what, notes.kept[i].file, notes.kept[i].line);
    }
    return (int)count;
}

static int start(loomp_runtime **runtime, const char *name,
                 const struct loomp_test_options *options)
{
    loomp_config *config = loomp_config_new();
    if (!config) {
        return -ENOMEM;
    }
    char prefix[16]; /* more would not be seen in thread names */
    snprintf(prefix, sizeof prefix, "%s", name);
    int err = loomp_config_set(config, "prefix", prefix);
    if (!err) {
        err = loomp_config_set_int(config, "io.threads", options->io ? options->io : 1);
    }
    if (!err) {
        err = loomp_config_set_int(config, "compute.threads",
                                   options->compute ? options->compute : 2);
    }
    if (!err) {
        err = loomp_config_set_bool(config, "pin", options->pin);
    }
    if (!err && options->virtual_time) {
        /* What hand-overs really take would be another time in each run. */
        err = loomp_config_set_bool(config, "adaptive.calibrate", false);
    }
    for (const char *const *pair = options->settings; !err && pair && pair[0]; pair += 2) {
        err = loomp_config_set(config, pair[0], pair[1]);
    }
    if (!err) {
        if (!loomp_default()) {
            lp_sites_forget(); /* what another test has taught them */
        }
        err = loomp_start(runtime, config);
    }
    loomp_config_free(config);
    return err;
}

struct body {
    loomp_test_fn fn;
    loomp_runtime *runtime;
    bool virtual_time;
    const char *file; /* where the test is */
    unsigned line;
    int result;
};

static void run_body(loomp_loop *loop, void *arg)
{
    struct body *body = arg;
    if (!body->virtual_time) {
        body->result = body->fn(loop, body->runtime);
    } else if (lp_virtual_time_begin(loop)) {
        loomp_test_fail(loomp_error(), body->file, body->line);
    } else {
        body->result = body->fn(loop, body->runtime);
        lp_virtual_time_end();
    }
}

int loomp_test_run(const char *name, const char *file, unsigned line, loomp_test_fn fn,
                   const struct loomp_test_options *options, loomp_test_report_fn report)
{
    char what[2 * NOTE_BYTES];
    if (options->size != sizeof *options) {
        report("struct loomp_test_options is not of this library's version", file, line);
        return 1;
    }
    if (options->virtual_time && options->io > 1) {
        report("virtual_time: the clock is one loop's, so .io must not be above 1", file, line);
        return 1;
    }
    if (*hung) {
        snprintf(what, sizeof what, "the runtime of test %s still hangs", hung);
        report(what, file, line);
        return 1;
    }
    struct body body = {
        .fn = fn, .virtual_time = options->virtual_time, .file = file, .line = line};
    int err = start(&body.runtime, name, options);
    if (!err) {
        err = loomp_post(loomp_loop_at(body.runtime, 0), run_body, &body);
    }
    if (err) {
        snprintf(what, sizeof what, "no runtime for the test: %s", loomp_error());
        report(what, file, line);
        return 1 + report_all(report);
    }
    err = loomp_wait_idle(body.runtime, options->limit_s > 0 ? options->limit_s : 60);
    if (err) {
        snprintf(hung, sizeof hung, "%s", name);
        snprintf(what, sizeof what, "the test hangs: %s", loomp_error());
        loomp_test_fail(what, file, line);
        loomp_describe(body.runtime, stderr);
    } else {
        if (body.result) {
            snprintf(what, sizeof what, "the test returned %d (%s)", body.result,
                     loomp_strerror(body.result));
            loomp_test_fail(what, file, line);
        }
        err = loomp_stop(body.runtime);
        if (err) {
            snprintf(what, sizeof what, "the runtime did not stop: %s", loomp_error());
            loomp_test_fail(what, file, line);
        }
    }
    return report_all(report);
}
