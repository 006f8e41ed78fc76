# Every target sets up what it needs in .venv; nothing has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test browser-test check figures clean

demo: $(VENV)/demo.stamp  ## predict the clips in examples/ with the embedded checkpoint
	$(BIN)/mser predict examples/clips

test: $(VENV)/test.stamp  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

browser-test: $(VENV)/browser.stamp  ## try the page in a real browser; needs Debian's chromium
	@command -v chromium >/dev/null || { echo "chromium is missing: apt-get install chromium"; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/demo

check: $(VENV)/dev.stamp  ## lint, format, types, pins
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python .ci/check_pins.py
	$(BIN)/python -m pip check

figures: $(VENV)/dev.stamp  ## write the figures of benchmarks/results into the README and the card of mser-tiny
	$(BIN)/python benchmarks/quote.py
	$(BIN)/python model_cards/mser_tiny.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[test]"
	touch $@

$(VENV)/browser.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[test,demo,browser]"
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	touch $@
