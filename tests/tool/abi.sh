#!/bin/sh
# SPDX-License-Identifier: MIT
# Sizes and offsets of the public structs, and the values of the public constants, are those of the
# last release (tests/data). A new release adds a file; nobody changes an old one. Until 0.1 is out its
# file follows the headers: tests/tool/abi of a build prints it.
. "$(dirname "$0")/../lib/check.sh"

program=${top_builddir:-.}/tests/tool/abi
[ -x "$program" ] || skip "tests/tool/abi is not built"
recorded=$top_srcdir/tests/data/abi-0.1.txt
"$program" >"$scratch/now"
status=$?
[ "$status" != 77 ] || skip "the record is for machines with 64-bit pointers and longs"
[ "$status" = 0 ] || fail "tests/tool/abi ended with $status"
diff -u "$recorded" "$scratch/now" || fail "the layout differs from $(basename "$recorded")"
finish "$(wc -l <"$scratch/now") lines as recorded"
