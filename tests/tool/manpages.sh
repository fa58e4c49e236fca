#!/bin/sh
# SPDX-License-Identifier: MIT
# Every man page is listed for installation, and mandoc has nothing to complain of.
. "$(dirname "$0")/../lib/check.sh"

doc=$top_srcdir/doc
pages=$(cd "$doc" && find man[0-9]* -name '*.[0-9]' 2>/dev/null | sort)
[ -n "$pages" ] || skip "there are no man pages"
for page in $pages; do
    grep -q "[[:space:]]$page\( \\\\\)\{0,1\}$" "$doc/Makefile.am" ||
        fail "$page is not in doc/Makefile.am"
done
if ! command -v mandoc >/dev/null; then
    [ "$failures" = 0 ] || finish
    skip "there is no mandoc (Debian, Fedora and Spack: mandoc)"
fi
(
    cd "$doc" || exit 1
    # References are looked for among what is installed, where ours are not yet.
    # shellcheck disable=SC2086 # a list
    mandoc -T lint -W warning $pages >"$scratch/lint" 2>&1
)
[ $? = 0 ] || { cat "$scratch/lint"; fail "mandoc complains"; }
finish "$(echo "$pages" | wc -l) pages"
