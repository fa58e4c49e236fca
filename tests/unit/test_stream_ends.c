/* SPDX-License-Identifier: MIT */
/* How streams end: close and abort in every callback and with items in every state, and loops that end
 * before them. */
#define SUITE "stream ends"
#include "flow.h"

#include <ev.h>
#include <sched.h>

static struct flow flow, other;
static loomp_loop *loop;

static void open_on(loomp_runtime *runtime, uint32_t window)
{
    flow_init(&flow, runtime, window);
    flow_init(&other, runtime, window);
    loop = loomp_loop_at(runtime, 0);
}

static void begin(void)
{
    on_loop(loop, flow_open, &flow);
    on_loop(loop, flow_push, &flow);
}

static void stop(void)
{
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(loomp_stop(flow.runtime) == 0);
    CHECK(flow.closed == 1 && flow.called_inside == 0);
}

/* ---- nothing under way ----------------------------------------------------------------------------- */

static void open_and_close(loomp_loop *on, void *arg)
{
    flow_open(on, arg);
    flow_close_now(&flow);
    flow_close_now(&flow);
    CHECK(flow.closed == 0);
    flow.to_push = 1;
    CHECK(flow_push_all(&flow) == -EPIPE);
}

TEST(an_idle_stream_that_is_closed_ends_after_the_call)
{
    open_on(runtime_under_test(), 4);
    on_loop(loop, open_and_close, &flow);
    stop();
    CHECK(flow_is_over(&flow, 0, 0));
}

static void open_and_abort(loomp_loop *on, void *arg)
{
    flow_open(on, arg);
    flow_abort_now(&flow);
    flow_abort_now(&flow);
    flow_close_now(&flow);
    CHECK(flow.closed == 0);
    flow.to_push = 1;
    CHECK(flow_push_all(&flow) == -EPIPE);
}

TEST(an_idle_stream_that_is_aborted_ends_after_the_call)
{
    open_on(runtime_under_test(), 4);
    on_loop(loop, open_and_abort, &flow);
    stop();
    CHECK(flow_is_over(&flow, 0, -ECANCELED));
}

/* ---- items under way ------------------------------------------------------------------------------- */

TEST(a_stream_that_is_closed_delivers_what_it_has_first)
{
    struct gate gate = GATE_INIT;
    open_on(runtime_under_test(), 16);
    flow.things[0].gate = &gate;
    begin();
    on_loop(loop, flow_close, &flow);
    CHECK(flow.closed == 0);
    gate_open(&gate);
    stop();
    CHECK(flow_is_over(&flow, 16, 0) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 16, 0) == 16 && flow.writables == 0);
}

static struct recorded_job held[MOST_WORKERS];

TEST(an_abort_delivers_what_is_queued_without_running_it)
{
    struct gate gate = GATE_INIT;
    open_on(runtime_under_test(), 16);
    hold_all_workers(flow.runtime, held, &gate);
    begin();
    on_loop(loop, flow_abort, &flow);
    gate_wait_for_arrivals(&flow.ended, 1); /* before a worker is free */
    gate_open(&gate);
    stop();
    CHECK(flow_is_over(&flow, 16, -ECANCELED) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 16, -ECANCELED) == 16 && flow.writables == 0);
    for (int i = 0; i < 16; i++) {
        CHECK(flow.things[i].maps == 0);
    }
}

static int map_until_cancelled(void **item, void *arg)
{
    (void)arg;
    struct thing *thing = (struct thing *)*item;
    gate_arrive(thing->gate);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    atomic_fetch_add(&thing->maps, 1);
    return thing->result;
}

TEST(an_abort_asks_what_runs_to_end_and_delivers_it_when_it_has)
{
    for (uint32_t order = 0; order < 2; order++) {
        struct gate started = GATE_INIT;
        open_on(runtime_under_test(), 16);
        flow.options.map = map_until_cancelled;
        flow.options.order = order;
        for (int i = 0; i < FLOW_THINGS; i++) {
            flow.things[i].gate = &started;
        }
        begin();
        gate_wait_for_arrivals(&started, 1);
        on_loop(loop, flow_abort, &flow);
        stop();
        CHECK(flow_is_over(&flow, 16, -ECANCELED));
        CHECK(flow_delivered_with(&flow, 16, -ECANCELED) == 16 && flow.things[0].maps == 1);
    }
}

TEST(an_abort_cancels_what_has_been_mapped_and_not_delivered)
{
    struct gate first = GATE_INIT, second = GATE_INIT;
    open_on(runtime_with(2, NULL), 3);
    flow.things[0].gate = &first;
    flow.things[2].gate = &second;
    begin();
    gate_wait_for_arrivals(&first, 1);
    gate_wait_for_arrivals(&second, 1); /* so the one between has ended */
    on_loop(loop, flow_abort, &flow);
    CHECK(flow.delivered == 0); /* what runs comes first */
    gate_open(&second);
    gate_open(&first);
    stop();
    CHECK(flow_is_over(&flow, 3, -ECANCELED) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 3, -ECANCELED) == 3 && flow.things[1].maps == 1);
}

