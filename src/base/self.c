/* SPDX-License-Identifier: MIT */
/* Owns the thread-local description of each thread. Only the thread itself reads and writes it. */
#include "base/self.h"

_Thread_local struct lp_self lp_self;
