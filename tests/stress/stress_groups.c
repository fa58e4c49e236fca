/* SPDX-License-Identifier: MIT */
/* Groups from everywhere at once: random trees of jobs of both kinds and three pools that wait for
 * their children, with and without a limit, install, cancel each other's groups, start jobs after
 * groups, and free what they waited for at once. Every work and every done is counted. The number of
 * trees is LOOMP_TEST_TREES. */
#define SUITE "stress groups"
#include "../unit/gate.h"

#include <errno.h>
#include <stdatomic.h>

enum { THREADS = 3, DEEPEST = 5, MOST_CHILDREN = 3 };

static long trees_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_TREES");
    return text ? atol(text) : 300;
}

struct world {
    loomp_runtime *runtime;
    bool cancels;
    _Atomic long accepted, done, worked;
};

struct node {
    loomp_job job;
    struct world *world;
    uint64_t random;
    int depth;
    _Atomic int works, dones;
};

static unsigned draw(uint64_t *random, unsigned below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*random >> 33) % below;
}

static void node_done(loomp_job *job, int status)
{
    struct node *node = LOOMP_CONTAINER(job, struct node, job);
    CHECK(status == 0 || (node->world->cancels && status == -ECANCELED));
    CHECK(atomic_fetch_add(&node->dones, 1) == 0);
    atomic_fetch_add(&node->world->done, 1);
}

static int node_work(loomp_job *job);

static void node_init(struct node *node, struct world *world, uint64_t *random, int depth)
{
    memset((void *)node, 0, sizeof *node);
    loomp_job_init(&node->job, node_work, node_done);
    node->world = world;
    node->depth = depth;
    node->random = *random ^ (uint64_t)draw(random, 1u << 30) << 20;
    unsigned kind = draw(random, 8);
    node->job.kind = kind == 0 ? LOOMP_GANG : LOOMP_SERIAL;
    node->job.pool = kind == 1 ? loomp_pool_named(world->runtime, "blocking") : NULL;
    node->job.home = draw(random, 4) == 0 ? loomp_loop_at(world->runtime, 0) : NULL;
    node->job.priority = (int)draw(random, 3) - 1;
}

static int installed(void *arg)
{
    struct world *world = arg;
    atomic_fetch_add(&world->worked, 1);
    atomic_fetch_add(&world->done, 1);
    return 0;
}

static int wait_for_all(struct world *world, loomp_group *group, uint64_t *random)
{
    int status = -ETIMEDOUT;
    if (draw(random, 4) == 0) {
        status = loomp_group_wait(group, 0.0002);
    }
    if (world->cancels && draw(random, 6) == 0) {
        loomp_group_cancel(group);
    }
    while (status == -ETIMEDOUT) {
        status = loomp_group_wait(group, draw(random, 3) == 0 ? 0.001 : -1);
    }
    CHECK(status == 0 || (world->cancels && status == -ECANCELED));
    return 0;
}

/* Submits children to a group on the heap, waits for it and frees it. */
static void bring_up(struct world *world, uint64_t *random, int depth)
{
    struct node children[MOST_CHILDREN], last;
    loomp_group *group = malloc(sizeof *group);
    loomp_group *after = malloc(sizeof *after);
    loomp_group_init(group, world->runtime);
    loomp_group_init(after, world->runtime);
    int count = 1 + (int)draw(random, MOST_CHILDREN);
    for (int i = 0; i < count; i++) {
        node_init(&children[i], world, random, depth + 1);
        children[i].job.group = group;
        atomic_fetch_add(&world->accepted, 1);
        CHECK(loomp_submit(world->runtime, &children[i].job) == 0);
    }
    bool has_last = draw(random, 3) == 0;
    if (has_last) {
        node_init(&last, world, random, DEEPEST);
        last.job.group = after;
        atomic_fetch_add(&world->accepted, 1);
        CHECK(loomp_group_then(group, &last.job) == 0);
    }
    if (draw(random, 8) == 0) {
        atomic_fetch_add(&world->accepted, 1);
        CHECK(loomp_install(world->runtime, installed, world) == 0);
    }
    wait_for_all(world, group, random);
    memset((void *)group, 0x5a, sizeof *group);
    free(group);
    wait_for_all(world, after, random);
    memset((void *)after, 0x5a, sizeof *after);
    free(after);
    for (int i = 0; i < count; i++) {
        CHECK(children[i].dones == 1 && (children[i].works == 1 || world->cancels));
    }
    CHECK(!has_last || (last.dones == 1 && (last.works == 1 || world->cancels)));
}

static int node_work(loomp_job *job)
{
    struct node *node = LOOMP_CONTAINER(job, struct node, job);
    CHECK(atomic_fetch_add(&node->works, 1) == 0);
    atomic_fetch_add(&node->world->worked, 1);
    if (node->depth < DEEPEST) {
        bring_up(node->world, &node->random, node->depth);
    }
    return 0;
}

