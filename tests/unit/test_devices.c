/* SPDX-License-Identifier: MIT */
/* Devices: how they are found in recorded trees and topologies, what is near them, which ones the
 * environment hides, and which ones a text chooses. */
#define SUITE "devices"
#include "harness.h"
#include "kept_log.h"

#include "base/log.h"
#include "fault/faults.h"
#include "placement/device_find.h"

#include <loomp.h>

#include <errno.h>
#include <stdlib.h>

enum {
    TEXT = 4096
};

#define DATA LOOMP_TEST_DATA "/devices/"
#define XML LOOMP_TEST_DATA "/topologies/"

/* The devices of a recorded tree on a described machine. */
static void find(struct lp_devices *devices, const char *machine, const char *root)
{
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.synthetic = machine}) == 0);
    CHECK(lp_devices_find(devices, &topology, root) == 0);
    lp_topology_fini(&topology);
}

static void find_in_xml(struct lp_devices *devices, const char *path, const char *root)
{
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology,
                           &(struct lp_topology_source){.path = path, .devices = true}) == 0);
    CHECK(lp_devices_find(devices, &topology, root) == 0);
    lp_topology_fini(&topology);
}

static const char four_nodes[] = "pack:2 numa:2 core:8 pu:1";

/* The devices of a kind in order, like "0000:07:00.0@8-15 0000:47:00.0@?", "-" in front of hidden
 * ones. */
static const char *near_of(const struct lp_devices *devices, enum lp_device_kind kind)
{
    static char texts[2][TEXT];
    static unsigned next;
    char *text = texts[next++ % 2];
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < devices->count && used < TEXT; i++) {
        const struct lp_device *device = &devices->entries[i];
        char cpus[128] = "?";
        if (device->kind != kind) {
            continue;
        }
        CHECK(device->local_known == (device->local != NULL));
        if (device->local) {
            lp_cpuset_format(device->local, cpus, sizeof cpus);
        }
        used += (size_t)snprintf(text + used, TEXT - used, "%s%s%s@%s", used ? " " : "",
                                 device->visible ? "" : "-",
                                 *device->pci ? device->pci : device->name, cpus);
    }
    return text;
}

static const struct lp_device *named(const struct lp_devices *devices, enum lp_device_kind kind,
                                     const char *text)
{
    static const struct lp_device none;
    unsigned chosen[64];
    int count = lp_devices_choose(devices, kind, text, chosen);
    CHECK(count == 1);
    return count == 1 ? &devices->entries[chosen[0]] : &none;
}

/* The addresses that a text chooses, or "error NUMBER". */
static const char *chosen_by(const struct lp_devices *devices, enum lp_device_kind kind,
                             const char *text)
{
    static char texts[2][TEXT];
    static unsigned next;
    char *answer = texts[next++ % 2];
    unsigned chosen[64];
    int count = lp_devices_choose(devices, kind, text, chosen);
    size_t used = (size_t)snprintf(answer, TEXT, "%s",
                                   count == -ENODEV   ? "ENODEV"
                                   : count == -EINVAL ? "EINVAL"
                                                      : "");
    for (int i = 0; i < count && used < TEXT; i++) {
        used += (size_t)snprintf(answer + used, TEXT - used, "%s%s", i ? " " : "",
                                 devices->entries[chosen[i]].pci);
    }
    return answer;
}

/* The addresses of the visible GPUs by index. */
static const char *visible_of(const struct lp_devices *devices)
{
    return chosen_by(devices, LP_DEVICE_GPU, "all");
}

static void hide(struct lp_devices *devices, const char *variable, const char *second)
{
    const char *variables[] = {variable, second, NULL};
    struct lp_environment environment = lp_environment_of(variables);
    keep_lines();
    lp_devices_hide(devices, &environment);
    loomp_set_log(NULL, NULL);
}

/* ---- finding --------------------------------------------------------------------------------- */

