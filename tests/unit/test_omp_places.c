/* SPDX-License-Identifier: MIT */
/* Tests of placement/omp_places.c: what explicit lists mean, and which are refused. */
#define SUITE "omp_places"
#include "harness.h"

#include "base/error.h"
#include "fault/faults.h"
#include "placement/omp_places.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* The list must be read, and written again like this. */
static void check(const char *text, unsigned count, const char *written)
{
    struct lp_omp_places places;
    if (!CHECK(lp_omp_places_parse(&places, text) == 0)) {
        CHECK_TEXT(loomp_error(), text);
        return;
    }
    CHECK(places.count == count);
    char *again = lp_omp_places_text(places.places, places.count);
    if (written) {
        CHECK_TEXT(again, written);
    }
    /* What was written means the same. */
    struct lp_omp_places second;
    if (CHECK(lp_omp_places_parse(&second, again) == 0)) {
        CHECK(second.count == places.count);
        for (unsigned i = 0; i < places.count && i < second.count; i++) {
            CHECK(lp_cpuset_equal(places.places[i], second.places[i]));
        }
        lp_omp_places_fini(&second);
    }
    free(again);
    lp_omp_places_fini(&places);
    CHECK(places.count == 0 && places.places == NULL);
}

static void check_bad(const char *text, int err, const char *sentence)
{
    struct lp_omp_places places = {.count = 77};
    if (!CHECK(lp_omp_places_parse(&places, text) == err)) {
        CHECK_TEXT(text, "refused");
    }
    CHECK(places.count == 77);
    if (sentence) {
        CHECK_TEXT(loomp_error(), sentence);
    }
}

TEST(a_place_lists_its_cpus)
{
    check("{0}", 1, "{0}");
    check("{0,1}", 1, "{0,1}");
    check("{3,1,2}", 1, "{1:3}");
    check("{0,1},{2,3}", 2, "{0,1},{2,3}");
    check("{5},{5},{4}", 3, "{5},{5},{4}");
    check("{1048575}", 1, "{1048575}");
}

TEST(an_interval_in_a_place_has_a_length_and_a_stride)
{
    check("{0:4}", 1, "{0:4}");
    check("{0:1}", 1, "{0}");
    check("{0:4:2}", 1, "{0,2,4,6}");
    check("{7:4:-1}", 1, "{4:4}");
    check("{6:4:-2}", 1, "{0,2,4,6}");
    check("{0:3,8:3}", 1, "{0:3,8:3}");
    check("{4:3:+1}", 1, "{4:3}");
    check("{4:3:0}", 1, "{4}");
    check("{0:1:1048575}", 1, "{0}");
}

TEST(an_interval_of_places_repeats_a_place)
{
    check("{0,1}:4:2", 4, "{0,1},{2,3},{4,5},{6,7}");
    check("{0:4}:4:4", 4, "{0:4},{4:4},{8:4},{12:4}");
    check("{0}:4", 4, "{0},{1},{2},{3}");
    check("{0,64}:3", 3, "{0,64},{1,65},{2,66}");
    check("{6,7}:4:-2", 4, "{6,7},{4,5},{2,3},{0,1}");
    check("{3}:2:0", 2, "{3},{3}");
    check("{0:2}:2:2,{8}:2", 4, "{0,1},{2,3},{8},{9}");
    check("{0}:16384:1", 16384, NULL);
    check("{0}:65536:0", 65536, NULL);
}

TEST(what_is_marked_is_taken_out)
{
    check("{0:4,!2}", 1, "{0,1,3}");
    check("{0:4,!2,!0}", 1, "{1,3}");
    check("{0:4,!2,2}", 1, "{0:4}");
    check("{0}:4,!{2}", 3, "{0},{1},{3}");
    check("{0},{1},{0},!{0}", 1, "{1}");
    check("{0},{1},!{0},{0}", 2, "{1},{0}");
    check("{0,1}:2:2,!{3:2:-1}", 1, "{0,1}");
}

TEST(blanks_are_allowed_everywhere_between_signs)
{
    check(" { 0 , 1 } : 2 : 2 ,\t! { 2 , 3 } \n", 1, "{0,1}");
    check("{ 7 : 3 : - 2 , ! 5 }", 1, "{3,7}");
}

TEST(bad_lists_are_refused_with_the_place_of_the_mistake)
{
    check_bad("{0,1", -EINVAL, "places `{0,1': expected , or } at character 5, `'");
    check_bad("{0},{a}", -EINVAL,
              "places `{0},{a}': expected the number of a CPU at character 6, `a}'");
    check_bad("cores", -EINVAL,
              "places `cores': expected a place like {0,1} or {0:4} at character 1, `cores'");
    check_bad("{0}:0", -EINVAL, "places `{0}:0': a length is at least 1 at character 5, `0'");
    check_bad("{2:4:-1}", -EINVAL,
              "places `{2:4:-1}': the CPUs run below 0 at character 2, `2:4:-1}'");
    check_bad("{3}:5:-1", -EINVAL,
              "places `{3}:5:-1': the places run below CPU 0 at character 1, `{3}:5:-1'");
    check_bad("{0},!{1}", -EINVAL,
              "places `{0},!{1}': there is no such place to take out at character 5, `!{1}'");
    check_bad("{0,!1}", -EINVAL,
              "places `{0,!1}': the place has no such CPU to take out at character 5, `1}'");
    check_bad("{0,!0}", -EINVAL, "places `{0,!0}': the place has no CPU at character 1, `{0,!0}'");
    check_bad("{0},!{0}", -EINVAL, "places `{0},!{0}': no place is left");
}

