/* SPDX-License-Identifier: MIT */
/* Where a call runs: a pure function of what is known of the site, of the loop and of the pool, and
 * of a random sequence. So the tests run it in virtual time on traces. */
#ifndef LP_ADAPTIVE_POLICY_H
#define LP_ADAPTIVE_POLICY_H

#include "adaptive/model.h"
#include "loop/load.h"

#include <loomp/site.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    LP_WIDTHS =
        LOOMP_SITE_MODELS, /* models of a site: of widths 1, 2, 4, ..., 1024, and up to 2048 */
    LP_SIZE_CLASSES = 32,  /* of sizes, a factor of 4 each */
    LP_MOST_VOTES = 1000,  /* so that a habit can be given up in as many calls */
    LP_TRIAL_CALLS = 100   /* after which a trial that is not over is forgotten: it was cancelled */
};

enum lp_mode {
    LP_LEARN = 0,
    LP_FROZEN,
    LP_OFF
};
enum lp_objective {
    LP_LATENCY = 0,
    LP_EFFICIENCY
};

struct lp_policy {
    enum lp_mode mode;
    enum lp_objective objective;
    double io_weight; /* of the delay of other events, against that of this call */
    double budget_ns; /* of inline work in one turn of a loop */
    bool gr0, gr1, gr2, gr3;
    double gr0_ns, gr0_pressure;
    double gr1_ns;
    double gr2_ns, gr2_pressure;
    double gr3_ns;
    unsigned gr3_calls;
    struct lp_model_options model;
};

/* The defaults of the settings. */
extern const struct lp_policy lp_policy_defaults;

/* What sites.NAME.arm and .width say. */
struct lp_pin {
    uint32_t arm;   /* LOOMP_INLINE, ...; 0: none */
    uint32_t width; /* of LOOMP_TEAM; 0: all */
};

/* What was chosen most for sizes of a class: a majority vote, one against one. */
struct lp_habit {
    uint32_t votes;
    uint16_t arm, width;
};

/* What one loop knows of a site. Zero bytes: nothing. */
struct lp_site_state {
    struct lp_model models[LP_WIDTHS];
    uint64_t calls;                /* decided */
    uint64_t last_call[LP_WIDTHS]; /* the number of the last one that a model had a part in */
    uint32_t trying;        /* 1 + the model of a width whose first run is on its way; 0: none */
    uint64_t trying_until;  /* call number: it is given up then */
    uint64_t blocked_until; /* call number: rail 3 speaks until then ... */
    double blocked_low, blocked_high; /* ... of ln sizes in between */
    struct lp_habit habits[LP_SIZE_CLASSES];
    struct lp_pin pin;
};

struct lp_call {
    double ln_size;
    uint32_t hint;
    uint32_t kind;  /* LOOMP_SERIAL, ... */
    uint32_t width; /* asked for; 0: all */
    bool may_inline;
};

/* The pool now. Times in ns. */
struct lp_pool_load {
    unsigned width;
    double submit;   /* of the loop's time, that submitting and completing take, h */
    double to_start; /* from the submission of a task to its start */
    double gang_to_start;
    double to_done; /* from the end of the work to done */
    double backlog; /* SERIAL jobs that wait, per thread */
    bool stale;     /* to_start has not been measured for long */
};

struct lp_choice {
    uint32_t arm, width, reason, model;       /* model: the index of the one that learns from it */
    uint32_t cheapest;                        /* the arm that costs least, rails or not */
    struct lp_prediction work;                /* on one thread */
    double inline_cost, task_cost, team_cost; /* ns, of everybody; infinite: not possible */
    double team_run; /* how long the team is expected to run, as far as known */
};

void lp_policy_choose(const struct lp_policy *policy, struct lp_site_state *site,
                      const struct lp_call *call, const struct lp_loop_load *loop,
                      const struct lp_pool_load *pool, uint64_t *random, struct lp_choice *choice);

static inline unsigned lp_size_class(double ln_size)
{
    unsigned index = (unsigned)(ln_size * (1 / 1.3862943611198906)); /* ln 4 */
    return index < LP_SIZE_CLASSES ? index : LP_SIZE_CLASSES - 1;
}

/* The habit is another, or none. */
void lp_habit_vote_against(struct lp_habit *habit, const struct lp_choice *choice);

static inline void lp_habit_vote(struct lp_habit *habit, const struct lp_choice *choice)
{
    if (habit->votes && habit->arm == choice->arm && habit->width == choice->width) {
        habit->votes += habit->votes < LP_MOST_VOTES;
    } else {
        lp_habit_vote_against(habit, choice);
    }
}

/* The decision is made: counts it. Until then nothing has changed. */
static inline void lp_policy_decided(const struct lp_policy *policy, struct lp_site_state *site,
                                     const struct lp_call *call, const struct lp_choice *choice)
{
    site->calls++;
    if (choice->arm != LOOMP_INLINE && site->models[choice->model].n <= 0) {
        site->trying = choice->model + 1;
        site->trying_until = site->calls + LP_TRIAL_CALLS;
    }
    site->last_call[choice->model] = site->calls;
    if (policy->mode == LP_LEARN) {
        lp_habit_vote(&site->habits[lp_size_class(call->ln_size)], choice);
    }
}

/* The work took so long, run by that arm with that model; expected: what the choice said. Whether
 * the site has changed, and whether it was a strike of rail 3. */
struct lp_lesson {
    bool changed, strike;
};
bool lp_policy_is_strike(const struct lp_policy *policy, struct lp_site_state *site, uint32_t arm,
                         double ln_size, double cost_ns);
struct lp_lesson lp_policy_learn(const struct lp_policy *policy, struct lp_site_state *site,
                                 struct lp_model *batch, uint32_t arm, uint32_t model,
                                 double ln_size, double cost_ns, double expected_ns);

/* Rail 3 speaks from now on of sizes between those (ln). */
void lp_policy_block(const struct lp_policy *policy, struct lp_site_state *site, double ln_low,
                     double ln_high);

/* Which model learns from runs on so many threads, and back: the largest width it stands for. */
unsigned lp_width_model(unsigned width);
unsigned lp_model_width(unsigned model);

/* One more from a random sequence. */
uint64_t lp_next_draw(uint64_t *random);

/* What a hint stands for; 0: nothing. */
double lp_hint_ns(uint32_t hint);

#endif
