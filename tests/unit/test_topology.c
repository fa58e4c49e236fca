/* SPDX-License-Identifier: MIT */
/* Topologies: what is read out of this machine and out of described and recorded ones, where they
 * may come from, and the binding of threads and memory. */
#define SUITE "topology"
#include "harness.h"
#include "kept_log.h"

#include "base/log.h"
#include "fault/faults.h"
#include "placement/topology.h"

#include <loomp.h>

#include <errno.h>
#include <hwloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TEXT = 4096
};

#define DATA LOOMP_TEST_DATA "/topologies/"

static const char *text_of(const lp_cpuset *set)
{
    static char texts[4][TEXT];
    static unsigned next;
    char *text = texts[next++ % 4];
    lp_cpuset_format(set, text, TEXT);
    return text;
}

static int load_path(struct lp_topology *topology, const char *path)
{
    return lp_topology_load(topology, &(struct lp_topology_source){.path = path});
}

static int load_text(struct lp_topology *topology, const char *text)
{
    return lp_topology_load(topology, &(struct lp_topology_source){.synthetic = text});
}

/* One level of all CPUs in order, like "0:0 4:0 1:1", the kernel's number before the colon. */
enum level {
    CORE,
    SMT,
    CACHE,
    NODE,
    NODE_OS,
    OF_PACKAGE,
    KIND
};

static const char *level_of(const struct lp_topology *topology, enum level level)
{
    static char texts[4][TEXT];
    static unsigned next;
    char *text = texts[next++ % 4];
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < topology->machine.cpu_count && used < TEXT; i++) {
        const struct lp_cpu *cpu = &topology->machine.cpus[i];
        const unsigned values[] = {cpu->core,    cpu->smt,     cpu->cache,         cpu->node,
                                   cpu->node_os, cpu->package, (unsigned)cpu->kind};
        used += (size_t)snprintf(text + used, TEXT - used, "%s%u:%u", i ? " " : "", cpu->os,
                                 values[level]);
    }
    return text;
}

/* "packages nodes caches cores cpus". */
static const char *counts_of(const struct lp_topology *topology)
{
    static char text[128];
    const struct lp_machine *machine = &topology->machine;
    snprintf(text, sizeof text, "%u %u %u %u %u", machine->package_count, machine->node_count,
             machine->cache_count, machine->core_count, machine->cpu_count);
    return text;
}

/* ---- this machine ---------------------------------------------------------------------------- */

TEST(this_machine_has_the_cpus_of_the_mask_each_once)
{
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){0}) == 0);
    lp_cpuset *mask = lp_process_mask();
    lp_cpuset *all = lp_cpuset_new();
    CHECK(topology.is_this_system && topology.machine.cpu_count > 0);
    CHECK(topology.machine.core_count > 0 && topology.machine.node_count > 0);
    for (unsigned i = 0; i < topology.machine.cpu_count; i++) {
        const struct lp_cpu *cpu = &topology.machine.cpus[i];
        CHECK(!lp_cpuset_has(all, cpu->os));
        CHECK(lp_machine_cpu(&topology.machine, cpu->os) == cpu);
        CHECK(cpu->core < topology.machine.core_count && cpu->node < topology.machine.node_count);
        lp_cpuset_add(all, cpu->os);
    }
    lp_cpuset_and(all, mask);
    CHECK(lp_cpuset_first(mask) >= 0);
    CHECK_TEXT(text_of(topology.machine.allowed), text_of(all));
    lp_cpuset_free(all);
    lp_cpuset_free(mask);
    lp_topology_fini(&topology);
    lp_topology_fini(&topology);
}

TEST(a_thread_is_bound_and_its_mask_put_back)
{
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){0}) == 0);
    keep_lines();
    lp_cpuset *before = lp_thread_mask();
    for (int cpu = lp_cpuset_first(before); cpu >= 0; cpu = lp_cpuset_next(before, cpu)) {
        lp_cpuset *one = lp_cpuset_new();
        lp_cpuset_add(one, (unsigned)cpu);
        lp_bind_thread(&topology, one);
        lp_cpuset *now = lp_thread_mask();
        CHECK(lp_cpuset_equal(now, one));
        lp_cpuset_free(now);
        lp_cpuset_free(one);
    }
    lp_restore_thread_mask(before);
    lp_cpuset *after = lp_thread_mask();
    CHECK(lp_cpuset_equal(before, after));
    CHECK(lines == 0);

    /* one that cannot be bound stays where it is, with a warning */
    lp_cpuset *nowhere = lp_cpuset_parse("100000");
    lp_bind_thread(&topology, nowhere);
    CHECK(lines == 1 && strstr(last_line, "100000") != NULL);
    lp_cpuset_free(after);
    after = lp_thread_mask();
    CHECK(lp_cpuset_equal(before, after));
    loomp_set_log(NULL, NULL);
    lp_cpuset_free(nowhere);
    lp_cpuset_free(after);
    lp_cpuset_free(before);
    lp_topology_fini(&topology);
}

