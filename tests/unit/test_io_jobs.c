/* SPDX-License-Identifier: MIT */
/* I/O as jobs: groups, cancellation, deadlines, homes, and the end of the runtime. */
#define SUITE "I/O jobs"
#include "io_job.h"

#include <ev.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

static loomp_runtime *runtime;
static loomp_loop *loop;

static bool begin_with(const char *const *settings)
{
    runtime = runtime_with(workers_under_test(), settings);
    loop = runtime ? loomp_loop_at(runtime, 0) : NULL;
    return loop;
}

static bool begin(void)
{
    return begin_with(NULL);
}

static void end(void)
{
    CHECK(loomp_stop(runtime) == 0);
}

static char sink[64];

/* A read that waits until something is written. */
static void start_read(struct io_job *io, int fd)
{
    CHECK(loomp_io_read(runtime, &io->job, fd, sink, sizeof sink, LOOMP_IO_HERE) == 0);
}

static bool open_pipe(int fds[2])
{
    return CHECK(pipe(fds) == 0);
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* ---- groups -------------------------------------------------------------------------------------- */

TEST(a_group_counts_operations_and_takes_their_errors_alone)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct io_job io[3];
    int file = temporary_file();
    for (int i = 0; i < 3; i++) {
        io_init(&io[i], loop)->job.group = &group;
    }
    start_read(&io[0], fds[0]);
    CHECK(loomp_io_write(runtime, &io[1].job, file, "0123", 4, 0) == 0);
    CHECK(loomp_group_wait(&group, 0) == -ETIMEDOUT);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(loomp_group_wait(&group, -1) == 0); /* bytes are no error */
    CHECK(io[0].status == 1 && io[1].status == 4);
    CHECK(loomp_io_read(runtime, &io[2].job, -1, sink, 1, LOOMP_IO_HERE) == 0);
    CHECK(loomp_group_wait(&group, -1) == -EBADF);
    close_both(fds);
    close(file);
    end();
}

TEST(a_job_starts_behind_the_operations_of_a_group)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct io_job io;
    struct recorded_job after;
    struct gate gate = GATE_INIT;
    gate_open(&gate);
    io_init(&io, loop)->job.group = &group;
    start_read(&io, fds[0]);
    recorded_init(&after, &gate);
    CHECK(loomp_group_then(&group, &after.job) == 0);
    loop_catches_up(loop);
    CHECK(atomic_load(&after.works) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(io.status == 1);
    close_both(fds);
    end();
}

static void submit_next(struct io_job *io)
{
    struct io_job *next = io->job.data;
    CHECK(loomp_io_write(runtime, &next->job, (int)(intptr_t)next->job.data, "next", 4,
                         LOOMP_IO_HERE) == 0);
}

TEST(an_operation_starts_behind_another_in_its_done)
{
    int fds[2], out[2];
    if (!begin() || !open_pipe(fds) || !open_pipe(out)) {
        return;
    }
    struct io_job io, next;
    char buffer[8] = "";
    io_init(&next, loop)->job.data = (void *)(intptr_t)out[1];
    io_init(&io, loop)->job.data = &next;
    io.then = submit_next;
    start_read(&io, fds[0]);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&next) == 4);
    CHECK(read(out[0], buffer, 8) == 4);
    CHECK_TEXT(buffer, "next");
    close_both(fds);
    close_both(out);
    end();
}

static void read_again(struct io_job *io)
{
    if (io->status == 1 && ++*(int *)io->job.data < 100) {
        start_read(io, io->loop ? *((int *)io->job.data + 1) : -1);
    }
}

TEST(an_operation_can_be_submitted_again_in_its_done)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    int words[2] = {0, fds[0]};
    io_init(&io, loop)->job.data = words;
    io.then = read_again;
    start_read(&io, fds[0]);
    for (int i = 1; i <= 100; i++) {
        CHECK(write(fds[1], "x", 1) == 1);
        gate_wait_for_arrivals(&io.ended, i);
    }
    CHECK(words[0] == 100);
    close_both(fds);
    end();
}

