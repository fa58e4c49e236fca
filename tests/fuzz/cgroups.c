/* SPDX-License-Identifier: MIT */
/* Fuzz target: a recorded tree of control groups. A line of the input that is @ and the name of one
 * of the files below begins the content of that file, which goes up to the next such line. They are
 * written into a directory in memory, read and removed again. Each limit must come from a file of
 * the input, and be what that file says: of the decoys beside the tree nothing may be heard. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "placement/cgroup.h"
#include "settings/settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define V1_CPU "/sys/fs/cgroup/cpu"
#define V1_CPUSET "/sys/fs/cgroup/cpuset"
#define V2 "/sys/fs/cgroup"

static const char *const directories[] = {
    "/proc", "/proc/self", "/sys",    "/sys/fs",      V2, V2 "/a", V2 "/a/b",
    V1_CPU,  V1_CPU "/a",  V1_CPUSET, V1_CPUSET "/a",
};

static const char *const names[] = {
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    V2 "/cpu.max",
    V2 "/cpu.stat",
    V2 "/cpuset.cpus.effective",
    V2 "/a/cpu.max",
    V2 "/a/cpu.stat",
    V2 "/a/cpuset.cpus.effective",
    V2 "/a/b/cpu.max",
    V2 "/a/b/cpu.stat",
    V2 "/a/b/cpuset.cpus.effective",
    V1_CPU "/cpu.cfs_quota_us",
    V1_CPU "/cpu.cfs_period_us",
    V1_CPU "/cpu.stat",
    V1_CPU "/a/cpu.cfs_quota_us",
    V1_CPU "/a/cpu.cfs_period_us",
    V1_CPU "/a/cpu.stat",
    V1_CPUSET "/cpuset.cpus",
    V1_CPUSET "/cpuset.effective_cpus",
    V1_CPUSET "/a/cpuset.cpus",
    V1_CPUSET "/a/cpuset.effective_cpus",
};

/* Where a way out of the tree by `..' would first end. */
static const char *const decoys[] = {"cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us",
                                     "cpuset.cpus.effective", "cpuset.cpus"};

enum {
    DIRECTORIES = sizeof directories / sizeof *directories,
    NAMES = sizeof names / sizeof *names,
    DECOYS = sizeof decoys / sizeof *decoys,
    PATH = 128
};

static char outside[PATH];
static char root[PATH + 8];
static int root_file;
static struct fuzz_input contents[NAMES]; /* at is NULL: not there */

static void remove_root(void)
{
    char path[2 * PATH];
    for (int i = DIRECTORIES - 1; i >= 0; i--) {
        snprintf(path, sizeof path, "%s%s", root, directories[i]);
        rmdir(path);
    }
    rmdir(root);
    for (int i = 0; i < DECOYS; i++) {
        snprintf(path, sizeof path, "%s/%s", outside, decoys[i]);
        unlink(path);
    }
    rmdir(outside);
}

static void write_file(int directory, const char *name, struct fuzz_input content)
{
    int file = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(file >= 0, "%s: %s", name, strerror(errno));
    ssize_t put = write(file, content.at, content.size);
    FUZZ_CHECK(put == (ssize_t)content.size, "%s: %s", name, strerror(errno));
    close(file);
}

static void make_root(void)
{
    /* fuzz/run gives one, and removes what is left in it after a crash. */
    const char *const where[] = {getenv("TMPDIR"), "/dev/shm", "/tmp"};
    char path[2 * PATH];
    bool made = false;
    for (int i = where[0] ? 0 : 1; i < 3 && !made; i++) {
        snprintf(outside, sizeof outside, "%.99s/loomp-fuzz-XXXXXX", where[i]);
        made = mkdtemp(outside);
    }
    FUZZ_CHECK(made, "no directory can be made: %s", strerror(errno));
    atexit(remove_root);
    snprintf(root, sizeof root, "%s/tree", outside);
    FUZZ_CHECK(mkdir(root, 0700) == 0, "%s: %s", root, strerror(errno));
    for (int i = 0; i < DIRECTORIES; i++) {
        snprintf(path, sizeof path, "%s%s", root, directories[i]);
        FUZZ_CHECK(mkdir(path, 0700) == 0, "%s: %s", path, strerror(errno));
    }
    root_file = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    FUZZ_CHECK(root_file > 0, "%s: %s", root, strerror(errno));
    for (int i = 0; i < DECOYS; i++) {
        snprintf(path, sizeof path, "%s/%s", outside, decoys[i]);
        const char *content = strstr(decoys[i], "max") ? "7000 1000\n" : "7\n";
        write_file(AT_FDCWD, path, (struct fuzz_input){content, strlen(content)});
    }
}

