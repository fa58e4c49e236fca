/* SPDX-License-Identifier: MIT */
/* The policy that came before this library, from its description: for each of two arms a decayed
 * mean of ln us, Thompson sampling between them, pressure as a factor of the inline arm, and guard
 * rails on a moving average of all runs. Its drift towards zero is left out: here the mean is a
 * weighted mean. */
#include "policies.h"

#include <stdlib.h>

#define DECAY 0.999653
#define ALPHA 0.1
#define STRIKE_DECAY 0.993
#define PRIOR_VARIANCE 1.0

enum {
    HOLDS = 5,
    FORCED = 3
};

struct arm {
    double n, mean, squares; /* of ln us; squares about the mean */
};

struct site {
    struct arm arms[2]; /* inline, offload */
    double average_us;
    double strikes;
    unsigned forced;
    double lately, before; /* calls, counted over a short and a long time */
    uint64_t first_ns, last_ns;
};

struct ancestor {
    struct site site; /* one for all loops */
    struct random random;
    unsigned loops;
};

static void *new (const struct trace *trace, uint64_t seed)
{
    static const double hints_us[] = {200, 30, 200, 1000};
    struct ancestor *self = calloc(1, sizeof *self);
    if (!self) {
        abort();
    }
    self->random = random_stream(seed, 1000);
    self->loops = trace->loops;
    self->site.average_us = hints_us[trace->hint];
    self->site.forced = trace->hint == LOOMP_HINT_HIGH ? FORCED : 0;
    return self;
}

/* From the posterior of the arm's mean; an arm without samples is as likely to be as its hint says.
 */
static double draw(struct ancestor *self, const struct arm *arm, double hint_us)
{
    double n = arm->n + 1;
    double mean = (arm->n * arm->mean + (arm->n < HOLDS ? log(hint_us) : arm->mean)) / n;
    double variance = (arm->squares + PRIOR_VARIANCE) / n;
    return mean + sqrt(variance / n) * random_normal(&self->random);
}

#define LATELY_NS 1e7
#define BEFORE_NS 1e9

/* A call counts, and those before it a bit less. */
static void meet(struct site *site, uint64_t now_ns)
{
    site->first_ns = site->first_ns ? site->first_ns : now_ns;
    double gap = site->last_ns ? (double)(now_ns - site->last_ns) : 0;
    site->lately = site->lately * exp(-gap / LATELY_NS) + 1;
    site->before = site->before * exp(-gap / BEFORE_NS) + 1;
    site->last_ns = now_ns;
}

/* A count as a rate: of the time that it has counted for. */
static double rate_of(double count, double age, double time)
{
    return count / (time * (1 - exp(-fmax(age, 1) / time)));
}

static double pressure_of(const struct ancestor *self, const struct sim_view *view)
{
    const struct site *site = &self->site;
    double age = (double)(site->last_ns - site->first_ns);
    double spawned = rate_of(site->lately, age, LATELY_NS) / rate_of(site->before, age, BEFORE_NS);
    return fmin(0.7 * view->in_flight / self->loops + 0.3 * spawned, 10);
}

/* What the pool's hand-over was calibrated to, relative to the run. */
static double overhead(double us)
{
    return 1 + (SIM_WAKE_NS + SIM_WAKE_NS) / 1e3 / us;
}

static struct sim_decision choose(void *data, const struct sim_view *view)
{
    struct ancestor *self = data;
    struct site *site = &self->site;
    meet(site, view->now_ns);
    double pressure = pressure_of(self, view);
    bool railed = site->average_us > 250 || (pressure > 3 && site->average_us > 100) ||
                  site->strikes >= 0.5 ||
                  (self->loops == 1 && !(site->average_us < 50 && pressure < 0.5));
    double here = exp(draw(self, &site->arms[0], site->average_us)) * (1 + 0.15 * pressure);
    double there = exp(draw(self, &site->arms[1], site->average_us));
    there *= overhead(there);
    site->strikes *= STRIKE_DECAY;
    if (site->forced) {
        site->forced--;
        railed = true;
    }
    if (!railed && here <= there) {
        return (struct sim_decision){LOOMP_INLINE, 1, 0, false, 0, 0};
    }
    return view->trace->curve == CURVE_SERIAL
               ? (struct sim_decision){LOOMP_TASK, 1, 0, false, 0, 0}
               : (struct sim_decision){LOOMP_TEAM, view->width, 0, false, 0, 0};
}

static void learn(void *data, const struct sim_call *call, double done_ns, double handed_ns)
{
    (void)done_ns;
    (void)handed_ns;
    struct ancestor *self = data;
    struct site *site = &self->site;
    bool here = call->decision.arm == LOOMP_INLINE;
    double us = call->run_ns / 1e3;
    struct arm *arm = &site->arms[here ? 0 : 1];
    double before = log(us) - arm->mean;
    arm->n = arm->n * DECAY + 1;
    arm->mean += before / arm->n;
    arm->squares = arm->squares * DECAY + before * (log(us) - arm->mean);
    site->average_us += ALPHA * (us - site->average_us);
    if (here && us > 1000) {
        site->strikes += 1;
    }
}

const struct sim_policy ancestor = {"ancestor", new, free, choose, learn};
