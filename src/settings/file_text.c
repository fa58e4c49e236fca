/* SPDX-License-Identifier: MIT */
/* Owns putting a settings file and what it includes together into one text, with a note of where
 * each line came from.
 *
 * Left to itself, libconfig (1.5, at least) ends the process when an included name is a directory,
 * finds no absolute path once it is told where to look for relative ones, and wraps a whole number
 * that does not fit 32 bits without a word. So it gets a text without includes here, with numbers
 * marked as it wants them. Any thread enters; it blocks on files. */
#include "settings/file_text.h"

#include "base/error.h"
#include "settings/table.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    INCLUDE_DEPTH_MAX = 10, /* libconfig's own limit */
    FILE_BYTES_MAX = 16 << 20,
    WHAT_BYTES = 320
};

void lp_file_text_fini(struct lp_file_text *text)
{
    for (size_t i = 0; i < text->file_count; i++) {
        free(text->files[i]);
    }
    free(text->files);
    free(text->lines);
    free(text->text);
}

static int fail_at(const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail_at(const char *file, unsigned line, const char *format, ...)
{
    char what[WHAT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return lp_fail(-EINVAL, "%.180s:%u: %s", file, line, what);
}

/* Room for one more element of the given size; false without memory. */
static bool grow(void **elements, size_t count, size_t *capacity, size_t more, size_t bytes)
{
    if (count + more <= *capacity) {
        return true;
    }
    size_t wanted = 2 * (count + more) + 64;
    void *grown = reallocarray(*elements, wanted, bytes);
    if (!grown) {
        return false;
    }
    *elements = grown;
    *capacity = wanted;
    return true;
}

static void add(struct lp_file_text *source, const char *text, size_t bytes)
{
    void *elements = source->text;
    if (source->no_memory ||
        !grow(&elements, source->text_bytes, &source->text_capacity, bytes + 1, 1)) {
        source->no_memory = true;
        return;
    }
    source->text = elements;
    memcpy(source->text + source->text_bytes, text, bytes);
    source->text_bytes += bytes;
    source->text[source->text_bytes] = '\0';
}

/* From here on the text is the given line of the given file. */
static void add_origin(struct lp_file_text *source, unsigned file, unsigned line)
{
    void *elements = source->lines;
    if (source->no_memory ||
        !grow(&elements, source->line_count, &source->line_capacity, 1, sizeof *source->lines)) {
        source->no_memory = true;
        return;
    }
    source->lines = elements;
    source->lines[source->line_count++] = (struct lp_origin){file, line};
}

static void add_line_break(struct lp_file_text *source, unsigned file, unsigned line)
{
    add(source, "\n", 1);
    add_origin(source, file, line);
}

/* Names a file; the name is kept as it is given. -1 without memory. */
static int add_file(struct lp_file_text *source, const char *path)
{
    char **files = reallocarray(source->files, source->file_count + 1, sizeof *files);
    if (!files) {
        return -1;
    }
    source->files = files;
    files[source->file_count] = strdup(path);
    return files[source->file_count] ? (int)source->file_count++ : -1;
}

/* The whole content of a file, with a zero behind it. 0 or a negative errno value. */
static int read_all(const char *path, char **content, size_t *content_bytes)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return -errno;
    }
    char *text = NULL;
    size_t bytes = 0, capacity = 0;
    int err = 0;
    while (err == 0) {
        void *elements = text;
        if (!grow(&elements, bytes, &capacity, 4096, 1)) {
            err = -ENOMEM;
            break;
        }
        text = elements;
        size_t got = fread(text + bytes, 1, capacity - bytes - 1, file);
        bytes += got;
        text[bytes] = '\0';
        if (ferror(file)) {
            err = errno ? -errno : -EIO;
        } else if (bytes > FILE_BYTES_MAX) {
            err = -EFBIG;
        } else if (got == 0) {
            break;
        }
    }
    fclose(file);
    if (err != 0) {
        free(text);
        return err;
    }
    *content = text;
    *content_bytes = bytes;
    return 0;
}

