/* SPDX-License-Identifier: MIT */
/* Owns the reading of /proc/PID/task. Threads come and go meanwhile: one that cannot be read any
 * more is left out. */
#include "tools/info/process.h"

#include "base/error.h"
#include "tools/info/text.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *open_of(int pid, int tid, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, name);
    return fopen(path, "re");
}

/* A thread may call itself anything: no control characters and no broken UTF-8 reach the output. */
static void make_printable(char *text)
{
    while (*text) {
        size_t bytes = text_character(text);
        if (bytes == 0 || (unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
            bytes = 1;
        }
        text += bytes;
    }
}

static bool read_status(struct process_thread *thread, int pid)
{
    FILE *file = open_of(pid, thread->tid, "status");
    char line[16384];
    if (!file) {
        return false;
    }
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value) {
            continue;
        }
        *value++ = '\0';
        value += strspn(value, " \t");
        value[strcspn(value, "\n")] = '\0';
        if (strcmp(line, "Name") == 0) {
            snprintf(thread->name, sizeof thread->name, "%.31s", value);
            make_printable(thread->name);
        } else if (strcmp(line, "Cpus_allowed_list") == 0) {
            thread->mask = lp_cpuset_parse(value);
        } else if (strcmp(line, "voluntary_ctxt_switches") == 0) {
            thread->voluntary = strtoull(value, NULL, 10);
        } else if (strcmp(line, "nonvoluntary_ctxt_switches") == 0) {
            thread->involuntary = strtoull(value, NULL, 10);
        }
    }
    fclose(file);
    return true;
}

/* The name, in brackets, may have newlines, blanks and brackets itself: fields are counted from the
 * last. */
static void read_stat(struct process_thread *thread, int pid)
{
    enum {
        STATE = 3,
        USER_TIME = 14,
        SYSTEM_TIME = 15,
        PROCESSOR = 39
    };
    char line[4096];
    FILE *file = open_of(pid, thread->tid, "stat");
    size_t bytes = file ? fread(line, 1, sizeof line - 1, file) : 0;
    line[bytes] = '\0';
    char *at = strrchr(line, ')');
    long ticks_per_second = sysconf(_SC_CLK_TCK);
    uint64_t ticks = 0;
    char *rest = NULL;
    char *word = at ? strtok_r(at + 1, " ", &rest) : NULL;
    for (int field = STATE; word; field++, word = strtok_r(NULL, " ", &rest)) {
        if (field == STATE) {
            thread->state = *word;
        } else if (field == USER_TIME || field == SYSTEM_TIME) {
            ticks += strtoull(word, NULL, 10);
        } else if (field == PROCESSOR) {
            thread->cpu = atoi(word);
        }
    }
    thread->run_ns = ticks_per_second > 0 ? ticks * (1000000000u / (uint64_t)ticks_per_second) : 0;
    if (file) {
        fclose(file);
    }
}

/* Finer than ticks, where the kernel keeps it. */
static void read_schedstat(struct process_thread *thread, int pid)
{
    FILE *file = open_of(pid, thread->tid, "schedstat");
    uint64_t run_ns;
    if (file && fscanf(file, "%" SCNu64, &run_ns) == 1 && run_ns > 0) {
        thread->run_ns = run_ns;
    }
    if (file) {
        fclose(file);
    }
}

static int add_thread(struct process *process, int tid)
{
    struct process_thread thread = {.tid = tid, .state = '?', .cpu = -1};
    if (!read_status(&thread, process->pid)) {
        return 0;
    }
    read_stat(&thread, process->pid);
    read_schedstat(&thread, process->pid);
    struct process_thread *threads =
        reallocarray(process->threads, process->count + 1, sizeof *threads);
    if (!threads) {
        lp_cpuset_free(thread.mask);
        return lp_fail(-ENOMEM, "no memory for the threads of process %d", process->pid);
    }
    process->threads = threads;
    threads[process->count++] = thread;
    return 0;
}

static int by_tid(const void *a, const void *b)
{
    const struct process_thread *first = a, *second = b;
    return (first->tid > second->tid) - (first->tid < second->tid);
}

static int no_such(int pid)
{
    return lp_fail(-ESRCH, "there is no process %d, or /proc hides those of other users (hidepid)",
                   pid);
}

int process_read(struct process *process, int pid)
{
    char path[64];
    struct timespec now;
    *process = (struct process){.pid = pid};
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) {
        int failure = errno;
        return failure == EACCES || failure == EPERM
                   ? lp_fail(
                         -EACCES,
                         "process %d may not be looked at: it belongs to another user, and this "
                         "system shows threads to their owner only",
                         pid)
               : failure == ENOENT
                   ? no_such(pid)
                   : lp_fail(-failure, "cannot read %s: %s", path, strerror(failure));
    }
    int err = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    process->taken_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    for (struct dirent *entry = readdir(tasks); entry && !err; entry = readdir(tasks)) {
        int tid = atoi(entry->d_name);
        err = tid > 0 ? add_thread(process, tid) : 0;
    }
    closedir(tasks);
    if (!err && process->count == 0) {
        err = no_such(pid);
    }
    if (err) {
        process_fini(process);
        return err;
    }
    qsort(process->threads, process->count, sizeof *process->threads, by_tid);
    const struct process_thread *main_thread = process_thread(process, pid);
    snprintf(process->name, sizeof process->name, "%s", main_thread ? main_thread->name : "?");
    return 0;
}

void process_fini(struct process *process)
{
    for (unsigned i = 0; i < process->count; i++) {
        lp_cpuset_free(process->threads[i].mask);
    }
    free(process->threads);
    *process = (struct process){0};
}

const struct process_thread *process_thread(const struct process *process, int tid)
{
    return process->count ? bsearch(&(struct process_thread){.tid = tid}, process->threads,
                                    process->count, sizeof *process->threads, by_tid)
                          : NULL;
}

int info_process_mask(int pid, lp_cpuset **mask)
{
    struct process process;
    int err = process_read(&process, pid);
    if (err) {
        return err;
    }
    lp_cpuset *all = lp_cpuset_new();
    for (unsigned i = 0; all && i < process.count; i++) {
        if (process.threads[i].mask) {
            lp_cpuset_or(all, process.threads[i].mask);
        }
    }
    process_fini(&process);
    *mask = all;
    return all ? 0 : lp_fail(-ENOMEM, "no memory for a set of CPUs");
}
