/* SPDX-License-Identifier: MIT */
/* Owns the config object: for each source a value of its own per row, so that precedence goes by
 * source and never by the order of calls, and the preset layer, which follows from the value of
 * the row `preset`. One thread at a time per object; nothing here blocks. */
#include "settings/settings.h"

#include "base/error.h"
#include "settings/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct loomp_config {
    struct lp_value layers[LP_LAYER_COUNT][LP_KEY_COUNT];
    struct hwloc_topology *topology; /* the caller's */
};

/* ---- layers ---------------------------------------------------------------------------------- */

static const struct lp_value *resolve(const loomp_config *config, int row)
{
    for (int layer = LP_LAYER_COUNT - 1; layer > LP_LAYER_DEFAULT; layer--) {
        if (config->layers[layer][row].text) {
            return &config->layers[layer][row];
        }
    }
    return &config->layers[LP_LAYER_DEFAULT][row];
}

void lp_batch_init(struct lp_batch *batch, enum lp_layer layer)
{
    *batch = (struct lp_batch){.layer = layer};
}

int lp_batch_put(struct lp_batch *batch, int row, const struct lp_given *given, const char *where,
                 const char *source)
{
    struct lp_value value;
    int err = lp_value_read(row, given, where, source, &value);
    if (err == 0) {
        lp_value_clear(&batch->values[row]);
        batch->values[row] = value;
    }
    return err;
}

void lp_batch_discard(struct lp_batch *batch)
{
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        lp_value_clear(&batch->values[row]);
    }
}

/* The name that the row `preset` will have once the batch is applied. */
static const char *coming_preset(const loomp_config *config, const struct lp_batch *batch)
{
    for (int layer = LP_LAYER_COUNT - 1; layer >= LP_LAYER_DEFAULT; layer--) {
        const struct lp_value *value = layer == (int)batch->layer && batch->values[LP_PRESET].text
                                           ? &batch->values[LP_PRESET]
                                           : &config->layers[layer][LP_PRESET];
        if (value->text) {
            return value->text;
        }
    }
    return "";
}

/* Fills an empty batch with the rows of a preset. */
static int read_preset(struct lp_batch *batch, const char *name)
{
    const struct lp_preset *preset = lp_presets;
    while (preset->name && strcmp(preset->name, name) != 0) {
        preset++;
    }
    if (!preset->name) {
        return 0; /* the empty name: no preset; others were refused before */
    }
    char source[LP_NAME_BYTES];
    snprintf(source, sizeof source, "preset %s", preset->name);
    for (int i = 0; i < LP_KEY_COUNT && preset->rows[i].value; i++) {
        struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = preset->rows[i].value};
        int err = lp_batch_put(batch, (int)preset->rows[i].key, &given, source, source);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

int lp_batch_commit(struct lp_batch *batch, loomp_config *config)
{
    struct lp_batch preset;
    lp_batch_init(&preset, LP_LAYER_PRESET);
    int err = read_preset(&preset, coming_preset(config, batch));
    if (err != 0) {
        lp_batch_discard(&preset);
        lp_batch_discard(batch);
        return err;
    }
    /* From here on nothing can fail. */
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        if (batch->values[row].text) {
            lp_value_clear(&config->layers[batch->layer][row]);
            config->layers[batch->layer][row] = batch->values[row];
        }
        lp_value_clear(&config->layers[LP_LAYER_PRESET][row]);
        config->layers[LP_LAYER_PRESET][row] = preset.values[row];
    }
    lp_batch_init(batch, batch->layer);
    return 0;
}

/* ---- the object ------------------------------------------------------------------------------ */

loomp_config *loomp_config_new(void)
{
    loomp_config *config = calloc(1, sizeof *config);
    if (!config) {
        lp_fail_memory();
        return NULL;
    }
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = lp_rows[row].initial};
        if (lp_value_read(row, &given, "default", "default",
                          &config->layers[LP_LAYER_DEFAULT][row]) != 0) {
            loomp_config_free(config);
            return NULL;
        }
    }
    return config;
}

void loomp_config_free(loomp_config *config)
{
    if (!config) {
        return;
    }
    for (int layer = 0; layer < LP_LAYER_COUNT; layer++) {
        for (int row = 0; row < LP_KEY_COUNT; row++) {
            lp_value_clear(&config->layers[layer][row]);
        }
    }
    free(config);
}

