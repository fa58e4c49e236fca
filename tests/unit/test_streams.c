/* SPDX-License-Identifier: MIT */
/* One stream: order, window, errors, what is refused and when there is room again, where its items
 * run, what it costs. */
#define SUITE "streams"
#include "flow.h"

#include "../fault/faults.h"

#include <ev.h>
#include <malloc.h>
#include <omp.h>
#include <sched.h>
#include <time.h>

static struct flow flow;

/* A runtime and the stream under test on its loop, which was prepared by flow_init. */
static loomp_loop *open_on(loomp_runtime *runtime)
{
    flow.runtime = runtime;
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    on_loop(loop, flow_open, &flow);
    return loop;
}

static void push_on(loomp_loop *loop)
{
    on_loop(loop, flow_push, &flow);
}

static void wait_and_stop(void)
{
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(loomp_stop(flow.runtime) == 0);
}

/* Its items are pushed as there is room, all are delivered, and it is closed. */
static void let_all_through(loomp_loop *loop)
{
    flow.at_writable = flow_push_more;
    push_on(loop);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    on_loop(loop, flow_close, &flow);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(loomp_stop(flow.runtime) == 0);
}

/* ---- order --------------------------------------------------------------------------------------- */

TEST(items_are_delivered_in_the_order_of_their_pushes)
{
    flow_init(&flow, NULL, 64);
    let_all_through(open_on(runtime_under_test()));
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0));
    CHECK(flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, 0) == FLOW_THINGS);
    for (int i = 0; i < FLOW_THINGS; i++) {
        CHECK(flow.things[i].maps == 1);
    }
}

/* Thing 0 is held on one of two workers; the other runs those after it up to thing 7. */
static loomp_loop *hold_first_of_eight(struct gate *first, struct gate *last)
{
    flow.to_push = 8;
    flow.things[0].gate = first;
    flow.things[7].gate = last;
    loomp_loop *loop = open_on(runtime_with(2, NULL));
    push_on(loop);
    gate_wait_for_arrivals(first, 1);
    gate_wait_for_arrivals(last, 1);
    return loop;
}

static int delivered_until_now;

static void count_delivered(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    delivered_until_now = flow.delivered;
}

TEST(what_ends_early_waits_for_what_was_pushed_before)
{
    struct gate first = GATE_INIT, last = GATE_INIT;
    flow_init(&flow, NULL, 16);
    loomp_loop *loop = hold_first_of_eight(&first, &last);
    on_loop(loop, count_delivered, NULL);
    CHECK(delivered_until_now == 0);
    gate_open(&last);
    gate_open(&first);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 8 && flow.out_of_order == 0);
    wait_and_stop();
}

static void arrive_at_arg(struct flow *of, struct thing *thing)
{
    (void)thing;
    gate_arrive((struct gate *)of->arg);
}

TEST(without_order_what_ends_early_is_delivered_early)
{
    struct gate first = GATE_INIT, last = GATE_INIT, seven = GATE_INIT;
    flow_init(&flow, NULL, 16);
    flow.options.order = LOOMP_STREAM_UNORDERED;
    flow.at_delivery = arrive_at_arg;
    flow.arg = &seven;
    loomp_loop *loop = hold_first_of_eight(&first, &last);
    gate_open(&last);
    gate_wait_for_arrivals(&seven, 7);
    on_loop(loop, count_delivered, NULL);
    CHECK(delivered_until_now == 7);
    gate_open(&first);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 8 && flow.things[0].place == 7);
    wait_and_stop();
}

TEST(without_order_everything_is_delivered_once_too)
{
    flow_init(&flow, NULL, 7);
    flow.options.order = LOOMP_STREAM_UNORDERED;
    let_all_through(open_on(runtime_under_test()));
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0));
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, 0) == FLOW_THINGS);
    CHECK(flow.most_in_flight == 7);
}

/* ---- the window ---------------------------------------------------------------------------------- */

