/* SPDX-License-Identifier: MIT */
/* Which OpenMP runtimes a program would load, without running it: its own dynamic loader is asked
 * to list what it would load. Starts that loader as a child; blocks until it has answered. One
 * thread. */
#ifndef LP_TOOLS_OPENMP_OF_H
#define LP_TOOLS_OPENMP_OF_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LP_OPENMP_PATHS = 4,
    LP_OPENMP_PATH = 256,
    LP_OPENMP_PROBLEM = 512
};

struct lp_openmp_runtimes {
    bool llvm;  /* libomp, by whatever name: what counts is the entry points that it has */
    bool gnu;   /* libgomp */
    bool intel; /* libiomp5 */
    bool is_static_or_unknown; /* no dynamic loader could be asked: what is set was found inside */
    char paths[LP_OPENMP_PATHS][LP_OPENMP_PATH]; /* files; the program itself if it is inside; of a
                                                  * missing one the name */
    unsigned count;                              /* of paths */
    /* why there may be more than what is set, in a sentence: a library that is missing, a file that
     * cannot be read or understood; "" if all was looked at */
    char problem[LP_OPENMP_PROBLEM];
};

/* program: a path, or a name that is looked for in PATH. Of a script the interpreter is looked at.
 * A library is one that need not be executable. 0; -ENOENT, -EACCES or another negative errno with
 * a sentence. A file that was found but cannot be understood (of another machine, say) is no error
 * but unknown, and a problem. */
int lp_openmp_runtimes_of(const char *program, struct lp_openmp_runtimes *out);

/* The file that would be executed, after PATH and scripts; as above. */
int lp_openmp_program(const char *program, char *path, size_t size);

/* The same as lp_openmp_runtimes_of with a library loaded before all others, and a look at whether
 * every symbol of OpenMP finds its definition; missing: the first that does not ("GOMP_target_ext,
 * version GOMP_4.5"), or "". */
int lp_openmp_runtimes_with(const char *program, const char *preload, char *missing,
                            size_t missing_size, struct lp_openmp_runtimes *out);

#endif
