#!/bin/sh
# SPDX-License-Identifier: MIT
# A C and a C++ program, compiled by gcc and by clang against the installed library with what
# pkg-config says, run, have libomp and not libgomp, and use the whole team.
#
# By hand for a library that is installed already: consumer.sh PREFIX
. "$(dirname "$0")/../lib/check.sh"

[ -z "${SANITIZER:-}" ] || skip "a library with sanitizers needs programs with the same ones"
pkg_config=${PKG_CONFIG:-pkg-config}
command -v "$pkg_config" >/dev/null || skip "there is no pkg-config"

if [ $# -gt 0 ]; then
    found=$(find "$1" -name loomp.pc | head -n 1)
    [ -n "$found" ] || { echo "there is no loomp.pc under $1"; exit 1; }
    loomp_pc() { PKG_CONFIG_PATH=$(dirname "$found") "$pkg_config" "$@" loomp; }
    libraries=$(loomp_pc --variable=libdir)
else
    [ -n "${top_builddir:-}" ] || skip "run by make check, or with the prefix of an installed loomp"
    [ -e "${SHARED_LIBRARY:-}" ] || skip "there is no shared library in this build"
    # Into a directory of its own, where pkg-config is told to look for what is installed elsewhere.
    root=$scratch/root
    unset MAKEFLAGS MAKELEVEL MFLAGS
    for directory in include src; do
        ${MAKE:-make} -C "$top_builddir/$directory" install DESTDIR="$root" \
            >"$scratch/install.log" 2>&1 ||
            { cat "$scratch/install.log"; echo "make install failed"; exit 1; }
    done
    libraries=$root$libdir
    loomp_pc()
    {
        PKG_CONFIG_PATH=$libraries/pkgconfig "$pkg_config" \
            --define-variable=prefix="$root$prefix" --define-variable=libdir="$root$libdir" \
            --define-variable=includedir="$root$includedir" "$@" loomp
    }
fi
flags=$(loomp_pc --cflags --libs) || { echo "pkg-config does not know loomp"; exit 1; }
echo "pkg-config: $flags"

cp "$top_srcdir/tests/tool/consumer.c" "$scratch/consumer.c"
cp "$scratch/consumer.c" "$scratch/consumer.cc"

# try COMPILER SOURCE: builds, looks at what it is linked with, runs.
built=0
try()
{
    what=$*
    program=$scratch/consumer-$built
    # shellcheck disable=SC2086 # compiler and flags are words
    if ! $1 -o "$program" "$scratch/$2" -fopenmp -Wall $flags </dev/null; then
        fail "$what: does not compile"
        return
    fi
    built=$((built + 1))
    # An absolute library path first: the one that tests/run chose for libomp stays behind it.
    path=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    LD_LIBRARY_PATH=$path ldd "$program" >"$scratch/ldd"
    grep -q 'libomp\.so' "$scratch/ldd" || fail "$what: ldd shows no libomp"
    grep -q "$libraries/libloomp" "$scratch/ldd" || fail "$what: another libloomp is found first"
    if grep 'libgomp\.so' "$scratch/ldd"; then
        fail "$what: ldd shows libgomp"
    fi
    LD_LIBRARY_PATH=$path timeout -k 10 60 "$program" </dev/null || fail "$what: exit status $?"
}

c_compilers >"$scratch/compilers"
while read -r compiler; do
    # gcc without libomp's own omp.h is fine, clang needs that of its version.
    if echo '#include <omp.h>' | $compiler -fopenmp -fsyntax-only -x c - 2>/dev/null; then
        try "$compiler" consumer.c
    else
        echo "$compiler has no omp.h: not tried"
    fi
done <"$scratch/compilers"
cxx_compilers >"$scratch/compilers"
while read -r compiler; do
    if echo '#include <omp.h>' | $compiler -fopenmp -fsyntax-only -x c++ - 2>/dev/null; then
        try "$compiler -std=c++17" consumer.cc
    else
        echo "$compiler has no omp.h: not tried"
    fi
done <"$scratch/compilers"
[ "$built" -gt 0 ] || fail "no compiler with OpenMP"
finish "$built programs"
