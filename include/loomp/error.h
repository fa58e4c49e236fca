/* SPDX-License-Identifier: MIT */
/* Errors and the log. Functions of loomp return 0 or a negative errno value unless they return a
 * plain answer; outputs are set on success only. */
#ifndef LOOMP_ERROR_H
#define LOOMP_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Explains a return value of loomp (negative errno) in a few words. Any thread; does not block.
 * The text is static or belongs to the calling thread and lasts until its next call. */
const char *loomp_strerror(int err);

/* The one sentence about this thread's last failed call of loomp, naming the culprit (file, line,
 * key, value); "" if none failed yet. Any thread; does not block. The text belongs to loomp and is
 * valid until the thread's next call of loomp. */
const char *loomp_error(void);

/* Levels of the log, as in the setting log.level. */
#define LOOMP_LOG_NONE 0
#define LOOMP_LOG_ERROR 1
#define LOOMP_LOG_WARNING 2
#define LOOMP_LOG_INFO 3
#define LOOMP_LOG_DEBUG 4

/* A sink for the log: one line without a newline. May be called on any thread, on several at once,
 * and never while loomp holds a lock. It must not call loomp. */
typedef void (*loomp_log_fn)(void *arg, int32_t level, const char *line);

/* Sends the log to `fn(arg, ...)` instead of standard error; NULL restores standard error. By
 * default warnings and errors are written, each warning once. Any thread; does not block. `arg`
 * stays the caller's and must outlive its use: another thread may still be in the old sink for a
 * moment after this returns. */
void loomp_set_log(loomp_log_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
