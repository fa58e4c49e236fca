/* SPDX-License-Identifier: MIT */
/* The operations of <loomp/io.h>, one by one, on all kinds of descriptors. */
#define SUITE "I/O operations"
#include "io_job.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

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

/* The usual kinds of pairs: what is written to [1] can be read from [0]. */
struct kind {
    const char *name;
    bool (*open)(int fds[2]);
};

static bool open_pipe(int fds[2])
{
    return pipe(fds) == 0;
}

static bool open_nonblocking_pipe(int fds[2])
{
    return pipe2(fds, O_NONBLOCK) == 0;
}

static bool open_socketpair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0;
}

static int listen_tcp(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(fd, (struct sockaddr *)address, sizeof *address) == 0);
    CHECK(listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &length) == 0);
    return fd;
}

static int connect_tcp(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (const struct sockaddr *)address, sizeof *address) == 0);
    return fd;
}

static bool open_tcp(int fds[2])
{
    struct sockaddr_in address;
    int listener = listen_tcp(&address);
    fds[1] = connect_tcp(&address);
    fds[0] = accept(listener, NULL, NULL);
    close(listener);
    return fds[0] >= 0 && fds[1] >= 0;
}

static bool open_terminal(int fds[2])
{
    fds[0] = posix_openpt(O_RDWR | O_NOCTTY);
    if (fds[0] < 0 || grantpt(fds[0]) || unlockpt(fds[0])) {
        return false;
    }
    fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY);
    return fds[1] >= 0;
}

static const struct kind kinds[] = {
    {"pipe", open_pipe},     {"non-blocking pipe", open_nonblocking_pipe},
    {"sockets", open_socketpair}, {"TCP", open_tcp},
    {"terminal", open_terminal},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

#define EACH_KIND(fds)                                                     \
    for (unsigned k = 0, fds[2]; k < KINDS; k++)                           \
        if (!kinds[k].open((int *)fds)) {                                  \
            harness_note(false, __FILE__, __LINE__, kinds[k].name);        \
        } else

static void close_both(const unsigned fds[2])
{
    close((int)fds[0]);
    close((int)fds[1]);
}

TEST(what_is_there_already_is_read)
{
    if (!begin()) {
        return;
    }
    EACH_KIND(fds)
    {
        struct io_job io;
        char buffer[16] = "";
        CHECK(write((int)fds[1], "hello", 5) == 5);
        CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, (int)fds[0], buffer, 16,
                            LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&io) == 5);
        CHECK_TEXT(buffer, "hello");
        CHECK(io.loop == loop);
        close_both(fds);
    }
    end();
}

TEST(what_comes_later_is_read_when_it_comes)
{
    if (!begin()) {
        return;
    }
    EACH_KIND(fds)
    {
        struct io_job io;
        char buffer[16] = "";
        CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, (int)fds[0], buffer, 16,
                            LOOMP_IO_HERE) == 0);
        loop_catches_up(loop);
        CHECK(!io_has_ended(&io));
        CHECK(loomp_job_state(&io.job) == LOOMP_JOB_RUNNING);
        CHECK(write((int)fds[1], "later", 5) == 5);
        CHECK(io_wait(&io) == 5);
        CHECK_TEXT(buffer, "later");
        CHECK(loomp_job_state(&io.job) == LOOMP_JOB_IDLE);
        close_both(fds);
    }
    end();
}

TEST(read_all_waits_for_all_and_ends_at_the_end)
{
    if (!begin()) {
        return;
    }
    EACH_KIND(fds)
    {
        struct io_job whole, rest;
        char buffer[32] = "", more[32] = "";
        bool terminal = kinds[k].open == open_terminal; /* it ends with an error instead */
        CHECK(loomp_io_read_all(runtime, &io_init(&whole, loop)->job, (int)fds[0], buffer, 10,
                                LOOMP_IO_HERE) == 0);
        CHECK(loomp_io_read_all(runtime, &io_init(&rest, loop)->job, (int)fds[0], more, 10,
                                LOOMP_IO_HERE) == 0);
        CHECK(write((int)fds[1], "0123", 4) == 4);
        loop_catches_up(loop);
        CHECK(!io_has_ended(&whole));
        CHECK(write((int)fds[1], "456789abc", 9) == 9);
        CHECK(io_wait(&whole) == 10);
        CHECK_TEXT(buffer, "0123456789");
        close((int)fds[1]);
        CHECK(io_wait(&rest) == 3);
        CHECK_TEXT(more, "abc");
        CHECK(loomp_io_read(runtime, &io_init(&rest, loop)->job, (int)fds[0], more, 10,
                            LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&rest) == (terminal ? -EIO : 0));
        close((int)fds[0]);
    }
    end();
}

