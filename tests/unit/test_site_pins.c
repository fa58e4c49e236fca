/* SPDX-License-Identifier: MIT */
/* What the settings and a profile make of sites: pins, the modes frozen and off, and what is known
 * from an earlier run. */
#define SUITE "site pins"
#include "site_jobs.h"

#include "base/log.h"

#include <errno.h>
#include <unistd.h>

static bool error_names(const char *what)
{
    return strstr(loomp_error(), what) != NULL;
}

static loomp_runtime *start(const char *const *settings)
{
    return runtime_with(workers_under_test(), settings);
}

struct declared {
    loomp_site *site;
    double cost_s;
    int calls;
    int arms[4];
    loomp_decision last;
};

static void declare_calls(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct declared *declared = arg;
    memset(declared->arms, 0, sizeof declared->arms);
    for (int i = 0; i < declared->calls; i++) {
        declared->arms[declare_call(declared->site, 8, declared->cost_s, &declared->last)]++;
    }
}

static void declare_on_loop(loomp_runtime *runtime, struct declared *declared)
{
    on_loop(loomp_loop_at(runtime, 0), declare_calls, declared);
}

/* ---- pins ------------------------------------------------------------------------------------ */

TEST(a_pinned_site_goes_where_the_setting_says_whatever_it_costs)
{
    static loomp_site sites[] = {LOOMP_SITE("to inline", LOOMP_HINT_HIGH),
                                 LOOMP_SITE("to task", LOOMP_HINT_LOW)};
    loomp_runtime *runtime = start((const char *const[]){
        "sites.to inline.arm", "inline", "sites.to task.arm", "task", NULL});
    for (int i = 0; i < 2; i++) {
        uint32_t arm = i == 0 ? LOOMP_INLINE : LOOMP_TASK;
        struct declared declared = {&sites[i], i == 0 ? 5e-3 : 1e-7, .calls = 50};
        declare_on_loop(runtime, &declared);
        CHECK(declared.arms[arm] == 50);
        CHECK(declared.last.reason == LOOMP_BY_PIN);
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&sites[0]).inlined == 50 && stats_of(&sites[1]).tasks == 50);
}

TEST(where_the_pinned_arm_is_not_possible_a_task_is)
{
    static loomp_site team = LOOMP_SITE("serial to team", LOOMP_HINT_UNKNOWN);
    static loomp_site waits = LOOMP_SITE("waits but inline", LOOMP_HINT_UNKNOWN);
    loomp_runtime *runtime = start((const char *const[]){"sites.serial to team.arm", "team",
                                                         "sites.waits but inline.arm", "inline",
                                                         NULL});
    struct declared declared = {&team, 1e-6, .calls = 1};
    declare_on_loop(runtime, &declared);
    CHECK(declared.last.arm == LOOMP_TASK && declared.last.reason == LOOMP_BY_PLACE);
    struct site_job job;
    site_job_init(&job, &waits, LOOMP_SERIAL);
    job.job.flags = LOOMP_MAY_WAIT;
    run_site_job(loomp_loop_at(runtime, 0), &job);
    CHECK(!job.inside);
    site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_pin_ends_with_the_runtime_that_has_it)
{
    static loomp_site site = LOOMP_SITE("pinned once", LOOMP_HINT_UNKNOWN);
    for (int pinned = 1; pinned >= 0; pinned--) {
        loomp_runtime *runtime = start(
            (const char *const[]){"sites.pinned once.arm", pinned ? "inline" : "", NULL});
        struct declared declared = {&site, 20e-3, .calls = 10};
        declare_on_loop(runtime, &declared);
        CHECK(declared.arms[LOOMP_INLINE] == (pinned ? 10 : 0));
        CHECK((declared.last.reason == LOOMP_BY_PIN) == pinned);
        CHECK(loomp_stop(runtime) == 0);
    }
}

enum { CHOOSERS = 3, CHOICES = 50000 };

