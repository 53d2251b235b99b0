# crossask: every target makes and reuses .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
demo: OUT ?= demo_output
demo: SEEDS ?= 0,1,2
# of the reproductions: folder of the corpus, rows (all), DOWNLOAD=1 to fetch the corpus, DRY_RUN=1 for the plan alone
DATA ?= data
ROWS ?=
DOWNLOAD ?=
DRY_RUN ?=
# of `make coverage` and `make mutants`: the tests (all); of `make mutants`: the package, one module, names of changes (all)
TESTS ?=
PACKAGE ?= evaluation
MODULE ?=
MUTANTS ?=
# of `make bench`: the parts (all), SHORT=1 for a quick run that needs an OUT, most clips of the part growth
ONLY ?=
SHORT ?=
CLIPS ?= 1000
# of the stored results: studies (all), and the data that is not generated (see `make results DRY_RUN=1`)
STUDIES ?=
ESC10 ?=
YAMNET ?=
YAMNET_8_BITS ?=
TUT2017_EMBEDDINGS ?=
AMBIENCE ?=
SCENE_RECORDINGS ?=
AUDIOSET ?=
VGGISH_PCA ?=
RESULTS_DATA := ESC10 YAMNET YAMNET_8_BITS TUT2017_EMBEDDINGS AMBIENCE SCENE_RECORDINGS AUDIOSET VGGISH_PCA
# bash replaces ~ in `make demo OUT=~/demo`; zsh, dash and fish pass it on
home = $(if $(filter ~/%,$(firstword $(1))),$(patsubst ~/%,$(HOME)/%,$(1)),$(1))
GRID = BIN=$(BIN) OUT="$(call home,$(OUT))" SEEDS="$(SEEDS)" ROWS="$(ROWS)" JOBS=$(JOBS) DOWNLOAD=$(DOWNLOAD) DRY_RUN=$(DRY_RUN)
# what the package needs, and what tests and lint need besides
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
# pip-audit and cyclonedx-py have an environment of their own, because their requirements are none of the package's
AUDIT := .audit
# so have the peers of `make bench`
BENCH := .bench
# the exact versions are those of one Python; another takes the newest that setup.py allows
CONSTRAINTS := $(shell $(PYTHON) -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')

.PHONY: help demo results test test-quick test-faults coverage mutants bench audit sbom resolve lint docs site clean reproduce-dcase2019 reproduce-tut2017 rehearse-dcase2019

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1 \t\2/' | expand -t 34

$(READY): setup.py constraints.txt
	@echo "Installing the packages into $(VENV): about 3.6 GB, some minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[train]'
	@touch $@

$(TOOLS): setup.py constraints.txt
	@echo "Installing the packages and the tools for tests into $(VENV): about 4 GB, some minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[test,dev]'
	@touch $(READY) $@

demo: $(READY) ## generate soundscapes, pre-train, compare FA with CMAM, report, export, predict
	@BIN=$(BIN) OUT="$(call home,$(OUT))" SEEDS="$(SEEDS)" JOBS=$(JOBS) bash experiments/demo.sh

reproduce-dcase2019: SEEDS ?= 0,1,2,3,4
reproduce-dcase2019: OUT ?= dcase2019_output
reproduce-dcase2019: $(READY) ## Table 3 on TAU 2019: DATA=folder [DOWNLOAD=1] [OUT=] [SEEDS=] [ROWS=] [DRY_RUN=1]
	@$(GRID) DATA="$(call home,$(DATA))" DATASET=tau2019 EXPERIMENT=experiments/dcase2019.py bash experiments/reproduce.sh

reproduce-tut2017: SEEDS ?= 0,1,2
reproduce-tut2017: OUT ?= tut2017_output
reproduce-tut2017: $(READY) ## Table 3 on TUT 2017, likewise
	@$(GRID) DATA="$(call home,$(DATA))" DATASET=tut2017 EXPERIMENT=experiments/tut2017.py bash experiments/reproduce.sh

rehearse-dcase2019: SEEDS ?= 0
rehearse-dcase2019: OUT ?= rehearsal_output
rehearse-dcase2019: $(READY) ## the whole table by the same code on soundscapes: a twentieth of the clips, an eighth of the channels
	@$(GRID) bash experiments/rehearse.sh

results: OUT ?= results_output
results: $(READY) ## remake experiments/results: [STUDIES=] [ESC10=] [YAMNET=] [YAMNET_8_BITS=] [TUT2017_EMBEDDINGS=] [AMBIENCE=] [SCENE_RECORDINGS=] [AUDIOSET=] [VGGISH_PCA=] [DRY_RUN=1]
	@$(BIN)/python experiments/results/make_results.py --out="$(call home,$(OUT))" --studies="$(STUDIES)" \
	  --jobs=$(JOBS) $(if $(filter-out 0 no false,$(DRY_RUN)),--dry_run) \
	  $(foreach name,$(RESULTS_DATA),--data $(name)="$(call home,$($(name)))")

test: $(TOOLS) ## run all tests, JOBS at a time
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal

test-quick: $(TOOLS) ## run the tests that train nothing, start no processes and simulate nothing
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal \
	  -m "not trains and not processes and not simulates and not faults"

# the total is at most 20 minutes on two cores
test-faults: $(TOOLS) ## run the tests that damage, kill and starve the package, which make test leaves out
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal -m faults

coverage: $(TOOLS) ## run all tests and list the lines that none of them runs; [TESTS=tests/evaluation] for some
	$(BIN)/python -m coverage erase
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal --cov=crossask --cov-report=term-missing $(TESTS)

mutants: $(TOOLS) ## change code, a place at a time, and list the changes that no test notices: [PACKAGE=datasets] [MODULE=leaks] [MUTANTS='*7'] [TESTS=]
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	$(BIN)/python benchmarks/mutants.py $(PACKAGE) $(if $(MUTANTS),'$(MUTANTS)') --jobs=$(JOBS) \
	  $(if $(MODULE),--module=$(MODULE)) --tests $(TESTS)

$(BENCH)/.ready: benchmarks/peers.txt
	@echo "Installing the peers into $(BENCH): about 1.5 GB."
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

bench: $(READY) $(BENCH)/.ready ## measure the speed beside PyTorch, ONNX Runtime and librosa: [ONLY=features] [SHORT=1] [OUT=] [CLIPS=10000]
	@$(BIN)/python benchmarks/bench.py $(BENCH)/bin/python --only="$(ONLY)" --clips=$(CLIPS) \
	  $(if $(filter-out 0 no false,$(SHORT)),--short) $(if $(OUT),--out="$(call home,$(OUT))")

$(AUDIT)/.ready:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit cyclonedx-bom
	@touch $@

audit: $(AUDIT)/.ready ## look for known vulnerabilities in the exact versions of constraints.txt; needs the network
	$(AUDIT)/bin/pip-audit --requirement constraints.txt --disable-pip --no-deps --strict

sbom: $(AUDIT)/.ready ## write sbom.json: what the package is made of (CycloneDX), from constraints.txt
	$(AUDIT)/bin/cyclonedx-py requirements constraints.txt --output-reproducible --output-file sbom.json

resolve: $(TOOLS) ## resolve the requirements for every Python and platform; needs an index of packages
	CROSSASK_TEST_INDEX=1 $(BIN)/python -m pytest tests/test_resolution.py --numprocesses=$(JOBS)

lint: $(TOOLS) ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

docs: $(TOOLS) ## generate docs/configuration.md, docs/speed.md, and the results in docs/, README.md and experiments/results
	@# the page is written by Python: a redirection would empty it before Python starts
	$(BIN)/python -c "from pathlib import Path; from crossask.config import reference; \
	  Path('docs/configuration.md').write_text(reference.as_markdown(), encoding='utf-8')"
	$(BIN)/python experiments/results/write_docs.py
	PYTHONPATH=benchmarks $(BIN)/python -m speed.page

site: $(TOOLS) ## build the documentation as a site in the folder site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean: ## remove the environments, demo_output, rehearsal_output, the site, and what tests, audit and mutants leave
	rm -rf $(VENV) $(AUDIT) $(BENCH) mutants sbom.json .coverage demo_output rehearsal_output site build *.egg-info .pytest_cache .ruff_cache
