/* SPDX-License-Identifier: MIT */
/* Tests of profile files: what is written comes back to the last bit, a person can read it, what
 * makes no sense is refused as a whole, and the old file stays until the new one is good. */
#define SUITE "profile file"
#include "harness.h"
#include "kept_log.h"
#include "settings_sources.h"

#include "fault/faults.h"

#include "base/error.h"
#include "base/log.h"
#include "settings/profile_file.h"

#include <loomp/site.h>

#include <dirent.h>
#include <float.h>
#include <locale.h>
#include <math.h>

#define MACHINE "Some \"CPU\" \\ 3, 8 cores"
#define VERSION "0.1.0"
#define PROFILE "app.profile"

/* ---- profiles to write ----------------------------------------------------------------------- */

static const struct lp_profile_model models[] = {
    {1, 1234567890123, 299.99999999999994, 6.9077552789821368, 9.4335, 812.25, 700.125, 640.0625,
     1999.5, 1.0 / 3, 1e-300, 0.31},
    {4, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0},
    {2048, 9, 1e17, 44.36, 32.2, 1e17, 1e17, 1e17, 1e17, 1e29, 1e30, 20},
};

static const struct lp_profile_habit habits[] = {
    {0, LOOMP_INLINE, 1, 1},
    {5, LOOMP_TASK, 1, 1000},
    {31, LOOMP_TEAM, 65535, 4000000000},
};

static const struct lp_profile_site sites[] = {
    {"solve", 3, models, 3, habits},
    {"a \"name\" with \\ and # and \xc3\xbc.2", 1, models + 1, 0, NULL},
    {"nothing seen", 0, NULL, 0, NULL},
};

enum {
    SITES = sizeof sites / sizeof *sites
};

struct source {
    const struct lp_profile_site *sites;
    unsigned count, given;
};

static bool next_site(void *arg, struct lp_profile_site *site)
{
    struct source *source = arg;
    if (source->given == source->count) {
        return false;
    }
    *site = source->sites[source->given++];
    return true;
}

static int write_sites(const struct lp_profile_site *from, unsigned count)
{
    struct source source = {from, count, 0};
    return lp_profile_write(PROFILE, MACHINE, VERSION, next_site, &source);
}

/* ---- profiles to read ------------------------------------------------------------------------ */

struct read_site {
    char name[64];
    unsigned model_count, habit_count;
    struct lp_profile_model models[LP_PROFILE_MODELS];
    struct lp_profile_habit habits[LP_PROFILE_CLASSES];
};

struct result {
    unsigned count;
    struct read_site sites[8];
};

static void keep_site(void *arg, const struct lp_profile_site *site)
{
    struct result *result = arg;
    if (result->count < sizeof result->sites / sizeof *result->sites) {
        struct read_site *kept = &result->sites[result->count];
        snprintf(kept->name, sizeof kept->name, "%s", site->name);
        kept->model_count = site->model_count;
        kept->habit_count = site->habit_count;
        memcpy(kept->models, site->models, site->model_count * sizeof *site->models);
        memcpy(kept->habits, site->habits, site->habit_count * sizeof *site->habits);
    }
    result->count++;
}

