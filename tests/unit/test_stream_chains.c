/* SPDX-License-Identifier: MIT */
/* Stages that are chained: what goes on, what ends where, and how a full stage slows those before it. */
#define SUITE "stream chains"
#include "flow.h"

enum { STAGES = 3 };

/* stages[0] is the first one; each is `to` of the one before it. */
static struct flow stages[STAGES];

static loomp_loop *loop;
static loomp_runtime *runtime;

/* From the last to the first, since `to` has to be there. */
static void open_stages(loomp_loop *on, void *arg)
{
    int count = *(int *)arg;
    for (int i = count - 1; i >= 0; i--) {
        stages[i].options.to = i < count - 1 ? stages[i + 1].stream : NULL;
        flow_open(on, &stages[i]);
    }
}

static void init_stages(uint32_t window)
{
    for (int i = 0; i < STAGES; i++) {
        flow_init(&stages[i], NULL, window);
    }
    stages[0].at_writable = flow_push_more;
}

static void open_chain(loomp_runtime *in, int count)
{
    runtime = in;
    loop = loomp_loop_at(runtime, 0);
    for (int i = 0; i < count; i++) {
        stages[i].runtime = runtime;
    }
    on_loop(loop, open_stages, &count);
}

/* Pushes into the first stage, closes it, and waits until the last has ended. */
static void run_chain(int count)
{
    on_loop(loop, flow_push, &stages[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    on_loop(loop, flow_close, &stages[0]);
    for (int i = 0; i < count; i++) {
        gate_wait_for_arrivals(&stages[i].ended, 1);
    }
}

static void stop(void)
{
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static struct thing *thing(int i)
{
    return &stages[0].things[i];
}

static int maps_of_all(void)
{
    int sum = 0;
    for (int i = 0; i < FLOW_THINGS; i++) {
        sum += thing(i)->maps;
    }
    return sum;
}

/* ---- what goes on ---------------------------------------------------------------------------------- */

TEST(items_go_through_all_stages_in_order_and_are_delivered_by_the_last)
{
    static const uint32_t windows[] = {1, 2, 64};
    for (int i = 0; i < 3; i++) {
        init_stages(windows[i]);
        stages[0].options.deliver = stages[1].options.deliver = NULL;
        open_chain(runtime_under_test(), 3);
        run_chain(3);
        CHECK(flow_is_over(&stages[0], 0, 0) && flow_is_over(&stages[1], 0, 0));
        CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0) && stages[2].out_of_order == 0);
        CHECK(flow_delivered_with(&stages[0], FLOW_THINGS, 0) == FLOW_THINGS);
        CHECK(maps_of_all() == 3 * FLOW_THINGS);
        CHECK(stages[0].most_in_flight <= windows[i]);
        stop();
    }
}

static int drop_odd(void **item, void *arg)
{
    (void)arg;
    return ((struct thing *)*item)->number % 2 ? LOOMP_STREAM_DROP : 0;
}

TEST(what_a_filter_drops_is_delivered_by_it_and_goes_no_further)
{
    for (uint32_t order = 0; order < 2; order++) {
        init_stages(8);
        stages[1].options.map = drop_odd;
        stages[1].options.order = order;
        open_chain(runtime_under_test(), 3);
        run_chain(3);
        CHECK(flow_is_over(&stages[1], FLOW_THINGS / 2, 0));
        CHECK(flow_is_over(&stages[2], FLOW_THINGS / 2, 0));
        CHECK(order || (stages[1].out_of_order == 0 && stages[2].out_of_order == 0));
        for (int i = 0; i < FLOW_THINGS; i++) {
            CHECK(thing(i)->by == &stages[i % 2 ? 1 : 2] && thing(i)->deliveries == 1);
            CHECK(thing(i)->status == (i % 2 ? LOOMP_STREAM_DROP : 0));
        }
        stop();
    }
}

TEST(a_stage_without_a_map_passes_on_what_it_gets)
{
    init_stages(4);
    stages[1].options.map = NULL;
    open_chain(runtime_under_test(), 3);
    run_chain(3);
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0) && stages[2].out_of_order == 0);
    CHECK(maps_of_all() == 2 * FLOW_THINGS);
    stop();
    init_stages(4);
    stages[2].options.map = stages[0].options.map = NULL;
    open_chain(runtime_under_test(), 3);
    run_chain(3);
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0) && stages[2].out_of_order == 0);
    CHECK(maps_of_all() == FLOW_THINGS && stages[2].called_inside == 0);
    stop();
}

