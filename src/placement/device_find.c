/* SPDX-License-Identifier: MIT */
/* Owns how devices are found: hwloc's PCI and OS devices, where it was loaded with them, and the
 * files of Linux and of the drivers, where hwloc or its plugins know less. No vendor's library is
 * asked. Entered by the thread that makes a survey. */
#include "placement/device_find.h"

#include "base/error.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    TEXT_BYTES = 4096
};

enum {
    VENDOR_NVIDIA = 0x10de,
    VENDOR_AMD = 0x1002,
    VENDOR_INTEL = 0x8086,
    CLASS_NETWORK = 0x02,
    CLASS_DISPLAY = 0x03,
    CLASS_ACCELERATOR = 0x12,
};

struct finder {
    struct lp_devices *devices;
    unsigned capacity;
    const struct lp_topology *topology;
    const char *root;
    lp_cpuset *all; /* the CPUs of the machine */
    bool reads_files;
    bool out_of_memory;
};

/* ---- entries --------------------------------------------------------------------------------- */

static struct lp_device *new_entry(struct finder *finder, enum lp_device_kind kind)
{
    struct lp_devices *devices = finder->devices;
    if (devices->count == finder->capacity) {
        unsigned capacity = finder->capacity ? 2 * finder->capacity : 16;
        struct lp_device *entries = reallocarray(devices->entries, capacity, sizeof *entries);
        if (!entries) {
            finder->out_of_memory = true;
            return NULL;
        }
        devices->entries = entries;
        finder->capacity = capacity;
    }
    struct lp_device *device = &devices->entries[devices->count++];
    *device = (struct lp_device){.kind = kind};
    return device;
}

static void copy(char *to, size_t size, const char *text)
{
    if (!*to) {
        snprintf(to, size, "%s", text);
    }
}

static void add_name(struct lp_device *device, const char *name)
{
    if (!*device->name) {
        copy(device->name, sizeof device->name, name);
        return;
    }
    size_t used = strlen(device->other_names);
    char *found = strstr(device->other_names, name);
    size_t length = strlen(name);
    if (strcmp(device->name, name) == 0 ||
        (found && (found[length] == ' ' || !found[length]) &&
         (found == device->other_names || found[-1] == ' ')) ||
        used + length + 2 > sizeof device->other_names) {
        return;
    }
    if (used > 0) {
        strcat(device->other_names, " ");
    }
    strcat(device->other_names, name);
}

static void set_vendor(struct lp_device *device, unsigned vendor)
{
    if (*device->vendor) {
        return;
    }
    switch (vendor) {
    case 0:
        break;
    case VENDOR_NVIDIA:
        copy(device->vendor, sizeof device->vendor, "nvidia");
        break;
    case VENDOR_AMD:
        copy(device->vendor, sizeof device->vendor, "amd");
        break;
    case VENDOR_INTEL:
        copy(device->vendor, sizeof device->vendor, "intel");
        break;
    default:
        snprintf(device->vendor, sizeof device->vendor, "%04x", vendor);
    }
}

/* The entry with that address, of network and storage the first; NULL: none. */
static struct lp_device *find_pci(const struct finder *finder, enum lp_device_kind kind,
                                  const char *pci)
{
    for (unsigned i = 0; *pci && i < finder->devices->count; i++) {
        struct lp_device *device = &finder->devices->entries[i];
        if (device->kind == kind && strcmp(device->pci, pci) == 0) {
            return device;
        }
    }
    return NULL;
}

/* The entry of a GPU: there is one for each address. NULL without memory. */
static struct lp_device *gpu_at(struct finder *finder, const char *pci)
{
    struct lp_device *device = find_pci(finder, LP_DEVICE_GPU, pci);
    if (!device) {
        device = new_entry(finder, LP_DEVICE_GPU);
        if (device) {
            copy(device->pci, sizeof device->pci, pci);
        }
    }
    return device;
}

/* The entry of a network or storage device: there is one for each name, because one controller may
 * have several. NULL without memory. */
