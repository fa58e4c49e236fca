#!/bin/sh
# SPDX-License-Identifier: MIT
# loomp-info: its page, the forms for programs, other machines, archives of them, processes, and what
# it says of options that make no sense. Usage: by `make check`, or with top_builddir set.
. "$(dirname "$0")/../lib/check.sh"

program=${top_builddir:-$top_srcdir}/src/loomp-info
[ -x "$program" ] || skip "loomp-info is not built"
unset LOOMP_CONFIG NO_COLOR OMP_PLACES OMP_PROC_BIND OMP_NUM_THREADS OMP_STACKSIZE
unset CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ZE_AFFINITY_MASK
unset SLURM_LOCALID OMPI_COMM_WORLD_LOCAL_RANK MPI_LOCALRANKID PMI_LOCAL_RANK PMIX_RANK TAR_OPTIONS
mkdir "$scratch/tmp"
TMPDIR=$scratch/tmp
export TMPDIR

node='pack:2 numa:2 l3:2 core:4 pu:2'
out=$scratch/out
err=$scratch/err

# info OPTION...: runs it; its output is in $out, what it complains of in $err.
info()
{
    timeout -k 10 60 "$program" "$@" >"$out" 2>"$err"
}

# ok OPTION...: the same, and it must end well.
ok()
{
    info "$@" || { cat "$err"; fail "loomp-info $*: status $?"; }
}

# says PATTERN WHAT...: the output has such a line.
says()
{
    pattern=$1
    shift
    grep -q -- "$pattern" "$out" || { cat "$out"; fail "$*: there is no line like \"$pattern\""; }
}

# refused STATUS PATTERN OPTION...: ends with that status and one sentence, which has the pattern.
refused()
{
    status=$1
    pattern=$2
    shift 2
    info "$@"
    got=$?
    [ $got = "$status" ] || fail "loomp-info $*: status $got, not $status"
    [ "$(grep -c . "$err")" = 1 ] || { cat "$err"; fail "loomp-info $*: not one sentence"; }
    grep -q -- "$pattern" "$err" || { cat "$err"; fail "loomp-info $*: nothing like \"$pattern\""; }
}

# reason KEY: the text of that reason in the output of --why, on one line.
reason()
{
    awk -v key="$1" '
        substr($0, 3, 1) != " " { on = $1 == key; if (on) { $1 = "" } }
        on { line = line " " $0 }
        END { gsub(/ +/, " ", line); print line }' "$out"
}

# --- the page ----------------------------------------------------------------------------------

ok
says '^  machine ' "this machine"
says '^  allowed ' "this machine"
says '^  quota ' "this machine"
says '^Plan: ' "this machine"
says '^  compute ' "this machine"
[ "$(wc -l <"$out")" -le 60 ] || fail "the page has more than 60 lines"
awk 'length > 100 { exit 1 }' "$out" || fail "the page is wider than 100 columns"
escape=$(printf '\033')
! grep -q "$escape" "$out" || fail "colours in a file"
if script -qec true /dev/null >/dev/null 2>&1; then
    TERM=xterm script -qec "'$program'" /dev/null >"$out" </dev/null
    grep -q "$escape" "$out" || fail "no colours on a terminal"
    NO_COLOR=1 TERM=xterm script -qec "'$program'" /dev/null >"$out" </dev/null
    ! grep -q "$escape" "$out" || fail "colours in spite of NO_COLOR"
fi

ok --synthetic "$node" --quota 7.5
says '^Plan: 7 threads on CPUs 0-12 by 2, budget 7$' "quota 7.5"
says '^  I/O  *1  *0; node 0$' "quota 7.5"
says '^  compute  *6  *2-12 by 2; node 0$' "quota 7.5"
ok --synthetic "$node" --cpus 8-11 --io 0
says '^Plan: 2 threads on CPUs 8, 10, budget 2$' "four CPUs of two cores, no I/O"
ok --synthetic "$node" --rank 1/2
says '^Plan: 16 threads on CPUs 32-62 by 2, ' "the second of two ranks"
ok --synthetic "$node" --loomp-places=l3 --loomp-smt=use
says '^  compute  *63  *{1-7} x 7, {8-15} x 8' "places of cache groups"
ok --synthetic 'core:4 pu:1' --loomp-compute-threads=9
says '^  ! ' "too many threads"