/* More than fits, so that the writer has to wait; read in between by the test itself. */
TEST(write_goes_on_until_all_is_written)
{
    enum { BYTES = 20 << 20 };
    char *from = malloc(BYTES), *to = malloc(BYTES);
    for (int i = 0; i < BYTES; i++) {
        from[i] = (char)(i * 7 + i / 251);
    }
    if (begin()) {
        EACH_KIND(fds)
        {
            if (kinds[k].open == open_terminal) { /* it changes what it is given */
                close_both(fds);
                continue;
            }
            struct io_job io;
            CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, (int)fds[1], from, BYTES,
                                 LOOMP_IO_HERE) == 0);
            loop_catches_up(loop);
            CHECK(!io_has_ended(&io));
            size_t got = 0;
            fcntl((int)fds[0], F_SETFL, fcntl((int)fds[0], F_GETFL) & ~O_NONBLOCK);
            while (got < BYTES) {
                ssize_t count = read((int)fds[0], to + got, BYTES - got);
                if (!CHECK(count > 0)) {
                    break;
                }
                got += (size_t)count;
            }
            CHECK(io_wait(&io) == BYTES);
            CHECK(memcmp(from, to, BYTES) == 0);
            close_both(fds);
        }
        end();
    }
    free(from);
    free(to);
}

TEST(a_full_pipe_in_blocking_mode_does_not_block_the_loop)
{
    enum { BYTES = 1 << 20 };
    static char bytes[BYTES];
    if (!begin()) {
        return;
    }
    int fds[2];
    struct io_job io, other;
    char byte;
    CHECK(pipe(fds) == 0);
    CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, fds[1], bytes, BYTES, LOOMP_IO_HERE) ==
          0);
    CHECK(loomp_io_sleep(runtime, &io_init(&other, loop)->job, 0) == 0);
    CHECK(io_wait(&other) == 0);
    CHECK((fcntl(fds[1], F_GETFL) & O_NONBLOCK) == 0);
    for (int i = 0; i < BYTES && CHECK(read(fds[0], &byte, 1) == 1);) {
        ssize_t count = read(fds[0], bytes, BYTES);
        i += 1 + (int)count;
        if (i == BYTES) {
            break;
        }
    }
    CHECK(io_wait(&io) == BYTES);
    close(fds[0]);
    close(fds[1]);
    end();
}

TEST(operations_on_one_descriptor_end_in_the_order_of_their_submission)
{
    enum { READS = 20 };
    if (!begin()) {
        return;
    }
    EACH_KIND(fds)
    {
        struct io_job reads[READS];
        char bytes[READS + 1] = "";
        _Atomic int count = 0;
        for (int i = 0; i < READS; i++) {
            io_init(&reads[i], loop)->count = &count;
            CHECK(loomp_io_read_all(runtime, &reads[i].job, (int)fds[0], &bytes[i], 1,
                                    LOOMP_IO_HERE) == 0);
        }
        CHECK(write((int)fds[1], "abc", 3) == 3);
        CHECK(io_wait(&reads[2]) == 1);
        CHECK(write((int)fds[1], "defghijklmnopqrst", 17) == 17);
        for (int i = 0; i < READS; i++) {
            CHECK(io_wait(&reads[i]) == 1);
            CHECK(reads[i].order == i);
        }
        CHECK_TEXT(bytes, "abcdefghijklmnopqrst");
        close_both(fds);
    }
    end();
}

TEST(reads_and_writes_of_one_socket_wait_independently)
{
    if (!begin()) {
        return;
    }
    int fds[2];
    struct io_job reading, writing;
    char buffer[8] = "", other[8] = "";
    CHECK(open_socketpair(fds));
    CHECK(loomp_io_read(runtime, &io_init(&reading, loop)->job, fds[0], buffer, 8, LOOMP_IO_HERE) ==
          0);
    CHECK(loomp_io_write(runtime, &io_init(&writing, loop)->job, fds[0], "out", 3,
                         LOOMP_IO_HERE) == 0);
    CHECK(io_wait(&writing) == 3);
    CHECK(!io_has_ended(&reading));
    CHECK(read(fds[1], other, 8) == 3);
    CHECK(write(fds[1], "in", 2) == 2);
    CHECK(io_wait(&reading) == 2);
    CHECK_TEXT(buffer, "in");
    close(fds[0]);
    close(fds[1]);
    end();
}

/* ---- files --------------------------------------------------------------------------------------- */

TEST(files_are_read_and_written_where_the_offset_says)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    char buffer[32] = "";
    int fd = temporary_file();
    CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, fd, "0123456789", 10, 5) == 0);
    CHECK(io_wait(&io) == 10);
    CHECK(io.loop == loop);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, fd, buffer, 4, 8) == 0);
    CHECK(io_wait(&io) == 4);
    CHECK_TEXT(buffer, "3456");
    CHECK(loomp_io_read_all(runtime, &io_init(&io, loop)->job, fd, buffer, 30, 11) == 0);
    CHECK(io_wait(&io) == 4); /* up to the end */
    CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, fd, buffer, 30, 100) == 0);
    CHECK(io_wait(&io) == 0);
    close(fd);
    end();
}

