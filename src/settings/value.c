/* SPDX-License-Identifier: MIT */
/* Owns what follows from the type of a setting: what it takes in words, and reading, checking,
 * copying and showing a value. Pure but for memory and the error sentence; any thread enters. */
#include "settings/value.h"

#include "base/error.h"
#include "settings/table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static void print_size(char *out, size_t bytes, int64_t size)
{
    static const char suffixes[] = {'G', 'M', 'K'};
    int64_t unit = INT64_C(1) << 30;
    for (size_t i = 0; size && i < sizeof suffixes; i++, unit >>= 10) {
        if (size % unit == 0) {
            snprintf(out, bytes, "%" PRId64 "%c", size / unit, suffixes[i]);
            return;
        }
    }
    snprintf(out, bytes, "%" PRId64, size);
}

static int check_cpu_list(const char *text)
{
    return lp_cpu_list_parse(text, NULL, NULL);
}

/* The checker of a text that has a form, or NULL. */
static int (*form_of(enum lp_type type))(const char *text)
{
    return type == LP_TYPE_CPU_LIST  ? check_cpu_list
           : type == LP_TYPE_PLACES  ? lp_places_check
           : type == LP_TYPE_DEVICES ? lp_devices_check
                                     : NULL;
}

void lp_row_takes(const struct lp_row *r, char out[LP_NAME_BYTES])
{
    char min[24], max[24];
    switch (r->type) {
    case LP_TYPE_TEXT:
        snprintf(out, LP_NAME_BYTES, "printable text of %.0f to %.0f bytes", r->min, r->max);
        return;
    case LP_TYPE_CPU_LIST:
        snprintf(out, LP_NAME_BYTES, "a text with a CPU list like 0-5,8");
        return;
    case LP_TYPE_PLACES:
        snprintf(out, LP_NAME_BYTES,
                 "cores, threads, l3, numa or a list of places, up to %.0f bytes", r->max);
        return;
    case LP_TYPE_DEVICES:
        snprintf(out, LP_NAME_BYTES,
                 "a number or a text of up to %.0f bytes with devices between commas", r->max);
        return;
    case LP_TYPE_PRESET: {
        int used = snprintf(out, LP_NAME_BYTES, "an empty text or one of:");
        for (const struct lp_preset *p = lp_presets; p->name && used < LP_NAME_BYTES; p++) {
            used += snprintf(out + used, (size_t)(LP_NAME_BYTES - used), "%s %s",
                             p == lp_presets ? "" : ",", p->name);
        }
        return;
    }
    case LP_TYPE_CHOICE: {
        bool may_be_empty = *r->words == '|';
        int used =
            snprintf(out, LP_NAME_BYTES, "%sone of: ", may_be_empty ? "an empty text or " : "");
        for (const char *c = r->words + may_be_empty; *c && used < LP_NAME_BYTES; c++) {
            used +=
                snprintf(out + used, (size_t)(LP_NAME_BYTES - used), *c == '|' ? ", " : "%c", *c);
        }
        return;
    }
    case LP_TYPE_BOOL:
        snprintf(out, LP_NAME_BYTES, "true or false");
        return;
    case LP_TYPE_INT:
        snprintf(out, LP_NAME_BYTES, "a whole number from %.0f to %.0f", r->min, r->max);
        return;
    case LP_TYPE_SIZE:
        print_size(min, sizeof min, (int64_t)r->min);
        print_size(max, sizeof max, (int64_t)r->max);
        snprintf(out, LP_NAME_BYTES, "0 or a size from %s to %s, in bytes or with K, M, G", min,
                 max);
        return;
    case LP_TYPE_DOUBLE:
        snprintf(out, LP_NAME_BYTES, "a number from %.10g to %.10g", r->min, r->max);
        return;
    }
}

