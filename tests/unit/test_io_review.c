/* SPDX-License-Identifier: MIT */
/* Corners of I/O jobs: a cancellation that comes while an operation is being submitted, descriptors
 * that are none, errors behind the first bytes, and descriptors that look ready but would block. */
#define SUITE "I/O corners"
#include "io_job.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static loomp_runtime *runtime;
static loomp_loop *loop;

static bool begin(void)
{
    runtime = runtime_under_test();
    loop = runtime ? loomp_loop_at(runtime, 0) : NULL;
    return loop;
}

static void end(void)
{
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- cancelled while it is being submitted ------------------------------------------------------- */

enum { ROUNDS = 20000, TRIES = 20000 };

/* Guards against done: who holds it knows that done has not run. */
static pthread_mutex_t done_waits = PTHREAD_MUTEX_INITIALIZER;
static struct io_job cancelled;
static _Atomic int wanted_round; /* set by the canceller, which holds the lock and tries from now on */
static _Atomic int ended_round;  /* set by the submitter */
static _Atomic int answer;       /* of loomp_cancel, of the round that has ended */

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
        atomic_store(&answer, err);
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
        int err = atomic_load(&answer);
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
    if (!begin() || !CHECK(pipe(fds) == 0)) {
        return;
    }
    cancel_while_submitted(fds[0], &fds[1]);
    close(fds[0]);
    close(fds[1]);
    end();
}

/* ---- what is wrong ------------------------------------------------------------------------------- */

TEST(readiness_of_what_is_no_descriptor_is_an_error)
{
    if (!begin()) {
        return;
    }
    static const int numbers[] = {-1, -2, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        struct io_job io;
        io_init(&io, loop);
        CHECK(loomp_io_ready(runtime, &io.job, numbers[i], LOOMP_IO_READABLE) == 0);
        CHECK(io_wait(&io) == -EBADF);
    }
    end();
}

/* Two ends of a connection that can be reset. */
static bool connect_both(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    bool good = CHECK(bind(listener, (struct sockaddr *)&address, length) == 0) &&
                CHECK(listen(listener, 1) == 0) &&
                CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0) &&
                CHECK(connect(ends[0], (struct sockaddr *)&address, length) == 0);
    ends[1] = good ? accept(listener, NULL, NULL) : -1;
    close(listener);
    return good;
}

TEST(an_error_behind_the_first_bytes_is_told_by_the_next_read)
{
    int ends[2];
    char bytes[16];
    if (!begin() || !connect_both(ends)) {
        return;
    }
    struct io_job io, ready, next;
    io_init(&io, loop);
    io_init(&ready, loop);
    io_init(&next, loop);
    CHECK(write(ends[1], "12345", 5) == 5);
    CHECK(loomp_io_ready(runtime, &ready.job, ends[0], LOOMP_IO_READABLE) == 0);
    CHECK(io_wait(&ready) == LOOMP_IO_READABLE);
    CHECK(loomp_io_read_all(runtime, &io.job, ends[0], bytes, sizeof bytes, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop); /* it has the bytes, and waits for more */
    struct linger reset = {1, 0};
    CHECK(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    close(ends[1]);
    int status = io_wait(&io);
    if (status != -ECONNRESET) { /* its bytes, or what has happened to it: but one of them tells */
        CHECK(status == 5);
        CHECK(loomp_io_read(runtime, &next.job, ends[0], bytes, sizeof bytes, LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&next) == -ECONNRESET);
    }
    close(ends[0]);
    end();
}

/* ---- what looks ready but would block ------------------------------------------------------------ */

static void make_room(loomp_loop *here, void *arg)
{
    uint64_t count;
    (void)here;
    CHECK(read(*(int *)arg, &count, sizeof count) == sizeof count);
}

/* poll() calls it writable, since there is room for 1. */
TEST(a_number_that_an_event_counter_has_no_room_for_does_not_block_the_loop)
{
    if (!begin()) {
        return;
    }
    int fd = eventfd(0, 0);
    uint64_t almost = UINT64_MAX - 9, more = 100;
    struct io_job io;
    CHECK(write(fd, &almost, sizeof almost) == sizeof almost);
    io_init(&io, loop);
    CHECK(loomp_io_write(runtime, &io.job, fd, &more, sizeof more, LOOMP_IO_HERE) == 0);
    on_loop(loop, make_room, &fd); /* for ever if the loop is blocked */
    CHECK(io_wait(&io) == sizeof more);
    close(fd);
    end();
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
