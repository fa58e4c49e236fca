/* SPDX-License-Identifier: MIT */
/* Owns the form of profiles: lists of members with their ranges, by which they are written and
 * read. A file is checked as a whole before anything of it is handed out, and one that was written
 * before it takes the place of the old one. Any thread enters; it blocks on files. */
#include "settings/profile_file.h"

#include "base/error.h"
#include "base/log.h"
#include "settings/file_tree.h"
#include "settings/table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_BYTES = 64,
    MACHINE_BYTES = 256,
    VERSION_BYTES = 64,
    NUMBER_BYTES = 40,
    TEMPORARY_NAMES = 100
};

/* ---- members --------------------------------------------------------------------------------- */

/* The libconfig value of a member is what its row takes; this is what becomes of it in a struct. */
enum kind {
    TEXT,  /* an array of characters, row.max and a zero */
    COUNT, /* uint32_t */
    LONG_COUNT,
    REAL,
    WIDTH, /* uint32_t, a power of two */
    CLASS, /* uint32_t k of the size 4^k */
    ARM,   /* uint32_t, the index of the word and 1 */
    LIST   /* a pointer to the setting; it may be missing, and has no row but the key */
};

struct member {
    enum kind kind;
    size_t offset;
    struct lp_row row;
};

#define AT(type, member) offsetof(struct type, member)
#define REAL_MEMBER(key, least, most)                                                              \
    {                                                                                              \
        REAL, AT(lp_profile_model, key),                                                           \
        {                                                                                          \
#key, LP_TYPE_DOUBLE, least, most, NULL, NULL, NULL                                    \
        }                                                                                          \
    }
#define INT_ROW(key, least, most)                                                                  \
    {                                                                                              \
        key, LP_TYPE_INT, least, most, NULL, NULL, NULL                                            \
    }
#define TEXT_ROW(key, bytes)                                                                       \
    {                                                                                              \
        key, LP_TYPE_TEXT, 1, (bytes)-1, NULL, NULL, NULL                                          \
    }

/* Sizes need 64 bits at most, and costs last from a ns to days: that bounds their logarithms, and
 * the ratios of costs. Sums grow with the weight. */
#define MOST_LN 64.0
#define MOST_RATIO 1e30
#define MOST_WEIGHT 1e18
#define MOST_SUM (MOST_WEIGHT * MOST_LN * MOST_LN)
#define MOST_SEEN 9e18
#define MOST_VOTES 4e9
#define MOST_SIZE 4611686018427387904.0 /* 4^31, where the last class begins */

/* In the order of LOOMP_INLINE, LOOMP_TASK and LOOMP_TEAM, from 1. */
static const char *const arms[] = {"inline", "task", "team"};

enum {
    ARM_COUNT = sizeof arms / sizeof *arms
};

static const struct member model_members[] = {
    {WIDTH, AT(lp_profile_model, width), INT_ROW("width", 1, LP_PROFILE_WIDTH_MAX)},
    {LONG_COUNT, AT(lp_profile_model, seen), INT_ROW("seen", 1, MOST_SEEN)},
    REAL_MEMBER(n, 1e-6, MOST_WEIGHT),
    REAL_MEMBER(mean_x, -1, MOST_LN),
    REAL_MEMBER(mean_y, -MOST_LN, MOST_LN),
    REAL_MEMBER(cxx, 0, MOST_SUM),
    REAL_MEMBER(cxy, -MOST_SUM, MOST_SUM),
    REAL_MEMBER(cyy, 0, MOST_SUM),
    REAL_MEMBER(ratio_n, 0, MOST_WEIGHT),
    REAL_MEMBER(ratio, 0, MOST_RATIO),
    REAL_MEMBER(ratio2, 0, MOST_RATIO),
    REAL_MEMBER(ln_p95, -MOST_LN, MOST_LN),
};

static const struct member habit_members[] = {
    {CLASS, AT(lp_profile_habit, size_class), INT_ROW("size_from", 1, MOST_SIZE)},
    {ARM,
     AT(lp_profile_habit, arm),
     {"arm", LP_TYPE_CHOICE, 0, 0, NULL, "inline|task|team", NULL}}, /* as arms */
    {COUNT, AT(lp_profile_habit, width), INT_ROW("width", 1, 65535)},
    {COUNT, AT(lp_profile_habit, votes), INT_ROW("votes", 1, MOST_VOTES)},
};

