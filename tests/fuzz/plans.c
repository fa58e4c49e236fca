/* SPDX-License-Identifier: MIT */
/* Fuzz target: the planner. The input describes a small machine, what limits it, devices, a rank
 * and settings, in this order:
 *
 *     line 1   the machine, a choice each: see make_machine
 *     line 2   CPUs in the mask; line 3: those of the control group; empty: all
 *     line 4   quota, devices and rank: see take_limits
 *     line 5   settings with choices: see take_settings
 *     line 6   places; 7: cpus; 8: io.cpus; 9: gpu; 10: io.near; empty: the defaults
 *     others   a pool each: choices, then its cpus or gpu
 *
 * Whatever there is, a plan keeps the rules of doc/guide/placement.md that need no numbers, or
 * there is none and a sentence why. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "placement/omp_places.h"
#include "placement/openmp_environment.h"
#include "placement/plan.h"

#include <errno.h>

enum {
    CPUS = 64,
    GPUS = 4,
    DEVICES = GPUS + 2,
    POOLS = 3,
    TEXTS = 5,
    OWNERS = 1 + 1 + POOLS + GPUS, /* I/O, compute, pools, one for each GPU */
    COMPARED = 96                  /* places of an owner that are compared with all others */
};

struct scenario {
    struct lp_machine machine;
    struct lp_cpu cpus[CPUS];
    struct lp_cgroup cgroup;
    struct lp_devices devices;
    struct lp_device entries[DEVICES];
    struct lp_rank rank;
    struct lp_plan_settings settings;
    struct lp_pool_settings pools[POOLS];
    char *texts[TEXTS + POOLS];
};

/* ---- the input ------------------------------------------------------------------------------- */

/* The kernel's number of a CPU: in order, siblings late, packages in turn, or with gaps. */
static unsigned number_of(unsigned order, const struct lp_cpu *cpu, unsigned position,
                          unsigned cores, unsigned packages)
{
    switch (order) {
    case 1:
        return cpu->core + cpu->smt * cores;
    case 2:
        return position * packages + cpu->package;
    case 3:
        return 3 * position + 1;
    default:
        return position;
    }
}

static void add_core(struct lp_machine *machine, struct lp_cpu cpu, unsigned threads)
{
    for (cpu.smt = 0; cpu.smt < threads && machine->cpu_count < CPUS; cpu.smt++) {
        machine->cpus[machine->cpu_count++] = cpu;
    }
}

/* Choices: packages 1-2, nodes in each 1-2, cache groups in each 1-3, cores in each 1-4, threads in
 * each 1-4, order of the numbers, kinds of cores, memory-only nodes. */
static void make_machine(struct scenario *s, struct fuzz_input line)
{
    struct lp_machine *machine = &s->machine;
    unsigned packages = 1 + fuzz_choice(&line, 2), nodes = 1 + fuzz_choice(&line, 2);
    unsigned caches = 1 + fuzz_choice(&line, 3), cores = 1 + fuzz_choice(&line, 4);
    unsigned threads = 1 + fuzz_choice(&line, 4), order = fuzz_choice(&line, 4);
    unsigned kinds = fuzz_choice(&line, 4);
    machine->memory_only_nodes = fuzz_choice(&line, 3);
    machine->cpus = s->cpus;
    struct lp_cpu cpu = {0};
    unsigned total = packages * nodes * caches * cores;
    for (cpu.core = 0; cpu.core < total && machine->cpu_count < CPUS; cpu.core++) {
        cpu.cache = cpu.core / cores;
        cpu.node = cpu.cache / caches;
        cpu.node_os = cpu.node + (order == 3);
        cpu.package = cpu.node / nodes;
        bool slow = kinds == 3 || (kinds == 1 && cpu.core % cores >= (cores + 1) / 2) ||
                    (kinds == 2 && cpu.cache % 2 == 1);
        cpu.kind = kinds == 0 ? LP_KIND_ONLY : slow ? LP_KIND_EFFICIENCY : LP_KIND_PERFORMANCE;
        add_core(machine, cpu, slow ? 1 : threads);
    }
    struct lp_cpu last = machine->cpus[machine->cpu_count - 1];
    machine->core_count = last.core + 1;
    machine->cache_count = last.cache + 1;
    machine->node_count = last.node + 1;
    machine->package_count = last.package + 1;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        machine->cpus[i].os =
            number_of(order, &machine->cpus[i], i, machine->core_count, machine->package_count);
    }
}

