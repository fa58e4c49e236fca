#!/bin/sh
# SPDX-License-Identifier: MIT
# loomp-run: programs that know nothing of loomp, built with clang, gcc and gfortran, have their
# threads where the plan says, by their own account (OMP_DISPLAY_AFFINITY); everything else of them
# passes through; what the user has set wins; --verify finds a thread that has moved.
. "$(dirname "$0")/../lib/check.sh"

tool=${LOOMP_RUN:-${top_builddir:-.}/src/loomp-run}
[ -x "$tool" ] || skip "run by make check, or with LOOMP_RUN"
command -v taskset >/dev/null || skip "there is no taskset (Debian: util-linux)"
sources=$top_srcdir/tests/data/openmp

# Nothing of the caller's may take part.
for variable in $(env | sed -n -E 's/^((OMP|KMP|GOMP|LIBOMP|LOOMP|OMPI|PMI|PMIX|MPI|MV2|SLURM|PALS|FLUX)_[A-Z0-9_]*)=.*/\1/p'); do
    unset "$variable"
done

# A quota of the container that this runs in should not matter.
run=$scratch/loomp-run
printf '#!/bin/sh\nexec "%s" --quota 100000 "$@"\n' "$tool" >"$run"
chmod +x "$run"

# limited COMMAND...: a hang is a failure.
limited()
{
    timeout -k 10 60 "$@"
}

# ---- programs --------------------------------------------------------------------------------------

# build NAME COMMAND...: as $scratch/NAME, silently; false if that cannot be done here.
build()
{
    name=$1
    shift
    "$@" -o "$scratch/$name" >"$scratch/build.log" 2>&1
}

programs=
clang=
for compiler in "${CC:-}" clang; do
    case $compiler in
    *clang*)
        # shellcheck disable=SC2086 # a compiler may have options with it
        build of-clang $compiler -fopenmp -D_GNU_SOURCE "$sources/affinity.c" &&
            limited "$scratch/of-clang" >/dev/null 2>&1 && { clang=$compiler; break; }
        ;;
    esac
done
[ -z "$clang" ] || programs="$programs of-clang"
build of-gcc gcc -fopenmp -D_GNU_SOURCE "$sources/affinity.c" && programs="$programs of-gcc"
build of-gfortran gfortran -fopenmp "$sources/affinity.f90" && programs="$programs of-gfortran"
[ -n "$programs" ] || skip "no compiler here builds OpenMP programs"
any=$scratch/$(echo "$programs" | awk '{ print $1 }')
[ "$any" != "$scratch/of-gfortran" ] || skip "there is no C compiler that builds OpenMP programs"

# ---- the plan, and what a program says --------------------------------------------------------------

# planned OPTION...: the plan's places from the printed command, as lines "THREAD CPU".
planned()
{
    "$run" "$@" --print 2>/dev/null | sed -n "s/.* OMP_PLACES='\{0,1\}\([^' ]*\).*/\1/p" |
        tr -d '{' | tr '}' '\n' | sed 's/^,//; /^$/d' | awk '{ print NR - 1, $1 }'
}

# said COMMAND...: the same lines out of the program's own report.
said()
{
    OMP_DISPLAY_AFFINITY=true OMP_AFFINITY_FORMAT='affinity %n %A' limited "$@" >"$scratch/said" 2>&1 ||
        fail "$*: status $?"
    sed -n 's/^affinity //p' "$scratch/said" | sort -n
}

# ran COMMAND...: the same lines as the kernel has it, because libgomp does not report a team of one.
ran()
{
    limited "$@" >"$scratch/said" 2>&1 || fail "$*: status $?"
    sed -n 's/^kernel //p' "$scratch/said" | sort -n
}

same()
{
    [ "$2" = "$3" ] || fail "$1: found '$(echo "$3" | tr '\n' ';')', expected '$(echo "$2" | tr '\n' ';')'"
}

