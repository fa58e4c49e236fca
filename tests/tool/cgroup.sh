#!/bin/sh
# SPDX-License-Identifier: MIT
# In real control groups: what loomp-info plans in them, and how a runtime follows their limits when
# they change. Makes groups of its own below that of the caller (of cgroup v2: below the nearest
# group above it that hands both controllers down), removes them at the end, and changes no others.
# Usage: by `make check`, or with top_builddir set; as root, or in groups that are the caller's own.
. "$(dirname "$0")/../lib/check.sh"

info=${top_builddir:-$top_srcdir}/src/loomp-info
limits=${top_builddir:-$top_srcdir}/tests/tool/limits
[ -x "$info" ] || skip "loomp-info is not built"
[ -x "$limits" ] || skip "tests/tool/limits is not built"
[ -e /proc/self/cgroup ] || skip "this kernel has no control groups"
unset OMP_PLACES OMP_PROC_BIND OMP_NUM_THREADS OMP_THREAD_LIMIT KMP_AFFINITY
unset HWLOC_XMLFILE HWLOC_FSROOT HWLOC_SYNTHETIC HWLOC_COMPONENTS
for variable in $(env | sed -n 's/^\(LOOMP_[A-Z_]*\)=.*/\1/p'); do
    unset "$variable"
done

# --- groups -------------------------------------------------------------------------------------

name=loomp-check-$$
made=
child=

clean_up()
{
    if [ -n "$child" ]; then
        kill -KILL "$child" 2>/dev/null
        wait "$child" 2>/dev/null
    fi
    for directory in $made; do # the newest first
        tries=0
        until rmdir "$directory" 2>/dev/null || [ ! -d "$directory" ] || [ $tries = 50 ]; do
            tries=$((tries + 1))
        done
        [ ! -d "$directory" ] || echo "FAIL: $directory could not be removed"
    done
    made=
}
trap 'clean_up; rm -rf "$scratch"' EXIT

