/* SPDX-License-Identifier: MIT */
/* The deque in every order in which a few threads can take their steps: a step is an atomic access,
 * the threads are contexts on one thread, and an order differs from the next in where a thread is
 * interrupted. All orders with a few interruptions are run, each of them twice: with stores that
 * others see at once, and with stores that stay in a buffer of their thread until its next seq_cst
 * store or read-modify-write, as processors have it. The deque's source is included here, so that
 * its atomic accesses can be replaced.
 *
 * What the sanitizers know of stacks does not fit to threads like these; the program is skipped
 * under them. */
#define SUITE "deque schedules"
#include "harness.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

static uint64_t load_word(void *at, memory_order order);
static void store_word(void *at, uint64_t value, memory_order order);
static bool exchange_word(void *at, uint64_t *expected, uint64_t desired);

static uint64_t load_number(_Atomic uint64_t *at, memory_order order)
{
    return load_word(at, order);
}

static void *load_item(_Atomic(void *) *at, memory_order order)
{
    return (void *)(uintptr_t)load_word(at, order);
}

static const void *load_tag(_Atomic(const void *) *at, memory_order order)
{
    return (const void *)(uintptr_t)load_word(at, order);
}

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(at, order)                                                            \
    _Generic((at), _Atomic uint64_t *: load_number, _Atomic(void *) *: load_item,                  \
             _Atomic(const void *) *: load_tag)((at), (order))
#define atomic_store_explicit(at, value, order) store_word((at), (uint64_t)(value), (order))
#define atomic_compare_exchange_strong_explicit(at, expected, desired, success, failure)           \
    exchange_word((at), (expected), (desired))

#include "../../src/handoff/deque.c"

enum {
    THREADS = 4,
    STEPS = 4096,
    BUFFER = 16,
    ITEMS = 8,
    STACK_BYTES = 128 * 1024,
    NEVER = INT32_MAX
};

/* ---- threads that take steps in a given order ---------------------------------------------- */

struct stepper {
    const char *program; /* one letter per operation, see run_program */
    ucontext_t context;
    char *stack;
    bool running;
    struct {
        uint64_t *at;
        uint64_t value;
    } buffer[BUFFER]; /* stores that the others do not see yet, oldest first */
    unsigned buffered;
    unsigned last_stolen;
};

static struct {
    struct stepper threads[THREADS];
    unsigned count, current, interruptions, most_interruptions;
    bool buffers_stores;
    bool stepping; /* otherwise whoever calls goes on alone, and all see its stores */
    ucontext_t main;
    int now; /* steps so far */
    /* The order under way: at each decision, which of how many. */
    unsigned char choice[STEPS], choices[STEPS];
    unsigned decisions;
    long orders;
} world;

static void flush(struct stepper *thread)
{
    for (unsigned i = 0; i < thread->buffered; i++) {
        *thread->buffer[i].at = thread->buffer[i].value;
    }
    thread->buffered = 0;
}

/* Lets the thread run that the order under way has here. */
static void decide(void)
{
    unsigned candidates[THREADS], count = 0;
    unsigned from = world.current;
    bool ended = !world.threads[from].running;
    if (!ended) {
        candidates[count++] = from;
    }
    if (ended || world.interruptions < world.most_interruptions) {
        for (unsigned i = 0; i < world.count; i++) {
            if (i != from && world.threads[i].running) {
                candidates[count++] = i;
            }
        }
    }
    if (count == 0) {
        setcontext(&world.main);
    }
    unsigned at = world.decisions++;
    if (at >= STEPS) {
        fprintf(stderr, "%s: a thread does not come to its end\n", SUITE);
        abort();
    }
    world.choices[at] = (unsigned char)count;
    unsigned to = candidates[world.choice[at]];
    if (to != from) {
        world.interruptions += !ended;
        world.current = to;
        swapcontext(&world.threads[from].context, &world.threads[to].context);
    }
}

static struct stepper *step(void)
{
    world.now++;
    if (world.stepping) {
        decide();
    }
    return &world.threads[world.current];
}

static uint64_t load_word(void *at, memory_order order)
{
    (void)order;
    struct stepper *thread = step();
    for (unsigned i = thread->buffered; i-- > 0;) {
        if (thread->buffer[i].at == at) {
            return thread->buffer[i].value;
        }
    }
    return *(uint64_t *)at;
}

static void store_word(void *at, uint64_t value, memory_order order)
{
    struct stepper *thread = step();
    if (order != memory_order_seq_cst && world.stepping && world.buffers_stores &&
        thread->buffered < BUFFER) {
        thread->buffer[thread->buffered].at = at;
        thread->buffer[thread->buffered++].value = value;
        return;
    }
    flush(thread);
    *(uint64_t *)at = value;
}

static bool exchange_word(void *at, uint64_t *expected, uint64_t desired)
{
    struct stepper *thread = step();
    flush(thread);
    uint64_t value = *(uint64_t *)at;
    if (value == *expected) {
        *(uint64_t *)at = desired;
        return true;
    }
    *expected = value;
    return false;
}

