/* SPDX-License-Identifier: MIT */
/* Owns what the settings tell the adaptive scheduler, and when its profile is read and written. */
#include "runtime/adaptive.h"

#include "adaptive/learner.h"
#include "adaptive/profile.h"
#include "base/error.h"
#include "base/log.h"
#include "base/self.h"
#include "runtime/calibrate.h"
#include "settings/settings.h"

#include <loomp/site.h>

#include <errno.h>
#include <math.h>

enum {
    MACHINE_NAME_BYTES = 128
};

static double ns_of(const loomp_config *config, enum lp_key key)
{
    return lp_settings_double(config, key) * 1e3;
}

static struct lp_policy policy_of(const loomp_config *config)
{
    struct lp_policy policy = lp_policy_defaults;
    policy.mode = (enum lp_mode)lp_settings_choice(config, LP_ADAPTIVE_MODE);
    policy.objective = (enum lp_objective)lp_settings_choice(config, LP_ADAPTIVE_OBJECTIVE);
    policy.io_weight = lp_settings_double(config, LP_ADAPTIVE_IO_WEIGHT);
    policy.budget_ns = ns_of(config, LP_ADAPTIVE_INLINE_BUDGET_US);
    policy.gr0 = lp_settings_bool(config, LP_ADAPTIVE_GR0);
    policy.gr0_ns = ns_of(config, LP_ADAPTIVE_GR0_US);
    policy.gr0_pressure = lp_settings_double(config, LP_ADAPTIVE_GR0_PRESSURE);
    policy.gr1 = lp_settings_bool(config, LP_ADAPTIVE_GR1);
    policy.gr1_ns = ns_of(config, LP_ADAPTIVE_GR1_US);
    policy.gr2 = lp_settings_bool(config, LP_ADAPTIVE_GR2);
    policy.gr2_ns = ns_of(config, LP_ADAPTIVE_GR2_US);
    policy.gr2_pressure = lp_settings_double(config, LP_ADAPTIVE_GR2_PRESSURE);
    policy.gr3 = lp_settings_bool(config, LP_ADAPTIVE_GR3);
    policy.gr3_ns = ns_of(config, LP_ADAPTIVE_GR3_US);
    policy.gr3_calls = (unsigned)lp_settings_int(config, LP_ADAPTIVE_GR3_CALLS);
    policy.model.memory = (double)lp_settings_int(config, LP_ADAPTIVE_MEMORY);
    return policy;
}

static struct lp_pin pin_of(const loomp_config *config, const char *name)
{
    struct lp_settings_site site;
    return lp_settings_site(config, name, &site) ? (struct lp_pin){site.arm, site.width}
                                                 : (struct lp_pin){0, 0};
}

/* Frozen decisions that the profile does not make, or not as it would, are not what was asked for. */
static void warn_of_thaw(const struct lp_parts *parts, const char *path, int err, unsigned widest)
{
    unsigned threads = lp_plan_compute(&parts->plan)->count;
    if (err) {
        lp_log(LOOMP_LOG_WARNING,
               "adaptive.mode is frozen, but %s%s: jobs go where they would without a site",
               *path ? path : "adaptive.profile names no file",
               !*path           ? ""
               : err == -ENOENT ? " does not exist"
                                : " is of another machine or version");
    } else if (widest > threads) {
        lp_log(LOOMP_LOG_WARNING,
               "adaptive.mode is frozen, and %s has teams of up to %u threads, of which there are "
               "only %u here: sums may differ",
               path, widest, threads);
    }
}

static int load_profile(const struct lp_parts *parts, const char *machine)
{
    const char *path = lp_settings_text(parts->config, LP_ADAPTIVE_PROFILE);
    bool frozen = lp_settings_choice(parts->config, LP_ADAPTIVE_MODE) == LP_FROZEN;
    struct lp_load_options options = {
        .overrides = frozen,
        .memory = (double)lp_settings_int(parts->config, LP_ADAPTIVE_MEMORY),
    };
    int err = *path ? lp_profile_load(path, machine, &options) : -ENOENT;
    if (frozen && (err >= 0 || err == -ENOENT)) {
        warn_of_thaw(parts, path, err, options.widest);
    } else if (*path && err == -ENOENT) {
        lp_log(LOOMP_LOG_INFO, "there is no profile %s yet: it is written when the runtime stops",
               path);
    }
    return err > 0 || err == -ENOENT ? 0 : err;
}

int lp_start_adaptive(struct lp_parts *parts)
{
    char machine[MACHINE_NAME_BYTES];
    lp_machine_name(&parts->survey.topology, machine, sizeof machine);
    lp_adaptive_start(&(struct lp_adaptive_settings){
        .policy = policy_of(parts->config),
        .seed = (uint64_t)lp_settings_int(parts->config, LP_ADAPTIVE_SEED),
        .trace = (unsigned)lp_settings_int(parts->config, LP_ADAPTIVE_TRACE),
        .pin = pin_of,
        .config = parts->config,
    });
    return load_profile(parts, machine);
}

void lp_calibrate_adaptive(struct lp_parts *parts)
{
    if (lp_settings_bool(parts->config, LP_ADAPTIVE_CALIBRATE)) {
        lp_calibrate(parts->compute, parts->loops[0]);
    }
}

static int store_profile(const struct lp_parts *parts, const char *path)
{
    char machine[MACHINE_NAME_BYTES];
    lp_machine_name(&parts->survey.topology, machine, sizeof machine);
    return lp_profile_store(path, machine);
}

static void warn_of_unused(void *arg, const struct lp_settings_site *site)
{
    const loomp_site named = {.name = site->name};
    (void)arg;
    if (!lp_site_find(&named)) {
        lp_log(LOOMP_LOG_WARNING, "sites.%s: no site of that name was used", site->name);
    }
}

void lp_stop_adaptive(struct lp_parts *parts)
{
    lp_adaptive_stop();
    if (parts->config && parts->loops) {
        lp_settings_each_site(parts->config, warn_of_unused, NULL);
    }
    const char *path = parts->config ? lp_settings_text(parts->config, LP_ADAPTIVE_PROFILE) : "";
    if (*path && parts->loops && lp_adaptive_settings()->policy.mode == LP_LEARN &&
        store_profile(parts, path)) {
        lp_log(LOOMP_LOG_WARNING, "the profile is not written: %s", loomp_error());
    }
}

int loomp_profile_save(loomp_runtime *runtime, const char *path)
{
    if (!path || !*path) {
        return lp_fail(-EINVAL, "loomp_profile_save: the path is %s", path ? "empty" : "NULL");
    }
    int err = lp_runtime_check(runtime);
    if (!err && lp_self.role != LP_PLAIN) {
        err =
            lp_fail(-EDEADLK, "loomp_profile_save belongs on a plain thread: it would hold up the "
                              "work of this one");
    }
    if (!err) {
        unsigned side = lp_runtime_announce_reader();
        err = lp_runtime_check(runtime);
        lp_adaptive_flush_here();
        err = err ? err : store_profile(&lp_process.parts, path);
        lp_runtime_withdraw_reader(side);
    }
    return err;
}