TEST(eight_gpus_on_four_nodes_are_found_with_their_cpus)
{
    struct lp_devices devices;
    find(&devices, four_nodes, DATA "eight-gpus");
    /* neither the sound and the switch of the same vendor nor the screen of the board */
    CHECK_TEXT(near_of(&devices, LP_DEVICE_GPU),
               "0000:07:00.0@8-15 0000:0f:00.0@8-15 0000:47:00.0@0-7 0000:4e:00.0@0-7 "
               "0000:87:00.0@24-31 0000:90:00.0@24-31 0000:b7:00.0@16-23 0000:bd:00.0@16-23");
    const struct lp_device *gpu = named(&devices, LP_DEVICE_GPU, "3");
    CHECK_TEXT(gpu->vendor, "nvidia");
    CHECK_TEXT(gpu->uuid, "GPU-33333333-1234-1234-1234-123456789abc");
    CHECK_TEXT(gpu->model, "NVIDIA A100-SXM4-80GB");
    CHECK_TEXT(gpu->name, "card4");
    CHECK(gpu->index == 3 && gpu->vendor_index == 3 && gpu->visible);
    lp_devices_fini(&devices);
    lp_devices_fini(&devices);
}

TEST(interfaces_and_disks_are_found_and_what_has_no_hardware_is_not)
{
    struct lp_devices devices;
    find(&devices, four_nodes, DATA "eight-gpus");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_NETWORK), "0000:0a:00.0@8-15");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_STORAGE), "0000:c1:00.0@16-23");
    const struct lp_device *fabric = named(&devices, LP_DEVICE_NETWORK, "mlx5_0");
    CHECK_TEXT(fabric->name, "ib0");
    CHECK_TEXT(fabric->other_names, "mlx5_0");
    CHECK_TEXT(fabric->vendor, "15b3");
    const struct lp_device *disk = named(&devices, LP_DEVICE_STORAGE, "nvme0n1");
    CHECK_TEXT(disk->model, "SAMSUNG MZQL23T8HCLS");
    CHECK(named(&devices, LP_DEVICE_STORAGE, "nvme0") == disk);
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_NETWORK, "lo"), "ENODEV");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_STORAGE, "loop0"), "ENODEV");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_STORAGE, "nvme0n1p1"), "ENODEV");
    lp_devices_fini(&devices);
}

TEST(gpus_of_three_vendors_are_told_apart)
{
    struct lp_devices devices;
    find(&devices, "pack:2 core:16 pu:1", DATA "three-vendors");
    /* the accelerator beside Intel's graphics is no GPU, nor is the virtual function 29:00.1; one
     * node has all CPUs, and the kernel says so for card 0 */
    CHECK_TEXT(near_of(&devices, LP_DEVICE_GPU),
               "0000:00:02.0@0-31 0000:29:00.0@0-15 0000:c9:00.0@16-31");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "amd:0,intel:0,AMD:1"),
               "0000:29:00.0 0000:00:02.0 0000:c9:00.0");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "nvidia:0"), "ENODEV");
    const struct lp_device *first = named(&devices, LP_DEVICE_GPU, "0");
    CHECK_TEXT(first->vendor, "intel");
    CHECK(named(&devices, LP_DEVICE_GPU, "card0") == first);
    CHECK(named(&devices, LP_DEVICE_GPU, "renderD128") == first);
    CHECK_TEXT(named(&devices, LP_DEVICE_GPU, "1")->uuid, "GPU-a1b2c3d4e5f60718");
    /* a controller that the kernel has no driver for can still be near something */
    CHECK_TEXT(near_of(&devices, LP_DEVICE_NETWORK), "0000:d8:00.0@?");
    lp_devices_fini(&devices);
}

TEST(in_a_virtual_machine_nothing_says_what_is_near)
{
    struct lp_devices devices;
    find(&devices, four_nodes, DATA "virtual-machine");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_GPU), "0000:00:05.0@?");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_NETWORK), "0000:00:03.0@? eth0@?");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_STORAGE), "vda@?");
    /* the driver has not started the card, so it knows no UUID */
    CHECK_TEXT(named(&devices, LP_DEVICE_GPU, "0")->uuid, "");
    CHECK_TEXT(named(&devices, LP_DEVICE_GPU, "0")->model, "Tesla T4");
    lp_devices_fini(&devices);
}

TEST(a_container_has_the_gpus_that_its_driver_folder_has)
{
    struct lp_devices devices;
    find(&devices, "numa:2 core:8 pu:1", DATA "container");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_GPU), "0000:af:00.0@8-15");
    CHECK(named(&devices, LP_DEVICE_GPU, "0")->vendor_index == 0);
    lp_devices_fini(&devices);
}

