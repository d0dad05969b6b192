# make demo and make test each do all the set-up they need, from a fresh clone, with Python, make and nothing else.
#
#   PYTHON       the interpreter that makes the environment    make demo PYTHON=python3.12
#   PYTEST_ARGS  handed on to pytest                           make test PYTEST_ARGS="tests/unit -x"
#   CHAOS_SEEDS  seeds of make chaos                           make chaos CHAOS_SEEDS="7 8 9"

PYTHON ?= python3
PYTEST_ARGS ?=
CHAOS_SEEDS ?= 1 2 3 4 5
VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log

# Neither library reports home from a make target.
export MLFLOW_DISABLE_TELEMETRY := true
export RAY_USAGE_STATS_ENABLED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-unit check perf chaos constraints clean
.DELETE_ON_ERROR:

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Make the environment in .venv and install what a user needs.
	@:

demo: BEGIN := $(shell date +%s)
demo: install ## Set up, then train the digits workload and report on it.
	@echo "Set-up took $$(( $$(date +%s) - $(BEGIN) )) s."
	$(BIN)/harness run workloads/digits.yaml
	@echo "Here harness is $(BIN)/harness; after '. $(BIN)/activate' it is harness."

test: $(VENV)/.installed-test ## Set up, then run the whole test suite.
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-unit: $(VENV)/.installed-test ## Set up, then run the unit tests, which start no cluster and no server.
	$(BIN)/python -m pytest tests/unit tests/golden $(PYTEST_ARGS)

check: $(VENV)/.installed-dev ## Check format, lint, types and who imports whom.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

perf: $(VENV)/.installed ## Run each benchmark of tests/perf in turn.
	@set -e; for file in tests/perf/*.py; do name=$$(basename "$$file" .py); echo "== $$name"; \
	    $(BIN)/python -m "tests.perf.$$name"; done

chaos: $(VENV)/.installed-test ## Run a sweep on three hosts while things die, once for each of CHAOS_SEEDS (as root).
	CHAOS_SEEDS="$(CHAOS_SEEDS)" HARNESS_CLUSTER_TESTS=required \
	    $(BIN)/python -m pytest tests/cluster/test_three_hosts.py $(PYTEST_ARGS)

# Take the versions that .venv holds: names and versions only, without pip and without a build's local suffix (+cu130).
constraints: $(VENV)/.installed-test $(VENV)/.installed-dev ## Pin the versions of .venv in constraints.txt.
	$(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip \
	    | sed 's/+.*//' | LC_ALL=C sort -f > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

clean: ## Remove the environment, caches and build outputs; runs, reports and the tracking database stay.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find harness models workloads reports tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environment ------------------------------------------------------------------------------------------------------

define NO_VENV
This Python cannot make virtual environments: its module venv or ensurepip is missing.
On Debian and Ubuntu: apt-get install python3-venv. Then run make again.
endef
export NO_VENV

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || \
	    { echo "$(PYTHON) not found: install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "$$($(PYTHON) --version) will not do: Python 3.11, 3.12 or 3.13 is needed. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$$NO_VENV" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@touch $@

# pip compiles modules on one core, compileall on all of them. Left uncompiled, they are compiled again by every process
# that imports them where PYTHONDONTWRITEBYTECODE is set. compileall fails for modules that need a newer Python: nothing
# imports those, and the log names them.
define pip_install
@echo "Installing $(1) into $(VENV). The first time takes minutes and about 6 GB, most of it torch."
@$(BIN)/python -m pip install --no-compile --progress-bar off -c constraints.txt -e '$(1)' >$(LOG) 2>&1 || \
    { tail -n 20 $(LOG) >&2; echo "The installation failed; all that pip said is in $(LOG)." >&2; exit 1; }
@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >>$(LOG) 2>&1 || true
@touch $@
endef

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(call pip_install,.)

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml constraints.txt
	$(call pip_install,.[test])
	@touch $(VENV)/.installed

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	$(call pip_install,.[dev])
	@touch $(VENV)/.installed
