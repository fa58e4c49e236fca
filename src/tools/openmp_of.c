/* SPDX-License-Identifier: MIT */
/* Owns the question which OpenMP runtimes a program loads. The program is never run: its loader is
 * told to list what it would load. One thread. */
#include "tools/openmp_of.h"

#include "base/error.h"
#include "settings/settings.h"
#include "tools/elf_symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- which file ------------------------------------------------------------------------------ */

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static int find_in_path(const char *name, char *path, size_t size)
{
    const char *at = lp_settings_environment("PATH");
    for (at = at ? at : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
        at += *at == ':';
        int bytes = (int)strcspn(at, ":");
        int length = snprintf(path, size, "%.*s%s%s", bytes, at, bytes ? "/" : "./", name);
        if (length > 0 && (size_t)length < size && is_program(path)) {
            return 0;
        }
    }
    return lp_fail(-ENOENT, "there is no program %.200s in PATH", name);
}

static int find_file(const char *name, char *path, size_t size)
{
    if (!strchr(name, '/')) {
        return find_in_path(name, path, size);
    }
    if ((size_t)snprintf(path, size, "%s", name) >= size) {
        return lp_fail(-ENAMETOOLONG, "the program's path is too long: %.200s...", name);
    }
    struct stat status;
    if (stat(path, &status)) {
        int err = -errno;
        return lp_fail(err, "%.200s: %s", name, strerror(-err));
    }
    return is_program(path) ? 0 : lp_fail(-EACCES, "%.200s is not an executable file", name);
}

/* The interpreter of a script, and of "#! /usr/bin/env NAME" the name. False: it is no script. */
static bool read_interpreter(const char *path, char *name, size_t size)
{
    char line[PATH_MAX + 64];
    FILE *file = fopen(path, "re");
    bool is_script = file && fgets(line, sizeof line, file) && strncmp(line, "#!", 2) == 0;
    if (file) {
        fclose(file);
    }
    char *rest;
    char *word = is_script ? strtok_r(line + 2, " \t\r\n", &rest) : NULL;
    const char *base = word ? strrchr(word, '/') : NULL;
    if (word && strcmp(base ? base + 1 : word, "env") == 0) {
        char *next = strtok_r(NULL, " \t\r\n", &rest);
        while (next && (next[0] == '-' || strchr(next, '='))) {
            next = strtok_r(NULL, " \t\r\n", &rest);
        }
        word = next ? next : word;
    }
    return word && (size_t)snprintf(name, size, "%s", word) < size;
}

int lp_openmp_program(const char *program, char *path, size_t size)
{
    enum {
        SCRIPTS_MAX = 4
    }; /* as the kernel has it */
    char name[PATH_MAX];
    int err = find_file(program, path, size);
    for (int i = 0; !err && i < SCRIPTS_MAX && read_interpreter(path, name, sizeof name); i++) {
        err = find_file(name, path, size);
    }
    return err;
}

/* ---- what it loads --------------------------------------------------------------------------- */

/* Only what changes the loader's answer: the rest of the environment is not ours to pass on. */
enum {
    LOADER_VARIABLES = 5
};

struct loader_environment {
    char *variables[LOADER_VARIABLES + 1];
    unsigned count;
};

static bool add(struct loader_environment *environment, const char *name, const char *value)
{
    return asprintf(&environment->variables[environment->count++], "%s=%s", name, value) >= 0;
}

