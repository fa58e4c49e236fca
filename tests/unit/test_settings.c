/* SPDX-License-Identifier: MIT */
/* Tests of src/settings: the table, its sources and their order, and the words of the errors. Each
 * test uses a directory and a prefix of environment variables of its own. */
#define SUITE "settings"
#include "harness.h"
#include "settings_sources.h"

#include "adaptive/policy.h"
#include "base/error.h"
#include "settings/settings.h"
#include "settings/table.h"

#include <float.h>
#include <locale.h>
#include <math.h>

static void expect_double(const char *text, double expected)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "spin_us", text) == 0);
    CHECK(lp_settings_double(config, LP_SPIN_US) == expected);
    loomp_config_free(config);
}

/* ---- the table ------------------------------------------------------------------------------- */

TEST(a_new_config_has_the_documented_defaults)
{
    loomp_config *config = loomp_config_new();
    CHECK_TEXT(lp_settings_text(config, LP_PREFIX), "loomp");
    CHECK_TEXT(lp_settings_text(config, LP_PRESET), "");
    CHECK(lp_settings_bool(config, LP_PIN));
    CHECK_TEXT(lp_settings_text(config, LP_CPUS), "");
    CHECK(lp_settings_int(config, LP_RESERVE) == 0);
    CHECK_TEXT(loomp_config_value(config, "rounding"), "down");
    CHECK_TEXT(lp_settings_text(config, LP_PLACES), "cores");
    CHECK_TEXT(loomp_config_value(config, "smt"), "avoid");
    CHECK_TEXT(loomp_config_value(config, "cores"), "performance");
    CHECK_TEXT(loomp_config_value(config, "spread"), "compact");
    CHECK(lp_settings_int(config, LP_CACHE_GROUPS) == 0);
    CHECK_TEXT(lp_settings_text(config, LP_GPU), "");
    CHECK_TEXT(loomp_config_value(config, "gpu_pools"), "union");
    CHECK_TEXT(loomp_config_value(config, "memory"), "local");
    CHECK(lp_settings_int(config, LP_RANK_LOCAL) == -1);
    CHECK(lp_settings_int(config, LP_RANK_LOCAL_SIZE) == 0);
    CHECK_TEXT(lp_settings_text(config, LP_TOPOLOGY), "");
    CHECK(lp_settings_bool(config, LP_FOLLOW));
    CHECK(lp_settings_int(config, LP_IO_THREADS) == 1);
    CHECK_TEXT(lp_settings_text(config, LP_IO_CPUS), "");
    CHECK_TEXT(lp_settings_text(config, LP_IO_NEAR), "");
    CHECK(lp_settings_int(config, LP_COMPUTE_THREADS) == 0);
    CHECK(lp_settings_int(config, LP_COMPUTE_STACK_SIZE) == 0);
    CHECK(lp_settings_int(config, LP_BLOCKING_THREADS) == 64);
    CHECK(lp_settings_choice(config, LP_BIND) == 0);
    CHECK(lp_settings_int(config, LP_QUEUE_LIMIT) == 65536);
    CHECK(lp_settings_choice(config, LP_QUEUE_POLICY) == 0);
    CHECK(lp_settings_int(config, LP_CALL_POOL_SIZE) == 1024);
    CHECK(lp_settings_double(config, LP_SPIN_US) == 25);
    CHECK(lp_settings_double(config, LP_GANG_RELIEF_US) == 1000);
    CHECK(lp_settings_double(config, LP_GANG_MAX_SHARE) == 1);
    CHECK(lp_settings_bool(config, LP_ADAPTIVE_CALIBRATE));
    CHECK(lp_settings_int(config, LP_ADAPTIVE_SEED) == 1);
    CHECK(lp_settings_int(config, LP_ADAPTIVE_TRACE) == 0);
    CHECK_TEXT(lp_settings_text(config, LP_ADAPTIVE_PROFILE), "");
    CHECK(lp_settings_choice(config, LP_LOG_LEVEL) == LOOMP_LOG_WARNING);
    CHECK(lp_settings_bool(config, LP_LOG_RANK0_ONLY));
    loomp_config_free(config);
}

TEST(the_defaults_of_adaptive_settings_are_those_of_the_policy)
{
    const struct lp_policy *policy = &lp_policy_defaults;
    loomp_config *config = loomp_config_new();
    CHECK(lp_settings_choice(config, LP_ADAPTIVE_MODE) == (int)policy->mode);
    CHECK(lp_settings_choice(config, LP_ADAPTIVE_OBJECTIVE) == (int)policy->objective);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_IO_WEIGHT) == policy->io_weight);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_INLINE_BUDGET_US) * 1e3 == policy->budget_ns);
    CHECK((double)lp_settings_int(config, LP_ADAPTIVE_MEMORY) == policy->model.memory);
    CHECK(lp_settings_bool(config, LP_ADAPTIVE_GR0) == policy->gr0);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_GR0_US) * 1e3 == policy->gr0_ns);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_GR0_PRESSURE) == policy->gr0_pressure);
    CHECK(lp_settings_bool(config, LP_ADAPTIVE_GR1) == policy->gr1);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_GR1_US) * 1e3 == policy->gr1_ns);
    CHECK(lp_settings_bool(config, LP_ADAPTIVE_GR2) == policy->gr2);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_GR2_US) * 1e3 == policy->gr2_ns);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_GR2_PRESSURE) == policy->gr2_pressure);
    CHECK(lp_settings_bool(config, LP_ADAPTIVE_GR3) == policy->gr3);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_GR3_US) * 1e3 == policy->gr3_ns);
    CHECK(lp_settings_int(config, LP_ADAPTIVE_GR3_CALLS) == policy->gr3_calls);
    loomp_config_free(config);
}

TEST(the_words_of_adaptive_settings_are_those_of_the_policy)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "adaptive.mode", "frozen") == 0);
    CHECK(lp_settings_choice(config, LP_ADAPTIVE_MODE) == LP_FROZEN);
    CHECK(loomp_config_set(config, "adaptive.mode", "off") == 0);
    CHECK(lp_settings_choice(config, LP_ADAPTIVE_MODE) == LP_OFF);
    CHECK(loomp_config_set(config, "adaptive.objective", "efficiency") == 0);
    CHECK(lp_settings_choice(config, LP_ADAPTIVE_OBJECTIVE) == LP_EFFICIENCY);
    loomp_config_free(config);
}

TEST(adaptive_settings_are_read_from_every_source)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "adaptive: { mode = \"off\"; io_weight = 0.5; seed = 9007199254740992; };");
    args_good(config, "--no-loomp-adaptive-gr0");
    args_good(config, "--loomp-adaptive-gr3-calls=7");
    setenv(PREFIX "_ADAPTIVE_INLINE_BUDGET_US", "0.5", 1);
    CHECK(loomp_config_env(config, PREFIX) == 0);
    unsetenv(PREFIX "_ADAPTIVE_INLINE_BUDGET_US");
    CHECK(lp_settings_choice(config, LP_ADAPTIVE_MODE) == LP_OFF);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_IO_WEIGHT) == 0.5);
    CHECK(lp_settings_int(config, LP_ADAPTIVE_SEED) == INT64_C(1) << 53);
    CHECK(!lp_settings_bool(config, LP_ADAPTIVE_GR0));
    CHECK(lp_settings_int(config, LP_ADAPTIVE_GR3_CALLS) == 7);
    CHECK(lp_settings_double(config, LP_ADAPTIVE_INLINE_BUDGET_US) == 0.5);
    loomp_config_free(config);
    set_bad("adaptive.seed", "9007199254740993",
            "loomp_config_set: `9007199254740993' is out of range for adaptive.seed, which takes "
            "a whole number from 0 to 9007199254740992");
    set_bad("adaptive.memory", "9",
            "loomp_config_set: `9' is out of range for adaptive.memory, which takes a whole "
            "number from 10 to 1000000");
}

TEST(the_range_of_a_real_number_is_said_with_its_fraction)
{
    set_bad("gang.max_share", "0.001",
            "loomp_config_set: `0.001' is out of range for gang.max_share, which takes a number "
            "from 0.01 to 1");
}

