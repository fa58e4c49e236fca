/* SPDX-License-Identifier: MIT */
/* Reading of files. */
#ifndef DUPS_CONTENT_H
#define DUPS_CONTENT_H

#include "files.h"

#include <stdatomic.h>

enum {
    CONTENT_READ_BYTES = 1024 * 1024
};

/* How a file is read. */
struct content {
    bool (*stop)(void);           /* asked before each piece; true: give up */
    _Atomic uint64_t *bytes_done; /* is added to */
    void *buffer; /* of CONTENT_READ_BYTES for a whole file, HEAD_BYTES for a head */
};

/* Hashes the head, which of a small file is all of it, into file->hash and sets the state. Sleeps
 * in the kernel. Returns 0, a negative errno, -ESTALE if the file is not what it was when it was
 * found, -ECANCELED; then the file is left as it is. */
int content_head(struct file *file, const struct content *content);

/* The same with all of the file. */
int content_whole(struct file *file, const struct content *content);

#endif
