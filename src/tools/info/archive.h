/* SPDX-License-Identifier: MIT */
/* Archives of recorded machines, as hwloc-gather-topology writes them. */
#ifndef LP_TOOLS_INFO_ARCHIVE_H
#define LP_TOOLS_INFO_ARCHIVE_H

#include <signal.h>
#include <stdbool.h>

struct info_archive {
    char *directory; /* private and temporary; NULL: nothing is unpacked */
    char *tree;      /* the directory in it that has proc and sys */
    sigset_t mask;   /* of the time before */
};

/* Whether the name is that of an archive: .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz. */
bool info_archive_is(const char *path);

/* Unpacks by means of tar(1). SIGINT, SIGTERM and SIGHUP wait from here until the archive is
 * removed, so that nothing is left behind. 0; -EINVAL for members that want to leave the directory
 * or are no files, or another errno, with a sentence. */
int info_archive_unpack(struct info_archive *archive, const char *path);
void info_archive_remove(struct info_archive *archive);

#endif
