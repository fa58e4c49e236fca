/* SPDX-License-Identifier: MIT */
/* Owns the family of declared pools: what a name may be, and which members there are. Pure but for
 * the error sentence; any thread enters. */
#include "settings/family.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

static const struct lp_row rows[LP_POOL_MEMBERS] = {
    [LP_MEMBER_THREADS] = {"threads", LP_TYPE_INT, 0, 4096, "0", NULL, "threads of the pool"},
    [LP_MEMBER_CPUS] = {"cpus", LP_TYPE_CPU_LIST, 0, 0, "", NULL, "CPUs that it chooses among"},
    [LP_MEMBER_GPU] = {"gpu", LP_TYPE_DEVICES, 0, 256, "", NULL, "devices that it is near"},
    [LP_MEMBER_SHARE] = {"share", LP_TYPE_BOOL, 0, 1, "false", NULL, "use places of others"},
    [LP_MEMBER_BLOCKING] = {"blocking", LP_TYPE_BOOL, 0, 1, "false", NULL,
                            "for work that sleeps in I/O"},
};

const struct lp_family lp_pool_family = {
    .id = LP_FAMILY_POOLS,
    .group = "pools",
    .noun = "pool",
    .title = "Further pools, for each NAME of your choice:",
    .rows = rows,
    .row_count = LP_POOL_MEMBERS,
    .most = LP_POOLS_MAX,
    .check = lp_pool_name_check,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int lp_pool_name_check(const char *name, const char *where)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > LP_POOL_NAME_MAX || !strchr(letters, *name) ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != bytes) {
        return lp_fail_name(&lp_pool_family, where, name,
                            "a name has 1 to 31 of a-z, 0-9, _ and -, a letter first");
    }
    if (strcmp(name, "compute") == 0 || strcmp(name, "blocking") == 0) {
        return lp_fail(-EINVAL, "%s: the pool `%s' is always there; %s.threads sets its size",
                       where, name, name);
    }
    if (strncmp(name, "gpu", 3) == 0 && is_digit(name[3])) {
        return lp_fail_name(&lp_pool_family, where, name, "gpu with a number is left to gpu_pools");
    }
    return 0;
}