TEST(every_key_of_the_table_has_a_value_and_the_source_default)
{
    loomp_config *config = loomp_config_new();
    size_t count = 0;
    for (; loomp_config_key(count); count++) {
        CHECK(loomp_config_value(config, loomp_config_key(count)) != NULL);
        CHECK_TEXT(loomp_config_source(config, loomp_config_key(count)), "default");
        CHECK(!lp_settings_is_set(config, (enum lp_key)count));
    }
    CHECK(count == LP_KEY_COUNT);
    loomp_config_free(config);
}

TEST(no_two_rows_share_a_variable_or_an_option)
{
    char a[LP_NAME_BYTES], b[LP_NAME_BYTES];
    for (int i = 0; i < LP_KEY_COUNT; i++) {
        for (int j = 0; j < i; j++) {
            lp_row_variable(i, "P", a);
            lp_row_variable(j, "P", b);
            CHECK(strcmp(a, b) != 0);
            lp_row_option(i, a);
            lp_row_option(j, b);
            CHECK(strcmp(a, b) != 0);
        }
        /* {prefix}_CONFIG and {prefix}_TEST_ are not settings. */
        lp_row_variable(i, "P", a);
        CHECK(strcmp(a, "P_CONFIG") != 0 && strncmp(a, "P_TEST_", 7) != 0);
    }
}

TEST(no_key_is_also_a_group)
{
    for (int i = 0; i < LP_KEY_COUNT; i++) {
        for (int j = 0; j < LP_KEY_COUNT; j++) {
            size_t bytes = strlen(lp_rows[i].key);
            CHECK(strncmp(lp_rows[j].key, lp_rows[i].key, bytes) != 0 ||
                  lp_rows[j].key[bytes] != '.');
        }
    }
}

TEST(the_words_of_log_level_are_the_levels_of_the_log)
{
    static const struct {
        const char *word;
        int level;
    } words[] = {{"none", LOOMP_LOG_NONE},
                 {"error", LOOMP_LOG_ERROR},
                 {"warning", LOOMP_LOG_WARNING},
                 {"info", LOOMP_LOG_INFO},
                 {"debug", LOOMP_LOG_DEBUG}};
    loomp_config *config = loomp_config_new();
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        CHECK(loomp_config_set(config, "log.level", words[i].word) == 0);
        CHECK(lp_settings_choice(config, LP_LOG_LEVEL) == words[i].level);
        CHECK_TEXT(loomp_config_value(config, "log.level"), words[i].word);
    }
    loomp_config_free(config);
}

TEST(unknown_keys_have_neither_value_nor_source)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_value(config, "io") == NULL);
    CHECK(loomp_config_value(config, "io.thread") == NULL);
    CHECK(loomp_config_source(config, "") == NULL);
    CHECK(loomp_config_source(config, NULL) == NULL);
    CHECK(loomp_config_key(LP_KEY_COUNT) == NULL);
    CHECK(loomp_config_key((size_t)-1) == NULL);
    loomp_config_free(config);
}

TEST(freeing_no_config_is_fine)
{
    loomp_config_free(NULL);
}

TEST(every_preset_has_good_values_and_sets_no_preset)
{
    for (const struct lp_preset *preset = lp_presets; preset->name; preset++) {
        loomp_config *config = loomp_config_new();
        CHECK(loomp_config_set(config, "preset", preset->name) == 0);
        for (int i = 0; i < LP_KEY_COUNT && preset->rows[i].value; i++) {
            CHECK(preset->rows[i].key != LP_PRESET);
            CHECK(strncmp(loomp_config_source(config, lp_rows[preset->rows[i].key].key), "preset ",
                          7) == 0);
        }
        loomp_config_free(config);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

TEST(whole_numbers_are_read_from_text)
{
    set_good("compute.threads", "6", "6");
    set_good("compute.threads", "+6", "6");
    set_good("compute.threads", "0010", "10");
    set_good("compute.threads", "1024", "1024");
}

TEST(what_is_no_whole_number_is_refused_with_the_range)
{
    set_bad("io.threads", "two",
            "loomp_config_set: `two' is not valid for io.threads, which takes a whole number from "
            "1 to 1024");
    set_bad("io.threads", "2.0",
            "loomp_config_set: `2.0' is not valid for io.threads, which takes a whole number from "
            "1 to 1024");
    set_bad("io.threads", "",
            "loomp_config_set: `' is not valid for io.threads, which takes a whole number from 1 "
            "to 1024");
    set_bad("io.threads", " 2",
            "loomp_config_set: ` 2' is not valid for io.threads, which takes a whole number from "
            "1 to 1024");
    set_bad("io.threads", "2 ",
            "loomp_config_set: `2 ' is not valid for io.threads, which takes a whole number from "
            "1 to 1024");
    set_bad("io.threads", "+-2",
            "loomp_config_set: `+-2' is not valid for io.threads, which takes a whole number from "
            "1 to 1024");
}

TEST(whole_numbers_out_of_range_are_refused_with_value_and_range)
{
    set_bad("io.threads", "0",
            "loomp_config_set: `0' is out of range for io.threads, which takes a whole number "
            "from 1 to 1024");
    set_bad("io.threads", "-1",
            "loomp_config_set: `-1' is out of range for io.threads, which takes a whole number "
            "from 1 to 1024");
    set_bad("io.threads", "1025",
            "loomp_config_set: `1025' is out of range for io.threads, which takes a whole number "
            "from 1 to 1024");
}

TEST(whole_numbers_past_64_bits_are_out_of_range)
{
    set_bad("io.threads", "18446744073709551617",
            "loomp_config_set: `18446744073709551617' is out of range for io.threads, which takes "
            "a whole number from 1 to 1024");
    set_bad("io.threads", "-99999999999999999999999",
            "loomp_config_set: `-99999999999999999999999' is out of range for io.threads, which "
            "takes a whole number from 1 to 1024");
}

TEST(sizes_take_k_m_and_g_as_powers_of_1024)
{
    loomp_config *config = loomp_config_new();
    static const struct {
        const char *text;
        int64_t bytes;
        const char *shown;
    } sizes[] = {
        {"64K", 65536, "64K"},
        {"64KiB", 65536, "64K"},
        {"8M", 8 << 20, "8M"},
        {"8m", 8 << 20, "8M"},
        {"8MiB", 8 << 20, "8M"},
        {"1024K", 1 << 20, "1M"},
        {"1G", INT64_C(1) << 30, "1G"},
        {"1048577", 1048577, "1048577"},
        {"0", 0, "0"},
        {"0G", 0, "0"},
        {"1024G", INT64_C(1) << 40, "1024G"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK(loomp_config_set(config, "compute.stack_size", sizes[i].text) == 0);
        CHECK(lp_settings_int(config, LP_COMPUTE_STACK_SIZE) == sizes[i].bytes);
        CHECK_TEXT(loomp_config_value(config, "compute.stack_size"), sizes[i].shown);
    }
    loomp_config_free(config);
}

TEST(sizes_with_other_suffixes_are_refused)
{
    static const char *const bad[] = {"8MB", "8T", "M", "8 M", "8Mi", "8MiBs", "8.5M", "8MM", ""};
    loomp_config *config = loomp_config_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(loomp_config_set(config, "compute.stack_size", bad[i]) == -EINVAL);
        CHECK(strstr(loomp_error(), "is not valid for compute.stack_size") != NULL);
    }
    loomp_config_free(config);
}

TEST(sizes_too_small_too_large_or_overflowing_are_out_of_range)
{
    static const char *const bad[] = {
        "64", "65535", "-64K", "1025G", "9223372036854775807G", "99999999999999999999K"};
    loomp_config *config = loomp_config_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(loomp_config_set(config, "compute.stack_size", bad[i]) == -EINVAL);
        CHECK(strstr(loomp_error(), "is out of range for compute.stack_size, which takes 0 or a "
                                    "size from 64K to 1024G") != NULL);
    }
    loomp_config_free(config);
}

TEST(truth_values_have_four_spellings)
{
    set_good("pin", "true", "true");
    set_good("pin", "no", "false");
    set_good("pin", "ON", "true");
    set_good("pin", "0", "false");
    set_bad("pin", "maybe",
            "loomp_config_set: `maybe' is not valid for pin, which takes true or false");
    set_bad("pin", "", "loomp_config_set: `' is not valid for pin, which takes true or false");
}

TEST(a_wrong_word_of_a_choice_is_refused_with_the_right_ones)
{
    set_good("queue_policy", "caller_runs", "caller_runs");
    set_bad("queue_policy", "drop",
            "loomp_config_set: `drop' is not valid for queue_policy, which takes one of: reject, "
            "block, caller_runs");
    set_bad("bind", "",
            "loomp_config_set: `' is not valid for bind, which takes one of: openmp, "
            "direct");
    set_bad("bind", "openmp|direct",
            "loomp_config_set: `openmp|direct' is not valid for bind, which takes one of: openmp, "
            "direct");
}

TEST(real_numbers_are_read_from_text)
{
    expect_double("0", 0);
    expect_double("2.5", 2.5);
    expect_double("1e3", 1000);
    expect_double(".5", 0.5);
    expect_double("1e-400", 0);
}

TEST(real_numbers_are_shown_so_that_they_read_back_the_same)
{
    set_good("spin_us", "2.50", "2.5");
    set_good("spin_us", "0.1", "0.1");
    set_good("spin_us", "0.30000000000000004", "0.30000000000000004");
    set_good("spin_us", "-0", "0");
}

TEST(nan_infinity_and_other_nonsense_are_no_real_numbers)
{
    static const char *const bad[] = {"nan", "inf", "0x10", "", " 1", "1 ", "e", "1e", "1.2.3"};
    loomp_config *config = loomp_config_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(loomp_config_set(config, "spin_us", bad[i]) == -EINVAL);
        CHECK(strstr(loomp_error(), "is not valid for spin_us, which takes a number from 0 to "
                                    "1000000") != NULL);
    }
    CHECK(loomp_config_set_double(config, "spin_us", (double)NAN) == -EINVAL);
    CHECK(loomp_config_set_double(config, "spin_us", (double)INFINITY) == -EINVAL);
    CHECK(loomp_config_set_double(config, "spin_us", -DBL_MIN) == -EINVAL);
    CHECK(loomp_config_set(config, "spin_us", "1e999") == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_config_set: `1e999' is out of range for spin_us, which takes "
                              "a number from 0 to 1000000");
    loomp_config_free(config);
}

TEST(real_numbers_do_not_follow_the_locale)
{
    static const char *const comma_locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof comma_locales / sizeof comma_locales[0]; i++) {
        if (setlocale(LC_ALL, comma_locales[i])) {
            break; /* where none is installed the test shows little */
        }
    }
    set_good("spin_us", "2.5", "2.5");
    loomp_config *config = loomp_config_new();
    read_good(config, "spin_us = 3.5;");
    CHECK(lp_settings_double(config, LP_SPIN_US) == 3.5);
    loomp_config_free(config);
    setlocale(LC_ALL, "C");
}

TEST(text_has_no_control_characters_and_a_bounded_length)
{
    char longest[66];
    memset(longest, 'x', sizeof longest - 1);
    longest[65] = '\0';
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "prefix", longest) == -EINVAL);
    longest[64] = '\0';
    CHECK(loomp_config_set(config, "prefix", longest) == 0);
    loomp_config_free(config);
    set_bad("prefix", "",
            "loomp_config_set: `' is out of range for prefix, which takes printable "
            "text of 1 to 64 bytes");
    set_bad("prefix", "a\nb",
            "loomp_config_set: `a\nb' is not valid for prefix, which takes "
            "printable text of 1 to 64 bytes");
}

