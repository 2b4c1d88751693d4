# Each target first installs what it needs into .venv, which is created with the interpreter PYTHON.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
# Test files run in parallel, one process per core; each takes about 3 GB.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile

.PHONY: install sample test test-slow test-benchmarks lint clean

install: $(VENV)/.installed

# Install exactly the tested versions.
$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(RUN) -m pip --version >/dev/null 2>&1 || command -v $(PYTHON) >/dev/null || \
	    { echo "error: $(PYTHON) not found; make PYTHON=/path/to/python3.11"; exit 1; }
	$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

data/phantoms: $(VENV)/.installed
	$(RUN) -m ham_keras.data.phantom $@ --count 400 --seed 0

sample: data/phantoms
	$(RUN) -m ham_keras.train configs/sample.json

test: install
	$(RUN) -m pytest $(PARALLEL) -m "not slow and not real_data and not benchmark"

test-slow: install
	$(RUN) -m pytest $(PARALLEL) -m "(slow or real_data) and not benchmark"

test-benchmarks: install
	$(RUN) -m pytest $(PARALLEL) -m benchmark

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache
