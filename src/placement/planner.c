/* SPDX-License-Identifier: MIT */
/* Owns what the planner's steps have in common: sentences about CPUs and devices, and what is near
 * a device. Pure. */
#include "placement/planner.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int lp_planner_no_memory(void)
{
    return lp_fail(-ENOMEM, "no memory for a plan");
}

const char *lp_planner_list(const lp_cpuset *set, char buffer[LP_LIST_TEXT])
{
    if (lp_cpuset_format(set, buffer, LP_LIST_TEXT) >= LP_LIST_TEXT) {
        char *comma = memrchr(buffer, ',', LP_LIST_TEXT - 5);
        strcpy(comma ? comma + 1 : buffer + LP_LIST_TEXT - 5, "...");
    }
    return buffer;
}

static const char *device_name(const struct lp_device *device)
{
    return *device->pci ? device->pci : device->name;
}

void lp_planner_device_names(const struct lp_planner *planner, const unsigned *devices,
                             unsigned count, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (unsigned i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? "," : "",
                                 device_name(&planner->input->devices->entries[devices[i]]));
    }
}

int lp_planner_near(struct lp_planner *planner, const char *key, const unsigned *devices,
                    unsigned count, const lp_cpuset *within, lp_cpuset **near)
{
    const struct lp_device *entries = planner->input->devices->entries;
    char names[128], list[LP_LIST_TEXT];
    lp_planner_device_names(planner, devices, count, names, sizeof names);
    *near = NULL;
    lp_cpuset *set = lp_cpuset_new();
    if (!set) {
        return lp_planner_no_memory();
    }
    for (unsigned i = 0; i < count; i++) {
        if (entries[devices[i]].local_known) {
            lp_cpuset_or(set, entries[devices[i]].local);
        }
    }
    if (lp_cpuset_first(set) < 0) {
        lp_warn(planner, key, "the machine does not say which CPUs are near %s", names);
    } else if (!lp_cpuset_intersects(set, within)) {
        lp_warn(planner, key, "none of the CPUs near %s (%s) may be used", names,
                lp_planner_list(set, list));
    } else {
        lp_cpuset_and(set, within);
        *near = set;
        return 0;
    }
    lp_cpuset_free(set);
    return 0;
}
