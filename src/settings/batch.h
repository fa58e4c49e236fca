/* SPDX-License-Identifier: MIT */
/* The batch through which a source applies all of its values or none. Only src/settings includes
 * it. */
#ifndef LP_SETTINGS_BATCH_H
#define LP_SETTINGS_BATCH_H

#include "settings/family.h"
#include "settings/table.h"

/* The sources, the weakest first. */
enum lp_layer {
    LP_LAYER_DEFAULT,
    LP_LAYER_PRESET,
    LP_LAYER_OPENMP,
    LP_LAYER_FILE,
    LP_LAYER_ENVIRONMENT,
    LP_LAYER_CODE,
    LP_LAYER_ARGUMENTS,
    LP_LAYER_COUNT
};

/* The values of one call of one source, until it is known that all of them are good. */
struct lp_batch {
    enum lp_layer layer;
    struct lp_value values[LP_KEY_COUNT];
    struct lp_names names[LP_FAMILY_COUNT];
};

void lp_batch_init(struct lp_batch *batch, enum lp_layer layer);

/* Reads one value; a later one for the same row replaces it. 0, -EINVAL or -ENOMEM. */
int lp_batch_put(struct lp_batch *batch, int row, const struct lp_given *given, const char *where,
                 const char *source);

/* The same for a member of a family's name, which it checks; and a name without any value. */
int lp_batch_put_member(struct lp_batch *batch, const struct lp_family *family, const char *name,
                        int member, const struct lp_given *given, const char *where,
                        const char *source);
int lp_batch_declare(struct lp_batch *batch, const struct lp_family *family, const char *name,
                     const char *where);

/* Applies the batch and empties it; -EINVAL for too many names or -ENOMEM, and then nothing was
 * applied. */
int lp_batch_commit(struct lp_batch *batch, loomp_config *config);
void lp_batch_discard(struct lp_batch *batch);

#endif