TEST(hwlocs_devices_are_found_without_any_files)
{
    struct lp_devices devices;
    find_in_xml(&devices, XML "gpus.xml", "");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_GPU),
               "0000:07:00.0@0-3 0000:48:00.0@4-7 0000:88:00.0@8-11 0000:c8:00.0@12-15");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_NETWORK), "0000:4a:00.0@4-7");
    CHECK_TEXT(near_of(&devices, LP_DEVICE_STORAGE), "0000:89:00.0@8-11");
    const struct lp_device *gpu = named(&devices, LP_DEVICE_GPU, "cuda2");
    CHECK_TEXT(gpu->pci, "0000:07:00.0");
    CHECK_TEXT(gpu->other_names, "nvml0");
    CHECK_TEXT(gpu->uuid, "GPU-07000000-0000-0000-0000-000000000000");
    CHECK_TEXT(gpu->vendor, "nvidia");
    CHECK_TEXT(gpu->model, "Some A100");
    CHECK(named(&devices, LP_DEVICE_GPU, "nvml3")->index == 3);
    CHECK_TEXT(named(&devices, LP_DEVICE_NETWORK, "ib0")->other_names, "mlx5_0");
    CHECK_TEXT(named(&devices, LP_DEVICE_STORAGE, "nvme0n1")->model, "A disk");
    lp_devices_fini(&devices);
}

TEST(what_hwloc_and_the_files_know_is_one_list)
{
    struct lp_devices devices;
    find_in_xml(&devices, XML "gpus.xml", DATA "eight-gpus");
    /* 0000:07:00.0 is in both, and hwloc's word counts; of the others that hwloc knows, the
     * driver's folder has none */
    CHECK_TEXT(near_of(&devices, LP_DEVICE_GPU),
               "0000:07:00.0@0-3 0000:0f:00.0@8-15 0000:47:00.0@0-7 0000:4e:00.0@0-7 "
               "0000:87:00.0@12-15 0000:90:00.0@12-15 0000:b7:00.0@8-11 0000:bd:00.0@8-11");
    CHECK_TEXT(named(&devices, LP_DEVICE_GPU, "cuda2")->other_names, "nvml0 card1");
    lp_devices_fini(&devices);
}

TEST(a_machine_without_devices_has_none)
{
    struct lp_devices devices;
    find(&devices, four_nodes, "");
    CHECK(devices.count == 0);
    CHECK_TEXT(visible_of(&devices), "ENODEV");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "0"), "ENODEV");
    CHECK(strstr(loomp_error(), "there is: none") != NULL);
    lp_devices_fini(&devices);
    find(&devices, four_nodes, DATA "nowhere");
    CHECK(devices.count == 0);
    lp_devices_fini(&devices);
    find(&devices, four_nodes, NULL);
    CHECK(devices.count == 0);
    lp_devices_fini(&devices);
}

TEST(this_machines_devices_can_be_listed)
{
    struct lp_topology topology;
    struct lp_devices devices;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){0}) == 0);
    CHECK(lp_devices_find(&devices, &topology, "") == 0);
    for (unsigned i = 0; i < devices.count; i++) {
        CHECK(devices.entries[i].visible);
        CHECK(i == 0 || devices.entries[i - 1].kind <= devices.entries[i].kind);
    }
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_NETWORK, "lo"), "ENODEV");
    lp_devices_fini(&devices);
    lp_topology_fini(&topology);
}

TEST(without_memory_no_device_is_found_and_nothing_is_left_over)
{
    struct lp_topology topology;
    CHECK(lp_topology_load(&topology, &(struct lp_topology_source){.synthetic = four_nodes}) == 0);
    long blocks = atomic_load(&live_blocks);
    bool failed = true;
    long n;
    for (n = 1; failed; n++) {
        struct lp_devices devices;
        atomic_store(&fault_hits, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], n);
        int err = lp_devices_find(&devices, &topology, DATA "eight-gpus");
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        failed = atomic_load(&fault_hits) > 0;
        CHECK(err == (failed ? -ENOMEM : 0));
        CHECK(devices.count == (failed ? 0 : 10));
        lp_devices_fini(&devices);
        CHECK(atomic_load(&live_blocks) == blocks);
    }
    CHECK(n > 10);
    lp_topology_fini(&topology);
}

