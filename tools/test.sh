#!/bin/sh
# All test tiers in order: lint, unit, property, conformance, ovs, then browser, mininet and qemu. Exit status 0 only if every one of them
# passed. pytest's own summaries come last; what a machine cannot run is skipped there with the reason.
#
# The first four share the machine's cores, a file of tests at a time. A browser and a network with traffic have it to themselves.
# So has everything when the matrix of requirements is written (--conformance), which one process has to do.
set -u
cd "$(dirname "$0")/.."
together='' alone=''
for tier in unit property conformance ovs; do
    [ ! -d tests/$tier ] || together="$together tests/$tier"
done
for tier in browser mininet qemu conformance/mininet; do
    [ ! -d tests/$tier ] || alone="$alone tests/$tier"
done
# One worker more than there are cores, at most 5: a worker often waits for a switch or a process.
cores=$(nproc)
workers="-n $((cores < 4 ? cores + 1 : 5)) --dist loadfile"
case " $* " in *' --conformance'*) workers='' together="$together $alone" alone='' ;; esac

failed=''
ran=''
run() {
    .venv/bin/python -m pytest --continue-on-collection-errors "$@"
    case $? in
        0) ran=yes ;;
        5) ;;  # none of these tests was chosen
        *) ran=yes failed=yes ;;
    esac
}

tools/lint.sh
lint=$?
# shellcheck disable=SC2086  (one word a tier)
if [ -n "$workers" ]; then
    run $workers $together --ignore tests/conformance/mininet "$@"
    run $alone "$@"
else
    run $together "$@"
fi
if [ $lint != 0 ]; then
    echo 'FAILED: lint (see above, before the tests)' >&2
    exit $lint
fi
[ -n "$ran" ] || { echo 'no test was chosen' >&2; exit 5; }
[ -z "$failed" ] || { echo 'FAILED: tests (see above)' >&2; exit 1; }