static struct lp_device *named_at(struct finder *finder, enum lp_device_kind kind, const char *pci,
                                  const char *name)
{
    for (unsigned i = 0; i < finder->devices->count; i++) {
        struct lp_device *device = &finder->devices->entries[i];
        bool unnamed = !*device->name && *pci && strcmp(device->pci, pci) == 0;
        if (device->kind == kind && (unnamed || strcmp(device->name, name) == 0)) {
            copy(device->name, sizeof device->name, name);
            copy(device->pci, sizeof device->pci, pci);
            return device;
        }
    }
    struct lp_device *device = new_entry(finder, kind);
    if (device) {
        copy(device->name, sizeof device->name, name);
        copy(device->pci, sizeof device->pci, pci);
    }
    return device;
}

/* A further name for all entries of that kind and address: the controller's. Whether there was one.
 */
static bool add_name_at(struct finder *finder, enum lp_device_kind kind, const char *pci,
                        const char *name)
{
    bool found = false;
    for (unsigned i = 0; *pci && i < finder->devices->count; i++) {
        struct lp_device *device = &finder->devices->entries[i];
        if (device->kind == kind && strcmp(device->pci, pci) == 0) {
            add_name(device, name);
            found = true;
        }
    }
    return found;
}

/* ---- what is a GPU --------------------------------------------------------------------------- */

/* Graphics of the board's controller (ASPEED, Matrox) or of a virtual machine compute nothing.
 * Intel's processing accelerators are FPGAs and NPUs, which nobody means by "GPU 0". */
static bool is_gpu(unsigned class, unsigned vendor)
{
    if (class == CLASS_DISPLAY) {
        return vendor == VENDOR_NVIDIA || vendor == VENDOR_AMD || vendor == VENDOR_INTEL;
    }
    return class == CLASS_ACCELERATOR && (vendor == VENDOR_NVIDIA || vendor == VENDOR_AMD);
}

/* ---- hwloc ----------------------------------------------------------------------------------- */

static const char *info_of(hwloc_obj_t object, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = hwloc_obj_get_info_by_name(object, names[i]);
        if (value && *value) {
            return value;
        }
    }
    return NULL;
}

/* Drivers of computing, as opposed to those of screens, which any graphics has. */
static bool is_computing(hwloc_obj_t os)
{
    return os->attr->osdev.type == HWLOC_OBJ_OSDEV_COPROC ||
           (os->attr->osdev.type == HWLOC_OBJ_OSDEV_GPU && os->subtype &&
            strcmp(os->subtype, "Display") != 0);
}

static bool has_computing_child(hwloc_obj_t object)
{
    for (hwloc_obj_t child = object->io_first_child; child; child = child->next_sibling) {
        if (child->type == HWLOC_OBJ_OS_DEVICE && is_computing(child)) {
            return true;
        }
    }
    return false;
}

static void describe_gpu(struct lp_device *device, hwloc_obj_t os)
{
    static const char *const uuids[] = {"NVIDIAUUID", "AMDUUID", "LevelZeroUUID"};
    static const char *const models[] = {"GPUModel", "LevelZeroModel", "CUDADeviceName"};
    if (os->name) {
        add_name(device, os->name);
    }
    const char *uuid = info_of(os, uuids, sizeof uuids / sizeof *uuids);
    const char *model = info_of(os, models, sizeof models / sizeof *models);
    /* AMD's runtime puts the prefix before the number that its management library gives. */
    if (uuid && hwloc_obj_get_info_by_name(os, "AMDUUID") && !*device->uuid) {
        const char *digits = strncmp(uuid, "0x", 2) == 0 ? uuid + 2 : uuid;
        snprintf(device->uuid, sizeof device->uuid, "%s%.48s",
                 strncmp(digits, "GPU-", 4) == 0 ? "" : "GPU-", digits);
    } else if (uuid) {
        copy(device->uuid, sizeof device->uuid, uuid);
    }
    if (model) {
        copy(device->model, sizeof device->model, model);
    }
}

