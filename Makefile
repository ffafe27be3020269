# make run    trains the quick start, prints the test error and where report.html is
# make test   lint, types and the whole test suite
# Python 3.11 or newer and make are all they need; PYTHON=python3.12 chooses another interpreter, VENV another folder.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

SHORT := tests/functional tests/losses tests/routing/test_dynamic.py tests/runs tests/data/test_dataset.py tests/data/test_folder.py tests/test_architecture.py

.PHONY: audit faults fuzz load sbom soak run test test-real-data test-short lint docs catalogue site dist dist-again test-wheel bench bench-gpu bench-routings gpu-hour clean

# RUN holds more flags of `capsnet train`
run: $(VENV)/installed
	$(BIN)/capsnet train quickstart --report $(RUN)

test: $(VENV)/installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# the tests of real data sets, in $CAPSNET_DATA_DIR: `make test` leaves them out where there are none
test-real-data: $(VENV)/installed-dev
	@test -d "$$CAPSNET_DATA_DIR" || { echo "set CAPSNET_DATA_DIR to the folder of the data sets"; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m real_data $$(grep -rl 'mark.real_data' tests --include='test_*.py')

# whether another Python works: the mathematics, data, the files of a run, the command line
test-short: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(SHORT)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("capsnet needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

# pip before 25.1 has no dependency groups, so the lists are read from pyproject.toml
$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -c 'import tomllib; groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; print("\n".join(groups["dev"] + groups["docs"]))' > $(VENV)/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(VENV)/dev.txt
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -c 'import tomllib; print("\n".join(x for x in tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"] if x.startswith(("beartype", "pytest"))))' > $(VENV)/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(VENV)/test.txt
	touch $@

# in an environment of their own: they are not among what they list
$(VENV)/installed-release: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m venv $(VENV)/release
	$(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["release"]))' > $(VENV)/release.txt
	$(VENV)/release/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(VENV)/release.txt
	touch $@

# write the numbers of docs/runs into the documents
docs: $(VENV)/installed
	$(BIN)/python docs/fill.py

# write the names and summaries of `capsnet list` from the registries
catalogue: $(VENV)/installed
	$(BIN)/python -c 'from capsnet.cli.catalogue import write_catalogue; write_catalogue()'

# the documentation site, in site/
site: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# the wheel and the source archive, in dist/; the same bytes for the same commit, whoever builds them and when
dist: $(VENV)/installed-dev
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir dist
	cd dist && sha256sum *

# does a second build have the same bytes?
dist-again: dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir dist/again
	cd dist && sha256sum *.* | (cd again && sha256sum --check)
	rm -r dist/again

# does the wheel of `make dist` work without this folder? The quick start from another one; RUN holds more flags
test-wheel: $(VENV)/installed
	@ls dist/capsnet-*.whl >/dev/null || { echo "no wheel in dist: make dist"; exit 2; }
	folder=$$(mktemp -d) && python="$(abspath $(BIN))/python" && trap 'rm -rf "$$folder"' EXIT && \
	  "$$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$$folder/site" dist/capsnet-*.whl && \
	  for file in $$(cd src && find capsnet -name '*.[ch]'); do \
    test -f "$$folder/site/$$file" || { echo "the wheel lacks $$file"; exit 1; }; done && \
  cd "$$folder" && export PYTHONPATH="$$folder/site" && \
	  "$$python" -c 'import capsnet; assert capsnet.__file__.startswith("'"$$folder"'"), capsnet.__file__' && \
	  "$$python" -m capsnet train quickstart $(RUN) --out run --report && "$$python" -m capsnet evaluate run

# has a path lost speed on this machine? (its results are in benchmarks/results; bench-gpu and capsnet bench write them)
bench: $(VENV)/installed
	$(BIN)/capsnet bench convolution routing step --quick --against benchmarks/results

# what every routing costs on this machine, which must be quiet: into benchmarks/results and the pages of the routings
bench-routings: $(VENV)/installed
	$(BIN)/capsnet bench routings --out benchmarks/results
	$(BIN)/python docs/fill.py

# with the Python that has a torch for the GPU; nothing is installed
bench-gpu:
	PYTHONPATH=src python3 -m capsnet bench --device cuda --out benchmarks/results

# kill commands 500 times ($CAPSNET_KILLS), and run the tests of other faults; docs/fill.py makes tables of the records
faults: $(VENV)/installed-dev
	$(BIN)/python -m tests.faults.campaign --out docs/reliability/kills.json $(FAULTS)
	$(BIN)/python docs/reliability.py

# a million damaged files for all readers ($CAPSNET_CASES); it goes on where it was stopped
fuzz: $(VENV)/installed-dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python -m tests.faults.fuzz --out docs/reliability/fuzz.json $(FUZZ)

# two hours of training ($CAPSNET_SOAK_SECONDS), 100,000 predictions, 10,000 requests to the page: does memory stay flat?
soak: $(VENV)/installed-dev
	$(BIN)/python -m tests.faults.soak --out docs/reliability/soak.json $(SOAK)

# the page alone
load: $(VENV)/installed-dev
	$(BIN)/python -m tests.faults.soak --only page --out docs/reliability/soak.json $(SOAK)

# known vulnerabilities of what is installed; it says so where the index gives no answers
audit: $(VENV)/installed $(VENV)/installed-release
	$(VENV)/release/bin/python dev/audit.py "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# a software bill of materials of what is installed, in dist/
sbom: $(VENV)/installed $(VENV)/installed-release
	mkdir -p dist
	$(VENV)/release/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --of JSON -o dist/capsnet.cdx.json

# an hour on a GPU in order of worth, into gpu-hour/; the same call goes on (benchmarks/gpu_hour.py packs what a machine
# without a network lacks)
gpu-hour:
	python3 benchmarks/gpu_hour.py run gpu-hour $(GPU_HOUR)
