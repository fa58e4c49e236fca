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
    FIELD(struct loomp_job, site);
    FIELD(struct loomp_job, size);
    FIELD(struct loomp_job, hint);
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

    STRUCT(struct loomp_site);
    FIELD(struct loomp_site, name);
    FIELD(struct loomp_site, hint);
    FIELD(struct loomp_site, kind);
    FIELD(struct loomp_site, private_);

    STRUCT(struct loomp_decision);
    FIELD(struct loomp_decision, site);
    FIELD(struct loomp_decision, size);
    FIELD(struct loomp_decision, arm);
    FIELD(struct loomp_decision, width);
    FIELD(struct loomp_decision, reason);
    FIELD(struct loomp_decision, cost_s);
    FIELD(struct loomp_decision, work_s);
    FIELD(struct loomp_decision, work_p95_s);
    FIELD(struct loomp_decision, inline_s);
    FIELD(struct loomp_decision, task_s);
    FIELD(struct loomp_decision, team_s);
    FIELD(struct loomp_decision, private_);

    STRUCT(struct loomp_site_model);
    FIELD(struct loomp_site_model, width);
    FIELD(struct loomp_site_model, calls);
    FIELD(struct loomp_site_model, samples);
    FIELD(struct loomp_site_model, ln_cost);
    FIELD(struct loomp_site_model, slope);
    FIELD(struct loomp_site_model, deviation);
    FIELD(struct loomp_site_model, mean_ratio);
    FIELD(struct loomp_site_model, p95_ratio);

    STRUCT(struct loomp_site_stats);
    FIELD(struct loomp_site_stats, size);
    FIELD(struct loomp_site_stats, name);
    FIELD(struct loomp_site_stats, calls);
    FIELD(struct loomp_site_stats, inlined);
    FIELD(struct loomp_site_stats, tasks);
    FIELD(struct loomp_site_stats, teams);
    FIELD(struct loomp_site_stats, railed);
    FIELD(struct loomp_site_stats, strikes);
    FIELD(struct loomp_site_stats, regret_s);
    FIELD(struct loomp_site_stats, size_least);
    FIELD(struct loomp_site_stats, size_most);
    FIELD(struct loomp_site_stats, model_count);
    FIELD(struct loomp_site_stats, models);

    STRUCT(struct loomp_call);
    FIELD(struct loomp_call, site);
    FIELD(struct loomp_call, size);
    FIELD(struct loomp_call, arm);
    FIELD(struct loomp_call, width);
    FIELD(struct loomp_call, reason);
    FIELD(struct loomp_call, loop);
    FIELD(struct loomp_call, at_s);
    FIELD(struct loomp_call, cost_s);
    FIELD(struct loomp_call, wait_s);
    FIELD(struct loomp_call, return_s);
    FIELD(struct loomp_call, work_s);
    FIELD(struct loomp_call, inline_s);
    FIELD(struct loomp_call, task_s);
    FIELD(struct loomp_call, team_s);
    FIELD(struct loomp_call, ready);
    FIELD(struct loomp_call, rate);

    STRUCT(struct loomp_stream_options);
    FIELD(struct loomp_stream_options, size);
    FIELD(struct loomp_stream_options, map);
    FIELD(struct loomp_stream_options, deliver);
    FIELD(struct loomp_stream_options, writable);
    FIELD(struct loomp_stream_options, closed);
    FIELD(struct loomp_stream_options, arg);
    FIELD(struct loomp_stream_options, to);
    FIELD(struct loomp_stream_options, window);
    FIELD(struct loomp_stream_options, order);
    FIELD(struct loomp_stream_options, on_error);
    FIELD(struct loomp_stream_options, kind);
    FIELD(struct loomp_stream_options, priority);
    FIELD(struct loomp_stream_options, width);
    FIELD(struct loomp_stream_options, flags);
    FIELD(struct loomp_stream_options, hint);
    FIELD(struct loomp_stream_options, pool);
    FIELD(struct loomp_stream_options, home);
    FIELD(struct loomp_stream_options, site);
    FIELD(struct loomp_stream_options, size_of);

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
    CONSTANT(LOOMP_HINT_UNKNOWN);
    CONSTANT(LOOMP_HINT_LOW);
    CONSTANT(LOOMP_HINT_MEDIUM);
    CONSTANT(LOOMP_HINT_HIGH);
    CONSTANT(LOOMP_INLINE);
    CONSTANT(LOOMP_TASK);
    CONSTANT(LOOMP_TEAM);
    CONSTANT(LOOMP_BY_COST);
    CONSTANT(LOOMP_BY_COLD);
    CONSTANT(LOOMP_BY_HINT);
    CONSTANT(LOOMP_BY_GR0);
    CONSTANT(LOOMP_BY_GR1);
    CONSTANT(LOOMP_BY_GR2);
    CONSTANT(LOOMP_BY_GR3);
    CONSTANT(LOOMP_BY_BUDGET);
    CONSTANT(LOOMP_BY_PLACE);
    CONSTANT(LOOMP_BY_PIN);
    CONSTANT(LOOMP_BY_PROFILE);
    CONSTANT(LOOMP_BY_MODE);
    CONSTANT(LOOMP_BY_TRIAL);
    CONSTANT(LOOMP_SITE_MODELS);
    CONSTANT(LOOMP_THREAD_IO);
    CONSTANT(LOOMP_THREAD_OMP);
    CONSTANT(LOOMP_THREAD_GANG);
    CONSTANT(LOOMP_THREAD_BLOCKING);
    CONSTANT(LOOMP_STATE_PARKED);
    CONSTANT(LOOMP_STATE_SEARCHING);
    CONSTANT(LOOMP_STATE_BUSY);
    CONSTANT(LOOMP_STATE_PAUSED);
    CONSTANT(LOOMP_STREAM_DROP);
    CONSTANT(LOOMP_STREAM_PASS);
    CONSTANT(LOOMP_STREAM_SKIP);
    CONSTANT(LOOMP_STREAM_STOP);
    CONSTANT(LOOMP_STREAM_ORDERED);
    CONSTANT(LOOMP_STREAM_UNORDERED);
    CONSTANT(LOOMP_LOG_NONE);
    CONSTANT(LOOMP_LOG_ERROR);
    CONSTANT(LOOMP_LOG_WARNING);
    CONSTANT(LOOMP_LOG_INFO);
    CONSTANT(LOOMP_LOG_DEBUG);
    return 0;
}
