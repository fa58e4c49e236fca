/* SPDX-License-Identifier: MIT */
/* What a process has at a moment and should not have more of later. */
#ifndef LP_TESTS_LEFTOVERS_H
#define LP_TESTS_LEFTOVERS_H

#include <dirent.h>
#include <stdio.h>

/* Entries of a directory like /proc/self/fd; -1 if it cannot be read. */
static inline int leftovers_in(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        return -1;
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

static inline int open_descriptors(void)
{
    return leftovers_in("/proc/self/fd");
}

static inline int running_threads(void)
{
    return leftovers_in("/proc/self/task");
}

#endif
