# `make help` lists the targets. Works with GNU make and a POSIX shell; Python 3.11 or newer.

# Tested with 3.11; several pinned packages have no wheels for 3.14 and newer yet.
find_python = for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && exit; done; echo python3
PYTHON ?= $(shell $(find_python))
VENV := .venv
LABEL_STUDIO_VENV ?= .venv-label-studio
export LABEL_STUDIO_VENV
BIN := $(VENV)/bin
# Test processes side by side, each with a Label Studio of its own; as many as there are cores.
JOBS ?= 2
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install test soak demo serve evidence lint clean chromium

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

install: $(VENV)/.dev $(VENV)/.pretrain $(LABEL_STUDIO_VENV)/.installed ## both virtual environments: ours (.venv) and Label Studio's (.venv-label-studio)

test: install chromium lint ## set everything up and run all tests; one file: make test ARGS=tests/demo
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

soak: install chromium ## the tests that take minutes each: faults of processes, files and Label Studio, and crowds
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m soak $(ARGS)

demo: $(VENV)/.service $(LABEL_STUDIO_VENV)/.installed ## Label Studio, backend and a sample project; DATASET=<folder of class folders>, ARGS="--annotate 3"
	$(BIN)/python -m backend demo $(ARGS)

serve: $(VENV)/.service ## the backend alone, for an existing Label Studio (settings: README.md)
	$(BIN)/python -m backend serve $(ARGS)

evidence: $(VENV)/.dev ## the learning curves of benchmarks/results, hours; goes on where it was; ARGS="--data FOLDER --weights FILE"
	$(BIN)/python -m benchmarks learning-curves $(ARGS)

lint: $(VENV)/.dev ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove the virtual environments and caches; ./data and ./demo stay
	rm -rf $(VENV) .venv-label-studio .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# label-studio-ml pins old, vulnerable versions of what requirements.txt pins anew: hence --no-deps.
$(VENV)/.service: requirements.txt requirements-label-studio-ml.txt | $(VENV)/bin/pip
	@echo "Installing the backend into $(VENV); the first time this downloads PyTorch."
	$(BIN)/python $(PIP_INSTALL) -r requirements.txt
	$(BIN)/python $(PIP_INSTALL) --no-deps -r requirements-label-studio-ml.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.service
	$(BIN)/python $(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/.pretrain: requirements-pretrain.txt $(VENV)/.service
	$(BIN)/python $(PIP_INSTALL) -r requirements-pretrain.txt
	@touch $@

$(LABEL_STUDIO_VENV)/.installed: requirements-label-studio.txt | $(LABEL_STUDIO_VENV)/bin/pip
	@echo "Installing Label Studio into $(LABEL_STUDIO_VENV)."
	$(LABEL_STUDIO_VENV)/bin/python $(PIP_INSTALL) -r requirements-label-studio.txt
	@touch $@

# Debian's python3 has no ensurepip unless python3-venv is installed; a pip from 22.3 can step in.
%/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed, '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." \
	"Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $* >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $* \
	&& $(PYTHON) -m pip --python $*/bin/python install --quiet --disable-pip-version-check pip; }

# Only for the browser tests. Without it they are skipped, except in CI, where they fail.
chromium:
	@for name in chromium chromium-browser google-chrome; do \
	command -v $$name >/dev/null && exit 0; done; \
	command -v apt-get >/dev/null || { echo "No Chromium: browser tests are skipped."; exit 0; }; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else \
	echo "No Chromium, and no right to install it: browser tests are skipped."; exit 0; fi; \
	echo "Installing Chromium for the browser tests."; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends chromium >/dev/null \
	|| echo "Chromium could not be installed: browser tests are skipped."