/* A set from a line; NULL if it is empty or no list. */
static lp_cpuset *take_set(struct fuzz_input line)
{
    char *text = fuzz_text(line);
    lp_cpuset *set = *text ? lp_cpuset_parse(text) : NULL;
    free(text);
    return set;
}

/* What lp_machine_read would say is allowed: the mask, within the control group. */
static void take_allowed(struct scenario *s, struct fuzz_input *input)
{
    lp_cpuset *mask = take_set(fuzz_line(input));
    s->cgroup.cpus = take_set(fuzz_line(input));
    lp_cpuset *allowed = fuzz_have(lp_cpuset_new());
    for (unsigned i = 0; i < s->machine.cpu_count; i++) {
        lp_cpuset_add(allowed, s->machine.cpus[i].os);
    }
    if (mask) {
        lp_cpuset_and(allowed, mask);
        lp_cpuset_free(mask);
    }
    if (s->cgroup.cpus) {
        lp_cpuset_and(allowed, s->cgroup.cpus);
        snprintf(s->cgroup.cpus_from, sizeof s->cgroup.cpus_from, "cpuset");
    }
    s->machine.allowed = allowed;
}

/* A device near every CPU, those of a node, none that is there, or nobody knows. */
static void add_device(struct scenario *s, struct fuzz_input *line, enum lp_device_kind kind,
                       const char *vendor, const char *name)
{
    unsigned number = s->devices.count++;
    struct lp_device *device = &s->entries[number];
    unsigned near = fuzz_choice(line, 8);
    *device = (struct lp_device){.kind = kind, .local_known = near > 0};
    snprintf(device->vendor, sizeof device->vendor, "%s", vendor);
    snprintf(device->name, sizeof device->name, "%s", name);
    snprintf(device->pci, sizeof device->pci, "0000:%02x:00.0", number + 1);
    if (near == 0) {
        return;
    }
    device->local = fuzz_have(lp_cpuset_new());
    lp_cpuset_add(device->local, 1000);
    for (unsigned i = 0; i < s->machine.cpu_count; i++) {
        if (near == 1 || s->cpus[i].node + 3 == near) {
            lp_cpuset_add(device->local, s->cpus[i].os);
        }
    }
}

/* Choices: quota in steps of 0.25 (0: none), ranks 1-8, this rank, whether a setting says so, GPUs
 * 0-4, and for each GPU and then a network and a storage device what is near it. */
static void take_limits(struct scenario *s, struct fuzz_input line)
{
    s->cgroup.quota = 0.25 * fuzz_choice(&line, 128);
    s->rank.local_size = 1 + (int)fuzz_choice(&line, 8);
    s->rank.local = (int)fuzz_choice(&line, (unsigned)s->rank.local_size);
    bool by_setting = fuzz_choice(&line, 2) != 0;
    snprintf(s->rank.local_from, sizeof s->rank.local_from, "%s",
             by_setting ? "rank.local" : "SLURM_LOCALID");
    snprintf(s->rank.size_from, sizeof s->rank.size_from, "%s",
             by_setting ? "rank.local_size" : "SLURM_STEP_TASKS_PER_NODE");
    unsigned gpus = fuzz_choice(&line, GPUS + 1);
    s->devices.entries = s->entries;
    for (unsigned i = 0; i < gpus; i++) {
        add_device(s, &line, LP_DEVICE_GPU, i < 3 ? "nvidia" : "amd", "");
    }
    add_device(s, &line, LP_DEVICE_NETWORK, "15b3", "eth0");
    add_device(s, &line, LP_DEVICE_STORAGE, "144d", "nvme0n1");
    lp_devices_number(&s->devices);
}

