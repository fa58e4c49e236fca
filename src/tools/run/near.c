/* SPDX-License-Identifier: MIT */
/* Owns --near for what is not a GPU: a network or storage device or a NUMA node becomes a list of
 * CPUs for the setting cpus. */
#include "tools/run/run.h"

#include "base/error.h"
#include "tools/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The CPUs near the chosen devices; an empty set if the machine does not say. */
static int of_devices(const struct lp_survey *survey, enum lp_device_kind kind, const char *text,
                      lp_cpuset *near)
{
    const struct lp_devices *devices = &survey->devices;
    unsigned *chosen = calloc(devices->count + 1, sizeof *chosen);
    if (!chosen) {
        return lp_fail(-ENOMEM, "no memory to choose a device");
    }
    int count = lp_devices_choose(devices, kind, text, chosen);
    for (int i = 0; i < count; i++) {
        const struct lp_device *device = &devices->entries[chosen[i]];
        if (device->local_known && device->local) {
            lp_cpuset_or(near, device->local);
        }
    }
    free(chosen);
    return count < 0 ? count : 0;
}

static int of_nodes(const struct lp_survey *survey, const char *text, lp_cpuset *near)
{
    lp_cpuset *wanted = lp_cpuset_parse(text);
    if (!wanted) {
        return lp_fail(-EINVAL, "--near: `numa:%.100s' does not name NUMA nodes", text);
    }
    const struct lp_machine *machine = &survey->topology.machine;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        if (lp_cpuset_has(wanted, machine->cpus[i].node_os)) {
            lp_cpuset_add(near, machine->cpus[i].os);
        }
    }
    lp_cpuset_free(wanted);
    return lp_cpuset_first(near) >= 0
               ? 0
               : lp_fail(-ENODEV, "--near: there is no NUMA node %.100s with CPUs", text);
}

static int look_up(const char *near, const struct lp_survey *survey, lp_cpuset *set)
{
    const char *name = strchr(near, ':') + 1;
    if (strncmp(near, "nic:", 4) == 0) {
        return of_devices(survey, LP_DEVICE_NETWORK, name, set);
    }
    if (strncmp(near, "disk:", 5) == 0) {
        return of_devices(survey, LP_DEVICE_STORAGE, name, set);
    }
    return of_nodes(survey, name, set);
}

/* What of the allowed CPUs and of the setting cpus is near; 0 or -ENOMEM. */
static int narrow(const struct lp_survey *survey, const loomp_config *config, lp_cpuset *near)
{
    lp_cpuset_and(near, survey->topology.machine.allowed);
    const char *list = lp_settings_text(config, LP_CPUS);
    if (!*list) {
        return 0;
    }
    lp_cpuset *set = lp_cpuset_parse(list);
    if (!set) {
        return -ENOMEM;
    }
    lp_cpuset_and(near, set);
    lp_cpuset_free(set);
    return 0;
}

/* As a value of the command line, which is the strongest source. */
static int set_cpus(loomp_config *config, const lp_cpuset *near)
{
    int bytes = lp_cpuset_format(near, NULL, 0);
    size_t size = (size_t)bytes + sizeof "--loomp-cpus=";
    char *argument = malloc(size);
    if (!argument) {
        return lp_fail(-ENOMEM, "no memory for a list of CPUs");
    }
    int used = snprintf(argument, size, "--loomp-cpus=");
    lp_cpuset_format(near, argument + used, size - (size_t)used);
    char *line[] = {argument, argument, NULL};
    int count = 2;
    int err = loomp_config_args(config, &count, line);
    free(argument);
    return err;
}

int run_near(const char *near, const struct lp_survey *survey, loomp_config *config, char *reason,
             size_t size)
{
    *reason = 0;
    lp_cpuset *set = lp_cpuset_new();
    if (!set) {
        return lp_fail(-ENOMEM, "no memory for a set of CPUs");
    }
    int err = look_up(near, survey, set);
    bool known = !err && lp_cpuset_first(set) >= 0;
    err = err ? err : narrow(survey, config, set);
    if (!err && !known) {
        run_warn(
            "the machine does not say which CPUs are near %s, so all that are allowed are used",
            near);
    } else if (!err && lp_cpuset_first(set) < 0) {
        run_warn("no CPU near %s is allowed here, so all that are allowed are used", near);
    } else if (!err) {
        err = set_cpus(config, set);
        char list[256];
        lp_cpuset_format(set, list, sizeof list);
        snprintf(reason, size, "CPU%s near %s and allowed: %s",
                 lp_cpuset_count(set) == 1 ? "" : "s", near, list);
    }
    lp_cpuset_free(set);
    return err;
}
