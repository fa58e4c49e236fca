/* SPDX-License-Identifier: MIT */
/* Owns the meaning of texts that name devices: which ones the environment hides, and which ones a
 * setting chooses. Pure but for warnings; any thread, one at a time per list. */
#include "placement/device.h"

#include "base/error.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const kind_names[] = {
    [LP_DEVICE_GPU] = "GPU",
    [LP_DEVICE_NETWORK] = "network device",
    [LP_DEVICE_STORAGE] = "storage device",
};

void lp_devices_fini(struct lp_devices *devices)
{
    for (unsigned i = 0; i < devices->count; i++) {
        lp_cpuset_free(devices->entries[i].local);
    }
    free(devices->entries);
    *devices = (struct lp_devices){0};
}

/* ---- PCI addresses --------------------------------------------------------------------------- */

struct pci {
    unsigned domain, bus, device, function;
};

/* Reads exactly min to max hexadecimal digits and what ends them; NULL if they are not there. */
static const char *read_hex(const char *text, int min, int max, char end, unsigned *value)
{
    int digits = 0;
    for (*value = 0; digits <= max && isxdigit((unsigned char)text[digits]); digits++) {
        char c = (char)tolower((unsigned char)text[digits]);
        *value = *value * 16 + (unsigned)(isdigit((unsigned char)c) ? c - '0' : c - 'a' + 10);
    }
    return digits >= min && digits <= max && text[digits] == end ? text + digits + 1 : NULL;
}

static bool read_pci(const char *text, struct pci *pci)
{
    const char *rest = read_hex(text, 4, 8, ':', &pci->domain);
    if (!rest) {
        pci->domain = 0;
        rest = text;
    }
    rest = read_hex(rest, 2, 2, ':', &pci->bus);
    rest = rest ? read_hex(rest, 2, 2, '.', &pci->device) : NULL;
    return rest && read_hex(rest, 1, 1, '\0', &pci->function);
}

static int compare_numbers(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

static int compare_pci(const struct pci *a, const struct pci *b)
{
    int order = compare_numbers(a->domain, b->domain);
    order = order ? order : compare_numbers(a->bus, b->bus);
    order = order ? order : compare_numbers(a->device, b->device);
    return order ? order : compare_numbers(a->function, b->function);
}

/* ---- order and numbers ----------------------------------------------------------------------- */

/* By kind, then in PCI order, those without an address last, then as people count names. */
static int compare_devices(const void *left, const void *right)
{
    const struct lp_device *a = left, *b = right;
    struct pci pci_a, pci_b;
    if (a->kind != b->kind) {
        return compare_numbers(a->kind, b->kind);
    }
    bool has_a = read_pci(a->pci, &pci_a), has_b = read_pci(b->pci, &pci_b);
    int order = has_a && has_b ? compare_pci(&pci_a, &pci_b) : (int)has_b - (int)has_a;
    return order ? order : strverscmp(a->name, b->name);
}

static bool is_visible_of(const struct lp_device *device, enum lp_device_kind kind,
                          const char *vendor)
{
    return device->kind == kind && device->visible && strcmp(device->vendor, vendor) == 0;
}

/* The visible one of that kind and vendor with that vendor_index; -1: none. */
static int find_of_vendor(const struct lp_devices *devices, enum lp_device_kind kind,
                          const char *vendor, unsigned vendor_index)
{
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        if (is_visible_of(device, kind, vendor) && device->vendor_index == vendor_index) {
            return (int)i;
        }
    }
    return -1;
}

/* From vendor_index, which says the order within a vendor: the vendors take turns as in PCI order.
 */
static void number_all(struct lp_devices *devices)
{
    unsigned next[] = {0, 0, 0};
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        if (!device->visible) {
            continue;
        }
        unsigned before = 0;
        for (unsigned j = 0; j < i; j++) {
            before += is_visible_of(&devices->entries[j], device->kind, device->vendor);
        }
        int taker = find_of_vendor(devices, device->kind, device->vendor, before);
        if (taker >= 0) {
            devices->entries[taker].index = next[device->kind]++;
        }
    }
}

void lp_devices_number(struct lp_devices *devices)
{
    if (devices->count > 0) {
        qsort(devices->entries, devices->count, sizeof *devices->entries, compare_devices);
    }
    for (unsigned i = 0; i < devices->count; i++) {
        struct lp_device *device = &devices->entries[i];
        device->vendor_index = 0;
        for (unsigned j = 0; j < i; j++) {
            device->vendor_index +=
                is_visible_of(&devices->entries[j], device->kind, device->vendor);
        }
        device->visible = true;
    }
    devices->hidden_by[0] = '\0';
    number_all(devices);
}

