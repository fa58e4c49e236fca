/* SPDX-License-Identifier: MIT */
/* The parser. It trusts nothing: every number is checked, every error names its line, and the
 * counts of the header are compared with the bytes that are there before anything is allocated.
 * Knows neither loomp nor HTTP; the caller decides on which thread a large file is read. */
#include "matrix_market.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum field {
    FIELD_REAL,
    FIELD_INTEGER,
    FIELD_PATTERN,
};

struct reader {
    const char *at;   /* the next unread character of the current line */
    const char *stop; /* the end of the current line, without \r and \n */
    const char *next; /* the beginning of the next line */
    const char *end;  /* the end of the text */
    long line;
    struct matrix_market_error *error;
};

static int fail(struct reader *in, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct reader *in, int err, const char *format, ...)
{
    va_list list;

    in->error->line = in->line;
    va_start(list, format);
    vsnprintf(in->error->text, sizeof in->error->text, format, list);
    va_end(list);
    return err;
}

/* Steps to the next line. False at the end of the text; the line number then stays at the last line
 * there is, which is where a truncated file is to be mended. */
static bool next_line(struct reader *in)
{
    if (in->next == in->end) {
        return false;
    }
    in->line++;
    in->at = in->next;
    const char *newline = memchr(in->at, '\n', (size_t)(in->end - in->at));
    in->stop = newline != NULL ? newline : in->end;
    in->next = newline != NULL ? newline + 1 : in->end;
    if (in->stop > in->at && in->stop[-1] == '\r') {
        in->stop--;
    }
    return true;
}

static void skip_blanks(struct reader *in)
{
    while (in->at < in->stop && (*in->at == ' ' || *in->at == '\t')) {
        in->at++;
    }
}

/* Steps to the next line that is neither empty nor a comment. */
static bool next_content(struct reader *in)
{
    while (next_line(in)) {
        skip_blanks(in);
        if (in->at < in->stop && *in->at != '%') {
            return true;
        }
    }
    return false;
}

static bool at_line_end(struct reader *in)
{
    skip_blanks(in);
    return in->at == in->stop;
}

static const char *token_end(const struct reader *in)
{
    const char *p = in->at;

    while (p < in->stop && *p != ' ' && *p != '\t') {
        p++;
    }
    return p;
}

/* How much of an offending token an error message quotes. */
static int quoted(const struct reader *in)
{
    ptrdiff_t length = token_end(in) - in->at;

    return length > 40 ? 40 : (int)length;
}

/* A decimal number without a fraction. Reads digit by digit, because strtoll would step over the
 * end of the line and accept what the format does not. */
static int read_integer(struct reader *in, const char *what, int64_t *value)
{
    skip_blanks(in);
    if (in->at == in->stop) {
        return fail(in, -EINVAL, "the line ends where %s should be", what);
    }
    const char *p = in->at;
    const char *stop = token_end(in);
    bool negative = *p == '-';
    int64_t sum = 0;

    if (*p == '-' || *p == '+') {
        p++;
    }
    if (p == stop) {
        return fail(in, -EINVAL, "'%.*s' is not %s", quoted(in), in->at, what);
    }
    for (; p < stop; p++) {
        if (!isdigit((unsigned char)*p)) {
            return fail(in, -EINVAL, "'%.*s' is not %s", quoted(in), in->at, what);
        }
        if (sum > (INT64_MAX - 9) / 10) {
            return fail(in, -EINVAL, "%s '%.*s' is too large", what, quoted(in), in->at);
        }
        sum = 10 * sum + (*p - '0');
    }
    *value = negative ? -sum : sum;
    in->at = stop;
    return 0;
}

/* A real number, also with the D of a Fortran program's exponent. */
static int read_real(struct reader *in, double *value)
{
    char copy[64];
    char *parsed_end;

    skip_blanks(in);
    if (in->at == in->stop) {
        return fail(in, -EINVAL, "the line ends where the value should be");
    }
    const char *stop = token_end(in);
    const char *p = in->at;
    if (*p == '-' || *p == '+') {
        p++;
    }
    if (stop - p >= 3 && (strncasecmp(p, "nan", 3) == 0 || strncasecmp(p, "inf", 3) == 0)) {
        return fail(in, -EINVAL, "the value '%.*s' is not a finite number", quoted(in), in->at);
    }
    /* strtod would also take hexadecimal numbers, which the format does not know. */
    if (p == stop || !(isdigit((unsigned char)*p) || *p == '.') ||
        (stop - p > 1 && (p[1] == 'x' || p[1] == 'X'))) {
        return fail(in, -EINVAL, "the value '%.*s' is not a number", quoted(in), in->at);
    }
    *value = strtod(in->at, &parsed_end);
    if (parsed_end < stop && (*parsed_end == 'D' || *parsed_end == 'd') &&
        (size_t)(stop - in->at) < sizeof copy) {
        size_t length = (size_t)(stop - in->at);
        memcpy(copy, in->at, length);
        copy[length] = '\0';
        copy[parsed_end - in->at] = 'e';
        char *copy_end;
        *value = strtod(copy, &copy_end);
        parsed_end = (char *)in->at + (copy_end - copy);
    }
    if (parsed_end != stop) {
        return fail(in, -EINVAL, "the value '%.*s' is not a number", quoted(in), in->at);
    }
    if (!isfinite(*value)) {
        return fail(in, -EINVAL, "the value '%.*s' is too large", quoted(in), in->at);
    }
    in->at = stop;
    return 0;
}