/* ---- choosing -------------------------------------------------------------------------------- */

TEST(a_device_is_chosen_by_index_address_uuid_and_name)
{
    static const struct {
        const char *text, *addresses;
    } cases[] = {
        {"0", "0000:07:00.0"},
        {"2, 0,2", "0000:47:00.0 0000:07:00.0"},
        {"0000:4e:00.0", "0000:4e:00.0"},
        {"4E:00.0", "0000:4e:00.0"},
        {"00000000:B7:00.0", "0000:b7:00.0"},
        {"nvidia:7", "0000:bd:00.0"},
        {"GPU-33333333-1234-1234-1234-123456789abc", "0000:4e:00.0"},
        {"gpu-5", "0000:90:00.0"},
        {"card1,all",
         "0000:07:00.0 0000:0f:00.0 0000:47:00.0 0000:4e:00.0 0000:87:00.0 0000:90:00.0 "
         "0000:b7:00.0 0000:bd:00.0"},
        {"8", "ENODEV"},
        {"99999999999999999999", "ENODEV"},
        {"nvidia:8", "ENODEV"},
        {"amd:0", "ENODEV"},
        {"4e:00.1", "ENODEV"},
        {"0001:4e:00.0", "ENODEV"},
        {"GPU-", "ENODEV"}, /* all begin with it */
        {"GPU-9", "ENODEV"},
        {"card", "ENODEV"},
        {"ib0", "ENODEV"}, /* of another kind */
        {"", "EINVAL"},
        {"0,,1", "EINVAL"},
        {"0,", "EINVAL"},
        {"nvdia:0", "EINVAL"},
        {"nvidia:", "EINVAL"},
        {"nvidia:x", "EINVAL"},
        {"4e:00", "EINVAL"},
    };
    struct lp_devices devices;
    find(&devices, four_nodes, DATA "eight-gpus");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, cases[i].text), cases[i].addresses);
    }
    lp_devices_fini(&devices);
}

TEST(an_error_names_the_element_and_what_there_is)
{
    struct lp_devices devices;
    find(&devices, "pack:2 core:16 pu:1", DATA "three-vendors");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "0,7"), "ENODEV");
    CHECK_TEXT(loomp_error(), "GPU \"7\" is not there; there is: 0: 0000:00:02.0 intel card0, "
                              "1: 0000:29:00.0 amd card1, 2: 0000:c9:00.0 amd card2");
    hide(&devices, "ROCR_VISIBLE_DEVICES=0", NULL);
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "c9:00.0"), "ENODEV");
    CHECK_TEXT(loomp_error(), "GPU \"c9:00.0\" is hidden by ROCR_VISIBLE_DEVICES");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "2"), "ENODEV");
    CHECK(strstr(loomp_error(), "others are hidden by ROCR_VISIBLE_DEVICES") != NULL);
    lp_devices_fini(&devices);
}

/* ---- hiding ---------------------------------------------------------------------------------- */

