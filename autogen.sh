#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes configure in a checkout; releases contain it.
set -e
cd "$(dirname "$0")"
if ! command -v autoreconf >/dev/null || ! command -v libtoolize >/dev/null; then
    echo "autogen.sh: autoconf, automake and libtool are needed" \
        "(Debian, Fedora and Spack: autoconf automake libtool)." >&2
    exit 1
fi
exec autoreconf --force --install
