#!/bin/sh
# SPDX-License-Identifier: MIT
# The kernels of examples/kernels give the right answers as plain OpenMP programs, in each of their
# forms, with one, two and more threads than there are CPUs.
. "$(dirname "$0")/../lib/check.sh"

[ -z "${SANITIZER:-}" ] || skip "their regions are not instrumented"
kernels=$top_builddir/examples/kernels/kernels
[ -x "$kernels" ] || skip "examples/kernels is not built"

runs=0
for threads in 1 2 4; do
    for form in region tasks serial; do
        OMP_NUM_THREADS=$threads timeout -k 10 120 "$kernels" --size=S --form=$form >"$scratch/out" 2>&1 || {
            cat "$scratch/out"
            fail "kernels --size=S --form=$form with $threads threads"
        }
        runs=$((runs + 1))
    done
done
finish "$runs runs of all kernels"
