# The two commands of the README are `make demo` and `make test`; each makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPECS := specs/streamrec.yaml specs/flights.yaml
CONSTRAINTS := --constraint constraints.txt
# Errors and nothing else.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check $(CONSTRAINTS)

.PHONY: help site demo test test-fast faults exercise test-newest constraints servers lint types check compile flights bench stack-check clean

help:
	@echo "make demo     the main job: spec, history, exporter, Prometheus, an incident, the alert (KEEP=1: leave it running)"
	@echo "make test     all tests"
	@echo "make test-fast  the tests that need no server, no process of their own and no long history"
	@echo "make faults   the fault suite: what happens when something fails, written to docs/faults.md; half an hour"
	@echo "make exercise  March 3 as an incident, and faults of data, model and system, in a real stack: half an hour"
	@echo "make test-newest  all tests, with the newest of everything that pyproject.toml allows"
	@echo "make constraints  set constraints.txt, what is installed and tested, to the newest of everything"
	@echo "make check    lint, types, and whether the generated files are up to date"
	@echo "make compile  regenerate dashboards/, alert_rules/, runbooks/ and stack/ from specs/, the schema and the pages of reference"
	@echo "make site     the documentation as a site with a search, in .cache/site (SERVE=1: serve it while pages change)"
	@echo "make flights  the prediction log of the flights example"
	@echo "make stack-check  brings docker-compose.yml up and breaks it, with the Docker that is here"
	@echo "make bench    the benchmarks compared with their peers (FULL=1: at full size, written to docs/)"

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "mlvitals needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --upgrade setuptools
	$(PIP_INSTALL) --use-pep517 --no-build-isolation --editable '.[dev,examples]'
	@touch $@

servers: $(VENV)/.installed
	@scripts/servers.sh stable

# Without servers it shows less.
demo: $(VENV)/.installed
	@scripts/servers.sh stable || true
	@$(BIN)/python -m examples.streamrec demo

# Processes that tests start import what others have compiled.
test test-fast: export PYTHONDONTWRITEBYTECODE =

test: servers
	@scripts/servers.sh sid
	@scripts/servers.sh postgres
	@$(BIN)/python scripts/all_tests.py

test-fast: $(VENV)/.installed
	$(BIN)/pytest -n 3 --dist loadfile -m "not server and not slow and not realtime and not exercise and not endurance"

faults: servers
	@scripts/servers.sh postgres
	@scripts/servers.sh faketime
	nice -n 10 $(BIN)/pytest tests/faults -q -n 3 --dist worksteal --write-faults

exercise: servers
	@scripts/servers.sh sid
	$(BIN)/pytest -m exercise

test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

constraints:
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	@echo "# What is installed and tested: the newest of everything that pyproject.toml allowed. Made by: make constraints" > $@.txt
	echo setuptools | build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--no-annotate --no-header pyproject.toml - >> $@.txt

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
	$(BIN)/python scripts/reference_pages.py

site: $(VENV)/.installed
	$(BIN)/python scripts/build_site.py $(if $(SERVE),--serve)

flights: $(VENV)/.installed
	$(BIN)/python -m examples.flights

stack-check: $(VENV)/.installed
	@MLVITALS=$(BIN)/mlvitals scripts/compose_check.sh

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(if $(FULL),--full --write)

clean:
	rm -rf $(VENV) .venv-newest .cache build var *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
