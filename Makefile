# On a fresh machine with only Python 3.11+ and make:
#   make demo   sets up and runs the main job
#   make test   sets up and passes all the tests

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
# Never a toolchain from elsewhere: the machine's Python is the one that runs acx.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench soak docs clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venv/base: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	$(UV) sync --quiet --locked --inexact --no-default-groups
	@touch $@

.venv/dev: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	$(UV) sync --quiet --locked --inexact --all-extras
	@touch $@ .venv/base

demo: .venv/base ## an exchange and three stores on this machine: report, inform, screen, verify
	@$(BIN)/acx demo $(DEMO_ARGS)

test: .venv/dev ## all the tests
	$(BIN)/pytest -n 2 --dist worksteal $(TEST_ARGS)

lint: .venv/dev ## style, types, the import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev ## write code as ruff writes it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/dev ## the speeds that benchmarks/ promises, measured here
	$(UV) sync --quiet --locked --inexact --all-extras --group bench
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

soak: .venv/dev ## the long forms of tests: a million events, fifty kills (an hour)
	ACX_EVENTS=1000000 ACX_TEST_KILLS=50 $(BIN)/pytest -m soak $(TEST_ARGS)

docs: .venv/dev ## the pages that are made from the code
	$(BIN)/python -m acx.cli.reference docs

clean: ## back to a clean clone
	rm -rf .venv .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
