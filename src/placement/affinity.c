/* SPDX-License-Identifier: MIT */
/* Owns what is asked of the kernel again and again while threads run. Any thread enters. */
#include "placement/affinity.h"

#include <hwloc.h>
#include <hwloc/linux.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

lp_cpuset *lp_online_cpus(const char *root)
{
    char path[PATH_MAX], line[4096];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/online", root);
    FILE *file = fopen(path, "re");
    if (!file) {
        return NULL;
    }
    bool read = fgets(line, sizeof line, file);
    fclose(file);
    char *end = read ? strchr(line, '\n') : NULL;
    if (!end) {
        return NULL; /* cut, it would be another list */
    }
    *end = '\0';
    return lp_cpuset_parse(line);
}

void lp_tid_bind_within(const struct lp_topology *topology, int tid, const lp_cpuset *set,
                        const lp_cpuset *allowed)
{
    if (tid && topology->is_this_system && lp_cpuset_intersects(set, allowed)) {
        hwloc_linux_set_tid_cpubind(topology->handle, tid, set);
    }
}