/* Choices: pin (0: yes), reserve, rounding, smt, cores, spread, cache groups, gpu_pools, I/O
 * threads, compute threads (0: chosen). */
static void take_settings(struct scenario *s, struct fuzz_input line)
{
    struct lp_plan_settings *settings = &s->settings;
    settings->pin = fuzz_choice(&line, 2) == 0;
    settings->reserve = fuzz_choice(&line, 8);
    settings->rounding = (enum lp_rounding)fuzz_choice(&line, 3);
    settings->smt = (enum lp_smt)fuzz_choice(&line, 3);
    settings->cores = (enum lp_core_choice)fuzz_choice(&line, 3);
    settings->spread = (enum lp_spread)fuzz_choice(&line, 2);
    settings->cache_groups = fuzz_choice(&line, 6);
    settings->gpu_pools = (enum lp_gpu_pools)fuzz_choice(&line, 2);
    settings->io_threads = fuzz_choice(&line, 8);
    settings->compute_threads = fuzz_choice(&line, 80);
}

static const char *take_text(struct scenario *s, unsigned which, struct fuzz_input line)
{
    return s->texts[which] = fuzz_text(line);
}

/* Choices: threads 0-7, flags (1: share, 2: blocking), source (0: none, 1: cpus, 2: gpu). */
static void take_pool(struct scenario *s, struct fuzz_input line)
{
    unsigned number = s->settings.pool_count++;
    struct lp_pool_settings *pool = &s->pools[number];
    unsigned threads = fuzz_choice(&line, 8), flags = fuzz_choice(&line, 4);
    unsigned source = fuzz_choice(&line, 3);
    const char *text = take_text(s, TEXTS + number, line);
    *pool = (struct lp_pool_settings){
        .threads = threads,
        .share = flags & 1,
        .blocking = flags & 2,
        .cpus = source == 1 ? text : "",
        .gpu = source == 2 ? text : "",
    };
    snprintf(pool->name, sizeof pool->name, "pool%u", number);
}

static void take_scenario(struct scenario *s, struct fuzz_input input)
{
    struct lp_plan_settings *settings = &s->settings;
    make_machine(s, fuzz_line(&input));
    take_allowed(s, &input);
    take_limits(s, fuzz_line(&input));
    take_settings(s, fuzz_line(&input));
    settings->places = take_text(s, 0, fuzz_line(&input));
    settings->places = *settings->places ? settings->places : "cores";
    settings->cpus = take_text(s, 1, fuzz_line(&input));
    settings->io_cpus = take_text(s, 2, fuzz_line(&input));
    settings->gpu = take_text(s, 3, fuzz_line(&input));
    settings->io_near = take_text(s, 4, fuzz_line(&input));
    settings->pools = s->pools;
    while (settings->pool_count < POOLS && input.size > 0) {
        take_pool(s, fuzz_line(&input));
    }
}

static void drop_scenario(struct scenario *s)
{
    lp_cpuset_free(s->machine.allowed);
    lp_cpuset_free(s->cgroup.cpus);
    for (unsigned i = 0; i < s->devices.count; i++) {
        lp_cpuset_free(s->entries[i].local);
    }
    for (int i = 0; i < TEXTS + POOLS; i++) {
        free(s->texts[i]);
    }
}

static int make(const struct scenario *s, struct lp_plan *plan)
{
    struct lp_plan_input input = {.machine = &s->machine,
                                  .cgroup = &s->cgroup,
                                  .devices = &s->devices,
                                  .rank = &s->rank,
                                  .settings = &s->settings};
    return lp_plan_make(plan, &input);
}

/* ---- the rules ------------------------------------------------------------------------------- */

