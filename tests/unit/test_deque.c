/* SPDX-License-Identifier: MIT */
/* A worker's own queue, on one thread: who gets what, when it is full, and that a long random life
 * goes as that of a plain array. What several threads do to it is in test_deque_schedules (few
 * steps, in every order) and stress_deque. */
#define SUITE "deque"
#include "harness.h"

#include "handoff/deque.h"

#include <stdint.h>
#include <stdlib.h>

enum { NUMBERS = 4096, NONE = -1 };

static int numbers[NUMBERS]; /* the items are pointers into it */
static const char red, blue, green;

static bool put(struct lp_deque *deque, int number, const void *tag, uint64_t *ticket)
{
    return lp_deque_push(deque, &numbers[number], tag, ticket);
}

static int number_of(const void *item)
{
    return item ? (int)((const int *)item - numbers) : NONE;
}

static int newest(struct lp_deque *deque)
{
    return number_of(lp_deque_pop(deque));
}

static int oldest(struct lp_deque *deque)
{
    return number_of(lp_deque_steal(deque));
}

/* A deque at another place of its cells: that many items went through it. */
static void init_used(struct lp_deque *deque, unsigned capacity, int used)
{
    uint64_t ticket;
    CHECK(lp_deque_init(deque, capacity) == 0);
    for (int i = 0; i < used; i++) {
        CHECK(put(deque, i, NULL, &ticket));
        CHECK(oldest(deque) == i);
    }
}

static void check_empty(struct lp_deque *deque)
{
    CHECK(!lp_deque_maybe_nonempty(deque));
    CHECK(lp_deque_count(deque) == 0);
    CHECK(newest(deque) == NONE);
    CHECK(oldest(deque) == NONE);
    CHECK(lp_deque_pop_tagged(deque, NULL) == NULL);
    CHECK(lp_deque_take_tagged(deque, NULL) == NULL);
}

TEST(a_new_deque_is_empty)
{
    struct lp_deque deque;
    CHECK(lp_deque_init(&deque, 4) == 0);
    check_empty(&deque);
    CHECK(!lp_deque_withdraw(&deque, 0));
    CHECK(!lp_deque_withdraw(&deque, 4));
    CHECK(!lp_deque_withdraw(&deque, UINT64_MAX));
    lp_deque_fini(&deque);
}

TEST(the_owner_takes_the_newest)
{
    struct lp_deque deque;
    uint64_t ticket;
    CHECK(lp_deque_init(&deque, 128) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(put(&deque, i, NULL, &ticket));
        CHECK(lp_deque_maybe_nonempty(&deque));
    }
    CHECK(lp_deque_count(&deque) == 100);
    for (int i = 100; i-- > 0;) {
        CHECK(newest(&deque) == i);
    }
    check_empty(&deque);
    lp_deque_fini(&deque);
}

TEST(thieves_take_the_oldest)
{
    struct lp_deque deque;
    uint64_t ticket;
    CHECK(lp_deque_init(&deque, 128) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(put(&deque, i, NULL, &ticket));
    }
    for (int i = 0; i < 100; i++) {
        CHECK(oldest(&deque) == i);
    }
    check_empty(&deque);
    lp_deque_fini(&deque);
}

TEST(owner_and_thieves_meet_in_the_middle)
{
    for (int used = 0; used < 9; used++) {
        struct lp_deque deque;
        uint64_t ticket;
        init_used(&deque, 8, used);
        for (int i = 0; i < 7; i++) {
            CHECK(put(&deque, i, NULL, &ticket));
        }
        CHECK(newest(&deque) == 6);
        CHECK(oldest(&deque) == 0);
        CHECK(newest(&deque) == 5);
        CHECK(oldest(&deque) == 1);
        CHECK(put(&deque, 7, NULL, &ticket));
        CHECK(newest(&deque) == 7);
        CHECK(oldest(&deque) == 2);
        CHECK(newest(&deque) == 4);
        CHECK(newest(&deque) == 3);
        check_empty(&deque);
        lp_deque_fini(&deque);
    }
}

