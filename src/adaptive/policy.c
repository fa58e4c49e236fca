/* SPDX-License-Identifier: MIT */
/* Owns the decision. What an arm costs is what it costs everybody, in ns:
 *
 *   inline   E[c] + io_weight (E[c] R + lambda E[c^2] / 2) / (1 - rho)
 *   task     E[c] + h (1 + R / (1 - rho)) + to_start + to_done (1 - rho)
 *   team(w)  E[c_w] (1 + price (w - 1)) + the same with gang_to_start
 *
 * R events are ready and wait for all of c; of those that arrive meanwhile, lambda a ns, each waits
 * for half of it on average. The price of a thread is what others lose who want it. On a loop that
 * works a part rho of the time who is delayed delays who comes after: a delay goes on to
 * 1 / (1 - rho) events for each that it meets, as in any queue (Kleinrock 1975, the M/G/1 busy
 * period). And while a result waits for a loop that works, others are served who would wait for it
 * otherwise: the order is another, and their sum is not (Kleinrock 1965, the conservation law). */
#include "adaptive/policy.h"

#include <math.h>
#include <string.h>

const struct lp_policy lp_policy_defaults = {
    .mode = LP_LEARN,
    .objective = LP_LATENCY,
    .io_weight = 1,
    .budget_ns = 250e3,
    .gr0 = true,
    .gr1 = true,
    .gr2 = true,
    .gr3 = true,
    .gr0_ns = 50e3,
    .gr0_pressure = 0.5,
    .gr1_ns = 250e3,
    .gr2_ns = 100e3,
    .gr2_pressure = 3,
    .gr3_ns = 1e6,
    .gr3_calls = 100,
    .model = {.memory = 300, .ratio_memory = 2000},
};

enum {
    HIGH_IS_OFFLOADED = 3, /* calls of a site with that hint */
    TRIAL_EVERY = 256,     /* calls, of those whose alternative has not been measured for long */
    RARE_TRIAL_EVERY = 16384
};

/* What a trial may cost, as a multiple of the cheapest arm; a rare one, that sees whether what
 * looks so dear still is. */
#define TRIAL_FACTOR 3.0
#define RARE_TRIAL_FACTOR 100.0

/* What k times the threads are believed to bring, before it is measured: k^SCALING, and how sure
 * that is, per ln k. */
#define SCALING 0.9
#define SCALING_DEVIATION 0.35

/* Half the threads are tried if the last halving has cost less than 2 to the first, and it is taken
 * for work that scales if one has cost more than 2 to the second. */
#define WORTH_A_STEP 0.3
#define SCALES 0.8

/* A cost that is off by more than so many times is learnt at once. */
#define SURPRISE 4.0

/* The variance of ln cost grows by 1 in so many calls of a site that a width has no part in, up to
 * some most: which is when a width that was ten times as slow is as likely as not within a factor
 * of 3. */
#define AGES 1200.0
#define MOST_AGE 4.0

/* A loop that never sleeps is taken for one that sleeps so much: there is always an end to it. */
#define LEAST_IDLE 0.05

#define LN2 0.6931471805599453

double lp_hint_ns(uint32_t hint)
{
    static const double ns[] = {0, 30e3, 200e3, 1e6};
    return hint <= LOOMP_HINT_HIGH ? ns[hint] : 0;
}

unsigned lp_width_model(unsigned width)
{
    unsigned model = width > 1 ? 32 - (unsigned)__builtin_clz(width - 1) : 0;
    return model < LP_WIDTHS ? model : LP_WIDTHS - 1;
}