TEST(cancelling_a_group_ends_its_operations_and_no_others)
{
    int fds[2], out[2];
    if (!begin() || !open_pipe(fds) || !open_pipe(out)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct io_job in_group[4], other;
    for (int i = 0; i < 4; i++) {
        io_init(&in_group[i], i % 2 ? loop : NULL)->job.group = &group;
    }
    start_read(&in_group[0], fds[0]);
    start_read(&in_group[1], fds[0]);
    CHECK(loomp_io_sleep(runtime, &in_group[2].job, 1e6) == 0);
    CHECK(loomp_io_ready(runtime, &in_group[3].job, fds[0], LOOMP_IO_READABLE) == 0);
    start_read(io_init(&other, loop), fds[0]);
    loop_catches_up(loop);
    loomp_group_cancel(&group);
    CHECK(loomp_group_wait(&group, -1) == -ECANCELED);
    for (int i = 0; i < 4; i++) {
        CHECK(in_group[i].status == -ECANCELED);
    }
    CHECK(!io_has_ended(&other));
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&other) == 1);
    close_both(fds);
    close_both(out);
    end();
}

TEST(what_joins_a_cancelled_group_does_not_wait)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct recorded_job holder;
    struct gate gate = GATE_INIT;
    struct io_job io;
    recorded_init(&holder, &gate);
    holder.job.group = &group;
    CHECK(loomp_submit(runtime, &holder.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    loomp_group_cancel(&group);
    io_init(&io, loop)->job.group = &group;
    start_read(&io, fds[0]);
    CHECK(io_wait(&io) == -ECANCELED);
    gate_open(&gate);
    CHECK(loomp_group_wait(&group, -1) == -ECANCELED);
    close_both(fds);
    end();
}

TEST(an_error_ends_the_operations_of_a_group_that_wants_that)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    group.flags = LOOMP_GROUP_CANCEL_ON_ERROR;
    struct io_job waiting, failing;
    io_init(&waiting, loop)->job.group = &group;
    io_init(&failing, loop)->job.group = &group;
    start_read(&waiting, fds[0]);
    loop_catches_up(loop);
    CHECK(loomp_io_read(runtime, &failing.job, -1, sink, 1, LOOMP_IO_HERE) == 0);
    CHECK(loomp_group_wait(&group, -1) == -EBADF);
    CHECK(waiting.status == -ECANCELED);
    close_both(fds);
    end();
}

/* ---- cancelling ---------------------------------------------------------------------------------- */

TEST(an_operation_that_waits_is_cancelled)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    char byte = 0;
    start_read(io_init(&io, loop), fds[0]);
    loop_catches_up(loop);
    CHECK(loomp_cancel(&io.job) == -EINPROGRESS);
    CHECK(io_wait(&io) == -ECANCELED);
    CHECK(loomp_cancel(&io.job) == -EALREADY);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(read(fds[0], &byte, 1) == 1); /* it has taken nothing */
    CHECK(loomp_io_sleep(runtime, &io_init(&io, loop)->job, 1e6) == 0);
    CHECK(loomp_cancel(&io.job) == -EINPROGRESS);
    CHECK(io_wait(&io) == -ECANCELED);
    close_both(fds);
    end();
}

enum { ROUNDS = 20000, TRIES = 20000 };

/* Guards against done: who holds it knows that done has not run. */
static pthread_mutex_t done_waits = PTHREAD_MUTEX_INITIALIZER;
static struct io_job cancelled;
static _Atomic int wanted_round; /* set by the canceller, which holds the lock and tries from now on */
static _Atomic int ended_round;  /* set by the submitter */
static _Atomic int cancel_said;  /* by loomp_cancel, of the round that has ended */

static void wait_for_lock(struct io_job *io)
{
    (void)io;
    pthread_mutex_lock(&done_waits);
    pthread_mutex_unlock(&done_waits);
}

static void *cancel_at_once(void *arg)
{
    (void)arg;
    for (int round = 1; round <= ROUNDS; round++) {
        pthread_mutex_lock(&done_waits);
        atomic_store(&wanted_round, round);
        int err = -EALREADY; /* not under way: that is, not yet */
        for (int i = 0; i < TRIES && err == -EALREADY; i++) {
            err = loomp_cancel(&cancelled.job);
        }
        atomic_store(&cancel_said, err);
        pthread_mutex_unlock(&done_waits);
        while (atomic_load(&ended_round) < round) {
            sched_yield();
        }
    }
    return NULL;
}

