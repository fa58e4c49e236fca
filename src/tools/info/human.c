/* SPDX-License-Identifier: MIT */
/* Owns the page that people read first, and --why: the machine, what of it this process may use,
 * the plan, the reasons, and what to be warned of. */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/info/page.h"
#include "tools/info/text.h"

#include <errno.h>
#include <string.h>

enum {
    INDENT = 14,
    REASON_INDENT = 18,
    DEVICE_LINES = 10
};

static void line(const struct page *page, const char *label, struct text *text)
{
    page_line(page, INDENT, PAGE_DIM, label, text_of(text));
    text_fini(text);
}

/* A reason that the plan has, or a plain sentence of ours. */
static const char *reason_or(const struct info *info, const char *key, const char *otherwise)
{
    const char *text = lp_reasons_find(&info->plan.reasons, key);
    return text ? text : otherwise;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void add_size(struct text *text, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes / 1024;
    size_t unit = 0;
    while (size >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        size /= 1024;
        unit++;
    }
    text_add(text, size < 9.95 ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

static void print_memory(const struct info *info, const struct page *page)
{
    struct text text = {0};
    const struct info_host *host = &info->host;
    /* Nodes of one size in a row make one entry. */
    for (unsigned i = 0; i < host->node_count;) {
        unsigned last = i;
        while (last + 1 < host->node_count &&
               host->nodes[last + 1].memory_bytes == host->nodes[i].memory_bytes) {
            last++;
        }
        text_add(&text, last > i ? "%snode %u-%u: " : "%snode %u: ", i ? ", " : "",
                 host->nodes[i].os, host->nodes[last].os);
        add_size(&text, host->nodes[i].memory_bytes);
        text_add(&text, last > i ? " each" : "");
        i = last + 1;
    }
    if (info->survey.topology.machine.memory_only_nodes > 0) {
        text_add(&text, "%s", text.bytes ? "; " : "");
        text_add_count(&text, info->survey.topology.machine.memory_only_nodes, "NUMA node");
        text_add(&text, " without CPUs");
    }
    if (*host->memory_policy) {
        text_add(&text, "%spolicy %s", text.bytes ? "; " : "", host->memory_policy);
    }
    if (text.bytes) {
        line(page, "memory", &text);
    }
}

static void print_allowed(const struct info *info, const struct page *page)
{
    const struct lp_machine *machine = &info->survey.topology.machine;
    struct text text = {0};
    const char *reason = reason_or(info, "allowed", NULL);
    if (reason) {
        text_add(&text, "%s", reason);
    } else {
        text_add_cpus(&text, machine->allowed);
    }
    line(page, "allowed", &text);
    if (info->host.offline) {
        text_add_cpus(&text, info->host.offline);
        line(page, "offline", &text);
    }
}

static void add_throttling(struct text *text, const struct lp_cgroup *cgroup)
{
    if (cgroup->throttled_periods == 0) {
        text_add(text, "never in ");
        text_add_count(text, cgroup->periods, "period");
    } else {
        text_add(text, "%llu of ", (unsigned long long)cgroup->throttled_periods);
        text_add_count(text, cgroup->periods, "period");
        text_add(text, ", %.3g s in all", cgroup->throttled_s);
    }
}

static void add_recent(struct text *text, const struct lp_cgroup *cgroup,
                       const struct info_throttling *before)
{
    if (before->known && cgroup->periods >= before->periods) {
        text_add(text, "; since the last look %llu of ",
                 (unsigned long long)(cgroup->throttled_periods - before->throttled_periods));
        text_add_count(text, cgroup->periods - before->periods, "period");
        text_add(text, ", %.3g s", cgroup->throttled_s - before->throttled_s);
    }
}

static void print_quota(const struct info *info, const struct page *page)
{
    const struct lp_cgroup *cgroup = &info->survey.cgroup;
    struct text text = {0};
    text_add(&text, "%s", reason_or(info, "quota", "none"));
    line(page, "quota", &text);
    if (cgroup->has_stat && (cgroup->quota > 0 || cgroup->periods > 0)) {
        add_throttling(&text, cgroup);
        add_recent(&text, cgroup, &info->before);
        text_add(&text, " (%s)", cgroup->stat_from);
        line(page, "throttled", &text);
    }
}

/* ---- devices --------------------------------------------------------------------------------- */

static void add_device(struct text *text, const struct lp_device *device)
{
    const char *const parts[] = {device->kind == LP_DEVICE_GPU ? device->name : "", device->vendor,
                                 device->model, device->pci};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (*parts[i]) {
            text_add(text, "%s%s", text->bytes ? " " : "", parts[i]);
        }
    }
    text_add(text, "%s", text->bytes ? ", " : "");
    if (!device->local_known) {
        text_add(text, "near CPUs unknown");
    } else {
        text_add(text, "near CPUs ");
        text_add_cpus(text, device->local);
    }
    if (!device->visible) {
        text_add(text, ", hidden");
    }
}

static void device_label(const struct lp_device *device, char *out, size_t size)
{
    if (device->kind == LP_DEVICE_GPU && device->visible) {
        snprintf(out, size, "gpu %u", device->index);
    } else if (device->kind == LP_DEVICE_GPU) {
        snprintf(out, size, "gpu -");
    } else {
        snprintf(out, size, "%.11s", *device->name ? device->name : "device");
    }
}

static void print_devices(const struct info *info, const struct page *page)
{
    const struct lp_devices *devices = &info->survey.devices;
    struct text text = {0};
    for (unsigned i = 0; i < devices->count && i < DEVICE_LINES; i++) {
        char label[32];
        device_label(&devices->entries[i], label, sizeof label);
        add_device(&text, &devices->entries[i]);
        line(page, label, &text);
    }
    if (devices->count > DEVICE_LINES) {
        text_add(&text, "%u more devices; --json has all", devices->count - DEVICE_LINES);
        line(page, "", &text);
    }
    if (*devices->hidden_by) {
        text_add(&text, "GPUs are hidden or reordered by %s", devices->hidden_by);
        line(page, "", &text);
    }
}

static void print_surroundings(const struct info *info, const struct page *page)
{
    struct text text = {0};
    const char *rank = reason_or(info, "rank", NULL);
    if (rank) {
        text_add(&text, "%s", rank);
        line(page, "rank", &text);
    }
    if (!info->here) {
        return;
    }
    for (unsigned i = 0; i < info->host.openmp_count; i++) {
        text_add(&text, "%s%s", i ? ", " : "", info->host.openmp[i]);
    }
    if (info->host.openmp_count == 0) {
        text_add(&text, "the dynamic linker finds no runtime without a path of the program's own");
    }
    line(page, "OpenMP", &text);
}

/* ---- the plan -------------------------------------------------------------------------------- */

static bool any_shared(const struct lp_place *places, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (places[i].shared) {
            return true;
        }
    }
    return false;
}

static void add_nodes(struct text *text, const struct lp_place *places, unsigned count)
{
    lp_cpuset *nodes = lp_cpuset_new();
    for (unsigned i = 0; nodes && i < count; i++) {
        if (places[i].node >= 0) {
            lp_cpuset_add(nodes, (unsigned)places[i].node);
        }
    }
    if (nodes && lp_cpuset_first(nodes) >= 0) {
        text_add(text, "; node ");
        text_add_cpus(text, nodes);
    }
    lp_cpuset_free(nodes);
}

static void print_row(const struct info *info, const struct page *page, const char *name,
                      const struct lp_place *places, unsigned count, bool pool_shares,
                      const char *gpu)
{
    char label[64];
    struct text text = {0};
    snprintf(label, sizeof label, "%-16.31s %5u", name, count);
    text_add_places(&text, places, count);
    if (info->survey.topology.machine.node_count > 1) {
        add_nodes(&text, places, count);
    }
    if (*gpu) {
        text_add(&text, "; near %s", gpu);
    }
    if (any_shared(places, count)) {
        text_add(&text, "; shared with other threads of loomp");
    } else if (pool_shares) {
        text_add(&text, "; shared with another pool");
    }
    page_line(page, 29, PAGE_PLAIN, label, text_of(&text));
    text_fini(&text);
}

static void print_plan(const struct info *info, const struct page *page)
{
    const struct lp_plan *plan = &info->plan;
    struct text text = {0};
    unsigned threads = plan->io_count;
    for (unsigned i = 0; i < plan->pool_count; i++) {
        threads += plan->pools[i].blocking ? 0 : plan->pools[i].count;
    }
    text_add(&text, "Plan: ");
    text_add_count(&text, threads, "thread");
    text_add(&text, lp_cpuset_count(plan->cpus) == 1 ? " on CPU " : " on CPUs ");
    text_add_cpus_folded(&text, plan->cpus);
    text_add(&text, ", budget %u%s", plan->budget, plan->pin ? "" : ", not pinned");
    fputc('\n', page->out);
    page_heading(page, text_of(&text));
    text_fini(&text);
    page_line(page, 29, PAGE_DIM, "pool           threads", "places in wake order, as CPU numbers");
    if (plan->io_count > 0) {
        print_row(info, page, "I/O", plan->io, plan->io_count, false, "");
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        if (!pool->blocking) {
            print_row(info, page, pool->name, pool->places, pool->count, pool->shares, pool->gpu);
            continue;
        }
        char label[64];
        snprintf(label, sizeof label, "%-14.31s <=%5u", pool->name, pool->count);
        text_add(&text, "anywhere on {");
        text_add_cpus(&text, pool->places[0].cpus);
        text_add(&text, "}");
        page_line(page, 29, PAGE_PLAIN, label, text_of(&text));
        text_fini(&text);
    }
}

/* ---- reasons --------------------------------------------------------------------------------- */

static void print_reasons(const struct info *info, const struct page *page, bool all)
{
    static const char *const above[] = {"machine", "allowed", "quota", "rank"};
    for (unsigned i = 0; i < info->plan.reasons.count; i++) {
        const struct lp_reason *reason = &info->plan.reasons.entries[i];
        bool is_above = false;
        for (size_t k = 0; k < sizeof above / sizeof *above; k++) {
            is_above = is_above || strcmp(reason->key, above[k]) == 0;
        }
        if (all || !is_above) {
            page_line(page, REASON_INDENT, PAGE_DIM, reason->key, reason->text);
        }
    }
}

static void print_warnings(const struct info *info, const struct page *page)
{
    const struct lp_reasons *warnings = &info->plan.warnings;
    if (warnings->count + info->log.count == 0) {
        return;
    }
    fputc('\n', page->out);
    page_colour(page, PAGE_ALARM);
    fprintf(page->out, "Warning%s\n", warnings->count + info->log.count > 1 ? "s" : "");
    page_colour(page, PAGE_PLAIN);
    for (unsigned i = 0; i < warnings->count; i++) {
        page_line(page, 4, PAGE_ALARM, "!", warnings->entries[i].text);
    }
    for (unsigned i = 0; i < info->log.count; i++) {
        page_line(page, 4, PAGE_ALARM, "!", info->log.lines[i]);
    }
}

static int result_of(FILE *out)
{
    return ferror(out) ? lp_fail(-EIO, "cannot write the output: %s", strerror(errno)) : 0;
}

int info_print_page(const struct info *info, FILE *out)
{
    struct page page;
    struct text text = {0};
    page_open(&page, out);
    text_add(&text, "%s", info->host.name);
    if (*info->host.cpu_model) {
        text_add(&text, ": %s", info->host.cpu_model);
    }
    page_heading(&page, text_of(&text));
    text_fini(&text);
    text_add(&text, "%s", reason_or(info, "machine", "unknown"));
    line(&page, "machine", &text);
    print_memory(info, &page);
    print_allowed(info, &page);
    print_quota(info, &page);
    print_devices(info, &page);
    print_surroundings(info, &page);
    print_plan(info, &page);
    fputc('\n', out);
    page_heading(&page, "Why");
    print_reasons(info, &page, false);
    print_warnings(info, &page);
    return result_of(out);
}

int info_print_why(const struct info *info, FILE *out)
{
    struct page page;
    page_open(&page, out);
    print_reasons(info, &page, true);
    print_warnings(info, &page);
    return result_of(out);
}
