/* SPDX-License-Identifier: MIT */
/* The example dups: hashes are those of the bytes in the file, however it is read, and a file that
 * is not what was found gets none. */
#define SUITE "dups_content"
#include "harness.h"

#include "content.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* A directory with one file in it, as the walk found it. */
struct place {
    char path[64];
    char name[80];
    struct tree tree;
    struct directory *directory;
    struct file *file;
};

static _Atomic uint64_t bytes_done;
static char buffer[CONTENT_READ_BYTES];

static bool go_on(void)
{
    return false;
}

static bool give_up(void)
{
    return true;
}

static const struct content reading = {go_on, &bytes_done, buffer};

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "we");

    CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static bool place_init(struct place *place, const void *bytes, size_t size)
{
    memset(place, 0, sizeof *place);
    strcpy(place->path, "dups-content.XXXXXX");
    if (!CHECK(mkdtemp(place->path) != NULL)) {
        return false;
    }
    snprintf(place->name, sizeof place->name, "%s/file", place->path);
    write_file(place->name, bytes, size);
    place->directory = tree_directory(&place->tree.arena, place->path, NULL);
    tree_read(&place->tree, place->directory);
    place->file = place->directory->files;
    return CHECK(place->file != NULL && place->file->next == NULL);
}

static void place_fini(struct place *place)
{
    unlink(place->name);
    rmdir(place->path);
    arena_free(&place->tree.arena);
}

static bool has_hash_of(const struct file *file, const void *bytes, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, size);

    return file->hash.high == hash.high64 && file->hash.low == hash.low64;
}

TEST(hashes_are_those_of_all_bytes_and_of_the_head)
{
    static const size_t sizes[] = {1,
                                   HEAD_BYTES - 1,
                                   HEAD_BYTES,
                                   HEAD_BYTES + 1,
                                   CONTENT_READ_BYTES - 1,
                                   CONTENT_READ_BYTES,
                                   CONTENT_READ_BYTES + 1,
                                   2 * CONTENT_READ_BYTES + 777};
    static unsigned char bytes[3 * CONTENT_READ_BYTES];
    struct place place;

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    }
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t size = sizes[k];
        size_t head = size < HEAD_BYTES ? size : HEAD_BYTES;
        if (!place_init(&place, bytes, size)) {
            return;
        }
        CHECK(content_head(place.file, &reading) == 0);
        CHECK(place.file->state == (size > HEAD_BYTES ? FILE_HEAD : FILE_WHOLE));
        CHECK(has_hash_of(place.file, bytes, head));
        bytes_done = 0;
        CHECK(content_whole(place.file, &reading) == 0);
        CHECK(place.file->state == FILE_WHOLE);
        CHECK(has_hash_of(place.file, bytes, size));
        CHECK(bytes_done == size);
        place_fini(&place);
    }
}

/* Both ways of reading refuse the file, and leave it as it was. */
static void check_refused(struct file *file)
{
    CHECK(content_head(file, &reading) == -ESTALE);
    CHECK(content_whole(file, &reading) == -ESTALE);
    CHECK(file->state == FILE_SEEN);
}

TEST(a_file_that_has_grown_or_shrunk_is_refused)
{
    struct place place;

    if (place_init(&place, "12345", 5)) {
        CHECK(truncate(place.name, 6) == 0);
        check_refused(place.file);
        CHECK(truncate(place.name, 4) == 0);
        check_refused(place.file);
        place_fini(&place);
    }
}

TEST(a_file_that_was_written_is_refused)
{
    struct place place;

    if (place_init(&place, "12345", 5)) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000}};
        CHECK(utimensat(AT_FDCWD, place.name, times, 0) == 0);
        check_refused(place.file);
        place_fini(&place);
    }
}

TEST(a_file_that_was_replaced_or_removed_is_refused)
{
    struct place place;

    if (place_init(&place, "12345", 5)) {
        CHECK(unlink(place.name) == 0);
        check_refused(place.file);
        CHECK(symlink("/etc/passwd", place.name) == 0);
        check_refused(place.file);
        CHECK(unlink(place.name) == 0 && mkfifo(place.name, 0600) == 0);
        check_refused(place.file); /* and nobody waits for a writer */
        place_fini(&place);
    }
}

TEST(a_large_file_can_be_given_up)
{
    static const struct content stopped = {give_up, &bytes_done, buffer};
    struct place place;

    if (place_init(&place, "12345", 5)) {
        CHECK(content_whole(place.file, &stopped) == -ECANCELED);
        CHECK(place.file->state == FILE_SEEN);
        place_fini(&place);
    }
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
