/* SPDX-License-Identifier: MIT */
/* An OpenMP program that knows nothing of loomp. Each thread says where it may run, by the means of
 * the OpenMP runtime (OMP_DISPLAY_AFFINITY) and by the kernel's: "kernel THREAD CPUS". Arguments:
 *   exit N    ends with that status        kill N   dies by that signal
 *   cat       copies its input             echo X.. prints them, one per line
 *   maps      prints the OpenMP runtimes that are mapped
 *   drift     the last thread of the team lets go of its place; then waits for the end of its input
 *   stay      waits for the end of its input, its team being alive
 *   later     as stay, but drifts when a byte has come
 *   brief MS  drifts, and ends after so many milliseconds
 *   crowd     has one thread more than it should; then as stay
 *   stop      stops itself, and ends with 6 once it is continued
 *   wait      waits for a signal */
#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void say_where(void)
{
    char list[4096] = "";
    size_t used = 0;
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < CPU_SETSIZE && used < sizeof list - 16; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? "," : "", cpu);
        }
    }
#pragma omp critical
    {
        printf("kernel %d %s\n", omp_get_thread_num(), list);
        fflush(stdout);
    }
}

static void let_go(void)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        CPU_SET(cpu, &all);
    }
    sched_setaffinity(0, sizeof all, &all);
}

static void let_last_go(void)
{
#pragma omp parallel
    if (omp_get_thread_num() == omp_get_num_threads() - 1) {
        let_go();
    }
}

static void copy_input(FILE *out)
{
    int c;
    while ((c = getchar()) != EOF) {
        if (out) {
            putc(c, out);
        }
    }
}

static void print_runtimes(void)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        const char *name = strrchr(line, '/');
        if (name && strstr(line, "r-xp") && strstr(name, "omp") && strstr(name, ".so")) {
            printf("map %s", strchr(line, '/'));
        }
    }
    if (maps) {
        fclose(maps);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "crowd") == 0) {
        omp_set_num_threads(omp_get_max_threads() + 1);
    }
#pragma omp parallel
    say_where();
    if (strcmp(what, "exit") == 0) {
        return atoi(argv[2]);
    } else if (strcmp(what, "kill") == 0) {
        raise(atoi(argv[2]));
    } else if (strcmp(what, "cat") == 0) {
        copy_input(stdout);
    } else if (strcmp(what, "echo") == 0) {
        for (int i = 2; i < argc; i++) {
            printf("[%s]\n", argv[i]);
        }
    } else if (strcmp(what, "maps") == 0) {
        print_runtimes();
    } else if (strcmp(what, "drift") == 0) {
        let_last_go();
        copy_input(NULL);
    } else if (strcmp(what, "stay") == 0 || strcmp(what, "crowd") == 0) {
        copy_input(NULL);
    } else if (strcmp(what, "later") == 0) {
        getchar();
        let_last_go();
        copy_input(NULL);
    } else if (strcmp(what, "brief") == 0) {
        let_last_go();
        long ms = atol(argv[2]);
        nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    } else if (strcmp(what, "stop") == 0) {
        raise(SIGSTOP);
        return 6;
    } else if (strcmp(what, "wait") == 0) {
        puts("ready");
        fflush(stdout);
        pause();
    }
    return 0;
}
