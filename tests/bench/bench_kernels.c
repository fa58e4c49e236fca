/* SPDX-License-Identifier: MIT */
/* How fast OpenMP kernels are as jobs of loomp, relative to the same functions in a plain program:
 * regions as a GANG, tasks as a TASKS job. Each figure is the kernel's own, of its computation.
 *
 * The plain program is another process, because OpenMP is not plain any more where loomp has
 * started, and so is the one with loomp; both are run by turns, with as many threads on the same
 * places (loomp-run tells the plain one). A pair of runs next to each other gives one ratio, so
 * that a machine that is slow for a while is so for both. In a run the kernel is called several
 * times: the first call is for the caches, the median of the others counts.
 *
 * usage: bench_kernels [-t SECONDS] [-s SIZE] [-a gang|tasks] [kernel...] */
#include "bench.h"

#include "../../examples/kernels/kernels.h"

#include <math.h>
#include <unistd.h>

enum {
    MOST_PAIRINGS = 64,
    MOST_PAIRS = 400,
    MOST_CALLS = 200,
    FEWEST_PAIRS = 3
};

struct pairing {
    const struct kernel *kernel;
    const char *plain_form, *job_kind;
    int calls;       /* of the kernel in a run */
    double plain_us; /* in the last run */
    double ratio[MOST_PAIRS];
    int pairs;
};

static int threads;
static char size = 'S';

/* The median of the seconds that a command prints, but of the first; ends the program if there is
 * something wrong. */
static double median_seconds(const char *command)
{
    double seconds[MOST_CALLS];
    int count = 0;
    FILE *output = popen(command, "r");
    char line[512], verified[16];
    while (output && fgets(line, sizeof line, output)) {
        double value;
        if (sscanf(line, "%*s %*s %*s %*d %lf %15s", &value, verified) == 2) {
            if (strcmp(verified, "yes") != 0) {
                printf("a wrong answer of %s\n%s", command, line);
                exit(1);
            }
            if (count < MOST_CALLS) {
                seconds[count++] = value;
            }
        }
    }
    if (!output || pclose(output) != 0 || count < 2) {
        printf("no answer of %s\n", command);
        exit(1);
    }
    return bench_summarise(seconds + 1, count - 1).p50;
}

static double run_plain(const struct pairing *pairing)
{
    char command[1024];
    snprintf(command, sizeof command,
             LOOMP_BUILD "/src/loomp-run --loomp-compute-threads=%d -- " LOOMP_BUILD
                         "/examples/kernels/kernels --size=%c --form=%s --repeat=%d %s",
             threads, size, pairing->plain_form, pairing->calls, pairing->kernel->name);
    return median_seconds(command);
}

static double run_job(const struct pairing *pairing)
{
    char command[1024];
    snprintf(command, sizeof command,
             LOOMP_BUILD "/examples/kernels/kernel-jobs --loomp-compute-threads=%d"
                         " --size=%c --as=%s --repeat=%d %s",
             threads, size, pairing->job_kind, pairing->calls, pairing->kernel->name);
    return median_seconds(command);
}

/* So many calls that a run computes for a tenth of a second or so. */
static void choose_calls(struct pairing *pairing)
{
    pairing->calls = 3;
    double calls = 0.1 / run_plain(pairing) + 1;
    pairing->calls = calls < 4 ? 4 : calls < MOST_CALLS ? (int)calls : MOST_CALLS;
}

/* By turns the plain program and the job are first, which may be an advantage. */
static void run_pair(struct pairing *pairing)
{
    double job = 0, plain = 0;
    if (pairing->pairs % 2) {
        job = run_job(pairing);
        plain = run_plain(pairing);
    } else {
        plain = run_plain(pairing);
        job = run_job(pairing);
    }
    pairing->plain_us = plain * 1e6;
    pairing->ratio[pairing->pairs++] = plain / job;
}

/* Prints the pairings of one kind of job, and the geometric mean of their medians. */
static void report(struct pairing *pairings, int count, const char *kind)
{
    double logarithms = 0;
    int kernels_of_kind = 0;
    for (int i = 0; i < count; i++) {
        struct pairing *p = &pairings[i];
        if (strcmp(p->job_kind, kind) == 0) {
            double median = bench_summarise(p->ratio, p->pairs).p50;
            printf("%-9s  %-6s  %9.0f  %5d  %6.3f  %6.3f .. %.3f\n", p->kernel->name, kind,
                   p->plain_us, p->pairs, median, p->ratio[p->pairs / 4],
                   p->ratio[p->pairs - 1 - p->pairs / 4]);
            logarithms += log(median);
            kernels_of_kind++;
        }
    }
    if (kernels_of_kind) {
        double mean = exp(logarithms / kernels_of_kind);
        printf(
            "geometric mean of %-6s           %6.3f  (at least 0.95 is meant, 0.97 is the goal)\n",
            kind, mean);
    }
}

static bool is_named(const struct kernel *kernel, char **names)
{
    bool named = !*names;
    for (; *names; names++) {
        named = named || strcmp(kernel->name, *names) == 0;
    }
    return named;
}

/* Those of one kind of job, or of both if it is NULL. */
static int choose(struct pairing *pairings, const char *kind, char **names)
{
    int count = 0;
    for (const struct kernel *kernel = kernels; kernel->name; kernel++) {
        for (int k = 0; k < 2 && is_named(kernel, names); k++) {
            struct pairing *p = &pairings[count];
            p->kernel = kernel;
            p->plain_form = k == 0 ? "region" : "tasks";
            p->job_kind = k == 0 ? "gang" : "tasks";
            count += !kind || strcmp(kind, p->job_kind) == 0;
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct pairing pairings[MOST_PAIRINGS];
    const char *kind = NULL;
    double seconds = 100;
    for (int option; (option = getopt(argc, argv, "t:s:a:")) != -1;) {
        if (option == 't') {
            seconds = atof(optarg);
        } else if (option == 's') {
            size = *optarg;
        } else if (option == 'a') {
            kind = optarg;
        } else {
            printf("usage: bench_kernels [-t SECONDS] [-s SIZE] [-a gang|tasks] [kernel...]\n");
            return 2;
        }
    }
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    threads = CPU_COUNT(&allowed);
    double load = 0;
    getloadavg(&load, 1);
    double end = bench_now_us() + seconds * 1e6;
    int count = choose(pairings, kind, argv + optind);
    for (int i = 0; i < count; i++) {
        choose_calls(&pairings[i]);
    }
    for (int round = 0; round < FEWEST_PAIRS || (round < MOST_PAIRS && bench_now_us() < end);
         round++) {
        for (int i = 0; i < count; i++) {
            run_pair(&pairings[i]);
        }
    }
    printf("kernels of size %c with %d threads: speed as a job relative to a plain program\n", size,
           threads);
    printf("load average of the machine when it began: %.1f, which should be next to 0\n", load);
    printf("kernel     job     plain[us]  pairs  median  half of the pairs\n");
    report(pairings, count, "gang");
    report(pairings, count, "tasks");
    return 0;
}
