/* SPDX-License-Identifier: MIT */
/* Many items through streams of all windows, with costs that differ by orders of magnitude: each is
 * delivered once, in order, and none is accepted beyond the window; a slow end of a chain keeps its
 * beginning slow; what is aborted at any moment ends. The number of items is LOOMP_TEST_ITEMS (the
 * sanitizers take fewer). */
#define SUITE "stress streams"
#include "../unit/gate.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

static long items_in_all(long usual)
{
    const char *text = getenv("LOOMP_TEST_ITEMS");
    long most = text ? atol(text) : UNDER_SANITIZER ? 20000 : 1000000;
    return usual < most ? usual : most;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

enum { STREAMS = 12, CHAINED = 4, WIDEST = 512 };

/* One stream, or the beginning of a chain; the items are its numbers, from 1 on. */
struct river {
    loomp_stream_options options;
    loomp_stream *stream;
    loomp_stream *end;        /* of the chain; the stream itself, without one */
    loomp_loop *loop;
    uint64_t seed;
    uint32_t longest_us;      /* items cost up to that */
    long to_push;
    uint32_t room;            /* the windows of all its stages */
    bool ordered;
    long abort_at;            /* when so many have been pushed; 0: never */
    /* the loop's */
    long pushed, delivered, dropped, failed, cancelled;
    long last;
    long disordered, too_many, inside, wrong;
    bool in_push;
    int closed;
    int status;
};

static void spin_us(uint64_t us)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((uint64_t)(now.tv_sec - from.tv_sec) * 1000000 +
                 (uint64_t)(now.tv_nsec - from.tv_nsec) / 1000 <
             us);
}

/* The cost of an item, most of them cheap: 2^-k of those of the longest costs for each k. */
static int cost_something(void **item, void *arg)
{
    struct river *river = arg;
    uint64_t state = river->seed + (uint64_t)(uintptr_t)*item * 0x9e3779b97f4a7c15u;
    uint64_t random = next_random(&state);
    unsigned rarity = 0;
    for (uint32_t us = river->longest_us; us > 1 && random & 1; us /= 2, random >>= 1) {
        rarity++;
    }
    uint64_t us = river->longest_us ? (uint64_t)1 << rarity : 0;
    if (us > 1 && us <= river->longest_us) {
        spin_us(us);
    }
    return random % 101 == 0 ? LOOMP_STREAM_DROP : random % 103 == 0 ? -EIO : 0;
}

static int add_nothing(void **item, void *arg)
{
    (void)item;
    (void)arg;
    return 0;
}

static void push_on(struct river *river)
{
    int err = 0;
    while (!err && river->pushed < river->to_push) {
        river->in_push = true;
        err = loomp_stream_push(river->stream, (void *)(uintptr_t)(river->pushed + 1));
        river->in_push = false;
        if (!err) {
            river->pushed++;
            river->too_many += river->pushed - river->delivered > river->room;
            river->too_many += loomp_stream_in_flight(river->stream) > river->options.window;
        }
        if (river->pushed == river->abort_at) {
            loomp_stream_abort(river->end);
            return;
        }
    }
    river->wrong += err && err != -EAGAIN && err != -EPIPE;
    if (river->pushed == river->to_push) {
        loomp_stream_close(river->stream);
    }
}

static void deliver(void *item, int status, void *arg)
{
    struct river *river = arg;
    long number = (long)(uintptr_t)item;
    river->inside += river->in_push;
    river->delivered++;
    river->dropped += status == LOOMP_STREAM_DROP;
    river->failed += status == -EIO;
    river->cancelled += status == -ECANCELED;
    river->wrong += number < 1 || number > river->pushed;
    river->disordered += river->ordered && number != river->last + 1;
    river->last = number;
    if (number % 3 == 0) {
        push_on(river); /* from a delivery, before anybody was told that there is room */
    }
}

static void deliver_in_chain(void *item, int status, void *arg)
{
    struct river *river = arg;
    long number = (long)(uintptr_t)item;
    river->inside += river->in_push;
    river->delivered++;
    river->dropped += status == LOOMP_STREAM_DROP;
    river->failed += status == -EIO;
    river->cancelled += status == -ECANCELED;
    river->wrong += number < 1 || number > river->pushed;
    if (status != LOOMP_STREAM_DROP && status != -ECANCELED) { /* others end in other stages */
        river->disordered += river->ordered && number <= river->last;
        river->last = number;
    }
}

static void writable(loomp_stream *stream, void *arg)
{
    struct river *river = arg;
    river->inside += river->in_push;
    river->wrong += stream != river->stream || loomp_stream_is_full(stream);
    push_on(river);
}

static void closed(int status, void *arg)
{
    struct river *river = arg;
    river->closed++;
    river->status = river->status ? river->status : status;
}

static struct river rivers[STREAMS];

static void prepare(struct river *river, long items, uint32_t longest_us, uint64_t *random)
{
    static const uint32_t windows[] = {1, 2, 3, 8, 64, WIDEST};
    memset((void *)river, 0, sizeof *river);
    loomp_stream_options_init(&river->options);
    river->seed = next_random(random);
    river->longest_us = longest_us;
    river->to_push = items;
    river->options.map = cost_something;
    river->options.deliver = deliver;
    river->options.writable = writable;
    river->options.closed = closed;
    river->options.arg = river;
    river->options.window = windows[next_random(random) % 6];
    river->options.order = next_random(random) % 4 == 0;
    river->room = river->options.window;
    river->ordered = river->options.order == LOOMP_STREAM_ORDERED;
}