# --- reasons ------------------------------------------------------------------------------------

ok --synthetic "$node" --quota 7.5 --why
for key in machine allowed quota budget io compute; do
    [ -n "$(reason $key)" ] || fail "--why has no reason \"$key\""
done
machine=$(reason machine) quota=$(reason quota) budget=$(reason budget) compute=$(reason compute)
ok --synthetic "$node" --quota 5 --why
[ "$(reason quota)" != "$quota" ] || fail "another quota has the same reason"
[ "$(reason budget)" != "$budget" ] || fail "another quota, the same reason for the budget"
[ "$(reason machine)" = "$machine" ] || fail "another quota, another reason for the machine"
ok --synthetic "$node" --quota 7.5 --loomp-compute-threads=2 --why
[ "$(reason compute)" != "$compute" ] || fail "a number that was asked for has the old reason"
[ "$(reason quota)" = "$quota" ] || fail "the same quota has another reason"

# --- JSON ---------------------------------------------------------------------------------------

# field EXPRESSION: of the output, which is `j`.
field()
{
    python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$out" "$1"
}

if command -v python3 >/dev/null && python3 -c 'import json' 2>/dev/null; then
    ok --json
    [ "$(field 'j["plan"]["budget"] >= 1 and j["machine"]["this_machine"]')" = True ] ||
        fail "--json does not describe this machine"
    ok --synthetic "$node" --quota 7.5 --json
    [ "$(field 'j["plan"]["budget"]')" = 7 ] || fail "--json and the page have different budgets"
    [ "$(field '[p["cpus"] for p in j["plan"]["pools"][0]["places"]]')" = \
        "['2', '4', '6', '8', '10', '12']" ] || fail "--json and the page have different places"
    [ "$(field 'len(j["machine"]["cpus"])')" = 64 ] || fail "--json has not every CPU"
    [ "$(field 'j["cgroup"]["quota"]')" = 7.5 ] || fail "--json has not the quota"
    [ "$(field '[r["key"] for r in j["reasons"]].count("budget")')" = 1 ] ||
        fail "--json has not the reasons"
    cp "$top_srcdir/tests/data/topologies/gpus.xml" \
        "$scratch/a \"b\" \\$(printf '\001\377').xml"
    ok --topology "$scratch/a \"b\" \\$(printf '\001\377').xml" --json
    [ "$(field 'ascii(j["machine"]["name"])')" = "'a \"b\" \\\\\\x01\\ufffd.xml'" ] ||
        fail "--json does not escape texts: $(field 'ascii(j["machine"]["name"])')"
    ok --synthetic 'core:4 pu:1' --loomp-compute-threads=9 --json
    [ "$(field 'len(j["warnings"]) > 0')" = True ] || fail "--json has not the warnings"
    with_python=", JSON"
fi

# --- assignments for a shell ----------------------------------------------------------------------

ok --synthetic "$node" --quota 4 --env
evaluated=$(eval "$(cat "$out")" && echo "$OMP_NUM_THREADS $OMP_PLACES $OMP_PROC_BIND")
[ "$evaluated" = '3 {2},{4},{6} close' ] || fail "--env evaluates to $evaluated"
evaluated=$(env | grep -c '^OMP_PLACES=')
[ "$evaluated" = 0 ] || fail "the test's own environment has changed"
OMP_PLACES='{7}' "$program" --synthetic "$node" --quota 4 --env >"$out"
says '^# OMP_PLACES stays' "a user's OMP_PLACES"
! grep -q '^export OMP_PLACES' "$out" || fail "a user's OMP_PLACES is overwritten"
for user in KMP_AFFINITY=compact GOMP_CPU_AFFINITY=0 OMP_PROC_BIND=false; do
    env "$user" "$program" --synthetic "$node" --quota 4 --env >"$out" 2>"$err"
    ! grep -q '^export OMP_P' "$out" || fail "--env binds in spite of $user"
    says "^# ${user%%=*} stays" "--env with $user"
done
ok --synthetic "$node" --loomp-pin=false --env
! grep -q OMP_PLACES "$out" || fail "--env binds threads that are not pinned"

