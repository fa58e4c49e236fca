/* SPDX-License-Identifier: MIT */
/* What the adaptive policy loses to the oracles, and what others lose, on the traces of tests/sim
 * in virtual time: the sum of the latencies of all calls and of all small events. Usage:
 * bench_policy [FIRST_SEED SEEDS [SVG [RECORDED_TRACE]]]; the policy was tuned on seeds 1 to 100,
 * and what is printed without arguments is of seeds that it was not tuned on. */
#include "sim/score.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HELD_OUT = 1000001,
    SEEDS = 8,
    MOST_TRACES = 64
};

static struct score scores[MOST_TRACES];
static unsigned score_count;

static double percent(const struct score *score, enum score_policy policy, enum score_window window)
{
    return 100 * score_regret(score, policy, SCORE_ORACLE, window);
}

static void print_header(uint64_t first_seed, unsigned seeds)
{
    printf("Regret in %% of the informed oracle, which obeys the rails; seeds %llu to %llu.\n"
           "Columns of calls 1 to 1,000 but for the one with the name 101-; bad: of the first 100\n"
           "calls those of more than twice the better arm's cost (+ those that were decided while "
           "a trial\n"
           "was on its way); inline: share of the calls; p99 of the small events in us.\n\n",
           (unsigned long long)first_seed, (unsigned long long)first_seed + seeds - 1);
    printf("%-26s %8s %7s %8s %8s %8s %8s %7s %7s %5s %7s %5s %5s\n", "trace", "us/call", "unrail.",
           "clairv.", "inline", "offload", "ancestor", "loomp", "101-", "bad", "inline", "p99",
           "offl.");
}

static void print_score(const struct score *s)
{
    double calls =
        (double)s->trace.loops * s->seeds * (s->trace.calls < 1000 ? s->trace.calls : 1000);
    printf("%-26s %8.1f %7.1f %8.1f %8.1f %8.1f %8.1f %7.2f %7.2f %2u+%-2u %6.0f%% %5.0f %5.0f\n",
           s->trace.name, s->total[SCORE_ORACLE][SCORE_ALL] / calls / 1e3,
           percent(s, SCORE_UNRAILED, SCORE_ALL), percent(s, SCORE_CLAIRVOYANT, SCORE_ALL),
           percent(s, SCORE_INLINE, SCORE_ALL), percent(s, SCORE_OFFLOAD, SCORE_ALL),
           percent(s, SCORE_ANCESTOR, SCORE_ALL), percent(s, SCORE_LOOMP, SCORE_ALL),
           percent(s, SCORE_LOOMP, SCORE_LATER), s->bad, s->blind, 100 * s->inlined[SCORE_LOOMP],
           s->event_p99[SCORE_LOOMP] / 1e3, s->event_p99[SCORE_OFFLOAD] / 1e3);
}

/* ---- the drawing ----------------------------------------------------------------------------- */

#define ROW 34
#define LEFT 210
#define RIGHT 120
#define TOP 70
#define PLOT 560

/* Regret from 0.1 % to 10,000 %, a logarithmic scale; less than that is no bar. */
static double bar_length(double share)
{
    double decades = log10(fmax(100 * share, 0.1)) + 1;
    return fmin(decades, 5) / 5 * PLOT;
}

static void draw_scale(FILE *out, unsigned rows)
{
    for (int decade = 0; decade <= 5; decade++) {
        double x = LEFT + decade * PLOT / 5.0;
        fprintf(out, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%u' stroke='#ddd'/>\n", x, TOP - 6, x,
                TOP + rows * ROW);
        fprintf(out, "<text x='%.1f' y='%d' text-anchor='middle'>%g %%</text>\n", x, TOP - 12,
                pow(10, decade - 1));
    }
}

static void draw_row(FILE *out, const struct score *score, double y)
{
    static const struct {
        enum score_policy policy;
        const char *colour;
    } bars[] = {{SCORE_INLINE, "#e0a030"},
                {SCORE_OFFLOAD, "#5080c0"},
                {SCORE_ANCESTOR, "#999999"},
                {SCORE_LOOMP, "#207040"}};
    fprintf(out, "<text x='%d' y='%.1f' text-anchor='end'>%s</text>\n", LEFT - 8, y + 18,
            score->trace.name);
    for (unsigned i = 0; i < sizeof bars / sizeof bars[0]; i++) {
        double regret = score_regret(score, bars[i].policy, SCORE_ORACLE, SCORE_ALL);
        fprintf(out, "<rect x='%d' y='%.1f' width='%.1f' height='6' fill='%s'/>\n", LEFT,
                y + 2 + 7 * i, bar_length(regret), bars[i].colour);
    }
    fprintf(out, "<text x='%d' y='%.1f' fill='#207040'>%.2f %%</text>\n", LEFT + PLOT + 12, y + 26,
            percent(score, SCORE_LOOMP, SCORE_ALL));
}

static int draw(const char *path)
{
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        return 1;
    }
    fprintf(
        out,
        "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%u' "
        "font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
        "fill='white'/>\n<text x='%d' y='22' font-size='15'>Regret against the informed oracle, "
        "calls 1 to 1,000: <tspan fill='#e0a030'>inline</tspan>, <tspan fill='#5080c0'>offload"
        "</tspan>, <tspan fill='#999999'>ancestor</tspan>, <tspan fill='#207040'>loomp</tspan>"
        "</text>\n",
        LEFT + PLOT + RIGHT, TOP + score_count * ROW + 10, LEFT - 190);
    draw_scale(out, score_count);
    for (unsigned i = 0; i < score_count; i++) {
        draw_row(out, &scores[i], TOP + i * (double)ROW);
    }
    fprintf(out, "</svg>\n");
    return fclose(out) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t first_seed = argc > 2 ? strtoull(argv[1], NULL, 10) : HELD_OUT;
    unsigned seeds = argc > 2 ? (unsigned)atoi(argv[2]) : SEEDS;
    struct trace_rows rows = {NULL, 0};
    struct trace recorded = {.name = "recorded", .shape = TRACE_RECORDED, .recorded = &rows};
    if (argc > 4 && trace_rows_read(&rows, argv[4])) {
        return 1;
    }
    print_header(first_seed, seeds);
    for (unsigned i = 0; i < trace_count + (rows.count > 0); i++) {
        const struct trace *trace = i < trace_count ? &traces[i] : &recorded;
        score_trace(trace, first_seed, seeds, &scores[score_count]);
        print_score(&scores[score_count++]);
    }
    trace_rows_free(&rows);
    return argc > 3 ? draw(argv[3]) : 0;
}