TEST(no_thread_is_bound_by_another_machine)
{
    struct lp_topology topology;
    CHECK(load_text(&topology, "core:2 pu:1") == 0);
    keep_lines();
    lp_cpuset *before = lp_thread_mask();
    lp_cpuset *one = lp_cpuset_parse("1");
    lp_bind_thread(&topology, one);
    lp_bind_memory(&topology, 0);
    lp_cpuset *after = lp_thread_mask();
    CHECK(!topology.is_this_system && lines == 0);
    CHECK(lp_cpuset_equal(before, after));
    loomp_set_log(NULL, NULL);
    lp_cpuset_free(one);
    lp_cpuset_free(after);
    lp_cpuset_free(before);
    lp_topology_fini(&topology);
}

TEST(the_memory_policy_has_a_name_that_is_cut_to_fit)
{
    char whole[256], cut[4];
    lp_memory_policy(whole, sizeof whole);
    lp_memory_policy(cut, sizeof cut);
    CHECK(strlen(whole) > 3 && strlen(cut) == 3 && strncmp(cut, whole, 3) == 0);
}

static hwloc_topology_t described(const char *text, unsigned long flags)
{
    hwloc_topology_t topology;
    CHECK(hwloc_topology_init(&topology) == 0);
    CHECK(hwloc_topology_set_flags(topology, flags) == 0);
    CHECK(hwloc_topology_set_synthetic(topology, text) == 0);
    CHECK(hwloc_topology_load(topology) == 0);
    return topology;
}

/* Policies of the threads below, which end with them. */
struct policies {
    const struct lp_topology *topology;
    char before[256], none[256], bound[256], again[256], users[256];
};

static void *bind_memory(void *arg)
{
    struct policies *policies = arg;
    lp_memory_policy(policies->before, sizeof policies->before);
    lp_bind_memory(policies->topology, -1);
    lp_memory_policy(policies->none, sizeof policies->none);
    lp_bind_memory(policies->topology, 0);
    lp_memory_policy(policies->bound, sizeof policies->bound);
    lp_bind_memory(policies->topology, 0);
    lp_memory_policy(policies->again, sizeof policies->again);
    unsigned long node0 = 1;
    enum {
        INTERLEAVE = 3
    };
    syscall(SYS_set_mempolicy, INTERLEAVE, &node0, 8 * sizeof node0);
    lp_bind_memory(policies->topology, 0);
    lp_memory_policy(policies->users, sizeof policies->users);
    return NULL;
}

