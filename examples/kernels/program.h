/* SPDX-License-Identifier: MIT */
/* The command line and the table of the programs that run kernels. They differ in the ways in which
 * they call them. */
#ifndef KERNELS_PROGRAM_H
#define KERNELS_PROGRAM_H

#include "kernels.h"

/* A way to run a kernel. Those of one name belong together. */
struct way {
    const char *name;
    /* Runs one of the kernel's forms so. Returns as the kernel, or another negative errno value;
     * then result->text may say why. */
    int (*run)(const struct kernel *kernel, char size, struct kernel_result *result);
};

struct program {
    const char *name;
    const char *option;     /* that chooses the way; its first letter is the short form */
    const struct way *ways; /* ended by one without a name; the first is the default */
    const char *what;       /* lines for --help: what it does ... */
    const char *help;       /* ... and the ways */
};

/* Does what the arguments say. The exit status: 0, 1 if an answer is not verified, 2 for arguments
 * that are wrong. */
int program_main(const struct program *program, int argc, char **argv);

#endif