TEST(typed_setters_reach_the_rows_of_their_type)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set_int(config, "compute.threads", 6) == 0);
    CHECK(lp_settings_int(config, LP_COMPUTE_THREADS) == 6);
    CHECK(loomp_config_set_int(config, "compute.stack_size", 1 << 20) == 0);
    CHECK_TEXT(loomp_config_value(config, "compute.stack_size"), "1M");
    CHECK(loomp_config_set_int(config, "spin_us", 3) == 0);
    CHECK(lp_settings_double(config, LP_SPIN_US) == 3);
    CHECK(loomp_config_set_double(config, "spin_us", 4.5) == 0);
    CHECK(lp_settings_double(config, LP_SPIN_US) == 4.5);
    CHECK(loomp_config_set_bool(config, "pin", false) == 0);
    CHECK(!lp_settings_bool(config, LP_PIN));
    loomp_config_free(config);
}

TEST(typed_setters_refuse_rows_of_another_type)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set_bool(config, "io.threads", true) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_config_set_bool: the truth value `true' has the wrong type "
                              "for io.threads, which takes a whole number from 1 to 1024");
    CHECK(loomp_config_set_double(config, "io.threads", 2.5) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_config_set_double: the real number `2.5' has the wrong type "
                              "for io.threads, which takes a whole number from 1 to 1024");
    CHECK(loomp_config_set_int(config, "pin", 1) == -EINVAL);
    CHECK(loomp_config_set_int(config, "prefix", 1) == -EINVAL);
    CHECK(loomp_config_set_int(config, "bind", 1) == -EINVAL);
    CHECK(loomp_config_set_int(config, "io.threads", INT64_MIN) == -EINVAL);
    CHECK_TEXT(loomp_error(), "loomp_config_set_int: `-9223372036854775808' is out of range for "
                              "io.threads, which takes a whole number from 1 to 1024");
    loomp_config_free(config);
}

TEST(setting_an_unknown_key_names_the_nearest)
{
    set_bad("io.thread", "2",
            "loomp_config_set: unknown key `io.thread', did you mean `io.threads'?");
    set_bad("compute.spin_us", "2",
            "loomp_config_set: unknown key `compute.spin_us', did you mean `spin_us'?");
    set_bad("Spin_US", "2", "loomp_config_set: unknown key `Spin_US', did you mean `spin_us'?");
    set_bad("nip", "2", "loomp_config_set: unknown key `nip', did you mean `pin'?");
    set_bad("zzzzzzzzzzzz", "2",
            "loomp_config_set: unknown key `zzzzzzzzzzzz', the nearest is `prefix'");
}

TEST(missing_arguments_of_a_setter_are_errors)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, NULL, "1") == -EINVAL);
    CHECK(loomp_config_set(config, "pin", NULL) == -EINVAL);
    CHECK(loomp_config_set(NULL, "pin", "1") == -EINVAL);
    CHECK(loomp_config_file(config, NULL) == -EINVAL);
    CHECK(loomp_config_env(config, NULL) == -EINVAL);
    loomp_config_free(config);
}

/* ---- CPU lists ------------------------------------------------------------------------------- */

struct marks {
    unsigned count, first, last, sum;
};

static void mark(void *arg, unsigned first, unsigned last)
{
    struct marks *marks = arg;
    marks->first = marks->count ? marks->first : first;
    marks->last = last;
    for (unsigned cpu = first; cpu <= last; cpu++) {
        marks->sum += cpu;
        marks->count++;
    }
}

TEST(a_cpu_list_marks_each_cpu)
{
    struct marks marks = {0};
    CHECK(lp_cpu_list_parse("0-5,8", mark, &marks) == 0);
    CHECK(marks.count == 7 && marks.first == 0 && marks.last == 8 && marks.sum == 23);
}

TEST(an_empty_cpu_list_marks_nothing)
{
    struct marks marks = {0};
    CHECK(lp_cpu_list_parse("", mark, &marks) == 0);
    CHECK(marks.count == 0);
}

TEST(a_cpu_list_reaches_up_to_cpu_1048575)
{
    struct marks marks = {0};
    CHECK(lp_cpu_list_parse("1048575", mark, &marks) == 0);
    CHECK(marks.count == 1 && marks.first == 1048575);
    CHECK(lp_cpu_list_parse("1048576", mark, &marks) == -EINVAL);
    CHECK_TEXT(loomp_error(), "CPU list `1048576': a CPU number is at most 1048575");
    CHECK(lp_cpu_list_parse("4294967296", mark, &marks) == -EINVAL);
    CHECK(lp_cpu_list_parse("99999999999999999999", mark, &marks) == -EINVAL);
}

TEST(a_bad_cpu_list_marks_nothing_and_is_named)
{
    static const char *const bad[] = {",",   "1,",    ",1",  "1,,2", "a",    "1-",
                                      "-1",  "1-2-3", "5-2", "1, 2", " 1",   "1 ",
                                      "0x1", "1-2a",  "+1",  "1.5",  "0-3,x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct marks marks = {0};
        char named[64];
        CHECK(lp_cpu_list_parse(bad[i], mark, &marks) == -EINVAL);
        CHECK(marks.count == 0);
        snprintf(named, sizeof named, "CPU list `%s'", bad[i]);
        CHECK(strncmp(loomp_error(), named, strlen(named)) == 0);
    }
}

