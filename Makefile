# Every target runs in .venv, which is made on first use from any Python >= 3.11.
.DEFAULT_GOAL := help
.PHONY: help demo test test-source test-slow lint format docs docs-serve wheel notebooks newest newest-smoke benchmarks
.PHONY: clean clean-cache

# A command on the path may exist and still fail (a version manager's shim), so each is tried.
OLD_ENOUGH = 'import sys; sys.exit(sys.version_info < (3, 11))'
WITH_VENV = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
first_that_runs = $(shell for p in $(2); do "$$p" -c $(1) >/dev/null 2>&1 && echo "$$p" && break; done)
PYTHON ?= $(call first_that_runs,$(WITH_VENV),python3 python3.13 python3.12 python3.11)
NEWEST ?= $(call first_that_runs,$(WITH_VENV),python3.13 $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13))

BIN := .venv/bin
PIP := -m pip install -qq --disable-pip-version-check
# A module stays in one process, so that what its tests share is made once; slow tests differ too much for that.
PYTEST := -m pytest -q -n 2 -rfEs
FAST := $(PYTEST) --dist loadfile -m "not slow and not parity"
# Compiled programs, outside the checkout: for all checkouts and stages, JAX keeps its versions apart.
KINAX_CACHE ?= $(HOME)/.cache/kinax/jax
export KINAX_CACHE

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: .venv/.test ## fit the Lotka-Volterra equations to the lynx and hare record; table and plot
	@$(BIN)/python examples/01_lynx_hare.py

test: .venv/.test ## the fast tests
	@$(BIN)/python $(FAST)

test-source: .venv/.test ## those of them that read the source tree, not the installed package
	@$(BIN)/python $(FAST) -n 0 tests/test_architecture.py

test-slow: .venv/.dev ## the slow tests and those against peers
	@$(BIN)/python $(PYTEST) -m "slow or parity"

lint: .venv/.dev ## formatting, lint, types
	@$(BIN)/ruff format --check --quiet && $(BIN)/ruff check --quiet && $(BIN)/pyright

format: .venv/.dev ## rewrite the files in the house format
	@$(BIN)/ruff format && $(BIN)/ruff check --fix

docs: .venv/.dev ## build the documentation into site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict && echo "documentation: site/index.html"

docs-serve: .venv/.dev ## serve the documentation while you edit it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

wheel: .venv/.dev ## build sdist and wheel; run the fast tests against the wheel in a clean environment
	@PYTHON=$(BIN)/python sh .ci/wheel

notebooks: .venv/.dev ## make out/notebooks/*.ipynb from the examples
	@mkdir -p out/notebooks
	@for f in examples/[0-9]*.py; do $(BIN)/jupytext --quiet --to ipynb -o out/notebooks/$$(basename $$f .py).ipynb $$f || exit 1; done
	@ls out/notebooks/*.ipynb

newest: ## the fast tests on Python 3.13 with the newest release of every dependency
	@if [ -z "$(NEWEST)" ]; then echo "newest: no python3.13 here, skipped"; else \
	  $(MAKE) --no-print-directory .venv-newest/.made && .venv-newest/bin/python $(FAST); fi

newest-smoke: ## the same, but the first two tests of each module
	@if [ -z "$(NEWEST)" ]; then echo "newest-smoke: no python3.13 here, skipped"; else \
	  $(MAKE) --no-print-directory .venv-newest/.made && .venv-newest/bin/python $(FAST) --first 2; fi

benchmarks: .venv/.dev ## every benchmark, side by side with peers
	@for name in $$($(BIN)/python -c "from benchmarks.__main__ import BENCHMARKS; print(*BENCHMARKS)"); do \
	  $(BIN)/python -m benchmarks $$name || exit 1; echo; done

clean: ## remove what was built (not the environments: rm -r .venv*)
	rm -rf build dist site out .pytest_cache .ruff_cache kinax.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

clean-cache: ## remove the compiled programs that the tests keep in ~/.cache/kinax/jax (at most 2 GB)
	@test ! -d "$(KINAX_CACHE)" || find "$(KINAX_CACHE)" -name '*-cache' -delete

.PHONY: .venv-newest/.made
.venv-newest/.made:
	@test -x .venv-newest/bin/pip || $(NEWEST) -m venv .venv-newest
	@.venv-newest/bin/python $(PIP) --upgrade --upgrade-strategy eager -e '.[test]'
	@.venv-newest/bin/python -c "import jax, platform; print('Python', platform.python_version(), 'jax', jax.__version__)"

.venv/bin/pip:
	@if [ -n "$(PYTHON)" ]; then echo "Making .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; \
	elif [ -n "$(call first_that_runs,$(OLD_ENOUGH),python3 python3.13 python3.12 python3.11)" ]; then \
	  echo "This Python cannot make environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; \
	else echo "kinax needs Python 3.11 or newer: install it, or name it (make PYTHON=/path/to/python3 ...)" >&2; exit 1; fi

# The stamps: an environment is brought up to date when the requirements change, and not otherwise.
.venv/.test: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing kinax and what its tests need into .venv (once; about a minute)"
	@$(BIN)/python $(PIP) -c constraints.txt -e '.[test]'
	@touch $@

.venv/.dev: .venv/.test
	@echo "Installing the development tools into .venv (once; about a minute)"
	@$(BIN)/python $(PIP) -c constraints.txt -e '.[dev]'
	@$(BIN)/python $(PIP) -c constraints.txt --no-deps brax mujoco-mjx # for the robots' files in them alone
	@touch $@
