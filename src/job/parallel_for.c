/* SPDX-License-Identifier: MIT */
/* Owns parallel loops: their chunks, who does them, and the partial results of reductions.
 *
 * A loop is described on the stack of the thread that began it. Participants claim its pieces one
 * after the other from one counter: the caller, and SERIAL jobs that it submits, its helpers; on a
 * gang team, the threads of a region. When the caller finds no piece left it withdraws those helpers
 * that have not started, and waits for the others. A loop that is known to be short calls none, unless
 * it takes longer than expected. Any thread but loops enters; a loop starts one by a job
 * (loomp_for_async). */
#include "adaptive/grain.h"
#include "base/error.h"
#include "base/object_pool.h"
#include "base/platform.h"
#include "base/self.h"
#include "job/fork.h"
#include "team/gang_team.h"

#include <loomp/parallel.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Lengths are uint64_t: from INT64_MIN to INT64_MAX is more than an int64_t holds. */
struct loop {
    int64_t begin;
    uint64_t length;
    uint64_t grain;  /* indices of a chunk */
    uint64_t stride; /* indices of a piece: one chunk, or several of a reduction */
    uint64_t pieces;
    loomp_for_fn body;
    const struct loomp_reduction *reduction; /* NULL: body */
    char *result;                            /* the partial result of piece 0 */
    char *partials;                          /* those of the others */
    size_t partial_bytes;
    void *arg;
    const loomp_job *around; /* that the caller runs, or NULL */
    bool learns;             /* what an index costs: its grain was left to us */
    double expected_ns;      /* of the whole range; 0: unknown */
    /* The first error, by a compare-exchange of whoever has it; the others look at it before each
     * chunk (relaxed: a chunk that begins at the same time may), the caller when all have ended. */
    _Atomic int error;
    /* The next piece, moved by every participant. acq_rel: a caller that finds none left sees of each
     * helper that has had one that it had started. */
    LP_OWN_LINE _Atomic uint64_t next;
};

/* ---- taking part --------------------------------------------------------------------------------- */

static void fail(struct loop *loop, int error)
{
    int none = 0;
    atomic_compare_exchange_strong_explicit(&loop->error, &none, error, memory_order_relaxed,
                                            memory_order_relaxed);
}

static bool may_go_on(struct loop *loop)
{
    if (atomic_load_explicit(&loop->error, memory_order_relaxed)) {
        return false;
    }
    if (loop->around ? loomp_job_cancelled(loop->around) : loomp_cancelled()) {
        fail(loop, -ECANCELED);
        return false;
    }
    return true;
}

static char *partial_of(const struct loop *loop, uint64_t piece)
{
    return piece ? loop->partials + (piece - 1) * loop->partial_bytes : loop->result;
}

static int do_chunk(struct loop *loop, uint64_t piece, uint64_t from, uint64_t to)
{
    int64_t begin = (int64_t)((uint64_t)loop->begin + from);
    int64_t end = (int64_t)((uint64_t)loop->begin + to);
    if (!loop->reduction) {
        return loop->body(begin, end, loop->arg);
    }
    return loop->reduction->body(begin, end, partial_of(loop, piece), loop->arg);
}

/* False if nothing of the loop is to begin any more. */
static bool do_piece(struct loop *loop, uint64_t piece)
{
    uint64_t from = piece * loop->stride;
    uint64_t end = loop->length - from > loop->stride ? from + loop->stride : loop->length;
    if (loop->reduction) {
        loop->reduction->start(partial_of(loop, piece), loop->arg);
    }
    while (from < end) {
        if (!may_go_on(loop)) {
            return false;
        }
        uint64_t to = end - from > loop->grain ? from + loop->grain : end;
        int error = do_chunk(loop, piece, from, to);
        if (error) {
            fail(loop, error);
            return false;
        }
        from = to;
    }
    return true;
}

static uint64_t claim_piece(struct loop *loop)
{
    return atomic_fetch_add_explicit(&loop->next, 1, memory_order_acq_rel);
}

static void learn_from_piece(const struct loop *loop, uint64_t piece, uint64_t from_ns)
{
    uint64_t from = piece * loop->stride;
    uint64_t indices = loop->length - from < loop->stride ? loop->length - from : loop->stride;
    lp_grain_learn((lp_body)loop->body, indices, (double)(lp_now_ns() - from_ns));
}

