/* SPDX-License-Identifier: MIT */
/* Many pipes and one file, read and written by several threads' jobs at once, with operations cancelled,
 * late and in cancelled groups at random: each ends exactly once, and no byte is lost or read twice.
 * LOOMP_TEST_JOBS is how many operations there are (default 60000; the sanitizers take fewer). */
#define SUITE "I/O stress"
#include "../unit/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 3, PIPES = 16, SLOTS = 48, BYTES = 3000 };

enum what { READ, READ_ALL, WRITE, READY, SLEEP, FILE_WRITE, WHATS };

struct slot {
    loomp_job job;
    pthread_mutex_t lock; /* guards under_way: who cancels knows that done has not run */
    bool under_way;
    int ends;
    int status;
    enum what what;
    char bytes[BYTES];
};

static loomp_runtime *runtime;
static int pipes[PIPES][2];
static int file;
static _Atomic uint64_t sent, received, ended, doubled;

static void on_done(loomp_job *job, int status)
{
    struct slot *slot = LOOMP_CONTAINER(job, struct slot, job);
    if (status > 0) {
        atomic_fetch_add(slot->what == WRITE                               ? &sent
                         : slot->what == READ || slot->what == READ_ALL ? &received
                                                                           : &ended,
                         (uint64_t)status);
    }
    pthread_mutex_lock(&slot->lock);
    slot->status = status;
    if (!slot->under_way || ++slot->ends != 1) {
        atomic_fetch_add(&doubled, 1);
    }
    slot->under_way = false;
    pthread_mutex_unlock(&slot->lock);
}

static long operations(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return (text ? atol(text) : 60000) / THREADS;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int submit(struct slot *slot, unsigned *random)
{
    int *fds = pipes[next_random(random) % PIPES];
    size_t bytes = 1 + next_random(random) % BYTES;
    loomp_job *job = &slot->job;
    switch (slot->what) {
    case READ:
        return loomp_io_read(runtime, job, fds[0], slot->bytes, bytes, LOOMP_IO_HERE);
    case READ_ALL:
        return loomp_io_read_all(runtime, job, fds[0], slot->bytes, bytes, LOOMP_IO_HERE);
    case WRITE:
        return loomp_io_write(runtime, job, fds[1], slot->bytes, bytes, LOOMP_IO_HERE);
    case READY:
        return loomp_io_ready(runtime, job, fds[next_random(random) % 2],
                              LOOMP_IO_READABLE | LOOMP_IO_WRITABLE);
    case FILE_WRITE:
        return loomp_io_write(runtime, job, file, slot->bytes, bytes, next_random(random) % 65536);
    default:
        return loomp_io_sleep(runtime, job, next_random(random) % 100 / 1e5);
    }
}

static void refill(struct slot *slot, loomp_group *group, loomp_loop *loop, unsigned *random)
{
    loomp_job_init(&slot->job, NULL, on_done);
    slot->what = (enum what)(next_random(random) % WHATS);
    slot->job.home = next_random(random) % 4 ? loop : NULL;
    slot->job.group = next_random(random) % 4 ? NULL : group;
    slot->job.deadline_s = next_random(random) % 4 ? 0 : next_random(random) % 500 / 1e6;
    slot->under_way = true;
    slot->ends = 0;
    int err = submit(slot, random);
    if (!CHECK(err == 0)) {
        slot->under_way = false;
    }
}

static void *run(void *arg)
{
    unsigned random = (unsigned)(uintptr_t)arg * 7919;
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    struct slot *slots = calloc(SLOTS, sizeof *slots);
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int i = 0; i < SLOTS; i++) {
        pthread_mutex_init(&slots[i].lock, NULL);
    }
    for (long left = operations(); left > 0;) {
        struct slot *slot = &slots[next_random(&random) % SLOTS];
        pthread_mutex_lock(&slot->lock);
        bool under_way = slot->under_way;
        if (under_way && next_random(&random) % 4 == 0) {
            loomp_cancel(&slot->job);
        }
        pthread_mutex_unlock(&slot->lock);
        if (under_way) {
            sched_yield(); /* they are to move something, too */
            continue;
        }
        refill(slot, &group, loop, &random);
        left--;
        if (next_random(&random) % 256 == 0) {
            loomp_group_cancel(&group);
        }
    }
    loomp_group_cancel(&group);
    for (int i = 0; i < SLOTS; i++) {
        pthread_mutex_lock(&slots[i].lock);
        if (slots[i].under_way) {
            loomp_cancel(&slots[i].job);
        }
        pthread_mutex_unlock(&slots[i].lock);
    }
    loomp_group_wait(&group, -1);
    return slots;
}

TEST(every_operation_ends_once_and_every_byte_arrives_once)
{
    runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    FILE *temporary = tmpfile();
    file = fileno(temporary);
    for (int i = 0; i < PIPES; i++) {
        CHECK(pipe2(pipes[i], i % 2 ? O_NONBLOCK : 0) == 0);
    }
    pthread_t threads[THREADS];
    void *slots[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, run, (void *)(i + 1));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &slots[i]);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < THREADS; i++) {
        for (int k = 0; k < SLOTS; k++) {
            struct slot *slot = &((struct slot *)slots[i])[k];
            CHECK(!slot->under_way);
            CHECK(slot->status >= 0 || slot->status == -ECANCELED || slot->status == -ETIMEDOUT);
        }
        free(slots[i]);
    }
    uint64_t left = 0;
    for (int i = 0; i < PIPES; i++) {
        char bytes[4096];
        ssize_t count;
        close(pipes[i][1]);
        while ((count = read(pipes[i][0], bytes, sizeof bytes)) > 0) {
            left += (uint64_t)count;
        }
        close(pipes[i][0]);
    }
    CHECK(atomic_load(&doubled) == 0);
    CHECK(atomic_load(&received) > 0);
    CHECK(atomic_load(&sent) == atomic_load(&received) + left);
    CHECK(loomp_stop(runtime) == 0);
    fclose(temporary);
}

/* The end of a runtime comes when operations begin, wait and end. */
TEST(stop_now_in_the_middle_of_it_loses_none)
{
    enum { JOBS = 200, TIMES = 20 };
    static struct slot slots[JOBS];
    for (int time = 0; time < TIMES; time++) {
        runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        unsigned random = (unsigned)time + 1;
        loomp_loop *loop = loomp_loop_at(runtime, 0);
        FILE *temporary = tmpfile();
        file = fileno(temporary);
        for (int i = 0; i < PIPES; i++) {
            CHECK(pipe(pipes[i]) == 0);
        }
        for (int i = 0; i < JOBS; i++) {
            pthread_mutex_init(&slots[i].lock, NULL);
            refill(&slots[i], NULL, loop, &random);
        }
        CHECK(loomp_stop_now(runtime) == 0);
        for (int i = 0; i < JOBS; i++) {
            CHECK(!slots[i].under_way && slots[i].ends == 1);
        }
        for (int i = 0; i < PIPES; i++) {
            close(pipes[i][0]);
            close(pipes[i][1]);
        }
        fclose(temporary);
    }
    CHECK(atomic_load(&doubled) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
