/* SPDX-License-Identifier: MIT */
/* Owns width, colours and wrapping of what is printed for people. */
#include "tools/info/page.h"

#include "settings/settings.h"
#include "tools/info/text.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    WIDEST = 100,
    NARROWEST = 40
};

void page_open(struct page *page, FILE *out)
{
    struct winsize size;
    int descriptor = fileno(out);
    *page = (struct page){.out = out, .width = WIDEST};
    if (!isatty(descriptor)) {
        return;
    }
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        page->width = size.ws_col > WIDEST      ? WIDEST
                      : size.ws_col < NARROWEST ? NARROWEST
                                                : size.ws_col;
    }
    const char *refused = lp_settings_environment("NO_COLOR");
    const char *terminal = lp_settings_environment("TERM");
    page->coloured = !(refused && *refused) && terminal && strcmp(terminal, "dumb") != 0;
}

void page_colour(const struct page *page, enum page_colour colour)
{
    static const char *const codes[] = {
        [PAGE_PLAIN] = "\033[0m",
        [PAGE_BOLD] = "\033[1m",
        [PAGE_DIM] = "\033[2m",
        [PAGE_ALARM] = "\033[1;31m",
    };
    if (page->coloured) {
        fputs(codes[colour], page->out);
    }
}

/* Columns of a text: characters, since nothing here is wider than one column. */
static int columns(const char *text, size_t bytes)
{
    int count = 0;
    for (size_t i = 0; i < bytes; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

/* Device names and paths come from elsewhere: no control characters reach the terminal. */
static void put(FILE *out, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

void page_text(const struct page *page, const char *text)
{
    put(page->out, text, strlen(text));
}

void page_heading(const struct page *page, const char *text)
{
    int column = 0;
    page_colour(page, PAGE_BOLD);
    while (*text) {
        size_t bytes = strcspn(text, " ");
        int wide = columns(text, bytes);
        if (column > 0 && column + 1 + wide > page->width) {
            fputs("\n  ", page->out);
            column = 2;
        } else if (column > 0) {
            fputc(' ', page->out);
            column++;
        }
        put(page->out, text, bytes);
        column += wide;
        text += bytes + strspn(text + bytes, " ");
    }
    page_colour(page, PAGE_PLAIN);
    fputc('\n', page->out);
}

void page_line(const struct page *page, int indent, enum page_colour colour, const char *label,
               const char *text)
{
    page_colour(page, colour);
    int column = 2 + columns(label, strlen(label));
    fputs("  ", page->out);
    put(page->out, label, strlen(label));
    if (colour != PAGE_ALARM) {
        page_colour(page, PAGE_PLAIN);
    }
    bool first = true;
    while (*text) {
        size_t bytes = strcspn(text, " ");
        int wide = columns(text, bytes);
        if (first || column + 1 + wide > page->width) {
            if (!first || column >= indent) {
                fputc('\n', page->out);
                column = 0;
            }
            fprintf(page->out, "%*s", indent - column, "");
            column = indent;
        } else {
            fputc(' ', page->out);
            column++;
        }
        put(page->out, text, bytes);
        column += wide;
        first = false;
        text += bytes;
        text += strspn(text, " ");
    }
    if (colour == PAGE_ALARM) {
        page_colour(page, PAGE_PLAIN);
    }
    fputc('\n', page->out);
}
