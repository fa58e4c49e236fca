/* SPDX-License-Identifier: MIT */
/* Owns scopes: a group that lives as long as the call, or until its callback. */
#include "base/error.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "job/job.h"
#include "loop/loop.h"

#include <errno.h>

int loomp_scope(loomp_runtime *runtime, loomp_scope_fn body, void *arg)
{
    if (!runtime || !body) {
        return lp_fail(-EINVAL, "loomp_scope: the %s is NULL", runtime ? "body" : "runtime");
    }
    int err = lp_ledger_check(&lp_tracked);
    if (!err) {
        err = lp_wait_check("loomp_scope", "use loomp_scope_async");
    }
    if (err) {
        return err;
    }
    loomp_group scope;
    loomp_group_init(&scope, runtime);
    err = body(&scope, arg);
    int status = lp_wait_for(&scope, -1);
    return err ? err : status;
}

/* ---- on a loop ----------------------------------------------------------------------------------- */

struct async_scope {
    struct lp_item item; /* on the loop, when the group is empty */
    struct lp_waiter waiter;
    loomp_group group;
    loomp_loop *loop;
    loomp_scope_done_fn done;
    void *arg;
    int err; /* the body's */
};

_Static_assert(sizeof(struct async_scope) <= LP_OBJECT_BYTES, "a scope is an object of the pool");

static void end_scope(struct lp_item *item)
{
    struct async_scope *scope = (struct async_scope *)(void *)item;
    struct lp_ledger *ledger = &lp_tracked;
    loomp_loop *loop = scope->loop;
    loomp_scope_done_fn done = scope->done;
    void *arg = scope->arg;
    int status = scope->err ? scope->err : scope->waiter.status;
    lp_object_give(scope);
    lp_self.inside++;
    done(status, arg);
    lp_self.inside--;
    lp_loop_settle(loop);
    lp_ledger_finish(ledger);
}

static void wake_scope(struct lp_waiter *waiter)
{
    struct async_scope *scope = LOOMP_CONTAINER(waiter, struct async_scope, waiter);
    lp_loop_push(scope->loop, &scope->item);
}

/* The body, as a job with a site: of the scope, so that this does not end before it. */
struct scope_body {
    loomp_job job;
    loomp_group *scope;
    loomp_scope_fn fn;
    void *arg;
};

_Static_assert(sizeof(struct scope_body) <= LP_OBJECT_BYTES, "its body is an object of the pool too");

static int body_work(loomp_job *job)
{
    struct scope_body *body = LOOMP_CONTAINER(job, struct scope_body, job);
    return body->fn(body->scope, body->arg);
}

static void body_done(loomp_job *job, int status)
{
    (void)status; /* the group has it */
    lp_object_give(LOOMP_CONTAINER(job, struct scope_body, job));
}

static int submit_body(struct async_scope *scope, loomp_scope_fn fn, void *arg, loomp_site *site,
                       uint64_t size)
{
    struct scope_body *body = lp_object_take();
    if (!body) {
        return lp_fail(-ENOMEM, "no memory for the body of a scope");
    }
    loomp_job_init(&body->job, body_work, body_done);
    body->job.group = &scope->group;
    body->job.home = scope->loop;
    body->job.site = site;
    body->job.size = size;
    body->scope = &scope->group;
    body->fn = fn;
    body->arg = arg;
    int err = loomp_submit(lp_self.runtime, &body->job);
    if (err) {
        lp_object_give(body);
    }
    return err;
}

/* site: NULL, and the body runs here. */
static int begin_scope(const char *call, loomp_loop *loop, loomp_scope_fn body, void *arg,
                       loomp_scope_done_fn done, loomp_site *site, uint64_t size)
{
    if (!loop || !body || !done) {
        return lp_fail(-EINVAL, "%s: %s is NULL", call,
                       !loop ? "the loop" : body ? "done" : "the body");
    }
    struct lp_ledger *ledger = &lp_tracked;
    int err = lp_ledger_accept(ledger);
    if (err) {
        return err;
    }
    struct async_scope *scope = NULL;
    if (lp_self.loop != loop) {
        err = lp_fail(-EPERM, "%s: this is not the thread of that loop", call);
    } else if (!(scope = lp_object_take())) {
        err = lp_fail(-ENOMEM, "no memory for a scope");
    }
    if (err) {
        lp_ledger_finish(ledger); /* the scope */
        lp_ledger_finish(ledger); /* this call */
        return err;
    }
    *scope = (struct async_scope){.item.run = end_scope,
                                  .waiter.wake = wake_scope,
                                  .loop = loop,
                                  .done = done,
                                  .arg = arg};
    loomp_group_init(&scope->group, lp_self.runtime);
    if (site) {
        err = submit_body(scope, body, arg, site, size);
        if (err) {
            lp_object_give(scope);
            lp_ledger_finish(ledger);
            lp_ledger_finish(ledger);
            return err;
        }
    }
    lp_loop_expect(loop);
    if (!site) {
        scope->err = body(&scope->group, arg);
    }
    int32_t status;
    if (!lp_group_wait_with(&scope->group, &scope->waiter, &status)) {
        scope->waiter.status = status;
        wake_scope(&scope->waiter);
    }
    lp_ledger_finish(ledger); /* this call; the scope may be gone from here on */
    return 0;
}

int loomp_scope_async(loomp_loop *loop, loomp_scope_fn body, void *arg, loomp_scope_done_fn done)
{
    return begin_scope("loomp_scope_async", loop, body, arg, done, NULL, 0);
}

int loomp_scope_adaptive(loomp_loop *loop, loomp_site *site, uint64_t size, loomp_scope_fn body,
                         void *arg, loomp_scope_done_fn done)
{
    return site ? begin_scope("loomp_scope_adaptive", loop, body, arg, done, site, size)
                : lp_fail(-EINVAL, "loomp_scope_adaptive: the site is NULL");
}