/* An included name is relative to the file that includes it. NULL without memory. */
static char *include_path(const char *includer, const char *name)
{
    const char *slash = strrchr(includer, '/');
    char *path = NULL;
    if (*name == '/' || !slash) {
        return strdup(name);
    }
    return asprintf(&path, "%.*s/%s", (int)(slash - includer), includer, name) < 0 ? NULL : path;
}

/* One file on its way into the text. */
struct scan {
    struct lp_file_text *source;
    unsigned file, line;
    const char *path;
    const char *at; /* ends with a zero */
    unsigned depth;
};

static int add_content(struct lp_file_text *source, const char *path, const char *content,
                       unsigned depth);

/* Copies up to `to`, counting lines. */
static void copy(struct scan *scan, const char *to)
{
    while (scan->at < to) {
        const char *line_end = memchr(scan->at, '\n', (size_t)(to - scan->at));
        if (!line_end) {
            add(scan->source, scan->at, (size_t)(to - scan->at));
            scan->at = to;
            return;
        }
        add(scan->source, scan->at, (size_t)(line_end - scan->at));
        add_line_break(scan->source, scan->file, ++scan->line);
        scan->at = line_end + 1;
    }
}

/* Takes `@include "name"` at scan->at; *taken says whether it was one. */
static int take_include(struct scan *scan, bool *taken)
{
    static const char word[] = "@include";
    const char *at = scan->at + strlen(word);
    *taken = false;
    if (strncmp(scan->at, word, strlen(word)) != 0 || (*at != ' ' && *at != '\t')) {
        return 0;
    }
    at += strspn(at, " \t");
    if (*at != '"') {
        return 0; /* libconfig will complain */
    }
    char *name = malloc(strlen(at));
    if (!name) {
        return lp_fail_memory();
    }
    size_t bytes = 0;
    for (at++; *at && *at != '"' && *at != '\n'; at++) {
        if (*at == '\\' && at[1] && at[1] != '\n') {
            at++;
        }
        name[bytes++] = *at;
    }
    name[bytes] = '\0';
    int err = 0;
    char *path = NULL, *content = NULL;
    size_t content_bytes;
    if (*at != '"') {
        err = fail_at(scan->path, scan->line, "the name of the included file has no closing \"");
        goto done;
    }
    if (scan->depth == INCLUDE_DEPTH_MAX) {
        err = fail_at(scan->path, scan->line, "files are included more than %d deep",
                      INCLUDE_DEPTH_MAX);
        goto done;
    }
    path = include_path(scan->path, name);
    if (!path) {
        err = lp_fail_memory();
        goto done;
    }
    err = read_all(path, &content, &content_bytes);
    if (err == -ENOMEM) {
        lp_fail_memory();
        goto done;
    }
    if (err != 0) {
        /* Not err itself: a missing include is no missing file, which may be fine. */
        err = fail_at(scan->path, scan->line, "cannot read the included file `%.100s': %s", path,
                      strerrordesc_np(-err));
        goto done;
    }
    if (strlen(content) != content_bytes) {
        err = lp_fail(-EINVAL, "%s: not a text file, it contains a zero byte", path);
        goto done;
    }
    scan->at = at + 1;
    *taken = true;
    add(scan->source, "\n", 1);
    err = add_content(scan->source, path, content, scan->depth + 1);
    add_line_break(scan->source, scan->file, scan->line);
done:
    free(content);
    free(path);
    free(name);
    return err;
}

/* Copies a number. One that needs more than 32 bits gets the L that libconfig wants to see. */
static int take_number(struct scan *scan)
{
    const char *start = scan->at;
    const char *end = start + (*start == '+' || *start == '-');
    const char *digits = end;
    while (isalnum((unsigned char)*end) || *end == '.' ||
           ((*end == '-' || *end == '+') && (end[-1] == 'e' || end[-1] == 'E'))) {
        end++;
    }
    const char *last = end;
    while (last > digits && last[-1] == 'L' && end - last < 2) {
        last--;
    }
    bool hex = digits == start && *digits == '0' && (digits[1] == 'x' || digits[1] == 'X');
    if (hex) {
        digits += 2;
    }
    bool whole = digits < last;
    for (const char *c = digits; c < last; c++) {
        whole = whole && (hex ? isxdigit((unsigned char)*c) : isdigit((unsigned char)*c));
    }
    bool is_long = last < end;
    copy(scan, end);
    if (!whole) {
        return 0; /* a real number, or nonsense for libconfig to refuse */
    }
    errno = 0;
    long long value = strtoll(start, NULL, hex ? 16 : 10);
    if (errno == ERANGE) {
        return fail_at(scan->path, scan->line, "the whole number %.*s needs more than 64 bits",
                       (int)(end - start < 60 ? end - start : 60), start);
    }
    if (!is_long && (value > INT_MAX || value < INT_MIN)) {
        add(scan->source, "L", 1);
    }
    return 0;
}

