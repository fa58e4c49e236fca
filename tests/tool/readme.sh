#!/bin/sh
# SPDX-License-Identifier: MIT
# What the documents print, works: the program of README.md, built by the command that is printed
# below it, runs and says what it should; every other program of README.md, the guide and the man
# pages (a block of C with an #include) compiles without a warning; links between documents lead
# somewhere, and each chapter of the guide is listed for installation.
. "$(dirname "$0")/../lib/check.sh"

[ -z "${SANITIZER:-}" ] || skip "a library with sanitizers needs programs with the same ones"
pkg_config=${PKG_CONFIG:-pkg-config}
command -v "$pkg_config" >/dev/null || skip "there is no pkg-config"
[ -n "${top_builddir:-}" ] || skip "run by make check"
[ -e "${SHARED_LIBRARY:-}" ] || skip "there is no shared library in this build"

# Installed into a directory of its own; a pkg-config there that finds it, so that printed commands
# can be run as they are.
root=$scratch/root
unset MAKEFLAGS MAKELEVEL MFLAGS
for directory in include src; do
    ${MAKE:-make} -C "$top_builddir/$directory" install DESTDIR="$root" \
        >"$scratch/install.log" 2>&1 ||
        { cat "$scratch/install.log"; echo "make install failed"; exit 1; }
done
mkdir "$scratch/bin"
cat >"$scratch/bin/pkg-config" <<END
#!/bin/sh
PKG_CONFIG_PATH='$root$libdir/pkgconfig' exec '$(command -v "$pkg_config")' \\
    --define-variable=prefix='$root$prefix' --define-variable=libdir='$root$libdir' \\
    --define-variable=includedir='$root$includedir' "\$@"
END
chmod +x "$scratch/bin/pkg-config"
LD_LIBRARY_PATH=$root$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
PATH=$scratch/bin:$PATH
export PATH LD_LIBRARY_PATH

# blocks FILE PREFIX: the blocks of C of a markdown file or a man page that include something, as
# PREFIX-0.c and so on.
blocks()
{
    awk -v prefix="$2" '
        /^```c$/ || /^\.EX$/ { inside = 1; text = ""; next }
        inside && (/^```$/ || /^\.EE$/) {
            inside = 0
            if (text ~ /(^|\n)#include/) {
                printf "%s", text > (prefix "-" count++ ".c")
            }
            next
        }
        inside {
            if (FILENAME ~ /\.[0-9]$/) {
                sub(/^\\&/, "")
                gsub(/\\-/, "-")
                gsub(/\\e/, "\\")
            }
            text = text $0 "\n"
        }' "$1"
}

# The README: its first program, under the name that its command compiles.
blocks "$top_srcdir/README.md" "$scratch/readme"
[ -e "$scratch/readme-0.c" ] || fail "there is no program in README.md"
command=$(sed -n 's/^ *\(cc .*pkg-config.*loomp.*\)/\1/p' "$top_srcdir/README.md" | head -n 1)
source=$(echo "$command" | tr ' ' '\n' | grep '\.c$' | head -n 1)
program=$(echo "$command" | sed -n 's/.*-o \([^ ]*\).*/\1/p')
if [ -z "$source" ] || [ -z "$program" ]; then
    fail "README.md has no line \"cc ... pkg-config ... loomp\" that compiles its program"
else
    lines=$(wc -l <"$scratch/readme-0.c")
    [ "$lines" -le 40 ] || fail "the program of README.md has grown to $lines lines"
    c_compilers >"$scratch/compilers"
    while read -r compiler; do
        echo '#include <omp.h>' | $compiler -fopenmp -fsyntax-only -x c - 2>/dev/null || continue
        mkdir -p "$scratch/try"
        cp "$scratch/readme-0.c" "$scratch/try/$source"
        (cd "$scratch/try" && eval "$compiler -Wall ${command#cc }") ||
            { fail "$compiler: README.md's program does not compile"; continue; }
        (cd "$scratch/try" && timeout -k 10 60 "./$program" </dev/null) >"$scratch/output" 2>&1 ||
            fail "$compiler: README.md's program ends with status $?"
        cat "$scratch/output"
        grep -q '^sum 1.644934' "$scratch/output" || fail "$compiler: it does not find the sum"
        rm -rf "$scratch/try"
    done <"$scratch/compilers"
fi

cd "$top_srcdir" || exit 99

# All the others, as far as their headers are there.
number=0
skipped=0
mkdir "$scratch/all"
for document in README.md doc/guide/*.md doc/man3/*.3; do
    stem=$scratch/all/$(echo "$document" | tr / -)
    blocks "$document" "$stem"
    for block in "$stem"-*.c; do
        [ -e "$block" ] || continue
        # shellcheck disable=SC2086 # lists of words
        set -- ${CC:-cc} -std=gnu17 -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Wno-strict-aliasing -fopenmp \
            $(pkg-config --cflags loomp) ${CUNIT_CFLAGS:-} "$block"
        if grep -q '<CUnit\|<loomp/test.h' "$block" &&
            ! echo '#include <CUnit/CUnit.h>' | ${CC:-cc} ${CUNIT_CFLAGS:-} -fsyntax-only -x c - 2>/dev/null; then
            skipped=$((skipped + 1))
            continue
        fi
        "$@" >"$scratch/messages" 2>&1 && [ ! -s "$scratch/messages" ] ||
            { cat "$scratch/messages"; fail "$document: a program in it does not compile cleanly"; }
        number=$((number + 1))
    done
done
# Links: [text](file) and [text](file#heading), as written in README.md and the guide.
for document in README.md doc/guide/*.md; do
    directory=$(dirname "$document")
    grep -o '](\([^)#: ]*\)[^):]*)' "$document" | sed 's/^](\([^)#]*\).*/\1/' | sort -u |
        while read -r file; do
            [ -z "$file" ] || [ -e "$directory/$file" ] || echo "$document: there is no $file"
        done
done >"$scratch/links"
[ ! -s "$scratch/links" ] || { cat "$scratch/links"; fail "a link leads nowhere"; }
for chapter in doc/guide/*.md; do
    grep -q "[[:space:]]${chapter#doc/}\( \\\\\)\{0,1\}$" doc/Makefile.am ||
        fail "$chapter is not in doc/Makefile.am"
done
finish "README's program runs, $number programs compile, $skipped need CUnit"
