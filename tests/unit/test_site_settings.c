/* SPDX-License-Identifier: MIT */
/* Tests of pinned sites in the settings: their keys in every source, the names that are refused,
 * and what the adaptive layer is told. What they share with declared pools, test_pool_settings
 * tests. */
#define SUITE "site settings"
#include "harness.h"
#include "settings_sources.h"

#include "base/error.h"
#include "settings/family.h"
#include "settings/settings.h"

#include <loomp/site.h>

struct seen {
    unsigned count;
    struct lp_settings_site sites[LP_SITES_MAX + 1];
};

static void see(void *arg, const struct lp_settings_site *site)
{
    struct seen *seen = arg;
    if (seen->count <= LP_SITES_MAX) {
        seen->sites[seen->count] = *site;
    }
    seen->count++;
}

static void see_sites(const loomp_config *config, struct seen *seen)
{
    seen->count = 0;
    lp_settings_each_site(config, see, seen);
}

static void expect_pin(const loomp_config *config, const char *name, uint32_t arm, uint32_t width)
{
    struct lp_settings_site site = {.arm = 99};
    if (CHECK(lp_settings_site(config, name, &site))) {
        CHECK_TEXT(site.name, name);
        CHECK(site.name != name); /* the caller's text may go */
        CHECK(site.arm == arm);
        CHECK(site.width == width);
    }
}

static int read_variable(loomp_config *config, const char *name, const char *value)
{
    setenv(name, value, 1);
    int err = loomp_config_env(config, PREFIX);
    unsetenv(name);
    return err;
}

/* ---- what is pinned -------------------------------------------------------------------------- */

TEST(a_file_pins_sites_to_arms_and_widths)
{
    loomp_config *config = loomp_config_new();
    struct seen seen;
    read_good(config, "sites: {\n"
                      "  solve: { arm = \"team\"; width = 4; };\n"
                      "  Parse-2*: { arm = \"inline\"; };\n"
                      "  store: { arm = \"task\"; };\n"
                      "};\n");
    expect_pin(config, "solve", LOOMP_TEAM, 4);
    expect_pin(config, "Parse-2*", LOOMP_INLINE, 0);
    expect_pin(config, "store", LOOMP_TASK, 0);
    see_sites(config, &seen);
    CHECK(seen.count == 3);
    CHECK_TEXT(seen.sites[0].name, "solve");
    CHECK_TEXT(seen.sites[2].name, "store");
    CHECK(seen.sites[0].arm == LOOMP_TEAM && seen.sites[0].width == 4);
    CHECK_TEXT(loomp_config_value(config, "sites.solve.width"), "4");
    CHECK_TEXT(loomp_config_source(config, "sites.solve.width"), "app.conf:2");
    CHECK_TEXT(loomp_config_value(config, "sites.store.width"), "0");
    CHECK_TEXT(loomp_config_source(config, "sites.store.width"), "default");
    CHECK(loomp_config_pool(config, 0) == NULL);
    loomp_config_free(config);
}

TEST(of_a_site_that_nobody_names_nothing_is_said)
{
    loomp_config *config = loomp_config_new();
    struct seen seen;
    struct lp_settings_site site = {.arm = 99};
    read_good(config, "sites: { solve: { arm = \"task\"; }; };\n"
                      "pools: { parse: { threads = 1; }; };");
    CHECK(!lp_settings_site(config, "parse", &site));
    CHECK(!lp_settings_site(config, "", &site));
    CHECK(!lp_settings_site(config, "Solve", &site));
    CHECK(site.arm == 99);
    CHECK(loomp_config_value(config, "sites.parse.arm") == NULL);
    see_sites(config, &seen);
    CHECK(seen.count == 1);
    loomp_config_free(config);
}

TEST(an_empty_arm_of_a_stronger_source_takes_a_pin_back)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "sites: { solve: { arm = \"team\"; width = 4; }; };");
    args_good(config, "--loomp-sites-solve-arm=");
    expect_pin(config, "solve", 0, 4);
    CHECK_TEXT(loomp_config_value(config, "sites.solve.arm"), "");
    CHECK_TEXT(loomp_config_source(config, "sites.solve.arm"), "--loomp-sites-solve-arm");
    loomp_config_free(config);
}

