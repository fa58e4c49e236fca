#!/bin/sh
# SPDX-License-Identifier: MIT
# The folders of src/ are layers: a file includes its own layer and lower ones, never a higher one or
# a neighbour of the same height. And each dependency has one door: a header, pragma or call that is
# confined to a folder or file is used there only. Usage: layers.sh [DIRECTORY like src]
. "$(dirname "$0")/../lib/check.sh"

# Prints a line per violation in the tree $1.
violations()
{
    (cd "$1" && find . -name '*.[ch]' | sed 's,^\./,,' | sort) >"$scratch/files"
    while read -r file; do
        # Comments and, for the calls, string contents are taken out first, so that both may talk
        # about what they may not use.
        awk -v file="$file" '
        BEGIN {
            height["base"] = 1
            height["observe"] = 2
            height["settings"] = 3
            height["placement"] = 4
            height["handoff"] = 5
            height["loop"] = 6
            height["team"] = 6
            height["adaptive"] = 7
            height["job"] = 8
            height["runtime"] = 9
            height["tools"] = 10
            layer = file
            sub(/\/.*/, "", layer)
            if (!(layer in height)) {
                print file ": is in no layer"
                height[layer] = 99
            }
        }
        function complain(what) {
            print file ":" NR ": " what
        }
        function confined(pattern, allowed, what) {
            if (code ~ pattern && file !~ allowed) {
                complain(what)
            }
        }
        {
            code = $0
            if (inside) {
                end = index(code, "*/")
                if (end == 0) {
                    next
                }
                code = substr(code, end + 2)
                inside = 0
            }
            while ((start = index(code, "/*")) > 0) {
                rest = substr(code, start + 2)
                end = index(rest, "*/")
                if (end == 0) {
                    code = substr(code, 1, start - 1)
                    inside = 1
                    break
                }
                code = substr(code, 1, start - 1) " " substr(rest, end + 2)
            }
            sub(/\/\/.*/, "", code)
        }
        code ~ /^[ \t]*#[ \t]*include[ \t]*"/ {
            target = code
            sub(/^[^"]*"/, "", target)
            sub(/".*/, "", target)
            if (target !~ /\//) {
                complain("includes \"" target "\" without its layer")
                next
            }
            other = target
            sub(/\/.*/, "", other)
            if (!(other in height)) {
                complain("includes \"" target "\", which is in no layer")
            } else if (height[other] > height[layer]) {
                complain("includes \"" target "\", a layer above")
            } else if (other != layer && height[other] == height[layer]) {
                complain("includes \"" target "\", a layer beside")
            }
            next
        }
        {
            confined("^[ \t]*#[ \t]*include[ \t]*<omp(-tools)?[.]h>", "^team/", "omp.h belongs to team/")
            confined("^[ \t]*#[ \t]*pragma[ \t]+omp", "^team/", "pragmas belong to team/")
            confined("_Pragma[ \t]*[(][ \t]*\"omp", "^team/", "pragmas belong to team/")
            confined("^[ \t]*#[ \t]*include[ \t]*<(libev/)?ev([+][+])?[.]h>", "^loop/", "ev.h belongs to loop/")
            confined("^[ \t]*#[ \t]*include[ \t]*<hwloc", "^placement/", "hwloc belongs to placement/")
            confined("^[ \t]*#[ \t]*include[ \t]*<libconfig", "^settings/", "libconfig belongs to settings/")
            gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
            confined("(^|[^A-Za-z0-9_])(setenv|unsetenv|putenv|clearenv)[ \t]*[(]",
                "^placement/(openmp_environment|topology)[.]c$",
                "changing the environment belongs to placement/openmp_environment.c and topology.c")
            confined("(^|[^A-Za-z0-9_])(getenv|secure_getenv)[ \t]*[(]",
                "^(placement/|settings/from_environment[.]c$)",
                "getenv belongs to settings/from_environment.c and placement/")
            confined("(^|[^A-Za-z0-9_])environ([^A-Za-z0-9_]|$)",
                "^(placement/|settings/from_environment[.]c$)",
                "environ belongs to settings/from_environment.c and placement/")
        }' "$1/$file"
    done <"$scratch/files"
}

# The check itself is checked first: one bad line per rule, each in a file of its own, must be found,
# and a comment about the same must not.
sample()
{
    mkdir -p "$scratch/$1/$(dirname "$2")"
    printf '/* %s */\n%s\n' "$3" "$3" | case $1 in
    bad) cat ;;
    good) sed -n 1p ;;
    esac >"$scratch/$1/$2"
}

samples=0
while IFS='|' read -r file line; do
    sample bad "$file" "$line"
    sample good "$file" "$line"
    samples=$((samples + 1))
done <<'SAMPLES'
base/up.c|#include "team/worker.h"
team/beside.c|#include "loop/loop.h"
loop/nameless.c|#include "loop.h"
job/nowhere.c|#include "elsewhere/loop.h"
job/omp.c|#include <omp.h>
loop/pragma.c|    #pragma omp parallel
team/ev.c|#include <ev.h>
settings/hwloc.c|#include <hwloc/bitmap.h>
runtime/libconfig.c|#include <libconfig.h>
placement/plan.c|    setenv("OMP_PLACES", "cores", 1);
placement/machine.c|    unsetenv("HWLOC_FSROOT");
base/log.c|    if (getenv("HOME") == NULL) {
job/environ.c|    char **at = environ;
SAMPLES
mkdir -p "$scratch/bad/odd" && : >"$scratch/bad/odd/file.c"
printf '%s\n' '#include "base/error.h"' '#include <ev.h>' '#include <loomp/loop.h>' \
    >"$scratch/good/loop/nameless.c"
printf '%s\n' '#pragma omp parallel' 'fail("getenv(3) is not for us");' >"$scratch/good/team/ev.c"
printf '%s\n' '    setenv("HWLOC_FSROOT", path, 1);' >"$scratch/good/placement/topology.c"
violations "$scratch/bad" >"$scratch/found"
found=$(wc -l <"$scratch/found")
if [ "$found" != $((samples + 1)) ]; then
    cat "$scratch/found"
    fail "the check found $found of $((samples + 1)) planted violations"
fi
violations "$scratch/good" >"$scratch/found"
if [ -s "$scratch/found" ]; then
    cat "$scratch/found"
    fail "the check complains of lines that are fine"
fi

tree=${1:-$top_srcdir/src}
violations "$tree" >"$scratch/found"
if [ -s "$scratch/found" ]; then
    cat "$scratch/found"
    fail "$(wc -l <"$scratch/found") lines of $tree cross the layers"
fi

# What is not in the makefile is not in a release.
if [ -e "$tree/Makefile.am" ]; then
    while read -r file; do
        grep -q "[[:space:]]$file\( \\\\\)\{0,1\}$" "$tree/Makefile.am" ||
            fail "$file is not in $tree/Makefile.am"
    done <"$scratch/files"
fi
finish "$(wc -l <"$scratch/files") files keep to their layers"