static void open_river(loomp_loop *loop, void *arg)
{
    struct river *river = arg;
    (void)loop;
    CHECK(loomp_stream_open(loomp_current(), &river->options, &river->stream) == 0);
    river->end = river->stream;
    push_on(river);
}

static void open_chain(loomp_loop *loop, void *arg)
{
    struct river *river = arg;
    (void)loop;
    loomp_stream_options options = river->options;
    options.deliver = deliver_in_chain;
    options.writable = NULL;
    options.to = NULL;
    options.map = add_nothing;
    CHECK(loomp_stream_open(loomp_current(), &options, &options.to) == 0);
    river->end = options.to;
    options.map = river->seed % 2 ? NULL : cost_something;
    options.window = options.window / 2 + 1;
    river->room += options.window;
    CHECK(loomp_stream_open(loomp_current(), &options, &options.to) == 0);
    options.map = river->options.map;
    options.writable = writable;
    options.window = river->options.window;
    river->room += options.window;
    river->options = options;
    CHECK(loomp_stream_open(loomp_current(), &options, &river->stream) == 0);
    push_on(river);
}

static void check_river(const struct river *river, int stages)
{
    CHECK(river->closed == stages);
    CHECK(river->delivered == river->pushed);
    CHECK(river->disordered == 0);
    CHECK(river->too_many == 0);
    CHECK(river->inside == 0);
    CHECK(river->wrong == 0);
    if (river->abort_at) {
        CHECK(river->status == -ECANCELED);
    } else {
        CHECK(river->status == 0);
        CHECK(river->pushed == river->to_push);
        CHECK(river->cancelled == 0);
        CHECK(river->to_push < 2000 || (river->dropped > 0 && river->failed > 0));
    }
}

/* On two loops, if there are two. */
static loomp_runtime *start(void)
{
    return runtime_with(workers_under_test(), (const char *const[]){"io.threads", "2", NULL});
}

static loomp_loop *loop_for(loomp_runtime *runtime, int i)
{
    return loomp_loop_at(runtime, i % loomp_loop_count(runtime));
}

static void run_rivers(long items, uint32_t longest_us, long abort_at)
{
    uint64_t random = 88172645463325252u + longest_us;
    loomp_runtime *runtime = start();
    for (int i = 0; i < STREAMS; i++) {
        prepare(&rivers[i], items, longest_us, &random);
        rivers[i].abort_at = abort_at ? (long)(next_random(&random) % (uint64_t)abort_at) + 1 : 0;
        CHECK(loomp_post(loop_for(runtime, i), i < CHAINED ? open_chain : open_river, &rivers[i]) ==
              0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < STREAMS; i++) {
        check_river(&rivers[i], i < CHAINED ? 3 : 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(cheap_items_are_delivered_once_in_order_and_never_beyond_the_window)
{
    run_rivers(items_in_all(100000), 0, 0);
}

TEST(items_of_1_us_to_10_ms_are_delivered_once_in_order_and_never_beyond_the_window)
{
    run_rivers(items_in_all(600), 8192, 0);
}

TEST(streams_that_are_aborted_at_any_moment_deliver_what_they_took_and_end)
{
    for (int round = 0; round < 20; round++) {
        run_rivers(items_in_all(2000), round % 2 ? 64 : 0, 2000);
    }
}

/* ---- a slow consumer ------------------------------------------------------------------------------- */

static struct {
    loomp_stream *first;
    long pushed, delivered, to_push;
    long most_between;
    size_t most_bytes, bytes_early;
} slow;

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void push_slowly(loomp_stream *stream, void *arg)
{
    (void)arg;
    while (slow.pushed < slow.to_push && loomp_stream_push(stream, NULL) == 0) {
        slow.pushed++;
        long between = slow.pushed - slow.delivered;
        slow.most_between = between > slow.most_between ? between : slow.most_between;
    }
    if (slow.pushed == slow.to_push) {
        loomp_stream_close(stream);
    }
}

static void deliver_slowly(void *item, int status, void *arg)
{
    (void)item;
    (void)arg;
    CHECK(status == 0);
    slow.delivered++;
    if (slow.delivered % (slow.to_push / 10) == 0) {
        size_t bytes = bytes_in_use();
        slow.bytes_early = slow.bytes_early ? slow.bytes_early : bytes;
        slow.most_bytes = bytes > slow.most_bytes ? bytes : slow.most_bytes;
    }
}

/* Slower than the first stage, which does nothing. */
static int take_a_while(void **item, void *arg)
{
    (void)item;
    (void)arg;
    for (volatile int i = 0; i < 200; i++) {
    }
    return 0;
}

static void open_slow(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    loomp_stream_options options;
    loomp_stream_options_init(&options);
    options.map = take_a_while;
    options.deliver = deliver_slowly;
    options.window = 2;
    CHECK(loomp_stream_open(loomp_current(), &options, &options.to) == 0);
    options.map = NULL;
    options.window = 64;
    options.writable = push_slowly;
    CHECK(loomp_stream_open(loomp_current(), &options, &slow.first) == 0);
    push_slowly(slow.first, NULL);
}

TEST(a_slow_end_of_a_chain_slows_its_beginning_and_memory_does_not_grow)
{
    memset(&slow, 0, sizeof slow);
    slow.to_push = items_in_all(1000000);
    loomp_runtime *runtime = runtime_under_test();
    CHECK(loomp_post(loomp_loop_at(runtime, 0), open_slow, NULL) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(slow.delivered == slow.to_push);
    CHECK(slow.most_between <= 64 + 2);
    CHECK(slow.most_bytes <= slow.bytes_early + (64 << 10));
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
