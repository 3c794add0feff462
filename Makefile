# make book   build the site          make lab    open the notebooks in JupyterLab
# make test   test package and book   make clean  remove what was built
# make site-check   open every built page in Chromium and look for faults
# make lint   style and spelling      make types  type hints (needs Node.js)
# make mutants   change the code at 3,000 places, one at a time: does a test notice?
#
# Each makes .venv and installs what is missing first. Another Python: make book PYTHON=python3.12

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
INSTALLED := .venv/.installed
SITE := _build/html/index.html
PACKAGE := $(shell find tlcourse -name '*.py' -o -name '*.safetensors' -o -name '*.json')
BOOK := _config.yml _toc.yml $(shell find book -type f -not -path '*/.ipynb_checkpoints/*')

# One thread: in nets this small, more would mostly wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

.DELETE_ON_ERROR:
.PHONY: help book test lint types lab clean site-check mutants

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7

book: $(SITE)
	@echo
	@echo "The site is built. Open this file in a browser:"
	@echo "  $(CURDIR)/$(SITE)"

test: lint _build/.executed-with
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --nbval-lax \
	    --nbval-cell-timeout 600 tests tlcourse book

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && $(BIN)/codespell

types: $(INSTALLED)
	$(BIN)/pyright --pythonpath $(BIN)/python

lab: $(INSTALLED)
	$(BIN)/jupyter lab book

site-check: $(SITE)
	$(BIN)/python scripts/site_check.py _build/html

# The plugins that pytest would load for each mutant play no part in these tests.
mutants: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	rm -rf mutants
	$(ONE_THREAD) PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/mutmut run --max-children $(WORKERS)
	$(BIN)/python scripts/mutation_report.py

clean:
	rm -rf _build mutants

# --all: Sphinx warns of a page only when it reads it. Without, a failed build would pass when run again.
$(SITE): $(INSTALLED) _build/.executed-with $(BOOK)
	$(BIN)/python scripts/execute_book.py book --workers $(WORKERS)
	$(ONE_THREAD) TLCOURSE_EXPLORE=frames $(BIN)/jupyter-book build . --all -n -W --keep-going
	@touch $@

# Pages and executed notebooks, by `test` or `book`, are kept by their text only. So they go when the
# code changes; the notebooks' times, by which the next run is planned, stay.
_build/.executed-with: $(PACKAGE) requirements.txt _config.yml
	@mkdir -p _build
	@find _build -mindepth 1 -maxdepth 1 ! -name seconds.json -exec rm -rf {} +
	@touch $@

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13 (the pinned packages need one of them);" \
	        "name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