static int read_sites(struct result *result)
{
    *result = (struct result){0};
    return lp_profile_read(PROFILE, MACHINE, VERSION, keep_site, result);
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool is_same_model(const struct lp_profile_model *a, const struct lp_profile_model *b)
{
    return a->width == b->width && a->seen == b->seen && same_bits(a->n, b->n) &&
           same_bits(a->mean_x, b->mean_x) && same_bits(a->mean_y, b->mean_y) &&
           same_bits(a->cxx, b->cxx) && same_bits(a->cxy, b->cxy) && same_bits(a->cyy, b->cyy) &&
           same_bits(a->ratio_n, b->ratio_n) && same_bits(a->ratio, b->ratio) &&
           same_bits(a->ratio2, b->ratio2) && same_bits(a->ln_p95, b->ln_p95);
}

static bool is_same_habit(const struct lp_profile_habit *a, const struct lp_profile_habit *b)
{
    return a->size_class == b->size_class && a->arm == b->arm && a->width == b->width &&
           a->votes == b->votes;
}

static void expect_site(const struct read_site *read, const struct lp_profile_site *written)
{
    CHECK_TEXT(read->name, written->name);
    if (CHECK(read->model_count == written->model_count)) {
        for (unsigned i = 0; i < read->model_count; i++) {
            CHECK(is_same_model(&read->models[i], &written->models[i]));
        }
    }
    if (CHECK(read->habit_count == written->habit_count)) {
        for (unsigned i = 0; i < read->habit_count; i++) {
            CHECK(is_same_habit(&read->habits[i], &written->habits[i]));
        }
    }
}

static void expect_sites(void)
{
    struct result result;
    if (!CHECK(read_sites(&result) == 0)) {
        CHECK_TEXT(loomp_error(), "");
    }
    if (CHECK(result.count == SITES)) {
        for (unsigned i = 0; i < SITES; i++) {
            expect_site(&result.sites[i], &sites[i]);
        }
    }
}

/* All of a file, for the caller to free. */
static char *content_of(const char *path, size_t *bytes)
{
    char *content = NULL;
    FILE *in = fopen(path, "r");
    *bytes = 0;
    if (CHECK(in != NULL)) {
        content = calloc(1, 1 << 16);
        *bytes = fread(content, 1, (1 << 16) - 1, in);
        fclose(in);
    }
    return content;
}

static void expect_only_the_profile(void)
{
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        CHECK(strncmp(entry->d_name, PROFILE ".", sizeof PROFILE) != 0);
    }
    closedir(directory);
}

/* ---- round trips ----------------------------------------------------------------------------- */

TEST(what_was_written_comes_back_to_the_last_bit)
{
    CHECK(write_sites(sites, SITES) == 0);
    expect_sites();
    expect_only_the_profile();
}

static uint64_t state = 88172645463325252;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double draw_between(double least, double most)
{
    return least + (most - least) * ((double)draw() / 18446744073709551616.0);
}

TEST(numbers_of_all_kinds_come_back_to_the_last_bit)
{
    struct result result;
    for (int round = 0; round < 200; round++) {
        double cxx = exp(draw_between(-600, 40)), cyy = exp(draw_between(-600, 40));
        struct lp_profile_model model = {
            .width = 1u << (draw() % LP_PROFILE_MODELS),
            .seen = 1 + (draw() >> (1 + draw() % 60)),
            .n = exp(draw_between(-13, 40)),
            .mean_x = draw_between(0, 44),
            .mean_y = draw_between(-1, 33),
            .cxx = cxx,
            .cxy = draw_between(-1, 1) * sqrt(cxx) * sqrt(cyy),
            .cyy = cyy,
            .ratio_n = draw_between(0, 3000),
            .ratio = exp(draw_between(-30, 30)),
            .ratio2 = exp(draw_between(-700, 60)),
            .ln_p95 = draw_between(0, 30),
        };
        model.seen = model.seen > 9000000000000000000u ? 9000000000000000000u : model.seen;
        struct lp_profile_site site = {"site", 1, &model, 0, NULL};
        CHECK(write_sites(&site, 1) == 0);
        CHECK(read_sites(&result) == 0 && result.count == 1);
        expect_site(&result.sites[0], &site);
    }
}

TEST(a_profile_without_sites_can_be_written_and_read)
{
    struct result result;
    CHECK(write_sites(sites, 0) == 0);
    CHECK(read_sites(&result) == 0);
    CHECK(result.count == 0);
}

TEST(what_has_seen_nothing_is_left_out)
{
    struct lp_profile_model seen[] = {models[0], {.width = 2}, models[1]};
    struct lp_profile_habit voted[] = {{.size_class = 3}, habits[1], {.size_class = 7}};
    struct lp_profile_site site = {"solve", 3, seen, 3, voted};
    struct result result;
    CHECK(write_sites(&site, 1) == 0);
    CHECK(read_sites(&result) == 0);
    CHECK(result.count == 1);
    CHECK(result.sites[0].model_count == 2 && result.sites[0].habit_count == 1);
    CHECK(is_same_model(&result.sites[0].models[1], &models[1]));
    CHECK(is_same_habit(&result.sites[0].habits[0], &habits[1]));
}

