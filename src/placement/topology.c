/* SPDX-License-Identifier: MIT */
/* Owns the loaded topology, and how it is loaded quickly and from where. Loading is for the thread
 * that starts something, and changes the environment for a moment where a recorded tree is to be
 * read; binding is for any thread and only reads. */
#include "placement/topology.h"

#include "base/error.h"
#include "base/log.h"
#include "placement/openmp_environment.h"

#include <errno.h>
#include <hwloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's numbers (man 2 get_mempolicy); names as numactl's options have them. */
enum {
    POLICY_DEFAULT,
    POLICY_PREFERRED,
    POLICY_PREFERRED_MANY = 5, /* what hwloc sets where the kernel has it */
    POLICY_FLAGS = 7 << 13
};
static const char *const policies[] = {
    "default", "preferred", "bind", "interleave", "local", "preferred-many", "weighted-interleave"};

enum {
    NODES_MAX = 4096,
    NODES_PER_WORD = 8 * sizeof(unsigned long)
};

struct policy {
    unsigned mode;
    unsigned long nodes[NODES_MAX / NODES_PER_WORD];
};

static bool read_policy(struct policy *policy)
{
    int mode = 0;
    *policy = (struct policy){0};
    if (syscall(SYS_get_mempolicy, &mode, policy->nodes, (unsigned long)NODES_MAX, NULL, 0ul)) {
        return false;
    }
    policy->mode = (unsigned)mode & ~(unsigned)POLICY_FLAGS;
    return true;
}

/* The mask of the process when this library was loaded, before main() could run a parallel region:
 * with OMP_PROC_BIND set, libomp binds the initial thread to one place, and a plan made from that
 * mask would have one CPU. */
static lp_cpuset *mask_at_load;

/* The memory policy at that time: numactl's, or the default. */
static unsigned policy_at_load;

__attribute__((constructor)) static void remember_mask(void)
{
    struct policy policy;
    mask_at_load = lp_thread_mask();
    policy_at_load = read_policy(&policy) ? policy.mode : POLICY_DEFAULT;
}

__attribute__((destructor)) static void forget_mask(void)
{
    lp_cpuset_free(mask_at_load);
    mask_at_load = NULL;
}

lp_cpuset *lp_thread_mask(void)
{
    /* The kernel's set may be larger than a cpu_set_t; double it until it fits. */
    for (size_t cpus = CPU_SETSIZE; cpus <= 1u << 20; cpus *= 2) {
        cpu_set_t *raw = CPU_ALLOC(cpus);
        if (!raw) {
            break;
        }
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        lp_cpuset *set = NULL;
        int failure = sched_getaffinity(0, bytes, raw) ? errno : 0;
        if (!failure) {
            set = lp_cpuset_new();
            for (size_t i = 0; set && i < cpus; i++) {
                if (CPU_ISSET_S(i, bytes, raw)) {
                    hwloc_bitmap_set(set, (unsigned)i);
                }
            }
        }
        CPU_FREE(raw);
        if (failure && failure != EINVAL) {
            lp_fail(-failure, "cannot read the CPU mask of a thread: %s", strerror(failure));
        }
        if (failure != EINVAL) {
            return set;
        }
    }
    lp_fail(-ENOMEM, "cannot read the CPU mask of a thread: it has no memory or too many CPUs");
    return NULL;
}

void lp_restore_thread_mask(const lp_cpuset *mask)
{
    int last = hwloc_bitmap_last(mask);
    if (last < 0) {
        return;
    }
    cpu_set_t *raw = CPU_ALLOC((size_t)last + 1);
    if (!raw) {
        return;
    }
    size_t bytes = CPU_ALLOC_SIZE((size_t)last + 1);
    CPU_ZERO_S(bytes, raw);
    for (int cpu = lp_cpuset_first(mask); cpu >= 0; cpu = lp_cpuset_next(mask, cpu)) {
        CPU_SET_S((size_t)cpu, bytes, raw);
    }
    sched_setaffinity(0, bytes, raw);
    CPU_FREE(raw);
}

lp_cpuset *lp_process_mask(void)
{
    return lp_openmp_may_bind() && mask_at_load ? lp_cpuset_copy(mask_at_load) : lp_thread_mask();
}

/* ---- loading --------------------------------------------------------------------------------- */

