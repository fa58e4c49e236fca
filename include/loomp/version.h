/* SPDX-License-Identifier: MIT */
/* The version of the interface, at compile time and at run time. */
#ifndef LOOMP_VERSION_H
#define LOOMP_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define LOOMP_VERSION_MAJOR 0
#define LOOMP_VERSION_MINOR 1
#define LOOMP_VERSION_PATCH 0
#define LOOMP_VERSION_STRING "0.1.0"

/* One number that grows with every release: 0xMMmmpp. */
#define LOOMP_VERSION \
    ((LOOMP_VERSION_MAJOR << 16) | (LOOMP_VERSION_MINOR << 8) | LOOMP_VERSION_PATCH)

/* Returns LOOMP_VERSION of the library that is running, which may differ from the header's.
 * Any thread; does not block. */
unsigned loomp_version(void);

#ifdef __cplusplus
}
#endif
#endif
