/* SPDX-License-Identifier: MIT */
/* Owns the log's sink, level and memory of warnings already written. Any thread enters, none of
 * them on a hot path. The sink is called without a lock held. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    LINE_BYTES = 512,
    REMEMBERED = 256
};

/* guards sink, sink_arg, seen, seen_count */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static loomp_log_fn sink;
static void *sink_arg;
static uint64_t seen[REMEMBERED];
static unsigned seen_count;

/* Written by start, read by anybody; relaxed because it orders nothing. */
static _Atomic int32_t max_level = LOOMP_LOG_WARNING;

void lp_log_set_level(int32_t level)
{
    atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

void loomp_set_log(loomp_log_fn fn, void *arg)
{
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_arg = arg;
    pthread_mutex_unlock(&lock);
}

void lp_log_reset(void)
{
    pthread_mutex_lock(&lock);
    seen_count = 0;
    pthread_mutex_unlock(&lock);
}

/* FNV-1a: two different warnings with one hash would cost a line, which is harmless. */
static uint64_t hash(const char *text)
{
    uint64_t h = 1469598103934665603u;
    for (; *text; text++) {
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    }
    return h;
}

/* With the lock held. */
static bool is_new(const char *line)
{
    uint64_t h = hash(line);
    unsigned known = seen_count < REMEMBERED ? seen_count : REMEMBERED;
    for (unsigned i = 0; i < known; i++) {
        if (seen[i] == h) {
            return false;
        }
    }
    seen[seen_count++ % REMEMBERED] = h;
    return true;
}

static void write_line(int32_t level, bool again, const char *format, va_list arguments)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    if (level > atomic_load_explicit(&max_level, memory_order_relaxed)) {
        return;
    }
    char line[LINE_BYTES];
    vsnprintf(line, sizeof line, format, arguments);

    pthread_mutex_lock(&lock);
    bool write = again || level > LOOMP_LOG_WARNING || is_new(line);
    loomp_log_fn fn = sink;
    void *arg = sink_arg;
    pthread_mutex_unlock(&lock);
    if (!write) {
        return;
    }
    if (fn) {
        fn(arg, level, line);
    } else {
        fprintf(stderr, "loomp: %s: %s\n", names[level], line);
    }
}

void lp_log(int32_t level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(level, false, format, arguments);
    va_end(arguments);
}

void lp_log_event(int32_t level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(level, true, format, arguments);
    va_end(arguments);
}
