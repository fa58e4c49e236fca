/* SPDX-License-Identifier: MIT */
/* Owns --one-openmp: whether a program built for libgomp can do with libomp, and the library that
 * takes libgomp's place. That library is loaded before all others and has libgomp's name, so the
 * loader is content with it wherever the program would have looked: RPATH, RUNPATH, dlopen. */
#include "tools/run/run.h"

#include "base/error.h"
#include "tools/elf_symbols.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beside a program that was not installed, else where it was installed. */
static int find_library(char *path, size_t size)
{
    static const char *const installed = LP_PKGLIBDIR "/libgomp.so.1";
    static const char built[] = "/tools/one_openmp/.libs/libgomp.so.1";
    char self[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - sizeof built);
    if (bytes > 0) {
        self[bytes] = 0;
        char *slash = strrchr(self, '/');
        if (slash) {
            strcpy(slash, built);
            if (access(self, R_OK) == 0 && (size_t)snprintf(path, size, "%s", self) < size) {
                return 0;
            }
        }
    }
    if (access(installed, R_OK) != 0) {
        return lp_fail(-ENOENT, "--one-openmp: %s is missing; it is installed with loomp",
                       installed);
    }
    snprintf(path, size, "%s", installed);
    return 0;
}

/* What libomp has an entry point for, or nearly, but does not do as libgomp does. */
static int look_at_imports(const char *program, unsigned threads)
{
    char path[PATH_MAX];
    struct lp_elf elf;
    if (lp_openmp_program(program, path, sizeof path) || lp_elf_open(&elf, path)) {
        return 0; /* it will be looked at, and complained of, when it is executed */
    }
    bool detaches = lp_elf_imports(&elf, "omp_fulfill_event");
    bool offloads = lp_elf_imports(&elf, "GOMP_target_ext");
    bool crosses =
        lp_elf_imports(&elf, "GOMP_doacross_wait") || lp_elf_imports(&elf, "GOMP_doacross_post");
    lp_elf_close(&elf);
    if (detaches || offloads) {
        return lp_fail(-ENOTSUP,
                       "--one-openmp: %s needs libgomp: libomp does not understand %s of gcc",
                       program, detaches ? "detached tasks (omp_fulfill_event)" : "omp target");
    }
    if (crosses && threads == 1) {
        return lp_fail(
            -ENOTSUP,
            "--one-openmp: %s has ordered loops with depend(sink), which crash in libomp "
            "with a team of one, and the plan is one thread",
            program);
    }
    return 0;
}

/* The kernel has the loader ignore LD_PRELOAD where a program runs with other rights than ours. */
static void warn_of_owner(const char *program)
{
    char path[PATH_MAX];
    struct stat status;
    if (lp_openmp_program(program, path, sizeof path) || stat(path, &status)) {
        return;
    }
    bool other_user = (status.st_mode & S_ISUID) && status.st_uid != geteuid();
    bool other_group =
        (status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != getegid();
    if (other_user || other_group) {
        run_warn("--one-openmp does nothing for %s: the loader ignores LD_PRELOAD in a "
                 "set-%s-ID program",
                 program, other_user ? "user" : "group");
    }
}

int run_one_openmp(const char *program, unsigned threads, struct lp_openmp_runtimes *runtimes,
                   bool *needed, char *library, size_t size)
{
    *needed = runtimes->gnu;
    if (*runtimes->problem) {
        return lp_fail(-ENOTSUP, "--one-openmp: what %s loads cannot be seen: %s", program,
                       runtimes->problem);
    }
    if (!runtimes->gnu) {
        return 0;
    }
    if (runtimes->is_static_or_unknown) {
        return lp_fail(-ENOTSUP, "--one-openmp: libgomp is linked into %s statically", program);
    }
    int err = find_library(library, size);
    if (!err && strpbrk(library, ": ")) {
        err = lp_fail(-EINVAL,
                      "--one-openmp: a path with a colon or a blank cannot be in LD_PRELOAD: %s",
                      library);
    }
    err = err ? err : look_at_imports(program, threads);
    char missing[256];
    struct lp_openmp_runtimes then;
    err = err ? err : lp_openmp_runtimes_with(program, library, missing, sizeof missing, &then);
    if (err) {
        return err;
    }
    if (*missing) {
        return lp_fail(-ENOTSUP, "--one-openmp: %s needs what libomp does not have: %s", program,
                       missing);
    }
    if (*then.problem) {
        return lp_fail(-ENOTSUP, "--one-openmp: what %s would load cannot be seen: %s", program,
                       then.problem);
    }
    if (then.gnu) {
        return lp_fail(-ENOTSUP,
                       "--one-openmp: %s would still load %s, a libgomp with another name "
                       "or inside the program",
                       program, then.paths[0]);
    }
    warn_of_owner(program);
    *runtimes = then;
    return 0;
}