TEST(a_deque_takes_exactly_its_capacity_wherever_it_begins)
{
    static const int capacities[] = {2, 4, 8, 256};
    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        struct lp_deque deque;
        uint64_t ticket;
        int capacity = capacities[c];
        CHECK(lp_deque_init(&deque, (unsigned)capacity) == 0);
        for (int lap = 0; lap < 9; lap++) {
            for (int i = 0; i < capacity; i++) {
                CHECK(put(&deque, i, NULL, &ticket));
            }
            CHECK(!put(&deque, capacity, NULL, &ticket));
            CHECK(!lp_deque_withdraw(&deque, ticket + 1));
            CHECK((lap % 2 ? newest(&deque) : oldest(&deque)) == (lap % 2 ? capacity - 1 : 0));
            CHECK(put(&deque, capacity, NULL, &ticket));
            CHECK(!put(&deque, capacity + 1, NULL, &ticket));
            CHECK(lp_deque_count(&deque) == (unsigned)capacity);
            for (int i = 0; i < capacity; i++) {
                CHECK((lap % 3 ? newest(&deque) : oldest(&deque)) != NONE);
            }
            check_empty(&deque);
            /* the next lap begins one cell further */
            CHECK(put(&deque, 0, NULL, &ticket) && oldest(&deque) == 0);
        }
        lp_deque_fini(&deque);
    }
}

TEST(a_capacity_is_rounded_up_to_a_power_of_two)
{
    static const unsigned asked[] = {0, 1, 2, 3, 5, 200};
    static const unsigned given[] = {2, 2, 2, 4, 8, 256};
    for (int i = 0; i < 6; i++) {
        struct lp_deque deque;
        uint64_t ticket;
        unsigned count = 0;
        CHECK(lp_deque_init(&deque, asked[i]) == 0);
        while (count < NUMBERS && put(&deque, (int)count, NULL, &ticket)) {
            count++;
        }
        CHECK(count == given[i]);
        lp_deque_fini(&deque);
    }
}

TEST(an_owner_alone_uses_the_same_cells_for_ever)
{
    struct lp_deque deque;
    uint64_t ticket;
    CHECK(lp_deque_init(&deque, 4) == 0);
    for (int i = 0; i < 100000; i++) {
        if (!put(&deque, 0, NULL, &ticket) || !put(&deque, 1, NULL, &ticket) ||
            newest(&deque) != 1 || newest(&deque) != 0 || lp_deque_maybe_nonempty(&deque)) {
            CHECK(!"a push was refused, or another item came out");
            break;
        }
    }
    CHECK(deque.high <= 4);
    lp_deque_fini(&deque);
}

TEST(a_withdrawn_item_is_not_given_out)
{
    for (int used = 0; used < 9; used++) {
        for (int victim = 0; victim < 5; victim++) {
            for (int by_owner = 0; by_owner < 2; by_owner++) {
                struct lp_deque deque;
                uint64_t tickets[5], ticket;
                init_used(&deque, 8, used);
                for (int i = 0; i < 5; i++) {
                    CHECK(put(&deque, i, NULL, &tickets[i]));
                }
                CHECK(lp_deque_withdraw(&deque, tickets[victim]));
                CHECK(!lp_deque_withdraw(&deque, tickets[victim]));
                CHECK(lp_deque_count(&deque) == 4);
                CHECK(put(&deque, 5, NULL, &ticket));
                for (int i = 0; i < 6; i++) {
                    int next = by_owner ? 5 - i : i;
                    if (next != victim) {
                        CHECK((by_owner ? newest(&deque) : oldest(&deque)) == next);
                    }
                }
                for (int i = 0; i < 5; i++) {
                    CHECK(!lp_deque_withdraw(&deque, tickets[i]));
                }
                check_empty(&deque);
                lp_deque_fini(&deque);
            }
        }
    }
}

