# make demo   set up, run the built-in study, write runs/quickstart/report.html
# make test   set up with the test tools, then every check
# make test-all  every test, the slow ones too: two processes, compilers, all damages of a run
# make bench  Glassbit beside its peers, on a machine that does nothing else: make bench ARGS="--rounds 5"
# make lowest  the lowest versions that pyproject.toml allows, in an environment of their own, and every command once
# make haswell  the integer kernels on an emulated processor without dot-product instructions (needs qemu-user)
# make arm64  the same on an emulated ARM64 (needs qemu-user and Debian's apt-get)
# All need a Python >= 3.11 (another one: make PYTHON=/path/to/python3 demo) and install into .venv, once.

PYTHON ?= python3
BIN := .venv/bin
SET_UP := $(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: demo test test-all bench lowest haswell arm64 web clean
.DELETE_ON_ERROR:

demo: .venv/installed
	@$(BIN)/glassbit study quickstart --out runs/quickstart

test: .venv/installed-test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-all: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

bench: .venv/installed
	$(BIN)/python -m benchmarks.peers $(ARGS)

lowest: .venv/python
	$(SET_UP) uv
	$(BIN)/uv venv --quiet --clear .bench/lowest
	$(BIN)/uv pip install --quiet --python .bench/lowest --resolution lowest-direct '.[onnx]'
	.bench/lowest/bin/python scripts/smoke.py

haswell: .venv/installed-test
	$(BIN)/python scripts/processors.py haswell $(ARGS)

arm64: .venv/installed-test
	sh scripts/arm64_python.sh .bench/arm64
	$(BIN)/python scripts/processors.py arm64 --python .bench/arm64/python --graphs 150 --images 16 $(ARGS)

# onnxruntime-web, for the checks that need Node.js; kept in the user's cache.
web:
	npm install --prefix "$${GLASSBIT_WEB:-$$HOME/.cache/glassbit/web}" onnxruntime-web@1.30.0

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Glassbit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing)." >&2; \
		echo "Name one: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
		rm -rf .venv; echo "The module venv of $(PYTHON) does not work; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	@echo "installing into .venv (a few minutes the first time)" >&2
	@$(SET_UP) -e '.[onnx]'
	@touch $@

.venv/installed-test: .venv/installed
	@$(SET_UP) -e '.[test]'
	@touch $@

clean:
	rm -rf .venv .bench dist
