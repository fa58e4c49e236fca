/* SPDX-License-Identifier: MIT */
/* Owns the reading and hashing of files, with XXH3 of 128 bits. Bytes are hashed where they have
 * been read, while the cache has them. Any thread enters, with a file and a buffer of its own. */
#include "content.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* Whether it still is what was found. */
static int check(int fd, const struct file *file)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    int64_t modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return S_ISREG(st.st_mode) && st.st_dev == file->dev && st.st_ino == file->inode &&
                   st.st_size == file->size && modified_ns == file->modified_ns
               ? 0
               : -ESTALE;
}

/* O_NONBLOCK: if it has become a FIFO meanwhile, opening does not wait for a writer. */
static int open_file(const struct file *file)
{
    char path[PATH_MAX];

    if (!file_path(file, path, sizeof path)) {
        return -ENAMETOOLONG;
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        /* A name that is gone or a link now is a change like another one. */
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
    }
    int err = check(fd, file);
    if (err < 0) {
        close(fd);
        return err;
    }
    return fd;
}

/* Fills the buffer, as far as the file goes. Returns how much there is, or a negative errno. */
static ssize_t fill(int fd, char *buffer, size_t size, off_t at)
{
    size_t filled = 0;

    while (filled < size) {
        ssize_t got = pread(fd, buffer + filled, size - filled, at + (off_t)filled);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        filled += (size_t)got;
    }
    return (ssize_t)filled;
}

static void keep(struct file *file, XXH128_hash_t hash, enum file_state state)
{
    file->hash = (struct hash){.high = hash.high64, .low = hash.low64};
    file->state = state;
}

static void count(const struct content *content, ssize_t bytes)
{
    /* A figure for whoever looks; orders nothing. */
    atomic_fetch_add_explicit(content->bytes_done, (uint64_t)bytes, memory_order_relaxed);
}

int content_head(struct file *file, const struct content *content)
{
    size_t size = file->size < HEAD_BYTES ? (size_t)file->size : HEAD_BYTES;
    int fd = open_file(file);

    if (fd < 0) {
        return fd;
    }
    if (file->size > HEAD_BYTES) {
        /* Most files are not read further. */
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    }
    ssize_t got = fill(fd, content->buffer, size, 0);
    int err = got < 0 ? (int)got : (size_t)got < size ? -ESTALE : 0;
    if (err == 0 && file->size <= HEAD_BYTES) {
        err = check(fd, file); /* a larger one is looked at again when all of it is read */
    }
    close(fd);
    if (err == 0) {
        count(content, got);
        keep(file, XXH3_128bits(content->buffer, size),
             file->size > HEAD_BYTES ? FILE_HEAD : FILE_WHOLE);
    }
    return err;
}

/* Reads to the end. */
static int digest(int fd, const struct file *file, const struct content *content,
                  XXH3_state_t *state)
{
    off_t at = 0;

    while (at < file->size) {
        if (content->stop()) {
            return -ECANCELED;
        }
        off_t rest = file->size - at;
        size_t size = rest < CONTENT_READ_BYTES ? (size_t)rest : CONTENT_READ_BYTES;
        ssize_t got = fill(fd, content->buffer, size, at);
        if (got < 0) {
            return (int)got;
        }
        if ((size_t)got < size) {
            return -ESTALE;
        }
        XXH3_128bits_update(state, content->buffer, size);
        count(content, got);
        at += got;
    }
    return check(fd, file);
}

int content_whole(struct file *file, const struct content *content)
{
    XXH3_state_t *state = XXH3_createState();
    int fd = state != NULL ? open_file(file) : -ENOMEM;
    int err = fd;

    if (fd >= 0) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        XXH3_128bits_reset(state);
        err = digest(fd, file, content, state);
        close(fd);
    }
    if (err == 0) {
        keep(file, XXH3_128bits_digest(state), FILE_WHOLE);
    }
    XXH3_freeState(state);
    return err;
}
