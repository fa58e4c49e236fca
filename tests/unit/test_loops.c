/* SPDX-License-Identifier: MIT */
/* Tests of loops through the public interface: posts and their order, fairness towards the
 * application's watchers, at_exit, libev's own watchers, and loops of the application's that are
 * attached. */
#define SUITE "loops"
#include "recorded_job.h"

#include <errno.h>
#include <ev.h>
#include <sched.h>
#include <unistd.h>

static const char *const two_loops[] = {"io.threads", "2", NULL};

/* ---- posts ----------------------------------------------------------------------------------- */

enum { POSTERS = 4, POSTS = 500 };

struct poster {
    loomp_loop *loop;
    int sent;
    int received;
    int out_of_order;
    int elsewhere;
};

struct numbered_post {
    struct poster *poster;
    int number;
};

static struct numbered_post numbered[POSTERS][POSTS];

static void receive_post(loomp_loop *loop, void *arg)
{
    struct numbered_post *post = arg;
    post->poster->out_of_order += post->number != post->poster->received;
    post->poster->received++;
    post->poster->elsewhere += loop != post->poster->loop || loomp_loop_here() != loop;
}

static void *send_posts(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++) {
        struct numbered_post *post = &numbered[poster->sent][i];
        *post = (struct numbered_post){poster, i};
        CHECK(loomp_post(poster->loop, receive_post, post) == 0);
    }
    return NULL;
}

static void send_posts_there(loomp_loop *loop, void *arg)
{
    send_posts(arg);
    struct poster *poster = arg;
    CHECK(poster->loop != loop || poster->received == 0); /* never inside the call */
}

static int send_posts_in_work(loomp_job *job)
{
    send_posts(job->data);
    return 0;
}

static void send_posts_in_done(loomp_job *job, int status)
{
    CHECK(status == 0);
    send_posts(job->data);
}

static int just_return(loomp_job *job)
{
    (void)job;
    return 0;
}

static void check_poster(const struct poster *poster)
{
    CHECK(poster->received == POSTS);
    CHECK(poster->out_of_order == 0);
    CHECK(poster->elsewhere == 0);
}

TEST(posts_of_each_foreign_thread_arrive_in_their_order)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = loomp_loop_at(runtime, 0), .sent = i};
        pthread_create(&threads[i], NULL, send_posts, &posters[i]);
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL); /* they may be gone before their posts arrive */
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < POSTERS; i++) {
        check_poster(&posters[i]);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(posts_from_a_loop_to_itself_and_to_another_arrive_in_order)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), two_loops);
    if (!runtime) {
        return;
    }
    for (int to = 0; to < 2; to++) {
        struct poster poster = {.loop = loomp_loop_at(runtime, to)};
        CHECK(loomp_post(loomp_loop_at(runtime, 0), send_posts_there, &poster) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        check_poster(&poster);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(posts_from_work_and_from_done_arrive_in_order)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), two_loops);
    if (!runtime) {
        return;
    }
    struct poster posters[3];
    loomp_job jobs[3];
    for (int i = 0; i < 3; i++) {
        posters[i] = (struct poster){.loop = loomp_loop_at(runtime, 1), .sent = i};
        loomp_job_init(&jobs[i], i == 0 ? send_posts_in_work : just_return,
                       i == 0 ? NULL : send_posts_in_done);
        jobs[i].data = &posters[i];
        jobs[i].home = i == 1 ? loomp_loop_at(runtime, 0) : NULL; /* else on the team thread */
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < 3; i++) {
        check_poster(&posters[i]);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_post_counts_as_work_under_way)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct poster poster = {.loop = loomp_loop_at(runtime, 0)};
    struct numbered_post post = {&poster, 0};
    CHECK(loomp_post(poster.loop, receive_post, &post) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(poster.received == 1);
    post.number = 1;
    CHECK(loomp_post(poster.loop, receive_post, &post) == 0);
    CHECK(loomp_stop(runtime) == 0); /* runs it too */
    CHECK(poster.received == 2);
}

TEST(a_post_without_a_loop_or_a_function_is_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    CHECK(loomp_post(NULL, receive_post, NULL) == -EINVAL);
    CHECK(loomp_post(loomp_loop_at(runtime, 0), NULL, NULL) == -EINVAL);
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- fairness -------------------------------------------------------------------------------- */

/* Work that brings more work, until each of the application's watchers has had its turns. */
struct fairness {
    loomp_runtime *runtime;
    loomp_loop *loop;
    ev_timer timer; /* runs out at once, again and again */
    ev_check check;
    ev_idle idle; /* of the highest priority */
    ev_timer delayed;
    int timer_turns, check_turns, idle_turns, delayed_turns;
    bool idle_counts; /* the idle watcher must have had its turns, or many others have gone by */
    _Atomic bool enough;
    _Atomic int chains;
};

enum { TURNS = 50, MANY_TURNS = 5000, CHAINS = 200 };

static struct fairness fair;

static void look_if_enough(void)
{
    if (fair.timer_turns >= TURNS && fair.check_turns >= TURNS && fair.delayed_turns > 0 &&
        (!fair.idle_counts || fair.idle_turns >= TURNS || fair.timer_turns >= MANY_TURNS)) {
        fair.enough = true;
    }
}

static void on_fair_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    fair.timer_turns++;
    look_if_enough();
    ev_timer_set(timer, 0., 0.);
    ev_timer_start(ev, timer);
}

