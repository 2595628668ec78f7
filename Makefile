# Two commands: `make train` and `make test`. Both make .venv first, if it is not there.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN = $(VENV)/bin
IOPAINT = .clients/iopaint
READY = $(VENV)/.ready

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## .venv with everything, at the versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

train: $(READY)  ## train the default model, evaluate it, print the table (ARGS="seed=1 ..." for other settings)
	$(BIN)/inpaint-train $(ARGS)

test: lint types $(READY)  ## everything that must hold (6 to 9 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(READY)  ## the long variants: a clean clone, the default run
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

client-iopaint: $(READY)  ## does IOPaint paint with an exported file what we paint? (its packages go to .clients/iopaint)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $(IOPAINT) \
		iopaint==1.6.0 diffusers==0.27.2 huggingface-hub==0.25.2 loguru importlib-metadata zipp && touch $(IOPAINT)/.ready || true
	$(BIN)/python -m pytest -m slow -n 0 -rsP tests/exchange/test_iopaint.py

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy
	$(BIN)/mypy

format: $(READY)  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## what the hardware gives, side by side, into experiments/benchmarks (25 minutes; ARGS="--seconds 600" for less)
	$(BIN)/python experiments/benchmarks/bench.py $(ARGS)

bench-gpu: $(READY)  ## the same on a GPU
	$(BIN)/python experiments/benchmarks/bench.py --device cuda $(ARGS)

bench-rooms: $(READY)  ## what else was promised: quality, masks, figures, sweeps, exported files (20 minutes)
	$(BIN)/python experiments/001-first-light/bench.py
	$(BIN)/python experiments/002-masks-and-data/bench.py
	$(BIN)/python experiments/003-metrics/bench.py
	$(BIN)/python experiments/005-sweeps/bench.py
	$(BIN)/python experiments/013-arithmetic/bench.py
	$(BIN)/python experiments/016-prediction/bench.py

docs: $(READY)  ## a site of the READMEs, all options and the classes, in dist/docs-site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python experiments/site.py dist

loss-compare: $(READY)  ## are the losses of two commits or run folders equal? (A=main B=HEAD ARGS="seed=1 ...")
	$(BIN)/python experiments/loss_compare.py $(A) $(B) $(ARGS)

clean:  ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist

.PHONY: help install train test test-slow lint types format bench bench-gpu bench-rooms docs client-iopaint loss-compare clean
.DEFAULT_GOAL := help