static int make_environment(struct loader_environment *environment, const char *preload,
                            bool traces)
{
    *environment = (struct loader_environment){0};
    const char *path = lp_settings_environment("LD_LIBRARY_PATH");
    const char *users = lp_settings_environment("LD_PRELOAD");
    bool ok = !path || add(environment, "LD_LIBRARY_PATH", path);
    ok = ok && (!traces || add(environment, "LD_TRACE_LOADED_OBJECTS", "1"));
    if (traces && preload) {
        ok = ok && add(environment, "LD_WARN", "yes") && add(environment, "LD_BIND_NOW", "yes");
    }
    if (preload) {
        char *both = NULL;
        ok = ok && asprintf(&both, "%s%s%s", preload, users ? ":" : "", users ? users : "") >= 0 &&
             add(environment, "LD_PRELOAD", both);
        free(both);
    } else if (users) {
        ok = ok && add(environment, "LD_PRELOAD", users);
    }
    return ok ? 0 : lp_fail(-ENOMEM, "no memory to ask the loader");
}

static void free_environment(struct loader_environment *environment)
{
    for (unsigned i = 0; i < environment->count; i++) {
        free(environment->variables[i]);
    }
}

/* A name like a loader's: ld-linux-x86-64.so.2, ld64.so.2, ld-musl-x86_64.so.1. Whatever else a
 * file names as its loader would be run as a program, and is not. */
static bool is_loader(const char *loader)
{
    const char *name = strrchr(loader, '/');
    return name && strncmp(name, "/ld", 3) == 0 && strstr(name, ".so");
}

/* If it is asked through the environment, glibc's loader goes on after a library that is missing,
 * and looks at every symbol, too; others would not understand and run the program. */
static bool is_of_glibc(const char *loader)
{
    const char *name = strrchr(loader, '/');
    return name && (strncmp(name, "/ld-linux", 9) == 0 || strncmp(name, "/ld64.so", 8) == 0);
}

/* Starts the loader with its output and complaints in a pipe; returns the end to read from. */
static int start_loader(const char *loader, const char *program, const char *preload, pid_t *pid)
{
    struct loader_environment environment;
    posix_spawn_file_actions_t actions;
    int ends[2];
    bool traces = is_of_glibc(loader);
    int err = make_environment(&environment, preload, traces);
    if (!err && pipe2(ends, O_CLOEXEC)) {
        err = lp_fail(-errno, "no pipe to the loader %s: %s", loader, strerror(errno));
    }
    if (err) {
        free_environment(&environment);
        return err;
    }
    char list[] = "--list";
    char *arguments[] = {(char *)(uintptr_t)loader, traces ? (char *)(uintptr_t)program : list,
                         traces ? NULL : (char *)(uintptr_t)program, NULL};
    err = -posix_spawn_file_actions_init(&actions);
    if (!err) {
        err = -posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        err = err ? err : -posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
        err = err ? err
                  : -posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY,
                                                      0);
        err =
            err ? err : -posix_spawn(pid, loader, &actions, NULL, arguments, environment.variables);
        posix_spawn_file_actions_destroy(&actions);
    }
    free_environment(&environment);
    close(ends[1]);
    if (err) {
        close(ends[0]);
        return lp_fail(err, "the loader %s cannot be started: %s", loader, strerror(-err));
    }
    return ends[0];
}