TEST(a_locale_with_a_decimal_comma_changes_nothing)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    char *kept = strdup(setlocale(LC_ALL, NULL));
    for (size_t i = 0; i < sizeof names / sizeof *names && !setlocale(LC_ALL, names[i]); i++) {
    }
    CHECK(write_sites(sites, SITES) == 0);
    expect_sites();
    size_t bytes;
    char *content = content_of(PROFILE, &bytes);
    CHECK(strstr(content, "1 in 20 above 4.09 times that") != NULL);
    free(content);
    setlocale(LC_ALL, kept);
    free(kept);
}

TEST(a_profile_says_in_words_what_its_numbers_come_to)
{
    const struct lp_profile_model model = {.width = 1,
                                           .seen = 20,
                                           .n = 20,
                                           .mean_x = log(1000),
                                           .mean_y = log(12500),
                                           .cxx = 10,
                                           .cxy = 9.5,
                                           .cyy = 9.3,
                                           .ratio_n = 20,
                                           .ratio = 1,
                                           .ratio2 = 1,
                                           .ln_p95 = 0.5};
    struct lp_profile_site site = {"solve", 1, &model, 1, habits + 1};
    CHECK(write_sites(&site, 1) == 0);
    size_t bytes;
    char *content = content_of(PROFILE, &bytes);
    CHECK(*content == '#');
    CHECK(strstr(content, "# 1 thread: 12.5 us at size 1000, as size to the power of 0.95; 1 in 20 "
                          "above 1.65 times that\n") != NULL);
    CHECK(strstr(content, "{ size_from = 1024; arm = \"task\"; width = 1; votes = 1000; }") !=
          NULL);
    free(content);
}

/* ---- files that are replaced ----------------------------------------------------------------- */

struct watch {
    struct source source;
    unsigned good;
};

static bool next_while_the_old_is_there(void *arg, struct lp_profile_site *site)
{
    struct watch *watch = arg;
    struct result result;
    watch->good += read_sites(&result) == 0 && result.count == SITES;
    return next_site(&watch->source, site);
}

TEST(the_old_profile_is_whole_until_the_new_one_is)
{
    CHECK(write_sites(sites, SITES) == 0);
    struct watch watch = {{sites, 1, 0}, 0};
    CHECK(lp_profile_write(PROFILE, MACHINE, VERSION, next_while_the_old_is_there, &watch) == 0);
    CHECK(watch.good == 2); /* it asks once more than there are sites */
    struct result result;
    CHECK(read_sites(&result) == 0);
    CHECK(result.count == 1);
    expect_only_the_profile();
}

TEST(numbers_that_make_no_sense_are_not_written_and_the_old_profile_stays)
{
    CHECK(write_sites(sites, SITES) == 0);
    struct lp_profile_model bad[] = {models[0], models[0], models[0], models[0]};
    bad[0].mean_y = NAN;
    bad[1].cxx = INFINITY;
    bad[2].width = 3;
    bad[3].n = -1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lp_profile_site site = {"solve", 1, &bad[i], 0, NULL};
        CHECK(write_sites(&site, 1) == -EINVAL);
        CHECK(strstr(loomp_error(), PROFILE " is not written: ") == loomp_error());
    }
    static const struct lp_profile_habit bad_habits[] = {{32, LOOMP_TASK, 1, 1}, {1, 4, 1, 1}};
    for (size_t i = 0; i < sizeof bad_habits / sizeof *bad_habits; i++) {
        struct lp_profile_site site = {"solve", 0, NULL, 1, &bad_habits[i]};
        CHECK(write_sites(&site, 1) == -EINVAL);
    }
    const struct lp_profile_site twice[] = {sites[0], sites[1], sites[0]};
    CHECK(write_sites(twice, 3) == -EINVAL);
    const struct lp_profile_site nameless = {"a\nb", 0, NULL, 0, NULL};
    CHECK(write_sites(&nameless, 1) == -EINVAL);
    expect_sites();
    expect_only_the_profile();
}

