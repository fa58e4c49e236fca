/* SPDX-License-Identifier: MIT */
/* Owns what people get to see of sites: figures, sentences, traces. Any thread enters. */
#include "adaptive/learner.h"
#include "base/error.h"
#include "handoff/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void copy_model(struct loomp_site_model *out, const struct lp_model *model, unsigned index)
{
    *out = (struct loomp_site_model){
        .width = lp_model_width(index),
        .calls = model->seen,
        .samples = model->n,
        .ln_cost = model->mean_y - model->slope * model->mean_x,
        .slope = model->slope,
        .deviation = sqrt(model->variance),
        .mean_ratio = model->ratio,
        .p95_ratio = exp(model->ln_p95),
    };
}

static void read_record(struct lp_site_record *record, struct loomp_site_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    memcpy(stats->name, record->name, sizeof stats->name);
    pthread_mutex_lock(&record->lock);
    const struct lp_site_totals *totals = &record->totals;
    stats->calls = lp_site_calls(totals);
    stats->inlined = totals->arms[LOOMP_INLINE];
    stats->tasks = totals->arms[LOOMP_TASK];
    stats->teams = totals->arms[LOOMP_TEAM];
    memcpy(stats->railed, totals->railed, sizeof stats->railed);
    stats->strikes = atomic_load_explicit(&record->strikes, memory_order_relaxed);
    stats->regret_s = totals->regret_ns / 1e9;
    stats->size_least = totals->size_least;
    stats->size_most = totals->size_most;
    for (unsigned i = 0; i < LP_WIDTHS; i++) {
        const struct lp_model *model = &record->merged.models[i];
        if (model->n > 0) {
            copy_model(&stats->models[stats->model_count++], model, i);
        }
    }
    pthread_mutex_unlock(&record->lock);
}

int loomp_site_stats_read(const loomp_site *site, struct loomp_site_stats *stats)
{
    if (!site || !stats || stats->size < sizeof stats->size) {
        return lp_fail(-EINVAL, "loomp_site_stats_read: the %s",
                       !site    ? "site is NULL"
                       : !stats ? "result is NULL"
                                : "result's size is not set");
    }
    if (lp_is_forked_child()) {
        return lp_ledger_check(&lp_tracked);
    }
    struct lp_site_record *record = lp_site_find(site);
    if (!record) {
        return lp_fail(-ENOENT, "the site `%s' has not been used", site->name ? site->name : "");
    }
    lp_adaptive_flush_here();
    struct loomp_site_stats all;
    read_record(record, &all);
    all.size = stats->size;
    memcpy(stats, &all, stats->size < sizeof all ? stats->size : sizeof all);
    return 0;
}

double loomp_site_model_cost(const struct loomp_site_model *model, uint64_t size)
{
    return exp(model->ln_cost + model->slope * lp_ln_size(size)) * model->mean_ratio / 1e9;
}

void loomp_sites_each(loomp_site_fn fn, void *arg)
{
    if (!fn || lp_is_forked_child()) {
        return;
    }
    lp_adaptive_flush_here();
    for (struct lp_site_record *record = lp_site_first(); record; record = lp_site_next(record)) {
        struct loomp_site_stats stats;
        read_record(record, &stats);
        stats.size = sizeof stats;
        fn(&stats, arg);
    }
}

int loomp_trace_read(loomp_runtime *runtime, loomp_call_fn fn, void *arg)
{
    if (!runtime || !fn) {
        return lp_fail(-EINVAL, "loomp_trace_read: the %s is NULL",
                       runtime ? "function" : "runtime");
    }
    return lp_is_forked_child() ? lp_ledger_check(&lp_tracked) : lp_adaptive_trace(fn, arg);
}

/* ---- in words -------------------------------------------------------------------------------- */

/* A time with a unit that suits it, three digits. */
struct time_text {
    char text[24];
};

static struct time_text time_text(double seconds)
{
    struct time_text out;
    double ns = seconds * 1e9;
    if (!(ns < INFINITY)) {
        snprintf(out.text, sizeof out.text, "impossible");
    } else if (ns < 1e3) {
        snprintf(out.text, sizeof out.text, "%.3g ns", ns);
    } else if (ns < 1e6) {
        snprintf(out.text, sizeof out.text, "%.3g us", ns / 1e3);
    } else if (ns < 1e9) {
        snprintf(out.text, sizeof out.text, "%.3g ms", ns / 1e6);
    } else {
        snprintf(out.text, sizeof out.text, "%.4g s", ns / 1e9);
    }
    return out;
}