static bool is_known(const struct lp_openmp_runtimes *out, const char *path)
{
    for (unsigned i = 0; i < out->count; i++) {
        if (strcmp(out->paths[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static void add_path(struct lp_openmp_runtimes *out, const char *path)
{
    if (out->count < LP_OPENMP_PATHS) {
        snprintf(out->paths[out->count++], LP_OPENMP_PATH, "%.*s", LP_OPENMP_PATH - 1, path);
    }
}

/* Looks at what a file defines. libomp has libgomp's entry points too, so its own are asked first.
 */
static void look_inside(struct lp_openmp_runtimes *out, const char *path, const char *name)
{
    struct lp_elf elf;
    if (lp_elf_open(&elf, path)) {
        return;
    }
    bool kmp = lp_elf_defines(&elf, "__kmpc_fork_call");
    bool gomp = !kmp && lp_elf_defines(&elf, "GOMP_parallel");
    bool iomp = kmp && strstr(name, "iomp");
    lp_elf_close(&elf);
    out->intel |= iomp;
    out->llvm |= kmp && !iomp;
    out->gnu |= gomp;
    if (kmp || gomp) {
        add_path(out, path);
    }
}

/* A library that the loader lists; only those with omp in their name are opened. */
static void look_at_library(struct lp_openmp_runtimes *out, const char *path)
{
    char real[PATH_MAX];
    if (!realpath(path, real)) {
        return;
    }
    const char *as_named = strrchr(path, '/');
    const char *as_real = strrchr(real, '/');
    if (as_named && as_real && (strstr(as_named, "omp") || strstr(as_real, "omp")) &&
        !is_known(out, real)) {
        look_inside(out, real, as_real);
    }
}

/* The first that has to do with OpenMP: a program may have other gaps that it never meets. */
static void note_missing(char *missing, size_t size, const char *what)
{
    bool is_ours = strstr(what, "omp_") || strstr(what, "OMP_") || strstr(what, "acc_") ||
                   strstr(what, "GOACC_");
    if (missing && size && !*missing && is_ours) {
        snprintf(missing, size, "%.*s", (int)strcspn(what, "\t\n"), what);
    }
}

/* The first problem is told. */
__attribute__((format(printf, 2, 3))) static void note_problem(struct lp_openmp_runtimes *out,
                                                               const char *format, ...)
{
    if (*out->problem) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->problem, sizeof out->problem, format, arguments);
    va_end(arguments);
}

/* A library that is not there: what it would load is unknown, what it is may be seen by its name.
 */
static void note_missing_library(struct lp_openmp_runtimes *out, const char *name, int bytes)
{
    char library[LP_OPENMP_PATH];
    snprintf(library, sizeof library, "%.*s", bytes, name);
    note_problem(out, "the library %s is missing", library);
    bool intel = strstr(library, "libiomp"), gnu = strstr(library, "libgomp");
    bool llvm = strstr(library, "libomp.");
    out->intel |= intel;
    out->gnu |= gnu;
    out->llvm |= llvm;
    if ((intel || gnu || llvm) && !is_known(out, library)) {
        add_path(out, library);
    }
}

/* Of glibc and of musl: what a loader says when it gives up. False: it is something else. */
static bool read_failure(const char *line, struct lp_openmp_runtimes *out)
{
    static const char *const begins[] = {"error while loading shared libraries: ",
                                         "Error loading shared library "};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        const char *name = strstr(line, begins[i]);
        if (!name) {
            continue;
        }
        name += strlen(begins[i]);
        if (strstr(name, "cannot open shared object file") || strstr(name, "No such file")) {
            note_missing_library(out, name, (int)strcspn(name, ":\n"));
        } else {
            note_problem(out, "the dynamic loader says: %.*s", (int)strcspn(name, "\n"), name);
        }
        return true;
    }
    return false;
}

/* "	libgomp.so.1 => /lib/libgomp.so.1 (0x7f...)", "	/lib/libgomp.so.1 (0x7f...)" for what is
 * named by its path, or a complaint. */
static void read_line(char *line, char *missing, size_t size, struct lp_openmp_runtimes *out)
{
    static const char undefined[] = "undefined symbol: ";
    char *found = strstr(line, undefined);
    if (found) {
        note_missing(missing, size, found + sizeof undefined - 1);
        return;
    }
    char *begin = line + strspn(line, "\t ");
    found = strstr(begin, " => not found");
    if (found) {
        note_missing_library(out, begin, (int)(found - begin));
        return;
    }
    if (strstr(begin, "not found")) {
        note_missing(missing, size, begin);
        note_problem(out, "the dynamic loader says: %.*s", (int)strcspn(begin, "\n"), begin);
        return;
    }
    if (read_failure(begin, out)) {
        return;
    }
    char *path = strstr(line, "=> ");
    path = path ? path + 3 : begin;
    char *address = strstr(path, " (0x");
    if (path[0] == '/' && address) {
        *address = 0;
        look_at_library(out, path);
    }
}

static int ask_loader(const char *loader, const char *program, const char *preload, char *missing,
                      size_t size, struct lp_openmp_runtimes *out)
{
    pid_t pid;
    int fd = start_loader(loader, program, preload, &pid);
    if (fd < 0) {
        return fd;
    }
    FILE *lines = fdopen(fd, "r");
    char *line = NULL;
    size_t capacity = 0;
    while (lines && getline(&line, &capacity, lines) >= 0) {
        read_line(line, missing, size, out);
    }
    free(line);
    if (lines) {
        fclose(lines);
    } else {
        close(fd);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        note_problem(out, "the dynamic loader %s has died of signal %d over %s", loader,
                     WTERMSIG(status), program);
    } else if (WEXITSTATUS(status)) {
        note_problem(out, "the dynamic loader %s does not say what %s loads (status %d)", loader,
                     program, WEXITSTATUS(status));
    }
    return lines ? 0 : lp_fail(-ENOMEM, "no memory to listen to the loader %s", loader);
}

/* A library names no loader: it is the one of the program that loads it, and ours will do. */
static void find_loader(const struct lp_elf *elf, char *loader, size_t size)
{
    const char *named = lp_elf_interpreter(elf);
    struct lp_elf self;
    snprintf(loader, size, "%s", named ? named : "");
    if (named || !lp_elf_needs_others(elf) || lp_elf_open(&self, "/proc/self/exe")) {
        return;
    }
    named = lp_elf_interpreter(&self);
    snprintf(loader, size, "%s", named ? named : "");
    lp_elf_close(&self);
}

/* Libraries need not be executable to be loaded. */
static bool is_library(const char *path)
{
    struct lp_elf elf;
    if (!strchr(path, '/') || lp_elf_open(&elf, path)) {
        return false;
    }
    bool is = lp_elf_is_whole(&elf) && !lp_elf_interpreter(&elf);
    lp_elf_close(&elf);
    return is;
}

/* What cannot be looked at, and why. `err` is that of lp_elf_open, 0: it is not whole. */
static void be_unknown(struct lp_openmp_runtimes *out, const char *path, int err)
{
    *out = (struct lp_openmp_runtimes){.is_static_or_unknown = true};
    struct stat status;
    bool empty = stat(path, &status) == 0 && status.st_size == 0;
    if (err && err != -ENOEXEC) {
        note_problem(out, "cannot read %s: %s", path, strerror(-err));
    } else {
        note_problem(out, "%s is no ELF program%s", path,
                     empty ? ": it is empty"
                     : err ? " of this machine's kind"
                           : ", or has been cut off");
    }
}

int lp_openmp_runtimes_with(const char *program, const char *preload, char *missing,
                            size_t missing_size, struct lp_openmp_runtimes *out)
{
    char path[PATH_MAX], loader[PATH_MAX];
    struct lp_openmp_runtimes found = {0};
    struct lp_elf elf;
    if (missing && missing_size) {
        *missing = 0;
    }
    int err = lp_openmp_program(program, path, sizeof path);
    if (err && (err != -EACCES || !is_library(path))) {
        return err;
    }
    err = lp_elf_open(&elf, path);
    if (err || !lp_elf_is_whole(&elf)) {
        lp_elf_close(&elf);
        be_unknown(out, path, err);
        return 0;
    }
    find_loader(&elf, loader, sizeof loader);
    lp_elf_close(&elf);
    /* a program can have a runtime inside, linked statically */
    look_inside(&found, path, "");
    if (!is_loader(loader)) {
        found.is_static_or_unknown = true;
    } else {
        err = ask_loader(loader, path, preload, missing, missing_size, &found);
        if (err) {
            return err;
        }
    }
    *out = found;
    return 0;
}

int lp_openmp_runtimes_of(const char *program, struct lp_openmp_runtimes *out)
{
    return lp_openmp_runtimes_with(program, NULL, NULL, 0, out);
}