static void cancel_while_submitted(int fd, const int *writes_to)
{
    static char bytes[8];
    pthread_t thread;
    atomic_store(&wanted_round, 0);
    atomic_store(&ended_round, 0);
    io_init(&cancelled, loop)->then = wait_for_lock;
    CHECK(pthread_create(&thread, NULL, cancel_at_once, NULL) == 0);
    for (int round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&wanted_round) < round) {
            sched_yield();
        }
        gate_init(&cancelled.ended);
        CHECK(loomp_io_read(runtime, &cancelled.job, fd, bytes, 1, LOOMP_IO_HERE) == 0);
        pthread_mutex_lock(&done_waits); /* the canceller has its answer */
        int err = atomic_load(&cancel_said);
        pthread_mutex_unlock(&done_waits);
        if (err == -EALREADY) { /* it has given up too early: the round shows nothing */
            CHECK(write(*writes_to, "x", 1) == 1);
        }
        int status = io_wait(&cancelled); /* for ever if the wish is lost */
        CHECK(status == (err == -EALREADY ? 1 : -ECANCELED));
        atomic_store(&ended_round, round);
    }
    pthread_join(thread, NULL);
}

TEST(an_operation_can_be_cancelled_while_it_is_being_submitted)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    cancel_while_submitted(fds[0], &fds[1]);
    close_both(fds);
    end();
}

static void cancel_from_loop(loomp_loop *here, void *arg)
{
    (void)here;
    struct io_job *io = arg;
    /* It has not begun, since this loop has not come to it. */
    start_read(io, (int)(intptr_t)io->job.data);
    CHECK(loomp_cancel(&io->job) == -EINPROGRESS);
    CHECK(loomp_cancel(&io->job) == -EINPROGRESS);
    CHECK(!io_has_ended(io));
}

TEST(an_operation_that_has_not_begun_is_cancelled_though_it_could_succeed)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    char byte = 0;
    CHECK(write(fds[1], "x", 1) == 1);
    io_init(&io, loop)->job.data = (void *)(intptr_t)fds[0];
    on_loop(loop, cancel_from_loop, &io);
    CHECK(io_wait(&io) == -ECANCELED);
    CHECK(read(fds[0], &byte, 1) == 1);
    close_both(fds);
    end();
}

TEST(what_has_moved_bytes_ends_with_them_when_it_is_cancelled)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    char buffer[16] = "";
    CHECK(write(fds[1], "abc", 3) == 3);
    CHECK(loomp_io_read_all(runtime, &io_init(&io, loop)->job, fds[0], buffer, 16,
                            LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(!io_has_ended(&io));
    CHECK(loomp_cancel(&io.job) == -EINPROGRESS);
    CHECK(io_wait(&io) == 3);
    CHECK_TEXT(buffer, "abc");
    close_both(fds);
    end();
}

TEST(cancelling_one_operation_leaves_the_order_of_the_others)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io[3];
    char bytes[4] = "";
    _Atomic int count = 0;
    for (int i = 0; i < 3; i++) {
        io_init(&io[i], loop)->count = &count;
        CHECK(loomp_io_read(runtime, &io[i].job, fds[0], &bytes[i], 1, LOOMP_IO_HERE) == 0);
    }
    loop_catches_up(loop);
    loomp_cancel(&io[0].job);
    CHECK(io_wait(&io[0]) == -ECANCELED);
    CHECK(write(fds[1], "yz", 2) == 2);
    CHECK(io_wait(&io[1]) == 1 && io_wait(&io[2]) == 1);
    CHECK(io[1].order == 1 && io[2].order == 2);
    CHECK(bytes[1] == 'y' && bytes[2] == 'z');
    close_both(fds);
    end();
}

static void hold_loop(loomp_loop *here, void *arg)
{
    (void)here;
    gate_pass(arg);
}