static void on_delayed_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)timer;
    (void)events;
    fair.delayed_turns++;
    look_if_enough();
}

static void on_fair_check(struct ev_loop *ev, ev_check *check, int events)
{
    (void)ev;
    (void)check;
    (void)events;
    fair.check_turns++;
    look_if_enough();
}

static void on_fair_idle(struct ev_loop *ev, ev_idle *idle, int events)
{
    (void)ev;
    (void)idle;
    (void)events;
    fair.idle_turns++;
    look_if_enough();
}

static void start_fair_watchers(loomp_loop *loop, void *arg)
{
    (void)arg;
    struct ev_loop *ev = loomp_loop_ev(loop);
    ev_timer_init(&fair.timer, on_fair_timer, 0., 0.);
    ev_timer_start(ev, &fair.timer);
    ev_timer_init(&fair.delayed, on_delayed_timer, 0.001, 0.);
    ev_timer_start(ev, &fair.delayed);
    ev_check_init(&fair.check, on_fair_check);
    ev_check_start(ev, &fair.check);
    ev_idle_init(&fair.idle, on_fair_idle);
    ev_set_priority(&fair.idle, EV_MAXPRI);
    ev_idle_start(ev, &fair.idle);
}

static void stop_fair_watchers(loomp_loop *loop, void *arg)
{
    (void)arg;
    struct ev_loop *ev = loomp_loop_ev(loop);
    ev_timer_stop(ev, &fair.timer);
    ev_timer_stop(ev, &fair.delayed);
    ev_check_stop(ev, &fair.check);
    ev_idle_stop(ev, &fair.idle);
}

static bool start_fair(bool idle_counts)
{
    fair.runtime = runtime_under_test();
    if (!fair.runtime) {
        return false;
    }
    fair.loop = loomp_loop_at(fair.runtime, 0);
    fair.timer_turns = fair.check_turns = fair.idle_turns = fair.delayed_turns = 0;
    fair.idle_counts = idle_counts;
    fair.enough = false;
    fair.chains = 0;
    on_loop(fair.loop, start_fair_watchers, NULL);
    return true;
}

static void stop_fair(void)
{
    CHECK(loomp_wait_idle(fair.runtime, -1) == 0);
    on_loop(fair.loop, stop_fair_watchers, NULL);
    CHECK(loomp_stop(fair.runtime) == 0);
    CHECK(fair.chains == CHAINS);
}

static void post_again(loomp_loop *loop, void *arg)
{
    if (fair.enough) {
        fair.chains++;
    } else {
        CHECK(loomp_post(loop, post_again, arg) == 0);
    }
}

TEST(posts_that_bring_posts_do_not_starve_the_applications_watchers)
{
    if (!start_fair(false)) {
        return;
    }
    for (int i = 0; i < CHAINS; i++) {
        CHECK(loomp_post(fair.loop, post_again, NULL) == 0);
    }
    stop_fair();
}

TEST(posts_that_bring_posts_do_not_starve_an_idle_watcher_of_high_priority)
{
    if (!start_fair(true)) {
        return;
    }
    for (int i = 0; i < CHAINS; i++) {
        CHECK(loomp_post(fair.loop, post_again, NULL) == 0);
    }
    stop_fair();
    CHECK(fair.idle_turns >= TURNS);
}

static void submit_again(loomp_job *job, int status)
{
    CHECK(status == 0);
    if (fair.enough) {
        fair.chains++;
    } else {
        CHECK(loomp_submit(fair.runtime, job) == 0);
    }
}

TEST(jobs_that_bring_jobs_do_not_starve_the_applications_watchers)
{
    static loomp_job jobs[CHAINS];
    if (!start_fair(false)) {
        return;
    }
    for (int i = 0; i < CHAINS; i++) {
        loomp_job_init(&jobs[i], just_return, submit_again);
        jobs[i].home = fair.loop;
        CHECK(loomp_submit(fair.runtime, &jobs[i]) == 0);
    }
    stop_fair();
}

static struct {
    loomp_job job;
    ev_idle idle;
    _Atomic int turns;
    int rounds;
} lazy;

static void on_lazy_idle(struct ev_loop *ev, ev_idle *idle, int events)
{
    (void)ev;
    (void)idle;
    (void)events;
    lazy.turns++;
}

static void start_lazy(loomp_loop *loop, void *arg)
{
    (void)arg;
    ev_idle_init(&lazy.idle, on_lazy_idle);
    ev_idle_start(loomp_loop_ev(loop), &lazy.idle);
}

