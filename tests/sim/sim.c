/* SPDX-License-Identifier: MIT */
/* Owns the course of a run: who does what next. */
#include "sim.h"

#include "adaptive/handover.h"
#include "loop/load.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_LOOPS = 16,
    MOST_WORKERS = 16,
    BINS = 400, /* of latencies, 5 % each */
    JUDGED = 100
};

/* Loops run for so long before the site is used, so that their meters know them. */
#define BEFORE_NS 3e8

enum item_kind {
    EVENT,
    CALL,
    COMPLETION
};

/* What waits for a loop. */
struct item {
    enum item_kind kind;
    double at;
    unsigned after;  /* that many calls */
    struct job *job; /* of a completion */
};

struct job {
    struct sim_call record;
    bool foreign; /* of nobody in the trace */
    struct job *next;
};

struct queue {
    struct job *head, **tail;
    unsigned length;
};

enum loop_state {
    ASLEEP,
    WAKING,
    RUNNING
};

struct loop {
    enum loop_state state;
    double until;
    struct item *items; /* a ring */
    size_t room, first, count;
    unsigned turn; /* items left of it */
    double spent;
    struct item now; /* that it handles */
    struct job *job; /* and its job: a call that was decided, or is back */
    struct lp_meter meter;
    struct random events, calls, costs;
    double events_on, calls_on; /* next arrivals, on the clock of bursts */
    double next_event, next_call;
    unsigned arrived; /* calls */
    unsigned index;   /* of the next one that is decided */
    struct trace_call drawn;
    unsigned bad, blind;
    unsigned trials; /* on their way */
};

enum worker_state {
    PARKED,
    STARTING,
    SEARCHING,
    BUSY
};

struct worker {
    enum worker_state state;
    double until;
    struct job *job;
};

struct sim {
    struct trace trace;
    const struct sim_policy *policy;
    void *self;
    const struct sim_referee *referee;
    struct sim_result *result;
    double now, begin;
    struct loop loops[MOST_LOOPS];
    struct worker workers[MOST_WORKERS];
    struct queue tasks, gangs;
    double gangs_ns; /* that the policy expects of those that are there */
    struct worker team; /* of gangs */
    struct random foreign;
    double next_foreign;
    unsigned in_flight, over;
    uint64_t bins[BINS];
};

static void *need(void *memory)
{
    if (!memory) {
        abort(); /* a test; there is nothing that it could report to */
    }
    return memory;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static void push(struct queue *queue, struct job *job)
{
    job->next = NULL;
    *queue->tail = job;
    queue->tail = &job->next;
    queue->length++;
}

static struct job *pop(struct queue *queue)
{
    struct job *job = queue->head;
    if (job) {
        queue->head = job->next;
        if (!queue->head) {
            queue->tail = &queue->head;
        }
        queue->length--;
    }
    return job;
}

static void push_item(struct loop *loop, const struct item *item)
{
    if (loop->count == loop->room) {
        size_t room = loop->room ? 2 * loop->room : 64;
        struct item *items = need(malloc(room * sizeof *items));
        for (size_t i = 0; i < loop->count; i++) {
            items[i] = loop->items[(loop->first + i) % loop->room];
        }
        free(loop->items);
        loop->items = items;
        loop->room = room;
        loop->first = 0;
    }
    loop->items[(loop->first + loop->count++) % loop->room] = *item;
}

static struct item pop_item(struct loop *loop)
{
    struct item item = loop->items[loop->first];
    loop->first = (loop->first + 1) % loop->room;
    loop->count--;
    return item;
}

/* ---- arrivals -------------------------------------------------------------------------------- */

/* From the time that counts only bursts to that of the world. */
static double at_of(const struct sim *sim, double on)
{
    const struct trace *trace = &sim->trace;
    if (trace->off_ns <= 0) {
        return on;
    }
    return floor(on / trace->on_ns) * (trace->on_ns + trace->off_ns) + fmod(on, trace->on_ns);
}

/* How much more comes in a burst than on average. */
static double crowding(const struct trace *trace)
{
    return trace->off_ns > 0 ? (trace->on_ns + trace->off_ns) / trace->on_ns : 1;
}

static double rate_now(const struct sim *sim)
{
    const struct trace *trace = &sim->trace;
    double period = trace->on_ns + trace->off_ns;
    if (trace->off_ns > 0 && fmod(sim->now, period) >= trace->on_ns) {
        return 0;
    }
    return (trace->event_rate + trace_rate(trace)) * crowding(trace) / 1e9;
}

static void next_event(struct sim *sim, struct loop *loop)
{
    double rate = sim->trace.event_rate * crowding(&sim->trace) / 1e9;
    loop->events_on += random_exponential(&loop->events) / rate;
    loop->next_event = at_of(sim, loop->events_on);
}

static void next_call(struct sim *sim, struct loop *loop)
{
    const struct trace *trace = &sim->trace;
    if (loop->arrived >= trace->calls) {
        loop->next_call = INFINITY;
    } else if (trace->shape == TRACE_RECORDED) {
        const struct trace_row *rows = trace->recorded->rows;
        loop->next_call = sim->begin + (rows[loop->arrived].at_s - rows[0].at_s) * 1e9;
    } else {
        double rate = trace_rate(trace) * crowding(trace) / 1e9;
        loop->calls_on += random_exponential(&loop->calls) / rate;
        loop->next_call = at_of(sim, loop->calls_on);
    }
}

/* ---- loops ----------------------------------------------------------------------------------- */

static void arrive(struct sim *sim, struct loop *loop, const struct item *item)
{
    push_item(loop, item);
    if (loop->state == ASLEEP) {
        loop->state = WAKING;
        loop->until = sim->now + SIM_WAKE_NS;
    }
}

static void submit(struct sim *sim, struct job *job);

static unsigned count_workers(const struct sim *sim, enum worker_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < sim->trace.workers; i++) {
        count += sim->workers[i].state == state;
    }
    return count;
}