/* ---- without deliver ---------------------------------------------------------------------------- */

/* stages[0] goes to stages[1]. */
static void begin_two(uint32_t window)
{
    init_stages(window);
    stages[0].at_writable = NULL;
    runtime = runtime_under_test();
    loop = loomp_loop_at(runtime, 0);
    for (int i = 0; i < STAGES; i++) {
        stages[i].runtime = runtime;
    }
}

static void open_two(loomp_loop *on, void *arg)
{
    int count = 2;
    (void)arg;
    open_stages(on, &count);
}

static int say_cancelled(void **item, void *arg)
{
    int status = flow_map(item, arg);
    return ((struct thing *)*item)->number % 4 == 3 ? -ECANCELED : status;
}

TEST(an_item_whose_map_says_cancelled_goes_on_as_other_errors_do)
{
    begin_two(8);
    stages[0].options.map = say_cancelled;
    stages[0].options.deliver = NULL; /* nothing is dropped or skipped: open takes it */
    stages[0].at_writable = flow_push_more;
    on_loop(loop, open_two, NULL);
    on_loop(loop, flow_push, &stages[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[0].next == FLOW_THINGS && stages[1].delivered == FLOW_THINGS);
    stop();
}

static int fail_sixth(void **item, void *arg)
{
    int status = flow_map(item, arg);
    return ((struct thing *)*item)->number == 5 ? -EIO : status;
}

TEST(what_waits_in_a_stage_without_deliver_is_delivered_when_the_next_one_stops)
{
    begin_two(32);
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

/* ---- errors ---------------------------------------------------------------------------------------- */

static int fail_each_fourth(void **item, void *arg)
{
    (void)arg;
    return ((struct thing *)*item)->number % 4 == 3 ? -EIO : 0;
}

TEST(an_error_that_is_passed_on_is_mapped_no_more_and_delivered_in_its_place_by_the_last)
{
    init_stages(8);
    stages[0].options.map = fail_each_fourth;
    stages[1].options.on_error = LOOMP_STREAM_SKIP; /* of its own errors */
    stages[2].options.on_error = LOOMP_STREAM_STOP;
    open_chain(runtime_under_test(), 3);
    run_chain(3);
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0) && stages[2].out_of_order == 0);
    for (int i = 0; i < FLOW_THINGS; i++) {
        CHECK(thing(i)->status == (i % 4 == 3 ? -EIO : 0));
        CHECK(thing(i)->maps == (i % 4 == 3 ? 0 : 2));
    }
    stop();
}

TEST(an_error_that_is_skipped_is_delivered_by_its_stage)
{
    init_stages(8);
    stages[1].options.map = fail_each_fourth;
    stages[1].options.on_error = LOOMP_STREAM_SKIP;
    open_chain(runtime_under_test(), 3);
    run_chain(3);
    CHECK(flow_is_over(&stages[1], FLOW_THINGS / 4, 0));
    CHECK(flow_is_over(&stages[2], FLOW_THINGS / 4 * 3, 0) && stages[2].out_of_order == 0);
    stop();
}

/* Which of the stages delivered how many, with -ECANCELED but for one with -EIO. */
static int cancelled_by(const struct flow *stage)
{
    int found = 0;
    for (int i = 0; i < FLOW_THINGS; i++) {
        found += thing(i)->by == stage && thing(i)->deliveries == 1 &&
                 thing(i)->status == -ECANCELED;
    }
    return found;
}

static int fail_tenth(void **item, void *arg)
{
    (void)arg;
    return ((struct thing *)*item)->number == 9 ? -EIO : 0;
}

TEST(a_stage_that_stops_ends_those_before_it_and_lets_those_behind_it_finish)
{
    init_stages(8);
    stages[1].options.map = fail_tenth;
    stages[1].options.on_error = LOOMP_STREAM_STOP;
    open_chain(runtime_under_test(), 3);
    on_loop(loop, flow_push, &stages[0]);
    for (int i = 0; i < 3; i++) {
        gate_wait_for_arrivals(&stages[i].ended, 1);
    }
    CHECK(flow_is_over(&stages[0], cancelled_by(&stages[0]), -ECANCELED));
    CHECK(flow_is_over(&stages[1], cancelled_by(&stages[1]) + 1, -EIO));
    CHECK(flow_is_over(&stages[2], 9, 0));
    CHECK(thing(9)->by == &stages[1] && thing(9)->status == -EIO);
    CHECK(flow_delivered_with(&stages[0], FLOW_THINGS, 0) == 9);
    CHECK(stages[0].delivered + stages[1].delivered + 9 == stages[0].next);
    stop();
}