/* A site and the file as they are read. */
struct site_in_file {
    char name[NAME_BYTES];
    const config_setting_t *models, *habits;
};

struct file_head {
    char version[VERSION_BYTES], machine[MACHINE_BYTES];
    const config_setting_t *sites;
};

static const struct member site_members[] = {
    {TEXT, AT(site_in_file, name), TEXT_ROW("name", NAME_BYTES)},
    {LIST, AT(site_in_file, models), {.key = "models"}},
    {LIST, AT(site_in_file, habits), {.key = "habits"}},
};

static const struct member file_members[] = {
    {TEXT, AT(file_head, version), TEXT_ROW("version", VERSION_BYTES)},
    {TEXT, AT(file_head, machine), TEXT_ROW("machine", MACHINE_BYTES)},
    {LIST, AT(file_head, sites), {.key = "sites"}},
};

/* A kind of group: what it is in sentences, and its members. */
struct group {
    const char *what;
    const struct member *members;
    int count;
};

#define GROUP(what, members)                                                                       \
    {                                                                                              \
        what, members, sizeof members / sizeof *members                                            \
    }
static const struct group model_group = GROUP("models", model_members);
static const struct group habit_group = GROUP("habits", habit_members);
static const struct group site_group = GROUP("sites", site_members);
static const struct group file_group = GROUP("", file_members);

/* ---- reading --------------------------------------------------------------------------------- */

/* As "app.profile:7: models.width". */
static int fail_member(const struct lp_file_tree *tree, const config_setting_t *setting,
                       const struct group *group, const char *key, const char *what)
{
    char where[LP_WHERE_BYTES];
    lp_file_tree_where(tree, setting, where);
    return lp_fail(-EINVAL, "%s: %s%s%s %s", where, group->what, *group->what ? "." : "", key,
                   what);
}

static int fail_unknown(const struct lp_file_tree *tree, const config_setting_t *setting,
                        const struct group *group)
{
    char where[LP_WHERE_BYTES], in[LP_NAME_BYTES] = "";
    const char *name = config_setting_name(setting);
    struct lp_nearest nearest = {.wanted = name, .index = -1};
    for (int i = 0; i < group->count; i++) {
        lp_nearest_offer(&nearest, group->members[i].row.key, 0, i);
    }
    if (*group->what) {
        snprintf(in, sizeof in, " in `%s'", group->what);
    }
    lp_file_tree_where(tree, setting, where);
    return lp_fail_unknown(where, "key", name, in, &nearest, group->members[nearest.index].row.key);
}

static int check_list(const struct lp_file_tree *tree, const config_setting_t *list,
                      const struct group *group, const char *key)
{
    bool good = config_setting_type(list) == CONFIG_TYPE_LIST;
    for (int i = 0; good && i < config_setting_length(list); i++) {
        good = config_setting_type(config_setting_get_elem(list, (unsigned)i)) == CONFIG_TYPE_GROUP;
    }
    return good ? 0
                : fail_member(tree, list, group, key,
                              "is a list of groups, written ( { ... }, { ... } );");
}

static uint32_t ln2_of(int64_t power)
{
    return 63 - (uint32_t)__builtin_clzll((uint64_t)power);
}

static int store(const struct lp_file_tree *tree, const config_setting_t *setting,
                 const struct group *group, const struct member *member,
                 const struct lp_value *value, void *out)
{
    int64_t number = value->number;
    bool is_power = number > 0 && (number & (number - 1)) == 0;
    switch (member->kind) {
    case TEXT:
        strcpy(out, value->text);
        return 0;
    case LONG_COUNT:
        *(uint64_t *)out = (uint64_t)number;
        return 0;
    case REAL:
        *(double *)out = value->real;
        return 0;
    case WIDTH:
        *(uint32_t *)out = (uint32_t)number;
        return is_power
                   ? 0
                   : fail_member(tree, setting, group, member->row.key, "has to be a power of two");
    case CLASS:
        *(uint32_t *)out = is_power ? ln2_of(number) / 2 : 0;
        return is_power && ln2_of(number) % 2 == 0
                   ? 0
                   : fail_member(tree, setting, group, member->row.key,
                                 "has to be a power of four");
    default:
        *(uint32_t *)out = (uint32_t)number + (member->kind == ARM);
        return 0;
    }
}

