/* SPDX-License-Identifier: MIT */
/* Owns the synthetic traces: their costs, and the moments that an oracle knows of them. */
#include "trace.h"

#include <loomp/site.h>

#include <string.h>

#define US 1e3
#define MS 1e6
#define NORMAL_P95 1.6448536269514722

enum {
    CALLS = 1000,
    STEP_AT = 700,
    STEP_CALLS = 1500
};

#define CONSTANT(text, ns)                                                                         \
    {                                                                                              \
        .name = text, .shape = TRACE_CONSTANT, .cost_ns = ns, .stationary = true                   \
    }
#define STEP(text, before, after)                                                                  \
    {                                                                                              \
        .name = text, .shape = TRACE_STEP, .cost_ns = before, .other_ns = after,                   \
        .step_at = STEP_AT, .sigma = 0.1, .calls = STEP_CALLS                                      \
    }
#define GANG(text, ns, how)                                                                        \
    {                                                                                              \
        .name = text, .shape = TRACE_CONSTANT, .cost_ns = ns, .stationary = true, .curve = how,    \
        .workers = 16, .sigma = 0.05                                                               \
    }

const struct trace traces[] = {
    CONSTANT("constant 1 us", 1 * US),
    {.name = "1 us, 200,000 a second",
     .shape = TRACE_CONSTANT,
     .cost_ns = 1 * US,
     .most_per_second = 200e3,
     .stationary = true},
    CONSTANT("constant 5 us", 5 * US),
    CONSTANT("constant 20 us", 20 * US),
    CONSTANT("constant 50 us", 50 * US),
    CONSTANT("constant 100 us", 100 * US),
    CONSTANT("constant 140 us", 140 * US),
    CONSTANT("constant 180 us", 180 * US),
    CONSTANT("constant 240 us", 240 * US),
    CONSTANT("constant 300 us", 300 * US),
    CONSTANT("constant 1 ms", 1 * MS),
    CONSTANT("constant 10 ms", 10 * MS),
    {.name = "HIGH, 2 ms",
     .shape = TRACE_CONSTANT,
     .cost_ns = 2 * MS,
     .hint = LOOMP_HINT_HIGH,
     .stationary = true},
    {.name = "log-normal, 30 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 30 * US,
     .sigma = 1,
     .stationary = true},
    {.name = "log-normal, 200 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 200 * US,
     .sigma = 1,
     .stationary = true},
    {.name = "5 us or 2 ms",
     .shape = TRACE_TWO_COSTS,
     .cost_ns = 5 * US,
     .other_ns = 2 * MS,
     .share = 0.1,
     .stationary = true},
    {.name = "20 or 150 us",
     .shape = TRACE_TWO_COSTS,
     .cost_ns = 20 * US,
     .other_ns = 150 * US,
     .share = 0.3,
     .stationary = true},
    {.name = "by size, 20 ns to 2 ms",
     .shape = TRACE_BY_SIZE,
     .cost_ns = 20,
     .other_ns = 2 * MS,
     .sigma = 0.15,
     .stationary = true},
    {.name = "by size, 10 us to 500 us",
     .shape = TRACE_BY_SIZE,
     .cost_ns = 10 * US,
     .other_ns = 500 * US,
     .sigma = 0.3,
     .stationary = true},
    {.name = "drift, 20 us to 2 ms",
     .shape = TRACE_DRIFT,
     .cost_ns = 20 * US,
     .other_ns = 2 * MS,
     .sigma = 0.1},
    {.name = "drift, 1 ms to 10 us",
     .shape = TRACE_DRIFT,
     .cost_ns = 1 * MS,
     .other_ns = 10 * US,
     .sigma = 0.1},
    STEP("step, 30 us to 300 us", 30 * US, 300 * US),
    STEP("step, 500 us to 50 us", 500 * US, 50 * US),
    STEP("step, 100 us to 1 ms", 100 * US, 1 * MS),
    {.name = "bursts, 50 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 50 * US,
     .sigma = 0.3,
     .on_ns = 10 * MS,
     .off_ns = 40 * MS,
     .stationary = true},
    {.name = "bursts, 5 us or 500 us",
     .shape = TRACE_TWO_COSTS,
     .cost_ns = 5 * US,
     .other_ns = 500 * US,
     .share = 0.2,
     .on_ns = 10 * MS,
     .off_ns = 40 * MS,
     .stationary = true},
    {.name = "4 loops, 20 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 20 * US,
     .sigma = 0.3,
     .loops = 4,
     .stationary = true},
    {.name = "4 loops, 150 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 150 * US,
     .sigma = 0.3,
     .loops = 4,
     .stationary = true},
    {.name = "4 loops, 5 us or 2 ms",
     .shape = TRACE_TWO_COSTS,
     .cost_ns = 5 * US,
     .other_ns = 2 * MS,
     .share = 0.1,
     .loops = 4,
     .stationary = true},
    {.name = "quiet loop, 100 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 100 * US,
     .sigma = 0.3,
     .event_rate = 100,
     .load = 0.05,
     .stationary = true},
    {.name = "busy loop, 50 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 50 * US,
     .sigma = 0.3,
     .event_rate = 50000,
     .stationary = true},
    {.name = "saturated pool, 50 us",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 50 * US,
     .sigma = 0.3,
     .workers = 1,
     .background = 0.9,
     .load = 0.05,
     .stationary = true},
    {.name = "saturated pool, 30 us",
     .shape = TRACE_CONSTANT,
     .cost_ns = 30 * US,
     .workers = 2,
     .background = 0.95,
     .load = 0.02,
     .stationary = true},
    {.name = "saturated pool, 1 ms",
     .shape = TRACE_LOG_NORMAL,
     .cost_ns = 1 * MS,
     .sigma = 0.3,
     .workers = 4,
     .background = 0.85,
     .load = 0.3,
     .stationary = true},
    {.name = "one worker, 100 us",
     .shape = TRACE_CONSTANT,
     .cost_ns = 100 * US,
     .workers = 1,
     .stationary = true},
    GANG("gang that scales, 20 us", 20 * US, CURVE_SCALES),
    GANG("gang that scales, 4 ms", 4 * MS, CURVE_SCALES),
    GANG("gang that saturates, 2 ms", 2 * MS, CURVE_SATURATES),
    GANG("gang, slow at full width", 500 * US, CURVE_PATHOLOGICAL),
};
const unsigned trace_count = sizeof traces / sizeof traces[0];

