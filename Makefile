# Two commands are all the set-up there is: `make demo` and `make test`. They need Python and make, nothing else;
# where uv is not installed, it is put into .bootstrap.
UV := $(or $(shell command -v uv 2>/dev/null),.bootstrap/bin/uv)
BOOTSTRAP := $(filter .bootstrap/bin/uv,$(UV))
PYTHON := $(firstword $(foreach name,python3.12 python3.11 python3 python,$(shell $(name) --version >/dev/null 2>&1 && command -v $(name))))

.PHONY: help demo test slow exhaustive gpu check format commands clean

help:
	@echo "make demo    train a small model on the built-in corpus and hear it, in under five minutes"
	@echo "make test    run the tests"
	@echo "make slow    run the tests that take minutes: killed and interrupted runs, long files, the wheel"
	@echo "make exhaustive    emulate the GPU's kernels on the CPU at length; before changing those"
	@echo "make gpu     run the tests of the GPU engines, then their floors, speeds and starts; needs a CUDA device"
	@echo "make check   format, lint, import floors, types and tests: what continuous integration runs"
	@echo "make format  put the code into its one format"
	@echo "make commands    write docs/commands.md from the command line"
	@echo "make clean   remove what set-up and checks have left; data/ stays"

demo: $(BOOTSTRAP)
	$(UV) run wavegen demo

test: $(BOOTSTRAP)
	$(UV) run pytest

slow: $(BOOTSTRAP)
	$(UV) run pytest -m "slow and not gpu"

exhaustive: $(BOOTSTRAP)
	$(UV) run pytest -m exhaustive

gpu: $(BOOTSTRAP)
	$(UV) run pytest -m gpu
	$(UV) run python benchmarks/gpu_speed.py
	$(UV) run python benchmarks/first_sound.py --engine cuda

check: $(BOOTSTRAP)
	$(UV) run ruff format --check
	$(UV) run ruff check
	$(UV) run lint-imports
	$(UV) run mypy
	$(MAKE) test

format: $(BOOTSTRAP)
	$(UV) run ruff format
	$(UV) run ruff check --fix

commands: $(BOOTSTRAP)
	$(UV) run typer cli.py utils docs --name wavegen --title Commands --output docs/commands.md

clean:
	rm -rf .venv .bootstrap dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.bootstrap/bin/uv:
	@test -n "$(PYTHON)" || { echo "error: no Python found; install Python 3.11 or 3.12"; exit 2; }
	$(PYTHON) -m venv .bootstrap
	.bootstrap/bin/pip install --quiet "uv>=0.8,<1"
