/* SPDX-License-Identifier: MIT */
/* Tests of declared pools in the settings: their keys in every source and in every order of
 * sources, the names that are refused, how many there can be, and what happens without memory. */
#define SUITE "pool settings"
#include "harness.h"
#include "settings_sources.h"

#include "fault/faults.h"

#include "base/error.h"
#include "settings/family.h"
#include "settings/settings.h"

struct seen {
    unsigned count;
    char names[LP_POOLS_MAX + 1][LP_POOL_NAME_MAX + 1];
    struct lp_settings_pool last;
};

static void see(void *arg, const struct lp_settings_pool *pool)
{
    struct seen *seen = arg;
    if (seen->count <= LP_POOLS_MAX) {
        snprintf(seen->names[seen->count], sizeof seen->names[0], "%s", pool->name);
    }
    seen->count++;
    seen->last = *pool;
}

static struct seen see_pools(const loomp_config *config)
{
    struct seen seen = {0};
    lp_settings_each_pool(config, see, &seen);
    return seen;
}

static int read_variable(loomp_config *config, const char *name, const char *value)
{
    setenv(name, value, 1);
    int err = loomp_config_env(config, PREFIX);
    unsetenv(name);
    return err;
}

static void expect_member(const loomp_config *config, const char *key, const char *value,
                          const char *source)
{
    CHECK_TEXT(loomp_config_value(config, key), value);
    CHECK_TEXT(loomp_config_source(config, key), source);
}

/* ---- files ----------------------------------------------------------------------------------- */

TEST(a_file_declares_pools_with_members_of_every_type)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "pools: {\n"
                      "  hdd: { threads = 1; blocking = true; };\n"
                      "  big-disk_2: {\n"
                      "    threads = 16;\n"
                      "    cpus = \"0-3\";\n"
                      "    gpu = \"0,amd:1\";\n"
                      "    share = true;\n"
                      "  };\n"
                      "};\n");
    struct seen seen = see_pools(config);
    CHECK(seen.count == 2);
    CHECK_TEXT(seen.names[0], "hdd");
    CHECK_TEXT(seen.names[1], "big-disk_2");
    CHECK(seen.last.threads == 16 && seen.last.share && !seen.last.blocking);
    CHECK_TEXT(seen.last.cpus, "0-3");
    CHECK_TEXT(seen.last.gpu, "0,amd:1");
    expect_member(config, "pools.hdd.threads", "1", "app.conf:2");
    expect_member(config, "pools.hdd.blocking", "true", "app.conf:2");
    expect_member(config, "pools.big-disk_2.gpu", "0,amd:1", "app.conf:6");
    loomp_config_free(config);
}

TEST(members_that_nobody_gives_have_their_defaults)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "loomp: { pools: { hdd: { }; }; };");
    struct seen seen = see_pools(config);
    CHECK(seen.count == 1);
    CHECK(seen.last.threads == 0 && !seen.last.share && !seen.last.blocking);
    CHECK_TEXT(seen.last.cpus, "");
    CHECK_TEXT(seen.last.gpu, "");
    expect_member(config, "pools.hdd.threads", "0", "default");
    expect_member(config, "pools.hdd.cpus", "", "default");
    expect_member(config, "pools.hdd.gpu", "", "default");
    expect_member(config, "pools.hdd.share", "false", "default");
    expect_member(config, "pools.hdd.blocking", "false", "default");
    loomp_config_free(config);
}

TEST(without_declared_pools_there_are_none)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "pools: { };");
    CHECK(see_pools(config).count == 0);
    CHECK(loomp_config_pool(config, 0) == NULL);
    CHECK(loomp_config_value(config, "pools.hdd.threads") == NULL);
    CHECK(loomp_config_source(config, "pools.hdd.threads") == NULL);
    loomp_config_free(config);
}

TEST(keys_that_are_no_members_of_a_declared_pool_have_no_value)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "pools.hdd.threads", "1") == 0);
    CHECK(loomp_config_value(config, "pools.hdd.thread") == NULL);
    CHECK(loomp_config_value(config, "pools.hdd") == NULL);
    CHECK(loomp_config_value(config, "pools.hd.threads") == NULL);
    CHECK(loomp_config_value(config, "pools") == NULL);
    CHECK(loomp_config_value(config, "pools.") == NULL);
    CHECK(loomp_config_source(config, "poolshdd.threads") == NULL);
    loomp_config_free(config);
}