TEST(a_stream_that_is_closed_may_still_be_aborted)
{
    struct gate gate = GATE_INIT;
    open_on(runtime_under_test(), 8);
    hold_all_workers(flow.runtime, held, &gate);
    begin();
    on_loop(loop, flow_close, &flow);
    on_loop(loop, flow_abort, &flow);
    gate_open(&gate);
    stop();
    CHECK(flow_is_over(&flow, 8, -ECANCELED));
    CHECK(flow_delivered_with(&flow, 8, -ECANCELED) == 8);
}

static void push_and_abort(loomp_loop *on, void *arg)
{
    flow_push(on, arg);
    flow_abort(on, arg);
}

TEST(unmapped_items_are_cancelled_too)
{
    open_on(runtime_under_test(), 8);
    flow.options.map = NULL;
    on_loop(loop, flow_open, &flow);
    on_loop(loop, push_and_abort, &flow);
    stop();
    CHECK(flow_is_over(&flow, 8, -ECANCELED));
    CHECK(flow_delivered_with(&flow, 8, -ECANCELED) == 8);
}

/* ---- in callbacks ---------------------------------------------------------------------------------- */

/* How a callback ends its stream. */
static void (*end_now)(struct flow *of);

static void end_at_third(struct flow *of, struct thing *thing)
{
    if (thing->number == 2) {
        end_now(of);
        of->to_push = of->next + 1;
        CHECK(flow_push_all(of) == -EPIPE);
    }
}

TEST(a_stream_may_be_closed_while_it_delivers)
{
    open_on(runtime_under_test(), 8);
    flow.at_delivery = end_at_third;
    end_now = flow_close_now;
    begin();
    stop();
    CHECK(flow_is_over(&flow, 8, 0) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 8, 0) == 8);
}

TEST(a_stream_may_be_aborted_while_it_delivers)
{
    open_on(runtime_under_test(), 8);
    flow.at_delivery = end_at_third;
    end_now = flow_abort_now;
    begin();
    stop();
    CHECK(flow_is_over(&flow, 8, -ECANCELED) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 8, 0) == 3);
    CHECK(flow_delivered_with(&flow, 8, -ECANCELED) == 5);
}

static void close_at_last(struct flow *of, struct thing *thing)
{
    if (thing->number == of->to_push - 1) {
        flow_close_now(of);
    }
}

TEST(a_stream_may_be_closed_in_the_delivery_of_its_last_item)
{
    open_on(runtime_under_test(), 8);
    flow.to_push = 8;
    flow.at_delivery = close_at_last;
    begin();
    stop();
    CHECK(flow_is_over(&flow, 8, 0));
}

static void end_when_writable(struct flow *of)
{
    end_now(of);
    CHECK(flow_push_all(of) == -EPIPE);
}

TEST(a_stream_may_be_closed_or_aborted_when_it_is_writable)
{
    open_on(runtime_under_test(), 1);
    flow.at_writable = end_when_writable;
    end_now = flow_close_now;
    begin();
    stop();
    CHECK(flow_is_over(&flow, 1, 0) && flow.writables == 1);

    open_on(runtime_under_test(), 8);
    flow.at_writable = end_when_writable;
    end_now = flow_abort_now;
    begin();
    stop();
    CHECK(flow_is_over(&flow, 8, -ECANCELED) && flow.writables == 1 && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 8, 0) + flow_delivered_with(&flow, 8, -ECANCELED) == 8);
}

/* The other one is opened, and used, in the last call of the first. */
static void open_other(struct flow *of)
{
    CHECK(loomp_stream_push(of->stream, &other.things[0]) == -EPIPE);
    flow_abort_now(of);
    flow_close_now(of);
    flow_open(loop, &other);
    flow_push_all(&other);
    flow_close_now(&other);
}

TEST(a_stream_may_be_opened_in_the_last_call_of_another)
{
    open_on(runtime_under_test(), 8);
    flow.at_closed = open_other;
    begin();
    on_loop(loop, flow_close, &flow);
    gate_wait_for_arrivals(&other.ended, 1);
    stop();
    CHECK(flow_is_over(&flow, 8, 0));
    CHECK(flow_is_over(&other, 8, 0) && other.out_of_order == 0);
}

static void abort_other(struct flow *of, struct thing *thing)
{
    (void)of;
    if (thing->number == 0) {
        flow_abort_now(&other);
    }
}

TEST(a_stream_may_be_aborted_while_another_delivers)
{
    struct gate gate = GATE_INIT;
    open_on(runtime_with(1, NULL), 8);
    flow.at_delivery = abort_other;
    flow.things[0].gate = &gate;
    begin();
    on_loop(loop, flow_open, &other);
    on_loop(loop, flow_push, &other);
    gate_open(&gate);
    gate_wait_for_arrivals(&other.ended, 1);
    CHECK(flow_is_over(&other, 8, -ECANCELED) && other.out_of_order == 0);
    CHECK(flow_delivered_with(&other, 8, 0) + flow_delivered_with(&other, 8, -ECANCELED) == 8);
    on_loop(loop, flow_close, &flow);
    stop();
    CHECK(flow_is_over(&flow, 8, 0));
}

