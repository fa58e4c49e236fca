/* SPDX-License-Identifier: MIT */
/* Owns what is said about files without reading them: names, order, which ones may be equal and
 * which are. Keeps no state; whoever has the files enters. */
#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 64 * 1024
};

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    _Alignas(16) char bytes[];
};

void *arena_take(struct arena *arena, size_t bytes)
{
    struct chunk *chunk = arena->chunks;

    bytes = (bytes + 15) & ~(size_t)15;
    if (chunk == NULL || chunk->size - chunk->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + size);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = arena->chunks;
        chunk->used = 0;
        chunk->size = size;
        arena->chunks = chunk;
    }
    void *taken = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return taken;
}

void arena_free(struct arena *arena)
{
    while (arena->chunks != NULL) {
        struct chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
}

/* --- names ----------------------------------------------------------------------------------- */

/* The length of a directory's path without the slash that only "/" ends in. */
static size_t stem(const struct directory *directory)
{
    size_t length = strlen(directory->path);

    return length > 0 && directory->path[length - 1] == '/' ? length - 1 : length;
}

bool file_path(const struct file *file, char *path, size_t size)
{
    size_t above = stem(file->in);
    size_t name = strlen(file->name);

    if (above + 1 + name + 1 > size) {
        return false;
    }
    memcpy(path, file->in->path, above);
    path[above] = '/';
    memcpy(path + above + 1, file->name, name + 1);
    return true;
}

/* The byte at `at` of the path, which is followed by zeros. */
static unsigned char byte_of(const struct file *file, size_t above, size_t at, bool *ended)
{
    if (at < above) {
        return (unsigned char)file->in->path[at];
    }
    if (at == above) {
        return '/';
    }
    unsigned char byte = (unsigned char)file->name[at - above - 1];
    *ended = byte == 0;
    return byte;
}

int file_compare_paths(const struct file *a, const struct file *b)
{
    if (a->in == b->in) {
        return strcmp(a->name, b->name);
    }
    size_t above_a = stem(a->in);
    size_t above_b = stem(b->in);
    bool ended = false;
    for (size_t at = 0;; at++) {
        unsigned char byte_a = byte_of(a, above_a, at, &ended);
        unsigned char byte_b = byte_of(b, above_b, at, &ended);
        if (byte_a != byte_b) {
            return byte_a < byte_b ? -1 : 1;
        }
        if (ended) {
            return 0;
        }
    }
}

/* --- orders ---------------------------------------------------------------------------------- */

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* A file with what it is sorted by first, so that most comparisons need not look at the file. */
struct key {
    uint64_t first;
    uint64_t second;
    struct file *file;
};

static int compare_keys(const struct key *a, const struct key *b)
{
    return a->first != b->first ? COMPARE(a->first, b->first) : COMPARE(a->second, b->second);
}

static struct key size_key(struct file *file)
{
    return (struct key){(uint64_t)file->size, file->inode, file};
}

static int by_size(const void *left, const void *right)
{
    const struct key *a = left;
    const struct key *b = right;
    int order = compare_keys(a, b);

    if (order == 0) {
        order = COMPARE(a->file->dev, b->file->dev);
    }
    return order != 0 ? order : file_compare_paths(a->file, b->file);
}

static struct key contents_key(struct file *file)
{
    return (struct key){file->hash.high, file->hash.low, file};
}

static int by_contents(const void *left, const void *right)
{
    const struct key *a = left;
    const struct key *b = right;
    int order = compare_keys(a, b);

    return order != 0 ? order : COMPARE(a->file->size, b->file->size);
}

/* The numbers of inodes follow the place on a disk, as well as can be known without asking. */
static struct key place_key(struct file *file)
{
    return (struct key){file->lane, file->inode, file};
}

static int by_place(const void *left, const void *right)
{
    return compare_keys(left, right);
}

static ssize_t sort(struct file **files, size_t count, struct key (*key)(struct file *file),
                    int (*compare)(const void *left, const void *right))
{
    struct key *keys = malloc((count + 1) * sizeof *keys);

    if (keys == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = key(files[i]);
    }
    qsort(keys, count, sizeof *keys, compare);
    for (size_t i = 0; i < count; i++) {
        files[i] = keys[i].file;
    }
    free(keys);
    return (ssize_t)count;
}

static int by_path(const void *left, const void *right)
{
    return file_compare_paths(*(struct file *const *)left, *(struct file *const *)right);
}

static int by_first_path(const void *left, const void *right)
{
    const struct group *a = left;
    const struct group *b = right;

    return file_compare_paths(a->files[0], b->files[0]);
}

/* An inode has one size, unless it changes; then its names are left out one by one. */
ssize_t files_join_links(struct file **files, size_t count, bool links)
{
    size_t kept = 0;
    struct file *last = NULL; /* of the names of the inode at hand */

    if (sort(files, count, size_key, by_size) < 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct file *file = files[i];
        file->next = NULL;
        if (kept > 0 && files[kept - 1]->dev == file->dev &&
            files[kept - 1]->inode == file->inode) {
            if (links) {
                last->next = file;
                last = file;
            }
        } else {
            files[kept++] = last = file;
        }
    }
    return (ssize_t)kept;
}

static bool same_size(const struct file *a, const struct file *b)
{
    return a->size == b->size;
}

static bool same_contents(const struct file *a, const struct file *b)
{
    return a->size == b->size && a->hash.high == b->hash.high && a->hash.low == b->hash.low;
}

/* Where the run of equals ends that begins at `from`. */
static size_t end_of_run(struct file *const *files, size_t from, size_t count,
                         bool (*same)(const struct file *a, const struct file *b))
{
    size_t end = from + 1;

    while (end < count && same(files[from], files[end])) {
        end++;
    }
    return end;
}

/* Keeps runs of two and more. */
static size_t keep_runs(struct file **files, size_t count,
                        bool (*same)(const struct file *a, const struct file *b))
{
    size_t kept = 0;

    for (size_t i = 0; i < count;) {
        size_t end = end_of_run(files, i, count, same);
        if (end - i >= 2) {
            memmove(&files[kept], &files[i], (end - i) * sizeof *files);
            kept += end - i;
        }
        i = end;
    }
    return kept;
}

ssize_t files_keep_equal_sizes(struct file **files, size_t count)
{
    size_t empty = 0;

    while (empty < count && files[empty]->size == 0) {
        empty++;
    }
    memmove(files, files + empty, (count - empty) * sizeof *files);
    return (ssize_t)keep_runs(files, count - empty, same_size);
}

ssize_t files_keep_equal_heads(struct file **files, size_t count)
{
    size_t heads = 0;

    for (size_t i = 0; i < count; i++) {
        if (files[i]->state == FILE_HEAD) {
            files[heads++] = files[i];
        }
    }
    if (sort(files, heads, contents_key, by_contents) < 0) {
        return -ENOMEM;
    }
    return (ssize_t)keep_runs(files, heads, same_contents);
}

ssize_t files_order_for_reading(struct file **files, size_t count)
{
    return sort(files, count, place_key, by_place);
}

/* --- the result ------------------------------------------------------------------------------ */

static size_t count_names(struct file *const *files, size_t count)
{
    size_t names = 0;

    for (size_t i = 0; i < count; i++) {
        for (const struct file *file = files[i]; file != NULL; file = file->next) {
            names++;
        }
    }
    return names;
}

/* Moves the files whose contents are known to the front. */
static size_t known_first(struct file **files, size_t count, bool empty)
{
    size_t known = 0;

    for (size_t i = 0; i < count; i++) {
        struct file *file = files[i];
        if (file->size == 0 && empty) {
            file->state = FILE_WHOLE; /* the hash of nothing needs no reading */
        }
        if (file->state == FILE_WHOLE) {
            files[i] = files[known];
            files[known++] = file;
        }
    }
    return known;
}

/* Makes a group of equal files, if these are two names or more. */
static void add_group(struct groups *groups, size_t *used, struct file *const *files, size_t count)
{
    struct group group = {.files = groups->names + *used};

    for (size_t i = 0; i < count; i++) {
        for (struct file *file = files[i]; file != NULL; file = file->next) {
            group.files[group.count++] = file;
        }
    }
    if (group.count < 2) {
        return;
    }
    qsort(group.files, group.count, sizeof *group.files, by_path);
    *used += group.count;
    groups->groups[groups->count++] = group;
}

int files_group(struct groups *groups, struct file **files, size_t count, bool empty)
{
    size_t names = count_names(files, count);
    size_t known = known_first(files, count, empty);
    size_t used = 0;

    *groups = (struct groups){
        .names = malloc((names + 1) * sizeof *groups->names),
        .groups = malloc((names / 2 + 1) * sizeof *groups->groups),
    };
    if (groups->names == NULL || groups->groups == NULL) {
        groups_free(groups);
        return -ENOMEM;
    }
    if (sort(files, known, contents_key, by_contents) < 0) {
        groups_free(groups);
        return -ENOMEM;
    }
    for (size_t i = 0; i < known;) {
        size_t end = end_of_run(files, i, known, same_contents);
        add_group(groups, &used, &files[i], end - i);
        i = end;
    }
    /* The names of one inode are equal, whatever is in it. */
    for (size_t i = known; i < count; i++) {
        if (files[i]->size > 0 || empty) {
            add_group(groups, &used, &files[i], 1);
        }
    }
    qsort(groups->groups, groups->count, sizeof *groups->groups, by_first_path);
    return 0;
}

void groups_free(struct groups *groups)
{
    free(groups->names);
    free(groups->groups);
    *groups = (struct groups){.names = NULL};
}
