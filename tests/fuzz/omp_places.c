/* SPDX-License-Identifier: MIT */
/* Fuzz target: explicit OMP_PLACES lists. The input is the list. What is accepted has places within
 * the limits, and is written so that it reads as the same places. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "placement/omp_places.h"

#include <errno.h>

enum {
    CPU_MAX = 1048575
};

static void check_places(const struct lp_omp_places *places, const char *text)
{
    FUZZ_CHECK(places->count > 0 && places->count <= LP_OMP_PLACES_MAX, "`%s': %u places", text,
               places->count);
    for (unsigned i = 0; i < places->count; i++) {
        const lp_cpuset *place = places->places[i];
        FUZZ_CHECK(lp_cpuset_count(place) > 0, "`%s': place %u has no CPU", text, i);
        FUZZ_CHECK(lp_cpuset_next(place, CPU_MAX) < 0, "`%s': place %u goes too far", text, i);
    }
}

static void check_same(const struct lp_omp_places *a, const struct lp_omp_places *b,
                       const char *text)
{
    FUZZ_CHECK(a->count == b->count, "`%s': %u places become %u", text, a->count, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        FUZZ_CHECK(lp_cpuset_equal(a->places[i], b->places[i]), "`%s': place %u changes", text, i);
    }
}

static void check_round_trip(const struct lp_omp_places *places, const char *text)
{
    char *written = lp_omp_places_text(places->places, places->count);
    FUZZ_CHECK(written, "`%s' cannot be written: %s", text, loomp_error());
    struct lp_omp_places again;
    int err = lp_omp_places_parse(&again, written);
    if (err != 0) {
        /* Rows are cheaper to read than the places that they stand for, so what is just within the
         * limit of work may be beyond it when each place is written out. */
        FUZZ_CHECK_FAILED(err, -E2BIG, 0);
        free(written);
        return;
    }
    check_same(places, &again, text);
    char *second = lp_omp_places_text(again.places, again.count);
    FUZZ_CHECK(second && strcmp(written, second) == 0, "`%s' is written in two ways", text);
    free(second);
    lp_omp_places_fini(&again);
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text((struct fuzz_input){(const char *)data, size});
    lp_cpuset *nobodys = NULL;
    struct lp_omp_places places = {.count = 77, .places = &nobodys};
    int err = lp_omp_places_parse(&places, text);
    if (err != 0) {
        FUZZ_CHECK_FAILED(err, -EINVAL, -E2BIG);
        FUZZ_CHECK(places.count == 77 && places.places == &nobodys,
                   "`%s' is refused, and changes "
                   "the answer",
                   text);
    } else {
        check_places(&places, text);
        check_round_trip(&places, text);
        lp_omp_places_fini(&places);
    }
    free(text);
    return 0;
}
