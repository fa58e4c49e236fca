dnl SPDX-License-Identifier: MIT
dnl The version is written once, in the public header; everything else reads it from there.

m4_define([LOOMP_VERSION_OF_HEADER], m4_esyscmd_s(
    [sed -n 's/^#define LOOMP_VERSION_STRING "\(.*\)"$/\1/p' include/loomp/version.h]))