# The launcher hands the same places to a program, all for computing unless it is told otherwise.
run=${top_builddir:-$top_srcdir}/src/loomp-run
if [ -x "$run" ]; then
    ok --io 0 --env
    evaluated=$(eval "$(cat "$out")" && echo "$OMP_NUM_THREADS $OMP_PLACES $OMP_PROC_BIND")
    # shellcheck disable=SC2016 # expanded by the printed command
    printed=$("$run" --print sh -c 'echo "$OMP_NUM_THREADS $OMP_PLACES $OMP_PROC_BIND"' 2>"$err")
    [ "$(eval "$printed")" = "$evaluated" ] ||
        fail "loomp-run prints \"$printed\", --env gives \"$evaluated\""
fi

# --- the drawing ------------------------------------------------------------------------------------

# well_formed FILE
well_formed()
{
    if command -v xmllint >/dev/null; then
        xmllint --noout "$1"
    elif command -v python3 >/dev/null; then
        python3 -c 'import sys, xml.dom.minidom
xml.dom.minidom.parse(sys.argv[1])' "$1"
    fi
}

# drawing CPUS USED OPTION...: so many boxes of CPUs, so many of them with something to do.
drawing()
{
    cpus=$1
    used=$2
    shift 2
    ok "$@" --svg "$scratch/plan.svg"
    well_formed "$scratch/plan.svg" || fail "loomp-info $*: the drawing is not well-formed"
    count=$(grep -c 'class="cpu[^>]*data-cpu=' "$scratch/plan.svg")
    [ "$count" = "$cpus" ] || fail "loomp-info $*: $count CPUs are drawn, not $cpus"
    count=$(grep -c 'class="cpu used" data-cpu=' "$scratch/plan.svg")
    [ "$count" = "$used" ] || fail "loomp-info $*: $count CPUs are coloured, not $used"
}

drawing 2 2 --synthetic 'core:2 pu:1'
drawing 64 7 --synthetic "$node" --quota 7.5
drawing 64 64 --synthetic "$node" --loomp-pin=false
drawing 1024 512 --synthetic 'pack:8 numa:2 l3:4 core:8 pu:2'
drawing 16 4 --topology "$top_srcdir/tests/data/topologies/gpus.xml" --gpu 1
grep -q 'class="device gpu chosen"' "$scratch/plan.svg" || fail "the chosen GPU is not marked"
[ "$(grep -c 'class="device[ "]' "$scratch/plan.svg")" = 6 ] || fail "not every device is drawn"
ok --synthetic "$node" --svg -
says '^</svg>' "--svg -"

# --- recorded machines and their archives -----------------------------------------------------------

recorded=$top_srcdir/tests/data/topologies/recorded
ok --topology "$recorded"
sed 1d "$out" >"$scratch/of-tree"
says '^Plan: ' "a recorded tree"
says '^  offline *7$' "a CPU of a recorded tree that is switched off"
drawing 7 3 --topology "$recorded"
grep -q 'class="offline" data-cpu="7"' "$scratch/plan.svg" || fail "CPU 7, switched off, is not drawn"
archives=0
for kind in z j J; do
    case $kind in
    z) suffix=gz tool=gzip ;;
    j) suffix=bz2 tool=bzip2 ;;
    *) suffix=xz tool=xz ;;
    esac
    command -v $tool >/dev/null || continue
    archives=$((archives + 1))
    tar -c${kind}f "$scratch/node:1.tar.$suffix" -C "$recorded/.." recorded || exit 99
    ok --topology "$scratch/node:1.tar.$suffix"
    sed 1d "$out" >"$scratch/of-archive"
    cmp -s "$scratch/of-tree" "$scratch/of-archive" ||
        { diff "$scratch/of-tree" "$scratch/of-archive"; fail "a .tar.$suffix plans otherwise"; }
done
tar -cf "$scratch/flat.tar" -C "$recorded" proc sys
ok --topology "$scratch/flat.tar"