struct grower {
    struct world *world;
    uint64_t random;
    long trees;
};

static void *grow(void *arg)
{
    struct grower *grower = arg;
    for (long i = 0; i < grower->trees; i++) {
        bring_up(grower->world, &grower->random, 1);
    }
    return NULL;
}

static void grow_everywhere(bool cancels)
{
    static const char *const settings[] = {"gang.relief_us", "100", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    struct world world = {.runtime = runtime, .cancels = cancels};
    struct grower growers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        growers[i] = (struct grower){
            .world = &world, .random = 77 + (uint64_t)i, .trees = trees_in_all() / THREADS};
        pthread_create(&threads[i], NULL, grow, &growers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(world.done == world.accepted);
    CHECK(cancels || world.worked == world.accepted);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(trees_of_jobs_of_all_kinds_that_wait_for_their_children_come_to_their_end)
{
    grow_everywhere(false);
}

TEST(so_do_trees_whose_groups_are_cancelled_meanwhile)
{
    grow_everywhere(true);
}

/* ---- a job that comes at the moment at which its only worker falls asleep -------------------------- */

struct dozing {
    loomp_job waiter, messenger, late[2];
    loomp_group group;
    loomp_runtime *runtime;
    unsigned spins[2];
    _Atomic int ran;
};

static int count_late(loomp_job *job)
{
    struct dozing *self = job->data;
    atomic_fetch_add(&self->ran, 1);
    return 0;
}

static int bring_late_jobs(loomp_job *job)
{
    struct dozing *self = LOOMP_CONTAINER(job, struct dozing, messenger);
    for (int i = 0; i < 2; i++) {
        for (volatile unsigned spin = 0; spin < self->spins[i]; spin++) {
        }
        loomp_job_init(&self->late[i], count_late, NULL);
        self->late[i].data = self;
        self->late[i].group = &self->group;
        self->late[i].kind = self->waiter.kind;
        CHECK(loomp_submit(self->runtime, &self->late[i]) == 0);
    }
    return 0;
}

static int fall_asleep(loomp_job *job)
{
    struct dozing *self = LOOMP_CONTAINER(job, struct dozing, waiter);
    loomp_job_init(&self->messenger, bring_late_jobs, NULL);
    self->messenger.group = &self->group;
    CHECK(loomp_submit_blocking(self->runtime, &self->messenger) == 0);
    return loomp_group_wait(&self->group, -1);
}

TEST(a_job_that_comes_when_its_only_worker_falls_asleep_is_not_overlooked)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    uint64_t random = 4711;
    long rounds = 30 * trees_in_all();
    for (long i = 0; i < rounds; i++) {
        struct dozing self = {.runtime = runtime};
        self.spins[0] = draw(&random, 1u << draw(&random, 14));
        self.spins[1] = draw(&random, 1u << draw(&random, 14));
        loomp_group_init(&self.group, runtime);
        loomp_group whole;
        loomp_group_init(&whole, runtime);
        loomp_job_init(&self.waiter, fall_asleep, NULL);
        self.waiter.group = &whole;
        self.waiter.kind = i % 4 == 3 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(runtime, &self.waiter) == 0);
        CHECK(loomp_group_wait(&whole, -1) == 0);
        CHECK(self.ran == 2);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- one group, joined and left by all ------------------------------------------------------------ */

struct shared {
    loomp_runtime *runtime;
    loomp_group group;
    _Atomic int errors_seen;
};

static int fail_sometimes(loomp_job *job)
{
    return (uintptr_t)job->data % 97 == 0 ? -EIO : 0;
}

static void free_job(loomp_job *job, int status)
{
    (void)status;
    free(job);
}

static void *use_shared(void *arg)
{
    struct shared *shared = arg;
    for (uintptr_t i = 1; i <= 2000; i++) {
        loomp_job *job = malloc(sizeof *job);
        loomp_job_init(job, fail_sometimes, free_job);
        job->data = (void *)i;
        job->group = &shared->group;
        CHECK(loomp_submit(shared->runtime, job) == 0);
        if (i % 50 == 0) {
            int status = loomp_group_wait(&shared->group, 0.0001);
            CHECK(status == 0 || status == -EIO || status == -ETIMEDOUT);
            atomic_fetch_add(&shared->errors_seen, status == -EIO);
        }
    }
    int status = loomp_group_wait(&shared->group, -1);
    CHECK(status == 0 || status == -EIO);
    atomic_fetch_add(&shared->errors_seen, status == -EIO);
    return NULL;
}

TEST(threads_that_share_a_group_see_its_errors_and_none_is_lost)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct shared shared;
    memset((void *)&shared, 0, sizeof shared);
    shared.runtime = runtime;
    loomp_group_init(&shared.group, runtime);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, use_shared, &shared);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(shared.errors_seen > 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