/* The first piece of each participant is timed, if anything is to be learnt from it. */
static void take_part(void *arg)
{
    struct loop *loop = arg;
    uint64_t piece = claim_piece(loop);
    if (piece < loop->pieces && loop->learns) {
        uint64_t from_ns = lp_now_ns();
        if (!do_piece(loop, piece)) {
            return;
        }
        learn_from_piece(loop, piece, from_ns);
        piece = claim_piece(loop);
    }
    while (piece < loop->pieces && do_piece(loop, piece)) {
        piece = claim_piece(loop);
    }
}

/* ---- helpers ------------------------------------------------------------------------------------- */

struct helper {
    loomp_job job;
    struct loop *loop;
    struct helper *next; /* in the caller's list */
};

_Static_assert(sizeof(struct helper) <= LP_OBJECT_BYTES, "a helper is an object of the pool");

static int help(loomp_job *job)
{
    take_part(LOOMP_CONTAINER(job, struct helper, job)->loop);
    return 0;
}

/* How many threads of compute could take part beside the caller. */
static uint64_t helpers_wanted(loomp_runtime *runtime, const struct loop *loop)
{
    uint64_t threads = lp_pool_limit(runtime->compute);
    if (lp_self.pool == runtime->compute) {
        threads--; /* the caller's own */
    }
    return threads < loop->pieces - 1 ? threads : loop->pieces - 1;
}

/* Submits helpers, as many as there are queue and memory for, until no piece is left. */
static struct helper *call_helpers(loomp_runtime *runtime, struct loop *loop, loomp_group *group,
                                   uint64_t wanted)
{
    struct helper *list = NULL;
    while (wanted-- && atomic_load_explicit(&loop->next, memory_order_relaxed) < loop->pieces) {
        struct helper *helper = lp_object_take();
        if (!helper) {
            break;
        }
        lp_fork_init(&helper->job, help, group);
        helper->loop = loop;
        if (loomp_submit(runtime, &helper->job) != 0) {
            lp_object_give(helper);
            break;
        }
        helper->next = list;
        list = helper;
    }
    return list;
}

/* No piece is to begin any more. A helper that is seen queued has had none, and so none of the chunks
 * that may still be running is told to end. */
static void withdraw_queued(struct helper *list)
{
    for (struct helper *helper = list; helper; helper = helper->next) {
        if (loomp_job_state(&helper->job) == LOOMP_JOB_QUEUED) {
            loomp_cancel(&helper->job);
        }
    }
}

static void give_all(struct helper *list)
{
    while (list) {
        struct helper *next = list->next;
        lp_object_give(list);
        list = next;
    }
}

/* What waking a helper takes. A loop shorter than two of them is done before it would have come. */
enum { HELP_NS = 25000 };

/* The caller alone; true if pieces are left after as long as helpers are worth their while. */
static bool take_part_alone(struct loop *loop)
{
    uint64_t began_ns = lp_now_ns(), now_ns = began_ns;
    while (now_ns - began_ns < HELP_NS) {
        uint64_t piece = claim_piece(loop);
        if (piece >= loop->pieces || !do_piece(loop, piece)) {
            return false;
        }
        uint64_t before_ns = now_ns;
        now_ns = lp_now_ns();
        if (piece == 0) {
            learn_from_piece(loop, piece, before_ns);
        }
    }
    return true;
}

static void take_part_with_helpers(loomp_runtime *runtime, struct loop *loop, uint64_t wanted)
{
    if (loop->expected_ns > 0 && loop->expected_ns < 2 * HELP_NS && !take_part_alone(loop)) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct helper *helpers = call_helpers(runtime, loop, &group, wanted);
    take_part(loop);
    if (helpers) {
        withdraw_queued(helpers);
        loomp_group_wait(&group, -1); /* its status may tell of those withdrawn, the loop's is its own */
        give_all(helpers);
    }
}

