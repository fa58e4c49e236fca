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

static void pool_row(struct table *table, const char *pool, const char *key, const char *value)
{
    char name[96];
    snprintf(name, sizeof name, "pools.%s.%s", pool, key);
    const char *source = loomp_config_source(table->config, name);
    if (source) {
        const char *text = loomp_config_value(table->config, name);
        row(table, name, text ? text : value, source);
    }
}

static void pool_rows(void *arg, const struct lp_settings_pool *pool)
{
    struct table *table = arg;
    char threads[16];
    snprintf(threads, sizeof threads, "%u", pool->threads);
    pool_row(table, pool->name, "threads", threads);
    pool_row(table, pool->name, "cpus", pool->cpus);
    pool_row(table, pool->name, "gpu", pool->gpu);
    pool_row(table, pool->name, "share", pool->share ? "true" : "false");
    pool_row(table, pool->name, "blocking", pool->blocking ? "true" : "false");
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
