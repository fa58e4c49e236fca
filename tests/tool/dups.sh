#!/bin/sh
# SPDX-License-Identifier: MIT
# examples/dups: finds what it should in a made-up tree, in each of its forms of output and with
# pools of each kind; says what it leaves out; finds what jdupes finds in a real tree.
. "$(dirname "$0")/../lib/check.sh"

dups=${top_builddir:-$top_srcdir}/examples/dups/dups
[ -x "$dups" ] || skip "examples/dups is not built: libxxhash is missing, see configure's summary"
unset LOOMP_CONFIG
LC_ALL=C
export LC_ALL

# run STATUS ARGUMENT...: runs dups in $scratch and compares its exit status.
run()
{
    expected=$1
    shift
    (cd "$scratch" && timeout -k 10 120 "$dups" "$@") >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    [ "$status" = "$expected" ] || {
        cat "$scratch/err"
        fail "dups $*: exit status $status, not $expected"
    }
}

# same NAME: the last output is what is expected on standard input.
same()
{
    cat >"$scratch/expected"
    diff "$scratch/expected" "$scratch/out" || fail "$1: other groups (<: expected)"
}

# --- a made-up tree -------------------------------------------------------------------------------

bytes()
{
    head -c "$1" /dev/zero | tr '\0' "$2"
}

tree=$scratch/tree
mkdir -p "$tree/sub/deep" "$tree/odd names" "$tree/large" "$tree/other"
printf 'one' >"$tree/a"
printf 'one' >"$tree/sub/b"
printf 'one' >"$tree/sub/deep/c"
printf 'two' >"$tree/same-size"
printf 'lonely size' >"$tree/alone"
ln "$tree/a" "$tree/a-link"
ln "$tree/alone" "$tree/sub/alone-link"
ln -s a "$tree/a-symlink"
ln -s ../sub "$tree/other/sub-symlink"
ln -s . "$tree/other/ring"
ln -s nowhere "$tree/dangling"
: >"$tree/empty1"
: >"$tree/sub/empty2"
mkfifo "$tree/fifo"

# Around the size of a head, 4096 bytes.
for size in 4095 4096 4097; do
    bytes $size x >"$tree/size-$size"
    bytes $size x >"$tree/sub/size-$size"
done
# Equal heads: another tail, and another byte just behind the head.
{ bytes 4096 h; printf a; } >"$tree/tail1"
{ bytes 4096 h; printf b; } >"$tree/tail2"
{ bytes 8000 h; printf a; } >"$tree/tail3"
{ bytes 8000 h; printf a; } >"$tree/tail4"
{ bytes 8000 h; printf b; } >"$tree/tail5"
# Another head, the same tail.
{ printf a; bytes 8000 i; } >"$tree/head1"
{ printf b; bytes 8000 i; } >"$tree/head2"

# Larger than what is read at once, 1 MiB: equal, and with another byte at the end.
bytes 2500000 l >"$tree/large/1"
bytes 2500000 l >"$tree/large/2"
{ bytes 2499999 l; printf m; } >"$tree/large/3"
bytes 1048576 l >"$tree/large/4"
bytes 1048576 l >"$tree/large/5"
# Sparse: holes equal zeros.
truncate -s 3000000 "$tree/large/hole"
head -c 3000000 /dev/zero >"$tree/large/zeros"
{ head -c 2999999 /dev/zero; printf x; } >"$tree/large/not-zeros"

newline='new
line'
printf 'odd' >"$tree/odd names/$newline"
printf 'odd' >"$tree/odd names/ blank "
printf 'odd' >"$tree/odd names/-dash"
printf 'odd' >"$tree/odd names/quote\"back\\slash"
printf 'odd' >"$tree/odd names/$(printf 'latin\344\365 utf\303\244')"

sed "s/^-//" >"$scratch/expected-large" <<'END'
-tree/large/1
-tree/large/2
-
-tree/large/4
-tree/large/5
-
-tree/large/hole
-tree/large/zeros
-
END

