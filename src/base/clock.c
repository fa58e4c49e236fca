/* SPDX-License-Identifier: MIT */
/* Owns the words that say whether time is virtual. Who writes and who reads it is in the header. */
#include "base/clock.h"

_Atomic uint64_t lp_virtual_ns;
uint64_t lp_virtual_ahead_ns;