TEST(without_an_offset_a_file_is_read_from_front_to_back)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    char buffer[8] = "";
    int fd = temporary_file();
    CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, fd, "abcdef", 6, LOOMP_IO_HERE) == 0);
    CHECK(io_wait(&io) == 6);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(loomp_io_read_all(runtime, &io_init(&io, loop)->job, fd, buffer, 2, LOOMP_IO_HERE) ==
              0);
        CHECK(io_wait(&io) == 2);
        CHECK(memcmp(buffer, &"abcdef"[2 * i], 2) == 0);
    }
    close(fd);
    end();
}

TEST(a_large_file_comes_back_as_it_was_written)
{
    enum { BYTES = 20 << 20 };
    char *from = malloc(BYTES), *to = calloc(1, BYTES);
    for (int i = 0; i < BYTES; i++) {
        from[i] = (char)(i * 5 + i / 509);
    }
    if (begin()) {
        struct io_job io;
        int fd = temporary_file();
        CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, fd, from, BYTES, 0) == 0);
        CHECK(io_wait(&io) == BYTES);
        CHECK(loomp_io_read_all(runtime, &io_init(&io, loop)->job, fd, to, BYTES, 0) == 0);
        CHECK(io_wait(&io) == BYTES);
        CHECK(memcmp(from, to, BYTES) == 0);
        CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, fd, to, BYTES, 0) == 0);
        CHECK(io_wait(&io) == BYTES); /* one call, as of read(2) */
        close(fd);
        end();
    }
    free(from);
    free(to);
}

TEST(devices_that_are_always_ready_work_too)
{
    enum { BYTES = 5 << 20 };
    char *buffer = malloc(BYTES);
    if (begin()) {
        struct io_job io;
        int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_RDWR);
        memset(buffer, 1, BYTES);
        CHECK(loomp_io_read_all(runtime, &io_init(&io, loop)->job, zero, buffer, BYTES,
                                LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&io) == BYTES);
        CHECK(buffer[0] == 0 && buffer[BYTES - 1] == 0);
        CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, null, buffer, BYTES,
                             LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&io) == BYTES);
        CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, null, buffer, 8, LOOMP_IO_HERE) ==
              0);
        CHECK(io_wait(&io) == 0);
        close(zero);
        close(null);
        end();
    }
    free(buffer);
}

TEST(descriptors_without_a_file_are_waited_for)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    uint64_t number = 0, seven = 7;
    int fd = eventfd(0, EFD_CLOEXEC);
    CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, fd, &number, 8, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(!io_has_ended(&io));
    CHECK(write(fd, &seven, 8) == 8);
    CHECK(io_wait(&io) == 8);
    CHECK(number == 7);
    close(fd);
    end();
}

/* ---- nothing, and errors ------------------------------------------------------------------------- */

TEST(nothing_is_read_and_written_at_once)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    EACH_KIND(fds)
    {
        CHECK(loomp_io_read(runtime, &io_init(&io, loop)->job, (int)fds[0], NULL, 0,
                            LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&io) == 0);
        CHECK(loomp_io_write(runtime, &io_init(&io, loop)->job, (int)fds[1], NULL, 0,
                             LOOMP_IO_HERE) == 0);
        CHECK(io_wait(&io) == 0);
        close_both(fds);
    }
    int fd = temporary_file();
    CHECK(loomp_io_read_all(runtime, &io_init(&io, loop)->job, fd, NULL, 0, 0) == 0);
    CHECK(io_wait(&io) == 0);
    close(fd);
    end();
}

static int status_of(int accepted, struct io_job *io)
{
    return CHECK(accepted == 0) ? io_wait(io) : -1;
}

TEST(what_is_wrong_with_a_descriptor_reaches_done)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    char buffer[8];
    int fds[2];
    CHECK(pipe(fds) == 0);
    int closed = dup(fds[0]);
    close(closed);
