/* SPDX-License-Identifier: MIT */
/* The kernels of examples/kernels as jobs of every kind, all at once and again and again, from
 * plain threads and from loops that have timers, a socket and posts to serve meanwhile. Every job
 * that was accepted, every done and every answer is counted; who wants a CPU is watched
 * (runnable.h).
 *
 * usage: soak_kernels [SECONDS [SEED [WAYS]]]. Default: LOOMP_TEST_SECONDS, or 5; seed 1. The seed
 * decides what is submitted, threads decide what comes of it. WAYS narrows a fault down: of the
 * letters s, t, g, i and f, for SERIAL, TASKS, GANG, install and families, those that are wanted.
 */
#define SUITE "soak of kernels"
#include "../unit/gate.h"
#include "runnable.h"

#include "../../examples/kernels/kernels.h"

#include <errno.h>
#include <ev.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum {
    LOOPS = 2,
    PLAIN_ACTORS = 3,
    ACTORS = PLAIN_ACTORS + LOOPS,
    MOST_JOBS = 6,   /* of an actor at a time */
    SMALL_JOBS = 64, /* of a loop at a time */
    HANG_S = 120,    /* so long a turn is taken for a hang, under sanitizers too */
    MESSAGE_BYTES = 32
};

#define TICK_S 0.002

/* How kernels are called. A FAMILY is a SERIAL job that submits jobs and waits for them. */
enum way {
    SERIAL,
    TASKS,
    GANG,
    INSTALL,
    FAMILY,
    WAYS
};

static const char way_letters[] = "stgif";
static const char *const way_names[WAYS] = {"SERIAL", "TASKS", "GANG", "install", "families"};

/* Written by whoever does it, read by the main thread. */
struct counts {
    _Atomic long accepted, done, right;
};

enum stage {
    IDLE,
    QUEUED,
    RUNNING,
    ENDED
};

struct kernel_job {
    loomp_job job;
    struct actor *actor;
    const struct kernel *kernel;
    kernel_fn *function;
    enum way way;
    int most_threads;
    struct kernel_result result;
    _Atomic int stage; /* written by who has the job, read by the watchdog */
};

/* Who submits jobs and waits for them, turn after turn. One thread at a time is it. */
struct actor {
    struct soak *soak;
    int index;
    uint64_t random;
    loomp_loop *loop; /* NULL: a plain thread */
    pthread_t thread;
    loomp_group group;
    struct kernel_job job[MOST_JOBS];
    int jobs;
    struct kernel_job parent;   /* of a family, submits the jobs */
    _Atomic(const char *) turn; /* what it does, NULL: it has ended */
    _Atomic double turn_began;
    _Atomic long turns;
};

/* What a loop has to do meanwhile. */
struct small_job {
    loomp_job job;
    struct load *load;
    uint64_t number, answer;
    bool under_way; /* of the loop's thread */
};

struct load {
    struct soak *soak;
    loomp_loop *loop;
    ev_timer tick;
    double due, worst_delay_s; /* of the loop's thread, the latter read by others when it is late */
    _Atomic double shown_delay_s;
    struct small_job small[SMALL_JOBS];
    uint64_t next;
    ev_io echo;
    int socket[2]; /* the loop's, the client's */
    pthread_t client;
    struct counts small_counts, posts, echoes;
    struct gate closed;
};

struct soak {
    loomp_runtime *runtime;
    int workers;
    double seconds;
    uint64_t seed;
    const char *ways; /* letters */
    struct counts counts[WAYS];
    struct actor actor[ACTORS];
    struct load load[LOOPS];
    _Atomic bool ends; /* no new turns */
    _Atomic bool clients_end;
    _Atomic bool watch_ends;
    _Atomic int families; /* that wait, or come back from it */
    struct runnable runnable;
    bool kernel_tells; /* of runnable threads */
};

static struct soak soak;

static void say_wrong(const char *what, const struct kernel_job *k, int status)
{
    char text[HARNESS_TEXT_BYTES];
    snprintf(text, sizeof text, "%s: %s as %s, width %u: status %d, %s, %d threads: %s", what,
             k->kernel->name, way_names[k->way], k->job.width, status,
             k->result.verified ? "verified" : "not verified", k->result.threads, k->result.text);
    harness_note(false, __FILE__, __LINE__, text);
}

