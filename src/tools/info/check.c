/* SPDX-License-Identifier: MIT */
/* Owns --check: says which OpenMP runtimes a program loads and what that means. */
#include "tools/info/info.h"

#include "base/error.h"
#include "tools/openmp_of.h"

#include <errno.h>
#include <string.h>

int info_check(const struct info_options *options, FILE *out)
{
    const char *program = options->target;
    struct lp_openmp_runtimes found = {0};
    int err = lp_openmp_runtimes_of(program, &found);
    if (err) {
        return err;
    }
    const char *const names[] = {found.llvm ? "libomp (LLVM)" : NULL,
                                 found.gnu ? "libgomp (GNU)" : NULL,
                                 found.intel ? "libiomp5 (Intel)" : NULL};
    unsigned runtimes = 0;
    fprintf(out, "%s: ", program);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i]) {
            fprintf(out, "%s%s", runtimes ? " and " : "", names[i]);
            runtimes++;
        }
    }
    if (runtimes == 0 && *found.problem) {
        fputs("no OpenMP runtime is known", out);
    } else if (runtimes == 0) {
        fputs(found.is_static_or_unknown ? "no OpenMP runtime was found, and no dynamic linker "
                                           "could be asked"
                                         : "no OpenMP runtime",
              out);
    } else if (found.is_static_or_unknown) {
        fputs(", linked into the program or guessed, because no dynamic linker could be asked",
              out);
    }
    fputc('\n', out);
    for (unsigned i = 0; i < found.count; i++) {
        fprintf(out, "  %s\n", found.paths[i]);
    }
    if (*found.problem) {
        bool is_named = strstr(found.problem, program);
        return lp_fail(
            -ENOEXEC, "%s%s%s%s", is_named ? "" : program, is_named ? "" : ": ", found.problem,
            runtimes > 1 ? "; and of what is known it loads more than one OpenMP runtime" : "");
    }
    if (runtimes > 1) {
        return lp_fail(-EEXIST,
                       "%s loads %u OpenMP runtimes: each has threads of its own, and they fight "
                       "for the same CPUs; loomp-run --one-openmp makes it use one",
                       program, runtimes);
    }
    return 0;
}