{
    printf 'tree/a\ntree/sub/b\ntree/sub/deep/c\n\n'
    cat "$scratch/expected-large"
    printf 'tree/odd names/ blank \ntree/odd names/-dash\n'
    printf 'tree/odd names/latin\344\365 utf\303\244\n'
    printf 'tree/odd names/%s\ntree/odd names/quote"back\\slash\n\n' "$newline"
    for size in 4095 4096 4097; do
        printf 'tree/size-%s\ntree/sub/size-%s\n\n' $size $size
    done
    printf 'tree/tail3\ntree/tail4\n'
} >"$scratch/tree-groups"

run 0 tree
same "a made-up tree" <"$scratch/tree-groups"
[ ! -s "$scratch/err" ] || { cat "$scratch/err"; fail "messages where there is nothing to say"; }

# However many threads and places in queues there are, and wherever it starts.
for arguments in --pool=1 --pool=2 --pool=16 "--pool=3 --loomp-queue-limit=1" \
    "--loomp-queue-limit=2" "--loomp-queue-policy=caller_runs --loomp-queue-limit=1" \
    "--loomp-compute-threads=1 --pool=2"; do
    # shellcheck disable=SC2086 # a list of options
    run 0 $arguments tree
    same "$arguments" <"$scratch/tree-groups"
done
for roots in "tree/" "tree tree" "tree tree/sub tree/large" "tree tree/other/sub-symlink"; do
    # shellcheck disable=SC2086 # a list of directories
    run 0 $roots
    sed 's,//,/,' "$scratch/out" >"$scratch/once" && mv "$scratch/once" "$scratch/out"
    case $roots in
    tree/ | "tree tree") same "dups $roots" <"$scratch/tree-groups" ;;
    *) # A directory under two names counts once, under either.
        grep -c . "$scratch/tree-groups" >"$scratch/expected"
        grep -c . "$scratch/out" | cmp "$scratch/expected" - || fail "dups $roots: other files"
        ;;
    esac
done

# Two trees; a link to a directory is followed if it is an argument.
run 0 tree/other/sub-symlink tree/large
{
    cat "$scratch/expected-large"
    printf 'tree/other/sub-symlink/b\ntree/other/sub-symlink/deep/c\n'
} >"$scratch/two-trees"
same "two trees" <"$scratch/two-trees"

# --- forms ----------------------------------------------------------------------------------------

run 0 --null tree/sub tree/large
printf '%s\0%s\0\0%s\0%s\0\0%s\0%s\0\0%s\0%s\0' tree/large/1 tree/large/2 tree/large/4 \
    tree/large/5 tree/large/hole tree/large/zeros tree/sub/b tree/sub/deep/c >"$scratch/expected"
cmp "$scratch/expected" "$scratch/out" || fail "--null: other bytes"
run 0 -0 "tree/odd names"
[ "$(tr -d -c '\0' <"$scratch/out" | wc -c)" = 5 ] || fail "-0: a name with a newline does not survive"

run 0 --json "tree/odd names"
same "--json" <<'END'
{"complete":true,"left_out":0,"groups":[
{"size":3,"files":["tree/odd names/ blank ","tree/odd names/-dash","tree/odd names/latin\udce4\udcf5 utfä","tree/odd names/new\u000aline","tree/odd names/quote\"back\\slash"]}]}
END
run 0 --json tree/other
same "--json without duplicates" <<'END'
{"complete":true,"left_out":0,"groups":[]}
END

run 0 -H tree
{
    printf 'tree/a\ntree/a-link\ntree/sub/b\ntree/sub/deep/c\n\n'
    printf 'tree/alone\ntree/sub/alone-link\n\n'
    sed '1,4d' "$scratch/tree-groups"
} >"$scratch/expected-links"
same "--hard-links" <"$scratch/expected-links"

