/* SPDX-License-Identifier: MIT */
/* Owns loomp_scratch: memory that ends with a job, cut off the blocks of a list that is the job's.
 * The thread that runs the job enters it, then the one that calls done. A block goes back to the pool
 * of the thread that took it, where the next job of that thread finds it near. */
#include "base/error.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "job/job.h"

#include <errno.h>
#include <stdlib.h>

enum { ALIGNMENT = 64 };

/* The head of a block. The first of a job's list is the one that is cut from. */
struct lp_scratch {
    struct lp_scratch *next;
    size_t left; /* bytes of it that nobody has */
    bool kept;   /* from the thread's pool, not from malloc */
};

static char *data_of(struct lp_scratch *block)
{
    uintptr_t behind = (uintptr_t)(block + 1);
    return (char *)block + (((behind + ALIGNMENT - 1) & -(uintptr_t)ALIGNMENT) - (uintptr_t)block);
}

/* Of every block of the pool's, wherever it lies. */
enum { USABLE_BYTES = (LP_BLOCK_BYTES - sizeof(struct lp_scratch) - ALIGNMENT + 1) / ALIGNMENT *
                      ALIGNMENT };

static void *cut(struct lp_scratch *block, size_t bytes)
{
    char *data = data_of(block) + (USABLE_BYTES - block->left);
    block->left -= bytes;
    return data;
}

/* A request that no block of the pool's could hold. Behind the first, which may have room left. */
static void *take_large(struct lp_scratch **list, size_t bytes)
{
    struct lp_scratch *block = malloc(sizeof *block + ALIGNMENT - 1 + bytes);
    if (!block) {
        return NULL;
    }
    struct lp_scratch **link = *list ? &(*list)->next : list;
    *block = (struct lp_scratch){.next = *link};
    *link = block;
    return data_of(block);
}

static void *take_small(struct lp_scratch **list, size_t bytes)
{
    struct lp_scratch *block = *list;
    if (!block || block->left < bytes) {
        block = lp_block_take();
        if (!block) {
            return NULL;
        }
        *block = (struct lp_scratch){.next = *list, .left = USABLE_BYTES, .kept = true};
        *list = block;
    }
    return cut(block, bytes);
}

/* The list that the calling thread may add to; NULL if it has no business with the job. */
static struct lp_scratch **list_of(loomp_job *job)
{
    struct lp_finishing *finishing = lp_self.finishing;
    /* The job may have been submitted again in its done, and run inside that. */
    if (finishing && finishing->job == job && lp_self.job != job) {
        return &finishing->scratch;
    }
    struct lp_job_words *words = lp_job_words(job);
    /* relaxed: the runner set it itself */
    return atomic_load_explicit(&words->state, memory_order_relaxed) == LOOMP_JOB_RUNNING
               ? &words->scratch
               : NULL;
}

void *loomp_scratch(loomp_job *job, size_t bytes)
{
    struct lp_scratch **list = job ? list_of(job) : NULL;
    if (!list) {
        lp_fail(-EPERM, "loomp_scratch belongs in a job's work and in its done");
        return NULL;
    }
    void *memory = NULL;
    if (bytes <= USABLE_BYTES) {
        size_t whole = (bytes + !bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        memory = take_small(list, whole);
    } else if (bytes < SIZE_MAX / 2) {
        memory = take_large(list, bytes);
    }
    if (!memory) {
        lp_fail(-ENOMEM, "no memory for %zu bytes of scratch", bytes);
    }
    return memory;
}

void lp_scratch_free(struct lp_scratch *scratch)
{
    while (scratch) {
        struct lp_scratch *next = scratch->next;
        if (scratch->kept) {
            lp_block_give(scratch);
        } else {
            free(scratch);
        }
        scratch = next;
    }
}