/* The CPUs of what the device is attached to, if that is not the whole machine. */
static void locate_by_hwloc(struct finder *finder, struct lp_device *device, hwloc_obj_t object)
{
    hwloc_obj_t owner = hwloc_get_non_io_ancestor_obj(finder->topology->handle, object);
    if (device->local || !owner || !owner->cpuset || lp_cpuset_first(owner->cpuset) < 0 ||
        hwloc_bitmap_isincluded(finder->all, owner->cpuset)) {
        return;
    }
    device->local = lp_cpuset_copy(owner->cpuset);
    finder->out_of_memory = finder->out_of_memory || !device->local;
}

static void read_os_device(struct finder *finder, const char *pci, unsigned vendor, hwloc_obj_t os)
{
    struct lp_device *device = NULL;
    const char *name = os->name ? os->name : "";
    switch (os->attr->osdev.type) {
    case HWLOC_OBJ_OSDEV_GPU:
    case HWLOC_OBJ_OSDEV_COPROC:
        device = find_pci(finder, LP_DEVICE_GPU, pci);
        if (device) {
            describe_gpu(device, os);
        }
        break;
    case HWLOC_OBJ_OSDEV_NETWORK:
        device = named_at(finder, LP_DEVICE_NETWORK, pci, name);
        break;
    case HWLOC_OBJ_OSDEV_OPENFABRICS:
        if (!add_name_at(finder, LP_DEVICE_NETWORK, pci, name)) {
            device = named_at(finder, LP_DEVICE_NETWORK, pci, name);
        }
        break;
    case HWLOC_OBJ_OSDEV_BLOCK:
        if (!os->subtype || strcmp(os->subtype, "Disk") == 0) {
            device = named_at(finder, LP_DEVICE_STORAGE, pci, name);
        }
        break;
    default:
        break;
    }
    if (device) {
        const char *model = hwloc_obj_get_info_by_name(os, "Model");
        set_vendor(device, vendor);
        if (model) {
            copy(device->model, sizeof device->model, model);
        }
    }
}

static void read_pci_device(struct finder *finder, hwloc_obj_t object)
{
    const struct hwloc_pcidev_attr_s *attr = &object->attr->pcidev;
    unsigned class = attr->class_id >> 8;
    char pci[24];
    snprintf(pci, sizeof pci, "%04x:%02x:%02x.%01x", (unsigned)attr->domain, attr->bus, attr->dev,
             attr->func);
    bool computes = has_computing_child(object);
    struct lp_device *device = NULL;
    if (computes || is_gpu(class, attr->vendor_id)) {
        device = gpu_at(finder, pci);
    }
    /* Interfaces before what is only a further name of theirs. */
    for (int pass = 0; pass < 2; pass++) {
        for (hwloc_obj_t os = object->io_first_child; os; os = os->next_sibling) {
            if (os->type == HWLOC_OBJ_OS_DEVICE &&
                (os->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS) == (pass == 1)) {
                read_os_device(finder, pci, attr->vendor_id, os);
            }
        }
    }
    if (class == CLASS_NETWORK && !find_pci(finder, LP_DEVICE_NETWORK, pci)) {
        device = named_at(finder, LP_DEVICE_NETWORK, pci, pci);
        if (device) {
            device->name[0] = '\0'; /* without a driver of the kernel's it has no name */
        }
    }
    device = device ? find_pci(finder, device->kind, pci) : NULL;
    if (device) {
        const char *model = hwloc_obj_get_info_by_name(object, "PCIDevice");
        set_vendor(device, attr->vendor_id);
        if (model) {
            copy(device->model, sizeof device->model, model);
        }
    }
}

/* Devices of computing that hwloc has without a place on a bus: of drivers in virtual machines.
 * OpenCL calls the processor itself a device, so it is not asked. */
static void read_loose_device(struct finder *finder, hwloc_obj_t os)
{
    if (os->parent->type == HWLOC_OBJ_PCI_DEVICE || os->parent->type == HWLOC_OBJ_OS_DEVICE ||
        !is_computing(os) || !os->subtype || strcmp(os->subtype, "OpenCL") == 0) {
        return;
    }
    struct lp_device *device = new_entry(finder, LP_DEVICE_GPU);
    if (device) {
        describe_gpu(device, os);
        bool amd = strcmp(os->subtype, "RSMI") == 0;
        bool intel = strcmp(os->subtype, "LevelZero") == 0;
        bool nvidia = strcmp(os->subtype, "CUDA") == 0 || strcmp(os->subtype, "NVML") == 0;
        set_vendor(device, amd ? VENDOR_AMD : intel ? VENDOR_INTEL : nvidia ? VENDOR_NVIDIA : 0);
        locate_by_hwloc(finder, device, os);
    }
}