run 0 --empty tree
{
    sed '1,/^$/!d' "$scratch/tree-groups"
    printf 'tree/empty1\ntree/sub/empty2\n\n'
    sed '1,/^$/d' "$scratch/tree-groups"
} >"$scratch/expected-empty"
same "--empty" <"$scratch/expected-empty"

# --- pools ----------------------------------------------------------------------------------------

# A tree of sysfs, with the device of the scratch directory in it; where that has none, a list of
# mounts gives it one.
numbers=$(stat -c %Hd:%Ld "$scratch")
pool=dev8-48
mkdir -p "$scratch/sys/dev/block" "$scratch/sys/class/block" "$scratch/sys/devices/sdx/sdx1" \
    "$scratch/sys/devices/sdx/queue"
echo 8:48 >"$scratch/sys/devices/sdx/dev"
echo 1 >"$scratch/sys/devices/sdx/sdx1/partition"
ln -s ../../devices/sdx/sdx1 "$scratch/sys/dev/block/$numbers"
ln -s ../../devices/sdx/sdx1 "$scratch/sys/class/block/sdx1"
echo "30 1 $numbers / / rw,relatime - btrfs /dev/sdx1 rw" >"$scratch/mounts"
for kind in "1 rotational, 1 thread" "0 not rotational, 16 threads"; do
    echo "${kind%% *}" >"$scratch/sys/devices/sdx/queue/rotational"
    run 0 -v --sysfs=sys --mountinfo=mounts tree
    same "${kind#* }" <"$scratch/tree-groups"
    [ "$(cat "$scratch/err")" = "dups: pool $pool: sdx, ${kind#* }" ] ||
        { cat "$scratch/err"; fail "not the pool of a disk that is ${kind#* }"; }
done
for rule in 3 "$pool=3" 8:48=3 "2 --pool=$pool=3" "3 --pool=dev1-1=2"; do
    # shellcheck disable=SC2086 # two options
    run 0 -v --sysfs=sys --mountinfo=mounts --pool=$rule tree/large
    grep -q "pool $pool: .*, 3 threads" "$scratch/err" || fail "--pool=$rule: not 3 threads"
done
if [ "${numbers%%:*}" = 0 ]; then
    run 0 -v --sysfs=nowhere --mountinfo=/dev/null tree/large
    grep -q "pool other: unknown, not rotational, 16 threads" "$scratch/err" || fail "not the pool other"
fi

# --- signals --------------------------------------------------------------------------------------

# Two files that take long, and a signal at any time before they are done: what is printed is true.
mkdir "$scratch/long"
if truncate -s 100G "$scratch/long/1" "$scratch/long/2" 2>/dev/null; then
    for signal in INT TERM; do
        : >"$scratch/err" # not what the last run said
        (cd "$scratch" && exec "$dups" -v tree/large long) \
            >"$scratch/out" 2>"$scratch/err" </dev/null &
        program=$!
        until grep -q 'pool' "$scratch/err" || ! kill -0 $program 2>/dev/null; do
            sleep 0.02
        done
        kill -$signal $program
        wait $program
        status=$?
        [ $status = 130 ] || fail "SIG$signal: exit status $status"
        grep -q '^dups: interrupted' "$scratch/err" || fail "SIG$signal: it does not say so"
        awk 'BEGIN { RS = "" } NR == FNR { known[$0] = 1; next } !($0 in known)' \
            "$scratch/expected-large" "$scratch/out" >"$scratch/wrong"
        [ ! -s "$scratch/wrong" ] || { cat "$scratch/wrong"; fail "SIG$signal: groups that are none"; }
    done
fi
rm -r "$scratch/long"

# --- what goes wrong ------------------------------------------------------------------------------

run 2
run 2 --pool=0 tree
run 2 --pool==3 tree
run 2 --pool=x=2y tree
run 2 --nonsense tree
run 2 --loomp-nonsense=1 tree
run 0 --help
grep -q 'Exit status' "$scratch/out" || fail "--help does not help"

