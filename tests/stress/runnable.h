/* SPDX-License-Identifier: MIT */
/* How many threads of loomp's teams want a CPU at the same time, by what the kernel says of them in
 * /proc/self/task. Threads are told apart by their names, so that those count too that OpenMP made
 * without being asked. One thread uses a struct runnable, which may be any.
 *
 * The kernel is asked about one thread after the other, while all of them change. Two figures can
 * be had all the same:
 *
 * - An instant. A thread was runnable from one moment to another if it was at the first and has not
 *   gone to sleep in between: if its state was R and its count of voluntary switches, read before
 *   that state, is the same at the second moment. Three rounds over all threads (count, state,
 * count) have such moments of all of them on both sides of the end of the second round, so those
 * that pass were runnable at that one instant. There may have been more: what is found is true,
 * what is not found need not be. Yielding and being preempted are no voluntary switches.
 *
 * - An average. The kernel adds up, for each thread, the time it ran and the time it waited for a
 *   CPU (schedstat); the growth of both over an interval, of all threads, divided by the interval,
 *   is how many were runnable on average. It is exact but for one wait per thread under way at
 *   either end.
 *
 * At an instant one more than are meant to be is no fault: who wakes another is runnable together
 * with it until it sleeps itself, and if the kernel lets the other go first, for as long as it
 * likes. So of an instant one also wants to know since when it has been so without a break. */
#ifndef LP_TESTS_RUNNABLE_H
#define LP_TESTS_RUNNABLE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    RUNNABLE_THREADS = 256,
    RUNNABLE_COUNTS = 32,
    RUNNABLE_WORK_NS = 2000000 /* more than it takes to go to sleep */
};

struct runnable_thread {
    int tid;
    bool team; /* of a team of loomp's */
    char name[16];
    int status, schedstat; /* descriptors */
    uint64_t switches;     /* of the first round */
    bool was_runnable;     /* in the second round */
    double since;          /* it is known to have been runnable without a break; 0: it is not */
    uint64_t wanted_ns;    /* a CPU, at the last average */
    uint64_t ran_ns;       /* when the excess began */
};

struct runnable {
    int limit;                /* threads of the teams that may be runnable at once ... */
    const _Atomic int *extra; /* ... and more, for now; others write it */
    struct runnable_thread thread[RUNNABLE_THREADS];
    int threads;
    int teams; /* threads of the teams in the last look at the directory */
    /* instants */
    long samples;
    long with[RUNNABLE_COUNTS]; /* so many threads of teams */
    double excess_began;        /* more than may be; 0: now there are not */
    double longest_excess_s;    /* all of them at work */
    char excess[128];           /* who, the longest time */
    /* averages */
    double interval_began;
    long instants, extras; /* samples in the interval, and the sum of what was extra at them */
    double highest_average, sum_of_averages;
    double sum_of_allowed; /* on average */
    double highest_excess; /* of an average beyond what was allowed, below 0 if there was none */
    long intervals;
};

