/* SPDX-License-Identifier: MIT */
/* Files that were found, where they were found, and what is known about their contents. */
#ifndef DUPS_FILES_H
#define DUPS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How much of a file its head is. */
enum {
    HEAD_BYTES = 4096
};

enum file_state {
    FILE_SEEN,    /* nothing of it has been read */
    FILE_HEAD,    /* `hash` is that of the head */
    FILE_WHOLE,   /* `hash` is that of all of it */
    FILE_LEFT_OUT /* could not be read, or has changed */
};

struct hash {
    uint64_t high;
    uint64_t low;
};

struct directory;

struct file {
    struct file *next; /* in the directory's list, later the next name of the inode */
    const struct directory *in;
    dev_t dev;
    ino_t inode;
    off_t size;
    int64_t modified_ns;
    struct hash hash;
    uint32_t lane; /* the queue of its device */
    enum file_state state;
    char name[];
};

struct directory {
    struct directory *next;
    struct file *files;
    dev_t dev;
    ino_t inode;
    bool is_root; /* named by the user: a symbolic link to a directory is one there */
    char path[];
};

/* Something to tell the user. */
struct notice {
    struct notice *next;
    const char *reason; /* static, or NULL: that of `err` */
    int err;            /* an errno value */
    char path[];
};

/* Memory for many small things that are freed together. One thread at a time. */
struct arena {
    struct chunk *chunks;
};

/* NULL without memory. */
void *arena_take(struct arena *arena, size_t bytes);
void arena_free(struct arena *arena);

/* Writes the path of a file; false if `size` bytes do not hold it. */
bool file_path(const struct file *file, char *path, size_t size);

/* The order of paths as byte strings. */
int file_compare_paths(const struct file *a, const struct file *b);

/* --- sorting: in place; the results are how many files are left in front, or -ENOMEM ---------- */

/* Makes of the names of one inode one file, the first name, with the others in `next` if `links`,
 * else without them. Sorts by size. */
ssize_t files_join_links(struct file **files, size_t count, bool links);

/* Of files sorted by size: keeps those that have others of their size, empty ones never. */
ssize_t files_keep_equal_sizes(struct file **files, size_t count);

/* Keeps the files that have others of their size and head, and are larger than a head. */
ssize_t files_keep_equal_heads(struct file **files, size_t count);

/* Sorts by lane, and there as the device should read. */
ssize_t files_order_for_reading(struct file **files, size_t count);

/* --- the result ------------------------------------------------------------------------------ */

/* files[0 .. count - 1], sorted by path, are equal. */
struct group {
    struct file **files;
    size_t count;
};

struct groups {
    struct group *groups; /* sorted by their first path */
    size_t count;
    struct file **names; /* what the groups point into */
};

/* Of files that files_join_links has gone over: those whose contents are known and equal, and the
 * names of each inode. Changes the files' order and lists. 0 or -ENOMEM. */
int files_group(struct groups *groups, struct file **files, size_t count, bool empty);
void groups_free(struct groups *groups);

#endif
