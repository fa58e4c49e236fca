/* SPDX-License-Identifier: MIT */
/* What handing work over costs, and so how large a piece must be: one job per item against one job
 * per chunk, for items of several sizes. Prints times and checks the sums only. */
#include "pattern.h"

#include <math.h>
#include <semaphore.h>
#include <time.h>

enum { ITEMS = 16384, ROUNDS = 5, THREADS = 2 };

struct piece {
    loomp_job job;
    int begin, end, weight;
    double sum;
};

static struct piece pieces[ITEMS];

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* `weight` dependent divisions: an item of a few nanoseconds and up. */
static double item(int i, int weight)
{
    double x = i + 2;
    for (int k = 0; k < weight; k++) {
        x = 0.5 * (x + (i + 1) / x);
    }
    return x;
}

static int piece_work(loomp_job *job)
{
    struct piece *piece = LOOMP_CONTAINER(job, struct piece, job);
    double sum = 0;
    for (int i = piece->begin; i < piece->end; i++) {
        sum += item(i, piece->weight);
    }
    piece->sum = sum;
    return 0;
}

/* All items, `chunk` of them per job; nanoseconds per item. */
static double by_jobs(loomp_runtime *runtime, int weight, int chunk, double *sum)
{
    double best = INFINITY;
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        int count = 0;
        for (int i = 0; i < ITEMS; i += chunk, count++) {
            struct piece *piece = &pieces[count];
            loomp_job_init(&piece->job, piece_work, NULL);
            piece->job.group = &group;
            piece->begin = i;
            piece->end = i + chunk < ITEMS ? i + chunk : ITEMS;
            piece->weight = weight;
            int err = loomp_submit(runtime, &piece->job);
            EXPECT(err == 0);
        }
        EXPECT(loomp_group_wait(&group, -1) == 0);
        *sum = 0;
        for (int i = 0; i < count; i++) {
            *sum += pieces[i].sum;
        }
        double took = now_ns() - start;
        best = took < best ? took : best;
    }
    return best / ITEMS;
}

static double by_calls(int weight, double *sum)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        *sum = 0;
        for (int i = 0; i < ITEMS; i++) {
            *sum += item(i, weight);
        }
        double took = now_ns() - start;
        best = took < best ? took : best;
    }
    return best / ITEMS;
}

/* From one `done` to the next on a loop, with one empty job at a time. */
struct round_trip {
    loomp_job job;
    int left;
    double start, best;
    sem_t ended;
};

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static void again(loomp_job *job, int status)
{
    struct round_trip *trip = LOOMP_CONTAINER(job, struct round_trip, job);
    double now = now_ns(), took = now - trip->start;
    EXPECT(status == 0);
    trip->best = took < trip->best ? took : trip->best;
    if (--trip->left == 0) {
        sem_post(&trip->ended);
        return;
    }
    trip->start = now_ns();
    EXPECT(loomp_submit(loomp_current(), job) == 0);
}

static void begin(loomp_loop *loop, void *arg)
{
    struct round_trip *trip = arg;
    (void)loop;
    trip->start = now_ns();
    EXPECT(loomp_submit(loomp_current(), &trip->job) == 0);
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(THREADS);
    struct round_trip trip = {
        .job = LOOMP_JOB_INIT(nothing, again), .left = 20000, .best = INFINITY};
    sem_init(&trip.ended, 0, 0);
    EXPECT(loomp_post(loomp_loop_at(runtime, 0), begin, &trip) == 0);
    sem_wait(&trip.ended);
    printf("loop -> worker -> loop, both awake: %.1f us at best\n\n", trip.best / 1e3);

    printf("%12s %12s %16s %16s\n", "ns per item", "direct", "a job per item", "256 per job");
    for (int weight = 1; weight <= 4096; weight *= 8) {
        double direct, single, chunked;
        double direct_ns = by_calls(weight, &direct);
        double single_ns = by_jobs(runtime, weight, 1, &single);
        double chunked_ns = by_jobs(runtime, weight, 256, &chunked);
        printf("%12.0f %12.1f %16.1f %16.1f\n", direct_ns, direct_ns, single_ns, chunked_ns);
        EXPECT(fabs(single - direct) <= 1e-9 * direct && fabs(chunked - direct) <= 1e-9 * direct);
    }
    return pattern_end(runtime);
}