/* The loop comes to the second in the same turn in which the first could go on. */
TEST(a_later_operation_takes_nothing_from_one_that_waits)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io[2];
    struct gate gate = GATE_INIT;
    _Atomic int count = 0;
    for (int i = 0; i < 2; i++) {
        io_init(&io[i], loop)->count = &count;
    }
    start_read(&io[0], fds[0]);
    loop_catches_up(loop);
    CHECK(loomp_post(loop, hold_loop, &gate) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(write(fds[1], "x", 1) == 1);
    start_read(&io[1], fds[0]);
    gate_open(&gate);
    CHECK(io_wait(&io[0]) == 1);
    CHECK(write(fds[1], "y", 1) == 1);
    CHECK(io_wait(&io[1]) == 1);
    CHECK(io[0].order == 0 && io[1].order == 1);
    close_both(fds);
    end();
}

/* The pool's only thread is held, so that the write of a file stays in its queue. */
TEST(an_operation_on_a_file_is_withdrawn_while_it_is_queued)
{
    const char *const settings[] = {"blocking.threads", "1", NULL};
    if (!begin_with(settings)) {
        return;
    }
    struct recorded_job holder;
    struct gate gate = GATE_INIT;
    struct io_job io, late, grouped;
    loomp_group group;
    loomp_group_init(&group, runtime);
    int file = temporary_file();
    recorded_init(&holder, &gate);
    CHECK(loomp_submit_blocking(runtime, &holder.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, file, "x", 1, 0) == 0);
    CHECK(loomp_job_state(&io.job) == LOOMP_JOB_QUEUED);
    CHECK(loomp_cancel(&io.job) == 0);
    CHECK(io_wait(&io) == -ECANCELED);
    io_init(&late, loop)->job.deadline_s = 0.01;
    CHECK(loomp_io_write(runtime, &late.job, file, "x", 1, 0) == 0);
    CHECK(io_wait(&late) == -ETIMEDOUT);
    io_init(&grouped, loop)->job.group = &group;
    CHECK(loomp_io_write(runtime, &grouped.job, file, "x", 1, 0) == 0);
    loomp_group_cancel(&group);
    CHECK(io_wait(&grouped) == -ECANCELED);
    CHECK(lseek(file, 0, SEEK_END) == 0);
    gate_open(&gate);
    close(file);
    end();
}

TEST(a_full_queue_of_the_pool_refuses_no_operation)
{
    enum { WRITES = 40 };
    const char *const settings[] = {"blocking.threads", "1", "queue_limit", "8", NULL};
    if (!begin_with(settings)) {
        return;
    }
    struct recorded_job holder;
    struct gate gate = GATE_INIT;
    struct io_job io[WRITES];
    int file = temporary_file();
    recorded_init(&holder, &gate);
    CHECK(loomp_submit_blocking(runtime, &holder.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    for (int i = 0; i < WRITES; i++) {
        CHECK(loomp_io_write(runtime, &io_init(&io[i], loop)->job, file, "x", 1, i) == 0);
    }
    CHECK(loomp_cancel(&io[WRITES - 1].job) == -EINPROGRESS);
    gate_open(&gate);
    for (int i = 0; i < WRITES - 1; i++) {
        CHECK(io_wait(&io[i]) == 1);
    }
    CHECK(io_wait(&io[WRITES - 1]) == -ECANCELED);
    CHECK(lseek(file, 0, SEEK_END) == WRITES - 1);
    close(file);
    end();
}

TEST(a_short_read_of_what_is_cached_needs_no_thread)
{
    const char *const settings[] = {"blocking.threads", "1", NULL};
    if (!begin_with(settings)) {
        return;
    }
    struct recorded_job holder;
    struct gate gate = GATE_INIT;
    struct io_job io, late;
    char buffer[16] = "";
    int file = open("test_io_jobs.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
    unlink("test_io_jobs.tmp");
    CHECK(write(file, "0123456789", 10) == 10);
    struct iovec part = {buffer, 4};
    bool kernel_can = preadv2(file, &part, 1, 0, RWF_NOWAIT) == 4;
    recorded_init(&holder, &gate);
    CHECK(loomp_submit_blocking(runtime, &holder.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    if (kernel_can) {
        CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, file, buffer, 4, 3) == 0);
        CHECK(io_wait(&io) == 4);
        CHECK_TEXT(buffer, "3456");
        io_init(&late, loop)->job.deadline_s = 1e6;
        CHECK(loomp_io_read_all(runtime, &late.job, file, buffer, 4, 10) == 0);
        CHECK(io_wait(&late) == 0); /* the end */
    }
    CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, file, buffer, 16, 6) == 0);
    loop_catches_up(loop);
    CHECK(!io_has_ended(&io)); /* it cannot be told whether this is the end */
    gate_open(&gate);
    CHECK(io_wait(&io) == 4);
    close(file);
    end();
}

/* ---- deadlines ----------------------------------------------------------------------------------- */

TEST(a_deadline_ends_an_operation_that_has_begun)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io, some;
    char buffer[8];
    io_init(&io, loop)->job.deadline_s = 0.02;
    start_read(&io, fds[0]);
    CHECK(io_wait(&io) == -ETIMEDOUT);
    io_init(&io, loop)->job.deadline_s = 0.02;
    CHECK(loomp_io_sleep(runtime, &io.job, 1e6) == 0);
    CHECK(io_wait(&io) == -ETIMEDOUT);
    CHECK(write(fds[1], "ab", 2) == 2);
    io_init(&some, NULL)->job.deadline_s = 0.02;
    CHECK(loomp_io_read_all(runtime, &some.job, fds[0], buffer, 8, LOOMP_IO_HERE) == 0);
    CHECK(io_wait(&some) == 2);
    close_both(fds);
    end();
}

