/* SPDX-License-Identifier: MIT */
/* Owns the mapping of lp_cpuset to hwloc's bitmaps. Pure data; any thread, one at a time per set. */
#include "placement/cpuset.h"

#include "base/error.h"
#include "settings/settings.h"

#include <errno.h>
#include <hwloc.h>

lp_cpuset *lp_cpuset_new(void)
{
    lp_cpuset *set = hwloc_bitmap_alloc();
    if (!set) {
        lp_fail(-ENOMEM, "no memory for a set of CPUs");
    }
    return set;
}

lp_cpuset *lp_cpuset_copy(const lp_cpuset *set)
{
    lp_cpuset *copy = hwloc_bitmap_dup(set);
    if (!copy) {
        lp_fail(-ENOMEM, "no memory for a set of CPUs");
    }
    return copy;
}

void lp_cpuset_free(lp_cpuset *set)
{
    hwloc_bitmap_free(set);
}

void lp_cpuset_add(lp_cpuset *set, unsigned cpu)
{
    hwloc_bitmap_set(set, cpu);
}

int lp_cpuset_first(const lp_cpuset *set)
{
    return hwloc_bitmap_first(set);
}

int lp_cpuset_next(const lp_cpuset *set, int cpu)
{
    return hwloc_bitmap_next(set, cpu);
}

int lp_cpuset_count(const lp_cpuset *set)
{
    return hwloc_bitmap_weight(set);
}

bool lp_cpuset_has(const lp_cpuset *set, unsigned cpu)
{
    return hwloc_bitmap_isset(set, cpu);
}

bool lp_cpuset_intersects(const lp_cpuset *a, const lp_cpuset *b)
{
    return hwloc_bitmap_intersects(a, b);
}

bool lp_cpuset_equal(const lp_cpuset *a, const lp_cpuset *b)
{
    return hwloc_bitmap_isequal(a, b);
}

void lp_cpuset_and(lp_cpuset *set, const lp_cpuset *other)
{
    hwloc_bitmap_and(set, set, other);
}

void lp_cpuset_or(lp_cpuset *set, const lp_cpuset *other)
{
    hwloc_bitmap_or(set, set, other);
}

void lp_cpuset_remove(lp_cpuset *set, const lp_cpuset *other)
{
    hwloc_bitmap_andnot(set, set, other);
}

bool lp_cpuset_is_within(const lp_cpuset *set, const lp_cpuset *whole)
{
    return hwloc_bitmap_isincluded(set, whole);
}

int lp_cpuset_format(const lp_cpuset *set, char *buffer, size_t size)
{
    return hwloc_bitmap_list_snprintf(buffer, size, set);
}

static void mark(void *set, unsigned first, unsigned last)
{
    hwloc_bitmap_set_range(set, first, (int)last);
}

int lp_cpuset_read(lp_cpuset **out, const char *list)
{
    lp_cpuset *set = lp_cpuset_new();
    if (!set) {
        return -ENOMEM;
    }
    int err = lp_cpu_list_parse(list, mark, set);
    if (err) {
        lp_cpuset_free(set);
        return err;
    }
    *out = set;
    return 0;
}

lp_cpuset *lp_cpuset_parse(const char *list)
{
    lp_cpuset *set;
    return lp_cpuset_read(&set, list) ? NULL : set;
}