TEST(a_thread_prefers_the_memory_of_its_node_unless_the_user_has_a_policy)
{
    static struct policies one, two;
    hwloc_topology_t single = described("numa:1 pu:1024", HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    hwloc_topology_t pair = described("numa:2 pu:512", HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    struct lp_topology topologies[2];
    struct policies *policies[] = {&one, &two};
    CHECK(lp_topology_load(&topologies[0], &(struct lp_topology_source){.given = single}) == 0);
    CHECK(lp_topology_load(&topologies[1], &(struct lp_topology_source){.given = pair}) == 0);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        policies[i]->topology = &topologies[i];
        if (CHECK(pthread_create(&thread, NULL, bind_memory, policies[i]) == 0)) {
            pthread_join(thread, NULL);
        }
    }
    CHECK_TEXT(one.none, one.before);
    CHECK_TEXT(one.bound, one.before); /* with one node there is nothing to prefer */
    CHECK_TEXT(two.none, two.before);
    /* under numactl or in a container that forbids it, it stays as it is */
    bool free_to_choose = strcmp(two.before, "default") == 0;
    const char *nodes = strchr(two.bound, ':');
    CHECK(free_to_choose ? strncmp(two.bound, "preferred", 9) == 0 && nodes && !strcmp(nodes, ":0")
                         : strcmp(two.bound, two.before) == 0);
    CHECK_TEXT(two.again, two.bound);
    CHECK(!free_to_choose || strcmp(two.users, "interleave:0") == 0);
    for (int i = 0; i < 2; i++) {
        lp_topology_fini(&topologies[i]);
    }
    hwloc_topology_destroy(single);
    hwloc_topology_destroy(pair);
}

/* ---- topologies of the application ----------------------------------------------------------- */

TEST(a_topology_of_the_applications_is_copied_and_meets_the_mask)
{
    hwloc_topology_t given = described("core:512 pu:2", HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.given = given}) == 0);
    hwloc_topology_destroy(given);
    lp_cpuset *mask = lp_process_mask();
    CHECK(topology.is_this_system);
    CHECK_TEXT(text_of(topology.machine.allowed), text_of(mask));
    /* CPU c is on core c / 2 there, whatever it is here */
    CHECK(topology.machine.cpu_count == 1024);
    for (unsigned i = 0; i < topology.machine.cpu_count; i++) {
        CHECK(topology.machine.cpus[i].core == topology.machine.cpus[i].os / 2);
        CHECK(topology.machine.cpus[i].smt == topology.machine.cpus[i].os % 2);
    }
    lp_cpuset_free(mask);
    lp_topology_fini(&topology);
}

TEST(a_topology_that_is_not_marked_as_this_systems_is_warned_of)
{
    hwloc_topology_t given = described("core:2 pu:1", 0);
    struct lp_topology topology;
    keep_lines();
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.given = given}) == 0);
    CHECK(!topology.is_this_system);
    CHECK(lines == 1 && strstr(last_line, "threads are not bound") != NULL);
    CHECK_TEXT(text_of(topology.machine.allowed), "0-1");
    loomp_set_log(NULL, NULL);
    hwloc_topology_destroy(given);
    lp_topology_fini(&topology);
}

TEST(a_topology_without_a_cpu_of_ours_is_an_error)
{
    hwloc_topology_t given =
        described("core:2 pu:1(indexes=900000,900001)", HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.given = given}) == -EINVAL);
    CHECK(strstr(loomp_error(), "none of the CPUs") != NULL);
    hwloc_topology_destroy(given);
}

/* Gives the CPUs of a described machine kinds, each "cpus name=value", the least powerful first,
 * and returns the kinds that come out of it. */
static const char *kinds_of(const char *machine, const char *const *kinds, unsigned count)
{
    hwloc_topology_t given = described(machine, 0);
    for (unsigned i = 0; i < count; i++) {
        char cpus[32], name[32], value[32];
        hwloc_bitmap_t set = hwloc_bitmap_alloc();
        CHECK(sscanf(kinds[i], "%31s %31[^=]=%31s", cpus, name, value) == 3);
        hwloc_bitmap_list_sscanf(set, cpus);
        struct hwloc_info_s info = {.name = name, .value = value};
        int efficiency = strcmp(name, "Unranked") == 0 ? -1 : (int)i;
        CHECK(hwloc_cpukinds_register(given, set, efficiency, 1, &info, 0) == 0);
        hwloc_bitmap_free(set);
    }
    struct lp_topology topology;
    keep_lines();
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.given = given}) == 0);
    loomp_set_log(NULL, NULL);
    hwloc_topology_destroy(given);
    const char *text = level_of(&topology, KIND);
    lp_topology_fini(&topology);
    return text;
}

TEST(the_most_powerful_kind_of_core_is_performance_and_all_others_efficiency)
{
    static const char *const three[] = {"0 Rank=1", "1-2 Rank=2", "3 Rank=3"};
    CHECK_TEXT(kinds_of("core:4 pu:1", three, 3), "0:2 1:2 2:2 3:1");
}

TEST(cores_of_one_design_that_are_clocked_differently_are_one_kind)
{
    static const char *const sorted[] = {"0-1 FrequencyMaxMHz=4600", "2 FrequencyMaxMHz=4900",
                                         "3 FrequencyMaxMHz=5100"};
    static const char *const dense[] = {"0-1 FrequencyMaxMHz=3300", "2-3 FrequencyMaxMHz=5100"};
    static const char *const types[] = {"0 CoreType=IntelAtom", "1-2 CoreType=IntelCore",
                                        "3 CoreType=IntelCore"};
    CHECK_TEXT(kinds_of("core:4 pu:1", sorted, 3), "0:0 1:0 2:0 3:0");
    CHECK_TEXT(kinds_of("core:4 pu:1", dense, 2), "0:2 1:2 2:1 3:1");
    CHECK_TEXT(kinds_of("core:4 pu:1", types, 3), "0:2 1:1 2:1 3:1");
}