/* The end of the text in quotes at `at`, or NULL. */
static const char *end_of_string(const char *at)
{
    for (at++; *at; at++) {
        if (*at == '\\' && at[1]) {
            at++;
        } else if (*at == '"') {
            return at + 1;
        }
    }
    return NULL;
}

/* Copies one token that is no blank. */
static int take_token(struct scan *scan)
{
    const char *at = scan->at;
    const char *end = at + 1;
    if (*at == '#' || (*at == '/' && at[1] == '/')) {
        end = at + strcspn(at, "\n");
    } else if (*at == '/' && at[1] == '*') {
        end = strstr(at + 2, "*/");
        if (!end) {
            return fail_at(scan->path, scan->line, "the comment that begins here has no end");
        }
        end += 2;
    } else if (*at == '"') {
        end = end_of_string(at);
        if (!end) {
            return fail_at(scan->path, scan->line, "the text that begins here has no closing \"");
        }
    } else if (isalpha((unsigned char)*at) || *at == '*') {
        while (isalnum((unsigned char)*end) || *end == '-' || *end == '_' || *end == '*') {
            end++; /* digits of a name are no number */
        }
    } else if (isdigit((unsigned char)*at) || *at == '+' || *at == '-' || *at == '.') {
        return take_number(scan);
    }
    copy(scan, end);
    return 0;
}

static int add_content(struct lp_file_text *source, const char *path, const char *content,
                       unsigned depth)
{
    int file = add_file(source, path);
    if (file < 0) {
        return lp_fail_memory();
    }
    struct scan scan = {source, (unsigned)file, 1, path, content, depth};
    add_origin(source, scan.file, scan.line);
    bool line_start = true; /* only there libconfig knows @include */
    while (*scan.at) {
        bool taken = false;
        int err = 0;
        if (*scan.at == '\n') {
            copy(&scan, scan.at + 1);
            line_start = true;
        } else if (*scan.at == ' ' || *scan.at == '\t') {
            copy(&scan, scan.at + 1);
        } else {
            if (line_start && *scan.at == '@') {
                err = take_include(&scan, &taken);
            }
            if (err == 0 && !taken) {
                line_start = false;
                err = take_token(&scan);
            }
        }
        if (err != 0) {
            return err;
        }
    }
    return source->no_memory ? lp_fail_memory() : 0;
}

int lp_file_text_init(struct lp_file_text *text, const char *path)
{
    char *content;
    size_t content_bytes;
    int err = read_all(path, &content, &content_bytes);
    if (err == -ENOMEM) {
        return lp_fail_memory();
    }
    if (err != 0) {
        return lp_fail(err, "cannot read `%.200s': %s", path, strerrordesc_np(-err));
    }
    *text = (struct lp_file_text){0};
    if (strlen(content) != content_bytes) {
        err = lp_fail(-EINVAL, "%.200s: not a text file, it contains a zero byte", path);
    } else {
        err = add_content(text, path, content, 0);
    }
    free(content);
    if (err != 0) {
        lp_file_text_fini(text);
    }
    return err;
}

const char *lp_file_text_origin(const struct lp_file_text *text, unsigned line,
                                unsigned *line_of_file)
{
    size_t index = line < 1 ? 0 : line > text->line_count ? text->line_count - 1 : line - 1;
    *line_of_file = text->lines[index].line;
    return text->files[text->lines[index].file];
}