static void *choose_all_the_time(void *arg)
{
    int *obeyed = arg;
    static loomp_site site = LOOMP_SITE("pinned for many", LOOMP_HINT_UNKNOWN);
    for (int i = 0; i < CHOICES; i++) {
        loomp_decision decision;
        *obeyed += loomp_choose(loomp_default(), &site, 8, &decision) == 0 &&
                   decision.arm == LOOMP_INLINE && decision.reason == LOOMP_BY_PIN;
    }
    return NULL;
}

TEST(a_pin_holds_for_threads_that_choose_at_the_same_time)
{
    loomp_runtime *runtime =
        start((const char *const[]){"sites.pinned for many.arm", "inline", NULL});
    pthread_t threads[CHOOSERS];
    int obeyed[CHOOSERS] = {0};
    for (int i = 0; i < CHOOSERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, choose_all_the_time, &obeyed[i]) == 0);
    }
    for (int i = 0; i < CHOOSERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(obeyed[i] == CHOICES);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- off ------------------------------------------------------------------------------------- */

TEST(when_the_scheduler_is_off_jobs_go_where_they_would_go_without_a_site)
{
    static loomp_site site = LOOMP_SITE("off", LOOMP_HINT_LOW);
    loomp_runtime *runtime = start((const char *const[]){"adaptive.mode", "off", NULL});
    for (int i = 0; i < 60; i++) {
        struct site_job job;
        site_job_init(&job, &site, (uint32_t)i % 3);
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(!job.inside);
        site_job_ended_well(&job, loomp_loop_at(runtime, 0));
    }
    struct declared declared = {&site, 1e-6, .calls = 1};
    declare_on_loop(runtime, &declared);
    CHECK(declared.last.arm == LOOMP_TASK && declared.last.reason == LOOMP_BY_MODE);
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 61 && stats.tasks == 21 && stats.teams == 40);
    CHECK(stats.model_count == 0); /* nothing was learnt */
}

static void choose_only(loomp_loop *loop, void *arg)
{
    (void)loop;
    for (int i = 0; i < 600; i++) {
        loomp_decision decision;
        CHECK(loomp_choose(loomp_default(), arg, 8, &decision) == 0);
    }
}

TEST(who_learns_nothing_tells_other_threads_of_its_calls_too)
{
    static loomp_site sites[] = {LOOMP_SITE("told off", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("told frozen", LOOMP_HINT_UNKNOWN)};
    for (int i = 0; i < 2; i++) {
        loomp_runtime *runtime =
            start((const char *const[]){"adaptive.mode", i == 0 ? "off" : "frozen", NULL});
        on_loop(loomp_loop_at(runtime, 0), choose_only, &sites[i]);
        CHECK(stats_of(&sites[i]).calls >= 600 - 256);
        CHECK(loomp_stop(runtime) == 0);
        CHECK(stats_of(&sites[i]).calls == 600);
    }
}

/* ---- profiles -------------------------------------------------------------------------------- */

struct file {
    char path[64];
    char text[1 << 20];
};

static void file_name(struct file *file)
{
    snprintf(file->path, sizeof file->path, "/tmp/loomp-profile-XXXXXX");
    int descriptor = mkstemp(file->path);
    if (CHECK(descriptor >= 0)) {
        close(descriptor);
        unlink(file->path);
    }
}

static void file_read(struct file *file)
{
    FILE *in = fopen(file->path, "r");
    size_t length = in ? fread(file->text, 1, sizeof file->text - 1, in) : 0;
    CHECK(in != NULL && length > 0);
    file->text[length] = '\0';
    if (in) {
        fclose(in);
    }
}

/* The profile with other words, as long as the old ones, at the first place from a site on. */
static void file_write_edited(const struct file *from, struct file *file, const char *site,
                              const char *old, const char *new)
{
    strcpy(file->text, from->text);
    char *place = strstr(file->text, site);
    place = place ? strstr(place, old) : NULL;
    if (CHECK(place != NULL && strlen(old) == strlen(new))) {
        memcpy(place, new, strlen(new));
    }
    FILE *out = fopen(file->path, "w");
    if (CHECK(out != NULL)) {
        CHECK(fputs(file->text, out) >= 0);
        CHECK(fclose(out) == 0);
    }
}

/* With the knowledge of one site given to another, which this process has not met. */
static void file_write_for(const struct file *from, struct file *file, const char *old,
                           const char *new)
{
    file_write_edited(from, file, old, old, new);
}

static struct file learnt, edited, after;

/* Two sites, one cheap and one dear, as a run has learnt them. */
static void learn_a_profile(void)
{
    static loomp_site cheap = LOOMP_SITE("cheap one 0", LOOMP_HINT_UNKNOWN);
    static loomp_site dear = LOOMP_SITE("dear one 0", LOOMP_HINT_UNKNOWN);
    if (learnt.path[0]) {
        return;
    }
    file_name(&learnt);
    file_name(&edited);
    loomp_runtime *runtime = start((const char *const[]){"adaptive.profile", learnt.path, NULL});
    struct declared calls = {&cheap, 1e-6, .calls = 200};
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_INLINE] > 100);
    calls = (struct declared){&dear, 4e-3, .calls = 200};
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_TASK] == 200);
    CHECK(loomp_profile_save(runtime, learnt.path) == 0);
    file_read(&learnt);
    CHECK(strstr(learnt.text, cheap.name) != NULL);
    CHECK(loomp_stop(runtime) == 0); /* saves it again, and the last few calls too */
    file_read(&learnt);
    unlink(learnt.path);
}