/* The next order in which something differs as late as possible; false after the last. */
static bool next_order(void)
{
    while (world.decisions > 0) {
        unsigned last = world.decisions - 1;
        if (world.choice[last] + 1u < world.choices[last]) {
            world.choice[last]++;
            memset(world.choice + world.decisions, 0, STEPS - world.decisions);
            return true;
        }
        world.choice[last] = 0;
        world.decisions--;
    }
    return false;
}

/* ---- what they do to the deque, and what must hold ----------------------------------------- */

static const char red, blue;

static struct {
    struct lp_deque deque;
    unsigned pushed;
    uint64_t tickets[ITEMS];
    /* By item, in steps: when its push had returned, when the call that got it began, and when a
     * withdrawal was answered. */
    int in[ITEMS], out[ITEMS];
    int got[ITEMS];
    char items[ITEMS];
    const void *tags[ITEMS];
    _Atomic uint64_t announced;
    bool sleeper_unseen, sees_nothing;
    const char *wrong;
} play;

static void note(bool good, const char *what)
{
    if (!good && !play.wrong) {
        play.wrong = what;
    }
}

/* A call that found nothing is wrong if an item that it asked for waited all the time: pushed
 * before the call began and got by one that began after its end. That is known at the end. */
struct nothing {
    int began, ended;
    const void *tag;  /* NULL: any */
    const void *item; /* NULL: any */
};
static struct nothing nothings[64];
static unsigned nothing_count;

static void note_nothing(int began, const void *tag, const void *item)
{
    nothings[nothing_count++] =
        (struct nothing){.began = began, .ended = world.now, .tag = tag, .item = item};
}

static void note_item(struct stepper *thread, const void *item, int began, const void *tag,
                      bool stolen)
{
    if (!item) {
        note_nothing(began, tag, NULL);
        return;
    }
    unsigned number = (unsigned)((const char *)item - play.items);
    play.got[number]++;
    play.out[number] = began;
    note(!tag || play.tags[number] == tag, "an item with another tag");
    if (stolen) {
        note(number + 1 > thread->last_stolen, "a thief got an older item after a newer one");
        thread->last_stolen = number + 1;
    }
}

static void push_one(const void *tag)
{
    unsigned number = play.pushed++;
    play.tags[number] = tag;
    note(lp_deque_push(&play.deque, &play.items[number], tag, &play.tickets[number]),
         "a push was refused");
    play.in[number] = world.now;
}

/* p, b: push an item, red or blue; o: pop; r: pop if red; s: steal; g: take one that is red;
 * 0 to 7: withdraw that item; P: push, then look for a sleeper; L: announce, then look. */
static void run_program(struct stepper *thread)
{
    for (const char *operation = thread->program; *operation; operation++) {
        int began = world.now;
        struct lp_deque *deque = &play.deque;
        switch (*operation) {
        case 'p':
            push_one(&red);
            break;
        case 'b':
            push_one(&blue);
            break;
        case 'o':
            note_item(thread, lp_deque_pop(deque), began, NULL, false);
            break;
        case 'r': {
            const void *item = lp_deque_pop_tagged(deque, &red);
            if (item) {
                note_item(thread, item, began, &red, false);
            }
            break;
        }
        case 's':
            note_item(thread, lp_deque_steal(deque), began, NULL, true);
            break;
        case 'g':
            note_item(thread, lp_deque_take_tagged(deque, &red), began, &red, false);
            break;
        case 'P':
            push_one(&red);
            play.sleeper_unseen = !atomic_load_explicit(&play.announced, memory_order_seq_cst);
            break;
        case 'L':
            atomic_store_explicit(&play.announced, 1, memory_order_seq_cst);
            play.sees_nothing = !lp_deque_maybe_nonempty(deque);
            break;
        default: {
            unsigned number = (unsigned)(*operation - '0');
            uint64_t ticket = play.tickets[number];
            if (ticket && lp_deque_withdraw(deque, ticket)) {
                play.got[number]++;
                play.out[number] = began;
            } else {
                note_nothing(began, NULL, &play.items[number]);
            }
        }
        }
    }
    flush(thread);
    thread->running = false;
    decide();
}

static void start_thread(int index)
{
    run_program(&world.threads[index]);
}

static void begin(unsigned capacity)
{
    memset(&play, 0, sizeof play);
    nothing_count = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        play.in[i] = play.out[i] = NEVER;
    }
    if (lp_deque_init(&play.deque, capacity) != 0) {
        abort();
    }
    world.decisions = world.interruptions = world.current = 0;
    world.now = 0;
    world.stepping = true;
    for (unsigned i = 0; i < world.count; i++) {
        struct stepper *thread = &world.threads[i];
        getcontext(&thread->context);
        thread->context.uc_stack.ss_sp = thread->stack;
        thread->context.uc_stack.ss_size = STACK_BYTES;
        thread->running = true;
        thread->buffered = 0;
        thread->last_stolen = 0;
        makecontext(&thread->context, (void (*)(void))start_thread, 1, (int)i);
    }
}

