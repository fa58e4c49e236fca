/* SPDX-License-Identifier: MIT */
/* Traces: what calls of a site cost, and the world that they come to. */
#ifndef LP_SIM_TRACE_H
#define LP_SIM_TRACE_H

#include "random.h"

#include <stdbool.h>
#include <stddef.h>

enum trace_shape {
    TRACE_CONSTANT,
    TRACE_TWO_COSTS,  /* cost_ns, or other_ns with the probability `share` */
    TRACE_LOG_NORMAL, /* the median cost_ns, and sigma */
    TRACE_BY_SIZE,    /* cost_ns to other_ns, as the size says, and sigma */
    TRACE_DRIFT,      /* from cost_ns to other_ns over the calls, and sigma */
    TRACE_STEP,       /* cost_ns until the call number step_at, then other_ns, and sigma */
    TRACE_RECORDED
};

/* What k threads bring to a TASKS or GANG job. */
enum trace_curve {
    CURVE_SERIAL,
    CURVE_SCALES,
    CURVE_SATURATES,   /* no use beyond 4 threads */
    CURVE_PATHOLOGICAL /* all of the threads are 100 times slower than half of them */
};

/* One line of a recorded trace. */
struct trace_row {
    double at_s, cost_s;
    uint64_t size;
};

struct trace_rows {
    struct trace_row *rows;
    size_t count;
};

struct trace {
    const char *name;
    enum trace_shape shape;
    double cost_ns, other_ns, share, sigma;
    unsigned step_at;
    bool stationary;
    uint32_t hint;
    enum trace_curve curve;
    const struct trace_rows *recorded;
    /* The world; zeros are the defaults of trace_world. */
    unsigned loops, workers;
    double load;            /* of the calls of a loop, as a share of one thread */
    double most_per_second; /* calls, whatever the load */
    double event_rate;      /* small events a second, of each loop */
    double on_ns, off_ns;   /* bursts: all arrivals come in the first part of each period */
    double background;      /* load of the pool by other jobs, per worker */
    unsigned calls;         /* of each loop */
};

/* A call of the trace: its cost on one thread, and what is known of it beforehand by who knows the
 * distribution. */
struct trace_call {
    uint64_t size;
    double cost_ns;
    double mean, square, p95;
};

/* All synthetic traces of the tests and of the benchmark. */
extern const struct trace traces[];
extern const unsigned trace_count;
const struct trace *trace_named(const char *name);

/* The trace with its defaults filled in. */
struct trace trace_world(const struct trace *trace);

/* Call number `index` of a loop. */
void trace_draw(const struct trace *trace, struct random *random, unsigned index,
                struct trace_call *call);

/* Calls a second, of each loop. */
double trace_rate(const struct trace *trace);

/* The time on k of `most` threads, relative to the time on one. */
double trace_scaled(const struct trace *trace, unsigned threads, unsigned most);

/* Reads a recorded trace: a line of column names separated by commas, of which "at_s", "size" and
 * "cost_s" must be there, others are passed over, and one line for each call with as many values,
 * in the order of time. Lines that begin with '#' are comments. Returns 0 or a negative errno value
 * with the reason printed; rows are to be freed with trace_rows_free. */
int trace_rows_read(struct trace_rows *rows, const char *path);
void trace_rows_free(struct trace_rows *rows);

#endif
