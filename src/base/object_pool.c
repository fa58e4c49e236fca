/* SPDX-License-Identifier: MIT */
/* Owns one pool per thread of objects of two sizes, small ones and blocks. The owner takes and gives
 * without atomics on the lists; other threads give through a stack for each size, which the owner
 * empties at once.
 *
 * A pool lives while its thread uses it or one of its objects is out: `holders` counts both. */
#include "base/object_pool.h"

#include "base/platform.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct object {
    struct pool *pool;
    struct object *next;
};

enum size { SMALL, BLOCK, SIZES };

struct pool {
    /* the owner's */
    struct object *kept[SIZES];
    size_t kept_count[SIZES];
    /* Pushed by anybody (release), taken whole by the owner (acquire): stacks without ABA. */
    LP_OWN_LINE _Atomic(struct object *) returned[SIZES];
    /* Objects that are out, plus one for the owner. Whoever brings it to 0 frees the pool; acq_rel,
     * so that it sees all that was returned. */
    _Atomic size_t holders;
};

enum { HEADER_BYTES = 16 };
_Static_assert(sizeof(struct object) <= HEADER_BYTES, "an object's header fits");

static _Thread_local struct pool *mine;
static pthread_key_t key; /* its destructor lets go of the pool of a thread that ends */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Read on the slow path by every owner; relaxed because it orders nothing. */
static _Atomic size_t limit = 1024;

enum { BLOCKS_KEPT = 16 };

void lp_object_pool_set_limit(size_t objects)
{
    atomic_store_explicit(&limit, objects, memory_order_relaxed);
}

static void free_list(struct object *object)
{
    while (object) {
        struct object *next = object->next;
        free(object);
        object = next;
    }
}

static void drop_holder(struct pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_acq_rel) == 1) {
        for (int size = 0; size < SIZES; size++) {
            free_list(pool->kept[size]);
            free_list(atomic_load_explicit(&pool->returned[size], memory_order_acquire));
        }
        free(pool);
    }
}

static void owner_ends(void *pool)
{
    mine = NULL;
    drop_holder(pool);
}

static void make_key(void)
{
    pthread_key_create(&key, owner_ends);
}

static struct pool *pool_of_thread(void)
{
    if (!mine) {
        pthread_once(&once, make_key);
        struct pool *pool = aligned_alloc(LP_CACHE_LINE, sizeof *pool);
        if (!pool) {
            return NULL;
        }
        for (int size = 0; size < SIZES; size++) {
            pool->kept[size] = NULL;
            pool->kept_count[size] = 0;
            atomic_init(&pool->returned[size], NULL);
        }
        atomic_init(&pool->holders, 1);
        if (pthread_setspecific(key, pool) != 0) {
            free(pool);
            return NULL;
        }
        mine = pool;
    }
    return mine;
}

static size_t most_kept(enum size size)
{
    return size == BLOCK ? BLOCKS_KEPT : atomic_load_explicit(&limit, memory_order_relaxed);
}

static void keep(struct pool *pool, enum size size, struct object *object)
{
    if (pool->kept_count[size] >= most_kept(size)) {
        free(object);
        return;
    }
    object->next = pool->kept[size];
    pool->kept[size] = object;
    pool->kept_count[size]++;
}

static void collect_returned(struct pool *pool, enum size size)
{
    struct object *object =
        atomic_exchange_explicit(&pool->returned[size], NULL, memory_order_acquire);
    while (object) {
        struct object *next = object->next;
        keep(pool, size, object);
        object = next;
    }
}

static void *take(enum size size)
{
    struct pool *pool = pool_of_thread();
    if (!pool) {
        return NULL;
    }
    if (!pool->kept[size]) {
        collect_returned(pool, size);
    }
    struct object *object = pool->kept[size];
    if (object) {
        pool->kept[size] = object->next;
        pool->kept_count[size]--;
    } else {
        object = malloc(HEADER_BYTES + (size == BLOCK ? LP_BLOCK_BYTES : LP_OBJECT_BYTES));
        if (!object) {
            return NULL;
        }
        object->pool = pool;
    }
    /* relaxed: the owner holds the pool itself */
    atomic_fetch_add_explicit(&pool->holders, 1, memory_order_relaxed);
    return (char *)object + HEADER_BYTES;
}

static void give(enum size size, void *pointer)
{
    struct object *object = (struct object *)(void *)((char *)pointer - HEADER_BYTES);
    struct pool *pool = object->pool;
    if (pool == mine) {
        keep(pool, size, object);
    } else {
        struct object *top = atomic_load_explicit(&pool->returned[size], memory_order_relaxed);
        do {
            object->next = top;
        } while (!atomic_compare_exchange_weak_explicit(&pool->returned[size], &top, object,
                                                        memory_order_release,
                                                        memory_order_relaxed));
    }
    /* The object was given first, so that whoever frees the pool frees it too. */
    drop_holder(pool);
}

void *lp_object_take(void)
{
    return take(SMALL);
}

void lp_object_give(void *object)
{
    give(SMALL, object);
}

void *lp_block_take(void)
{
    return take(BLOCK);
}

void lp_block_give(void *block)
{
    give(BLOCK, block);
}

void lp_object_pool_release(void)
{
    if (mine) {
        struct pool *pool = mine;
        pthread_setspecific(key, NULL);
        owner_ends(pool);
    }
}
