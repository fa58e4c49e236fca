/* SPDX-License-Identifier: MIT */
/* Owns what operations do: how each tries without waiting, and what it waits for if that was in
 * vain; and those that the pool `blocking` makes. Any thread starts and cancels; the rest runs on
 * the operation's loop, or on a thread of that pool.
 *
 * A loop must not block, whatever the mode of the descriptor is. Sockets can be asked for that call
 * by call; so can most files (RWF_NOWAIT). Of the others, and of listeners in blocking mode, poll()
 * says when a call is worth while, but not that all of it goes through: so the loop waits for that,
 * and a thread of the pool `blocking` makes the call. */
#include "job/io.h"

#include "base/clock.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "job/engine.h"
#include "loop/loop.h"
#include "team/blocking_team.h"
#include "team/teams.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* lp_io.file */
enum {
    FILE_OTHER = 0,
    FILE_PIPE,
    FILE_SOCKET,
    FILE_ON_POOL,
    FILE_WITHOUT_POOL,
    KNOWS_NO_HASTE = 1 << 7 /* with one of them: it has no RWF_NOWAIT */
};

enum {
    PIECE_BYTES = 1 << 20,     /* on a loop, before others get their turn */
    AT_ONCE_BYTES = 64 << 10,  /* of a file, that the submitter copies itself */
    POOL_PIECE_BYTES = 8 << 20 /* on the pool, before it looks whether anybody wants the rest */
};

static bool moves_bytes(const struct lp_io *io)
{
    return io->what <= LP_IO_WRITE;
}

static bool is_pipe(const struct lp_io *io)
{
    return (io->file & ~KNOWS_NO_HASTE) == FILE_PIPE;
}

static struct lp_io *io_of(struct lp_watch *watch)
{
    return (struct lp_io *)(void *)watch;
}

_Static_assert(offsetof(struct lp_io, watch) == 0, "io_of finds the operation by its watch");

static int64_t result_of(const struct lp_io *io, int64_t error)
{
    return io->moved ? (int64_t)io->moved : error;
}

/* It has failed. A socket tells an error once, so that bytes in its place would look like a clean
 * end to who then reads on; writing fails again. */
static int64_t result_of_failure(const struct lp_io *io, int64_t error)
{
    return io->file == FILE_SOCKET && io->what == LP_IO_READ_ALL ? error : result_of(io, error);
}

/* ---- one call -------------------------------------------------------------------------------- */

static bool is_ready(const struct lp_io *io, short events)
{
    struct pollfd poll_fd = {.fd = io->fd, .events = events};
    return poll(&poll_fd, 1, 0) != 0; /* an error: the call itself will name it */
}