TEST(cuda_visible_devices_hides_and_orders)
{
    static const struct {
        const char *value, *visible;
        int warnings;
    } cases[] = {
        {"3,1", "0000:4e:00.0 0000:0f:00.0", 0},
        {" 0 , 2 ", "0000:07:00.0 0000:47:00.0", 0},
        {"1,1,0", "0000:0f:00.0 0000:07:00.0", 0},
        {"GPU-5,GPU-22222222", "0000:90:00.0 0000:47:00.0", 0},
        {"MIG-GPU-66666666-1234-1234-1234-123456789abc/1/0,MIG-GPU-66666666/2/0", "0000:b7:00.0",
         0},
        {"", "ENODEV", 0},
        {"-1", "ENODEV", 0},
        {"NoDevFiles", "ENODEV", 0},
        {"1,-1,2", "0000:0f:00.0", 0},
        {"2,9,1", "0000:47:00.0", 1},
        {"0,GPU-x,1", "0000:07:00.0", 1},
        {"GPU-,1", "ENODEV", 1}, /* the beginning of several */
        {"MIG-12345678-1234-1234-1234-123456789abc",
         "0000:07:00.0 0000:0f:00.0 0000:47:00.0 0000:4e:00.0 0000:87:00.0 0000:90:00.0 "
         "0000:b7:00.0 0000:bd:00.0",
         1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lp_devices devices;
        char variable[256];
        snprintf(variable, sizeof variable, "CUDA_VISIBLE_DEVICES=%s", cases[i].value);
        find(&devices, four_nodes, DATA "eight-gpus");
        hide(&devices, variable, NULL);
        CHECK(lines == cases[i].warnings);
        CHECK_TEXT(visible_of(&devices), cases[i].visible);
        bool all = strstr(cases[i].visible, "bd:00.0") != NULL;
        CHECK_TEXT(devices.hidden_by, all ? "" : "CUDA_VISIBLE_DEVICES");
        lp_devices_fini(&devices);
    }
}

TEST(without_variables_all_gpus_are_visible)
{
    struct lp_devices devices;
    find(&devices, four_nodes, DATA "eight-gpus");
    hide(&devices, "CUDA_DEVICE_ORDER=PCI_BUS_ID", NULL);
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "0,nvidia:7"), "0000:07:00.0 0000:bd:00.0");
    CHECK_TEXT(devices.hidden_by, "");
    lp_devices_fini(&devices);
}

TEST(a_part_of_the_only_gpu_is_that_gpu)
{
    struct lp_devices devices;
    find(&devices, "numa:2 core:8 pu:1", DATA "container");
    hide(&devices, "CUDA_VISIBLE_DEVICES=MIG-12345678-1234-1234-1234-123456789abc", NULL);
    CHECK(lines == 0);
    CHECK_TEXT(visible_of(&devices), "0000:af:00.0");
    lp_devices_fini(&devices);
}

TEST(each_variable_is_for_its_own_vendor)
{
    static const struct {
        const char *first, *second, *visible, *hidden_by;
    } cases[] = {
        {"CUDA_VISIBLE_DEVICES=", NULL, "0000:00:02.0 0000:29:00.0 0000:c9:00.0", ""},
        {"ROCR_VISIBLE_DEVICES=1,0", NULL, "0000:00:02.0 0000:c9:00.0 0000:29:00.0", ""},
        {"ROCR_VISIBLE_DEVICES=GPU-a1b2ff", NULL, "0000:00:02.0 0000:c9:00.0",
         "ROCR_VISIBLE_DEVICES"},
        {"ROCR_VISIBLE_DEVICES=1,0", "HIP_VISIBLE_DEVICES=0", "0000:00:02.0 0000:c9:00.0",
         "HIP_VISIBLE_DEVICES"},
        {"HIP_VISIBLE_DEVICES=-1", "ZE_AFFINITY_MASK=0.0,0.1", "0000:00:02.0",
         "HIP_VISIBLE_DEVICES"},
        {"ZE_AFFINITY_MASK=1", "ROCR_VISIBLE_DEVICES=0", "0000:29:00.0",
         "ROCR_VISIBLE_DEVICES,ZE_AFFINITY_MASK"},
        {"ZE_AFFINITY_MASK=", NULL, "0000:00:02.0 0000:29:00.0 0000:c9:00.0", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lp_devices devices;
        find(&devices, "pack:2 core:16 pu:1", DATA "three-vendors");
        hide(&devices, cases[i].first, cases[i].second);
        CHECK_TEXT(visible_of(&devices), cases[i].visible);
        CHECK_TEXT(devices.hidden_by, cases[i].hidden_by);
        lp_devices_fini(&devices);
    }
}

TEST(an_order_within_a_vendor_keeps_the_turns_of_the_vendors)
{
    struct lp_devices devices;
    find(&devices, "pack:2 core:16 pu:1", DATA "three-vendors");
    hide(&devices, "ROCR_VISIBLE_DEVICES=1,0", NULL);
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "amd:0"), "0000:c9:00.0");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "1"), "0000:c9:00.0");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "2"), "0000:29:00.0");
    CHECK_TEXT(chosen_by(&devices, LP_DEVICE_GPU, "0"), "0000:00:02.0");
    lp_devices_fini(&devices);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
