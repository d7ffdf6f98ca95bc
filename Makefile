# `make demo` and `make test` need only Python and make. If uv is missing, they install it into .bootstrap.
UV := $(or $(shell command -v uv 2>/dev/null),.bootstrap/bin/uv)
BOOTSTRAP := $(filter .bootstrap/bin/uv,$(UV))
PYTHON := $(firstword $(foreach name,python3.12 python3.13 python3.11 python3 python,$(shell $(name) --version >/dev/null 2>&1 && command -v $(name))))

# A process for each core, with one thread each: more threads than cores wait for each other.
TESTS := OMP_NUM_THREADS=1 $(UV) run pytest --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: help demo test slow exhaustive gpu gpu-quick check static format docs reference clean

help:
	@echo "make demo    train a small model on the built-in corpus and play it, in about five minutes"
	@echo "make test    run the tests"
	@echo "make slow    run the tests that take minutes: killed and interrupted runs, long files, the wheel"
	@echo "make exhaustive    run all emulated GPU kernel tests and those of many ranks on the CPU; use it when you change these"
	@echo "make gpu     test the GPU engines, then measure their limits, speed and start; needs a CUDA device"
	@echo "make gpu-quick    check and time the GPU engines in under fifteen minutes; needs a CUDA device"
	@echo "make check   check format, lint, import rules, types, documentation and tests, as continuous integration does"
	@echo "make static  check format, lint, import rules, types and documentation, without the tests"
	@echo "make format  format the code and fix lint errors"
	@echo "make docs    build the documentation into site/ and check its links; open site/index.html"
	@echo "make reference   generate the pages of docs/reference and the manual pages from the code"
	@echo "make clean   remove environments and caches, but not data/"

demo: $(BOOTSTRAP)
	$(UV) run wavegen demo

test: $(BOOTSTRAP)
	$(TESTS)

slow: $(BOOTSTRAP)
	$(TESTS) -m "slow and not gpu"

exhaustive: $(BOOTSTRAP)
	$(UV) run pytest -m exhaustive

gpu: $(BOOTSTRAP)
	$(UV) run pytest -m gpu
	$(UV) run python benchmarks/gpu_speed.py
	$(UV) run python benchmarks/first_sound.py --engine cuda

gpu-quick: $(BOOTSTRAP)
	$(UV) run python benchmarks/gpu_quick.py

check: static test

static: $(BOOTSTRAP)
	$(UV) run ruff format --check
	$(UV) run ruff check
	$(UV) run lint-imports
	$(UV) run mypy
	$(MAKE) docs

format: $(BOOTSTRAP)
	$(UV) run ruff format
	$(UV) run ruff check --fix

docs: $(BOOTSTRAP)
	$(UV) run --group docs zensical build --strict --clean
	$(UV) run python benchmarks/docs/links.py site

reference: $(BOOTSTRAP)
	$(UV) run python benchmarks/docs/reference.py

clean:
	rm -rf .venv .bootstrap dist site .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.bootstrap/bin/uv:
	@test -n "$(PYTHON)" || { echo "error: no Python found; install Python 3.11, 3.12 or 3.13"; exit 2; }
	$(PYTHON) -m venv .bootstrap
	.bootstrap/bin/pip install --quiet "uv>=0.8,<1"
