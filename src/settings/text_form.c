/* SPDX-License-Identifier: MIT */
/* Owns the form of two texts whose meaning belongs to placement, so that nonsense is refused by the
 * source that gives it and not only when a plan is made. Pure; any thread enters. */
#include "settings/value.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

int lp_places_check(const char *text)
{
    static const char *const words[] = {"cores", "threads", "l3", "numa"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            return 0;
        }
    }
    if (*text != '{' && *text != '!') {
        return lp_fail(-EINVAL,
                       "`%.60s' is neither cores, threads, l3 or numa nor a list of places like "
                       "{0,1},{2,3}",
                       text);
    }
    for (const char *at = text; *at; at++) {
        if (!strchr("{}!,:-+ 0123456789", *at)) {
            return lp_fail(-EINVAL, "list of places `%.60s': it cannot have `%.20s'", text, at);
        }
    }
    return 0;
}

int lp_devices_check(const char *text)
{
    unsigned element = 1;
    bool empty = true;
    if (!*text) {
        return 0;
    }
    for (const char *at = text;; at++) {
        unsigned char c = (unsigned char)*at;
        if ((!c || c == ',') && empty) {
            return lp_fail(-EINVAL, "device list `%.100s': number %u of it is empty", text,
                           element);
        }
        if (!c) {
            return 0;
        }
        if (c < 0x20 || c == 0x7f) {
            return lp_fail(-EINVAL, "device list `%.100s': number %u has a control character", text,
                           element);
        }
        empty = c == ',' || (empty && c == ' ');
        element += c == ',';
    }
}
