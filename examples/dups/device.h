/* SPDX-License-Identifier: MIT */
/* Which physical device a file system is on, and whether that is a disk that turns: read from a
 * sysfs tree and a mountinfo file, both of which are parameters, so that tests have recorded ones.
 */
#ifndef DUPS_DEVICE_H
#define DUPS_DEVICE_H

#include <stdbool.h>
#include <sys/types.h>

struct device {
    char pool[32];   /* the name of its pool: dev8-0, or other */
    char name[64];   /* the kernel's name, like sda; of `other`, the file system's type */
    bool rotational; /* reads in order, one at a time, are much faster than others */
};

/* Describes the device of a file system with the number `dev`, as stat gives it, in which `path`
 * (absolute, or "" if unknown) is.
 *
 * - A partition stands for its whole disk. A volume of the device mapper or a RAID stands for the
 *   disk below it, if that is one disk; otherwise for itself, and turns if all disks below it do.
 * - Numbers with major 0 belong to no block device (btrfs, overlayfs, tmpfs, NFS). There the mount
 *   is looked up; if its source is a block device of sysfs (btrfs), that one counts. All others
 *   are one device `other`, which does not turn.
 * - What sysfs does not know is a device of its own that does not turn.
 *
 * Any thread; reads a few small files. Always succeeds. */
void device_of(struct device *device, const char *sysfs, const char *mountinfo, dev_t dev,
               const char *path);

#endif
