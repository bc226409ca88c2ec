#!/bin/sh
# Style, format and types: ruff, then mypy.
set -u
cd "$(dirname "$0")/.."
status=0
echo '[lint] ruff'
.venv/bin/ruff check -q . || status=1
.venv/bin/ruff format --check --quiet . || { echo '[lint] not formatted: make fmt' >&2; status=1; }
echo '[lint] mypy'
.venv/bin/mypy || status=1
exit $status
