/* SPDX-License-Identifier: MIT */
/* Owns the source "environment", and is the only file that reads the environment for settings. The
 * environment has no lock: as with getenv, no other thread may change it meanwhile. */
#include "settings/settings.h"

#include "base/error.h"
#include "base/log.h"
#include "settings/batch.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool is_name(const char *text)
{
    if (!text || !(isalpha((unsigned char)*text) || *text == '_')) {
        return false;
    }
    for (; *text; text++) {
        if (!isalnum((unsigned char)*text) && *text != '_') {
            return false;
        }
    }
    return true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* {prefix}_CONFIG names the file and is the caller's; {prefix}_TEST_ is left to test suites. */
static bool is_foreign(const char *rest)
{
    return strcmp(rest, "CONFIG") == 0 || strncmp(rest, "TEST_", 5) == 0;
}

static int fail_unknown(const char *name, const char *prefix)
{
    char variable[LP_NAME_BYTES], suggestion[2 * LP_NAME_BYTES];
    size_t skipped = strlen(prefix) + 1; /* would make everything look alike */
    struct lp_nearest nearest = {.wanted = name + skipped, .index = -1};
    if (lp_family_key_meant(name + skipped, '_', variable)) {
        lp_nearest_offer(&nearest, variable, 0, 0);
        snprintf(suggestion, sizeof suggestion, "%s_%s", prefix, variable);
    } else {
        for (int row = 0; row < LP_KEY_COUNT; row++) {
            lp_row_variable(row, prefix, variable);
            lp_nearest_offer(&nearest, variable + skipped, 0, row);
        }
        lp_row_variable(nearest.index, prefix, suggestion);
    }
    return lp_fail_unknown(NULL, "environment variable", name, "", &nearest, suggestion);
}

/* A variable like {prefix}_POOLS_HDD_THREADS. The last word is the member, all between is the name
 * of the pool or the site, in capitals. A `-' of a name cannot be written here. *taken says whether
 * it was one. */
static int take_member(struct lp_batch *batch, const char *name, const char *value,
                       size_t prefix_bytes, bool *taken)
{
    char key[LP_NAME_BYTES], variable[LP_NAME_BYTES];
    struct lp_family_key parts;
    const char *rest = name + prefix_bytes + 1;
    strcpy(key, rest);
    strcpy(variable, name);
    for (size_t i = 0; key[i]; i++) {
        variable[prefix_bytes + 1 + i] = lp_upper(rest[i]);
        key[i] = lower(rest[i]);
    }
    *taken = false;
    if (!lp_family_key_split(key, '_', &parts)) {
        return 0;
    }
    if (strncmp(variable + prefix_bytes + 1, rest, strlen(parts.family->group)) != 0) {
        return 0; /* its first word is not in capitals */
    }
    *taken = true;
    int member = lp_member_find(parts.family, parts.member);
    if (member < 0) {
        return lp_fail_member(parts.family, NULL, "environment variable", name, rest, '_');
    }
    if (strcmp(variable, name) != 0) {
        struct lp_nearest nearest = {.wanted = name, .index = 0};
        return lp_fail_unknown(NULL, "environment variable", name, "", &nearest, variable);
    }
    const struct lp_named *named = lp_names_find(&batch->names[parts.family->id], parts.name);
    if (named && named->members[member].text) {
        return 0; /* of two entries with one name getenv sees the first */
    }
    struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = value};
    return lp_batch_put_member(batch, parts.family, parts.name, member, &given, name, name);
}

/* One entry "NAME=value" whose NAME begins with the prefix and an underscore. */
static int take(struct lp_batch *batch, const char *entry, const char *prefix)
{
    char name[LP_NAME_BYTES], variable[LP_NAME_BYTES];
    size_t bytes = strcspn(entry, "=");
    snprintf(name, sizeof name, "%.*s", (int)(bytes < sizeof name ? bytes : sizeof name), entry);
    if (is_foreign(name + strlen(prefix) + 1)) {
        return 0;
    }
    bool taken;
    int err = take_member(batch, name, entry + bytes + 1, strlen(prefix), &taken);
    if (taken) {
        return err;
    }
    for (int row = 0; bytes < sizeof name && row < LP_KEY_COUNT; row++) {
        lp_row_variable(row, prefix, variable);
        if (strcmp(variable, name) != 0) {
            continue;
        }
        if (batch->values[row].text) {
            return 0; /* of two entries with one name getenv sees the first */
        }
        struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = entry + bytes + 1};
        return lp_batch_put(batch, row, &given, name, name);
    }
    return fail_unknown(name, prefix);
}

