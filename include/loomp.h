/* SPDX-License-Identifier: MIT */
/* loomp: libev loops for the I/O, pinned OpenMP teams for the compute, woven together.
 * This header includes the whole public interface except <loomp/test.h>. See loomp(7). */
#ifndef LOOMP_H
#define LOOMP_H

#include <loomp/version.h>

#include <loomp/error.h>

#include <loomp/config.h>

#include <loomp/runtime.h>

#include <loomp/loop.h>

#include <loomp/pool.h>

#include <loomp/group.h>

#include <loomp/job.h>

#include <loomp/parallel.h>

#include <loomp/site.h>

#include <loomp/stream.h>

#include <loomp/io.h>

#endif