run 1 tree/large nowhere
same "a root that is missing" <<END
$(sed '$d' "$scratch/expected-large")
END
grep -q '^dups: nowhere: No such file or directory$' "$scratch/err" || fail "a missing root: no reason"
run 1 tree/a
grep -q '^dups: tree/a: Not a directory$' "$scratch/err" || fail "a file as a root: no reason"
if [ -w /dev/full ]; then
    (cd "$scratch" && timeout -k 10 120 "$dups" tree/large) >/dev/full 2>"$scratch/err"
    [ $? = 3 ] || fail "a result that cannot be written: another exit status"
fi

if [ "$(id -u)" != 0 ]; then
    printf 'one' >"$tree/sub/unreadable"
    mkdir "$tree/closed"
    chmod 0 "$tree/sub/unreadable" "$tree/closed"
    run 1 tree
    same "unreadable" <"$scratch/tree-groups"
    for path in tree/sub/unreadable tree/closed; do
        grep -q "^dups: $path: Permission denied\$" "$scratch/err" || fail "$path: no reason"
    done
    chmod 700 "$tree/closed"
    rm -r "$tree/closed" "$tree/sub/unreadable"
else
    echo "not tried: files that root cannot read"
fi

# --- the guide ------------------------------------------------------------------------------------

awk '
    /^```c$/ { inside = 1; next }
    /^```$/ { inside = 0 }
    inside && $0 != "/* search.c */" && $0 != "" { print }
' "$top_srcdir/doc/guide/devices.md" >"$scratch/shown"
[ -s "$scratch/shown" ] || fail "the guide shows nothing of dups"
while IFS= read -r line; do
    grep -q -F -e "$line" "$top_srcdir/examples/dups/search.c" ||
        fail "devices.md shows a line that search.c lacks: $line"
done <"$scratch/shown"

# --- a real tree ----------------------------------------------------------------------------------

# set_of NUL-SEPARATED: a line per group, of the inodes in it, because which name stands for an inode
# is a choice. The root directory, which is no file, stands between the groups.
set_of()
{
    between=$(stat -c %d:%i /)
    tr '\n\0' '\001\n' <"$1" | sed 's,^$,/,' | tr '\n\001' '\0\n' | xargs -0 stat -c %d:%i |
        awk -v between="$between" '
            $0 == between { print ""; next }
            { printf "%s ", $0 }
            END { print "" }' |
        awk '
        NF == 0 { next }
        {
            count = split($0, names, " ")
            for (i = 2; i <= count; i++) {
                for (k = i; k > 1 && names[k] < names[k - 1]; k--) {
                    swap = names[k]
                    names[k] = names[k - 1]
                    names[k - 1] = swap
                }
            }
            line = names[1]
            for (i = 2; i <= count; i++) {
                line = line " " names[i]
            }
            print line
        }' | sort
}

if ! command -v jdupes >/dev/null; then
    [ "$failures" != 0 ] || skip "jdupes is missing; all but the comparison with it has passed"
    finish
fi
real=
for directory in /usr/share/doc /usr/include /usr/share/man /usr/share/locale /usr/share/zoneinfo; do
    [ ! -d "$directory" ] || real="$real $directory"
done
# shellcheck disable=SC2086 # lists of directories
{
    run 0 -0 $real
    mv "$scratch/out" "$scratch/ours"
    jdupes -q -r -0 $real >"$scratch/theirs" 2>/dev/null
}
set_of "$scratch/ours" >"$scratch/ours-set"
set_of "$scratch/theirs" >"$scratch/theirs-set"
cmp "$scratch/theirs-set" "$scratch/ours-set" || fail "jdupes finds other groups in$real"
finish "a made-up tree, and $(grep -c . "$scratch/ours-set") groups in$real as jdupes finds them"
