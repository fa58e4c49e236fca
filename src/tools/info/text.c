/* SPDX-License-Identifier: MIT */
/* Owns texts that grow and the shortening of lists of places. Pure but for memory. */
#include "tools/info/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *piece;
    int bytes = vasprintf(&piece, format, arguments);
    va_end(arguments);
    if (bytes < 0) {
        return;
    }
    char *longer = realloc(text->at, text->bytes + (size_t)bytes + 1);
    if (longer) {
        memcpy(longer + text->bytes, piece, (size_t)bytes + 1);
        text->at = longer;
        text->bytes += (size_t)bytes;
    }
    free(piece);
}

void text_add_cpus(struct text *text, const lp_cpuset *set)
{
    int bytes = set ? lp_cpuset_format(set, NULL, 0) : 0;
    char *list = malloc((size_t)bytes + 1);
    if (list) {
        list[0] = '\0';
        if (bytes > 0) {
            lp_cpuset_format(set, list, (size_t)bytes + 1);
        }
        text_add(text, "%s", *list ? list : "none");
    }
    free(list);
}

/* The end of a run of CPUs from `cpu` on with that step between them, none of the set between two;
 * *length: how many they are. */
static int end_of_run(const lp_cpuset *set, int cpu, int step, unsigned *length)
{
    *length = 1;
    for (int next = lp_cpuset_next(set, cpu); next == cpu + step; next = lp_cpuset_next(set, cpu)) {
        cpu = next;
        ++*length;
    }
    return cpu;
}

void text_add_cpus_folded(struct text *text, const lp_cpuset *set)
{
    const char *separator = "";
    for (int cpu = lp_cpuset_first(set); cpu >= 0; separator = ", ") {
        int next = lp_cpuset_next(set, cpu);
        unsigned length = 1;
        int last = next >= 0 ? end_of_run(set, cpu, next - cpu, &length) : cpu;
        if (length > 2) {
            text_add(text, "%s%d-%d", separator, cpu, last);
            if (next - cpu > 1) {
                text_add(text, " by %d", next - cpu);
            }
            cpu = lp_cpuset_next(set, last);
        } else {
            text_add(text, "%s%d", separator, cpu);
            cpu = next;
        }
    }
}

void text_fini(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

const char *text_of(const struct text *text)
{
    return text->at ? text->at : "";
}

void text_add_count(struct text *text, unsigned long count, const char *noun)
{
    text_add(text, "%lu %s%s", count, noun, count == 1 ? "" : "s");
}

/* ---- places ---------------------------------------------------------------------------------- */

/* The CPU of a place of one, or -1. */
static int only_cpu(const struct lp_place *place)
{
    return lp_cpuset_count(place->cpus) == 1 ? lp_cpuset_first(place->cpus) : -1;
}

/* How many places from the first on are its equals. */
static unsigned equals(const struct lp_place *places, unsigned count)
{
    unsigned same = 1;
    while (same < count && lp_cpuset_equal(places[same].cpus, places[0].cpus)) {
        same++;
    }
    return same;
}

/* How many places from the first on are CPUs with that step between them. */
static unsigned run(const struct lp_place *places, unsigned count, int step)
{
    unsigned length = 1;
    int cpu = only_cpu(&places[0]);
    while (cpu >= 0 && length < count && only_cpu(&places[length]) == cpu + step) {
        cpu += step;
        length++;
    }
    return length;
}

static unsigned add_some(struct text *text, const struct lp_place *places, unsigned count)
{
    int cpu = only_cpu(&places[0]);
    unsigned same = equals(places, count);
    if (same == 1 && cpu >= 0 && count > 1) {
        int second = only_cpu(&places[1]);
        int step = second - cpu;
        unsigned length = second >= 0 ? run(places, count, step) : 1;
        if (length > 2 && step > 0) {
            text_add(text, "%d-%d", cpu, cpu + (int)(length - 1) * step);
            if (step > 1) {
                text_add(text, " by %d", step);
            }
            return length;
        }
    }
    if (cpu >= 0) {
        text_add(text, "%d", cpu);
    } else {
        text_add(text, "{");
        text_add_cpus(text, places[0].cpus);
        text_add(text, "}");
    }
    if (same > 1) {
        text_add(text, " x %u", same);
    }
    return same;
}

void text_add_places(struct text *text, const struct lp_place *places, unsigned count)
{
    for (unsigned i = 0; i < count;) {
        text_add(text, "%s", i ? ", " : "");
        i += add_some(text, places + i, count - i);
    }
}

/* ---- characters ------------------------------------------------------------------------------ */

size_t text_character(const char *text)
{
    static const struct {
        unsigned char low, high; /* of the first byte */
        unsigned char second_low, second_high;
        size_t bytes;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].low || at[0] > forms[i].high) {
            continue;
        }
        for (size_t k = 1; k < forms[i].bytes; k++) {
            unsigned char low = k == 1 ? forms[i].second_low : 0x80;
            unsigned char high = k == 1 ? forms[i].second_high : 0xbf;
            if (at[k] < low || at[k] > high) {
                return 0;
            }
        }
        return forms[i].bytes;
    }
    return 0;
}
