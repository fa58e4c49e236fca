#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared library exports names that begin with loomp_, each under a version node, and every
# function that the public headers declare.
. "$(dirname "$0")/../lib/check.sh"

library=${SHARED_LIBRARY:-}
[ -n "$library" ] && [ -e "$library" ] || skip "there is no shared library in this build"

${NM:-nm} -D --defined-only --with-symbol-versions "$library" >"$scratch/nm" ||
    ${NM:-nm} -D --defined-only "$library" >"$scratch/nm" || exit 99
# The node itself is an absolute symbol.
awk '$2 != "A" { print $3 }' "$scratch/nm" | sort >"$scratch/exported"
[ -s "$scratch/exported" ] || fail "nothing is exported"
grep -v '^loomp_[A-Za-z0-9_]*@@LOOMP_[0-9.]*$' "$scratch/exported" >"$scratch/strange"
if [ -s "$scratch/strange" ]; then
    cat "$scratch/strange"
    fail "exported, but not as loomp_...@@LOOMP_..."
fi

# A declaration starts at the margin and its name is followed by a parenthesis.
cat "$top_srcdir"/include/loomp/*.h | sed 's,//.*,,' |
    sed -n -E '/^(typedef|#|static)/!s/^[A-Za-z].*[ *](loomp_[a-z0-9_]+)\(.*/\1/p' |
    sort -u >"$scratch/declared"
sed 's/@.*//' "$scratch/exported" | sort -u >"$scratch/names"
comm -23 "$scratch/declared" "$scratch/names" >"$scratch/missing"
if [ -s "$scratch/missing" ]; then
    cat "$scratch/missing"
    fail "declared in a public header, but not exported"
fi

if command -v readelf >/dev/null; then
    LC_ALL=C readelf -d "$library" >"$scratch/dynamic"
    grep -q NODELETE "$scratch/dynamic" || fail "not linked with -z nodelete"
    ! grep -q 'NEEDED.*libgomp' "$scratch/dynamic" || fail "needs libgomp"
    grep -q 'NEEDED.*libomp' "$scratch/dynamic" || fail "does not need libomp"
fi
finish "$(wc -l <"$scratch/exported") names, $(wc -l <"$scratch/declared") declared"