TEST(cpu_lists_are_checked_when_they_are_set)
{
    set_good("cpus", "0-5,8", "0-5,8");
    set_good("io.cpus", "", "");
    set_bad("cpus", "0-5,x",
            "loomp_config_set: cpus: CPU list `0-5,x': not a number or a "
            "range like 0-5 at `x'");
    set_bad("io.cpus", "5-2",
            "loomp_config_set: io.cpus: CPU list `5-2': the range 5-2 runs "
            "backwards");
}

/* ---- places and devices ---------------------------------------------------------------------- */

TEST(places_are_one_of_four_words_or_begin_like_a_list)
{
    static const char *const good[] = {"cores", "threads",      "l3",   "numa",
                                       "{0}",   "{0:4}:2:4",    "!{3}", "{0,1},{2,3}, {4}",
                                       "{",     "{0},{1}:3:-1", "{+1}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        set_good("places", good[i], good[i]);
    }
    set_bad("places", "core",
            "loomp_config_set: places: `core' is neither cores, threads, l3 or numa nor a list of "
            "places like {0,1},{2,3}");
    set_bad("places", "",
            "loomp_config_set: places: `' is neither cores, threads, l3 or numa nor a list of "
            "places like {0,1},{2,3}");
    set_bad("places", "{0},{l3}",
            "loomp_config_set: places: list of places `{0},{l3}': it cannot have `l3}'");
    set_bad("places", "{0}\n",
            "loomp_config_set: places: list of places `{0}\n': it cannot have "
            "`\n'");
    read_bad("\nplaces = 4;", "app.conf:2: the whole number `4' has the wrong type for places, "
                              "which takes cores, threads, l3, numa or a list of places, up to "
                              "65536 bytes");
}

TEST(places_have_a_bounded_length)
{
    static char longest[65538];
    loomp_config *config = loomp_config_new();
    memset(longest, '{', 65537);
    CHECK(loomp_config_set(config, "places", longest) == -EINVAL);
    CHECK(strstr(loomp_error(), "is out of range for places") != NULL);
    longest[65536] = '\0';
    CHECK(loomp_config_set(config, "places", longest) == 0);
    loomp_config_free(config);
}

TEST(devices_are_names_between_commas)
{
    static const char *const good[] = {
        "", "0", "0,1", "amd:1, nvidia:0", "0000:3b:00.0", "all", "GPU-5d1f-02", "0 "};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        set_good("gpu", good[i], good[i]);
    }
    set_good("io.near", "eth0,nvme0n1", "eth0,nvme0n1");
    set_bad("gpu", "0,,1", "loomp_config_set: gpu: device list `0,,1': number 2 of it is empty");
    set_bad("gpu", ",0", "loomp_config_set: gpu: device list `,0': number 1 of it is empty");
    set_bad("gpu", "0,1, ", "loomp_config_set: gpu: device list `0,1, ': number 3 of it is empty");
    set_bad("io.near", " ", "loomp_config_set: io.near: device list ` ': number 1 of it is empty");
    set_bad("io.near", "eth0,e\tth1",
            "loomp_config_set: io.near: device list `eth0,e\tth1': number 2 has a control "
            "character");
}

TEST(devices_have_a_bounded_length)
{
    char longest[66];
    memset(longest, 'e', 65);
    longest[65] = '\0';
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "io.near", longest) == -EINVAL);
    CHECK(strstr(loomp_error(), "is out of range for io.near, which takes a number or a text of up "
                                "to 64 bytes with devices between commas") != NULL);
    longest[64] = '\0';
    CHECK(loomp_config_set(config, "io.near", longest) == 0);
    loomp_config_free(config);
}

TEST(one_device_may_be_a_number_without_quotes)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "gpu = 1;");
    CHECK_TEXT(lp_settings_text(config, LP_GPU), "1");
    CHECK(loomp_config_set_int(config, "gpu", 2) == 0);
    CHECK_TEXT(lp_settings_text(config, LP_GPU), "2");
    loomp_config_free(config);
    read_bad("gpu = -1;",
             "app.conf:1: `-1' is out of range for gpu, which takes a number or a text "
             "of up to 256 bytes with devices between commas");
    read_bad("gpu = [0, 1];", "app.conf:1: a list or array has the wrong type for gpu, which takes "
                              "a number or a text of up to 256 bytes with devices between commas");
}

/* ---- precedence ------------------------------------------------------------------------------ */

static void apply_file(loomp_config *config)
{
    read_good(config, "io: { threads = 2; };");
}

static void apply_environment(loomp_config *config)
{
    setenv(PREFIX "_IO_THREADS", "3", 1);
    CHECK(loomp_config_env(config, PREFIX) == 0);
    unsetenv(PREFIX "_IO_THREADS");
}

static void apply_code(loomp_config *config)
{
    CHECK(loomp_config_set_int(config, "io.threads", 4) == 0);
}

static void apply_arguments(loomp_config *config)
{
    args_good(config, "--loomp-io-threads=5");
}

TEST(precedence_goes_by_source_and_not_by_the_order_of_calls)
{
    /* weakest first; all orders of all subsets */
    static void (*const apply[])(loomp_config *) = {apply_file, apply_environment, apply_code,
                                                    apply_arguments};
    static const char *const sources[] = {"app.conf:1", PREFIX "_IO_THREADS", "code",
                                          "--loomp-io-threads"};
    for (unsigned order = 0; order < 256; order++) {
        unsigned strongest = 0, seen = 0;
        loomp_config *config = loomp_config_new();
        for (unsigned step = 0; step < 4; step++) {
            unsigned source = order >> (2 * step) & 3;
            apply[source](config);
            strongest = source > strongest ? source : strongest;
            seen |= 1u << source;
        }
        CHECK(seen != 0);
        CHECK(lp_settings_int(config, LP_IO_THREADS) == (int64_t)strongest + 2);
        CHECK_TEXT(loomp_config_source(config, "io.threads"), sources[strongest]);
        CHECK(lp_settings_is_set(config, LP_IO_THREADS));
        loomp_config_free(config);
    }
}

TEST(a_later_call_of_one_source_keeps_what_it_does_not_mention)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "pin = false;\nspin_us = 7;");
    write_file("second.conf", "spin_us = 8;");
    CHECK(loomp_config_file(config, "second.conf") == 0);
    CHECK_TEXT(loomp_config_source(config, "pin"), "app.conf:1");
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "second.conf:1");
    CHECK_TEXT(loomp_config_value(config, "spin_us"), "8");
    loomp_config_free(config);
}

TEST(a_preset_is_stronger_than_a_default)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "preset", "shared-node") == 0);
    CHECK(lp_settings_double(config, LP_SPIN_US) == 0);
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "preset shared-node");
    CHECK_TEXT(loomp_config_source(config, "preset"), "code");
    CHECK(lp_settings_is_set(config, LP_SPIN_US));
    loomp_config_free(config);
}

TEST(a_preset_is_weaker_than_a_file_even_when_it_comes_from_the_command_line)
{
    loomp_config *config = loomp_config_new();
    args_good(config, "--loomp-preset=shared-node");
    read_good(config, "spin_us = 9;");
    CHECK(lp_settings_double(config, LP_SPIN_US) == 9);
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "app.conf:1");
    loomp_config_free(config);
}

TEST(the_strongest_source_chooses_the_preset)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, "preset", "") == 0);
    read_good(config, "preset = \"shared-node\";");
    CHECK_TEXT(loomp_config_value(config, "preset"), "");
    CHECK(lp_settings_double(config, LP_SPIN_US) == 25);
    CHECK(loomp_config_set(config, "preset", "shared-node") == 0);
    CHECK(lp_settings_double(config, LP_SPIN_US) == 0);
    args_good(config, "--loomp-preset=");
    CHECK(lp_settings_double(config, LP_SPIN_US) == 25);
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "default");
    loomp_config_free(config);
}

