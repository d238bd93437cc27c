# Everything a newcomer needs: each target makes its environment by itself, with uv when it is there and with pip otherwise.
# Installing is the only step that uses the network.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
LOCKS := pyproject.toml uv.lock constraints.txt
SOURCES := events/src api-gateway-svc/src orchestrator-svc/src workflow-runner-svc/src
UV := $(shell command -v uv 2>/dev/null)
# A system's Python comes first: distributions compile theirs with profile-guided optimisation, pyenv does not, and that is a
# fifth of all CPU time here. One that lacks the parts for an environment is left alone. PYTHON=… decides otherwise.
PYTHON ?= $(shell for name in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$name -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$name; break; fi; done)
ENGINE ?= embedded
# Where nothing may keep bytecode, every process of the tests would compile all of Penstock again.
unexport PYTHONDONTWRITEBYTECODE
SEEDS ?= 200
KILLS ?= 1000

# Two cores are enough for everything here; more make it faster. Many tests wait for processes that they have started,
# so there are half as many workers again as cores.
TEST_PROCESSES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); n=$$((n + n / 2)); [ $$n -lt 8 ] && echo $$n || echo 8)

.PHONY: targets demo test check spec sim mutants trust kills bench e2e
.DEFAULT_GOAL := targets

targets:
	@echo 'make demo     ten projects, five at a time, on this machine; Ctrl-C ends it'
	@echo 'make test     the tests (a few minutes)'
	@echo 'make check    lint, format and types'
	@echo 'make spec     check the specification of the gate in every state (needs spin and a C compiler)'
	@echo 'make sim      the services in one simulated world, with faults: SEED=7 replays one seed, SEEDS=1000 runs many'
	@echo '              EXHAUSTIVE=1 kills after each single write of whole runs, CRASH_AFTER=7 replays one of these deaths'
	@echo 'make mutants  known bugs, put into the services one by one: the simulation must find each'
	@echo 'make trust    compare our model of DynamoDB with the one at PENSTOCK_DYNAMODB_ENDPOINT (AWS, or DynamoDB Local)'
	@echo 'make kills    KILLS=1000 processes of a product under load are killed with -9: nothing may be lost'
	@echo 'make bench    measure it, and say which bars are missed; writes build/bench.json'
	@echo 'make e2e      every end-to-end test: real processes, kill -9; ENGINE=aws runs them over an emulator'

demo: $(VENV)/.installed-demo
	@$(BIN)/penstock demo $(ARGS)

test: $(VENV)/.installed-all .venv-ministack/.installed
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m 'not slow' $(ARGS)

check: $(VENV)/.installed-all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

sim: $(VENV)/.installed-all
	$(BIN)/python -m tests.simulation $(strip $(if $(EXHAUSTIVE),--exhaustive,\
	$(if $(CRASH_AFTER),--crash-after $(CRASH_AFTER),$(if $(SEED),--seed $(SEED),--seeds $(SEEDS))))) $(ARGS)

mutants: $(VENV)/.installed-all
	$(BIN)/python -m tests.simulation.mutants $(ARGS)

trust: $(VENV)/.installed-all
	@$(BIN)/python -m tests.contract.trust $(ARGS)

bench: $(VENV)/.installed-all
	$(BIN)/python -m tests.bench $(ARGS)

e2e: $(VENV)/.installed-all .venv-ministack/.installed
	$(BIN)/python -m pytest $(if $(filter aws,$(ENGINE)),tests/e2e/aws,tests/e2e --ignore tests/e2e/aws) $(ARGS)

kills: $(VENV)/.installed-all
	$(BIN)/python -m tests.e2e.kill_campaign --kills $(KILLS) $(ARGS)

spec: $(VENV)/.installed-all
	$(BIN)/python -m tests.spec.check

# --- environments ----------------------------------------------------------------------------------
# A stamp says what is installed; it is made again when a lock changes. The demo needs no test tools, so
# it does not wait for them. Bytecode is compiled here because imports are most of a short start.

$(VENV)/.installed-demo: $(LOCKS)
ifneq ($(UV),)
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --extra all --compile-bytecode
else
	@$(call make_environment,$(VENV))
	@echo 'Installing what Penstock needs into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[all]'
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib $(SOURCES) || true
endif
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed-demo
ifneq ($(UV),)
	@$(UV) sync --quiet --frozen --all-extras --all-groups --compile-bytecode
else
	@echo 'Installing the tools of the tests into $(VENV) …'
	@$(BIN)/python -c 'import tomllib; groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; \
	print(*(line for group in groups.values() for line in group), sep="\n")' > $(VENV)/development.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -r $(VENV)/development.txt
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
endif
	@touch $@

# The AWS emulator of the tests lives apart: what it needs must not decide what Penstock gets.
.venv-ministack/.installed: tests/contract/ministack-requirements.txt
ifneq ($(UV),)
	@$(UV) venv --quiet --allow-existing .venv-ministack
	@$(UV) pip install --quiet --compile-bytecode --python .venv-ministack/bin/python -r $<
else
	@$(call make_environment,.venv-ministack)
	@echo 'Installing the AWS emulator of the tests into .venv-ministack …'
	@.venv-ministack/bin/python -m pip install --quiet --disable-pip-version-check -r $<
endif
	@touch $@

define make_environment
if [ -z '$(PYTHON)' ]; then \
	echo 'Penstock needs Python 3.11 or newer with venv, and none was found: install it (on Debian and Ubuntu, the package' \
	'python3-venv), or put its folder first in PATH.' >&2; exit 1; fi; \
if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	clear=; $(1)/bin/python -c '' 2>/dev/null || clear=--clear; \
	$(PYTHON) -m venv $$clear $(1) || exit 1; fi
endef