TEST(other_bad_lists_are_refused)
{
    static const char *const bad[] = {
        "",          " ",          ",",          "{}",     "{0},",   ",{0}",      "{0},,{1}",
        "{0}{1}",    "{0} x",      "{0,}",       "{,0}",   "{0 1}",  "{-1}",      "{+1}",
        "{0-3}",     "{0:}",       "{0:-1}",     "{0:0}",  "{0::1}", "{0:1:}",    "{0:2:--1}",
        "{0:2:1:1}", "{0}:",       "{0}:-1",     "{0}::1", "{0}:2:", "{0}:2:1:1", "!",
        "!{0}",      "{0},!{0}:2", "{0:4,!0:2}", "{!0}",   "{{0}}",  "0",         "{0",
        "}",         "{0x1}",      "threads(4)", "{0}\\n", "{1.5}",  "{0:2:-1}",  "{1}:3:-1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_bad(bad[i], -EINVAL, NULL);
    }
}

TEST(lists_that_are_too_large_are_refused_without_work)
{
    static const char *const large[] = {
        "{1048576}",
        "{99999999999999999999}",
        "{18446744073709551616}",
        "{0:1048577}",
        "{1:1048576}",
        "{0:2:1048576}",
        "{0:1048576:1048575}",
        "{0:99999999999999999999}",
        "{0:2:-99999999999999999999}",
        "{0}:65537",
        "{0}:65536,{0}",
        "{1048575}:2",
        "{0}:65536:1048575",
        "{0}:65536:1",
        "{0:1048576}:65536:0",
        "{1048575}:65536:0",
    };
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        check_bad(large[i], -E2BIG, NULL);
    }
    /* Many intervals that are each allowed. */
    enum {
        TIMES = 64
    };
    char text[TIMES * 16 + 8] = "{0:1048576";
    for (int i = 1; i < TIMES; i++) {
        strcat(text, ",0:1048576");
    }
    strcat(text, "}");
    check_bad(text, -E2BIG, NULL);
}

TEST(a_machine_of_4096_cpus_fits)
{
    check("{0}:4096:1", 4096, NULL);
    check("{0,1,2048,2049}:1024:2", 1024, NULL);
    check("{0:128}:32:128", 32, NULL);
}

TEST(an_empty_list_is_written_as_nothing)
{
    char *text = lp_omp_places_text(NULL, 0);
    CHECK_TEXT(text, "");
    free(text);
}

/* A fixed seed, so that a failure comes again. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

TEST(no_text_does_harm)
{
    static const char signs[] = "{{}}::,,!-+ 0123478";
    uint32_t state = 5;
    unsigned good = 0;
    for (int variant = 0; variant < 20000; variant++) {
        char text[32] = "{0:2}:2:4,{1}";
        unsigned changes = next_random(&state) % 4;
        size_t length = strlen(text);
        for (unsigned i = 0; i < changes; i++) {
            text[next_random(&state) % length] = signs[next_random(&state) % (sizeof signs - 1)];
        }
        struct lp_omp_places places;
        if (lp_omp_places_parse(&places, text) == 0) {
            good++;
            CHECK(places.count > 0);
            for (unsigned i = 0; i < places.count; i++) {
                CHECK(lp_cpuset_first(places.places[i]) >= 0);
            }
            lp_omp_places_fini(&places);
        }
    }
    CHECK(good > 1000);
    CHECK(good < 19000);
}

TEST(without_memory_a_list_is_refused_and_nothing_is_left_over)
{
    long blocks = atomic_load(&live_blocks);
    bool failed = true;
    for (long n = 1; failed; n++) {
        struct lp_omp_places places = {.count = 77};
        atomic_store(&fault_hits, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], n);
        int err = lp_omp_places_parse(&places, "{0:4,!2}:20:4,{0},!{0}");
        char *text = err == 0 ? lp_omp_places_text(places.places, places.count) : NULL;
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        failed = atomic_load(&fault_hits) > 0;
        CHECK(failed == (text == NULL));
        CHECK(err == 0 || (err == -ENOMEM && places.count == 77));
        if (failed) {
            CHECK(strstr(loomp_error(), "no memory") != NULL);
        }
        free(text);
        if (err == 0) {
            lp_omp_places_fini(&places);
        }
        CHECK(atomic_load(&live_blocks) == blocks);
    }
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
