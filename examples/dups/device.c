/* SPDX-License-Identifier: MIT */
/* Owns the way from a device number to the disk: sysfs links, partitions, the devices below a
 * volume, and mountinfo for file systems without a number of their own. Keeps no state; any thread
 * enters. */
#include "device.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Volumes on volumes: deeper than this is a loop in a broken tree. */
enum {
    DEPTH = 8
};

/* What is below a volume. */
struct below {
    char disk[PATH_MAX]; /* the directory of the first disk */
    bool several;        /* there are others */
    bool rotational;     /* all of them turn */
};

/* "%s%s%s" that refuses to cut. */
static bool join(char *path, const char *a, const char *b, const char *c)
{
    int length = snprintf(path, PATH_MAX, "%s%s%s", a, b, c);

    return length >= 0 && length < PATH_MAX;
}

/* The first line of a small file, without its newline. */
static bool read_line(const char *directory, const char *name, char *line, int size)
{
    char path[PATH_MAX];
    FILE *file = join(path, directory, "/", name) ? fopen(path, "re") : NULL;
    bool good = file != NULL && fgets(line, size, file) != NULL;

    if (file != NULL) {
        fclose(file);
    }
    if (good) {
        line[strcspn(line, "\n")] = '\0';
    }
    return good;
}

static bool read_numbers(const char *directory, unsigned *major_, unsigned *minor_)
{
    char line[64];

    return read_line(directory, "dev", line, sizeof line) &&
           sscanf(line, "%u:%u", major_, minor_) == 2;
}

/* The last part of a directory's path: the kernel's name of a device. */
static const char *name_of(const char *directory)
{
    const char *slash = strrchr(directory, '/');

    return slash != NULL ? slash + 1 : directory;
}

/* Resolves a link to a device; of a partition, the directory of the disk, which is the one above.
 */
static bool find_disk(const char *link, char *directory)
{
    char path[PATH_MAX];

    if (realpath(link, directory) == NULL) {
        return false;
    }
    if (join(path, directory, "/", "partition") && access(path, F_OK) == 0) {
        char *slash = strrchr(directory, '/');
        *slash = '\0';
    }
    return true;
}

static void add_disk(struct below *below, const char *directory)
{
    char line[16];
    bool turns = read_line(directory, "queue/rotational", line, sizeof line) && line[0] == '1';

    if (below->disk[0] == '\0') {
        snprintf(below->disk, sizeof below->disk, "%s", directory);
        below->rotational = turns;
    } else {
        below->several |= strcmp(below->disk, directory) != 0;
        below->rotational &= turns;
    }
}

