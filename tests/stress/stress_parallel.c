/* SPDX-License-Identifier: MIT */
/* Loops, reductions, joins and scratch memory from everywhere at once, every answer checked: plain
 * threads, loops, SERIAL and GANG jobs. LOOMP_TEST_JOBS (default 2 million) sets how many calls. */
#define SUITE "stress parallel"
#include "../unit/gate.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

enum { PLAIN_THREADS = 3, JOBS = 4, INDICES = 600 };

static long rounds(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    long jobs = text ? atol(text) : 2000000;
    return jobs / 2000 < 20 ? 20 : jobs / 2000;
}

/* ---- what is done, and checked ----------------------------------------------------------------------- */

static int mark(int64_t begin, int64_t end, void *arg)
{
    _Atomic int *hits = arg;
    for (int64_t i = begin; i < end; i++) {
        hits[i]++;
    }
    return 0;
}

static void check_loop(loomp_runtime *runtime, long round)
{
    _Atomic int hits[INDICES] = {0};
    int64_t end = INDICES - round % 7;
    CHECK(loomp_for(runtime, 0, end, round % 5, mark, hits) == 0);
    for (int64_t i = 0; i < INDICES; i++) {
        CHECK(hits[i] == (i < end));
    }
}

static int fail_at(int64_t begin, int64_t end, void *arg)
{
    int64_t at = *(int64_t *)arg;
    return begin <= at && at < end ? -EDOM : 0;
}

static void start_sum(void *partial, void *arg)
{
    (void)arg;
    *(int64_t *)partial = 0;
}

static int add(int64_t begin, int64_t end, void *partial, void *arg)
{
    (void)arg;
    for (int64_t i = begin; i < end; i++) {
        *(int64_t *)partial += i;
    }
    return 0;
}

static void combine(void *into, const void *from, void *arg)
{
    (void)arg;
    *(int64_t *)into += *(const int64_t *)from;
}

static void check_sum(loomp_runtime *runtime, long round)
{
    static const struct loomp_reduction sum = {sizeof(int64_t), start_sum, add, combine};
    int64_t result, end = INDICES + round % 100;
    CHECK(loomp_for_reduce(runtime, 0, end, round % 11, &sum, &result, NULL) == 0);
    CHECK(result == end * (end - 1) / 2);
}

struct tree {
    loomp_runtime *runtime;
    int depth;
    long leaves;
};

static int count_leaves(void *arg)
{
    struct tree *tree = arg;
    if (tree->depth == 0) {
        tree->leaves = 1;
        return 0;
    }
    struct tree left = {tree->runtime, tree->depth - 1, 0};
    struct tree right = left;
    int err = loomp_join(tree->runtime, count_leaves, &left, count_leaves, &right);
    tree->leaves = left.leaves + right.leaves;
    return err;
}

static void check_all(loomp_runtime *runtime, long round)
{
    check_loop(runtime, round);
    check_sum(runtime, round);
    int64_t at = round % INDICES;
    CHECK(loomp_for(runtime, 0, INDICES, 1 + round % 3, fail_at, &at) == -EDOM);
    struct tree tree = {runtime, (int)(round % 6), 0};
    CHECK(count_leaves(&tree) == 0);
    CHECK(tree.leaves == 1L << tree.depth);
}

/* ---- by whom ------------------------------------------------------------------------------------------ */

static loomp_runtime *runtime;
static long rounds_each;

static void *be_plain(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds_each; i++) {
        check_all(runtime, i);
    }
    return NULL;
}

struct repeated {
    loomp_job job;
    long left;
    unsigned char *memory;
};

static int be_a_job(loomp_job *job)
{
    struct repeated *repeated = LOOMP_CONTAINER(job, struct repeated, job);
    size_t bytes = (size_t)(repeated->left * 131 % 90000);
    repeated->memory = loomp_scratch(job, bytes + 1);
    memset(repeated->memory, (int)(repeated->left & 255), bytes + 1);
    check_all(runtime, repeated->left);
    CHECK(repeated->memory[bytes] == (repeated->left & 255));
    return 0;
}

static void go_on(loomp_job *job, int status)
{
    struct repeated *repeated = LOOMP_CONTAINER(job, struct repeated, job);
    CHECK(status == 0 && repeated->memory[0] == (repeated->left & 255));
    if (--repeated->left > 0) {
        CHECK(loomp_submit(runtime, job) == 0);
    }
}

struct on_loop {
    _Atomic int hits[INDICES];
    long left;
};

static void start_on_loop(loomp_loop *loop, void *arg);

static void loop_ended(int status, void *arg)
{
    struct on_loop *on_loop = arg;
    CHECK(status == 0);
    for (int i = 0; i < INDICES; i++) {
        CHECK(on_loop->hits[i] == 1);
        on_loop->hits[i] = 0;
    }
    if (--on_loop->left > 0) {
        start_on_loop(loomp_loop_here(), on_loop);
    }
}

static void start_on_loop(loomp_loop *loop, void *arg)
{
    struct on_loop *on_loop = arg;
    CHECK(loomp_for_async(loop, 0, INDICES, on_loop->left % 9, mark, on_loop->hits, loop_ended) ==
          0);
}

TEST(loops_reductions_and_joins_from_everywhere_give_right_answers)
{
    runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    rounds_each = rounds();
    static struct repeated jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        loomp_job_init(&jobs[i].job, be_a_job, go_on);
        jobs[i].job.kind = i == 3 ? LOOMP_GANG : LOOMP_SERIAL;
        jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
        jobs[i].left = i == 3 ? rounds_each / 10 : rounds_each;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    static struct on_loop on_loop;
    on_loop.left = rounds_each;
    CHECK(loomp_post(loomp_loop_at(runtime, 0), start_on_loop, &on_loop) == 0);
    pthread_t threads[PLAIN_THREADS];
    for (int i = 0; i < PLAIN_THREADS; i++) {
        pthread_create(&threads[i], NULL, be_plain, NULL);
    }
    for (int i = 0; i < PLAIN_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < JOBS; i++) {
        CHECK(jobs[i].left == 0);
    }
    CHECK(on_loop.left == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static void *be_stopped(void *arg)
{
    (void)arg;
    for (;;) {
        _Atomic int hits[INDICES] = {0};
        int err = loomp_for(runtime, 0, INDICES, 1, mark, hits);
        CHECK(err == 0 || err == -ESHUTDOWN || err == -ECANCELED);
        for (int i = 0; i < INDICES; i++) {
            CHECK(err ? hits[i] <= 1 : hits[i] == 1);
        }
        if (err == -ESHUTDOWN) {
            return NULL;
        }
    }
}

TEST(a_stop_in_the_middle_leaves_no_loop_half_done_without_saying_so)
{
    long lives = rounds() / 20;
    for (long life = 0; life < lives; life++) {
        runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        pthread_t threads[PLAIN_THREADS];
        for (int i = 0; i < PLAIN_THREADS; i++) {
            pthread_create(&threads[i], NULL, be_stopped, NULL);
        }
        CHECK((life % 2 ? loomp_stop_now : loomp_stop)(runtime) == 0);
        for (int i = 0; i < PLAIN_THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
    }
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