TEST(all_items_can_be_withdrawn_in_any_order)
{
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}};
    for (int o = 0; o < 4; o++) {
        struct lp_deque deque;
        CHECK(lp_deque_init(&deque, 4) == 0);
        for (int lap = 0; lap < 5; lap++) {
            uint64_t tickets[4];
            for (int i = 0; i < 4; i++) {
                CHECK(put(&deque, i, NULL, &tickets[i]));
            }
            for (int i = 0; i < 4; i++) {
                CHECK(lp_deque_withdraw(&deque, tickets[orders[o][i]]));
            }
            check_empty(&deque);
        }
        lp_deque_fini(&deque);
    }
}

TEST(what_was_withdrawn_at_an_end_makes_room)
{
    for (int used = 0; used < 5; used++) {
        struct lp_deque deque;
        uint64_t tickets[4], ticket;
        init_used(&deque, 4, used);
        for (int i = 0; i < 4; i++) {
            CHECK(put(&deque, i, NULL, &tickets[i]));
        }
        CHECK(lp_deque_withdraw(&deque, tickets[3]));
        CHECK(put(&deque, 4, NULL, &ticket));
        CHECK(!put(&deque, 5, NULL, &ticket));
        CHECK(lp_deque_withdraw(&deque, tickets[0]));
        CHECK(put(&deque, 5, NULL, &ticket));
        /* in the middle it counts until it is at an end */
        CHECK(lp_deque_withdraw(&deque, tickets[2]));
        CHECK(!put(&deque, 6, NULL, &ticket));
        CHECK(lp_deque_withdraw(&deque, tickets[1]));
        CHECK(put(&deque, 6, NULL, &ticket));
        CHECK(put(&deque, 7, NULL, &ticket));
        CHECK(!put(&deque, 8, NULL, &ticket));
        for (int i = 4; i < 8; i++) {
            CHECK(oldest(&deque) == i);
        }
        check_empty(&deque);
        lp_deque_fini(&deque);
    }
}

TEST(an_old_ticket_takes_nothing)
{
    struct lp_deque deque;
    uint64_t old[64], ticket;
    int count = 0;
    CHECK(lp_deque_init(&deque, 4) == 0);
    for (int lap = 0; lap < 16; lap++) {
        for (int i = 0; i < 4; i++) {
            CHECK(put(&deque, i, NULL, &old[count]));
            for (int j = 0; j < count; j++) {
                CHECK(old[j] != old[count] && old[count] != 0);
                if (j < lap * 4) {
                    CHECK(!lp_deque_withdraw(&deque, old[j]));
                }
            }
            count++;
        }
        CHECK(newest(&deque) == 3);
        CHECK(oldest(&deque) == 0);
        CHECK(lp_deque_withdraw(&deque, old[count - 2]));
        CHECK(newest(&deque) == 1);
    }
    /* the same cell again and again */
    CHECK(put(&deque, 0, NULL, &ticket));
    for (int i = 0; i < 100; i++) {
        CHECK(put(&deque, 1, NULL, &old[0]) && newest(&deque) == 1);
        CHECK(put(&deque, 2, NULL, &ticket));
        CHECK(!lp_deque_withdraw(&deque, old[0]));
        CHECK(newest(&deque) == 2);
    }
    lp_deque_fini(&deque);
}