TEST(kinds_that_cannot_be_ranked_are_all_alike)
{
    static const char *const unknown[] = {"0-1 Unranked=a", "2-3 Unranked=b"};
    static const char *const one[] = {"0-3 Rank=1"};
    CHECK_TEXT(kinds_of("core:4 pu:1", unknown, 2), "0:0 1:0 2:0 3:0");
    CHECK_TEXT(kinds_of("core:4 pu:1", one, 1), "0:0 1:0 2:0 3:0");
}

/* ---- described machines ---------------------------------------------------------------------- */

TEST(levels_are_numbered_over_the_whole_machine)
{
    struct lp_topology topology;
    CHECK(load_text(&topology, "pack:2 numa:2 l3:2 core:1 pu:2") == 0);
    CHECK_TEXT(counts_of(&topology), "2 4 8 8 16");
    CHECK_TEXT(level_of(&topology, CORE),
               "0:0 1:0 2:1 3:1 4:2 5:2 6:3 7:3 8:4 9:4 10:5 11:5 12:6 13:6 14:7 15:7");
    CHECK_TEXT(level_of(&topology, CACHE), level_of(&topology, CORE));
    CHECK_TEXT(level_of(&topology, NODE),
               "0:0 1:0 2:0 3:0 4:1 5:1 6:1 7:1 8:2 9:2 10:2 11:2 12:3 13:3 14:3 15:3");
    CHECK_TEXT(level_of(&topology, OF_PACKAGE),
               "0:0 1:0 2:0 3:0 4:0 5:0 6:0 7:0 8:1 9:1 10:1 11:1 12:1 13:1 14:1 15:1");
    lp_topology_fini(&topology);
}

TEST(a_node_may_span_packages)
{
    struct lp_topology topology;
    CHECK(load_text(&topology, "numa:2 pack:2 core:2 pu:1") == 0);
    CHECK_TEXT(counts_of(&topology), "4 2 4 8 8");
    CHECK_TEXT(level_of(&topology, NODE), "0:0 1:0 2:0 3:0 4:1 5:1 6:1 7:1");
    CHECK_TEXT(level_of(&topology, OF_PACKAGE), "0:0 1:0 2:1 3:1 4:2 5:2 6:3 7:3");
    lp_topology_fini(&topology);
}

TEST(without_a_last_level_cache_the_cores_of_a_package_are_a_group)
{
    static const struct {
        const char *machine;
        const char *counts;
    } cases[] = {
        {"pack:2 core:2 pu:2", "2 1 2 4 8"},
        {"pack:2 l2:2 core:1 pu:2", "2 1 2 4 8"}, /* one core's own L2 is no group */
        {"pack:1 l2:2 core:4 pu:1", "1 1 2 8 8"}, /* a shared one is */
        {"pack:1 l3:2 l2:2 core:2 pu:1", "1 1 2 8 8"},
        {"core:3 pu:1", "1 1 1 3 3"},
        {"pu:3", "1 1 1 3 3"}, /* no cores shown: each CPU counts as one */
        {"numa:2 pu:2", "1 2 1 4 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lp_topology topology;
        CHECK(load_text(&topology, cases[i].machine) == 0);
        CHECK_TEXT(counts_of(&topology), cases[i].counts);
        lp_topology_fini(&topology);
    }
}

TEST(cpus_of_other_numbers_are_found_by_them)
{
    struct lp_topology topology;
    CHECK(load_text(&topology, "pack:2 core:2 pu:2(indexes=0,4,1,5,40,44,41,45)") == 0);
    CHECK_TEXT(level_of(&topology, CORE), "0:0 4:0 1:1 5:1 40:2 44:2 41:3 45:3");
    CHECK_TEXT(level_of(&topology, SMT), "0:0 4:1 1:0 5:1 40:0 44:1 41:0 45:1");
    CHECK(lp_machine_cpu(&topology.machine, 44)->core == 2);
    CHECK(lp_machine_cpu(&topology.machine, 2) == NULL);
    CHECK(lp_machine_cpu(&topology.machine, 46) == NULL);
    lp_topology_fini(&topology);

    struct lp_cpu cpus[] = {{.os = 7}, {.os = 3}};
    struct lp_machine by_hand = {.cpu_count = 2, .cpus = cpus};
    CHECK(lp_machine_cpu(&by_hand, 3) == &cpus[1]);
    CHECK(lp_machine_cpu(&by_hand, 4) == NULL);
}

TEST(the_memory_that_is_local_is_the_usual_one)
{
    hwloc_topology_t given = described("pack:2 [numa] [numa] core:2 pu:1", 0);
    /* of the second package, the one that hwloc has first is fast and small */
    hwloc_obj_t node = hwloc_get_obj_by_type(given, HWLOC_OBJ_NUMANODE, 2);
    hwloc_obj_t usual = hwloc_get_obj_by_type(given, HWLOC_OBJ_NUMANODE, 3);
    node->subtype = strdup("HBM");
    unsigned first = hwloc_get_obj_by_type(given, HWLOC_OBJ_NUMANODE, 0)->os_index;
    struct lp_topology topology;
    keep_lines();
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.given = given}) == 0);
    loomp_set_log(NULL, NULL);
    CHECK_TEXT(counts_of(&topology), "2 2 2 4 4");
    CHECK_TEXT(level_of(&topology, NODE), "0:0 1:0 2:1 3:1");
    CHECK(topology.machine.cpus[0].node_os == first);
    CHECK(topology.machine.cpus[2].node_os == usual->os_index);
    CHECK(topology.machine.memory_only_nodes == 2);
    hwloc_topology_destroy(given);
    lp_topology_fini(&topology);
}

