#!/bin/sh
# SPDX-License-Identifier: MIT
# The kernels of examples/kernels give the right answers as plain OpenMP programs, in each of their
# forms, and as jobs of every kind, with one, two and more threads than there are CPUs.
. "$(dirname "$0")/../lib/check.sh"

[ -z "${SANITIZER:-}" ] || skip "their regions are not instrumented"
kernels=$top_builddir/examples/kernels/kernels
jobs=$top_builddir/examples/kernels/kernel-jobs
[ -x "$kernels" ] || skip "examples/kernels is not built"

runs=0

# right_answers COMMAND...: all answers of all kernels, each in one line, are verified.
right_answers()
{
    runs=$((runs + 1))
    if ! timeout -k 10 120 "$@" >"$scratch/out" 2>&1 ||
        grep -q ' NO ' "$scratch/out" || [ "$(grep -c ' yes ' "$scratch/out")" -lt 9 ]; then
        cat "$scratch/out"
        fail "$*, OMP_NUM_THREADS=${OMP_NUM_THREADS:-}"
    fi
}

for threads in 1 2 4; do
    OMP_NUM_THREADS=$threads
    export OMP_NUM_THREADS
    for form in region tasks serial; do
        right_answers "$kernels" --size=S --form="$form"
    done
done
unset OMP_NUM_THREADS
for threads in 1 2 4; do
    for kind in serial tasks gang; do
        right_answers "$jobs" --size=S --as="$kind" --loomp-compute-threads="$threads"
    done
done

# Arguments that are wrong are refused in a sentence.
for arguments in --as=team --size=C --repeat=0 --loomp-compute-threads=-1 kraken; do
    "$jobs" "$arguments" >"$scratch/out" 2>&1
    status=$?
    if [ "$status" != 2 ] || [ "$(wc -l <"$scratch/out")" != 1 ]; then
        cat "$scratch/out"
        fail "kernel-jobs $arguments: exit status $status"
    fi
done
finish "$runs runs of all kernels"
