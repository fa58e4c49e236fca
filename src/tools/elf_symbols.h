/* SPDX-License-Identifier: MIT */
/* The symbol tables of an ELF file of this machine's kind. Files may be damaged or hostile: nothing
 * outside the file is read. One thread per object. */
#ifndef LP_TOOLS_ELF_SYMBOLS_H
#define LP_TOOLS_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

struct lp_elf {
    const unsigned char *bytes;
    size_t size;
};

/* 0; -ENOEXEC without a sentence if it is no ELF file of this machine's kind; another negative
 * errno with a sentence. */
int lp_elf_open(struct lp_elf *elf, const char *path);
void lp_elf_close(struct lp_elf *elf);

/* Whether it is a program or a library with all that its headers promise: no object file and not
 * cut off. */
bool lp_elf_is_whole(const struct lp_elf *elf);

/* Whether it names libraries that it needs. */
bool lp_elf_needs_others(const struct lp_elf *elf);

/* The dynamic loader that the file names, or NULL: a static program or a library. */
const char *lp_elf_interpreter(const struct lp_elf *elf);

/* Whether the file itself has that symbol, or asks others for it. */
bool lp_elf_defines(const struct lp_elf *elf, const char *symbol);
bool lp_elf_imports(const struct lp_elf *elf, const char *symbol);

#endif
