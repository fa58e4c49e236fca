/* SPDX-License-Identifier: MIT */
/* The queues of a pool over places that this machine does not have: 1 to 1024 workers on 1 to 200
 * caches. One thread, which speaks for every worker in turn. */
#define SUITE "queues"
#include "harness.h"

#include "team/queues.h"

#include <stdlib.h>

enum { MOST_WORKERS = 1024, ITEMS = 1000, LIMIT = 1024 };

static const unsigned worker_counts[] = {1, 2, 3, 7, 63, 64, 65, 200, 1024};
static const unsigned cache_counts[] = {1, 2, 5, 63, 64, 65, 200};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct lp_place places[MOST_WORKERS];

/* Neighbours share a cache, as in wake order; with `scattered` the caches take turns. */
static void lay_out(unsigned workers, unsigned caches, bool scattered)
{
    memset(places, 0, sizeof places);
    for (unsigned i = 0; i < workers; i++) {
        places[i].node = -1;
        places[i].cache = (int)(scattered ? i % caches : i * caches / workers);
    }
}

/* Calls `check` for every machine. */
static void on_every_machine(void (*check)(struct lp_queues *queues, unsigned workers,
                                           unsigned caches))
{
    for (unsigned w = 0; w < COUNT(worker_counts); w++) {
        for (unsigned c = 0; c < COUNT(cache_counts); c++) {
            for (int scattered = 0; scattered < 2; scattered++) {
                struct lp_queues queues;
                lay_out(worker_counts[w], cache_counts[c], scattered);
                if (CHECK(lp_queues_init(&queues, places, worker_counts[w], LIMIT) == 0)) {
                    check(&queues, worker_counts[w], cache_counts[c]);
                    lp_queues_fini(&queues);
                }
            }
        }
    }
}

/* ---- groups -------------------------------------------------------------------------------------- */

static void each_worker_is_in_one_group(struct lp_queues *queues, unsigned workers, unsigned caches)
{
    static unsigned seen[MOST_WORKERS];
    memset(seen, 0, sizeof seen);
    bool good = queues->used_count >= 1 && queues->used_count <= LP_QUEUE_GROUPS;
    for (unsigned g = 0; g < queues->used_count; g++) {
        struct lp_queue_group *group = &queues->groups[g];
        good = good && group->members >= 1 && group->members <= LP_GROUP_MEMBERS;
        for (unsigned m = 0; m < group->members; m++) {
            unsigned worker = group->worker[m];
            good = good && worker < workers && ++seen[worker] == 1;
            good = good && queues->locals[worker].group == g && queues->locals[worker].member == m;
            good = good && (group->mask[worker / 64] >> worker % 64 & 1);
        }
        unsigned bits = 0;
        for (unsigned i = 0; i < (workers + 63) / 64; i++) {
            bits += (unsigned)__builtin_popcountll(group->mask[i]);
        }
        good = good && bits == group->members;
    }
    for (unsigned i = 0; i < workers; i++) {
        good = good && seen[i] == 1;
    }
    if (!CHECK(good)) {
        printf("    %u workers, %u caches\n", workers, caches);
    }
}

TEST(each_worker_is_in_exactly_one_group)
{
    on_every_machine(each_worker_is_in_one_group);
}

static void groups_follow_caches(struct lp_queues *queues, unsigned workers, unsigned caches)
{
    bool good = true;
    for (unsigned i = 0; i < workers; i++) {
        /* A cache's group has a worker near that cache, if any worker is. */
        unsigned group = lp_queues_group_of_cache(queues, places[i].cache);
        bool near = false;
        good = good && group < queues->used_count;
        for (unsigned m = 0; good && m < queues->groups[group].members; m++) {
            near = near || places[queues->groups[group].worker[m]].cache == places[i].cache;
        }
        good = good && near;
    }
    good = good && lp_queues_group_of_cache(queues, -1) < queues->used_count;
    good = good && lp_queues_group_of_cache(queues, 100000) < queues->used_count;
    if (!CHECK(good)) {
        printf("    %u workers, %u caches\n", workers, caches);
    }
}

