/* SPDX-License-Identifier: MIT */
/* How late a 1 ms timer of a loop is: with nothing else to do, and under one long GANG job after
 * another. Interleaved rounds, the median of the rounds' p99. */
#include "bench.h"

#include <ev.h>
#include <math.h>
#include <semaphore.h>

enum { ROUNDS = 5, TICKS = 1000 };

struct clock {
    ev_timer timer;
    double due_us;
    double late_us[TICKS];
    int ticks;
    sem_t done;
};

static void tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct clock *clock = timer->data;
    (void)events;
    double now = bench_now_us();
    clock->late_us[clock->ticks++] = now - clock->due_us;
    if (clock->ticks == TICKS) {
        ev_timer_stop(ev, timer);
        sem_post(&clock->done);
        return;
    }
    ev_now_update(ev);
    clock->due_us = bench_now_us() + 1000;
    ev_timer_set(timer, 0.001, 0.);
    ev_timer_start(ev, timer);
}

static void start_clock(loomp_loop *loop, void *arg)
{
    struct clock *clock = arg;
    struct ev_loop *ev = loomp_loop_ev(loop);
    ev_timer_init(&clock->timer, tick, 0.001, 0.);
    clock->timer.data = clock;
    ev_now_update(ev);
    clock->due_us = bench_now_us() + 1000;
    ev_timer_start(ev, &clock->timer);
}

static _Atomic int stop_gangs;

static int solve(loomp_job *job)
{
    static double field[1 << 16];
    for (int step = 0; step < 200; step++) {
        double sum = 0;
#pragma omp parallel for reduction(+ : sum)
        for (int i = 1; i < (1 << 16) - 1; i++) {
            field[i] = 0.5 * (field[i] + sin((double)(i + step)));
            sum += field[i];
        }
        *(double *)job->data = sum;
    }
    return 0;
}

static void again(loomp_job *job, int status)
{
    (void)status;
    if (!stop_gangs) {
        loomp_submit(loomp_current(), job);
    }
}

static double round_p99(loomp_runtime *runtime, struct bench_summary *summary)
{
    static struct clock clock;
    memset(&clock, 0, sizeof clock);
    sem_init(&clock.done, 0, 0);
    loomp_post(loomp_loop_at(runtime, 0), start_clock, &clock);
    sem_wait(&clock.done);
    *summary = bench_summarise(clock.late_us, TICKS);
    return summary->p99;
}

int main(void)
{
    loomp_runtime *runtime = bench_start(NULL);
    double quiet[ROUNDS], loaded[ROUNDS], sum;
    struct bench_summary a, b;
    printf("lateness of a 1 ms timer [us]        p50     p99     max\n");
    for (int round = 0; round < ROUNDS; round++) {
        quiet[round] = round_p99(runtime, &a);
        loomp_job gang;
        loomp_job_init(&gang, solve, again);
        gang.kind = LOOMP_GANG;
        gang.data = &sum;
        gang.home = loomp_loop_at(runtime, 0);
        stop_gangs = 0;
        loomp_submit(runtime, &gang);
        loaded[round] = round_p99(runtime, &b);
        stop_gangs = 1;
        loomp_wait_idle(runtime, -1);
        printf("round %d  idle loop               %7.0f %7.0f %7.0f\n", round, a.p50, a.p99, a.max);
        printf("         under gangs             %7.0f %7.0f %7.0f\n", b.p50, b.p99, b.max);
    }
    double q = bench_summarise(quiet, ROUNDS).p50, l = bench_summarise(loaded, ROUNDS).p50;
    printf("median p99: idle %.0f us, under gangs %.0f us, difference %.0f us\n", q, l, l - q);
    return loomp_stop(runtime) != 0;
}
