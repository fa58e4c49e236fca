/* SPDX-License-Identifier: MIT */
/* Owns the reading of directories. Keeps no state: entered by any thread with a tree of its own. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* above/name, with one slash between them. `path` has room for both and two bytes. */
static void join(char *path, const char *above, const char *name)
{
    size_t length = strlen(above);

    memcpy(path, above, length);
    if (name != NULL) {
        if (length > 0 && above[length - 1] != '/') {
            path[length++] = '/';
        }
        strcpy(path + length, name);
    } else {
        path[length] = '\0';
    }
}

static size_t room_for(const char *above, const char *name)
{
    return strlen(above) + (name != NULL ? strlen(name) : 0) + 2;
}

struct directory *tree_directory(struct arena *arena, const char *above, const char *name)
{
    struct directory *directory = arena_take(arena, sizeof *directory + room_for(above, name));

    if (directory != NULL) {
        memset(directory, 0, sizeof *directory);
        join(directory->path, above, name);
    }
    return directory;
}

void tree_notice(struct tree *tree, const char *above, const char *name, int err,
                 const char *reason)
{
    struct notice *notice = arena_take(&tree->arena, sizeof *notice + room_for(above, name));

    if (notice != NULL) {
        notice->reason = reason;
        notice->err = err;
        join(notice->path, above, name);
        notice->next = tree->notices;
        tree->notices = notice;
    }
}

static int add_file(struct tree *tree, struct directory *directory, const char *name,
                    const struct stat *st)
{
    size_t length = strlen(name);
    struct file *file = arena_take(&tree->arena, sizeof *file + length + 1);

    if (file == NULL) {
        return -ENOMEM;
    }
    memset(file, 0, sizeof *file);
    file->in = directory;
    file->dev = st->st_dev;
    file->inode = st->st_ino;
    file->size = st->st_size;
    file->modified_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    memcpy(file->name, name, length + 1);
    file->next = directory->files;
    directory->files = file;
    return 0;
}

static int add_directory(struct tree *tree, struct directory *above, const char *name,
                         const struct stat *st)
{
    if (tree->one_file_system && st->st_dev != above->dev) {
        return 0;
    }
    struct directory *directory = tree_directory(&tree->arena, above->path, name);
    if (directory == NULL) {
        return -ENOMEM;
    }
    directory->dev = st->st_dev;
    directory->inode = st->st_ino;
    directory->next = tree->found;
    tree->found = directory;
    return 0;
}

/* Returns 0 or a negative errno. */
static int take_entry(struct tree *tree, struct directory *directory, int fd,
                      const struct dirent *entry)
{
    const char *name = entry->d_name;
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        (entry->d_type != DT_REG && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)) {
        return 0;
    }
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return -errno;
    }
    return S_ISREG(st.st_mode)   ? add_file(tree, directory, name, &st)
           : S_ISDIR(st.st_mode) ? add_directory(tree, directory, name, &st)
                                 : 0;
}

size_t tree_read(struct tree *tree, struct directory *directory)
{
    int follow = directory->is_root ? 0 : O_NOFOLLOW;
    int fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    size_t count = 0;

    if (entries == NULL) {
        tree_notice(tree, directory->path, NULL, errno, NULL);
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (entry == NULL) {
            if (errno != 0) {
                tree_notice(tree, directory->path, NULL, errno, NULL);
            }
            break;
        }
        int err = take_entry(tree, directory, fd, entry);
        if (err < 0) {
            tree_notice(tree, directory->path, entry->d_name, -err, NULL);
        }
        count++;
    }
    closedir(entries);
    return count;
}
