/* SPDX-License-Identifier: MIT */
/* What a review of streams found: each of these says what the header promises. */
#define SUITE "stream review"
#include "flow.h"

#include "../fault/faults.h"

static struct flow stages[3];
static loomp_runtime *runtime;
static loomp_loop *loop;

static void begin(const char *const *settings, uint32_t window)
{
    runtime = runtime_with(workers_under_test(), settings);
    loop = loomp_loop_at(runtime, 0);
    for (int i = 0; i < 3; i++) {
        flow_init(&stages[i], runtime, window);
    }
}

static void stop(void)
{
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* stages[0] goes to stages[1]. */
static void open_two(loomp_loop *on, void *arg)
{
    (void)arg;
    flow_open(on, &stages[1]);
    stages[0].options.to = stages[1].stream;
    flow_open(on, &stages[0]);
}

/* ---- opening elsewhere ----------------------------------------------------------------------------- */

static struct gate in_delivery, opened;

static void let_open_and_close(struct flow *of, struct thing *thing)
{
    (void)thing;
    gate_arrive(&in_delivery);
    gate_pass(&opened);
    flow_close_now(of);
}

/* stages[0] is the only one before [1] and ends when [2], which another thread has opened, is on its
 * way to the loop. */
TEST(a_stage_that_another_thread_has_opened_keeps_the_next_one_open)
{
    begin(NULL, 4);
    gate_init(&in_delivery);
    gate_init(&opened);
    stages[0].to_push = stages[2].to_push = 1;
    stages[0].things[0].result = LOOMP_STREAM_DROP;
    stages[0].at_delivery = let_open_and_close;
    on_loop(loop, open_two, NULL);
    on_loop(loop, flow_push, &stages[0]);
    gate_wait_for_arrivals(&in_delivery, 1);
    stages[2].options.home = loop;
    stages[2].options.to = stages[1].stream;
    CHECK(loomp_stream_open(runtime, &stages[2].options, &stages[2].stream) == 0);
    gate_open(&opened);
    gate_wait_for_arrivals(&stages[0].ended, 1);
    on_loop(loop, flow_push, &stages[2]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[2].things[0].by == &stages[1]);
    on_loop(loop, flow_close, &stages[2]);
    gate_wait_for_arrivals(&stages[1].ended, 1);
    CHECK(flow_is_over(&stages[1], 1, 0));
    stop();
}

/* ---- nothing is lost ------------------------------------------------------------------------------- */

static int say_cancelled(void **item, void *arg)
{
    int status = flow_map(item, arg);
    return ((struct thing *)*item)->number % 4 == 3 ? -ECANCELED : status;
}

TEST(an_item_whose_map_says_cancelled_is_an_error_like_others)
{
    begin(NULL, 8);
    stages[0].options.map = say_cancelled;
    stages[0].options.deliver = NULL; /* nothing is dropped or skipped: open takes it */
    stages[0].at_writable = flow_push_more;
    on_loop(loop, open_two, NULL);
    on_loop(loop, flow_push, &stages[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[0].next == FLOW_THINGS && stages[1].delivered == FLOW_THINGS);
    stop();
}

TEST(an_item_whose_map_says_cancelled_stops_a_stream_too)
{
    begin(NULL, 16);
    stages[0].options.map = say_cancelled;
    stages[0].options.on_error = LOOMP_STREAM_STOP;
    stages[0].to_push = 8;
    on_loop(loop, flow_open, &stages[0]);
    on_loop(loop, flow_push, &stages[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[0].closed == 1 && stages[0].delivered == 8);
    CHECK(flow_delivered_with(&stages[0], 8, 0) == 3);
    stop();
}

static int fail_sixth(void **item, void *arg)
{
    int status = flow_map(item, arg);
    return ((struct thing *)*item)->number == 5 ? -EIO : status;
}

TEST(what_waits_in_a_stage_without_deliver_is_delivered_when_the_next_one_stops)
{
    begin(NULL, 32);
    stages[0].options.map = NULL;
    stages[0].options.deliver = NULL;
    stages[1].options.map = fail_sixth;
    stages[1].options.on_error = LOOMP_STREAM_STOP;
    stages[1].options.window = 4;
    stages[0].to_push = 32;
    on_loop(loop, open_two, NULL);
    on_loop(loop, flow_push, &stages[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[0].next == 32 && stages[1].delivered == 32);
    stop();
}

/* ---- the window ------------------------------------------------------------------------------------ */

static int let_in_when_writable;

static void note_first(struct flow *of)
{
    let_in_when_writable = let_in_when_writable < 0 ? stages[0].next : let_in_when_writable;
    of->to_push = 0;
}

/* Who pushes into a stage that others feed too is let in while those go on. */
TEST(who_was_refused_gets_room_beside_a_source_that_always_has_more)
{
    begin(NULL, 4);
    stages[0].options.map = NULL;
    stages[0].at_writable = flow_push_more;
    stages[1].at_writable = note_first;
    let_in_when_writable = -1;
    struct gate gate = GATE_INIT;
    for (int i = 0; i < 4; i++) {
        stages[1].things[i].gate = &gate;
    }
    on_loop(loop, open_two, NULL);
    on_loop(loop, flow_push, &stages[1]); /* is refused */
    on_loop(loop, flow_push, &stages[0]);
    on_loop(loop, flow_push, &stages[0]);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[1].things[4].pushed == -EAGAIN);
    CHECK(let_in_when_writable >= 0 && let_in_when_writable < FLOW_THINGS / 2);
    stop();
}

static void push_one_more(struct flow *of, struct thing *thing)
{
    if (thing >= of->things && thing < of->things + FLOW_THINGS && of->next < FLOW_THINGS) {
        of->to_push = of->next + 1;
        flow_push_all(of);
    }
}

/* The other way round. */
TEST(a_source_gets_room_beside_a_delivery_that_pushes_each_time)
{
    begin(NULL, 4);
    struct gate gate = GATE_INIT;
    for (int i = 0; i < 4; i++) {
        stages[1].things[i].gate = &gate;
    }
    stages[0].to_push = 1;
    stages[1].to_push = 4;
    stages[1].at_delivery = push_one_more;
    on_loop(loop, open_two, NULL);
    on_loop(loop, flow_push, &stages[1]);
    on_loop(loop, flow_push, &stages[0]);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[0].things[0].deliveries == 1);
    CHECK(stages[0].things[0].place < FLOW_THINGS / 2);
    stop();
}

/* ---- memory ---------------------------------------------------------------------------------------- */

static void fill_both(loomp_loop *on, void *arg)
{
    (void)on;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        stages[i].next = 0;
        flow_push_all(&stages[i]);
    }
}

static void go_round(void)
{
    on_loop(loop, fill_both, NULL);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
}

TEST(two_warm_streams_allocate_nothing)
{
    begin((const char *const[]){"follow", "false", NULL}, FLOW_THINGS);
    struct flow *both = stages;
    on_loop(loop, flow_open, &both[0]);
    on_loop(loop, flow_open, &both[1]);
    go_round();
    go_round();
    atomic_store(&fault_hits, 0);
    atomic_store(&fault_countdown[FAULT_MEMORY], 1);
    go_round();
    atomic_store(&fault_countdown[FAULT_MEMORY], 0);
    CHECK(atomic_load(&fault_hits) == 0);
    stop();
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
