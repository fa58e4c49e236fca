/* SPDX-License-Identifier: MIT */
/* One job at a time: loop -> team -> loop, back to back and with gaps, beside the physical floor of
 * the same run: a cache line going to the other CPU and back, and a futex wake-up. */
#include "bench.h"

#include <ev.h>
#include <semaphore.h>

enum { ROUNDS = 5, JOBS = 20000 };

struct trip {
    loomp_job job;
    ev_timer pause;
    double gap_us, start_us;
    double samples[JOBS];
    long wanted, count;
    sem_t done;
};

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static void begin(struct trip *trip)
{
    trip->start_us = bench_now_us();
    loomp_submit(loomp_current(), &trip->job);
}

static void after_pause(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    begin(timer->data);
}

static void arrived(loomp_job *job, int status)
{
    (void)status;
    struct trip *trip = LOOMP_CONTAINER(job, struct trip, job);
    trip->samples[trip->count++] = bench_now_us() - trip->start_us;
    if (trip->count == trip->wanted) {
        sem_post(&trip->done);
    } else if (trip->gap_us > 0) {
        struct ev_loop *ev = loomp_loop_ev(loomp_loop_here());
        ev_now_update(ev);
        ev_timer_set(&trip->pause, trip->gap_us / 1e6, 0.);
        ev_timer_start(ev, &trip->pause);
    } else {
        begin(trip);
    }
}

static void start(loomp_loop *loop, void *arg)
{
    struct trip *trip = arg;
    (void)loop;
    ev_timer_init(&trip->pause, after_pause, 0., 0.);
    trip->pause.data = trip;
    loomp_job_init(&trip->job, nothing, arrived);
    begin(trip);
}

int main(void)
{
    static struct trip trip;
    static const double gaps[] = {0, 50, 200, 1000};
    printf("%-10s %10s %10s %10s %12s %14s\n", "gap [us]", "p50 [us]", "p99 [us]", "max [us]",
           "CPU [us/job]", "p50/ping-pong");
    for (int round = 0; round < ROUNDS; round++) {
        double ping = bench_ping_pong_us(0, 1);
        loomp_runtime *runtime = bench_start(NULL);
        for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
            memset(&trip, 0, sizeof trip);
            sem_init(&trip.done, 0, 0);
            trip.gap_us = gaps[i];
            trip.wanted = gaps[i] > 100 ? 1000 : JOBS;
            double cpu = bench_cpu_us();
            loomp_post(loomp_loop_at(runtime, 0), start, &trip);
            loomp_wait_idle(runtime, -1);
            sem_wait(&trip.done);
            cpu = (bench_cpu_us() - cpu) / (double)trip.wanted;
            struct bench_summary s = bench_summarise(trip.samples, trip.wanted);
            printf("%-10.0f %10.2f %10.2f %10.1f %12.2f %14.1f\n", gaps[i], s.p50, s.p99, s.max,
                   cpu, s.p50 / ping);
        }
        printf("ping-pong of this round: %.3f us\n", ping);
        loomp_stop(runtime);
    }
    return 0;
}