# ends STATUS COMMAND...: with that exit status; output in $scratch/out and err.
ends()
{
    expected=$1
    shift
    limited "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
    [ "$status" = "$expected" ] ||
        { cat "$scratch/err"; fail "$*: status $status, expected $expected"; }
}

# says WHAT REGEXP: on standard error of the last `ends`.
says()
{
    grep -q -e "$2" "$scratch/err" || { cat "$scratch/err"; fail "$1: there is no line with '$2'"; }
}

silent()
{
    [ ! -s "$scratch/err" ] || { cat "$scratch/err"; fail "$1: it has something to say"; }
}

plan=$(planned)
threads=$(echo "$plan" | wc -l)
first=$(echo "$plan" | awk 'NR == 1 { print $2 }')
last=$(echo "$plan" | awk 'END { print $2 }')
echo "the plan: $(echo "$plan" | tr '\n' ';') programs:$programs"
case $first in
[0-9]*) ;;
*) fail "the plan has no places: $("$run" --print 2>&1)"; finish ;;
esac
[ "$threads" -gt 1 ] || skip "two threads are needed, and the plan of this machine has one"

for program in $programs; do
    same "$program" "$plan" "$(said "$run" "$scratch/$program")"
    # the printed command, run by a shell
    printed=$("$run" --print -- "$scratch/$program") || fail "$program: --print fails"
    same "$program, printed" "$plan" "$(said sh -c "$printed")"
    # the program in Fortran does not ask the kernel
    [ "$program" != of-gfortran ] || continue
    same "$program, CPU $last" "0 $last" "$(ran "$run" --cpus "$last" "$scratch/$program")"
    same "$program, quota 1.5" "0 $first" "$(ran "$run" --quota 1.5 "$scratch/$program")"
done

# ---- what passes through -----------------------------------------------------------------------------

ends 7 "$run" "$any" exit 7
ends 0 "$run" "$any" exit 0
silent "an ordinary run"
ends 127 "$run" "$scratch/there-is-none"
says "a missing program" 'there-is-none'
ends 127 "$run" loomp-run-finds-no-such-program
: >"$scratch/plain"
ends 126 "$run" "$scratch/plain"
ends 125 "$run" --no-such-option "$any"
ends 125 "$run" --smt=sideways "$any"
says "a wrong value" '^loomp-run: --smt: .*sideways'
ends 125 "$run"
ends 125 "$run" ''
says "an empty name" 'name is empty'
ends 125 "$run" --cpus= "$any"
ends 125 "$run" --config= "$any"
if [ -e /dev/full ]; then
    "$run" --help >/dev/full 2>/dev/null
    status=$?
    [ "$status" = 125 ] || fail "--help on a full device: status $status, not 125"
fi
OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 "$run" --print 2>/dev/null >"$scratch/out"
grep -q 'OMP_NUM_THREADS=1 .*OMP_WAIT_POLICY=passive .*taskset' "$scratch/out" ||
    fail "--print leaves out what the user has set: $(cat "$scratch/out")"
ends 0 "$run" --help
ends 0 "$run" --version

printf 'line 1\nline 2' | limited "$run" "$any" cat >"$scratch/out"
[ "$(grep -v '^kernel' "$scratch/out")" = "$(printf 'line 1\nline 2')" ] || fail "input is not passed on"