/* Adds the disks below a device, or the device itself where nothing is below it. */
static void add_below(struct below *below, const char *directory, int depth)
{
    char slaves[PATH_MAX];
    char link[PATH_MAX];
    char lower[PATH_MAX];
    bool any = false;
    DIR *entries = depth < DEPTH && join(slaves, directory, "/", "slaves") ? opendir(slaves) : NULL;

    for (struct dirent *e; entries != NULL && (e = readdir(entries)) != NULL;) {
        if (e->d_name[0] != '.' && join(link, slaves, "/", e->d_name) && find_disk(link, lower)) {
            add_below(below, lower, depth + 1);
            any = true;
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    if (!any) {
        add_disk(below, directory);
    }
}

static void name_pool(struct device *device, unsigned major_, unsigned minor_)
{
    snprintf(device->pool, sizeof device->pool, "dev%u-%u", major_, minor_);
}

/* From a link to the device or to a partition of it. */
static bool describe(struct device *device, const char *link)
{
    char top[PATH_MAX];
    unsigned major_;
    unsigned minor_;

    if (!find_disk(link, top)) {
        return false;
    }
    struct below below = {.rotational = false};
    add_below(&below, top, 0);
    const char *directory = below.several ? top : below.disk;
    if (!read_numbers(directory, &major_, &minor_)) {
        return false;
    }
    name_pool(device, major_, minor_);
    snprintf(device->name, sizeof device->name, "%.63s", name_of(directory));
    device->rotational = below.rotational;
    return true;
}

/* --- mounts ---------------------------------------------------------------------------------- */

/* In place: a blank and the like are written \040 in mountinfo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        unsigned code;
        if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
            *to = (char)code;
            from += strnlen(from, 4);
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static bool is_in(const char *path, const char *mount_point)
{
    size_t length = strlen(mount_point);

    if (strcmp(mount_point, "/") == 0) {
        return path[0] == '/';
    }
    return strncmp(path, mount_point, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* How well a line of mountinfo fits: 0 not at all. The number decides where it is the mount's;
 * btrfs gives each subvolume another one, and there the longest mount point above the path does. Of
 * equal ones the later line is the mount that can be seen. */
static size_t fit(unsigned major_, unsigned minor_, dev_t dev, const char *path, char *mount_point)
{
    unescape(mount_point);
    if (major_ == major(dev) && minor_ == minor(dev)) {
        return PATH_MAX;
    }
    return is_in(path, mount_point) ? strlen(mount_point) : 0;
}

/* The type and the source of the mount. */
static bool find_mount(const char *mountinfo, dev_t dev, const char *path, char *type, size_t size,
                       char *source)
{
    FILE *file = fopen(mountinfo, "re");
    char *line = NULL;
    size_t room = 0;
    size_t best = 0;

    while (file != NULL && getline(&line, &room, file) > 0) {
        unsigned major_;
        unsigned minor_;
        int at = 0;
        /* id parent major:minor root mount_point options [fields] - type source options */
        char *end = strstr(line, " - ");
        if (end == NULL || sscanf(line, "%*u %*u %u:%u %*s %n", &major_, &minor_, &at) != 2 ||
            at == 0) {
            continue;
        }
        char *tail = end + 3;
        char *its_type = strtok_r(tail, " \n", &tail);
        char *its_source = strtok_r(NULL, " \n", &tail);
        char *mount_point = line + at;
        mount_point[strcspn(mount_point, " ")] = '\0';
        size_t fits = fit(major_, minor_, dev, path, mount_point);
        if (fits > 0 && fits >= best && its_source != NULL) {
            best = fits;
            unescape(its_source);
            snprintf(type, size, "%s", its_type);
            snprintf(source, PATH_MAX, "%s", its_source);
        }
    }
    free(line);
    if (file != NULL) {
        fclose(file);
    }
    return best > 0;
}

/* The link of sysfs for a source like /dev/sda2 or /dev/mapper/root. */
static bool find_source(const char *sysfs, const char *source, char *link)
{
    static const char mapper[] = "/dev/mapper/";
    char blocks[PATH_MAX];
    char name[256];
    bool found = false;

    if (strncmp(source, "/dev/", 5) != 0 || !join(blocks, sysfs, "/", "class/block")) {
        return false;
    }
    if (strncmp(source, mapper, sizeof mapper - 1) != 0) {
        return join(link, blocks, "/", name_of(source)) && access(link, F_OK) == 0;
    }
    /* Volumes are known to sysfs as dm-0 and so on, with the name in a file. */
    DIR *entries = opendir(blocks);
    for (struct dirent *e; !found && entries != NULL && (e = readdir(entries)) != NULL;) {
        found = strncmp(e->d_name, "dm-", 3) == 0 && join(link, blocks, "/", e->d_name) &&
                read_line(link, "dm/name", name, sizeof name) &&
                strcmp(name, source + sizeof mapper - 1) == 0;
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return found;
}

void device_of(struct device *device, const char *sysfs, const char *mountinfo, dev_t dev,
               const char *path)
{
    char link[PATH_MAX];
    char source[PATH_MAX];
    char numbers[32];

    memset(device, 0, sizeof *device);
    if (major(dev) == 0) {
        snprintf(device->name, sizeof device->name, "unknown");
        if (!find_mount(mountinfo, dev, path, device->name, sizeof device->name, source) ||
            !find_source(sysfs, source, link) || !describe(device, link)) {
            snprintf(device->pool, sizeof device->pool, "other");
        }
        return;
    }
    snprintf(numbers, sizeof numbers, "%u:%u", major(dev), minor(dev));
    if (!join(link, sysfs, "/dev/block/", numbers) || !describe(device, link)) {
        name_pool(device, major(dev), minor(dev));
        snprintf(device->name, sizeof device->name, "%s", numbers);
    }
}