TEST(each_preset_sets_what_is_documented)
{
    static const struct {
        const char *preset, *key, *value;
    } rows[] = {
        {"latency", "smt", "avoid"},
        {"latency", "cache_groups", "1"},
        {"latency", "spin_us", "200"},
        {"latency", "adaptive.io_weight", "10"},
        {"throughput", "cores", "all"},
        {"shared-node", "rounding", "down"},
        {"shared-node", "spin_us", "0"},
        {"background", "reserve", "1"},
        {"background", "cores", "efficiency"},
        {"background", "spin_us", "0"},
    };
    size_t set = 0;
    for (const struct lp_preset *preset = lp_presets; preset->name; preset++) {
        for (int i = 0; i < LP_KEY_COUNT && preset->rows[i].value; i++) {
            set++;
        }
    }
    CHECK(set == sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        loomp_config *config = loomp_config_new();
        char source[64];
        snprintf(source, sizeof source, "preset %s", rows[i].preset);
        CHECK(loomp_config_set(config, "preset", rows[i].preset) == 0);
        CHECK_TEXT(loomp_config_value(config, rows[i].key), rows[i].value);
        CHECK_TEXT(loomp_config_source(config, rows[i].key), source);
        loomp_config_free(config);
    }
}

TEST(an_unknown_preset_is_refused_with_the_known_ones)
{
    set_bad("preset", "latencies",
            "loomp_config_set: `latencies' is not valid for preset, which "
            "takes an empty text or one of: latency, throughput, shared-node, background");
    read_bad("\npreset = \"nothing\";",
             "app.conf:2: `nothing' is not valid for preset, which takes an empty text or one of: "
             "latency, throughput, shared-node, background");
}

/* ---- files ----------------------------------------------------------------------------------- */

TEST(a_file_sets_values_of_every_type_with_their_lines)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "# an example\n"
                      "prefix = \"app\";\n"
                      "pin = false;\n"
                      "io: { threads = 2; cpus = \"0\" };\n"
                      "compute =\n"
                      "{\n"
                      "    threads = 0x6\n"
                      "    stack_size = \"64M\"\n"
                      "}\n"
                      "bind = \"direct\";\n"
                      "spin_us = 2.5, gang: { relief_us = 10; };\n");
    CHECK_TEXT(loomp_config_value(config, "prefix"), "app");
    CHECK_TEXT(loomp_config_source(config, "prefix"), "app.conf:2");
    CHECK(!lp_settings_bool(config, LP_PIN));
    CHECK(lp_settings_int(config, LP_IO_THREADS) == 2);
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "app.conf:4");
    CHECK_TEXT(loomp_config_value(config, "io.cpus"), "0");
    CHECK(lp_settings_int(config, LP_COMPUTE_THREADS) == 6);
    CHECK_TEXT(loomp_config_source(config, "compute.threads"), "app.conf:7");
    CHECK(lp_settings_int(config, LP_COMPUTE_STACK_SIZE) == 64 << 20);
    CHECK_TEXT(loomp_config_source(config, "compute.stack_size"), "app.conf:8");
    CHECK(lp_settings_choice(config, LP_BIND) == 1);
    CHECK(lp_settings_double(config, LP_SPIN_US) == 2.5);
    CHECK(lp_settings_double(config, LP_GANG_RELIEF_US) == 10);
    loomp_config_free(config);
}

TEST(the_group_loomp_of_an_application_s_file_is_taken_and_the_rest_is_left_alone)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "title = \"a solver\";\n"
                      "io = 3.5;\n"
                      "loomp: {\n"
                      "    io = { threads = 2; };\n"
                      "};\n"
                      "pin = ( 1, 2 );\n");
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "app.conf:4");
    CHECK_TEXT(loomp_config_source(config, "pin"), "default");
    loomp_config_free(config);
}

TEST(a_file_whose_loomp_is_no_group_is_refused)
{
    read_bad("\n\nloomp = 3;", "app.conf:3: loomp is a group, written loomp: { ... };");
}

TEST(empty_files_and_files_of_comments_are_fine)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "");
    read_good(config, "# nothing\n/* io: { threads = 2; }; */ // pin = \"\n");
    read_good(config, "loomp: { };");
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "default");
    loomp_config_free(config);
}

TEST(an_unknown_key_of_a_file_is_refused_with_line_and_nearest_key)
{
    read_bad("pin = true;\n\n\n\n\nio: {\n    thread = 2;\n};\n",
             "app.conf:7: unknown key `thread' in group `io', did you mean `threads'?");
    read_bad("pin = true;\nspinus = 2;\n",
             "app.conf:2: unknown key `spinus', did you mean `spin_us'?");
    read_bad("io: { spin_us = 2; };",
             "app.conf:1: unknown key `spin_us' in group `io'; `spin_us' stands outside of groups");
    read_bad(
        "io: { queue_limits = 2; };",
        "app.conf:1: unknown key `queue_limits' in group `io'; `queue_limit' stands outside of "
        "groups");
    read_bad("loomp: {\n  io: {\n    more: { };\n  };\n};",
             "app.conf:3: unknown key `more' in group `io', did you mean `adaptive.mode'?");
}

TEST(an_unknown_group_of_a_file_is_refused_with_the_nearest_group)
{
    read_bad("\ncompte: { threads = 2; };",
             "app.conf:2: unknown group `compte', did you mean `compute'?");
}

TEST(very_long_keys_of_a_file_are_unknown)
{
    char content[600];
    char name[301];
    memset(name, 'p', sizeof name - 1);
    name[300] = '\0';
    loomp_config *config = loomp_config_new();
    snprintf(content, sizeof content, "pin = false;\n%s = 1;", name);
    write_file("app.conf", content);
    CHECK(loomp_config_file(config, "app.conf") == -EINVAL);
    CHECK(strncmp(loomp_error(), "app.conf:2: unknown key `pppp", 29) == 0);
    CHECK(lp_settings_bool(config, LP_PIN));
    loomp_config_free(config);
}

TEST(groups_and_values_of_a_file_are_not_confused)
{
    read_bad("io = 3;", "app.conf:1: io is a group, written io: { ... };");
    read_bad("pin: { };", "app.conf:1: pin is a setting, not a group; it takes true or false");
}

TEST(values_of_the_wrong_type_in_a_file_are_refused_with_their_line)
{
    read_bad("pin = true;\nio: {\n    threads = \"2\";\n};",
             "app.conf:3: the text `2' has the wrong type for io.threads, which takes a whole "
             "number from 1 to 1024");
    read_bad("io: { threads = 2.0; };",
             "app.conf:1: the real number `2' has the wrong type for io.threads, which takes a "
             "whole number from 1 to 1024");
    read_bad("pin = 1;", "app.conf:1: the whole number `1' has the wrong type for pin, which takes "
                         "true or false");
    read_bad("pin = \"true\";", "app.conf:1: the text `true' has the wrong type for pin, which "
                                "takes true or false");
    read_bad("cpus = [0, 1];", "app.conf:1: a list or array has the wrong type for cpus, which "
                               "takes a text with a CPU list like 0-5,8");
    read_bad("cpus = 3;", "app.conf:1: the whole number `3' has the wrong type for cpus, which "
                          "takes a text with a CPU list like 0-5,8");
    read_bad("bind = true;", "app.conf:1: the truth value `true' has the wrong type for bind, "
                             "which takes one of: openmp, direct");
    read_bad("spin_us = \"2\";", "app.conf:1: the text `2' has the wrong type for spin_us, which "
                                 "takes a number from 0 to 1000000");
}

TEST(values_out_of_range_in_a_file_are_refused_with_their_line)
{
    read_bad("io: {\n    threads = 1025;\n};",
             "app.conf:2: `1025' is out of range for io.threads, which takes a whole number from "
             "1 to 1024");
    read_bad("spin_us = -1.5;", "app.conf:1: `-1.5' is out of range for spin_us, which takes a "
                                "number from 0 to 1000000");
    read_bad("spin_us = 1.0e999;", "app.conf:1: `inf' is out of range for spin_us, which takes a "
                                   "number from 0 to 1000000");
    read_bad("cpus = \"9-1\";", "app.conf:1: cpus: CPU list `9-1': the range 9-1 runs backwards");
}

TEST(whole_numbers_of_a_file_never_wrap)
{
    /* each would be 1 in 32 bits */
    read_bad("io: { threads = 4294967297; };",
             "app.conf:1: `4294967297' is out of range for io.threads, which takes a whole number "
             "from 1 to 1024");
    read_bad("io: { threads = 0x100000001; };",
             "app.conf:1: `4294967297' is out of range for io.threads, which takes a whole number "
             "from 1 to 1024");
    read_bad("io: { threads = 4294967297L; };",
             "app.conf:1: `4294967297' is out of range for io.threads, which takes a whole number "
             "from 1 to 1024");
    read_bad("\nio: { threads = 18446744073709551617; };",
             "app.conf:2: the whole number 18446744073709551617 needs more than 64 bits");
    read_bad("\nio: { threads = 0x10000000000000001L; };",
             "app.conf:2: the whole number 0x10000000000000001L needs more than 64 bits");
    read_bad("io: { threads = -2147483649; };",
             "app.conf:1: `-2147483649' is out of range for io.threads, which takes a whole number "
             "from 1 to 1024");
}