TEST(a_thousand_cpus_are_read_and_the_same_each_time)
{
    static const char machine[] = "pack:8 numa:2 l3:4 core:8 pu:2";
    struct lp_topology first, second;
    CHECK(load_text(&first, machine) == 0);
    CHECK(load_text(&second, machine) == 0);
    CHECK_TEXT(counts_of(&first), "8 16 64 512 1024");
    CHECK(memcmp(first.machine.cpus, second.machine.cpus, 1024 * sizeof(struct lp_cpu)) == 0);
    CHECK(first.machine.cpus[1023].node == 15 && first.machine.cpus[1023].core == 511);
    lp_topology_fini(&first);
    lp_topology_fini(&second);
}

/* ---- files ----------------------------------------------------------------------------------- */

TEST(a_hybrid_machine_has_both_kinds)
{
    struct lp_topology topology;
    CHECK(load_path(&topology, DATA "hybrid.xml") == 0);
    CHECK_TEXT(counts_of(&topology), "1 1 1 6 8");
    CHECK_TEXT(level_of(&topology, KIND), "0:1 1:1 2:1 3:1 4:2 5:2 6:2 7:2");
    CHECK(!topology.is_this_system);
    lp_topology_fini(&topology);
}

TEST(memory_of_gpus_is_counted_and_no_cpu_is_on_it)
{
    struct lp_topology topology;
    CHECK(load_path(&topology, DATA "gpu-memory.xml") == 0);
    CHECK_TEXT(counts_of(&topology), "2 2 8 8 16");
    CHECK(topology.machine.memory_only_nodes == 2);
    CHECK(topology.machine.cpus[0].node_os == 0 && topology.machine.cpus[8].node_os == 8);
    CHECK(topology.machine.cpus[8].node == 1);
    lp_topology_fini(&topology);
}

TEST(cpus_that_are_not_allowed_are_known_and_those_offline_are_not)
{
    struct lp_topology topology;
    CHECK(load_path(&topology, DATA "cpuset.xml") == 0);
    CHECK_TEXT(counts_of(&topology), "2 2 2 4 7");
    CHECK_TEXT(text_of(topology.machine.allowed), "1-2,8,10");
    CHECK_TEXT(level_of(&topology, SMT), "0:0 1:1 2:0 3:1 8:0 9:1 10:0");
    CHECK(lp_machine_cpu(&topology.machine, 11) == NULL);
    lp_topology_fini(&topology);
}

