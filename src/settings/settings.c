/* SPDX-License-Identifier: MIT */
/* Owns the config object: for each source a value of its own per row and per member of a
 * declared pool or a pinned site, so that precedence goes by source and never by the order of
 * calls, and the preset layer, which follows from the value of the row `preset`. One thread at a
 * time per object; nothing here blocks. */
#include "settings/settings.h"

#include "base/error.h"
#include "settings/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct loomp_config {
    struct lp_value layers[LP_LAYER_COUNT][LP_KEY_COUNT];
    struct lp_names names[LP_LAYER_COUNT][LP_FAMILY_COUNT];
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

/* Whether a layer below the given one has the name, too. */
static bool is_in_weaker(const loomp_config *config, int layer, const struct lp_family *family,
                         const char *name)
{
    while (--layer >= LP_LAYER_DEFAULT) {
        if (lp_names_find(&config->names[layer][family->id], name)) {
            return true;
        }
    }
    return false;
}

/* The value of a name's member; NULL: none of the sources says anything about it. */
static const struct lp_value *resolve_member(const loomp_config *config,
                                             const struct lp_family *family, const char *name,
                                             int member)
{
    for (int layer = LP_LAYER_COUNT - 1; layer > LP_LAYER_DEFAULT; layer--) {
        const struct lp_named *named = lp_names_find(&config->names[layer][family->id], name);
        if (named && named->members[member].text) {
            return &named->members[member];
        }
    }
    return NULL;
}

/* The weakest source's names come first, each source's in its order. NULL past the last. */
static const char *name_at(const loomp_config *config, const struct lp_family *family, size_t index)
{
    for (int layer = LP_LAYER_DEFAULT; layer < LP_LAYER_COUNT; layer++) {
        const struct lp_names *names = &config->names[layer][family->id];
        for (size_t i = 0; i < names->count; i++) {
            const char *name = names->at[i]->name;
            if (!is_in_weaker(config, layer, family, name) && index-- == 0) {
                return name;
            }
        }
    }
    return NULL;
}

void lp_batch_init(struct lp_batch *batch, enum lp_layer layer)
{
    *batch = (struct lp_batch){.layer = layer};
}

int lp_batch_put(struct lp_batch *batch, int row, const struct lp_given *given, const char *where,
                 const char *source)
{
    struct lp_value value;
    int err = lp_value_read(&lp_rows[row], lp_rows[row].key, given, where, source, &value);
    if (err == 0) {
        lp_value_clear(&batch->values[row]);
        batch->values[row] = value;
    }
    return err;
}

int lp_batch_put_member(struct lp_batch *batch, const struct lp_family *family, const char *name,
                        int member, const struct lp_given *given, const char *where,
                        const char *source)
{
    char key[LP_NAME_BYTES];
    struct lp_named *named;
    struct lp_value value;
    int err = lp_names_declare(&batch->names[family->id], family, name, where, &named);
    if (err != 0) {
        return err;
    }
    lp_family_key_print(family, name, member, key);
    err = lp_value_read(&family->rows[member], key, given, where, source, &value);
    if (err == 0) {
        lp_value_clear(&named->members[member]);
        named->members[member] = value;
    }
    return err;
}

int lp_batch_declare(struct lp_batch *batch, const struct lp_family *family, const char *name,
                     const char *where)
{
    struct lp_named *named;
    return lp_names_declare(&batch->names[family->id], family, name, where, &named);
}