TEST(a_cache_is_served_by_a_group_with_workers_near_it)
{
    on_every_machine(groups_follow_caches);
}

TEST(caches_that_fit_are_groups_of_their_own)
{
    struct lp_queues queues;
    lay_out(16, 4, false);
    CHECK(lp_queues_init(&queues, places, 16, LIMIT) == 0);
    CHECK(queues.used_count == 4);
    for (unsigned i = 0; i < 16; i++) {
        CHECK(queues.locals[i].group == lp_queues_group_of_cache(&queues, places[i].cache));
    }
    lp_queues_fini(&queues);
}

TEST(without_places_there_is_one_group_and_no_local_queue)
{
    struct lp_queues queues;
    struct lp_ticket ticket;
    struct lp_taker taker = {.worker = LP_NO_WORKER};
    int item = 0;
    CHECK(lp_queues_init(&queues, NULL, 8, LIMIT) == 0);
    CHECK(queues.used_count == 1 && queues.worker_count == 0);
    CHECK(lp_queues_inject(&queues, lp_queues_group_of_cache(&queues, 3), 1, &item, NULL, &ticket));
    CHECK(lp_queues_take(&queues, &taker) == &item);
    CHECK(lp_queues_take(&queues, &taker) == NULL);
    lp_queues_fini(&queues);
}

/* ---- nothing is lost ----------------------------------------------------------------------------- */

static struct item {
    struct lp_ticket ticket;
    unsigned taken;
} items[ITEMS];

static const char red, blue;

static uint64_t random_state;

static unsigned any_of(unsigned count)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % count;
}

static void take_one(void *item)
{
    CHECK(((struct item *)item)->taken++ == 0);
}

/* Fills in any way and empties in any way; at the end each item was had exactly once. */
static void everything_comes_out_once(struct lp_queues *queues, unsigned workers, unsigned caches)
{
    static struct lp_taker takers[MOST_WORKERS];
    static struct lp_queue_cursors cursors;
    memset(items, 0, sizeof items);
    random_state = workers * 1000 + caches;
    for (unsigned i = 0; i < workers; i++) {
        takers[i] = (struct lp_taker){.worker = (int)i};
    }
    unsigned had = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        unsigned row = any_of(LP_PRIORITIES);
        const void *tag = i % 3 == 0 ? &red : i % 3 == 1 ? &blue : NULL;
        bool local = any_of(2);
        bool in = local && lp_queues_push_local(queues, any_of(workers), row, &items[i], tag,
                                                &items[i].ticket);
        if (!in) {
            CHECK(lp_queues_inject(queues, any_of(queues->used_count), row, &items[i], tag,
                                   &items[i].ticket));
        }
        if (any_of(4) == 0) {
            unsigned worker = any_of(workers);
            void *item = NULL;
            switch (any_of(4)) {
            case 0:
                item = lp_queues_take_local(queues, worker);
                break;
            case 1:
                memset(&cursors, 0, sizeof cursors);
                item = lp_queues_take_tagged(queues, (int)worker, &red, &cursors);
                CHECK(!item || ((struct item *)item - items) % 3 == 0);
                break;
            case 2: {
                struct item *some = &items[any_of(i + 1)];
                item = lp_ticket_withdraw(&some->ticket) ? some : NULL;
                break;
            }
            default:
                item = lp_queues_take(queues, &takers[worker]);
                CHECK(item != NULL);
                break;
            }
            if (item) {
                take_one(item);
                had++;
            }
        }
    }
    CHECK(lp_queues_any(queues));
    for (unsigned worker = 0; had < ITEMS; worker = (worker + 1) % workers) {
        void *item = lp_queues_take(queues, &takers[worker]);
        if (!CHECK(item != NULL)) {
            printf("    %u workers, %u caches: %u of %u\n", workers, caches, had, ITEMS);
            return;
        }
        take_one(item);
        had++;
    }
    CHECK(lp_queues_take(queues, &takers[0]) == NULL);
    for (unsigned i = 0; i < ITEMS; i++) {
        if (items[i].taken != 1 || lp_ticket_withdraw(&items[i].ticket)) {
            CHECK(!"each item is had once");
            break;
        }
    }
    for (unsigned i = 0; i < workers; i++) {
        lp_queues_settle(queues, (int)i);
    }
    CHECK(!lp_queues_any(queues));
    CHECK(lp_queues_count(queues) == 0);
}

