/* SPDX-License-Identifier: MIT */
/* Owns the reading of control groups: which groups a process is in, where they are mounted, and
 * what limits they set. It blocks on files; any thread enters, nothing is kept between calls.
 *
 * A process is in one group of each hierarchy. /proc/PID/cgroup names the groups by their paths in
 * the hierarchies, /proc/PID/mountinfo says which part of a hierarchy is mounted where. In a
 * container that part may begin below the top, and with a namespace both are told relative to the
 * namespace's root, which is where `..' at the beginning of a path comes from. */
#include "placement/cgroup.h"

#include "base/error.h"
#include "base/log.h"
#include "settings/settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PROC_BYTES_MAX = 16 << 20, /* a node with many containers has thousands of mounts */
    FILE_BYTES_MAX = 1 << 20,
    SHOWN_BYTES = 80
};

static int fail_memory(void)
{
    return lp_fail(-ENOMEM, "no memory for reading the control groups");
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The beginning of a text, fit for a line of the log. */
struct shown {
    char text[SHOWN_BYTES];
};

static struct shown show(const char *text)
{
    struct shown shown;
    size_t i = 0;
    for (; i + 1 < sizeof shown.text && text[i] && text[i] != '\n'; i++) {
        shown.text[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
    }
    shown.text[i] = '\0';
    return shown;
}

/* The text of a file, or NULL in *text for a file that is not there, cannot be read or makes no
 * sense; 0 or -ENOMEM. */
static int read_file(const char *path, size_t bytes_max, char **text)
{
    *text = NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return errno == ENOMEM ? fail_memory() : 0;
    }
    char *content = NULL;
    size_t bytes = 0, capacity = 0;
    ssize_t got;
    do {
        if (bytes + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            char *grown = realloc(content, capacity);
            if (!grown) {
                free(content);
                close(file);
                return fail_memory();
            }
            content = grown;
        }
        got = read(file, content + bytes, capacity - bytes - 1);
        bytes += got > 0 ? (size_t)got : 0;
    } while (bytes <= bytes_max && (got > 0 || (got < 0 && errno == EINTR)));
    close(file);
    content[bytes] = '\0';
    const char *complaint = NULL;
    if (bytes > bytes_max) {
        complaint = "is too large";
    } else if (got == 0 && strlen(content) != bytes) {
        complaint = "contains a zero byte";
    }
    if (complaint) {
        lp_log(LOOMP_LOG_WARNING, "%s %s; it is ignored", path, complaint);
    }
    if (complaint || got < 0) {
        free(content);
        return 0;
    }
    *text = content;
    return 0;
}

/* Cuts the next line off; NULL at the end. */
static char *next_line(char **text)
{
    return *text && **text ? strsep(text, "\n") : NULL;
}

/* Whether a list like "rw,cpu,cpuacct" has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t bytes = strlen(word);
    for (;;) {
        size_t item = strcspn(list, ",");
        if (item == bytes && memcmp(list, word, bytes) == 0) {
            return true;
        }
        if (!list[item]) {
            return false;
        }
        list += item + 1;
    }
}

/* ---- where the groups are -------------------------------------------------------------------- */

/* Brings an absolute path to the form "/a/b", in place; the top is "". `..' is left only at the
 * beginning. False: not absolute. */
static bool normalise(char *path)
{
    if (*path != '/') {
        return false;
    }
    char *out = path;
    const char *in = path;
    while (*in) {
        in += strspn(in, "/");
        size_t bytes = strcspn(in, "/");
        bool dots = bytes == 2 && memcmp(in, "..", 2) == 0;
        bool at_dots = out == path || (out - path >= 3 && memcmp(out - 3, "/..", 3) == 0);
        if (dots && !at_dots) {
            do {
                out--;
            } while (*out != '/');
        } else if (bytes > 0 && !(bytes == 1 && *in == '.')) {
            *out++ = '/';
            memmove(out, in, bytes);
            out += bytes;
        }
        in += bytes;
    }
    *out = '\0';
    return true;
}

/* The kernel writes blanks, tabs, line ends and backslashes in names as \040 and so on. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' &&
            in[3] >= '0' && in[3] <= '7') {
            int character = (in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0');
            *out++ = character ? (char)character : '?';
            in += 4;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* How many `..' a normalised path begins with. */
static unsigned dots_of(const char *path)
{
    unsigned count = 0;
    for (; strncmp(path, "/..", 3) == 0 && (path[3] == '/' || !path[3]); path += 3) {
        count++;
    }
    return count;
}

enum cover {
    COVER_NONE,
    COVER_TOP, /* only a group above the process's, and not where between them it is */
    COVER_ALL  /* the process's group and those above it, up to the mount's root */
};

/* What a mount whose root is `root` shows of the group `path`; *rest: the way down. */
static enum cover cover_of(const char *root, const char *path, const char **rest)
{
    size_t bytes = strlen(root);
    *rest = "";
    if (strncmp(path, root, bytes) == 0 && (path[bytes] == '/' || !path[bytes])) {
        if (dots_of(path + bytes) > 0) {
            return COVER_NONE;
        }
        *rest = path + bytes;
        return COVER_ALL;
    }
    unsigned up = dots_of(root);
    return bytes == 3 * (size_t)up && up > dots_of(path) ? COVER_TOP : COVER_NONE;
}

/* A kind of hierarchy: the one of v2, or the one of v1 that has a controller. */
struct kind {
    const char *controller; /* NULL: v2 */
    bool quota, stat, cpus; /* what to look for there */
};

/* The path of the process's group in a hierarchy, from the text of /proc/PID/cgroup; "" for the
 * top, NULL in *group if it is in none. 0 or -ENOMEM. */
static int find_group(char **group, const struct kind *kind, const char *file, const char *text)
{
    *group = NULL;
    char *copy = strdup(text);
    if (!copy) {
        return fail_memory();
    }
    int err = 0;
    char *at = copy;
    for (char *line = next_line(&at); line && !*group; line = next_line(&at)) {
        struct shown shown = show(line);
        char *path = line;
        const char *id = strsep(&path, ":");
        const char *controllers = path ? strsep(&path, ":") : NULL;
        if (!path || *path != '/') {
            lp_log(LOOMP_LOG_WARNING, "%s: `%s' names no control group; the line is ignored", file,
                   shown.text);
            continue;
        }
        if (kind->controller ? has_word(controllers, kind->controller)
                             : !*controllers && strcmp(id, "0") == 0) {
            normalise(path);
            *group = strdup(path);
            err = *group ? 0 : fail_memory();
            break;
        }
    }
    free(copy);
    return err;
}

struct mount {
    const char *root, *point;
};

/* Whether a line of mountinfo mounts this hierarchy; takes the line to pieces. */
static bool read_mount(struct mount *mount, const struct kind *kind, const char *file, char *line)
{
    struct shown shown = show(line);
    char *fields[6];
    for (int i = 0; i < 6; i++) {
        fields[i] = line ? strsep(&line, " ") : NULL;
    }
    /* Any number of optional fields, then a dash. */
    const char *field = "";
    while (line && strcmp(field, "-") != 0) {
        field = strsep(&line, " ");
    }
    const char *type = line ? strsep(&line, " ") : NULL;
    if (line) {
        strsep(&line, " "); /* the source */
    }
    if (!line) {
        lp_log(LOOMP_LOG_WARNING, "%s: `%s' describes no mount; the line is ignored", file,
               shown.text);
        return false;
    }
    if (kind->controller ? strcmp(type, "cgroup") != 0 || !has_word(line, kind->controller)
                         : strcmp(type, "cgroup2") != 0) {
        return false;
    }
    unescape(fields[3]);
    unescape(fields[4]);
    /* A recorded tree must not lead out of itself. */
    if (!normalise(fields[3]) || !normalise(fields[4]) || dots_of(fields[4]) > 0) {
        lp_log(LOOMP_LOG_WARNING,
               "%s: `%s' has paths that do not begin with / or lead above it; the line is ignored",
               file, shown.text);
        return false;
    }
    *mount = (struct mount){fields[3], fields[4]};
    return true;
}

/* A process's group as a directory. */
struct place {
    char *dir;  /* with the root prefix; NULL: not visible */
    size_t top; /* length of the part that is the mount point */
    enum cover cover;
    size_t root_bytes; /* of the mount's root */
};

static void forget(struct place *place)
{
    free(place->dir);
    *place = (struct place){0};
}

/* Looks for the mount that shows most of the groups above the process's: first of all its own
 * group, then as many levels above it as possible. 0 or -ENOMEM. */
static int find_mount(struct place *place, const struct kind *kind, const char *prefix,
                      const char *group, const char *file, const char *text)
{
    char *copy = strdup(text);
    if (!copy) {
        return fail_memory();
    }
    int err = 0;
    size_t prefix_bytes = strlen(prefix);
    char *at = copy;
    for (char *line = next_line(&at); line && err == 0; line = next_line(&at)) {
        struct mount mount;
        if (!read_mount(&mount, kind, file, line)) {
            continue;
        }
        size_t top = prefix_bytes + strlen(mount.point);
        if (place->dir && place->top == top &&
            memcmp(place->dir + prefix_bytes, mount.point, top - prefix_bytes) == 0) {
            forget(place); /* it is hidden by this one, whatever this one shows */
        }
        const char *rest;
        enum cover cover = cover_of(mount.root, group, &rest);
        size_t root_bytes = strlen(mount.root);
        if (cover == COVER_NONE || cover < place->cover ||
            (cover == place->cover && root_bytes > place->root_bytes)) {
            continue;
        }
        char *dir;
        if (asprintf(&dir, "%s%s%s", prefix, mount.point, rest) < 0) {
            err = fail_memory();
            break;
        }
        free(place->dir);
        *place = (struct place){dir, top, cover, root_bytes};
    }
    free(copy);
    if (err != 0) {
        forget(place);
    }
    return err;
}

/* ---- what they say --------------------------------------------------------------------------- */

/* Reads digits and the blanks behind them; false: no digits, or more than anything real has. */
static bool read_count(const char **at, uint64_t *count)
{
    uint64_t value = 0;
    int digits = 0;
    for (; isdigit((unsigned char)**at); (*at)++) {
        value = value * 10 + (uint64_t)(**at - '0');
        if (++digits > 19) {
            return false;
        }
    }
    if (digits == 0 || (**at && !isspace((unsigned char)**at))) {
        return false;
    }
    *at += strspn(*at, " \t\n");
    *count = value;
    return true;
}

static double ratio(uint64_t quota_us, uint64_t period_us)
{
    return quota_us == 0 || period_us == 0 ? -1 : (double)quota_us / (double)period_us;
}

double lp_cgroup_cpu_max(const char *text)
{
    bool none = strncmp(text, "max", 3) == 0 && isspace((unsigned char)text[3]);
    uint64_t quota = 1, period;
    if (none) {
        text += 3 + strspn(text + 3, " \t");
    } else if (!read_count(&text, &quota)) {
        return -1;
    }
    if (!read_count(&text, &period) || *text || period == 0) {
        return -1;
    }
    return none ? 0 : ratio(quota, period);
}

double lp_cgroup_cfs_quota(const char *quota_us, const char *period_us)
{
    if (strncmp(quota_us, "-1", 2) == 0 && !quota_us[2 + strspn(quota_us + 2, " \t\n")]) {
        return 0;
    }
    uint64_t quota, period;
    if (!read_count(&quota_us, &quota) || *quota_us || !read_count(&period_us, &period) ||
        *period_us) {
        return -1;
    }
    return ratio(quota, period);
}

/* A file of a group, and its path. */
struct entry {
    char *path;
    char *text; /* NULL: not there */
};

static void entry_fini(struct entry *entry)
{
    free(entry->path);
    free(entry->text);
}

/* 0 or -ENOMEM; fini is due on success only. */
static int read_entry(struct entry *entry, const char *dir, const char *name)
{
    *entry = (struct entry){0};
    if (asprintf(&entry->path, "%s/%s", dir, name) < 0) {
        return fail_memory();
    }
    int err = read_file(entry->path, FILE_BYTES_MAX, &entry->text);
    if (err != 0) {
        free(entry->path);
    }
    return err;
}

/* One reading on its way up. */
struct walk {
    struct lp_cgroup *cgroup;
    const struct kind *kind;
    const char *dir;
    size_t prefix_bytes;
};

static void name_source(char source[LP_CGROUP_PATH], const struct walk *walk,
                        const struct entry *entry)
{
    snprintf(source, LP_CGROUP_PATH, "%s", entry->path + walk->prefix_bytes);
}

static void use_quota(const struct walk *walk, const struct entry *entry, double quota)
{
    struct lp_cgroup *cgroup = walk->cgroup;
    if (quota < 0) {
        lp_log(LOOMP_LOG_WARNING, "%s: `%s' is no CPU quota; it is ignored", entry->path,
               show(entry->text).text);
    } else if (quota > 0 && (cgroup->quota == 0 || quota < cgroup->quota)) {
        cgroup->quota = quota;
        name_source(cgroup->quota_from, walk, entry);
    }
}

static int read_quota(const struct walk *walk)
{
    struct entry quota, period;
    int err =
        read_entry(&quota, walk->dir, walk->kind->controller ? "cpu.cfs_quota_us" : "cpu.max");
    if (err != 0) {
        return err;
    }
    if (quota.text && !walk->kind->controller) {
        use_quota(walk, &quota, lp_cgroup_cpu_max(quota.text));
    } else if (quota.text) {
        err = read_entry(&period, walk->dir, "cpu.cfs_period_us");
        if (err == 0) {
            use_quota(walk, &quota,
                      lp_cgroup_cfs_quota(quota.text, period.text ? period.text : ""));
            entry_fini(&period);
        }
    }
    entry_fini(&quota);
    return err;
}

/* Takes the first list that says something: an empty one is no limit, but not set or not known. */
static int read_cpus(const struct walk *walk, const char *name)
{
    struct entry entry;
    int err = read_entry(&entry, walk->dir, name);
    if (err != 0) {
        return err;
    }
    char *list = entry.text;
    if (list) {
        size_t bytes = strlen(list);
        while (bytes > 0 && isspace((unsigned char)list[bytes - 1])) {
            list[--bytes] = '\0';
        }
        if (bytes > 0 && lp_cpu_list_parse(list, NULL, NULL) != 0) {
            lp_log(LOOMP_LOG_WARNING, "%s: `%s' is no list of CPUs; it is ignored", entry.path,
                   show(list).text);
        } else if (bytes > 0) {
            walk->cgroup->cpus = lp_cpuset_parse(list);
            err = walk->cgroup->cpus ? 0 : fail_memory();
            name_source(walk->cgroup->cpus_from, walk, &entry);
        }
    }
    entry_fini(&entry);
    return err;
}

/* The number behind a name at the beginning of a line; false: none. */
static bool read_field(const char *text, const char *name, uint64_t *count)
{
    size_t bytes = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, bytes) == 0 && line[bytes] == ' ') {
            const char *at = line + bytes + 1;
            return read_count(&at, count);
        }
    }
    return false;
}

