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
    if (!read) {
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return lp_cpuset_parse(line);
}

bool lp_tid_bind(const struct lp_topology *topology, int tid, const lp_cpuset *set)
{
    return topology->is_this_system && hwloc_linux_set_tid_cpubind(topology->handle, tid, set) == 0;
}