TEST(a_pool_that_stands_twice_in_a_file_is_refused)
{
    read_bad("pools: {\n hdd: { threads = 1; };\n hdd: { threads = 2; };\n};",
             "app.conf:3: duplicate setting name");
    read_bad("pools: { hdd: { threads = 1; }; };\npools: { ssd: { threads = 2; }; };",
             "app.conf:2: duplicate setting name");
    read_bad("pools: { hdd: { threads = 1;\nthreads = 1; }; };",
             "app.conf:2: duplicate setting name");
}

TEST(a_second_file_changes_members_and_adds_pools)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "pools: { hdd: { threads = 1; blocking = true; }; };");
    write_file("second.conf", "pools: { ssd: { threads = 8; }; hdd: { threads = 2; }; };");
    CHECK(loomp_config_file(config, "second.conf") == 0);
    expect_member(config, "pools.hdd.threads", "2", "second.conf:1");
    expect_member(config, "pools.hdd.blocking", "true", "app.conf:1");
    CHECK_TEXT(loomp_config_pool(config, 0), "hdd");
    CHECK_TEXT(loomp_config_pool(config, 1), "ssd");
    CHECK(loomp_config_pool(config, 2) == NULL);
    loomp_config_free(config);
}

TEST(mistakes_in_the_group_pools_are_refused_with_their_line)
{
    read_bad("pools: {\n hdd: {\n  thread = 1;\n };\n};",
             "app.conf:3: unknown key `thread' in group `pools.hdd', did you mean `threads'?");
    read_bad("pools: { hdd: { stack_size = 1; }; };",
             "app.conf:1: unknown key `stack_size' in group `pools.hdd', the nearest is `share'");
    read_bad("pools: { hdd: { more: { }; }; };",
             "app.conf:1: unknown key `more' in group `pools.hdd', the nearest is `share'");
    read_bad(
        "pools: { hdd: { threads: { }; }; };",
        "app.conf:1: pools.hdd.threads is a setting, not a group; it takes a whole number from "
        "0 to 4096");
    read_bad("pools: {\n hdd = 4; };", "app.conf:2: pools.hdd is a group, written hdd: { ... };");
    read_bad("pools = ( { threads = 4; } );",
             "app.conf:1: pools is a group, written pools: { ... };");
    read_bad("pool: { hdd: { threads = 4; }; };",
             "app.conf:1: unknown group `pool', did you mean `pools'?");
    read_bad("io: { pools: { hdd: { threads = 4; }; }; };",
             "app.conf:1: unknown key `pools' in group `io'; `pools' stands outside of groups");
}

TEST(bad_values_of_members_in_a_file_are_refused_with_key_and_line)
{
    read_bad("pools: { hdd: {\n threads = 4097; }; };",
             "app.conf:2: `4097' is out of range for pools.hdd.threads, which takes a whole number "
             "from 0 to 4096");
    read_bad("pools: { hdd: { threads = \"1\"; }; };",
             "app.conf:1: the text `1' has the wrong type for pools.hdd.threads, which takes a "
             "whole number from 0 to 4096");
    read_bad("pools: { hdd: { blocking = 1; }; };",
             "app.conf:1: the whole number `1' has the wrong type for pools.hdd.blocking, which "
             "takes true or false");
    read_bad("pools: { hdd: { cpus = \"3-1\"; }; };",
             "app.conf:1: pools.hdd.cpus: CPU list `3-1': the range 3-1 runs backwards");
    read_bad("pools: { hdd: { gpu = \"0,\"; }; };",
             "app.conf:1: pools.hdd.gpu: device list `0,': number 2 of it is empty");
}

/* ---- names ----------------------------------------------------------------------------------- */

#define RULE "a name has 1 to 31 of a-z, 0-9, _ and -, a letter first"

TEST(a_name_has_up_to_31_characters)
{
    set_good("pools.a.threads", "3", "3");
    set_good("pools.a23456789012345678901234567890_.threads", "3", "3");
    set_bad("pools.a23456789012345678901234567890_2.threads", "3",
            "loomp_config_set: `a23456789012345678901234567890_2' cannot name a pool: " RULE);
}