static void ask_hwloc(struct finder *finder)
{
    hwloc_topology_t topology = finder->topology->handle;
    for (hwloc_obj_t object = NULL; (object = hwloc_get_next_pcidev(topology, object));) {
        read_pci_device(finder, object);
    }
    for (hwloc_obj_t object = NULL; (object = hwloc_get_next_osdev(topology, object));) {
        read_loose_device(finder, object);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static bool make_path(const struct finder *finder, char *path,
                                                            const char *format, ...)
{
    va_list arguments;
    int root = snprintf(path, PATH_BYTES, "%s", finder->root);
    if (root < 0 || root >= PATH_BYTES) {
        return false;
    }
    va_start(arguments, format);
    int rest = vsnprintf(path + root, (size_t)(PATH_BYTES - root), format, arguments);
    va_end(arguments);
    return rest >= 0 && rest < PATH_BYTES - root;
}

/* The beginning of a file, without the newline at its end; false if it cannot be read. */
static bool read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    size_t length = fread(text, 1, size - 1, file);
    bool good = !ferror(file);
    fclose(file);
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        length--;
    }
    text[length] = '\0';
    return good;
}

static bool read_number(const struct finder *finder, const char *directory, const char *name,
                        long *value)
{
    char path[PATH_BYTES], text[64], *end;
    if (!make_path(finder, path, "%s/%s", directory, name) || !read_file(path, text, sizeof text)) {
        return false;
    }
    *value = strtol(text, &end, 0);
    return end != text && !*end;
}

static bool exists(const struct finder *finder, const char *directory, const char *name)
{
    char path[PATH_BYTES];
    return make_path(finder, path, "%s/%s", directory, name) && access(path, F_OK) == 0;
}

/* Calls fn with the name of each entry of a directory; the order does not matter, because entries
 * are sorted in the end. */
static void each_entry(struct finder *finder, const char *directory,
                       void (*fn)(struct finder *finder, const char *name))
{
    char path[PATH_BYTES];
    DIR *open = make_path(finder, path, "%s", directory) ? opendir(path) : NULL;
    for (struct dirent *entry; open && (entry = readdir(open));) {
        if (entry->d_name[0] != '.') {
            fn(finder, entry->d_name);
        }
    }
    if (open) {
        closedir(open);
    }
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_address(const char *text, size_t length)
{
    unsigned domain, bus, device, function;
    int used = 0;
    char word[24];
    if (length < 12 || length >= sizeof word) {
        return false;
    }
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    return sscanf(word, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &used) == 4 &&
           (size_t)used == length;
}

/* The last PCI address among the parts of a path, which is the device's and not a bridge's. */
static bool address_in(const char *path, char *pci)
{
    bool found = false;
    while (*path) {
        size_t length = strcspn(path, "/");
        if (is_address(path, length)) {
            snprintf(pci, sizeof((struct lp_device *)0)->pci, "%.*s", (int)length, path);
            found = true;
        }
        path += length + (path[length] == '/');
    }
    return found;
}

static bool address_in_link(const char *path, char *pci)
{
    char target[PATH_BYTES];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) {
        return false;
    }
    target[length] = '\0';
    return address_in(target, pci);
}

static bool address_in_uevent(const char *path, char *pci)
{
    static const char key[] = "PCI_SLOT_NAME=";
    char text[TEXT_BYTES];
    if (!read_file(path, text, sizeof text)) {
        return false;
    }
    const char *at = strstr(text, key);
    size_t length = at ? strcspn(at + strlen(key), "\n") : 0;
    if (!at || !is_address(at + strlen(key), length)) {
        return false;
    }
    snprintf(pci, sizeof((struct lp_device *)0)->pci, "%.*s", (int)length, at + strlen(key));
    return true;
}