static int read_member(const struct lp_file_tree *tree, const config_setting_t *setting,
                       const struct group *group, const struct member *member, void *out)
{
    if (member->kind == LIST) {
        *(const config_setting_t **)out = setting;
        return check_list(tree, setting, group, member->row.key);
    }
    char where[LP_WHERE_BYTES], key[LP_NAME_BYTES];
    struct lp_given given = lp_file_tree_given(setting);
    struct lp_value value;
    lp_file_tree_where(tree, setting, where);
    snprintf(key, sizeof key, "%s%s%s", group->what, *group->what ? "." : "", member->row.key);
    int err = lp_value_read(&member->row, key, &given, where, where, &value);
    if (err == 0) {
        err = store(tree, setting, group, member, &value, out);
        lp_value_clear(&value);
    }
    return err;
}

/* Reads the members of a group into a struct. */
static int read_group(const struct lp_file_tree *tree, const config_setting_t *setting,
                      const struct group *group, void *out)
{
    int err = 0;
    int known = 0;
    for (int i = 0; err == 0 && i < group->count; i++) {
        const struct member *member = &group->members[i];
        const config_setting_t *given = config_setting_get_member(setting, member->row.key);
        if (given) {
            err = read_member(tree, given, group, member, (char *)out + member->offset);
            known++;
        } else if (member->kind != LIST) {
            err = fail_member(tree, setting, group, member->row.key, "is missing");
        }
    }
    for (int i = 0; err == 0 && known < config_setting_length(setting); i++) {
        const config_setting_t *given = config_setting_get_elem(setting, (unsigned)i);
        bool is_known = false;
        for (int k = 0; k < group->count; k++) {
            is_known |= strcmp(config_setting_name(given), group->members[k].row.key) == 0;
        }
        if (!is_known) {
            err = fail_unknown(tree, given, group);
        }
    }
    return err;
}

static int length_of(const config_setting_t *list)
{
    return list ? config_setting_length(list) : 0;
}

/* No data have them: the square of a covariance is at most the product of the variances. The margin
 * is for the rounding of a million updates. */
static bool is_impossible(const struct lp_profile_model *model)
{
    return fabs(model->cxy) > 1.001 * sqrt(model->cxx) * sqrt(model->cyy) + 1e-6;
}

static int read_models(const struct lp_file_tree *tree, const config_setting_t *list,
                       struct lp_profile_model models[LP_PROFILE_MODELS], unsigned *count)
{
    *count = 0;
    for (int i = 0; i < length_of(list); i++) {
        const config_setting_t *setting = config_setting_get_elem(list, (unsigned)i);
        struct lp_profile_model model;
        int err = read_group(tree, setting, &model_group, &model);
        if (err != 0) {
            return err;
        }
        if (is_impossible(&model)) {
            return fail_member(tree, config_setting_get_member(setting, "cxy"), &model_group, "cxy",
                               "is more than cxx and cyy allow");
        }
        for (unsigned k = 0; k < *count; k++) {
            if (models[k].width == model.width) {
                return fail_member(tree, config_setting_get_member(setting, "width"), &model_group,
                                   "width", "is that of another model of the site");
            }
        }
        models[(*count)++] = model; /* there are no more widths than elements */
    }
    return 0;
}

static int read_habits(const struct lp_file_tree *tree, const config_setting_t *list,
                       struct lp_profile_habit habits[LP_PROFILE_CLASSES], unsigned *count)
{
    *count = 0;
    for (int i = 0; i < length_of(list); i++) {
        const config_setting_t *setting = config_setting_get_elem(list, (unsigned)i);
        struct lp_profile_habit habit;
        int err = read_group(tree, setting, &habit_group, &habit);
        if (err != 0) {
            return err;
        }
        for (unsigned k = 0; k < *count; k++) {
            if (habits[k].size_class == habit.size_class) {
                return fail_member(tree, config_setting_get_member(setting, "size_from"),
                                   &habit_group, "size_from",
                                   "is that of another habit of the site");
            }
        }
        habits[(*count)++] = habit; /* as for models */
    }
    return 0;
}