static int run_loop(loomp_runtime *runtime, struct loop *loop)
{
    loop->around = lp_self.job;
    if (lp_self.role == LP_GANG) {
        unsigned most = loop->pieces < UINT_MAX ? (unsigned)loop->pieces : UINT_MAX;
        lp_gang_spread(lp_self.pool, most, take_part, loop);
    } else {
        uint64_t wanted = lp_self.role == LP_LOOP ? 0 : helpers_wanted(runtime, loop);
        if (wanted) {
            take_part_with_helpers(runtime, loop, wanted);
        } else {
            take_part(loop);
        }
    }
    return atomic_load_explicit(&loop->error, memory_order_relaxed);
}

/* ---- loops --------------------------------------------------------------------------------------- */

/* A call, as its arguments say. */
struct call {
    loomp_runtime *runtime;
    int64_t begin, end, grain;
    loomp_for_fn body;
    const struct loomp_reduction *reduction;
    void *result;
    void *arg;
};

/* On a thread of a team, which keeps the runtime as it is. The range is not empty. */
static struct loop loop_of(const struct call *call)
{
    struct loop loop = {
        .begin = call->begin,
        .length = (uint64_t)call->end - (uint64_t)call->begin,
        .grain = (uint64_t)call->grain,
        .body = call->body,
        .reduction = call->reduction,
        .result = call->result,
        .arg = call->arg,
    };
    if (!loop.grain) {
        /* The result of a reduction must not depend on what has been learnt. */
        loop.learns = !call->reduction;
        double index_ns = loop.learns ? lp_grain_index_ns((lp_body)call->body) : 0;
        loop.grain = lp_grain_of(loop.length, call->runtime->compute->width, index_ns);
        loop.expected_ns = index_ns * (double)loop.length;
    }
    loop.stride = loop.grain;
    loop.pieces = (loop.length - 1) / loop.grain + 1;
    return loop;
}

static int run_for(void *arg)
{
    const struct call *call = arg;
    struct loop loop = loop_of(call);
    return run_loop(call->runtime, &loop);
}

static int check_for(const char *name, int64_t grain, loomp_for_fn body)
{
    if (!body) {
        return lp_fail(-EINVAL, "%s: the body is NULL", name);
    }
    if (grain < 0) {
        return lp_fail(-EINVAL, "%s: a grain of %lld is negative", name, (long long)grain);
    }
    return 0;
}

int loomp_for(loomp_runtime *runtime, int64_t begin, int64_t end, int64_t grain, loomp_for_fn body,
              void *arg)
{
    int err = check_for("loomp_for", grain, body);
    if (!err) {
        err = lp_fork_check(runtime, "loomp_for");
    }
    if (err || begin >= end) {
        return err;
    }
    struct call call = {.runtime = runtime, .begin = begin, .end = end, .grain = grain,
                        .body = body, .arg = arg};
    return lp_fork_enter(runtime, run_for, &call);
}

/* ---- from a loop thread -------------------------------------------------------------------------- */

struct async {
    loomp_job job;
    int64_t begin, end, grain;
    loomp_for_fn body;
    loomp_for_done_fn done;
    void *arg;
};

_Static_assert(sizeof(struct async) <= LP_OBJECT_BYTES, "an asynchronous loop is an object too");

static int async_work(loomp_job *job)
{
    const struct async *async = LOOMP_CONTAINER(job, struct async, job);
    if (async->begin >= async->end) {
        return 0;
    }
    struct call call = {.runtime = lp_job_words(job)->runtime, .begin = async->begin,
                        .end = async->end, .grain = async->grain, .body = async->body,
                        .arg = async->arg};
    return run_for(&call);
}

static void async_done(loomp_job *job, int status)
{
    struct async *async = LOOMP_CONTAINER(job, struct async, job);
    loomp_for_done_fn done = async->done;
    void *arg = async->arg;
    lp_object_give(async);
    done(status, arg);
}

