/* SPDX-License-Identifier: MIT */
/* page.html as an array, written by embed.sh when the server is built. */
#ifndef PAGE_H
#define PAGE_H

#include <stddef.h>

extern const unsigned char page_html[];
extern const size_t page_html_size;

#endif