#define STATUS(call) status_of(call, &io)
#define IO (&io_init(&io, loop)->job)
    CHECK(STATUS(loomp_io_read(runtime, IO, closed, buffer, 8, LOOMP_IO_HERE)) == -EBADF);
    CHECK(STATUS(loomp_io_read_all(runtime, IO, -1, buffer, 8, 0)) == -EBADF);
    CHECK(STATUS(loomp_io_write(runtime, IO, closed, buffer, 8, LOOMP_IO_HERE)) == -EBADF);
    CHECK(STATUS(loomp_io_ready(runtime, IO, closed, LOOMP_IO_READABLE)) == -EBADF);
    CHECK(STATUS(loomp_io_accept(runtime, IO, closed)) == -EBADF);
    CHECK(STATUS(loomp_io_accept(runtime, IO, fds[0])) == -ENOTSOCK);
    CHECK(STATUS(loomp_io_write(runtime, IO, fds[0], buffer, 8, LOOMP_IO_HERE)) == -EBADF);
    CHECK(STATUS(loomp_io_read(runtime, IO, fds[0], buffer, 8, 3)) == -ESPIPE);
    close(fds[0]);
    close(fds[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(STATUS(loomp_io_read(runtime, IO, fds[0], buffer, 8, 3)) == -ESPIPE);
    CHECK(STATUS(loomp_io_accept(runtime, IO, fds[0])) == -EINVAL);
    close(fds[0]);
    close(fds[1]);
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(STATUS(loomp_io_read(runtime, IO, directory, buffer, 8, 0)) == -EISDIR);
    close(directory);
    int full = open("/dev/full", O_WRONLY);
    CHECK(STATUS(loomp_io_write(runtime, IO, full, buffer, 8, LOOMP_IO_HERE)) == -ENOSPC);
    close(full);
    end();
}

static int return_seven(void *arg)
{
    (void)arg;
    return 7;
}

TEST(what_is_wrong_with_a_call_is_refused)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    char buffer[8];
    CHECK(loomp_io_read(NULL, IO, 0, buffer, 8, 0) == -EINVAL);
    CHECK(loomp_io_read(runtime, NULL, 0, buffer, 8, 0) == -EINVAL);
    CHECK(loomp_io_read(runtime, IO, 0, NULL, 8, 0) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_io_read: the buffer is NULL");
    CHECK(loomp_io_read_all(runtime, IO, 0, buffer, 8, -2) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_io_read_all: the offset is -2");
    CHECK(loomp_io_write(runtime, IO, 0, buffer, (size_t)1 << 31, 0) == -EINVAL);
    CHECK(loomp_io_ready(runtime, IO, 0, 0) == -EINVAL);
    CHECK(loomp_io_ready(runtime, IO, 0, 4) == -EINVAL);
    CHECK(loomp_io_sleep(runtime, IO, 0. / 0.) == -EINVAL);
    CHECK(loomp_io_child(runtime, IO, 0, NULL) == -EINVAL);
    CHECK(loomp_io_child(runtime, IO, -1, NULL) == -EINVAL);
    CHECK(loomp_io_call(runtime, IO, loop, NULL, NULL) == -EINVAL);
    CHECK(loomp_io_call(runtime, IO, NULL, return_seven, NULL) == -EINVAL);
    io_init(&io, loop)->job.kind = 9; /* means nothing here */
    CHECK(loomp_io_sleep(runtime, &io.job, 0) == 0);
    CHECK(io_wait(&io) == 0);
    io_init(&io, loop)->job.work = recorded_work;
    CHECK(loomp_io_sleep(runtime, &io.job, 0) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_io_sleep: job.work is not NULL");
    end();
    CHECK(loomp_io_sleep(runtime, IO, 0) == -ESHUTDOWN);
}

TEST(a_job_that_is_under_way_is_refused)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    int fds[2];
    char buffer[8];
    CHECK(pipe(fds) == 0);
    CHECK(loomp_io_read(runtime, IO, fds[0], buffer, 8, LOOMP_IO_HERE) == 0);
    CHECK(loomp_io_read(runtime, &io.job, fds[0], buffer, 8, LOOMP_IO_HERE) == -EBUSY);
    CHECK(loomp_io_sleep(runtime, &io.job, 0) == -EBUSY);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == 1);
    close(fds[0]);
    close(fds[1]);
    end();
}

static volatile sig_atomic_t pipe_signals;

static void count_pipe_signal(int number)
{
    (void)number;
    pipe_signals++;
}

TEST(a_write_that_nobody_reads_fails_without_a_signal)
{
    if (!begin()) {
        return;
    }
    struct sigaction action = {.sa_handler = count_pipe_signal}, before;
    sigaction(SIGPIPE, &action, &before);
    for (unsigned k = 0; k < 4; k++) { /* all but the terminal */
        int fds[2];
        struct io_job io;
        CHECK(kinds[k].open(fds));
        close(fds[0]);
        int status;
        do { /* TCP learns of it by an answer to the first write */
            status = STATUS(loomp_io_write(runtime, IO, fds[1], "x", 1, LOOMP_IO_HERE));
        } while (status == 1);
        CHECK(status == -EPIPE || status == -ECONNRESET);
        close(fds[1]);
    }
    sigaction(SIGPIPE, &before, NULL);
    CHECK(pipe_signals == 0);
    end();
}

TEST(a_write_that_waits_ends_when_the_reader_goes)
{
    enum { BYTES = 20 << 20 };
    char *bytes = calloc(1, BYTES);
    if (begin()) {
        for (unsigned k = 0; k < 4; k++) {
            int fds[2];
            struct io_job io, next;
            CHECK(kinds[k].open(fds));
            CHECK(loomp_io_write(runtime, IO, fds[1], bytes, BYTES, LOOMP_IO_HERE) == 0);
            loop_catches_up(loop);
            close(fds[0]);
            CHECK(io_wait(&io) > 0 && io.status < BYTES); /* the bytes, ... */
            CHECK(loomp_io_write(runtime, &io_init(&next, loop)->job, fds[1], bytes, BYTES,
                                 LOOMP_IO_HERE) == 0);
            CHECK(io_wait(&next) == -EPIPE); /* ... and then the error */
            close(fds[1]);
        }
        end();
    }
    free(bytes);
}

/* A socket tells it once: bytes in its place would look like the end to who reads on. */
TEST(an_error_behind_the_first_bytes_is_not_taken_for_the_end)
{
    int ends[2];
    char bytes[16];
    if (!begin() || !CHECK(open_tcp(ends))) {
        return;
    }
    struct io_job io, ready;
    CHECK(write(ends[1], "12345", 5) == 5);
    CHECK(loomp_io_ready(runtime, &io_init(&ready, loop)->job, ends[0], LOOMP_IO_READABLE) == 0);
    CHECK(io_wait(&ready) == LOOMP_IO_READABLE);
    CHECK(loomp_io_read_all(runtime, IO, ends[0], bytes, sizeof bytes, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop); /* it has the bytes, and waits for more */
    struct linger reset = {1, 0};
    CHECK(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    close(ends[1]);
    CHECK(io_wait(&io) == -ECONNRESET);
    close(ends[0]);
    end();
}

TEST(a_descriptor_that_is_closed_too_early_costs_only_its_operation)
{
    if (!begin()) {
        return;
    }
    EACH_KIND(fds)
    {
        struct io_job lost, io;
        char buffer[8] = "", other[8] = "";
        CHECK(loomp_io_read(runtime, &io_init(&lost, loop)->job, (int)fds[0], buffer, 8,
                            LOOMP_IO_HERE) == 0);
        loop_catches_up(loop);
        close_both(fds);
        CHECK(loomp_cancel(&lost.job) == -EINPROGRESS);
        CHECK(io_wait(&lost) == -ECANCELED);
        /* The same numbers, other files. */
        int again[2];
        CHECK(kinds[(k + 1) % 4].open(again));
        CHECK(loomp_io_read(runtime, IO, again[0], other, 8, LOOMP_IO_HERE) == 0);
        loop_catches_up(loop);
        CHECK(write(again[1], "new", 3) == 3);
        CHECK(io_wait(&io) == 3);
        CHECK_TEXT(other, "new");
        close(again[0]);
        close(again[1]);
    }
    end();
}

/* epoll goes on telling of a file that is open elsewhere, under a number that is another's. */
TEST(a_number_that_is_used_again_while_its_old_file_lives_on_is_no_problem)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    int old[2], next[2];
    char buffer[8] = "";
    CHECK(pipe(old) == 0);
    CHECK(pipe(next) == 0);
    CHECK(loomp_io_read(runtime, IO, old[0], buffer, 8, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(loomp_cancel(&io.job) == -EINPROGRESS);
    CHECK(io_wait(&io) == -ECANCELED);
    int elsewhere = dup(old[0]);
    CHECK(dup2(next[0], old[0]) == old[0]);
    CHECK(write(old[1], "old", 3) == 3);
    CHECK(loomp_io_read(runtime, IO, old[0], buffer, 8, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(!io_has_ended(&io));
    CHECK(write(next[1], "next!", 5) == 5);
    CHECK(io_wait(&io) == 5);
    CHECK_TEXT(buffer, "next!");
    close(elsewhere);
    close(old[0]);
    close(old[1]);
    close(next[0]);
    close(next[1]);
    end();
}

/* Closed under an operation that waits, and used again for another file, where another operation waits: as
 * soon as the first one is gone, the second one finds its data. */
TEST(what_waits_for_a_number_that_is_used_again_is_served_once_the_first_is_cancelled)
{
    if (!begin()) {
        return;
    }
    struct io_job lost, io;
    int old[2], next[2];
    char byte = 0, other = 0;
    CHECK(pipe(old) == 0);
    CHECK(pipe(next) == 0);
    CHECK(loomp_io_read(runtime, &io_init(&lost, loop)->job, old[0], &byte, 1, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(dup2(next[0], old[0]) == old[0]);
    CHECK(loomp_io_read(runtime, IO, old[0], &other, 1, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(loomp_cancel(&lost.job) == -EINPROGRESS);
    CHECK(io_wait(&lost) == -ECANCELED);
    CHECK(write(next[1], "n", 1) == 1);
    CHECK(io_wait(&io) == 1);
    CHECK(other == 'n');
    close(old[0]);
    close(old[1]);
    close(next[0]);
    close(next[1]);
    end();
}

/* Something in the queue of errors makes it ready for ever, though there is nothing to read. */
TEST(a_socket_with_errors_in_its_queue_still_is_waited_for)
{
    enum { ROUNDS = 3 };
    if (!begin()) {
        return;
    }
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in own = address;
    socklen_t length = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_DGRAM, 0), peer = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(peer, (struct sockaddr *)&address, length) == 0);
    CHECK(getsockname(peer, (struct sockaddr *)&address, &length) == 0);
    CHECK(bind(fd, (struct sockaddr *)&own, length) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&own, &length) == 0);
    CHECK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof one) == 0);
    CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
    close(peer);
    CHECK(send(fd, "x", 1, 0) == 1); /* refused: nobody listens */
    struct io_job io;
    char bytes[8];
    CHECK(loomp_io_read(runtime, IO, fd, bytes, 8, LOOMP_IO_HERE) == 0);
    CHECK(io_wait(&io) == -ECONNREFUSED); /* the socket's error; its queue still holds the reason */
    peer = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(peer, (struct sockaddr *)&address, length) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(loomp_io_read(runtime, IO, fd, bytes, 8, LOOMP_IO_HERE) == 0);
        loop_catches_up(loop);
        loop_catches_up(loop);
        CHECK(!io_has_ended(&io));
        CHECK(sendto(peer, "hello", 5, 0, (struct sockaddr *)&own, length) == 5);
        CHECK(io_wait(&io) == 5);
    }
    close(peer);
    close(fd);
    end();
}

/* ---- what looks ready but could block ------------------------------------------------------------ */

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

/* Two readers of one FIFO that was opened by name, which no call can be told not to wait for: one of them
 * gets the byte, whoever comes second must not block its loop. */
TEST(readers_of_one_named_pipe_do_not_block_their_loops)
{
    enum { ROUNDS = 200 };
    char name[] = "/tmp/loomp-fifo-XXXXXX", path[64];
    if (!begin() || !CHECK(mkdtemp(name) != NULL)) {
        return;
    }
    snprintf(path, sizeof path, "%s/fifo", name);
    CHECK(mkfifo(path, 0600) == 0);
    int fd = open(path, O_RDWR);
    int copy = dup(fd); /* of another number, so that the two do not wait for each other */
    for (int i = 0; i < ROUNDS; i++) {
        struct io_job first, second;
        char bytes[2];
        CHECK(loomp_io_read(runtime, &io_init(&first, loop)->job, fd, bytes, 1,
                            LOOMP_IO_HERE) == 0);
        CHECK(loomp_io_read(runtime, &io_init(&second, loop)->job, copy, bytes + 1, 1,
                            LOOMP_IO_HERE) == 0);
        CHECK(write(fd, "1", 1) == 1);
        loop_catches_up(loop);
        CHECK(write(fd, "2", 1) == 1);
        CHECK(io_wait(&first) == 1);
        CHECK(io_wait(&second) == 1);
        CHECK(bytes[0] + bytes[1] == '1' + '2');
    }
    close(copy);
    close(fd);
    unlink(path);
    rmdir(name);
    end();
}

static void read_rest(loomp_loop *here, void *arg)
{
    char byte;
    (void)here;
    CHECK(read(*(int *)arg, &byte, 1) == 1);
}

/* poll() calls a terminal readable at the first byte, but read() waits for ten. */
TEST(a_terminal_that_gives_only_several_bytes_at_once_does_not_block_the_loop)
{
    int fds[2];
    struct termios mode;
    char bytes[16];
    if (!begin() || !CHECK(open_terminal(fds))) {
        return;
    }
    struct io_job io;
    CHECK(tcgetattr(fds[1], &mode) == 0);
    cfmakeraw(&mode);
    mode.c_cc[VMIN] = 3;
    mode.c_cc[VTIME] = 255;
    CHECK(tcsetattr(fds[1], TCSANOW, &mode) == 0);
    CHECK(loomp_io_read(runtime, IO, fds[1], bytes, 3, LOOMP_IO_HERE) == 0);
    CHECK(write(fds[0], "a", 1) == 1);
    loop_catches_up(loop);
    CHECK(write(fds[1], "x", 1) == 1);
    on_loop(loop, read_rest, &fds[0]); /* the loop is alive */
    CHECK(!io_has_ended(&io));
    CHECK(write(fds[0], "bc", 2) == 2);
    CHECK(io_wait(&io) == 3);
    CHECK(memcmp(bytes, "abc", 3) == 0);
    close(fds[0]);
    close(fds[1]);
    end();
}

/* What is on the pool is not ended by a wish, and says what it came to. */
TEST(a_call_that_a_thread_is_making_outlives_a_cancellation)
{
    if (!begin()) {
        return;
    }
    int fd = eventfd(0, 0);
    uint64_t almost = UINT64_MAX - 9, more = 100;
    struct io_job io, behind, late;
    CHECK(write(fd, &almost, sizeof almost) == sizeof almost);
    CHECK(loomp_io_write(runtime, IO, fd, &more, sizeof more, LOOMP_IO_HERE) == 0);
    CHECK(loomp_io_write(runtime, &io_init(&behind, loop)->job, fd, &more, sizeof more,
                         LOOMP_IO_HERE) == 0);
    io_init(&late, loop)->job.deadline_s = 0.001;
    CHECK(loomp_io_write(runtime, &late.job, fd, &more, sizeof more, LOOMP_IO_HERE) == 0);
    loop_catches_up(loop);
    CHECK(loomp_cancel(&io.job) == -EINPROGRESS);
    CHECK(loomp_cancel(&behind.job) == -EINPROGRESS);
    CHECK(io_wait(&behind) == -ECANCELED); /* no thread has begun that one */
    CHECK(io_wait(&late) == -ETIMEDOUT);
    CHECK(!io_has_ended(&io));
    on_loop(loop, make_room, &fd);
    CHECK(io_wait(&io) == sizeof more);
    close(fd);
    end();
}

/* ---- many, and large numbers --------------------------------------------------------------------- */

/* Descriptors that always have more: each gets its turns, and so does what is posted meanwhile. */
TEST(endless_streams_share_the_loop)
{
    enum { STREAMS = 16, BYTES = 4 << 20 };
    char *buffer = malloc(BYTES);
    if (begin()) {
        struct io_job streams[STREAMS];
        int fds[STREAMS];
        _Atomic int count = 0;
        for (int i = 0; i < STREAMS; i++) {
            fds[i] = open("/dev/zero", O_RDONLY);
            io_init(&streams[i], loop)->count = &count;
            CHECK(loomp_io_read_all(runtime, &streams[i].job, fds[i], buffer, BYTES,
                                    LOOMP_IO_HERE) == 0);
        }
        for (int i = 0; i < STREAMS; i++) {
            CHECK(io_wait(&streams[i]) == BYTES);
            CHECK(streams[i].order == i);
            close(fds[i]);
        }
        end();
    }
    free(buffer);
}

TEST(descriptors_of_high_numbers_are_watched_and_cancelled_as_others)
{
    static const int numbers[] = {511, 512, 1023, 900};
    enum { COUNT = sizeof numbers / sizeof *numbers };
    if (!begin()) {
        return;
    }
    struct io_job ios[COUNT];
    loomp_group group;
    char bytes[COUNT];
    int fds[2];
    CHECK(pipe(fds) == 0);
    loomp_group_init(&group, runtime);
    for (int i = 0; i < COUNT; i++) {
        CHECK(dup2(fds[0], numbers[i]) == numbers[i]);
        io_init(&ios[i], loop)->job.group = i == COUNT - 1 ? NULL : &group;
        CHECK(loomp_io_read(runtime, &ios[i].job, numbers[i], &bytes[i], 1, LOOMP_IO_HERE) == 0);
    }
    loop_catches_up(loop);
    loomp_group_cancel(&group);
    for (int i = 0; i < COUNT - 1; i++) {
        CHECK(io_wait(&ios[i]) == -ECANCELED);
    }
    CHECK(!io_has_ended(&ios[COUNT - 1]));
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&ios[COUNT - 1]) == 1);
    for (int i = 0; i < COUNT; i++) {
        close(numbers[i]);
    }
    close(fds[0]);
    close(fds[1]);
    end();
}

/* ---- readiness, connections, time ---------------------------------------------------------------- */

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

TEST(readiness_is_told_for_what_was_asked)
{
    if (!begin()) {
        return;
    }
    int fds[2];
    struct io_job io, other;
    CHECK(open_socketpair(fds));
    CHECK(STATUS(loomp_io_ready(runtime, IO, fds[0], LOOMP_IO_WRITABLE)) == LOOMP_IO_WRITABLE);
    CHECK(STATUS(loomp_io_ready(runtime, IO, fds[0], LOOMP_IO_READABLE | LOOMP_IO_WRITABLE)) ==
          LOOMP_IO_WRITABLE);
    CHECK(loomp_io_ready(runtime, IO, fds[0], LOOMP_IO_READABLE) == 0);
    CHECK(loomp_io_ready(runtime, &io_init(&other, loop)->job, fds[0], LOOMP_IO_READABLE) == 0);
    loop_catches_up(loop);
    CHECK(!io_has_ended(&io));
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == LOOMP_IO_READABLE);
    CHECK(io_wait(&other) == LOOMP_IO_READABLE);
    CHECK(STATUS(loomp_io_ready(runtime, IO, fds[0], LOOMP_IO_READABLE | LOOMP_IO_WRITABLE)) ==
          (LOOMP_IO_READABLE | LOOMP_IO_WRITABLE));
    close(fds[0]);
    close(fds[1]);
    int file = temporary_file();
    CHECK(STATUS(loomp_io_ready(runtime, IO, file, LOOMP_IO_READABLE)) == LOOMP_IO_READABLE);
    close(file);
    end();
}

TEST(either_direction_ends_a_wait_for_both)
{
    enum { BYTES = 1 << 20 };
    static char bytes[BYTES];
    if (!begin()) {
        return;
    }
    int fds[2];
    struct io_job io;
    CHECK(open_socketpair(fds));
    while (send(fds[0], bytes, BYTES, MSG_DONTWAIT) > 0) {
    }
    CHECK(loomp_io_ready(runtime, IO, fds[0], LOOMP_IO_READABLE | LOOMP_IO_WRITABLE) == 0);
    loop_catches_up(loop);
    CHECK(!io_has_ended(&io));
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(io_wait(&io) == LOOMP_IO_READABLE);
    close(fds[0]);
    close(fds[1]);
    end();
}

TEST(connections_are_accepted_one_by_one)
{
    enum { CONNECTIONS = 5 };
    for (int nonblocking = 0; nonblocking < 2 && begin(); nonblocking++) {
        struct sockaddr_in address;
        struct io_job accepts[CONNECTIONS];
        int clients[CONNECTIONS], listener = listen_tcp(&address);
        if (nonblocking) {
            fcntl(listener, F_SETFL, O_NONBLOCK);
        }
        clients[0] = connect_tcp(&address);
        for (int i = 0; i < CONNECTIONS; i++) {
            CHECK(loomp_io_accept(runtime, &io_init(&accepts[i], loop)->job, listener) == 0);
        }
        CHECK(io_wait(&accepts[0]) >= 0);
        loop_catches_up(loop);
        CHECK(!io_has_ended(&accepts[1]));
        for (int i = 1; i < CONNECTIONS; i++) {
            clients[i] = connect_tcp(&address);
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            char byte = 0;
            int fd = io_wait(&accepts[i]);
            CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
            CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            CHECK(write(fd, &"0123456789"[i], 1) == 1);
            CHECK(read(clients[i], &byte, 1) == 1 && byte == '0' + i);
            close(fd);
            close(clients[i]);
        }
        close(listener);
        end();
    }
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

TEST(sleeps_end_in_the_order_of_their_times_and_not_before)
{
    if (!begin()) {
        return;
    }
    struct io_job sleeps[3];
    _Atomic int count = 0;
    double begun = seconds_now();
    static const double lengths[3] = {0.04, 0.02, 0};
    for (int i = 0; i < 3; i++) {
        io_init(&sleeps[i], loop)->count = &count;
        CHECK(loomp_io_sleep(runtime, &sleeps[i].job, lengths[i]) == 0);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(io_wait(&sleeps[i]) == 0);
        CHECK(sleeps[i].order == 2 - i);
    }
    CHECK(seconds_now() - begun >= 0.04);
    struct io_job io;
    CHECK(STATUS(loomp_io_sleep(runtime, IO, -1)) == 0);
    end();
}

struct call {
    loomp_loop *loop;
    int result;
};

static int note_call(void *arg)
{
    struct call *call = arg;
    call->loop = loomp_loop_here();
    return call->result;
}

TEST(a_call_runs_on_the_loop_and_its_result_is_the_status)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    struct call call = {NULL, -17};
    CHECK(STATUS(loomp_io_call(runtime, IO, loop, note_call, &call)) == -17);
    CHECK(call.loop == loop);
    call.result = 42;
    CHECK(STATUS(loomp_io_call(runtime, &io_init(&io, NULL)->job, loop, note_call, &call)) == 42);
    CHECK(io.loop == NULL); /* done on the team */
    end();
}

/* ---- children ------------------------------------------------------------------------------------ */

/* A child that waits until it may exit with that code. */
static pid_t start_child(int code, int *let_go)
{
    int fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) < 0 ? 99 : code);
    }
    close(fds[0]);
    *let_go = fds[1];
    return pid;
}

