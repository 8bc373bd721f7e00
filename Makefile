# make run     the GEANT demonstration: a broker, its topology, two services (ONCE=1: end after showing them)
# make lab     three sites on real Open vSwitch: two services, pings, measured rates (needs root; FOLDER=...: keep the files; KINDS=...: of switches)
# make test    all tests
# make lint    ruff, mypy, import-linter, and whether the generated pages of docs/ are current
# make bench   all benchmarks of docs/benchmarks.md; WORKLOAD: the request sequence to replay (default: a generated one)
# make bench-report  the evaluation of path computation (about ten minutes): docs/results.md and its figures
# make soak    the long tests: more crash rounds, more generated cases
# make docs    write the generated pages of docs/ again

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PROJECTS := $(wildcard pyproject.toml plugins/*/pyproject.toml examples/*/pyproject.toml ryu_apps/pyproject.toml)
# A virtual environment holds absolute paths: one that was copied along with the work tree is of no use here.
HERE := $(shell pwd | cksum | cut -d' ' -f1)
RUN_STAMP := $(VENV)/.run-$(HERE)
DEV_STAMP := $(VENV)/.dev-$(HERE)
PYTEST_ARGS ?=
# Tests wait much: for processes, for servers, for what must not happen.
WORKERS ?= 6

.PHONY: help run lab test lint bench bench-report soak docs clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(RUN_STAMP): requirements.txt tools/venv $(PROJECTS)
	@tools/venv $(VENV) requirements.txt
	@touch $@

$(DEV_STAMP): requirements.txt requirements-dev.txt tools/venv $(PROJECTS)
	@tools/venv $(VENV) requirements-dev.txt
	@touch $@ $(RUN_STAMP)

run: $(RUN_STAMP)
	@exec $(PY) -m dpb_geant $(if $(filter 1 yes true,$(ONCE)),--once)

# The controller application is a part of the development environment: the broker itself runs without it.
lab: $(DEV_STAMP)
	@tools/system-packages
	@exec $(PY) -m dpb_lab $(if $(FOLDER),--folder $(FOLDER)) $(if $(KINDS),--kinds $(KINDS))

test: $(DEV_STAMP)
	@tools/system-packages
	@tools/test $(PY) $(WORKERS) $(PYTEST_ARGS)

lint: $(DEV_STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@tools/types $(PY)
	$(VENV)/bin/lint-imports --no-cache
	$(PY) tools/docs.py --check

docs: $(DEV_STAMP)
	$(PY) tools/docs.py

bench: $(DEV_STAMP)
	@exec benchmarks/run $(PY) $(WORKLOAD)

bench-report: $(DEV_STAMP)
	$(PY) tools/bench_report.py

soak: $(DEV_STAMP)
	@tools/system-packages
	DPB_SOAK=1 HYPOTHESIS_PROFILE=soak tools/test $(PY) $(WORKERS) $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) .run build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
