/* SPDX-License-Identifier: MIT */
/* Owns the source "command line" and the help that describes it. Options are told from the
 * program's own by their first letters alone, so a value always follows after `=': loomp cannot
 * know whether the next word belongs to it. */
#include "settings/settings.h"

#include "base/error.h"
#include "settings/batch.h"

#include <errno.h>
#include <string.h>

static const char yes[] = "--loomp-";
static const char no[] = "--no-loomp-";

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_ours(const char *argument)
{
    return begins(argument, yes) || begins(argument, no);
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--loomp-help") == 0;
}

static int fail_unknown(const char *option, const char *name, const char *start)
{
    char candidate[LP_NAME_BYTES], suggestion[2 * LP_NAME_BYTES];
    struct lp_nearest nearest = {.wanted = name, .index = -1};
    if (lp_family_key_meant(name, '-', candidate)) {
        lp_nearest_offer(&nearest, candidate, 0, 0);
    } else {
        for (int row = 0; row < LP_KEY_COUNT; row++) {
            if (start == yes || lp_rows[row].type == LP_TYPE_BOOL) {
                lp_row_option(row, candidate);
                lp_nearest_offer(&nearest, candidate, 0, row);
            }
        }
        if (start == yes) {
            lp_nearest_offer(&nearest, "help", 0, LP_KEY_COUNT);
        }
        strcpy(candidate, "help");
        if (nearest.index < LP_KEY_COUNT) {
            lp_row_option(nearest.index, candidate);
        }
    }
    snprintf(suggestion, sizeof suggestion, "%s%s", start, candidate);
    return lp_fail_unknown(NULL, "option", option, "", &nearest, suggestion);
}

/* What an option sets: a row of the table, or a member of a family. */
struct target {
    const struct lp_row *row;
    const char *key;
    int index;                  /* of the row, or of the member */
    struct lp_family_key parts; /* family: NULL for a row of the table */
    char member_key[LP_NAME_BYTES];
};

/* shown ends with name, the option's part behind start. */
static int find(struct target *target, const char *shown, const char *name, const char *start)
{
    char candidate[LP_NAME_BYTES];
    target->parts.family = NULL;
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        lp_row_option(row, candidate);
        if (strcmp(candidate, name) == 0) {
            target->row = &lp_rows[row];
            target->key = lp_rows[row].key;
            target->index = row;
            return 0;
        }
    }
    if (!lp_family_key_split(name, '-', &target->parts)) {
        return fail_unknown(shown, name, start);
    }
    const struct lp_family *family = target->parts.family;
    target->index = lp_member_find(family, target->parts.member);
    if (target->index < 0) {
        return lp_fail_member(family, NULL, "option", shown, name, '-');
    }
    int err = family->check(target->parts.name, shown);
    if (err == 0) {
        target->row = &family->rows[target->index];
        target->key = target->member_key;
        lp_family_key_print(family, target->parts.name, target->index, target->member_key);
    }
    return err;
}

static int take(struct lp_batch *batch, const char *argument)
{
    const char *start = begins(argument, yes) ? yes : no;
    const char *name = argument + strlen(start);
    char option[2 * LP_NAME_BYTES];
    size_t name_bytes = strcspn(name, "=");
    const char *value = name[name_bytes] ? name + name_bytes + 1 : NULL;
    snprintf(option, sizeof option, "%.*s", (int)(name - argument) + (int)name_bytes, argument);
    name = option + strlen(start);

    struct target target;
    int err = find(&target, option, name, start);
    if (err != 0) {
        return err;
    }
    bool is_bool = target.row->type == LP_TYPE_BOOL;
    if (start == no && !is_bool) {
        return lp_fail(-EINVAL,
                       "%s: %s is not true or false, "
                       "so it has no such option; `%s%s=' sets it",
                       option, target.key, yes, name);
    }
    if (start == no && value) {
        return lp_fail(-EINVAL, "%s takes no value; `%s%s=' does", option, yes, name);
    }
    if (!value && !is_bool) {
        char takes[LP_NAME_BYTES];
        lp_row_takes(target.row, takes);
        return lp_fail(-EINVAL, "%s needs a value after `=': %s", option, takes);
    }
    struct lp_given given = {.kind = LP_GIVEN_TEXT, .text = value};
    if (!value) {
        given = (struct lp_given){.kind = LP_GIVEN_BOOL, .number = start == yes};
    }
    return target.parts.family ? lp_batch_put_member(batch, target.parts.family, target.parts.name,
                                                     target.index, &given, option, option)
                               : lp_batch_put(batch, target.index, &given, option, option);
}

/* Where loomp's part of argv ends: at "--" or at the end. */
static int end_of(int argc, char **argv)
{
    int end = 1;
    while (end < argc && strcmp(argv[end], "--") != 0) {
        end++;
    }
    return end;
}