TEST(a_deadline_that_is_kept_changes_nothing)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    io_init(&io, loop)->job.deadline_s = 1e6;
    start_read(&io, fds[0]);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == 1);
    close_both(fds);
    end();
}

static void take_a_while(loomp_loop *here, void *arg)
{
    (void)here;
    (void)arg;
    struct timespec t, from;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        clock_gettime(CLOCK_MONOTONIC, &t);
    } while ((t.tv_sec - from.tv_sec) * 1000000000 + t.tv_nsec - from.tv_nsec < 500000);
}

/* Several turns of the loop are full before it comes to the operation, whose alarm rings in between. */
static void submit_late(loomp_loop *here, void *arg)
{
    struct io_job *io = arg;
    for (int i = 0; i < 20; i++) {
        CHECK(loomp_post(here, take_a_while, NULL) == 0);
    }
    start_read(io, (int)(intptr_t)io->job.data);
}

TEST(a_deadline_that_is_over_before_the_loop_comes_to_it_ends_exactly_once)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    io_init(&io, loop)->job.deadline_s = 0.001;
    io.job.data = (void *)(intptr_t)fds[0];
    on_loop(loop, submit_late, &io);
    CHECK(io_wait(&io) == -ETIMEDOUT);
    close_both(fds);
    end();
}

/* ---- homes --------------------------------------------------------------------------------------- */

TEST(without_a_home_done_runs_on_the_team)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io, on_file;
    int file = temporary_file();
    start_read(io_init(&io, NULL), fds[0]);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == 1);
    CHECK(io.loop == NULL);
    CHECK(loomp_io_write(runtime, &io_init(&on_file, NULL)->job, file, "x", 1, 0) == 0);
    CHECK(io_wait(&on_file) == 1);
    CHECK(on_file.loop == NULL);
    close(file);
    close_both(fds);
    end();
}

static void submit_here(loomp_loop *here, void *arg)
{
    (void)here;
    struct io_job *io = arg;
    start_read(io, (int)(intptr_t)io->job.data);
    CHECK(!io_has_ended(io)); /* never inside the submission */
}

TEST(submitted_on_a_loop_an_operation_is_at_home_there)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    CHECK(write(fds[1], "x", 1) == 1);
    io_init(&io, NULL)->job.data = (void *)(intptr_t)fds[0];
    on_loop(loop, submit_here, &io);
    CHECK(io_wait(&io) == 1);
    CHECK(io.loop == loop);
    close_both(fds);
    end();
}

static int submit_in_work(loomp_job *job)
{
    struct io_job *io = job->data;
    start_read(io, (int)(intptr_t)io->job.data);
    return 0;
}

TEST(jobs_submit_operations_too)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io;
    loomp_job job;
    io_init(&io, loop)->job.data = (void *)(intptr_t)fds[0];
    loomp_job_init(&job, submit_in_work, NULL);
    job.data = &io;
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == 1);
    close_both(fds);
    end();
}

