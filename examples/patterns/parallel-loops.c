/* SPDX-License-Identifier: MIT */
/* Loops without pragmas: the same call from main() and from a job, a sum that does not depend on the
 * number of threads, and a recursion that forks only where there is enough to do. */
#include "pattern.h"

enum { LENGTH = 1000000, GRAIN = 4096 };

static double field[LENGTH];

/* ---- a loop ------------------------------------------------------------------------------------ */

static int set_field(int64_t begin, int64_t end, void *arg)
{
    double scale = *(double *)arg;
    for (int64_t i = begin; i < end; i++) {
        field[i] = scale / (double)(i + 1);
    }
    return 0;
}

static int set_field_in_job(void *arg)
{
    return loomp_for(loomp_current(), 0, LENGTH, 0, set_field, arg);
}

/* ---- a sum ------------------------------------------------------------------------------------- */

static void start_sum(void *partial, void *arg)
{
    (void)arg;
    *(double *)partial = 0;
}

static int add_chunk(int64_t begin, int64_t end, void *partial, void *arg)
{
    (void)arg;
    double sum = 0;
    for (int64_t i = begin; i < end; i++) {
        sum += field[i];
    }
    *(double *)partial += sum;
    return 0;
}

static void add_partial(void *into, const void *from, void *arg)
{
    (void)arg;
    *(double *)into += *(const double *)from;
}

static double sum_of_field(loomp_runtime *runtime)
{
    static const struct loomp_reduction sum = {sizeof(double), start_sum, add_chunk, add_partial};
    double result = 0;
    EXPECT(loomp_for_reduce(runtime, 0, LENGTH, GRAIN, &sum, &result, NULL) == 0);
    return result;
}

/* ---- a recursion -------------------------------------------------------------------------------- */

struct count {
    loomp_runtime *runtime;
    int64_t begin, end;
    long found;
};

/* How many elements are below a thousandth. */
static int count_small(void *arg)
{
    struct count *count = arg;
    if (count->end - count->begin <= GRAIN) {
        for (int64_t i = count->begin; i < count->end; i++) {
            count->found += field[i] < 1e-3;
        }
        return 0;
    }
    struct count left = *count, right = *count;
    left.end = right.begin = count->begin + (count->end - count->begin) / 2;
    int err = loomp_join(count->runtime, count_small, &left, count_small, &right);
    count->found = left.found + right.found;
    return err;
}

int main(void)
{
    double first = 0;
    for (int threads = 1; threads <= 2; threads++) {
        loomp_runtime *runtime = pattern_start(threads);
        double scale = 2;
        EXPECT(loomp_for(runtime, 0, LENGTH, 0, set_field, &scale) == 0);
        EXPECT(field[0] == 2 && field[LENGTH - 1] == 2. / LENGTH);
        scale = 1;
        EXPECT(loomp_call(runtime, set_field_in_job, &scale, NULL, NULL) == 0);
        EXPECT(loomp_wait_idle(runtime, -1) == 0);
        EXPECT(field[0] == 1 && field[LENGTH - 1] == 1. / LENGTH);

        double sum = sum_of_field(runtime);
        first = threads == 1 ? sum : first;
        EXPECT(sum == first);
        struct count count = {runtime, 0, LENGTH, 0};
        EXPECT(count_small(&count) == 0 && count.found == LENGTH - 1000);
        printf("%d of compute: the sum is %a, %ld elements are small\n", threads, sum, count.found);
        EXPECT(pattern_end(runtime) == 0);
    }
    return pattern_failures ? 1 : 0;
}
