/* SPDX-License-Identifier: MIT */
/* Owns the registry of sites, and the exchange between what a loop has learnt and what all have.
 * Any thread enters; a local is entered by its own.
 *
 * A loop learns into its own model, and collects the same calls in a batch. When it exchanges, the
 * batch goes into the record, and the loop goes on with what the record then knows: so every call
 * counts once, wherever it ran, and no loop waits for another. */
#include "adaptive/site.h"

#include "base/error.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Calls between exchanges: few while every call teaches much. */
enum {
    FIRST_DUE = 1,
    MOST_DUE = 256
};

/* ---- the registry ---------------------------------------------------------------------------- */

/* Guards the adding of records; the list is read without it. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct lp_site_record *) first; /* as a record's `next` */
static struct lp_site_record *last;

struct lp_site_record *lp_site_first(void)
{
    return atomic_load_explicit(&first, memory_order_acquire);
}

struct lp_site_record *lp_site_next(struct lp_site_record *record)
{
    return atomic_load_explicit(&record->next, memory_order_acquire);
}

static struct lp_site_record *find(const char *name)
{
    struct lp_site_record *record = lp_site_first();
    while (record && strcmp(record->name, name) != 0) {
        record = lp_site_next(record);
    }
    return record;
}

static bool is_name(const char *name)
{
    size_t length = 0;
    for (; name[length] && length < LP_SITE_NAME_BYTES; length++) {
        if ((unsigned char)name[length] < 0x20 || name[length] == 0x7f) {
            return false;
        }
    }
    return length > 0 && length < LP_SITE_NAME_BYTES;
}

/* With the registry's lock held. */
static struct lp_site_record *add(const char *name)
{
    struct lp_site_record *record = calloc(1, sizeof *record);
    if (record) {
        strcpy(record->name, name);
        pthread_mutex_init(&record->lock, NULL);
        record->id = last ? last->id + 1 : 0;
        atomic_store_explicit(last ? &last->next : &first, record, memory_order_release);
        last = record;
    }
    return record;
}

int lp_site_record_named(const char *name, struct lp_site_record **record)
{
    if (!name || !is_name(name)) {
        return lp_fail(-EINVAL, "a site needs a name of 1 to %d printable characters%s%.80s%s",
                       LP_SITE_NAME_BYTES - 1, name ? ", not `" : "", name ? name : "",
                       name ? "'" : "");
    }
    pthread_mutex_lock(&registry_lock);
    *record = find(name);
    if (!*record) {
        *record = add(name);
    }
    pthread_mutex_unlock(&registry_lock);
    return *record ? 0 : lp_fail(-ENOMEM, "no memory for the site `%s'", name);
}

struct lp_site_record *lp_site_find(const loomp_site *site)
{
    struct lp_site_record *record = atomic_load_explicit(lp_site_word(site), memory_order_acquire);
    return record ? record : site->name ? find(site->name) : NULL;
}

int lp_site_make_record(const loomp_site *site, struct lp_site_record **record)
{
    if (site->hint > LOOMP_HINT_HIGH) {
        return lp_fail(-EINVAL,
                       "the hint of the site `%.80s' is %u, not LOOMP_HINT_UNKNOWN, _LOW, "
                       "_MEDIUM or _HIGH",
                       site->name ? site->name : "", site->hint);
    }
    int err = lp_site_record_named(site->name, record);
    if (!err) {
        atomic_store_explicit(lp_site_word(site), *record, memory_order_release);
    }
    return err;
}

void lp_sites_forget(void)
{
    for (struct lp_site_record *record = lp_site_first(); record; record = lp_site_next(record)) {
        pthread_mutex_lock(&record->lock);
        record->merged = (struct lp_site_state){.calls = 0};
        record->totals = (struct lp_site_totals){.regret_ns = 0};
        atomic_store_explicit(&record->strikes, 0, memory_order_relaxed);
        pthread_mutex_unlock(&record->lock);
    }
}

/* ---- exchange -------------------------------------------------------------------------------- */

static void merge_totals(struct lp_site_totals *all, struct lp_site_totals *new)
{
    for (int arm = 0; arm < LP_ARMS; arm++) {
        all->arms[arm] += new->arms[arm];
    }
    for (int rail = 0; rail < 4; rail++) {
        all->railed[rail] += new->railed[rail];
    }
    all->regret_ns += new->regret_ns;
    if (new->size_least && (!all->size_least || new->size_least < all->size_least)) {
        all->size_least = new->size_least;
    }
    if (new->size_most > all->size_most) {
        all->size_most = new->size_most;
    }
    *new = (struct lp_site_totals){0};
}