loomp_config *lp_settings_copy(const loomp_config *config)
{
    loomp_config *copy = calloc(1, sizeof *copy);
    if (!copy) {
        lp_fail_memory();
        return NULL;
    }
    copy->topology = config->topology;
    for (int layer = 0; layer < LP_LAYER_COUNT; layer++) {
        for (int row = 0; row < LP_KEY_COUNT; row++) {
            if (lp_value_copy(&copy->layers[layer][row], &config->layers[layer][row]) != 0) {
                loomp_config_free(copy);
                return NULL;
            }
        }
    }
    return copy;
}

void loomp_config_topology(loomp_config *config, struct hwloc_topology *topology)
{
    config->topology = topology;
}

struct hwloc_topology *lp_settings_topology(const loomp_config *config)
{
    return config->topology;
}

/* ---- the source "code" ----------------------------------------------------------------------- */

static int set(loomp_config *config, const char *function, const char *key,
               const struct lp_given *given)
{
    if (!config || !key) {
        return lp_fail(-EINVAL, "%s: no %s given", function, config ? "key" : "config");
    }
    int row = lp_row_find(key);
    if (row < 0) {
        struct lp_nearest nearest = lp_row_nearest(key);
        return lp_fail_unknown(function, "key", key, "", &nearest, lp_rows[nearest.index].key);
    }
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_CODE);
    int err = lp_batch_put(&batch, row, given, function, "code");
    return err != 0 ? err : lp_batch_commit(&batch, config);
}

int loomp_config_set(loomp_config *config, const char *key, const char *value)
{
    if (!value) {
        return lp_fail(-EINVAL, "loomp_config_set: no value given for `%.100s'", key ? key : "");
    }
    struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = value};
    return set(config, "loomp_config_set", key, &given);
}

int loomp_config_set_int(loomp_config *config, const char *key, int64_t value)
{
    struct lp_given given = {.kind = LP_GIVEN_INT, .number = value};
    return set(config, "loomp_config_set_int", key, &given);
}

int loomp_config_set_bool(loomp_config *config, const char *key, bool value)
{
    struct lp_given given = {.kind = LP_GIVEN_BOOL, .number = value};
    return set(config, "loomp_config_set_bool", key, &given);
}

int loomp_config_set_double(loomp_config *config, const char *key, double value)
{
    struct lp_given given = {.kind = LP_GIVEN_DOUBLE, .real = value};
    return set(config, "loomp_config_set_double", key, &given);
}

/* ---- reading --------------------------------------------------------------------------------- */

const char *loomp_config_value(const loomp_config *config, const char *key)
{
    int row = key ? lp_row_find(key) : -1;
    return row < 0 ? NULL : resolve(config, row)->text;
}

const char *loomp_config_source(const loomp_config *config, const char *key)
{
    int row = key ? lp_row_find(key) : -1;
    return row < 0 ? NULL : resolve(config, row)->source;
}

const char *loomp_config_key(size_t index)
{
    return index < LP_KEY_COUNT ? lp_rows[index].key : NULL;
}

int64_t lp_settings_int(const loomp_config *config, enum lp_key key)
{
    assert(lp_rows[key].type == LP_TYPE_INT || lp_rows[key].type == LP_TYPE_SIZE);
    return resolve(config, (int)key)->number;
}

double lp_settings_double(const loomp_config *config, enum lp_key key)
{
    assert(lp_rows[key].type == LP_TYPE_DOUBLE);
    return resolve(config, (int)key)->real;
}

bool lp_settings_bool(const loomp_config *config, enum lp_key key)
{
    assert(lp_rows[key].type == LP_TYPE_BOOL);
    return resolve(config, (int)key)->number != 0;
}

const char *lp_settings_text(const loomp_config *config, enum lp_key key)
{
    assert(lp_rows[key].type == LP_TYPE_TEXT || lp_rows[key].type == LP_TYPE_CPU_LIST ||
           lp_rows[key].type == LP_TYPE_PRESET);
    return resolve(config, (int)key)->text;
}

int lp_settings_choice(const loomp_config *config, enum lp_key key)
{
    assert(lp_rows[key].type == LP_TYPE_CHOICE);
    return (int)resolve(config, (int)key)->number;
}

bool lp_settings_is_set(const loomp_config *config, enum lp_key key)
{
    return resolve(config, (int)key) != &config->layers[LP_LAYER_DEFAULT][key];
}