/* ---- elements of a list ---------------------------------------------------------------------- */

/* Copies the next element between commas, without blanks around it, and moves on; false at the end.
 * One that is longer than the buffer is cut, and then names nothing. */
static bool next_element(const char **text, char *element, size_t size)
{
    if (!*text) {
        return false;
    }
    const char *start = *text, *end = strchrnul(start, ',');
    *text = *end ? end + 1 : NULL;
    while (start < end && isspace((unsigned char)*start)) {
        start++;
    }
    while (end > start && isspace((unsigned char)end[-1])) {
        end--;
    }
    snprintf(element, size, "%.*s", (int)(end - start), start);
    return true;
}

/* Whether text is a decimal number and nothing else; one that is too large is UINT_MAX. */
static bool read_number(const char *text, unsigned *value)
{
    uint64_t number = 0;
    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        number = number < UINT_MAX ? number * 10 + (unsigned)(*text - '0') : UINT_MAX;
    }
    *value = number < UINT_MAX ? (unsigned)number : UINT_MAX;
    return true;
}

static bool begins(const char *text, const char *beginning, size_t length)
{
    return *text && strncasecmp(text, beginning, length) == 0;
}

/* ---- what the environment hides -------------------------------------------------------------- */

enum {
    NOT_THERE = -1,
    ANY = -2
};

struct rule {
    const char *variable;
    const char *vendor;
    bool has_tiles;       /* "0.1": a part of device 0 */
    bool empty_hides_all; /* set but empty; otherwise that is as if it was not set */
};

static const struct rule rules[] = {
    {"CUDA_VISIBLE_DEVICES", "nvidia", false, true},
    {"ROCR_VISIBLE_DEVICES", "amd", false, true},
    /* counts among what ROCR_VISIBLE_DEVICES leaves */
    {"HIP_VISIBLE_DEVICES", "amd", false, true},
    {"ZE_AFFINITY_MASK", "intel", true, false},
};

static unsigned count_visible(const struct lp_devices *devices, const char *vendor)
{
    unsigned count = 0;
    for (unsigned i = 0; i < devices->count; i++) {
        count += is_visible_of(&devices->entries[i], LP_DEVICE_GPU, vendor);
    }
    return count;
}

static int find_uuid(const struct lp_devices *devices, const char *vendor, const char *beginning,
                     size_t length)
{
    int found = NOT_THERE;
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        if (is_visible_of(device, LP_DEVICE_GPU, vendor) &&
            begins(device->uuid, beginning, length)) {
            if (found >= 0) {
                return NOT_THERE;
            }
            found = (int)i;
        }
    }
    return found;
}

/* An instance of a divided GPU: "MIG-GPU-uuid/1/0" names the GPU, "MIG-uuid" has a UUID of its own
 * that only the vendor's library could look up. */
static int find_instance(const struct lp_devices *devices, const char *vendor, const char *element)
{
    const char *uuid = element + strlen("MIG-");
    if (strncasecmp(uuid, "GPU-", 4) == 0) {
        return find_uuid(devices, vendor, uuid, strcspn(uuid, "/"));
    }
    return count_visible(devices, vendor) == 1 ? find_of_vendor(devices, LP_DEVICE_GPU, vendor, 0)
                                               : ANY;
}

static int find_visible(const struct lp_devices *devices, const struct rule *rule,
                        const char *element)
{
    char device[128];
    unsigned number;
    snprintf(device, sizeof device, "%s", element);
    char *tile = rule->has_tiles ? strchr(device, '.') : NULL;
    if (tile) {
        *tile = '\0';
    }
    if (read_number(device, &number)) {
        return find_of_vendor(devices, LP_DEVICE_GPU, rule->vendor, number);
    }
    if (begins(device, "MIG-", 4)) {
        return find_instance(devices, rule->vendor, device);
    }
    return begins(device, "GPU-", 4) ? find_uuid(devices, rule->vendor, device, strlen(device))
                                     : NOT_THERE;
}

/* Whether it is one of the usual ways to say "none". */
static bool says_none(const char *element)
{
    return !*element || strcmp(element, "-1") == 0 || strcasecmp(element, "NoDevFiles") == 0 ||
           strcasecmp(element, "none") == 0;
}

/* Notes in positions[i] at which place of the list entry i stands, counted from 1; 0: nowhere.
 * False if the list cannot be understood without the vendor's library. */
