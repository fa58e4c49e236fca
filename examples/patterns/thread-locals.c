/* SPDX-License-Identifier: MIT */
/* Thread-local and threadprivate data belong to threads. Under loomp_install the threads are those
 * of loomp's gang team: they have copies of their own, which last from one install to the next, but
 * which main() and its own team never see. */
#include "pattern.h"

#include <omp.h>

static _Thread_local int local = 1;
static int private = 1;
#pragma omp threadprivate(private)

struct answer {
    int local, private[2];
    int given;
};

static int read_both(void *arg)
{
    struct answer *answer = arg;
    answer->local = local;
#pragma omp parallel num_threads(2)
    answer->private[omp_get_thread_num()] = private;
    return 0;
}

static int set_both(void *arg)
{
    struct answer *answer = arg;
    local = answer->given;
#pragma omp parallel num_threads(2)
    private = answer->given + omp_get_thread_num();
    return 0;
}

static void show(const char *who, const struct answer *answer)
{
    printf("%-34s local %3d, private %3d %3d\n", who, answer->local, answer->private[0],
           answer->private[1]);
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(2);
    struct answer mine = {.given = 10}, theirs = {.given = 20};

    set_both(&mine); /* main() and its own team */
    read_both(&mine);
    loomp_install(runtime, read_both, &theirs);
    show("main's, set to 10:", &mine);
    show("under loomp_install, not set:", &theirs);
    EXPECT(mine.local == 10 && mine.private[0] == 10 && mine.private[1] == 11);
    EXPECT(theirs.local == 1 && theirs.private[0] == 1 && theirs.private[1] == 1);

    loomp_install(runtime, set_both, &theirs);
    loomp_install(runtime, read_both, &theirs);
    read_both(&mine);
    show("under loomp_install, set to 20:", &theirs);
    show("main's afterwards:", &mine);
    EXPECT(theirs.local == 20 && theirs.private[0] == 20 && theirs.private[1] == 21);
    EXPECT(mine.local == 10 && mine.private[0] == 10 && mine.private[1] == 11);
    return pattern_end(runtime);
}