TEST(whole_numbers_of_a_file_may_need_64_bits)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "compute: { stack_size = 8589934592; };");
    CHECK(lp_settings_int(config, LP_COMPUTE_STACK_SIZE) == INT64_C(8589934592));
    read_good(config, "compute: { stack_size = 0x200000000L; };");
    CHECK(lp_settings_int(config, LP_COMPUTE_STACK_SIZE) == INT64_C(8589934592));
    read_good(config, "spin_us = 0.00000000099999999999;");
    loomp_config_free(config);
}

TEST(syntax_errors_of_a_file_are_refused_with_their_line)
{
    read_bad("pin = true;\nio: {\n  threads = ;\n};", "app.conf:3: syntax error");
    read_bad("pin = true;\nio: {\n  threads = 2;\n", "app.conf:4: syntax error");
    read_bad("@", "app.conf:1: syntax error");
    read_bad("pin = true;\npin = false;", "app.conf:2: duplicate setting name");
    read_bad("pin = true;\n/* open\n\n", "app.conf:2: the comment that begins here has no end");
    read_bad("pin = true;\nprefix = \"open\n\n",
             "app.conf:2: the text that begins here has no closing \"");
}

TEST(a_string_over_several_lines_does_not_shift_later_lines)
{
    read_bad("loomp: {\n  bind = \"dir\"\n  \"ect\"; /* \n\n */\n  prefix = \"a\\\"b\";\n"
             "  x = 1;\n};",
             "app.conf:7: unknown key `x', the nearest is `pin'");
}

TEST(an_error_late_in_a_file_leaves_nothing_of_it_applied)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "spin_us = 1;");
    write_file("second.conf", "pin = false;\nspin_us = 2;\npreset = \"shared-node\";\nwrong = 1;");
    CHECK(loomp_config_file(config, "second.conf") == -EINVAL);
    CHECK(lp_settings_bool(config, LP_PIN));
    CHECK_TEXT(loomp_config_value(config, "spin_us"), "1");
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "app.conf:1");
    CHECK_TEXT(loomp_config_value(config, "preset"), "");
    loomp_config_free(config);
}

TEST(a_missing_file_is_an_error_unless_it_is_optional)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_file(config, "missing.conf") == -ENOENT);
    CHECK_TEXT(loomp_error(), "cannot read `missing.conf': No such file or directory");
    CHECK(loomp_config_file_optional(config, "missing.conf") == 0);
    write_file("app.conf", "pin = 3;");
    CHECK(loomp_config_file_optional(config, "app.conf") == -EINVAL);
    loomp_config_free(config);
}

TEST(a_directory_is_no_file)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_file(config, "sub") == -EISDIR);
    CHECK_TEXT(loomp_error(), "cannot read `sub': Is a directory");
    CHECK(loomp_config_file_optional(config, "sub") == -EISDIR);
    loomp_config_free(config);
}

TEST(a_file_with_a_zero_byte_or_without_end_is_refused)
{
    static const char zero[] = "pin = false;\0pin = 7;";
    loomp_config *config = loomp_config_new();
    write_bytes("zero.conf", zero, sizeof zero - 1);
    CHECK(loomp_config_file(config, "zero.conf") == -EINVAL);
    CHECK_TEXT(loomp_error(), "zero.conf: not a text file, it contains a zero byte");
    CHECK(loomp_config_file(config, "/dev/zero") == -EFBIG);
    CHECK(lp_settings_bool(config, LP_PIN));
    loomp_config_free(config);
}

TEST(included_files_keep_their_own_names_and_lines)
{
    loomp_config *config = loomp_config_new();
    write_file("io.conf", "# I/O\nthreads = 3;\n");
    read_good(config, "pin = false;\nio: {\n  @include \"io.conf\"\n  cpus = \"1\";\n};\n"
                      "spin_us = 2;");
    CHECK_TEXT(loomp_config_source(config, "pin"), "app.conf:1");
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "io.conf:2");
    CHECK_TEXT(loomp_config_source(config, "io.cpus"), "app.conf:4");
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "app.conf:6");
    loomp_config_free(config);
}

TEST(errors_in_included_files_name_the_included_file)
{
    write_file("io.conf", "cpus = \"1\";\nthread = 3;");
    read_bad("io: {\n@include \"io.conf\"\n};",
             "io.conf:2: unknown key `thread' in group `io', did you mean `threads'?");
    write_file("io.conf", "cpus = \"1\";\nthreads == 3;");
    read_bad("io: {\n@include \"io.conf\"\n};", "io.conf:2: syntax error");
    write_file("io.conf", "cpus = \"1\";\nthreads = 3;");
    read_bad("io: {\n@include \"io.conf\"\n};\nwrong = 1;\n",
             "app.conf:4: unknown key `wrong', the nearest is `pin'");
}

TEST(included_names_are_relative_to_the_including_file_or_absolute)
{
    loomp_config *config = loomp_config_new();
    char directory[4096], content[4200];
    write_file("sub/top.conf", "@include \"inner.conf\"\nspin_us = 5;\n");
    write_file("sub/inner.conf", "pin = false;\n");
    CHECK(loomp_config_file(config, "sub/top.conf") == 0);
    CHECK_TEXT(loomp_config_source(config, "pin"), "sub/inner.conf:1");
    CHECK_TEXT(loomp_config_source(config, "spin_us"), "sub/top.conf:2");
    CHECK(getcwd(directory, sizeof directory) != NULL);
    snprintf(content, sizeof content, "@include \"%s/sub/inner.conf\"\n", directory);
    write_file("sub/absolute.conf", content);
    CHECK(loomp_config_file(config, "sub/absolute.conf") == 0);
    CHECK(strstr(loomp_config_source(config, "pin"), "/sub/inner.conf:1") != NULL);
    loomp_config_free(config);
}

TEST(an_include_that_cannot_be_read_is_an_error_even_in_an_optional_file)
{
    loomp_config *config = loomp_config_new();
    write_file("app.conf", "pin = false;\n@include \"gone.conf\"\n");
    CHECK(loomp_config_file_optional(config, "app.conf") == -EINVAL);
    CHECK_TEXT(loomp_error(), "app.conf:2: cannot read the included file `gone.conf': No such file "
                              "or directory");
    loomp_config_free(config);
    read_bad("@include \"sub\"\n",
             "app.conf:1: cannot read the included file `sub': Is a directory");
    read_bad("@include \"app.conf\"\n", "app.conf:1: files are included more than 10 deep");
    read_bad("@include \"app.conf\n", "app.conf:1: the name of the included file has no closing "
                                      "\"");
    read_bad("@include app.conf\n", "app.conf:1: syntax error");
}

TEST(an_include_in_a_comment_or_a_string_is_none)
{
    loomp_config *config = loomp_config_new();
    read_good(config, "/*\n@include \"gone.conf\"\n*/\n# \"\n//\"\nloomp: { pin = false; };\n"
                      "text = \"\n@include \\\"gone.conf\\\"\n\";\n");
    CHECK(!lp_settings_bool(config, LP_PIN));
    loomp_config_free(config);
}

/* ---- environment ----------------------------------------------------------------------------- */

TEST(variables_set_values_and_are_named_as_their_source)
{
    loomp_config *config = loomp_config_new();
    setenv(PREFIX "_COMPUTE_STACK_SIZE", "16M", 1);
    setenv(PREFIX "_LOG_RANK0_ONLY", "no", 1);
    setenv(PREFIX "_CPUS", "", 1);
    CHECK(loomp_config_env(config, PREFIX) == 0);
    CHECK(lp_settings_int(config, LP_COMPUTE_STACK_SIZE) == 16 << 20);
    CHECK_TEXT(loomp_config_source(config, "compute.stack_size"), PREFIX "_COMPUTE_STACK_SIZE");
    CHECK(!lp_settings_bool(config, LP_LOG_RANK0_ONLY));
    CHECK_TEXT(loomp_config_source(config, "cpus"), PREFIX "_CPUS");
    unsetenv(PREFIX "_COMPUTE_STACK_SIZE");
    unsetenv(PREFIX "_LOG_RANK0_ONLY");
    unsetenv(PREFIX "_CPUS");
    loomp_config_free(config);
}