/* A group without a quota of its own never counts a period, so one that did wins over those within
 * it. */
static int read_stat(const struct walk *walk)
{
    struct lp_cgroup *cgroup = walk->cgroup;
    struct entry entry;
    int err = read_entry(&entry, walk->dir, "cpu.stat");
    if (err != 0) {
        return err;
    }
    uint64_t periods, throttled, time;
    bool is_v2 = !walk->kind->controller;
    if (entry.text && strstr(entry.text, "nr_periods")) {
        if (!read_field(entry.text, "nr_periods", &periods) ||
            !read_field(entry.text, "nr_throttled", &throttled) ||
            !read_field(entry.text, is_v2 ? "throttled_usec" : "throttled_time", &time)) {
            lp_log(LOOMP_LOG_WARNING, "%s: `%s' and so on tells no throttling; it is ignored",
                   entry.path, show(entry.text).text);
        } else if (!cgroup->has_stat || (cgroup->periods == 0 && periods > 0)) {
            cgroup->has_stat = true;
            cgroup->periods = periods;
            cgroup->throttled_periods = throttled;
            cgroup->throttled_s = (double)time * (is_v2 ? 1e-6 : 1e-9);
            name_source(cgroup->stat_from, walk, &entry);
        }
    }
    entry_fini(&entry);
    return err;
}