/* hwloc's x86 component asks each CPU by running on it, which takes longer than all the rest. Linux
 * says the same, but for the kinds of cores in Intel's hybrid processors, and but for kernels that
 * say nothing (some containers). Who names hwloc's components gets what was named. */
static bool needs_x86(void)
{
    return access("/sys/devices/system/cpu/cpu0/topology", F_OK) != 0 ||
           access("/sys/devices/cpu_atom/cpus", F_OK) == 0 || getenv("HWLOC_COMPONENTS") ||
           getenv("HWLOC_CPUID_PATH");
}

static int configure(hwloc_topology_t topology, const struct lp_topology_source *source)
{
    static const hwloc_obj_type_t unread[] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L4CACHE,
                                              HWLOC_OBJ_L5CACHE, HWLOC_OBJ_MEMCACHE,
                                              HWLOC_OBJ_DIE,     HWLOC_OBJ_MISC};
    int failed = hwloc_topology_set_icache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++) {
        failed |= hwloc_topology_set_type_filter(topology, unread[i], HWLOC_TYPE_FILTER_KEEP_NONE);
    }
    failed |= hwloc_topology_set_io_types_filter(
        topology, source->devices ? HWLOC_TYPE_FILTER_KEEP_IMPORTANT : HWLOC_TYPE_FILTER_KEEP_NONE);
    unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;
#if HWLOC_API_VERSION >= 0x00020800
    flags |= HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS;
#endif
    if (source->is_this_system) {
        flags |=
            HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM | HWLOC_TOPOLOGY_FLAG_THISSYSTEM_ALLOWED_RESOURCES;
    }
    failed |= hwloc_topology_set_flags(topology, flags);
    if (!needs_x86()) {
        failed |= hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                                "x86");
    }
    return failed ? lp_fail(-EIO, "hwloc does not take its filters: %s", strerror(errno)) : 0;
}

static int fail_to_load(const char *what, const char *name)
{
    return lp_fail(-EIO, "hwloc cannot load %s%s: %s", what, name,
                   errno ? strerror(errno) : "it does not say why");
}

static int load_text(hwloc_topology_t topology, const char *text)
{
    if (hwloc_topology_set_synthetic(topology, text)) {
        return lp_fail(-EINVAL, "\"%s\" is no synthetic description that hwloc understands", text);
    }
    return hwloc_topology_load(topology) ? fail_to_load("the synthetic topology ", text) : 0;
}

static int load_file(hwloc_topology_t topology, const char *path)
{
    errno = 0;
    if (hwloc_topology_set_xml(topology, path) || hwloc_topology_load(topology)) {
        return lp_fail(-EINVAL, "%s is no topology that hwloc has exported as XML", path);
    }
    return 0;
}

/* What makes hwloc read a recorded tree, and nothing of this machine: its archives have no more
 * than the Linux component reads. */
struct variable {
    const char *name;
    const char *value;
    char *before; /* NULL: was not set */
};

static int set_variables(struct variable *variables, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *before = getenv(variables[i].name);
        variables[i].before = before ? strdup(before) : NULL;
        if (before && !variables[i].before) {
            variables[i].name = NULL;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (!variables[i].name || setenv(variables[i].name, variables[i].value, 1)) {
            return lp_fail(-ENOMEM, "no memory to hand a recorded machine to hwloc");
        }
    }
    return 0;
}

static void restore_variables(struct variable *variables, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (variables[i].before) {
            setenv(variables[i].name, variables[i].before, 1);
        } else if (variables[i].name) {
            unsetenv(variables[i].name);
        }
        free(variables[i].before);
    }
}

static bool has(const char *tree, const char *path)
{
    char whole[4096];
    int length = snprintf(whole, sizeof whole, "%s/%s", tree, path);
    return length > 0 && (size_t)length < sizeof whole && access(whole, F_OK) == 0;
}

static int load_tree(hwloc_topology_t topology, const char *path)
{
    if (!has(path, "sys/devices/system/cpu") && !has(path, "proc/cpuinfo")) {
        return lp_fail(-EINVAL,
                       "%s is no recorded machine: it has neither sys/devices/system/cpu nor "
                       "proc/cpuinfo",
                       path);
    }
    struct variable variables[] = {
        {.name = "HWLOC_FSROOT", .value = path},
        {.name = "HWLOC_COMPONENTS", .value = "linux,stop"},
        {.name = "HWLOC_THISSYSTEM", .value = "0"},
        {.name = "HWLOC_DUMPED_HWDATA_DIR", .value = "/var/run/hwloc"},
    };
    unsigned count = sizeof variables / sizeof *variables;
    int err = set_variables(variables, count);
    if (!err) {
        errno = 0;
        err = hwloc_topology_load(topology) ? fail_to_load("the machine recorded in ", path) : 0;
    }
    restore_variables(variables, count);
    return err;
}

