/* SPDX-License-Identifier: MIT */
/* The example dups: which pool a file system gets, on recorded trees of sysfs and lists of mounts.
 */
#define SUITE "dups_device"
#include "harness.h"

#include "device.h"

#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct device found;
static char sysfs[] = "dups-sysfs.XXXXXX";

/* Makes the directories above a path. */
static void make_above(char *path)
{
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
}

/* One line of the record. */
static bool make_entry(char *line)
{
    char path[PATH_MAX];
    char *rest = strchr(line, ' ');

    if (line[0] == '#') {
        return true;
    }
    if (rest == NULL) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    *rest++ = '\0';
    if (snprintf(path, sizeof path, "%s/%s", sysfs, line) >= (int)sizeof path) {
        return false;
    }
    make_above(path);
    if (strncmp(rest, "-> ", 3) == 0) {
        return symlink(rest + 3, path) == 0;
    }
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fprintf(file, "%s\n", rest) > 0;
    return file != NULL && fclose(file) == 0 && good;
}

/* Makes the tree of sysfs from its record. */
static bool make_sysfs(void)
{
    FILE *record = fopen(LOOMP_TEST_DATA "/sysfs/machine", "re");
    char line[512];
    bool good = record != NULL && mkdtemp(sysfs) != NULL;

    while (good && fgets(line, sizeof line, record) != NULL) {
        good = make_entry(line);
    }
    if (record != NULL) {
        fclose(record);
    }
    return good;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

/* The device's pool. */
static const char *pool_of(unsigned major_, unsigned minor_)
{
    device_of(&found, sysfs, LOOMP_TEST_DATA "/sysfs/mounts/plain", makedev(major_, minor_), "");
    return found.pool;
}

/* The same of a file system with major 0. */
static const char *pool_of_mount(const char *mounts, unsigned minor_, const char *path)
{
    char file[512];

    snprintf(file, sizeof file, "%s/sysfs/mounts/%s", LOOMP_TEST_DATA, mounts);
    device_of(&found, sysfs, file, makedev(0, minor_), path);
    return found.pool;
}

TEST(a_disk_that_turns_is_told_from_one_that_does_not)
{
    CHECK_TEXT(pool_of(8, 0), "dev8-0");
    CHECK_TEXT(found.name, "sda");
    CHECK(found.rotational);
    CHECK_TEXT(pool_of(8, 16), "dev8-16");
    CHECK(!found.rotational);
}

TEST(a_partition_belongs_to_its_disk)
{
    CHECK_TEXT(pool_of(8, 2), "dev8-0");
    CHECK_TEXT(found.name, "sda");
    CHECK(found.rotational);
    CHECK_TEXT(pool_of(259, 2), "dev259-0");
    CHECK_TEXT(found.name, "nvme0n1");
    CHECK(!found.rotational);
}

TEST(a_volume_on_one_disk_belongs_to_that_disk)
{
    CHECK_TEXT(pool_of(253, 0), "dev8-0");
    CHECK(found.rotational);
    CHECK_TEXT(pool_of(253, 1), "dev8-0"); /* encrypted, on a volume */
    CHECK_TEXT(pool_of(253, 4), "dev8-0"); /* two of its partitions */
    CHECK_TEXT(found.name, "sda");
}

TEST(a_volume_on_several_disks_is_a_device_that_turns_if_all_of_them_do)
{
    CHECK_TEXT(pool_of(253, 2), "dev253-2");
    CHECK_TEXT(found.name, "dm-2");
    CHECK(found.rotational);
    CHECK_TEXT(pool_of(253, 3), "dev253-3");
    CHECK(!found.rotational); /* whatever its own flag says */
    CHECK_TEXT(pool_of(9, 0), "dev9-0");
    CHECK(!found.rotational);
}

TEST(a_partition_of_a_raid_belongs_to_the_raid)
{
    CHECK_TEXT(pool_of(259, 5), "dev9-0");
    CHECK_TEXT(found.name, "md0");
}

TEST(a_loop_device_is_a_device_of_its_own)
{
    CHECK_TEXT(pool_of(7, 0), "dev7-0");
    CHECK_TEXT(found.name, "loop0");
}

TEST(what_sysfs_does_not_know_is_a_device_that_does_not_turn)
{
    CHECK_TEXT(pool_of(8, 200), "dev8-200");
    CHECK_TEXT(found.name, "8:200");
    CHECK(!found.rotational);
    CHECK_TEXT(pool_of(43, 0), "dev43-0"); /* without a flag */
    CHECK(!found.rotational);
    device_of(&found, "/nonexistent", "/nonexistent", makedev(8, 0), "/");
    CHECK_TEXT(found.pool, "dev8-0");
    CHECK(!found.rotational);
}

TEST(a_volume_below_itself_ends_somewhere)
{
    CHECK_TEXT(pool_of(253, 5), "dev253-5");
}

TEST(btrfs_belongs_to_the_device_that_is_mounted)
{
    CHECK_TEXT(pool_of_mount("plain", 33, "/data/x"), "dev8-16");
    CHECK(!found.rotational);
    CHECK_TEXT(pool_of_mount("plain", 40, "/data/photos"), "dev8-0"); /* by the mapper's name */
    CHECK(found.rotational);
}

TEST(a_subvolume_is_found_by_the_mount_point_above_it)
{
    CHECK_TEXT(pool_of_mount("plain", 99, "/data/photos/sub/x"), "dev8-0");
    CHECK_TEXT(pool_of_mount("plain", 99, "/data/photosphere"), "dev8-16");
    CHECK_TEXT(pool_of_mount("plain", 99, "/old/x"), "dev8-16"); /* mounted over the other */
    CHECK_TEXT(pool_of_mount("plain", 99, "/mnt/a name\\\n/x"), "dev259-0");
    CHECK_TEXT(pool_of_mount("plain", 99, "/home"), "dev8-0"); /* that of / */
}

TEST(file_systems_without_a_device_are_one_device_that_does_not_turn)
{
    CHECK_TEXT(pool_of_mount("plain", 44, "/tmp"), "other");
    CHECK_TEXT(found.name, "tmpfs");
    CHECK(!found.rotational);
    CHECK_TEXT(pool_of_mount("plain", 45, "/net/a"), "other");
    CHECK_TEXT(found.name, "nfs4");
    CHECK_TEXT(pool_of_mount("plain", 50, "/pool"), "other");
    CHECK_TEXT(pool_of_mount("plain", 49, "/rootless"), "other"); /* sysfs has no /dev/root */
    CHECK_TEXT(pool_of_mount("container", 62, "/"), "other");
    CHECK_TEXT(found.name, "overlay");
    CHECK_TEXT(pool_of_mount("container", 99, ""), "other");
    CHECK_TEXT(found.name, "unknown");
    CHECK_TEXT(pool_of_mount("missing", 62, "/"), "other");
}

int main(int argc, char **argv)
{
    if (!make_sysfs()) {
        fprintf(stderr, "the tree of sysfs cannot be made here\n");
        return 1;
    }
    int status = harness_run(argc, argv);
    nftw(sysfs, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