/* I/O threads or a pool with places of its own. */
struct owner {
    const char *name;
    const struct lp_place *places;
    unsigned count;
};

static unsigned owners_of(const struct lp_plan *plan, struct owner owners[OWNERS])
{
    unsigned count = 0;
    owners[count++] = (struct owner){"io", plan->io, plan->io_count};
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        if (!pool->blocking) {
            FUZZ_CHECK(count < OWNERS, "%u pools", plan->pool_count);
            owners[count++] = (struct owner){pool->name, pool->places, pool->count};
        }
    }
    return count;
}

static void check_sets(const struct scenario *s, const struct lp_plan *plan)
{
    struct owner owners[OWNERS];
    unsigned count = owners_of(plan, owners);
    FUZZ_CHECK(lp_cpuset_first(plan->usable) >= 0, "nothing is usable");
    FUZZ_CHECK(lp_cpuset_is_within(plan->usable, s->machine.allowed), "usable, but not allowed");
    FUZZ_CHECK(lp_cpuset_is_within(plan->cpus, plan->usable), "chosen, but not usable");
    FUZZ_CHECK(lp_cpuset_is_within(plan->io_cpus, plan->usable), "I/O where it is not usable");
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < owners[i].count; k++) {
            const lp_cpuset *set = owners[i].places[k].cpus;
            FUZZ_CHECK(lp_cpuset_first(set) >= 0, "place %u of %s is empty", k, owners[i].name);
            FUZZ_CHECK(lp_cpuset_is_within(set, plan->cpus), "place %u of %s is not chosen", k,
                       owners[i].name);
        }
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        if (plan->pools[i].blocking) {
            FUZZ_CHECK(lp_cpuset_is_within(plan->pools[i].places[0].cpus, plan->usable),
                       "%s is where it is not usable", plan->pools[i].name);
        }
    }
}

/* Where two have a CPU in common, both places say so. */
static void check_sharing(const struct lp_plan *plan)
{
    struct owner owners[OWNERS];
    unsigned count = owners_of(plan, owners);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            for (unsigned k = 0; k < owners[i].count && k < COMPARED; k++) {
                for (unsigned l = 0; l < owners[j].count && l < COMPARED; l++) {
                    const struct lp_place *a = &owners[i].places[k], *b = &owners[j].places[l];
                    FUZZ_CHECK((a->shared && b->shared) || !lp_cpuset_intersects(a->cpus, b->cpus),
                               "place %u of %s and %u of %s share, and do not say so", k,
                               owners[i].name, l, owners[j].name);
                }
            }
        }
    }
}

static bool is_list(const struct scenario *s)
{
    return *s->settings.places == '{' || *s->settings.places == '!';
}

/* Unless a pool says that it is crowded, it has no more threads on a place than CPUs. */
static void check_crowding(const struct scenario *s, const struct lp_plan *plan)
{
    for (unsigned p = 0; p < plan->pool_count && !is_list(s); p++) {
        const struct lp_pool_plan *pool = &plan->pools[p];
        for (unsigned i = 0; i < pool->count && !pool->blocking && !pool->crowded; i++) {
            int same = 0;
            for (unsigned k = 0; k < pool->count; k++) {
                bool equal = lp_cpuset_equal(pool->places[i].cpus, pool->places[k].cpus);
                same += equal;
                FUZZ_CHECK(equal ||
                               !lp_cpuset_intersects(pool->places[i].cpus, pool->places[k].cpus),
                           "places %u and %u of %s overlap", i, k, pool->name);
            }
            FUZZ_CHECK(same <= lp_cpuset_count(pool->places[i].cpus),
                       "%d threads on place %u of %s, which is not crowded", same, i, pool->name);
        }
    }
}

/* Whether that pool's threads are its own, and so count in the budget. */
static bool counts(const struct scenario *s, const struct lp_pool_plan *pool)
{
    for (unsigned i = 0; i < s->settings.pool_count; i++) {
        if (strcmp(s->pools[i].name, pool->name) == 0) {
            return !s->pools[i].share && !pool->shares && !pool->blocking;
        }
    }
    return false; /* of the planner's making, for a GPU */
}

