# The two commands of the README are `make demo` and `make test`; each makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPECS := specs/streamrec.yaml specs/flights.yaml

.PHONY: help demo test servers lint types check compile flights bench stack-check clean

help:
	@echo "make demo     the main job: spec, history, exporter, Prometheus, an incident, the alert (KEEP=1: leave it running)"
	@echo "make test     all tests"
	@echo "make check    lint, types, and whether the generated files are up to date"
	@echo "make compile  regenerate dashboards/, alert_rules/, runbooks/ and stack/ from specs/"
	@echo "make flights  the prediction log of the flights example"
	@echo "make stack-check  brings docker-compose.yml up and breaks it, with the Docker that is here"
	@echo "make bench    the benchmarks compared with their peers (FULL=1: at full size, written to docs/)"

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "mlvitals needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,examples]'
	@touch $@

servers: $(VENV)/.installed
	@scripts/servers.sh stable

demo: servers
	@$(BIN)/python -m examples.streamrec demo

test: servers
	@scripts/servers.sh sid
	@scripts/servers.sh postgres
	$(BIN)/pytest -n 2 --dist loadfile -m "not realtime"
	$(BIN)/pytest -n 2 -m realtime

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

check: lint types
	$(BIN)/mlvitals compile --check $(SPECS)

compile: $(VENV)/.installed
	$(BIN)/mlvitals compile $(SPECS)
	$(BIN)/python -m mlvitals.generator.spec.schema

flights: $(VENV)/.installed
	$(BIN)/python -m examples.flights

stack-check: $(VENV)/.installed
	@MLVITALS=$(BIN)/mlvitals scripts/compose_check.sh

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(if $(FULL),--full --write)

clean:
	rm -rf $(VENV) .cache build var *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