/* ---- back-pressure --------------------------------------------------------------------------------- */

static struct gate last_gate;

static int pass_last_gate(void **item, void *arg)
{
    gate_pass(&last_gate);
    return flow_map(item, arg);
}

/* How many items the first stage has taken when nothing can move. */
static int fill_chain(void)
{
    int before;
    stages[0].at_writable = NULL;
    gate_init(&last_gate);
    do { /* what the stages between have mapped moves on meanwhile */
        before = stages[0].next;
        on_loop(loop, flow_push, &stages[0]);
        on_loop(loop, flow_push, &stages[0]);
    } while (stages[0].next > before || stages[0].next < 2 + 3 + 4);
    return stages[0].next;
}

TEST(a_stage_that_is_held_up_fills_the_windows_before_it_and_then_the_source_is_refused)
{
    init_stages(0);
    stages[0].options.window = 2;
    stages[1].options.window = 3;
    stages[2].options.window = 4;
    stages[2].options.map = pass_last_gate;
    stages[2].options.pool = NULL;
    loomp_runtime *in = runtime_under_test();
    stages[2].options.pool = loomp_pool_named(in, "blocking"); /* the others go on */
    stages[2].options.flags = LOOMP_MAY_WAIT;
    open_chain(in, 3);
    CHECK(fill_chain() == 2 + 3 + 4);
    stages[0].at_writable = flow_push_more;
    CHECK(stages[2].delivered == 0);
    gate_open(&last_gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    run_chain(3);
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0) && stages[2].out_of_order == 0);
    CHECK(stages[0].writables > 0);
    stop();
}

static int pass_own_gate(void **item, void *arg)
{
    gate_pass((struct gate *)((struct flow *)arg)->arg);
    return flow_map(item, arg);
}

TEST(what_the_pool_refuses_between_stages_stays_in_its_place_until_it_does_not)
{
    enum { LIMIT = 4 };
    init_stages(32);
    struct gate gate = GATE_INIT;
    stages[1].options.map = pass_own_gate;
    stages[1].arg = &gate;
    loomp_runtime *in = runtime_with(1, (const char *const[]){"queue_limit", "4", NULL});
    stages[0].options.pool = loomp_pool_named(in, "blocking");
    open_chain(in, 2);
    on_loop(loop, flow_push, &stages[0]);
    gate_wait_for_arrivals(&gate, 1);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    run_chain(2);
    CHECK(flow_is_over(&stages[1], FLOW_THINGS, 0) && stages[1].out_of_order == 0);
    CHECK(flow_delivered_with(&stages[0], FLOW_THINGS, 0) == FLOW_THINGS);
    stop();
}

static struct recorded_job held[MOST_WORKERS], queued[64];

TEST(a_stage_whose_pool_is_full_of_other_jobs_goes_on_later)
{
    struct gate gate = GATE_INIT;
    init_stages(8);
    loomp_runtime *in =
        runtime_with(workers_under_test(), (const char *const[]){"queue_limit", "4", NULL});
    stages[0].options.map = NULL;
    open_chain(in, 2);
    hold_all_workers(in, held, &gate);
    int err = 0;
    for (int i = 0; i < 64 && !err; i++) {
        recorded_init(&queued[i], NULL);
        err = loomp_submit(in, &queued[i].job);
    }
    CHECK(err == -EAGAIN);
    stages[0].to_push = 8;
    on_loop(loop, flow_push, &stages[0]);
    on_loop(loop, flow_push, &stages[0]); /* the kick of the first is through */
    CHECK(stages[1].delivered == 0 && stages[0].delivered == 0);
    gate_open(&gate);
    run_chain(2);
    CHECK(flow_is_over(&stages[1], 8, 0) && stages[1].out_of_order == 0);
    stop();
}

TEST(what_a_stage_cannot_submit_has_that_error)
{
    init_stages(8);
    loomp_runtime *in = runtime_under_test();
    stages[1].options.kind = LOOMP_TASKS;
    stages[1].options.pool = loomp_pool_named(in, "blocking"); /* which takes none */
    open_chain(in, 2);
    stages[0].to_push = 20;
    run_chain(2);
    CHECK(flow_is_over(&stages[1], 20, 0) && stages[1].out_of_order == 0);
    CHECK(flow_delivered_with(&stages[0], 20, -EINVAL) == 20);
    stop();
}