TEST(each_member_of_a_site_goes_by_its_strongest_source)
{
    loomp_config *config = loomp_config_new();
    struct seen seen;
    args_good(config, "--loomp-sites-big-solve-width=5");
    CHECK(loomp_config_set(config, "sites.big-solve.arm", "team") == 0);
    CHECK(loomp_config_set_int(config, "sites.big-solve.width", 4) == 0);
    CHECK(read_variable(config, PREFIX "_SITES_SMALL_SOLVE_ARM", "inline") == 0);
    read_good(config, "sites: { big-solve: { arm = \"task\"; width = 2; }; };");
    expect_pin(config, "big-solve", LOOMP_TEAM, 5);
    expect_pin(config, "small_solve", LOOMP_INLINE, 0);
    see_sites(config, &seen);
    CHECK(seen.count == 2);
    CHECK_TEXT(seen.sites[0].name, "big-solve");
    loomp_config_free(config);
}

TEST(a_copy_has_sites_of_its_own)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "sites.solve.arm", "task") == 0);
    loomp_config *copy = lp_settings_copy(config);
    CHECK(loomp_config_set(config, "sites.solve.arm", "team") == 0);
    loomp_config_free(config);
    expect_pin(copy, "solve", LOOMP_TASK, 0);
    loomp_config_free(copy);
}

TEST(there_can_be_256_sites_beside_the_pools_and_no_257th)
{
    loomp_config *config = loomp_config_new();
    static struct seen seen;
    read_good(config, "pools: { hdd: { threads = 1; }; };");
    for (unsigned i = 0; i < 256; i++) {
        char key[64];
        snprintf(key, sizeof key, "sites.s%u.width", i);
        CHECK(loomp_config_set_int(config, key, i) == 0);
    }
    CHECK(loomp_config_set(config, "sites.more.arm", "task") == -EINVAL);
    CHECK_TEXT(loomp_error(),
               "loomp_config_set: the site `more' is one too many, there can be 256");
    see_sites(config, &seen);
    CHECK(seen.count == 256 && seen.sites[255].width == 255);
    CHECK(loomp_config_pool(config, 1) == NULL);
    loomp_config_free(config);
}

/* ---- names ----------------------------------------------------------------------------------- */

#define RULE "in a setting a name has 1 to 63 printable characters, and neither dot, quotes nor ="
#define NAME_63 "a23456789-123456789-123456789-123456789-123456789-123456789-123"

TEST(a_site_may_have_any_printable_name_in_code_and_on_a_command_line)
{
    set_good("sites.solve small (2 x 2).arm", "task", "task");
    set_good("sites.\xc3\xbc"
             "ber#1.arm",
             "task", "task");
    set_good("sites." NAME_63 ".arm", "task", "task");
    set_good("sites.compute.arm", "task", "task");
    loomp_config *config = loomp_config_new();
    args_good(config, "--loomp-sites-solve small-arm=team");
    args_good(config, "--loomp-sites-" NAME_63 "-width=3");
    expect_pin(config, "solve small", LOOMP_TEAM, 0);
    expect_pin(config, NAME_63, 0, 3);
    loomp_config_free(config);
}

TEST(names_that_a_key_cannot_have_are_refused_with_the_rule)
{
    set_bad("sites.a.b.arm", "task", "loomp_config_set: `a.b' cannot name a site: " RULE);
    set_bad("sites..arm", "task", "loomp_config_set: `' cannot name a site: " RULE);
    set_bad("sites.a\"b.arm", "task", "loomp_config_set: `a\"b' cannot name a site: " RULE);
    set_bad("sites.a'b.arm", "task", "loomp_config_set: `a'b' cannot name a site: " RULE);
    set_bad("sites.a=b.arm", "task", "loomp_config_set: `a=b' cannot name a site: " RULE);
    set_bad("sites.a\tb.arm", "task", "loomp_config_set: `a\tb' cannot name a site: " RULE);
    set_bad("sites." NAME_63 "4.arm", "task",
            "loomp_config_set: `" NAME_63 "4' cannot name a site: " RULE);
    args_bad("--loomp-sites-a.b-arm=task",
             "--loomp-sites-a.b-arm: `a.b' cannot name a site: " RULE);
    read_bad("sites: { " NAME_63 "4: { }; };",
             "app.conf:1: `" NAME_63 "4' cannot name a site: " RULE);
}