void lp_batch_discard(struct lp_batch *batch)
{
    for (int family = 0; family < LP_FAMILY_COUNT; family++) {
        lp_names_clear(&batch->names[family]);
    }
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

/* All names of all sources count, as one runtime gets them together. */
static int check_room(const loomp_config *config, const struct lp_family *family,
                      const struct lp_names *coming)
{
    size_t count = 0;
    while (name_at(config, family, count)) {
        count++;
    }
    for (size_t i = 0; i < coming->count; i++) {
        const struct lp_named *named = coming->at[i];
        if (!is_in_weaker(config, LP_LAYER_COUNT, family, named->name) && ++count > family->most) {
            return lp_fail_full(family, named->name, named->where);
        }
    }
    return 0;
}

static int check_rooms(const loomp_config *config, const struct lp_batch *batch)
{
    int err = 0;
    for (int i = 0; err == 0 && i < LP_FAMILY_COUNT; i++) {
        err = check_room(config, lp_families[i], &batch->names[i]);
    }
    return err;
}

int lp_batch_commit(struct lp_batch *batch, loomp_config *config)
{
    struct lp_batch preset;
    lp_batch_init(&preset, LP_LAYER_PRESET);
    int err = check_rooms(config, batch);
    err = err ? err : read_preset(&preset, coming_preset(config, batch));
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
    for (int family = 0; family < LP_FAMILY_COUNT; family++) {
        lp_names_move(&config->names[batch->layer][family], &batch->names[family]);
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
        if (lp_value_read(&lp_rows[row], lp_rows[row].key, &given, "default", "default",
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
        for (int family = 0; family < LP_FAMILY_COUNT; family++) {
            lp_names_clear(&config->names[layer][family]);
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
        for (int family = 0; family < LP_FAMILY_COUNT; family++) {
            if (lp_names_copy(&copy->names[layer][family], &config->names[layer][family]) != 0) {
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

static int fail_unknown(const char *function, const char *key)
{
    char suggestion[LP_NAME_BYTES];
    struct lp_nearest nearest = {.wanted = key, .index = -1};
    if (lp_family_key_meant(key, '.', suggestion)) {
        lp_nearest_offer(&nearest, suggestion, 0, 0);
    } else {
        nearest = lp_row_nearest(key);
        snprintf(suggestion, sizeof suggestion, "%s", lp_rows[nearest.index].key);
    }
    return lp_fail_unknown(function, "key", key, "", &nearest, suggestion);
}

static int set(loomp_config *config, const char *function, const char *key,
               const struct lp_given *given)
{
    if (!config || !key) {
        return lp_fail(-EINVAL, "%s: no %s given", function, config ? "key" : "config");
    }
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_CODE);
    struct lp_family_key parts;
    int row = lp_row_find(key);
    int err;
    if (row >= 0) {
        err = lp_batch_put(&batch, row, given, function, "code");
    } else if (!lp_family_key_split(key, '.', &parts)) {
        err = fail_unknown(function, key);
    } else {
        int member = lp_member_find(parts.family, parts.member);
        err = member < 0 ? lp_fail_member(parts.family, function, "key", key, key, '.')
                         : lp_batch_put_member(&batch, parts.family, parts.name, member, given,
                                               function, "code");
    }
    if (err != 0) {
        lp_batch_discard(&batch);
        return err;
    }
    return lp_batch_commit(&batch, config);
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

/* Finds what is known of a key: *value, or NULL and the text of the default. False: no such key. */
static bool look_up(const loomp_config *config, const char *key, const struct lp_value **value,
                    const char **initial)
{
    int row = key ? lp_row_find(key) : -1;
    if (row >= 0) {
        *value = resolve(config, row);
        return true;
    }
    struct lp_family_key parts;
    if (!key || !lp_family_key_split(key, '.', &parts)) {
        return false;
    }
    int member = lp_member_find(parts.family, parts.member);
    if (member < 0 || !is_in_weaker(config, LP_LAYER_COUNT, parts.family, parts.name)) {
        return false;
    }
    *value = resolve_member(config, parts.family, parts.name, member);
    *initial = parts.family->rows[member].initial;
    return true;
}

const char *loomp_config_value(const loomp_config *config, const char *key)
{
    const struct lp_value *value;
    const char *initial;
    return !look_up(config, key, &value, &initial) ? NULL : value ? value->text : initial;
}

const char *loomp_config_source(const loomp_config *config, const char *key)
{
    const struct lp_value *value;
    const char *initial;
    return !look_up(config, key, &value, &initial) ? NULL : value ? value->source : "default";
}

const char *loomp_config_pool(const loomp_config *config, size_t index)
{
    return name_at(config, &lp_pool_family, index);
}

static int64_t member_number(const loomp_config *config, const struct lp_family *family,
                             const char *name, int member)
{
    const struct lp_value *value = resolve_member(config, family, name, member);
    return value ? value->number : 0;
}

static const char *pool_text(const loomp_config *config, const char *name, int member)
{
    const struct lp_value *value = resolve_member(config, &lp_pool_family, name, member);
    return value ? value->text : lp_pool_family.rows[member].initial;
}

static int64_t pool_number(const loomp_config *config, const char *name, int member)
{
    return member_number(config, &lp_pool_family, name, member);
}

void lp_settings_each_pool(const loomp_config *config,
                           void (*fn)(void *arg, const struct lp_settings_pool *pool), void *arg)
{
    const char *name;
    for (size_t i = 0; (name = loomp_config_pool(config, i)) != NULL; i++) {
        const struct lp_settings_pool pool = {
            .name = name,
            .threads = (unsigned)pool_number(config, name, LP_MEMBER_THREADS),
            .cpus = pool_text(config, name, LP_MEMBER_CPUS),
            .gpu = pool_text(config, name, LP_MEMBER_GPU),
            .share = pool_number(config, name, LP_MEMBER_SHARE) != 0,
            .blocking = pool_number(config, name, LP_MEMBER_BLOCKING) != 0,
        };
        fn(arg, &pool);
    }
}

/* The words of arm are in the order of LOOMP_INLINE, LOOMP_TASK and LOOMP_TEAM, from 1. */
static struct lp_settings_site site_of(const loomp_config *config, const char *name)
{
    return (struct lp_settings_site){
        .name = name,
        .arm = (uint32_t)member_number(config, &lp_site_family, name, LP_MEMBER_ARM),
        .width = (uint32_t)member_number(config, &lp_site_family, name, LP_MEMBER_WIDTH),
    };
}

bool lp_settings_site(const loomp_config *config, const char *name, struct lp_settings_site *site)
{
    for (int layer = LP_LAYER_DEFAULT; layer < LP_LAYER_COUNT; layer++) {
        const struct lp_named *named = lp_names_find(&config->names[layer][LP_FAMILY_SITES], name);
        if (named) {
            *site = site_of(config, named->name);
            return true;
        }
    }
    return false;
}

void lp_settings_each_site(const loomp_config *config,
                           void (*fn)(void *arg, const struct lp_settings_site *site), void *arg)
{
    const char *name;
    for (size_t i = 0; (name = name_at(config, &lp_site_family, i)) != NULL; i++) {
        const struct lp_settings_site site = site_of(config, name);
        fn(arg, &site);
    }
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
           lp_rows[key].type == LP_TYPE_PLACES || lp_rows[key].type == LP_TYPE_DEVICES ||
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
