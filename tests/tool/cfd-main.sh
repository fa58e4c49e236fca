#!/bin/sh
# SPDX-License-Identifier: MIT
# examples/cfd-main: the program with loomp writes the same bytes as the one without, in each of its
# three forms; its socket answers while steps run; the difference between the two is what it is said
# to be.
. "$(dirname "$0")/../lib/check.sh"

programs=${top_builddir:-$top_srcdir}/examples/cfd-main
sources=$top_srcdir/examples/cfd-main
[ -x "$programs/cfd-main" ] || skip "the examples are not built"
command -v cmp >/dev/null || skip "there is no cmp"
unset LOOMP_CONFIG

side=65
steps=1500
every=250

"$programs/cfd-plain" $side $steps $every "$scratch/plain" ||
    { fail "cfd-plain: exit status $?"; finish; }

# same FORM...: every checkpoint of cfd-plain has an equal one.
same()
{
    number=0
    for checkpoint in "$scratch"/plain.*; do
        cmp "$checkpoint" "$scratch/with.${checkpoint##*.}" || fail "$*: another checkpoint"
        number=$((number + 1))
    done
    [ "$number" = $((steps / every)) ] || fail "cfd-plain wrote $number checkpoints"
    rm -f "$scratch"/with.*
}

# watched FORM STEPS: runs the program and asks it for the whole time. Sets `answered` to whether
# three different answers came before it ended. The program opens the socket before it starts loomp;
# who asks too early asks again.
watched()
{
    timeout -k 10 300 "$programs/cfd-main" \
        $side "$2" $every "$scratch/with" "$scratch/socket" "$1" &
    program=$!
    answered=no
    while kill -0 $program 2>/dev/null; do
        if timeout -k 10 300 "$programs/cfd-watch" "$scratch/socket" 3 \
            >"$scratch/answers" 2>"$scratch/errors"; then
            answered=yes
            break
        fi
    done
    wait $program || fail "$what: exit status $?"
}

for form in own step gang; do
    for bind in openmp direct; do
        what="$form, bind = $bind"
        echo "== $what"
        LOOMP_BIND=$bind LOOMP_COMPUTE_THREADS=2
        export LOOMP_BIND LOOMP_COMPUTE_THREADS
        # Where the one who asks gets no CPU for as long as the steps take, more steps are taken:
        # the checkpoints of the first ones are the same.
        watched_steps=$steps
        watched $form $watched_steps
        while [ $answered = no ] && [ $watched_steps -lt 1000000 ]; do
            watched_steps=$((4 * watched_steps))
            watched $form $watched_steps
        done
        unset LOOMP_BIND LOOMP_COMPUTE_THREADS
        [ $answered = yes ] || { cat "$scratch/errors"; fail "$what: no three answers"; }
        cat "$scratch/answers"
        grep -q -v -E '^\{"step":[0-9]+,"time":[0-9.e+-]+,"residual":[0-9.e+-]+\}$' \
            "$scratch/answers" && fail "$what: an answer is no such JSON"
        [ ! -e "$scratch/socket" ] || fail "$what: the socket is left behind"
        same "$what"
    done
done

# More threads, fewer threads: the same bytes.
for threads in 1 3; do
    LOOMP_COMPUTE_THREADS=$threads timeout -k 10 300 "$programs/cfd-main" \
        $side $steps $every "$scratch/with" "$scratch/socket" step || fail "$threads threads: exit status $?"
    same "$threads threads"
done

# What cannot start says why.
if "$programs/cfd-main" $side 1 1 "$scratch/with" "$scratch/none/socket" 2>"$scratch/errors"; then
    fail "a socket in a directory that is not there: exit status 0"
fi
grep -q 'No such file' "$scratch/errors" || fail "a socket that cannot be opened: no reason"

diff "$sources/cfd-plain.c" "$sources/cfd-main.c" >"$scratch/difference"
added=$(grep -c '^>' "$scratch/difference")
changed=$(grep -c '^<' "$scratch/difference")
[ "$changed" = 2 ] || fail "$changed lines of cfd-plain.c were changed, not 2"
[ "$added" -le 60 ] || fail "cfd-main.c has $added lines more"
finish "the same bytes in all forms; $added lines added, $changed of them changed ones"
