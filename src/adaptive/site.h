/* SPDX-License-Identifier: MIT */
/* Sites as the process knows them: one record for each name, for ever, and what every loop has
 * learnt there put together. */
#ifndef LP_ADAPTIVE_SITE_H
#define LP_ADAPTIVE_SITE_H

#include "adaptive/policy.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    LP_SITE_NAME_BYTES = 64,
    LP_ARMS = 4 /* of LOOMP_INLINE and so on; 0 is none */
};

struct lp_site_totals {
    uint64_t arms[LP_ARMS]; /* decisions, by arm */
    uint64_t railed[4];
    double regret_ns;
    uint64_t size_least, size_most; /* 0: none */
};

static inline uint64_t lp_site_calls(const struct lp_site_totals *totals)
{
    return totals->arms[LOOMP_INLINE] + totals->arms[LOOMP_TASK] + totals->arms[LOOMP_TEAM];
}

struct lp_site_record {
    /* In the order of first use. Written once, when the next one is whole (release), read by
     * anybody. */
    _Atomic(struct lp_site_record *) next;
    char name[LP_SITE_NAME_BYTES];
    unsigned id; /* counted from 0 */
    /* Inline runs that were too long. Written with the lock held, looked at by every choice
     * (relaxed: who sees it grow takes the lock). */
    _Atomic uint64_t strikes;
    pthread_mutex_t
        lock; /* guards the rest; taken now and then, by who exchanges what it has learnt */
    struct lp_site_state merged;
    struct lp_site_totals totals;
    double strike_low, strike_high; /* ln sizes that the last strike was about */
};

/* What one loop has of a site. Only its thread uses it. */
struct lp_site_local {
    struct lp_site_record *record;
    struct lp_site_state state;
    /* Since the last exchange. */
    struct lp_model batches[LP_WIDTHS];
    bool changed[LP_WIDTHS];
    struct lp_site_totals totals;
    unsigned since;   /* calls that were learnt from */
    unsigned due;     /* exchange after so many */
    unsigned earned;  /* calls that were learnt from, towards one that is passed over */
    uint64_t strikes; /* of the record's, that it has seen */
    bool frozen;      /* its habits are the profile's, and stay */
    uint64_t last_size;
    double last_ln_size; /* of that: sizes often repeat, and a logarithm takes time */
    struct lp_choice last;
};

/* A site's first private word points to its record: written by whoever uses the site first, the
 * same value by all, and for ever. */
static inline _Atomic(struct lp_site_record *) *lp_site_word(const loomp_site *site)
{
    return (_Atomic(struct lp_site_record *) *)(void *)(uintptr_t)&site->private_[0];
}

/* The record of a site, made at its first use: 0, -EINVAL (its name or hint), -ENOMEM with a
 * sentence. */
int lp_site_make_record(const loomp_site *site, struct lp_site_record **record);
static inline int lp_site_record(const loomp_site *site, struct lp_site_record **record)
{
    *record = atomic_load_explicit(lp_site_word(site), memory_order_acquire);
    return *record && site->hint <= LOOMP_HINT_HIGH ? 0 : lp_site_make_record(site, record);
}
int lp_site_record_named(const char *name, struct lp_site_record **record);

/* The one that is there already, or NULL. */
struct lp_site_record *lp_site_find(const loomp_site *site);

/* Walks over them, in the order of their first use; they never go away. */
struct lp_site_record *lp_site_first(void);
struct lp_site_record *lp_site_next(struct lp_site_record *record);

/* Forgets all that sites know; while there is no runtime. */
void lp_sites_forget(void);

/* A loop begins with what the others know; frozen: and with the habits of the profile. */
void lp_site_local_init(struct lp_site_local *local, struct lp_site_record *record, bool frozen);

/* A call has been counted or learnt from: exchanges with the record if it is time and nobody else
 * is at it. */
void lp_site_local_exchange(struct lp_site_local *local, const struct lp_model_options *options);
static inline void lp_site_local_count(struct lp_site_local *local,
                                       const struct lp_model_options *options)
{
    if (++local->since >= local->due) {
        lp_site_local_exchange(local, options);
    }
}

/* Exchanges what is left; may wait for others that do. */
void lp_site_local_flush(struct lp_site_local *local, const struct lp_model_options *options);

/* Rail 3. Tells the other loops of a strike; before a choice: whether they have had one, and then
 * what it forbids here. */
void lp_site_local_strike(struct lp_site_local *local);
void lp_site_local_hear_of_strikes(struct lp_site_local *local, const struct lp_policy *policy);

static inline bool lp_site_local_has_news(const struct lp_site_local *local)
{
    return atomic_load_explicit(&local->record->strikes, memory_order_relaxed) != local->strikes;
}

#endif