TEST(a_profile_that_cannot_be_put_there_is_an_error_of_the_file)
{
    struct source source = {sites, SITES, 0};
    CHECK(lp_profile_write("missing/" PROFILE, MACHINE, VERSION, next_site, &source) == -ENOENT);
    CHECK_TEXT(loomp_error(), "cannot write `missing/" PROFILE "': No such file or directory");
    source.given = 0;
    CHECK(lp_profile_write("sub", MACHINE, VERSION, next_site, &source) == -EISDIR);
    CHECK_TEXT(loomp_error(), "cannot write `sub': Is a directory");
}

/* ---- profiles that are not read -------------------------------------------------------------- */

TEST(a_missing_profile_is_no_entry)
{
    struct result result = {0};
    CHECK(lp_profile_read("missing", MACHINE, VERSION, keep_site, &result) == -ENOENT);
    CHECK(result.count == 0);
}

TEST(a_profile_of_another_machine_or_version_is_ignored_with_a_note)
{
    struct result result = {0};
    CHECK(write_sites(sites, SITES) == 0);
    lp_log_set_level(LOOMP_LOG_INFO);
    keep_lines();
    CHECK(lp_profile_read(PROFILE, "another", VERSION, keep_site, &result) == 1);
    CHECK_TEXT(last_line, "the profile " PROFILE " is ignored: it is of loomp " VERSION
                          " on `" MACHINE "', and this is " VERSION " on `another'");
    CHECK(lp_profile_read(PROFILE, MACHINE, "0.2.0", keep_site, &result) == 1);
    CHECK_TEXT(last_line, "the profile " PROFILE " is ignored: it is of loomp " VERSION
                          " on `" MACHINE "', and this is 0.2.0 on `" MACHINE "'");
    CHECK(lines == 2);
    loomp_set_log(NULL, NULL);
    lp_log_set_level(LOOMP_LOG_WARNING);
    CHECK(result.count == 0);
}

TEST(the_rest_of_a_foreign_profile_may_have_any_form)
{
    struct result result = {0};
    write_file(PROFILE, "version = \"9.0\"; machine = \"m\"; sites = 3; more: { };");
    CHECK(lp_profile_read(PROFILE, "m", VERSION, keep_site, &result) == 1);
    CHECK(result.count == 0);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

/* Reads a file whose second line begins the text. */
static int read_text(const char *text, struct result *result)
{
    char content[4096];
    snprintf(content, sizeof content, "version = \"1\"; machine = \"m\";\n%s", text);
    write_file(PROFILE, content);
    *result = (struct result){0};
    return lp_profile_read(PROFILE, "m", "1", keep_site, result);
}

static void profile_bad(const char *text, const char *sentence)
{
    struct result result;
    CHECK(read_text(text, &result) == -EINVAL);
    CHECK_TEXT(loomp_error(), sentence);
    CHECK(result.count == 0);
}

static const char *const members[][2] = {
    {"models.width", "2"},        {"models.seen", "30"},      {"models.n", "20.5"},
    {"models.mean_x", "3"},       {"models.mean_y", "9.5"},   {"models.cxx", "4.0"},
    {"models.cxy", "3.5"},        {"models.cyy", "9.0"},      {"models.ratio_n", "20.0"},
    {"models.ratio", "1.0"},      {"models.ratio2", "1.5"},   {"models.ln_p95", "0.5"},
    {"habits.size_from", "4096"}, {"habits.arm", "\"team\""}, {"habits.width", "2"},
    {"habits.votes", "7"},
};

/* A good site after a good one, with one member in each line from the fourth on; the given one has
 * another value, or is left out, or has another name. */
static const char *site_with(const char *key, const char *value, const char *name)
{
    static char text[2048];
    size_t bytes = (size_t)snprintf(text, sizeof text,
                                    "sites = ( { name = \"first\"; }, { name = \"solve\";\n"
                                    "models = ( {");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        bool is_it = strcmp(members[i][0], key) == 0;
        if (strcmp(members[i][0], "habits.size_from") == 0) {
            bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "} ); habits = ( {");
        }
        if (is_it && !value) {
            bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "\n");
            continue;
        }
        bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "\n%s = %s; ",
                                  is_it && name ? name : members[i][0] + 7,
                                  is_it ? value : members[i][1]);
    }
    snprintf(text + bytes, sizeof text - bytes, "} ); } );\n");
    return text;
}

