# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# What the check scripts of tests/tool share: sourced, not run. They run under `make check`, which
# tells them about the build in variables, or by hand from anywhere.

set -u
here=$(cd "$(dirname "$0")" && pwd)
top_srcdir=${top_srcdir:-$(cd "$here/../.." && pwd)}
failures=0

scratch=$(mktemp -d "${TMPDIR:-/tmp}/loomp-check.XXXXXX") || exit 99
trap 'rm -rf "$scratch"' EXIT
trap 'exit 99' HUP INT TERM

# Ends the script: it cannot run here, and why.
skip()
{
    echo "skipped: $*"
    exit 77
}

# Notes a failure and goes on.
fail()
{
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# Ends the script with what has been noted.
finish()
{
    if [ "$failures" != 0 ]; then
        echo "$failures failed"
        exit 1
    fi
    echo "ok: $*"
    exit 0
}

# Prints the compilers that are there, each once: $CC and, of C or of C++, those of gcc and clang.
c_compilers()
{
    compilers_among "${CC:-cc}" gcc clang
}

cxx_compilers()
{
    case ${CC:-} in
    *clang*) compilers_among "${CXX:-clang++${CC##*clang}}" g++ clang++ ;;
    *) compilers_among "${CXX:-g++}" g++ clang++ ;;
    esac
}

compilers_among()
{
    seen=
    for compiler in "$@"; do
        path=$(command -v "${compiler%% *}") || continue
        path=$(readlink -f "$path")
        case " $seen " in
        *" $path "*) ;;
        *)
            seen="$seen $path"
            # Compilers may have options with them ("gcc -m64"), a list may not: one per line.
            echo "$compiler"
            ;;
        esac
    done
}
