/* SPDX-License-Identifier: MIT */
/* One stream: order, window, errors, what is refused and when there is room again. */
#define SUITE "streams"
#include "flow.h"

#include <malloc.h>

static struct flow flow;

static loomp_loop *open_flow(loomp_runtime *runtime)
{
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    on_loop(loop, flow_open, &flow);
    return loop;
}

static void stop(loomp_runtime *runtime)
{
    CHECK(loomp_stop(runtime) == 0);
}

TEST(items_are_delivered_in_the_order_of_their_pushes)
{
    loomp_runtime *runtime = runtime_under_test();
    flow_init(&flow, runtime, 64);
    flow.at_writable = flow_push_more;
    loomp_loop *loop = open_flow(runtime);
    on_loop(loop, flow_push, &flow);
    loomp_wait_idle(runtime, -1);
    CHECK(flow.delivered == FLOW_THINGS);
    CHECK(flow.out_of_order == 0);
    CHECK(flow_delivered_with(&flow, FLOW_THINGS, 0) == FLOW_THINGS);
    CHECK(flow.closed == 0);
    on_loop(loop, flow_close, &flow);
    gate_wait_for_arrivals(&flow.ended, 1);
    CHECK(flow_is_over(&flow, FLOW_THINGS, 0));
    stop(runtime);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