TEST(an_unknown_variable_is_refused_with_the_nearest)
{
    env_bad(PREFIX "_IO_THREAD", "2",
            "unknown environment variable `LPTEST_IO_THREAD', did you mean `LPTEST_IO_THREADS'?");
    env_bad(PREFIX "_io_threads", "2",
            "unknown environment variable `LPTEST_io_threads', did you mean `LPTEST_IO_THREADS'?");
    env_bad(PREFIX "_", "2", "unknown environment variable `LPTEST_', the nearest is `LPTEST_PIN'");
}

TEST(a_bad_value_of_a_variable_is_refused_with_its_name)
{
    env_bad(PREFIX "_QUEUE_LIMIT", "many",
            "LPTEST_QUEUE_LIMIT: `many' is not valid for queue_limit, which takes a whole number "
            "from 1 to 16777216");
}

TEST(only_variables_with_prefix_and_underscore_matter)
{
    loomp_config *config = loomp_config_new();
    setenv(PREFIX "X_IO_THREADS", "wrong", 1);
    setenv("X" PREFIX "_IO_THREADS", "wrong", 1);
    setenv(PREFIX, "wrong", 1);
    CHECK(loomp_config_env(config, PREFIX) == 0);
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "default");
    unsetenv(PREFIX "X_IO_THREADS");
    unsetenv("X" PREFIX "_IO_THREADS");
    unsetenv(PREFIX);
    loomp_config_free(config);
}

TEST(the_variables_config_and_test_are_left_to_others)
{
    loomp_config *config = loomp_config_new();
    setenv(PREFIX "_CONFIG", "app.conf", 1);
    setenv(PREFIX "_TEST_SEED", "1", 1);
    CHECK(loomp_config_env(config, PREFIX) == 0);
    unsetenv(PREFIX "_CONFIG");
    unsetenv(PREFIX "_TEST_SEED");
    loomp_config_free(config);
    env_bad(PREFIX "_CONFIGS", "app.conf",
            "unknown environment variable `LPTEST_CONFIGS', the nearest is `LPTEST_CORES'");
}

TEST(a_prefix_that_no_variable_can_have_is_refused)
{
    static const char *const bad[] = {"", "1A", "A-B", "A=B", "A B"};
    loomp_config *config = loomp_config_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(loomp_config_env(config, bad[i]) == -EINVAL);
    }
    loomp_config_free(config);
}

TEST(the_first_of_two_entries_with_one_name_counts_as_for_getenv)
{
    char *entries[] = {(char[]){PREFIX "_IO_THREADS=2"}, (char[]){PREFIX "_IO_THREADS=3"},
                       (char[]){PREFIX "_NOT_AN_ASSIGNMENT"}, NULL};
    char **kept = environ;
    loomp_config *config = loomp_config_new();
    environ = entries;
    int err = loomp_config_env(config, PREFIX);
    environ = kept;
    CHECK(err == 0);
    CHECK_TEXT(loomp_config_value(config, "io.threads"), "2");
    environ = NULL;
    err = loomp_config_env(config, PREFIX);
    environ = kept;
    CHECK(err == 0);
    loomp_config_free(config);
}

/* ---- command line ---------------------------------------------------------------------------- */

TEST(loomp_s_options_are_taken_out_of_argv_and_the_program_s_stay_in_order)
{
    loomp_config *config = loomp_config_new();
    struct command_line line =
        command_line("program", "-v", "--loomp-io-threads=2", "file", "--loomp-no", "--", NULL);
    line.argv[4] = (char[]){"--loomp-compute-stack-size=1G"};
    CHECK(loomp_config_args(config, &line.argc, line.argv) == 0);
    CHECK(line.argc == 4);
    CHECK_TEXT(line.argv[0], "program");
    CHECK_TEXT(line.argv[1], "-v");
    CHECK_TEXT(line.argv[2], "file");
    CHECK_TEXT(line.argv[3], "--");
    CHECK(line.argv[4] == NULL);
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "--loomp-io-threads");
    CHECK_TEXT(loomp_config_source(config, "compute.stack_size"), "--loomp-compute-stack-size");
    CHECK_TEXT(loomp_config_value(config, "compute.stack_size"), "1G");
    loomp_config_free(config);
}

TEST(options_after_two_dashes_belong_to_the_program)
{
    loomp_config *config = loomp_config_new();
    struct command_line line =
        command_line("program", "--loomp-pin=no", "--", "--loomp-io-threads=2", "--loomp-x", NULL);
    CHECK(loomp_config_args(config, &line.argc, line.argv) == 0);
    CHECK(line.argc == 4);
    CHECK_TEXT(line.argv[1], "--");
    CHECK_TEXT(line.argv[2], "--loomp-io-threads=2");
    CHECK_TEXT(line.argv[3], "--loomp-x");
    CHECK_TEXT(loomp_config_source(config, "io.threads"), "default");
    loomp_config_free(config);
}

TEST(the_last_of_repeated_options_counts)
{
    loomp_config *config = loomp_config_new();
    struct command_line line =
        command_line("program", "--loomp-io-threads=2", "--loomp-io-threads=3", NULL);
    CHECK(loomp_config_args(config, &line.argc, line.argv) == 0);
    CHECK(lp_settings_int(config, LP_IO_THREADS) == 3);
    loomp_config_free(config);
}

TEST(a_truth_value_needs_no_value_and_can_be_negated)
{
    loomp_config *config = loomp_config_new();
    args_good(config, "--no-loomp-pin");
    CHECK(!lp_settings_bool(config, LP_PIN));
    CHECK_TEXT(loomp_config_source(config, "pin"), "--no-loomp-pin");
    args_good(config, "--loomp-pin");
    CHECK(lp_settings_bool(config, LP_PIN));
    CHECK_TEXT(loomp_config_source(config, "pin"), "--loomp-pin");
    args_good(config, "--loomp-pin=false");
    CHECK(!lp_settings_bool(config, LP_PIN));
    args_good(config, "--no-loomp-log-rank0-only");
    CHECK(!lp_settings_bool(config, LP_LOG_RANK0_ONLY));
    loomp_config_free(config);
}

TEST(bad_options_are_refused_and_then_nothing_is_taken)
{
    args_bad("--loomp-io-thread=2",
             "unknown option `--loomp-io-thread', did you mean `--loomp-io-threads'?");
    args_bad("--loomp-queue_limit=2",
             "unknown option `--loomp-queue_limit', did you mean `--loomp-queue-limit'?");
    args_bad("--loomp-hepl", "unknown option `--loomp-hepl', did you mean `--loomp-help'?");
    args_bad("--loomp-", "unknown option `--loomp-', the nearest is `--loomp-pin'");
    args_bad("--no-loomp-pni", "unknown option `--no-loomp-pni', did you mean `--no-loomp-pin'?");
    args_bad("--no-loomp-io-threads",
             "--no-loomp-io-threads: io.threads is not true or false, so it has no such option; "
             "`--loomp-io-threads=' sets it");
    args_bad("--no-loomp-pin=1", "--no-loomp-pin takes no value; `--loomp-pin=' does");
    args_bad("--loomp-spin-us",
             "--loomp-spin-us needs a value after `=': a number from 0 to 1000000");
    args_bad("--loomp-io-threads=0",
             "--loomp-io-threads: `0' is out of range for io.threads, which takes a whole number "
             "from 1 to 1024");
    args_bad("--loomp-pin=maybe",
             "--loomp-pin: `maybe' is not valid for pin, which takes true or false");
}

TEST(similar_options_of_the_program_are_left_alone)
{
    loomp_config *config = loomp_config_new();
    struct command_line line =
        command_line("--loomp-pin", "--loomp", "-loomp-pin", "--loompx-y", "loomp", "", NULL);
    CHECK(loomp_config_args(config, &line.argc, line.argv) == 0);
    CHECK(line.argc == 6);
    CHECK_TEXT(loomp_config_source(config, "pin"), "default");
    loomp_config_free(config);
}

TEST(an_empty_command_line_is_fine)
{
    loomp_config *config = loomp_config_new();
    char *argv[] = {NULL};
    int argc = 0;
    CHECK(loomp_config_args(config, &argc, argv) == 0);
    CHECK(argc == 0);
    loomp_config_free(config);
}