head -c 300 "$scratch/flat.tar" >"$scratch/short.tar"
echo "no archive" >"$scratch/rubbish.tar.gz"
refused 1 'tar cannot read' --topology "$scratch/rubbish.tar.gz"
refused 1 'short.tar' --topology "$scratch/short.tar"
refused 1 'missing.tar' --topology "$scratch/missing.tar"
mkdir -p "$scratch/nest/inner"
echo evil >"$scratch/nest/escaped"
(cd "$scratch/nest/inner" && tar -cPf "$scratch/up.tar" ../escaped) 2>/dev/null
refused 1 'would leave the directory' --topology "$scratch/up.tar"
tar -cPf "$scratch/absolute.tar" "$scratch/nest/escaped" 2>/dev/null
rm "$scratch/nest/escaped"
refused 1 'would leave the directory' --topology "$scratch/absolute.tar"
[ ! -e "$scratch/nest/escaped" ] || fail "an archive wrote where it should not"
mkdir -p "$scratch/linked/sys"
ln -s /etc "$scratch/linked/proc"
tar -cf "$scratch/linked.tar" -C "$scratch" linked
refused 1 'outside of it' --topology "$scratch/linked.tar"
if mkfifo "$scratch/linked/sys/pipe" 2>/dev/null; then
    rm "$scratch/linked/proc"
    tar -cf "$scratch/pipe.tar" -C "$scratch" linked
    refused 1 'neither a file' --topology "$scratch/pipe.tar"
fi
tar -cf "$scratch/empty.tar" -C "$scratch" nest
refused 1 'no directory .sys' --topology "$scratch/empty.tar"
left=$(ls "$scratch/tmp")
[ -z "$left" ] || fail "left behind: $left"

# Control groups of one machine, topology of another.
ok --synthetic "$node" --root "$top_srcdir/tests/data/cgroups/k8s-v2" --loomp-io-threads=1
says '^  quota  *2 CPUs (.*/cpu.max)' "a recorded control group"
says '^Plan: 2 threads' "a recorded control group"

ok --save-topology "$scratch/saved.xml" --synthetic "$node"
ok --topology "$scratch/saved.xml" --quota 7.5
says '^  compute  *6  *2-12 by 2; node 0$' "a saved topology"

# --- settings ---------------------------------------------------------------------------------------

printf 'loomp:\n{\n    reserve = 3;\n    pools: { hdd: { threads = 2; }; };\n};\n' \
    >"$scratch/app.conf"
LOOMP_IO_THREADS=2 "$program" --config "$scratch/app.conf" --loomp-smt=spill --gpu 0 --settings \
    >"$out" || fail "--settings: status $?"
says '^reserve  *3  *.*app.conf:3$' "a setting of a file"
says '^io.threads  *2  *LOOMP_IO_THREADS$' "a setting of the environment"
says '^smt  *spill  *--loomp-smt$' "a setting of the command line"
says '^gpu  *0  *--loomp-gpu$' "--gpu"
says '^pools.hdd.threads  *2  *.*app.conf:4$' "a pool's setting"
says '^pin  *true  *default$' "a default"
ok --synthetic "$node" --config "$scratch/app.conf"
says '^  hdd  *2 ' "a pool of a file"

# --- processes --------------------------------------------------------------------------------------

mkfifo "$scratch/ready" "$scratch/end" || exit 99
if command -v taskset >/dev/null; then
    allowed=$(taskset -pc $$ | sed 's/.*: //')
    cpu=$(echo "$allowed" | sed 's/[^0-9].*//')
    taskset -c "$cpu" sh -c "echo >'$scratch/ready'; read line <'$scratch/end'" &
    child=$!
    read -r _ <"$scratch/ready"
    ok --pid $child
    says "^process $child " "--pid"
    says "^  *$child  *[^ ]*  *[A-Z]  *$cpu  *$cpu " "a thread on CPU $cpu"
    ! grep -q '!' "$out" || { cat "$out"; fail "a thread that is where it should be is marked"; }
    last=$(echo "$allowed" | sed 's/.*[^0-9]//')
    if [ "$last" != "$cpu" ]; then
        ok --pid $child --cpus "$last"
        says "^  *$child .*! outside the plan" "a thread outside the plan"
    fi
    echo >"$scratch/end"
    wait $child
    refused 1 "there is no process $child" --pid $child
fi

# Two threads that only compute, on one CPU. How much of it they get before a look is the kernel's
# business, so it may take some looks.
cat >"$scratch/busy.c" <<'END'
#include <pthread.h>
#include <unistd.h>
static volatile unsigned long count;
static void *work(void *arg)
{
    for (;;) {
        count++;
    }
    return arg;
}
int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) || write(1, "\n", 1) != 1) {
        return 1;
    }
    work(NULL);
}
END
# shellcheck disable=SC2086 # a command with options
if command -v taskset >/dev/null &&
    ${CC:-cc} -pthread -o "$scratch/busy" "$scratch/busy.c" 2>/dev/null; then
    taskset -c "$cpu" "$scratch/busy" >"$scratch/ready" &
    child=$!
    read -r _ <"$scratch/ready"
    looks=0
    until grep -q "^  *$child .*! shares CPU $cpu with [0-9]" "$out" || [ $looks = 50 ]; do
        ok --pid $child
        looks=$((looks + 1))
    done
    [ $looks -lt 50 ] || fail "two busy threads on one CPU are not marked"
    kill $child
    wait $child 2>/dev/null
