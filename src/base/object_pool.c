/* SPDX-License-Identifier: MIT */
/* Owns one pool of equal objects per thread. The owner takes and gives without atomics on the list;
 * other threads give through a stack that the owner empties at once.
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

struct pool {
    /* the owner's */
    struct object *kept;
    size_t kept_count;
    /* Pushed by anybody (release), taken whole by the owner (acquire): a stack without ABA. */
    LP_OWN_LINE _Atomic(struct object *) returned;
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
        free_list(pool->kept);
        free_list(atomic_load_explicit(&pool->returned, memory_order_acquire));
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
        pool->kept = NULL;
        pool->kept_count = 0;
        atomic_init(&pool->returned, NULL);
        atomic_init(&pool->holders, 1);
        if (pthread_setspecific(key, pool) != 0) {
            free(pool);
            return NULL;
        }
        mine = pool;
    }
    return mine;
}

static void keep(struct pool *pool, struct object *object)
{
    if (pool->kept_count >= atomic_load_explicit(&limit, memory_order_relaxed)) {
        free(object);
        return;
    }
    object->next = pool->kept;
    pool->kept = object;
    pool->kept_count++;
}

static void collect_returned(struct pool *pool)
{
    struct object *object =
        atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (object) {
        struct object *next = object->next;
        keep(pool, object);
        object = next;
    }
}

void *lp_object_take(void)
{
    struct pool *pool = pool_of_thread();
    if (!pool) {
        return NULL;
    }
    if (!pool->kept) {
        collect_returned(pool);
    }
    struct object *object = pool->kept;
    if (object) {
        pool->kept = object->next;
        pool->kept_count--;
    } else {
        object = malloc(HEADER_BYTES + LP_OBJECT_BYTES);
        if (!object) {
            return NULL;
        }
        object->pool = pool;
    }
    /* relaxed: the owner holds the pool itself */
    atomic_fetch_add_explicit(&pool->holders, 1, memory_order_relaxed);
    return (char *)object + HEADER_BYTES;
}

void lp_object_give(void *pointer)
{
    struct object *object = (struct object *)(void *)((char *)pointer - HEADER_BYTES);
    struct pool *pool = object->pool;
    if (pool == mine) {
        keep(pool, object);
    } else {
        struct object *top = atomic_load_explicit(&pool->returned, memory_order_relaxed);
        do {
            object->next = top;
        } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &top, object,
                                                        memory_order_release,
                                                        memory_order_relaxed));
    }
    /* The object was given first, so that whoever frees the pool frees it too. */
    drop_holder(pool);
}

void lp_object_pool_release(void)
{
    if (mine) {
        struct pool *pool = mine;
        pthread_setspecific(key, NULL);
        owner_ends(pool);
    }
}
