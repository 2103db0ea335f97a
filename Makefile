# `make demo` and `make test` need Python 3.10 or newer, make and a C compiler; both set up .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIP := examples/clips/astronaut_voice.mp4
QUICK := $(addprefix tests/,api/test_arguments.py api/test_models.py architecture core files lexicon plugins/fusers registry \
	test_public.py unibench/metrics)

# A program that a test starts would otherwise compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo quick test test-all lint snapshot release-check package tiny facts clean docs docs-test notebooks

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: $(READY)
	$(BIN)/affectgpt demo --clip $(CLIP)

# Files in the order of their names: otherwise those of few and long tests come last, and one process waits for another.
# No test reads the log, which pytest otherwise gathers in every phase of every test.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -p no:logging

# What a change of one module breaks first: contracts, interfaces, messages. Under 90 seconds on 2 cores.
quick: $(READY)
	$(PYTEST) -m "not slow" $(QUICK)

# Lint, types, and every behaviour once. To stay under 8 minutes on 2 cores; 9 measured on slow ones.
test: $(READY) lint
	$(PYTEST) -m "not slow"

# Also what is marked slow: kills at many moments, every fuser compiled, whole demonstrations. More than 30 minutes.
test-all: test
	$(PYTEST) -m slow

# Public names, signatures and options, after a change that CHANGELOG.md names.
snapshot: $(READY)
	$(BIN)/python tests/test_public.py --update

lint: $(READY)
	$(BIN)/ruff check affectgpt tests examples benchmarks
	$(BIN)/ruff format --check affectgpt tests examples benchmarks
	$(BIN)/mypy --num-workers 2

# Makes the bundled tokenizer and model again, from nothing.
tiny: $(READY)
	$(BIN)/python -m affectgpt.demo.make tokenizer
	$(BIN)/python -m affectgpt.demo.make model

# What `check` knows of the decoders of transformers, made again from the installed version.
facts: $(READY)
	$(BIN)/python -m affectgpt.plugins.llms.make_decoder_facts

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

# Wheel and source distribution: built, checked, and the wheel tried in an empty environment, without test extras.
package: $(READY)
	PYTHON=$(BIN)/python CONSTRAINTS=constraints.txt .ci/package $(CLIP)

release-check: docs docs-test notebooks package

clean:
	rm -rf $(VENV) build dist *.egg-info
