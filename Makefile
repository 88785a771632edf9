# make demo | test | test-tf1 | lint | clean.  PYTHON=... and PYTHON37=... name the interpreters to use.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo demo-short test test-tf1 test-gpu lint compare-stacks clean

VENV := .venv
VENV37 := .venv37
BIN := $(VENV)/bin
RUN := fashion_mnist
METHODS := none alpha_qe cfa gfr
# A folder that holds the Fashion-MNIST files; without it they are fetched.
FASHION_MNIST :=
# One process for each processor; the tests of a file stay together, because they share what they build.
PYTEST_FLAGS := -n auto --dist loadfile
# Further flags for every script of the demo.
DEMO_FLAGS :=

# The first interpreter that starts, can make environments, and is of a version in $(1).
find_python = $(shell for python in $(2); do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] not in "$(1)".split())' \
	>/dev/null 2>&1 && echo "$$python" && break; done)
PYENV_VERSIONS := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
FOUND = $(if $(PYTHON),$(PYTHON),$(call find_python,3.10 3.11 3.12 3.13 3.7,python3 python3.13 python3.12 \
	python3.11 python3.10 $(PYENV_VERSIONS)/3.1[0-3].*/bin/python python3.7))
FOUND37 = $(if $(PYTHON37),$(PYTHON37),$(call find_python,3.7,python3.7 $(PYENV_VERSIONS)/3.7.*/bin/python))
NO_PYTHON = error: no Python 3.10, 3.11, 3.12, 3.13 or 3.7 with venv and ensurepip was found (on Debian: \
	apt-get install python3-venv); name one with PYTHON=/path/to/python

help:
	@echo "make demo       train, extract, retrieve and evaluate on Fashion-MNIST (about 5 minutes on 2 cores)"
	echo "make test       run the tests in $(VENV)"
	echo "make test-tf1   run the tests under Python 3.7 and TensorFlow 1.15 in $(VENV37)"
	echo "make test-gpu   compare a GPU with the CPU, in an environment with the extra gpu: VENV=..."
	echo "make lint       run ruff"
	echo "make clean      remove environments and caches (not runs/)"

$(VENV)/installed: setup.py pyproject.toml
	@python="$(FOUND)"
	[ -n "$$python" ] || { echo "$(NO_PYTHON)" >&2; exit 2; }
	echo "installing into $(VENV) with $$("$$python" --version) ($$python)"
	"$$python" -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[cpu,test]'
	touch $@

$(VENV37)/installed: setup.py pyproject.toml
	@echo "installing into $(VENV37) with $$("$(FOUND37)" --version) ($(FOUND37))"
	"$(FOUND37)" -m venv --clear $(VENV37)
	$(VENV37)/bin/pip install --quiet --upgrade pip
	$(VENV37)/bin/pip install --quiet -e '.[cpu,test]'
	touch $@

demo: $(VENV)/installed
	@start=$$SECONDS
	$(BIN)/python -m slim_retrieval.datasets.fashion_mnist $(if $(FASHION_MNIST),--path "$(FASHION_MNIST)")
	$(BIN)/python train_multi_gpu.py --config configs/fashion_mnist.yaml --run.name $(RUN) $(DEMO_FLAGS)
	$(BIN)/python extract_features.py --run $(RUN) $(DEMO_FLAGS)
	for method in $(METHODS); do $(BIN)/python retrieve.py --run $(RUN) --method $$method $(DEMO_FLAGS); done
	$(BIN)/python eval_map.py --run $(RUN) $(DEMO_FLAGS)
	echo "demo took $$((SECONDS - start)) s after installation"

# The same road in about a minute: fewer images, steps and epochs. Its figures mean nothing.
demo-short: RUN := fashion_mnist_short
demo-short: DEMO_FLAGS := --training.steps 60 --data.train.part "[0, 0.05]" --data.gallery.part "[0.1, 0.3]" \
	--extraction.splits "[train, query, gallery]" --gfr.epochs 3 --cfa.levels "[]" --cfa.edges mutual
demo-short: demo

test: $(VENV)/installed
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

test-tf1:
	@if [ -z "$(FOUND37)" ]; then
	echo "test-tf1 SKIPPED: no python3.7 with venv was found; name one with PYTHON37=/path/to/python3.7"
	else
	$(MAKE) --no-print-directory $(VENV37)/installed PYTHON37="$(FOUND37)"
	$(VENV37)/bin/python -m pytest $(PYTEST_FLAGS)
	fi

# What a GPU computes against the CPU, in an environment with the extra gpu: make test-gpu VENV=/path/to/it
test-gpu:
	@SLIM_RETRIEVAL_TEST_GPU=1 $(BIN)/python -m pytest tests/test_gpu.py

# One checkpoint, extracted under both stacks; needs both environments.
compare-stacks: $(VENV)/installed $(VENV37)/installed
	@$(BIN)/python benchmarks/compare_stacks.py --other $(VENV37)/bin/python

lint: $(VENV)/installed
	@$(BIN)/ruff check .

clean:
	@rm -rf $(VENV) $(VENV37) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
