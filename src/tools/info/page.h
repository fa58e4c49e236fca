/* SPDX-License-Identifier: MIT */
/* Lines for people: a label and a text beside it, wrapped to the width of the terminal. */
#ifndef LP_TOOLS_INFO_PAGE_H
#define LP_TOOLS_INFO_PAGE_H

#include <stdbool.h>
#include <stdio.h>

struct page {
    FILE *out;
    int width;
    bool coloured;
};

enum page_colour {
    PAGE_PLAIN,
    PAGE_BOLD,
    PAGE_DIM,
    PAGE_ALARM
};

void page_open(struct page *page, FILE *out);
/* Begins to colour what follows, PAGE_PLAIN: ends it; nothing unless coloured. */
void page_colour(const struct page *page, enum page_colour colour);
/* As it is, but without control characters. */
void page_text(const struct page *page, const char *text);
void page_heading(const struct page *page, const char *text);
/* "  label   text", the text wrapped behind `indent` columns; blanks are where it may be. */
void page_line(const struct page *page, int indent, enum page_colour colour, const char *label,
               const char *text);

#endif
