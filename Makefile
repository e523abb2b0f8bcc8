# Two commands do all set-up themselves: `make demo` and `make test`. Both are safe to interrupt and to repeat.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# pip and apt may be slow on a fresh machine; recipes say what they wait for.
HOME_OF_DEMO ?= .goc/demo
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
# Test processes: the tests of real daemons mostly wait, so more than the machine has cores.
WORKERS ?= 5

# Debian packages by name: what the command needs, and what the tests need on top.
RUN_PACKAGES := ca-certificates debian-archive-keyring mmdebstrap bubblewrap uidmap python3-venv
TEST_PACKAGES := postgresql chromium chromium-driver

.PHONY: help setup system-run system-test demo test lint unit test-faults bench wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: system-run $(STAMP) ## Install what is needed; leaves the command at .venv/bin/goc

$(STAMP): pyproject.toml constraints.txt | system-run
	@echo "== Python packages into .venv"
	@# Packages that an interrupted run left half installed count as installed for pip: only a whole set is built upon.
	@{ [ -e $@ ] && $(BIN)/python -m pip --version >/dev/null 2>&1; } || $(PYTHON) -m venv --clear .venv
	@rm -f $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

system-run:
	@tools/apt-need $(RUN_PACKAGES)

system-test:
	@tools/apt-need $(RUN_PACKAGES) $(TEST_PACKAGES)

demo: setup ## Run a real grid on this machine, from an idle job to the week's report
	@$(BIN)/goc --home $(HOME_OF_DEMO) demo

lint: setup ## Style, types and the directions of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

unit: setup ## The fast tests alone
	@$(BIN)/pytest -q tests/unit

test: system-test setup lint ## Everything: lint, then all tests on real HTCondor, Slurm, PostgreSQL, SMTP and Chromium
	@# Those that wait for daemons first: tests/conftest.py fills the time with the others.
	@$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder \
		tests/integration tests/acceptance tests/contract tests/unit

test-faults: system-test setup ## Kill, fill, cut off and race: what must not lose or double a record
	@# 200 imports are killed, and readers are given 500 broken inputs of each format.
	@GOC_KILLS=200 GOC_FUZZ=500 $(BIN)/pytest tests/integration/test_accounting_faults.py \
		tests/integration/test_import_killed.py tests/integration/test_accounting_receiver.py \
		tests/unit/accounting/test_readers_fuzzed.py tests/contract/test_live_sources.py \
		tests/contract/test_import.py tests/contract/test_ingest.py

bench: setup ## Benchmarks; they print figures and never fail on a time
	@for bench in bench/[a-z]*.py; do $(BIN)/python -m bench.$$(basename $$bench .py); done

wheel: setup ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove what set-up and the demo made (the testbed is taken down first)
	@if [ -x $(BIN)/goc ] && [ -d $(HOME_OF_DEMO) ]; then $(BIN)/goc --home $(HOME_OF_DEMO) testbed down; fi
	@rm -rf .venv .goc dist build