/* The index in names that a line has, or -1. */
static int find_name(struct fuzz_input line)
{
    for (int i = 0; i < NAMES && line.size > 1 && *line.at == '@'; i++) {
        if (line.size == strlen(names[i]) + 1 &&
            memcmp(line.at + 1, names[i], line.size - 1) == 0) {
            return i;
        }
    }
    return -1;
}

static void take_apart(struct fuzz_input input)
{
    struct fuzz_input ignored = {0}, *current = &ignored;
    memset(contents, 0, sizeof contents);
    while (input.size > 0) {
        const char *start = input.at;
        int name = find_name(fuzz_line(&input));
        if (name >= 0) {
            current = &contents[name];
            *current = (struct fuzz_input){input.at, 0};
        } else {
            current->size += (size_t)(input.at - start);
        }
    }
}

static void write_files(void)
{
    for (int i = 0; i < NAMES; i++) {
        if (contents[i].at) {
            write_file(root_file, names[i] + 1, contents[i]);
        }
    }
}

static void remove_files(void)
{
    for (int i = 0; i < NAMES; i++) {
        if (contents[i].at) {
            unlinkat(root_file, names[i] + 1, 0);
        }
    }
}

/* The content of a file that a limit is said to come from. The caller frees it. */
static char *content_of(const char *path)
{
    for (int i = 0; i < NAMES; i++) {
        if (contents[i].at && strcmp(path, names[i]) == 0) {
            return fuzz_text(contents[i]);
        }
    }
    FUZZ_CHECK(false, "`%s' is no file of the tree", path);
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static void check_quota(const struct lp_cgroup *cgroup)
{
    FUZZ_CHECK(isfinite(cgroup->quota) && cgroup->quota >= 0, "%g CPUs", cgroup->quota);
    FUZZ_CHECK((cgroup->quota > 0) == (*cgroup->quota_from != '\0'), "%g CPUs from `%s'",
               cgroup->quota, cgroup->quota_from);
    if (cgroup->quota == 0) {
        return;
    }
    char *text = content_of(cgroup->quota_from);
    double cpus;
    if (ends_with(cgroup->quota_from, "cpu.max")) {
        cpus = lp_cgroup_cpu_max(text);
    } else {
        char period_file[LP_CGROUP_PATH];
        snprintf(period_file, sizeof period_file, "%.*scpu.cfs_period_us",
                 (int)(strrchr(cgroup->quota_from, '/') + 1 - cgroup->quota_from),
                 cgroup->quota_from);
        char *period = content_of(period_file);
        cpus = lp_cgroup_cfs_quota(text, period);
        free(period);
    }
    FUZZ_CHECK(cpus == cgroup->quota, "%g CPUs, but %g by %s", cgroup->quota, cpus,
               cgroup->quota_from);
    free(text);
}

static void check_cpus(const struct lp_cgroup *cgroup)
{
    FUZZ_CHECK((cgroup->cpus != NULL) == (*cgroup->cpus_from != '\0'), "CPUs from `%s'",
               cgroup->cpus_from);
    if (!cgroup->cpus) {
        return;
    }
    char *text = content_of(cgroup->cpus_from);
    for (size_t bytes = strlen(text); bytes > 0 && isspace((unsigned char)text[bytes - 1]);) {
        text[--bytes] = '\0';
    }
    lp_cpuset *set = lp_cpuset_parse(text);
    FUZZ_CHECK(set && lp_cpuset_equal(set, cgroup->cpus), "other CPUs than `%s'", text);
    FUZZ_CHECK(lp_cpuset_first(set) >= 0, "no CPU by `%s'", text);
    lp_cpuset_free(set);
    free(text);
}

static void check_stat(const struct lp_cgroup *cgroup)
{
    FUZZ_CHECK(cgroup->has_stat == (*cgroup->stat_from != '\0'), "throttling from `%s'",
               cgroup->stat_from);
    FUZZ_CHECK(isfinite(cgroup->throttled_s) && cgroup->throttled_s >= 0, "throttled for %g s",
               cgroup->throttled_s);
    if (cgroup->has_stat) {
        char *text = content_of(cgroup->stat_from);
        FUZZ_CHECK(strstr(text, "nr_throttled"), "throttling from `%s'", text);
        free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!root_file) {
        make_root();
    }
    fuzz_log();
    take_apart((struct fuzz_input){(const char *)data, size});
    write_files();
    struct lp_cgroup cgroup = {.quota = -1};
    int err = lp_cgroup_read(&cgroup, root, 0);
    remove_files();
    FUZZ_CHECK(err == 0, "%s", loomp_error());
    check_quota(&cgroup);
    check_cpus(&cgroup);
    check_stat(&cgroup);
    lp_cgroup_fini(&cgroup);
    return 0;
}
