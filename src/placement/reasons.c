/* SPDX-License-Identifier: MIT */
/* Owns lists of sentences. A list is used by one thread at a time. */
#include "placement/reasons.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lp_reasons_fini(struct lp_reasons *reasons)
{
    free(reasons->entries);
    *reasons = (struct lp_reasons){0};
}

static bool grow(struct lp_reasons *reasons)
{
    if (reasons->count < reasons->capacity) {
        return true;
    }
    unsigned capacity = reasons->capacity ? 2 * reasons->capacity : 16;
    struct lp_reason *entries = realloc(reasons->entries, capacity * sizeof *entries);
    if (!entries) {
        reasons->incomplete = true;
        return false;
    }
    reasons->entries = entries;
    reasons->capacity = capacity;
    return true;
}

void lp_reasons_add(struct lp_reasons *reasons, const char *key, const char *format, ...)
{
    if (!grow(reasons)) {
        return;
    }
    struct lp_reason *entry = &reasons->entries[reasons->count++];
    snprintf(entry->key, sizeof entry->key, "%s", key);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(entry->text, sizeof entry->text, format, arguments);
    va_end(arguments);
}

const char *lp_reasons_find(const struct lp_reasons *reasons, const char *key)
{
    for (unsigned i = 0; i < reasons->count; i++) {
        if (strcmp(reasons->entries[i].key, key) == 0) {
            return reasons->entries[i].text;
        }
    }
    return NULL;
}
