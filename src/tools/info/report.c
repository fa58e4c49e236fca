/* SPDX-License-Identifier: MIT */
/* Owns --json: everything that is known, under names that stay. CPU sets are texts like "0-5,8". */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/info/json.h"
#include "tools/info/text.h"

#include <loomp/version.h>

#include <errno.h>
#include <string.h>

/* An unknown set is null, an empty one "". */
static void put_cpus(struct json *json, const char *key, const lp_cpuset *set)
{
    struct text text = {0};
    if (!set) {
        json_null(json, key);
        return;
    }
    if (lp_cpuset_first(set) >= 0) {
        text_add_cpus(&text, set);
    }
    json_text(json, key, text_of(&text));
    text_fini(&text);
}

static void put_text_or_null(struct json *json, const char *key, const char *text)
{
    json_text(json, key, *text ? text : NULL);
}

static const char *kind_of(const struct lp_cpu *cpu)
{
    return cpu->kind == LP_KIND_PERFORMANCE  ? "performance"
           : cpu->kind == LP_KIND_EFFICIENCY ? "efficiency"
                                             : NULL;
}

static void put_cpu_list(struct json *json, const struct lp_machine *machine)
{
    json_array(json, "cpus");
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct lp_cpu *cpu = &machine->cpus[i];
        json_object(json, NULL);
        json_integer(json, "cpu", cpu->os);
        json_integer(json, "core", cpu->core);
        json_integer(json, "smt", cpu->smt);
        json_integer(json, "cache_group", cpu->cache);
        json_integer(json, "node", cpu->node_os);
        json_integer(json, "package", cpu->package);
        json_text(json, "kind", kind_of(cpu));
        json_bool(json, "allowed", lp_cpuset_has(machine->allowed, cpu->os));
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_machine(struct json *json, const struct info *info)
{
    const struct lp_machine *machine = &info->survey.topology.machine;
    json_object(json, "machine");
    json_text(json, "name", info->host.name);
    put_text_or_null(json, "model", info->host.cpu_model);
    json_bool(json, "this_machine", info->here);
    json_integer(json, "package_count", machine->package_count);
    json_integer(json, "node_count", machine->node_count);
    json_integer(json, "memory_only_node_count", machine->memory_only_nodes);
    json_integer(json, "cache_group_count", machine->cache_count);
    json_integer(json, "core_count", machine->core_count);
    json_integer(json, "cpu_count", machine->cpu_count);
    put_cpus(json, "offline", info->host.offline);
    json_array(json, "memory");
    for (unsigned i = 0; i < info->host.node_count; i++) {
        json_object(json, NULL);
        json_integer(json, "node", info->host.nodes[i].os);
        json_integer(json, "bytes", (int64_t)info->host.nodes[i].memory_bytes);
        json_end_object(json);
    }
    json_end_array(json);
    put_text_or_null(json, "memory_policy", info->host.memory_policy);
    put_cpu_list(json, machine);
    json_real(json, "load_seconds", info->survey.topology_s);
    json_end_object(json);
    put_cpus(json, "allowed", machine->allowed);
}

static void put_cgroup(struct json *json, const struct lp_cgroup *cgroup)
{
    json_object(json, "cgroup");
    if (cgroup->quota > 0) {
        json_real(json, "quota", cgroup->quota);
    } else {
        json_null(json, "quota");
    }
    put_text_or_null(json, "quota_from", cgroup->quota_from);
    put_cpus(json, "cpus", cgroup->cpus);
    put_text_or_null(json, "cpus_from", cgroup->cpus_from);
    if (cgroup->has_stat) {
        json_object(json, "throttling");
        json_text(json, "from", cgroup->stat_from);
        json_integer(json, "periods", (int64_t)cgroup->periods);
        json_integer(json, "throttled_periods", (int64_t)cgroup->throttled_periods);
        json_real(json, "throttled_seconds", cgroup->throttled_s);
        json_end_object(json);
    } else {
        json_null(json, "throttling");
    }
    json_end_object(json);
}

static void put_devices(struct json *json, const struct lp_devices *devices)
{
    static const char *const kinds[] = {
        [LP_DEVICE_GPU] = "gpu", [LP_DEVICE_NETWORK] = "network", [LP_DEVICE_STORAGE] = "storage"};
    json_array(json, "devices");
    for (unsigned i = 0; i < devices->count; i++) {
        const struct lp_device *device = &devices->entries[i];
        json_object(json, NULL);
        json_text(json, "kind", kinds[device->kind]);
        put_text_or_null(json, "name", device->name);
        put_text_or_null(json, "vendor", device->vendor);
        put_text_or_null(json, "model", device->model);
        put_text_or_null(json, "pci", device->pci);
        put_text_or_null(json, "uuid", device->uuid);
        json_bool(json, "visible", device->visible);
        if (device->visible) {
            json_integer(json, "index", device->index);
            json_integer(json, "vendor_index", device->vendor_index);
        } else {
            json_null(json, "index");
            json_null(json, "vendor_index");
        }
        put_cpus(json, "near", device->local_known ? device->local : NULL);
        json_end_object(json);
    }
    json_end_array(json);
    put_text_or_null(json, "hidden_by", devices->hidden_by);
}

static void put_rank(struct json *json, const struct lp_rank *rank)
{
    json_object(json, "rank");
    json_integer(json, "local", rank->local);
    json_integer(json, "local_size", rank->local_size);
    put_text_or_null(json, "local_from", rank->local_from);
    put_text_or_null(json, "local_size_from", rank->size_from);
    json_end_object(json);
}

static void put_places(struct json *json, const struct lp_place *places, unsigned count)
{
    json_array(json, "places");
    for (unsigned i = 0; i < count; i++) {
        json_object(json, NULL);
        put_cpus(json, "cpus", places[i].cpus);
        if (places[i].node >= 0) {
            json_integer(json, "node", places[i].node);
        } else {
            json_null(json, "node");
        }
        json_bool(json, "shared", places[i].shared);
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_plan(struct json *json, const struct lp_plan *plan)
{
    json_object(json, "plan");
    json_bool(json, "pin", plan->pin);
    json_integer(json, "budget", plan->budget);
    put_cpus(json, "usable", plan->usable);
    put_cpus(json, "cpus", plan->cpus);
    json_object(json, "io");
    json_integer(json, "threads", plan->io_count);
    put_cpus(json, "cpus", plan->io_cpus);
    put_places(json, plan->io, plan->io_count);
    json_end_object(json);
    json_array(json, "pools");
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        json_object(json, NULL);
        json_text(json, "name", pool->name);
        json_integer(json, "threads", pool->count);
        json_bool(json, "blocking", pool->blocking);
        json_bool(json, "crowded", pool->crowded);
        json_bool(json, "shares", pool->shares);
        put_text_or_null(json, "gpu", pool->gpu);
        put_places(json, pool->places, pool->blocking ? 1 : pool->count);
        json_end_object(json);
    }
    json_end_array(json);
    json_end_object(json);
}

static void put_reasons(struct json *json, const struct info *info)
{
    const struct lp_reasons *reasons = &info->plan.reasons;
    const struct lp_reasons *warnings = &info->plan.warnings;
    json_array(json, "reasons");
    for (unsigned i = 0; i < reasons->count; i++) {
        json_object(json, NULL);
        json_text(json, "key", reasons->entries[i].key);
        json_text(json, "text", reasons->entries[i].text);
        json_end_object(json);
    }
    json_end_array(json);
    json_array(json, "warnings");
    for (unsigned i = 0; i < warnings->count; i++) {
        json_text(json, NULL, warnings->entries[i].text);
    }
    for (unsigned i = 0; i < info->log.count; i++) {
        json_text(json, NULL, info->log.lines[i]);
    }
    json_end_array(json);
}

int info_print_json(const struct info *info, FILE *out)
{
    struct json json = {.out = out};
    json_object(&json, NULL);
    json_text(&json, "loomp", LOOMP_VERSION_STRING);
    put_machine(&json, info);
    put_cgroup(&json, &info->survey.cgroup);
    put_devices(&json, &info->survey.devices);
    put_rank(&json, &info->survey.rank);
    json_array(&json, "openmp");
    for (unsigned i = 0; i < info->host.openmp_count; i++) {
        json_text(&json, NULL, info->host.openmp[i]);
    }
    json_end_array(&json);
    put_plan(&json, &info->plan);
    put_reasons(&json, info);
    json_end_object(&json);
    return ferror(out) ? lp_fail(-EIO, "cannot write the output: %s", strerror(errno)) : 0;
}