TEST(an_added_device_changes_nothing_about_the_cpus)
{
    struct lp_topology without, with;
    CHECK(load_path(&without, DATA "gpus.xml") == 0);
    CHECK(lp_topology_load(
              &with, &(struct lp_topology_source){.path = DATA "gpus.xml", .devices = true}) == 0);
    CHECK_TEXT(counts_of(&with), "2 4 4 16 16");
    CHECK(hwloc_get_nbobjs_by_type(with.handle, HWLOC_OBJ_PCI_DEVICE) > 0);
    CHECK(hwloc_get_nbobjs_by_type(without.handle, HWLOC_OBJ_PCI_DEVICE) == 0);
    CHECK(memcmp(with.machine.cpus, without.machine.cpus, 16 * sizeof(struct lp_cpu)) == 0);
    lp_topology_fini(&without);
    lp_topology_fini(&with);
}

TEST(a_saved_topology_is_the_same_when_it_is_loaded)
{
    char path[] = "/tmp/loomp-topology.XXXXXX";
    int file = mkstemp(path);
    struct lp_topology saved, loaded;
    if (!CHECK(file >= 0)) {
        return;
    }
    close(file);
    CHECK(load_path(&saved, DATA "cpuset.xml") == 0);
    CHECK(lp_topology_save(&saved, path) == 0);
    CHECK(load_path(&loaded, path) == 0);
    CHECK(loaded.machine.cpu_count == 7);
    CHECK(memcmp(loaded.machine.cpus, saved.machine.cpus, 7 * sizeof(struct lp_cpu)) == 0);
    CHECK_TEXT(text_of(loaded.machine.allowed), "1-2,8,10");
    lp_topology_fini(&loaded);
    CHECK(lp_topology_save(&saved, "/nowhere/at/all.xml") < 0);
    CHECK(strstr(loomp_error(), "/nowhere/at/all.xml") != NULL);
    lp_topology_fini(&saved);
    unlink(path);
}

TEST(a_file_of_this_machine_binds_and_one_of_another_is_refused)
{
    char path[] = "/tmp/loomp-topology.XXXXXX";
    int file = mkstemp(path);
    struct lp_topology here, loaded;
    if (!CHECK(file >= 0)) {
        return;
    }
    close(file);
    CHECK(lp_topology_load(&here, &(struct lp_topology_source){0}) == 0);
    CHECK(lp_topology_save(&here, path) == 0);
    CHECK(lp_topology_load(
              &loaded, &(struct lp_topology_source){.path = path, .is_this_system = true}) == 0);
    CHECK(loaded.is_this_system);
    CHECK_TEXT(text_of(loaded.machine.allowed), text_of(here.machine.allowed));
    lp_cpuset *before = lp_thread_mask();
    lp_cpuset *one = lp_cpuset_new();
    lp_cpuset_add(one, (unsigned)lp_cpuset_first(before));
    lp_bind_thread(&loaded, one);
    lp_cpuset *bound = lp_thread_mask();
    CHECK(lp_cpuset_equal(bound, one));
    lp_restore_thread_mask(before);
    lp_cpuset_free(bound);
    lp_cpuset_free(one);
    lp_cpuset_free(before);
    lp_topology_fini(&loaded);
    lp_topology_fini(&here);

    /* a machine whose only CPU is one that the process does not have */
    struct lp_topology other;
    CHECK(load_text(&other, "core:1 pu:1(indexes=900000)") == 0);
    CHECK(lp_topology_save(&other, path) == 0);
    CHECK(lp_topology_load(&loaded, &(struct lp_topology_source){
                                        .path = path, .is_this_system = true}) == -EINVAL);
    CHECK(strstr(loomp_error(), "CPU") != NULL);
    lp_topology_fini(&other);
    unlink(path);
}

TEST(a_recorded_tree_is_loaded_with_its_cpuset_and_leaves_the_environment_alone)
{
    setenv("HWLOC_THISSYSTEM", "1", 1);
    unsetenv("HWLOC_FSROOT");
    struct lp_topology topology;
    CHECK(load_path(&topology, DATA "recorded") == 0);
    CHECK_TEXT(getenv("HWLOC_THISSYSTEM"), "1");
    CHECK(getenv("HWLOC_FSROOT") == NULL && getenv("HWLOC_COMPONENTS") == NULL);
    unsetenv("HWLOC_THISSYSTEM");
    CHECK(!topology.is_this_system);
    CHECK_TEXT(counts_of(&topology), "2 2 2 4 7");
    CHECK_TEXT(level_of(&topology, CORE), "0:0 4:0 1:1 5:1 2:2 6:2 3:3");
    CHECK_TEXT(text_of(topology.machine.allowed), "0-2,4-5");
    lp_topology_fini(&topology);
}