/* Until a job that is handed over now starts, as who knows the distributions would say. */
static double expected_start(const struct sim *sim, const struct trace_call *call)
{
    const struct trace *trace = &sim->trace;
    unsigned workers = trace->workers;
    unsigned searching = count_workers(sim, SEARCHING), parked = count_workers(sim, PARKED);
    unsigned starting = count_workers(sim, STARTING);
    if (sim->tasks.length < starting + searching) {
        return SIM_TAKE_NS;
    }
    if (sim->tasks.length < starting + searching + parked) {
        return SIM_WAKE_NS;
    }
    double mean = call->mean, rest = call->square / (2 * call->mean);
    if (trace->background > 0) {
        mean = rest = 100e3;
    }
    return (rest + (sim->tasks.length - starting) * mean) / workers + SIM_TAKE_NS;
}

static void view_of(struct sim *sim, struct loop *loop, struct sim_view *view)
{
    unsigned workers = sim->trace.workers;
    bool searching = count_workers(sim, SEARCHING) > 0;
    bool parked = count_workers(sim, PARKED) > 0;
    double gang_rest = sim->team.job ? sim->team.job->record.run_ns / 2 : 0;
    *view = (struct sim_view){
        .loop = (unsigned)(loop - sim->loops),
        .index = loop->index,
        .now_ns = (uint64_t)sim->now,
        .trace = &sim->trace,
        .call = &loop->drawn,
        .load = {.ready = loop->turn,
                 .rate = lp_meter_rate(&loop->meter),
                 .spent_ns = loop->spent,
                 .alone = sim->trace.loops == 1},
        .pool_state = lp_pool_state(searching, parked, sim->tasks.length, workers),
        .gang_state =
            lp_pool_state(false, !sim->team.job, sim->gangs.length + (sim->team.job != NULL), 1),
        .gangs = sim->gangs.length + (sim->team.job != NULL),
        .gangs_ns = sim->gangs_ns,
        .width = workers,
        .backlog = (double)sim->tasks.length / workers,
        .in_flight = sim->in_flight,
        .ready = (double)loop->count,
        .rate = rate_now(sim),
        .to_start = expected_start(sim, &loop->drawn),
        .gang_to_start = SIM_GANG_NS + gang_rest + sim->gangs.length * 2 * gang_rest,
    };
}