TEST(malformed_names_are_refused_with_the_rule)
{
    set_bad("pools.1st.threads", "3", "loomp_config_set: `1st' cannot name a pool: " RULE);
    set_bad("pools._a.threads", "3", "loomp_config_set: `_a' cannot name a pool: " RULE);
    set_bad("pools.-a.threads", "3", "loomp_config_set: `-a' cannot name a pool: " RULE);
    set_bad("pools.Hdd.threads", "3", "loomp_config_set: `Hdd' cannot name a pool: " RULE);
    set_bad("pools.a b.threads", "3", "loomp_config_set: `a b' cannot name a pool: " RULE);
    set_bad("pools.a.b.threads", "3", "loomp_config_set: `a.b' cannot name a pool: " RULE);
    set_bad("pools..threads", "3", "loomp_config_set: `' cannot name a pool: " RULE);
    read_bad("pools: {\n  Hdd: { threads = 1; };\n};",
             "app.conf:2: `Hdd' cannot name a pool: " RULE);
    read_bad("pools: { a*: { }; };", "app.conf:1: `a*' cannot name a pool: " RULE);
    args_bad("--loomp-pools-Hdd-threads=1",
             "--loomp-pools-Hdd-threads: `Hdd' cannot name a pool: " RULE);
    env_bad(PREFIX "_POOLS_1_THREADS", "1",
            "LPTEST_POOLS_1_THREADS: `1' cannot name a pool: " RULE);
}

TEST(names_of_very_many_characters_are_refused_by_every_source)
{
    char name[400], text[1000];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    loomp_config *config = loomp_config_new();
    snprintf(text, sizeof text, "pools.%s.threads", name);
    CHECK(loomp_config_set(config, text, "1") == -EINVAL);
    CHECK(loomp_config_value(config, text) == NULL);
    snprintf(text, sizeof text, "pools: { %s: { threads = 1; }; };", name);
    write_file("app.conf", text);
    CHECK(loomp_config_file(config, "app.conf") == -EINVAL);
    snprintf(text, sizeof text, "pools: { hdd: { %s = 1; }; };", name);
    write_file("app.conf", text);
    CHECK(loomp_config_file(config, "app.conf") == -EINVAL);
    snprintf(text, sizeof text, "--loomp-pools-%s-threads=1", name);
    struct command_line line = command_line("program", text, NULL);
    CHECK(loomp_config_args(config, &line.argc, line.argv) == -EINVAL);
    memset(name, 'A', sizeof name - 1);
    snprintf(text, sizeof text, "%s_POOLS_%s_THREADS", PREFIX, name);
    CHECK(read_variable(config, text, "1") == -EINVAL);
    CHECK(see_pools(config).count == 0);
    loomp_config_free(config);
}

TEST(names_of_pools_that_are_always_there_are_refused)
{
    set_bad("pools.compute.threads", "3",
            "loomp_config_set: the pool `compute' is always there; compute.threads sets its size");
    read_bad("pools: {\n\n blocking: { threads = 3; }; };",
             "app.conf:3: the pool `blocking' is always there; blocking.threads sets its size");
    env_bad(PREFIX "_POOLS_COMPUTE_THREADS", "1",
            "LPTEST_POOLS_COMPUTE_THREADS: the pool `compute' is always there; compute.threads "
            "sets its size");
}

TEST(gpu_with_a_number_is_refused_and_other_names_with_gpu_are_not)
{
    set_bad("pools.gpu0.threads", "3",
            "loomp_config_set: `gpu0' cannot name a pool: gpu with a number is left to gpu_pools");
    set_bad("pools.gpu12-x.threads", "3",
            "loomp_config_set: `gpu12-x' cannot name a pool: gpu with a number is left to "
            "gpu_pools");
    set_good("pools.gpu.threads", "3", "3");
    set_good("pools.gpus0.threads", "3", "3");
    set_good("pools.gpu-0.threads", "3", "3");
    set_good("pools.compute2.threads", "3", "3");
    set_good("pools.threads.threads", "3", "3");
}

/* ---- other sources --------------------------------------------------------------------------- */

