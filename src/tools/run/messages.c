/* SPDX-License-Identifier: MIT */
/* Owns what loomp-run says on standard error. Of the ranks of an MPI job one speaks; which one this
 * is, is known only after the first warnings, so they are kept until then. */
#include "tools/run/run.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINE_BYTES = 4096
};

static char *kept;
static size_t kept_bytes;
static FILE *keeper; /* while lines are kept */
static bool silent;
static unsigned warnings;

static FILE *destination(void)
{
    return keeper ? keeper : stderr;
}

static void take_log(void *arg, int32_t level, const char *line)
{
    (void)arg;
    if (level > LOOMP_LOG_WARNING) {
        fprintf(destination(), "loomp-run: %s\n", line);
        return;
    }
    warnings++;
    if (!silent) {
        fprintf(destination(), "loomp-run: warning: %s\n", line);
    }
}

void run_messages_begin(void)
{
    keeper = open_memstream(&kept, &kept_bytes);
    loomp_set_log(take_log, NULL);
}

void run_messages_open(bool speaks)
{
    silent = !speaks;
    if (!keeper) {
        return;
    }
    fclose(keeper);
    keeper = NULL;
    if (speaks) {
        fputs(kept, stderr);
    }
    free(kept);
    kept = NULL;
}

void run_warn(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    take_log(NULL, LOOMP_LOG_WARNING, line);
}

void run_note(const char *format, ...)
{
    if (silent) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    fputs("loomp-run: ", destination());
    vfprintf(destination(), format, arguments);
    fputc('\n', destination());
    va_end(arguments);
}

unsigned run_warnings(void)
{
    return warnings;
}

void run_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("loomp-run: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int run_failure(int status, const char *format, ...)
{
    run_messages_open(!silent);
    va_list arguments;
    va_start(arguments, format);
    fputs("loomp-run: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return status;
}