/* A call has its turn: the policy says where it runs. */
static void decide(struct sim *sim, struct loop *loop, double at)
{
    struct sim_view view;
    trace_draw(&sim->trace, &loop->costs, loop->index, &loop->drawn);
    view_of(sim, loop, &view);
    struct sim_decision decision = sim->policy->choose(sim->self, &view);
    if (sim->referee && view.index < JUDGED &&
        sim->referee->is_bad(sim->referee->self, &view, &decision)) {
        loop->bad += loop->trials == 0;
        loop->blind += loop->trials > 0;
    }
    loop->trials += decision.trial;
    struct job *job = need(calloc(1, sizeof *job));
    job->record = (struct sim_call){
        .call = loop->drawn,
        .decision = decision,
        .loop = view.loop,
        .index = view.index,
        .pool_state = decision.arm == LOOMP_TEAM ? view.gang_state : view.pool_state,
        .at = at,
        .run_ns = loop->drawn.cost_ns,
    };
    if (decision.arm == LOOMP_TEAM) {
        job->record.run_ns *= trace_scaled(&sim->trace, decision.width, sim->trace.workers);
    }
    if (view.loop == 0) {
        sim->result->arm[view.index] = (uint8_t)decision.arm;
        sim->result->width[view.index] = (uint16_t)decision.width;
        sim->result->run[view.index] = job->record.run_ns;
        sim->result->size[view.index] = loop->drawn.size;
    }
    loop->job = job;
    if (decision.arm == LOOMP_INLINE) {
        job->record.started = sim->now;
        job->record.finished = sim->now + job->record.run_ns;
        loop->spent += job->record.run_ns;
        loop->until = job->record.finished;
    } else {
        sim->in_flight++;
        loop->until = sim->now + SIM_SUBMIT_NS;
    }
}

/* The next item, the next turn, or sleep. */
static void go_on(struct sim *sim, struct loop *loop)
{
    if (loop->turn == 0) {
        loop->turn = (unsigned)loop->count;
        loop->spent = 0;
        if (loop->count == 0) {
            loop->state = ASLEEP;
            loop->until = INFINITY;
            return;
        }
        lp_meter_add(&loop->meter, (uint64_t)sim->now, loop->turn);
    }
    loop->state = RUNNING;
    loop->now = pop_item(loop);
    loop->turn--;
    switch (loop->now.kind) {
    case EVENT:
        loop->until = sim->now + SIM_EVENT_NS;
        break;
    case CALL:
        decide(sim, loop, loop->now.at);
        loop->index++;
        break;
    case COMPLETION:
        loop->job = loop->now.job;
        loop->until = sim->now + SIM_COMPLETE_NS;
        break;
    }
}

/* Of an event that came after so many calls: it belongs to the last of these. */
static void count_latency(struct sim *sim, unsigned after, double ns)
{
    if (after == 0) {
        return;
    }
    sim->result->latency[after - 1] += ns;
    double bin = log(fmax(ns, 1)) / log(1.05);
    sim->bins[bin < BINS ? (unsigned)bin : BINS - 1]++;
    sim->result->events++;
}

static void is_over(struct sim *sim, struct job *job)
{
    const struct sim_call *record = &job->record;
    double handed = record->decision.arm == LOOMP_INLINE ? 0 : SIM_SUBMIT_NS + SIM_COMPLETE_NS;
    sim->policy->learn(sim->self, record, sim->now, handed);
    sim->result->latency[record->index] += sim->now - record->at;
    sim->result->by_call[record->index] += sim->now - record->at;
    sim->loops[record->loop].trials -= record->decision.trial;
    sim->over++;
    free(job);
}

/* The loop's time is up: it has woken, or is through with its item. */
static void loop_is_due(struct sim *sim, struct loop *loop)
{
    if (loop->state == RUNNING) {
        struct job *job = loop->job;
        loop->job = NULL;
        if (loop->now.kind == EVENT) {
            count_latency(sim, loop->now.after, sim->now - loop->now.at);
        } else if (loop->now.kind == COMPLETION) {
            sim->in_flight--;
            is_over(sim, job);
        } else if (job->record.decision.arm == LOOMP_INLINE) {
            is_over(sim, job);
        } else {
            submit(sim, job);
        }
    }
    go_on(sim, loop);
}