static void stop_lazy(loomp_loop *loop, void *arg)
{
    (void)arg;
    ev_idle_stop(loomp_loop_ev(loop), &lazy.idle);
}

/* Waits in work, which is not the loop's time, for the idle watcher to have its turn. */
static int wait_for_lazy(loomp_job *job)
{
    (void)job;
    int before = lazy.turns;
    while (lazy.turns == before) {
        sched_yield();
    }
    return 0;
}

static void lazy_again(loomp_job *job, int status)
{
    CHECK(status == 0);
    if (++lazy.rounds < 50) {
        CHECK(loomp_submit(loomp_current(), job) == 0);
    }
}

TEST(an_ordinary_idle_watcher_runs_whenever_no_completion_is_there)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    lazy.turns = 0;
    lazy.rounds = 0;
    loomp_job_init(&lazy.job, wait_for_lazy, lazy_again);
    lazy.job.home = loomp_loop_at(runtime, 0);
    on_loop(lazy.job.home, start_lazy, NULL);
    CHECK(loomp_submit(runtime, &lazy.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(lazy.rounds == 50);
    on_loop(loomp_loop_at(runtime, 0), stop_lazy, NULL);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- at_exit --------------------------------------------------------------------------------- */

struct exits {
    loomp_loop *loop;
    pthread_t thread;
    int called[8];
    int count;
    int elsewhere;
};

struct exit_entry {
    struct exits *exits;
    int number;
};

static void on_exit_of_loop(loomp_loop *loop, void *arg)
{
    struct exit_entry *entry = arg;
    struct exits *exits = entry->exits;
    exits->elsewhere += loop != exits->loop || !pthread_equal(pthread_self(), exits->thread) ||
                        loomp_loop_here() != loop || loomp_loop_ev(loop) == NULL;
    exits->called[exits->count++] = entry->number;
}

static struct exit_entry exit_entries[2][4];

static void register_exits(loomp_loop *loop, void *arg)
{
    struct exits *exits = arg;
    exits->loop = loop;
    exits->thread = pthread_self();
    struct exit_entry *entries = exit_entries[exits->called[7]];
    exits->called[7] = 0;
    for (int i = 0; i < 4; i++) {
        entries[i] = (struct exit_entry){exits, i};
        CHECK(loomp_loop_at_exit(loop, on_exit_of_loop, &entries[i]) == 0);
    }
}

TEST(at_exit_functions_run_on_their_loop_at_stop_last_registered_first)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), two_loops);
    if (!runtime) {
        return;
    }
    struct exits exits[2] = {{.called = {[7] = 0}}, {.called = {[7] = 1}}};
    for (int i = 0; i < 2; i++) {
        on_loop(loomp_loop_at(runtime, i), register_exits, &exits[i]);
        CHECK(loomp_loop_at_exit(loomp_loop_at(runtime, i), on_exit_of_loop, NULL) == -EPERM);
        CHECK(exits[i].count == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0); /* they do not count as work */
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(exits[i].count == 4);
        CHECK(exits[i].elsewhere == 0);
        for (int j = 0; j < 4; j++) {
            CHECK(exits[i].called[j] == 3 - j);
        }
    }
}

static void register_for_other(loomp_loop *loop, void *arg)
{
    (void)loop;
    CHECK(loomp_loop_at_exit(arg, on_exit_of_loop, NULL) == -EPERM);
}

TEST(at_exit_belongs_on_the_loops_own_thread)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), two_loops);
    if (!runtime) {
        return;
    }
    on_loop(loomp_loop_at(runtime, 0), register_for_other, loomp_loop_at(runtime, 1));
    CHECK(loomp_loop_at_exit(loomp_loop_at(runtime, 0), on_exit_of_loop, NULL) == -EPERM);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- libev's own watchers -------------------------------------------------------------------- */

struct pipe_reader {
    ev_io io;
    ev_timer timer;
    int descriptors[2];
    char text[32];
    size_t length;
    int timer_turns;
    bool on_loop;
    struct gate read_all;
    struct gate ticked;
};

static void on_pipe(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct pipe_reader *self = io->data;
    CHECK(events & EV_READ);
    ssize_t got = read(io->fd, self->text + self->length, sizeof self->text - self->length - 1);
    self->length += got > 0 ? (size_t)got : 0;
    self->on_loop = loomp_loop_here() && loomp_loop_ev(loomp_loop_here()) == ev;
    if (self->length == 5) {
        gate_arrive(&self->read_all);
    }
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    struct pipe_reader *self = timer->data;
    if (++self->timer_turns == 3) {
        ev_timer_stop(ev, timer);
        gate_arrive(&self->ticked);
    }
}

static void close_reader(loomp_loop *loop, void *arg)
{
    struct pipe_reader *self = arg;
    ev_io_stop(loomp_loop_ev(loop), &self->io);
    close(self->descriptors[0]);
    self->descriptors[0] = -1;
}

