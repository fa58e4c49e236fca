/* SPDX-License-Identifier: MIT */
/* The log: warnings go to standard error, each text once, unless the application set a sink. */
#ifndef LP_BASE_LOG_H
#define LP_BASE_LOG_H

#include <loomp/error.h>

/* Lines above this level are dropped; start sets it from log.level. */
void lp_log_set_level(int32_t level);

/* Writes one line. A line of level warning or error that was already written since the last
 * lp_log_reset is dropped. Never call it with a lock held or on the hot path. */
void lp_log(int32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what happened just now: written as often as it happens. */
void lp_log_event(int32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets which warnings were written. */
void lp_log_reset(void);

#endif
