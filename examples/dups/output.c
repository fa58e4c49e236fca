/* SPDX-License-Identifier: MIT */
/* Owns the forms of the result. Entered by main, when all else has ended. */
#include "output.h"

#include <string.h>

/* Between a directory's path and a name in it: nothing after the slash of "/". */
static const char *slash_after(const char *above)
{
    size_t length = strlen(above);

    return length > 0 && above[length - 1] == '/' ? "" : "/";
}

static void write_path(FILE *out, const struct file *file)
{
    fprintf(out, "%s%s%s", file->in->path, slash_after(file->in->path), file->name);
}

void output_lines(FILE *out, const struct groups *groups, char separator)
{
    for (size_t g = 0; g < groups->count; g++) {
        const struct group *group = &groups->groups[g];
        if (g > 0) {
            putc(separator, out);
        }
        for (size_t f = 0; f < group->count; f++) {
            write_path(out, group->files[f]);
            putc(separator, out);
        }
    }
}

/* How many bytes the character at `text` has, 0 if these are no UTF-8. */
static int utf8_length(const unsigned char *text)
{
    unsigned code;
    int length = text[0] < 0x80             ? 1
                 : (text[0] & 0xe0) == 0xc0 ? 2
                 : (text[0] & 0xf0) == 0xe0 ? 3
                 : (text[0] & 0xf8) == 0xf0 ? 4
                                            : 0;

    if (length < 2) {
        return length;
    }
    code = text[0] & (0x7fu >> length);
    for (int k = 1; k < length; k++) {
        if ((text[k] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[k] & 0x3f);
    }
    /* Written longer than need be, a half of a pair, or beyond the last one. */
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    return code < least[length] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? 0
                                                                                        : length;
}

static void write_json_text(FILE *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        int length = utf8_length(p);
        if (length == 0) {
            fprintf(out, "\\udc%02x", *p++);
        } else if (*p < ' ') {
            fprintf(out, "\\u%04x", *p++);
        } else {
            if (*p == '"' || *p == '\\') {
                putc('\\', out);
            }
            fwrite(p, 1, (size_t)length, out);
            p += length;
        }
    }
}

static void write_json_path(FILE *out, const struct file *file)
{
    putc('"', out);
    write_json_text(out, file->in->path);
    fputs(slash_after(file->in->path), out);
    write_json_text(out, file->name);
    putc('"', out);
}

void output_json(FILE *out, const struct groups *groups, bool complete, size_t left_out)
{
    fprintf(out, "{\"complete\":%s,\"left_out\":%zu,\"groups\":[", complete ? "true" : "false",
            left_out);
    for (size_t g = 0; g < groups->count; g++) {
        const struct group *group = &groups->groups[g];
        fprintf(out, "%s\n{\"size\":%lld,\"files\":[", g > 0 ? "," : "",
                (long long)group->files[0]->size);
        for (size_t f = 0; f < group->count; f++) {
            if (f > 0) {
                putc(',', out);
            }
            write_json_path(out, group->files[f]);
        }
        fputs("]}", out);
    }
    fputs("]}\n", out);
}
