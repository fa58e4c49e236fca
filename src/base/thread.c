/* SPDX-License-Identifier: MIT */
/* Owns every thread that loomp creates, and parks them between uses. Entered by the threads that
 * start and stop a runtime; never on a hot path. */
#include "base/thread.h"

#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct lp_thread {
    struct lp_thread *next;
    const char *role;
    size_t stack_bytes;
    void (*fn)(void *arg);
    void *arg;
    bool assigned;
    pthread_cond_t changed; /* fn was assigned, or has returned */
};

/* guards parked and every lp_thread's fields */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lp_thread *parked;

static void *thread_main(void *self)
{
    struct lp_thread *thread = self;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!thread->assigned) {
            pthread_cond_wait(&thread->changed, &lock);
        }
        pthread_mutex_unlock(&lock);
        thread->fn(thread->arg);
        pthread_mutex_lock(&lock);
        thread->assigned = false;
        pthread_cond_broadcast(&thread->changed);
    }
    return NULL;
}

static int create(struct lp_thread *thread)
{
    pthread_attr_t attributes;
    int err = pthread_attr_init(&attributes);
    if (err) {
        return err;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (thread->stack_bytes) {
        err = pthread_attr_setstacksize(&attributes, thread->stack_bytes);
    }
    if (!err) {
        /* The application's handlers run on the application's threads ... */
        sigset_t all, old;
        sigfillset(&all);
        /* A fault is the job's own; blocked, it would end the process without a handler. */
        static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
            sigdelset(&all, faults[i]);
        }
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_t id;
        err = pthread_create(&id, &attributes, thread_main, thread);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attributes);
    return err;
}

/* With the lock held. */
static struct lp_thread *take_parked(const char *role, size_t stack_bytes)
{
    for (struct lp_thread **link = &parked; *link; link = &(*link)->next) {
        struct lp_thread *thread = *link;
        if (thread->stack_bytes == stack_bytes && strcmp(thread->role, role) == 0) {
            *link = thread->next;
            return thread;
        }
    }
    return NULL;
}

int lp_thread_start(lp_thread **out, const char *role, size_t stack_bytes, void (*fn)(void *arg),
                    void *arg)
{
    pthread_mutex_lock(&lock);
    struct lp_thread *thread = take_parked(role, stack_bytes);
    pthread_mutex_unlock(&lock);
    bool is_new = !thread;
    if (is_new) {
        thread = calloc(1, sizeof *thread);
        if (!thread) {
            return lp_fail(-ENOMEM, "no memory for a thread");
        }
        thread->role = role;
        thread->stack_bytes = stack_bytes;
        pthread_cond_init(&thread->changed, NULL);
    }
    pthread_mutex_lock(&lock);
    thread->fn = fn;
    thread->arg = arg;
    thread->assigned = true;
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&lock);
    if (is_new) {
        int err = create(thread);
        if (err) {
            pthread_cond_destroy(&thread->changed);
            free(thread);
            return lp_fail(-err, "cannot create a thread (role %s, stack of %zu bytes): %s", role,
                           stack_bytes, strerror(err));
        }
    }
    *out = thread;
    return 0;
}

void lp_thread_join(lp_thread *thread)
{
    pthread_mutex_lock(&lock);
    while (thread->assigned) {
        pthread_cond_wait(&thread->changed, &lock);
    }
    thread->next = parked;
    parked = thread;
    pthread_mutex_unlock(&lock);
}

void lp_thread_set_name(const char *prefix, const char *what, int index)
{
    enum { LONGEST = 15 }; /* the kernel's limit */
    char tail[LONGEST + 1], name[2 * LONGEST + 1];
    int room = LONGEST - snprintf(tail, sizeof tail, "-%s-%04d", what, index % 10000);
    snprintf(name, sizeof name, "%.*s%s", room > 0 ? room : 0, prefix, tail);
    name[LONGEST] = '\0';
    pthread_setname_np(pthread_self(), name);
}

int lp_thread_tid(void)
{
    return (int)syscall(SYS_gettid);
}

uintptr_t lp_thread_stack_low(void)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes)) {
        return 0;
    }
    int err = pthread_attr_getstack(&attributes, &lowest, &bytes);
    pthread_attr_destroy(&attributes);
    return err ? 0 : (uintptr_t)lowest + bytes / 8;
}

bool lp_thread_was_preempted(void)
{
    static _Thread_local long before = -1;
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage)) {
        return false;
    }
    bool was = before >= 0 && usage.ru_nivcsw > before;
    before = usage.ru_nivcsw;
    return was;
}
