/* SPDX-License-Identifier: MIT */
/* Owns the printed form of what loomp-run does: a command of env(1) and taskset(1). */
#include "tools/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "_-+=:,./@%";

/* As one word for a shell. */
static void print_word(const char *text)
{
    if (*text && text[strspn(text, plain)] == 0) {
        fputs(text, stdout);
        return;
    }
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*text);
        }
    }
    putchar('\'');
}

/* The user's that the plan has no value for, so that a script without them does the same. */
static void print_others(const struct run_variables *variables, char *const *given)
{
    static const char *const prefixes[] = {"OMP_", "KMP_", "GOMP_", "LIBOMP_"};
    for (char *const *at = given; *at; at++) {
        bool is_ours = false, is_known = false;
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
            is_ours = is_ours || strncmp(*at, prefixes[i], strlen(prefixes[i])) == 0;
        }
        for (int i = 0; is_ours && i < RUN_VARIABLES; i++) {
            const struct run_variable *entry = &variables->entries[i];
            size_t bytes = strlen(entry->name);
            is_known = is_known || (entry->text && strncmp(*at, entry->text, bytes + 1) == 0);
        }
        size_t name = strcspn(*at, "=");
        if (is_ours && !is_known && (*at)[name]) {
            printf(" %.*s=", (int)name, *at);
            print_word(*at + name + 1);
        }
    }
}

void run_print(const struct run_variables *variables, char *const *given, const lp_cpuset *mask,
               char *const *program)
{
    fputs("env", stdout);
    for (int i = 0; i < RUN_VARIABLES; i++) {
        const struct run_variable *entry = &variables->entries[i];
        if (entry->text) {
            printf(" %s=", entry->name);
            print_word(entry->users ? entry->users : entry->value);
        }
    }
    print_others(variables, given);
    fputs(" taskset -c ", stdout);
    for (int cpu = lp_cpuset_first(mask), first = cpu; cpu >= 0; cpu = lp_cpuset_next(mask, cpu)) {
        int last = cpu;
        while (lp_cpuset_has(mask, (unsigned)last + 1)) {
            last++;
        }
        printf(last > cpu ? "%s%d-%d" : "%s%d", cpu == first ? "" : ",", cpu, last);
        cpu = last;
    }
    for (; *program; program++) {
        putchar(' ');
        print_word(*program);
    }
    putchar('\n');
}
