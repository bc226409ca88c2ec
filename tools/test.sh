#!/bin/sh
# All test tiers: lint, then qemu, then unit, property, conformance and ovs beside browser and mininet. Exit status 0 only if every
# one of them passed. pytest's own summaries come last; what a machine cannot run is skipped there with the reason.
#
# The first four compute. A browser and a network with traffic mostly wait, and have to be served at once when they do not. So
# the first four run beside them in idle time (SCHED_IDLE), in a network namespace of their own, a file of tests at a time.
# Where the machine has no such namespace they run before them. An emulated processor needs all of a core: qemu runs first, and
# alone. One process runs everything when the matrix of requirements is written (--conformance).
set -u
cd "$(dirname "$0")/.."
together='' alone='' first=''
for tier in unit property conformance ovs; do
    [ ! -d tests/$tier ] || together="$together tests/$tier"
done
for tier in browser mininet conformance/mininet; do
    [ ! -d tests/$tier ] || alone="$alone tests/$tier"
done
[ ! -d tests/qemu ] || first=tests/qemu
# One worker more than there are cores, at most 5: a worker often waits for a switch or a process.
cores=$(nproc)
workers="-n $((cores < 4 ? cores + 1 : 5)) --dist loadfile"
case " $* " in *' --conformance'*) workers='' together="$together $alone $first" alone='' first='' ;; esac

failed=''
ran=''
run() {
    .venv/bin/python -m pytest --continue-on-collection-errors "$@"
}
note() {
    case $1 in
        0) ran=yes ;;
        5) ;;  # none of these tests was chosen
        *) ran=yes failed=yes ;;
    esac
}
# The test process gets Ctrl-C too: a shell has what it runs in the background ignore it.
# shellcheck disable=SC2016  (the inner shell expands it)
beside() {
    env --default-signal=INT chrt --idle 0 unshare --net --mount sh -c '
        ip link set lo up
        mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
        exec .venv/bin/python -m pytest --continue-on-collection-errors "$@"' sh "$@"
}

tools/lint.sh
lint=$?
# shellcheck disable=SC2086  (one word a tier)
if [ -z "$workers" ]; then
    run $together "$@"
    note $?
elif chrt --idle 0 unshare --net --mount true 2>/dev/null && env --default-signal=INT true 2>/dev/null; then
    if [ -n "$first" ]; then
        run $first "$@"
        note $?
    fi
    said=$(mktemp)
    trap 'rm -f "$said"' EXIT
    beside $workers $together --ignore tests/conformance/mininet "$@" >"$said" 2>&1 &
    run $alone "$@"
    note $?
    wait $!
    status=$?
    cat "$said"
    note $status
else
    run $workers $together --ignore tests/conformance/mininet "$@"
    note $?
    run $alone $first "$@"
    note $?
fi
if [ $lint != 0 ]; then
    echo 'FAILED: lint (see above, before the tests)' >&2
    exit $lint
fi
[ -n "$ran" ] || { echo 'no test was chosen' >&2; exit 5; }
[ -z "$failed" ] || { echo 'FAILED: tests (see above)' >&2; exit 1; }
