/* SPDX-License-Identifier: MIT */
/* Threads that never end. When a thread that led an OpenMP region with tasks ends, libomp frees
 * memory that its pooled workers still use (probe leader-ends). Any of loomp's threads may run user
 * code with regions, so all are taken from here and come back when their work is over. */
#ifndef LP_BASE_THREAD_H
#define LP_BASE_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lp_thread lp_thread;

/* Runs fn(arg) on a thread with all signals blocked but those of faults. A parked thread of the same role and stack
 * size is reused (a role's threads share what libomp keeps for them), else one is created.
 * stack_bytes 0: the default of the system. 0, -ENOMEM or -EAGAIN. */
int lp_thread_start(lp_thread **thread, const char *role, size_t stack_bytes, void (*fn)(void *arg),
                    void *arg);

/* Waits until fn has returned and parks the thread; `thread` is not valid afterwards. */
void lp_thread_join(lp_thread *thread);

/* Names the calling thread prefix-what-0007, the prefix cut so that 15 characters suffice. */
void lp_thread_set_name(const char *prefix, const char *what, int index);

/* The kernel's id of the calling thread. */
int lp_thread_tid(void);

/* The address below which an eighth of the calling thread's stack is left; 0 if it cannot be said. */
uintptr_t lp_thread_stack_low(void);

/* Whether the kernel has put the calling thread aside for another since this was last asked of it (the
 * first time: false, nobody knows). A system call: for what is rare. */
bool lp_thread_was_preempted(void);

#endif
