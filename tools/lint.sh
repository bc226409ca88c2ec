#!/bin/sh
# Style and types: ruff, then mypy, each over what exists.
set -u
cd "$(dirname "$0")/.."
status=0
echo '[lint] ruff'
.venv/bin/ruff check -q . || status=1
echo '[lint] mypy'
.venv/bin/mypy || status=1
exit $status