static uint32_t in_flight_when_writable;

static void note_in_flight(struct flow *of)
{
    in_flight_when_writable = loomp_stream_in_flight(of->stream);
    CHECK(!loomp_stream_is_full(of->stream));
}

static void check_full(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    CHECK(flow_push_all(&flow) == -EAGAIN);
    CHECK(loomp_stream_in_flight(flow.stream) == flow.options.window);
    CHECK(loomp_stream_is_full(flow.stream));
    CHECK(flow.things[flow.next].pushed == -EAGAIN);
}

static void fill_window(uint32_t window)
{
    struct gate gate = GATE_INIT;
    flow_init(&flow, NULL, window);
    flow.at_writable = note_in_flight;
    for (int i = 0; i < FLOW_THINGS; i++) {
        flow.things[i].gate = &gate;
    }
    loomp_loop *loop = open_on(runtime_under_test());
    push_on(loop);
    CHECK(flow.next == (int)window);
    on_loop(loop, check_full, NULL);
    on_loop(loop, check_full, NULL);
    CHECK(flow.writables == 0);
    in_flight_when_writable = 12345;
    gate_open(&gate);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.writables == 1);
    CHECK(in_flight_when_writable <= window / 2);
    CHECK(flow.delivered == (int)window && flow.things[window].deliveries == 0);
    wait_and_stop();
}

TEST(a_full_window_refuses_and_says_once_when_half_of_it_is_free)
{
    fill_window(8);
    fill_window(3);
}

TEST(a_window_of_one_is_writable_when_it_is_empty)
{
    fill_window(1);
}

static void is_default_window(loomp_loop *loop, void *arg)
{
    (void)loop;
    int threads = loomp_pool_threads(loomp_pool_named(flow.runtime, "compute"));
    CHECK(flow_push_all(&flow) == -EAGAIN);
    CHECK(flow.next == 4 * threads);
    gate_open((struct gate *)arg);
}

TEST(without_a_window_there_are_four_items_for_each_thread)
{
    struct gate gate = GATE_INIT;
    flow_init(&flow, NULL, 0);
    for (int i = 0; i < FLOW_THINGS; i++) {
        flow.things[i].gate = &gate;
    }
    loomp_loop *loop = open_on(runtime_with(2, NULL));
    on_loop(loop, is_default_window, &gate);
    wait_and_stop();
}

static void push_one(struct flow *of, struct thing *thing)
{
    (void)thing;
    if (of->next < FLOW_THINGS) {
        of->to_push = of->next + 1;
        CHECK(flow_push_all(of) == 0);
    }
}

TEST(an_item_may_be_pushed_in_the_delivery_of_the_only_one_that_there_is_room_for)
{
    flow_init(&flow, NULL, 1);
    flow.to_push = 1;
    flow.at_delivery = push_one;
    push_on(open_on(runtime_under_test()));
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == FLOW_THINGS && flow.out_of_order == 0);
    CHECK(flow.most_in_flight == 1 && flow.writables == 0 && flow.called_inside == 0);
    wait_and_stop();
}

/* ---- what map says --------------------------------------------------------------------------------- */

static int put_successor(void **item, void *arg)
{
    (void)arg;
    *item = (struct thing *)*item + 1;
    return 0;
}

TEST(a_map_may_put_another_item_in_its_place)
{
    flow_init(&flow, NULL, 4);
    flow.to_push = 3;
    flow.options.map = put_successor;
    push_on(open_on(runtime_under_test()));
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.things[0].deliveries == 0 && flow_delivered_with(&flow, 4, 0) == 3);
    wait_and_stop();
}

TEST(without_a_map_items_pass_unchanged_and_not_inside_push)
{
    flow_init(&flow, NULL, 64);
    flow.options.map = NULL;
    let_all_through(open_on(runtime_under_test()));
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0));
    CHECK(flow.out_of_order == 0 && flow.things[5].maps == 0);
}