static bool is_again(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* Errors as negative errno values, also of what follows. */
static ssize_t call(const struct lp_io *io, void *at, size_t bytes, int flags)
{
    struct iovec part = {at, bytes};
    ssize_t count = io->what == LP_IO_WRITE ? pwritev2(io->fd, &part, 1, io->offset, flags)
                                            : preadv2(io->fd, &part, 1, io->offset, flags);
    return count < 0 ? -errno : count;
}

static ssize_t call_socket(const struct lp_io *io, void *at, size_t bytes)
{
    if (io->offset != LOOMP_IO_HERE) {
        return -ESPIPE;
    }
    ssize_t count = io->what == LP_IO_WRITE ? send(io->fd, at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
                                            : recv(io->fd, at, bytes, MSG_DONTWAIT);
    return count < 0 ? -errno : count;
}

/* Where the rest begins. No buffer is right for no bytes. */
static void *rest_of(const struct lp_io *io)
{
    return io->moved ? (char *)io->buffer + io->moved : io->buffer;
}

/* Of what a loop cannot call: not so much at once that a pipe which takes anything could block. */
static size_t piece_of(const struct lp_io *io)
{
    uint64_t left = io->bytes - io->moved;
    uint64_t most = io->what != LP_IO_WRITE ? PIECE_BYTES
                    : is_pipe(io)           ? PIPE_BUF
                                            : POOL_PIECE_BYTES;
    return left < most ? left : most;
}

/* Also LP_WATCH_BLOCKS. */
static ssize_t call_file(struct lp_io *io, void *at, size_t bytes)
{
    int mode = fcntl(io->fd, F_GETFL);
    if (mode < 0) {
        return -errno;
    }
    if (mode & O_NONBLOCK) {
        return call(io, at, bytes, 0);
    }
    if (!(io->file & KNOWS_NO_HASTE)) {
        ssize_t count = call(io, at, bytes, RWF_NOWAIT);
        if (count != -EOPNOTSUPP) {
            return count;
        }
        io->file |= KNOWS_NO_HASTE;
    }
    return is_ready(io, io->what == LP_IO_WRITE ? POLLOUT : POLLIN) ? LP_WATCH_BLOCKS : -EAGAIN;
}

/* A pipe that nobody reads sends a signal to the thread, and there is no flag against that. loomp's
 * own threads block all signals for ever; one of the application's, whose loop is attached, must
 * not find it when its mask is restored. */
static ssize_t write_to_pipe(struct lp_io *io, void *at, size_t bytes)
{
    sigset_t signal, mask, pending;
    sigemptyset(&signal);
    sigaddset(&signal, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &signal, &mask);
    ssize_t count = call_file(io, at, bytes);
    if (count == -EPIPE && !was_pending) {
        sigtimedwait(&signal, NULL, &(struct timespec){0, 0});
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return count;
}

static ssize_t call_once(struct lp_io *io, void *at, size_t bytes)
{
    if (io->file == FILE_SOCKET) {
        return call_socket(io, at, bytes);
    }
    return is_pipe(io) && io->what == LP_IO_WRITE && lp_loop_is_attached(lp_self.loop)
               ? write_to_pipe(io, at, bytes)
               : call_file(io, at, bytes);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* So many have been moved by a call; whether the operation is over. */
static bool is_complete(struct lp_io *io, size_t count)
{
    io->moved += count;
    if (io->offset != LOOMP_IO_HERE) {
        io->offset += (off_t)count;
    }
    return io->what == LP_IO_READ || io->moved == io->bytes || count == 0;
}

/* Moves a piece, if that can be done without waiting. */
static int64_t move(struct lp_io *io)
{
    if (io->bytes == 0 && io->file == FILE_SOCKET && io->what != LP_IO_WRITE) {
        return fcntl(io->fd, F_GETFL) < 0 ? -errno : 0; /* the call would wait for data */
    }
    uint64_t from = io->moved;
    do {
        uint64_t left = io->bytes - io->moved;
        ssize_t count = call_once(io, rest_of(io), left < PIECE_BYTES ? left : PIECE_BYTES);
        if (count == LP_WATCH_BLOCKS) {
            return count;
        }
        if (is_again((int)-count)) {
            return LP_WATCH_AGAIN;
        }
        if (count < 0 && count != -EINTR) {
            return result_of_failure(io, count);
        }
        if (count >= 0 && is_complete(io, (size_t)count)) {
            return (int64_t)io->moved;
        }
    } while (io->moved - from < PIECE_BYTES);
    return LP_WATCH_MORE;
}

int64_t lp_io_at_once(const struct lp_io *io)
{
    if (io->what == LP_IO_WRITE || io->offset == LOOMP_IO_HERE || io->bytes > AT_ONCE_BYTES) {
        return LP_WATCH_AGAIN;
    }
    ssize_t count = call(io, io->buffer, io->bytes, RWF_NOWAIT);
    /* Less may be the end, or all that is in the cache. */
    return count == 0 || count == (ssize_t)io->bytes ? count : LP_WATCH_AGAIN;
}

int64_t lp_io_perform(struct lp_io *io)
{
    for (;;) {
        if (io->is_unwanted && io->is_unwanted(io)) {
            return result_of(io, -ECANCELED);
        }
        uint64_t left = io->bytes - io->moved;
        bool at_once = io->what == LP_IO_READ || left < POOL_PIECE_BYTES;
        ssize_t count;
        do {
            count = call(io, rest_of(io), at_once ? left : POOL_PIECE_BYTES, 0);
        } while (count == -EINTR);
        if (count < 0) {
            return result_of(io, count);
        }
        if (is_complete(io, (size_t)count)) {
            return (int64_t)io->moved;
        }
    }
}

/* ---- the others ------------------------------------------------------------------------------ */

static int64_t look(const struct lp_io *io)
{
    struct pollfd poll_fd = {
        .fd = io->fd,
        .events = (short)((io->events & LOOMP_IO_READABLE ? POLLIN : 0) |
                          (io->events & LOOMP_IO_WRITABLE ? POLLOUT : 0)),
    };
    if (io->fd < 0) {
        return -EBADF; /* poll() passes over those */
    }
    int count = poll(&poll_fd, 1, 0);
    if (count <= 0) {
        return count < 0 && errno != EINTR ? -errno : LP_WATCH_AGAIN;
    }
    if (poll_fd.revents & POLLNVAL) {
        return -EBADF;
    }
    if (poll_fd.revents & (POLLERR | POLLHUP)) {
        return io->events; /* the next call does not wait, whatever it is */
    }
    return (poll_fd.revents & POLLIN ? LOOMP_IO_READABLE : 0) |
           (poll_fd.revents & POLLOUT ? LOOMP_IO_WRITABLE : 0);
}

/* Nothing is there yet: whether anything ever can be. */
static int64_t check_listener(const struct lp_io *io)
{
    int listens;
    socklen_t length = sizeof listens;
    if (getsockopt(io->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length)) {
        return -errno;
    }
    return listens ? LP_WATCH_AGAIN : -EINVAL;
}

/* A descriptor, or a negative errno value. */
static int call_accept(const struct lp_io *io)
{
    int fd;
    do {
        fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd < 0 ? -errno : fd;
}

static int64_t accept_one(const struct lp_io *io)
{
    int mode = fcntl(io->fd, F_GETFL);
    if (mode >= 0 && !(mode & O_NONBLOCK)) {
        return is_ready(io, POLLIN) ? LP_WATCH_BLOCKS : check_listener(io);
    }
    int fd = call_accept(io);
    return is_again(-fd) ? LP_WATCH_AGAIN : fd;
}

static int64_t sleep_until(struct lp_io *io)
{
    if (io->watch.alarm || lp_clock_ns() >= io->when_ns) {
        return 0;
    }
    int err = lp_watch_at(&io->watch, io->when_ns);
    return err ? err : LP_WATCH_AGAIN;
}

static int64_t reap(struct lp_io *io)
{
    int status;
    pid_t pid;
    do {
        pid = waitpid(io->pid, &status, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid > 0) {
        if (io->wait_status) {
            *io->wait_status = status;
        }
        return 0;
    }
    if (pid < 0) {
        return -errno;
    }
    if (io->watch.fd < 0) {
        io->watch.fd = (int)syscall(SYS_pidfd_open, io->pid, 0);
        if (io->watch.fd < 0) {
            return -errno;
        }
    }
    return LP_WATCH_AGAIN;
}

static int64_t call_fn(const struct lp_io *io)
{
    lp_self.inside++;
    int result = io->fn(io->arg);
    lp_self.inside--;
    return result;
}

/* ---- on a loop ------------------------------------------------------------------------------- */

static int64_t attempt(struct lp_watch *watch)
{
    struct lp_io *io = io_of(watch);
    if (io->file == FILE_WITHOUT_POOL) {
        return -io->error;
    }
    switch ((enum lp_io_what)io->what) {
    case LP_IO_READY:
        return look(io);
    case LP_IO_ACCEPT:
        return accept_one(io);
    case LP_IO_SLEEP:
        return sleep_until(io);
    case LP_IO_CHILD:
        return reap(io);
    case LP_IO_CALL:
        return call_fn(io);
    default:
        return move(io);
    }
}

static bool is_unwanted(struct lp_watch *watch)
{
    struct lp_io *io = io_of(watch);
    return io->is_unwanted && io->is_unwanted(io);
}

static int64_t give_up(struct lp_watch *watch, int64_t error)
{
    return moves_bytes(io_of(watch)) ? result_of(io_of(watch), error) : error;
}

static void ended(struct lp_watch *watch, int64_t result)
{
    struct lp_io *io = io_of(watch);
    if (io->what == LP_IO_CHILD && watch->fd >= 0) {
        close(watch->fd);
    }
    io->finished(io, result); /* the operation may be gone from here on */
}

static int send_away(struct lp_watch *watch);

static const struct lp_watch_ops ops = {attempt, send_away, is_unwanted, give_up, ended};

static uint8_t waits_for(const struct lp_io *io)
{
    switch ((enum lp_io_what)io->what) {
    case LP_IO_WRITE:
        return LP_WATCH_WRITABLE;
    case LP_IO_READY:
        return io->events == LOOMP_IO_READABLE   ? LP_WATCH_READABLE
               : io->events == LOOMP_IO_WRITABLE ? LP_WATCH_WRITABLE
                                                 : LP_WATCH_EITHER;
    case LP_IO_SLEEP:
    case LP_IO_CALL:
        return LP_WATCH_TIME;
    default:
        return LP_WATCH_READABLE;
    }
}

/* ---- on the pool ----------------------------------------------------------------------------- */

/* Operations without a job are told from jobs, in the pool's queues, by the lowest bit; errands for
 * an operation that waits on a loop by the next one too. */
#define IO_BIT ((uintptr_t)1)
#define ERRAND_BIT ((uintptr_t)2)

_Static_assert(_Alignof(struct lp_io) > ERRAND_BIT && _Alignof(loomp_job) > ERRAND_BIT,
               "the bits are free");

/* One call, which a thread of the pool makes and the operation's loop then evaluates. Until that
 * has it back, only that thread touches the operation. */
struct errand {
    union {
        struct lp_overflow_link late;
        struct lp_item item; /* on its way back */
    };
    struct lp_io *io;
    int64_t result; /* of the call */
};

_Static_assert(sizeof(struct errand) <= LP_OBJECT_BYTES, "an errand is an object of the pool");

/* On the loop. */
static void evaluate(struct lp_item *item)
{
    struct errand *errand = (struct errand *)(void *)item;
    struct lp_io *io = errand->io;
    int64_t result = errand->result;
    lp_object_give(errand);
    if (result == -EINTR || is_again((int)-result)) {
        result = LP_WATCH_AGAIN;
    } else if (moves_bytes(io)) {
        result = result < 0                        ? result_of_failure(io, result)
                 : is_complete(io, (size_t)result) ? (int64_t)io->moved
                                                   : LP_WATCH_MORE;
    }
    lp_watch_return(&io->watch, result); /* the operation may be gone from here on */
}

static void run_errand(struct errand *errand)
{
    struct lp_io *io = errand->io;
    errand->result =
        io->what == LP_IO_ACCEPT ? call_accept(io) : call(io, rest_of(io), piece_of(io), 0);
    errand->item.run = evaluate;
    lp_loop_push(io->watch.loop, &errand->item); /* the operation may be gone from here on */
}

bool lp_is_io(const void *item)
{
    return (uintptr_t)item & IO_BIT;
}

void lp_io_run(void *item)
{
    if ((uintptr_t)item & ERRAND_BIT) {
        run_errand((struct errand *)((uintptr_t)item - (IO_BIT | ERRAND_BIT)));
        return;
    }
    struct lp_io *io = (struct lp_io *)((uintptr_t)item - IO_BIT);
    bool wished = atomic_load_explicit(&io->cancelled, memory_order_relaxed);
    io->finished(io, wished ? -ECANCELED : lp_io_perform(io)); /* it may be gone from here on */
}

/* What the item is of may be gone when this returns. */
static void start_on_pool(struct loomp_pool *pool, void *item, struct lp_overflow_link *late)
{
    struct lp_ticket ticket = {NULL, LP_NO_POSITION}; /* nobody withdraws it */
    if (!lp_pool_push_serial(pool, LOOMP_NORMAL, item, NULL, true, &ticket)) {
        lp_overflow_put(&pool->late_serial, late, item, NULL);
    }
    lp_teams_wake_for_serial(pool);
}

static int send_away(struct lp_watch *watch)
{
    struct loomp_pool *pool = lp_loop_runtime(watch->loop)->blocking;
    int err = lp_blocking_team_prepare(pool);
    struct errand *errand = err ? NULL : lp_object_take();
    if (!errand) {
        return err ? err : -ENOMEM;
    }
    errand->io = io_of(watch);
    start_on_pool(pool, (void *)((uintptr_t)errand | IO_BIT | ERRAND_BIT), &errand->late);
    return 0;
}

/* ---- any thread ------------------------------------------------------------------------------ */

void lp_io_classify(struct lp_io *io)
{
    struct stat file;
    io->file = FILE_OTHER;
    if (moves_bytes(io) && !fstat(io->fd, &file)) {
        io->file = S_ISSOCK(file.st_mode)   ? FILE_SOCKET
                   : S_ISFIFO(file.st_mode) ? FILE_PIPE
                   : S_ISCHR(file.st_mode)  ? FILE_OTHER
                                            : FILE_ON_POOL;
        /* Descriptors without a file of their own (eventfd, timerfd, ...) have no type at all. */
        if (!(file.st_mode & S_IFMT)) {
            io->file = FILE_OTHER;
        }
    }
}

bool lp_io_is_for_pool(const struct lp_io *io)
{
    return io->file == FILE_ON_POOL;
}

void lp_io_bind(loomp_loop *loop, struct lp_io *io)
{
    io->watch.ops = &ops;
    io->watch.waits_for = waits_for(io);
    io->watch.fd =
        moves_bytes(io) || io->what == LP_IO_READY || io->what == LP_IO_ACCEPT ? io->fd : -1;
    if (io->what == LP_IO_SLEEP) {
        io->when_ns = io->seconds > 0 ? lp_clock_deadline_ns(io->seconds) : 0;
    }
    lp_watch_init(&io->watch, loop);
}

void lp_io_watch(struct lp_io *io)
{
    lp_watch_start(&io->watch); /* the operation may be gone from here on */
}

void lp_io_start(loomp_runtime *runtime, loomp_loop *loop, struct lp_io *io)
{
    io->moved = 0;
    lp_io_classify(io);
    if (lp_io_is_for_pool(io)) {
        atomic_init(&io->cancelled, 0);
        int err = lp_blocking_team_prepare(runtime->blocking);
        if (!err) {
            start_on_pool(runtime->blocking, (void *)((uintptr_t)io | IO_BIT), &io->late);
            return;
        }
        io->file = FILE_WITHOUT_POOL; /* no thread: a loop says so, since nothing ends in here */
        io->error = (uint8_t)-err;
    }
    lp_io_bind(loop ? loop : runtime->first_loop, io);
    lp_io_watch(io);
}

void lp_io_cancel(struct lp_io *io)
{
    if (lp_io_is_for_pool(io)) {
        atomic_store_explicit(&io->cancelled, 1, memory_order_relaxed);
    } else {
        lp_watch_cancel(&io->watch);
    }
}

void lp_ios_reconsider(void)
{
    lp_watches_reconsider();
}