static int load_given(struct lp_topology *topology, struct hwloc_topology *given)
{
    if (hwloc_topology_dup(&topology->handle, given)) {
        topology->handle = NULL;
        return lp_fail(-ENOMEM, "cannot duplicate the topology given by the application");
    }
    if (!hwloc_topology_is_thissystem(topology->handle)) {
        lp_log(LOOMP_LOG_WARNING,
               "the topology given by the application is not marked as this system's (hwloc's flag "
               "IS_THISSYSTEM): threads are not bound");
    }
    return 0;
}

static int load(struct lp_topology *topology, const struct lp_topology_source *source)
{
    if (source->given) {
        return load_given(topology, source->given);
    }
    struct stat status;
    if (source->path && stat(source->path, &status)) {
        return lp_fail(-errno, "cannot read the topology %s: %s", source->path, strerror(errno));
    }
    if (hwloc_topology_init(&topology->handle)) {
        topology->handle = NULL;
        return lp_fail(-ENOMEM, "hwloc cannot allocate a topology");
    }
    int err = configure(topology->handle, source);
    if (err) {
        return err;
    }
    if (source->path) {
        return S_ISDIR(status.st_mode) ? load_tree(topology->handle, source->path)
                                       : load_file(topology->handle, source->path);
    }
    if (source->synthetic) {
        return load_text(topology->handle, source->synthetic);
    }
    errno = 0;
    return hwloc_topology_load(topology->handle) ? fail_to_load("the topology of this machine", "")
                                                 : 0;
}

/* What is allowed here is what hwloc allows and the process's mask. */
static int find_allowed(struct lp_topology *topology, const struct lp_topology_source *source)
{
    lp_cpuset *allowed = topology->machine.allowed;
    if (!topology->is_this_system) {
        return lp_cpuset_first(allowed) < 0
                   ? lp_fail(-EINVAL, "no CPU of the topology is allowed to be used")
                   : 0;
    }
    lp_cpuset *mask = lp_process_mask();
    if (!mask) {
        return -ENOMEM;
    }
    lp_cpuset_and(allowed, mask);
    bool complete = lp_cpuset_equal(allowed, mask);
    lp_cpuset_free(mask);
    if (lp_cpuset_first(allowed) < 0) {
        return lp_fail(-EINVAL, "none of the CPUs that this process may use is in the topology");
    }
    if (source->is_this_system && !complete) {
        return lp_fail(-EINVAL,
                       "%s does not have all CPUs of this machine: it is another's, or old",
                       source->path);
    }
    return 0;
}

int lp_topology_load(struct lp_topology *topology, const struct lp_topology_source *source)
{
    *topology = (struct lp_topology){0};
    int err = load(topology, source);
    if (!err) {
        topology->is_this_system = hwloc_topology_is_thissystem(topology->handle) > 0;
        err = lp_machine_read(&topology->machine, topology->handle);
    }
    if (!err) {
        err = find_allowed(topology, source);
    }
    if (err) {
        lp_topology_fini(topology);
    }
    return err;
}

void lp_topology_fini(struct lp_topology *topology)
{
    lp_machine_fini(&topology->machine);
    if (topology->handle) {
        hwloc_topology_destroy(topology->handle);
    }
    *topology = (struct lp_topology){0};
}

int lp_topology_save(const struct lp_topology *topology, const char *path)
{
    errno = 0;
    if (hwloc_topology_export_xml(topology->handle, path, 0)) {
        int failure = errno ? errno : EIO;
        return lp_fail(-failure, "cannot write the topology to %s: %s", path, strerror(failure));
    }
    return 0;
}

/* What hwloc says of an object, or NULL; NULL for no object, too. */
static const char *info_of(hwloc_obj_t object, const char *key)
{
    const char *text = object ? hwloc_obj_get_info_by_name(object, key) : NULL;
    return text && *text ? text : NULL;
}