TEST(without_a_done_an_operation_ends_all_the_same)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    loomp_job job;
    char buffer[4] = "";
    loomp_job_init(&job, NULL, NULL);
    job.group = &group;
    CHECK(loomp_io_read(runtime, &job, fds[0], buffer, 4, LOOMP_IO_HERE) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(buffer[0] == 'x');
    close_both(fds);
    end();
}

struct waiting_job {
    loomp_job job;
    struct io_job io;
    int fd;
    int result;
};

static int wait_for_io(loomp_job *job)
{
    struct waiting_job *waiting = LOOMP_CONTAINER(job, struct waiting_job, job);
    loomp_group group;
    loomp_group_init(&group, runtime);
    io_init(&waiting->io, NULL)->job.group = &group;
    start_read(&waiting->io, waiting->fd);
    waiting->result = loomp_group_wait(&group, -1);
    return 0;
}

/* Its thread is called for the done, which may be the only one of the pool. */
TEST(a_job_of_any_kind_waits_for_an_operation_without_a_home)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind++) {
        struct waiting_job waiting = {.fd = fds[0], .result = 1};
        loomp_job_init(&waiting.job, wait_for_io, NULL);
        waiting.job.kind = kind;
        CHECK(loomp_submit(runtime, &waiting.job) == 0);
        CHECK(write(fds[1], "x", 1) == 1);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(waiting.result == 0 && waiting.io.status == 1);
    }
    close_both(fds);
    end();
}

/* ---- attached loops ------------------------------------------------------------------------------ */

static void break_loop(struct io_job *io)
{
    ev_break(loomp_loop_ev(io->loop), EVBREAK_ALL);
}

static volatile sig_atomic_t pipe_signals;

static void count_pipe_signal(int number)
{
    (void)number;
    pipe_signals++;
}

TEST(an_attached_loop_watches_and_runs_as_long_as_something_is_outstanding)
{
    int fds[2], out[2];
    if (!begin() || !open_pipe(fds) || !open_pipe(out)) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    loomp_loop *attached;
    struct io_job io, sleeping, broken;
    struct sigaction action = {.sa_handler = count_pipe_signal}, before;
    CHECK(loomp_attach(runtime, ev, &attached) == 0);
    io_init(&io, NULL);
    io_init(&sleeping, attached);
    start_read(&io, fds[0]);
    CHECK(loomp_io_sleep(runtime, &sleeping.job, 0.01) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    ev_run(ev, 0); /* ends by itself */
    CHECK(io.status == 1 && io.loop == attached);
    CHECK(sleeping.status == 0);

    /* This thread's signals are the application's. */
    sigaction(SIGPIPE, &action, &before);
    close(out[0]);
    io_init(&broken, NULL);
    CHECK(loomp_io_write(runtime, &broken.job, out[1], "x", 1, LOOMP_IO_HERE) == 0);
    ev_run(ev, 0);
    CHECK(broken.status == -EPIPE);
    CHECK(pipe_signals == 0);
    sigaction(SIGPIPE, &before, NULL);

    io_init(&io, NULL)->then = break_loop;
    start_read(&io, fds[0]);
    CHECK(loomp_cancel(&io.job) == -EINPROGRESS);
    ev_run(ev, 0);
    CHECK(io.status == -ECANCELED);
    CHECK(loomp_detach(attached) == 0);
    ev_loop_destroy(ev);
    close_both(fds);
    close(out[1]);
    end();
}

TEST(detaching_waits_for_what_is_outstanding)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    loomp_loop *attached;
    struct io_job io, call;
    CHECK(loomp_attach(runtime, ev, &attached) == 0);
    io_init(&io, attached)->job.deadline_s = 0.01;
    start_read(&io, fds[0]);
    io_init(&call, loop)->job.deadline_s = 1e6; /* of another home, kept by that loop */
    CHECK(loomp_io_ready(runtime, &call.job, fds[1], LOOMP_IO_WRITABLE) == 0);
    CHECK(loomp_detach(attached) == 0);
    CHECK(io.status == -ETIMEDOUT);
    CHECK(io_wait(&call) == LOOMP_IO_WRITABLE);
    ev_loop_destroy(ev);
    close_both(fds);
    end();
}