TEST(take_tagged_finds_the_oldest_with_that_tag)
{
    for (int used = 0; used < 9; used++) {
        struct lp_deque deque;
        uint64_t ticket;
        init_used(&deque, 8, used);
        for (int i = 0; i < 8; i++) {
            CHECK(put(&deque, i, i % 2 ? &blue : &red, &ticket));
        }
        CHECK(number_of(lp_deque_take_tagged(&deque, &blue)) == 1);
        CHECK(number_of(lp_deque_take_tagged(&deque, &red)) == 0);
        CHECK(lp_deque_take_tagged(&deque, &green) == NULL);
        CHECK(oldest(&deque) == 2);
        CHECK(number_of(lp_deque_take_tagged(&deque, &blue)) == 3);
        CHECK(number_of(lp_deque_take_tagged(&deque, &blue)) == 5);
        CHECK(newest(&deque) == 7);
        CHECK(lp_deque_take_tagged(&deque, &blue) == NULL);
        CHECK(newest(&deque) == 6);
        CHECK(newest(&deque) == 4);
        check_empty(&deque);
        lp_deque_fini(&deque);
    }
}

TEST(pop_tagged_takes_the_newest_or_nothing)
{
    struct lp_deque deque;
    uint64_t tickets[4];
    CHECK(lp_deque_init(&deque, 4) == 0);
    CHECK(put(&deque, 0, &red, &tickets[0]));
    CHECK(put(&deque, 1, &blue, &tickets[1]));
    CHECK(put(&deque, 2, &red, &tickets[2]));
    CHECK(lp_deque_pop_tagged(&deque, &blue) == NULL);
    CHECK(lp_deque_pop_tagged(&deque, NULL) == NULL);
    CHECK(lp_deque_count(&deque) == 3);
    CHECK(number_of(lp_deque_pop_tagged(&deque, &red)) == 2);
    CHECK(lp_deque_pop_tagged(&deque, &red) == NULL);
    /* what was withdrawn is no newest item */
    CHECK(lp_deque_withdraw(&deque, tickets[1]));
    CHECK(number_of(lp_deque_pop_tagged(&deque, &red)) == 0);
    check_empty(&deque);
    CHECK(put(&deque, 3, NULL, &tickets[3]));
    CHECK(number_of(lp_deque_pop_tagged(&deque, NULL)) == 3);
    lp_deque_fini(&deque);
}

/* ---- random lives -------------------------------------------------------------------------- */

/* The items that wait, oldest first, and the cells that are taken between them. */
struct model {
    struct {
        int number; /* NONE: taken out of the middle */
        const void *tag;
        uint64_t ticket;
    } entries[64];
    int count, capacity;
};

static void drop_empty_front(struct model *model)
{
    while (model->count && model->entries[0].number == NONE) {
        model->count--;
        memmove(&model->entries[0], &model->entries[1],
                (size_t)model->count * sizeof *model->entries);
    }
}

static int take_entry(struct model *model, int at)
{
    if (at < 0) {
        return NONE;
    }
    int number = model->entries[at].number;
    model->entries[at].number = NONE;
    drop_empty_front(model);
    return number;
}

/* Only pops, and pushes that find no room, look for empty cells at this end. */
static int drop_empty_back(struct model *model)
{
    while (model->count && model->entries[model->count - 1].number == NONE) {
        model->count--;
    }
    return model->count - 1;
}

static int pop_entry(struct model *model)
{
    int number = take_entry(model, drop_empty_back(model));
    model->count -= model->count > 0;
    return number;
}

static bool has_room(struct model *model)
{
    if (model->count == model->capacity) {
        drop_empty_back(model);
    }
    return model->count < model->capacity;
}

static int find_tagged(const struct model *model, const void *tag)
{
    for (int i = 0; i < model->count; i++) {
        if (model->entries[i].number != NONE && model->entries[i].tag == tag) {
            return i;
        }
    }
    return -1;
}

