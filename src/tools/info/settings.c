/* SPDX-License-Identifier: MIT */
/* Owns --settings: every setting, its value, and which source had the last word. */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/info/page.h"

#include <errno.h>
#include <string.h>

struct table {
    struct page page;
    const loomp_config *config;
    int key_width;
    int value_width;
    bool printing; /* the first round measures */
};

enum {
    WIDEST_VALUE = 32
};

static int wider(int width, const char *text)
{
    int bytes = (int)strlen(text);
    return bytes > width ? bytes : width;
}

static void row(struct table *table, const char *key, const char *value, const char *source)
{
    value = *value ? value : "-";
    if (!table->printing) {
        table->key_width = wider(table->key_width, key);
        if (strlen(value) <= WIDEST_VALUE) {
            table->value_width = wider(table->value_width, value);
        }
        return;
    }
    bool is_default = strcmp(source, "default") == 0;
    page_colour(&table->page, is_default ? PAGE_DIM : PAGE_BOLD);
    fprintf(table->page.out, "%-*s  %-*s  %s", table->key_width, key, table->value_width, value,
            source);
    page_colour(&table->page, PAGE_PLAIN);
    fputc('\n', table->page.out);
}

static void member_row(struct table *table, const char *group, const char *name, const char *member)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s.%s", group, name, member);
    row(table, key, loomp_config_value(table->config, key),
        loomp_config_source(table->config, key));
}

static void pool_rows(void *arg, const struct lp_settings_pool *pool)
{
    static const char *const members[] = {"threads", "cpus", "gpu", "share", "blocking"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        member_row(arg, "pools", pool->name, members[i]);
    }
}

static void site_rows(void *arg, const struct lp_settings_site *site)
{
    member_row(arg, "sites", site->name, "arm");
    member_row(arg, "sites", site->name, "width");
}

static void rows(struct table *table)
{
    row(table, "setting", "value", "from");
    for (size_t i = 0; loomp_config_key(i); i++) {
        const char *key = loomp_config_key(i);
        row(table, key, loomp_config_value(table->config, key),
            loomp_config_source(table->config, key));
    }
    lp_settings_each_pool(table->config, pool_rows, table);
    lp_settings_each_site(table->config, site_rows, table);
}

int info_print_settings(const loomp_config *config, FILE *out)
{
    struct table table = {.config = config};
    page_open(&table.page, out);
    rows(&table);
    table.printing = true;
    rows(&table);
    return ferror(out) ? lp_fail(-EIO, "cannot write the output: %s", strerror(errno)) : 0;
}