TEST(children_are_waited_for_each_by_its_own_job)
{
    enum { CHILDREN = 4 };
    if (!begin()) {
        return;
    }
    struct io_job io[CHILDREN];
    int statuses[CHILDREN], let_go[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = start_child(10 + i, &let_go[i]);
        CHECK(loomp_io_child(runtime, &io_init(&io[i], loop)->job, pid, &statuses[i]) == 0);
    }
    loop_catches_up(loop);
    for (int i = CHILDREN - 1; i >= 0; i--) {
        CHECK(!io_has_ended(&io[i]));
        /* Later ones hold the writing ends of earlier ones open, but not the other way round. */
        close(let_go[i]);
        CHECK(io_wait(&io[i]) == 0);
        CHECK(WIFEXITED(statuses[i]) && WEXITSTATUS(statuses[i]) == 10 + i);
    }
    end();
}

TEST(a_child_that_has_ended_already_is_reaped)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    int let_go, status = 0;
    pid_t pid = start_child(3, &let_go);
    close(let_go);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    CHECK(STATUS(loomp_io_child(runtime, IO, pid, &status)) == 0);
    CHECK(WEXITSTATUS(status) == 3);
    CHECK(waitpid(pid, NULL, 0) == -1 && errno == ECHILD);
    /* It is gone now, and nobody else's child is ours. */
    CHECK(STATUS(loomp_io_child(runtime, IO, pid, &status)) == -ECHILD);
    CHECK(STATUS(loomp_io_child(runtime, IO, 1, NULL)) == -ECHILD);
    end();
}

TEST(a_child_that_a_signal_ended_says_so)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    int let_go, status = 0;
    pid_t pid = start_child(0, &let_go);
    CHECK(loomp_io_child(runtime, IO, pid, &status) == 0);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(io_wait(&io) == 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(let_go);
    end();
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1000; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

TEST(a_wait_for_a_child_that_is_cancelled_leaves_child_and_descriptors_alone)
{
    if (!begin()) {
        return;
    }
    struct io_job io;
    int let_go, status = 12345;
    pid_t pid = start_child(5, &let_go);
    CHECK(loomp_io_child(runtime, IO, pid, &status) == 0);
    loop_catches_up(loop); /* the loop has its epoll from here on */
    loomp_cancel(&io.job);
    CHECK(io_wait(&io) == -ECANCELED);
    int before = open_descriptors();
    CHECK(loomp_io_child(runtime, IO, pid, &status) == 0);
    loomp_cancel(&io.job);
    CHECK(io_wait(&io) == -ECANCELED);
    CHECK(open_descriptors() == before);
    CHECK(status == 12345);
    close(let_go);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
    end();
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