static void member_bad(const char *key, const char *value, const char *sentence)
{
    profile_bad(site_with(key, value, NULL), sentence);
}

TEST(a_person_may_write_whole_numbers_and_leave_lists_out)
{
    struct result result;
    CHECK(read_text(site_with("models.n", "20", NULL), &result) == 0);
    CHECK(result.count == 2);
    CHECK(result.sites[0].model_count == 0 && result.sites[0].habit_count == 0);
    const struct read_site *site = &result.sites[1];
    CHECK_TEXT(site->name, "solve");
    CHECK(site->model_count == 1 && site->habit_count == 1);
    CHECK(site->models[0].n == 20 && site->models[0].mean_x == 3 && site->models[0].seen == 30);
    CHECK(site->habits[0].size_class == 6 && site->habits[0].arm == LOOMP_TEAM);
    CHECK(read_text("", &result) == 0);
    CHECK(result.count == 0);
}

TEST(numbers_out_of_range_are_refused_with_file_line_and_key)
{
    member_bad("models.width", "3", PROFILE ":4: models.width has to be a power of two");
    member_bad("models.width", "4096",
               PROFILE ":4: `4096' is out of range for models.width, which takes a whole number "
                       "from 1 to 2048");
    member_bad("models.seen", "0",
               PROFILE ":5: `0' is out of range for models.seen, which takes a whole number from 1 "
                       "to 9000000000000000000");
    member_bad("models.n", "-20.5",
               PROFILE ":6: `-20.5' is out of range for models.n, which takes a number from 1e-06 "
                       "to 1e+18");
    member_bad("models.mean_x", "65",
               PROFILE ":7: `65' is out of range for models.mean_x, which takes a number from -1 "
                       "to 64");
    member_bad("models.mean_y", "1e999",
               PROFILE ":8: `inf' is out of range for models.mean_y, which takes a number from -64 "
                       "to 64");
    member_bad("models.cxx", "-0.1",
               PROFILE ":9: `-0.1' is out of range for models.cxx, which takes a number from 0 to "
                       "4.096e+21");
    member_bad("models.cxy", "-6.1", PROFILE ":10: models.cxy is more than cxx and cyy allow");
    member_bad("models.ratio", "-1.0",
               PROFILE ":13: `-1' is out of range for models.ratio, which takes a number from 0 to "
                       "1e+30");
    member_bad("habits.size_from", "8", PROFILE ":16: habits.size_from has to be a power of four");
    member_bad("habits.size_from", "0",
               PROFILE ":16: `0' is out of range for habits.size_from, which takes a whole number "
                       "from 1 to 4611686018427387904");
    member_bad("habits.width", "0",
               PROFILE ":18: `0' is out of range for habits.width, which takes a whole number from "
                       "1 to 65535");
}

TEST(values_of_another_type_are_refused)
{
    member_bad("models.n", "\"20\"",
               PROFILE ":6: the text `20' has the wrong type for models.n, which takes a number "
                       "from 1e-06 to 1e+18");
    member_bad("models.mean_y", "nan", PROFILE ":8: syntax error");
    member_bad("habits.arm", "\"teem\"",
               PROFILE ":17: `teem' is not valid for habits.arm, which takes one of: inline, task, "
                       "team");
    member_bad("habits.votes", "1.5",
               PROFILE
               ":19: the real number `1.5' has the wrong type for habits.votes, which takes "
               "a whole number from 1 to 4000000000");
    profile_bad("sites = ( { name = 3; } );",
                PROFILE ":2: the whole number `3' has the wrong type for sites.name, which takes "
                        "printable text of 1 to 63 bytes");
}

