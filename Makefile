# make demo: the main job on embedded data; make test: all checks of the code's behaviour; make check: style and types.
# make install EXTRAS=vision,hf,export: with optional packages; constraints.txt keeps torch as it is.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
EXTRAS ?=
INSTALLED := $(VENV)/.installed$(EXTRAS:%=-%)

.PHONY: install install-dev demo test check docs wheel clean

install: $(INSTALLED)

install-dev: $(VENV)/.installed-dev

demo: install
	$(VENV)/bin/preceptor demo --out runs/demo

test: install-dev
	$(VENV)/bin/python -m pytest

check: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

docs: install-dev
	$(PIP) install -c constraints.txt -e '.[docs]'
	$(VENV)/bin/mkdocs build --strict

wheel:
	.ci/wheel

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.$(EXTRAS:%=[%])'
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed
