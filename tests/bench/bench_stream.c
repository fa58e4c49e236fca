/* SPDX-License-Identifier: MIT */
/* What an item costs on its way through a stream: ten million trivial ones, pushed as there is room in
 * a window of 64 and delivered in order; in batches of 64; through a site, which runs them inline when
 * it has learnt how short they are; beside plain jobs of the same number, 64 at once. Allocations are
 * counted once a tenth of the items is through. BENCH_ITEMS: another number of items. */
#include "bench.h"

#include <loomp/site.h>

enum { WINDOW = 64, BATCH = 64, ROUNDS = 3 };

/* ---- counting allocations: of the whole process, libraries included ------------------------------- */

static _Atomic long allocations;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);

void *malloc(size_t bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(count, bytes);
}

/* ---- one run --------------------------------------------------------------------------------------- */

struct run {
    loomp_stream_options options;
    loomp_stream *stream;
    uintptr_t to_push, pushed, last, disordered;
    uintptr_t warm;  /* that many are through before allocations count */
    long before;     /* allocations until then */
};

struct batch {
    uintptr_t items[BATCH];
};

static int map_item(void **item, void *arg)
{
    (void)arg;
    *item = (void *)((uintptr_t)*item ^ 1);
    return 0;
}

static int map_batch(void **item, void *arg)
{
    (void)arg;
    struct batch *batch = *item;
    for (int i = 0; i < BATCH; i++) {
        batch->items[i] ^= 1;
    }
    return 0;
}

static void note(struct run *run, uintptr_t number)
{
    run->disordered += number != run->last + 1;
    run->last = number;
    if (number == run->warm) {
        run->before = atomic_load(&allocations);
    }
}

static void deliver_item(void *item, int status, void *arg)
{
    (void)status;
    note(arg, (uintptr_t)item ^ 1);
}

static struct batch batches[2 * WINDOW];

static void deliver_batch(void *item, int status, void *arg)
{
    (void)status;
    struct batch *batch = item;
    for (int i = 0; i < BATCH; i++) {
        note(arg, batch->items[i] ^ 1);
    }
}

static void push_items(loomp_stream *stream, void *arg)
{
    struct run *run = arg;
    while (run->pushed < run->to_push &&
           loomp_stream_push(stream, (void *)(run->pushed + 1)) == 0) {
        run->pushed++;
    }
    if (run->pushed == run->to_push) {
        loomp_stream_close(stream);
    }
}

static void push_batches(loomp_stream *stream, void *arg)
{
    struct run *run = arg;
    while (run->pushed < run->to_push) {
        struct batch *batch = &batches[run->pushed / BATCH % (2 * WINDOW)];
        if (loomp_stream_is_full(stream)) {
            loomp_stream_push(stream, NULL); /* to be told when it is not */
            return;
        }
        for (uintptr_t i = 0; i < BATCH; i++) {
            batch->items[i] = run->pushed + i + 1;
        }
        if (loomp_stream_push(stream, batch)) {
            return;
        }
        run->pushed += BATCH;
    }
    loomp_stream_close(stream);
}

static void begin(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct run *run = arg;
    if (loomp_stream_open(loomp_current(), &run->options, &run->stream)) {
        fprintf(stderr, "%s\n", loomp_error());
        exit(1);
    }
    run->options.writable(run->stream, run);
}

/* ---- jobs beside it -------------------------------------------------------------------------------- */

struct run_job {
    loomp_job job;
    uintptr_t item;
    struct run *run;
};

static struct run_job jobs[WINDOW];

static int work(loomp_job *job)
{
    LOOMP_CONTAINER(job, struct run_job, job)->item ^= 1;
    return 0;
}

static void done(loomp_job *job, int status)
{
    (void)status;
    struct run_job *own = LOOMP_CONTAINER(job, struct run_job, job);
    struct run *run = own->run;
    if (++run->last == run->warm) {
        run->before = atomic_load(&allocations);
    }
    if (run->pushed < run->to_push) {
        own->item = ++run->pushed;
        loomp_submit(loomp_current(), job);
    }
}

static void begin_jobs(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct run *run = arg;
    for (int i = 0; i < WINDOW; i++) {
        loomp_job_init(&jobs[i].job, work, done);
        jobs[i].run = run;
        jobs[i].item = ++run->pushed;
        loomp_submit(loomp_current(), &jobs[i].job);
    }
}

/* ---- the table ------------------------------------------------------------------------------------- */

static void measure(loomp_runtime *runtime, const char *name, struct run *run,
                    void (*first)(loomp_loop *loop, void *arg))
{
    double start_us = bench_now_us(), cpu_us = bench_cpu_us();
    loomp_post(loomp_loop_at(runtime, 0), first, run);
    loomp_wait_idle(runtime, -1);
    double count = (double)run->to_push;
    long allocated = atomic_load(&allocations) - run->before;
    printf("%-28s %10.0f %10.1f %12.1f %12ld %8s\n", name, count,
           (bench_now_us() - start_us) * 1e3 / count, (bench_cpu_us() - cpu_us) * 1e3 / count,
           allocated, run->last == run->to_push && run->disordered == 0 ? "kept" : "LOST");
}

static struct run new_run(uintptr_t items)
{
    struct run run = {.to_push = items, .warm = items / 10};
    loomp_stream_options_init(&run.options);
    run.options.map = map_item;
    run.options.deliver = deliver_item;
    run.options.writable = push_items;
    run.options.window = WINDOW;
    return run;
}

int main(void)
{
    static loomp_site site = LOOMP_SITE("item", LOOMP_HINT_LOW);
    const char *text = getenv("BENCH_ITEMS");
    uintptr_t items = text ? (uintptr_t)atol(text) / BATCH * BATCH : 10000000 / BATCH * BATCH;
    loomp_runtime *runtime = bench_start((const char *const[]){"follow", "false", NULL});
    printf("%-28s %10s %10s %12s %12s %8s\n", "", "items", "ns/item", "CPU ns/item", "allocations",
           "order");
    for (int round = 0; round < ROUNDS; round++) {
        struct run run = new_run(items);
        run.options.arg = &run;
        measure(runtime, "stream", &run, begin);

        struct run batched = new_run(items);
        batched.options.map = map_batch;
        batched.options.deliver = deliver_batch;
        batched.options.writable = push_batches;
        batched.options.arg = &batched;
        measure(runtime, "stream, batches of 64", &batched, begin);

        struct run sited = new_run(items);
        sited.options.site = &site;
        sited.options.arg = &sited;
        measure(runtime, "stream with a site", &sited, begin);

        struct run plain = new_run(items);
        measure(runtime, "loomp_submit, 64 at once", &plain, begin_jobs);
    }
    loomp_stop(runtime);
    return 0;
}