/* ---- several before one ---------------------------------------------------------------------------- */

/* stages[0] and [1] both go to [2]. */
static void open_two_sources(loomp_loop *on, void *arg)
{
    (void)arg;
    flow_open(on, &stages[2]);
    for (int i = 0; i < 2; i++) {
        stages[i].options.to = stages[2].stream;
        flow_open(on, &stages[i]);
    }
}

static void open_sources(void)
{
    init_stages(4);
    stages[1].at_writable = flow_push_more;
    runtime = runtime_under_test();
    loop = loomp_loop_at(runtime, 0);
    for (int i = 0; i < 3; i++) {
        stages[i].runtime = runtime;
    }
    on_loop(loop, open_two_sources, NULL);
}

static int last_of[2];
static int disordered;

static void note_source(struct flow *of, struct thing *what)
{
    (void)of;
    int source = what >= stages[1].things && what < stages[1].things + FLOW_THINGS;
    disordered += what->number < last_of[source];
    last_of[source] = what->number;
}

TEST(several_stages_go_to_one_which_ends_after_the_last_of_them)
{
    open_sources();
    stages[2].at_delivery = note_source;
    last_of[0] = last_of[1] = -1;
    disordered = 0;
    on_loop(loop, flow_push, &stages[0]);
    on_loop(loop, flow_push, &stages[1]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    on_loop(loop, flow_close, &stages[0]);
    gate_wait_for_arrivals(&stages[0].ended, 1);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(stages[2].closed == 0);
    on_loop(loop, flow_close, &stages[1]);
    gate_wait_for_arrivals(&stages[2].ended, 1);
    CHECK(flow_is_over(&stages[2], 2 * FLOW_THINGS, 0) && disordered == 0);
    CHECK(flow_is_over(&stages[1], 0, 0));
    stop();
}

TEST(an_abort_of_one_of_several_leaves_the_others)
{
    open_sources();
    on_loop(loop, flow_push, &stages[1]);
    on_loop(loop, flow_abort, &stages[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(flow_is_over(&stages[0], 0, -ECANCELED));
    CHECK(stages[2].delivered == FLOW_THINGS && stages[2].closed == 0);
    on_loop(loop, flow_close, &stages[1]);
    gate_wait_for_arrivals(&stages[2].ended, 1);
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0));
    stop();
}

/* ---- turns -------------------------------------------------------------------------------------- */

static int let_in_when_writable;

static void note_first(struct flow *of)
{
    let_in_when_writable = let_in_when_writable < 0 ? stages[0].next : let_in_when_writable;
    of->to_push = 0;
}

/* Who pushes into a stage that others feed too is let in while those go on. */
TEST(who_was_refused_gets_room_beside_a_source_that_always_has_more)
{
    begin_two(4);
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
    begin_two(4);
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

/* ---- aborts ---------------------------------------------------------------------------------------- */

/* Nine items: four in the last stage, which is held, three and two wait before it. */
static void hold_chain(void)
{
    init_stages(0);
    loomp_runtime *in = runtime_under_test();
    for (int i = 0; i < STAGES; i++) {
        stages[i].options.window = (uint32_t)(2 + i);
    }
    stages[2].options.map = pass_last_gate;
    stages[2].options.pool = loomp_pool_named(in, "blocking");
    stages[2].options.flags = LOOMP_MAY_WAIT;
    open_chain(in, 3);
    CHECK(fill_chain() == 9);
    gate_wait_for_arrivals(&last_gate, 1);
}

TEST(an_abort_of_a_later_stage_aborts_those_before_it_and_each_delivers_its_own)
{
    hold_chain();
    on_loop(loop, flow_abort, &stages[2]);
    for (int i = 0; i < 2; i++) {
        gate_wait_for_arrivals(&stages[i].ended, 1);
    }
    gate_open(&last_gate);
    gate_wait_for_arrivals(&stages[2].ended, 1);
    for (int i = 0; i < 3; i++) {
        CHECK(flow_is_over(&stages[i], 2 + i, -ECANCELED) && stages[i].out_of_order == 0);
        CHECK(cancelled_by(&stages[i]) == 2 + i);
    }
    stop();
}

TEST(an_abort_of_the_first_stage_leaves_to_the_others_what_they_have)
{
    hold_chain();
    on_loop(loop, flow_abort, &stages[0]);
    gate_wait_for_arrivals(&stages[0].ended, 1);
    gate_open(&last_gate);
    gate_wait_for_arrivals(&stages[2].ended, 1);
    CHECK(flow_is_over(&stages[0], 2, -ECANCELED) && cancelled_by(&stages[0]) == 2);
    CHECK(flow_is_over(&stages[1], 0, 0));
    CHECK(flow_is_over(&stages[2], 7, 0));
    CHECK(flow_delivered_with(&stages[0], FLOW_THINGS, 0) == 7);
    stop();
}

TEST(an_abort_in_the_middle_does_both)
{
    hold_chain();
    on_loop(loop, flow_abort, &stages[1]);
    gate_wait_for_arrivals(&stages[1].ended, 1);
    gate_open(&last_gate);
    gate_wait_for_arrivals(&stages[2].ended, 1);
    CHECK(flow_is_over(&stages[0], 2, -ECANCELED) && cancelled_by(&stages[0]) == 2);
    CHECK(flow_is_over(&stages[1], 3, -ECANCELED) && cancelled_by(&stages[1]) == 3);
    CHECK(flow_is_over(&stages[2], 4, 0));
    stop();
}

static void abort_stage(struct flow *of, struct thing *what)
{
    (void)of;
    if (what->number == 5) {
        flow_abort_now(&stages[2]);
    }
}

TEST(the_last_stage_may_be_aborted_while_it_delivers)
{
    init_stages(4);
    stages[2].at_delivery = abort_stage;
    open_chain(runtime_under_test(), 3);
    on_loop(loop, flow_push, &stages[0]);
    for (int i = 0; i < 3; i++) {
        gate_wait_for_arrivals(&stages[i].ended, 1);
    }
    CHECK(flow_delivered_with(&stages[0], FLOW_THINGS, 0) == 6);
    CHECK(cancelled_by(&stages[0]) + cancelled_by(&stages[1]) + cancelled_by(&stages[2]) ==
          stages[0].next - 6);
    for (int i = 0; i < 3; i++) {
        CHECK(stages[i].closed == 1 && stages[i].closed_status == -ECANCELED);
    }
    stop();
}

TEST(a_chain_that_is_open_when_the_runtime_stops_is_told_so_in_all_stages)
{
    init_stages(4);
    open_chain(runtime_under_test(), 3);
    on_loop(loop, flow_push, &stages[0]);
    stop();
    CHECK(flow_is_over(&stages[0], 0, -ESHUTDOWN));
    CHECK(flow_is_over(&stages[1], 0, -ESHUTDOWN));
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, -ESHUTDOWN));
}

