# Targets of the project; `make help` lists them. Needs python3 (3.11 or newer, with venv) and make; no root.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=
N ?= 100
SEED ?=
MINUTES ?=
RATE ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all test-telemetry chaos chaos-kills chaos-workers soak bench lint lock lock-runtime image clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1	/' | expand -t 16

setup: $(READY) ## make .venv and fetch the ODBC driver (run and test do it when needed)

$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed. On Debian and Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv …"
	@$(PYTHON) -m venv .venv || { echo "python3-venv is missing. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m connectors.sage100.driver
	@touch $@

run: $(READY) ## run everything here and watch the sample orders; ARGS="--exit-when-done" ends by itself
	@$(BIN)/python -m workers demo $(ARGS)

test: $(READY) ## run the tests (as CI does), in four processes: they mostly wait
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: $(READY) ## run the tests with larger sizes of the randomised ones, and every crash point
	@HYPOTHESIS_PROFILE=large $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: $(READY) ## N=100 generated orders while everything breaks, then the audit; SEED=1 repeats a run
	@$(BIN)/python -m tests.chaos --orders $(N) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-workers: $(READY) ## two workers of each role, one killed every few seconds under load, MINUTES=3; SEED=1 repeats a run
	@$(BIN)/python -m tests.chaos.kill_workers --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: $(READY) ## MINUTES=60 of orders as fast as they go (RATE= a second at most after warm-up); nothing may grow or be lost; SEED=1
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) --rate $(or $(RATE),0) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-kills: $(READY) ## kill one process at a random moment while the sample orders run, 20 rounds; CHAOS_SEED, CHAOS_ROUNDS
	@$(BIN)/python -m pytest tests/chaos/kill_rounds.py -s $(ARGS)

test-telemetry: $(READY) ## ask a real Prometheus (Debian: apt install prometheus; or PROMETHEUS=path) every query of the dashboard
	@$(BIN)/python -m pytest tests/e2e/real_prometheus.py $(ARGS)

bench: $(READY) ## measure orders against a floor, polls, stock, a customer's view; SIZE=full takes the large sizes
	@$(BIN)/python -m tests.bench $(if $(filter full,$(SIZE)),--full) $(ARGS)

lint: $(READY) ## check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(READY) ## write requirements.lock and requirements-runtime.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--extra dev pyproject.toml -o requirements.lock
	@$(MAKE) --no-print-directory lock-runtime

lock-runtime: $(READY) ## write requirements-runtime.lock (what the image installs) with the versions of requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraints requirements.lock pyproject.toml -o requirements-runtime.lock

image: $(READY) ## build the container image with podman and take an order through its processes (docs/deploy.md); BASE_IMAGE=…
	@$(if $(BASE_IMAGE),BASE_IMAGE=$(BASE_IMAGE)) $(BIN)/python -m tests.image $(ARGS)

clean: ## remove var/ (all local state) and caches; .venv and .odbc stay
	@rm -rf var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
