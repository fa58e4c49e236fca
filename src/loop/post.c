/* SPDX-License-Identifier: MIT */
/* Owns posts: calls that any thread asks a loop to make. */
#include "base/error.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "loop/loop.h"

#include <errno.h>

struct post {
    struct lp_item item;
    loomp_loop *loop;
    loomp_post_fn fn;
    void *arg;
};

_Static_assert(sizeof(struct post) <= LP_OBJECT_BYTES, "a post is an object of the pool");

static void run_post(struct lp_item *item)
{
    struct post post = *(struct post *)(void *)item;
    lp_object_give(item);
    lp_self.inside++;
    post.fn(post.loop, post.arg);
    lp_self.inside--;
    struct lp_ledger *ledger = &lp_tracked;
    lp_loop_settle(post.loop);
    lp_ledger_finish(ledger);
}

int loomp_post(loomp_loop *loop, loomp_post_fn fn, void *arg)
{
    if (!loop || !fn) {
        return lp_fail(-EINVAL, "loomp_post: the %s is NULL", loop ? "function" : "loop");
    }
    struct lp_ledger *ledger = &lp_tracked;
    int err = lp_ledger_accept(ledger);
    if (err) {
        return err;
    }
    struct post *post = lp_object_take();
    if (!post) {
        lp_ledger_finish(ledger);
        lp_ledger_finish(ledger);
        return lp_fail(-ENOMEM, "no memory for a post");
    }
    *post = (struct post){.item.run = run_post, .loop = loop, .fn = fn, .arg = arg};
    lp_loop_expect(loop);
    lp_loop_push(loop, &post->item);
    lp_ledger_finish(ledger); /* this call; the loop may be gone from here on */
    return 0;
}