TEST(a_warm_start_makes_no_cold_mistakes_and_learns_on)
{
    static loomp_site cheap = LOOMP_SITE("cheap one 1", LOOMP_HINT_UNKNOWN);
    static loomp_site dear = LOOMP_SITE("dear one 1", LOOMP_HINT_LOW);
    learn_a_profile();
    file_write_for(&learnt, &edited, "cheap one 0", "cheap one 1");
    after = edited;
    file_write_for(&after, &edited, "dear one 0", "dear one 1");
    loomp_runtime *runtime =
        start((const char *const[]){"adaptive.profile", edited.path, NULL});
    struct declared calls = {&cheap, 1e-6, .calls = 1};
    declare_on_loop(runtime, &calls);
    CHECK(calls.last.arm == LOOMP_INLINE && calls.last.reason == LOOMP_BY_COST);
    calls = (struct declared){&dear, 4e-3, .calls = 1};
    declare_on_loop(runtime, &calls);
    CHECK(calls.last.arm == LOOMP_TASK && calls.last.reason != LOOMP_BY_COLD);
    CHECK(calls.last.work_s > 3e-3 && calls.last.work_s < 5e-3);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&dear).models[0].calls == 201);
    after = edited;
    file_read(&after);
    CHECK(strcmp(after.text, edited.text) != 0); /* written again, when the runtime stopped */
    CHECK(strstr(after.text, "cheap one 1") != NULL);
    unlink(edited.path);
}

TEST(frozen_does_what_the_profile_says_and_learns_nothing)
{
    static loomp_site cheap = LOOMP_SITE("cheap one 2", LOOMP_HINT_HIGH);
    static loomp_site dear = LOOMP_SITE("dear one 2", LOOMP_HINT_LOW);
    static loomp_site unknown = LOOMP_SITE("not in the profile", LOOMP_HINT_LOW);
    learn_a_profile();
    file_write_for(&learnt, &edited, "cheap one 0", "cheap one 2");
    after = edited;
    file_write_for(&after, &edited, "dear one 0", "dear one 2");
    loomp_runtime *runtime = start((const char *const[]){"adaptive.profile", edited.path,
                                                         "adaptive.mode", "frozen", NULL});
    struct declared calls = {&cheap, 10e-3, .calls = 100}; /* dear now, but that is not learnt */
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_INLINE] == 100 && calls.last.reason == LOOMP_BY_PROFILE);
    calls = (struct declared){&dear, 1e-7, .calls = 100};
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_TASK] == 100 && calls.last.reason == LOOMP_BY_PROFILE);
    calls = (struct declared){&unknown, 1e-7, .calls = 100};
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_TASK] == 100 && calls.last.reason == LOOMP_BY_MODE);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(stats_of(&cheap).models[0].calls == 200);
    CHECK(stats_of(&unknown).model_count == 0);
    after = edited;
    file_read(&after);
    CHECK_TEXT(after.text, edited.text); /* not written */
    unlink(edited.path);
}

