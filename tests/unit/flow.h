/* SPDX-License-Identifier: MIT */
/* What the tests of streams share: a stream that writes down what becomes of its items. It is used on
 * its loop, by on_loop; what it wrote may be read when the runtime is idle or `ended` is passed. */
#ifndef LP_TESTS_FLOW_H
#define LP_TESTS_FLOW_H

#include "recorded_job.h"

#include <errno.h>

enum { FLOW_THINGS = 256 };

struct flow;

struct thing {
    int number;
    /* what its map does */
    struct gate *gate; /* passes it; NULL: goes straight on */
    int result;        /* of every map */
    /* what became of it */
    _Atomic int maps;
    int pushed; /* what push said */
    int deliveries;
    int status;
    int place; /* among those that its stream delivered */
    struct flow *by;
};

struct flow {
    loomp_stream_options options; /* set before flow_open, after flow_init */
    loomp_stream *stream;
    loomp_runtime *runtime;
    struct thing things[FLOW_THINGS];
    int next;     /* to be pushed by flow_push */
    int to_push;  /* things beyond that are not */
    int opened;   /* what open said */
    int delivered;
    int last; /* number of the thing that was delivered last; -1: none */
    int out_of_order;
    int writables;
    int closed;
    int closed_status;
    bool in_call; /* a call of ours is below: nothing may be delivered */
    int called_inside;
    uint32_t most_in_flight;
    /* called in deliver, writable and closed; may be NULL */
    void (*at_delivery)(struct flow *flow, struct thing *thing);
    void (*at_writable)(struct flow *flow);
    void (*at_closed)(struct flow *flow);
    void *arg;
    struct gate ended; /* closed arrives at it */
};

static inline int flow_map(void **item, void *arg)
{
    struct thing *thing = (struct thing *)*item;
    (void)arg;
    atomic_fetch_add(&thing->maps, 1);
    if (thing->gate) {
        gate_pass(thing->gate);
    }
    return thing->result;
}

static inline void flow_deliver(void *item, int status, void *arg)
{
    struct flow *flow = (struct flow *)arg;
    struct thing *thing = (struct thing *)item;
    flow->called_inside += flow->in_call;
    thing->deliveries++;
    thing->status = status;
    thing->place = flow->delivered++;
    thing->by = flow;
    flow->out_of_order += thing->number < flow->last;
    flow->last = thing->number;
    if (flow->at_delivery) {
        flow->at_delivery(flow, thing);
    }
}

static inline void flow_writable(loomp_stream *stream, void *arg)
{
    struct flow *flow = (struct flow *)arg;
    CHECK(stream == flow->stream);
    flow->called_inside += flow->in_call;
    flow->writables++;
    if (flow->at_writable) {
        flow->at_writable(flow);
    }
}

static inline void flow_closed(int status, void *arg)
{
    struct flow *flow = (struct flow *)arg;
    flow->called_inside += flow->in_call;
    flow->closed++;
    flow->closed_status = status;
    if (flow->at_closed) {
        flow->at_closed(flow);
    }
    flow->stream = NULL;
    gate_arrive(&flow->ended);
}

/* The caller changes what it wants to be different. */
static inline void flow_init(struct flow *flow, loomp_runtime *runtime, uint32_t window)
{
    memset((void *)flow, 0, sizeof *flow);
    loomp_stream_options_init(&flow->options);
    flow->options.map = flow_map;
    flow->options.deliver = flow_deliver;
    flow->options.writable = flow_writable;
    flow->options.closed = flow_closed;
    flow->options.arg = flow;
    flow->options.window = window;
    flow->runtime = runtime;
    flow->to_push = FLOW_THINGS;
    flow->last = -1;
    flow->closed_status = 12345;
    gate_init(&flow->ended);
    for (int i = 0; i < FLOW_THINGS; i++) {
        flow->things[i].number = i;
        flow->things[i].status = 12345;
        flow->things[i].pushed = 12345;
    }
}

/* ---- on the loop ---- */

static inline void flow_open(loomp_loop *loop, void *arg)
{
    struct flow *flow = (struct flow *)arg;
    (void)loop;
    flow->opened = loomp_stream_open(flow->runtime, &flow->options, &flow->stream);
    CHECK(flow->opened == 0);
}

/* Pushes until it is refused or there is nothing to push; what push said last. */
static inline int flow_push_all(struct flow *flow)
{
    int err = 0;
    bool outer = flow->in_call;
    flow->in_call = true;
    while (!err && flow->next < flow->to_push) {
        struct thing *thing = &flow->things[flow->next];
        err = thing->pushed = loomp_stream_push(flow->stream, thing);
        if (!err) {
            flow->next++;
            uint32_t in_flight = loomp_stream_in_flight(flow->stream);
            flow->most_in_flight =
                in_flight > flow->most_in_flight ? in_flight : flow->most_in_flight;
        }
    }
    flow->in_call = outer;
    return err;
}

static inline void flow_push(loomp_loop *loop, void *arg)
{
    (void)loop;
    flow_push_all((struct flow *)arg);
}

/* For at_writable. */
static inline void flow_push_more(struct flow *flow)
{
    flow_push_all(flow);
}

static inline void flow_close_now(struct flow *flow)
{
    bool outer = flow->in_call;
    flow->in_call = true;
    loomp_stream_close(flow->stream);
    flow->in_call = outer;
}

static inline void flow_abort_now(struct flow *flow)
{
    bool outer = flow->in_call;
    flow->in_call = true;
    loomp_stream_abort(flow->stream);
    flow->in_call = outer;
}

static inline void flow_close(loomp_loop *loop, void *arg)
{
    (void)loop;
    flow_close_now((struct flow *)arg);
}

static inline void flow_abort(loomp_loop *loop, void *arg)
{
    (void)loop;
    flow_abort_now((struct flow *)arg);
}

/* ---- afterwards ---- */

/* How many of the first `count` things were delivered exactly once, with that status. */
static inline int flow_delivered_with(const struct flow *flow, int count, int status)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        found += flow->things[i].deliveries == 1 && flow->things[i].status == status;
    }
    return found;
}

/* It ended once, with that status, after having delivered `count` things, and called nobody inside a
 * call. */
static inline bool flow_is_over(const struct flow *flow, int count, int status)
{
    return flow->closed == 1 && flow->closed_status == status && flow->delivered == count &&
           flow->called_inside == 0;
}

#endif