TEST(code_sets_members_by_text_and_by_type)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "pools.hdd.threads", "1") == 0);
    CHECK(loomp_config_set_int(config, "pools.hdd.threads", 2) == 0);
    CHECK(loomp_config_set_bool(config, "pools.hdd.blocking", true) == 0);
    CHECK(loomp_config_set_bool(config, "pools.hdd.threads", true) == -EINVAL);
    CHECK(loomp_config_set_double(config, "pools.hdd.threads", 1.5) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_config_set_double: the real number `1.5' has the wrong type "
                              "for pools.hdd.threads, which takes a whole number from 0 to 4096");
    expect_member(config, "pools.hdd.threads", "2", "code");
    expect_member(config, "pools.hdd.blocking", "true", "code");
    CHECK(see_pools(config).count == 1);
    loomp_config_free(config);
}

TEST(a_refused_value_declares_no_pool)
{
    set_bad("pools.hdd.threads", "many",
            "loomp_config_set: `many' is not valid for pools.hdd.threads, which takes a whole "
            "number from 0 to 4096");
    set_bad("pools.hdd.cpus", "x",
            "loomp_config_set: pools.hdd.cpus: CPU list `x': not a number or a range like 0-5 at "
            "`x'");
}

TEST(an_unknown_key_of_a_pool_is_refused_with_the_nearest)
{
    set_bad("pools.hdd.thread", "1",
            "loomp_config_set: unknown key `pools.hdd.thread', did you mean `pools.hdd.threads'?");
    set_bad("pools.hdd", "1",
            "loomp_config_set: unknown key `pools.hdd', did you mean `pools.hdd.threads'?");
    set_bad("pools.share", "1",
            "loomp_config_set: unknown key `pools.share', did you mean `pools.NAME.share'?");
    set_bad("pools.", "1",
            "loomp_config_set: unknown key `pools.', did you mean `pools.NAME.threads'?");
    set_bad("pools.hdd.", "1",
            "loomp_config_set: unknown key `pools.hdd.', the nearest is `pools.hdd.gpu'");
    set_bad("pool.hdd.threads", "1",
            "loomp_config_set: unknown key `pool.hdd.threads', did you mean `pools.hdd.threads'?");
    set_bad("pools", "1", "loomp_config_set: unknown key `pools', the nearest is `cores'");
}

TEST(a_variable_declares_a_pool_in_lower_case)
{
    loomp_config *config = loomp_config_new();
    CHECK(read_variable(config, PREFIX "_POOLS_HDD_THREADS", "1") == 0);
    CHECK(read_variable(config, PREFIX "_POOLS_HDD_BLOCKING", "yes") == 0);
    expect_member(config, "pools.hdd.threads", "1", PREFIX "_POOLS_HDD_THREADS");
    expect_member(config, "pools.hdd.blocking", "true", PREFIX "_POOLS_HDD_BLOCKING");
    loomp_config_free(config);
}

TEST(underscores_inside_a_variable_belong_to_the_name_of_the_pool)
{
    loomp_config *config = loomp_config_new();
    CHECK(read_variable(config, PREFIX "_POOLS_BIG_DISK_THREADS", "1") == 0);
    CHECK(read_variable(config, PREFIX "_POOLS_THREADS_THREADS", "2") == 0);
    expect_member(config, "pools.big_disk.threads", "1", PREFIX "_POOLS_BIG_DISK_THREADS");
    expect_member(config, "pools.threads.threads", "2", PREFIX "_POOLS_THREADS_THREADS");
    loomp_config_free(config);
}

TEST(variables_of_pools_with_mistakes_are_refused)
{
    env_bad(PREFIX "_POOLS_HDD_THREAD", "1",
            "unknown environment variable `LPTEST_POOLS_HDD_THREAD', did you mean "
            "`LPTEST_POOLS_HDD_THREADS'?");
    env_bad(PREFIX "_POOLS_HDD", "1",
            "unknown environment variable `LPTEST_POOLS_HDD', did you mean "
            "`LPTEST_POOLS_HDD_THREADS'?");
    env_bad(PREFIX "_POOLS_CPUS", "1",
            "unknown environment variable `LPTEST_POOLS_CPUS', did you mean "
            "`LPTEST_POOLS_NAME_CPUS'?");
    env_bad(PREFIX "_POOLS_hdd_THREADS", "1",
            "unknown environment variable `LPTEST_POOLS_hdd_THREADS', did you mean "
            "`LPTEST_POOLS_HDD_THREADS'?");
    env_bad(PREFIX "_POOL_HDD_THREADS", "1",
            "unknown environment variable `LPTEST_POOL_HDD_THREADS', did you mean "
            "`LPTEST_POOLS_HDD_THREADS'?");
    env_bad(PREFIX "_POOLS_HDD_THREADS", "-1",
            "LPTEST_POOLS_HDD_THREADS: `-1' is out of range for pools.hdd.threads, which takes a "
            "whole number from 0 to 4096");
}