static bool read_list(const struct lp_devices *devices, const struct rule *rule, const char *value,
                      unsigned *positions)
{
    char element[128];
    unsigned count = 0;
    for (const char *rest = value; next_element(&rest, element, sizeof element);) {
        int found = find_visible(devices, rule, element);
        if (found == ANY) {
            lp_log(LOOMP_LOG_WARNING,
                   "%s: nothing says here which GPU \"%s\" is a part of; all are taken as visible",
                   rule->variable, element);
            return false;
        }
        if (found == NOT_THERE) {
            if (!says_none(element)) {
                lp_log(LOOMP_LOG_WARNING,
                       "%s=%s: \"%s\" names no GPU of %s; it and all that follows is hidden",
                       rule->variable, value, element, rule->vendor);
            }
            break;
        }
        if (positions[found] == 0) {
            positions[found] = ++count;
        }
    }
    return true;
}

static void note_hiding(struct lp_devices *devices, const char *variable)
{
    size_t left = sizeof devices->hidden_by - strlen(devices->hidden_by) - 1;
    if (strlen(variable) + 1 <= left) {
        strcat(devices->hidden_by, *devices->hidden_by ? "," : "");
        strcat(devices->hidden_by, variable);
    }
}

static void apply(struct lp_devices *devices, const struct rule *rule, const char *value)
{
    unsigned *positions = calloc(devices->count, sizeof *positions);
    if (!positions) {
        lp_log(LOOMP_LOG_WARNING, "no memory to follow %s", rule->variable);
        return;
    }
    if (read_list(devices, rule, value, positions)) {
        bool hides = false;
        for (unsigned i = 0; i < devices->count; i++) {
            struct lp_device *device = &devices->entries[i];
            if (!is_visible_of(device, LP_DEVICE_GPU, rule->vendor)) {
                continue;
            }
            if (positions[i] > 0) {
                device->vendor_index = positions[i] - 1;
            } else {
                device->visible = false;
                hides = true;
            }
        }
        if (hides) {
            note_hiding(devices, rule->variable);
        }
    }
    free(positions);
}

void lp_devices_hide(struct lp_devices *devices, const struct lp_environment *environment)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const char *value = environment->get(environment->arg, rules[i].variable);
        if (value && (*value || rules[i].empty_hides_all) &&
            count_visible(devices, rules[i].vendor) > 0) {
            apply(devices, &rules[i], value);
        }
    }
    number_all(devices);
}

/* ---- what a text chooses --------------------------------------------------------------------- */

/* "0: 0000:3b:00.0 nvidia cuda0, 1: ..." of those that can be chosen. */
static void list_devices(const struct lp_devices *devices, enum lp_device_kind kind, char *buffer,
                         size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    unsigned count = 0;
    for (unsigned i = 0; i < devices->count; i++) {
        count += devices->entries[i].kind == kind && devices->entries[i].visible;
    }
    for (unsigned wanted = 0; wanted < count; wanted++) {
        for (unsigned i = 0; i < devices->count && used < size; i++) {
            const struct lp_device *device = &devices->entries[i];
            if (device->kind != kind || !device->visible || device->index != wanted) {
                continue;
            }
            const char *texts[] = {device->pci, device->vendor, device->name};
            used +=
                (size_t)snprintf(buffer + used, size - used, "%s%u:", wanted ? ", " : "", wanted);
            for (size_t j = 0; j < sizeof texts / sizeof *texts && used < size; j++) {
                used += (size_t)snprintf(buffer + used, size - used, "%s%s", *texts[j] ? " " : "",
                                         texts[j]);
            }
        }
    }
    if (count == 0) {
        snprintf(buffer, size, "none");
    }
}

static int fail_to_find(const struct lp_devices *devices, enum lp_device_kind kind,
                        const char *element, const char *why)
{
    char there[320];
    list_devices(devices, kind, there, sizeof there);
    bool hidden = kind == LP_DEVICE_GPU && *devices->hidden_by;
    return lp_fail(-ENODEV, "%s \"%s\" %s; there is: %s%s%s", kind_names[kind], element, why, there,
                   hidden ? "; others are hidden by " : "", hidden ? devices->hidden_by : "");
}

static bool has_name(const struct lp_device *device, const char *name)
{
    size_t length = strlen(name);
    if (strcmp(device->name, name) == 0) {
        return true;
    }
    for (const char *at = device->other_names; *at;) {
        size_t other = strcspn(at, " ");
        if (other == length && strncmp(at, name, length) == 0) {
            return true;
        }
        at += other + (at[other] == ' ');
    }
    return false;
}

static int find_index(const struct lp_devices *devices, enum lp_device_kind kind, unsigned index)
{
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        if (device->kind == kind && device->visible && device->index == index) {
            return (int)i;
        }
    }
    return NOT_THERE;
}

