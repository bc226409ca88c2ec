#!/bin/sh
# Writes requirements.lock again from what is installed in .venv. Run after a deliberate upgrade there, then `make test`.
set -eu
cd "$(dirname "$0")/.."
{
    sed -n '/^#/p' requirements.lock
    {
        .venv/bin/python -m pip freeze --exclude-editable --exclude ryu-vmmob --exclude ryu
        # setuptools: Ryu needs it when running (through pbr), Mininet for its distutils on Python 3.12 and later.
        # Lines with a condition are for other versions of Python than the one here.
        sed -n '/^setuptools==/p; / ; /p' requirements.lock
    } | LC_ALL=C sort -fu
} >requirements.lock.new
mv requirements.lock.new requirements.lock