TEST(a_dropped_item_is_delivered_as_such_in_its_place)
{
    flow_init(&flow, NULL, 16);
    for (int i = 0; i < FLOW_THINGS; i += 2) {
        flow.things[i].result = LOOMP_STREAM_DROP;
    }
    let_all_through(open_on(runtime_under_test()));
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, LOOMP_STREAM_DROP) == FLOW_THINGS / 2);
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, 0) == FLOW_THINGS / 2);
}

static void go_on_after_errors(uint32_t on_error)
{
    flow_init(&flow, NULL, 16);
    flow.options.on_error = on_error;
    for (int i = 0; i < FLOW_THINGS; i += 4) {
        flow.things[i].result = -EIO;
    }
    let_all_through(open_on(runtime_under_test()));
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, -EIO) == FLOW_THINGS / 4);
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, 0) == FLOW_THINGS / 4 * 3);
}

TEST(an_error_that_is_passed_on_or_skipped_is_delivered_in_its_place_and_the_rest_goes_on)
{
    go_on_after_errors(LOOMP_STREAM_PASS);
    go_on_after_errors(LOOMP_STREAM_SKIP);
}

static void push_after_error(struct flow *of, struct thing *thing)
{
    if (thing->status == -EIO) {
        of->to_push = of->next + 1;
        CHECK(flow_push_all(of) == -EPIPE);
    }
}

TEST(an_error_that_stops_cancels_what_comes_after_it_and_ends_the_stream)
{
    for (uint32_t order = 0; order < 2; order++) {
        flow_init(&flow, NULL, 16);
        flow.options.on_error = LOOMP_STREAM_STOP;
        flow.options.order = order;
        flow.things[3].result = flow.things[5].result = -EIO;
        flow.at_delivery = push_after_error;
        flow.to_push = 8;
        push_on(open_on(runtime_with(1, NULL)));
        gate_wait_for_arrivals(&flow.ended, 1);
        CHECK(flow_is_over(&flow, 8, -EIO) && flow.out_of_order == 0);
        CHECK(flow_delivered_with(&flow, 3, 0) == 3);
        CHECK(flow.things[3].status == -EIO);
        CHECK(flow_delivered_with(&flow, 8, -ECANCELED) == 4);
        CHECK(flow.things[8].deliveries == 0);
        wait_and_stop();
    }
}

static int say_cancelled(void **item, void *arg)
{
    int status = flow_map(item, arg);
    return ((struct thing *)*item)->number == 3 ? -ECANCELED : status;
}

TEST(an_item_whose_map_says_cancelled_stops_the_stream_as_other_errors_do)
{
    flow_init(&flow, NULL, 16);
    flow.options.map = say_cancelled;
    flow.options.on_error = LOOMP_STREAM_STOP;
    flow.to_push = 8;
    push_on(open_on(runtime_under_test()));
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(flow_is_over(&flow, 8, -ECANCELED) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 8, 0) == 3);
    wait_and_stop();
}

static int pushed_last;

static void try_to_push(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    pushed_last = flow_push_all(&flow);
}