void lp_row_range(const struct lp_row *r, char out[LP_NAME_BYTES])
{
    char min[24], max[24];
    switch (r->type) {
    case LP_TYPE_TEXT:
        snprintf(out, LP_NAME_BYTES, "text");
        return;
    case LP_TYPE_CPU_LIST:
        snprintf(out, LP_NAME_BYTES, "CPU list");
        return;
    case LP_TYPE_PLACES:
        snprintf(out, LP_NAME_BYTES, "cores|threads|l3|numa|{...}");
        return;
    case LP_TYPE_DEVICES:
        snprintf(out, LP_NAME_BYTES, "devices");
        return;
    case LP_TYPE_PRESET:
        snprintf(out, LP_NAME_BYTES, "preset");
        return;
    case LP_TYPE_CHOICE:
        snprintf(out, LP_NAME_BYTES, "%s", r->words + (*r->words == '|'));
        return;
    case LP_TYPE_BOOL:
        snprintf(out, LP_NAME_BYTES, "true|false");
        return;
    case LP_TYPE_INT:
        snprintf(out, LP_NAME_BYTES, "%.0f..%.0f", r->min, r->max);
        return;
    case LP_TYPE_SIZE:
        print_size(min, sizeof min, (int64_t)r->min);
        print_size(max, sizeof max, (int64_t)r->max);
        snprintf(out, LP_NAME_BYTES, "0 or %s..%s", min, max);
        return;
    case LP_TYPE_DOUBLE:
        snprintf(out, LP_NAME_BYTES, "%.10g..%.10g, real", r->min, r->max);
        return;
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

enum verdict {
    GOOD,
    MALFORMED,
    OUT_OF_RANGE,
    WRONG_TYPE,
    NO_MEMORY
};

/* Numbers are read and written with a decimal point, whatever the application's locale. */
static enum verdict read_double_text(const char *text, double *out)
{
    /* Also keeps out white space, hexadecimal, "inf" and "nan". */
    if (!*text || text[strspn(text, "0123456789+-.eE")]) {
        return MALFORMED;
    }
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) {
        return NO_MEMORY;
    }
    char *end;
    double value = strtod_l(text, &end, c_locale);
    freelocale(c_locale);
    if (end == text || *end) {
        return MALFORMED;
    }
    *out = value; /* an overflow is infinite, and so out of any range */
    return GOOD;
}

int lp_double_print(char *out, size_t bytes, double value)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) {
        return lp_fail_memory();
    }
    locale_t old = uselocale(c_locale);
    /* 17 digits always lead back to the same value; 15 are nicer and nearly always enough. */
    snprintf(out, bytes, "%.15g", value);
    if (strtod(out, NULL) != value) {
        snprintf(out, bytes, "%.17g", value);
    }
    uselocale(old);
    freelocale(c_locale);
    return 0;
}

static enum verdict read_int_text(const char *text, const char **rest, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!isdigit((unsigned char)*digits)) {
        return MALFORMED;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *rest = end;
    *out = value;
    return errno == ERANGE ? OUT_OF_RANGE : GOOD;
}

static enum verdict read_whole_text(const char *text, int64_t *out)
{
    const char *rest;
    enum verdict verdict = read_int_text(text, &rest, out);
    return verdict != MALFORMED && *rest ? MALFORMED : verdict;
}

/* A number, then K, M or G in either case, then perhaps "iB". */
static enum verdict read_size_text(const char *text, int64_t *out)
{
    const char *rest;
    enum verdict verdict = read_int_text(text, &rest, out);
    if (verdict == MALFORMED) {
        return verdict;
    }
    static const char suffixes[] = "KMG";
    int shift = 0;
    if (*rest) {
        const char *found = strchr(suffixes, lp_upper(*rest));
        if (!found || (rest[1] && strcmp(rest + 1, "iB") != 0)) {
            return MALFORMED;
        }
        shift = 10 * (int)(found - suffixes + 1);
    }
    if (verdict == OUT_OF_RANGE || *out > INT64_MAX >> shift || *out < 0) {
        return OUT_OF_RANGE;
    }
    *out <<= shift;
    return GOOD;
}

static enum verdict read_bool_text(const char *text, int64_t *out)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (int value = 0; value < 2; value++) {
            if (strcasecmp(text, words[i][value]) == 0) {
                *out = value;
                return GOOD;
            }
        }
    }
    return MALFORMED;
}

