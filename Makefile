# Two commands are enough on a bare Debian 12, as root: `make demo` and `make test`. Both set up what is missing first.

PYTHON_IN_VENV := .venv/bin/python
PYTEST := $(PYTHON_IN_VENV) -m pytest

.PHONY: help setup test test-unit test-property test-conformance test-ovs test-browser test-mininet test-qemu test-pythons conformance lint fmt golden cover graph demo lab bench soak docs dist deb release-check lock clean

help:
	@echo 'make demo           set up, then the demonstration: a real VM moves between racks and data centres (root); ARGS=--imitated'
	@echo 'make test           set up, then all tests: lint, unit, property, conformance, ovs, browser, mininet, qemu'
	@echo 'make test-TIER      one tier of them: unit, property, conformance, ovs, browser, mininet, qemu; ARGS="-k name" goes to pytest'
	@echo 'make lab            a network to work with by hand, its dashboard on port 8080 (root); FABRIC=... is the fabric file'
	@echo 'make conformance    runs the tests of the requirements R1 to R49 and writes docs/conformance.md (root for all of them)'
	@echo 'make test-pythons   installs into fresh environments of every Python found (3.11 to 3.13); some minutes'
	@echo 'make lint           ruff (rules and format) and mypy'
	@echo 'make fmt            the formatter, and what ruff can mend by itself'
	@echo 'make golden         renews the golden dumps of flows and the generated blocks of docs/; read the difference'
	@echo 'make cover          the unit tests with their coverage by file; about five times as slow as without'
	@echo 'make graph          the packages, what each imports, and what breaks the import law'
	@echo 'make bench          benchmarks: JSON lines on standard output, a table on standard error'
	@echo 'make soak           twenty minutes of random commands, troubles and noise on real switches; ARGS="--seconds 600 --small-bounds"'
	@echo 'make docs           the documents as a site in build/docs; a warning is an error'
	@echo 'make setup          only the set-up; PYTHON=... chooses the interpreter'
	@echo 'make dist           the source archive and the wheel in dist/'
	@echo 'make deb            the Debian package in dist/'
	@echo 'make release-check  the release as a user gets it: clean environments, pip and uv, nothing cached; some minutes'
	@echo 'make clean          removes the environment and everything built'

setup:
	@tools/setup.sh

test: setup
	@tools/test.sh $(ARGS)

test-unit test-property test-conformance test-ovs test-browser test-mininet test-qemu: test-%: setup
	@$(PYTEST) tests/$* $(ARGS)

conformance: setup
	@$(PYTEST) tests -m requirement --conformance docs/conformance.md $(ARGS)

test-pythons:
	@tools/test-pythons.sh

lint: setup
	@tools/lint.sh

fmt: setup
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format .

golden: setup
	@VMMOB_GOLDEN=write $(PYTEST) -q tests/unit/test_compiler_golden.py
	@$(PYTHON_IN_VENV) tools/dump_pipeline.py

cover: setup
	@.venv/bin/coverage erase
	@.venv/bin/coverage run -m pytest tests/unit -n auto --maxprocesses 4 --dist loadfile $(ARGS)
	@.venv/bin/coverage combine --quiet && .venv/bin/coverage report --skip-covered

graph: setup
	@$(PYTHON_IN_VENV) tools/import_graph.py

demo: setup
	@test "$$(id -u)" = 0 || { echo 'make demo builds networks and needs root' >&2; exit 1; }
	@$(PYTHON_IN_VENV) -m mininet_topos.demo $(ARGS)

lab: setup
	@$(PYTHON_IN_VENV) -m mininet_topos.live $(or $(FABRIC),etc/two-dcs.yaml) $(ARGS)

soak: setup
	@$(PYTHON_IN_VENV) -m tests.ovs.soak $(ARGS)

bench: setup
	@$(PYTHON_IN_VENV) -m ryu_vmmob.bench $(ARGS)

docs: setup
	@$(PYTHON_IN_VENV) -m sphinx -b html -W --keep-going -q docs build/docs && echo build/docs/index.html

dist: setup
	@$(PYTHON_IN_VENV) -m tools.dist dist

deb: setup
	@$(PYTHON_IN_VENV) -m tools.deb dist

release-check: setup
	@tools/release-check.sh

lock:
	@tools/lock.sh

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