TEST(of_two_variables_with_one_name_the_first_counts_for_a_pool)
{
    char *entries[] = {(char[]){PREFIX "_POOLS_HDD_THREADS=2"},
                       (char[]){PREFIX "_POOLS_HDD_THREADS=3"}, NULL};
    char **kept = environ;
    loomp_config *config = loomp_config_new();
    environ = entries;
    int err = loomp_config_env(config, PREFIX);
    environ = kept;
    CHECK(err == 0);
    CHECK_TEXT(loomp_config_value(config, "pools.hdd.threads"), "2");
    loomp_config_free(config);
}

TEST(options_declare_pools_and_names_may_have_both_kinds_of_dashes)
{
    loomp_config *config = loomp_config_new();
    args_good(config, "--loomp-pools-hdd-threads=1");
    args_good(config, "--loomp-pools-big-disk-threads=2");
    args_good(config, "--loomp-pools-big_disk-threads=3");
    args_good(config, "--loomp-pools-hdd-blocking");
    expect_member(config, "pools.hdd.threads", "1", "--loomp-pools-hdd-threads");
    expect_member(config, "pools.big-disk.threads", "2", "--loomp-pools-big-disk-threads");
    expect_member(config, "pools.big_disk.threads", "3", "--loomp-pools-big_disk-threads");
    expect_member(config, "pools.hdd.blocking", "true", "--loomp-pools-hdd-blocking");
    args_good(config, "--no-loomp-pools-hdd-blocking");
    expect_member(config, "pools.hdd.blocking", "false", "--no-loomp-pools-hdd-blocking");
    CHECK(see_pools(config).count == 3);
    loomp_config_free(config);
}

TEST(options_of_pools_with_mistakes_are_refused)
{
    args_bad("--loomp-pools-hdd-thread=1",
             "unknown option `--loomp-pools-hdd-thread', did you mean "
             "`--loomp-pools-hdd-threads'?");
    args_bad("--loomp-pools-hdd=1",
             "unknown option `--loomp-pools-hdd', did you mean `--loomp-pools-hdd-threads'?");
    args_bad("--loomp-pool-hdd-threads=1",
             "unknown option `--loomp-pool-hdd-threads', did you mean "
             "`--loomp-pools-hdd-threads'?");
    args_bad("--loomp-pools-hdd-threads",
             "--loomp-pools-hdd-threads needs a value after `=': a whole number from 0 to 4096");
    args_bad("--no-loomp-pools-hdd-threads",
             "--no-loomp-pools-hdd-threads: pools.hdd.threads is not true or false, so it has no "
             "such option; `--loomp-pools-hdd-threads=' sets it");
    args_bad("--no-loomp-pools-hdd-share=1",
             "--no-loomp-pools-hdd-share takes no value; `--loomp-pools-hdd-share=' does");
}

/* ---- precedence ------------------------------------------------------------------------------ */

static void apply_file(loomp_config *config)
{
    read_good(config, "pools: { hdd: { threads = 2; }; from-file: { share = true; }; };");
}

static void apply_environment(loomp_config *config)
{
    CHECK(read_variable(config, PREFIX "_POOLS_HDD_THREADS", "3") == 0);
}

static void apply_code(loomp_config *config)
{
    CHECK(loomp_config_set_int(config, "pools.hdd.threads", 4) == 0);
}

static void apply_arguments(loomp_config *config)
{
    args_good(config, "--loomp-pools-hdd-threads=5");
}

