/* SPDX-License-Identifier: MIT */
/* Owns the mapping of ELF files and the walk over their symbols. Every offset is checked against
 * the file's size before it is followed. */
#include "tools/elf_symbols.h"

#include "base/error.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if __SIZEOF_POINTER__ == 8
enum {
    OUR_CLASS = ELFCLASS64
};
#else
enum {
    OUR_CLASS = ELFCLASS32
};
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum {
    OUR_DATA = ELFDATA2LSB
};
#else
enum {
    OUR_DATA = ELFDATA2MSB
};
#endif

/* `size` bytes at that offset, copied because nothing in a file needs to be aligned. */
static bool take(const struct lp_elf *elf, uint64_t offset, void *to, size_t size)
{
    if (offset > elf->size || size > elf->size - offset) {
        return false;
    }
    memcpy(to, elf->bytes + offset, size);
    return true;
}

/* A text that ends within [offset, offset + size), or NULL. */
static const char *text_at(const struct lp_elf *elf, uint64_t offset, uint64_t size)
{
    if (offset >= elf->size) {
        return NULL;
    }
    if (size > elf->size - offset) {
        size = elf->size - offset;
    }
    const unsigned char *text = elf->bytes + offset;
    return memchr(text, 0, (size_t)size) ? (const char *)text : NULL;
}

static bool is_ours(const struct lp_elf *elf)
{
    ElfW(Ehdr) header;
    return take(elf, 0, &header, sizeof header) && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
           header.e_ident[EI_CLASS] == OUR_CLASS && header.e_ident[EI_DATA] == OUR_DATA;
}

int lp_elf_open(struct lp_elf *elf, const char *path)
{
    *elf = (struct lp_elf){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) {
        int err = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return lp_fail(err, "%s cannot be read: %s", path, strerror(-err));
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        close(fd);
        return -ENOEXEC;
    }
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int err = bytes == MAP_FAILED ? -errno : 0;
    close(fd);
    if (err) {
        return lp_fail(err, "%s cannot be read: %s", path, strerror(-err));
    }
    *elf = (struct lp_elf){.bytes = bytes, .size = (size_t)status.st_size};
    if (!is_ours(elf)) {
        lp_elf_close(elf);
        return -ENOEXEC;
    }
    return 0;
}

void lp_elf_close(struct lp_elf *elf)
{
    if (elf->bytes) {
        munmap((void *)(uintptr_t)elf->bytes, elf->size);
    }
    *elf = (struct lp_elf){0};
}

static bool is_within(const struct lp_elf *elf, uint64_t offset, uint64_t size)
{
    return offset <= elf->size && size <= elf->size - offset;
}

bool lp_elf_is_whole(const struct lp_elf *elf)
{
    ElfW(Ehdr) header;
    ElfW(Phdr) segment;
    if (!take(elf, 0, &header, sizeof header) ||
        (header.e_type != ET_EXEC && header.e_type != ET_DYN) || header.e_phnum == 0 ||
        !is_within(elf, header.e_shoff, (uint64_t)header.e_shnum * header.e_shentsize)) {
        return false;
    }
    for (unsigned i = 0; i < header.e_phnum; i++) {
        if (!take(elf, header.e_phoff + (uint64_t)i * sizeof segment, &segment, sizeof segment) ||
            !is_within(elf, segment.p_offset, segment.p_filesz)) {
            return false;
        }
    }
    return true;
}

/* The first segment of that type. */
static bool find_segment(const struct lp_elf *elf, unsigned type, ElfW(Phdr) * segment)
{
    ElfW(Ehdr) header;
    if (!take(elf, 0, &header, sizeof header)) {
        return false;
    }
    for (unsigned i = 0; i < header.e_phnum; i++) {
        if (!take(elf, header.e_phoff + (uint64_t)i * sizeof *segment, segment, sizeof *segment)) {
            return false;
        }
        if (segment->p_type == type) {
            return true;
        }
    }
    return false;
}

const char *lp_elf_interpreter(const struct lp_elf *elf)
{
    ElfW(Phdr) segment;
    return find_segment(elf, PT_INTERP, &segment) ? text_at(elf, segment.p_offset, segment.p_filesz)
                                                  : NULL;
}

bool lp_elf_needs_others(const struct lp_elf *elf)
{
    ElfW(Phdr) segment;
    ElfW(Dyn) entry;
    if (!find_segment(elf, PT_DYNAMIC, &segment)) {
        return false;
    }
    for (uint64_t at = 0; at < segment.p_filesz && segment.p_filesz - at >= sizeof entry;
         at += sizeof entry) {
        if (!take(elf, segment.p_offset + at, &entry, sizeof entry) || entry.d_tag == DT_NULL) {
            return false;
        }
        if (entry.d_tag == DT_NEEDED) {
            return true;
        }
    }
    return false;
}

/* Whether the table of that section has the symbol, defined or not as wanted. */
static bool table_has(const struct lp_elf *elf, const ElfW(Ehdr) * header,
                      const ElfW(Shdr) * section, const char *symbol, bool defined)
{
    ElfW(Shdr) names;
    ElfW(Sym) entry;
    if (section->sh_link >= header->e_shnum ||
        !take(elf, header->e_shoff + (uint64_t)section->sh_link * sizeof names, &names,
              sizeof names)) {
        return false;
    }
    for (uint64_t at = 0; at < section->sh_size && section->sh_size - at >= sizeof entry;
         at += sizeof entry) {
        if (!take(elf, section->sh_offset + at, &entry, sizeof entry)) {
            return false;
        }
        if (entry.st_name >= names.sh_size || (entry.st_shndx != SHN_UNDEF) != defined) {
            continue;
        }
        const char *name =
            text_at(elf, names.sh_offset + entry.st_name, names.sh_size - entry.st_name);
        /* in the full table of a linked program a version follows after an @ */
        size_t bytes = name ? strcspn(name, "@") : 0;
        if (name && strlen(symbol) == bytes && memcmp(name, symbol, bytes) == 0) {
            return true;
        }
    }
    return false;
}

static bool has(const struct lp_elf *elf, const char *symbol, bool defined)
{
    ElfW(Ehdr) header;
    ElfW(Shdr) section;
    if (!take(elf, 0, &header, sizeof header)) {
        return false;
    }
    for (unsigned i = 0; i < header.e_shnum; i++) {
        if (!take(elf, header.e_shoff + (uint64_t)i * sizeof section, &section, sizeof section)) {
            return false;
        }
        if ((section.sh_type == SHT_DYNSYM || section.sh_type == SHT_SYMTAB) &&
            table_has(elf, &header, &section, symbol, defined)) {
            return true;
        }
    }
    return false;
}

bool lp_elf_defines(const struct lp_elf *elf, const char *symbol)
{
    return has(elf, symbol, true);
}

bool lp_elf_imports(const struct lp_elf *elf, const char *symbol)
{
    return has(elf, symbol, false);
}
