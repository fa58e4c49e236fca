/* SPDX-License-Identifier: MIT */
/* Owns the family of pinned sites: what a name may be, and which members there are. Pure but for
 * the error sentence; any thread enters. */
#include "settings/family.h"

#include <string.h>

static const struct lp_row rows[LP_SITE_MEMBERS] = {
    [LP_MEMBER_ARM] = {"arm", LP_TYPE_CHOICE, 0, 0, "", "|inline|task|team",
                       "where its calls run; empty: where it is cheapest"},
    [LP_MEMBER_WIDTH] = {"width", LP_TYPE_INT, 0, 4096, "0", NULL,
                         "threads of the arm team; 0: all"},
};

const struct lp_family lp_site_family = {
    .id = LP_FAMILY_SITES,
    .group = "sites",
    .noun = "site",
    .title = "Sites of adaptive jobs, for each NAME that the program gives one:",
    .rows = rows,
    .row_count = LP_SITE_MEMBERS,
    .most = LP_SITES_MAX,
    .check = lp_site_name_check,
};

int lp_site_name_check(const char *name, const char *where)
{
    size_t bytes = strlen(name);
    bool good = bytes > 0 && bytes <= LP_SITE_NAME_MAX;
    for (size_t i = 0; good && i < bytes; i++) {
        unsigned char c = (unsigned char)name[i];
        good = c >= 0x20 && c != 0x7f && !strchr(".=\"'`", c);
    }
    return good ? 0
                : lp_fail_name(&lp_site_family, where, name,
                               "in a setting a name has 1 to 63 printable characters, and neither "
                               "dot, quotes nor =");
}
