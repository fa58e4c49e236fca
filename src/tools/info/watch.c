/* SPDX-License-Identifier: MIT */
/* Owns --pid and --watch: what changes while one looks. */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/info/page.h"
#include "tools/info/process.h"
#include "tools/info/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Between the two looks that a share of CPU time needs, if nobody asked for more. */
#define GLANCE_S 0.2

/* Of one CPU, in per cent: less is a thread that sleeps and is woken now and then. */
#define BUSY_PERCENT 5.0

static void wait_s(double seconds)
{
    struct timespec rest = {.tv_sec = (time_t)seconds};
    rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
    while (nanosleep(&rest, &rest) && errno == EINTR) {
    }
}

/* From the top of the terminal again; elsewhere an empty line parts the pages. */
static void next_page(FILE *out)
{
    fputs(isatty(fileno(out)) ? "\033[H\033[2J" : "\n", out);
}

int info_watch_page(const struct info_options *options, FILE *out)
{
    struct info_throttling before = {0};
    for (bool first = true;; first = false) {
        struct info info;
        int err = info_read(&info, options, 0);
        if (err) {
            return err;
        }
        info.before = before;
        if (!first || isatty(fileno(out))) {
            next_page(out);
        }
        err = info_print_page(&info, out);
        before = (struct info_throttling){
            .known = info.survey.cgroup.has_stat,
            .periods = info.survey.cgroup.periods,
            .throttled_periods = info.survey.cgroup.throttled_periods,
            .throttled_s = info.survey.cgroup.throttled_s,
        };
        info_fini(&info);
        if (err || fflush(out)) {
            return err ? err : lp_fail(-EIO, "cannot write the output: %s", strerror(errno));
        }
        wait_s(options->watch_s);
    }
}

/* ---- a process ------------------------------------------------------------------------------- */

static double share_of(const struct process *before, const struct process *now,
                       const struct process_thread *thread)
{
    const struct process_thread *old = process_thread(before, thread->tid);
    uint64_t began = old ? old->run_ns : 0;
    double elapsed_ns = (double)(now->taken_ns - before->taken_ns);
    return elapsed_ns > 0 && thread->run_ns >= began
               ? 100.0 * (double)(thread->run_ns - began) / elapsed_ns
               : 0.0;
}

/* The other threads that are busy on the same CPU. */
static void add_rivals(struct text *text, const struct process *now, const double *shares,
                       unsigned of)
{
    bool first = true;
    for (unsigned i = 0; i < now->count; i++) {
        if (i != of && shares[i] >= BUSY_PERCENT && now->threads[i].cpu == now->threads[of].cpu) {
            if (first) {
                text_add(text, "shares CPU %d with ", now->threads[of].cpu);
            }
            text_add(text, "%s%d", first ? "" : ", ", now->threads[i].tid);
            first = false;
        }
    }
}

static void add_marks(struct text *text, const struct lp_plan *plan, const struct process *now,
                      const double *shares, unsigned of)
{
    const struct process_thread *thread = &now->threads[of];
    if (shares[of] >= BUSY_PERCENT && thread->cpu >= 0) {
        add_rivals(text, now, shares, of);
    }
    const char *comma = text->bytes ? "; " : "";
    if (thread->cpu >= 0 && !lp_cpuset_has(plan->cpus, (unsigned)thread->cpu)) {
        text_add(text, "%soutside the plan", comma);
    } else if (thread->mask && !lp_cpuset_is_within(thread->mask, plan->cpus)) {
        text_add(text, "%smay leave the plan's CPUs", comma);
    }
}

static void print_threads(const struct page *page, const struct lp_plan *plan,
                          const struct process *before, const struct process *now)
{
    double *shares = calloc(now->count, sizeof *shares);
    for (unsigned i = 0; shares && i < now->count; i++) {
        shares[i] = share_of(before, now, &now->threads[i]);
    }
    page_colour(page, PAGE_DIM);
    fprintf(page->out, "  %8s  %-15s %-5s %-14s %4s %6s %10s %11s", "thread", "name", "state",
            "bound to", "on", "CPU %", "voluntary", "involuntary");
    page_colour(page, PAGE_PLAIN);
    fputc('\n', page->out);
    for (unsigned i = 0; shares && i < now->count; i++) {
        const struct process_thread *thread = &now->threads[i];
        struct text mask = {0}, marks = {0}, line = {0};
        text_add_cpus(&mask, thread->mask);
        text_add(&line, "%8d  %-15.15s %-5c %-14s %4d %6.1f %10llu %11llu", thread->tid,
                 thread->name, thread->state, text_of(&mask), thread->cpu, shares[i],
                 (unsigned long long)thread->voluntary, (unsigned long long)thread->involuntary);
        page_text(page, "  ");
        page_text(page, text_of(&line));
        add_marks(&marks, plan, now, shares, i);
        if (marks.bytes) {
            page_colour(page, PAGE_ALARM);
            page_text(page, "  ! ");
            page_text(page, text_of(&marks));
            page_colour(page, PAGE_PLAIN);
        }
        fputc('\n', page->out);
        text_fini(&mask);
        text_fini(&marks);
        text_fini(&line);
    }
    free(shares);
}

