/* SPDX-License-Identifier: MIT */
/* Reads sites and calls and words them. Keeps nothing; each call of a function has its own copy. */
#include "sites.h"

#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* In one answer: a millisecond of the loop's time would be a lot. */
enum {
    MOST_CALLS = 256
};

static const char *arm_name(uint32_t arm)
{
    static const char *const names[] = {
        [LOOMP_INLINE] = "inline", [LOOMP_TASK] = "task", [LOOMP_TEAM] = "team"};

    return arm >= LOOMP_INLINE && arm <= LOOMP_TEAM ? names[arm] : "other";
}

static const char *reason_name(uint32_t reason)
{
    static const char *const names[] = {
        [LOOMP_BY_COST] = "cost",   [LOOMP_BY_COLD] = "cold",       [LOOMP_BY_HINT] = "hint",
        [LOOMP_BY_GR0] = "GR0",     [LOOMP_BY_GR1] = "GR1",         [LOOMP_BY_GR2] = "GR2",
        [LOOMP_BY_GR3] = "GR3",     [LOOMP_BY_BUDGET] = "budget",   [LOOMP_BY_PLACE] = "place",
        [LOOMP_BY_PIN] = "pin",     [LOOMP_BY_PROFILE] = "profile", [LOOMP_BY_MODE] = "mode",
        [LOOMP_BY_TRIAL] = "trial",
    };

    return reason >= LOOMP_BY_COST && reason <= LOOMP_BY_TRIAL ? names[reason] : "other";
}

/* When its done was about to run. */
static double over_s(const struct loomp_call *call)
{
    return call->at_s + call->wait_s + call->cost_s + call->return_s;
}

/* --- for the page ---------------------------------------------------------------------------- */

static void add_model(struct json *j, const struct loomp_site_model *m)
{
    json_open(j, NULL, '{');
    json_int(j, "width", m->width);
    json_int(j, "calls", (int64_t)m->calls);
    json_double(j, "samples", 4, m->samples);
    json_double(j, "ln_cost", 6, m->ln_cost);
    json_double(j, "slope", 6, m->slope);
    json_double(j, "deviation", 4, m->deviation);
    json_double(j, "mean_ratio", 4, m->mean_ratio);
    json_double(j, "p95_ratio", 4, m->p95_ratio);
    json_close(j, '}');
}

static void add_site(const struct loomp_site_stats *s, void *arg)
{
    struct json *j = arg;

    json_open(j, NULL, '{');
    json_text(j, "name", s->name);
    json_int(j, "calls", (int64_t)s->calls);
    json_int(j, "inlined", (int64_t)s->inlined);
    json_int(j, "tasks", (int64_t)s->tasks);
    json_int(j, "teams", (int64_t)s->teams);
    json_open(j, "railed", '[');
    for (int k = 0; k < 4; k++) {
        json_int(j, NULL, (int64_t)s->railed[k]);
    }
    json_close(j, ']');
    json_int(j, "strikes", (int64_t)s->strikes);
    json_double(j, "regret_s", 4, s->regret_s);
    json_int(j, "size_least", (int64_t)s->size_least);
    json_int(j, "size_most", (int64_t)s->size_most);
    json_open(j, "models", '[');
    for (uint32_t k = 0; k < s->model_count; k++) {
        add_model(j, &s->models[k]);
    }
    json_close(j, ']');
    json_close(j, '}');
}

/* The newest calls, each over the oldest. */
struct newest {
    double after;
    size_t count; /* that were offered */
    struct loomp_call calls[MOST_CALLS];
};

static void keep_newest(const struct loomp_call *call, void *arg)
{
    struct newest *newest = arg;

    if (over_s(call) > newest->after) {
        newest->calls[newest->count++ % MOST_CALLS] = *call;
    }
}

