# The commands a developer, CI and the README use. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-spark demo up promtool test test-unit test-integration test-end-to-end test-spark soak compose-smoke \
  compose-up check checks docs picture lock lock-check sbom licences audit workflows actionlint manifests clean bench-%

ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPARK_VENV := .venv-spark
SPARK_INSTALLED := $(SPARK_VENV)/.installed
IMAGES := serving graph
KUBERNETES := 1.34.0 1.37.0
MANIFESTS := $(filter-out %-values.yaml,$(wildcard deploy/kubernetes/*.yaml))

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

test: $(INSTALLED) ## Run the unit, integration and end-to-end tests
	$(BIN)/pytest -n 2 --dist loadfile tests/unit tests/integration $(ARGS)
	$(BIN)/pytest tests/end_to_end $(ARGS)

promtool: $(INSTALLED) ## Fetch promtool into .venv, for the tests of the alert rules, which are left out without it
	deploy/install-promtool $(BIN)

test-unit: $(INSTALLED) ## Run the tests of the rules alone
	$(BIN)/pytest tests/unit $(ARGS)

test-integration: $(INSTALLED) ## Run the graph in process on small windows
	$(BIN)/pytest tests/integration $(ARGS)

test-end-to-end: $(INSTALLED) ## Run the real servers on loopback
	$(BIN)/pytest tests/end_to_end $(ARGS)

test-spark: $(SPARK_INSTALLED) ## Run the tests that hold Spark to DuckDB's answers, in .venv-spark
	$(SPARK_VENV)/bin/pytest tests/spark $(ARGS)

soak: $(INSTALLED) ## Run the long forms of the tests of load and faults (five minutes)
	$(BIN)/pytest -m soak $(ARGS)

compose-smoke: $(INSTALLED) ## Build, start, exercise, kill, back up and restore the whole stack in containers (a quarter of an hour)
	deploy/with-engine $(BIN)/pytest tests/compose -m compose -x $(ARGS)

compose-up: ## Start the loop in containers (needs Docker); docker compose --profile '*' down stops it
	docker compose build
	deploy/compose-secrets
	docker compose up --detach --wait

check: $(INSTALLED) docs workflows manifests ## Format, lint, types, import contracts, documents, workflows, manifests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

checks: $(INSTALLED) ## Run the asset checks on small windows; fails when one fails
	$(BIN)/mlops checks $(ARGS)

docs: $(INSTALLED) ## Build the site of documents into site/, with the reference that is made from the code
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench-engines: $(SPARK_INSTALLED) ## Run benchmarks/engines, which needs Spark beside DuckDB; JSON=FILE as below
	$(SPARK_VENV)/bin/python -m benchmarks.engines $(if $(JSON),--json $(JSON)) $(ARGS)

bench-containers: $(INSTALLED) ## Run benchmarks/containers with a Docker engine, as compose-smoke does; JSON=FILE as below
	deploy/with-engine $(BIN)/python -m benchmarks.containers $(if $(JSON),--json $(JSON)) $(ARGS)

bench-%: $(INSTALLED) ## Run benchmarks/NAME (bench-loop); JSON=FILE writes the figures too
	$(BIN)/python -m benchmarks.$* $(if $(JSON),--json $(JSON)) $(ARGS)

picture: ## Take the README's picture from a running loop (needs Debian's chromium)
	docs/pictures/take-lineage

lock: $(INSTALLED) ## Pin the newest versions that fit, with hashes
	deploy/lock $(BIN)/uv upgrade

lock-check: $(INSTALLED) ## Are the lock files what pyproject.toml asks for? Asks the package index
	deploy/lock $(BIN)/uv check

sbom: $(INSTALLED) ## Write what each image is made of, as CycloneDX, into dist/
	mkdir -p dist
	for image in $(IMAGES); do \
	  PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements deploy/$$image.lock --pyproject pyproject.toml --output-reproducible \
	    -o dist/$$image.sbom.json; \
	done

licences: $(INSTALLED) ## Fail on a licence in an image that pyproject.toml does not allow
	$(BIN)/pip-licenses --with-system --summary --packages $$(sed -nE 's/^([a-z0-9._-]+)==.*/\1/p' $(IMAGES:%=deploy/%.lock))

audit: $(INSTALLED) ## Fail on a known vulnerability in an image, and where none could be looked up
	deploy/audit $(BIN)/pip-audit $(IMAGES:%=deploy/%.lock)

workflows: $(INSTALLED) ## Check the GitHub workflows with zizmor, and with actionlint where `make actionlint` has fetched it
	$(BIN)/zizmor --offline --quiet --strict-collection .github
	if [ -x $(BIN)/actionlint ]; then $(BIN)/actionlint; else echo "actionlint: not run; make actionlint fetches it"; fi

actionlint: $(INSTALLED) ## Fetch actionlint, whose package downloads its program from GitHub when it is installed
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --require-hashes -r deploy/actionlint.lock

manifests: $(INSTALLED) ## Check the Kubernetes manifests against the schemas of the oldest and the newest version in support
	for version in $(KUBERNETES); do \
	  $(BIN)/kubernetes-validate --strict --quiet -k $$version $(MANIFESTS); \
	done

clean: ## Remove the environment (the state in .mlops stays)
	rm -rf $(VENV) $(SPARK_VENV)