static void check_counts(const struct scenario *s, const struct lp_plan *plan)
{
    const struct lp_plan_settings *settings = &s->settings;
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    FUZZ_CHECK(strcmp(compute->name, "compute") == 0, "the first pool is %s", compute->name);
    FUZZ_CHECK(plan->pool_count > settings->pool_count, "%u pools", plan->pool_count);
    FUZZ_CHECK(plan->io_count == settings->io_threads, "%u I/O threads", plan->io_count);
    FUZZ_CHECK(plan->budget > 0 && plan->budget <= (unsigned)lp_cpuset_count(plan->usable),
               "a budget of %u", plan->budget);
    FUZZ_CHECK(s->cgroup.quota > 0 ? plan->quota > 0 && plan->budget <= plan->quota : !plan->quota,
               "a quota of %u, a budget of %u", plan->quota, plan->budget);
    FUZZ_CHECK(plan->budget_of_others < plan->budget, "%u of %u for others", plan->budget_of_others,
               plan->budget);
    FUZZ_CHECK(compute->count > 0, "no compute thread");
    if (settings->compute_threads) {
        FUZZ_CHECK(compute->count == settings->compute_threads, "%u instead of %u threads",
                   compute->count, settings->compute_threads);
        return;
    }
    if (is_list(s)) {
        return;
    }
    FUZZ_CHECK(compute->count <= plan->budget - plan->budget_of_others, "%u compute threads",
               compute->count);
    unsigned threads = compute->count;
    for (unsigned i = 1; i < plan->pool_count; i++) {
        threads += counts(s, &plan->pools[i]) ? plan->pools[i].count : 0;
    }
    FUZZ_CHECK(threads <= plan->budget, "%u threads for a budget of %u", threads, plan->budget);
}

static void check_reasons(const struct scenario *s, const struct lp_plan *plan)
{
    static const char *const always[] = {"machine", "allowed", "budget", "compute"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        FUZZ_CHECK(lp_reasons_find(&plan->reasons, always[i]), "no reason for %s", always[i]);
    }
    FUZZ_CHECK(!plan->io_count || lp_reasons_find(&plan->reasons, "io"), "no reason for io");
    FUZZ_CHECK(s->cgroup.quota == 0 || lp_reasons_find(&plan->reasons, "quota"),
               "no reason for the quota");
}

/* ---- plans beside it ------------------------------------------------------------------------- */

static void check_same_places(const struct lp_place *a, const struct lp_place *b, unsigned count,
                              const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        FUZZ_CHECK(lp_cpuset_equal(a[i].cpus, b[i].cpus) && a[i].shared == b[i].shared &&
                       a[i].node == b[i].node,
                   "place %u of %s is another", i, name);
    }
}

static void check_same_reasons(const struct lp_reasons *a, const struct lp_reasons *b)
{
    FUZZ_CHECK(a->count == b->count, "%u reasons, and %u", a->count, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        FUZZ_CHECK(strcmp(a->entries[i].key, b->entries[i].key) == 0 &&
                       strcmp(a->entries[i].text, b->entries[i].text) == 0,
                   "%s: %s, and %s: %s", a->entries[i].key, a->entries[i].text, b->entries[i].key,
                   b->entries[i].text);
    }
}

