#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs one test program several times, each with another number of workers, and adds up what it
# counted. The program ends with the line "N passed, N failed" or "N passed, N failed, N skipped";
# this script ends with such a line that begins with "total: ".
#
# LOOMP_TEST_RUNS: which runs, default "1 2 all one-cpu". A number and `all` are handed to the program
#   in LOOMP_TEST_WORKERS; `one-cpu` is two workers under a mask of one CPU.
# LOOMP_TEST_TIMEOUT: seconds after which a run is a failure, default 300.
set -u

program=$1
shift
runs=${LOOMP_TEST_RUNS:-1 2 all one-cpu}
timeout=${LOOMP_TEST_TIMEOUT:-300}
output=$(mktemp "${TMPDIR:-/tmp}/loomp-test.XXXXXX") || exit 99
trap 'rm -f "$output"' EXIT
trap 'exit 99' HUP INT TERM

# A number out of the program's last summary line: count_of passed
count_of()
{
    sed -n -E '/^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/p' "$output" | tail -n 1 |
        sed -n -E "s/^(.*[^0-9])?([0-9]+) $1.*$/\2/p"
}

passed=0
failed=0
skipped=0
for run in $runs; do
    workers=$run
    prefix=
    if [ "$run" = one-cpu ]; then
        if ! command -v taskset >/dev/null; then
            echo "== one-cpu: not run, there is no taskset"
            skipped=$((skipped + 1))
            continue
        fi
        workers=2
        cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
        prefix="taskset -c $cpu"
    fi
    echo "== $(basename "$program"), workers: $run"
    # shellcheck disable=SC2086 # the prefix is words
    LOOMP_TEST_WORKERS=$workers timeout -k 10 -s ABRT "$timeout" $prefix "$program" "$@" \
        >"$output" 2>&1 </dev/null
    status=$?
    cat "$output"
    p=$(count_of passed)
    f=$(count_of failed)
    s=$(count_of skipped)
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
    skipped=$((skipped + ${s:-0}))
    if [ "$status" = 77 ]; then
        [ -n "$s" ] || skipped=$((skipped + 1))
    elif [ "$status" = 124 ] || [ "$status" = 137 ]; then
        echo "== workers: $run: not finished after $timeout s"
        failed=$((failed + 1))
    elif [ "$status" != 0 ] && [ "${f:-0}" = 0 ]; then
        echo "== workers: $run: exit status $status"
        failed=$((failed + 1))
    elif [ "$status" = 0 ] && [ -z "$p" ]; then
        echo "== workers: $run: ended without the line 'N passed, N failed'"
        failed=$((failed + 1))
    fi
done

echo "total: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ "$passed" != 0 ] || exit 77