TEST(the_longest_name_fits_a_variable_with_the_longest_prefix)
{
    char prefix[65], variable[200];
    memset(prefix, 'P', 64);
    prefix[64] = '\0';
    snprintf(variable, sizeof variable, "%s_SITES_%063d_WIDTH", prefix, 0);
    loomp_config *config = loomp_config_new();
    setenv(variable, "3", 1);
    CHECK(loomp_config_env(config, prefix) == 0);
    unsetenv(variable);
    struct seen seen;
    see_sites(config, &seen);
    CHECK(seen.count == 1 && seen.sites[0].width == 3 && strlen(seen.sites[0].name) == 63);
    loomp_config_free(config);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

TEST(bad_values_of_a_site_are_refused_with_file_line_and_key)
{
    read_bad("sites: {\n solve: { arm = \"teem\"; }; };",
             "app.conf:2: `teem' is not valid for sites.solve.arm, which takes an empty text or "
             "one of: inline, task, team");
    read_bad("sites: { solve: { arm = 3; }; };",
             "app.conf:1: the whole number `3' has the wrong type for sites.solve.arm, which takes "
             "an empty text or one of: inline, task, team");
    read_bad("sites: { solve: {\n width = 4097; }; };",
             "app.conf:2: `4097' is out of range for sites.solve.width, which takes a whole number "
             "from 0 to 4096");
    read_bad("sites: { solve: { width: { }; }; };",
             "app.conf:1: sites.solve.width is a setting, not a group; it takes a whole number "
             "from 0 to 4096");
    env_bad(PREFIX "_SITES_SOLVE_WIDTH", "-1",
            PREFIX "_SITES_SOLVE_WIDTH: `-1' is out of range for sites.solve.width, which takes a "
                   "whole number from 0 to 4096");
}

TEST(mistakes_in_keys_of_sites_are_refused_with_the_nearest)
{
    read_bad("sites: { solve: {\n threads = 2; }; };",
             "app.conf:2: unknown key `threads' in group `sites.solve', the nearest is `arm'");
    read_bad("sites: { solve = \"team\"; };",
             "app.conf:1: sites.solve is a group, written solve: { ... };");
    read_bad("sites = \"team\";", "app.conf:1: sites is a group, written sites: { ... };");
    read_bad("site: { solve: { }; };", "app.conf:1: unknown group `site', did you mean `sites'?");
    read_bad("adaptive: { sites: { solve: { }; }; };",
             "app.conf:1: unknown key `sites' in group `adaptive'; `sites' stands outside of "
             "groups");
    set_bad("site.solve.arm", "team",
            "loomp_config_set: unknown key `site.solve.arm', did you mean `sites.solve.arm'?");
    set_bad("sites.solve", "team",
            "loomp_config_set: unknown key `sites.solve', did you mean `sites.solve.arm'?");
    set_bad("sites.solve.with", "4",
            "loomp_config_set: unknown key `sites.solve.with', did you mean "
            "`sites.solve.width'?");
    args_bad("--loomp-site-solve-arm=team",
             "unknown option `--loomp-site-solve-arm', did you mean `--loomp-sites-solve-arm'?");
    args_bad("--loomp-sites-solve-arm",
             "--loomp-sites-solve-arm needs a value after `=': an empty text or one of: inline, "
             "task, team");
    env_bad(PREFIX "_SITES_SOLVE_ARMS", "team",
            "unknown environment variable `LPTEST_SITES_SOLVE_ARMS', did you mean "
            "`LPTEST_SITES_SOLVE_ARM'?");
    env_bad(PREFIX "_SITES_solve_ARM", "team",
            "unknown environment variable `LPTEST_SITES_solve_ARM', did you mean "
            "`LPTEST_SITES_SOLVE_ARM'?");
}

int main(int argc, char **argv)
{
    return settings_tests_run(argc, argv);
}