/* Of sys/class/CLASS/NAME: links say it on a live system; in a recorded tree they may be plain
 * directories, and the text of the event does. */
static bool find_address(const struct finder *finder, const char *class, const char *name,
                         char *pci)
{
    static const char *const links[] = {"", "/device"};
    static const char *const events[] = {"/device/uevent", "/device/device/uevent"};
    char path[PATH_BYTES];
    pci[0] = '\0';
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (make_path(finder, path, "/sys/class/%s/%s%s", class, name, links[i]) &&
            address_in_link(path, pci)) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (make_path(finder, path, "/sys/class/%s/%s%s", class, name, events[i]) &&
            address_in_uevent(path, pci)) {
            return true;
        }
    }
    return false;
}

/* ---- the kernel's buses and classes ---------------------------------------------------------- */

static void read_bus_entry(struct finder *finder, const char *pci)
{
    char directory[64];
    long class, vendor;
    if (!is_address(pci, strlen(pci))) {
        return;
    }
    snprintf(directory, sizeof directory, "/sys/bus/pci/devices/%.23s", pci);
    /* A virtual function is handed to a virtual machine; those who share the GPU here use the
     * physical one. */
    if (!read_number(finder, directory, "class", &class) ||
        !read_number(finder, directory, "vendor", &vendor) ||
        !is_gpu((unsigned)class >> 16, (unsigned)vendor) || exists(finder, directory, "physfn")) {
        return;
    }
    struct lp_device *device = gpu_at(finder, pci);
    if (!device) {
        return;
    }
    set_vendor(device, (unsigned)vendor);
    char path[PATH_BYTES], text[64];
    if (vendor == VENDOR_AMD && !*device->uuid &&
        make_path(finder, path, "%s/unique_id", directory) && read_file(path, text, sizeof text) &&
        *text) {
        snprintf(device->uuid, sizeof device->uuid, "GPU-%.48s", text);
    }
}

/* Network controllers that no class has named: a user's driver may have them, and their address can
 * be chosen. */
static void read_bus_entry_again(struct finder *finder, const char *pci)
{
    char directory[64];
    long class, vendor;
    if (!is_address(pci, strlen(pci)) || find_pci(finder, LP_DEVICE_NETWORK, pci)) {
        return;
    }
    snprintf(directory, sizeof directory, "/sys/bus/pci/devices/%.23s", pci);
    if (!read_number(finder, directory, "class", &class) || class >> 16 != CLASS_NETWORK ||
        !read_number(finder, directory, "vendor", &vendor)) {
        return;
    }
    struct lp_device *device = new_entry(finder, LP_DEVICE_NETWORK);
    if (device) {
        copy(device->pci, sizeof device->pci, pci);
        set_vendor(device, (unsigned)vendor);
    }
}

static void read_screen(struct finder *finder, const char *name)
{
    char pci[24];
    /* Not the outputs, like card0-HDMI-A-1. */
    if (!strchr(name, '-') && find_address(finder, "drm", name, pci)) {
        add_name_at(finder, LP_DEVICE_GPU, pci, name);
    }
}

static void add_by_class(struct finder *finder, enum lp_device_kind kind, const char *class,
                         const char *name, const char *pci)
{
    char directory[PATH_BYTES], path[PATH_BYTES], model[96];
    long vendor = 0;
    struct lp_device *device = named_at(finder, kind, pci, name);
    if (!device) {
        return;
    }
    if (*pci && snprintf(directory, sizeof directory, "/sys/bus/pci/devices/%s", pci) > 0 &&
        read_number(finder, directory, "vendor", &vendor)) {
        set_vendor(device, (unsigned)vendor);
    }
    if (make_path(finder, path, "/sys/class/%s/%s/device/model", class, name) &&
        read_file(path, model, sizeof model)) {
        copy(device->model, sizeof device->model, model);
    }
}