static int answer(void *arg)
{
    *(loomp_loop **)arg = loomp_loop_here();
    return 7;
}

TEST(a_call_on_an_attached_loop_with_another_home_comes_home)
{
    if (!begin()) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    loomp_loop *attached, *where = NULL;
    struct io_job io;
    CHECK(loomp_attach(runtime, ev, &attached) == 0);
    io_init(&io, loop)->job.deadline_s = 1e6;
    CHECK(loomp_io_call(runtime, &io.job, attached, answer, &where) == 0);
    ev_run(ev, 0);
    CHECK(loomp_detach(attached) == 0);
    ev_loop_destroy(ev);
    CHECK(io_wait(&io) == 7);
    CHECK(where == attached && io.loop == loop);
    end();
}

/* ---- the end of the runtime ---------------------------------------------------------------------- */

TEST(the_runtime_is_not_idle_while_an_operation_waits)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io, untracked;
    start_read(io_init(&io, loop), fds[0]);
    CHECK(!loomp_is_idle(runtime));
    CHECK(loomp_wait_idle(runtime, 0.001) == -ETIMEDOUT);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == 1);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    io_init(&untracked, loop)->job.flags = LOOMP_UNTRACKED;
    start_read(&untracked, fds[0]);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(!io_has_ended(&untracked));
    CHECK(write(fds[1], "x", 1) == 1); /* stop waits for it */
    end();
    CHECK(untracked.status == 1);
    close_both(fds);
}

static void keep_trying(struct io_job *io)
{
    int *tries = io->job.data;
    if (++*tries < 3) {
        start_read(io, tries[1]);
    }
}

TEST(stop_now_ends_what_is_outstanding_and_what_that_brings)
{
    enum { MANY = 20 };
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct io_job io[MANY], untracked, again;
    for (int i = 0; i < MANY; i++) {
        io_init(&io[i], i % 2 ? loop : NULL);
        if (i % 3) {
            start_read(&io[i], fds[0]);
        } else {
            CHECK(loomp_io_sleep(runtime, &io[i].job, 1e6) == 0);
        }
    }
    io_init(&untracked, loop)->job.flags = LOOMP_UNTRACKED;
    start_read(&untracked, fds[0]);
    int words[2] = {0, fds[0]};
    io_init(&again, loop)->job.data = words;
    again.then = keep_trying;
    start_read(&again, fds[0]);
    CHECK(loomp_stop_now(runtime) == 0);
    for (int i = 0; i < MANY; i++) {
        CHECK(io[i].status == -ECANCELED);
    }
    CHECK(untracked.status == -ECANCELED);
    CHECK(words[0] == 3 && again.status == -ECANCELED);
    close_both(fds);
}

struct stopper {
    pthread_t thread;
    int result;
};

static void *stop_now(void *arg)
{
    struct stopper *stopper = arg;
    stopper->result = loomp_stop_now(runtime);
    return NULL;
}

TEST(stop_now_reaches_attached_loops)
{
    int fds[2];
    if (!begin() || !open_pipe(fds)) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    loomp_loop *attached;
    struct io_job io;
    struct stopper stopper = {.result = 1};
    CHECK(loomp_attach(runtime, ev, &attached) == 0);
    start_read(io_init(&io, NULL), fds[0]);
    ev_run(ev, EVRUN_NOWAIT); /* it waits now */
    CHECK(!io_has_ended(&io));
    pthread_create(&stopper.thread, NULL, stop_now, &stopper);
    ev_run(ev, 0);
    CHECK(io.status == -ECANCELED);
    CHECK(loomp_detach(attached) == 0);
    pthread_join(stopper.thread, NULL);
    loomp_stop(runtime);
    ev_loop_destroy(ev);
    close_both(fds);
}

TEST(a_runtime_can_be_started_again_after_operations)
{
    for (int i = 0; i < 3; i++) {
        int fds[2];
        if (!begin() || !open_pipe(fds)) {
            return;
        }
        struct io_job io;
        start_read(io_init(&io, loop), fds[0]);
        CHECK(write(fds[1], "x", 1) == 1);
        CHECK(io_wait(&io) == 1);
        close_both(fds);
        end();
    }
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
