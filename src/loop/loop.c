/* SPDX-License-Identifier: MIT */
/* Owns the libev loops. Everything runs on a loop's own thread, except push, expect, nudge,
 * look_at_alarms and describe, which any thread calls.
 *
 * Waking: another thread that pushes onto the empty stack sends the loop's ev_async. libev makes a system call
 * for that only if the loop is asleep or about to be: ev_async_send sets the watcher's flag, then
 * looks whether a wake-up is wanted; the loop announces that it wants one, then looks at the flag;
 * with full fences on both sides. */
#include "loop/loop.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/fp_control.h"
#include "base/futex.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "base/stopwatch.h"
#include "base/thread.h"
#include "loop/steps.h"
#include "loop/watch.h"
#include "placement/topology.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A turn of the loop runs no more completions than this before its watchers get theirs. */
enum { BATCH = 64, BATCH_NS = 200000 };

/* Of loomp_loop_at_exit. */
struct at_exit {
    struct lp_loop_exit exit;
    loomp_post_fn fn;
    void *arg;
};

struct loomp_loop {
    /* Pushed by anybody, taken by the loop. */
    struct lp_completions completions;

    /* Things that will still be pushed or run. Written by anybody; with an attached loop it decides
     * whether our watcher holds a reference. relaxed: the pushes themselves order the data. */
    LP_OWN_LINE _Atomic uint64_t expected;
    /* Threads that are pushing to an attached loop or waking it, which detach waits for: the item
     * may have been run before its pusher is through. (Loops of our own outlive their pushers.) */
    _Atomic uint32_t visitors;

    struct lp_alarms alarms;

    /* The loop's own. */
    LP_OWN_LINE struct ev_loop *ev;
    ev_async wake;
    ev_timer rest; /* the next turn: what a batch left, and what the loop pushes to itself */
    ev_timer alarm; /* active while an alarm is in the heap; never with a reference */
    uint64_t alarm_ns; /* what it was started for */
    ev_prepare before_sleep;
    ev_check after_sleep;
    struct lp_item *batch; /* taken, not yet run */
    struct lp_loop_exit *exits;
    struct lp_watcher *watcher; /* NULL until it is needed */
    bool attached;
    bool holds_reference;
    struct lp_meter events;
    struct lp_loop_view view;
    uint64_t asleep_ns; /* of lp_stopwatch_ns: when it last went to sleep */
    struct lp_loop_options options;
    lp_thread *thread;
    pthread_t owner;

    _Atomic uint32_t ending; /* set by stop, then wake */
    _Atomic uint32_t ready;  /* set by the thread: 1 it runs, 2 it failed */

    /* Written by the loop, read by anybody as a snapshot (relaxed). */
    _Atomic uint32_t state;
    _Atomic int32_t tid;
    _Atomic uint64_t jobs;
    char name[16];
    int cpu;

    struct lp_steps steps; /* of virtual time */
};

loomp_loop *loomp_loop_here(void)
{
    return lp_self.loop;
}

struct ev_loop *loomp_loop_ev(loomp_loop *loop)
{
    return loop->ev;
}

struct loomp_runtime *lp_loop_runtime(const loomp_loop *loop)
{
    return loop->options.runtime;
}

bool lp_loop_is_attached(const loomp_loop *loop)
{
    return loop->attached;
}

bool lp_loop_is_running(loomp_loop *loop)
{
    return ev_depth(loop->ev) > 0;
}

static void on_limit(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)watcher;
    (void)events;
}

void lp_loop_run_once(loomp_loop *loop, double limit_s)
{
    ev_timer limit;
    ev_ref(loop->ev); /* without a reference ev_run would not sleep */
    if (limit_s >= 0) {
        ev_now_update(loop->ev);
        ev_timer_init(&limit, on_limit, limit_s, 0.);
        ev_timer_start(loop->ev, &limit);
    }
    ev_run(loop->ev, EVRUN_ONCE);
    if (limit_s >= 0) {
        ev_timer_stop(loop->ev, &limit);
    }
    ev_unref(loop->ev);
}

