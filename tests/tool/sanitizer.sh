#!/bin/sh
# SPDX-License-Identifier: MIT
# The thread sanitizer, with Archer and the options of tests/run, reports a race between the threads
# of a team and reports none where there is none: without this its silence about loomp means nothing.
. "$(dirname "$0")/../lib/check.sh"

case ,${SANITIZER:-}, in
*,thread,*) ;;
*) skip "this build is without the thread sanitizer" ;;
esac
program=${top_builddir:-.}/tests/tool/racy

"$program" race >"$scratch/race" 2>&1
status=$?
[ "$status" = 66 ] && grep -q 'data race' "$scratch/race" ||
    fail "a race was not reported (exit status $status)"
"$program" none >"$scratch/none" 2>&1
status=$?
if [ "$status" != 0 ]; then
    cat "$scratch/none"
    fail "a program without a race was reported (exit status $status); is libarcher.so on the library path?"
fi
finish "a race is found, and only where there is one"
