/* SPDX-License-Identifier: MIT */
/* Owns what waits for descriptors, and for times, on a loop. The loop's thread enters, but for
 * start, cancel and reconsider, which any thread calls.
 *
 * Descriptors are not given to libev, which ends the process when one of them has been closed at
 * the wrong moment, but to an epoll instance of the loop's own, which libev watches. Each wait arms
 * its descriptor for one event. So a registration that nobody can take back, because the descriptor
 * was closed and its file is still open somewhere, makes itself known once at most; but for sockets
 * with something in their queue of errors, which are ready for ever: those stay armed for changes.
 *
 *   phase      until
 *   STARTED    its item has come out of the loop's stack
 *   TRIED      it ends, or waits; attempt is under way
 *   WAITS      it ends; it is in a queue of its descriptor's, or among those that wait for a time
 *   AWAY       another thread has made it; it is the first in its queue, and nobody passes it
 *
 * The end against a wish that it ends: both are a bit in `state`, set by an atomic or. If the end
 * comes first, the wish is dropped. If the wish does, its item is on the loop's stack, and the
 * watch is kept until that has come out, although it may have ended meanwhile. */
#include "loop/watch.h"

#include "base/object_pool.h"
#include "base/platform.h"
#include "loop/alarm.h"
#include "loop/loop.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    PHASE_STARTED = 0,
    PHASE_TRIED,
    PHASE_WAITS,
    PHASE_AWAY
};

/* In `state`. WISHED is set by who wishes, ENDED and ARRIVED (the wish's item has come) by the
 * loop. acq_rel: who comes second sees what the first has written. */
enum {
    ENDED = 1,
    WISHED = 2,
    ARRIVED = 4
};

enum {
    EVENTS = 64,      /* in one turn; more of them come in the next */
    SPOTS = 512,      /* in a block, which is made when one of its descriptors is waited for */
    TURN_NS = 200000, /* as long as the loop's own batches: then others get their turn */
    NONE = -1         /* no descriptor */
};

struct queue {
    struct lp_watch *first, *last;
};

/* What waits for one descriptor. */
struct spot {
    struct queue queues[3]; /* by enum lp_watch_for, without LP_WATCH_TIME */
    uint32_t armed;         /* for these events of epoll's; 0 when nothing waits */
    bool known;             /* it has been given to epoll; it may have been closed since */
    bool goes_on;           /* it is in the list of those that are to go on */
    bool in_use;            /* it is in the list of those in use */
    bool noisy : 1;         /* its last event was an error alone, which may never go away */
    bool stays : 1;         /* it is armed for changes, and one event does not end that */
    int next;               /* that are to go on */
    int next_used;
};

struct lp_watcher {
    struct lp_watcher *next;
    loomp_loop *loop;
    struct ev_loop *ev;
    int epoll; /* -1: not needed yet */
    ev_io ready;
    struct spot **blocks; /* by descriptor, SPOTS in each; NULL: none has been waited for */
    int block_count;
    int used; /* the first of those that something may wait for */
    struct queue timed;
    uint64_t until_ns;         /* of lp_now_ns: then others get their turn */
    struct lp_item turn;       /* on the loop's stack while the list is not empty */
    int goes_on, goes_on_last; /* for which there is more to be done, in the order of turns */
    /* Set by who wants its watches to be asked (release), who then wakes the loop; taken back by
     * the loop (acquire) before it asks. */
    _Atomic uint32_t called;
};

/* Guards the list of all watchers; on no hot path. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lp_watcher *watchers;

/* ---- queues ---------------------------------------------------------------------------------- */

static void append(struct queue *queue, struct lp_watch *watch)
{
    watch->next = NULL;
    watch->before = queue->last;
    *(queue->last ? &queue->last->next : &queue->first) = watch;
    queue->last = watch;
}

static void take_out(struct queue *queue, struct lp_watch *watch)
{
    *(watch->before ? &watch->before->next : &queue->first) = watch->next;
    *(watch->next ? &watch->next->before : &queue->last) = watch->before;
}

