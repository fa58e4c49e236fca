/* SPDX-License-Identifier: MIT */
/* Fuzz target: texts that name devices, on a fixed list of them. The first four lines of the input
 * are the values of CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES and
 * ZE_AFFINITY_MASK (`unset' leaves one out), the fifth is the text that chooses. What is visible
 * must be numbered without gaps, and what is chosen must be visible, and be the same by its other
 * names. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "placement/device.h"

#include <errno.h>

static const struct lp_device there[] = {
    {.pci = "0000:07:00.0",
     .vendor = "nvidia",
     .uuid = "GPU-11112222-3333-4444-5555-000000000001",
     .name = "cuda0",
     .other_names = "nvml0 renderD128"},
    {.pci = "0000:0f:00.0",
     .vendor = "nvidia",
     .uuid = "GPU-11112222-3333-4444-5555-000000000002",
     .name = "cuda1",
     .other_names = "nvml1 renderD129"},
    {.pci = "0000:87:00.0",
     .vendor = "nvidia",
     .uuid = "GPU-99992222-3333-4444-5555-000000000003",
     .name = "card3"},
    {.pci = "0001:87:00.0", .vendor = "nvidia"},
    {.pci = "0000:47:00.0", .vendor = "amd", .uuid = "GPU-abcdef0123456789", .name = "rsmi0"},
    {.pci = "0000:4e:00.0", .vendor = "amd", .uuid = "GPU-abcdef0123456780", .name = "rsmi1"},
    {.pci = "10000:e1:00.0", .vendor = "amd"},
    {.pci = "0000:3b:00.0", .vendor = "intel", .name = "ze0"},
    {.pci = "0000:3c:00.0", .vendor = "intel", .name = "ze1"},
    {.pci = "0000:02:00.0", .vendor = "1a03", .name = "card0"},
    {.name = "tegra"},
    {.kind = LP_DEVICE_NETWORK,
     .pci = "0000:5e:00.0",
     .vendor = "15b3",
     .name = "ib0",
     .other_names = "mlx5_0"},
    {.kind = LP_DEVICE_NETWORK, .pci = "0000:5e:00.1", .vendor = "15b3", .name = "eth10"},
    {.kind = LP_DEVICE_NETWORK, .name = "eth9"},
    {.kind = LP_DEVICE_STORAGE, .pci = "0000:5f:00.0", .vendor = "144d", .name = "nvme0n1"},
    {.kind = LP_DEVICE_STORAGE, .name = "sda"},
};

enum {
    THERE = sizeof there / sizeof *there,
    VARIABLES = 4
};

static const char *const variables[VARIABLES] = {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
                                                 "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"};
static char *values[VARIABLES];

static const char *get(void *arg, const char *name)
{
    (void)arg;
    for (int i = 0; i < VARIABLES; i++) {
        if (strcmp(name, variables[i]) == 0) {
            return values[i];
        }
    }
    return NULL;
}

/* Whether two devices are numbered together. */
static bool counted_together(const struct lp_device *a, const struct lp_device *b, bool by_vendor)
{
    return b->visible && a->kind == b->kind && (!by_vendor || strcmp(a->vendor, b->vendor) == 0);
}

/* Each visible device has a number below their count that no other one has. */
static void check_number(const struct lp_devices *devices, unsigned which, bool by_vendor)
{
    const struct lp_device *device = &devices->entries[which];
    unsigned number = by_vendor ? device->vendor_index : device->index;
    unsigned count = 0;
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *other = &devices->entries[i];
        if (counted_together(device, other, by_vendor)) {
            count++;
            FUZZ_CHECK(i == which || number != (by_vendor ? other->vendor_index : other->index),
                       "%s and %s are both number %u", device->pci, other->pci, number);
        }
    }
    FUZZ_CHECK(number < count, "%s is number %u of %u", device->pci, number, count);
}

static void check_visible(const struct lp_devices *devices)
{
    bool hidden = false;
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        hidden |= !device->visible;
        if (device->visible) {
            check_number(devices, i, false);
            check_number(devices, i, true);
        } else {
            FUZZ_CHECK(device->kind == LP_DEVICE_GPU, "%s is hidden", device->name);
        }
    }
    FUZZ_CHECK(hidden == (*devices->hidden_by != '\0'), "hidden by `%s'", devices->hidden_by);
    for (int i = 0; i < VARIABLES; i++) {
        FUZZ_CHECK(values[i] || !strstr(devices->hidden_by, variables[i]), "%s is not set",
                   variables[i]);
    }
}

/* The same device must be found by another of its names. */
static void check_name(const struct lp_devices *devices, unsigned which, const char *name)
{
    unsigned *chosen = fuzz_have(calloc(devices->count, sizeof *chosen));
    int count = lp_devices_choose(devices, devices->entries[which].kind, name, chosen);
    FUZZ_CHECK(count == 1 && chosen[0] == which, "`%s' is not number %u: %s", name, which,
               count < 0 ? loomp_error() : "another");
    free(chosen);
}

static void check_names(const struct lp_devices *devices, unsigned which)
{
    const struct lp_device *device = &devices->entries[which];
    char name[64];
    snprintf(name, sizeof name, "%u", device->index);
    check_name(devices, which, name);
    if (*device->vendor) {
        snprintf(name, sizeof name, "%s:%u", device->vendor, device->vendor_index);
        check_name(devices, which, name);
    }
    const char *texts[] = {device->pci, device->uuid, device->name};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (*texts[i]) {
            check_name(devices, which, texts[i]);
        }
    }
}

static void check_choice(const struct lp_devices *devices, enum lp_device_kind kind,
                         const char *text)
{
    unsigned *chosen = fuzz_have(calloc(devices->count, sizeof *chosen));
    int count = lp_devices_choose(devices, kind, text, chosen);
    if (count < 0) {
        FUZZ_CHECK_FAILED(count, -ENODEV, -EINVAL);
    } else {
        FUZZ_CHECK(count > 0 && count <= (int)devices->count, "`%s' chooses %d", text, count);
    }
    for (int i = 0; i < count; i++) {
        FUZZ_CHECK(chosen[i] < devices->count, "`%s' chooses number %u", text, chosen[i]);
        const struct lp_device *device = &devices->entries[chosen[i]];
        FUZZ_CHECK(device->kind == kind && device->visible, "`%s' chooses %s", text, device->name);
        for (int k = 0; k < i; k++) {
            FUZZ_CHECK(chosen[k] != chosen[i], "`%s' chooses number %u twice", text, chosen[i]);
        }
        check_names(devices, chosen[i]);
    }
    free(chosen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_log();
    struct fuzz_input input = {(const char *)data, size};
    for (int i = 0; i < VARIABLES; i++) {
        values[i] = fuzz_text(fuzz_line(&input));
        if (strcmp(values[i], "unset") == 0) {
            free(values[i]);
            values[i] = NULL;
        }
    }
    char *text = fuzz_text(fuzz_line(&input));
    struct lp_devices devices = {.count = THERE, .entries = fuzz_have(malloc(sizeof there))};
    memcpy(devices.entries, there, sizeof there);
    lp_devices_number(&devices);
    lp_devices_hide(&devices, &(struct lp_environment){.get = get});
    check_visible(&devices);
    check_choice(&devices, LP_DEVICE_GPU, text);
    check_choice(&devices, LP_DEVICE_NETWORK, text);
    check_choice(&devices, LP_DEVICE_STORAGE, text);
    lp_devices_fini(&devices);
    free(text);
    for (int i = 0; i < VARIABLES; i++) {
        free(values[i]);
    }
    return 0;
}