void lp_machine_name(const struct lp_topology *topology, char *out, size_t bytes)
{
    hwloc_obj_t root = hwloc_get_root_obj(topology->handle);
    hwloc_obj_t package = hwloc_get_obj_by_type(topology->handle, HWLOC_OBJ_PACKAGE, 0);
    const char *model = info_of(package, "CPUModel");
    model = model ? model : info_of(root, "CPUModel"); /* where packages are not known */
    model = model ? model : info_of(root, "Architecture");
    model = model ? model : "unknown CPU";
    unsigned cores = topology->machine.core_count;
    snprintf(out, bytes, "%.160s, %u core%s", model, cores, cores == 1 ? "" : "s");
    for (char *c = out; *c; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c;
    }
}

/* ---- binding --------------------------------------------------------------------------------- */

void lp_bind_thread(const struct lp_topology *topology, const lp_cpuset *set)
{
    if (!topology->is_this_system) {
        return;
    }
    int failure = hwloc_set_cpubind(topology->handle, set, HWLOC_CPUBIND_THREAD) ? errno : 0;
    lp_cpuset *mask = lp_thread_mask();
    if (failure || !mask || !lp_cpuset_equal(mask, set)) {
        char wanted[128], found[128] = "unknown CPUs";
        lp_cpuset_format(set, wanted, sizeof wanted);
        if (mask) {
            lp_cpuset_format(mask, found, sizeof found);
        }
        lp_log(LOOMP_LOG_WARNING, "a thread that belongs on CPU %s runs on %s%s%s", wanted, found,
               failure ? ": " : "", failure ? strerror(failure) : "");
    }
    lp_cpuset_free(mask);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void lp_memory_policy(char *buffer, size_t size)
{
    struct policy policy;
    if (!read_policy(&policy)) {
        snprintf(buffer, size, "unknown");
        return;
    }
    if (policy.mode >= sizeof policies / sizeof *policies) {
        snprintf(buffer, size, "policy %u", policy.mode);
        return;
    }
    char nodes[256] = "";
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (unsigned node = 0; set && node < NODES_MAX; node++) {
        if (policy.nodes[node / NODES_PER_WORD] >> (node % NODES_PER_WORD) & 1) {
            hwloc_bitmap_set(set, node);
        }
    }
    if (set) {
        hwloc_bitmap_list_snprintf(nodes, sizeof nodes, set);
    }
    hwloc_bitmap_free(set);
    snprintf(buffer, size, "%s%s%s", policies[policy.mode], *nodes ? ":" : "", nodes);
}

static void bind_stack(hwloc_topology_t topology, const lp_cpuset *nodes)
{
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes)) {
        return;
    }
    void *stack;
    size_t bytes;
    if (!pthread_attr_getstack(&attributes, &stack, &bytes)) {
        hwloc_set_area_membind(topology, stack, bytes, nodes, HWLOC_MEMBIND_BIND,
                               HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_MIGRATE);
    }
    pthread_attr_destroy(&attributes);
}

/* Threads inherit the policy of the one that made them, so a preferred node is perhaps ours, from a
 * thread that was bound before. A user's own policy is there from the start of the program on. */
static bool may_change_policy(void)
{
    struct policy policy;
    return policy_at_load == POLICY_DEFAULT && read_policy(&policy) &&
           (policy.mode == POLICY_DEFAULT || policy.mode == POLICY_PREFERRED ||
            policy.mode == POLICY_PREFERRED_MANY);
}

void lp_bind_memory(const struct lp_topology *topology, int node)
{
    if (node < 0 || !topology->is_this_system || !may_change_policy() ||
        hwloc_get_nbobjs_by_type(topology->handle, HWLOC_OBJ_NUMANODE) < 2) {
        return;
    }
    hwloc_nodeset_t nodes = hwloc_bitmap_alloc();
    if (!nodes) {
        return;
    }
    hwloc_bitmap_set(nodes, (unsigned)node);
    /* Without STRICT it is a preference: where that node is full, memory comes from another. A
     * kernel that refuses leaves the memory where the thread touches it first, which is nearly the
     * same. */
    hwloc_set_membind(topology->handle, nodes, HWLOC_MEMBIND_BIND,
                      HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
    bind_stack(topology->handle, nodes);
    hwloc_bitmap_free(nodes);
}