TEST(what_comes_after_an_error_that_stops_is_not_begun_while_what_comes_before_runs)
{
    struct gate first = GATE_INIT, second = GATE_INIT, urgent = GATE_INIT;
    flow_init(&flow, NULL, 8);
    flow.options.on_error = LOOMP_STREAM_STOP;
    flow.things[0].gate = &first;
    flow.things[1].gate = &second;
    flow.things[1].result = -EIO;
    flow.to_push = 8;
    loomp_loop *loop = open_on(runtime_with(2, NULL));
    push_on(loop);
    gate_wait_for_arrivals(&first, 1);
    gate_wait_for_arrivals(&second, 1);
    struct recorded_job job; /* which has the other worker after the error */
    recorded_init(&job, &urgent);
    job.job.priority = LOOMP_HIGH;
    CHECK(loomp_submit(flow.runtime, &job.job) == 0);
    gate_open(&second);
    gate_wait_for_arrivals(&urgent, 1);
    flow.to_push = 9;
    do {
        on_loop(loop, try_to_push, NULL);
        sched_yield();
    } while (pushed_last == -EAGAIN);
    CHECK(pushed_last == -EPIPE);
    on_loop(loop, count_delivered, NULL);
    CHECK(delivered_until_now == 0);
    gate_open(&urgent);
    gate_open(&first);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(flow_is_over(&flow, 8, -EIO) && flow.out_of_order == 0);
    CHECK(flow.things[0].status == 0 && flow.things[1].status == -EIO);
    CHECK(flow_delivered_with(&flow, 8, -ECANCELED) == 6);
    for (int i = 2; i < 8; i++) {
        CHECK(flow.things[i].maps == 0);
    }
    wait_and_stop();
}

/* ---- where items run ------------------------------------------------------------------------------- */

static int _Atomic team_sizes;

static int count_team(void **item, void *arg)
{
    (void)arg;
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    atomic_fetch_add(&team_sizes, members);
    return flow_map(item, arg);
}

TEST(an_item_may_be_a_gang)
{
    flow_init(&flow, NULL, 4);
    flow.options.map = count_team;
    flow.options.kind = LOOMP_GANG;
    flow.to_push = 4;
    team_sizes = 0;
    push_on(open_on(runtime_with(2, NULL)));
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 4 && flow.out_of_order == 0 && team_sizes == 8);
    wait_and_stop();
}

static _Atomic int on_pool;

static int note_pool(void **item, void *arg)
{
    on_pool += loomp_thread_index((loomp_pool *)((struct flow *)arg)->arg) >= 0;
    return flow_map(item, arg);
}

TEST(items_run_on_the_pool_of_the_stream)
{
    flow_init(&flow, NULL, 4);
    loomp_runtime *runtime = runtime_under_test();
    flow.options.map = note_pool;
    flow.options.pool = loomp_pool_named(runtime, "blocking");
    flow.options.flags = LOOMP_MAY_WAIT;
    flow.arg = flow.options.pool;
    flow.to_push = 4;
    on_pool = 0;
    push_on(open_on(runtime));
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(flow.delivered == 4 && on_pool == 4);
    wait_and_stop();
}

static _Atomic int run_inside;

static int note_inside(void **item, void *arg)
{
    struct flow *of = (struct flow *)arg;
    run_inside += loomp_loop_here() != NULL && of->in_call;
    return flow_map(item, arg);
}

static uint64_t size_of_thing(const void *item, void *arg)
{
    (void)arg;
    return (uint64_t)((const struct thing *)item)->number + 1;
}

static void run_with_site(const char *arm)
{
    static loomp_site sites[] = {LOOMP_SITE("stream-inline", 0), LOOMP_SITE("stream-task", 0)};
    bool is_inline = strcmp(arm, "inline") == 0;
    loomp_site *site = &sites[!is_inline];
    char key[64];
    snprintf(key, sizeof key, "sites.%s.arm", site->name);
    flow_init(&flow, NULL, 32);
    flow.options.map = note_inside;
    flow.options.site = site;
    flow.options.size_of = size_of_thing;
    run_inside = 0;
    let_all_through(open_on(runtime_with(workers_under_test(), (const char *const[]){key, arm, NULL})));
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0) && flow.out_of_order == 0);
    CHECK(run_inside == (is_inline ? FLOW_THINGS : 0));
    struct loomp_site_stats stats = {.size = sizeof stats};
    CHECK(loomp_site_stats_read(site, &stats) == 0);
    CHECK(stats.size_least == 1 && stats.size_most == FLOW_THINGS);
}

TEST(with_a_site_each_item_runs_where_it_is_placed_by_its_size)
{
    run_with_site("inline");
    run_with_site("task");
}

