/* SPDX-License-Identifier: MIT */
/* Small objects and blocks of memory from pools of the calling thread's, given back from any thread. */
#ifndef LP_BASE_OBJECT_POOL_H
#define LP_BASE_OBJECT_POOL_H

#include <stddef.h>

/* The size of every object: what the largest of its users (a call with its job) needs. */
enum { LP_OBJECT_BYTES = 448 };

/* An object of LP_OBJECT_BYTES, uninitialised, aligned to 16; NULL without memory. Allocates only
 * when the thread's pool is empty. */
void *lp_object_take(void);

/* Back to the pool of the thread that took it. Any thread; lock-free. */
void lp_object_give(void *object);

/* What jobs take their scratch memory from: with malloc's own bytes still within 64 KiB. */
enum { LP_BLOCK_BYTES = (64 << 10) - 64 };

/* The same for blocks of LP_BLOCK_BYTES, of which each thread keeps a few. */
void *lp_block_take(void);
void lp_block_give(void *block);

/* How many free small objects each thread keeps; the rest goes back to malloc. */
void lp_object_pool_set_limit(size_t objects);

/* Lets go of the calling thread's pool: its objects are freed as they come back. Threads that never
 * end call it when their work is over; others do not need to. */
void lp_object_pool_release(void);

#endif
