# Everything this repository does, by name: `make help` lists it.
#
#   make lab                        # a folder .venv, JupyterLab, chapter 00
#   make test PYTHON=python3.12     # with another Python
#   make test TORCH=2.11.0          # with another torch
#   make lab TORCH_FROM="--extra-index-url https://download.pytorch.org/whl/cpu"
#                                   # Linux without a GPU: the small CPU build of torch

PYTHON ?= python3
TORCH ?= 2.13.0
TORCH_FROM ?=
WHAT ?= train
REVEAL ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# With GNU's OpenMP, torch's threads spin while they wait, for milliseconds: on a busy machine that
# costs far more than it saves. A short spin keeps small steps fast and lets others work. Both are
# read when torch loads, so they are set here and not in Python.
export GOMP_SPINCOUNT ?= 1000
# Tests start some two hundred Pythons; compiled modules are kept, so that each finds them ready.
unexport PYTHONDONTWRITEBYTECODE
test check: export OMP_NUM_THREADS ?= 1
# Chapters are built as a learner runs them, alone and with two threads.
build: export OMP_NUM_THREADS ?= 2
# A measurement needs a quiet machine, and there a long spin is the fastest: LOG.md has the figures.
bench: export GOMP_SPINCOUNT = 100000

# The tests run in two processes, a file in one of them, in the order of their names: in that of their
# number of tests, long files of few tests would come last. Then every executed notebook by nbval,
# which compares outputs, a kernel at a time: chapters measure seconds.
PYTEST := $(BIN)/python -m pytest
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=300 \
	--nbval-kernel-startup-timeout=120 --nbval-sanitize-with=tests/nbval_sanitize.cfg

.DEFAULT_GOAL := help
.PHONY: help lab tour doctor test check build bench slides bundle test-bundle clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

lab: $(VENV)/.notebooks  ## open JupyterLab on chapter 00 (on 127.0.0.1 only)
	@$(BIN)/minids lab

tour: $(VENV)/.notebooks  ## two minutes in the terminal: count, train, write
	@$(BIN)/minids tour

doctor: $(VENV)/.notebooks  ## is everything there? one line each
	@$(BIN)/minids doctor

test: $(VENV)/.dev  ## every test, every notebook, every solution
	@$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder tests
	@$(PYTEST) $(NBVAL) notebooks solutions

check: $(VENV)/.dev  ## format, lint, types, and no notebook older than its source
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/minids course check

build: $(VENV)/.dev  ## execute every chapter and solution, cut the exercises
	@$(BIN)/minids course build

bench: $(VENV)/.dev  ## measure something: make bench WHAT=train
	@$(BIN)/minids bench $(WHAT)

slides: $(VENV)/.dev  ## chapters as slides in dist/slides (REVEAL=reveal.js for a local copy)
	@$(BIN)/minids course slides dist/slides $(if $(REVEAL),--reveal "$(REVEAL)")

bundle: $(VENV)/.dev  ## the course and all its wheels in one archive, for rooms without a network
	@$(BIN)/minids course bundle dist/minids.zip --torch "$(TORCH)" --torch-from="$(TORCH_FROM)"

test-bundle: bundle  ## unpack that archive elsewhere, install it without an index, try it
	@$(BIN)/python tests/slow/try_bundle.py dist/minids.zip

clean:  ## remove caches (your runs and .venv stay)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

# The environment. Each step leaves a file behind, so the next `make` skips it. torch comes first:
# a bare `pip install .` would fetch the newest one, which on Linux brings gigabytes of CUDA.

$(VENV)/.torch-$(TORCH):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "minids needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a venv; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing torch $(TORCH) into $(VENV) (once; about a minute)"
	@$(PIP) $(TORCH_FROM) "torch==$(TORCH)"
	@rm -f $(VENV)/.torch-* && touch $@

$(VENV)/.notebooks: $(VENV)/.torch-$(TORCH) pyproject.toml constraints.txt
	@echo "installing minids and JupyterLab (once; about a minute)"
	@$(PIP) -e '.[notebooks]'
	@touch $@

$(VENV)/.dev: $(VENV)/.torch-$(TORCH) pyproject.toml constraints.txt
	@echo "installing what the tests need (once; about a minute)"
	@$(PIP) -e '.[dev,parity]'
	@touch $@