int loomp_config_env(loomp_config *config, const char *prefix)
{
    enum {
        PREFIX_BYTES_MAX = 64
    };
    if (!is_name(prefix) || strlen(prefix) > PREFIX_BYTES_MAX) {
        return lp_fail(-EINVAL,
                       "loomp_config_env: `%.70s' is not the first part of a variable's "
                       "name: up to 64 letters, digits and _",
                       prefix ? prefix : "");
    }
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_ENVIRONMENT);
    size_t prefix_bytes = strlen(prefix);
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, prefix, prefix_bytes) != 0 || (*entry)[prefix_bytes] != '_' ||
            !strchr(*entry, '=')) {
            continue;
        }
        int err = take(&batch, *entry, prefix);
        if (err != 0) {
            lp_batch_discard(&batch);
            return err;
        }
    }
    return lp_batch_commit(&batch, config);
}

/* ---- variables of OpenMP --------------------------------------------------------------------- */

/* Puts the value if it is good, and says so if it is not: libomp does not stop for it either. */
static int offer(struct lp_batch *batch, enum lp_key key, const char *variable, const char *text)
{
    struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = text};
    int err = lp_batch_put(batch, key, &given, variable, variable);
    if (err == -EINVAL) {
        lp_log(LOOMP_LOG_WARNING, "%s; it is left out", loomp_error());
    }
    return err == -ENOMEM ? err : 0;
}

/* "4" or "4,2": the outermost level counts. */
static int offer_number(struct lp_batch *batch, const char *variable, const char *text)
{
    char number[24];
    text += strspn(text, " \t");
    size_t bytes = strcspn(text, ", \t");
    snprintf(number, sizeof number, "%.*s", (int)(bytes < sizeof number ? bytes : sizeof number),
             text);
    return offer(batch, LP_COMPUTE_THREADS, variable, number);
}

/* A list, or one of OpenMP's words that the setting has too, perhaps with a number: "cores(4)". */
static int offer_places(struct lp_batch *batch, const char *text, bool has_number)
{
    static const char *const words[][2] = {
        {"cores", "cores"}, {"threads", "threads"}, {"ll_caches", "l3"}, {"numa_domains", "numa"}};
    text += strspn(text, " \t");
    if (*text == '{' || *text == '!') {
        return offer(batch, LP_PLACES, "OMP_PLACES", text);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t bytes = strlen(words[i][0]);
        if (strncasecmp(text, words[i][0], bytes) != 0) {
            continue;
        }
        const char *rest = text + bytes + strspn(text + bytes, " \t");
        if (*rest && *rest != '(') {
            continue;
        }
        int err = offer(batch, LP_PLACES, "OMP_PLACES", words[i][1]);
        char number[24];
        snprintf(number, sizeof number, "%.*s", *rest ? (int)strcspn(rest + 1, ")") : 0, rest + 1);
        return err || has_number || !*rest ? err : offer_number(batch, "OMP_PLACES", number);
    }
    return 0;
}

int lp_settings_read_openmp(loomp_config *config)
{
    const char *threads = getenv("OMP_NUM_THREADS");
    const char *places = getenv("OMP_PLACES");
    const char *bind = getenv("OMP_PROC_BIND");
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_OPENMP);
    int err = threads && *threads ? offer_number(&batch, "OMP_NUM_THREADS", threads) : 0;
    if (!err && places && *places) {
        err = offer_places(&batch, places, threads && *threads);
    }
    if (!err && bind && strcasecmp(bind + strspn(bind, " \t"), "false") == 0) {
        err = offer(&batch, LP_PIN, "OMP_PROC_BIND", "false");
    }
    if (err) {
        lp_batch_discard(&batch);
        return err;
    }
    return lp_batch_commit(&batch, config);
}

const char *lp_settings_environment(const char *name)
{
    return getenv(name);
}
