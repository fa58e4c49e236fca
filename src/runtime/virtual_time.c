/* SPDX-License-Identifier: MIT */
/* Owns the clock of tests with virtual time. The loop's thread that runs the test's body steers it:
 * it lets everything happen that can happen at this moment, sees that every thread of the pools sleeps,
 * and goes on to the next moment for which something is due. So the clock never passes anything, and
 * between two moments one thread at a time goes on. Other threads sleep until a time, and look at the
 * clock. */
#include "runtime/virtual_time.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/self.h"
#include "job/job.h"
#include "loop/loop.h"
#include "loop/steps.h"
#include "runtime/pools.h"
#include "team/gang_team.h"

#define LOOMP_TEST_WITHOUT_CUNIT
#include <loomp/test.h>

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOKS_BEFORE_SLEEP = 200, SLEEP_NS = 50000 };

/* Written by the thread that steers before the body and after its end. */
static loomp_loop *steered;
static uint64_t begin_ns;       /* by lp_clock_ns */
static int64_t real_ahead_ns;   /* of CLOCK_REALTIME, compared with that */

/* The thread that steers, whose clock_gettime is ours; how often it was asked. */
static _Thread_local bool steers __attribute__((tls_model("initial-exec")));
static uint64_t asked;

/* ---- the clock ----------------------------------------------------------------------------------- */