/* ---- what is refused ------------------------------------------------------------------------------- */

static void expect_refusal(const char *option, loomp_runtime *runtime)
{
    loomp_stream *stream = NULL;
    CHECK(loomp_stream_open(runtime, &flow.options, &stream) == -EINVAL);
    CHECK(stream == NULL);
    if (!CHECK(strstr(loomp_error(), option) != NULL)) {
        printf("    %s: %s\n", option, loomp_error());
    }
}

#define EXPECT_REFUSAL(member, value)       \
    do {                                    \
        flow_init(&flow, runtime, 4);       \
        flow.options.home = loop;           \
        flow.options.member = value;        \
        expect_refusal(#member, runtime);   \
    } while (0)

TEST(what_cannot_be_opened_is_named)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    EXPECT_REFUSAL(window, 65537);
    EXPECT_REFUSAL(order, 2);
    EXPECT_REFUSAL(on_error, 3);
    EXPECT_REFUSAL(deliver, NULL);
    EXPECT_REFUSAL(kind, 3);
    EXPECT_REFUSAL(priority, 2);
    EXPECT_REFUSAL(flags, LOOMP_FIFO);
    EXPECT_REFUSAL(hint, 4);
    EXPECT_REFUSAL(home, NULL);
    flow_init(&flow, runtime, 4);
    flow.options.size--;
    expect_refusal("version", runtime);
    flow.options.size++;
    expect_refusal("runtime", NULL);
    CHECK(loomp_stream_open(runtime, NULL, &flow.stream) == -EINVAL);
    CHECK(loomp_stream_open(runtime, &flow.options, NULL) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
    flow.options.home = loop;
    CHECK(loomp_stream_open(runtime, &flow.options, &flow.stream) == -ESHUTDOWN);
}

TEST(a_push_from_another_thread_is_refused_and_other_calls_do_nothing)
{
    flow_init(&flow, NULL, 4);
    loomp_loop *loop = open_on(runtime_under_test());
    CHECK(loomp_stream_push(flow.stream, &flow) == -EPERM);
    CHECK(loomp_stream_push(NULL, &flow) == -EINVAL);
    loomp_stream_close(flow.stream);
    loomp_stream_abort(flow.stream);
    loomp_stream_close(NULL);
    loomp_stream_abort(NULL);
    flow.to_push = 2;
    push_on(loop);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 2 && flow.closed == 0);
    wait_and_stop();
}

/* The pool's queue is filled by jobs of others. */
static void fill_queue(struct recorded_job *jobs, int count)
{
    int err = 0;
    for (int i = 0; i < count && !err; i++) {
        recorded_init(&jobs[i], NULL);
        err = loomp_submit(flow.runtime, &jobs[i].job);
    }
    CHECK(err == -EAGAIN);
}

TEST(a_push_that_the_pool_refuses_is_writable_again_too)
{
    enum { LIMIT = 8, MORE = 64 };
    static struct recorded_job held[MOST_WORKERS], queued[LIMIT + MORE];
    struct gate gate = GATE_INIT;
    for (int busy = 0; busy < 2; busy++) { /* with items of its own in the queue, and without */
        gate_init(&gate);
        flow_init(&flow, NULL, 64);
        flow.at_writable = flow_push_more;
        loomp_loop *loop = open_on(runtime_with(
            workers_under_test(), (const char *const[]){"queue_limit", "8", NULL}));
        hold_all_workers(flow.runtime, held, &gate);
        if (!busy) {
            fill_queue(queued, LIMIT + MORE);
        }
        push_on(loop);
        CHECK(flow.things[flow.next].pushed == -EAGAIN);
        CHECK(busy ? flow.next > 0 && flow.next < 64 : flow.next == 0);
        gate_open(&gate);
        CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
        CHECK(flow.delivered == FLOW_THINGS && flow.out_of_order == 0);
        CHECK(flow.writables > 0 && flow.called_inside == 0);
        wait_and_stop();
    }
}

