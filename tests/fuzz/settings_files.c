/* SPDX-License-Identifier: MIT */
/* Fuzz target: settings files. The input is the file; a line `@@ NAME' begins another one, which it
 * may include. None is on a disk: fopen finds the files of the input and nothing else. A file that
 * is refused changes nothing; the values of one that is accepted can be given again, as texts. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "settings/settings.h"

#include <loomp/config.h>

#include <errno.h>
#include <libconfig.h>
#include <sys/resource.h>

enum {
    FILES = 6,
    NAME_BYTES = 16,
    OPENED_MAX = 64,
    KEY = 128
};

static const char directory[] = "/settings/";
static const char main_name[] = "main.conf";

static struct {
    char name[NAME_BYTES];
    struct fuzz_input content;
} files[FILES];
static int file_count;
static int opened;
static bool reading; /* libFuzzer opens files of its own, at other times */

static void take_apart(struct fuzz_input input)
{
    strcpy(files[0].name, main_name);
    files[0].content = (struct fuzz_input){input.at, 0};
    file_count = 1;
    while (input.size > 0) {
        const char *start = input.at;
        struct fuzz_input line = fuzz_line(&input);
        if (line.size > 3 && line.size < NAME_BYTES && memcmp(line.at, "@@ ", 3) == 0 &&
            file_count < FILES) {
            snprintf(files[file_count].name, NAME_BYTES, "%.*s", (int)line.size - 3, line.at + 3);
            files[file_count++].content = (struct fuzz_input){input.at, 0};
        } else {
            files[file_count - 1].content.size += (size_t)(input.at - start);
        }
    }
}

/* ---- what the library would take from outside (linked with -Wl,--wrap) ----------------------- */

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __real_config_read_string(config_t *config, const char *text);
int __wrap_config_read_string(config_t *config, const char *text);

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!reading) {
        return __real_fopen(path, mode);
    }
    size_t bytes = strlen(directory);
    /* Files that include each other twice, ten deep, take long for no other reason. */
    if (strncmp(path, directory, bytes) == 0 && opened++ < OPENED_MAX) {
        for (int i = 0; i < file_count; i++) {
            if (strcmp(path + bytes, files[i].name) == 0) {
                struct fuzz_input content = files[i].content;
                return content.size > 0 ? fmemopen((void *)(uintptr_t)content.at, content.size, "r")
                                        : fmemopen(NULL, 1, "w+");
            }
        }
    }
    errno = ENOENT;
    return NULL;
}

/* libconfig gets a text in which nothing is left to include. It could not open a file here, and
 * would say so. */
int __wrap_config_read_string(config_t *config, const char *text)
{
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int ok = __real_config_read_string(config, text);
    setrlimit(RLIMIT_NOFILE, &before);
    const char *error = ok == CONFIG_TRUE ? NULL : config_error_text(config);
    FUZZ_CHECK(!error || !strstr(error, "include file"), "%s", error);
    return ok;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char *const members[] = {"threads", "cpus", "gpu", "share", "blocking"};

static void check_untouched(const loomp_config *config)
{
    FUZZ_CHECK(!loomp_config_pool(config, 0), "a pool of a file that was refused");
    for (size_t i = 0; loomp_config_key(i); i++) {
        const char *source = loomp_config_source(config, loomp_config_key(i));
        FUZZ_CHECK(strcmp(source, "default") == 0, "%s of a file that was refused",
                   loomp_config_key(i));
    }
}

/* Gives the value of a key to other settings. */
static void give(loomp_config *to, const loomp_config *from, const char *key)
{
    const char *value = loomp_config_value(from, key);
    FUZZ_CHECK(value && loomp_config_source(from, key), "%s has no value", key);
    FUZZ_CHECK(loomp_config_set(to, key, value) == 0, "%s", loomp_error());
}

static void check_equal(const loomp_config *a, const loomp_config *b, const char *key)
{
    const char *first = loomp_config_value(a, key), *second = loomp_config_value(b, key);
    FUZZ_CHECK(strcmp(first, second) == 0, "%s: `%s' becomes `%s'", key, first, second);
}

/* The values of a config, and where they are given again. */
struct twice {
    const loomp_config *config;
    loomp_config *again;
};

static void check_site(void *arg, const struct lp_settings_site *site)
{
    static const char *const site_members[] = {"arm", "width"};
    const struct twice *twice = arg;
    struct lp_settings_site same;
    char key[KEY];
    for (size_t i = 0; i < sizeof site_members / sizeof *site_members; i++) {
        snprintf(key, sizeof key, "sites.%s.%s", site->name, site_members[i]);
        give(twice->again, twice->config, key);
        check_equal(twice->config, twice->again, key);
    }
    FUZZ_CHECK(lp_settings_site(twice->again, site->name, &same) && same.arm == site->arm &&
                   same.width == site->width,
               "the site %s is pinned elsewhere", site->name);
}

static void check_values(const loomp_config *config)
{
    char key[KEY];
    loomp_config *again = fuzz_have(loomp_config_new());
    for (size_t i = 0; loomp_config_key(i); i++) {
        give(again, config, loomp_config_key(i));
    }
    for (size_t i = 0; loomp_config_key(i); i++) {
        check_equal(config, again, loomp_config_key(i));
    }
    const char *name;
    for (size_t i = 0; (name = loomp_config_pool(config, i)); i++) {
        for (size_t k = 0; k < sizeof members / sizeof *members; k++) {
            snprintf(key, sizeof key, "pools.%s.%s", name, members[k]);
            give(again, config, key);
            check_equal(config, again, key);
        }
        FUZZ_CHECK(strcmp(loomp_config_pool(again, i), name) == 0, "pool %s at another place",
                   name);
    }
    struct twice twice = {config, again};
    lp_settings_each_site(config, check_site, &twice);
    loomp_config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[KEY];
    fuzz_log();
    take_apart((struct fuzz_input){(const char *)data, size});
    opened = 0;
    snprintf(path, sizeof path, "%s%s", directory, main_name);
    loomp_config *config = fuzz_have(loomp_config_new());
    reading = true;
    int err = loomp_config_file(config, path);
    reading = false;
    if (err != 0) {
        FUZZ_CHECK_FAILED(err, -EINVAL, 0);
        check_untouched(config);
    } else {
        check_values(config);
    }
    loomp_config_free(config);
    return 0;
}