typedef void site_fn(void *arg, const struct lp_profile_site *site);

/* Reads one site and hands it out; fn may be NULL. */
static int read_site(const struct lp_file_tree *tree, const config_setting_t *setting, site_fn *fn,
                     void *arg)
{
    struct site_in_file in_file = {.models = NULL};
    struct lp_profile_model models[LP_PROFILE_MODELS];
    struct lp_profile_habit habits[LP_PROFILE_CLASSES];
    struct lp_profile_site site = {.name = in_file.name, .models = models, .habits = habits};
    int err = read_group(tree, setting, &site_group, &in_file);
    err = err ? err : read_models(tree, in_file.models, models, &site.model_count);
    err = err ? err : read_habits(tree, in_file.habits, habits, &site.habit_count);
    if (err == 0 && fn) {
        fn(arg, &site);
    }
    return err;
}

static int read_sites(const struct lp_file_tree *tree, const config_setting_t *list, site_fn *fn,
                      void *arg)
{
    int err = 0;
    for (int i = 0; err == 0 && i < length_of(list); i++) {
        err = read_site(tree, config_setting_get_elem(list, (unsigned)i), fn, arg);
    }
    return err;
}

static const char *name_of(const config_setting_t *site)
{
    return config_setting_get_string(config_setting_get_member(site, "name"));
}

static int compare_names(const void *a, const void *b)
{
    const config_setting_t *const *first = a, *const *second = b;
    return strcmp(name_of(*first), name_of(*second));
}

/* Of sites that were read before, so that all have names. */
static int check_names(const struct lp_file_tree *tree, const config_setting_t *list)
{
    size_t count = (size_t)length_of(list);
    const config_setting_t **sites = reallocarray(NULL, count + 1, sizeof *sites);
    if (!sites) {
        return lp_fail_memory();
    }
    for (size_t i = 0; i < count; i++) {
        sites[i] = config_setting_get_elem(list, (unsigned)i);
    }
    qsort(sites, count, sizeof *sites, compare_names);
    int err = 0;
    for (size_t i = 1; err == 0 && i < count; i++) {
        if (strcmp(name_of(sites[i - 1]), name_of(sites[i])) == 0) {
            unsigned first = config_setting_source_line(sites[i - 1]);
            unsigned second = config_setting_source_line(sites[i]);
            const config_setting_t *later = first > second ? sites[i - 1] : sites[i];
            err = fail_member(tree, config_setting_get_member(later, "name"), &site_group, "name",
                              "is that of another site");
        }
    }
    free(sites);
    return err;
}

/* 1: it is not for us. The other members of such a file may have another form. */
static int check_origin(const struct lp_file_tree *tree, const char *path, const char *machine,
                        const char *version)
{
    const struct group texts = {"", file_members, 2}; /* version and machine */
    const config_setting_t *root = config_root_setting(&tree->parsed);
    struct file_head head;
    for (int i = 0; i < texts.count; i++) {
        const struct member *member = &texts.members[i];
        const config_setting_t *given = config_setting_get_member(root, member->row.key);
        int err = given ? read_member(tree, given, &texts, member, (char *)&head + member->offset)
                        : lp_fail(-EINVAL, "%s: it is no profile of loomp's, `%s' is missing", path,
                                  member->row.key);
        if (err != 0) {
            return err;
        }
    }
    if (strcmp(head.machine, machine) == 0 && strcmp(head.version, version) == 0) {
        return 0;
    }
    lp_log(LOOMP_LOG_INFO,
           "the profile %s is ignored: it is of loomp %s on `%s', and this is %s on `%s'", path,
           head.version, head.machine, version, machine);
    return 1;
}