int loomp_for_async(loomp_loop *loop, int64_t begin, int64_t end, int64_t grain, loomp_for_fn body,
                    void *arg, loomp_for_done_fn done)
{
    int err = check_for("loomp_for_async", grain, body);
    if (err) {
        return err;
    }
    if (!loop || !done) {
        return lp_fail(-EINVAL, "loomp_for_async: the %s is NULL", loop ? "function" : "loop");
    }
    if (lp_self.loop != loop) {
        return lp_fail(-EPERM, "loomp_for_async belongs on the loop's own thread");
    }
    struct async *async = lp_object_take();
    if (!async) {
        return lp_fail(-ENOMEM, "no memory for a parallel loop");
    }
    loomp_job_init(&async->job, async_work, async_done);
    async->job.home = loop;
    async->job.flags = LOOMP_MAY_WAIT | LOOMP_FP_ENV; /* not on the loop, if its queue is full */
    async->begin = begin;
    async->end = end;
    async->grain = grain;
    async->body = body;
    async->done = done;
    async->arg = arg;
    err = loomp_submit(lp_self.runtime, &async->job);
    if (err) {
        lp_object_give(async);
    }
    return err;
}

/* ---- reductions ---------------------------------------------------------------------------------- */

/* Bounds of the partial results, of which each has lines of its own. With more chunks than these
 * allow, as many consecutive ones as it takes share one: that depends on the range and the grain
 * alone, as the result does. */
enum { MOST_PARTIALS = 4096, MOST_PARTIAL_BYTES = 64 << 20 };

/* Whole lines; a size so large that this overflows stays as it is and finds no memory. */
static size_t padded(size_t bytes)
{
    size_t more = (bytes + LP_CACHE_LINE - 1) / LP_CACHE_LINE * LP_CACHE_LINE;
    return more >= bytes ? more : bytes;
}

static void share_partials(struct loop *loop)
{
    uint64_t most = MOST_PARTIAL_BYTES / loop->partial_bytes;
    most = most < 1 ? 1 : most > MOST_PARTIALS ? MOST_PARTIALS : most;
    uint64_t chunks = (loop->pieces - 1) / most + 1; /* to a piece */
    loop->stride = chunks > UINT64_MAX / loop->grain ? UINT64_MAX : chunks * loop->grain;
    loop->pieces = (loop->length - 1) / loop->stride + 1;
}

static int run_reduce(void *arg)
{
    const struct call *call = arg;
    struct loop loop = loop_of(call);
    loop.partial_bytes = padded(call->reduction->bytes);
    share_partials(&loop);
    if (loop.pieces > 1) {
        loop.partials = aligned_alloc(LP_CACHE_LINE, (loop.pieces - 1) * loop.partial_bytes);
        if (!loop.partials) {
            return lp_fail(-ENOMEM, "no memory for %llu partial results",
                           (unsigned long long)loop.pieces);
        }
    }
    int err = run_loop(call->runtime, &loop);
    for (uint64_t piece = 1; !err && piece < loop.pieces; piece++) {
        call->reduction->combine(loop.result, partial_of(&loop, piece), loop.arg);
    }
    free(loop.partials);
    return err;
}

static int check_reduction(int64_t grain, const struct loomp_reduction *reduction,
                           const void *result)
{
    if (!reduction || !result) {
        return lp_fail(-EINVAL, "loomp_for_reduce: the %s is NULL",
                       reduction ? "place for the result" : "reduction");
    }
    if (!reduction->bytes || !reduction->start || !reduction->body || !reduction->combine) {
        return lp_fail(-EINVAL, "loomp_for_reduce: reduction.%s is %s",
                       !reduction->bytes   ? "bytes"
                       : !reduction->start ? "start"
                       : !reduction->body  ? "body"
                                           : "combine",
                       reduction->bytes ? "NULL" : "0");
    }
    if (grain < 0) {
        return lp_fail(-EINVAL, "loomp_for_reduce: a grain of %lld is negative", (long long)grain);
    }
    return 0;
}

int loomp_for_reduce(loomp_runtime *runtime, int64_t begin, int64_t end, int64_t grain,
                     const struct loomp_reduction *reduction, void *result, void *arg)
{
    int err = check_reduction(grain, reduction, result);
    if (!err) {
        err = lp_fork_check(runtime, "loomp_for_reduce");
    }
    if (err) {
        return err;
    }
    if (begin >= end) {
        reduction->start(result, arg);
        return 0;
    }
    struct call call = {.runtime = runtime, .begin = begin, .end = end, .grain = grain,
                        .reduction = reduction, .result = result, .arg = arg};
    return lp_fork_enter(runtime, run_reduce, &call);
}
