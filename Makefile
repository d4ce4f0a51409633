# One word for each task, the same on a desk and in CI. `make help` lists them.
# Needs Rust, Python >= 3.11 and make; everything else is installed into .venv.
VENV := .venv
BIN := $(VENV)/bin
CARGO ?= cargo
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
DURATION ?=
# Interleaved rounds of a bench.
ROUNDS ?= 5
# The soak: kills and seeds of faults, and where to begin, so that a long one can go on.
KILLS ?= 200
SEEDS ?= 2000
FIRST ?= 1
PY_SOURCES := python tests $(wildcard benches)
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
# Prints the packages of the named extra ("" is the core), so that pip installs them without a build.
WANTS = $(BIN)/python -c 'import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
  print(*(p["optional-dependencies"][sys.argv[1]] if sys.argv[1] else p["dependencies"]), sep="\n")'
# Commands start quicker from bytecode: what forbids to write it is not passed on.
unexport PYTHONDONTWRITEBYTECODE
# pyo3 looks for an interpreter: always the same one, or cargo would build it again for each.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

.PHONY: help build dev run test test-rust test-python lint format bench bench-peer soak clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

build: $(VENV)/.native  ## .venv with the tickerml command; Rust is compiled only when it changed

run: build  ## paper-trade the loopback venues until Ctrl-C, with no network and no key (DURATION=60s to stop by itself)
	$(BIN)/tickerml run --demo $(if $(DURATION),--duration $(DURATION))

test: test-rust test-python  ## every test of Rust and of Python: minutes

test-rust: $(BIN)/python  ## cargo test, without the binding crate: Python tests that
	$(CARGO) test --workspace --exclude tickerml-py

test-python: dev  ## pytest against the built module, on every core
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: dev  ## formatting, clippy, ruff, mypy --strict, stubs equal to the module
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff check $(PY_SOURCES)
	$(BIN)/ruff format --check $(PY_SOURCES)
	$(BIN)/mypy
	$(BIN)/stubtest tickerml._native --mypy-config-file pyproject.toml --concise

format: dev  ## put Rust and Python into the one format
	$(CARGO) fmt --all
	$(BIN)/ruff check --fix $(PY_SOURCES)
	$(BIN)/ruff format $(PY_SOURCES)

bench: dev  ## speed and memory of each stage; writes target/bench.json; never a timed test
	$(CARGO) bench --workspace --exclude tickerml-py --bench '*'
	$(if $(wildcard benches/bench_pipeline.py),$(BIN)/python benches/bench_pipeline.py --rounds $(ROUNDS))

bench-peer: dev  ## speed and memory beside hftbacktest, over the same rows; writes target/bench_peer.json
	$(BIN)/python benches/bench_peer.py

soak: dev  ## long: KILLS=200 kills of a run, SEEDS=2000 seeds of faults in virtual time from FIRST=1 on
	TICKERML_SOAK_FIRST=$(FIRST) TICKERML_SOAK_SEEDS=$(SEEDS) $(CARGO) test --release -p tickerml-venue --test seeds -- --nocapture
	$(BIN)/python -m pytest -s -m soak --kills $(KILLS)

clean:  ## remove what was built
	rm -rf $(VENV) target

dev: $(VENV)/.dev $(VENV)/.native

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv found: install python3 and python3-venv, or make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	{ $(WANTS) ''; echo 'maturin>=1.16,<2'; } >$(VENV)/wants && $(BIN)/python -m pip install -q --disable-pip-version-check -r $(VENV)/wants
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.core
	{ $(WANTS) dev; $(WANTS) oracle; } >$(VENV)/wants && $(BIN)/python -m pip install -q --disable-pip-version-check -r $(VENV)/wants
	touch $@

$(VENV)/.native: $(RUST_SOURCES) pyproject.toml $(VENV)/.core
	VIRTUAL_ENV=$(CURDIR)/$(VENV) PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/maturin develop --release --locked
	touch $@