# shellcheck disable=SC2016,SC1003 # nothing in these words is for this shell
quoted=$(printf '[a  b]\n[]\n[it'"'"'s]\n[$HOME]\n[--help]\n[*\\]\n[--]')
# shellcheck disable=SC2016,SC1003
words() { "$@" echo 'a  b' '' "it's" '$HOME' --help '*\' --; }
same "arguments" "$quoted" "$(words limited "$run" -- "$any" | grep '^\[')"
same "printed arguments" "$quoted" "$(limited sh -c "$(words "$run" --print "$any")" | grep '^\[')"

# ---- what the user has set -----------------------------------------------------------------------------

wanted=$((threads + 1))
OMP_NUM_THREADS=$wanted ends 0 "$run" "$any"
says "OMP_NUM_THREADS" "^loomp-run: OMP_NUM_THREADS=$wanted is set and stays; the plan would be $threads\$"
[ "$(grep -c '^kernel' "$scratch/out")" = "$wanted" ] || fail "OMP_NUM_THREADS=$wanted does not win"
OMP_NUM_THREADS=$threads ends 0 "$run" "$any"
silent "OMP_NUM_THREADS as planned"

OMP_PLACES="{$last}" ends 0 "$run" "$any"
says "OMP_PLACES" "^loomp-run: OMP_PLACES={$last} is set and stays; the plan would be "
grep '^kernel' "$scratch/out" | grep -v " $last\$" && fail "OMP_PLACES={$last} does not win"

KMP_AFFINITY=disabled ends 0 "$run" "$any"
says "KMP_AFFINITY" 'warning: KMP_AFFINITY'
KMP_AFFINITY=disabled ends 125 "$run" --strict "$any"
GOMP_CPU_AFFINITY=$last ends 0 "$run" "$any"
says "GOMP_CPU_AFFINITY" "warning: GOMP_CPU_AFFINITY=$last is set and stays"

"$run" --print >"$scratch/out"
grep -q 'LIBOMP_USE_HIDDEN_HELPER_TASK=0' "$scratch/out" || fail "hidden helpers are not switched off"
"$run" --print --hidden-helpers | grep 'HIDDEN_HELPER' && fail "--hidden-helpers does nothing"
"$run" --print --no-loomp-pin | grep 'OMP_PLACES' && fail "places without pin"

# ---- limits --------------------------------------------------------------------------------------------

ends 0 taskset -c "$last" "$run" "$any"
says "a mask of one CPU" "warning: this process may run on CPU $last only"
same "a mask of one CPU" "kernel 0 $last" "$(grep '^kernel' "$scratch/out")"

for rank in 0 1; do
    OMPI_COMM_WORLD_LOCAL_RANK=$rank OMPI_COMM_WORLD_LOCAL_SIZE=2 ran "$run" "$any" |
        awk '{ print $2 }' >"$scratch/rank$rank"
    [ -s "$scratch/rank$rank" ] || fail "rank $rank has no threads"
done
same "the CPUs of two ranks" "$(echo "$plan" | awk '{ print $2 }' | sort)" \
    "$(sort "$scratch/rank0" "$scratch/rank1")"

# A CPU for I/O is no place, but stays in the mask.
io=$(planned --io 1)
[ "$(echo "$io" | wc -l)" = $((threads - 1)) ] || fail "--io 1 leaves places $io of $plan"
same "--io 1" "$io" "$(ran "$run" --io 1 "$any")"
mask()
{
    # shellcheck disable=SC2016 # for the inner shell
    limited "$run" "$@" sh -c 'taskset -cp $$' | sed 's/.*: //'
}
same "the mask with --io 1" "$(mask)" "$(mask --io 1)"
same "the mask with --cpus $last" "$last" "$(mask --cpus "$last")"
"$run" --why --print "$any" >/dev/null 2>"$scratch/err"
says "--why" '^loomp-run: budget: '
says "--why" '^loomp-run: openmp: the program loads /'
"$run" --near numa:0 --why --print >/dev/null 2>"$scratch/err" && says "--near numa:0" '^loomp-run: near: '
ends 125 "$run" --near numa:9999 "$any"
ends 125 "$run" --near moon:0 "$any"

# ---- one OpenMP runtime --------------------------------------------------------------------------------

# alone PROGRAM: on libomp, with no libgomp but the one that stands in for it.
alone()
{
    limited "$run" --one-openmp "$1" maps >"$scratch/out" 2>"$scratch/err" ||
        { cat "$scratch/err"; fail "$1: --one-openmp fails"; }
    grep '^map ' "$scratch/out" | grep -v '/one_openmp/\|/loomp/libgomp' >"$scratch/maps"
    { [ "$(wc -l <"$scratch/maps")" = 1 ] && grep -q 'libomp' "$scratch/maps"; } ||
        { cat "$scratch/out"; fail "$1: --one-openmp does not leave libomp alone"; }
}

one=0
if [ -e "$scratch/of-gcc" ] && [ -e "$(dirname "$tool")/tools/one_openmp/.libs/libgomp.so.1" ]; then
    one=1
    gomp=$(dirname "$(gcc -print-file-name=libgomp.so)")
    same "of-gcc, one OpenMP" "$plan" "$(said "$run" --one-openmp "$scratch/of-gcc")"
    alone "$scratch/of-gcc"
    if [ -e "$scratch/of-gfortran" ]; then
        same "of-gfortran, one OpenMP" "$plan" "$(said "$run" --one-openmp "$scratch/of-gfortran")"
    fi
    printed=$("$run" --one-openmp --print "$scratch/of-gcc")
    same "of-gcc, one OpenMP, printed" "$plan" "$(said sh -c "$printed")"
    for tags in disable enable; do
        build "gcc-$tags" gcc -fopenmp -D_GNU_SOURCE "$sources/affinity.c" \
            "-Wl,--$tags-new-dtags,-rpath,$gomp" && alone "$scratch/gcc-$tags"
    done
    if build gcc-detach gcc -fopenmp "$sources/detach.c"; then
        ends 125 "$run" --one-openmp "$scratch/gcc-detach"
        says "a detached task" 'omp_fulfill_event'
    fi
    if build gcc-static gcc -static -fopenmp -D_GNU_SOURCE "$sources/affinity.c"; then
        ends 125 "$run" --one-openmp "$scratch/gcc-static"
        says "a static libgomp" 'statically'
    fi
    # two runtimes: a library of clang's in a program of gcc's
    if [ -n "$clang" ]; then
        printf '%s\n' 'int other(void);' 'int other(void)' '{' '    int n = 0;' \
            '#pragma omp parallel reduction(+ : n)' '    n++;' '    return n;' '}' >"$scratch/other.c"
        # shellcheck disable=SC2086 # a compiler may have options with it
        build libother.so $clang -fopenmp -shared -fPIC "$scratch/other.c" &&
            build gcc-both gcc -fopenmp -D_GNU_SOURCE "$sources/affinity.c" -Wl,--no-as-needed \
                -L"$scratch" -lother "-Wl,-rpath,$scratch" && {
            ends 0 "$run" "$scratch/gcc-both"
            says "two runtimes" 'warning: the program loads 2 OpenMP runtimes'
            alone "$scratch/gcc-both"
            silent "two runtimes made one"
        }
    fi
fi

# ---- verify --------------------------------------------------------------------------------------------

# verified OPTION... -- WHAT: with a program that stays until loomp-run has said its opinion, which is
# left in $verdict, and the exit status in $status. Of one that drifts later it is the second opinion.
verified()
{
    opinions=1
    [ "${later:-no}" = no ] || opinions=2
    rm -f "$scratch/in" "$scratch/messages"
    mkfifo "$scratch/in" "$scratch/messages"
    limited "$run" --verify "$@" <"$scratch/in" >"$scratch/out" 2>"$scratch/messages" &
    child=$!
    exec 3>"$scratch/in" 4<"$scratch/messages"
    verdict=
    while read -r verdict <&4; do
        case $verdict in
        *verify:*)
            opinions=$((opinions - 1))
            [ $opinions != 0 ] || break
            echo >&3
            ;;
        esac
    done
    exec 3>&-
    cat <&4 >"$scratch/rest"
    wait "$child"
    status=$?
    exec 4<&-
}

