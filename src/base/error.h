/* SPDX-License-Identifier: MIT */
/* The one sentence about a thread's last failed call. Whoever first knows the cause words it. */
#ifndef LP_BASE_ERROR_H
#define LP_BASE_ERROR_H

#include <loomp/error.h>

#include <stdarg.h>

/* Stores the sentence for loomp_error() and returns err (a negative errno value), so that a failing
 * function can say `return lp_fail(-EINVAL, "...", ...)`. */
int lp_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the sentence of another thread (one that started on our behalf) over. */
int lp_fail_with(int err, const char *sentence);

#endif