static const char *reason_text(uint32_t reason)
{
    static const char *const texts[] = {
        [LOOMP_BY_COST] = "costs least",
        [LOOMP_BY_COLD] = "nothing is known of the site yet",
        [LOOMP_BY_HINT] = "said to be long",
        [LOOMP_BY_GR0] = "rail GR0: long for the only loop, which is busy",
        [LOOMP_BY_GR1] = "rail GR1: may be too long for a loop",
        [LOOMP_BY_GR2] = "rail GR2: not short, and many events wait",
        [LOOMP_BY_GR3] = "rail GR3: such a call was too long inline not long ago",
        [LOOMP_BY_BUDGET] = "the inline budget of this turn is spent",
        [LOOMP_BY_PLACE] = "nothing else can be done here",
        [LOOMP_BY_PIN] = "the settings say so",
        [LOOMP_BY_PROFILE] = "frozen: the profile says so",
        [LOOMP_BY_MODE] = "as without a site, by adaptive.mode",
        [LOOMP_BY_TRIAL] = "to learn what it costs",
    };
    return reason < sizeof texts / sizeof *texts && texts[reason] ? texts[reason] : "no reason";
}

static int arm_text(char *text, size_t bytes, uint32_t arm, uint32_t width)
{
    return arm == LOOMP_INLINE ? snprintf(text, bytes, "inline")
           : arm == LOOMP_TASK ? snprintf(text, bytes, "task")
                               : snprintf(text, bytes, "team of %" PRIu32, width);
}

int loomp_decision_text(const loomp_decision *decision, char *text, size_t bytes)
{
    char arm[32];
    if (!decision) {
        return snprintf(text, bytes, "no decision");
    }
    arm_text(arm, sizeof arm, decision->arm, decision->width);
    struct time_text team = time_text(decision->team_s);
    bool has_team = decision->team_s < INFINITY;
    return snprintf(text, bytes,
                    "%s: %s; work %s, 95 %% below %s; cost to all inline %s, as a task %s%s%s", arm,
                    reason_text(decision->reason), time_text(decision->work_s).text,
                    time_text(decision->work_p95_s).text, time_text(decision->inline_s).text,
                    time_text(decision->task_s).text, has_team ? ", on a team " : "",
                    has_team ? team.text : "");
}

static void describe_last(struct lp_site_record *record, FILE *out)
{
    struct lp_choice choice;
    if (!lp_adaptive_last(record, &choice)) {
        return;
    }
    loomp_decision last = {
        .arm = choice.arm,
        .width = choice.width,
        .reason = choice.reason,
        .work_s = choice.work.cost / 1e9,
        .work_p95_s = choice.work.p95 / 1e9,
        .inline_s = choice.inline_cost / 1e9,
        .task_s = choice.task_cost / 1e9,
        .team_s = choice.team_cost / 1e9,
    };
    char text[400];
    loomp_decision_text(&last, text, sizeof text);
    fprintf(out, "  last here: %s\n", text);
}

static void describe_model(const struct loomp_site_model *model, uint64_t least, uint64_t most,
                           FILE *out)
{
    const char *who = model->width == 1 ? "one thread" : "team";
    fprintf(out, "  %s", who);
    if (model->width > 1) {
        fprintf(out, " of up to %" PRIu32, model->width);
    }
    if (most > least) {
        fprintf(out, ": %s at size %" PRIu64 ", %s at %" PRIu64 ", as size^%.2f",
                time_text(loomp_site_model_cost(model, least)).text, least,
                time_text(loomp_site_model_cost(model, most)).text, most, model->slope);
    } else {
        fprintf(out, ": %s", time_text(loomp_site_model_cost(model, most)).text);
    }
    fprintf(out, ", 95 %% below %.2f x; %.0f of %" PRIu64 " calls count\n",
            model->p95_ratio / model->mean_ratio, model->samples, model->calls);
}

void loomp_site_describe(const loomp_site *site, FILE *out)
{
    struct lp_site_record *record = site && !lp_is_forked_child() ? lp_site_find(site) : NULL;
    if (!record) {
        fprintf(out, "site %s: not used yet\n", site && site->name ? site->name : "?");
        return;
    }
    lp_adaptive_flush_here();
    struct loomp_site_stats stats;
    read_record(record, &stats);
    double calls = stats.calls ? (double)stats.calls : 1;
    fprintf(out, "site %s: %" PRIu64 " calls: %.1f %% inline, %.1f %% tasks, %.1f %% teams",
            stats.name, stats.calls, 100 * (double)stats.inlined / calls,
            100 * (double)stats.tasks / calls, 100 * (double)stats.teams / calls);
    fprintf(out,
            "; rails GR0 %" PRIu64 ", GR1 %" PRIu64 ", GR2 %" PRIu64 ", GR3 %" PRIu64 "; %" PRIu64
            " strikes; estimated regret %s\n",
            stats.railed[0], stats.railed[1], stats.railed[2], stats.railed[3], stats.strikes,
            time_text(stats.regret_s).text);
    for (unsigned i = 0; i < stats.model_count; i++) {
        describe_model(&stats.models[i], stats.size_least, stats.size_most, out);
    }
    describe_last(record, out);
}
