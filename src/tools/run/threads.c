/* SPDX-License-Identifier: MIT */
/* Owns the look at the threads of another process through /proc. They come and go meanwhile: what
 * has gone is left out. */
#include "tools/run/run.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 16384
}; /* a list of CPUs is 8 bytes for each at the worst */

static void cut_newline(char *text)
{
    text[strcspn(text, "\n")] = 0;
}

/* A thread may call itself anything. */
static void make_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f) {
            *text = '?';
        }
    }
}

/* False: the thread has gone, or there is no memory. */
static bool read_thread(struct run_thread *thread, int pid, int tid)
{
    static const char name[] = "Name:\t";
    static const char list[] = "Cpus_allowed_list:\t";
    char path[64], line[LINE_BYTES];
    *thread = (struct run_thread){.tid = tid};
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        cut_newline(line);
        if (strncmp(line, name, sizeof name - 1) == 0) {
            snprintf(thread->name, sizeof thread->name, "%.31s", line + sizeof name - 1);
            make_printable(thread->name);
        } else if (strncmp(line, list, sizeof list - 1) == 0) {
            thread->mask = lp_cpuset_parse(line + sizeof list - 1);
        }
    }
    if (file) {
        fclose(file);
    }
    return thread->mask;
}

static int by_tid(const void *a, const void *b)
{
    return ((const struct run_thread *)a)->tid - ((const struct run_thread *)b)->tid;
}

void run_threads_fini(struct run_threads *threads)
{
    for (unsigned i = 0; i < threads->count; i++) {
        lp_cpuset_free(threads->entries[i].mask);
    }
    free(threads->entries);
    *threads = (struct run_threads){0};
}

static int look_at(struct run_threads *threads, int pid)
{
    char path[64];
    *threads = (struct run_threads){.pid = pid};
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *directory = opendir(path);
    unsigned capacity = 0;
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (threads->count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            struct run_thread *more = realloc(threads->entries, capacity * sizeof *more);
            if (!more) {
                closedir(directory);
                run_threads_fini(threads);
                return lp_fail(-ENOMEM, "no memory for the threads of process %d", pid);
            }
            threads->entries = more;
        }
        threads->count += read_thread(&threads->entries[threads->count], pid, atoi(entry->d_name));
    }
    if (directory) {
        closedir(directory);
    }
    if (threads->count) {
        qsort(threads->entries, threads->count, sizeof *threads->entries, by_tid);
    }
    return 0;
}

static int choose(struct run_threads *best, int pid, int depth);

/* The children that the threads of a process have made. */
static int choose_among_children(struct run_threads *best, int pid, int tid, int depth)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, tid);
    FILE *file = fopen(path, "re");
    int child, err = 0;
    while (file && !err && fscanf(file, "%d", &child) == 1) {
        err = choose(best, child, depth + 1);
    }
    if (file) {
        fclose(file);
    }
    return err;
}

/* A child is preferred to a parent with as many threads: a shell waits for the program it runs. */
static int choose(struct run_threads *best, int pid, int depth)
{
    enum {
        DEPTH_MAX = 16
    };
    struct run_threads threads;
    int err = depth < DEPTH_MAX ? look_at(&threads, pid) : 0;
    if (err || depth >= DEPTH_MAX) {
        return err;
    }
    unsigned count = threads.count;
    int *tids = calloc(count + 1, sizeof *tids);
    for (unsigned i = 0; tids && i < count; i++) {
        tids[i] = threads.entries[i].tid;
    }
    if (count >= best->count) {
        run_threads_fini(best);
        *best = threads;
    } else {
        run_threads_fini(&threads);
    }
    for (unsigned i = 0; tids && !err && i < count; i++) {
        err = choose_among_children(best, pid, tids[i], depth);
    }
    free(tids);
    return err;
}

int run_threads_look(struct run_threads *threads, int pid)
{
    *threads = (struct run_threads){0};
    int err = choose(threads, pid, 0);
    if (err) {
        run_threads_fini(threads);
    }
    return err;
}