for program in of-clang of-gcc; do
    [ -e "$scratch/$program" ] || continue
    verified "$scratch/$program" stay
    case $verdict in
    *"verify: process "*": the team of $threads is where the plan has it") ;;
    *) fail "$program: --verify says: $verdict" ;;
    esac
    [ "$status" = 0 ] || fail "$program: --verify ends with $status"
    verified "$scratch/$program" drift
    case $verdict in
    *"verify: thread $program ("*") may run on CPU"*", expected "*) ;;
    *) fail "$program: --verify says of a thread that has let go: $verdict" ;;
    esac
    [ "$status" = 0 ] || fail "$program: --verify with drift ends with $status"
    verified --strict "$scratch/$program" drift
    [ "$status" = 125 ] || fail "$program: --verify --strict with drift ends with $status"
    later=yes verified --strict "$scratch/$program" later
    case $verdict in
    *"may run on CPU"*", expected "*) ;;
    *) fail "$program: --verify says of drift that begins later: $verdict" ;;
    esac
    [ "$status" = 125 ] || fail "$program: --verify --strict with later drift ends with $status"
    # Within less than a second there are two looks, unless the machine is busy with other things.
    for ms in 700 2100 6300; do
        limited "$run" --verify --strict "$scratch/$program" brief $ms >"$scratch/out" 2>"$scratch/err"
        status=$?
        [ "$status" != 125 ] || break
    done
    [ "$status" = 125 ] || fail "$program: --verify --strict with drift in a short run: $status"
    says "$program: drift in a short run" 'verify: thread .* may run on CPU.*, expected '
    verified "$scratch/$program" crowd
    case $verdict in
    *"verify: $((threads + 1)) threads on $threads places") ;;
    *) fail "$program: --verify says of a team that is too large: $verdict" ;;
    esac
    for user in OMP_PLACES="{$last}" OMP_PROC_BIND=false GOMP_CPU_AFFINITY="$last"; do
        ends 0 env "$user" "$run" --verify "$scratch/$program"
        says "$program: --verify with $user" "verify: ${user%%=*} is set .*nothing is verified"
        grep -q 'plan has it' "$scratch/err" && fail "$program: $user is taken for the plan"
    done
