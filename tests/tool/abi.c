/* SPDX-License-Identifier: MIT */
/* Prints the layout of the public structs and the values of the public constants, which may not
 * change while the library keeps its soname; abi.sh compares it with the recorded one. */
#include <loomp.h>

#include <stddef.h>
#include <stdio.h>

#define STRUCT(type) \
    printf("%s: %zu bytes, alignment %zu\n", #type, sizeof(type), _Alignof(type))
#define FIELD(type, field) \
    printf("%s.%s: %zu at %zu\n", #type, #field, sizeof(((type *)0)->field), offsetof(type, field))
#define CONSTANT(name) printf("%s: %lld\n", #name, (long long)(name))

int main(void)
{
    if (sizeof(void *) != 8 || sizeof(long) != 8) {
        return 77;
    }

    STRUCT(struct loomp_job);
    FIELD(struct loomp_job, work);
    FIELD(struct loomp_job, done);
    FIELD(struct loomp_job, data);
    FIELD(struct loomp_job, pool);
    FIELD(struct loomp_job, group);
    FIELD(struct loomp_job, home);
    FIELD(struct loomp_job, kind);
    FIELD(struct loomp_job, priority);
    FIELD(struct loomp_job, width);
    FIELD(struct loomp_job, flags);
    FIELD(struct loomp_job, deadline_s);
    FIELD(struct loomp_job, private_);

    STRUCT(struct loomp_group);
    FIELD(struct loomp_group, flags);
    FIELD(struct loomp_group, runtime_);
    FIELD(struct loomp_group, private_);

    STRUCT(struct loomp_thread_info);
    FIELD(struct loomp_thread_info, name);
    FIELD(struct loomp_thread_info, role);
    FIELD(struct loomp_thread_info, state);
    FIELD(struct loomp_thread_info, cpu);
    FIELD(struct loomp_thread_info, tid);
    FIELD(struct loomp_thread_info, jobs);
    FIELD(struct loomp_thread_info, spare_);

    STRUCT(struct loomp_pool_options);
    FIELD(struct loomp_pool_options, size);
    FIELD(struct loomp_pool_options, threads);
    FIELD(struct loomp_pool_options, blocking);
    FIELD(struct loomp_pool_options, cpus);
    FIELD(struct loomp_pool_options, gpu);
    FIELD(struct loomp_pool_options, spare_);

    STRUCT(struct loomp_pool_stats);
    FIELD(struct loomp_pool_stats, size);
    FIELD(struct loomp_pool_stats, threads);
    FIELD(struct loomp_pool_stats, queued);
    FIELD(struct loomp_pool_stats, queued_gangs);
    FIELD(struct loomp_pool_stats, serial);
    FIELD(struct loomp_pool_stats, tasks);
    FIELD(struct loomp_pool_stats, gangs);
    FIELD(struct loomp_pool_stats, gangs_narrowed);
    FIELD(struct loomp_pool_stats, helped);
    FIELD(struct loomp_pool_stats, stolen);
    FIELD(struct loomp_pool_stats, relieved);
    FIELD(struct loomp_pool_stats, withdrawn);
    FIELD(struct loomp_pool_stats, expired);
    FIELD(struct loomp_pool_stats, broadcasts);
    FIELD(struct loomp_pool_stats, spare_);

    STRUCT(struct loomp_reduction);
    FIELD(struct loomp_reduction, bytes);
    FIELD(struct loomp_reduction, start);
    FIELD(struct loomp_reduction, body);
    FIELD(struct loomp_reduction, combine);

    CONSTANT(LOOMP_SERIAL);
    CONSTANT(LOOMP_TASKS);
    CONSTANT(LOOMP_GANG);
    CONSTANT(LOOMP_LOW);
    CONSTANT(LOOMP_NORMAL);
    CONSTANT(LOOMP_HIGH);
    CONSTANT(LOOMP_MAY_WAIT);
    CONSTANT(LOOMP_UNTRACKED);
    CONSTANT(LOOMP_FP_ENV);
    CONSTANT(LOOMP_FIFO);
    CONSTANT(LOOMP_IF_OK);
    CONSTANT(LOOMP_GROUP_CANCEL_ON_ERROR);
    CONSTANT(LOOMP_JOB_IDLE);
    CONSTANT(LOOMP_JOB_QUEUED);
    CONSTANT(LOOMP_JOB_RUNNING);
    CONSTANT(LOOMP_JOB_ENDED);
    CONSTANT(LOOMP_THREAD_IO);
    CONSTANT(LOOMP_THREAD_OMP);
    CONSTANT(LOOMP_THREAD_GANG);
    CONSTANT(LOOMP_THREAD_BLOCKING);
    CONSTANT(LOOMP_STATE_PARKED);
    CONSTANT(LOOMP_STATE_SEARCHING);
    CONSTANT(LOOMP_STATE_BUSY);
    CONSTANT(LOOMP_STATE_PAUSED);
    CONSTANT(LOOMP_LOG_NONE);
    CONSTANT(LOOMP_LOG_ERROR);
    CONSTANT(LOOMP_LOG_WARNING);
    CONSTANT(LOOMP_LOG_INFO);
    CONSTANT(LOOMP_LOG_DEBUG);
    return 0;
}