TEST(everything_that_goes_in_comes_out_once)
{
    on_every_machine(everything_comes_out_once);
}

static void settling_forgets_nothing(struct lp_queues *queues, unsigned workers, unsigned caches)
{
    struct lp_ticket ticket;
    int item = 0;
    bool good = true;
    for (unsigned i = 0; i < 50; i++) {
        unsigned row = i % LP_PRIORITIES, from = i * 37 % workers, by = i * 61 % workers;
        if (i % 2) {
            good = good && lp_queues_push_local(queues, from, row, &item, NULL, &ticket);
        } else {
            good = good && lp_queues_inject(queues, i % queues->used_count, row, &item, NULL,
                                            &ticket);
        }
        /* Everybody who finds it may settle, but for its owner who has not looked. */
        lp_queues_settle(queues, (int)by);
        good = good && lp_queues_any(queues) && lp_queues_count(queues) == 1;
        struct lp_taker taker = {.worker = (int)by, .takes = i};
        good = good && lp_queues_take(queues, &taker) == &item;
        good = good && taker.stole == (i % 2 && from != by
                                           ? true
                                           : i % 2 == 0 && queues->locals[by].group !=
                                                               i % queues->used_count);
        good = good && lp_queues_take(queues, &taker) == NULL;
        lp_queues_settle(queues, (int)by);
        lp_queues_settle(queues, (int)from);
        good = good && !lp_queues_any(queues);
    }
    if (!CHECK(good)) {
        printf("    %u workers, %u caches\n", workers, caches);
    }
}

TEST(an_item_is_seen_after_others_have_settled_until_it_is_taken)
{
    on_every_machine(settling_forgets_nothing);
}

static void tags_find_all(struct lp_queues *queues, unsigned workers, unsigned caches)
{
    static struct lp_queue_cursors cursors;
    memset(items, 0, sizeof items);
    memset(&cursors, 0, sizeof cursors);
    random_state = 77;
    unsigned reds = 0;
    for (unsigned i = 0; i < 600; i++) {
        const void *tag = i % 5 == 0 ? &red : i % 5 == 1 ? &blue : NULL;
        unsigned row = any_of(LP_PRIORITIES);
        reds += tag == &red;
        if (i % 2 || !lp_queues_push_local(queues, any_of(workers), row, &items[i], tag,
                                           &items[i].ticket)) {
            CHECK(lp_queues_inject(queues, any_of(queues->used_count), row, &items[i], tag,
                                   &items[i].ticket));
        }
    }
    unsigned found = 0;
    void *item;
    while ((item = lp_queues_take_tagged(queues, (int)any_of(workers), &red, &cursors)) != NULL) {
        CHECK(((struct item *)item - items) % 5 == 0);
        take_one(item);
        found++;
    }
    if (!CHECK(found == reds)) {
        printf("    %u workers, %u caches: %u of %u\n", workers, caches, found, reds);
    }
    CHECK(lp_queues_take_tagged(queues, 0, &items[1], NULL) == NULL);
    struct lp_taker taker = {.worker = 0};
    while ((item = lp_queues_take(queues, &taker)) != NULL) {
        take_one(item);
        found++;
    }
    CHECK(found == 600);
}

TEST(a_tag_finds_all_its_items_and_no_others)
{
    on_every_machine(tags_find_all);
}

/* ---- order --------------------------------------------------------------------------------------- */

/* The next item for a worker that is not at its turn for something else. */
static long taken_by(struct lp_queues *queues, int worker)
{
    struct lp_taker taker = {.worker = worker};
    void *item = lp_queues_take(queues, &taker);
    return item ? (struct item *)item - items : -1;
}