static void push_to_other(struct flow *of, struct thing *thing)
{
    (void)of;
    (void)thing;
    other.to_push++;
    CHECK(flow_push_all(&other) == 0);
}

TEST(what_one_stream_delivers_may_be_pushed_to_another)
{
    open_on(runtime_under_test(), 8);
    flow.at_delivery = push_to_other;
    other.to_push = 0;
    on_loop(loop, flow_open, &other);
    begin();
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    on_loop(loop, flow_close, &flow);
    on_loop(loop, flow_close, &other);
    gate_wait_for_arrivals(&other.ended, 1);
    stop();
    CHECK(flow_is_over(&other, 8, 0) && other.out_of_order == 0);
}

/* ---- the loop ends --------------------------------------------------------------------------------- */

TEST(an_open_stream_does_not_keep_the_runtime_from_stopping_and_is_told)
{
    open_on(runtime_under_test(), 8);
    on_loop(loop, flow_open, &flow);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(loomp_stop(flow.runtime) == 0);
    CHECK(flow_is_over(&flow, 0, -ESHUTDOWN));
}

TEST(items_keep_the_runtime_from_stopping_until_they_are_delivered)
{
    open_on(runtime_under_test(), 64);
    begin();
    CHECK(loomp_stop(flow.runtime) == 0);
    CHECK(flow_is_over(&flow, 64, -ESHUTDOWN) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 64, 0) == 64);
}

static void close_at_exit(loomp_loop *on, void *arg)
{
    (void)on;
    flow_close_now((struct flow *)arg);
    flow_abort_now(&other);
}

static void open_and_register(loomp_loop *on, void *arg)
{
    flow_open(on, arg);
    flow_open(on, &other);
    CHECK(loomp_loop_at_exit(on, close_at_exit, arg) == 0);
}

TEST(a_stream_may_be_closed_when_its_loop_ends)
{
    open_on(runtime_under_test(), 8);
    on_loop(loop, open_and_register, &flow);
    CHECK(loomp_stop(flow.runtime) == 0);
    CHECK(flow_is_over(&flow, 0, 0));
    CHECK(flow_is_over(&other, 0, -ECANCELED));
}

/* ---- attached loops -------------------------------------------------------------------------------- */

static struct ev_loop *attach(uint32_t window)
{
    open_on(runtime_under_test(), window);
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    CHECK(loomp_attach(flow.runtime, ev, &loop) == 0);
    return ev;
}

static void stop_and_destroy(struct ev_loop *ev)
{
    CHECK(loomp_stop(flow.runtime) == 0);
    ev_loop_destroy(ev);
}

TEST(on_an_attached_loop_items_keep_it_running_and_an_idle_stream_does_not)
{
    struct ev_loop *ev = attach(8);
    flow_open(loop, &flow);
    flow_push_all(&flow);
    ev_run(ev, 0);
    CHECK(flow.delivered == 8 && flow.closed == 0 && flow.writables == 1);
    flow_close_now(&flow);
    CHECK(flow.closed == 0);
    ev_run(ev, 0);
    CHECK(flow_is_over(&flow, 8, 0));
    CHECK(loomp_detach(loop) == 0);
    stop_and_destroy(ev);
}

TEST(a_detach_delivers_what_is_under_way_and_ends_what_is_open)
{
    struct ev_loop *ev = attach(8);
    flow_open(loop, &flow);
    flow_open(loop, &other);
    flow_push_all(&flow);
    CHECK(loomp_detach(loop) == 0);
    CHECK(flow_is_over(&flow, 8, -ESHUTDOWN) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 8, 0) == 8);
    CHECK(flow_is_over(&other, 0, -ESHUTDOWN));
    stop_and_destroy(ev);
}

static void push_at_exit(loomp_loop *on, void *arg)
{
    (void)on;
    flow_push_all((struct flow *)arg);
}

TEST(items_that_come_when_an_attached_loop_ends_are_cancelled_and_delivered)
{
    struct ev_loop *ev = attach(8);
    struct gate gate = GATE_INIT;
    flow_open(loop, &flow);
    CHECK(loomp_loop_at_exit(loop, push_at_exit, &flow) == 0);
    hold_all_workers(flow.runtime, held, &gate);
    gate_open(&gate);
    CHECK(loomp_detach(loop) == 0);
    CHECK(flow_is_over(&flow, 8, -ESHUTDOWN) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 8, -ECANCELED) == 8);
    stop_and_destroy(ev);
}

TEST(a_loop_that_is_attached_again_has_streams_again)
{
    struct ev_loop *ev = attach(8);
    flow_open(loop, &flow);
    CHECK(loomp_detach(loop) == 0);
    CHECK(flow_is_over(&flow, 0, -ESHUTDOWN));
    CHECK(loomp_attach(flow.runtime, ev, &loop) == 0);
    flow_open(loop, &other);
    flow_push_all(&other);
    flow_close_now(&other);
    ev_run(ev, 0);
    CHECK(flow_is_over(&other, 8, 0) && other.out_of_order == 0);
    CHECK(loomp_detach(loop) == 0);
    stop_and_destroy(ev);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
