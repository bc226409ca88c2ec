#!/bin/sh
# Does the installed package start the stock ryu-manager, on each Python given (default: all of 3.11 to 3.13 that are found)?
# For each: a fresh environment, once from an editable install and once from a wheel, without any cached wheel.
#
#   tools/test-pythons.sh [python ...]
set -eu
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

if [ $# = 0 ]; then
    for minor in 11 12 13; do
        for found in python3.$minor "$HOME"/.pyenv/versions/3.$minor.*/bin/python3.$minor; do
            if command -v "$found" >/dev/null && "$found" -c 'import ensurepip' 2>/dev/null; then
                set -- "$@" "$found"
                break
            fi
        done
    done
fi
log=$scratch/pip.log
pip() {
    if ! "$venv/bin/python" -m pip "$@" >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
}

[ $# != 0 ] || { echo 'SKIPPED: no Python 3.11 to 3.13 found'; exit 0; }

status=0
for python in "$@"; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    venv=$scratch/$version
    "$python" -m venv "$venv"
    pip install --no-cache-dir --upgrade pip
    for way in editable wheel; do
        if [ $way = editable ]; then
            pip install --no-cache-dir --editable "$root"
        else
            pip uninstall -y ryu-vmmob
            pip wheel --no-deps --wheel-dir "$scratch/wheels-$version" "$root"
            pip install --no-cache-dir "$scratch/wheels-$version"/ryu_vmmob-*.whl
        fi
        # Not from the source tree: the installed package is what counts.
        if (cd "$scratch" && "$venv/bin/python" "$root/tools/check_start.py"); then
            echo "passed: Python $version, $way install"
        else
            echo "FAILED: Python $version, $way install"
            status=1
        fi
    done
done
exit $status
