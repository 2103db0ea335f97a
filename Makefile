# `make demo` and `make test` need Python 3.10 or newer, make and a C compiler; both set up .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIP := examples/clips/astronaut_voice.mp4

.PHONY: demo test lint tiny clean docs docs-test notebooks

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: $(READY)
	$(BIN)/affectgpt demo --clip $(CLIP)

test: $(READY) lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check affectgpt tests examples benchmarks
	$(BIN)/ruff format --check affectgpt tests examples benchmarks
	$(BIN)/mypy

# Makes the bundled tokenizer and model again, from nothing.
tiny: $(READY)
	$(BIN)/python -m affectgpt.demo.make tokenizer
	$(BIN)/python -m affectgpt.demo.make model

# The documentation: the site (strict: a warning is an error), every block of README and docs, the notebooks.
$(VENV)/.ready-docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-test: $(VENV)/.ready-docs
	$(BIN)/python docs/test_blocks.py

notebooks: $(VENV)/.ready-docs
	$(BIN)/python docs/run_notebooks.py

clean:
	rm -rf $(VENV) build dist *.egg-info