unsigned lp_model_width(unsigned model)
{
    return 1u << model;
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* Steele, Lea and Flood (2014), SplitMix64. */
uint64_t lp_next_draw(uint64_t *random)
{
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Nearly normal: the sum of four uniform draws of 16 bits, scaled to variance 1. */
static double next_normal(uint64_t *random)
{
    uint64_t bits = lp_next_draw(random);
    double sum = (double)(bits & 0xffff) + (double)(bits >> 16 & 0xffff) +
                 (double)(bits >> 32 & 0xffff) + (double)(bits >> 48);
    return (sum - 2 * 65535.0) / 65536 * 1.7320508075688772;
}

/* ---- teams ----------------------------------------------------------------------------------- */

/* The nearest model that has seen something, in direction `step`; LP_WIDTHS: none. */
static unsigned nearest(struct lp_site_state *site, unsigned model, int step)
{
    for (int i = (int)model + step; i >= 0 && i < LP_WIDTHS; i += step) {
        if (site->models[i].n > 0) {
            return (unsigned)i;
        }
    }
    return LP_WIDTHS;
}

struct guess {
    double ln_cost, variance;
    double age; /* the variance that has come since it was last seen */
};

/* What has not been seen for long may have changed, and is tried again now and then: the worse it
 * was, the later. */
static struct guess guess_known(struct lp_site_state *site, unsigned model, double ln_size)
{
    struct lp_prediction known;
    lp_model_predict(&site->models[model], ln_size, 0, &known);
    double age = (double)(site->calls - site->last_call[model]) / AGES;
    return (struct guess){log(known.cost), known.uncertainty, fmin(age, MOST_AGE)};
}

/* A width that has not been tried, from those that have: what its neighbours have shown of how the
 * site scales, or else the belief. */
static struct guess guess_unknown(struct lp_site_state *site, unsigned model, double ln_size)
{
    unsigned below = nearest(site, model, -1), above = nearest(site, model, +1);
    unsigned from = above < LP_WIDTHS ? above : below;
    struct guess known = guess_known(site, from, ln_size);
    unsigned other = from == above ? (below < LP_WIDTHS ? below : nearest(site, above, +1))
                                   : nearest(site, below, -1);
    double scaling = SCALING;
    if (other < LP_WIDTHS) {
        struct guess second = guess_known(site, other, ln_size);
        double measured = (second.ln_cost - known.ln_cost) / (LN2 * ((double)from - (double)other));
        scaling = fmin(measured, 1);
    }
    double ln_factor = LN2 * ((double)from - (double)model);
    double deviation = SCALING_DEVIATION * fabs(ln_factor);
    return (struct guess){known.ln_cost + scaling * ln_factor,
                          known.variance + deviation * deviation, known.age};
}

static struct guess guess_width(struct lp_site_state *site, unsigned model, double ln_size)
{
    return site->models[model].n > 0 ? guess_known(site, model, ln_size)
                                     : guess_unknown(site, model, ln_size);
}

/* The widest that the call may have. */
static unsigned widest_of(const struct lp_call *call, const struct lp_pool_load *pool)
{
    return call->width && call->width < pool->width ? call->width : pool->width;
}

static double price_of_threads(const struct lp_policy *policy, const struct lp_pool_load *pool)
{
    return policy->objective == LP_EFFICIENCY ? 1 : fmin(pool->backlog, 1);
}

struct team {
    double cost; /* as expected, of the one that was chosen */
    double aged; /* a draw from what it may have become since it was last seen */
    double run;  /* of that cost: how long it keeps the team */
    unsigned width;
    bool trial;
};

/* The first width: half of what the user asks for, which costs a job that scales little, and not
 * ruin where a team as wide as the machine does not get all its threads at once. */
static unsigned first_width(unsigned widest)
{
    unsigned top = lp_width_model(widest);
    return top > 1 ? lp_model_width(top - 1) : widest;
}

static bool is_trying(const struct lp_site_state *site)
{
    return site->trying && site->models[site->trying - 1].n <= 0 &&
           site->calls < site->trying_until; /* or another loop has seen it */
}

/* A width that has not been tried and is worth it, as the index of its model: the widest after its
 * half, and then half of one that is no worse than twice as wide, as far as that has been seen,
 * down to one thread, which is a task. So a team that is wider than the work is good for, or than
 * the machine has room for, is found out in a few calls, and a site that scales is not tried on few
 * threads. One at a time: until its first run is over nobody knows how bad it is. LP_WIDTHS: none.
 */
static unsigned untried_model(struct lp_site_state *site, double ln_size, unsigned widest)
{
    unsigned top = lp_width_model(widest);
    if (top < 1 || is_trying(site)) {
        return LP_WIDTHS;
    }
    if (site->models[top].n <= 0) {
        return top > 1 && site->models[top - 1].n <= 0 ? LP_WIDTHS : top;
    }
    double wider = guess_known(site, top, ln_size).ln_cost;
    double step = 0; /* what the last halving has cost, in ln */
    for (unsigned model = top; model-- > 0;) {
        if (site->models[model].n <= 0) {
            return step < WORTH_A_STEP * LN2 ? model : LP_WIDTHS;
        }
        double here = guess_known(site, model, ln_size).ln_cost;
        step = here - wider;
        wider = here;
        if (step > SCALES * LN2) {
            return LP_WIDTHS;
        }
    }
    return LP_WIDTHS;
}

/* Thompson sampling over widths: each is given a cost from what is known of it, the least wins. */
static struct team best_team(const struct lp_policy *policy, struct lp_site_state *site,
                             const struct lp_call *call, const struct lp_pool_load *pool,
                             double other, uint64_t *random)
{
    unsigned widest = widest_of(call, pool);
    struct team team = {INFINITY, INFINITY, 0, widest, false};
    if (nearest(site, LP_WIDTHS, -1) == LP_WIDTHS) {
        team.trial = true;
        team.width = first_width(widest);
        return team;
    }
    unsigned untried = untried_model(site, call->ln_size, widest);
    if (untried == 0) {
        return (struct team){INFINITY, INFINITY, 0, 1, true};
    }
    double price = price_of_threads(policy, pool);
    double least = INFINITY;
    unsigned width = 1;
    while (width < widest && !team.trial) {
        width = 2 * width < widest ? 2 * width : widest;
        unsigned model = lp_width_model(width);
        if (site->models[model].n <= 0 && is_trying(site)) {
            continue;
        }
        struct guess guess = guess_width(site, model, call->ln_size);
        double normal = policy->mode == LP_LEARN ? next_normal(random) : 0;
        double shared = 1 + price * (width - 1);
        double cost =
            exp(guess.ln_cost + sqrt(guess.variance + guess.age) * normal) * shared + other;
        if (cost < least || model == untried) {
            least = cost;
            team.run = exp(guess.ln_cost);
            team.cost = team.run * shared + other;
            team.aged = exp(guess.ln_cost + sqrt(guess.age) * normal) * shared + other;
            team.width = width;
            team.trial = model == untried;
        }
    }
    return team;
}

/* ---- rails ----------------------------------------------------------------------------------- */

/* Events that wait while the call runs, on average. */
static double pressure_of(const struct lp_loop_load *loop, const struct lp_prediction *work)
{
    return loop->ready + loop->rate * work->cost2 / (2 * work->cost);
}

static bool is_blocked(struct lp_site_state *site, double ln_size)
{
    return site->calls < site->blocked_until && ln_size >= site->blocked_low - LN2 &&
           ln_size <= site->blocked_high + LN2;
}

/* The part of the time that the loop has nothing to do. */
static double idle_of(const struct lp_loop_load *loop)
{
    double idle = 1 - loop->busy;
    return idle > LEAST_IDLE ? idle : LEAST_IDLE;
}

/* What forbids to run it inline; 0: nothing. Who weighs the events higher has narrower rails. */
static uint32_t rail(const struct lp_policy *policy, struct lp_site_state *site,
                     const struct lp_call *call, const struct lp_loop_load *loop,
                     const struct lp_prediction *work)
{
    double weight = policy->io_weight > 1 ? policy->io_weight : 1;
    double p95 = work->p95 * weight;
    if (!call->may_inline) {
        return LOOMP_BY_PLACE;
    }
    if (policy->gr3 && is_blocked(site, call->ln_size)) {
        return LOOMP_BY_GR3;
    }
    if (policy->gr1 && p95 > policy->gr1_ns) {
        return LOOMP_BY_GR1;
    }
    if (policy->gr2 && p95 > policy->gr2_ns && pressure_of(loop, work) > policy->gr2_pressure) {
        return LOOMP_BY_GR2;
    }
    if (policy->gr0 && loop->alone && p95 >= policy->gr0_ns &&
        pressure_of(loop, work) * weight >= policy->gr0_pressure) {
        return LOOMP_BY_GR0;
    }
    if ((loop->spent_ns + work->cost) * weight > policy->budget_ns) {
        return LOOMP_BY_BUDGET;
    }
    return 0;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void take(struct lp_choice *choice, uint32_t arm, uint32_t width, uint32_t reason)
{
    choice->arm = arm;
    choice->width = width;
    choice->reason = reason;
    choice->model = arm == LOOMP_TEAM ? lp_width_model(width) : 0;
}

/* What is not run inline. */
static void take_offload(struct lp_choice *choice, const struct lp_call *call,
                         const struct team *team, uint32_t reason)
{
    if (call->kind != LOOMP_SERIAL && team->aged <= choice->task_cost) {
        take(choice, LOOMP_TEAM, team->width, team->trial ? LOOMP_BY_TRIAL : reason);
    } else {
        take(choice, LOOMP_TASK, 1, reason);
    }
}

static void take_pinned(struct lp_choice *choice, const struct lp_pin *pin,
                        const struct lp_call *call, const struct lp_pool_load *pool,
                        uint32_t reason)
{
    unsigned widest = widest_of(call, pool);
    if (pin->arm == LOOMP_INLINE && call->may_inline) {
        take(choice, LOOMP_INLINE, 1, reason);
    } else if (pin->arm == LOOMP_TEAM && call->kind != LOOMP_SERIAL) {
        take(choice, LOOMP_TEAM, pin->width && pin->width < widest ? pin->width : widest, reason);
    } else {
        take(choice, LOOMP_TASK, 1, pin->arm == LOOMP_TASK ? reason : LOOMP_BY_PLACE);
    }
}

static void as_without_site(struct lp_choice *choice, const struct lp_call *call,
                            const struct lp_pool_load *pool, uint32_t reason)
{
    if (call->kind == LOOMP_SERIAL) {
        take(choice, LOOMP_TASK, 1, reason);
    } else {
        take(choice, LOOMP_TEAM, widest_of(call, pool), reason);
    }
}

/* The habit of the class, or of the nearest that has one. */
static const struct lp_habit *habit_of(struct lp_site_state *site, double ln_size)
{
    unsigned class = lp_size_class(ln_size);
    for (unsigned distance = 0; distance < LP_SIZE_CLASSES; distance++) {
        if (class >= distance && site->habits[class - distance].votes) {
            return &site->habits[class - distance];
        }
        if (class + distance < LP_SIZE_CLASSES && site->habits[class + distance].votes) {
            return &site->habits[class + distance];
        }
    }
    return NULL;
}

/* Not by what things cost: true if it is decided. */
static bool is_told(const struct lp_policy *policy, struct lp_site_state *site,
                    const struct lp_call *call, const struct lp_pool_load *pool,
                    struct lp_choice *choice)
{
    if (policy->mode == LP_OFF) {
        as_without_site(choice, call, pool, LOOMP_BY_MODE);
        return true;
    }
    if (site->pin.arm) {
        take_pinned(choice, &site->pin, call, pool, LOOMP_BY_PIN);
        return true;
    }
    if (policy->mode == LP_FROZEN) {
        const struct lp_habit *habit = habit_of(site, call->ln_size);
        if (habit) {
            struct lp_pin pin = {habit->arm, habit->width};
            take_pinned(choice, &pin, call, pool, LOOMP_BY_PROFILE);
        } else {
            as_without_site(choice, call, pool, LOOMP_BY_MODE);
        }
        return true;
    }
    return false;
}

/* The dearer it looks, the rarer: in its mean a trial costs some percent at most. */
static bool is_time_for_trial(const struct lp_choice *choice, uint64_t *random)
{
    if (choice->task_cost >= RARE_TRIAL_FACTOR * choice->inline_cost) {
        return false;
    }
    bool near = choice->task_cost < TRIAL_FACTOR * choice->inline_cost;
    return lp_next_draw(random) % (near ? TRIAL_EVERY : RARE_TRIAL_EVERY) == 0;
}

/* Nothing has been seen, and nobody has said anything: it is offloaded, where it does no harm. The
 * same for the first calls of what is said to be long. */
static uint32_t is_new(struct lp_site_state *site, const struct lp_call *call)
{
    if (call->hint == LOOMP_HINT_HIGH && site->calls < HIGH_IS_OFFLOADED &&
        site->models[0].seen < HIGH_IS_OFFLOADED) {
        return LOOMP_BY_HINT;
    }
    return call->hint == LOOMP_HINT_UNKNOWN && site->models[0].n <= 0 &&
                   nearest(site, 0, +1) == LP_WIDTHS
               ? LOOMP_BY_COLD
               : 0;
}

void lp_policy_choose(const struct lp_policy *policy, struct lp_site_state *site,
                      const struct lp_call *call, const struct lp_loop_load *loop,
                      const struct lp_pool_load *pool, uint64_t *random, struct lp_choice *choice)
{
    struct lp_prediction *work = &choice->work;
    struct team team = {INFINITY, INFINITY, 0, 1, false};
    double idle = idle_of(loop);
    double offload = pool->submit * (1 + loop->ready / idle) + pool->to_done * idle;
    if (call->kind != LOOMP_SERIAL) {
        team = best_team(policy, site, call, pool, offload + pool->gang_to_start, random);
    }
    if (site->models[0].n > 0 || nearest(site, 0, +1) == LP_WIDTHS) {
        lp_model_predict(&site->models[0], call->ln_size, lp_hint_ns(call->hint), work);
    } else {
        struct guess guess = guess_unknown(site, 0, call->ln_size);
        double cost = exp(guess.ln_cost);
        double spread = exp(fmin(guess.variance, 4));
        *work = (struct lp_prediction){guess.ln_cost, guess.variance, cost, cost * cost * spread,
                                       cost * exp(1.645 * sqrt(guess.variance))};
    }
    double harm = (work->cost * loop->ready + loop->rate * work->cost2 / 2) / idle;
    choice->inline_cost = call->may_inline ? work->cost + policy->io_weight * harm : INFINITY;
    choice->task_cost = work->cost + offload + pool->to_start;
    if (team.trial) {
        team.cost = team.aged = choice->task_cost; /* nobody knows */
    }
    choice->team_run = team.run > 0 ? team.run : work->cost;
    choice->team_cost = team.cost;
    choice->cheapest = LOOMP_TASK;
    double cheapest = choice->task_cost;
    if (choice->team_cost < cheapest) {
        choice->cheapest = LOOMP_TEAM;
        cheapest = choice->team_cost;
    }
    if (choice->inline_cost < cheapest) {
        choice->cheapest = LOOMP_INLINE;
    }
    if (is_told(policy, site, call, pool, choice)) {
        return;
    }
    uint32_t reason = is_new(site, call);
    if (reason) {
        take_offload(choice, call, &team, reason);
    } else if (team.trial) {
        take(choice, team.width > 1 ? LOOMP_TEAM : LOOMP_TASK, team.width, LOOMP_BY_TRIAL);
    } else if (choice->inline_cost >= choice->task_cost || choice->inline_cost >= team.aged) {
        take_offload(choice, call, &team, call->may_inline ? LOOMP_BY_COST : LOOMP_BY_PLACE);
    } else if ((reason = rail(policy, site, call, loop, work)) != 0) {
        take_offload(choice, call, &team, reason);
    } else if (pool->stale && is_time_for_trial(choice, random)) {
        take_offload(choice, call, &team, LOOMP_BY_TRIAL);
    } else {
        take(choice, LOOMP_INLINE, 1, LOOMP_BY_COST);
    }
}

/* ---- afterwards ------------------------------------------------------------------------------ */

void lp_habit_vote_against(struct lp_habit *habit, const struct lp_choice *choice)
{
    if (habit->votes > 1) {
        habit->votes--;
    } else {
        *habit = (struct lp_habit){1, (uint16_t)choice->arm, (uint16_t)choice->width};
    }
}

/* The sizes that it is about grow with each strike while it speaks. */
void lp_policy_block(const struct lp_policy *policy, struct lp_site_state *site, double ln_low,
                     double ln_high)
{
    bool speaks = site->calls < site->blocked_until;
    site->blocked_low = speaks ? fmin(site->blocked_low, ln_low) : ln_low;
    site->blocked_high = speaks ? fmax(site->blocked_high, ln_high) : ln_high;
    site->blocked_until = site->calls + policy->gr3_calls;
}

bool lp_policy_is_strike(const struct lp_policy *policy, struct lp_site_state *site, uint32_t arm,
                         double ln_size, double cost_ns)
{
    bool strike = arm == LOOMP_INLINE && cost_ns > policy->gr3_ns;
    if (strike) {
        lp_policy_block(policy, site, ln_size, ln_size);
    }
    return strike;
}

struct lp_lesson lp_policy_learn(const struct lp_policy *policy, struct lp_site_state *site,
                                 struct lp_model *batch, uint32_t arm, uint32_t model,
                                 double ln_size, double cost_ns, double expected_ns)
{
    struct lp_lesson lesson = {.strike = lp_policy_is_strike(policy, site, arm, ln_size, cost_ns)};
    if (model + 1 == site->trying) {
        site->trying = 0;
    }
    /* What is run inline may be short, so its lesson must be; but not if it is a surprise. */
    bool at_once = arm != LOOMP_INLINE ||
                   !(cost_ns < SURPRISE * expected_ns && expected_ns < SURPRISE * cost_ns);
    lesson.changed =
        lp_model_learn(&site->models[model], batch, &policy->model, ln_size, cost_ns, at_once);
    return lesson;
}