void lp_loop_nudge(loomp_loop *loop)
{
    ev_async_send(loop->ev, &loop->wake);
}

/* On an attached loop our watcher keeps ev_run going only while something is expected. */
static void adjust_reference(loomp_loop *loop)
{
    if (!loop->attached) {
        return;
    }
    bool wanted = atomic_load_explicit(&loop->expected, memory_order_relaxed) > 0;
    if (wanted && !loop->holds_reference) {
        ev_ref(loop->ev);
    } else if (!wanted && loop->holds_reference) {
        ev_unref(loop->ev);
    }
    loop->holds_reference = wanted;
}

void lp_loop_expect(loomp_loop *loop)
{
    uint64_t before = atomic_fetch_add_explicit(&loop->expected, 1, memory_order_relaxed);
    if (loop->attached && before == 0) {
        if (lp_self.loop == loop) {
            adjust_reference(loop);
        } else {
            lp_loop_nudge(loop);
        }
    }
}

static void begin_visit(loomp_loop *loop)
{
    if (loop->attached) {
        atomic_fetch_add_explicit(&loop->visitors, 1, memory_order_relaxed);
    }
}

/* attached: as it was at the beginning; without it the loop may be gone. */
static void end_visit(loomp_loop *loop, bool attached)
{
    if (attached) {
        atomic_fetch_sub_explicit(&loop->visitors, 1, memory_order_release);
    }
}

void lp_loop_settle(loomp_loop *loop)
{
    bool attached = loop->attached;
    bool here = lp_self.loop == loop;
    begin_visit(loop);
    uint64_t before = atomic_fetch_sub_explicit(&loop->expected, 1, memory_order_release);
    if (attached && before == 1) {
        if (here) {
            adjust_reference(loop);
        } else {
            lp_loop_nudge(loop); /* to let go of its reference */
        }
    }
    end_visit(loop, attached);
}

/* Without a reference; it is given back when the timer fires or is stopped. */
static void start_rest(loomp_loop *loop)
{
    if (!ev_is_active(&loop->rest)) {
        ev_timer_set(&loop->rest, 0., 0.);
        ev_timer_start(loop->ev, &loop->rest);
        ev_unref(loop->ev);
    }
}

void lp_loop_push(loomp_loop *loop, struct lp_item *item)
{
    bool attached = loop->attached;
    begin_visit(loop);
    if (lp_completions_push(&loop->completions, item)) {
        if (lp_self.loop == loop) {
            start_rest(loop);
        } else {
            lp_loop_nudge(loop);
        }
    }
    end_visit(loop, attached);
}

/* ---- alarms -------------------------------------------------------------------------------------- */

struct lp_alarms *lp_loop_alarms(loomp_loop *loop)
{
    return &loop->alarms;
}

void lp_loop_look_at_alarms(loomp_loop *loop)
{
    if (lp_self.loop == loop) {
        start_rest(loop);
    } else {
        lp_loop_nudge(loop);
    }
}

static void stop_alarm(loomp_loop *loop)
{
    if (ev_is_active(&loop->alarm)) {
        ev_ref(loop->ev);
        ev_timer_stop(loop->ev, &loop->alarm);
    }
}

/* libev counts from the time that it last looked at its clock, so the timer may end too early, by as
 * long as callbacks have run since; it is then started again for the rest. It is never late. */
static void collect_alarms(loomp_loop *loop)
{
    uint64_t next_ns = lp_alarms_collect(&loop->alarms);
    if (ev_is_active(&loop->alarm) && loop->alarm_ns == next_ns) {
        return;
    }
    stop_alarm(loop);
    if (next_ns != UINT64_MAX && !lp_clock_is_virtual()) { /* else: lp_loop_run_ready */
        uint64_t now_ns = lp_clock_ns();
        loop->alarm_ns = next_ns;
        ev_timer_set(&loop->alarm, next_ns > now_ns ? (double)(next_ns - now_ns) / 1e9 : 0., 0.);
        ev_timer_start(loop->ev, &loop->alarm);
        ev_unref(loop->ev);
    }
}