const struct trace *trace_named(const char *name)
{
    for (unsigned i = 0; i < trace_count; i++) {
        if (strcmp(traces[i].name, name) == 0) {
            return &traces[i];
        }
    }
    return NULL;
}

struct trace trace_world(const struct trace *trace)
{
    struct trace world = *trace;
    world.loops = trace->loops ? trace->loops : 1;
    world.workers = trace->workers ? trace->workers : 4;
    world.load = trace->load > 0 ? trace->load : 0.3;
    world.event_rate = trace->event_rate > 0 ? trace->event_rate : 5000;
    world.most_per_second = trace->most_per_second > 0 ? trace->most_per_second : 10000;
    world.calls = trace->calls ? trace->calls : CALLS;
    if (trace->shape == TRACE_RECORDED && world.calls > trace->recorded->count) {
        world.calls = (unsigned)trace->recorded->count;
    }
    return world;
}

/* ---- costs ----------------------------------------------------------------------------------- */

/* exp(median, sigma) and what is known of it. */
static void draw_log_normal(struct trace_call *call, double median, double sigma,
                            struct random *random)
{
    call->cost_ns = sigma > 0 ? median * exp(sigma * random_normal(random)) : median;
    call->mean = median * exp(sigma * sigma / 2);
    call->square = median * median * exp(2 * sigma * sigma);
    call->p95 = median * exp(NORMAL_P95 * sigma);
}