/* What has no hardware behind it (lo, bridges, loop, dm) has no `device` and no place. */
static void read_interface(struct finder *finder, const char *name)
{
    char directory[PATH_BYTES], pci[24];
    bool placed = find_address(finder, "net", name, pci);
    if (placed || (snprintf(directory, sizeof directory, "/sys/class/net/%s", name) > 0 &&
                   exists(finder, directory, "device"))) {
        add_by_class(finder, LP_DEVICE_NETWORK, "net", name, pci);
    }
}

static void read_fabric(struct finder *finder, const char *name)
{
    char pci[24];
    if (find_address(finder, "infiniband", name, pci) &&
        !add_name_at(finder, LP_DEVICE_NETWORK, pci, name)) {
        add_by_class(finder, LP_DEVICE_NETWORK, "infiniband", name, pci);
    }
}

static void read_disk(struct finder *finder, const char *name)
{
    char directory[PATH_BYTES], pci[24], controller[32];
    long flag = 0;
    int length = snprintf(directory, sizeof directory, "/sys/class/block/%s", name);
    if (length < 0 || (size_t)length >= sizeof directory ||
        exists(finder, directory, "partition") ||
        (read_number(finder, directory, "removable", &flag) && flag) ||
        (read_number(finder, directory, "hidden", &flag) && flag)) {
        return;
    }
    bool placed = find_address(finder, "block", name, pci);
    unsigned number;
    /* With several paths to a disk, it belongs to a subsystem; the controller with its number has a
     * place. */
    if (!placed && sscanf(name, "nvme%un", &number) == 1) {
        snprintf(controller, sizeof controller, "nvme%u", number);
        placed = find_address(finder, "nvme", controller, pci);
    }
    if (placed || exists(finder, directory, "device")) {
        add_by_class(finder, LP_DEVICE_STORAGE, "block", name, pci);
    }
}

static void read_controller(struct finder *finder, const char *name)
{
    char pci[24];
    if (find_address(finder, "nvme", name, pci)) {
        add_name_at(finder, LP_DEVICE_STORAGE, pci, name);
    }
}

/* ---- NVIDIA's driver ------------------------------------------------------------------------- */

static void copy_field(const char *text, const char *key, char *to, size_t size)
{
    const char *at = strstr(text, key);
    if (!at || *to) {
        return;
    }
    at += strlen(key);
    at += strspn(at, " \t");
    size_t length = strcspn(at, "\n");
    /* before the card is started the driver prints question marks */
    if (length > 0 && !memchr(at, '?', length)) {
        snprintf(to, size, "%.*s", (int)length, at);
    }
}

static void read_nvidia(struct finder *finder, const char *pci)
{
    char path[PATH_BYTES], text[TEXT_BYTES];
    struct lp_device *device = is_address(pci, strlen(pci)) ? gpu_at(finder, pci) : NULL;
    if (!device) {
        return;
    }
    set_vendor(device, VENDOR_NVIDIA);
    if (make_path(finder, path, "/proc/driver/nvidia/gpus/%s/information", pci) &&
        read_file(path, text, sizeof text)) {
        copy_field(text, "GPU UUID:", device->uuid, sizeof device->uuid);
        copy_field(text, "Model:", device->model, sizeof device->model);
    }
}

/* A container sees all GPUs of the machine on the bus, but in the driver's folder only those that
 * it was given, and those are what CUDA counts. */
static void drop_ungiven(struct finder *finder)
{
    struct lp_devices *devices = finder->devices;
    if (!exists(finder, "/proc/driver/nvidia", "gpus")) {
        return;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < devices->count; i++) {
        struct lp_device *device = &devices->entries[i];
        if (device->kind == LP_DEVICE_GPU && strcmp(device->vendor, "nvidia") == 0 &&
            *device->pci && !exists(finder, "/proc/driver/nvidia/gpus", device->pci)) {
            lp_cpuset_free(device->local);
        } else {
            devices->entries[kept++] = *device;
        }
    }
    devices->count = kept;
}

