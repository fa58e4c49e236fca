/* SPDX-License-Identifier: MIT */
/* Owns the way between the records of sites and profile files. Entered by plain threads, while the
 * records may be in use. */
#include "adaptive/profile.h"

#include "adaptive/site.h"
#include "settings/profile_file.h"

#include <loomp/version.h>

#include <math.h>
#include <string.h>

_Static_assert((int)LP_PROFILE_MODELS == (int)LP_WIDTHS &&
                   (int)LP_PROFILE_CLASSES == (int)LP_SIZE_CLASSES,
               "files and records have the same models and classes");

/* ---- reading --------------------------------------------------------------------------------- */

static struct lp_model model_of(const struct lp_profile_model *in, double memory)
{
    struct lp_model model = {
        .seen = in->seen,
        .n = in->n,
        .mean_x = in->mean_x,
        .mean_y = in->mean_y,
        .cxx = in->cxx,
        .cxy = in->cxy,
        .cyy = in->cyy,
        .ratio_n = in->ratio_n,
        .ratio = fmax(in->ratio, LP_LEAST_RATIO),
        .ratio2 = in->ratio2,
        .ln_p95 = in->ln_p95,
    };
    model.ratio2 = fmax(model.ratio2, model.ratio * model.ratio); /* a mean square is no less */
    lp_model_restore(&model, memory);
    return model;
}

static void load_site(void *arg, const struct lp_profile_site *site)
{
    struct lp_load_options *options = arg;
    struct lp_site_record *record;
    if (lp_site_record_named(site->name, &record)) {
        return;
    }
    pthread_mutex_lock(&record->lock);
    for (unsigned i = 0; i < site->model_count; i++) {
        struct lp_model *model = &record->merged.models[lp_width_model(site->models[i].width)];
        if (!model->seen || options->overrides) {
            *model = model_of(&site->models[i], options->memory);
        }
    }
    for (unsigned i = 0; i < site->habit_count; i++) {
        const struct lp_profile_habit *in = &site->habits[i];
        struct lp_habit *habit = &record->merged.habits[in->size_class];
        options->widest = in->width > options->widest ? in->width : options->widest;
        if (!habit->votes || options->overrides) {
            *habit = (struct lp_habit){in->votes, (uint16_t)in->arm, (uint16_t)in->width};
        }
    }
    pthread_mutex_unlock(&record->lock);
}

int lp_profile_load(const char *path, const char *machine, struct lp_load_options *options)
{
    return lp_profile_read(path, machine, LOOMP_VERSION_STRING, load_site,
                           options);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Where the writer is, and what it is given of a record: a copy, so that the lock is not held. */
struct writer {
    struct lp_site_record *next;
    struct lp_profile_model models[LP_WIDTHS];
    struct lp_profile_habit habits[LP_SIZE_CLASSES];
};

static unsigned copy_models(const struct lp_model *models, struct lp_profile_model *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LP_WIDTHS; i++) {
        const struct lp_model *model = &models[i];
        if (model->n > 0) {
            out[count++] = (struct lp_profile_model){
                .width = lp_model_width(i),
                .seen = model->seen,
                .n = model->n,
                .mean_x = model->mean_x,
                .mean_y = model->mean_y,
                .cxx = model->cxx,
                .cxy = model->cxy,
                .cyy = model->cyy,
                .ratio_n = model->ratio_n,
                .ratio = model->ratio,
                .ratio2 = model->ratio2,
                .ln_p95 = model->ln_p95,
            };
        }
    }
    return count;
}

static unsigned copy_habits(const struct lp_habit *habits, struct lp_profile_habit *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LP_SIZE_CLASSES; i++) {
        if (habits[i].votes) {
            out[count++] =
                (struct lp_profile_habit){i, habits[i].arm, habits[i].width, habits[i].votes};
        }
    }
    return count;
}

static bool next_site(void *arg, struct lp_profile_site *site)
{
    struct writer *writer = arg;
    struct lp_site_record *record = writer->next;
    if (!record) {
        return false;
    }
    writer->next = lp_site_next(record);
    pthread_mutex_lock(&record->lock);
    *site = (struct lp_profile_site){
        .name = record->name,
        .model_count = copy_models(record->merged.models, writer->models),
        .models = writer->models,
        .habit_count = copy_habits(record->merged.habits, writer->habits),
        .habits = writer->habits,
    };
    pthread_mutex_unlock(&record->lock);
    return true;
}

int lp_profile_store(const char *path, const char *machine)
{
    struct writer writer = {.next = lp_site_first()};
    return lp_profile_write(path, machine, LOOMP_VERSION_STRING, next_site, &writer);
}
