# The only entry point. Every target works on a machine that has python3 (with venv) and make.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTEST := $(PY) -m pytest
# Most tests wait for processes and clusters, so more of them run at once than there are processors. WORKERS=N: so many.
PARALLEL = -n $(or $(WORKERS),$(1)) --dist worksteal

.PHONY: help demo static test check retest sim mutants test-slurm retest-slurm test-nfs test-clients bench bless picture wheel-check clean

help: ## what each target does
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "leaseq needs Python 3.10 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 -m venv does not work here: install it (Debian: apt install python3-venv)" >&2; exit 2; }

$(VENV)/installed: $(PY) pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# pytest compiles each test module once here. Else each worker of a fresh checkout compiles all of them, all at a time.
$(VENV)/compiled: $(VENV)/installed-dev $(shell find tests leaseq slurm_mock -name '*.py')
	@$(PYTEST) --collect-only --quiet >$@.log || { cat $@.log; exit 1; }
	@touch $@

demo: $(VENV)/installed ## install into .venv, kill a runner and a terminal, and show that no task is lost
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

test: $(VENV)/compiled ## the whole suite that needs no Slurm
	$(PYTEST) $(call PARALLEL,10) -m 'not real_slurm and not nfs and not clients'

static: $(VENV)/installed-dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: static test ## everything a change must pass without Slurm: static and test

retest: $(VENV)/installed-dev ## the tests that failed last, once more
	$(PYTEST) -m 'not real_slurm and not nfs and not clients' --last-failed --last-failed-no-failures none

SECONDS ?= 60
sim: $(VENV)/installed-dev ## simulate whole leases with every kind of trouble, for SECONDS (60)
	$(PY) -m tests.sim --seconds $(SECONDS)

mutants: $(VENV)/installed-dev ## put faults into the protocol and the runner, and show what catches each
	$(PYTEST) -s tests/mutants

# SLURM=24.11: on Debian 13's Slurm and Python, in a root that is made once (mmdebstrap; ~/.cache/leaseq-slurm-24.11).
SLURM ?=
ON_SLURM = LEASEQ_TEST_SLURM=required $(if $(SLURM),$(PY) -m tests.contract.newer_slurm $(SLURM) python -m pytest,$(PYTEST))
test-slurm: $(VENV)/compiled ## the contract suite on a real Slurm of several nodes on this host (root; slurm-wlm, munge); SLURM=24.11: on that one
	$(ON_SLURM) $(call PARALLEL,5) -m real_slurm tests/contract

retest-slurm: $(VENV)/installed-dev ## the tests on the real Slurm that failed last, once more
	$(ON_SLURM) -m real_slurm tests/contract --last-failed --last-failed-no-failures none

test-nfs: $(VENV)/installed-dev ## a real NFS server and three clients on this host (root; user-mode-linux, mmdebstrap); makes their root once
	$(PY) -m tests.nfs.bed
	LEASEQ_TEST_NFS=1 $(PYTEST) -m nfs tests/nfs

CLIENTS ?= $(HOME)/.cache/leaseq-clients
$(CLIENTS)/installed: tests/clients/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	@touch $@

test-clients: $(VENV)/installed-dev $(CLIENTS)/installed ## programs of others (submitit, snakemake, hydra, ...) on the mock; installs them into CLIENTS
	LEASEQ_CLIENTS=$(CLIENTS) $(PYTEST) -n 2 -m clients tests/clients

bench: $(VENV)/installed-dev ## measure: a table on the screen and JSON in benchmarks/out
	$(PY) benchmarks/run.py

bless: $(VENV)/installed-dev ## accept the monitor's frames of now as the golden ones
	LEASEQ_BLESS=1 $(PYTEST) tests/unit -k golden

picture: $(VENV)/installed-dev ## draw docs/monitor.svg again from a frame of the monitor
	$(PY) docs/picture.py

wheel-check: $(VENV)/installed-dev ## build the wheel, install it elsewhere, use it there
	sh docs/wheel-check.sh $(PY)

clean: ## remove what the targets made
	rm -rf $(VENV) dist build benchmarks/out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
