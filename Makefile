# Every target does its own set-up: Python 3.11+, make and git are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Many tests wait for a server of theirs: more workers than cores. ARGS="-n 0 --pdb ..." runs tests in one process.
WORKERS ?= 4

.PHONY: help demo demo-migration dev test check bench bench-long chaos fuzz hostile kafka-up kafka-down clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV): some 150 Python packages in the versions of constraints.txt, 1.5 GB, once; 1 to 3 minutes ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## Load six weeks of grocery events end to end and print a household's sequence
	@$(BIN)/seqplat demo

demo-migration: $(READY) ## Move one event type from an older pipeline to this one: every step, and what goes wrong on it
	@$(BIN)/python -m examples.migration

dev: $(READY) ## Start the Dagster UI and the sequence API
	@$(BIN)/seqplat dev

test: $(READY) ## Run the test suite, or ARGS="tests/sources/log -q"; the last line says what could not be tested here
	@$(BIN)/python -m pytest $(if $(findstring no:xdist,$(ARGS)),,-n $(WORKERS) --dist worksteal) $(ARGS)

check: $(READY) ## Lint, types, import contracts, the pages as a site, and the built wheel imported from elsewhere
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/seqplat check --strict
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@./scripts/check_wheel $(BIN)/python

bench: $(READY) ## Measure against peers and write the table of benchmarks/README.md
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@$(BIN)/python -m benchmarks.run all

bench-long: $(READY) ## Long histories: 100,000 labels x 16,384 events as pointers, loaded, against an oracle (4 minutes)
	@$(BIN)/python -m benchmarks.long_histories .bench/long

chaos: $(READY) ## Kill, pause, starve and flood a small installation 500 times, and count what is lost (15 minutes)
	@$(BIN)/python -m tests.chaos $(CHAOS)

fuzz: $(READY) ## Feed a stream a million messages, three in ten of them rubbish (8 minutes)
	@$(BIN)/python -m tests.fuzz

hostile: $(READY) ## Play worlds of wrong clocks, repeated ids, odd text, numbers and files for an hour, and judge every answer
	@$(BIN)/python -m tests.hostile $(HOSTILE)

kafka-up: ## Start a real Kafka on loopback for development and tests (needs Java; Maven the first time)
	@./scripts/kafka up

kafka-down: ## End it
	@./scripts/kafka down

clean: ## Remove the virtual environment, caches and the demo's data
	rm -rf $(VENV) .seqplat .seqplat-migration .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
