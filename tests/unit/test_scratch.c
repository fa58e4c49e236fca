/* SPDX-License-Identifier: MIT */
/* Memory that ends with its job: what it is good for, when it ends, and that it is not allocated
 * again and again. */
#define SUITE "scratch"
#include "../fault/faults.h"
#include "recorded_job.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 40000, 65000, 70000, 1 << 20, 3, 40000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

struct user {
    loomp_job job;
    unsigned char *pieces[SIZES];
    unsigned char *in_done;
    _Atomic int dones;
    bool freed_in_done;
};

static void fill(unsigned char *memory, size_t bytes, int seed)
{
    for (size_t i = 0; i < bytes; i++) {
        memory[i] = (unsigned char)(i * 7 + (size_t)seed);
    }
}

static bool is_filled(const unsigned char *memory, size_t bytes, int seed)
{
    for (size_t i = 0; i < bytes; i++) {
        if (memory[i] != (unsigned char)(i * 7 + (size_t)seed)) {
            return false;
        }
    }
    return true;
}

static int use(loomp_job *job)
{
    struct user *user = LOOMP_CONTAINER(job, struct user, job);
    for (int i = 0; i < SIZES; i++) {
        user->pieces[i] = loomp_scratch(job, sizes[i]);
        if (!CHECK(user->pieces[i] != NULL)) {
            return -ENOMEM;
        }
        CHECK((uintptr_t)user->pieces[i] % 64 == 0);
        fill(user->pieces[i], sizes[i], i);
    }
    return 0;
}

static void look(loomp_job *job, int status)
{
    struct user *user = LOOMP_CONTAINER(job, struct user, job);
    CHECK(status == 0);
    user->in_done = loomp_scratch(job, 5000);
    if (CHECK(user->in_done != NULL)) {
        CHECK((uintptr_t)user->in_done % 64 == 0);
        fill(user->in_done, 5000, 77);
    }
    for (int i = 0; i < SIZES; i++) {
        CHECK(is_filled(user->pieces[i], sizes[i], i));
        for (int j = 0; j < i; j++) {
            CHECK(user->pieces[i] != user->pieces[j]);
        }
    }
    user->dones++;
    if (user->freed_in_done) {
        free(user);
    }
}