TEST(own_newest_first_then_injected_then_neighbours_oldest_first_then_other_groups)
{
    struct lp_queues queues;
    memset(items, 0, sizeof items);
    lay_out(4, 2, false); /* 0 and 1 share a cache, 2 and 3 another */
    CHECK(lp_queues_init(&queues, places, 4, LIMIT) == 0);
    unsigned near = queues.locals[0].group, far = queues.locals[2].group;
    CHECK(near == queues.locals[1].group && near != far);
    for (unsigned i = 0; i < 2; i++) {
        struct item *item = &items[i];
        CHECK(lp_queues_push_local(&queues, 3, 1, item + 0, NULL, &item[0].ticket));
        CHECK(lp_queues_inject(&queues, far, 1, item + 2, NULL, &item[2].ticket));
        CHECK(lp_queues_push_local(&queues, 1, 1, item + 4, NULL, &item[4].ticket));
        CHECK(lp_queues_inject(&queues, near, 1, item + 6, NULL, &item[6].ticket));
        CHECK(lp_queues_push_local(&queues, 0, 1, item + 8, NULL, &item[8].ticket));
    }
    static const long expected[] = {9, 8, 6, 7, 4, 5, 2, 3, 0, 1, -1};
    for (unsigned i = 0; i < COUNT(expected); i++) {
        long got = taken_by(&queues, 0);
        if (!CHECK(got == expected[i])) {
            printf("    number %u is %ld, not %ld\n", i, got, expected[i]);
        }
    }
    lp_queues_fini(&queues);
}

TEST(an_urgent_item_of_another_group_comes_before_a_less_urgent_one_of_ones_own)
{
    struct lp_queues queues;
    memset(items, 0, sizeof items);
    lay_out(4, 2, false);
    CHECK(lp_queues_init(&queues, places, 4, LIMIT) == 0);
    CHECK(lp_queues_push_local(&queues, 0, 2, &items[2], NULL, &items[2].ticket));
    CHECK(lp_queues_inject(&queues, queues.locals[0].group, 1, &items[1], NULL, &items[1].ticket));
    CHECK(lp_queues_push_local(&queues, 3, 0, &items[0], NULL, &items[0].ticket));
    for (long i = 0; i < 3; i++) {
        CHECK(taken_by(&queues, 0) == i);
    }
    lp_queues_fini(&queues);
}

TEST(of_32_takes_one_looks_at_a_less_urgent_row_first)
{
    unsigned first[LP_PRIORITIES] = {0};
    for (unsigned takes = 0; takes < 64 * LP_TAKES_PER_TURN; takes++) {
        first[lp_first_row(takes)]++;
    }
    CHECK(first[0] == 64 * (LP_TAKES_PER_TURN - 1) && first[1] == 32 && first[2] == 32);
}

/* One thread takes; each of the others' queues and rows is kept filled. */
TEST(no_row_and_no_queue_is_starved_by_others_that_are_always_full)
{
    enum { SOURCES = 3 * LP_PRIORITIES, TAKES = 5000 };
    static struct item refill[SOURCES];
    unsigned taken[SOURCES] = {0};
    struct lp_queues queues;
    lay_out(2, 1, false);
    CHECK(lp_queues_init(&queues, places, 2, LIMIT) == 0);
    struct lp_taker taker = {.worker = 0};
    for (unsigned n = 0; n < TAKES + SOURCES; n++) {
        unsigned source = n;
        if (n >= SOURCES) {
            struct item *item = lp_queues_take(&queues, &taker);
            if (!CHECK(item != NULL)) {
                break;
            }
            source = (unsigned)(item - refill);
            taken[source]++;
        }
        unsigned row = source % LP_PRIORITIES;
        struct item *item = &refill[source];
        switch (source / LP_PRIORITIES) {
        case 0:
            CHECK(lp_queues_push_local(&queues, 0, row, item, NULL, &item->ticket));
            break;
        case 1:
            CHECK(lp_queues_inject(&queues, 0, row, item, NULL, &item->ticket));
            break;
        default:
            CHECK(lp_queues_push_local(&queues, 1, row, item, NULL, &item->ticket));
            break;
        }
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        if (!CHECK(taken[i] > 0)) {
            static const char *const where[] = {"own", "injected", "neighbour's"};
            printf("    row %u, %s: never taken\n", i % LP_PRIORITIES, where[i / LP_PRIORITIES]);
        }
    }
    lp_queues_fini(&queues);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