static struct {
    ev_timer timer;
    struct gate rung;
} later;

static void note_later(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)timer;
    (void)events;
    CHECK(loomp_stream_is_full(flow.stream));
    gate_arrive(&later.rung);
}

static void set_timer(loomp_loop *loop, void *arg)
{
    (void)arg;
    ev_timer_init(&later.timer, note_later, 0.02, 0);
    ev_timer_start(loomp_loop_ev(loop), &later.timer);
}

TEST(nobody_is_told_of_room_while_the_pool_stays_full)
{
    static struct recorded_job held[MOST_WORKERS], queued[64];
    struct gate gate = GATE_INIT;
    gate_init(&later.rung);
    flow_init(&flow, NULL, 4);
    flow.at_writable = flow_push_more;
    loomp_loop *loop = open_on(runtime_with(workers_under_test(),
                                            (const char *const[]){"queue_limit", "8", NULL}));
    hold_all_workers(flow.runtime, held, &gate);
    fill_queue(queued, 64);
    push_on(loop);
    CHECK(flow.things[0].pushed == -EAGAIN);
    on_loop(loop, set_timer, NULL);
    gate_wait_for_arrivals(&later.rung, 1);
    CHECK(flow.writables == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == FLOW_THINGS && flow.writables > 0);
    wait_and_stop();
}

/* ---- shutting down --------------------------------------------------------------------------------- */

static struct {
    ev_async watcher;
    struct gate called;
    int pushed;
} outside;

static void push_from_outside(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)events;
    flow.to_push = FLOW_THINGS;
    outside.pushed = loomp_stream_push(flow.stream, &flow.things[FLOW_THINGS - 1]);
    ev_async_stop(ev, watcher);
    gate_arrive(&outside.called);
}

static void watch(loomp_loop *loop, void *arg)
{
    (void)arg;
    ev_async_init(&outside.watcher, push_from_outside);
    ev_async_start(loomp_loop_ev(loop), &outside.watcher);
}

static void push_two(struct flow *of, struct thing *thing)
{
    of->to_push = 3;
    CHECK(thing->number > 0 || flow_push_all(of) == 0);
}

TEST(a_runtime_that_shuts_down_takes_items_from_deliveries_only)
{
    struct gate gate = GATE_INIT;
    gate_init(&outside.called);
    flow_init(&flow, NULL, 16);
    flow.to_push = 1;
    flow.things[0].gate = &gate;
    flow.at_delivery = push_two;
    loomp_loop *loop = open_on(runtime_under_test());
    on_loop(loop, watch, NULL);
    push_on(loop);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_shutdown(flow.runtime) == 0);
    ev_async_send(loomp_loop_ev(loop), &outside.watcher);
    gate_wait_for_arrivals(&outside.called, 1);
    CHECK(outside.pushed == -ESHUTDOWN);
    gate_open(&gate);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 3 && flow_delivered_with(&flow, 3, 0) == 3);
    CHECK(loomp_stop(flow.runtime) == 0);
    CHECK(flow_is_over(&flow, 3, -ESHUTDOWN));
}

static int map_until_cancelled(void **item, void *arg)
{
    (void)arg;
    struct thing *thing = (struct thing *)*item;
    atomic_fetch_add(&thing->maps, 1);
    gate_arrive(thing->gate);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    return thing->result;
}

TEST(stop_now_delivers_what_was_queued_as_cancelled)
{
    struct gate started = GATE_INIT;
    flow_init(&flow, NULL, 64);
    flow.options.map = map_until_cancelled;
    flow.to_push = 64;
    for (int i = 0; i < FLOW_THINGS; i++) {
        flow.things[i].gate = &started;
    }
    push_on(open_on(runtime_with(2, NULL)));
    gate_wait_for_arrivals(&started, 2);
    CHECK(loomp_stop_now(flow.runtime) == 0);
    CHECK(flow_is_over(&flow, 64, -ESHUTDOWN) && flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, 64, 0) == 2);
    CHECK(flow_delivered_with(&flow, 64, -ECANCELED) == 62);
}