TEST(precedence_of_a_member_goes_by_source_and_not_by_the_order_of_calls)
{
    static void (*const apply[])(loomp_config *) = {apply_file, apply_environment, apply_code,
                                                    apply_arguments};
    static const char *const sources[] = {"app.conf:1", PREFIX "_POOLS_HDD_THREADS", "code",
                                          "--loomp-pools-hdd-threads"};
    for (unsigned order = 0; order < 256; order++) {
        unsigned strongest = 0;
        bool file = false;
        loomp_config *config = loomp_config_new();
        for (unsigned step = 0; step < 4; step++) {
            unsigned source = order >> (2 * step) & 3;
            apply[source](config);
            strongest = source > strongest ? source : strongest;
            file = file || source == 0;
        }
        char value[16];
        snprintf(value, sizeof value, "%u", strongest + 2);
        expect_member(config, "pools.hdd.threads", value, sources[strongest]);
        struct seen seen = see_pools(config);
        CHECK(seen.count == (file ? 2 : 1));
        CHECK_TEXT(seen.names[0], "hdd");
        CHECK(seen.count == 2 || seen.last.threads == strongest + 2);
        loomp_config_free(config);
    }
}

TEST(each_member_has_a_precedence_of_its_own)
{
    loomp_config *config = loomp_config_new();
    args_good(config, "--loomp-pools-hdd-threads=5");
    read_good(config, "pools: { hdd: { threads = 2; blocking = true; }; };");
    struct seen seen = see_pools(config);
    CHECK(seen.count == 1 && seen.last.threads == 5 && seen.last.blocking);
    loomp_config_free(config);
}

TEST(pools_of_weaker_sources_come_first_each_in_the_order_given)
{
    static const char *const names[] = {"a-file", "z-file", "env", "a-code", "z-code", "args"};
    loomp_config *config = loomp_config_new();
    args_good(config, "--loomp-pools-args-threads=1");
    CHECK(loomp_config_set(config, "pools.a-code.threads", "1") == 0);
    CHECK(loomp_config_set(config, "pools.z-code.threads", "1") == 0);
    CHECK(loomp_config_set(config, "pools.a-file.threads", "7") == 0);
    CHECK(read_variable(config, PREFIX "_POOLS_ENV_THREADS", "1") == 0);
    read_good(config, "pools: { a-file: { threads = 1; }; z-file: { threads = 1; }; };");
    struct seen seen = see_pools(config);
    CHECK(seen.count == sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_TEXT(seen.names[i], names[i]);
        CHECK_TEXT(loomp_config_pool(config, i), names[i]);
    }
    CHECK_TEXT(loomp_config_value(config, "pools.a-file.threads"), "7");
    loomp_config_free(config);
}

TEST(an_error_late_in_a_source_declares_none_of_its_pools)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "pools: { hdd: { threads = 1; }; };");
    write_file("second.conf", "pools: { hdd: { threads = 2; }; ssd: { threads = 2; }; };\nx = 1;");
    CHECK(loomp_config_file(config, "second.conf") == -EINVAL);
    expect_member(config, "pools.hdd.threads", "1", "app.conf:1");
    CHECK(see_pools(config).count == 1);
    loomp_config_free(config);
}

/* ---- how many -------------------------------------------------------------------------------- */

static void declare_many(loomp_config *config, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "pools.p%u.threads", i);
        CHECK(loomp_config_set_int(config, key, (int64_t)i) == 0);
    }
}

TEST(there_can_be_64_pools_and_no_65th)
{
    loomp_config *config = loomp_config_new();
    declare_many(config, 64);
    CHECK(see_pools(config).count == 64);
    CHECK(loomp_config_set(config, "pools.one-more.threads", "1") == -EINVAL);
    CHECK_TEXT(loomp_error(),
               "loomp_config_set: the pool `one-more' is one too many, there can be 64");
    CHECK(see_pools(config).count == 64);
    CHECK(loomp_config_set(config, "pools.p63.threads", "1") == 0);
    CHECK_TEXT(loomp_config_value(config, "pools.p63.threads"), "1");
    loomp_config_free(config);
}

TEST(a_file_with_65_pools_is_refused_at_the_65th)
{
    char content[8192] = "pools: {\n";
    size_t bytes = strlen(content);
    for (unsigned i = 0; i < 65; i++) {
        bytes += (size_t)snprintf(content + bytes, sizeof content - bytes, "p%u: { };\n", i);
    }
    snprintf(content + bytes, sizeof content - bytes, "};\n");
    read_bad(content, "app.conf:66: the pool `p64' is one too many, there can be 64");
}

