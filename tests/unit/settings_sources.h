/* SPDX-License-Identifier: MIT */
/* What the tests of settings share: a scratch directory that is also the working directory, and one
 * good and one bad way through each source. A file that includes it includes harness.h before. */
#ifndef LP_TESTS_SETTINGS_SOURCES_H
#define LP_TESTS_SETTINGS_SOURCES_H

#include <loomp/config.h>
#include <loomp/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "LPTEST"

/* ---- files in a scratch directory that is also the working directory ------------------------- */

static char scratch[] = "loomp-settings-XXXXXX";
static char **scratch_files;
static size_t scratch_file_count;

static inline void write_bytes(const char *name, const char *content, size_t bytes)
{
    FILE *file = fopen(name, "w");
    if (!CHECK(file != NULL)) {
        return;
    }
    CHECK(fwrite(content, 1, bytes, file) == bytes);
    fclose(file);
    scratch_files = realloc(scratch_files, (scratch_file_count + 1) * sizeof *scratch_files);
    scratch_files[scratch_file_count++] = strdup(name);
}

static inline void write_file(const char *name, const char *content)
{
    write_bytes(name, content, strlen(content));
}

static inline int enter_scratch(void)
{
    const char *base = getenv("TMPDIR");
    return chdir(base && *base ? base : "/tmp") == 0 && mkdtemp(scratch) && chdir(scratch) == 0 &&
                   mkdir("sub", 0700) == 0
               ? 0
               : 1;
}

static inline void leave_scratch(void)
{
    for (size_t i = 0; i < scratch_file_count; i++) {
        unlink(scratch_files[i]);
        free(scratch_files[i]);
    }
    free(scratch_files);
    rmdir("sub");
    if (chdir("..") == 0) {
        rmdir(scratch);
    }
}

static inline void read_good(loomp_config *config, const char *content)
{
    write_file("app.conf", content);
    if (!CHECK(loomp_config_file(config, "app.conf") == 0)) {
        CHECK_TEXT(loomp_error(), "");
    }
}

/* The content must be refused with this sentence. */
static inline void read_bad(const char *content, const char *sentence)
{
    loomp_config *config = loomp_config_new();
    write_file("app.conf", content);
    CHECK(loomp_config_file(config, "app.conf") == -EINVAL);
    CHECK_TEXT(loomp_error(), sentence);
    for (size_t i = 0; loomp_config_key(i); i++) {
        CHECK_TEXT(loomp_config_source(config, loomp_config_key(i)), "default");
    }
    CHECK(loomp_config_pool(config, 0) == NULL);
    loomp_config_free(config);
}

/* ---- command lines --------------------------------------------------------------------------- */

struct command_line {
    int argc;
    char *argv[16];
};

static inline struct command_line command_line(const char *first, ...)
{
    struct command_line line = {.argc = 0};
    va_list words;
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *)) {
        line.argv[line.argc++] = (char *)(uintptr_t)word; /* moved, never written to */
    }
    va_end(words);
    return line;
}

static inline void args_good(loomp_config *config, const char *option)
{
    struct command_line line = command_line("program", option, NULL);
    if (!CHECK(loomp_config_args(config, &line.argc, line.argv) == 0)) {
        CHECK_TEXT(loomp_error(), "");
    }
    CHECK(line.argc == 1 && line.argv[1] == NULL);
}

static inline void args_bad(const char *option, const char *sentence)
{
    loomp_config *config = loomp_config_new();
    struct command_line line = command_line("program", "--loomp-io-threads=7", option, NULL);
    CHECK(loomp_config_args(config, &line.argc, line.argv) == -EINVAL);
    CHECK_TEXT(loomp_error(), sentence);
    CHECK(line.argc == 3);
    CHECK_TEXT(line.argv[2], option);
    CHECK_TEXT(loomp_config_value(config, "io.threads"), "1");
    CHECK(loomp_config_pool(config, 0) == NULL);
    loomp_config_free(config);
}

/* ---- environment and code -------------------------------------------------------------------- */

static inline void env_bad(const char *name, const char *value, const char *sentence)
{
    loomp_config *config = loomp_config_new();
    setenv(PREFIX "_IO_THREADS", "7", 1);
    setenv(name, value, 1);
    CHECK(loomp_config_env(config, PREFIX) == -EINVAL);
    CHECK_TEXT(loomp_error(), sentence);
    CHECK_TEXT(loomp_config_value(config, "io.threads"), "1");
    CHECK(loomp_config_pool(config, 0) == NULL);
    unsetenv(PREFIX "_IO_THREADS");
    unsetenv(name);
    loomp_config_free(config);
}

static inline void set_good(const char *key, const char *value, const char *shown)
{
    loomp_config *config = loomp_config_new();
    if (!CHECK(loomp_config_set(config, key, value) == 0)) {
        CHECK_TEXT(loomp_error(), "");
    }
    CHECK_TEXT(loomp_config_value(config, key), shown);
    CHECK_TEXT(loomp_config_source(config, key), "code");
    loomp_config_free(config);
}

static inline void set_bad(const char *key, const char *value, const char *sentence)
{
    loomp_config *config = loomp_config_new();
    CHECK(loomp_config_set(config, key, value) == -EINVAL);
    CHECK_TEXT(loomp_error(), sentence);
    CHECK(loomp_config_pool(config, 0) == NULL);
    loomp_config_free(config);
}

static inline int settings_tests_run(int argc, char **argv)
{
    if (enter_scratch() != 0) {
        perror("scratch directory");
        return 1;
    }
    int status = harness_run(argc, argv);
    leave_scratch();
    return status;
}

#endif