/* ---- beside others ---------------------------------------------------------------------------------- */

static int delivered_before_post;

static void note_delivered(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    delivered_before_post = flow.delivered;
}

/* Takes at least 100 us. */
static void deliver_slowly(struct flow *of, struct thing *thing)
{
    struct timespec begin, now;
    if (thing->number == 0) {
        CHECK(loomp_post(loomp_loop_here(), note_delivered, of) == 0);
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < 100000);
}

TEST(slow_deliveries_leave_the_loop_to_others_between_them)
{
    flow_init(&flow, NULL, 64);
    flow.options.map = NULL;
    flow.to_push = 64;
    flow.at_delivery = deliver_slowly;
    push_on(open_on(runtime_under_test()));
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 64 && delivered_before_post <= 16);
    wait_and_stop();
}

/* ---- opening elsewhere ----------------------------------------------------------------------------- */

TEST(a_stream_that_another_thread_opens_is_there_for_what_that_thread_posts_later)
{
    flow_init(&flow, runtime_under_test(), 16);
    loomp_loop *loop = loomp_loop_at(flow.runtime, 0);
    flow.options.home = loop;
    flow.to_push = 16;
    CHECK(loomp_stream_open(flow.runtime, &flow.options, &flow.stream) == 0);
    push_on(loop);
    on_loop(loop, flow_close, &flow);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(flow_is_over(&flow, 16, 0) && flow.out_of_order == 0);
    wait_and_stop();
}

struct early {
    struct gate here, opened;
};

/* The loop gets the stream before what hands it over has been run. */
static void push_early(loomp_loop *loop, void *arg)
{
    struct early *early = (struct early *)arg;
    gate_arrive(&early->here);
    gate_pass(&early->opened);
    flow_push(loop, &flow);
    flow_abort(loop, &flow);
}

TEST(a_stream_that_another_thread_opens_may_be_used_on_its_loop_at_once)
{
    struct early early = {GATE_INIT, GATE_INIT};
    flow_init(&flow, runtime_under_test(), 16);
    loomp_loop *loop = loomp_loop_at(flow.runtime, 0);
    flow.options.home = loop;
    flow.to_push = 4;
    CHECK(loomp_post(loop, push_early, &early) == 0);
    gate_wait_for_arrivals(&early.here, 1);
    CHECK(loomp_stream_open(flow.runtime, &flow.options, &flow.stream) == 0);
    gate_open(&early.opened);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(flow_is_over(&flow, 4, -ECANCELED));
    CHECK(flow_delivered_with(&flow, 4, -ECANCELED) == 4);
    wait_and_stop();
}

/* ---- what it costs --------------------------------------------------------------------------------- */

TEST(an_idle_stream_takes_no_more_than_512_bytes)
{
    flow_init(&flow, NULL, 64);
    loomp_loop *loop = open_on(runtime_under_test());
    CHECK(malloc_usable_size(flow.stream) <= 512);
    long before = atomic_load(&live_blocks);
    static struct flow second;
    flow_init(&second, flow.runtime, 64);
    on_loop(loop, flow_open, &second);
    CHECK(atomic_load(&live_blocks) == before + 1);
    wait_and_stop();
}

static long blocks_without;

static void count_blocks_and_open(loomp_loop *loop, void *arg)
{
    blocks_without = atomic_load(&live_blocks);
    flow_open(loop, arg);
}

TEST(a_stream_that_has_ended_leaves_only_a_few_free_slots)
{
    flow_init(&flow, runtime_under_test(), 2048);
    loomp_loop *loop = loomp_loop_at(flow.runtime, 0);
    on_loop(loop, count_blocks_and_open, &flow);
    push_on(loop);
    on_loop(loop, flow_close, &flow);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(atomic_load(&live_blocks) - blocks_without <= 64 + 2 /* of loomp_post's objects */);
    wait_and_stop();
}