# own CONTROLLER: the directory of the caller's group, of the version 1 hierarchy that has this
# controller; "" stands for version 2. Nothing where there is none.
own()
{
    path=$(awk -F: -v controller="$1" '
        { count = split($2, names, ",")
          for (i = 1; i <= count; i++) if (names[i] == controller) { found = $3 }
          if ($2 == "" && controller == "") found = $3 }
        END { print found }' /proc/self/cgroup)
    awk -v controller="$1" -v path="$path" '
        path == "" { exit }
        { for (i = 7; $i != "-"; i++) { }
          if ($(i + 1) != (controller == "" ? "cgroup2" : "cgroup")) next
          if (controller != "" && ("," $(i + 3) ",") !~ ("," controller ",")) next
          top = $4 == "/" ? "" : $4
          if (top != "" && index(path "/", top "/") != 1) next
          print $5 (path == "/" ? "" : substr(path, length(top) + 1)); exit }' /proc/self/mountinfo
}

# make_directory DIRECTORY
make_directory()
{
    mkdir "$1" || return 1
    made="$1 $made"
}

# hands_down DIRECTORY: its children have both controllers.
hands_down()
{
    grep -qw cpu "$1/cgroup.subtree_control" 2>/dev/null &&
        grep -qw cpuset "$1/cgroup.subtree_control"
}

cpu_of=$(own cpu)
cpuset_of=$(own cpuset)
if [ -n "$cpu_of" ] && [ -n "$cpuset_of" ]; then
    version=1
    quota_file=cpu.cfs_quota_us
else
    version=2
    quota_file=cpu.max
    cpu_of=$(own '')
    [ -n "$cpu_of" ] || skip "the controllers cpu and cpuset are not mounted together"
    until hands_down "$cpu_of" || [ ! -e "${cpu_of%/*}/cgroup.procs" ]; do
        cpu_of=${cpu_of%/*}
    done
    hands_down "$cpu_of" ||
        skip "no control group above this process hands the controllers cpu and cpuset down"
    cpuset_of=$cpu_of
fi

# group NAME: makes one; NAME/NAME is one in another.
group()
{
    make_directory "$cpu_of/$1" || return 1
    if [ $version = 1 ]; then
        if [ "$cpuset_of" != "$cpu_of" ]; then
            make_directory "$cpuset_of/$1" || return 1
        fi
        above=$(dirname "$cpuset_of/$1")
        cat "$above/cpuset.mems" >"$cpuset_of/$1/cpuset.mems" &&
            cat "$above/cpuset.cpus" >"$cpuset_of/$1/cpuset.cpus"
    fi
}

# set_quota NAME MICROSECONDS: of 100 ms; "none" takes it away.
set_quota()
{
    if [ $version = 1 ]; then
        [ "$2" != none ] || set -- "$1" -1
        echo "$2" >"$cpu_of/$1/cpu.cfs_quota_us"
    else
        [ "$2" != none ] || set -- "$1" max
        echo "$2 100000" >"$cpu_of/$1/cpu.max"
    fi
}

# set_cpus NAME LIST
set_cpus()
{
    echo "$2" >"$cpuset_of/$1/cpuset.cpus"
}

# enter NAME: moves the shell that calls it, which should be a sub-shell.
enter()
{
    echo 0 >"$cpu_of/$1/cgroup.procs" && echo 0 >"$cpuset_of/$1/cgroup.procs"
}

permitted()
{
    group $name && (enter $name) && set_quota $name 150000 && set_quota $name none
}

permitted 2>"$scratch/err" || skip "control groups cannot be made here: $(cat "$scratch/err")"
echo "cgroup v$version: $cpu_of/$name"

# --- plans --------------------------------------------------------------------------------------

out=$scratch/out

# plan NAME OPTION...: what loomp-info says in that group is in $out.
plan()
{
    within=$1
    shift
    (enter "$within" && exec timeout -k 10 60 "$info" --json "$@") >"$out" 2>"$scratch/err" ||
        { cat "$scratch/err"; fail "loomp-info in $within: status $?"; }
}

# says TEXT WHAT...: the output has a line with the text.
says()
{
    text=$1
    shift
    grep -qF -- "$text" "$out" || { cat "$out"; fail "$*: there is no \"$text\""; }
}

# one_thread WHAT...: everything is done by one thread at a time.
one_thread()
{
    says '"budget": 1,' "$*"
    says '"text": "1 thread: the whole budget"' "$*"
    says 'shared with compute' "$*"
}

plan $name
grep -qF '"quota": null' "$out" || skip "there is a CPU quota around this test already"
cpus=$(sed -n 's/^  "allowed": "\(.*\)",/\1/p' "$out" | tr , '\n' |
    awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
# shellcheck disable=SC2086 # numbers
set -- $cpus
first=$1
second=${2:-}

set_cpus $name "$first"
plan $name
says "\"allowed\": \"$first\"" "a cpuset of one CPU"
says "1 CPU allowed ($first), by $cpuset_of/$name/cpuset" "a cpuset of one CPU"
says '"quota": null' "a cpuset of one CPU"
one_thread "a cpuset of one CPU"
set_quota $name 150000
plan $name
says "\"allowed\": \"$first\"" "a cpuset of one CPU and a quota"
says "1.5 CPUs ($cpu_of/$name/$quota_file), rounded down: 1" "a cpuset of one CPU and a quota"
one_thread "a cpuset of one CPU and a quota"

if [ -n "$second" ]; then
    set_cpus $name "$first,$second"
    plan $name
    says '"quota": 1.5' "a quota of 1.5 CPUs"
    says "1.5 CPUs ($cpu_of/$name/$quota_file), rounded down: 1" "a quota of 1.5 CPUs"
    one_thread "a quota of 1.5 CPUs"
    plan $name --loomp-rounding=up --loomp-smt=use
    says '"budget": 2,' "a quota of 1.5 CPUs, rounded up"

    # Inside of it a group that has more, where the kernel lets it, or is free.
    [ $version = 1 ] || echo "+cpu +cpuset" >"$cpu_of/$name/cgroup.subtree_control"
    group $name/inner || fail "a group in a group cannot be made"
    set_quota $name/inner 500000 2>/dev/null
    plan $name/inner
    says "1.5 CPUs ($cpu_of/$name/$quota_file), rounded down: 1" "the outer quota is tighter"
    one_thread "the outer quota is tighter"
    set_quota $name/inner 110000
    plan $name/inner
    says "1.1 CPUs ($cpu_of/$name/inner/$quota_file), rounded down: 1" "the inner quota is tighter"
fi

# --- living with change ---------------------------------------------------------------------------

mkfifo "$scratch/lines" || exit 99

# begin NAME: a program with two compute threads works in that group; its lines come by file 3.
begin()
{
    (enter "$1" && exec env LOOMP_COMPUTE_THREADS=2 LOOMP_LOG_LEVEL=info "$limits") \
        >"$scratch/lines" 2>&1 &
    child=$!
    exec 3<"$scratch/lines"
}

# await WHAT TEXT...: reads lines until each of the texts has been seen in one.
await()
{
    what=$1
    shift
    # A shell takes no more than it needs from a pipe; awk would.
    # shellcheck disable=SC2016 # for the other shell
    timeout -k 10 60 sh -c '
        while [ $# -gt 0 ] && read -r line; do
            echo "  $line"
            for text in "$@"; do
                shift
                case $line in *"$text"*) ;; *) set -- "$@" "$text" ;; esac
            done
        done
        [ $# = 0 ]' sh "$@" <&3 || fail "$what: did not come: $*"
}

# finish_child: it ends well.
finish_child()
{
    kill -TERM "$child"
    cat <&3
    wait "$child" || fail "the program ended with status $?"
    child=
    exec 3<&-
}

# Name and mask of every thread of the program.
masks()
{
    for task in /proc/"$child"/task/*; do
        sed -n 's/^Name:[[:space:]]*//p; s/^Cpus_allowed_list:[[:space:]]*//p' "$task/status" |
            paste -s - >"$scratch/masks.${task##*/}"
        echo "${task##*/}	$(cat "$scratch/masks.${task##*/}")"
    done
}

# forget_masks CPU: what kernels before 6.2 do to a thread that was bound to a CPU which is taken
# away; later ones bind it again by themselves when the CPU comes back.
forget_masks()
{
    command -v taskset >/dev/null || return 0
    for task in /proc/"$child"/task/*; do
        if grep -q "	$1\$" "$scratch/masks.${task##*/}"; then
            taskset -pc "$first" "${task##*/}" >"$out" || fail "a thread cannot be bound"
        fi
    done
}

if [ -n "$second" ]; then
    group $name/work || fail "a group in a group cannot be made"
    set_quota $name none

    begin $name/work
    await "the start" 'width 2'
    set_quota $name/work 100000
    await "a quota that gets tight" 'log the limits of this process have changed (CPU quota 1' \
        'width 1'
    set_quota $name/work none
    await "a quota that goes" 'log the limits of this process have changed (CPU quota 0, was 1' \
        'width 2'
    finish_child

    begin $name/work
    await "the start" 'width 2'
    masks >"$scratch/before"
    set_cpus $name/work "$first"
    await "a CPU that is taken away" "log CPU $second has been taken away" 'width 1'
    forget_masks "$second"
    set_cpus $name/work "$first,$second"
    await "a CPU that comes back" "log CPU $second is back" 'width 2'
    masks >"$scratch/after"
    grep -q "	$second\$" "$scratch/before" || fail "no thread was bound to CPU $second"
    diff "$scratch/before" "$scratch/after" ||
        fail "the threads are not bound as before (<) after a CPU was taken away and given back (>)"
    finish_child
fi

clean_up
[ -z "$(ls -d "$cpu_of/$name" "$cpuset_of/$name" 2>/dev/null)" ] || fail "a group was left behind"
finish "plans in control groups of version $version${second:+, and changes while working}"
