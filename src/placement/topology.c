/* SPDX-License-Identifier: MIT */
/* Owns the loaded topology. Loading is for the thread that starts the runtime; binding is for any
 * thread and only reads. */
#include "placement/topology.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The mask of the process when this library was loaded, before main() could run a parallel region:
 * with OMP_PROC_BIND set, libomp binds the initial thread to one place, and a plan made from that
 * mask would have one CPU. */
static lp_cpuset *mask_at_load;

__attribute__((constructor)) static void remember_mask(void)
{
    mask_at_load = lp_thread_mask();
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

/* Whether something in the environment makes OpenMP bind the threads that use it. */
static bool openmp_binds(void)
{
    const char *bind = getenv("OMP_PROC_BIND");
    return (bind && strcasecmp(bind, "false") != 0) || getenv("KMP_AFFINITY") ||
           (getenv("OMP_PLACES") && !bind);
}

static int load(struct lp_topology *topology, struct hwloc_topology *given)
{
    if (given) {
        if (hwloc_topology_dup(&topology->handle, given)) {
            topology->handle = NULL;
            return lp_fail(-ENOMEM, "cannot duplicate the topology given by the application");
        }
        return 0;
    }
    if (hwloc_topology_init(&topology->handle)) {
        topology->handle = NULL;
        return lp_fail(-ENOMEM, "hwloc cannot allocate a topology");
    }
    if (hwloc_topology_load(topology->handle)) {
        return lp_fail(-EIO, "hwloc cannot load the topology of this machine: %s",
                       strerror(errno));
    }
    return 0;
}

static int find_allowed(struct lp_topology *topology)
{
    lp_cpuset *mask = openmp_binds() && mask_at_load ? lp_cpuset_copy(mask_at_load)
                                                     : lp_thread_mask();
    if (!mask) {
        return -ENOMEM;
    }
    lp_cpuset_and(mask, hwloc_topology_get_allowed_cpuset(topology->handle));
    topology->allowed = mask;
    if (lp_cpuset_first(mask) < 0) {
        return lp_fail(-EINVAL, "none of the CPUs that this process may use is in the topology");
    }
    return 0;
}

static int find_cores(struct lp_topology *topology)
{
    /* A machine may show no cores (some virtual ones do); its PUs count as such then. */
    hwloc_obj_type_t type =
        hwloc_get_nbobjs_by_type(topology->handle, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE
                                                                       : HWLOC_OBJ_PU;
    int count = hwloc_get_nbobjs_by_type(topology->handle, type);
    topology->cores = calloc(count > 0 ? (size_t)count : 1, sizeof *topology->cores);
    if (!topology->cores) {
        return lp_fail(-ENOMEM, "no memory for %d cores", count);
    }
    for (int i = 0; i < count; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(topology->handle, type, (unsigned)i);
        if (!hwloc_bitmap_intersects(core->cpuset, topology->allowed)) {
            continue;
        }
        lp_cpuset *cpus = lp_cpuset_copy(core->cpuset);
        if (!cpus) {
            return -ENOMEM;
        }
        lp_cpuset_and(cpus, topology->allowed);
        topology->cores[topology->core_count++] = cpus;
    }
    if (topology->core_count == 0) {
        return lp_fail(-EINVAL, "no core of the topology has a CPU that this process may use");
    }
    return 0;
}

int lp_topology_load(struct lp_topology *topology, struct hwloc_topology *given)
{
    *topology = (struct lp_topology){0};
    int err = load(topology, given);
    if (!err) {
        err = find_allowed(topology);
    }
    if (!err) {
        err = find_cores(topology);
    }
    if (err) {
        lp_topology_fini(topology);
    }
    return err;
}

void lp_topology_fini(struct lp_topology *topology)
{
    for (unsigned i = 0; i < topology->core_count; i++) {
        lp_cpuset_free(topology->cores[i]);
    }
    free(topology->cores);
    lp_cpuset_free(topology->allowed);
    if (topology->handle) {
        hwloc_topology_destroy(topology->handle);
    }
    *topology = (struct lp_topology){0};
}

void lp_bind_thread(const struct lp_topology *topology, const lp_cpuset *set)
{
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