static void read_files(struct finder *finder)
{
    each_entry(finder, "/sys/bus/pci/devices", read_bus_entry);
    each_entry(finder, "/proc/driver/nvidia/gpus", read_nvidia);
    drop_ungiven(finder);
    each_entry(finder, "/sys/class/drm", read_screen);
    each_entry(finder, "/sys/class/net", read_interface);
    each_entry(finder, "/sys/class/infiniband", read_fabric);
    each_entry(finder, "/sys/bus/pci/devices", read_bus_entry_again);
    each_entry(finder, "/sys/class/block", read_disk);
    each_entry(finder, "/sys/class/nvme", read_controller);
}

/* ---- which CPUs are near --------------------------------------------------------------------- */

static lp_cpuset *cpus_of_node(const struct finder *finder, long node)
{
    const struct lp_machine *machine = &finder->topology->machine;
    lp_cpuset *cpus = lp_cpuset_new();
    for (unsigned i = 0; cpus && i < machine->cpu_count; i++) {
        if ((long)machine->cpus[i].node_os == node) {
            lp_cpuset_add(cpus, machine->cpus[i].os);
        }
    }
    return cpus;
}

static lp_cpuset *listed_cpus(const struct finder *finder, const char *directory)
{
    char path[PATH_BYTES], text[TEXT_BYTES];
    lp_cpuset *cpus = lp_cpuset_new();
    if (cpus && make_path(finder, path, "%s/local_cpulist", directory) &&
        read_file(path, text, sizeof text) && *text) {
        hwloc_bitmap_list_sscanf(cpus, text);
        lp_cpuset_and(cpus, finder->all);
    }
    return cpus;
}

/* What the kernel says. A list of all CPUs is what it says when the firmware says nothing, unless a
 * node is named, too. */
static void locate_by_files(struct finder *finder, struct lp_device *device)
{
    char directory[64];
    long node = -1;
    snprintf(directory, sizeof directory, "/sys/bus/pci/devices/%s", device->pci);
    lp_cpuset *cpus = listed_cpus(finder, directory);
    if (cpus && (lp_cpuset_first(cpus) < 0 || lp_cpuset_equal(cpus, finder->all))) {
        lp_cpuset_free(cpus);
        bool named = read_number(finder, directory, "numa_node", &node) && node >= 0;
        cpus = named ? cpus_of_node(finder, node) : lp_cpuset_new();
    }
    finder->out_of_memory = finder->out_of_memory || !cpus;
    if (cpus && lp_cpuset_first(cpus) >= 0) {
        device->local = cpus;
    } else {
        lp_cpuset_free(cpus);
    }
}

static void locate(struct finder *finder, struct lp_device *device)
{
    hwloc_topology_t topology = finder->topology->handle;
    hwloc_obj_t object =
        topology && *device->pci ? hwloc_get_pcidev_by_busidstring(topology, device->pci) : NULL;
    if (object) {
        locate_by_hwloc(finder, device, object);
    }
    bool has_files =
        finder->reads_files && *device->pci && exists(finder, "/sys/bus/pci/devices", device->pci);
    if (!device->local && has_files) {
        locate_by_files(finder, device);
    } else if (!device->local && finder->topology->machine.node_count == 1) {
        device->local = lp_cpuset_copy(finder->all);
        finder->out_of_memory = finder->out_of_memory || !device->local;
    }
    device->local_known = device->local != NULL;
}

int lp_devices_find(struct lp_devices *devices, const struct lp_topology *topology,
                    const char *root)
{
    *devices = (struct lp_devices){0};
    struct finder finder = {
        .devices = devices,
        .topology = topology,
        .root = root ? root : "",
        .all = lp_cpuset_new(),
        .reads_files = root && (*root || topology->is_this_system),
    };
    if (!finder.all) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < topology->machine.cpu_count; i++) {
        lp_cpuset_add(finder.all, topology->machine.cpus[i].os);
    }
    if (topology->handle) {
        ask_hwloc(&finder);
    }
    if (finder.reads_files) {
        read_files(&finder);
    }
    for (unsigned i = 0; i < devices->count; i++) {
        locate(&finder, &devices->entries[i]);
    }
    lp_cpuset_free(finder.all);
    if (finder.out_of_memory) {
        lp_devices_fini(devices);
        return lp_fail(-ENOMEM, "no memory for the list of devices");
    }
    lp_devices_number(devices);
    return 0;
}
