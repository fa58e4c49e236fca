/* SPDX-License-Identifier: MIT */
/* Calls of the library's that a test can make fail, and a count of what the library has allocated.
 * The linker turns the calls in the objects of the program and of the static library into those
 * below (--wrap, see Makefile.am); shared libraries are not affected, so libomp, libev and hwloc,
 * some of which end the process without memory, keep what they need. */
#ifndef LP_TESTS_FAULTS_H
#define LP_TESTS_FAULTS_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fault {
    FAULT_MEMORY,
    FAULT_THREAD,
    FAULT_SYSTEM,
    FAULT_KINDS
};

/* n: the n-th call from now fails; 0 and less: none. */
static _Atomic long fault_countdown[FAULT_KINDS];
static _Atomic long fault_hits;

/* What malloc and its like have given and free has not got, by pointers: exact, because each
 * pointer that such a call in the same objects returns is freed by a call in the same objects. */
static _Atomic long live_blocks;

static inline bool fault_now(enum fault kind)
{
    if (atomic_load(&fault_countdown[kind]) <= 0 ||
        atomic_fetch_sub(&fault_countdown[kind], 1) != 1) {
        return false;
    }
    atomic_fetch_add(&fault_hits, 1);
    return true;
}

static inline void *counted(void *block)
{
    if (block) {
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

/* The sanitizers' own code is linked into the program too and calls two of these functions, one of
 * them before it is ready to watch anything: with a sanitizer these two always work. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif
#if defined(__has_attribute)
#if __has_attribute(disable_sanitizer_instrumentation)
#define UNWATCHED __attribute__((disable_sanitizer_instrumentation))
#endif
#endif
#ifndef UNWATCHED
#define UNWATCHED
#endif

/* Declares the real function and the one that the library calls. */
#define WRAPPED(type, name, ...)                      \
    extern type __real_##name(__VA_ARGS__);           \
    extern type __wrap_##name(__VA_ARGS__) UNWATCHED; \
    type __wrap_##name(__VA_ARGS__)

#define OUT_OF_MEMORY(value)           \
    do {                               \
        if (fault_now(FAULT_MEMORY)) { \
            errno = ENOMEM;            \
            return value;              \
        }                              \
    } while (0)

WRAPPED(void *, malloc, size_t size)
{
    OUT_OF_MEMORY(NULL);
    return counted(__real_malloc(size));
}

WRAPPED(void *, calloc, size_t count, size_t size)
{
    OUT_OF_MEMORY(NULL);
    return counted(__real_calloc(count, size));
}

WRAPPED(void *, aligned_alloc, size_t alignment, size_t size)
{
    OUT_OF_MEMORY(NULL);
    return counted(__real_aligned_alloc(alignment, size));
}

WRAPPED(void *, realloc, void *block, size_t size)
{
    OUT_OF_MEMORY(NULL);
    void *moved = __real_realloc(block, size);
    return block ? moved : counted(moved);
}

WRAPPED(void *, reallocarray, void *block, size_t count, size_t size)
{
    OUT_OF_MEMORY(NULL);
    void *moved = __real_reallocarray(block, count, size);
    return block ? moved : counted(moved);
}

WRAPPED(char *, strdup, const char *text)
{
    OUT_OF_MEMORY(NULL);
    return counted(__real_strdup(text));
}

extern int __wrap_asprintf(char **text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **text, const char *format, ...)
{
    OUT_OF_MEMORY(-1);
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    if (length >= 0) {
        counted(*text);
    }
    return length;
}

WRAPPED(void, free, void *block)
{
    if (block) {
        atomic_fetch_sub(&live_blocks, 1);
    }
    __real_free(block);
}

WRAPPED(int, setenv, const char *name, const char *value, int overwrite)
{
    OUT_OF_MEMORY(-1);
    return __real_setenv(name, value, overwrite);
}

WRAPPED(cpu_set_t *, __sched_cpualloc, size_t count)
{
    OUT_OF_MEMORY(NULL);
    return __real___sched_cpualloc(count);
}

WRAPPED(int, pthread_setspecific, pthread_key_t key, const void *value)
{
    if (!UNDER_SANITIZER && value && fault_now(FAULT_MEMORY)) {
        return ENOMEM;
    }
    return __real_pthread_setspecific(key, value);
}

struct hwloc_bitmap_s;
struct hwloc_topology;
struct ev_loop;

WRAPPED(struct hwloc_bitmap_s *, hwloc_bitmap_alloc, void)
{
    OUT_OF_MEMORY(NULL);
    return __real_hwloc_bitmap_alloc();
}

WRAPPED(struct hwloc_bitmap_s *, hwloc_bitmap_dup, const struct hwloc_bitmap_s *bitmap)
{
    OUT_OF_MEMORY(NULL);
    return __real_hwloc_bitmap_dup(bitmap);
}

WRAPPED(int, hwloc_topology_init, struct hwloc_topology **topology)
{
    OUT_OF_MEMORY(-1);
    return __real_hwloc_topology_init(topology);
}

WRAPPED(int, hwloc_topology_dup, struct hwloc_topology **copy, struct hwloc_topology *topology)
{
    OUT_OF_MEMORY(-1);
    return __real_hwloc_topology_dup(copy, topology);
}

WRAPPED(int, hwloc_topology_load, struct hwloc_topology *topology)
{
    if (fault_now(FAULT_SYSTEM)) {
        errno = EIO;
        return -1;
    }
    return __real_hwloc_topology_load(topology);
}

WRAPPED(int, hwloc_set_cpubind, struct hwloc_topology *topology, const struct hwloc_bitmap_s *set,
        int flags)
{
    if (fault_now(FAULT_SYSTEM)) {
        errno = EXDEV;
        return -1;
    }
    return __real_hwloc_set_cpubind(topology, set, flags);
}

WRAPPED(int, sched_getaffinity, pid_t pid, size_t size, cpu_set_t *set)
{
    if (!UNDER_SANITIZER && fault_now(FAULT_SYSTEM)) {
        errno = EPERM;
        return -1;
    }
    return __real_sched_getaffinity(pid, size, set);
}

WRAPPED(int, eventfd, unsigned value, int flags)
{
    if (fault_now(FAULT_SYSTEM)) {
        errno = EMFILE;
        return -1;
    }
    return __real_eventfd(value, flags);
}

WRAPPED(struct ev_loop *, ev_loop_new, unsigned flags)
{
    if (fault_now(FAULT_SYSTEM)) {
        return NULL;
    }
    return __real_ev_loop_new(flags);
}

WRAPPED(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
        void *(*start)(void *arg), void *arg)
{
    if (fault_now(FAULT_THREAD)) {
        return EAGAIN;
    }
    return __real_pthread_create(thread, attributes, start, arg);
}

#endif
