/* SPDX-License-Identifier: MIT */
/* A library with the name of gcc's OpenMP runtime and nothing in it: it stands in libgomp's place
 * in a program that loomp-run --one-openmp starts, and brings libomp along, which has libgomp's
 * entry points. It holds no code; no thread ever enters. */

/* Asked for, so that the linker keeps libomp. */
extern void __kmpc_fork_call(void);
void (*const loomp_one_openmp)(void) = __kmpc_fork_call;