static void see_nothing(const struct loomp_site_stats *stats, void *arg)
{
    (void)stats;
    (void)arg;
}

/* Looks on the loop itself, where that takes what the loop has not told yet. */
static void look_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    stats_of(arg);
    loomp_site_describe(arg, out);
    loomp_sites_each(see_nothing, NULL);
    fclose(out);
    free(text);
}

TEST(frozen_goes_on_whoever_looks)
{
    static loomp_site site = LOOMP_SITE("cheap one 3", LOOMP_HINT_HIGH);
    learn_a_profile();
    file_write_for(&learnt, &edited, "cheap one 0", "cheap one 3");
    loomp_runtime *runtime = start((const char *const[]){"adaptive.profile", edited.path,
                                                         "adaptive.mode", "frozen", NULL});
    for (int i = 0; i < 20; i++) {
        struct declared calls = {&site, 10e-3, .calls = 1};
        declare_on_loop(runtime, &calls);
        CHECK(calls.last.arm == LOOMP_INLINE && calls.last.reason == LOOMP_BY_PROFILE);
        on_loop(loomp_loop_at(runtime, 0), look_there, &site);
    }
    CHECK(loomp_stop(runtime) == 0);
    unlink(edited.path);
}

TEST(frozen_stays_what_it_is_when_calls_must_go_elsewhere)
{
    static loomp_site site = LOOMP_SITE("cheap one 4", LOOMP_HINT_HIGH);
    learn_a_profile();
    file_write_for(&learnt, &edited, "cheap one 0", "cheap one 4");
    loomp_runtime *runtime = start((const char *const[]){"adaptive.profile", edited.path,
                                                         "adaptive.mode", "frozen", NULL});
    for (int i = 0; i < 400; i++) {
        struct site_job job;
        site_job_init(&job, &site, LOOMP_SERIAL);
        job.job.size = 8;
        job.job.flags = LOOMP_MAY_WAIT;
        run_site_job(loomp_loop_at(runtime, 0), &job);
        CHECK(!job.inside);
    }
    struct declared calls = {&site, 1e-6, .calls = 10};
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_INLINE] == 10 && calls.last.reason == LOOMP_BY_PROFILE);
    CHECK(loomp_stop(runtime) == 0);
    unlink(edited.path);
}

TEST(frozen_follows_the_profile_of_its_start_and_not_what_the_process_knows)
{
    static loomp_site site = LOOMP_SITE("cheap one 5", LOOMP_HINT_UNKNOWN);
    const char *const frozen[] = {"adaptive.profile", edited.path, "adaptive.mode", "frozen", NULL};
    learn_a_profile();
    loomp_runtime *runtime = start(NULL);
    struct declared calls = {&site, 4e-3, .calls = 200};
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_TASK] == 200);
    CHECK(loomp_stop(runtime) == 0);

    file_write_for(&learnt, &edited, "cheap one 0", "cheap one 5");
    runtime = start(frozen);
    calls.calls = 20;
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_INLINE] == 20);
    CHECK(calls.last.work_s > 0.9e-6 && calls.last.work_s < 1.1e-6);
    CHECK(loomp_stop(runtime) == 0);

    after = edited;
    file_write_edited(&after, &edited, "cheap one 5", "\"inline\"", "\"task\"  ");
    runtime = start(frozen);
    declare_on_loop(runtime, &calls);
    CHECK(calls.arms[LOOMP_TASK] == 20 && calls.last.reason == LOOMP_BY_PROFILE);
    CHECK(loomp_stop(runtime) == 0);
    unlink(edited.path);
}

