/* SPDX-License-Identifier: MIT */
/* Reads recorded traces. */
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 1024,
    COLUMNS = 3 /* that are read */
};

static const char *const columns[COLUMNS] = {"at_s", "size", "cost_s"};

/* Which of the line's values are the columns that are read; false if one is missing. */
static bool read_header(char *line, int positions[COLUMNS])
{
    int found = 0, position = 0;
    char *rest = line;
    for (char *name; (name = strsep(&rest, ",")); position++) {
        for (int i = 0; i < COLUMNS; i++) {
            if (strcmp(name, columns[i]) == 0) {
                positions[i] = position;
                found |= 1 << i;
            }
        }
    }
    return found == (1 << COLUMNS) - 1;
}

/* Values that are no finite numbers, or negative, or too few, make the line a wrong one. */
static bool read_row(char *line, const int positions[COLUMNS], struct trace_row *row)
{
    double values[COLUMNS];
    int found = 0, position = 0;
    char *rest = line;
    for (char *text; (text = strsep(&rest, ",")); position++) {
        for (int i = 0; i < COLUMNS; i++) {
            char *end = text;
            if (positions[i] == position) {
                values[i] = strtod(text, &end);
                found |=
                    end != text && *end == 0 && isfinite(values[i]) && values[i] >= 0 ? 1 << i : 0;
            }
        }
    }
    if (found != (1 << COLUMNS) - 1) {
        return false;
    }
    *row = (struct trace_row){values[0], values[2], (uint64_t)fmin(values[1], 1e18)};
    return true;
}

static int append(struct trace_rows *rows, const struct trace_row *row)
{
    if ((rows->count & (rows->count - 1)) == 0) { /* room is a power of two */
        size_t room = rows->count ? 2 * rows->count : 1;
        struct trace_row *larger = realloc(rows->rows, room * sizeof *larger);
        if (!larger) {
            return -ENOMEM;
        }
        rows->rows = larger;
    }
    rows->rows[rows->count++] = *row;
    return 0;
}

static int read_lines(struct trace_rows *rows, FILE *file, const char *path)
{
    char line[LINE_BYTES];
    int positions[COLUMNS], number = 0, err = 0;
    bool header = false;
    while (!err && fgets(line, sizeof line, file)) {
        struct trace_row row;
        number++;
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] == '#' || line[0] == 0) {
            continue;
        }
        if (!header) {
            header = true;
            err = read_header(line, positions) ? 0 : -EINVAL;
        } else {
            err = read_row(line, positions, &row) ? append(rows, &row) : -EINVAL;
        }
    }
    if (!err && rows->count == 0) {
        err = -EINVAL;
    }
    if (err) {
        fprintf(stderr, "%s: line %d is not one of a recorded trace\n", path, number);
    }
    return err;
}

int trace_rows_read(struct trace_rows *rows, const char *path)
{
    *rows = (struct trace_rows){NULL, 0};
    FILE *file = fopen(path, "r");
    if (!file) {
        int err = -errno;
        fprintf(stderr, "%s: %s\n", path, strerror(-err));
        return err;
    }
    int err = read_lines(rows, file, path);
    fclose(file);
    if (err) {
        trace_rows_free(rows);
    }
    return err;
}

void trace_rows_free(struct trace_rows *rows)
{
    free(rows->rows);
    *rows = (struct trace_rows){NULL, 0};
}
