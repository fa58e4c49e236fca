/* SPDX-License-Identifier: MIT */
/* Owns the table of settings and the presets, and everything that follows from a row alone: its
 * names, its range in words, reading and checking a value, and the search for the key that was
 * meant. Pure but for memory and the error sentence; any thread enters. */
#include "settings/table.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GIB (1024.0 * MIB)

/* A setting is one row here and one line in enum lp_key, in the same order:
 *   id, key, type, min, max, default, words of a choice, help */
#define ROWS(X)                                                                                    \
    X(LP_PREFIX, "prefix", TEXT, 1, 64, "loomp", NULL, "first part of thread names")               \
    X(LP_PRESET, "preset", PRESET, 0, 0, "", NULL, "a named set of values, below all others")      \
    X(LP_PIN, "pin", BOOL, 0, 1, "true", NULL, "bind each thread to its planned CPU")              \
    X(LP_CPUS, "cpus", CPU_LIST, 0, 0, "", NULL, "CPUs to use; empty: all that are allowed")       \
    X(LP_IO_THREADS, "io.threads", INT, 1, 1024, "1", NULL, "threads with a libev loop each")      \
    X(LP_IO_CPUS, "io.cpus", CPU_LIST, 0, 0, "", NULL, "CPUs of the loops; empty: planned")        \
    X(LP_COMPUTE_THREADS, "compute.threads", INT, 0, 1024, "0", NULL,                              \
      "threads of the OpenMP team; 0: planned")                                                    \
    X(LP_COMPUTE_STACK_SIZE, "compute.stack_size", SIZE, 64 * KIB, 1024 * GIB, "0", NULL,          \
      "per thread; 0: most of OMP_STACKSIZE, ulimit -s, 8M")                                       \
    X(LP_BLOCKING_THREADS, "blocking.threads", INT, 1, 4096, "64", NULL,                           \
      "most threads for work that sleeps in I/O")                                                  \
    X(LP_BIND, "bind", CHOICE, 0, 0, "openmp", "openmp|direct", "who binds the team's threads")    \
    X(LP_QUEUE_LIMIT, "queue_limit", INT, 1, 1 << 24, "65536", NULL, "jobs waiting per queue")     \
    X(LP_QUEUE_POLICY, "queue_policy", CHOICE, 0, 0, "reject", "reject|block|caller_runs",         \
      "what submitting to a full queue does")                                                      \
    X(LP_CALL_POOL_SIZE, "call.pool_size", INT, 0, 1 << 20, "1024", NULL,                          \
      "objects of loomp_call kept per thread")                                                     \
    X(LP_SPIN_US, "spin_us", DOUBLE, 0, 1e6, "25", NULL,                                           \
      "longest search before a thread parks, in us")                                               \
    X(LP_GANG_RELIEF_US, "gang.relief_us", DOUBLE, 0, 1e7, "1000", NULL,                           \
      "longest wait of serial jobs behind a gang, in us")                                          \
    X(LP_LOG_LEVEL, "log.level", CHOICE, 0, 0, "warning", "none|error|warning|info|debug",         \
      "least important lines to log")                                                              \
    X(LP_LOG_RANK0_ONLY, "log.rank0_only", BOOL, 0, 1, "true", NULL,                               \
      "of an MPI job, only local rank 0 logs")

#define ROW(id, key, type, min, max, initial, words, help)                                         \
    {key, LP_TYPE_##type, min, max, initial, words, help},
const struct lp_row lp_rows[LP_KEY_COUNT] = {ROWS(ROW)};

/* The position of each row in the table must be its number in enum lp_key. */
#define POSITION(id, ...) POSITION_##id,
enum position {
    ROWS(POSITION) POSITION_COUNT
};
#define AGREES(id, ...) _Static_assert((int)POSITION_##id == (int)id, "enum lp_key, row " #id);
ROWS(AGREES)
_Static_assert((int)POSITION_COUNT == (int)LP_KEY_COUNT, "enum lp_key has a key without a row");

const struct lp_preset lp_presets[] = {
    /* Spinning takes CPU time from the other users of the node for nothing. */
    {"shared-node", {{LP_SPIN_US, "0"}}},
    {NULL, {{0, NULL}}},
};

/* ---- names ----------------------------------------------------------------------------------- */

int lp_row_find(const char *key)
{
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        if (strcmp(lp_rows[row].key, key) == 0) {
            return row;
        }
    }
    return -1;
}

