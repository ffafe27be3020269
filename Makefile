# make run    trains the quick start, prints the test error and where report.html is
# make test   lint, types and the whole test suite
# Python 3.11 or newer and make are all they need; PYTHON=python3.12 chooses another interpreter.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin

.PHONY: run test lint docs site bench bench-gpu clean

run: .venv/installed
	$(BIN)/capsnet train quickstart --report

test: .venv/installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("capsnet needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

# pip before 25.1 has no dependency groups, so the lists are read from pyproject.toml
.venv/installed-dev: .venv/installed
	$(BIN)/python -c 'import tomllib; groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; print("\n".join(groups["dev"] + groups["docs"]))' > .venv/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement .venv/dev.txt
	touch $@

# write the numbers of docs/runs into the documents
docs: .venv/installed
	$(BIN)/python docs/fill.py

# the documentation site, in site/
site: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# has a path lost speed on this machine? (its results are in benchmarks/results; bench-gpu and capsnet bench write them)
bench: .venv/installed
	$(BIN)/capsnet bench convolution routing step --quick --against benchmarks/results

# with the Python that has a torch for the GPU; nothing is installed
bench-gpu:
	PYTHONPATH=src python3 -m capsnet bench --device cuda --out benchmarks/results