/* ---- the pool -------------------------------------------------------------------------------- */

static void gang_goes_on(struct sim *sim)
{
    struct job *job = sim->team.job ? NULL : pop(&sim->gangs);
    if (job) {
        job->record.started = sim->now + SIM_GANG_NS;
        sim->team = (struct worker){BUSY, job->record.started + job->record.run_ns, job};
    }
}

static struct worker *worker_that_is(struct sim *sim, enum worker_state state)
{
    for (unsigned i = 0; i < sim->trace.workers; i++) {
        if (sim->workers[i].state == state) {
            return &sim->workers[i];
        }
    }
    return NULL;
}

static void submit(struct sim *sim, struct job *job)
{
    job->record.handed = sim->now;
    if (!job->foreign && job->record.decision.arm == LOOMP_TEAM) {
        sim->gangs_ns += job->record.decision.team_ns;
        push(&sim->gangs, job);
        gang_goes_on(sim);
        return;
    }
    push(&sim->tasks, job);
    struct worker *worker = worker_that_is(sim, SEARCHING);
    if (worker) {
        *worker = (struct worker){STARTING, sim->now + SIM_TAKE_NS, NULL};
    } else if ((worker = worker_that_is(sim, PARKED))) {
        *worker = (struct worker){STARTING, sim->now + SIM_WAKE_NS, NULL};
    }
}

static void finish(struct sim *sim, struct job *job)
{
    job->record.finished = sim->now;
    if (job->foreign) {
        free(job);
        return;
    }
    arrive(sim, &sim->loops[job->record.loop],
           &(struct item){.kind = COMPLETION, .at = sim->now, .job = job});
}

static void worker_is_due(struct sim *sim, struct worker *worker)
{
    if (worker->state == SEARCHING) {
        *worker = (struct worker){PARKED, INFINITY, NULL};
        return;
    }
    if (worker->state == BUSY) {
        finish(sim, worker->job);
        *worker = sim->tasks.length ? (struct worker){STARTING, sim->now + SIM_TAKE_NS, NULL}
                                    : (struct worker){SEARCHING, sim->now + SIM_SEARCH_NS, NULL};
        return;
    }
    struct job *job = pop(&sim->tasks);
    if (job) {
        job->record.started = sim->now;
        *worker = (struct worker){BUSY, sim->now + job->record.run_ns, job};
    } else {
        *worker = (struct worker){SEARCHING, sim->now + SIM_SEARCH_NS, NULL};
    }
}

static void team_is_due(struct sim *sim)
{
    struct job *job = sim->team.job;
    sim->team = (struct worker){PARKED, INFINITY, NULL};
    sim->gangs_ns -= job->record.decision.team_ns;
    finish(sim, job);
    gang_goes_on(sim);
}

/* Jobs of others: 100 us, exponential. */
static void next_foreign(struct sim *sim)
{
    double rate = sim->trace.background * sim->trace.workers / 100e3;
    sim->next_foreign =
        rate > 0 ? sim->next_foreign + random_exponential(&sim->foreign) / rate : INFINITY;
}