/* The votes of one loop since its last exchange are one block of votes. */
static void merge_habit(struct lp_habit *all, struct lp_habit *new)
{
    if (all->arm == new->arm && all->width == new->width) {
        all->votes += all->votes < 1000 ? new->votes : 0;
    } else if (new->votes > all->votes) {
        *all = (struct lp_habit){new->votes - all->votes, new->arm, new->width};
    } else {
        all->votes -= new->votes;
    }
    *new = (struct lp_habit){0};
}

/* With the record's lock held. */
static void exchange(struct lp_site_local *local, const struct lp_model_options *options)
{
    struct lp_site_record *record = local->record;
    for (unsigned i = 0; i < LP_WIDTHS; i++) {
        local->changed[i] |= lp_model_settle(&local->state.models[i], &local->batches[i], options);
        if (local->batches[i].seen) {
            lp_model_merge(&record->merged.models[i], &local->batches[i], local->changed[i],
                           options);
            local->batches[i] = (struct lp_model){0};
            local->changed[i] = false;
        }
        if (record->merged.models[i].seen != local->state.models[i].seen) {
            lp_model_adopt(&local->state.models[i], &record->merged.models[i]);
        }
    }
    for (unsigned i = 0; i < LP_SIZE_CLASSES && !local->frozen; i++) {
        if (local->state.habits[i].votes) {
            merge_habit(&record->merged.habits[i], &local->state.habits[i]);
        }
    }
    merge_totals(&record->totals, &local->totals);
}

void lp_site_local_init(struct lp_site_local *local, struct lp_site_record *record, bool frozen)
{
    memset(local, 0, sizeof *local);
    local->record = record;
    local->due = FIRST_DUE;
    local->frozen = frozen;
    pthread_mutex_lock(&record->lock);
    memcpy(local->state.models, record->merged.models, sizeof local->state.models);
    if (frozen) {
        memcpy(local->state.habits, record->merged.habits, sizeof local->state.habits);
    }
    local->state.calls = lp_site_calls(&record->totals);
    local->strikes = atomic_load_explicit(&record->strikes, memory_order_relaxed);
    pthread_mutex_unlock(&record->lock);
}

void lp_site_local_exchange(struct lp_site_local *local, const struct lp_model_options *options)
{
    if (pthread_mutex_trylock(&local->record->lock)) {
        return; /* who finds the record in use has more to bring next time */
    }
    exchange(local, options);
    pthread_mutex_unlock(&local->record->lock);
    local->since = 0;
    local->due = local->due < MOST_DUE ? local->due * 2 : MOST_DUE;
}

void lp_site_local_flush(struct lp_site_local *local, const struct lp_model_options *options)
{
    pthread_mutex_lock(&local->record->lock);
    exchange(local, options);
    pthread_mutex_unlock(&local->record->lock);
    local->since = 0;
}

/* ---- rail 3 ---------------------------------------------------------------------------------- */

void lp_site_local_strike(struct lp_site_local *local)
{
    struct lp_site_record *record = local->record;
    pthread_mutex_lock(&record->lock);
    uint64_t strikes = atomic_load_explicit(&record->strikes, memory_order_relaxed);
    bool alone = local->strikes == strikes; /* else one that it has not heard of stays in there */
    record->strike_low =
        alone ? local->state.blocked_low : fmin(record->strike_low, local->state.blocked_low);
    record->strike_high =
        alone ? local->state.blocked_high : fmax(record->strike_high, local->state.blocked_high);
    atomic_store_explicit(&record->strikes, strikes + 1, memory_order_relaxed);
    if (alone) {
        local->strikes = strikes + 1; /* its own: it knows */
    }
    pthread_mutex_unlock(&record->lock);
}

void lp_site_local_hear_of_strikes(struct lp_site_local *local, const struct lp_policy *policy)
{
    struct lp_site_record *record = local->record;
    pthread_mutex_lock(&record->lock);
    double low = record->strike_low, high = record->strike_high;
    local->strikes = atomic_load_explicit(&record->strikes, memory_order_relaxed);
    pthread_mutex_unlock(&record->lock);
    lp_policy_block(policy, &local->state, low, high);
}