TEST(pieces_of_all_sizes_are_aligned_and_keep_their_content_until_done_ends)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    enum { USERS = 24 };
    static struct user users[USERS];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < USERS; i++) {
            users[i].dones = 0;
            loomp_job_init(&users[i].job, use, look);
            users[i].job.kind = i % 4 == 3 ? LOOMP_GANG : LOOMP_SERIAL;
            users[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            CHECK((i % 8 == 4 ? loomp_submit_blocking : loomp_submit)(runtime, &users[i].job) ==
                  0);
        }
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        for (int i = 0; i < USERS; i++) {
            CHECK(users[i].dones == 1);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_may_be_freed_in_its_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 10; i++) {
        struct user *user = calloc(1, sizeof *user);
        user->freed_in_done = true;
        loomp_job_init(&user->job, use, look);
        user->job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
        CHECK(loomp_submit(runtime, &user->job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- submitted again ---------------------------------------------------------------------------- */

struct again {
    loomp_job job;
    unsigned char *first, *second;
    struct gate second_works;
    struct gate first_is_done;
    _Atomic int works;
    _Atomic int dones;
};

static int take_one(loomp_job *job)
{
    struct again *again = LOOMP_CONTAINER(job, struct again, job);
    bool first = again->works++ == 0;
    unsigned char *memory = loomp_scratch(job, 3000);
    fill(memory, 3000, first ? 1 : 2);
    if (first) {
        again->first = memory;
    } else {
        again->second = memory;
        gate_pass(&again->second_works);
    }
    return 0;
}

static void submit_again(loomp_job *job, int status)
{
    struct again *again = LOOMP_CONTAINER(job, struct again, job);
    CHECK(status == 0);
    if (again->dones++ == 0) {
        CHECK(loomp_submit(loomp_current(), job) == 0);
        gate_wait_for_arrivals(&again->second_works, 1);
        CHECK(again->first != again->second);
        CHECK(is_filled(again->first, 3000, 1));
        gate_arrive(&again->first_is_done);
    } else {
        CHECK(is_filled(again->second, 3000, 2));
    }
}

TEST(a_job_submitted_again_in_done_begins_with_memory_of_its_own)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct again again = {.works = 0};
    gate_init(&again.second_works);
    gate_init(&again.first_is_done);
    loomp_job_init(&again.job, take_one, submit_again);
    again.job.home = loomp_loop_at(runtime, 0);
    CHECK(loomp_submit(runtime, &again.job) == 0);
    gate_wait_for_arrivals(&again.first_is_done, 1);
    gate_open(&again.second_works);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(again.works == 2 && again.dones == 2);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- jobs within jobs --------------------------------------------------------------------------- */

struct nested {
    loomp_job job;
    int depth;
};

static int nest(loomp_job *job)
{
    struct nested *self = LOOMP_CONTAINER(job, struct nested, job);
    unsigned char *mine = loomp_scratch(job, 2000);
    fill(mine, 2000, self->depth);
    if (self->depth > 0) {
        loomp_group group;
        loomp_group_init(&group, loomp_current());
        struct nested children[2];
        for (int i = 0; i < 2; i++) {
            loomp_job_init(&children[i].job, nest, NULL);
            children[i].job.group = &group;
            children[i].depth = self->depth - 1;
            CHECK(loomp_submit(loomp_current(), &children[i].job) == 0);
        }
        CHECK(loomp_group_wait(&group, -1) == 0);
    }
    unsigned char *more = loomp_scratch(job, 100);
    CHECK(more != NULL && more != mine);
    CHECK(is_filled(mine, 2000, self->depth));
    return 0;
}

TEST(jobs_that_run_inside_a_job_that_waits_have_their_own)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct nested root = {.depth = 5};
    loomp_job_init(&root.job, nest, NULL);
    CHECK(loomp_submit(runtime, &root.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- allocation ----------------------------------------------------------------------------------- */

/* Allocations are counted process-wide, and the thread that follows the CPU quota reads files. */
static loomp_runtime *unwatched_runtime(void)
{
    return runtime_with(1, (const char *const[]){"follow", "false", NULL});
}

static void *last_memory;

static int use_a_little(loomp_job *job)
{
    for (int i = 0; i < 100; i++) {
        last_memory = loomp_scratch(job, 500);
        CHECK(last_memory != NULL);
    }
    return 0;
}

TEST(a_warm_thread_allocates_nothing_wherever_done_runs)
{
    loomp_runtime *runtime = unwatched_runtime();
    if (!runtime) {
        return;
    }
    for (int on_loop = 0; on_loop < 2; on_loop++) {
        struct recorded_job r;
        recorded_init(&r, NULL);
        r.job.work = use_a_little;
        r.job.home = on_loop ? loomp_loop_at(runtime, 0) : NULL;
        for (int i = 0; i < 50; i++) {
            if (i == 2) {
                atomic_store(&fault_hits, 0);
                atomic_store(&fault_countdown[FAULT_MEMORY], 1);
            }
            CHECK(loomp_submit(runtime, &r.job) == 0);
            CHECK(loomp_wait_idle(runtime, -1) == 0);
        }
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        CHECK(atomic_load(&fault_hits) == 0);
        CHECK(r.dones == 50);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int take_without_memory(loomp_job *job)
{
    size_t bytes = *(size_t *)job->data;
    for (long n = 1; n <= 2; n++) {
        atomic_store(&fault_hits, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], n);
        void *memory = loomp_scratch(job, bytes);
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        CHECK((memory == NULL) == (atomic_load(&fault_hits) == 1));
        CHECK(memory != NULL || strstr(loomp_error(), "scratch") != NULL);
    }
    CHECK(loomp_scratch(job, bytes) != NULL);
    CHECK(loomp_scratch(job, SIZE_MAX) == NULL);
    return 0;
}

TEST(without_memory_there_is_none_and_the_next_time_there_is)
{
    loomp_runtime *runtime = unwatched_runtime();
    if (!runtime) {
        return;
    }
    size_t asked[] = {1 << 20, 100, 5000};
    for (int i = 0; i < 3; i++) {
        loomp_job job = LOOMP_JOB_INIT(take_without_memory, NULL);
        job.data = &asked[i];
        CHECK(loomp_submit(runtime, &job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(after_stop_nothing_is_left)
{
    long before[3] = {0};
    for (int life = 0; life < 4; life++) {
        loomp_runtime *runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        struct user users[4];
        memset((void *)users, 0, sizeof users);
        for (int i = 0; i < 4; i++) {
            loomp_job_init(&users[i].job, use, look);
            users[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            CHECK(loomp_submit(runtime, &users[i].job) == 0);
        }
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(loomp_stop(runtime) == 0);
        if (life < 3) {
            before[life] = atomic_load(&live_blocks);
        } else {
            CHECK(atomic_load(&live_blocks) == before[2]);
        }
    }
}

/* ---- where it does not belong ---------------------------------------------------------------------- */

static int ask_for_another(loomp_job *job)
{
    CHECK(loomp_scratch(job->data, 10) == NULL);
    CHECK(strstr(loomp_error(), "loomp_scratch belongs in") != NULL);
    return 0;
}

TEST(outside_of_the_job_it_says_so)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_job idle = LOOMP_JOB_INIT(use_a_little, NULL);
    loomp_job job = LOOMP_JOB_INIT(ask_for_another, NULL);
    job.data = &idle;
    CHECK(loomp_scratch(&idle, 10) == NULL);
    CHECK(loomp_scratch(NULL, 10) == NULL);
    CHECK(strstr(loomp_error(), "loomp_scratch belongs in") != NULL);
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