static int find_pci(const struct lp_devices *devices, enum lp_device_kind kind,
                    const struct pci *wanted)
{
    for (unsigned i = 0; i < devices->count; i++) {
        struct pci pci;
        if (devices->entries[i].kind == kind && read_pci(devices->entries[i].pci, &pci) &&
            compare_pci(&pci, wanted) == 0) {
            return (int)i;
        }
    }
    return NOT_THERE;
}

static int find_name(const struct lp_devices *devices, enum lp_device_kind kind, const char *name)
{
    for (unsigned i = 0; i < devices->count; i++) {
        if (devices->entries[i].kind == kind && has_name(&devices->entries[i], name)) {
            return (int)i;
        }
    }
    return NOT_THERE;
}

/* By the beginning of a UUID: an entry, or a negative errno with a sentence. */
static int find_beginning(const struct lp_devices *devices, enum lp_device_kind kind,
                          const char *element)
{
    int found = NOT_THERE;
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        if (device->kind == kind && begins(device->uuid, element, strlen(element))) {
            if (found >= 0) {
                return fail_to_find(devices, kind, element, "is the beginning of several UUIDs");
            }
            found = (int)i;
        }
    }
    return found >= 0 ? found : fail_to_find(devices, kind, element, "is not there");
}

/* "amd:1": an entry, or a negative errno with a sentence. */
static int find_numbered(const struct lp_devices *devices, enum lp_device_kind kind,
                         const char *element, const char *colon)
{
    static const char *const aliases[] = {"nvidia", "amd", "intel"};
    size_t length = (size_t)(colon - element);
    bool known = false;
    char vendor[16];
    unsigned number;
    snprintf(vendor, sizeof vendor, "%.*s", (int)length, element);
    for (char *c = vendor; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        known = known || strcmp(vendor, aliases[i]) == 0;
    }
    for (unsigned i = 0; i < devices->count; i++) {
        known = known || strcmp(devices->entries[i].vendor, vendor) == 0;
    }
    if (!known || !read_number(colon + 1, &number)) {
        return lp_fail(-EINVAL,
                       "\"%s\" is neither a PCI address like 0000:3b:00.0 nor a vendor's number "
                       "like nvidia:0, amd:0 or intel:0",
                       element);
    }
    int found = find_of_vendor(devices, kind, vendor, number);
    return found >= 0 ? found : fail_to_find(devices, kind, element, "is not there");
}

static int find_element(const struct lp_devices *devices, enum lp_device_kind kind,
                        const char *element)
{
    struct pci pci;
    unsigned number;
    int found;
    if (read_number(element, &number)) {
        found = find_index(devices, kind, number);
    } else if (read_pci(element, &pci)) {
        found = find_pci(devices, kind, &pci);
    } else {
        const char *colon = strchr(element, ':');
        found = find_name(devices, kind, element);
        if (found < 0) {
            found = colon ? find_numbered(devices, kind, element, colon)
                          : find_beginning(devices, kind, element);
            if (found < 0) {
                return found;
            }
        }
    }
    if (found < 0) {
        return fail_to_find(devices, kind, element, "is not there");
    }
    if (!devices->entries[found].visible) {
        return lp_fail(-ENODEV, "%s \"%s\" is hidden by %s", kind_names[kind], element,
                       *devices->hidden_by ? devices->hidden_by : "the environment");
    }
    return found;
}

static unsigned add_once(unsigned *chosen, unsigned count, unsigned entry)
{
    for (unsigned i = 0; i < count; i++) {
        if (chosen[i] == entry) {
            return count;
        }
    }
    chosen[count] = entry;
    return count + 1;
}

int lp_devices_choose(const struct lp_devices *devices, enum lp_device_kind kind, const char *text,
                      unsigned *chosen)
{
    char element[128];
    unsigned count = 0;
    for (const char *rest = text; next_element(&rest, element, sizeof element);) {
        if (!*element) {
            return lp_fail(-EINVAL, "\"%s\" has an element without text", text);
        }
        if (strcasecmp(element, "all") == 0) {
            int found = find_index(devices, kind, 0);
            if (found < 0) {
                return fail_to_find(devices, kind, element, "are none");
            }
            for (unsigned i = 1; found >= 0; i++) {
                count = add_once(chosen, count, (unsigned)found);
                found = find_index(devices, kind, i);
            }
            continue;
        }
        int found = find_element(devices, kind, element);
        if (found < 0) {
            return found;
        }
        count = add_once(chosen, count, (unsigned)found);
    }
    return (int)count;
}