TEST(a_machine_is_named_by_the_model_of_its_cpus_and_the_number_of_its_cores)
{
    char name[64], short_name[5];
    struct lp_topology topology;
    CHECK(load_text(&topology, "pack:2 core:4 pu:2") == 0);
    lp_machine_name(&topology, name, sizeof name);
    CHECK_TEXT(name, "unknown CPU, 8 cores");
    hwloc_obj_add_info(hwloc_get_root_obj(topology.handle), "Architecture", "riscv64");
    lp_machine_name(&topology, name, sizeof name);
    CHECK_TEXT(name, "riscv64, 8 cores");
    hwloc_obj_t package = hwloc_get_obj_by_type(topology.handle, HWLOC_OBJ_PACKAGE, 0);
    hwloc_obj_add_info(package, "CPUModel", "Fast\n9000");
    lp_machine_name(&topology, name, sizeof name);
    CHECK_TEXT(name, "Fast 9000, 8 cores");
    lp_machine_name(&topology, short_name, sizeof short_name);
    CHECK_TEXT(short_name, "Fast");
    lp_topology_fini(&topology);
    CHECK(load_text(&topology, "core:1 pu:2") == 0);
    lp_machine_name(&topology, name, sizeof name);
    CHECK_TEXT(name, "unknown CPU, 1 core");
    lp_topology_fini(&topology);
}

TEST(hwlocs_own_variables_name_another_machine)
{
    static const struct {
        const char *name, *value, *counts;
    } cases[] = {
        {"HWLOC_XMLFILE", DATA "hybrid.xml", "1 1 1 6 8"},
        {"HWLOC_SYNTHETIC", "pack:3 core:2 pu:1", "3 1 3 6 6"},
        {"HWLOC_FSROOT", DATA "recorded", "2 2 2 4 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lp_topology topology;
        setenv(cases[i].name, cases[i].value, 1);
        CHECK(lp_topology_load(&topology, &(struct lp_topology_source){0}) == 0);
        unsetenv(cases[i].name);
        CHECK(!topology.is_this_system);
        CHECK_TEXT(counts_of(&topology), cases[i].counts);
        lp_topology_fini(&topology);
    }
    struct lp_topology topology;
    setenv("HWLOC_SYNTHETIC", "core:1024 pu:1", 1);
    setenv("HWLOC_THISSYSTEM", "1", 1);
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){0}) == 0);
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_THISSYSTEM");
    CHECK(topology.is_this_system && topology.machine.cpu_count == 1024);
    lp_cpuset *mask = lp_process_mask();
    CHECK_TEXT(text_of(topology.machine.allowed), text_of(mask));
    lp_cpuset_free(mask);
    lp_topology_fini(&topology);
}

TEST(what_is_no_topology_is_an_error_that_names_it)
{
    static const struct {
        struct lp_topology_source source;
        int err;
        const char *names;
    } bad[] = {
        {{.path = "/nowhere/at/all"}, -ENOENT, "/nowhere/at/all"},
        {{.path = LOOMP_TEST_DATA "/abi-0.1.txt"}, -EINVAL, "abi-0.1.txt is no topology"},
        {{.path = LOOMP_TEST_DATA}, -EINVAL, "is no recorded machine"},
        {{.synthetic = "pack:"}, -EINVAL, "\"pack:\" is no synthetic description"},
        {{.synthetic = "nonsense"}, -EINVAL, "\"nonsense\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lp_topology topology;
        CHECK(lp_topology_load(&topology, &bad[i].source) == bad[i].err);
        CHECK(strstr(loomp_error(), bad[i].names) != NULL);
        CHECK(topology.handle == NULL);
    }
}

TEST(without_memory_loading_fails_with_a_sentence_and_nothing_is_left_over)
{
    long blocks = atomic_load(&live_blocks);
    bool failed = true;
    long n;
    for (n = 1; failed; n++) {
        struct lp_topology topology;
        atomic_store(&fault_hits, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], n);
        int err = load_path(&topology, DATA "recorded");
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        failed = atomic_load(&fault_hits) > 0;
        CHECK(failed ? err < 0 && *loomp_error() : err == 0);
        CHECK(getenv("HWLOC_FSROOT") == NULL && getenv("HWLOC_THISSYSTEM") == NULL);
        lp_topology_fini(&topology);
        CHECK(atomic_load(&live_blocks) == blocks);
    }
    CHECK(n > 10);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
