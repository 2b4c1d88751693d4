# Each target first installs what it needs into .venv, which is created with the interpreter PYTHON: the package, which
# is enough to train, or the package with the extra `dev`, which is for tests.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
# Test files run in parallel, one process per core; each takes about 3 GB.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile

.PHONY: install sample test test-slow test-benchmarks test-gpu lint clean
.NOTPARALLEL:  # two installations at once would damage .venv

install: $(VENV)/.dev

# Install exactly the tested versions, with the extras $(1).
define pip_install
@$(RUN) -m pip --version >/dev/null 2>&1 || command -v $(PYTHON) >/dev/null || \
    { echo "error: $(PYTHON) not found; make PYTHON=/path/to/python3.11"; exit 1; }
$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".$(1)"
endef

$(VENV)/.base: setup.cfg pyproject.toml constraints.txt
	$(call pip_install)
	touch $@

# The package with `dev` is all of the package: nothing is left to install for `make sample`.
$(VENV)/.dev: setup.cfg pyproject.toml constraints.txt
	$(call pip_install,[dev])
	touch $(VENV)/.base $@

COMMA := ,
$(VENV)/.gpu: setup.cfg pyproject.toml constraints.txt
	$(call pip_install,[dev$(COMMA)gpu])
	touch $(VENV)/.base $(VENV)/.dev $@

# The stamp says only that the package is there: a newer one is no reason to draw the images again.
data/phantoms: | $(VENV)/.base
	$(RUN) -m ham_keras.data.phantom $@ --count 400 --seed 0

sample: $(VENV)/.base data/phantoms
	$(RUN) -m ham_keras.train configs/sample.json

test: install
	$(RUN) -m pytest $(PARALLEL) -m "not slow and not real_data and not benchmark and not gpu"

test-slow: install
	$(RUN) -m pytest $(PARALLEL) -m "(slow or real_data) and not benchmark"

test-benchmarks: install
	$(RUN) -m pytest $(PARALLEL) -m benchmark

test-gpu: $(VENV)/.gpu
	HAM_KERAS_TEST_GPU=1 $(RUN) -m pytest -m gpu

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache
