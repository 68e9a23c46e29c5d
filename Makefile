# The commands a developer, CI and the README use. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-spark demo up test test-unit test-integration test-end-to-end test-spark soak check checks picture lock clean bench-%

ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPARK_VENV := .venv-spark
SPARK_INSTALLED := $(SPARK_VENV)/.installed

help: ## List the commands
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## Install everything into .venv, from the hash-pinned lock
$(INSTALLED): requirements.lock pyproject.toml deploy/install
	deploy/install $(VENV)
	touch $@

setup-spark: $(SPARK_INSTALLED) ## Install the loop with Spark into .venv-spark, and Java 17 where there is none
$(SPARK_INSTALLED): deploy/spark.lock pyproject.toml deploy/install deploy/install-java
	deploy/install-java
	deploy/install $(SPARK_VENV) deploy/spark.lock
	touch $@

demo: $(INSTALLED) ## Replay a year of flights through the whole loop (ARGS="--windows 4 --exit", --fresh)
	$(BIN)/mlops demo $(ARGS)

up: $(INSTALLED) ## Start Dagster, the service and MLflow's pages; Ctrl-C stops them
	$(BIN)/mlops up $(ARGS)

test: $(INSTALLED) ## Run all the tests
	$(BIN)/pytest $(ARGS)

test-unit: $(INSTALLED) ## Run the tests of the rules alone
	$(BIN)/pytest tests/unit $(ARGS)

test-integration: $(INSTALLED) ## Run the graph in process on small windows
	$(BIN)/pytest tests/integration $(ARGS)

test-end-to-end: $(INSTALLED) ## Run the real servers on loopback
	$(BIN)/pytest tests/end_to_end $(ARGS)

test-spark: $(SPARK_INSTALLED) ## Run the tests that hold Spark to DuckDB's answers, in .venv-spark
	$(SPARK_VENV)/bin/pytest tests/spark $(ARGS)

soak: $(INSTALLED) ## Run the long forms of the tests of load and faults (half an hour)
	$(BIN)/pytest -m soak $(ARGS)

check: $(INSTALLED) ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

checks: $(INSTALLED) ## Run the asset checks on small windows; fails when one fails
	$(BIN)/mlops checks $(ARGS)

bench-engines: $(SPARK_INSTALLED) ## Run benchmarks/engines, which needs Spark beside DuckDB; JSON=FILE as below
	$(SPARK_VENV)/bin/python -m benchmarks.engines $(if $(JSON),--json $(JSON)) $(ARGS)

bench-%: $(INSTALLED) ## Run benchmarks/NAME (bench-loop); JSON=FILE writes the figures too
	$(BIN)/python -m benchmarks.$* $(if $(JSON),--json $(JSON)) $(ARGS)

picture: ## Take the README's picture from a running loop (needs Debian's chromium)
	docs/pictures/take-lineage

COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade \
  --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q

lock: ## Pin the newest versions that fit, with hashes (needs uv)
	$(COMPILE) --extra serving --extra graph --extra dev -o requirements.lock
	$(COMPILE) --extra serving --constraint requirements.lock -o deploy/serving.lock
	$(COMPILE) --extra graph --constraint requirements.lock -o deploy/graph.lock
	$(COMPILE) --extra graph --extra spark --extra spark-test --constraint requirements.lock -o deploy/spark.lock

clean: ## Remove the environment (the state in .mlops stays)
	rm -rf $(VENV) $(SPARK_VENV)
