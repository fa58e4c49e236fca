/* SPDX-License-Identifier: MIT */
/* Owns the order in which things are found out: the machine or what stands for it, then the plan.
 * What the library logs meanwhile is kept for the reader of the page. */
#include "tools/info/info.h"

#include "base/error.h"
#include "base/log.h"
#include "tools/info/archive.h"
#include "tools/info/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void keep_line(void *arg, int32_t level, const char *line)
{
    struct info_log *log = arg;
    if (level > LOOMP_LOG_WARNING) {
        return;
    }
    char **lines = reallocarray(log->lines, log->count + 1, sizeof *lines);
    char *copy = strdup(line);
    if (lines) {
        log->lines = lines;
    }
    if (!lines || !copy) {
        fprintf(stderr, "loomp-info: %s\n", line);
        free(copy);
        return;
    }
    log->lines[log->count++] = copy;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Where topology and files come from. */
static int choose_source(struct info *info, struct lp_survey_options *survey,
                         struct info_archive *archive)
{
    const struct info_options *options = info->options;
    const char *root = NULL;
    survey->topology.synthetic = options->synthetic;
    if (options->topology && info_archive_is(options->topology)) {
        int err = info_archive_unpack(archive, options->topology);
        if (err) {
            return err;
        }
        survey->topology.path = root = archive->tree;
    } else if (options->topology) {
        survey->topology.path = options->topology;
        root = is_directory(options->topology) ? options->topology : NULL;
    }
    if (options->root) {
        if (!is_directory(options->root)) {
            return lp_fail(-ENOTDIR, "--root %s: there is no such directory", options->root);
        }
        root = options->root;
        if (!options->topology && !options->synthetic) {
            survey->topology.path = root;
        }
    }
    info->here = !options->topology && !options->synthetic && !options->root;
    survey->root = root ? root : "";
    return 0;
}

static const char *name_of(const struct info_options *options)
{
    return options->synthetic  ? options->synthetic
           : options->topology ? last_part(options->topology)
           : options->root     ? last_part(options->root)
                               : "this machine";
}

/* --cpus may name more CPUs than there are, but not only such. */
static int cut_allowed(struct info *info, const char *list)
{
    struct lp_machine *machine = &info->survey.topology.machine;
    lp_cpuset *all = lp_cpuset_new();
    for (unsigned i = 0; all && i < machine->cpu_count; i++) {
        lp_cpuset_add(all, machine->cpus[i].os);
    }
    if (!all) {
        return lp_fail(-ENOMEM, "no memory for a set of CPUs");
    }
    lp_cpuset_and(machine->allowed, all);
    lp_cpuset_free(all);
    return lp_cpuset_first(machine->allowed) >= 0
               ? 0
               : lp_fail(-EINVAL, "--cpus %.100s: the machine has none of these CPUs", list);
}

static int read_machine(struct info *info, const struct lp_survey_options *options, int pid)
{
    int err = lp_survey_make(&info->survey, options, info->options->config);
    if (!err && info->options->cpus) {
        err = cut_allowed(info, info->options->cpus);
    }
    if (err) {
        return err;
    }
    if (pid) {
        lp_cgroup_fini(&info->survey.cgroup);
        err = lp_cgroup_read(&info->survey.cgroup, options->root, pid);
    }
    const char *root = info->here || *options->root ? options->root : NULL;
    return err ? err : info_host_read(&info->host, name_of(info->options), root, info->here);
}

/* The CPUs to plan with instead of those this process may use; NULL: no others. */
static int choose_allowed(const struct info_options *options, int pid, lp_cpuset **allowed)
{
    *allowed = NULL;
    if (options->cpus) {
        *allowed = lp_cpuset_parse(options->cpus);
        return *allowed ? 0 : -EINVAL;
    }
    return pid ? info_process_mask(pid, allowed) : 0;
}

int info_read(struct info *info, const struct info_options *options, int pid)
{
    *info = (struct info){.options = options};
    lp_log_set_level(lp_settings_choice(options->config, LP_LOG_LEVEL));
    loomp_set_log(keep_line, &info->log);
    struct lp_survey_options survey = {
        .quota = options->quota,
        .environment = lp_process_environment,
        .all_devices = true,
    };
    struct info_archive archive = {0};
    lp_cpuset *allowed;
    int err = choose_allowed(options, pid, &allowed);
    survey.allowed = allowed;
    if (!err) {
        err = choose_source(info, &survey, &archive);
    }
    if (!err) {
        err = read_machine(info, &survey, pid);
    }
    if (archive.directory) {
        info_archive_remove(&archive);
    }
    if (!err) {
        err = lp_survey_plan(&info->survey, options->config, options->io_threads, &info->plan);
    }
    loomp_set_log(NULL, NULL);
    lp_cpuset_free(allowed);
    if (err) {
        info_fini(info);
    }
    return err;
}

void info_fini(struct info *info)
{
    lp_plan_fini(&info->plan);
    lp_survey_fini(&info->survey);
    info_host_fini(&info->host);
    for (unsigned i = 0; i < info->log.count; i++) {
        free(info->log.lines[i]);
    }
    free(info->log.lines);
    *info = (struct info){0};
}