TEST(a_profile_that_is_not_there_yet_is_written_at_the_end)
{
    static loomp_site site = LOOMP_SITE("first profile", LOOMP_HINT_UNKNOWN);
    static struct file file;
    file_name(&file);
    loomp_runtime *runtime = start((const char *const[]){"adaptive.profile", file.path, NULL});
    struct declared calls = {&site, 1e-6, .calls = 3};
    declare_on_loop(runtime, &calls);
    CHECK(access(file.path, F_OK) != 0);
    CHECK(loomp_stop(runtime) == 0);
    file_read(&file);
    CHECK(strstr(file.text, "first profile") != NULL);
    unlink(file.path);
}

/* ---- what is not as it was asked for --------------------------------------------------------- */

static char warned[4096]; /* by the thread that starts and stops the runtime */

static void keep_warning(void *arg, int32_t level, const char *line)
{
    (void)arg;
    size_t length = strlen(warned);
    if (level == LOOMP_LOG_WARNING) {
        snprintf(warned + length, sizeof warned - length, "%s\n", line);
    }
}

static bool is_warned(const char *const *settings, const char *of)
{
    warned[0] = '\0';
    lp_log_reset(); /* each warning once again */
    loomp_set_log(keep_warning, NULL);
    CHECK(loomp_stop(start(settings)) == 0);
    loomp_set_log(NULL, NULL);
    return strstr(warned, of) != NULL;
}

TEST(a_profile_that_does_not_freeze_is_warned_of)
{
    CHECK(is_warned((const char *const[]){"adaptive.mode", "frozen", NULL},
                    "adaptive.profile names no file"));
    CHECK(is_warned((const char *const[]){"adaptive.mode", "frozen", "adaptive.profile",
                                          "none.profile", NULL},
                    "none.profile does not exist"));
    CHECK(access("none.profile", F_OK) != 0);
    CHECK(!is_warned((const char *const[]){"adaptive.mode", "learn", NULL}, "frozen"));
}

TEST(a_pin_of_a_site_that_nobody_used_is_warned_of)
{
    const char *const settings[] = {"sites.misspelt.arm", "task", NULL};
    CHECK(is_warned(settings, "sites.misspelt: no site of that name was used"));
    static loomp_site site = LOOMP_SITE("misspelt", LOOMP_HINT_LOW);
    loomp_decision decision;
    loomp_runtime *runtime = start(NULL);
    CHECK(loomp_choose(runtime, &site, 0, &decision) == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(!is_warned(settings, "misspelt"));
}

TEST(a_file_that_is_no_profile_keeps_the_runtime_from_starting)
{
    static struct file file;
    file_name(&file);
    FILE *out = fopen(file.path, "w");
    if (CHECK(out != NULL)) {
        fputs("this is none", out);
        fclose(out);
    }
    loomp_config *config = loomp_config_new();
    loomp_runtime *runtime = NULL;
    CHECK(loomp_config_set(config, "adaptive.profile", file.path) == 0);
    CHECK(loomp_start(&runtime, config) < 0);
    CHECK(error_names(file.path));
    loomp_config_free(config);
    unlink(file.path);
}

static void save_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    CHECK(loomp_profile_save(loomp_default(), arg) == -EDEADLK);
}

TEST(what_keeps_a_profile_from_being_saved_is_named)
{
    static struct file file;
    file_name(&file);
    loomp_runtime *runtime = start(NULL);
    CHECK(loomp_profile_save(runtime, NULL) == -EINVAL);
    CHECK(loomp_profile_save(runtime, "") == -EINVAL);
    CHECK(loomp_profile_save(NULL, file.path) == -EINVAL);
    CHECK(loomp_profile_save(runtime, "/nonexistent/profile") == -ENOENT);
    CHECK(error_names("/nonexistent/profile"));
    on_loop(loomp_loop_at(runtime, 0), save_there, file.path);
    CHECK(access(file.path, F_OK) != 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_profile_save(runtime, file.path) == -ESHUTDOWN);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
