#!/bin/sh
# The release as a user gets it, with PyPI and nothing from a cache: the wheel alone and the source archive, by pip on each Python
# given (default: all of 3.11 to 3.13 that are found) and by uv; the controller started with what `vmmob init` writes; the package
# for Debian, with its unit started by a systemd in a container. Some minutes.
#
#   tools/release-check.sh [python ...]
set -eu
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

if [ $# = 0 ]; then
    for minor in 11 12 13; do
        for found in "$HOME"/.pyenv/versions/3.$minor.*/bin/python3.$minor "/usr/bin/python3.$minor"; do
            if [ -x "$found" ] && "$found" -c 'import ensurepip' 2>/dev/null; then
                set -- "$@" "$found"
                break
            fi
        done
    done
fi
[ $# != 0 ] || { echo 'no Python 3.11 to 3.13 found' >&2; exit 1; }

quietly() {
    if ! "$@" >"$scratch/log" 2>&1; then
        cat "$scratch/log" >&2
        exit 1
    fi
}

# Does what is installed in an environment run? Not from the source tree: the installed package is what counts.
runs() {
    (
        cd "$scratch"
        "$1/bin/python" "$root/tools/check_start.py"
        rm -rf site
        "$1/bin/vmmob" init site >/dev/null
        for file in site/fabric.yaml site/examples/*.yaml; do
            "$1/bin/vmmob" check --strict "$file" >/dev/null
        done
        "$1/bin/python" "$root/tools/check_start.py" --configuration site/vmmob.conf
    )
}

quietly .venv/bin/python -m tools.dist "$scratch/dist"
for python in "$@"; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    for file in "$scratch"/dist/*.whl "$scratch"/dist/*.tar.gz; do
        rm -rf "$scratch/venv"
        "$python" -m venv "$scratch/venv"
        quietly "$scratch/venv/bin/pip" install --no-cache-dir "$file"
        quietly "$scratch/venv/bin/pip" check
        runs "$scratch/venv"
        echo "passed: Python $version, pip install ${file##*/}"
        quietly "$scratch/venv/bin/pip" uninstall -y ryu-vmmob
        left=$(find "$scratch/venv" -path '*site-packages*' -iname '*ryu*' -type f)
        [ -z "$left" ] || { echo "FAILED: left behind: $left" >&2; exit 1; }
    done
done

"$1" -m venv "$scratch/uv"
quietly "$scratch/uv/bin/pip" install uv
rm -rf "$scratch/venv"
quietly "$scratch/uv/bin/uv" venv --python "$1" "$scratch/venv"
VIRTUAL_ENV=$scratch/venv quietly "$scratch/uv/bin/uv" pip install --no-cache "$scratch"/dist/*.whl
runs "$scratch/venv"
echo "passed: uv pip install"

quietly .venv/bin/python -m tools.deb "$scratch/dist"
VMMOB_RELEASE_CHECK=1 .venv/bin/python -m pytest -q tests/unit/test_release.py tests/unit/test_release_deb.py