static int read_level(const struct walk *walk)
{
    int err = walk->kind->quota ? read_quota(walk) : 0;
    if (err == 0 && walk->kind->stat) {
        err = read_stat(walk);
    }
    /* Of v1, older kernels have only the configured list. */
    bool is_v2 = !walk->kind->controller;
    if (err == 0 && walk->kind->cpus && !walk->cgroup->cpus) {
        err = read_cpus(walk, is_v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus");
    }
    if (err == 0 && walk->kind->cpus && !walk->cgroup->cpus && !is_v2) {
        err = read_cpus(walk, "cpuset.cpus");
    }
    return err;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The texts of /proc/PID and their paths. */
struct process {
    struct entry groups, mounts;
    const char *prefix;
};

static int read_kind(struct lp_cgroup *cgroup, const struct kind *kind,
                     const struct process *process)
{
    char *group;
    int err = find_group(&group, kind, process->groups.path, process->groups.text);
    if (err != 0 || !group) {
        return err;
    }
    struct place place = {0};
    err = find_mount(&place, kind, process->prefix, group, process->mounts.path,
                     process->mounts.text);
    free(group);
    if (err != 0 || !place.dir) {
        return err;
    }
    struct walk walk = {cgroup, kind, place.dir, strlen(process->prefix)};
    err = read_level(&walk);
    while (err == 0 && strlen(place.dir) > place.top) {
        *strrchr(place.dir, '/') = '\0';
        err = read_level(&walk);
    }
    free(place.dir);
    return err;
}

static int read_process(struct process *process, const char *root, int pid)
{
    char number[32] = "self";
    if (pid != 0) {
        snprintf(number, sizeof number, "%d", pid);
    }
    const char *names[] = {"cgroup", "mountinfo"};
    struct entry *entries[] = {&process->groups, &process->mounts};
    *process = (struct process){.prefix = root};
    for (int i = 0; i < 2; i++) {
        int err = asprintf(&entries[i]->path, "%s/proc/%s/%s", root, number, names[i]) < 0
                      ? fail_memory()
                      : 0;
        if (err != 0) {
            entries[i]->path = NULL; /* asprintf leaves anything there */
        } else {
            err = read_file(entries[i]->path, PROC_BYTES_MAX, &entries[i]->text);
        }
        if (err != 0) {
            entry_fini(&process->groups);
            entry_fini(&process->mounts);
            return err;
        }
    }
    return 0;
}

int lp_cgroup_read(struct lp_cgroup *cgroup, const char *root, int pid)
{
    /* On a hybrid machine a controller is in one hierarchy only, and the files of the others are
     * not there, so looking everywhere finds each limit once. */
    static const struct kind kinds[] = {
        {"cpu", .quota = true, .stat = true},
        {"cpuset", .cpus = true},
        {NULL, .quota = true, .stat = true, .cpus = true},
    };
    struct lp_cgroup result = {0};
    struct process process;
    int err = read_process(&process, root, pid);
    if (err != 0) {
        return err;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && err == 0; i++) {
        if (process.groups.text && process.mounts.text) {
            err = read_kind(&result, &kinds[i], &process);
        }
    }
    entry_fini(&process.groups);
    entry_fini(&process.mounts);
    if (err != 0) {
        lp_cgroup_fini(&result);
        return err;
    }
    *cgroup = result;
    return 0;
}

void lp_cgroup_fini(struct lp_cgroup *cgroup)
{
    lp_cpuset_free(cgroup->cpus);
    *cgroup = (struct lp_cgroup){0};
}
