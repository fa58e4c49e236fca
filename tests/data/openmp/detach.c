/* SPDX-License-Identifier: MIT */
/* A detached task, which gcc compiles to something that libomp does not understand. */
#include <omp.h>
#include <stdio.h>

int main(void)
{
    omp_event_handle_t event;
#pragma omp parallel
#pragma omp single
    {
#pragma omp task detach(event)
        omp_fulfill_event(event);
#pragma omp taskwait
    }
    puts("done");
    return 0;
}