/* xorshift64* */
static unsigned draw(uint64_t *state, unsigned below)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (unsigned)((*state * UINT64_C(2685821657736338717)) >> 33) % below;
}

/* ---- kernels as jobs ------------------------------------------------------------------------- */

static int call_kernel(struct kernel_job *k)
{
    k->stage = RUNNING;
    int err = k->function('S', &k->result);
    k->stage = ENDED;
    return err;
}

static int kernel_work(loomp_job *job)
{
    return call_kernel(LOOMP_CONTAINER(job, struct kernel_job, job));
}

static void judge(struct kernel_job *k, int status)
{
    struct counts *counts = &k->actor->soak->counts[k->way];
    bool right = status == 0 && k->result.verified && k->result.threads >= 1 &&
                 k->result.threads <= k->most_threads;
    atomic_fetch_add(&counts->done, 1);
    if (right) {
        atomic_fetch_add(&counts->right, 1);
    } else {
        say_wrong("a wrong answer", k, status);
    }
    k->stage = IDLE;
}

static void kernel_done(loomp_job *job, int status)
{
    struct kernel_job *k = LOOMP_CONTAINER(job, struct kernel_job, job);
    if (k->job.home && loomp_loop_here() != k->job.home) {
        say_wrong("done is not on the home", k, status);
    }
    judge(k, status);
}

/* EP takes longer than all others together, so it is drawn less often. */
static const struct kernel *draw_kernel(uint64_t *random)
{
    unsigned count = 0;
    while (kernels[count].name) {
        count++;
    }
    const struct kernel *kernel = &kernels[draw(random, count)];
    return kernel->region == ep_region && draw(random, 4) ? &kernels[1 + draw(random, count - 1)]
                                                          : kernel;
}

static void prepare(struct actor *actor, struct kernel_job *k, enum way way)
{
    struct soak *s = actor->soak;
    memset((void *)k, 0, sizeof *k);
    loomp_job_init(&k->job, kernel_work, kernel_done);
    k->actor = actor;
    k->way = way;
    k->kernel = draw_kernel(&actor->random);
    bool tasks = way == TASKS || (way == SERIAL && draw(&actor->random, 2));
    k->function = tasks ? k->kernel->tasks : k->kernel->region;
    k->job.kind = way == TASKS ? LOOMP_TASKS : way == GANG ? LOOMP_GANG : LOOMP_SERIAL;
    k->job.priority = (int32_t)draw(&actor->random, 3) - 1;
    k->job.home = actor->loop;
    k->job.width = way == SERIAL ? 0 : draw(&actor->random, (unsigned)s->workers + 1);
    /* Of TASKS jobs in one region the widest decides. */
    bool narrow = way == GANG && k->job.width;
    k->most_threads = way == SERIAL ? 1 : narrow ? (int)k->job.width : s->workers;
}

/* Returns whether it was accepted; it may be done by then. */
static bool submit(struct kernel_job *k, loomp_group *group)
{
    struct counts *counts = &k->actor->soak->counts[k->way];
    k->job.group = group;
    k->stage = QUEUED;
    atomic_fetch_add(&counts->accepted, 1);
    int err = loomp_submit(k->actor->soak->runtime, &k->job);
    if (err) {
        atomic_fetch_sub(&counts->accepted, 1);
        k->stage = IDLE;
        harness_note(false, __FILE__, __LINE__, loomp_error());
    }
    return err == 0;
}

static bool is_wanted(const struct soak *s, enum way way)
{
    return strchr(s->ways, way_letters[way]) != NULL;
}

/* One of the kinds of job that are wanted; SERIAL if none is. */
static enum way draw_kind(struct actor *actor)
{
    enum way wanted[INSTALL] = {SERIAL};
    unsigned count = 0;
    for (enum way way = SERIAL; way < INSTALL; way++) {
        if (is_wanted(actor->soak, way)) {
            wanted[count++] = way;
        }
    }
    return wanted[draw(&actor->random, count ? count : 1)];
}

static void prepare_some(struct actor *actor, unsigned most)
{
    actor->jobs = 1 + (int)draw(&actor->random, most);
    for (int i = 0; i < actor->jobs; i++) {
        prepare(actor, &actor->job[i], draw_kind(actor));
    }
}