TEST(pools_of_all_sources_count_together)
{
    loomp_config *config = loomp_config_new();
    declare_many(config, 63);
    write_file("app.conf", "pools: { p62: { share = true; }; a: { }; p63: { }; };");
    CHECK(loomp_config_file(config, "app.conf") == -EINVAL);
    CHECK_TEXT(loomp_error(), "app.conf:1: the pool `p63' is one too many, there can be 64");
    CHECK(see_pools(config).count == 63);
    read_good(config, "pools: { p62: { share = true; }; a: { }; };");
    CHECK(see_pools(config).count == 64);
    CHECK(read_variable(config, PREFIX "_POOLS_B_THREADS", "1") == -EINVAL);
    CHECK_TEXT(loomp_error(),
               PREFIX "_POOLS_B_THREADS: the pool `b' is one too many, there can be 64");
    loomp_config_free(config);
}

/* ---- copies and memory ----------------------------------------------------------------------- */

TEST(a_copy_has_pools_of_its_own_in_every_layer)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "pools: { hdd: { threads = 2; cpus = \"0\"; }; };");
    CHECK(loomp_config_set(config, "pools.hdd.threads", "3") == 0);
    loomp_config *copy = lp_settings_copy(config);
    CHECK(loomp_config_set(config, "pools.hdd.threads", "4") == 0);
    CHECK(loomp_config_set(config, "pools.ssd.threads", "4") == 0);
    loomp_config_free(config);
    struct seen seen = see_pools(copy);
    CHECK(seen.count == 1 && seen.last.threads == 3);
    expect_member(copy, "pools.hdd.threads", "3", "code");
    expect_member(copy, "pools.hdd.cpus", "0", "app.conf:1");
    loomp_config_free(copy);
}

/* 0, or the first error; every source, over pools that are there already. */
static int use_every_source(loomp_config *config)
{
    struct command_line line =
        command_line("program", "--loomp-pools-hdd-threads=5", "--loomp-pools-d-threads=1", NULL);
    int err = loomp_config_set(config, "pools.hdd.cpus", "0-3");
    err = err ? err : loomp_config_set(config, "pools.hdd.cpus", "0-2");
    err = err ? err : loomp_config_file(config, "app.conf");
    err = err ? err : loomp_config_env(config, PREFIX);
    return err ? err : loomp_config_args(config, &line.argc, line.argv);
}

TEST(without_memory_a_source_declares_nothing_and_nothing_is_lost)
{
    write_file("app.conf",
               "pools: { hdd: { threads = 2; }; ssd: { gpu = \"0\"; share = true; }; };");
    setenv(PREFIX "_POOLS_HDD_THREADS", "3", 1);
    long before = atomic_load(&live_blocks);
    long failures = 0;
    for (bool done = false; !done; failures++) {
        atomic_store(&fault_countdown[FAULT_MEMORY], failures + 1);
        loomp_config *config = loomp_config_new();
        loomp_config *copy = NULL;
        if (config) {
            int err = use_every_source(config);
            CHECK(err == 0 || err == -ENOMEM);
            copy = err == 0 ? lp_settings_copy(config) : NULL;
        }
        done = atomic_load(&fault_countdown[FAULT_MEMORY]) > 0;
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        if (done && CHECK(copy != NULL)) {
            CHECK(see_pools(copy).count == 3);
            expect_member(copy, "pools.hdd.threads", "5", "--loomp-pools-hdd-threads");
        } else if (config && !copy) {
            /* What was interrupted can be done again. */
            CHECK(use_every_source(config) == 0);
            CHECK(see_pools(config).count == 3);
            expect_member(config, "pools.hdd.cpus", "0-2", "code");
        }
        loomp_config_free(copy);
        loomp_config_free(config);
        CHECK(atomic_load(&live_blocks) == before);
    }
    CHECK(failures > 20);
    unsetenv(PREFIX "_POOLS_HDD_THREADS");
}

int main(int argc, char **argv)
{
    return settings_tests_run(argc, argv);
}