static bool take_word(struct reader *in, const char *word)
{
    skip_blanks(in);
    const char *stop = token_end(in);
    size_t length = (size_t)(stop - in->at);

    if (length != strlen(word) || strncasecmp(in->at, word, length) != 0) {
        return false;
    }
    in->at = stop;
    return true;
}

static int read_banner(struct reader *in, enum field *field, bool *mirror)
{
    if (!next_line(in)) {
        in->line = 1;
        return fail(in, -EINVAL, "the file is empty");
    }
    if (!take_word(in, "%%MatrixMarket")) {
        return fail(in, -EINVAL, "the file does not begin with '%%%%MatrixMarket'");
    }
    if (!take_word(in, "matrix")) {
        skip_blanks(in);
        return fail(in, -EINVAL, "'%.*s' where 'matrix' should be", quoted(in), in->at);
    }
    if (!take_word(in, "coordinate")) {
        skip_blanks(in);
        return fail(in, -EINVAL, "format '%.*s' is not read here, only 'coordinate'", quoted(in),
                    in->at);
    }
    if (take_word(in, "real")) {
        *field = FIELD_REAL;
    } else if (take_word(in, "integer")) {
        *field = FIELD_INTEGER;
    } else if (take_word(in, "pattern")) {
        *field = FIELD_PATTERN;
    } else {
        skip_blanks(in);
        return fail(in, -EINVAL, "field '%.*s' is not read here, only real, integer and pattern",
                    quoted(in), in->at);
    }
    if (take_word(in, "general")) {
        *mirror = false;
    } else if (take_word(in, "symmetric")) {
        *mirror = true;
    } else {
        skip_blanks(in);
        return fail(in, -EINVAL, "symmetry '%.*s' is not read here, only general and symmetric",
                    quoted(in), in->at);
    }
    if (!at_line_end(in)) {
        return fail(in, -EINVAL, "'%.*s' after the banner", quoted(in), in->at);
    }
    return 0;
}

/* The line with the sizes, as far as it makes sense by itself. */
static int read_counts(struct reader *in, int64_t *n, int64_t *count)
{
    int64_t columns;
    int err;

    if (!next_content(in)) {
        return fail(in, -EINVAL, "the file ends before the line with the sizes");
    }
    if ((err = read_integer(in, "the number of rows", n)) < 0 ||
        (err = read_integer(in, "the number of columns", &columns)) < 0 ||
        (err = read_integer(in, "the number of entries", count)) < 0) {
        return err;
    }
    if (!at_line_end(in)) {
        return fail(in, -EINVAL, "'%.*s' after the sizes", quoted(in), in->at);
    }
    if (*n < 1 || columns < 1 || *count < 0) {
        return fail(in, -EINVAL, "a matrix of %lld x %lld with %lld entries is no linear system",
                    (long long)*n, (long long)columns, (long long)*count);
    }
    if (*n != columns) {
        return fail(in, -EINVAL, "the matrix is not square: %lld rows, %lld columns", (long long)*n,
                    (long long)columns);
    }
    return 0;
}

static int read_sizes(struct reader *in, enum field field, bool mirror,
                      const struct matrix_market_limits *limits, int64_t *n, int64_t *count)
{
    int err = read_counts(in, n, count);

    if (err < 0) {
        return err;
    }
    /* Indices are kept in 32 bits, so no limit may be wider. */
    if (*n > limits->max_rows || *n > INT32_MAX - 1) {
        return fail(in, -E2BIG, "%lld rows are over the limit of %lld", (long long)*n,
                    (long long)limits->max_rows);
    }
    if (*count > limits->max_entries) {
        return fail(in, -E2BIG, "%lld entries are over the limit of %lld", (long long)*count,
                    (long long)limits->max_entries);
    }
    /* The shortest line with an entry is "1 1" and a newline, or "1 1 1" and one; the last newline
     * may be missing. */
    int64_t shortest = field == FIELD_PATTERN ? 4 : 6;
    int64_t left = in->end - in->next;
    if (*count > (left + 1) / shortest) {
        return fail(in, -EINVAL, "%lld entries cannot be in the %lld bytes that follow",
                    (long long)*count, (long long)left);
    }
    /* A row without an entry makes a matrix singular. Said here, so that a few bytes cannot ask for
     * a large allocation. */
    if (*n > (mirror ? 2 : 1) * *count) {
        return fail(in, -EINVAL,
                    "%lld rows, but only %lld entries: a row is empty, so the matrix is singular",
                    (long long)*n, (long long)*count);
    }
    return 0;
}