static bool is_known(const struct lp_watcher *watcher, int fd)
{
    return fd >= 0 && fd / SPOTS < watcher->block_count && watcher->blocks[fd / SPOTS];
}

static struct spot *spot_of(const struct lp_watcher *watcher, int fd)
{
    return &watcher->blocks[fd / SPOTS][fd % SPOTS];
}

static unsigned index_of(const struct lp_watch *watch)
{
    return watch->waits_for - LP_WATCH_READABLE;
}

static struct queue *queue_of(struct lp_watcher *watcher, const struct lp_watch *watch)
{
    return watch->waits_for == LP_WATCH_TIME
               ? &watcher->timed
               : &spot_of(watcher, watch->fd)->queues[index_of(watch)];
}

/* Makes room for a descriptor. */
static bool has_spot(struct lp_watcher *watcher, int fd)
{
    if (fd < 0 || is_known(watcher, fd)) {
        return fd >= 0;
    }
    if (fd / SPOTS >= watcher->block_count) {
        int count = watcher->block_count ? watcher->block_count : 8;
        while (count <= fd / SPOTS) {
            count *= 2; /* INT_MAX / SPOTS are the most */
        }
        struct spot **blocks = realloc(watcher->blocks, (size_t)count * sizeof *blocks);
        if (!blocks) {
            return false;
        }
        for (int i = watcher->block_count; i < count; i++) {
            blocks[i] = NULL;
        }
        watcher->blocks = blocks;
        watcher->block_count = count;
    }
    struct spot **block = &watcher->blocks[fd / SPOTS];
    *block = calloc(SPOTS, sizeof **block);
    return *block;
}

static void use_spot(struct lp_watcher *watcher, int fd)
{
    struct spot *spot = spot_of(watcher, fd);
    if (!spot->in_use) {
        spot->in_use = true;
        spot->next_used = watcher->used;
        watcher->used = fd;
    }
}

/* What is away needs no event: its end goes on with the queue. */
static bool waits_in(const struct queue *queue)
{
    return queue->first && queue->first->phase != PHASE_AWAY;
}

