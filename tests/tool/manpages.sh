#!/bin/sh
# SPDX-License-Identifier: MIT
# Every man page is listed for installation, every public function and macro with arguments has one,
# references between pages lead somewhere, and neither mandoc nor groff has anything to complain of.
. "$(dirname "$0")/../lib/check.sh"

doc=$top_srcdir/doc
cd "$doc" || exit 99
pages=$(find man[0-9]* -name '*.[0-9]' | sort)
[ -n "$pages" ] || skip "there are no man pages"

# Pages proper, and links: one line ".so man3/other.3".
proper=
for page in $pages; do
    grep -q "[[:space:]]$page\( \\\\\)\{0,1\}$" Makefile.am || fail "$page is not in doc/Makefile.am"
    target=$(sed -n 's/^\.so //p' "$page")
    if [ -z "$target" ]; then
        proper="$proper $page"
        continue
    fi
    [ -e "$target" ] || { fail "$page: there is no $target"; continue; }
    name=$(basename "$page" | sed 's/\.[0-9]$//')
    sed -n '/^\.SH NAME/,/^\.SH SYNOPSIS/p' "$target" | grep -q -w "$name" ||
        fail "$page: $target does not name $name"
done

# Declarations are the lines of the headers that begin with a type and have name and "(".
for function in $(sed -n -E 's/^[a-z].*[ *](loomp_[a-z_]+)\(.*/\1/p' \
    "$top_srcdir"/include/loomp/*.h | grep -v '^loomp_test_report_to_cunit$' | sort -u); do
    [ -e "man3/$function.3" ] || fail "$function has no man page"
done
for macro in $(sed -n -E 's/^#define (LOOMP_[A-Z_]+)\(.*/\1/p' \
    "$top_srcdir"/include/loomp/*.h | sort -u); do
    # shellcheck disable=SC2086 # a list
    grep -q "$macro" $proper || fail "$macro is in no man page"
done

# What is printed bold and followed by a section number is one of ours.
# shellcheck disable=SC2086 # a list
grep -o -h '\\fB[a-z_.]*\\fP([0-9])' $proper | sort -u |
    sed -E 's/^\\fB(.*)\\fP\(([0-9])\)$/man\2\/\1.\2/' >"$scratch/references"
while read -r page; do
    [ -e "$page" ] || fail "there is no $page, which a page refers to"
done <"$scratch/references"

checked="links and references"
if command -v mandoc >/dev/null; then
    # shellcheck disable=SC2086 # a list
    mandoc -T lint -W warning $proper >"$scratch/lint" 2>&1 ||
        { cat "$scratch/lint"; fail "mandoc complains"; }
    checked="$checked, mandoc"
fi
if command -v groff >/dev/null && [ -n "$(groff -man -Tascii man7/loomp.7 2>/dev/null)" ]; then
    for page in $proper; do
        groff -man -ww -z "$page" >"$scratch/lint" 2>&1
        [ -s "$scratch/lint" ] && { cat "$scratch/lint"; fail "groff complains of $page"; }
    done
    checked="$checked, groff"
fi
[ "$checked" != "links and references" ] || [ "$failures" != 0 ] ||
    skip "neither mandoc nor groff is there to look at the pages (Debian, Fedora, Spack: mandoc)"
finish "$(echo "$pages" | wc -l) pages: $checked"