/* ---- OpenMP runtimes in a process ------------------------------------------------------------ */

struct runtimes {
    bool unreadable;
    unsigned count;
    char names[4][64];
};

static void note_library(struct runtimes *runtimes, const char *path)
{
    static const char *const stems[] = {"libomp", "libgomp", "libiomp5"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    bool ours = false;
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        size_t bytes = strlen(stems[i]);
        ours = ours || (strncmp(name, stems[i], bytes) == 0 && strchr(".-", name[bytes]));
    }
    for (unsigned i = 0; ours && i < runtimes->count; i++) {
        ours = strcmp(runtimes->names[i], name) != 0;
    }
    if (ours && runtimes->count < sizeof runtimes->names / sizeof *runtimes->names) {
        snprintf(runtimes->names[runtimes->count++], sizeof *runtimes->names, "%.63s", name);
    }
}

static void read_runtimes(struct runtimes *runtimes, int pid)
{
    char path[64], line[8192];
    *runtimes = (struct runtimes){0};
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    runtimes->unreadable = !maps;
    while (maps && fgets(line, sizeof line, maps)) {
        line[strcspn(line, "\n")] = '\0';
        const char *file = strchr(line, '/');
        if (file) {
            note_library(runtimes, file);
        }
    }
    if (maps) {
        runtimes->unreadable = ferror(maps);
        fclose(maps);
    }
}

static void print_runtimes(const struct page *page, int pid)
{
    struct runtimes runtimes;
    struct text text = {0};
    read_runtimes(&runtimes, pid);
    for (unsigned i = 0; i < runtimes.count; i++) {
        text_add(&text, "%s%s", i ? " and " : "", runtimes.names[i]);
    }
    if (runtimes.count == 0) {
        text_add(&text, runtimes.unreadable
                            ? "only the owner of the process may see which libraries it has"
                            : "no runtime is loaded");
    } else if (runtimes.count > 1) {
        text_add(&text, ": two runtimes in one process fight for the same CPUs");
    }
    page_line(page, 14, runtimes.count > 1 ? PAGE_ALARM : PAGE_DIM, "OpenMP", text_of(&text));
    text_fini(&text);
}

/* ---- --pid ----------------------------------------------------------------------------------- */

static void print_process(const struct info *info, const struct process *before,
                          const struct process *now, FILE *out)
{
    struct page page;
    struct text text = {0};
    page_open(&page, out);
    text_add(&text, "process %d (%s): ", now->pid, now->name);
    text_add_count(&text, now->count, "thread");
    page_heading(&page, text_of(&text));
    text_fini(&text);
    const char *budget = lp_reasons_find(&info->plan.reasons, "budget");
    text_add(&text, "a plan for it has CPUs ");
    text_add_cpus(&text, info->plan.cpus);
    text_add(&text, ", budget: %s", budget ? budget : "");
    page_line(&page, 14, PAGE_DIM, "plan", text_of(&text));
    text_fini(&text);
    print_runtimes(&page, now->pid);
    print_threads(&page, &info->plan, before, now);
}

int info_watch_process(const struct info_options *options, FILE *out)
{
    struct info info;
    struct process before, now;
    int err = process_read(&before, options->pid);
    if (!err) {
        err = info_read(&info, options, options->pid);
        if (err) {
            process_fini(&before);
        }
    }
    if (err) {
        return err;
    }
    double pause_s = GLANCE_S;
    do {
        wait_s(pause_s);
        pause_s = options->watch_s;
        err = process_read(&now, options->pid);
        if (!err) {
            if (options->watch_s > 0) {
                next_page(out);
            }
            print_process(&info, &before, &now, out);
            err = fflush(out) ? lp_fail(-EIO, "cannot write the output: %s", strerror(errno)) : 0;
            process_fini(&before);
            before = now;
        }
    } while (!err && options->watch_s > 0);
    if (err == -ESRCH && options->watch_s > 0) {
        fprintf(out, "process %d has ended\n", options->pid);
        err = 0;
    }
    process_fini(&before);
    info_fini(&info);
    return err;
}
