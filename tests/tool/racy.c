/* SPDX-License-Identifier: MIT */
/* Two programs that show whether the thread sanitizer works here: `racy race` has a data race between
 * the threads of an OpenMP team, `racy none` is ordered by a barrier and the end of the region alone,
 * which the sanitizer knows only if Archer tells it what libomp does. Exit status 66: reported. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int race = argc > 1 && strcmp(argv[1], "race") == 0;
    long shared = 0;
    long each[2] = {0, 0};
    int round;

    for (round = 0; round < 100; round++) {
#pragma omp parallel num_threads(2)
        {
            int me = omp_get_thread_num();

            if (race) {
                shared += 1;
            } else {
                /* Thread 0 reads what both write, between a barrier and the end of the region. */
                each[me] += 1;
#pragma omp barrier
                if (me == 0) {
                    shared = each[0] + each[1];
                }
            }
        }
    }
    printf("%ld\n", shared);
    return 0;
}