static void draw_two(const struct trace *trace, struct random *random, struct trace_call *call)
{
    double share = trace->share;
    double one = trace->cost_ns, two = trace->other_ns;
    call->cost_ns = random_uniform(random) < share ? two : one;
    call->mean = (1 - share) * one + share * two;
    call->square = (1 - share) * one * one + share * two * two;
    call->p95 = share > 0.05 ? two : one;
}

/* Sizes are log-uniform; their unit is such that one costs cost_ns. */
static void draw_by_size(const struct trace *trace, struct random *random, struct trace_call *call)
{
    double range = log(trace->other_ns / trace->cost_ns);
    double size = ceil(16 * exp(range * random_uniform(random)));
    call->size = (uint64_t)size;
    draw_log_normal(call, trace->cost_ns * size / 16, trace->sigma, random);
}

/* Who reads a recorded trace knows each cost and nothing else. */
static void draw_recorded(const struct trace *trace, unsigned index, struct trace_call *call)
{
    const struct trace_row *row = &trace->recorded->rows[index % trace->recorded->count];
    double ns = row->cost_s * 1e9;
    *call = (struct trace_call){row->size, ns, ns, ns * ns, ns};
}

void trace_draw(const struct trace *trace, struct random *random, unsigned index,
                struct trace_call *call)
{
    double done = (double)index / trace->calls;
    call->size = 0;
    switch (trace->shape) {
    case TRACE_CONSTANT:
    case TRACE_LOG_NORMAL:
        draw_log_normal(call, trace->cost_ns, trace->sigma, random);
        break;
    case TRACE_TWO_COSTS:
        draw_two(trace, random, call);
        break;
    case TRACE_BY_SIZE:
        draw_by_size(trace, random, call);
        break;
    case TRACE_DRIFT:
        draw_log_normal(call, trace->cost_ns * pow(trace->other_ns / trace->cost_ns, done),
                        trace->sigma, random);
        break;
    case TRACE_STEP:
        draw_log_normal(call, index < trace->step_at ? trace->cost_ns : trace->other_ns,
                        trace->sigma, random);
        break;
    case TRACE_RECORDED:
        draw_recorded(trace, index, call);
        break;
    }
}

/* Of the costs, over sizes too; of those that change, of the higher one, which the pool must bear.
 */
static double mean_cost(const struct trace *trace)
{
    switch (trace->shape) {
    case TRACE_TWO_COSTS:
        return (1 - trace->share) * trace->cost_ns + trace->share * trace->other_ns;
    case TRACE_BY_SIZE:
        return (trace->other_ns - trace->cost_ns) / log(trace->other_ns / trace->cost_ns);
    case TRACE_DRIFT:
    case TRACE_STEP:
        return fmax(trace->cost_ns, trace->other_ns);
    default:
        return trace->cost_ns * exp(trace->sigma * trace->sigma / 2);
    }
}

double trace_rate(const struct trace *trace)
{
    if (trace->shape == TRACE_RECORDED) {
        const struct trace_rows *recorded = trace->recorded;
        double seconds = recorded->rows[recorded->count - 1].at_s - recorded->rows[0].at_s;
        return seconds > 0 ? (double)recorded->count / seconds : trace->most_per_second;
    }
    return fmin(trace->load / mean_cost(trace) * 1e9, trace->most_per_second);
}

double trace_scaled(const struct trace *trace, unsigned threads, unsigned most)
{
    double k = threads;
    switch (trace->curve) {
    case CURVE_SCALES:
        return pow(k, -0.95);
    case CURVE_SATURATES:
        return 1 / fmin(k, 4) + 0.01 * k;
    case CURVE_PATHOLOGICAL:
        return threads == most ? 100 * pow(k / 2, -0.95) : pow(k, -0.95);
    case CURVE_SERIAL:
        break;
    }
    return 1;
}