static void start_reader(loomp_loop *loop, void *arg)
{
    struct pipe_reader *self = arg;
    struct ev_loop *ev = loomp_loop_ev(loop);
    ev_io_init(&self->io, on_pipe, self->descriptors[0], EV_READ);
    self->io.data = self;
    ev_io_start(ev, &self->io);
    ev_timer_init(&self->timer, on_tick, 0.001, 0.001);
    self->timer.data = self;
    ev_timer_start(ev, &self->timer);
    CHECK(loomp_loop_at_exit(loop, close_reader, self) == 0);
}

TEST(an_application_uses_libevs_watchers_on_a_loop)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct pipe_reader self = {.length = 0};
    gate_init(&self.read_all);
    gate_init(&self.ticked);
    if (!CHECK(pipe(self.descriptors) == 0)) {
        return;
    }
    on_loop(loomp_loop_at(runtime, 0), start_reader, &self);
    CHECK(write(self.descriptors[1], "hello", 5) == 5); /* wakes the sleeping loop */
    gate_wait_for_arrivals(&self.read_all, 1);
    gate_wait_for_arrivals(&self.ticked, 1);
    CHECK(loomp_stop(runtime) == 0); /* though the watcher is active */
    CHECK_TEXT(self.text, "hello");
    CHECK(self.on_loop);
    CHECK(self.timer_turns == 3);
    CHECK(self.descriptors[0] == -1);
    close(self.descriptors[1]);
}

static void break_loop(loomp_loop *loop, void *arg)
{
    ev_break(loomp_loop_ev(loop), *(int *)arg);
}

static void count_post(loomp_loop *loop, void *arg)
{
    (void)loop;
    ++*(int *)arg;
}

TEST(a_users_ev_break_does_not_end_a_loop)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static const int how[] = {EVBREAK_ONE, EVBREAK_ALL};
    int counted = 0;
    for (int i = 0; i < 20; i++) {
        int kind = how[i % 2];
        on_loop(loomp_loop_at(runtime, 0), break_loop, &kind);
        CHECK(loomp_post(loomp_loop_at(runtime, 0), count_post, &counted) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(counted == i + 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void break_and_run_inside(loomp_loop *loop, void *arg)
{
    int *counted = arg;
    CHECK(loomp_post(loop, count_post, counted) == 0);
    while (*counted == 0) { /* a nested ev_run serves completions too */
        ev_run(loomp_loop_ev(loop), EVRUN_ONCE);
    }
}

TEST(a_callback_may_run_the_loop_itself)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    int counted = 0;
    on_loop(loomp_loop_at(runtime, 0), break_and_run_inside, &counted);
    CHECK(counted == 1);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- several loops --------------------------------------------------------------------------- */

struct whereabouts {
    loomp_loop *here;
    pthread_t thread;
    struct ev_loop *ev;
};

static void note_whereabouts(loomp_loop *loop, void *arg)
{
    *(struct whereabouts *)arg =
        (struct whereabouts){loomp_loop_here(), pthread_self(), loomp_loop_ev(loop)};
}

TEST(each_of_several_loops_has_its_own_thread_and_libev_loop)
{
    static const char *const settings[] = {"io.threads", "3", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    CHECK(loomp_loop_count(runtime) == 3);
    CHECK(loomp_loop_at(runtime, -1) == NULL);
    CHECK(loomp_loop_at(runtime, 3) == NULL);
    CHECK(loomp_loop_here() == NULL);
    struct whereabouts at[3];
    for (int i = 0; i < 3; i++) {
        on_loop(loomp_loop_at(runtime, i), note_whereabouts, &at[i]);
        CHECK(at[i].here == loomp_loop_at(runtime, i));
        CHECK(at[i].ev == loomp_loop_ev(loomp_loop_at(runtime, i)));
        CHECK(!pthread_equal(at[i].thread, pthread_self()));
        for (int j = 0; j < i; j++) {
            CHECK(at[i].here != at[j].here);
            CHECK(at[i].ev != at[j].ev);
            CHECK(!pthread_equal(at[i].thread, at[j].thread));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- attached loops: a home ------------------------------------------------------------------ */

struct attached {
    loomp_runtime *runtime;
    loomp_loop *loop;
    struct ev_loop *ev;
};

static bool start_attached(struct attached *self, int workers, const char *const *settings)
{
    self->runtime = runtime_with(workers, settings);
    self->loop = NULL;
    self->ev = EV_DEFAULT;
    return self->runtime && CHECK(loomp_attach(self->runtime, self->ev, &self->loop) == 0);
}

TEST(jobs_submitted_on_an_attached_loops_thread_are_done_there_and_ev_run_ends_by_itself)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    CHECK(loomp_loop_here() == self.loop);
    CHECK(loomp_loop_ev(self.loop) == self.ev);
    CHECK(loomp_loop_count(self.runtime) == 1); /* it is no loop of loomp's own */
    static struct recorded_job jobs[100];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.kind = i % 25 == 7 ? LOOMP_GANG : LOOMP_SERIAL;
            CHECK(loomp_submit(self.runtime, &jobs[i].job) == 0);
        }
        CHECK(jobs[99].dones == 0);
        ev_run(self.ev, 0);
        for (int i = 0; i < 100; i++) {
            CHECK(jobs[i].works == 1 && jobs[i].dones == 1);
            CHECK(jobs[i].done_loop == self.loop);
            CHECK(pthread_equal(jobs[i].done_thread, pthread_self()));
        }
        CHECK(ev_run(self.ev, EVRUN_NOWAIT) == 0); /* no reference is held */
    }
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_stop(self.runtime) == 0);
}

TEST(an_attached_loop_without_work_does_not_keep_ev_run)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    ev_run(self.ev, 0);
    struct recorded_job job; /* of another home */
    struct gate gate = GATE_INIT;
    recorded_init(&job, &gate);
    job.job.home = loomp_loop_at(self.runtime, 0);
    CHECK(loomp_submit(self.runtime, &job.job) == 0);
    ev_run(self.ev, 0);
    CHECK(job.dones == 0);
    gate_open(&gate);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_stop(self.runtime) == 0);
    CHECK(job.dones == 1);
}

static int open_gate_in_work(loomp_job *job)
{
    gate_open(job->data);
    return 0;
}

TEST(ev_run_lasts_as_long_as_something_with_that_home_is_under_way)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    for (int round = 0; round < 50; round++) {
        struct gate gate = GATE_INIT;
        struct recorded_job job;
        recorded_init(&job, &gate);
        CHECK(loomp_submit_blocking(self.runtime, &job.job) == 0);
        CHECK(ev_run(self.ev, EVRUN_NOWAIT) != 0);
        CHECK(job.dones == 0);
        loomp_job opener = LOOMP_JOB_INIT(open_gate_in_work, NULL);
        opener.data = &gate;
        opener.home = loomp_loop_at(self.runtime, 0); /* not this loop */
        CHECK(loomp_submit(self.runtime, &opener) == 0);
        ev_run(self.ev, 0);
        CHECK(job.dones == 1);
        CHECK(loomp_wait_idle(self.runtime, -1) == 0);
    }
    CHECK(loomp_stop(self.runtime) == 0);
}

