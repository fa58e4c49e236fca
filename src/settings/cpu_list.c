/* SPDX-License-Identifier: MIT */
/* Owns the reading of CPU lists like "0-5,8". Pure; any thread enters. */
#include "settings/settings.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>

enum {
    CPU_MAX = 1048575
};

/* Reads a CPU number at *at and moves past it. -EINVAL: no number; -ERANGE: too large. */
static int read_cpu(const char **at, unsigned *cpu)
{
    if (!isdigit((unsigned char)**at)) {
        return -EINVAL;
    }
    unsigned value = 0;
    for (; isdigit((unsigned char)**at); (*at)++) {
        value = value * 10 + (unsigned)(**at - '0');
        if (value > CPU_MAX) {
            return -ERANGE;
        }
    }
    *cpu = value;
    return 0;
}

/* Reads "8" or "0-5" at *at and moves past it. */
static int read_range(const char *list, const char **at, unsigned *first, unsigned *last)
{
    int err = read_cpu(at, first);
    *last = *first;
    if (err == 0 && **at == '-') {
        (*at)++;
        err = read_cpu(at, last);
    }
    if (err == -ERANGE) {
        return lp_fail(-EINVAL, "CPU list `%.100s': a CPU number is at most %d", list, CPU_MAX);
    }
    if (err != 0 || (**at && **at != ',')) {
        return lp_fail(-EINVAL, "CPU list `%.100s': not a number or a range like 0-5 at `%.20s'",
                       list, *at);
    }
    if (*last < *first) {
        return lp_fail(-EINVAL, "CPU list `%.100s': the range %u-%u runs backwards", list, *first,
                       *last);
    }
    return 0;
}

int lp_cpu_list_parse(const char *list, void (*mark)(void *arg, unsigned first, unsigned last),
                      void *arg)
{
    /* The first round only checks, so that a bad list marks nothing. */
    for (int round = 0; round < (mark ? 2 : 1); round++) {
        const char *at = list;
        while (*at) {
            unsigned first = 0, last = 0;
            int err = read_range(list, &at, &first, &last);
            if (err != 0) {
                return err;
            }
            if (round == 1) {
                mark(arg, first, last);
            }
            if (*at == ',') {
                at++;
                if (!*at) {
                    return lp_fail(-EINVAL, "CPU list `%.100s' ends with a comma", list);
                }
            }
        }
    }
    return 0;
}
