#!/bin/sh
# SPDX-License-Identifier: MIT
# Every public header compiles alone, twice in a row, in C17 and C++17, without a warning of any
# compiler here; and every one is in the list of headers to install.
. "$(dirname "$0")/../lib/check.sh"

include=$top_srcdir/include
warnings="-Wall -Wextra -pedantic -Werror"
headers=$(cd "$include" && find . -name '*.h' | sed 's,^\./,,' | sort)
[ -n "$headers" ] || fail "no headers in $include"

for header in $headers; do
    grep -q "[[:space:]]$header\( \\\\\)\{0,1\}$" "$include/Makefile.am" ||
        fail "$header is not in include/Makefile.am"
    printf '#include <%s>\n#include <%s>\n' "$header" "$header" >"$scratch/alone.c"
    cp "$scratch/alone.c" "$scratch/alone.cc"
    # A header that the tests of applications use may need CUnit, one about loops libev.
    flags="-I$include ${CUNIT_CFLAGS:-} ${LIBEV_CFLAGS:-}"
    c_compilers >"$scratch/compilers"
    while read -r compiler; do
        # shellcheck disable=SC2086 # compiler and flags are words
        $compiler -std=c17 $warnings $flags -fsyntax-only "$scratch/alone.c" </dev/null ||
            fail "$header with $compiler -std=c17"
    done <"$scratch/compilers"
    cxx_compilers >"$scratch/compilers"
    while read -r compiler; do
        # shellcheck disable=SC2086
        $compiler -std=c++17 $warnings $flags -fsyntax-only "$scratch/alone.cc" </dev/null ||
            fail "$header with $compiler -std=c++17"
    done <"$scratch/compilers"
done
finish "$(echo "$headers" | wc -w) headers with: $(c_compilers | tr '\n' ' ')$(cxx_compilers | tr '\n' ' ')"