/* A second plan is the same. */
static void check_again(const struct scenario *s, const struct lp_plan *plan)
{
    struct lp_plan again;
    FUZZ_CHECK(make(s, &again) == 0, "%s", loomp_error());
    FUZZ_CHECK(plan->pool_count == again.pool_count && plan->io_count == again.io_count &&
                   plan->budget == again.budget && lp_cpuset_equal(plan->cpus, again.cpus),
               "a second plan is another");
    check_same_places(plan->io, again.io, plan->io_count, "io");
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *a = &plan->pools[i], *b = &again.pools[i];
        FUZZ_CHECK(strcmp(a->name, b->name) == 0 && a->count == b->count, "%s: %u, and %s: %u",
                   a->name, a->count, b->name, b->count);
        check_same_places(a->places, b->places, a->blocking ? 1 : a->count, a->name);
    }
    check_same_reasons(&plan->reasons, &again.reasons);
    check_same_reasons(&plan->warnings, &again.warnings);
    lp_plan_fini(&again);
}

/* The next rank has other CPUs, where nothing but the ranks splits them and there are enough. */
static void check_next_rank(struct scenario *s, const struct lp_plan *plan)
{
    bool split = strcmp(s->rank.size_from, "rank.local_size") == 0;
    if (s->rank.local_size == 1 || !split || *s->settings.gpu) {
        return;
    }
    int local = s->rank.local;
    s->rank.local = (local + 1) % s->rank.local_size;
    struct lp_plan next;
    if (make(s, &next) == 0) {
        FUZZ_CHECK(lp_reasons_find(&plan->warnings, "rank") ||
                       !lp_cpuset_intersects(plan->usable, next.usable),
                   "ranks %d and %d of %d share CPUs", local, s->rank.local, s->rank.local_size);
        lp_plan_fini(&next);
    }
    s->rank.local = local;
}

/* What OpenMP is told are the places of compute. */
static void check_openmp(const struct lp_plan *plan)
{
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    char *text = fuzz_have(lp_openmp_places_text(plan));
    struct lp_omp_places places;
    FUZZ_CHECK(lp_omp_places_parse(&places, text) == 0, "%s", loomp_error());
    FUZZ_CHECK(places.count == compute->count, "%u places in `%s'", places.count, text);
    for (unsigned i = 0; i < places.count; i++) {
        FUZZ_CHECK(lp_cpuset_equal(places.places[i], compute->places[i].cpus), "place %u in `%s'",
                   i, text);
    }
    lp_omp_places_fini(&places);
    free(text);
}

/* Under the limits that the plan was made for, all of compute may run, unless compute.threads or a
 * list asked for more; a tighter quota never makes it more. */
static void check_width(const struct scenario *s, const struct lp_plan *plan)
{
    unsigned count = lp_plan_compute(plan)->count;
    struct lp_cgroup cgroup = s->cgroup;
    unsigned width = lp_plan_width_now(plan, &s->settings, &cgroup, &s->rank, s->machine.allowed);
    FUZZ_CHECK(width > 0 && width <= count, "%u of %u threads", width, count);
    FUZZ_CHECK(width == count || is_list(s), "%u of %u threads under the same limits", width,
               count);
    cgroup.quota = cgroup.quota > 0 ? cgroup.quota / 2 : 1;
    unsigned less = lp_plan_width_now(plan, &s->settings, &cgroup, &s->rank, s->machine.allowed);
    FUZZ_CHECK(less > 0 && less <= width, "%u of %u threads with half the quota", less, width);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scenario s = {0};
    struct lp_plan plan;
    fuzz_log();
    take_scenario(&s, (struct fuzz_input){(const char *)data, size});
    int err = make(&s, &plan);
    if (err != 0) {
        FUZZ_CHECK(err != -ENOMEM && *loomp_error(), "error %d: `%s'", err, loomp_error());
        FUZZ_CHECK(!plan.pools && !plan.usable, "a plan in spite of an error");
    } else {
        check_sets(&s, &plan);
        check_counts(&s, &plan);
        check_reasons(&s, &plan);
        if (s.settings.pin) {
            check_sharing(&plan);
            check_crowding(&s, &plan);
        }
        check_again(&s, &plan);
        check_next_rank(&s, &plan);
        check_openmp(&plan);
        check_width(&s, &plan);
        lp_plan_fini(&plan);
    }
    drop_scenario(&s);
    return 0;
}
