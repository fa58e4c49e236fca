#!/bin/sh
# SPDX-License-Identifier: MIT
# Every program of examples/patterns behaves as the guide's chapter "Patterns and pitfalls" says:
# each checks itself. The guide names them all; what it shows of their sources and of what they
# print is so.
. "$(dirname "$0")/../lib/check.sh"

programs=${top_builddir:-$top_srcdir}/examples/patterns
sources=$top_srcdir/examples/patterns
guide=$top_srcdir/doc/guide
[ -x "$programs/nested-waits" ] || skip "the examples are not built"

count=0
for source in "$sources"/*.c; do
    name=$(basename "$source" .c)
    echo "== $name"
    timeout -k 10 120 "$programs/$name" </dev/null >"$scratch/output" ||
        fail "$name: exit status $?"
    cat "$scratch/output"
    cat "$scratch/output" >>"$scratch/outputs"
    grep -q "$name" "$guide"/*.md || fail "$name: the guide does not name it"
    count=$((count + 1))
done

# Blocks of C in the chapter are copies: each line of theirs is a line of the program that the
# block's first line names.
awk '
    /^```c$/ { inside = 1; next }
    /^```$/ { inside = 0; name = "" }
    inside && /^\/\* [a-z-]*\.c \*\/$/ { name = $2; next }
    inside && name != "" && $0 != "" && $0 != "..." { print name "\t" $0 }
' "$guide/patterns.md" >"$scratch/shown"
while IFS="$(printf '\t')" read -r name line; do
    grep -q -F -e "$line" "$sources/$name" ||
        fail "patterns.md shows a line that $name lacks: $line"
done <"$scratch/shown"
[ -s "$scratch/shown" ] || fail "patterns.md shows nothing of the programs"

# Blocks of no language are output. Figures differ from run to run: a line that begins with one, and
# the time of a round trip.
awk '
    /^```/ { open = !open; plain = open && $0 == "```"; next }
    plain && $0 !~ /^ *[0-9]+ +[0-9.]+ / && $0 !~ /^loop -> / && $0 != "" { print }
' "$guide/patterns.md" >"$scratch/printed"
while IFS= read -r line; do
    grep -q -x -F -e "$line" "$scratch/outputs" ||
        fail "patterns.md shows a line that no program prints: $line"
done <"$scratch/printed"
[ -s "$scratch/printed" ] || fail "patterns.md shows nothing of what the programs print"
finish "$count programs, $(wc -l <"$scratch/shown") lines of theirs in the guide"
