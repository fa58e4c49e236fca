/* SPDX-License-Identifier: MIT */
/* Reading of directories. */
#ifndef DUPS_TREE_H
#define DUPS_TREE_H

#include "files.h"

/* What one piece of work reads, and what it finds. */
struct tree {
    struct arena arena;      /* of all that is found */
    struct directory *found; /* directories inside, in front of what was there */
    struct notice *notices;
    bool one_file_system;
};

/* A directory that can be read, of the arena. NULL without memory. */
struct directory *tree_directory(struct arena *arena, const char *above, const char *name);

/* Adds a notice about above/name, or above if name is NULL. Without memory there is none. */
void tree_notice(struct tree *tree, const char *above, const char *name, int err,
                 const char *reason);

/* Reads a directory: its files into directory->files, the directories in it into tree->found.
 * Neither follows symbolic links. What cannot be read becomes a notice. Sleeps in the kernel.
 * Returns how many entries there were. */
size_t tree_read(struct tree *tree, struct directory *directory);

#endif