static void submit_some(struct actor *actor, loomp_group *group)
{
    for (int i = 0; i < actor->jobs; i++) {
        submit(&actor->job[i], group);
    }
}

static void begin_turn(struct actor *actor, const char *what)
{
    atomic_store(&actor->turn_began, runnable_now());
    atomic_store(&actor->turn, what);
    atomic_fetch_add(&actor->turns, 1);
}

/* ---- plain threads --------------------------------------------------------------------------- */

static void turn_of_group(struct actor *actor)
{
    begin_turn(actor, "a group");
    prepare_some(actor, MOST_JOBS);
    submit_some(actor, &actor->group);
    CHECK(loomp_group_wait(&actor->group, -1) == 0);
}

static int installed(void *arg)
{
    return call_kernel(arg);
}

static void turn_of_install(struct actor *actor)
{
    begin_turn(actor, "loomp_install");
    actor->jobs = 1;
    struct kernel_job *k = &actor->job[0];
    prepare(actor, k, INSTALL);
    k->job.width = 0;
    k->stage = QUEUED;
    atomic_fetch_add(&actor->soak->counts[INSTALL].accepted, 1);
    judge(k, loomp_install(actor->soak->runtime, installed, k));
}

static int parent_work(loomp_job *job)
{
    struct kernel_job *parent = LOOMP_CONTAINER(job, struct kernel_job, job);
    struct soak *s = parent->actor->soak;
    loomp_group group;
    CHECK(loomp_group_init(&group, s->runtime) == 0);
    atomic_fetch_add(&s->families, 1);
    submit_some(parent->actor, &group);
    int err = loomp_group_wait(&group, -1);
    atomic_fetch_sub(&s->families, 1);
    parent->result.verified = err == 0;
    parent->result.threads = 1;
    return err;
}

static void turn_of_family(struct actor *actor)
{
    begin_turn(actor, "a family");
    prepare_some(actor, 3);
    struct kernel_job *parent = &actor->parent;
    prepare(actor, parent, SERIAL);
    parent->way = FAMILY;
    parent->job.work = parent_work;
    parent->job.flags = LOOMP_MAY_WAIT;
    submit(parent, &actor->group);
    CHECK(loomp_group_wait(&actor->group, -1) == 0);
}

static void *act(void *arg)
{
    struct actor *actor = arg;
    pthread_setname_np(pthread_self(), "actor");
    while (!actor->soak->ends) {
        unsigned drawn = draw(&actor->random, 8);
        if (drawn < 2 && is_wanted(actor->soak, INSTALL)) {
            turn_of_install(actor);
        } else if (drawn == 2 && is_wanted(actor->soak, FAMILY)) {
            turn_of_family(actor);
        } else {
            turn_of_group(actor);
        }
    }
    atomic_store(&actor->turn, (const char *)NULL);
    return NULL;
}

/* ---- on loops -------------------------------------------------------------------------------- */

static void next_turn(loomp_group *group, int status, void *arg)
{
    struct actor *actor = arg;
    CHECK(status == 0);
    if (actor->soak->ends) {
        atomic_store(&actor->turn, (const char *)NULL);
        return;
    }
    begin_turn(actor, "a group of a loop");
    prepare_some(actor, 3);
    submit_some(actor, group);
    CHECK(loomp_group_notify(group, actor->loop, next_turn, actor) == 0);
}

static void act_on_loop(loomp_loop *loop, void *arg)
{
    struct actor *actor = arg;
    (void)loop;
    next_turn(&actor->group, 0, actor);
}

/* So short that it must not wait behind a kernel for long. */
static uint64_t small_answer(uint64_t number)
{
    for (int i = 0; i < 200; i++) {
        number = number * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
    return number;
}

static int small_work(loomp_job *job)
{
    struct small_job *small = LOOMP_CONTAINER(job, struct small_job, job);
    small->answer = small_answer(small->number);
    return 0;
}

static void count_answer(struct counts *counts, bool right)
{
    atomic_fetch_add(&counts->done, 1);
    atomic_fetch_add(&counts->right, right);
    CHECK(right);
}

static void small_done(loomp_job *job, int status)
{
    struct small_job *small = LOOMP_CONTAINER(job, struct small_job, job);
    bool right = status == 0 && small->answer == small_answer(small->number) &&
                 loomp_loop_here() == small->load->loop;
    small->under_way = false;
    count_answer(&small->load->small_counts, right);
}

static void tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct load *load = timer->data;
    (void)ev;
    (void)events;
    double now = runnable_now(), delay_s = now - load->due;
    if (delay_s > load->worst_delay_s) {
        load->worst_delay_s = delay_s;
        atomic_store(&load->shown_delay_s, delay_s);
    }
    load->due = now + TICK_S;
    struct small_job *small = &load->small[load->next % SMALL_JOBS];
    if (!small->under_way) {
        loomp_job_init(&small->job, small_work, small_done);
        small->load = load;
        small->number = load->next++;
        small->under_way = true;
        atomic_fetch_add(&load->small_counts.accepted, 1);
        CHECK(loomp_submit(load->soak->runtime, &small->job) == 0);
    }
}