TEST(a_member_that_is_missing_or_unknown_is_refused)
{
    member_bad("models.cxy", NULL, PROFILE ":3: models.cxy is missing");
    member_bad("habits.votes", NULL, PROFILE ":15: habits.votes is missing");
    profile_bad(site_with("models.cxy", "3.5", "cxz"), PROFILE ":3: models.cxy is missing");
    profile_bad(site_with("models.cxy", "3.5; more = 1", NULL),
                PROFILE ":10: unknown key `more' in `models', the nearest is `seen'");
    profile_bad("sites = ( { } );", PROFILE ":2: sites.name is missing");
    profile_bad("sites = ( { name = \"a\"; model = ( ); } );",
                PROFILE ":2: unknown key `model' in `sites', did you mean `models'?");
    profile_bad("\nsite = ( );", PROFILE ":3: unknown key `site', did you mean `sites'?");
}

TEST(what_stands_twice_is_refused)
{
    profile_bad("sites = ( { name = \"b\"; },\n{ name = \"a\"; },\n{ name = \"b\"; } );",
                PROFILE ":4: sites.name is that of another site");
    profile_bad("sites = ( { name = \"b\";\nname = \"a\"; } );",
                PROFILE ":3: duplicate setting name");
    member_bad("models.ln_p95",
               "1.0; },\n{ width = 2; seen = 1; n = 1; mean_x = 0; mean_y = 0; cxx = 0; cxy = 0; "
               "cyy = 0; ratio_n = 0; ratio = 0; ratio2 = 0; ln_p95 = 0",
               PROFILE ":16: models.width is that of another model of the site");
    member_bad("habits.votes", "7; }, { size_from = 4096;\narm = \"task\"; width = 1; votes = 1",
               PROFILE ":19: habits.size_from is that of another habit of the site");
}

TEST(lists_that_are_none_are_refused)
{
    profile_bad("sites = 3;",
                PROFILE ":2: sites is a list of groups, written ( { ... }, { ... } );");
    profile_bad("sites = ( { name = \"a\"; models = ( 3 ); } );",
                PROFILE ":2: sites.models is a list of groups, written ( { ... }, { ... } );");
    profile_bad("sites: { solve: { }; };",
                PROFILE ":2: sites is a list of groups, written ( { ... }, { ... } );");
}

TEST(a_file_that_is_no_profile_is_refused)
{
    struct result result;
    write_file(PROFILE, "io: { threads = 2; };");
    CHECK(read_sites(&result) == -EINVAL);
    CHECK_TEXT(loomp_error(), PROFILE ": it is no profile of loomp's, `version' is missing");
    write_file(PROFILE, "");
    CHECK(read_sites(&result) == -EINVAL);
    write_file(PROFILE, "version = \"1\"; machine = 2;");
    CHECK(read_sites(&result) == -EINVAL);
    CHECK_TEXT(loomp_error(), PROFILE ":1: the whole number `2' has the wrong type for machine, "
                                      "which takes printable text of 1 to 255 bytes");
    CHECK(result.count == 0);
}

/* ---- rubbish --------------------------------------------------------------------------------- */

static bool is_in(double value, double least, double most)
{
    return value >= least && value <= most;
}