done
verified sh -c "'$any' stay; exit 5"
case $verdict in
*"where the plan has it") ;;
*) fail "--verify says of a shell's child: $verdict" ;;
esac
[ "$status" = 5 ] || fail "--verify of a shell ends with $status, not 5"

# A program that stops itself stops loomp-run; continued, both go on.
if [ -r /proc/self/stat ]; then
    "$tool" --verify "$any" stop >/dev/null 2>&1 &
    child=$!
    timeout 20 sh -c "until grep -q ') T ' /proc/$child/stat; do :; done" || {
        fail "--verify does not stop with its program"
        kill -KILL "$child"
    }
    kill -CONT "$child"
    wait "$child"
    status=$?
    [ "$status" = 6 ] || fail "--verify of a program that stops itself ends with $status, not 6"
fi

ends 7 "$run" --verify "$any" exit 7
ends 127 "$run" --verify "$scratch/there-is-none"
ends 126 "$run" --verify "$scratch/plain"
for option in "" --verify; do
    # shellcheck disable=SC2086 # an option or nothing
    sh -c "'$run' $option '$any' kill 9 >/dev/null; echo \$?" >"$scratch/status" 2>/dev/null
    [ "$(cat "$scratch/status")" = 137 ] || fail "$option killed by 9: status $(cat "$scratch/status")"
    # a signal for loomp-run is one for the program
    rm -f "$scratch/ready"
    mkfifo "$scratch/ready"
    # shellcheck disable=SC2086 # an option or nothing
    "$run" $option "$any" wait >"$scratch/ready" 2>/dev/null &
    child=$!
    exec 3<"$scratch/ready"
    while read -r line <&3 && [ "$line" != ready ]; do
        :
    done
    kill -TERM "$child"
    wait "$child" 2>/dev/null
    status=$?
    exec 3<&-
    [ "$status" = 143 ] || fail "$option: ended by TERM with status $status"
done
[ "$one" = 1 ] || echo "not tried: --one-openmp, which needs gcc and the library in the build tree"
finish "$threads threads; programs:$programs"