static void echo(struct ev_loop *ev, ev_io *io, int events)
{
    struct load *load = io->data;
    char message[MESSAGE_BYTES];
    (void)ev;
    (void)events;
    ssize_t length = recv(load->socket[0], message, sizeof message, MSG_DONTWAIT);
    if (length > 0) {
        CHECK(send(load->socket[0], message, (size_t)length, MSG_NOSIGNAL) == length);
    }
}

struct posted {
    struct load *load;
    uint64_t number, answer;
};

static int posted_work(void *arg)
{
    struct posted *posted = arg;
    posted->answer = small_answer(posted->number);
    return 0;
}

static void posted_done(void *arg, int result)
{
    struct posted *posted = arg;
    bool right = result == 0 && posted->answer == small_answer(posted->number) &&
                 loomp_loop_here() == posted->load->loop;
    count_answer(&posted->load->posts, right);
    free(posted);
}

static void receive_post(loomp_loop *loop, void *arg)
{
    struct posted *posted = arg;
    CHECK(loomp_loop_here() == loop);
    CHECK(loomp_call(posted->load->soak->runtime, posted_work, posted, posted_done, posted) == 0);
}

/* A plain thread that talks with a loop: posts to it, and messages that it wants back. */
static void *converse(void *arg)
{
    struct load *load = arg;
    const struct timespec pause = {0, 1000000};
    pthread_setname_np(pthread_self(), "client");
    for (uint64_t number = 1; !load->soak->clients_end; number++) {
        struct posted *posted = malloc(sizeof *posted);
        if (CHECK(posted != NULL)) {
            *posted = (struct posted){load, number, 0};
            atomic_fetch_add(&load->posts.accepted, 1);
            CHECK(loomp_post(load->loop, receive_post, posted) == 0);
        }
        char sent[MESSAGE_BYTES], got[MESSAGE_BYTES] = "";
        memset(sent, 0, sizeof sent);
        snprintf(sent, sizeof sent, "message %llu", (unsigned long long)number);
        atomic_fetch_add(&load->echoes.accepted, 1);
        CHECK(send(load->socket[1], sent, sizeof sent, MSG_NOSIGNAL) == sizeof sent);
        CHECK(recv(load->socket[1], got, sizeof got, MSG_WAITALL) == sizeof got);
        count_answer(&load->echoes, memcmp(sent, got, sizeof sent) == 0);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void open_load(loomp_loop *loop, void *arg)
{
    struct load *load = arg;
    struct ev_loop *ev = loomp_loop_ev(loop);
    ev_timer_init(&load->tick, tick, TICK_S, 0.);
    load->tick.repeat = TICK_S;
    load->tick.data = load;
    ev_io_init(&load->echo, echo, load->socket[0], EV_READ);
    load->echo.data = load;
    ev_now_update(ev);
    load->due = runnable_now() + TICK_S;
    ev_timer_start(ev, &load->tick);
    ev_io_start(ev, &load->echo);
}

static void close_load(loomp_loop *loop, void *arg)
{
    struct load *load = arg;
    ev_timer_stop(loomp_loop_ev(loop), &load->tick);
    ev_io_stop(loomp_loop_ev(loop), &load->echo);
    gate_arrive(&load->closed);
}

/* ---- watching -------------------------------------------------------------------------------- */

static void *watch(void *arg)
{
    struct soak *s = arg;
    const struct timespec pause = {0, 10000000};
    pthread_setname_np(pthread_self(), "watch");
    for (double next_average = 0; !s->watch_ends;) {
        if (runnable_now() >= next_average) {
            runnable_look(&s->runnable);
            runnable_average(&s->runnable);
            next_average = runnable_now() + 1;
        }
        runnable_sample(&s->runnable);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static long sum_of(const struct soak *s, size_t member)
{
    long sum = 0;
    for (int l = 0; l < LOOPS; l++) {
        const struct counts *counts = (const void *)((const char *)&s->load[l] + member);
        sum += atomic_load(&counts->right);
    }
    return sum;
}

static void print_progress(const struct soak *s, double since)
{
    printf("%6.1f s:", since);
    for (int w = 0; w < WAYS; w++) {
        printf(" %s %ld,", way_names[w], atomic_load(&s->counts[w].right));
    }
    double worst_s = 0;
    for (int l = 0; l < LOOPS; l++) {
        double delay_s = atomic_load(&s->load[l].shown_delay_s);
        worst_s = delay_s > worst_s ? delay_s : worst_s;
    }
    printf(" small %ld, posts %ld, echoes %ld; a timer at most %.1f ms late\n",
           sum_of(s, offsetof(struct load, small_counts)), sum_of(s, offsetof(struct load, posts)),
           sum_of(s, offsetof(struct load, echoes)), worst_s * 1e3);
    fflush(stdout);
}

static void print_job(const struct kernel_job *k)
{
    static const char *const stages[] = {"idle", "queued", "running", "ended, done to come"};
    printf("    %-9s %-8s width %u, priority %+d: %s\n", k->kernel ? k->kernel->name : "",
           way_names[k->way], k->job.width, k->job.priority, stages[k->stage]);
}

/* Ends the program if an actor has been at one turn for too long. */
static void look_for_hangs(struct soak *s)
{
    double now = runnable_now();
    bool hangs = false;
    for (int a = 0; a < ACTORS; a++) {
        const struct actor *actor = &s->actor[a];
        hangs = hangs || (atomic_load(&actor->turn) && now - actor->turn_began > HANG_S);
    }
    if (!hangs) {
        return;
    }
    printf("a hang, after the seed %llu; under way:\n", (unsigned long long)s->seed);
    for (int a = 0; a < ACTORS; a++) {
        const struct actor *actor = &s->actor[a];
        const char *turn = atomic_load(&actor->turn);
        if (turn) {
            printf("  actor %d: %s, for %.1f s\n", a, turn, now - actor->turn_began);
            for (int i = 0; i < actor->jobs; i++) {
                print_job(&actor->job[i]);
            }
        }
    }
    loomp_describe(s->runtime, stdout);
    printf("0 passed, 1 failed\n");
    fflush(stdout);
    _exit(1);
}

static bool actors_act(const struct soak *s)
{
    bool any = false;
    for (int a = 0; a < ACTORS; a++) {
        any = any || atomic_load(&s->actor[a].turn) != NULL;
    }
    return any;
}

/* Until the time is over and the actors have ended. */
static void attend(struct soak *s)
{
    const struct timespec pause = {0, 50000000};
    double began = runnable_now(), every_s = s->seconds < 25 ? s->seconds / 5 : 5;
    for (double next = every_s; actors_act(s);) {
        nanosleep(&pause, NULL);
        double since = runnable_now() - began;
        s->ends = since >= s->seconds;
        if (since >= next) {
            print_progress(s, since);
            next += every_s;
        }
        look_for_hangs(s);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void start_load(struct soak *s, int l)
{
    struct load *load = &s->load[l];
    load->soak = s;
    load->loop = loomp_loop_at(s->runtime, l);
    gate_init(&load->closed);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, load->socket) == 0);
    CHECK(loomp_post(load->loop, open_load, load) == 0);
    CHECK(pthread_create(&load->client, NULL, converse, load) == 0);
}

static void end_load(struct load *load)
{
    pthread_join(load->client, NULL);
    CHECK(loomp_post(load->loop, close_load, load) == 0);
    gate_wait_for_arrivals(&load->closed, 1);
    close(load->socket[0]);
    close(load->socket[1]);
}

static void start_actor(struct soak *s, int a)
{
    struct actor *actor = &s->actor[a];
    actor->soak = s;
    actor->index = a;
    actor->random = (s->seed + (uint64_t)a) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    CHECK(loomp_group_init(&actor->group, s->runtime) == 0);
    begin_turn(actor, "its start");
    if (a < PLAIN_ACTORS) {
        CHECK(pthread_create(&actor->thread, NULL, act, actor) == 0);
    } else {
        actor->loop = loomp_loop_at(s->runtime, a - PLAIN_ACTORS);
        CHECK(loomp_post(actor->loop, act_on_loop, actor) == 0);
    }
}

static void check_counts(const char *what, const struct counts *counts)
{
    printf("%-9s %8ld accepted, %8ld done, %8ld right\n", what, counts->accepted, counts->done,
           counts->right);
    CHECK(counts->accepted == counts->done);
    CHECK(counts->accepted == counts->right);
}

/* The workers may be runnable, the one of relief, and each job that has waited: if its place does
 * not come back to it within the time of relief, it goes on without. At an instant there may be
 * more, while places change hands; not on average, and not for long and at work (runnable.h). What
 * is allowed to a second and to a while is far above what a busy machine makes of handovers, and
 * below what two teams at work on the same places are. */
static void report_runnable(struct soak *s)
{
    const struct runnable *r = &s->runnable;
    double intervals = r->intervals ? (double)r->intervals : 1;
    double average = r->sum_of_averages / intervals, allowed = r->sum_of_allowed / intervals;
    printf(
        "runnable threads of the teams (%d of %d workers): on average %.2f of at most %.2f, in the "
        "worst second %.2f\n",
        r->teams, s->workers, average, allowed, r->highest_average);
    printf("at %ld instants so many were seen:", r->samples);
    for (int n = 0; n < RUNNABLE_COUNTS; n++) {
        if (r->with[n]) {
            printf(" %d: %ld", n, r->with[n]);
        }
    }
    printf("; more than may be were at work for %.0f ms at most%s\n", r->longest_excess_s * 1e3,
           r->excess);
    CHECK(average <= allowed);
    CHECK(r->highest_excess <= 0.5);
    CHECK(r->longest_excess_s <= 0.5);
}

TEST(a_mix_of_all_kinds_gives_every_answer_once_and_right)
{
    struct soak *s = &soak;
    pthread_t watcher;
    printf("%.0f s, seed %llu\n", s->seconds, (unsigned long long)s->seed);
    s->runtime = runtime_with(workers_under_test(), (const char *const[]){"io.threads", "2", NULL});
    if (!s->runtime) {
        return;
    }
    s->workers = loomp_pool_threads(loomp_pool_named(s->runtime, "compute"));
    s->kernel_tells = runnable_init(&s->runnable, s->workers + 1, &s->families);
    if (s->kernel_tells) {
        CHECK(pthread_create(&watcher, NULL, watch, s) == 0);
    }
    for (int l = 0; l < LOOPS; l++) {
        start_load(s, l);
    }
    for (int a = 0; a < ACTORS; a++) {
        start_actor(s, a);
    }
    attend(s);
    for (int a = 0; a < PLAIN_ACTORS; a++) {
        pthread_join(s->actor[a].thread, NULL);
    }
    s->clients_end = true;
    for (int l = 0; l < LOOPS; l++) {
        end_load(&s->load[l]);
    }
    s->watch_ends = true;
    if (s->kernel_tells) {
        pthread_join(watcher, NULL);
        report_runnable(s);
        runnable_fini(&s->runnable);
    }
    CHECK(loomp_stop(s->runtime) == 0);
    for (int w = 0; w < WAYS; w++) {
        check_counts(way_names[w], &s->counts[w]);
    }
    for (int l = 0; l < LOOPS; l++) {
        check_counts("small", &s->load[l].small_counts);
        check_counts("posts", &s->load[l].posts);
        check_counts("echoes", &s->load[l].echoes);
    }
}

int main(int argc, char **argv)
{
    const char *text = getenv("LOOMP_TEST_SECONDS");
    soak.seconds = argc > 1 ? atof(argv[1]) : text ? atof(text) : 5;
    soak.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    soak.ways = argc > 3 ? argv[3] : way_letters;
    if (strspn(soak.ways, way_letters) != strlen(soak.ways)) {
        fprintf(stderr, "soak_kernels: not all of the letters '%s' are among %s\n", soak.ways,
                way_letters);
        return 2;
    }
    return harness_run(1, argv);
}
