#!/bin/sh
# SPDX-License-Identifier: MIT
# loomp.conf(5) lists the settings of the library: the same keys in the same order, what each takes,
# and its default.
. "$(dirname "$0")/../lib/check.sh"

[ -z "${SANITIZER:-}" ] || skip "a library with sanitizers needs programs with the same ones"
[ -e "${SHARED_LIBRARY:-}" ] || skip "run by make check of a build with a shared library"
libraries=$(dirname "$SHARED_LIBRARY")

# The help has no keys, and the list of keys no ranges; both have the order of the table.
cat >"$scratch/settings.c" <<'END'
#include <loomp.h>

int main(void)
{
    const char *key;
    for (size_t i = 0; (key = loomp_config_key(i)) != NULL; i++) {
        puts(key);
    }
    puts("--");
    loomp_config_help(stdout);
    return 0;
}
END
# shellcheck disable=SC2086 # a compiler may have options with it
${CC:-cc} -I"$top_srcdir/include" -o "$scratch/settings" "$scratch/settings.c" \
    -L"$libraries" -lloomp -Wl,--allow-shlib-undefined || { echo "does not compile"; exit 1; }
LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$scratch/settings" \
    >"$scratch/output" || { echo "does not run"; exit 1; }

sed '/^--$/,$d' "$scratch/output" >"$scratch/keys"
sed '1,/^--$/d' "$scratch/output" | sed -n '/^--\(\[no-\]\)\{0,1\}loomp-/p' |
    sed '/^--loomp-help/d' >"$scratch/rows"
[ -s "$scratch/keys" ] && [ "$(wc -l <"$scratch/keys")" = "$(wc -l <"$scratch/rows")" ] ||
    fail "the help has other rows than the list of keys"

# Columns are two blanks apart; "-" stands for an empty default.
paste "$scratch/keys" "$scratch/rows" | awk -F '\t' '{
    split($2, column, /  +/)
    printf "%s\n", $1
    printf "Takes %s; default %s.\n", column[2], column[3] == "-" ? "empty" : column[3]
}' >"$scratch/library"

sed -n '/^\.SH SETTINGS/,/^\.SH ENVIRONMENT/p' "$top_srcdir/doc/man5/loomp.conf.5" |
    sed -n '/^\.TP/{n;s/^\.B //p;n;s/\\-/-/g;p;}' >"$scratch/page"

diff "$scratch/library" "$scratch/page" >"$scratch/difference" || {
    echo "library (<) and loomp.conf.5 (>) differ:"
    cat "$scratch/difference"
    fail "loomp.conf.5 does not list the settings of the library"
}
finish "$(wc -l <"$scratch/keys") settings"
