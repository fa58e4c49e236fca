/* SPDX-License-Identifier: MIT */
/* The text of a settings file with its included files in place, and where each line came from. */
#ifndef LP_SETTINGS_FILE_TEXT_H
#define LP_SETTINGS_FILE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The line of a file that a line of the text came from. */
struct lp_origin {
    unsigned file, line;
};

struct lp_file_text {
    char *text; /* ends with a zero; NULL: empty */
    size_t text_bytes, text_capacity;
    struct lp_origin *lines;
    size_t line_count, line_capacity;
    char **files; /* as they are named in errors */
    size_t file_count;
    bool no_memory; /* once set, what is added is dropped */
};

/* Reads a file and what it includes; an included name is relative to the file that includes it.
 * Blocks on the files. Returns 0 or a negative errno value of opening or reading the file itself,
 * -EFBIG, -EINVAL for an included file that cannot be read or a comment, string or number without
 * sense, -ENOMEM. Fini is due on success only. */
int lp_file_text_init(struct lp_file_text *text, const char *path);
void lp_file_text_fini(struct lp_file_text *text);

/* "app.conf" and 7 for a line of the text, counted from 1. Of a line past the end, the last. */
const char *lp_file_text_origin(const struct lp_file_text *text, unsigned line,
                                unsigned *line_of_file);

#endif