static uint32_t events_wanted(const struct spot *spot)
{
    return (waits_in(&spot->queues[0]) || spot->queues[2].first ? EPOLLIN : 0u) |
           (waits_in(&spot->queues[1]) || spot->queues[2].first ? EPOLLOUT : 0u);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void tell(struct lp_watch *watch, int64_t result)
{
    loomp_loop *loop = watch->loop;
    watch->ops->ended(watch, result); /* the watch may be gone from here on */
    lp_loop_settle(loop);
}

/* It is in no queue. */
static void end(struct lp_watch *watch, int64_t result)
{
    if (watch->alarm) {
        lp_alarm_drop(watch->alarm);
        watch->alarm = NULL;
    }
    watch->result = result;
    uint8_t before = atomic_fetch_or_explicit(&watch->state, ENDED, memory_order_acq_rel);
    if (!(before & WISHED) || before & ARRIVED) {
        tell(watch, result);
    }
}

static void give_up(struct lp_watch *watch, int64_t error)
{
    end(watch, watch->ops->give_up(watch, error));
}

static void leave_queue(struct lp_watcher *watcher, struct lp_watch *watch)
{
    take_out(queue_of(watcher, watch), watch);
    watch->phase = PHASE_TRIED;
    if (watch->waits_for != LP_WATCH_TIME) {
        struct spot *spot = spot_of(watcher, watch->fd);
        if (!events_wanted(spot)) {
            spot->armed = 0; /* its owner may close it now: what epoll knows is not certain */
        }
    }
}

/* One that waits ends early. If its owner closes the descriptor, or has done so too early, others
 * that wait for the same number, now another file's, must not rely on what epoll knows: rearm is to
 * follow. */
static void break_off(struct lp_watcher *watcher, struct lp_watch *watch, int64_t error)
{
    int fd = watch->waits_for == LP_WATCH_TIME ? NONE : watch->fd;
    leave_queue(watcher, watch);
    give_up(watch, error); /* the watch may be gone from here on */
    if (fd != NONE) {
        spot_of(watcher, fd)->armed = 0;
    }
}

static void arm_if_needed(struct lp_watcher *watcher, int fd);

static void rearm(struct lp_watcher *watcher, int fd)
{
    if (!spot_of(watcher, fd)->armed && !spot_of(watcher, fd)->goes_on) {
        arm_if_needed(watcher, fd);
    }
}

void lp_watch_end(struct lp_watch *watch, int64_t error)
{
    switch (watch->phase) {
    case PHASE_STARTED:
    case PHASE_AWAY:
        watch->doom = (uint8_t)-error;
        break;
    case PHASE_WAITS: {
        struct lp_watcher *watcher = lp_loop_watcher(watch->loop);
        int fd = watch->waits_for == LP_WATCH_TIME ? NONE : watch->fd;
        break_off(watcher, watch, error); /* the watch may be gone from here on */
        if (fd != NONE) {
            rearm(watcher, fd);
        }
        break;
    }
    default: /* attempt runs further down on this stack, and gives a result */
        break;
    }
}

static void hear_wish(struct lp_item *item)
{
    struct lp_watch *watch =
        (struct lp_watch *)(void *)((char *)item - offsetof(struct lp_watch, wish));
    uint8_t before = atomic_fetch_or_explicit(&watch->state, ARRIVED, memory_order_acq_rel);
    if (before & ENDED) {
        tell(watch, watch->result);
    } else {
        lp_watch_end(watch, -ECANCELED);
    }
}

void lp_watch_cancel(struct lp_watch *watch)
{
    uint8_t before = atomic_fetch_or_explicit(&watch->state, WISHED, memory_order_acq_rel);
    if (!(before & (WISHED | ENDED))) {
        watch->wish.run = hear_wish;
        lp_loop_push(watch->loop, &watch->wish); /* the watch may be gone from here on */
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void give_up_all(struct lp_watcher *watcher, int fd, int64_t error)
{
    for (unsigned i = 0; i < 3; i++) {
        struct lp_watch *next;
        for (struct lp_watch *watch = spot_of(watcher, fd)->queues[i].first; watch; watch = next) {
            next = watch->next;
            if (watch->phase != PHASE_AWAY) {
                leave_queue(watcher, watch);
                give_up(watch, error);
            }
        }
    }
}

static void serve(struct lp_watcher *watcher, int fd, uint32_t events);
static void let_go_on(struct lp_watcher *watcher, int fd);
static int arm(struct lp_watcher *watcher, int fd, uint32_t events);

static void begin_turn(struct lp_watcher *watcher)
{
    watcher->until_ns = lp_now_ns() + TURN_NS;
}

static bool turn_is_over(const struct lp_watcher *watcher)
{
    return lp_now_ns() >= watcher->until_ns;
}

static void note_event(struct lp_watcher *watcher, int fd, uint32_t events)
{
    struct spot *spot = spot_of(watcher, fd);
    bool noisy = events & EPOLLERR && !(events & (EPOLLIN | EPOLLOUT));
    if (!noisy || !spot->stays) {
        spot->armed = 0;
    }
    spot->noisy = noisy;
    if (turn_is_over(watcher)) {
        let_go_on(watcher, fd);
    } else {
        serve(watcher, fd, events);
    }
    if (spot->stays && !events_wanted(spot)) {
        arm(watcher, fd, 0); /* a last event at most; if it fails, more of them come, in vain */
    }
}

static void on_ready(struct ev_loop *ev, ev_io *io, int revents)
{
    (void)ev;
    (void)revents;
    struct lp_watcher *watcher = io->data;
    struct epoll_event events[EVENTS];
    int count = epoll_wait(watcher->epoll, events, EVENTS, 0);
    begin_turn(watcher);
    for (int i = 0; i < count; i++) {
        note_event(watcher, events[i].data.fd, events[i].events);
    }
}

/* 0 or a negative errno value. */
static int open_epoll(struct lp_watcher *watcher)
{
    watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (watcher->epoll < 0) {
        return -errno;
    }
    ev_io_init(&watcher->ready, on_ready, watcher->epoll, EV_READ);
    watcher->ready.data = watcher;
    ev_io_start(watcher->ev, &watcher->ready);
    ev_unref(watcher->ev);
    return 0;
}

static int arm(struct lp_watcher *watcher, int fd, uint32_t events)
{
    struct spot *spot = spot_of(watcher, fd);
    int err = watcher->epoll < 0 ? open_epoll(watcher) : 0;
    if (err) {
        return err;
    }
    bool stays = spot->noisy && events;
    struct epoll_event event = {.events = events | (stays ? EPOLLET : EPOLLONESHOT), .data.fd = fd};
    err = epoll_ctl(watcher->epoll, spot->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    if (err && (spot->known ? errno == ENOENT : errno == EEXIST)) {
        /* Closed, and another is open under its number now; or the other way round. */
        err = epoll_ctl(watcher->epoll, spot->known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    }
    spot->known = !err;
    spot->armed = err ? 0 : events;
    spot->stays = stays && !err;
    return err ? -errno : 0;
}

/* After a change of its queues. */
static void arm_if_needed(struct lp_watcher *watcher, int fd)
{
    struct spot *spot = spot_of(watcher, fd);
    uint32_t wanted = events_wanted(spot);
    if (wanted & ~spot->armed) {
        int err = arm(watcher, fd, wanted);
        if (err) {
            give_up_all(watcher, fd, err);
        }
    }
}

static void go_on(struct lp_item *item);

static void let_go_on(struct lp_watcher *watcher, int fd)
{
    struct spot *spot = spot_of(watcher, fd);
    if (spot->goes_on) {
        return;
    }
    spot->goes_on = true;
    spot->next = NONE;
    if (watcher->goes_on == NONE) {
        watcher->goes_on = fd;
        watcher->turn.run = go_on;
        lp_loop_push(watcher->loop, &watcher->turn);
    } else {
        spot_of(watcher, watcher->goes_on_last)->next = fd;
    }
    watcher->goes_on_last = fd;
}

/* The first of its queue can be made, on another thread. */
static void send(struct lp_watcher *watcher, struct lp_watch *watch)
{
    watch->phase = PHASE_AWAY; /* first, since it may come back at once */
    int err = watch->ops->send(watch);
    if (err) {
        leave_queue(watcher, watch);
        give_up(watch, err);
    }
}

/* Tries what waits there, in its order, as far as that goes; true: there is more to be done. */
static bool try_queue(struct lp_watcher *watcher, int fd, unsigned index)
{
    struct queue *queue = &spot_of(watcher, fd)->queues[index];
    while (waits_in(queue)) {
        struct lp_watch *watch = queue->first;
        int64_t result = watch->ops->attempt(watch);
        if (result == LP_WATCH_AGAIN || result == LP_WATCH_MORE) {
            return result == LP_WATCH_MORE;
        }
        if (result == LP_WATCH_BLOCKS) {
            send(watcher, watch);
        } else {
            leave_queue(watcher, watch);
            end(watch, result);
        }
        if (waits_in(queue) && turn_is_over(watcher)) {
            return true;
        }
    }
    return false;
}

/* Of those that wait for either direction none is before another. */
static void try_each(struct lp_watcher *watcher, int fd, unsigned index)
{
    struct lp_watch *next;
    for (struct lp_watch *watch = spot_of(watcher, fd)->queues[index].first; watch; watch = next) {
        next = watch->next;
        int64_t result = watch->ops->attempt(watch);
        if (result != LP_WATCH_AGAIN) {
            leave_queue(watcher, watch);
            end(watch, result);
        }
    }
}

static void serve(struct lp_watcher *watcher, int fd, uint32_t events)
{
    bool more = false;
    try_each(watcher, fd, 2);
    if (events & ~(uint32_t)EPOLLOUT) { /* errors and the other side's end concern both */
        more = try_queue(watcher, fd, 0);
    }
    if (events & ~(uint32_t)EPOLLIN) {
        more = try_queue(watcher, fd, 1) || more;
    }
    if (more) {
        let_go_on(watcher, fd);
    } else {
        arm_if_needed(watcher, fd);
    }
}

static void go_on(struct lp_item *item)
{
    struct lp_watcher *watcher =
        (struct lp_watcher *)(void *)((char *)item - offsetof(struct lp_watcher, turn));
    int fd = watcher->goes_on;
    struct spot *spot = spot_of(watcher, fd);
    watcher->goes_on = spot->next;
    spot->goes_on = false;
    if (watcher->goes_on != NONE) {
        lp_loop_push(watcher->loop, &watcher->turn); /* behind what others have pushed meanwhile */
    }
    begin_turn(watcher);
    serve(watcher, fd, EPOLLIN | EPOLLOUT);
}

/* ---- times ----------------------------------------------------------------------------------- */

struct timer {
    struct lp_alarm alarm;
    struct lp_watch *watch;
};

_Static_assert(sizeof(struct timer) <= LP_OBJECT_BYTES, "a timer is an object of the pool");

static void on_time(struct lp_alarm *alarm)
{
    struct lp_watch *watch = ((struct timer *)(void *)alarm)->watch;
    leave_queue(lp_loop_watcher(watch->loop), watch);
    end(watch, watch->ops->attempt(watch));
}

int lp_watch_at(struct lp_watch *watch, uint64_t when_ns)
{
    struct timer *timer = lp_object_take();
    if (!timer) {
        return -ENOMEM;
    }
    lp_alarm_init(&timer->alarm, watch->loop, on_time);
    timer->alarm.when_ns = when_ns;
    timer->watch = watch;
    watch->alarm = &timer->alarm;
    lp_alarm_set(&timer->alarm);
    return 0;
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* attempt has said why it does not end now. */
static void wait(struct lp_watcher *watcher, struct lp_watch *watch, int64_t reason)
{
    int fd = watch->fd;
    bool timed = watch->waits_for == LP_WATCH_TIME;
    if (!timed && !has_spot(watcher, fd)) {
        give_up(watch, -ENOMEM);
        return;
    }
    watch->phase = PHASE_WAITS;
    append(queue_of(watcher, watch), watch);
    if (timed) {
        return;
    }
    use_spot(watcher, fd);
    if (reason == LP_WATCH_MORE) {
        let_go_on(watcher, fd);
    } else if (reason == LP_WATCH_BLOCKS) {
        send(watcher, watch);
    } else if (!spot_of(watcher, fd)->goes_on) {
        arm_if_needed(watcher, fd); /* the watch may be gone from here on */
    }
}

void lp_watch_return(struct lp_watch *watch, int64_t result)
{
    struct lp_watcher *watcher = lp_loop_watcher(watch->loop);
    int fd = watch->fd;
    bool ends = result != LP_WATCH_AGAIN && result != LP_WATCH_MORE;
    int error = ends                             ? 0
                : watch->doom                    ? -watch->doom
                : watch->ops->is_unwanted(watch) ? -ECANCELED
                                                 : 0;
    watch->phase = PHASE_WAITS;
    if (ends || error) {
        leave_queue(watcher, watch);
        if (ends) {
            end(watch, result);
        } else {
            give_up(watch, error);
        }
    }
    /* The watch may be gone from here on. */
    begin_turn(watcher);
    serve(watcher, fd, EPOLLIN | EPOLLOUT);
}

static bool has_to_queue(struct lp_watcher *watcher, const struct lp_watch *watch)
{
    return (watch->waits_for == LP_WATCH_READABLE || watch->waits_for == LP_WATCH_WRITABLE) &&
           is_known(watcher, watch->fd) && queue_of(watcher, watch)->first;
}

static void begin(struct lp_item *item)
{
    struct lp_watch *watch = (struct lp_watch *)(void *)item;
    /* The watcher first: it is known to who reconsiders before the watch is asked. */
    struct lp_watcher *watcher = lp_loop_watcher(watch->loop);
    /* relaxed: a wish that is on its way comes in any case */
    bool wished = atomic_load_explicit(&watch->state, memory_order_relaxed) & WISHED;
    int error = !watcher                                   ? -ENOMEM
                : watch->doom                              ? -watch->doom
                : wished || watch->ops->is_unwanted(watch) ? -ECANCELED
                                                           : 0;
    watch->phase = PHASE_TRIED;
    if (error) {
        give_up(watch, error);
        return;
    }
    int64_t result = has_to_queue(watcher, watch) ? LP_WATCH_AGAIN : watch->ops->attempt(watch);
    if (result == LP_WATCH_AGAIN || result == LP_WATCH_MORE || result == LP_WATCH_BLOCKS) {
        wait(watcher, watch, result);
    } else {
        end(watch, result);
    }
}

_Static_assert(offsetof(struct lp_watch, item) == 0, "begin finds the watch by its item");

void lp_watch_init(struct lp_watch *watch, loomp_loop *loop)
{
    watch->item.run = begin;
    watch->loop = loop;
    watch->alarm = NULL;
    watch->phase = PHASE_STARTED;
    watch->doom = 0;
    atomic_init(&watch->state, 0);
    lp_loop_expect(loop);
}

void lp_watch_start(struct lp_watch *watch)
{
    lp_loop_push(watch->loop, &watch->item); /* the watch may be gone from here on */
}

/* ---- asking ---------------------------------------------------------------------------------- */

void lp_watches_reconsider(void)
{
    pthread_mutex_lock(&lock);
    for (struct lp_watcher *watcher = watchers; watcher; watcher = watcher->next) {
        atomic_store_explicit(&watcher->called, 1, memory_order_release);
        lp_loop_nudge(watcher->loop);
    }
    pthread_mutex_unlock(&lock);
}

static void ask(struct lp_watcher *watcher, struct queue *queue)
{
    struct lp_watch *next;
    for (struct lp_watch *watch = queue->first; watch; watch = next) {
        next = watch->next;
        if (watch->phase != PHASE_AWAY && watch->ops->is_unwanted(watch)) {
            break_off(watcher, watch, -ECANCELED);
        }
    }
}

void lp_watcher_answer(struct lp_watcher *watcher)
{
    if (!watcher || !atomic_load_explicit(&watcher->called, memory_order_relaxed) ||
        !atomic_exchange_explicit(&watcher->called, 0, memory_order_acquire)) {
        return;
    }
    ask(watcher, &watcher->timed);
    int *at = &watcher->used;
    while (*at != NONE) {
        struct spot *spot = spot_of(watcher, *at);
        bool in_use = false;
        for (unsigned i = 0; i < 3; i++) {
            ask(watcher, &spot->queues[i]);
        }
        rearm(watcher, *at);
        for (unsigned i = 0; i < 3; i++) {
            in_use = in_use || spot->queues[i].first;
        }
        if (in_use) {
            at = &spot->next_used;
        } else {
            spot->in_use = false;
            *at = spot->next_used;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

struct lp_watcher *lp_watcher_new(loomp_loop *loop, struct ev_loop *ev)
{
    struct lp_watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher) {
        watcher->loop = loop;
        watcher->ev = ev;
        watcher->epoll = -1;
        watcher->goes_on = watcher->used = NONE;
        pthread_mutex_lock(&lock);
        watcher->next = watchers;
        watchers = watcher;
        pthread_mutex_unlock(&lock);
    }
    return watcher;
}

void lp_watcher_free(struct lp_watcher *watcher)
{
    if (!watcher) {
        return;
    }
    pthread_mutex_lock(&lock);
    struct lp_watcher **at = &watchers;
    while (*at != watcher) {
        at = &(*at)->next;
    }
    *at = watcher->next;
    pthread_mutex_unlock(&lock);
    if (watcher->epoll >= 0) {
        ev_ref(watcher->ev);
        ev_io_stop(watcher->ev, &watcher->ready);
        close(watcher->epoll);
    }
    for (int i = 0; i < watcher->block_count; i++) {
        free(watcher->blocks[i]);
    }
    free(watcher->blocks);
    free(watcher);
}