static void submit_foreign(struct sim *sim)
{
    struct job *job = need(calloc(1, sizeof *job));
    job->foreign = true;
    job->record.run_ns = 100e3 * random_exponential(&sim->foreign);
    submit(sim, job);
    next_foreign(sim);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void begin_loop(struct sim *sim, unsigned index, uint64_t seed)
{
    struct loop *loop = &sim->loops[index];
    loop->until = INFINITY;
    loop->events = random_stream(seed, 4 * index + 1);
    loop->calls = random_stream(seed, 4 * index + 2);
    loop->costs = random_stream(seed, 4 * index + 3);
    double period = sim->trace.on_ns + sim->trace.off_ns;
    loop->calls_on = period > 0 ? ceil(BEFORE_NS / period) * sim->trace.on_ns : BEFORE_NS;
    next_event(sim, loop);
    next_call(sim, loop);
}

static void event_arrives(struct sim *sim, struct loop *loop)
{
    arrive(sim, loop, &(struct item){.kind = EVENT, .at = sim->now, .after = loop->arrived});
    next_event(sim, loop);
}

static void call_arrives(struct sim *sim, struct loop *loop)
{
    arrive(sim, loop, &(struct item){.kind = CALL, .at = sim->now});
    loop->arrived++;
    next_call(sim, loop);
}

/* Whatever is due next is done. */
static void step(struct sim *sim)
{
    enum {
        NOBODY,
        AN_EVENT,
        A_CALL,
        A_LOOP,
        A_WORKER,
        THE_TEAM,
        FOREIGN
    } who = NOBODY;
    unsigned which = 0;
    double next = INFINITY;
#define SOONER(kind, index, time)                                                                  \
    if ((time) < next) {                                                                           \
        next = (time);                                                                             \
        who = (kind);                                                                              \
        which = (index);                                                                           \
    }
    for (unsigned i = 0; i < sim->trace.loops; i++) {
        SOONER(AN_EVENT, i, sim->loops[i].next_event);
        SOONER(A_CALL, i, sim->loops[i].next_call);
        SOONER(A_LOOP, i, sim->loops[i].until);
    }
    for (unsigned i = 0; i < sim->trace.workers; i++) {
        SOONER(A_WORKER, i, sim->workers[i].until);
    }
    SOONER(THE_TEAM, 0, sim->team.until);
    SOONER(FOREIGN, 0, sim->next_foreign);
#undef SOONER
    sim->now = next;
    switch (who) {
    case AN_EVENT:
        event_arrives(sim, &sim->loops[which]);
        break;
    case A_CALL:
        call_arrives(sim, &sim->loops[which]);
        break;
    case A_LOOP:
        loop_is_due(sim, &sim->loops[which]);
        break;
    case A_WORKER:
        worker_is_due(sim, &sim->workers[which]);
        break;
    case THE_TEAM:
        team_is_due(sim);
        break;
    case FOREIGN:
        submit_foreign(sim);
        break;
    case NOBODY:
        break;
    }
}

static void end_loop(struct sim *sim, struct loop *loop)
{
    while (loop->count) {
        struct item item = pop_item(loop);
        free(item.job);
    }
    free(loop->items);
    if (loop->bad > sim->result->bad) {
        sim->result->bad = loop->bad;
    }
    if (loop->blind > sim->result->blind) {
        sim->result->blind = loop->blind;
    }
}

static void end_pool(struct sim *sim)
{
    for (unsigned i = 0; i < sim->trace.workers; i++) {
        free(sim->workers[i].job);
    }
    for (struct job *job; (job = pop(&sim->tasks));) {
        free(job);
    }
}

static double percentile(const struct sim *sim, double share)
{
    uint64_t below = 0;
    unsigned bin = 0;
    while (bin < BINS - 1 &&
           (double)(below += sim->bins[bin]) < share * (double)sim->result->events) {
        bin++;
    }
    return pow(1.05, bin + 0.5);
}

void sim_run(const struct trace *trace, const struct sim_policy *policy, uint64_t seed,
             const struct sim_referee *referee, struct sim_result *result)
{
    struct sim *sim = need(calloc(1, sizeof *sim));
    memset(result, 0, sizeof *result);
    sim->trace = trace_world(trace);
    sim->policy = policy;
    sim->self = policy->new (&sim->trace, seed);
    sim->referee = referee;
    sim->result = result;
    sim->begin = BEFORE_NS;
    sim->tasks.tail = &sim->tasks.head;
    sim->gangs.tail = &sim->gangs.head;
    sim->team.until = INFINITY;
    sim->foreign = random_stream(seed, 0);
    next_foreign(sim);
    for (unsigned i = 0; i < sim->trace.workers; i++) {
        sim->workers[i].until = INFINITY;
    }
    for (unsigned i = 0; i < sim->trace.loops; i++) {
        begin_loop(sim, i, seed);
    }
    result->calls = sim->trace.calls;
    while (sim->over < sim->trace.loops * sim->trace.calls) {
        step(sim);
    }
    for (unsigned i = 0; i < sim->trace.loops; i++) {
        end_loop(sim, &sim->loops[i]);
    }
    end_pool(sim);
    result->event_p99 = percentile(sim, 0.99);
    policy->free(sim->self);
    free(sim);
}