struct foreign {
    loomp_runtime *runtime;
    loomp_loop *loop;
    struct recorded_job jobs[50];
    int posts; /* counted on the loop */
    struct gate go;
};

static void *submit_with_home(void *arg)
{
    struct foreign *self = arg;
    for (int i = 0; i < 50; i++) {
        recorded_init(&self->jobs[i], NULL);
        self->jobs[i].job.home = self->loop;
        CHECK(loomp_submit(self->runtime, &self->jobs[i].job) == 0);
        CHECK(loomp_post(self->loop, count_post, &self->posts) == 0);
    }
    return NULL;
}

static void *submit_after_gate(void *arg)
{
    struct foreign *self = arg;
    gate_pass(&self->go);
    return submit_with_home(arg);
}

static void open_foreign_gate(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    gate_open(timer->data);
}

TEST(other_threads_may_submit_and_post_to_an_attached_loop)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    static struct foreign foreign;
    foreign.runtime = self.runtime;
    foreign.loop = self.loop;
    foreign.posts = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, submit_with_home, &foreign);
    pthread_join(thread, NULL);
    ev_run(self.ev, 0);
    CHECK(foreign.posts == 50);
    for (int i = 0; i < 50; i++) {
        CHECK(foreign.jobs[i].dones == 1);
        CHECK(foreign.jobs[i].done_loop == self.loop);
    }

    /* Now while it runs, kept by a watcher of the application's. */
    foreign.posts = 0;
    gate_init(&foreign.go);
    pthread_create(&thread, NULL, submit_after_gate, &foreign);
    ev_timer opener;
    ev_timer_init(&opener, open_foreign_gate, 0., 0.);
    opener.data = &foreign.go;
    ev_timer_start(self.ev, &opener);
    ev_timer keeper;
    ev_timer_init(&keeper, open_foreign_gate, 3600., 0.); /* never runs out */
    ev_timer_start(self.ev, &keeper);
    while (foreign.posts < 50) {
        ev_run(self.ev, EVRUN_ONCE);
    }
    pthread_join(thread, NULL);
    ev_timer_stop(self.ev, &keeper);
    ev_run(self.ev, 0);
    for (int i = 0; i < 50; i++) {
        CHECK(foreign.jobs[i].dones == 1);
    }
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_stop(self.runtime) == 0);
}

static struct {
    loomp_runtime *runtime;
    loomp_job job;
    _Atomic int round; /* a submission is wanted, the last that was made */
    _Atomic int made;
    int rounds;
} refusals;

static void *submit_in_vain(void *arg)
{
    (void)arg;
    for (int round = 1; round <= refusals.rounds; round++) {
        while (refusals.round < round) {
            sched_yield();
        }
        CHECK(loomp_submit(refusals.runtime, &refusals.job) == -EAGAIN);
        refusals.made = round;
    }
    return NULL;
}