static void on_alarm(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)events;
    loomp_loop *loop = watcher->data;
    ev_ref(ev); /* the timer has ended with the reference that we had taken from it */
    lp_alarms_ring(&loop->alarms, lp_clock_ns(), BATCH);
    collect_alarms(loop);
}

/* ---- watches ------------------------------------------------------------------------------------- */

struct lp_watcher *lp_loop_watcher(loomp_loop *loop)
{
    if (!loop->watcher) {
        loop->watcher = lp_watcher_new(loop, loop->ev);
    }
    return loop->watcher;
}

/* ---- turns --------------------------------------------------------------------------------------- */

/* Runs up to a batch; true if something is left. */
static bool run_batch(loomp_loop *loop)
{
    uint64_t deadline = lp_now_ns() + BATCH_NS;
    for (int i = 0; i < BATCH; i++) {
        if (!loop->batch) {
            loop->batch = lp_completions_take(&loop->completions);
            if (!loop->batch) {
                return false;
            }
        }
        struct lp_item *item = loop->batch;
        loop->batch = item->next;
        item->run(item); /* the item may be gone from here on */
        lp_meter_count(&loop->events, 1);
        lp_fp_restore(lp_self.fp_control);
        atomic_store_explicit(&loop->jobs,
                              atomic_load_explicit(&loop->jobs, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        if (i % 4 == 3 && lp_now_ns() > deadline) {
            break;
        }
    }
    return loop->batch || !lp_completions_empty(&loop->completions);
}

static void turn(loomp_loop *loop)
{
    if (lp_alarms_wait_for_loop(&loop->alarms)) {
        collect_alarms(loop);
    }
    lp_watcher_answer(loop->watcher);
    if (run_batch(loop)) {
        start_rest(loop); /* the application's watchers come first */
    } else if (atomic_load_explicit(&loop->ending, memory_order_acquire)) {
        ev_break(loop->ev, EVBREAK_ALL);
    }
    adjust_reference(loop); /* somebody else may have expected something */
}

static void on_wake(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev;
    (void)events;
    turn(watcher->data);
}

/* A timer of the lowest priority and not the ev_async: libev's own watcher for that has the highest,
 * so a loop that kept sending to itself would never run an idle watcher of the application's. */
static void on_rest(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)events;
    ev_ref(ev); /* the timer has ended with the reference that we had taken from it */
    turn(watcher->data);
}

static void on_before_sleep(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    (void)ev;
    (void)events;
    loomp_loop *loop = watcher->data;
    atomic_store_explicit(&loop->state, LOOMP_STATE_PARKED, memory_order_relaxed);
    loop->asleep_ns = lp_stopwatch_ns();
}

/* A turn has gone by, and a sleep: the longer both, the more they say. */
static void count_turn(loomp_loop *loop, uint64_t now_ns)
{
    uint64_t from_ns = loop->view.turn_ns, asleep_ns = loop->asleep_ns;
    if (from_ns && asleep_ns >= from_ns && now_ns > asleep_ns) {
        double all = (double)(now_ns - from_ns);
        double part = (double)(asleep_ns - from_ns) / all;
        loop->view.load.busy += (part - loop->view.load.busy) * all / (all + LP_METER_NS);
    }
}

/* Callbacks that this turn is still to call, without ours. */
static double events_of(const loomp_loop *loop)
{
    unsigned own = ev_is_pending(&loop->rest) + (ev_async_pending(&loop->wake) != 0);
    unsigned pending = ev_pending_count(loop->ev);
    return pending > own ? pending - own : 0;
}

static void on_after_sleep(struct ev_loop *ev, ev_check *watcher, int events)
{
    (void)ev;
    (void)events;
    loomp_loop *loop = watcher->data;
    atomic_store_explicit(&loop->state, LOOMP_STATE_BUSY, memory_order_relaxed);
    uint64_t now_ns = lp_stopwatch_ns();
    count_turn(loop, now_ns);
    loop->view.turn_ns = now_ns;
    loop->view.load.spent_ns = 0;
    /* What is pending is what this turn brings: this callback comes before all others. */
    lp_meter_add(&loop->events, loop->view.turn_ns, events_of(loop));
    loop->view.load.rate = lp_meter_rate(&loop->events);
}

const struct lp_loop_view *lp_loop_look(loomp_loop *loop)
{
    enum { COUNTED = 8 }; /* completions: more of them make no difference */
    double ready = events_of(loop);
    unsigned batch = 0;
    for (struct lp_item *item = loop->batch; item && batch < COUNTED; item = item->next) {
        batch++;
    }
    loop->view.load.ready = ready + batch;
    return &loop->view;
}

void lp_loop_discount(loomp_loop *loop)
{
    lp_meter_count(&loop->events, -1);
}

void lp_loop_spend(loomp_loop *loop, double ns)
{
    loop->view.load.spent_ns += ns;
}

/* libev ends the process when it cannot have a descriptor for its ev_async, so we ask for one first
 * and give it back: a race for the last descriptor remains. */
static bool has_descriptor(void)
{
    int descriptor = eventfd(0, EFD_CLOEXEC);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return descriptor >= 0;
}

static loomp_loop *new_loop(void)
{
    loomp_loop *loop = aligned_alloc(LP_CACHE_LINE, sizeof *loop);
    if (loop) {
        memset((void *)loop, 0, sizeof *loop);
        lp_completions_init(&loop->completions);
        lp_alarms_init(&loop->alarms, loop);
    }
    return loop;
}

/* The watchers every loop has, without a reference. */
static void start_watchers(loomp_loop *loop)
{
    loop->view.load.alone = loop->options.alone;
    ev_timer_init(&loop->rest, on_rest, 0., 0.);
    ev_set_priority(&loop->rest, EV_MINPRI);
    loop->rest.data = loop;
    ev_timer_init(&loop->alarm, on_alarm, 0., 0.);
    loop->alarm.data = loop;
    ev_async_init(&loop->wake, on_wake);
    loop->wake.data = loop;
    ev_async_start(loop->ev, &loop->wake);
    ev_unref(loop->ev);
    ev_prepare_init(&loop->before_sleep, on_before_sleep);
    loop->before_sleep.data = loop;
    ev_prepare_start(loop->ev, &loop->before_sleep);
    ev_unref(loop->ev);
    ev_check_init(&loop->after_sleep, on_after_sleep);
    ev_set_priority(&loop->after_sleep, EV_MAXPRI);
    loop->after_sleep.data = loop;
    ev_check_start(loop->ev, &loop->after_sleep);
    ev_unref(loop->ev);
}

static void stop_watchers(loomp_loop *loop)
{
    if (loop->holds_reference) {
        ev_unref(loop->ev);
        loop->holds_reference = false;
    }
    if (ev_is_active(&loop->rest)) {
        ev_ref(loop->ev);
        ev_timer_stop(loop->ev, &loop->rest);
    }
    lp_watcher_free(loop->watcher);
    stop_alarm(loop);
    lp_alarms_fini(&loop->alarms);
    ev_ref(loop->ev);
    ev_prepare_stop(loop->ev, &loop->before_sleep);
    ev_ref(loop->ev);
    ev_check_stop(loop->ev, &loop->after_sleep);
    ev_ref(loop->ev);
    ev_async_stop(loop->ev, &loop->wake);
}

void lp_loop_add_exit(loomp_loop *loop, struct lp_loop_exit *exit)
{
    exit->next = loop->exits;
    exit->link = &loop->exits;
    if (exit->next) {
        exit->next->link = &exit->next;
    }
    loop->exits = exit;
}

void lp_loop_remove_exit(struct lp_loop_exit *exit)
{
    if (exit->link) {
        *exit->link = exit->next;
        if (exit->next) {
            exit->next->link = exit->link;
        }
        exit->link = NULL;
    }
}

static void call_exits(loomp_loop *loop)
{
    while (loop->exits) {
        struct lp_loop_exit *exit = loop->exits;
        lp_loop_remove_exit(exit);
        exit->run(exit); /* it may be gone from here on */
    }
}

static void run_at_exit(struct lp_loop_exit *exit)
{
    struct at_exit *entry = (struct at_exit *)(void *)exit;
    entry->fn(lp_self.loop, entry->arg);
    free(entry);
}

static void drain(loomp_loop *loop)
{
    while (run_batch(loop)) {
    }
}

static void adopt_thread(loomp_loop *loop)
{
    lp_thread_set_name(loop->options.prefix, "io", loop->options.index);
    pthread_getname_np(pthread_self(), loop->name, sizeof loop->name);
    lp_bind_thread(loop->options.topology, loop->options.place->cpus);
    const lp_cpuset *cpus = loop->options.place->cpus;
    loop->cpu = lp_cpuset_count(cpus) == 1 ? lp_cpuset_first(cpus) : -1;
    lp_self = (struct lp_self){
        .role = LP_LOOP,
        .index = loop->options.index,
        .runtime = loop->options.runtime,
        .loop = loop,
        .near = (unsigned)(loop->options.place->cache + 1),
        .fp_control = lp_fp_control(),
    };
    loop->owner = pthread_self();
    atomic_store_explicit(&loop->tid, lp_thread_tid(), memory_order_release);
}

static void tell_ready(loomp_loop *loop, uint32_t how)
{
    atomic_store_explicit(&loop->ready, how, memory_order_release);
    lp_futex_wake(&loop->ready, 1);
}

static void loop_main(void *arg)
{
    loomp_loop *loop = arg;
    adopt_thread(loop);
    loop->ev = ev_loop_new(EVFLAG_AUTO);
    if (loop->ev && !has_descriptor()) {
        ev_loop_destroy(loop->ev);
        loop->ev = NULL;
    }
    if (!loop->ev) {
        tell_ready(loop, 2);
        lp_self = (struct lp_self){0};
        return;
    }
    start_watchers(loop);
    ev_ref(loop->ev); /* a loop of ours runs until it is told to end */
    tell_ready(loop, 1);

    while (!atomic_load_explicit(&loop->ending, memory_order_acquire)) {
        ev_run(loop->ev, 0); /* a callback's ev_break ends only its turn */
    }

    drain(loop);
    call_exits(loop);
    stop_watchers(loop);
    ev_loop_destroy(loop->ev);
    lp_self = (struct lp_self){0};
    lp_object_pool_release();
}

int lp_loop_start(loomp_loop **out, const struct lp_loop_options *options)
{
    loomp_loop *loop = new_loop();
    if (!loop) {
        return lp_fail(-ENOMEM, "no memory for a loop");
    }
    loop->options = *options;
    int err = lp_thread_start(&loop->thread, "io", 0, loop_main, loop);
    if (err) {
        free(loop);
        return err;
    }
    uint32_t ready;
    while (!(ready = atomic_load_explicit(&loop->ready, memory_order_acquire))) {
        lp_futex_wait(&loop->ready, 0, UINT64_MAX);
    }
    if (ready == 2) {
        lp_thread_join(loop->thread);
        free(loop);
        return lp_fail(-ENOMEM, "libev cannot create a loop (see LIBEV_FLAGS, and the limit of "
                                "open files)");
    }
    *out = loop;
    return 0;
}

void lp_loop_stop(loomp_loop *loop)
{
    atomic_store_explicit(&loop->ending, 1, memory_order_release);
    lp_loop_nudge(loop);
    lp_thread_join(loop->thread);
    free(loop);
}

int lp_loop_attach(loomp_loop **out, const struct lp_loop_options *options, struct ev_loop *ev)
{
    if (lp_self.role != LP_PLAIN) {
        return lp_fail(-EALREADY, "this thread already is a thread of loomp's or has a loop "
                                  "attached");
    }
    if (!has_descriptor()) {
        return lp_fail(-errno, "loomp_attach: no descriptor for libev's wake-up: %s",
                       strerror(errno));
    }
    loomp_loop *loop = new_loop();
    if (!loop) {
        return lp_fail(-ENOMEM, "no memory for a loop");
    }
    loop->attached = true;
    loop->ev = ev;
    loop->cpu = -1;
    loop->owner = pthread_self();
    loop->options = *options;
    pthread_getname_np(pthread_self(), loop->name, sizeof loop->name);
    atomic_store_explicit(&loop->tid, lp_thread_tid(), memory_order_release);
    atomic_store_explicit(&loop->state, LOOMP_STATE_BUSY, memory_order_relaxed);
    start_watchers(loop);
    lp_self = (struct lp_self){
        .role = LP_LOOP,
        .index = -1,
        .runtime = options->runtime,
        .loop = loop,
        .fp_control = lp_fp_control(),
    };
    *out = loop;
    return 0;
}

int lp_loop_detach(loomp_loop *loop)
{
    if (lp_loop_is_running(loop)) {
        return lp_fail(-EDEADLK, "an attached loop cannot be detached inside its own ev_run");
    }
    adjust_reference(loop);
    do {
        while (atomic_load_explicit(&loop->expected, memory_order_acquire)) {
            lp_loop_run_once(loop, -1);
        }
        call_exits(loop); /* which may bring more */
    } while (atomic_load_explicit(&loop->expected, memory_order_acquire) || loop->exits);
    while (atomic_load_explicit(&loop->visitors, memory_order_acquire)) {
        sched_yield(); /* between a push and its wake-up: a moment */
    }
    stop_watchers(loop);
    lp_self = (struct lp_self){0};
    free(loop);
    return 0;
}

int loomp_loop_at_exit(loomp_loop *loop, loomp_post_fn fn, void *arg)
{
    if (lp_self.loop != loop) {
        return lp_fail(-EPERM, "loomp_loop_at_exit belongs on the loop's own thread");
    }
    struct at_exit *entry = malloc(sizeof *entry);
    if (!entry) {
        return lp_fail(-ENOMEM, "no memory for loomp_loop_at_exit");
    }
    *entry = (struct at_exit){.exit.run = run_at_exit, .fn = fn, .arg = arg};
    lp_loop_add_exit(loop, &entry->exit);
    return 0;
}

/* ---- in virtual time ------------------------------------------------------------------------------- */

void lp_loop_read_clock(loomp_loop *loop)
{
    ev_now_update(loop->ev);
}

bool lp_loop_run_ready(loomp_loop *loop)
{
    bool ran = loop->batch || !lp_completions_empty(&loop->completions);
    turn(loop);
    uint64_t now_ns = lp_clock_ns();
    if (lp_alarms_collect(&loop->alarms) <= now_ns) {
        lp_alarms_ring(&loop->alarms, now_ns, BATCH);
        ran = true;
    }
    return lp_steps_run(&loop->steps, loop->ev) || ran;
}

uint64_t lp_loop_next_ns(loomp_loop *loop, uint64_t limit_ns)
{
    uint64_t alarm_ns = lp_alarms_collect(&loop->alarms);
    return lp_steps_next_ns(loop->ev, alarm_ns < limit_ns ? alarm_ns : limit_ns);
}

void lp_loop_describe(loomp_loop *loop, struct loomp_thread_info *info)
{
    *info = (struct loomp_thread_info){
        .role = LOOMP_THREAD_IO,
        .tid = atomic_load_explicit(&loop->tid, memory_order_acquire),
        .state = (int32_t)atomic_load_explicit(&loop->state, memory_order_relaxed),
        .cpu = loop->cpu,
        .jobs = atomic_load_explicit(&loop->jobs, memory_order_relaxed),
    };
    memcpy(info->name, loop->name, sizeof info->name);
}
