/* SPDX-License-Identifier: MIT */
/* Parallel regions of the application's own beside loomp's: on which CPUs main() and a thread that
 * it creates may run, and how many threads a region of main()'s has and where they may run, before
 * loomp_start, after it and after loomp_stop. Each case is a process, because OpenMP starts once:
 *
 *   regions first   main() has had a region before loomp_start, or any pragma at all: compilers
 *                   call libomp on entry to a function with a pragma
 *   loomp first     the first region comes after loomp_start
 *
 * with either value of the setting `bind`. */
#include "pattern.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_THREADS = 256 };

static void mask_text(char *text, size_t size)
{
    cpu_set_t mask;
    size_t used = 0;
    text[0] = '\0';
    if (sched_getaffinity(0, sizeof mask, &mask)) {
        return;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int last = cpu;
        if (!CPU_ISSET(cpu, &mask)) {
            continue;
        }
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &mask)) {
            last++;
        }
        used += (size_t)snprintf(text + used, size - used, last > cpu ? "%s%d-%d" : "%s%d",
                                 used ? "," : "", cpu, last);
        if (used >= size) {
            return;
        }
        cpu = last;
    }
}

static void *read_mask(void *text)
{
    mask_text(text, 64);
    return NULL;
}

struct line {
    char main_mask[64], pthread_mask[64];
};

/* The masks of main() and of a thread that it creates now. */
static struct line look(void)
{
    struct line line;
    pthread_t thread;
    mask_text(line.main_mask, sizeof line.main_mask);
    if (pthread_create(&thread, NULL, read_mask, line.pthread_mask)) {
        exit(1);
    }
    pthread_join(thread, NULL);
    return line;
}

static struct line show(const char *when)
{
    struct line line = look();
    printf("  %-22s main %-6s its pthread %-6s\n", when, line.main_mask, line.pthread_mask);
    return line;
}

/* A region of main()'s own: how many threads, and their masks. */
__attribute__((noinline)) static int region(const char *when)
{
    char masks[MOST_THREADS][64];
    int threads = 0;
#pragma omp parallel
    {
        int i = omp_get_thread_num();
#pragma omp single
        threads = omp_get_num_threads();
        if (i < MOST_THREADS) {
            mask_text(masks[i], sizeof masks[i]);
        }
    }
    printf("  %-22s %d thread%s on", when, threads, threads == 1 ? "" : "s");
    for (int i = 0; i < threads && i < MOST_THREADS; i++) {
        printf(" %s", masks[i]);
    }
    printf("\n");
    return threads;
}

static int gang(void *arg)
{
    return region(arg);
}

static int one_case(const char *bind, bool regions_first)
{
    loomp_runtime *runtime;
    loomp_config *config = loomp_config_new();
    printf("bind = %s, %s first\n", bind, regions_first ? "regions" : "loomp");
    struct line before = show("before loomp_start:");
    int threads_before = regions_first ? region("  a region:") : 0;
    if (loomp_config_set(config, "bind", bind) || loomp_start(&runtime, config)) {
        fprintf(stderr, "%s\n", loomp_error());
        return 1;
    }
    loomp_config_free(config);
    struct line after = show("after loomp_start:");
    int threads = region("  a region:");
    struct line later = show("after that region:");
    loomp_install(runtime, gang, "  under install:");
    loomp_stop(runtime);
    show("after loomp_stop:");
    int threads_at_end = region("  a region:");

    /* loomp itself changes no mask of main()'s; with bind = openmp libomp may, if loomp has told it
     * the places before it starts. */
    EXPECT(strcmp(before.main_mask, after.main_mask) == 0);
    EXPECT(strcmp(before.pthread_mask, after.pthread_mask) == 0);
    if (regions_first || strcmp(bind, "direct") == 0) {
        EXPECT(strcmp(before.main_mask, later.main_mask) == 0);
        EXPECT(strcmp(before.pthread_mask, later.pthread_mask) == 0);
        EXPECT(!regions_first || (threads == threads_before && threads == threads_at_end));
    }
    fflush(stdout);
    return pattern_failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    static const char *const binds[] = {"openmp", "direct"}, *const firsts[] = {"regions", "loomp"};
    if (argc == 3) {
        return one_case(argv[1], strcmp(argv[2], "regions") == 0);
    }
    /* The cases are about loomp's settings, not about these. */
    unsetenv("OMP_PROC_BIND");
    unsetenv("OMP_PLACES");
    unsetenv("KMP_AFFINITY");
    for (int i = 0; i < 4; i++) {
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", argv[0], binds[i % 2], firsts[i / 2], (char *)NULL);
            _exit(127);
        }
        waitpid(child, &status, 0);
        EXPECT(status == 0);
    }
    return pattern_failures ? 1 : 0;
}