static int read_entry(struct reader *in, enum field field, bool mirror, int64_t n, int32_t *row,
                      int32_t *column, double *value)
{
    int64_t i;
    int64_t j;
    int64_t whole;
    int err;

    if ((err = read_integer(in, "a row index", &i)) < 0 ||
        (err = read_integer(in, "a column index", &j)) < 0) {
        return err;
    }
    if (i < 1 || i > n || j < 1 || j > n) {
        return fail(in, -EINVAL, "index (%lld, %lld) is outside of 1 to %lld", (long long)i,
                    (long long)j, (long long)n);
    }
    if (mirror && i < j) {
        return fail(in, -EINVAL, "entry (%lld, %lld) is above the diagonal of a symmetric matrix",
                    (long long)i, (long long)j);
    }
    switch (field) {
    case FIELD_REAL:
        err = read_real(in, value);
        break;
    case FIELD_INTEGER:
        err = read_integer(in, "an integer value", &whole);
        *value = err == 0 ? (double)whole : 0.0;
        break;
    case FIELD_PATTERN:
        *value = 1.0;
        break;
    }
    if (err < 0) {
        return err;
    }
    if (!at_line_end(in)) {
        return fail(in, -EINVAL, "'%.*s' after the entry", quoted(in), in->at);
    }
    *row = (int32_t)(i - 1);
    *column = (int32_t)(j - 1);
    return 0;
}

int matrix_market_outline(struct matrix_market_outline *outline, const char *text, size_t size)
{
    struct matrix_market_error error;
    struct reader in = {.next = text, .end = text + (size < 4096 ? size : 4096), .error = &error};
    enum field field;
    bool mirror;
    int64_t n;
    int64_t count;

    if (read_banner(&in, &field, &mirror) < 0 || read_counts(&in, &n, &count) < 0 ||
        count > (int64_t)size) {
        return -EINVAL;
    }
    int64_t entries = mirror ? 2 * count : count;
    /* A line that is cut off at the end of what is looked at may lack digits. */
    if (n > entries || (in.next == in.end && size > 4096)) {
        return -EINVAL;
    }
    *outline = (struct matrix_market_outline){n, entries, mirror};
    return 0;
}

int matrix_market_parse(struct csr *a, const char *text, size_t size,
                        const struct matrix_market_limits *limits,
                        struct matrix_market_error *error)
{
    struct reader in = {.next = text, .end = text + size, .error = error};
    enum field field = FIELD_REAL;
    bool mirror = false;
    int64_t n = 0;
    int64_t count = 0;
    int err;

    if ((err = read_banner(&in, &field, &mirror)) < 0 ||
        (err = read_sizes(&in, field, mirror, limits, &n, &count)) < 0) {
        return err;
    }

    int32_t *row = malloc((size_t)(count + 1) * sizeof *row);
    int32_t *column = malloc((size_t)(count + 1) * sizeof *column);
    double *value = malloc((size_t)(count + 1) * sizeof *value);
    if (row == NULL || column == NULL || value == NULL) {
        in.line = 0;
        err = fail(&in, -ENOMEM, "no memory for %lld entries", (long long)count);
        goto free_coordinates;
    }
    for (int64_t k = 0; k < count; k++) {
        if (!next_content(&in)) {
            err = fail(&in, -EINVAL, "the file ends after %lld of %lld entries", (long long)k,
                       (long long)count);
            goto free_coordinates;
        }
        err = read_entry(&in, field, mirror, n, &row[k], &column[k], &value[k]);
        if (err < 0) {
            goto free_coordinates;
        }
    }
    if (next_content(&in)) {
        err = fail(&in, -EINVAL, "'%.*s' after the last of %lld entries", quoted(&in), in.at,
                   (long long)count);
        goto free_coordinates;
    }
    err = csr_from_coordinates(a, n, count, row, column, value, mirror);
    if (err < 0) {
        in.line = 0;
        err = err == -ENOMEM
                  ? fail(&in, err, "no memory for a matrix of %lld rows", (long long)n)
                  : fail(&in, -EINVAL, "duplicates of an entry add up to more than a double holds");
    }

free_coordinates:
    free(row);
    free(column);
    free(value);
    return err;
}
