/* SPDX-License-Identifier: MIT */
/* Fuzz target: the texts of CPU quotas. The input is that of cpu.max, or those of cpu.cfs_quota_us
 * and cpu.cfs_period_us with a | between them. A quota is the quotient that the text has, or there
 * is none, or the text is refused; and a line end behind it changes nothing. */
#include "fuzz/fuzz.h"

#include "placement/cgroup.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>

/* Whether these two numbers and nothing else are in the texts, and what they are. */
static double quotient(const char *first, const char *second)
{
    uint64_t quota = 0, period = 0;
    FUZZ_CHECK(isdigit((unsigned char)*first), "`%s' has a quota", first);
    FUZZ_CHECK(isdigit((unsigned char)*second), "`%s' has a period", second);
    sscanf(first, "%" SCNu64, &quota);
    sscanf(second, "%" SCNu64, &period);
    return (double)quota / (double)period;
}

static void check_number(double cpus, const char *text)
{
    FUZZ_CHECK(isfinite(cpus) && (cpus >= 0 || cpus == -1), "`%s' is %g CPUs", text, cpus);
}

static void check_cpu_max(const char *text, const char *longer)
{
    double cpus = lp_cgroup_cpu_max(text);
    check_number(cpus, text);
    if (cpus > 0) {
        const char *period = text + strcspn(text, " \t\n\v\f\r");
        FUZZ_CHECK(cpus == quotient(text, period + strspn(period, " \t\n\v\f\r")),
                   "`%s' is %.17g CPUs", text, cpus);
    } else if (cpus == 0) {
        FUZZ_CHECK(strncmp(text, "max", 3) == 0, "`%s' is no limit", text);
    }
    if (cpus >= 0) {
        FUZZ_CHECK(cpus == lp_cgroup_cpu_max(longer), "`%s' with a line end", text);
    }
}

static void check_cfs(const char *quota, const char *period)
{
    double cpus = lp_cgroup_cfs_quota(quota, period);
    check_number(cpus, quota);
    if (cpus > 0) {
        FUZZ_CHECK(cpus == quotient(quota, period), "`%s' in `%s' is %.17g CPUs", quota, period,
                   cpus);
    } else if (cpus == 0) {
        FUZZ_CHECK(strncmp(quota, "-1", 2) == 0, "`%s' in `%s' is no limit", quota, period);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text((struct fuzz_input){(const char *)data, size});
    size_t bytes = strlen(text);
    char *longer = fuzz_have(malloc(bytes + 2));
    memcpy(longer, text, bytes);
    strcpy(longer + bytes, "\n");
    check_cpu_max(text, longer);
    free(longer);

    char *bar = strchr(text, '|');
    if (bar) {
        *bar = '\0';
        char *quota = fuzz_have(strdup(text));
        check_cfs(quota, bar + 1);
        free(quota);
    }
    free(text);
    return 0;
}