static long rounds;

static void push_again(struct flow *of)
{
    while (flow_push_all(of) == 0 && rounds > 0) {
        rounds--;
        of->next = 0;
    }
}

static void begin_round(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    push_again(&flow);
}

static void go_round(loomp_loop *loop)
{
    rounds = 20;
    flow.next = FLOW_THINGS;
    on_loop(loop, begin_round, NULL);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
}

TEST(a_warm_stream_allocates_nothing)
{
    static loomp_site site = LOOMP_SITE("stream-warm", LOOMP_HINT_LOW);
    for (int variant = 0; variant < 3; variant++) {
        flow_init(&flow, NULL, FLOW_THINGS - 1);
        flow.at_writable = push_again;
        flow.options.order = variant == 1 ? LOOMP_STREAM_UNORDERED : LOOMP_STREAM_ORDERED;
        flow.options.site = variant == 2 ? &site : NULL;
        loomp_loop *loop = open_on(
            runtime_with(workers_under_test(), (const char *const[]){"follow", "false", NULL}));
        go_round(loop);
        go_round(loop);
        atomic_store(&fault_hits, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], 1);
        go_round(loop);
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        CHECK(atomic_load(&fault_hits) == 0);
        CHECK(flow.delivered >= 3 * 20 * FLOW_THINGS);
        wait_and_stop();
    }
}

static struct flow both[2];

static void fill_both(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        both[i].next = 0;
        flow_push_all(&both[i]);
    }
}

static void fill_both_and_wait(loomp_loop *loop)
{
    on_loop(loop, fill_both, NULL);
    CHECK(loomp_wait_idle(both[0].runtime, -1) == 0);
}

TEST(two_warm_streams_that_are_full_together_allocate_nothing)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"follow", "false", NULL});
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    for (int i = 0; i < 2; i++) {
        flow_init(&both[i], runtime, FLOW_THINGS);
        on_loop(loop, flow_open, &both[i]);
    }
    fill_both_and_wait(loop);
    fill_both_and_wait(loop);
    atomic_store(&fault_hits, 0);
    atomic_store(&fault_countdown[FAULT_MEMORY], 1);
    fill_both_and_wait(loop);
    atomic_store(&fault_countdown[FAULT_MEMORY], 0);
    CHECK(atomic_load(&fault_hits) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_wide_stream_that_has_ended_leaves_only_a_few_free_slots_beside_an_open_one)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    flow_init(&both[0], runtime, 4);
    flow_init(&flow, runtime, 2048);
    on_loop(loop, flow_open, &both[0]);
    on_loop(loop, count_blocks_and_open, &flow);
    push_on(loop);
    on_loop(loop, flow_close, &flow);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(atomic_load(&live_blocks) - blocks_without <= 64 + 2 /* of loomp_post's objects */);
    CHECK(loomp_stop(runtime) == 0);
}

static void push_without_memory(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    atomic_store(&fault_hits, 0);
    atomic_store(&fault_countdown[FAULT_MEMORY], 1);
    CHECK(flow_push_all(&flow) == -ENOMEM);
    CHECK(atomic_load(&fault_hits) == 1);
    CHECK(loomp_stream_in_flight(flow.stream) == 0);
    CHECK(flow_push_all(&flow) == 0);
}

TEST(without_memory_an_item_stays_the_callers)
{
    flow_init(&flow, NULL, 16);
    flow.to_push = 4;
    loomp_loop *loop = open_on(runtime_under_test());
    on_loop(loop, push_without_memory, NULL);
    CHECK(loomp_wait_idle(flow.runtime, -1) == 0);
    CHECK(flow.delivered == 4 && flow_delivered_with(&flow, 4, 0) == 4);
    wait_and_stop();
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