static enum verdict read_choice(const char *words, const char *text, int64_t *out)
{
    size_t bytes = strlen(text);
    int index = 0;
    for (const char *word = words;; index++) {
        size_t word_bytes = strcspn(word, "|");
        if (word_bytes == bytes && memcmp(word, text, bytes) == 0) {
            *out = index;
            return GOOD;
        }
        if (!word[word_bytes]) {
            return MALFORMED;
        }
        word += word_bytes + 1;
    }
}

static enum verdict read_preset(const char *text)
{
    if (!*text) {
        return GOOD;
    }
    for (const struct lp_preset *p = lp_presets; p->name; p++) {
        if (strcmp(p->name, text) == 0) {
            return GOOD;
        }
    }
    return MALFORMED;
}

static enum verdict check_length(const struct lp_row *r, const char *text)
{
    double bytes = (double)strlen(text);
    return bytes >= r->min && bytes <= r->max ? GOOD : OUT_OF_RANGE;
}

static enum verdict check_text(const struct lp_row *r, const char *text)
{
    size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes; i++) {
        if (is_control(text[i])) {
            return MALFORMED;
        }
    }
    return check_length(r, text);
}

static enum verdict check_number(const struct lp_row *r, int64_t number)
{
    if (r->type == LP_TYPE_SIZE && number == 0) {
        return GOOD;
    }
    return number >= (int64_t)r->min && number <= (int64_t)r->max ? GOOD : OUT_OF_RANGE;
}

/* Reads into *number, *real and *shown, which points to text of the caller's or to buffer. */
static enum verdict read_value(const struct lp_row *r, const struct lp_given *given,
                               int64_t *number, double *real, const char **shown, char *buffer,
                               size_t buffer_bytes)
{
    bool is_text = given->kind == LP_GIVEN_TEXT;
    bool is_string = is_text || given->kind == LP_GIVEN_STRING;
    enum verdict verdict = GOOD;
    *shown = buffer;
    switch (r->type) {
    case LP_TYPE_TEXT:
    case LP_TYPE_CPU_LIST:
    case LP_TYPE_PLACES:
    case LP_TYPE_DEVICES:
    case LP_TYPE_PRESET:
    case LP_TYPE_CHOICE:
        if (r->type == LP_TYPE_DEVICES && given->kind == LP_GIVEN_INT) {
            snprintf(buffer, buffer_bytes, "%" PRId64, given->number);
            return given->number >= 0 ? GOOD : OUT_OF_RANGE;
        }
        if (!is_string) {
            return WRONG_TYPE;
        }
        *shown = given->text;
        return r->type == LP_TYPE_TEXT       ? check_text(r, given->text)
               : r->type == LP_TYPE_PRESET   ? read_preset(given->text)
               : r->type == LP_TYPE_CHOICE   ? read_choice(r->words, given->text, number)
               : r->type == LP_TYPE_CPU_LIST ? GOOD /* its form was checked before, and is all */
                                             : check_length(r, given->text);
    case LP_TYPE_BOOL:
        if (given->kind == LP_GIVEN_BOOL) {
            *number = given->number;
        } else {
            verdict = is_text ? read_bool_text(given->text, number) : WRONG_TYPE;
        }
        *shown = *number ? "true" : "false";
        return verdict;
    case LP_TYPE_INT:
    case LP_TYPE_SIZE:
        if (given->kind == LP_GIVEN_INT) {
            *number = given->number;
        } else if (r->type == LP_TYPE_SIZE) {
            verdict = is_string ? read_size_text(given->text, number) : WRONG_TYPE;
        } else {
            verdict = is_text ? read_whole_text(given->text, number) : WRONG_TYPE;
        }
        if (verdict != GOOD) {
            return verdict;
        }
        if (r->type == LP_TYPE_SIZE) {
            print_size(buffer, buffer_bytes, *number);
        } else {
            snprintf(buffer, buffer_bytes, "%" PRId64, *number);
        }
        return check_number(r, *number);
    case LP_TYPE_DOUBLE:
        if (given->kind == LP_GIVEN_INT) {
            *real = (double)given->number;
        } else if (given->kind == LP_GIVEN_DOUBLE) {
            *real = given->real;
        } else {
            verdict = is_text ? read_double_text(given->text, real) : WRONG_TYPE;
        }
        if (verdict != GOOD) {
            return verdict;
        }
        if (isnan(*real)) {
            return MALFORMED;
        }
        if (*real < r->min || *real > r->max) {
            return OUT_OF_RANGE;
        }
        if (*real == 0) {
            *real = 0; /* -0 would be shown as such */
        }
        return lp_double_print(buffer, buffer_bytes, *real) == 0 ? GOOD : NO_MEMORY;
    }
    return WRONG_TYPE;
}

