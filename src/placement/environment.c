/* SPDX-License-Identifier: MIT */
/* Owns the two environments that placement can read. Pure; any thread enters. */
#include "placement/environment.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *get_own(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

const struct lp_environment lp_process_environment = {.get = get_own};

static const char *get_recorded(void *arg, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *const *variable = arg; *variable; variable++) {
        if (strncmp(*variable, name, bytes) == 0 && (*variable)[bytes] == '=') {
            return *variable + bytes + 1;
        }
    }
    return NULL;
}

struct lp_environment lp_environment_of(const char *const *variables)
{
    return (struct lp_environment){.get = get_recorded, .arg = (void *)(uintptr_t)variables};
}

const char *lp_environment_get(const struct lp_environment *environment, const char *name)
{
    const char *value = environment->get(environment->arg, name);
    return value && *value ? value : NULL;
}