TEST(a_refused_submission_leaves_no_reference_on_an_attached_loop)
{
    static const char *const settings[] = {"queue_limit", "1", NULL};
    struct attached self;
    if (!start_attached(&self, 1, settings)) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job running, queued;
    recorded_init(&running, &gate);
    recorded_init(&queued, NULL);
    running.job.home = queued.job.home = loomp_loop_at(self.runtime, 0);
    CHECK(loomp_submit(self.runtime, &running.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit(self.runtime, &queued.job) == 0);
    loomp_job_init(&refusals.job, just_return, NULL);
    refusals.job.home = self.loop;
    refusals.runtime = self.runtime;
    refusals.round = refusals.made = 0;
    refusals.rounds = 3000;
    pthread_t thread;
    pthread_create(&thread, NULL, submit_in_vain, NULL);
    int left = 0;
    for (int round = 1; round <= refusals.rounds; round++) {
        refusals.round = round;
        while (refusals.made < round) {
            ev_run(self.ev, EVRUN_NOWAIT);
            sched_yield();
        }
        left += ev_run(self.ev, EVRUN_NOWAIT) != 0; /* a plain ev_run would never return */
    }
    pthread_join(thread, NULL);
    CHECK(left == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(self.runtime, -1) == 0);
    if (left == 0) {
        CHECK(loomp_detach(self.loop) == 0);
    }
    CHECK(loomp_stop(self.runtime) == 0);
}

TEST(an_attached_loop_is_known_on_its_own_thread_only_and_leaves_the_mask_alone)
{
    cpu_set_t before, after;
    CPU_ZERO(&before);
    CPU_ZERO(&after);
    sched_getaffinity(0, sizeof before, &before);
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    sched_getaffinity(0, sizeof after, &after);
    CHECK(CPU_EQUAL(&before, &after));
    struct whereabouts at;
    on_loop(loomp_loop_at(self.runtime, 0), note_whereabouts, &at);
    CHECK(at.here != self.loop);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_loop_here() == NULL);
    CHECK(loomp_stop(self.runtime) == 0);
}

static void keep_pending(struct ev_loop *ev)
{
    ev_invoke_pending(ev);
}

TEST(the_user_data_and_callbacks_of_an_attached_loop_stay_the_applications)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    int data;
    loomp_loop *loop = NULL;
    ev_set_userdata(ev, &data);
    ev_set_invoke_pending_cb(ev, keep_pending);
    CHECK(loomp_attach(runtime, ev, &loop) == 0);
    struct recorded_job job;
    recorded_init(&job, NULL);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    ev_run(ev, 0);
    CHECK(job.done_loop == loop);
    CHECK(ev_userdata(ev) == &data);
    CHECK(loomp_detach(loop) == 0);
    CHECK(ev_userdata(ev) == &data);
    ev_loop_destroy(ev);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- attached loops: attaching --------------------------------------------------------------- */

static void attach_here(loomp_loop *loop, void *arg)
{
    (void)loop;
    loomp_loop *second = NULL;
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    *(int *)arg = loomp_attach(loomp_current(), ev, &second);
    CHECK(second == NULL);
    ev_loop_destroy(ev);
}

static int attach_in_job(loomp_job *job)
{
    attach_here(NULL, job->data);
    return 0;
}

TEST(a_thread_that_has_a_loop_cannot_attach_another)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    loomp_loop *second = NULL;
    CHECK(loomp_attach(self.runtime, self.ev, &second) == -EALREADY);
    struct ev_loop *other = ev_loop_new(EVFLAG_AUTO);
    CHECK(loomp_attach(self.runtime, other, &second) == -EALREADY);
    CHECK(second == NULL);
    ev_loop_destroy(other);
    int result = 0;
    on_loop(loomp_loop_at(self.runtime, 0), attach_here, &result);
    CHECK(result == -EALREADY);
    result = 0;
    loomp_job job = LOOMP_JOB_INIT(attach_in_job, NULL); /* a team thread runs no loop */
    job.data = &result;
    CHECK(loomp_submit(self.runtime, &job) == 0);
    CHECK(loomp_wait_idle(self.runtime, -1) == 0);
    CHECK(result < 0);
    CHECK(loomp_attach(self.runtime, NULL, &second) == -EINVAL);
    CHECK(loomp_attach(self.runtime, other, NULL) == -EINVAL);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_attach(self.runtime, self.ev, &second) == 0);
    CHECK(loomp_detach(second) == 0);
    CHECK(loomp_stop(self.runtime) == 0);
}

struct in_callback {
    loomp_runtime *runtime;
    loomp_loop *loop;
    struct recorded_job job;
};

static void attach_in_callback(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    struct in_callback *self = timer->data;
    CHECK(loomp_attach(self->runtime, ev, &self->loop) == 0);
    CHECK(loomp_submit(self->runtime, &self->job.job) == 0);
    CHECK(loomp_detach(self->loop) == -EDEADLK);
}

