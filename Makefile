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
# What tests write lies in memory where there is room for it: on a disk they wait for fsync. Some of
# them run what they write.
MEMORY := $(shell grep -qs ' /dev/shm tmpfs [^ ]*noexec' /proc/mounts || df --output=avail --block-size=1G /dev/shm 2>/dev/null \
	| awk 'NR == 2 && $$1 >= 4 {print "TMPDIR=/dev/shm"}')
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# Empty: PyPI's torch, with CUDA. Another index serves torch and torchvision alone, never a package
# that only looks like one of ours: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH_PINS := grep -E '^torch(vision)?==' requirements.txt
TOOLS := .venv-tools
# Of the learning curves.
PART ?= --quick
# What the container installs, for its Python; packages that torch needs for CUDA alone stand apart.
IMAGE_PYTHON = $(shell sed -n 's/^FROM python:\([0-9.]*\).*/\1/p' Dockerfile)
UV_COMPILE = $(TOOLS)/bin/uv pip compile --quiet --python-platform linux \
	--python-version $(IMAGE_PYTHON) --generate-hashes --no-annotate --no-header
CUDA_PACKAGES := ^(torch|torchvision|triton|cuda-[a-z0-9-]+|nvidia-[a-z0-9-]+)==

.DEFAULT_GOAL := help
.PHONY: help install test soak demo serve evidence lint container lock audit clean chromium postgresql debootstrap

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

install: $(VENV)/.dev $(VENV)/.pretrain $(LABEL_STUDIO_VENV)/.installed ## both virtual environments: ours (.venv) and Label Studio's (.venv-label-studio)

test: install chromium postgresql lint ## set everything up and run all tests; one file: make test ARGS=tests/demo
	$(MEMORY) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

soak: install chromium postgresql ## faults on a running loop as a table (JSON=FILE keeps its rows), 30 minutes, then the tests that take minutes each
	$(BIN)/python -m benchmarks soak $(if $(JSON),--json $(JSON))
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m soak $(ARGS)

demo: $(VENV)/.service $(LABEL_STUDIO_VENV)/.installed ## Label Studio, backend and a sample project; DATASET=<folder of class folders>, ARGS="--annotate 3"
	$(BIN)/python -m backend demo $(ARGS)

serve: $(VENV)/.service ## the backend alone, for an existing Label Studio (settings: README.md)
	$(BIN)/python -m backend serve $(ARGS)

evidence: $(VENV)/.dev ## what the learning curves of benchmarks/results lack, about two hours from nothing; PART= the rest as well, days; ARGS="--data FOLDER --weights FILE"
	$(BIN)/python -m benchmarks learning-curves $(PART) $(ARGS)

lint: $(VENV)/.dev ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

container: $(VENV)/.dev $(LABEL_STUDIO_VENV)/.installed debootstrap ## the Dockerfile's steps without an engine, and compose's Label Studio connected; as root, 8 GB; ARGS="--keep"
	$(BIN)/python -m tests.container $(ARGS)

lock: $(TOOLS)/.installed ## requirements.lock and requirements-cuda.lock from the pins; ARGS=--upgrade renews what no file pins
	cat requirements.lock requirements-cuda.lock >$(TOOLS)/all.lock
	$(UV_COMPILE) requirements.txt -o $(TOOLS)/all.lock $(ARGS) >/dev/null
	$(UV_COMPILE) --no-deps requirements-label-studio-ml.txt >>$(TOOLS)/all.lock
	awk 'BEGIN { plain = "requirements.lock"; cuda = "requirements-cuda.lock"; \
	print "# What the container installs. Made by `make lock`." >plain; \
	print "# What the container installs where TORCH_INDEX is empty. Made by `make lock`." >cuda } \
	/^[a-z]/ { file = /$(CUDA_PACKAGES)/ ? cuda : plain } { print >file }' $(TOOLS)/all.lock

audit: $(TOOLS)/.installed ## known vulnerabilities of what the container installs (needs PyPI's advisories)
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes \
	-r requirements.lock -r requirements-cuda.lock $(ARGS)

clean: ## remove the virtual environments and caches; ./data and ./demo stay
	rm -rf $(VENV) .venv-label-studio $(TOOLS) .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# label-studio-ml pins old, vulnerable versions of what requirements.txt pins anew: hence --no-deps.
$(VENV)/.service: requirements.txt requirements-label-studio-ml.txt | $(VENV)/bin/pip
	@echo "Installing the backend into $(VENV); the first time this downloads PyTorch."
	$(if $(TORCH_INDEX),$(BIN)/python $(PIP_INSTALL) --no-deps --index-url $(TORCH_INDEX) $$($(TORCH_PINS)))
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

$(TOOLS)/.installed: requirements-tools.txt | $(TOOLS)/bin/pip
	$(TOOLS)/bin/python $(PIP_INSTALL) -r requirements-tools.txt
	@touch $@

# Debian's python3 has no ensurepip unless python3-venv is installed; a pip from 22.3 can step in.
%/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed, '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." \
	"Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $* >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $* \
	&& $(PYTHON) -m pip --python $*/bin/python install --quiet --disable-pip-version-check pip; }

# Only for the tests. Without them those that need a browser or a PostgreSQL are skipped, except in CI,
# where they fail.
chromium:
	@for name in chromium chromium-browser google-chrome; do \
	command -v $$name >/dev/null && exit 0; done; $(call apt_install,chromium,Chromium,browser tests)

postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0; \
	$(call apt_install,postgresql,PostgreSQL,tests of several machines)

# $(1): Debian's package, $(2): its name, $(3): what is skipped without it.
define apt_install
	command -v apt-get >/dev/null || { echo "No $(2): $(3) are skipped."; exit 0; }; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else \
	echo "No $(2), and no right to install it: $(3) are skipped."; exit 0; fi; \
	echo "Installing $(2) for the $(3)."; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends $(1) >/dev/null \
	|| echo "$(2) could not be installed: $(3) are skipped."
endef

# Only for `make container`.
debootstrap:
	@command -v debootstrap >/dev/null || { \
	command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	&& echo "Installing debootstrap." && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap \
	>/dev/null; } || { echo "No debootstrap, and it could not be installed" \
	"(needed are Debian or Ubuntu, and root)." >&2; exit 1; }