static inline double runnable_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline bool runnable_read(int fd, char *text, size_t size)
{
    ssize_t length = pread(fd, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static inline int runnable_open(int tid, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The time that a thread ran and waited to run; false if it is gone. */
static inline bool runnable_times(const struct runnable_thread *t, uint64_t *ran_ns,
                                  uint64_t *waited_ns)
{
    char text[128];
    unsigned long long ran = 0, waited = 0;
    bool there = runnable_read(t->schedstat, text, sizeof text) &&
                 sscanf(text, "%llu %llu", &ran, &waited) == 2;
    *ran_ns = ran;
    *waited_ns = waited;
    return there;
}

static inline bool runnable_wanted(const struct runnable_thread *t, uint64_t *ns)
{
    uint64_t ran_ns, waited_ns;
    bool there = runnable_times(t, &ran_ns, &waited_ns);
    *ns = ran_ns + waited_ns;
    return there;
}

static inline void runnable_drop(struct runnable *r, int i)
{
    close(r->thread[i].status);
    close(r->thread[i].schedstat);
    r->thread[i] = r->thread[--r->threads];
}

static inline void runnable_add(struct runnable *r, int tid)
{
    struct runnable_thread *t = &r->thread[r->threads];
    *t = (struct runnable_thread){.tid = tid};
    t->status = runnable_open(tid, "status");
    t->schedstat = runnable_open(tid, "schedstat");
    r->threads++;
    if (t->status < 0 || !runnable_wanted(t, &t->wanted_ns)) {
        runnable_drop(r, r->threads - 1);
    }
}

/* Looks for threads that have come, and at names. */
static inline void runnable_look(struct runnable *r)
{
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        int tid = atoi(entry->d_name), i = 0;
        while (i < r->threads && r->thread[i].tid != tid) {
            i++;
        }
        if (tid > 0 && i == r->threads && i < RUNNABLE_THREADS) {
            runnable_add(r, tid);
        }
    }
    if (directory) {
        closedir(directory);
    }
    r->teams = 0;
    for (int i = 0; i < r->threads; i++) {
        struct runnable_thread *t = &r->thread[i];
        char text[512];
        if (!runnable_read(t->status, text, sizeof text)) {
            runnable_drop(r, i--);
            continue;
        }
        sscanf(text, "Name: %15s", t->name);
        t->team = strncmp(t->name, "loomp-omp", 9) == 0 || strncmp(t->name, "loomp-gang", 10) == 0;
        r->teams += t->team;
    }
}

static inline bool runnable_status(const struct runnable_thread *t, bool *is_runnable,
                                   uint64_t *switches)
{
    char text[4096];
    *is_runnable = false;
    *switches = 0;
    if (!runnable_read(t->status, text, sizeof text)) {
        return false;
    }
    const char *state = strstr(text, "\nState:\t"), *count = strstr(text, "\nvoluntary_ctxt");
    if (!state || !count) {
        return false;
    }
    *is_runnable = state[8] == 'R';
    *switches = strtoull(strchr(count, ':') + 1, NULL, 10);
    return true;
}

static inline void runnable_begin_excess(struct runnable *r, struct runnable_thread **found,
                                         int count, double instant)
{
    uint64_t waited_ns;
    r->excess_began = instant;
    for (int i = 0; i < count; i++) {
        runnable_times(found[i], &found[i]->ran_ns, &waited_ns);
    }
}

/* While more than the limit are runnable: how long have more been at work? */
static inline void runnable_go_on(struct runnable *r, struct runnable_thread **found, int count,
                                  double instant, int limit)
{
    char names[sizeof r->excess] = "";
    int there = 0, at_work = 0;
    for (int i = 0; i < count; i++) {
        uint64_t ran_ns, waited_ns;
        if (found[i]->since <= r->excess_began) {
            there++;
            if (runnable_times(found[i], &ran_ns, &waited_ns) &&
                ran_ns - found[i]->ran_ns >= RUNNABLE_WORK_NS) {
                size_t length = strlen(names);
                snprintf(names + length, sizeof names - length, " %s", found[i]->name);
                at_work++;
            }
        }
    }
    if (there <= limit) {
        r->excess_began = 0;
    } else if (at_work > limit && instant - r->excess_began > r->longest_excess_s) {
        r->longest_excess_s = instant - r->excess_began;
        memcpy(r->excess, names, sizeof names);
    }
}

/* Takes down an instant: who was runnable, and what was extra. */
static inline void runnable_note(struct runnable *r, struct runnable_thread **found, int count,
                                 double instant, int extra)
{
    int limit = r->limit + extra;
    r->samples++;
    r->instants++;
    r->extras += extra;
    r->with[count < RUNNABLE_COUNTS ? count : RUNNABLE_COUNTS - 1]++;
    if (r->excess_began > 0) {
        runnable_go_on(r, found, count, instant, limit);
    }
    if (r->excess_began == 0 && count > limit) {
        runnable_begin_excess(r, found, count, instant);
    }
}

/* One instant. */
static inline void runnable_sample(struct runnable *r)
{
    struct runnable_thread *found[RUNNABLE_THREADS];
    int count = 0, extra = atomic_load(r->extra);
    bool ignored;
    uint64_t switches;
    for (int i = 0; i < r->threads; i++) {
        struct runnable_thread *t = &r->thread[i];
        if (t->team) {
            runnable_status(t, &ignored, &switches);
            if (switches != t->switches) {
                t->since = 0;
            }
            t->switches = switches;
        }
    }
    for (int i = 0; i < r->threads; i++) {
        struct runnable_thread *t = &r->thread[i];
        if (t->team) {
            runnable_status(t, &t->was_runnable, &switches);
        }
    }
    double instant = runnable_now();
    for (int i = 0; i < r->threads; i++) {
        struct runnable_thread *t = &r->thread[i];
        if (t->team && runnable_status(t, &ignored, &switches) && t->was_runnable &&
            switches == t->switches) {
            t->since = t->since > 0 ? t->since : instant;
            found[count++] = t;
        } else {
            t->since = 0;
        }
    }
    int extra_now = atomic_load(r->extra);
    runnable_note(r, found, count, instant, extra > extra_now ? extra : extra_now);
}

/* Ends an interval: how many threads of the teams were runnable on average since the last call. */
static inline double runnable_average(struct runnable *r)
{
    uint64_t sum_ns = 0, ns;
    double now = runnable_now(), average = 0;
    for (int i = 0; i < r->threads; i++) {
        struct runnable_thread *t = &r->thread[i];
        if (runnable_wanted(t, &ns)) {
            sum_ns += t->team ? ns - t->wanted_ns : 0;
            t->wanted_ns = ns;
        }
    }
    if (r->interval_began > 0) {
        average = (double)sum_ns / 1e9 / (now - r->interval_began);
        double extra = r->instants ? (double)r->extras / (double)r->instants : 0;
        double excess = average - r->limit - extra;
        r->highest_excess =
            r->intervals == 0 || excess > r->highest_excess ? excess : r->highest_excess;
        r->intervals++;
        r->sum_of_averages += average;
        r->sum_of_allowed += r->limit + extra;
        r->highest_average = average > r->highest_average ? average : r->highest_average;
    }
    r->interval_began = now;
    r->instants = r->extras = 0;
    return average;
}

/* False if this kernel does not tell. */
static inline bool runnable_init(struct runnable *r, int limit, const _Atomic int *extra)
{
    *r = (struct runnable){.limit = limit, .extra = extra};
    runnable_look(r);
    uint64_t switches;
    bool is_runnable;
    return r->threads > 0 && runnable_status(&r->thread[0], &is_runnable, &switches);
}

static inline void runnable_fini(struct runnable *r)
{
    while (r->threads > 0) {
        runnable_drop(r, r->threads - 1);
    }
}

#endif