int lp_profile_read(const char *path, const char *machine, const char *version, site_fn *site,
                    void *arg)
{
    struct lp_file_tree tree;
    int err = lp_file_tree_init(&tree, path);
    if (err != 0) {
        return err;
    }
    struct file_head head = {.sites = NULL};
    err = check_origin(&tree, path, machine, version);
    err = err ? err : read_group(&tree, config_root_setting(&tree.parsed), &file_group, &head);
    err = err ? err : read_sites(&tree, head.sites, NULL, NULL);
    err = err ? err : check_names(&tree, head.sites);
    err = err ? err : read_sites(&tree, head.sites, site, arg);
    lp_file_tree_fini(&tree);
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

static const char explanation[] =
    "# What loomp's adaptive scheduler has learnt of a program's sites, written when the program\n"
    "# stopped. The next run on this machine with this version of loomp starts from it; with\n"
    "# adaptive.mode = \"frozen\" it decides by it alone. It may be edited, or deleted.\n"
    "#\n"
    "# A site is a place in the program where jobs are submitted. It has\n"
    "#   models, one for each number of threads (width) that was measured:\n"
    "#     ln cost = mean_y + slope * (ln size - mean_x), costs in ns, slope about cxy / cxx\n"
    "#     seen           calls that were measured\n"
    "#     n              how many of them count, as old ones are forgotten\n"
    "#     mean_x, mean_y means of ln size and of ln cost\n"
    "#     cxx, cxy, cyy  sums of squares and products about these means\n"
    "#     ratio, ratio2  means of cost / predicted cost and of its square, of ratio_n calls\n"
    "#     ln_p95         one call in 20 takes more than exp(ln_p95) times what is predicted\n"
    "#   habits, one for each range of sizes that occurred, up to 4 times size_from:\n"
    "#     arm            where most calls went: inline, task or team, on so many threads (width)\n"
    "#     votes          by how many calls, less those that went elsewhere\n";

static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

static int print_member(FILE *out, const struct member *member, const char *in)
{
    const void *at = in + member->offset;
    uint32_t number = 0;
    if (member->kind != LONG_COUNT && member->kind != REAL) {
        number = *(const uint32_t *)at;
    }
    fprintf(out, " %s = ", member->row.key);
    char real[NUMBER_BYTES] = "";
    int err = 0;
    switch (member->kind) {
    case LONG_COUNT:
        fprintf(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case REAL:
        err = lp_double_print(real, sizeof real, *(const double *)at);
        fputs(real, out);
        break;
    case CLASS:
        fprintf(out, "%" PRIu64, number < LP_PROFILE_CLASSES ? UINT64_C(1) << 2 * number : 0);
        break;
    case ARM:
        print_text(out, number >= 1 && number <= ARM_COUNT ? arms[number - 1] : "");
        break;
    default:
        fprintf(out, "%" PRIu32, number);
    }
    fputc(';', out);
    return err;
}

static int print_group(FILE *out, const struct group *group, const void *in, int per_line)
{
    int err = 0;
    for (int i = 0; err == 0 && i < group->count; i++) {
        fputs(i == 0 ? "      {" : i % per_line == 0 ? "\n       " : "", out);
        err = print_member(out, &group->members[i], in);
    }
    fputs(" }", out);
    return err;
}

static void print_cost(FILE *out, double ns)
{
    static const struct {
        double ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && ns < units[i].ns) {
        i++;
    }
    fprintf(out, "%.4g %s", ns / units[i].ns, units[i].name);
}

/* What the numbers come to, for people. */
static void print_summary(FILE *out, const struct lp_profile_model *model)
{
    fprintf(out, "      # %" PRIu32 " thread%s: ", model->width, model->width == 1 ? "" : "s");
    print_cost(out, exp(model->mean_y) * model->ratio);
    if (model->mean_x > 0) {
        fprintf(out, " at size %.4g", exp(model->mean_x));
    }
    if (model->cxx > 1e-9 * model->n) {
        fprintf(out, ", as size to the power of %.2f", model->cxy / model->cxx);
    }
    if (model->ratio > 0) {
        fprintf(out, "; 1 in 20 above %.2f times that", exp(model->ln_p95) / model->ratio);
    }
    fputc('\n', out);
}

/* Begins a list before its first element, and ends the element before. */
static void begin_element(FILE *out, const char *key, unsigned *count)
{
    if ((*count)++ == 0) {
        fprintf(out, "    %s = (\n", key);
    } else {
        fputs(",\n", out);
    }
}

static void end_list(FILE *out, unsigned count)
{
    if (count) {
        fputs(" );\n", out);
    }
}

static int print_site(FILE *out, const struct lp_profile_site *site)
{
    int err = 0;
    unsigned count = 0;
    fputs("  {\n    name = ", out);
    print_text(out, site->name);
    fputs(";\n", out);
    for (unsigned i = 0; err == 0 && i < site->model_count; i++) {
        if (site->models[i].seen) {
            begin_element(out, "models", &count);
            print_summary(out, &site->models[i]);
            err = print_group(out, &model_group, &site->models[i], 5);
        }
    }
    end_list(out, count);
    count = 0;
    for (unsigned i = 0; err == 0 && i < site->habit_count; i++) {
        if (site->habits[i].votes) {
            begin_element(out, "habits", &count);
            err = print_group(out, &habit_group, &site->habits[i], 4);
        }
    }
    end_list(out, count);
    fputs("  }", out);
    return err;
}

static int print_sites(FILE *out, bool (*next)(void *arg, struct lp_profile_site *site), void *arg)
{
    struct lp_profile_site site;
    int err = 0;
    fputs("sites = (", out);
    for (const char *between = "\n"; err == 0 && next(arg, &site); between = ",\n") {
        fputs(between, out);
        err = print_site(out, &site);
    }
    fputs(" );\n", out);
    return err;
}

static int fail_to_write(const char *path, int err)
{
    return lp_fail(err, "cannot write `%.200s': %s", path, strerrordesc_np(-err));
}

/* Makes a file of its own beside `path`, so that two processes which stop at once do not meet. On
 * success *name is the caller's to free. */
static int open_beside(const char *path, char **name, FILE **out)
{
    for (unsigned i = 0; i < TEMPORARY_NAMES; i++) {
        if (asprintf(name, "%s.%ld-%u", path, (long)getpid(), i) < 0) {
            return lp_fail_memory();
        }
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        int err = fd < 0 ? -errno : 0;
        *out = fd < 0 ? NULL : fdopen(fd, "w");
        if (*out) {
            return 0;
        }
        if (fd >= 0) {
            err = -errno;
            close(fd);
            unlink(*name);
        }
        free(*name);
        if (err != -EEXIST) {
            return fail_to_write(path, err);
        }
    }
    return fail_to_write(path, -EEXIST);
}

/* Writes all of it and gets it to the disk; closes the file. */
static int fill(FILE *out, const char *path, const char *machine, const char *version,
                bool (*next)(void *arg, struct lp_profile_site *site), void *arg)
{
    fprintf(out, "%s\nversion = ", explanation);
    print_text(out, version);
    fputs(";\nmachine = ", out);
    print_text(out, machine);
    fputs(";\n", out);
    int err = print_sites(out, next, arg);
    errno = 0;
    if (err == 0 && (fflush(out) != 0 || ferror(out) || fsync(fileno(out)) != 0)) {
        err = fail_to_write(path, errno ? -errno : -EIO);
    }
    if (fclose(out) != 0 && err == 0) {
        err = fail_to_write(path, -errno);
    }
    return err;
}

static void ignore(void *arg, const struct lp_profile_site *site)
{
    (void)arg;
    (void)site;
}

static int write_file(const char *path, const char *machine, const char *version,
                      bool (*next)(void *arg, struct lp_profile_site *site), void *arg)
{
    char *name;
    FILE *out;
    int err = open_beside(path, &name, &out);
    if (err != 0) {
        return err;
    }
    err = fill(out, path, machine, version, next, arg);
    if (err == 0) {
        err = lp_profile_read(name, machine, version, ignore, NULL);
        err = err ? lp_fail(err, "%.200s is not written: %s", path, loomp_error()) : 0;
    }
    if (err == 0 && rename(name, path) != 0) {
        err = fail_to_write(path, -errno);
    }
    if (err != 0) {
        unlink(name);
    }
    free(name);
    return err;
}

int lp_profile_write(const char *path, const char *machine, const char *version,
                     bool (*next)(void *arg, struct lp_profile_site *site), void *arg)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) {
        return lp_fail_memory();
    }
    locale_t old = uselocale(c_locale);
    int err = write_file(path, machine, version, next, arg);
    uselocale(old);
    freelocale(c_locale);
    return err;
}