/* Unlike toupper and iscntrl these do not follow the application's locale: a Turkish i has another
 * capital. */
static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void lp_row_variable(int row, const char *prefix, char out[LP_NAME_BYTES])
{
    snprintf(out, LP_NAME_BYTES, "%s_%s", prefix, lp_rows[row].key);
    size_t prefix_bytes = strlen(prefix);
    for (size_t i = prefix_bytes; i < LP_NAME_BYTES && out[i]; i++) {
        out[i] = out[i] == '.' ? '_' : upper(out[i]);
    }
}

void lp_row_option(int row, char out[LP_NAME_BYTES])
{
    snprintf(out, LP_NAME_BYTES, "%s", lp_rows[row].key);
    for (char *c = out; *c; c++) {
        if (*c == '.' || *c == '_') {
            *c = '-';
        }
    }
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

void lp_row_takes(int row, char out[LP_NAME_BYTES])
{
    const struct lp_row *r = &lp_rows[row];
    char min[24], max[24];
    switch (r->type) {
    case LP_TYPE_TEXT:
        snprintf(out, LP_NAME_BYTES, "printable text of %.0f to %.0f bytes", r->min, r->max);
        return;
    case LP_TYPE_CPU_LIST:
        snprintf(out, LP_NAME_BYTES, "a text with a CPU list like 0-5,8");
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
        int used = snprintf(out, LP_NAME_BYTES, "one of: ");
        for (const char *c = r->words; *c && used < LP_NAME_BYTES; c++) {
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
        snprintf(out, LP_NAME_BYTES, "a number from %.0f to %.0f", r->min, r->max);
        return;
    }
}

void lp_row_range(int row, char out[LP_NAME_BYTES])
{
    const struct lp_row *r = &lp_rows[row];
    char min[24], max[24];
    switch (r->type) {
    case LP_TYPE_TEXT:
        snprintf(out, LP_NAME_BYTES, "text");
        return;
    case LP_TYPE_CPU_LIST:
        snprintf(out, LP_NAME_BYTES, "CPU list");
        return;
    case LP_TYPE_PRESET:
        snprintf(out, LP_NAME_BYTES, "preset");
        return;
    case LP_TYPE_CHOICE:
        snprintf(out, LP_NAME_BYTES, "%s", r->words);
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
        snprintf(out, LP_NAME_BYTES, "%.0f..%.0f, real", r->min, r->max);
        return;
    }
}

/* ---- what was meant -------------------------------------------------------------------------- */

enum {
    COMPARED_BYTES = 64
};

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The optimal string alignment distance of the first COMPARED_BYTES of both, case folded. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned a_bytes = (unsigned)strnlen(a, COMPARED_BYTES);
    unsigned b_bytes = (unsigned)strnlen(b, COMPARED_BYTES);
    unsigned rows[3][COMPARED_BYTES + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b_bytes; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (unsigned i = 1; i <= a_bytes; i++) {
        now[0] = i;
        int ca = tolower((unsigned char)a[i - 1]);
        for (unsigned j = 1; j <= b_bytes; j++) {
            int cb = tolower((unsigned char)b[j - 1]);
            unsigned best = min_of(last[j - 1] + (ca != cb), min_of(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2])) {
                best = min_of(best, before[j - 2] + 1);
            }
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_bytes];
}

void lp_nearest_offer(struct lp_nearest *nearest, const char *candidate, unsigned penalty,
                      int index)
{
    unsigned distance = edit_distance(nearest->wanted, candidate) + penalty;
    if (nearest->index < 0 || distance < nearest->distance) {
        nearest->index = index;
        nearest->distance = distance;
    }
}

bool lp_nearest_is_close(const struct lp_nearest *nearest)
{
    return nearest->distance <= 1 + strlen(nearest->wanted) / 3;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

struct lp_nearest lp_row_nearest(const char *key)
{
    struct lp_nearest whole = {.wanted = key, .index = -1};
    struct lp_nearest part = {.wanted = last_part(key), .index = -1};
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        lp_nearest_offer(&whole, lp_rows[row].key, 0, row);
        lp_nearest_offer(&part, last_part(lp_rows[row].key), 1, row);
    }
    return part.distance < whole.distance ? part : whole;
}

int lp_fail_unknown(const char *where, const char *what, const char *name, const char *in,
                    const struct lp_nearest *nearest, const char *suggestion)
{
    bool close = lp_nearest_is_close(nearest);
    return lp_fail(-EINVAL, "%s%sunknown %s `%.100s'%s, %s `%s'%s", where ? where : "",
                   where ? ": " : "", what, name, in, close ? "did you mean" : "the nearest is",
                   suggestion, close ? "?" : "");
}

int lp_fail_memory(void)
{
    return lp_fail(-ENOMEM, "no memory for the settings");
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

static enum verdict print_double(char *out, size_t bytes, double value)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) {
        return NO_MEMORY;
    }
    locale_t old = uselocale(c_locale);
    /* 17 digits always lead back to the same value; 15 are nicer and nearly always enough. */
    snprintf(out, bytes, "%.15g", value);
    if (strtod(out, NULL) != value) {
        snprintf(out, bytes, "%.17g", value);
    }
    uselocale(old);
    freelocale(c_locale);
    return GOOD;
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
        const char *found = strchr(suffixes, upper(*rest));
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

static enum verdict check_text(const struct lp_row *r, const char *text)
{
    size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes; i++) {
        if (is_control(text[i])) {
            return MALFORMED;
        }
    }
    return (double)bytes >= r->min && (double)bytes <= r->max ? GOOD : OUT_OF_RANGE;
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
    case LP_TYPE_PRESET:
    case LP_TYPE_CHOICE:
        if (!is_string) {
            return WRONG_TYPE;
        }
        *shown = given->text;
        return r->type == LP_TYPE_TEXT     ? check_text(r, given->text)
               : r->type == LP_TYPE_PRESET ? read_preset(given->text)
               : r->type == LP_TYPE_CHOICE ? read_choice(r->words, given->text, number)
                                           : GOOD; /* a CPU list was checked before */
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
        return print_double(buffer, buffer_bytes, *real);
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

static int refuse(int row, const struct lp_given *given, const char *where, enum verdict verdict)
{
    char value[LP_NAME_BYTES], takes[LP_NAME_BYTES];
    describe_given(given, verdict == WRONG_TYPE, value, sizeof value);
    lp_row_takes(row, takes);
    const char *what = verdict == OUT_OF_RANGE ? "is out of range"
                       : verdict == WRONG_TYPE ? "has the wrong type"
                                               : "is not valid";
    return lp_fail(-EINVAL, "%s: %s %s for %s, which takes %s", where, value, what,
                   lp_rows[row].key, takes);
}

int lp_value_read(int row, const struct lp_given *given, const char *where, const char *source,
                  struct lp_value *value)
{
    const struct lp_row *r = &lp_rows[row];
    bool is_string = given->kind == LP_GIVEN_TEXT || given->kind == LP_GIVEN_STRING;
    if (r->type == LP_TYPE_CPU_LIST && is_string &&
        lp_cpu_list_parse(given->text, NULL, NULL) != 0) {
        return lp_fail(-EINVAL, "%s: %s: %s", where, r->key, loomp_error());
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
        return refuse(row, given, where, verdict);
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
