#!/bin/sh
# SPDX-License-Identifier: MIT
# Whether the tests of the planner would notice: plants faults in a copy of src/placement, one at a
# time, and expects unit/test_plans to fail with each.
. "$(dirname "$0")/../lib/check.sh"

compiler=${CC:-cc}
# By make check as in the build; by hand what usually does.
libraries="${CUNIT_LIBS:--lcunit} ${HWLOC_LIBS:--lhwloc} ${LIBCONFIG_LIBS:--lconfig} -lpthread -lm"
includes="${CUNIT_CFLAGS:-} ${HWLOC_CFLAGS:-} ${LIBCONFIG_CFLAGS:-}"
sources=$scratch/src
cp -R "$top_srcdir/src" "$sources" || exit 99
mkdir "$scratch/objects"

# compile SOURCE OBJECT
compile()
{
    # shellcheck disable=SC2086 # a command and options
    $compiler -std=gnu17 -D_GNU_SOURCE -O0 -I"$sources" -I"$top_srcdir/include" \
        -I"$top_srcdir/tests" -DLOOMP_TEST_DATA="\"$top_srcdir/tests/data\"" $includes \
        -c "$1" -o "$2"
}

# link_and_run OBJECT...: status of the tests, whose output is in $scratch/out.
link_and_run()
{
    # shellcheck disable=SC2086 # a command and options
    $compiler -o "$scratch/test_plans" "$@" $libraries || exit 99
    timeout -k 10 60 "$scratch/test_plans" >"$scratch/out" 2>&1
}

for source in "$sources"/base/*.c "$sources"/settings/*.c "$sources"/placement/*.c \
    "$top_srcdir/tests/unit/test_plans.c"; do
    object=$scratch/objects/$(basename "$source" .c).o
    [ ! -e "$object" ] || { echo "two sources have the name of $source"; exit 99; }
    compile "$source" "$object" || { echo "$source does not compile"; exit 99; }
done
link_and_run "$scratch"/objects/*.o || {
    tail -n 20 "$scratch/out"
    echo "FAIL: test_plans fails as it is"
    exit 1
}

# plant WHAT FROM TO: where the sources have the text FROM, once, they get TO in its place.
planted=0
plant()
{
    what=$1
    original=$(grep -lF -- "$2" "$top_srcdir"/src/placement/*.c)
    if [ "$(echo "$original" | grep -c .)" != 1 ]; then
        fail "$what: \"$2\" is not in one file of src/placement: plant it elsewhere"
        return
    fi
    faulty=$sources/placement/$(basename "$original")
    from=$2 to=$3 awk '
        BEGIN { from = ENVIRON["from"] }
        { at = index($0, from) }
        at { found++; $0 = substr($0, 1, at - 1) ENVIRON["to"] substr($0, at + length(from)) }
        { print }
        END { exit found == 1 ? 0 : 1 }' "$original" >"$faulty" || {
        fail "$what: $original has \"$2\" more than once: plant it elsewhere"
        cp "$original" "$faulty"
        return
    }
    kept=$scratch/objects/$(basename "$original" .c).o
    mv "$kept" "$scratch/kept.o"
    if ! compile "$faulty" "$kept"; then
        fail "$what: does not compile"
    elif link_and_run "$scratch"/objects/*.o; then
        fail "$what: not caught"
    elif ! count=$(grep -c '^FAILED ' "$scratch/out"); then
        tail -n 20 "$scratch/out"
        fail "$what: test_plans did not end with a failed test"
    else
        echo "caught: $what; tests that fail: $count"
        planted=$((planted + 1))
    fi
    mv "$scratch/kept.o" "$kept"
    cp "$original" "$faulty"
}

plant "the siblings of a core in the wrong order" \
    'units->cpus[units->count++] = core->cpus[k];' \
    'units->cpus[units->count++] = core->cpus[core->count - 1 - k];'
plant "a quota is rounded to the nearest, not down" \
    'floor(quota + rounding_error)' 'floor(quota + 0.5 + rounding_error)'
plant "the setting cpus is not intersected with what is allowed" \
    'lp_cpuset_and(usable, wanted);' 'lp_cpuset_or(usable, wanted);'
plant "the CPUs near a device are not intersected with what is allowed" \
    'lp_cpuset_and(set, within);' 'lp_cpuset_or(planner->plan->usable, set);'
plant "CPUs are counted and not taken by their number" \
    'planner->plan->usable, cpu->os)' 'planner->plan->usable, i)'
plant "nothing is kept back" \
    '? limit - reserve : 1' '? limit : 1'

finish "$planted planted faults were caught"