static void describe_given(const struct lp_given *given, bool with_type, char *out, size_t bytes)
{
    switch (given->kind) {
    case LP_GIVEN_TEXT:
        snprintf(out, bytes, "`%.60s'", given->text);
        return;
    case LP_GIVEN_STRING:
        snprintf(out, bytes, "%s`%.60s'", with_type ? "the text " : "", given->text);
        return;
    case LP_GIVEN_INT:
        snprintf(out, bytes, "%s`%" PRId64 "'", with_type ? "the whole number " : "",
                 given->number);
        return;
    case LP_GIVEN_DOUBLE:
        snprintf(out, bytes, "%s`%g'", with_type ? "the real number " : "", given->real);
        return;
    case LP_GIVEN_BOOL:
        snprintf(out, bytes, "%s`%s'", with_type ? "the truth value " : "",
                 given->number ? "true" : "false");
        return;
    case LP_GIVEN_LIST:
        snprintf(out, bytes, "a list or array");
        return;
    }
}

static int refuse(const struct lp_row *r, const char *key, const struct lp_given *given,
                  const char *where, enum verdict verdict)
{
    char value[LP_NAME_BYTES], takes[LP_NAME_BYTES];
    describe_given(given, verdict == WRONG_TYPE, value, sizeof value);
    lp_row_takes(r, takes);
    const char *what = verdict == OUT_OF_RANGE ? "is out of range"
                       : verdict == WRONG_TYPE ? "has the wrong type"
                                               : "is not valid";
    return lp_fail(-EINVAL, "%s: %s %s for %s, which takes %s", where, value, what, key, takes);
}

int lp_value_read(const struct lp_row *r, const char *key, const struct lp_given *given,
                  const char *where, const char *source, struct lp_value *value)
{
    bool is_string = given->kind == LP_GIVEN_TEXT || given->kind == LP_GIVEN_STRING;
    int (*check)(const char *) = form_of(r->type);
    if (check && is_string && check(given->text) != 0) {
        return lp_fail(-EINVAL, "%s: %s: %s", where, key, loomp_error());
    }
    char buffer[64] = "";
    const char *shown;
    int64_t number = 0;
    double real = 0;
    enum verdict verdict = read_value(r, given, &number, &real, &shown, buffer, sizeof buffer);
    if (verdict == NO_MEMORY) {
        return lp_fail_memory();
    }
    if (verdict != GOOD) {
        return refuse(r, key, given, where, verdict);
    }
    char *text_copy = strdup(shown);
    char *source_copy = strdup(source);
    if (!text_copy || !source_copy) {
        free(text_copy);
        free(source_copy);
        return lp_fail_memory();
    }
    *value = (struct lp_value){number, real, text_copy, source_copy};
    return 0;
}

int lp_fail_memory(void)
{
    return lp_fail(-ENOMEM, "no memory for the settings");
}

int lp_value_copy(struct lp_value *to, const struct lp_value *from)
{
    struct lp_value copy = *from;
    if (from->text) {
        copy.text = strdup(from->text);
        copy.source = strdup(from->source);
        if (!copy.text || !copy.source) {
            lp_value_clear(&copy);
            return lp_fail_memory();
        }
    }
    *to = copy;
    return 0;
}

void lp_value_clear(struct lp_value *value)
{
    free(value->text);
    free(value->source);
    *value = (struct lp_value){0};
}