TEST(a_loop_may_be_attached_in_one_of_its_callbacks)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct in_callback self = {.runtime = runtime};
    recorded_init(&self.job, NULL);
    ev_timer timer;
    ev_timer_init(&timer, attach_in_callback, 0., 0.);
    timer.data = &self;
    ev_timer_start(EV_DEFAULT, &timer);
    ev_run(EV_DEFAULT, 0);
    CHECK(self.job.dones == 1);
    CHECK(self.job.done_loop == self.loop);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- attached loops: detaching --------------------------------------------------------------- */

TEST(detach_runs_what_is_outstanding)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    static struct recorded_job jobs[100];
    int posts = 0;
    for (int i = 0; i < 100; i++) {
        recorded_init(&jobs[i], NULL);
        CHECK(loomp_submit(self.runtime, &jobs[i].job) == 0);
        CHECK(loomp_post(self.loop, count_post, &posts) == 0);
    }
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(posts == 100);
    for (int i = 0; i < 100; i++) {
        CHECK(jobs[i].dones == 1);
        CHECK(jobs[i].done_loop == self.loop);
    }
    CHECK(loomp_loop_here() == NULL);
    CHECK(loomp_current() == NULL);
    ev_run(self.ev, 0); /* nothing of loomp's is left in it */
    CHECK(loomp_stop(self.runtime) == 0);
}

static void open_gate_on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    gate_open(timer->data);
}

TEST(the_applications_watchers_are_served_while_detach_waits)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    CHECK(loomp_submit(self.runtime, &job.job) == 0);
    ev_timer timer;
    ev_timer_init(&timer, open_gate_on_timer, 0.001, 0.);
    timer.data = &gate;
    ev_timer_start(self.ev, &timer);
    CHECK(loomp_detach(self.loop) == 0); /* ends only because the timer opens the gate */
    CHECK(job.dones == 1);
    CHECK(loomp_stop(self.runtime) == 0);
}

static void detach_inside(loomp_loop *loop, void *arg)
{
    *(int *)arg = loomp_detach(loop);
}

static void *detach_elsewhere(void *loop)
{
    CHECK(loomp_detach(loop) == -EPERM);
    return NULL;
}

static void detach_on_other_loop(loomp_loop *loop, void *arg)
{
    CHECK(loomp_detach(arg) == -EPERM);
    CHECK(loomp_detach(loop) == -EINVAL);
}

TEST(detach_belongs_on_the_loops_thread_outside_of_ev_run)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    int result = 0;
    CHECK(loomp_post(self.loop, detach_inside, &result) == 0);
    ev_run(self.ev, 0);
    CHECK(result == -EDEADLK);
    pthread_t thread;
    pthread_create(&thread, NULL, detach_elsewhere, self.loop);
    pthread_join(thread, NULL);
    on_loop(loomp_loop_at(self.runtime, 0), detach_on_other_loop, self.loop);
    CHECK(loomp_detach(NULL) == -EINVAL);
    CHECK(loomp_detach(loomp_loop_at(self.runtime, 0)) == -EINVAL);
    CHECK(loomp_loop_here() == self.loop);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_stop(self.runtime) == 0);
}

TEST(detach_calls_the_at_exit_functions_of_an_attached_loop)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    struct exits exits = {.count = 0};
    register_exits(self.loop, &exits);
    CHECK(exits.count == 0);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(exits.count == 4);
    CHECK(exits.elsewhere == 0);
    for (int j = 0; j < 4; j++) {
        CHECK(exits.called[j] == 3 - j);
    }
    CHECK(loomp_stop(self.runtime) == 0);
    CHECK(exits.count == 4);
}