static bool is_sound(const struct read_site *site)
{
    bool good = *site->name && site->model_count <= LP_PROFILE_MODELS &&
                site->habit_count <= LP_PROFILE_CLASSES;
    for (unsigned i = 0; good && i < site->model_count; i++) {
        const struct lp_profile_model *m = &site->models[i];
        good = m->width >= 1 && m->width <= 2048 && (m->width & (m->width - 1)) == 0 &&
               m->seen >= 1 && is_in(m->n, 1e-6, 1e18) && is_in(m->mean_x, -1, 64) &&
               is_in(m->mean_y, -64, 64) && is_in(m->cxx, 0, 1e22) && is_in(m->cyy, 0, 1e22) &&
               is_in(m->cxy, -1e22, 1e22) && is_in(m->ratio_n, 0, 1e18) &&
               is_in(m->ratio, 0, 1e30) && is_in(m->ratio2, 0, 1e30) && is_in(m->ln_p95, -64, 64);
    }
    for (unsigned i = 0; good && i < site->habit_count; i++) {
        const struct lp_profile_habit *h = &site->habits[i];
        good = h->size_class < LP_PROFILE_CLASSES && h->arm >= LOOMP_INLINE &&
               h->arm <= LOOMP_TEAM && h->width >= 1 && h->votes >= 1;
    }
    return good;
}

/* Reads rubbish: either all of it is sound, or nothing comes out. Returns how many sites. */
static unsigned read_rubbish(const char *content, size_t bytes)
{
    struct result result;
    FILE *out = fopen(PROFILE, "w");
    if (!CHECK(out != NULL)) {
        return 0;
    }
    fwrite(content, 1, bytes, out);
    fclose(out);
    int err = read_sites(&result);
    CHECK(err == 0 || err == 1 || err == -EINVAL);
    CHECK(err == 0 || result.count == 0);
    CHECK(result.count <= SITES);
    for (unsigned i = 0; i < result.count; i++) {
        CHECK(is_sound(&result.sites[i]));
    }
    return result.count;
}

TEST(a_profile_that_is_cut_off_anywhere_yields_all_sites_or_none)
{
    CHECK(write_sites(sites, SITES) == 0);
    size_t bytes;
    char *content = content_of(PROFILE, &bytes);
    unsigned whole = 0;
    for (size_t cut = 0; cut < bytes; cut++) {
        unsigned count = read_rubbish(content, cut);
        CHECK(count == 0 || count == SITES);
        whole += count == SITES;
    }
    CHECK(whole <= 3); /* without what follows the last bracket */
    free(content);
}

TEST(a_profile_with_wrong_bytes_yields_nothing_that_makes_no_sense)
{
    static const char likely[] = "(){};,=\"\\#\n.-+eL0123456789xn";
    CHECK(write_sites(sites, SITES) == 0);
    size_t bytes;
    char *content = content_of(PROFILE, &bytes);
    size_t start = (size_t)(strstr(content, "version") - content); /* comments are no challenge */
    unsigned read = 0;
    for (int round = 0; round < 4000; round++) {
        char *copy = malloc(bytes);
        memcpy(copy, content, bytes);
        for (uint64_t flips = 1 + draw() % 3; flips; flips--) {
            size_t at = start + draw() % (bytes - start);
            copy[at] = draw() % 4 ? likely[draw() % (sizeof likely - 1)] : (char)draw();
        }
        read += read_rubbish(copy, bytes) > 0;
        free(copy);
    }
    CHECK(read > 0); /* some digits may change */
    CHECK(read < 4000);
    free(content);
}

TEST(without_memory_nothing_is_lost)
{
    CHECK(write_sites(sites, 1) == 0);
    long before = atomic_load(&live_blocks);
    bool done = false;
    for (long failures = 0; !done; failures++) {
        struct result result = {0};
        atomic_store(&fault_countdown[FAULT_MEMORY], failures + 1);
        int written = write_sites(sites, 1);
        int read = lp_profile_read(PROFILE, MACHINE, VERSION, keep_site, &result);
        done = atomic_load(&fault_countdown[FAULT_MEMORY]) > 0;
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        CHECK(written == 0 || written == -ENOMEM);
        CHECK(read == 0 || read == -ENOMEM);
        CHECK(done ? written == 0 && read == 0 : written != 0 || read != 0);
        CHECK(read_sites(&result) == 0 && result.count == 1);
        expect_site(&result.sites[0], &sites[0]);
        CHECK(atomic_load(&live_blocks) == before);
    }
    expect_only_the_profile();
}

int main(int argc, char **argv)
{
    return settings_tests_run(argc, argv);
}