static uint64_t read_machine(clockid_t id)
{
    struct timespec t = {0, 0};
    syscall(SYS_clock_gettime, id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The library itself asks on this thread too: for how long a batch may last, and for when it woke a
 * worker. Both may be told virtual time. */
int loomp_test_clock(int id, struct timespec *time)
{
    int64_t ahead_ns = 0;
    switch (lp_clock_is_virtual() && steers ? id : -1) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        ahead_ns = real_ahead_ns;
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        break;
    default:
        return (int)syscall(SYS_clock_gettime, id, time);
    }
    asked++;
    uint64_t now_ns = lp_clock_ns() + lp_virtual_ahead_ns + (uint64_t)ahead_ns;
    *time = (struct timespec){(time_t)(now_ns / 1000000000u), (long)(now_ns % 1000000000u)};
    return 0;
}

static void set_clock(uint64_t ns)
{
    atomic_store_explicit(&lp_virtual_ns, ns, memory_order_relaxed);
}

double loomp_test_now(void)
{
    return lp_clock_is_virtual() ? (double)(lp_clock_ns() - begin_ns) / 1e9 : 0;
}

/* ---- who sleeps ---------------------------------------------------------------------------------- */

/* One look at all threads. Two looks with the same turns mean that who was asleep in both was asleep all
 * the time between them; so if nobody was awake, nobody was at the moment between the looks. */
struct look {
    uint64_t turns;
    bool awake;              /* somebody who may bring something about */
    struct lp_sleeper *next; /* whose time comes first; NULL: nobody sleeps until a time */
};

static uint64_t until_of(struct lp_sleeper *sleeper)
{
    return atomic_load_explicit(&sleeper->until_ns, memory_order_seq_cst);
}

static uint64_t order_of(struct lp_sleeper *sleeper)
{
    return atomic_load_explicit(&sleeper->order, memory_order_seq_cst);
}

static bool is_before(struct lp_sleeper *one, struct lp_sleeper *other)
{
    return until_of(one) < until_of(other) ||
           (until_of(one) == until_of(other) && order_of(one) < order_of(other));
}

/* Whether it sleeps. */
static bool look_at(struct look *look, struct lp_sleeper *sleeper)
{
    look->turns += atomic_load_explicit(&sleeper->turns, memory_order_seq_cst);
    if (!lp_sleeper_is_asleep(sleeper)) {
        return false;
    }
    if (until_of(sleeper) != UINT64_MAX && (!look->next || is_before(sleeper, look->next))) {
        look->next = sleeper;
    }
    return true;
}

/* The gang team's threads do nothing while its leader sleeps, and in a region of TASKS jobs nothing
 * but what tokens are counted for. */
static void look_at_gang(struct look *look, struct loomp_pool *pool)
{
    struct lp_tasks_region *region = &pool->gang.tasks;
    unsigned asleep = 0;
    bool leader_sleeps = false;
    for (unsigned i = 0; i < pool->gang.threads; i++) {
        bool sleeps = look_at(look, &pool->gang.cards[i].sleeper);
        asleep += sleeps;
        leader_sleeps = i == 0 ? sleeps : leader_sleeps;
    }
    bool open = atomic_load_explicit(&region->open, memory_order_acquire);
    uint32_t tokens = atomic_load_explicit(&region->tokens, memory_order_relaxed);
    look->awake = look->awake || (open ? !tokens || tokens != asleep : !leader_sleeps);
}

static void look_at_pool(struct loomp_pool *pool, void *arg)
{
    struct look *look = arg;
    if (pool->options.blocking) {
        unsigned count = atomic_load_explicit(&pool->blocking.count, memory_order_acquire);
        for (unsigned i = 0; i < count; i++) {
            look->awake = !look_at(look, &pool->blocking.cards[i].sleeper) || look->awake;
        }
        look->awake = look->awake ||
                      atomic_load_explicit(&pool->blocking.starting, memory_order_seq_cst);
        return;
    }
    for (unsigned i = 0; i < pool->width; i++) {
        look->awake = !look_at(look, &pool->workers[i].card.sleeper) || look->awake;
    }
    look_at_gang(look, pool);
}

/* Whether nobody is awake. */
static bool look_round(struct look *look)
{
    struct look before = {0};
    lp_pools_each(look_at_pool, &before);
    *look = (struct look){0};
    lp_pools_each(look_at_pool, look);
    return !before.awake && !look->awake && before.turns == look->turns;
}

static void call_again(struct lp_sleeper *sleeper)
{
    if (atomic_load_explicit(&sleeper->called, memory_order_seq_cst) &&
        atomic_load_explicit(&sleeper->turns, memory_order_seq_cst) % 2) {
        lp_sleeper_call(sleeper);
    }
}

static void call_pool_again(struct loomp_pool *pool, void *arg)
{
    (void)arg;
    if (pool->options.blocking) {
        unsigned count = atomic_load_explicit(&pool->blocking.count, memory_order_acquire);
        for (unsigned i = 0; i < count; i++) {
            call_again(&pool->blocking.cards[i].sleeper);
        }
        return;
    }
    for (unsigned i = 0; i < pool->width; i++) {
        call_again(&pool->workers[i].card.sleeper);
        call_again(&pool->gang.cards[i].sleeper);
    }
}

/* In real time: others have something to do. */
static void let_others(unsigned round)
{
    if (round < LOOKS_BEFORE_SLEEP) {
        sched_yield();
        return;
    }
    lp_pools_each(call_pool_again, NULL);
    struct timespec pause = {0, SLEEP_NS};
    nanosleep(&pause, NULL);
}

/* Returns when nothing happens any more at this moment. The loop: to be run meanwhile, NULL if it is busy
 * with the call that this is for. */
static void settle(loomp_loop *loop, struct look *look)
{
    for (unsigned round = 0;; round++) {
        bool quiet = look_round(look);
        uint64_t turns = look->turns;
        if (loop && lp_loop_run_ready(loop)) {
            round = 0;
        } else if (quiet && look_round(look) && look->turns == turns) {
            return;
        } else {
            let_others(round);
        }
    }
}

/* ---- going on ------------------------------------------------------------------------------------ */

/* Goes on to the next moment for which something is due, but not beyond limit_ns; false if there is
 * nothing before that. */
static bool step(loomp_loop *loop, uint64_t limit_ns)
{
    struct look look;
    settle(loop, &look);
    uint64_t now_ns = lp_clock_ns();
    if (look.next && until_of(look.next) <= now_ns) {
        lp_sleeper_call(look.next);
        return true;
    }
    uint64_t next_ns = look.next ? until_of(look.next) : UINT64_MAX;
    next_ns = next_ns < limit_ns ? next_ns : limit_ns;
    next_ns = loop ? lp_loop_next_ns(loop, next_ns) : next_ns;
    if (next_ns == UINT64_MAX || next_ns <= now_ns) {
        return false;
    }
    set_clock(next_ns);
    return true;
}

int loomp_test_advance(loomp_loop *loop, double seconds)
{
    if (!steers || loop != steered || !lp_clock_is_virtual()) {
        return lp_fail(-EPERM, "loomp_test_advance belongs on the loop of a test with virtual_time");
    }
    if (!(seconds >= 0) || lp_is_no_limit(seconds)) {
        return lp_fail(-EINVAL, "loomp_test_advance: %g is no number of seconds to go on by",
                       seconds);
    }
    uint64_t target_ns = lp_clock_deadline_ns(seconds);
    while (step(loop, target_ns)) {
    }
    return 0;
}

static bool is_anything_under_way(void)
{
    return lp_ledger_pending(&lp_tracked) > 1 || lp_ledger_pending(&lp_untracked) > 0;
}

int lp_virtual_time_begin(loomp_loop *loop)
{
    uint64_t now_ns = read_machine(CLOCK_MONOTONIC);
    steered = loop;
    begin_ns = now_ns + 1000000u - now_ns % 1000000u; /* so that times read well */
    real_ahead_ns = (int64_t)(read_machine(CLOCK_REALTIME) - now_ns);
    asked = 0;
    steers = true;
    set_clock(begin_ns);
    lp_loop_read_clock(loop);
    int err = 0;
    if (!asked) {
        err = lp_fail(-ENOSYS, "virtual_time: libev does not ask for this clock; put "
                               "LOOMP_TEST_VIRTUAL_CLOCK into one source file of the test program");
    } else if (!lp_steps_work(loomp_loop_ev(loop))) {
        err = lp_fail(-ENOSYS, "virtual_time: this libev does not show when its next timer is due");
    }
    if (err) {
        set_clock(0);
        steers = false;
        return err;
    }
    struct look look;
    settle(loop, &look);
    return 0;
}

void lp_virtual_time_end(void)
{
    struct look look;
    settle(steered, &look);
    for (unsigned round = 0; is_anything_under_way(); round++) {
        if (step(steered, UINT64_MAX)) {
            round = 0;
        } else {
            let_others(round); /* what comes from outside takes real time */
        }
    }
    set_clock(0);
    steers = false;
    lp_loop_read_clock(steered);
}

/* ---- what takes time ----------------------------------------------------------------------------- */

static uint64_t order_of_job(loomp_job *job)
{
    return job ? lp_job_ticket(lp_job_words(job))->position : 0;
}

static void sleep_until(uint64_t until_ns)
{
    _Atomic uint32_t word = 0;
    while (lp_sleeper_wait_until(&word, 0, until_ns, order_of_job(lp_self.job))) {
    }
}

/* The others go on while the loop does not. */
static void keep_loop_busy(uint64_t until_ns)
{
    while (step(NULL, until_ns)) {
    }
}

/* Why this thread cannot spend virtual time; NULL: it can. */
static const char *why_not(void)
{
    if (!lp_clock_is_virtual()) {
        return "the test has no virtual_time";
    }
    if (lp_self.role == LP_LOOP) {
        return steers ? NULL : "this loop is not the one of the test";
    }
    if (lp_self.role == LP_PLAIN) {
        return "this thread belongs to no pool";
    }
    if (lp_self.role == LP_GANG &&
        (lp_gang_context(lp_self.pool) == LP_GANG_IN_REGION || !lp_self.job)) {
        return "inside a parallel region, or in a task, of a job; the job itself can say what they "
               "take together";
    }
    return NULL;
}

void loomp_test_takes(double seconds)
{
    const char *why = why_not();
    if (why || !(seconds >= 0) || lp_is_no_limit(seconds)) {
        loomp_test_fail(why ? why : "that is no number of seconds", "loomp_test_takes", 0);
        return;
    }
    uint64_t until_ns = lp_clock_deadline_ns(seconds);
    if (lp_self.role == LP_LOOP) {
        keep_loop_busy(until_ns);
    } else {
        sleep_until(until_ns);
    }
}