/* All threads have ended: what is left comes out, and everything has come out once. */
static void end(void)
{
    world.stepping = false;
    note(!play.sleeper_unseen || !play.sees_nothing || play.got[play.pushed - 1] > 0,
         "neither the sleeper saw the item nor the owner the sleeper");
    bool looks_empty = !lp_deque_maybe_nonempty(&play.deque);
    unsigned left = lp_deque_count(&play.deque);
    note(!looks_empty || left == 0, "items wait in a deque that looks empty");
    for (bool by_pop = world.orders % 2;;) {
        int began = ++world.now;
        void *item = by_pop ? lp_deque_pop(&play.deque) : lp_deque_steal(&play.deque);
        if (!item) {
            break;
        }
        play.got[(char *)item - play.items]++;
        play.out[(char *)item - play.items] = began;
        left--;
    }
    note(left == 0, "the count is wrong");
    for (unsigned i = 0; i < play.pushed; i++) {
        note(play.got[i] == 1, play.got[i] ? "an item came out twice" : "an item was lost");
        for (unsigned j = 0; j < nothing_count; j++) {
            note(play.in[i] > nothings[j].began || play.out[i] < nothings[j].ended ||
                     (nothings[j].tag && nothings[j].tag != play.tags[i]) ||
                     (nothings[j].item && nothings[j].item != &play.items[i]),
                 "nothing was found while an item waited");
        }
    }
    lp_deque_fini(&play.deque);
}

/* Runs the programs (the first is the owner's) in all orders with that many interruptions. */
static void run_all_orders(unsigned interruptions, const char *const *programs)
{
    for (int buffered = 0; buffered < 2; buffered++) {
        unsigned count = 0;
        for (; programs[count]; count++) {
            world.threads[count].program = programs[count];
            if (!world.threads[count].stack) {
                world.threads[count].stack = malloc(STACK_BYTES);
            }
        }
        world.count = count;
        world.buffers_stores = buffered;
        world.most_interruptions = interruptions;
        memset(world.choice, 0, sizeof world.choice);
        do {
            begin(4);
            if (swapcontext(&world.main, &world.threads[0].context) != 0) {
                abort();
            }
            end();
            world.orders++;
            if (play.wrong) {
                printf("owner %s, others %s %s:\n", programs[0], programs[1],
                       count > 2 ? programs[2] : "");
                harness_note(false, __FILE__, __LINE__, play.wrong);
                return;
            }
        } while (next_order());
    }
}

#define ALL_ORDERS(interruptions, ...)                                                             \
    run_all_orders((interruptions), (const char *const[]){__VA_ARGS__, NULL})

TEST(the_last_item_goes_to_the_owner_or_to_a_thief)
{
    ALL_ORDERS(3, "po", "s", "s");
    ALL_ORDERS(3, "popo", "ss");
    ALL_ORDERS(2, "popopo", "ss", "s");
}

TEST(an_index_is_filled_again_under_thieves)
{
    ALL_ORDERS(3, "ppopo", "sss");
    ALL_ORDERS(3, "ppoop", "ss");
    ALL_ORDERS(2, "ppooppo", "ss", "ss");
    ALL_ORDERS(2, "pppooopp", "sss", "s");
}

TEST(items_are_withdrawn_from_anywhere)
{
    ALL_ORDERS(3, "pppopo", "12", "0");
    ALL_ORDERS(2, "pppopo", "210", "ss");
    ALL_ORDERS(2, "pppoopp", "123", "sss");
}

/* A thief that comes late with its move of top, another that is about to pass the cell that the
 * owner has left and fills again: top must not fall back in between. */
TEST(two_thieves_pass_the_cells_that_others_emptied)
{
    ALL_ORDERS(3, "pbprp", "2s", "ss");
}

TEST(items_are_taken_by_tag_from_anywhere)
{
    ALL_ORDERS(3, "pbpop", "gg");
    ALL_ORDERS(2, "bpprbo", "gg", "ss");
    ALL_ORDERS(2, "pbrpor", "g", "1s");
}

TEST(a_deque_is_filled_and_emptied_over_its_end)
{
    ALL_ORDERS(3, "poppppo", "ss");
    ALL_ORDERS(2, "ppppooopp", "ss", "s");
    ALL_ORDERS(2, "ppppoooppo", "1", "s");
}

TEST(a_sleeper_sees_the_item_or_is_seen)
{
    ALL_ORDERS(4, "P", "L");
    ALL_ORDERS(4, "poP", "L");
    ALL_ORDERS(3, "ppooP", "sL");
    ALL_ORDERS(3, "popP", "s", "L");
    ALL_ORDERS(2, "pppoP", "012", "L");
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_A_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_A_SANITIZER 1
#endif

int main(int argc, char **argv)
{
#ifdef UNDER_A_SANITIZER
    (void)argc, (void)argv, (void)harness_run;
    puts("0 passed, 0 failed, 7 skipped");
    return 77;
#else
    int status = harness_run(argc, argv);
    for (unsigned i = 0; i < THREADS; i++) {
        free(world.threads[i].stack);
    }
    printf("%ld orders\n", world.orders);
    return status;
#endif
}
