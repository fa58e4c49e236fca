# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# Shared by tests/run and examples/run: sourced, not run. Installs what is missing, builds out of the
# tree under build/, and shows one line per step. The caller sets `root`, the top of the sources.
#
#   setup_install KIND...      installs the missing packages of these kinds (see setup_packages)
#   setup_step NAME COMMAND... runs it with its output in build/logs, prints a line, keeps counts
#   setup_configure DIR ARG... makes build/DIR ready: configure with these arguments, if needed
#   setup_make DIR ARG...      make with these arguments in build/DIR, on all CPUs
#   setup_seconds              seconds since this file was sourced
#
# A step that fails shows the lines of its output that begin with "failure: ", 25 at most, and then
# its last lines; SETUP_FAILURES and SETUP_TAIL are other numbers of them.
#
# Counts: a step whose output has the line "counts: P F S" adds to setup_passed, setup_failed and
# setup_skipped; one that fails without it adds one failure.

setup_start=$(date +%s)
setup_passed=0
setup_failed=0
setup_skipped=0

# The packages, by Debian's names, in one place. A | separates a name from a regular expression for
# others that do as well, because Debian has clang and libomp in several versions.
setup_packages()
{
    for kind in "$@"; do
        case $kind in
        build)
            echo build-essential autoconf automake libtool pkg-config \
                "clang|clang-[0-9]+" "libomp-dev|libomp-[0-9]+-dev" \
                libev-dev libhwloc-dev libconfig-dev
            ;;
        tests) echo libcunit1-dev util-linux xz-utils gfortran jdupes ;;
        sanitizers) echo "libclang-rt-dev|libclang-rt-[0-9]+-dev" llvm\|llvm-[0-9]+ ;;
        valgrind) echo valgrind libc6-dbg ;;
        examples) echo libmicrohttpd-dev libxxhash-dev curl ;;
        documents) echo mandoc ;;
        *)
            echo "setup_packages: no kind '$kind'" >&2
            return 1
            ;;
        esac
    done
}

setup_seconds()
{
    echo $(($(date +%s) - setup_start))
}

# Installs what is missing of the given kinds; says so in a sentence where it cannot.
setup_install()
{
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is no Debian: packages are not installed from here; configure says what is missing."
        return 0
    fi
    # shellcheck disable=SC2016 # dpkg's variables
    setup_have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
    setup_missing=
    for setup_entry in $(setup_packages "$@"); do
        setup_name=${setup_entry%%|*}
        printf '%s\n' "$setup_have" | grep -q -E -x "$setup_entry" ||
            setup_missing="$setup_missing $setup_name"
    done
    [ -n "$setup_missing" ] || return 0

    setup_as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing:$setup_missing. Not root and there is no sudo:" \
                "run  apt-get install$setup_missing  as root first."
            return 1
        fi
        setup_as_root="sudo -n"
        if ! sudo -n true 2>/dev/null; then
            if [ ! -t 0 ]; then
                echo "Missing:$setup_missing. sudo wants a password and nobody is there to ask:" \
                    "run  apt-get install$setup_missing  as root first."
                return 1
            fi
            setup_as_root=sudo
        fi
    fi
    echo "Missing, and now installed:$setup_missing"
    # shellcheck disable=SC2086 # lists of words
    setup_apt install --no-install-recommends $setup_missing ||
        { setup_apt update && setup_apt install --no-install-recommends $setup_missing; } ||
        {
            echo "apt-get could not install$setup_missing; what it said is above."
            return 1
        }
}

setup_apt()
{
    $setup_as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# setup_step NAME COMMAND...
setup_step()
{
    setup_name=$1
    shift
    mkdir -p "$root/build/logs"
    setup_log=$root/build/logs/$(printf '%s' "$setup_name" | tr -c 'A-Za-z0-9.\n' '-').log
    setup_began=$(date +%s)
    printf '%5s s  %s ... ' "$((setup_began - setup_start))" "$setup_name"
    ("$@") >"$setup_log" 2>&1 </dev/null
    setup_status=$?
    setup_took=$(($(date +%s) - setup_began))

    setup_note=
    setup_counts=$(sed -n 's/^counts: //p' "$setup_log" | tail -n 1)
    if [ -n "$setup_counts" ]; then
        # shellcheck disable=SC2086 # three numbers
        setup_add $setup_counts
    elif [ "$setup_status" != 0 ]; then
        setup_failed=$((setup_failed + 1))
    fi
    if [ "$setup_status" = 0 ]; then
        echo "ok, ${setup_note}$setup_took s"
        return 0
    fi
    echo "FAILED, ${setup_note}$setup_took s"
    # First what failed: of a long list of lines somebody may get to see a part only.
    { sed -n 's/^failure: //p' "$setup_log"
      grep -E '(^|[ :])error:|undefined reference|: \*\*\* ' "$setup_log"; } | awk -v most="${SETUP_FAILURES:-25}" '
        NR <= most { print "        " $0 }
        END { if (NR > most) print "        and " NR - most " lines more" }'
    echo "        the end of build/logs/$(basename "$setup_log"):"
    tail -n "${SETUP_TAIL:-60}" "$setup_log" | sed 's/^/        /'
    return 1
}

setup_add()
{
    setup_passed=$((setup_passed + $1))
    setup_failed=$((setup_failed + $2))
    setup_skipped=$((setup_skipped + $3))
    setup_note="$1 passed, $2 failed, "
    [ "$3" = 0 ] || setup_note="$1 passed, $2 failed, $3 skipped, "
}

# setup_configure DIR ARG...: a release has configure, a checkout makes it first.
setup_configure()
{
    setup_dir=$root/build/$1
    shift
    if [ ! -e "$root/configure" ] || [ ! -e "$root/src/Makefile.in" ] ||
        [ -n "$(find "$root/configure.ac" "$root"/m4/loomp-*.m4 -newer "$root/configure" 2>/dev/null)" ]; then
        "$root/autogen.sh" || return 1
    fi
    if [ ! -e "$setup_dir/Makefile" ] || [ "$(cat "$setup_dir/arguments" 2>/dev/null)" != "$*" ]; then
        # Objects of other flags would stay: make looks at sources only.
        rm -rf "$setup_dir"
        mkdir -p "$setup_dir" || return 1
        (cd "$setup_dir" && "$root/configure" "$@") || return 1
        printf '%s\n' "$*" >"$setup_dir/arguments"
    fi
}

setup_make()
{
    setup_dir=$root/build/$1
    shift
    make -C "$setup_dir" -j"$(nproc)" "$@"
}