fi

# --- OpenMP runtimes --------------------------------------------------------------------------------

ok --check sh
says ': no OpenMP runtime' "--check of a shell"
refused 1 'nowhere' --check "$scratch/nowhere"
printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' >"$scratch/one.c"
: >"$scratch/empty"
echo text >"$scratch/text"
head -c 5000 "$(command -v sh)" >"$scratch/short"
chmod +x "$scratch/empty" "$scratch/text" "$scratch/short"
for file in empty text short; do
    refused 1 'is no ELF program' --check "$scratch/$file"
done
echo 'int g(void); int g(void) { return 0; }' >"$scratch/g.c"
echo 'int g(void); int main(void) { return g(); }' >"$scratch/needs.c"
# shellcheck disable=SC2086 # a command with options
if [ -z "${SANITIZER:-}" ] && ${CC:-cc} -shared -fPIC -o "$scratch/libg.so" "$scratch/g.c" 2>/dev/null &&
    ${CC:-cc} -o "$scratch/needs" "$scratch/needs.c" -L"$scratch" -lg 2>/dev/null; then
    refused 1 'libg.so is missing' --check "$scratch/needs"
fi
# shellcheck disable=SC2086 # a command with options
if [ -z "${SANITIZER:-}" ] && ${CC:-cc} -fopenmp -o "$scratch/one" "$scratch/one.c" 2>/dev/null; then
    ok --check "$scratch/one"
    says 'lib[gi]*omp' "--check of a program with OpenMP"
fi

# --- looking again, and what makes no sense -----------------------------------------------------------

looks=$(timeout -k 10 60 "$program" --watch=0.01 | head -n 100 | grep -c '^Plan: ')
[ "$looks" -ge 2 ] || fail "--watch looked $looks times"

ok --help
says '--save-topology' "--help"
ok --version
says '^loomp-info .*[0-9]' "--version"
ok --loomp-help
says '--loomp-io-threads' "--loomp-help"

refused 2 '`word' word
refused 2 'jsno' --jsno
refused 2 'takes no value' --json=1
refused 2 'needs a value' --topology
refused 2 'not empty' --topology ''
refused 2 'at once' --topology x --synthetic y
refused 2 'at once' --json --why
refused 2 "CPU list .7-3" --cpus 7-3
refused 2 'cpus' --cpus ''
refused 2 'quota' --quota 0
refused 2 'quota' --quota -1
refused 2 'quota' --quota nan
refused 2 'quota' --quota 1x
refused 2 'rank' --rank 2/2
refused 2 'rank' --rank 1
refused 2 'rank' --rank x/2
refused 2 'io' --io -1
refused 2 'io' --io 2000
refused 2 'pid' --pid 0
refused 2 'pid' --pid self
refused 2 'watch' --watch=0
refused 2 'watch' --watch --json
refused 2 'pid' --pid 1 --synthetic core:2
refused 2 'watch' --watch --synthetic core:2
refused 2 'missing.conf' --config "$scratch/missing.conf"
refused 2 'loomp-io-threads' --loomp-io-threads=0
refused 1 'core:x' --synthetic core:x
refused 1 'missing.xml' --topology "$scratch/missing.xml"
refused 1 'missing' --root "$scratch/missing"
refused 1 '99' --synthetic 'core:2 pu:1' --cpus 99
refused 1 'no/such' --svg "$scratch/no/such"
refused 1 'no/such' --save-topology "$scratch/no/such"
refused 1 'gpu' --synthetic 'core:2 pu:1' --gpu 3
if [ -e /dev/full ]; then
    "$program" >/dev/full 2>"$err"
    got=$?
    [ $got = 1 ] || fail "a full device: status $got, not 1"
fi

finish "page, reasons, drawings, $archives kinds of archives, processes${with_python:-}"
