/* SPDX-License-Identifier: MIT */
/* Tests of placement/cgroup.c on recorded trees (tests/data/cgroups) and on trees that a test
 * writes into a directory of its own. */
#define SUITE "cgroup"
#include "harness.h"

#include "base/log.h"
#include "fault/faults.h"
#include "placement/cgroup.h"

#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the log --------------------------------------------------------------------------------- */

static char log_text[16384];

static void note_line(void *arg, int32_t level, const char *line)
{
    (void)arg;
    (void)level;
    size_t used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

static void listen(void)
{
    log_text[0] = '\0';
    lp_log_reset();
    loomp_set_log(note_line, NULL);
}

/* ---- checks of one reading ------------------------------------------------------------------- */

static const char *cpus_of(const struct lp_cgroup *cgroup)
{
    static char text[256];
    if (!cgroup->cpus) {
        return "none";
    }
    lp_cpuset_format(cgroup->cpus, text, sizeof text);
    return text;
}

/* Reads a tree; the answer is due to lp_cgroup_fini. */
static struct lp_cgroup read_tree(const char *root, int pid)
{
    struct lp_cgroup cgroup = {.quota = -1};
    listen();
    CHECK(lp_cgroup_read(&cgroup, root, pid) == 0);
    return cgroup;
}

static struct lp_cgroup read_recorded(const char *name)
{
    char root[4096];
    snprintf(root, sizeof root, "%s/cgroups/%s", LOOMP_TEST_DATA, name);
    return read_tree(root, 0);
}

static void check_quota(const struct lp_cgroup *cgroup, double quota, const char *from)
{
    CHECK(fabs(cgroup->quota - quota) < 1e-9);
    CHECK_TEXT(cgroup->quota_from, from);
}

static void check_cpus(const struct lp_cgroup *cgroup, const char *cpus, const char *from)
{
    CHECK_TEXT(cpus_of(cgroup), cpus);
    CHECK_TEXT(cgroup->cpus_from, from);
}

static void check_stat(const struct lp_cgroup *cgroup, uint64_t periods, uint64_t throttled,
                       double throttled_s, const char *from)
{
    CHECK(cgroup->has_stat);
    CHECK(cgroup->periods == periods);
    CHECK(cgroup->throttled_periods == throttled);
    CHECK(fabs(cgroup->throttled_s - throttled_s) < 1e-9);
    CHECK_TEXT(cgroup->stat_from, from);
}

static void check_no_stat(const struct lp_cgroup *cgroup)
{
    CHECK(!cgroup->has_stat);
    CHECK_TEXT(cgroup->stat_from, "");
}

#define V2 "/sys/fs/cgroup"

/* ---- recorded trees -------------------------------------------------------------------------- */

TEST(a_container_in_a_namespace_of_v2_has_its_limits_at_the_mount_point)
{
    struct lp_cgroup cgroup = read_recorded("v2-docker");
    check_quota(&cgroup, 1.5, V2 "/cpu.max");
    check_cpus(&cgroup, "0-3", V2 "/cpuset.cpus.effective");
    check_stat(&cgroup, 200, 50, 2.5, V2 "/cpu.stat");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(a_quota_at_a_middle_level_counts_and_so_does_its_throttling)
{
    struct lp_cgroup cgroup = read_recorded("v2-slice");
    check_quota(&cgroup, 4, V2 "/work.slice/job.slice/cpu.max");
    check_cpus(&cgroup, "0-7", V2 "/work.slice/job.slice/cpuset.cpus.effective");
    check_stat(&cgroup, 1000, 10, 0.125, V2 "/work.slice/job.slice/cpu.stat");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(another_process_is_read_by_its_number)
{
    char root[4096];
    snprintf(root, sizeof root, "%s/cgroups/v2-slice", LOOMP_TEST_DATA);
    struct lp_cgroup cgroup = read_tree(root, 4242);
    check_quota(&cgroup, 7, V2 "/other.slice/cpu.max");
    lp_cgroup_fini(&cgroup);
    cgroup = read_tree(root, 4243);
    check_quota(&cgroup, 0, "");
    check_cpus(&cgroup, "none", "");
    lp_cgroup_fini(&cgroup);
}

TEST(max_at_every_level_is_no_quota)
{
    struct lp_cgroup cgroup = read_recorded("v2-unlimited");
    check_quota(&cgroup, 0, "");
    check_cpus(&cgroup, "none", "");
    check_stat(&cgroup, 0, 0, 0, V2 "/a.slice/cpu.stat");
    lp_cgroup_fini(&cgroup);
}

TEST(a_quota_below_one_cpu_is_kept_as_it_is)
{
    struct lp_cgroup cgroup = read_recorded("v2-half-cpu");
    check_quota(&cgroup, 0.5, V2 "/cpu.max");
    check_no_stat(&cgroup);
    lp_cgroup_fini(&cgroup);
}

TEST(a_quota_is_told_relative_to_its_period)
{
    struct lp_cgroup cgroup = read_recorded("v2-odd-period");
    check_quota(&cgroup, 5, V2 "/batch/cpu.max");
    lp_cgroup_fini(&cgroup);
}

TEST(a_larger_quota_inside_does_not_lift_a_smaller_one_outside)
{
    struct lp_cgroup cgroup = read_recorded("v2-larger-inside");
    check_quota(&cgroup, 2, V2 "/outer/cpu.max");
    check_cpus(&cgroup, "4-7", V2 "/outer/inner/cpuset.cpus.effective");
    lp_cgroup_fini(&cgroup);
}

TEST(nonsense_in_cpu_max_is_a_warning_and_the_next_level_counts)
{
    struct lp_cgroup cgroup = read_recorded("v2-rubbish-quota");
    check_quota(&cgroup, 3, V2 "/outer/cpu.max");
    CHECK(strstr(log_text, "v2-rubbish-quota" V2 "/outer/inner/cpu.max: `plenty of it'") != NULL);
    lp_cgroup_fini(&cgroup);
}

TEST(nonsense_in_a_cpuset_is_a_warning_and_the_next_level_counts)
{
    struct lp_cgroup cgroup = read_recorded("v2-rubbish-cpuset");
    check_cpus(&cgroup, "0-1", V2 "/outer/cpuset.cpus.effective");
    CHECK(strstr(log_text, "/outer/inner/cpuset.cpus.effective: `0-10:2/4'") != NULL);
    lp_cgroup_fini(&cgroup);
}

TEST(a_mount_from_above_the_namespace_shows_limits_of_an_outer_group)
{
    struct lp_cgroup cgroup = read_recorded("v2-mounted-above");
    check_quota(&cgroup, 6, V2 "/cpu.max");
    check_cpus(&cgroup, "0-5", V2 "/cpuset.cpus.effective");
    lp_cgroup_fini(&cgroup);
}

TEST(limits_of_a_group_that_the_process_is_not_in_do_not_count)
{
    struct lp_cgroup cgroup = read_recorded("v2-moved-outside");
    check_quota(&cgroup, 0, "");
    check_cpus(&cgroup, "none", "");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(paths_outside_the_namespace_are_matched_with_mounts_that_reach_there)
{
    struct lp_cgroup cgroup = read_recorded("v2-dots");
    check_quota(&cgroup, 3, V2 "/other/cpu.max");
    check_cpus(&cgroup, "1,3", V2 "/other/x/cpuset.cpus.effective");
    lp_cgroup_fini(&cgroup);
}

TEST(a_container_of_v1_sees_the_paths_of_the_host_in_its_mounts)
{
    struct lp_cgroup cgroup = read_recorded("v1-docker");
    check_quota(&cgroup, 2, V2 "/cpu,cpuacct/cpu.cfs_quota_us");
    check_cpus(&cgroup, "2-3", V2 "/cpuset/cpuset.effective_cpus");
    check_stat(&cgroup, 40, 4, 1.5, V2 "/cpu,cpuacct/cpu.stat");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(joined_controllers_of_v1_are_found_by_their_part)
{
    struct lp_cgroup cgroup = read_recorded("v1-joined");
    check_quota(&cgroup, 1.5, V2 "/cpu,cpuacct/batch/cpu.cfs_quota_us");
    check_cpus(&cgroup, "0-1", V2 "/cpuset/cpuset.cpus");
    check_stat(&cgroup, 70, 7, 0.003, V2 "/cpu,cpuacct/batch/cpu.stat");
    lp_cgroup_fini(&cgroup);
}

TEST(minus_one_of_v1_is_no_quota_and_the_effective_cpus_are_preferred)
{
    struct lp_cgroup cgroup = read_recorded("v1-unlimited");
    check_quota(&cgroup, 0, "");
    check_cpus(&cgroup, "0-31", V2 "/cpuset/cpuset.effective_cpus");
    check_no_stat(&cgroup);
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(an_empty_cpuset_of_v1_is_no_limit)
{
    struct lp_cgroup cgroup = read_recorded("v1-empty-cpuset");
    check_cpus(&cgroup, "0-5", V2 "/cpuset/outer/cpuset.cpus");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(on_a_hybrid_machine_the_controllers_of_v1_count)
{
    struct lp_cgroup cgroup = read_recorded("hybrid");
    check_quota(&cgroup, 2.5, V2 "/cpu/batch/cpu.cfs_quota_us");
    check_cpus(&cgroup, "1", V2 "/cpuset/batch/cpuset.effective_cpus");
    check_stat(&cgroup, 8, 3, 0.04, V2 "/cpu/batch/cpu.stat");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(on_a_hybrid_machine_a_controller_may_be_in_v2)
{
    struct lp_cgroup cgroup = read_recorded("hybrid-cpu-in-v2");
    check_quota(&cgroup, 3.5, V2 "/unified/job/cpu.max");
    check_cpus(&cgroup, "8-11", V2 "/cpuset/job/cpuset.effective_cpus");
    lp_cgroup_fini(&cgroup);
}

TEST(a_pod_of_v1_sees_its_own_container)
{
    struct lp_cgroup cgroup = read_recorded("k8s-v1");
    check_quota(&cgroup, 1, V2 "/cpu,cpuacct/cpu.cfs_quota_us");
    check_cpus(&cgroup, "0-95", V2 "/cpuset/cpuset.cpus");
    lp_cgroup_fini(&cgroup);
}

TEST(a_pod_of_v2_is_limited_by_its_smallest_slice)
{
#define POD V2 "/kubepods.slice/burstable.slice/pod1.slice"
    struct lp_cgroup cgroup = read_recorded("k8s-v2");
    check_quota(&cgroup, 2, POD "/cpu.max");
    check_cpus(&cgroup, "0-2,64-66", POD "/c1.scope/cpuset.cpus.effective");
    check_stat(&cgroup, 500, 499, 60, POD "/cpu.stat");
    lp_cgroup_fini(&cgroup);
}

TEST(a_machine_without_cgroups_has_no_limits)
{
    struct lp_cgroup cgroup = read_recorded("none");
    check_quota(&cgroup, 0, "");
    check_cpus(&cgroup, "none", "");
    check_no_stat(&cgroup);
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
    cgroup = read_recorded("there-is-no-such-tree");
    check_quota(&cgroup, 0, "");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(this_machine_can_be_read)
{
    struct lp_cgroup cgroup = read_tree("", 0);
    CHECK(cgroup.quota >= 0);
    CHECK((cgroup.quota > 0) == (cgroup.quota_from[0] != '\0'));
    CHECK(!cgroup.cpus || lp_cpuset_count(cgroup.cpus) > 0);
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

/* ---- the numbers ----------------------------------------------------------------------------- */

TEST(cpu_max_is_a_quota_and_a_period)
{
    CHECK(lp_cgroup_cpu_max("max 100000\n") == 0);
    CHECK(lp_cgroup_cpu_max("150000 100000\n") == 1.5);
    CHECK(lp_cgroup_cpu_max("150000 100000") == 1.5);
    CHECK(lp_cgroup_cpu_max("1000 1000000") == 0.001);
    CHECK(lp_cgroup_cpu_max("9999999999999999999 1") > 9e18);
    static const char *const bad[] = {
        "",
        "\n",
        "max",
        "max\n",
        "maximum 100000",
        "max 0",
        "max x",
        "max 1 1",
        "150000",
        "150000 ",
        "150000 0",
        "0 100000",
        "-1 100000",
        "+1 100000",
        "1.5 100000",
        "1e5 100000",
        "150000 100000 1",
        "150000 100000x",
        "150000x 100000",
        " 150000 100000",
        "99999999999999999999 1",
        "1 99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!CHECK(lp_cgroup_cpu_max(bad[i]) < 0)) {
            CHECK_TEXT(bad[i], "refused");
        }
    }
}

TEST(cfs_quota_is_two_files)
{
    CHECK(lp_cgroup_cfs_quota("-1\n", "100000\n") == 0);
    CHECK(lp_cgroup_cfs_quota("-1", "") == 0);
    CHECK(lp_cgroup_cfs_quota("250000\n", "50000\n") == 5);
    static const char *const bad[][2] = {
        {"", "100000"},   {"-2", "100000"},  {"-10", "100000"}, {"0", "100000"},
        {"100000", ""},   {"100000", "0"},   {"100000", "-1"},  {"100000 1", "100000"},
        {"1x", "100000"}, {"max", "100000"}, {"100000", "1 1"}, {"100000", "99999999999999999999"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!CHECK(lp_cgroup_cfs_quota(bad[i][0], bad[i][1]) < 0)) {
            CHECK_TEXT(bad[i][0], bad[i][1]);
        }
    }
}

/* ---- trees of the test's own ----------------------------------------------------------------- */

static char scratch[4096];

static void write_bytes(const char *path, const char *content, size_t bytes)
{
    char name[8192];
    snprintf(name, sizeof name, "%s/%s", scratch, path);
    for (char *slash = strchr(name + strlen(scratch) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    if (CHECK(file != NULL)) {
        CHECK(fwrite(content, 1, bytes, file) == bytes);
        fclose(file);
    }
}

static void write_file(const char *path, const char *content)
{
    write_bytes(path, content, strlen(content));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void empty_scratch(void)
{
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    CHECK(mkdir(scratch, 0700) == 0);
}

static bool make_scratch(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/loomp-cgroup-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(scratch) != NULL;
}

/* A line of mountinfo for v2. */
static const char *mount_v2(const char *root, const char *point)
{
    static char line[512];
    snprintf(line, sizeof line, "30 23 0:26 %s %s rw - cgroup2 cgroup2 rw\n", root, point);
    return line;
}

TEST(blanks_and_colons_in_paths_are_understood)
{
    empty_scratch();
    write_file("proc/self/cgroup", "0::/a b:c/d\n");
    write_file("proc/self/mountinfo", mount_v2("/a\\040b:c", "/sys/fs/my\\040groups"));
    write_file("sys/fs/my groups/cpu.max", "200000 100000\n");
    write_file("sys/fs/my groups/d/cpu.max", "300000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 2, "/sys/fs/my groups/cpu.max");
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

TEST(of_several_mounts_the_one_that_shows_most_levels_counts)
{
    empty_scratch();
    char mounts[2048];
    write_file("proc/self/cgroup", "0::/a/b\n");
    size_t used = (size_t)snprintf(mounts, sizeof mounts, "%s", mount_v2("/a/b", "/one"));
    used += (size_t)snprintf(mounts + used, sizeof mounts - used, "%s", mount_v2("/", "/two"));
    used += (size_t)snprintf(mounts + used, sizeof mounts - used, "%s", mount_v2("/a", "/three"));
    snprintf(mounts + used, sizeof mounts - used, "%s", mount_v2("/elsewhere", "/four"));
    write_file("proc/self/mountinfo", mounts);
    write_file("one/cpu.max", "900000 100000\n");
    write_file("two/a/cpu.max", "300000 100000\n");
    write_file("three/cpu.max", "400000 100000\n");
    write_file("four/cpu.max", "100000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 3, "/two/a/cpu.max");
    lp_cgroup_fini(&cgroup);
}

TEST(a_mount_hides_an_earlier_one_at_the_same_point)
{
    empty_scratch();
    char mounts[1024];
    write_file("proc/self/cgroup", "0::/a\n");
    size_t used = (size_t)snprintf(mounts, sizeof mounts, "%s", mount_v2("/", "/groups"));
    snprintf(mounts + used, sizeof mounts - used, "%s", mount_v2("/a", "/groups"));
    write_file("proc/self/mountinfo", mounts);
    write_file("groups/cpu.max", "500000 100000\n");
    write_file("groups/a/cpu.max", "100000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 5, "/groups/cpu.max");
    lp_cgroup_fini(&cgroup);
}

TEST(a_group_with_a_similar_name_is_another_group)
{
    empty_scratch();
    write_file("proc/self/cgroup", "0::/abc\n");
    write_file("proc/self/mountinfo", mount_v2("/ab", "/groups"));
    write_file("groups/cpu.max", "100000 100000\n");
    write_file("groupsc/cpu.max", "100000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 0, "");
    lp_cgroup_fini(&cgroup);
}

TEST(a_path_does_not_lead_out_of_its_mount)
{
    empty_scratch();
    write_file("proc/self/cgroup", "0::/a/../../../secret\n");
    write_file("proc/self/mountinfo", mount_v2("/", "/groups"));
    write_file("secret/cpu.max", "100000 100000\n");
    write_file("groups/secret/cpu.max", "100000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 0, "");
    lp_cgroup_fini(&cgroup);
    write_file("proc/self/cgroup", "0::/a/./b/../../secret/\n");
    cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 1, "/groups/secret/cpu.max");
    lp_cgroup_fini(&cgroup);
}

TEST(a_quota_of_v1_without_its_period_is_a_warning)
{
    empty_scratch();
    write_file("proc/self/cgroup", "1:cpu:/\n");
    write_file("proc/self/mountinfo", "30 23 0:26 / /cpu rw - cgroup cgroup rw,cpu\n");
    write_file("cpu/cpu.cfs_quota_us", "100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 0, "");
    CHECK(strstr(log_text, "/cpu/cpu.cfs_quota_us: `100000' is no CPU quota") != NULL);
    lp_cgroup_fini(&cgroup);
}

TEST(a_controller_with_a_longer_name_is_another_controller)
{
    empty_scratch();
    write_file("proc/self/cgroup", "2:cpuacct:/\n1:name=cpu:/\n");
    write_file("proc/self/mountinfo", "30 23 0:26 / /g rw - cgroup cgroup rw,cpuacct\n");
    write_file("g/cpu.cfs_quota_us", "100000\n");
    write_file("g/cpu.cfs_period_us", "100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 0, "");
    lp_cgroup_fini(&cgroup);
}

TEST(lines_without_sense_are_warned_of_by_name_and_the_others_count)
{
    empty_scratch();
    write_file("proc/self/cgroup", "what is this\n0::relative\n0:/\n0::/a\n");
    char mounts[1024];
    snprintf(mounts, sizeof mounts,
             "oh\n30 23 0:26 relative /x rw - cgroup2 cgroup2 rw\n"
             "30 23 0:26 / /x rw no dash\n%s",
             mount_v2("/", "/groups"));
    write_file("proc/self/mountinfo", mounts);
    write_file("groups/a/cpu.max", "200000 100000\n");
    write_file("groups/a/cpu.stat", "nr_periods many\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 2, "/groups/a/cpu.max");
    check_no_stat(&cgroup);
    CHECK(strstr(log_text, "/proc/self/cgroup: `what is this' names no control group") != NULL);
    CHECK(strstr(log_text, "/proc/self/cgroup: `0::relative'") != NULL);
    CHECK(strstr(log_text, "/proc/self/mountinfo: `oh' describes no mount") != NULL);
    CHECK(strstr(log_text, "mountinfo: `30 23 0:26 / /x rw no dash' describes") != NULL);
    CHECK(strstr(log_text, "mountinfo: `30 23 0:26 relative /x rw - cgroup2") != NULL);
    CHECK(strstr(log_text, "/groups/a/cpu.stat: `nr_periods many'") != NULL);
    lp_cgroup_fini(&cgroup);
}

TEST(a_file_with_a_zero_byte_a_huge_one_and_a_directory_are_as_if_absent)
{
    empty_scratch();
    write_file("proc/self/cgroup", "0::/a/b/c\n");
    write_file("proc/self/mountinfo", mount_v2("/", "/groups"));
    static const char with_zero[] = "100000 1\0"
                                    "00000\n";
    write_bytes("groups/a/b/c/cpu.max", with_zero, sizeof with_zero - 1);
    size_t bytes = 3u << 20;
    char *huge = malloc(bytes);
    memset(huge, '1', bytes);
    write_bytes("groups/a/b/cpu.max", huge, bytes);
    free(huge);
    write_file("groups/a/cpu.max/file", "");
    write_file("groups/cpu.max", "800000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 8, "/groups/cpu.max");
    CHECK(strstr(log_text, "/groups/a/b/c/cpu.max contains a zero byte") != NULL);
    CHECK(strstr(log_text, "/groups/a/b/cpu.max is too large") != NULL);
    lp_cgroup_fini(&cgroup);
}

TEST(very_long_lines_and_very_deep_groups_are_read)
{
    empty_scratch();
    enum {
        BYTES = 200000
    };
    char *text = malloc(BYTES + 1024);
    /* Of the many levels only the top is there. */
    size_t used = (size_t)sprintf(text, "0::");
    for (int i = 0; i < 10000; i++) {
        used += (size_t)sprintf(text + used, "/a");
    }
    sprintf(text + used, "\n");
    write_file("proc/self/cgroup", text);
    used = (size_t)sprintf(text, "29 23 0:3 / / rw - overlay overlay lowerdir=");
    memset(text + used, 'l', BYTES - used);
    snprintf(text + BYTES, 1024, "\n%s", mount_v2("/", "/groups"));
    write_file("proc/self/mountinfo", text);
    free(text);
    write_file("groups/cpu.max", "200000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 2, "/groups/cpu.max");
    lp_cgroup_fini(&cgroup);
}

TEST(a_long_source_is_cut)
{
    empty_scratch();
    char group[1024] = "", line[1100], file[1100];
    for (int i = 0; i < 5; i++) {
        size_t used = strlen(group);
        group[used] = '/';
        memset(group + used + 1, 'a' + i, 180);
        group[used + 181] = '\0';
    }
    snprintf(line, sizeof line, "0::%s\n", group);
    snprintf(file, sizeof file, "g%s/cpu.max", group);
    write_file("proc/self/cgroup", line);
    write_file("proc/self/mountinfo", mount_v2("/", "/g"));
    write_file(file, "100000 100000\n");
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    CHECK(cgroup.quota == 1);
    CHECK(strlen(cgroup.quota_from) == LP_CGROUP_PATH - 1);
    lp_cgroup_fini(&cgroup);
}

/* ---- errors ---------------------------------------------------------------------------------- */

TEST(without_memory_the_reading_fails_as_a_whole_and_nothing_is_left_over)
{
    char root[4096];
    snprintf(root, sizeof root, "%s/cgroups/hybrid", LOOMP_TEST_DATA);
    long blocks = atomic_load(&live_blocks);
    bool failed = true;
    long n;
    listen();
    for (n = 1; failed; n++) {
        struct lp_cgroup cgroup = {.quota = -1};
        atomic_store(&fault_hits, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], n);
        int err = lp_cgroup_read(&cgroup, root, 0);
        atomic_store(&fault_countdown[FAULT_MEMORY], 0);
        failed = atomic_load(&fault_hits) > 0;
        CHECK(err == (failed ? -ENOMEM : 0));
        if (failed) {
            CHECK(cgroup.quota == -1);
            CHECK(strstr(loomp_error(), "no memory") != NULL);
        } else {
            CHECK(cgroup.quota == 2.5);
            lp_cgroup_fini(&cgroup);
        }
        CHECK(atomic_load(&live_blocks) == blocks);
    }
    CHECK(n > 20);
    CHECK_TEXT(log_text, "");
}

TEST(a_file_that_may_not_be_read_is_as_if_absent)
{
    empty_scratch();
    write_file("proc/self/cgroup", "0::/a\n");
    write_file("proc/self/mountinfo", mount_v2("/", "/groups"));
    write_file("groups/cpu.max", "400000 100000\n");
    write_file("groups/a/cpu.max", "100000 100000\n");
    char path[8192];
    snprintf(path, sizeof path, "%s/groups/a/cpu.max", scratch);
    CHECK(chmod(path, 0) == 0);
    bool may = access(path, R_OK) == 0; /* the superuser may all the same */
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    CHECK(cgroup.quota == (may ? 1 : 4));
    CHECK_TEXT(log_text, "");
    lp_cgroup_fini(&cgroup);
}

/* ---- everything malformed -------------------------------------------------------------------- */

/* xorshift; the seed is fixed, so that a failure comes again. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Changes some bytes, cuts, or puts a piece twice; never longer than twice the text. */
static size_t mutate(char *text, size_t bytes, uint32_t *state)
{
    static const char favourites[] = "/ \n:,-.019\\\0\377xm";
    unsigned changes = next_random(state) % 4 + 1;
    while (changes-- > 0 && bytes > 0) {
        size_t at = next_random(state) % bytes;
        switch (next_random(state) % 5) {
        case 0:
            text[at] = (char)next_random(state);
            break;
        case 1:
            text[at] = favourites[next_random(state) % (sizeof favourites - 1)];
            break;
        case 2:
            bytes = at;
            break;
        case 3: {
            size_t piece = next_random(state) % (bytes - at) % 32;
            memmove(text + at, text + at + piece, bytes - at - piece);
            bytes -= piece;
            break;
        }
        default: {
            size_t piece = (bytes - at) % 16;
            memmove(text + at + piece, text + at, bytes - at);
            bytes += piece;
            break;
        }
        }
    }
    return bytes;
}

TEST(no_malformed_file_does_harm)
{
    static const struct {
        const char *path, *content;
    } files[] = {
        {"proc/self/cgroup",
         "3:cpu,cpuacct:/a/b\n2:cpuset:/a/../c\n1:name=systemd:/x\n0::/../s/t\n"},
        {"proc/self/mountinfo",
         "22 27 0:21 / /proc rw shared:12 - proc proc rw\n"
         "31 25 0:31 /a /cpu rw shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
         "32 25 0:32 / /set\\040s rw - cgroup cgroup rw,cpuset\n"
         "33 25 0:33 /.. /v2 rw - cgroup2 cgroup2 rw,nsdelegate\n"},
        {"cpu/b/cpu.cfs_quota_us", "150000\n"},
        {"cpu/b/cpu.cfs_period_us", "100000\n"},
        {"cpu/b/cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 1000000000\n"},
        {"set s/c/cpuset.cpus", "0-3,8,10-11\n"},
        {"v2/s/cpu.max", "120000 100000\n"},
        {"v2/s/t/cpuset.cpus.effective", "0-1023\n"},
        {"v2/s/cpu.stat", "usage_usec 1\nnr_periods 1\nnr_throttled 1\nthrottled_usec 7\n"},
    };
    enum {
        FILES = sizeof files / sizeof files[0],
        VARIANTS = 4000
    };
    empty_scratch();
    for (int i = 0; i < FILES; i++) {
        write_file(files[i].path, files[i].content);
    }
    struct lp_cgroup cgroup = read_tree(scratch, 0);
    check_quota(&cgroup, 1.2, "/v2/s/cpu.max");
    check_cpus(&cgroup, "0-3,8,10-11", "/set s/c/cpuset.cpus");
    check_stat(&cgroup, 5, 2, 1, "/cpu/b/cpu.stat");
    lp_cgroup_fini(&cgroup);

    uint32_t state = 20240607;
    unsigned limited = 0, unlimited = 0;
    for (int variant = 0; variant < VARIANTS; variant++) {
        int i = (int)(next_random(&state) % FILES);
        char text[4096];
        size_t bytes = strlen(files[i].content);
        memcpy(text, files[i].content, bytes);
        bytes = mutate(text, bytes, &state);
        text[bytes] = '\0';
        write_bytes(files[i].path, text, bytes);
        cgroup = read_tree(scratch, 0);
        if (!CHECK(cgroup.quota >= 0) ||
            !CHECK(!cgroup.cpus || lp_cpuset_first(cgroup.cpus) >= 0)) {
            CHECK_TEXT(text, "fine");
        }
        limited += cgroup.quota == 1.2;
        unlimited += cgroup.quota != 1.2;
        lp_cgroup_fini(&cgroup);
        write_file(files[i].path, files[i].content);
    }
    /* Neither did every change matter, nor did none. */
    CHECK(limited > VARIANTS / 10);
    CHECK(unlimited > VARIANTS / 100);
}

int main(int argc, char **argv)
{
    if (!make_scratch()) {
        perror("a directory for the tests");
        return 1;
    }
    int status = harness_run(argc, argv);
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
