/* SPDX-License-Identifier: MIT */
/* Settings. One table describes every setting (loomp.conf(5)); values come from defaults, a preset,
 * a libconfig file, the environment, code and the command line, and a later one of that list wins,
 * whatever the order of the calls. A config object is used by one thread at a time. */
#ifndef LOOMP_CONFIG_H
#define LOOMP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hwloc_topology;

typedef struct loomp_config loomp_config;

/* A new set of settings, all at their defaults; NULL without memory. The caller owns it and frees
 * it with loomp_config_free (NULL is fine). loomp_start copies what it needs. */
loomp_config *loomp_config_new(void);
void loomp_config_free(loomp_config *config);

/* Reads a libconfig file: its group `loomp`, or the whole file if it has none. Blocks on the file.
 * Returns 0; -ENOENT (except the optional form, where a missing file is fine) or another errno of
 * opening it; -EFBIG beyond 16 MiB; -EINVAL for a syntax error, an unknown key, a wrong type or a
 * value out of range, with file, line and the nearest valid key in loomp_error(). On an error
 * nothing of the file is applied. */
int loomp_config_file(loomp_config *config, const char *path);
int loomp_config_file_optional(loomp_config *config, const char *path);

/* Reads variables like LOOMP_COMPUTE_THREADS for the prefix "LOOMP" (key compute.threads, dots and
 * case folded). Returns 0 or -EINVAL: an unknown variable with that prefix and an underscore is an
 * error too, and then nothing is applied. {prefix}_CONFIG is left to the caller (loomp_start reads
 * LOOMP_CONFIG itself), and {prefix}_TEST_* to tests. */
int loomp_config_env(loomp_config *config, const char *prefix);

/* Sets one key. The text form takes what a file's value or an environment variable would say.
 * Returns 0 or -EINVAL. */
int loomp_config_set(loomp_config *config, const char *key, const char *value);
int loomp_config_set_int(loomp_config *config, const char *key, int64_t value);
int loomp_config_set_bool(loomp_config *config, const char *key, bool value);
int loomp_config_set_double(loomp_config *config, const char *key, double value);

/* Takes options like --loomp-compute-threads=6 out of argv up to "--", leaving the program's own.
 * Returns 0; 1 if --loomp-help was asked for (the caller then prints loomp_config_help and ends);
 * -EINVAL, and then nothing is applied or taken. */
int loomp_config_args(loomp_config *config, int *argc, char **argv);

/* Prints the table of settings: option, type and range, default, one line of help. */
void loomp_config_help(FILE *out);

/* The effective value of a key as text, and where it came from ("default", "preset shared-node",
 * "app.conf:7", "LOOMP_IO_THREADS", "code", "--loomp-io-threads"); NULL for an unknown key. The
 * text belongs to the config and lasts until its next change. */
const char *loomp_config_value(const loomp_config *config, const char *key);
const char *loomp_config_source(const loomp_config *config, const char *key);

/* The i-th key of the table, in the order of the help; NULL past the end. Keys of declared pools,
 * like pools.hdd.threads, are not among them. */
const char *loomp_config_key(size_t index);

/* The name of the i-th declared pool, in the order in which the names were first given, those of
 * weaker sources first; NULL past the end. The name belongs to the config and lasts until its next
 * change. */
const char *loomp_config_pool(const loomp_config *config, size_t index);

/* Gives loomp a loaded topology of the application's instead of loading one. loomp reads it during
 * loomp_start only (it is duplicated); the caller keeps it. */
void loomp_config_topology(loomp_config *config, struct hwloc_topology *topology);

#ifdef __cplusplus
}
#endif
#endif