TEST(asking_for_help_is_reported_and_the_option_taken)
{
    loomp_config *config = loomp_config_new();
    struct command_line line = command_line("program", "--loomp-help", "x", NULL);
    CHECK(loomp_config_args(config, &line.argc, line.argv) == 1);
    CHECK(line.argc == 2);
    CHECK_TEXT(line.argv[1], "x");
    loomp_config_free(config);
}

TEST(the_help_has_an_aligned_line_for_every_row)
{
    char *help = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&help, &bytes);
    loomp_config_help(out);
    fclose(out);
    char *rest = help;
    char *line = strsep(&rest, "\n");
    CHECK(strncmp(line, "option ", 7) == 0);
    const char *takes_title = strstr(line, "  takes");
    const char *default_title = strstr(line, "  default");
    const char *meaning_title = strstr(line, "  meaning");
    if (CHECK(takes_title && default_title && meaning_title)) {
        size_t takes = (size_t)(takes_title - line);
        size_t defaults = (size_t)(default_title - line);
        size_t meaning = (size_t)(meaning_title - line);
        for (int row = 0; row < LP_KEY_COUNT; row++) {
            char option[LP_NAME_BYTES], range[LP_NAME_BYTES];
            line = strsep(&rest, "\n");
            lp_row_option(row, option);
            lp_row_range(&lp_rows[row], range);
            CHECK(strlen(line) < 140);
            CHECK(strncmp(strstr(line, "loomp-") + 6, option, strlen(option)) == 0);
            CHECK(strncmp(line + takes + 2, range, strlen(range)) == 0);
            CHECK(line[takes] == ' ' && line[defaults] == ' ' && line[meaning] == ' ');
            CHECK_TEXT(line + meaning + 2, lp_rows[row].help);
        }
    }
    free(help);
}

TEST(the_help_ends_with_pools_sites_and_presets)
{
    char *help = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&help, &bytes);
    loomp_config_help(out);
    fclose(out);
    CHECK(strstr(help, "--loomp-pools-NAME-threads=N ") != NULL);
    CHECK(strstr(help, "--[no-]loomp-pools-NAME-blocking ") != NULL);
    CHECK(strstr(help, "--loomp-sites-NAME-arm=WORD  inline|task|team  ") != NULL);
    CHECK(strstr(help, "--loomp-sites-NAME-width=N   0..4096 ") != NULL);
    for (const struct lp_preset *preset = lp_presets; preset->name; preset++) {
        CHECK(strstr(help, preset->name) != NULL);
    }
    free(help);
}

/* ---- shipped files --------------------------------------------------------------------------- */

#define SHIPPED LOOMP_TEST_DATA "/../../examples/settings/"

TEST(the_shipped_files_are_good_and_set_what_they_are_for)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_file(config, SHIPPED "many-requests.conf") == 0);
    CHECK_TEXT(loomp_config_value(config, "preset"), "latency");
    CHECK(lp_settings_int(config, LP_IO_THREADS) > 1);
    loomp_config_free(config);

    config = loomp_config_new();
    CHECK(loomp_config_file(config, SHIPPED "batch.conf") == 0);
    CHECK_TEXT(loomp_config_value(config, "preset"), "throughput");
    CHECK(lp_settings_is_set(config, LP_BLOCKING_THREADS));
    loomp_config_free(config);

    config = loomp_config_new();
    CHECK(loomp_config_file(config, SHIPPED "mixed.conf") == 0);
    CHECK_TEXT(loomp_config_pool(config, 0), "requests");
    CHECK_TEXT(loomp_config_pool(config, 1), "hdd");
    CHECK(loomp_config_pool(config, 2) == NULL);
    loomp_config_free(config);
}

/* ---- variables of OpenMP --------------------------------------------------------------------- */

/* The settings that these variables lead to; NULL is not set. */
static loomp_config *config_of_openmp(const char *threads, const char *places, const char *bind)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND"};
    const char *values[] = {threads, places, bind};
    char *before[3];
    loomp_config *config = loomp_config_new();
    for (int i = 0; i < 3; i++) {
        const char *old = getenv(names[i]);
        before[i] = old ? strdup(old) : NULL;
        values[i] ? setenv(names[i], values[i], 1) : unsetenv(names[i]);
    }
    CHECK(lp_settings_read_openmp(config) == 0);
    for (int i = 0; i < 3; i++) {
        before[i] ? setenv(names[i], before[i], 1) : unsetenv(names[i]);
        free(before[i]);
    }
    return config;
}

TEST(the_number_of_openmp_threads_is_that_of_compute)
{
    static const struct {
        const char *variable, *value;
    } cases[] = {{"4", "4"}, {" 12 ", "12"}, {"3,2,1", "3"}, {"", "0"}, {"many", "0"}, {"-1", "0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loomp_config *config = config_of_openmp(cases[i].variable, NULL, NULL);
        CHECK_TEXT(loomp_config_value(config, "compute.threads"), cases[i].value);
        loomp_config_free(config);
    }
}

TEST(places_of_openmp_are_taken_where_the_setting_has_them)
{
    static const struct {
        const char *variable, *places, *threads;
    } cases[] = {
        {"{0:4},{4:4}", "{0:4},{4:4}", "0"},
        {"cores", "cores", "0"},
        {"THREADS", "threads", "0"},
        {"ll_caches(3)", "l3", "3"},
        {"numa_domains", "numa", "0"},
        {"sockets", "cores", "0"},
        {"coresandmore", "cores", "0"},
        {"cores(x)", "cores", "0"},
        {"cores(", "cores", "0"},
        {"{x}", "cores", "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loomp_config *config = config_of_openmp(NULL, cases[i].variable, NULL);
        CHECK_TEXT(loomp_config_value(config, "places"), cases[i].places);
        CHECK_TEXT(loomp_config_value(config, "compute.threads"), cases[i].threads);
        loomp_config_free(config);
    }
    loomp_config *config = config_of_openmp("2", "cores(8)", NULL);
    CHECK_TEXT(loomp_config_value(config, "compute.threads"), "2");
    loomp_config_free(config);
}

TEST(only_a_false_binding_of_openmp_unpins)
{
    static const char *const binds[] = {"false", "FALSE", "true", "close", "spread,close", NULL};
    for (size_t i = 0; i < sizeof binds / sizeof *binds; i++) {
        loomp_config *config = config_of_openmp(NULL, NULL, binds[i]);
        CHECK_TEXT(loomp_config_value(config, "pin"), i < 2 ? "false" : "true");
        CHECK_TEXT(loomp_config_source(config, "pin"), i < 2 ? "OMP_PROC_BIND" : "default");
        loomp_config_free(config);
    }
}

TEST(a_file_is_stronger_than_variables_of_openmp)
{
    loomp_config *config = config_of_openmp("4", "threads", NULL);
    CHECK_TEXT(loomp_config_source(config, "compute.threads"), "OMP_NUM_THREADS");
    read_good(config, "compute: { threads = 6; };");
    CHECK_TEXT(loomp_config_value(config, "compute.threads"), "6");
    CHECK_TEXT(loomp_config_value(config, "places"), "threads");
    loomp_config_free(config);
}

/* ---- copies ---------------------------------------------------------------------------------- */

TEST(a_copy_is_independent_and_keeps_every_layer)
{
    loomp_config *config = loomp_config_new();
    int topology;
    loomp_config_topology(config, (struct hwloc_topology *)&topology);
    read_good(config, "io: { threads = 2; };\npreset = \"shared-node\";");
    CHECK(loomp_config_set(config, "prefix", "one") == 0);
    loomp_config *copy = lp_settings_copy(config);
    CHECK(loomp_config_set(config, "prefix", "two") == 0);
    CHECK_TEXT(lp_settings_text(copy, LP_PREFIX), "one");
    loomp_config_free(config);
    CHECK_TEXT(loomp_config_source(copy, "io.threads"), "app.conf:1");
    CHECK_TEXT(loomp_config_source(copy, "spin_us"), "preset shared-node");
    CHECK(lp_settings_topology(copy) == (struct hwloc_topology *)&topology);
    loomp_config_free(copy);
}

TEST(without_a_topology_there_is_none)
{
    loomp_config *config = loomp_config_new();
    CHECK(lp_settings_topology(config) == NULL);
    loomp_config_free(config);
}

int main(int argc, char **argv)
{
    return settings_tests_run(argc, argv);
}