/* ---- opening --------------------------------------------------------------------------------------- */

TEST(a_chain_may_be_opened_by_another_thread)
{
    init_stages(4);
    runtime = runtime_under_test();
    loop = loomp_loop_at(runtime, 0);
    for (int i = 2; i >= 0; i--) {
        stages[i].options.home = loop;
        stages[i].options.to = i < 2 ? stages[i + 1].stream : NULL;
        CHECK(loomp_stream_open(runtime, &stages[i].options, &stages[i].stream) == 0);
    }
    run_chain(3);
    CHECK(flow_is_over(&stages[2], FLOW_THINGS, 0) && stages[2].out_of_order == 0);
    stop();
}

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
    begin_two(4);
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

static void open_to_closing(loomp_loop *on, void *arg)
{
    (void)arg;
    flow_open(on, &stages[1]);
    flow_abort_now(&stages[1]);
    stages[0].options.to = stages[1].stream;
    CHECK(loomp_stream_open(runtime, &stages[0].options, &stages[0].stream) == -EINVAL);
}

TEST(a_stage_cannot_be_opened_before_one_that_is_closed_or_elsewhere)
{
    init_stages(4);
    runtime = runtime_with(1, (const char *const[]){"io.threads", "2", NULL});
    loop = loomp_loop_at(runtime, 0);
    stages[1].runtime = runtime;
    on_loop(loop, open_to_closing, NULL);
    stages[2].options.home = loop;
    CHECK(loomp_stream_open(runtime, &stages[2].options, &stages[2].stream) == 0);
    stages[0].options.home = loomp_loop_at(runtime, 1);
    stages[0].options.to = stages[2].stream;
    if (loomp_loop_count(runtime) > 1) {
        CHECK(loomp_stream_open(runtime, &stages[0].options, &stages[0].stream) == -EINVAL);
        CHECK(strstr(loomp_error(), "another loop") != NULL);
    }
    stop();
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