static int waiting(const struct model *model)
{
    int count = 0;
    for (int i = 0; i < model->count; i++) {
        count += model->entries[i].number != NONE;
    }
    return count;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* One operation on both; false if they differ. */
static bool same_step(struct lp_deque *deque, struct model *model, unsigned *random, int number)
{
    static const char *const tags[] = {&red, &blue, &green};
    const void *tag = tags[next_random(random) % 3];
    switch (next_random(random) % 9) {
    case 0:
        return newest(deque) == pop_entry(model);
    case 1:
        return oldest(deque) == take_entry(model, model->count ? 0 : -1);
    case 2:
        return number_of(lp_deque_take_tagged(deque, tag)) ==
               take_entry(model, find_tagged(model, tag));
    case 3: {
        int last = drop_empty_back(model);
        bool fits = last >= 0 && model->entries[last].tag == tag;
        return number_of(lp_deque_pop_tagged(deque, tag)) == (fits ? pop_entry(model) : NONE);
    }
    case 4: {
        if (!model->count) {
            return !lp_deque_withdraw(deque, next_random(random));
        }
        int at = (int)(next_random(random) % (unsigned)model->count);
        bool waits = model->entries[at].number != NONE;
        uint64_t ticket = model->entries[at].ticket;
        return lp_deque_withdraw(deque, ticket) == (take_entry(model, at) != NONE) &&
               (!waits || !lp_deque_withdraw(deque, ticket));
    }
    default: {
        uint64_t ticket;
        bool fits = has_room(model);
        if (put(deque, number, tag, &ticket) != fits) {
            return false;
        }
        if (fits) {
            model->entries[model->count].number = number;
            model->entries[model->count].tag = tag;
            model->entries[model->count++].ticket = ticket;
        }
        return true;
    }
    }
}

TEST(a_random_life_goes_as_that_of_an_array)
{
    static const unsigned capacities[] = {2, 4, 8, 64};
    for (unsigned c = 0; c < 4; c++) {
        struct lp_deque deque;
        struct model model = {.capacity = (int)capacities[c]};
        unsigned random = 7 + c;
        CHECK(lp_deque_init(&deque, capacities[c]) == 0);
        for (int i = 0; i < 200000; i++) {
            if (!CHECK(same_step(&deque, &model, &random, i % NUMBERS)) ||
                !CHECK((int)lp_deque_count(&deque) == waiting(&model)) ||
                !CHECK(lp_deque_maybe_nonempty(&deque) || !waiting(&model))) {
                break;
            }
        }
        CHECK(deque.top > 1000);
        lp_deque_fini(&deque);
    }
}

/* Every sequence of that many operations out of push, pop, steal and the withdrawal of what was
 * pushed last, the one before, and so on. */
static bool same_sequence(unsigned sequence, int length)
{
    struct lp_deque deque;
    struct model model = {.capacity = 2};
    uint64_t tickets[16] = {0}; /* by number; numbers are given to accepted pushes in order */
    int pushed = 0;
    bool same = lp_deque_init(&deque, 2) == 0;
    for (int i = 0; i < length && same; i++, sequence /= 5) {
        unsigned operation = sequence % 5;
        if (operation == 0) {
            bool fits = has_room(&model);
            same = put(&deque, pushed, &red, &tickets[pushed]) == fits;
            if (fits) {
                model.entries[model.count++].number = pushed++;
            }
        } else if (operation == 1) {
            same = newest(&deque) == pop_entry(&model);
        } else if (operation == 2) {
            same = oldest(&deque) == take_entry(&model, model.count ? 0 : -1);
        } else {
            int number = pushed - (int)operation + 2, at = -1;
            for (int j = 0; j < model.count; j++) {
                at = number >= 0 && model.entries[j].number == number ? j : at;
            }
            same = number < 0 || lp_deque_withdraw(&deque, tickets[number]) == (at >= 0);
            take_entry(&model, at);
        }
        same = same && (int)lp_deque_count(&deque) == waiting(&model);
    }
    lp_deque_fini(&deque);
    return same;
}

TEST(every_short_life_goes_as_that_of_an_array)
{
    unsigned sequences = 5 * 5 * 5 * 5 * 5 * 5 * 5;
    for (unsigned sequence = 0; sequence < sequences; sequence++) {
        if (!CHECK(same_sequence(sequence, 7))) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
