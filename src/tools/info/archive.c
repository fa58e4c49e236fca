/* SPDX-License-Identifier: MIT */
/* Owns the unpacking of archives. An archive is a stranger's: the names of its members are looked
 * at before tar sees it a second time, what came out is looked at before anybody opens it, and it
 * is all in a directory that only this user can enter. */
#include "tools/info/archive.h"

#include "base/error.h"
#include "settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OPEN_DESCRIPTORS = 16
};

static bool ends(const char *text, const char *end)
{
    size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

bool info_archive_is(const char *path)
{
    static const char *const names[] = {".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (ends(path, names[i])) {
            return true;
        }
    }
    return false;
}

/* ---- tar ------------------------------------------------------------------------------------- */

/* Starts tar; its standard output is the returned descriptor if `out` is given. The signals that
 * wait in this process end tar. */
static int start(pid_t *pid, char *const *arguments, int *out)
{
    int ends_of_pipe[2] = {-1, -1};
    if (out && pipe2(ends_of_pipe, O_CLOEXEC)) {
        return lp_fail(-errno, "cannot make a pipe: %s", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    /* tar explains itself at length; the sentence of this program has to do. */
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (out) {
        posix_spawn_file_actions_adddup2(&actions, ends_of_pipe[1], 1);
    }
    /* Of the environment tar gets only where programs are: TAR_OPTIONS could change -x. */
    char search[4096];
    const char *programs = lp_settings_environment("PATH");
    snprintf(search, sizeof search, "PATH=%s", programs && *programs ? programs : "/usr/bin:/bin");
    char *environment[] = {search, "LC_ALL=C", NULL};
    int failure = posix_spawnp(pid, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (out) {
        close(ends_of_pipe[1]);
        *out = ends_of_pipe[0];
    }
    if (failure && out) {
        close(ends_of_pipe[0]);
    }
    return failure ? lp_fail(-failure, "cannot start tar: %s", strerror(failure)) : 0;
}

static int finish(pid_t pid, const char *path)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return lp_fail(-errno, "cannot wait for tar: %s", strerror(errno));
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : lp_fail(-EINVAL, "%s: tar cannot read this archive", path);
}

static bool stays_inside(const char *name)
{
    if (*name == '/') {
        return false;
    }
    for (const char *at = name; *at;) {
        size_t bytes = strcspn(at, "/\n");
        if (bytes == 2 && strncmp(at, "..", 2) == 0) {
            return false;
        }
        at += bytes;
        at += *at != '\0';
    }
    return true;
}

static int check_names(const char *path)
{
    char *arguments[] = {"tar", "-tf", (char *)path, NULL};
    pid_t pid;
    int out;
    int err = start(&pid, arguments, &out);
    if (err) {
        return err;
    }
    FILE *names = fdopen(out, "r");
    if (!names) {
        close(out);
        finish(pid, path);
        return lp_fail(-ENOMEM, "no memory to read the names in %s", path);
    }
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, names) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (!err && !stays_inside(line)) {
            err = lp_fail(-EINVAL,
                          "%s: the member `%.200s' would leave the directory it is unpacked "
                          "in; nothing was unpacked",
                          path, line);
        }
    }
    free(line);
    fclose(names);
    int ended = finish(pid, path);
    return err ? err : ended;
}

/* ---- what came out --------------------------------------------------------------------------- */

/* nftw has no argument for its function. */
static const char *walked;
static int walk_error;
static char *found_tree;

static int look_at(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    char target[PATH_MAX];
    if (S_ISLNK(status->st_mode)) {
        size_t bytes = strlen(walked);
        if (realpath(path, target) &&
            (strncmp(target, walked, bytes) != 0 || (target[bytes] && target[bytes] != '/'))) {
            walk_error =
                lp_fail(-EINVAL, "the archive has a link `%.200s' to %.200s, outside of it",
                        path + bytes + 1, target);
        }
    } else if (kind == FTW_NS || !(S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))) {
        walk_error = lp_fail(-EINVAL,
                             "the archive has a member `%.200s' that is neither a file, a "
                             "directory nor a link",
                             path + strlen(walked) + 1);
    }
    return walk_error;
}

static int check_contents(const char *directory)
{
    walked = directory;
    walk_error = 0;
    if (nftw(directory, look_at, OPEN_DESCRIPTORS, FTW_PHYS) && !walk_error) {
        return lp_fail(-EIO, "cannot read what was unpacked into %s: %s", directory,
                       strerror(errno));
    }
    return walk_error;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

/* Recorded directories may be without permissions that removing needs. */
static int open_up(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    if (kind == FTW_D || kind == FTW_DNR) {
        chmod(path, status->st_mode | S_IRWXU);
    }
    return 0;
}

static bool is_tree(const char *directory)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/sys", directory);
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The directory with sys in it, which may be one or two below. */
static int find_tree(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    if (kind == FTW_D && place->level <= 2 && is_tree(path)) {
        found_tree = strdup(path);
    }
    return found_tree != NULL;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int extract(struct info_archive *archive, const char *path)
{
    char *arguments[] = {"tar", "-xf", (char *)path, "-C", archive->directory, "--no-same-owner",
                         NULL};
    pid_t pid;
    int err = start(&pid, arguments, NULL);
    return err ? err : finish(pid, path);
}

static int make_directory(struct info_archive *archive)
{
    const char *parent = lp_settings_environment("TMPDIR");
    char *name;
    if (asprintf(&name, "%s/loomp-info.XXXXXX", parent && *parent ? parent : "/tmp") < 0) {
        return lp_fail(-ENOMEM, "no memory for the name of a directory");
    }
    if (!mkdtemp(name)) {
        int failure = errno;
        lp_fail(-failure, "cannot make the directory %s: %s", name, strerror(failure));
        free(name);
        return -failure;
    }
    archive->directory = realpath(name, NULL);
    if (!archive->directory) {
        rmdir(name);
    }
    free(name);
    return archive->directory ? 0 : lp_fail(-ENOMEM, "no memory for the name of a directory");
}

static void hold_signals(sigset_t *old)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, old);
}

int info_archive_unpack(struct info_archive *archive, const char *given)
{
    *archive = (struct info_archive){0};
    /* tar takes what comes before a colon for a machine, unless a slash is before it. */
    char path[PATH_MAX];
    if (!realpath(given, path)) {
        return lp_fail(-errno, "cannot open %s: %s", given, strerror(errno));
    }
    hold_signals(&archive->mask);
    int err = check_names(path);
    if (!err) {
        err = make_directory(archive);
    }
    if (err) {
        sigprocmask(SIG_SETMASK, &archive->mask, NULL);
        return err;
    }
    err = extract(archive, path);
    nftw(archive->directory, open_up, OPEN_DESCRIPTORS, FTW_PHYS);
    if (!err) {
        err = check_contents(archive->directory);
    }
    if (!err) {
        found_tree = NULL;
        nftw(archive->directory, find_tree, OPEN_DESCRIPTORS, FTW_PHYS);
        archive->tree = found_tree;
        if (!archive->tree) {
            err = lp_fail(-EINVAL, "%s: there is no directory `sys' in this archive", path);
        }
    }
    if (err) {
        info_archive_remove(archive);
    }
    return err;
}

void info_archive_remove(struct info_archive *archive)
{
    if (!archive->directory) {
        return;
    }
    nftw(archive->directory, remove_one, OPEN_DESCRIPTORS, FTW_PHYS | FTW_DEPTH);
    free(archive->directory);
    free(archive->tree);
    archive->directory = NULL;
    archive->tree = NULL;
    sigprocmask(SIG_SETMASK, &archive->mask, NULL);
}
