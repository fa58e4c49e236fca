/* SPDX-License-Identifier: MIT */
/* Which GPUs, network and storage devices a machine has, and the CPUs near each. Blocks on files;
 * for the thread that starts something. */
#ifndef LP_PLACEMENT_DEVICE_FIND_H
#define LP_PLACEMENT_DEVICE_FIND_H

#include "placement/device.h"
#include "placement/topology.h"

/* Fills `devices`, all visible and numbered: lp_devices_hide comes after it. What hwloc knows (if
 * the topology was loaded with devices) is joined with what the kernel and the drivers say below
 * root/proc and root/sys; with root "" only if the topology is this system's, and with NULL
 * nowhere. What cannot be read is not there. 0 or -ENOMEM with a sentence. */
int lp_devices_find(struct lp_devices *devices, const struct lp_topology *topology,
                    const char *root);

#endif