static void add_calls(struct json *j, const struct newest *newest)
{
    size_t first = newest->count > MOST_CALLS ? newest->count - MOST_CALLS : 0;

    json_open(j, "calls", '[');
    for (size_t k = first; k < newest->count; k++) {
        const struct loomp_call *c = &newest->calls[k % MOST_CALLS];
        json_open(j, NULL, '[');
        json_text(j, NULL, c->site);
        json_int(j, NULL, (int64_t)c->size);
        json_text(j, NULL, arm_name(c->arm));
        json_int(j, NULL, c->width);
        json_text(j, NULL, reason_name(c->reason));
        json_double(j, NULL, 16, c->at_s);
        json_double(j, NULL, 4, c->cost_s);
        json_double(j, NULL, 4, c->wait_s);
        json_double(j, NULL, 4, c->return_s);
        json_close(j, ']');
    }
    json_close(j, ']');
}

char *sites_json(loomp_runtime *runtime, double after, size_t *size)
{
    static const char *const columns[] = {"site", "size",   "arm",    "width",   "reason",
                                          "at_s", "cost_s", "wait_s", "return_s"};
    struct newest *newest = malloc(sizeof *newest);
    struct json j;

    if (newest == NULL) {
        return NULL;
    }
    newest->after = after;
    newest->count = 0;
    loomp_trace_read(runtime, keep_newest, newest);
    json_init(&j);
    json_open(&j, NULL, '{');
    json_open(&j, "sites", '[');
    loomp_sites_each(add_site, &j);
    json_close(&j, ']');
    json_open(&j, "columns", '[');
    for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
        json_text(&j, NULL, columns[k]);
    }
    json_close(&j, ']');
    add_calls(&j, newest);
    json_close(&j, '}');
    free(newest);
    return json_finish(&j, size);
}

/* --- for a file ------------------------------------------------------------------------------ */

struct all {
    struct loomp_call *calls;
    size_t count;
    size_t capacity;
    bool failed;
};

static void keep_all(const struct loomp_call *call, void *arg)
{
    struct all *all = arg;

    if (all->count == all->capacity) {
        size_t capacity = 2 * all->capacity + 1024;
        struct loomp_call *calls = realloc(all->calls, capacity * sizeof *calls);
        if (calls == NULL) {
            all->failed = true;
            return;
        }
        all->calls = calls;
        all->capacity = capacity;
    }
    all->calls[all->count++] = *call;
}

static int compare_calls(const void *left, const void *right)
{
    const struct loomp_call *l = left;
    const struct loomp_call *r = right;

    return (l->at_s > r->at_s) - (l->at_s < r->at_s);
}

static void write_call(FILE *file, const struct loomp_call *c, double from_s)
{
    fprintf(file, "%s,%" PRIu64 ",%s,%u,%s,%d,%.7f,%.4g,%.4g,%.4g,", c->site, c->size,
            arm_name(c->arm), c->width, reason_name(c->reason), c->loop, c->at_s - from_s,
            c->cost_s, c->wait_s, c->return_s);
    fprintf(file, "%.4g,%.4g,%.4g,%.4g,%.3g,%.4g\n", c->work_s, c->inline_s, c->task_s, c->team_s,
            c->ready, c->rate);
}

int sites_write_calls(loomp_runtime *runtime, const char *path)
{
    struct all all = {0};
    int err = 0;

    loomp_trace_read(runtime, keep_all, &all);
    FILE *file = all.failed ? NULL : fopen(path, "w");
    if (file == NULL) {
        err = all.failed ? -ENOMEM : -errno;
        goto free_calls;
    }
    if (all.count > 0) {
        qsort(all.calls, all.count, sizeof *all.calls, compare_calls);
    }
    fprintf(file, "site,size,arm,width,reason,loop,at_s,cost_s,wait_s,return_s,work_s,inline_s,"
                  "task_s,team_s,ready,rate\n");
    for (size_t k = 0; k < all.count; k++) {
        write_call(file, &all.calls[k], all.calls[0].at_s);
    }
    err = ferror(file) ? -EIO : 0;
    if (fclose(file) != 0 && err == 0) {
        err = -errno;
    }

free_calls:
    free(all.calls);
    return err;
}