TEST(a_loop_may_be_detached_as_soon_as_its_last_job_is_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[8];
    for (int round = 0; round < 1000; round++) {
        loomp_loop *loop = NULL;
        if (!CHECK(loomp_attach(runtime, EV_DEFAULT, &loop) == 0)) {
            break;
        }
        for (int i = 0; i < 8; i++) {
            recorded_init(&jobs[i], NULL);
            CHECK((i % 2 ? loomp_submit(runtime, &jobs[i].job)
                         : loomp_submit_blocking(runtime, &jobs[i].job)) == 0);
        }
        if (round % 2) {
            ev_run(EV_DEFAULT, 0);
        }
        CHECK(loomp_detach(loop) == 0); /* a thread that handed over may still be waking it */
        for (int i = 0; i < 8; i++) {
            CHECK(jobs[i].dones == 1);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- attached loops: stop and wait_idle ------------------------------------------------------ */

TEST(stop_on_the_attached_thread_runs_what_is_outstanding_and_detaches)
{
    for (int now = 0; now < 2; now++) {
        struct attached self;
        if (!start_attached(&self, workers_under_test(), NULL)) {
            return;
        }
        static struct recorded_job jobs[50];
        struct exits exits = {.count = 0};
        register_exits(self.loop, &exits);
        for (int i = 0; i < 50; i++) {
            recorded_init(&jobs[i], NULL);
            CHECK(loomp_submit(self.runtime, &jobs[i].job) == 0);
        }
        CHECK((now ? loomp_stop_now(self.runtime) : loomp_stop(self.runtime)) == 0);
        for (int i = 0; i < 50; i++) {
            CHECK(jobs[i].dones == 1);
            CHECK(jobs[i].done_loop == self.loop);
            CHECK(jobs[i].works ? jobs[i].status == 0 : now && jobs[i].status == -ECANCELED);
        }
        CHECK(exits.count == 4);
        CHECK(loomp_loop_here() == NULL);
        CHECK(loomp_default() == NULL);
        ev_run(self.ev, 0);
    }
}

TEST(stop_on_the_attached_thread_runs_untracked_jobs_with_that_home_too)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    struct recorded_job jobs[10];
    for (int i = 0; i < 10; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.flags = LOOMP_UNTRACKED;
        jobs[i].job.home = i % 2 ? loomp_loop_at(self.runtime, 0) : NULL;
        CHECK(loomp_submit(self.runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_stop(self.runtime) == 0);
    for (int i = 0; i < 10; i++) {
        CHECK(jobs[i].dones == 1);
        CHECK((jobs[i].done_loop == self.loop) == (i % 2 == 0));
    }
}

struct other_thread {
    loomp_runtime *runtime;
    struct gate attached, detach;
    struct recorded_job job;
};

static void *attach_on_thread(void *arg)
{
    struct other_thread *self = arg;
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    loomp_loop *loop = NULL;
    CHECK(loomp_attach(self->runtime, ev, &loop) == 0);
    gate_arrive(&self->attached);
    gate_pass(&self->detach);
    CHECK(loomp_detach(loop) == 0);
    ev_loop_destroy(ev);
    return NULL;
}

TEST(stop_is_refused_with_EBUSY_while_another_threads_loop_is_attached)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct other_thread other;
    other.runtime = runtime;
    gate_init(&other.attached);
    gate_init(&other.detach);
    pthread_t thread;
    pthread_create(&thread, NULL, attach_on_thread, &other);
    gate_wait_for_arrivals(&other.attached, 1);
    CHECK(loomp_stop(runtime) == -EBUSY);
    CHECK(loomp_error()[0] != '\0');
    CHECK(loomp_default() == runtime);
    CHECK(loomp_stop_now(runtime) == -EBUSY);
    CHECK(loomp_submit(runtime, &(loomp_job)LOOMP_JOB_INIT(just_return, NULL)) == -ESHUTDOWN);
    gate_open(&other.detach);
    pthread_join(thread, NULL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_default() == NULL);
}

TEST(wait_idle_on_the_attached_thread_runs_the_loop_meanwhile)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    CHECK(loomp_wait_idle(self.runtime, -1) == 0);
    CHECK(loomp_wait_idle(self.runtime, 0) == 0);
    for (int round = 0; round < 20; round++) {
        struct gate gate = GATE_INIT;
        struct recorded_job here, there, homeless;
        recorded_init(&here, NULL);
        recorded_init(&there, NULL);
        recorded_init(&homeless, &gate);
        there.job.home = loomp_loop_at(self.runtime, 0);
        homeless.job.home = there.job.home;
        CHECK(loomp_submit(self.runtime, &here.job) == 0);
        CHECK(loomp_submit(self.runtime, &there.job) == 0);
        CHECK(loomp_submit_blocking(self.runtime, &homeless.job) == 0);
        ev_timer timer;
        ev_timer_init(&timer, open_gate_on_timer, 0., 0.);
        timer.data = &gate;
        ev_timer_start(self.ev, &timer);
        CHECK(loomp_wait_idle(self.runtime, -1) == 0); /* ends though the last is not done here */
        CHECK(here.dones == 1 && here.done_loop == self.loop);
        CHECK(there.dones == 1 && homeless.dones == 1);
    }
    CHECK(loomp_stop(self.runtime) == 0);
}

TEST(wait_idle_on_the_attached_thread_keeps_its_limit)
{
    struct attached self;
    if (!start_attached(&self, workers_under_test(), NULL)) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job held, quick;
    recorded_init(&held, &gate);
    recorded_init(&quick, NULL);
    CHECK(loomp_submit_blocking(self.runtime, &held.job) == 0);
    CHECK(loomp_submit(self.runtime, &quick.job) == 0);
    CHECK(loomp_wait_idle(self.runtime, 0) == -ETIMEDOUT);
    CHECK(quick.dones == 0); /* it only looked */
    while (!quick.dones) { /* each time a little, and the loop runs meanwhile */
        CHECK(loomp_wait_idle(self.runtime, 0.001) == -ETIMEDOUT);
    }
    CHECK(strncmp(loomp_error(), "1 ", 2) == 0 || strncmp(loomp_error(), "2 ", 2) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(self.runtime, 1000) == 0);
    CHECK(held.dones == 1);
    CHECK(loomp_detach(self.loop) == 0);
    CHECK(loomp_stop(self.runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
