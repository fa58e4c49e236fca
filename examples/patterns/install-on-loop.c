/* SPDX-License-Identifier: MIT */
/* On a loop nothing waits: every call that would says so at once. The pattern is to submit and to
 * go on in `done`, which runs on the same loop. */
#include "pattern.h"

#include <errno.h>

static int team;
static loomp_group group;

static int count_team(void *arg)
{
    (void)arg;
    int count = 0;
#pragma omp parallel reduction(+ : count)
    count++;
    return count;
}

static void refused(const char *call, int err)
{
    printf("%-20s %s\n", call, loomp_error());
    EXPECT(err == -EDEADLK);
}

static int gang_work(loomp_job *job)
{
    team = count_team(job->data);
    return 0;
}

static void gang_done(loomp_job *job, int status)
{
    (void)job;
    EXPECT(status == 0);
    printf("submitted instead: done on %s, after a region of %d threads\n",
           loomp_loop_here() ? "the loop" : "another thread", team);
    EXPECT(loomp_loop_here() == loomp_loop_at(loomp_current(), 0));
}

static int on_loop(loomp_loop *loop, void *arg)
{
    static loomp_job gang;
    loomp_runtime *runtime = arg;
    (void)loop;
    refused("loomp_install:", loomp_install(runtime, count_team, NULL));
    refused("loomp_group_wait:", loomp_group_wait(&group, -1));
    refused("loomp_wait_idle:", loomp_wait_idle(runtime, -1));
    refused("loomp_stop:", loomp_stop(runtime));
    loomp_job_init(&gang, gang_work, gang_done);
    gang.kind = LOOMP_GANG;
    return loomp_submit(runtime, &gang);
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(2);
    loomp_group_init(&group, runtime);
    EXPECT(loomp_run_until_complete(runtime, on_loop, runtime) == 0);
    int threads = loomp_install(runtime, count_team, NULL);
    printf("loomp_install on a plain thread: a region of %d threads\n", threads);
    EXPECT(team == 2 && threads == 2);
    return pattern_end(runtime);
}
