# make demo      set up .venv, build a simulated dataset, show it
# make test      set up .venv, linters, types, tests (a seeded tenth of each random series)
# make test-all  the same with every random series whole (under an hour)
#
# PYTHON=python3.11         the interpreter that makes .venv
# TORCH_INDEX_URL=URL       take PyTorch from this index: the one PyTorch names for CPU builds saves gigabytes

# the lowest version of the library whose private parts are used; tests/project/test_lowest.py runs against it
LOWEST := datasets==5.0.0

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-all check lint clean

demo: $(VENV)/.demo
	$(BIN)/cryodata demo

test: check
	$(BIN)/python -m pytest

test-all: check
	$(BIN)/python -m pytest --full

check: lint
	$(BIN)/python -m mypy

lint: $(VENV)/.dev
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.torch: $(VENV)/.python constraints.txt
	$(PIP) install -c constraints.txt $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) torch
	touch $@

# not editable: from the folder above, an editable install would be hidden by the checkout's own name
$(VENV)/.demo: $(VENV)/.torch pyproject.toml $(wildcard cryodata/*.py cryodata/*/*.py builders/*.py cards/*)
	test -e $(VENV)/.dev || $(PIP) install -c constraints.txt '.[demo]'
	touch $@

# what numba compiled and kept beside the modules of .demo outlives them, and would hide the checkout
$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) uninstall --yes cryodata
	rm -rf $(VENV)/lib/python*/site-packages/cryodata
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install --no-deps --upgrade --target $(VENV)/lowest $(LOWEST)
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) *.egg-info build dist .pytest_cache .mypy_cache .ruff_cache
