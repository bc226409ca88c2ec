#!/bin/sh
# All test tiers in order: lint, unit, property, conformance, ovs, browser, mininet. Exit status 0 only if every one of them passed.
# pytest's own summary comes last; what a machine cannot run is skipped there with the reason.
set -u
cd "$(dirname "$0")/.."
tiers=''
for tier in unit property conformance ovs browser mininet; do
    [ ! -d tests/$tier ] || tiers="$tiers tests/$tier"
done
tools/lint.sh
lint=$?
# shellcheck disable=SC2086  (one word a tier)
.venv/bin/python -m pytest --continue-on-collection-errors $tiers "$@"
tests=$?
if [ $lint != 0 ]; then
    echo 'FAILED: lint (see above, before the tests)' >&2
    exit $lint
fi
exit $tests
