# crossask: every target makes and reuses .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo_output
SEEDS ?= 0,1,2
JOBS ?= 2
READY := $(VENV)/.ready
# the exact versions are those of one Python; another takes the newest that setup.py allows
CONSTRAINTS := $(shell $(PYTHON) -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')

.PHONY: help demo test lint clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1 \t\2/' | expand -t 24

$(READY): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[test,dev]'
	@touch $@

demo: $(READY) ## generate soundscapes, pre-train, compare FA with CMAM, report, export, predict
	@BIN=$(BIN) OUT=$(OUT) SEEDS=$(SEEDS) JOBS=$(JOBS) bash experiments/demo.sh

test: $(READY) ## run the tests
	$(BIN)/python -m pytest

lint: $(READY) ## check the style
	$(BIN)/ruff check .

clean: ## remove the environment and what the demo wrote
	rm -rf $(VENV) $(OUT) build *.egg-info .pytest_cache .ruff_cache
