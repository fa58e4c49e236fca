/* SPDX-License-Identifier: MIT */
/* Fuzz target: CPU lists. The input is the list. What is accepted has the CPUs that were marked,
 * and is written so that it reads as the same set; what is refused marks nothing. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "settings/settings.h"

#include <errno.h>

enum {
    CPUS = 1048576,
    WORD = 64
};

static uint64_t marks[CPUS / WORD];
static unsigned marked;

static void mark(void *arg, unsigned first, unsigned last)
{
    (void)arg;
    FUZZ_CHECK(first <= last && last < CPUS, "CPUs %u to %u", first, last);
    for (unsigned cpu = first; cpu <= last; cpu++) {
        marks[cpu / WORD] |= UINT64_C(1) << cpu % WORD;
        marked++;
    }
}

static void check_marks(const lp_cpuset *set)
{
    int count = 0;
    for (int cpu = lp_cpuset_first(set); cpu >= 0; cpu = lp_cpuset_next(set, cpu)) {
        FUZZ_CHECK(marks[cpu / WORD] >> cpu % WORD & 1, "CPU %d was not marked", cpu);
        count++;
    }
    int bits = 0;
    for (int i = 0; i < CPUS / WORD; i++) {
        bits += __builtin_popcountll(marks[i]);
    }
    FUZZ_CHECK(count == bits && count == lp_cpuset_count(set), "%d, %d and %d CPUs", count, bits,
               lp_cpuset_count(set));
}

/* The set as a text, which the caller frees; looks at what becomes of it in less room. */
static char *written(const lp_cpuset *set, size_t less)
{
    int bytes = lp_cpuset_format(set, NULL, 0);
    FUZZ_CHECK(bytes >= 0, "a length of %d", bytes);
    size_t room = (size_t)bytes + 1;
    char *text = fuzz_have(malloc(room));
    FUZZ_CHECK(lp_cpuset_format(set, text, room) == bytes, "another length for `%s'", text);
    FUZZ_CHECK(strlen(text) + 1 == room, "not the length of `%s'", text);

    size_t small = less % room + 1;
    char *cut = fuzz_have(malloc(small));
    FUZZ_CHECK(lp_cpuset_format(set, cut, small) == bytes, "another length for `%s', cut", text);
    FUZZ_CHECK(strlen(cut) < small && strncmp(cut, text, strlen(cut)) == 0, "`%s' of `%s'", cut,
               text);
    free(cut);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *list = fuzz_text((struct fuzz_input){(const char *)data, size});
    memset(marks, 0, sizeof marks);
    marked = 0;
    int good = lp_cpu_list_parse(list, NULL, NULL);
    int err = lp_cpu_list_parse(list, mark, NULL);
    lp_cpuset *set = lp_cpuset_parse(list);
    FUZZ_CHECK(err == good && (set != NULL) == (err == 0), "`%s': %d and %d", list, good, err);
    if (err != 0) {
        FUZZ_CHECK_FAILED(err, -EINVAL, 0);
        FUZZ_CHECK(marked == 0, "`%s' is refused and marks %u CPUs", list, marked);
    } else {
        check_marks(set);
        char *text = written(set, size);
        lp_cpuset *again = lp_cpuset_parse(text);
        FUZZ_CHECK(again, "`%s' is written as `%s': %s", list, text, loomp_error());
        FUZZ_CHECK(lp_cpuset_equal(set, again), "`%s' is written as `%s'", list, text);
        char *second = written(again, 0);
        FUZZ_CHECK(strcmp(text, second) == 0, "`%s' and then `%s'", text, second);
        free(second);
        lp_cpuset_free(again);
        free(text);
    }
    lp_cpuset_free(set);
    free(list);
    return 0;
}
