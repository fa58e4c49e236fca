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

void run_print(const struct run_variables *variables, const lp_cpuset *mask, char *const *program)
{
    fputs("env", stdout);
    for (int i = 0; i < RUN_VARIABLES; i++) {
        const struct run_variable *entry = &variables->entries[i];
        if (entry->text && !entry->users) {
            printf(" %s=", entry->name);
            print_word(entry->value);
        }
    }
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