int loomp_config_args(loomp_config *config, int *argc, char **argv)
{
    struct lp_batch batch;
    lp_batch_init(&batch, LP_LAYER_ARGUMENTS);
    int end = end_of(*argc, argv);
    bool help = false;
    for (int i = 1; i < end; i++) {
        if (is_help(argv[i])) {
            help = true;
        } else if (is_ours(argv[i])) {
            int err = take(&batch, argv[i]);
            if (err != 0) {
                lp_batch_discard(&batch);
                return err;
            }
        }
    }
    int err = lp_batch_commit(&batch, config);
    if (err != 0) {
        return err;
    }
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (i >= end || !is_ours(argv[i])) {
            argv[kept++] = argv[i];
        }
    }
    if (kept < *argc) {
        argv[kept] = NULL;
        *argc = kept;
    }
    return help ? 1 : 0;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void help_option(const struct lp_row *row, const char *name, char out[2 * LP_NAME_BYTES])
{
    static const char *const values[] = {
        [LP_TYPE_TEXT] = "=TEXT",     [LP_TYPE_CPU_LIST] = "=CPUS",
        [LP_TYPE_PLACES] = "=PLACES", [LP_TYPE_DEVICES] = "=DEVICES",
        [LP_TYPE_PRESET] = "=NAME",   [LP_TYPE_CHOICE] = "=WORD",
        [LP_TYPE_BOOL] = "",          [LP_TYPE_INT] = "=N",
        [LP_TYPE_SIZE] = "=SIZE",     [LP_TYPE_DOUBLE] = "=X",
    };
    snprintf(out, 2 * LP_NAME_BYTES, "--%sloomp-%s%s", row->type == LP_TYPE_BOOL ? "[no-]" : "",
             name, values[row->type]);
}

static void help_row(int row, char out[2 * LP_NAME_BYTES])
{
    char name[LP_NAME_BYTES];
    lp_row_option(row, name);
    help_option(&lp_rows[row], name, out);
}

static void help_member(const struct lp_family *family, int member, char out[2 * LP_NAME_BYTES])
{
    char name[LP_NAME_BYTES];
    snprintf(name, sizeof name, "%s-NAME-%s", family->group, family->rows[member].key);
    help_option(&family->rows[member], name, out);
}

static int wider(int width, const char *text)
{
    int bytes = (int)strlen(text);
    return bytes > width ? bytes : width;
}

/* Their names are free, so they are not rows of the table. */
static void help_family(FILE *out, const struct lp_family *family)
{
    char option[2 * LP_NAME_BYTES], range[LP_NAME_BYTES];
    int option_width = 0, range_width = 0;
    for (int member = 0; member < family->row_count; member++) {
        help_member(family, member, option);
        lp_row_range(&family->rows[member], range);
        option_width = wider(option_width, option);
        range_width = wider(range_width, range);
    }
    fprintf(out, "\n%s\n", family->title);
    for (int member = 0; member < family->row_count; member++) {
        help_member(family, member, option);
        lp_row_range(&family->rows[member], range);
        fprintf(out, "  %-*s  %-*s  %s\n", option_width, option, range_width, range,
                family->rows[member].help);
    }
}

void loomp_config_help(FILE *out)
{
    static const char *const title[] = {"option", "takes", "default", "meaning"};
    char option[2 * LP_NAME_BYTES], range[LP_NAME_BYTES];
    int option_width = wider(0, title[0]);
    int range_width = wider(0, title[1]);
    int default_width = wider(0, title[2]);
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        help_row(row, option);
        lp_row_range(&lp_rows[row], range);
        option_width = wider(option_width, option);
        range_width = wider(range_width, range);
        default_width = wider(default_width, lp_rows[row].initial);
    }
    fprintf(out, "%-*s  %-*s  %-*s  %s\n", option_width, title[0], range_width, title[1],
            default_width, title[2], title[3]);
    for (int row = 0; row < LP_KEY_COUNT; row++) {
        const char *initial = lp_rows[row].initial;
        help_row(row, option);
        lp_row_range(&lp_rows[row], range);
        fprintf(out, "%-*s  %-*s  %-*s  %s\n", option_width, option, range_width, range,
                default_width, *initial ? initial : "-", lp_rows[row].help);
    }
    fprintf(out, "%-*s  %-*s  %-*s  %s\n", option_width, "--loomp-help", range_width, "",
            default_width, "", "this table");

    for (int i = 0; i < LP_FAMILY_COUNT; i++) {
        help_family(out, lp_families[i]);
    }
    fprintf(out, "\nCPUS: a list like 0-5,8. SIZE: bytes, or with K, M, G (KiB, MiB, GiB), powers "
                 "of 1024.\nPLACES: cores, threads, l3, numa or a list like {0,1},{2,3}. DEVICES: "
                 "like 0,amd:1 or eth0.\nPresets:\n");
    for (const struct lp_preset *preset = lp_presets; preset->name; preset++) {
        fprintf(out, "  %s (", preset->name);
        for (int i = 0; i < LP_KEY_COUNT && preset->rows[i].value; i++) {
            fprintf(out, "%s%s = %s", i ? ", " : "", lp_rows[preset->rows[i].key].key,
                    preset->rows[i].value);
        }
        fputs(")\n", out);
    }
    fprintf(out, "The same settings are read from a file (io: { threads = 2; };), from variables\n"
                 "(LOOMP_IO_THREADS=2) and from code. The strongest wins: command line, code,\n"
                 "environment, file, preset, default.\n");
}
