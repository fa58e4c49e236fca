/* SPDX-License-Identifier: MIT */
/* Writing of the result. */
#ifndef DUPS_OUTPUT_H
#define DUPS_OUTPUT_H

#include "files.h"

#include <stdio.h>

/* One path per line, groups separated by an empty line; with '\0' as `separator`, each path and
 * each empty one between the groups ends in that. */
void output_lines(FILE *out, const struct groups *groups, char separator);

/* An object: "complete" and "left_out" as given, "groups" with "size" and "files". Bytes of names
 * that are no UTF-8 become \udc80 to \udcff. */
void output_json(FILE *out, const struct groups *groups, bool complete, size_t left_out);

#endif
