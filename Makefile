# Everything a checkout needs, from nothing: Python 3.11 or newer and make.
# `make` lists the targets. Another interpreter: make setup PYTHON=python3.12

PYTHON = python3
VENV = .venv
DATA =
JOBS = 1
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
CODE = src tests benchmarks notebooks scripts
TORCH = 2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup dev demo test check format format-check lint types bench notebooks docs release reproduction lock clean

help: ## list the targets
	@echo 'Hilum: make TARGET'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## make .venv with the pinned dependencies and Hilum in it

dev: $(VENV)/.dev ## setup, and what testing and linting need

demo: $(VENV)/.runtime ## train, evaluate and report: on phantoms, or on DATA=folder
	@$(VENV)/bin/hilum demo $(if $(DATA),'$(DATA)')

test: $(VENV)/.dev ## run the whole test suite, with coverage
	@$(VENV)/bin/python -m pytest -n 2 --cov

check: format-check lint types test ## format, lint, types, tests: what CI asks for

format: $(VENV)/.dev ## format the code, and mend what the linter can
	@$(VENV)/bin/ruff format $(CODE)
	@$(VENV)/bin/ruff check --fix $(CODE)

format-check: $(VENV)/.dev
	@$(VENV)/bin/ruff format --check $(CODE)

lint: $(VENV)/.dev
	@$(VENV)/bin/ruff check $(CODE)

types: $(VENV)/.dev
	@$(VENV)/bin/mypy

bench: $(VENV)/.runtime ## training speed against the notebook way, on DATA=folder or phantoms
	@$(VENV)/bin/python benchmarks/bench_training.py $(if $(DATA),--data '$(DATA)')

notebooks: $(VENV)/.dev ## run both notebooks, and store them with what they show
	@$(VENV)/bin/python scripts/store_notebooks.py

docs: $(VENV)/.docs ## build the documentation site, strictly, into build/site
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict
	@echo 'the site: build/site; to read it: $(VENV)/bin/mkdocs serve'

release: ## build and try what would be released; uploads nothing (docs/releasing.md)
	@$(PYTHON) scripts/check_release.py

reproduction: $(VENV)/.runtime ## run the published experiments on DATA=folder; write docs/reproduction.md
	@test -n '$(DATA)' || { echo 'name the radiographs: make reproduction DATA=folder' >&2; exit 2; }
	@$(VENV)/bin/python scripts/reproduce.py '$(DATA)' --jobs $(JOBS)

# Resolved from pyproject.toml in an empty environment, on the oldest Python that is supported, so
# that every pin exists for the newer ones too. What only some machines need (the CUDA libraries
# of PyTorch) is left to pip; local version suffixes (+cpu) are cut.
lock: ## resolve requirements.lock and requirements-dev.lock anew
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "make lock needs Python 3.11, the oldest supported: make lock PYTHON=python3.11")'
	@rm -rf build/lock && mkdir -p build/lock
	@$(PYTHON) -m venv build/lock/venv
	@echo 'torch==$(TORCH)' > build/lock/constraints.txt
	@build/lock/venv/bin/python -m pip --quiet install --upgrade 'pip>=25.1'
	@echo 'resolving the runtime dependencies …'
	@build/lock/venv/bin/python -m pip --quiet install -c build/lock/constraints.txt .
	@$(call freeze,requirements.lock,What Hilum runs on)
	@echo 'resolving the development dependencies …'
	@build/lock/venv/bin/python -m pip --quiet install -c requirements.lock --group dev
	@$(call freeze,requirements-dev.lock,What Hilum runs on and what testing and linting need)
	@rm -rf build/lock

define freeze
{ echo '# $(2): every package, pinned.'; \
  echo '# Made from pyproject.toml by "make lock"; do not edit.'; \
  build/lock/venv/bin/python -m pip freeze --all --exclude hilum --exclude pip \
    | sed -e 's/+[A-Za-z0-9.]*$$//' | grep -v -E '^(nvidia-|cuda-|triton)' ; } > $(1)
endef

clean: ## remove the environment, caches and what the demo left
	@rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- stamps: a second make does nothing -------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hilum needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make setup PYTHON=python3.12")'
	@echo 'making $(VENV) …'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo 'installing the pinned dependencies (PyTorch is large: minutes on a slow line) …'
	@$(PIP) install -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo 'installing what testing and linting need …'
	@$(PIP) install -r requirements-dev.lock
	@touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	@echo 'installing what the site is built with …'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group docs
	@touch $@
