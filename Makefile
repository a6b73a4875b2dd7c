# Everything runs in .venv, made on first use. `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: help demo recipes pictures docs test lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## install attar, fit the digits, and write demo/report.html
	@mkdir -p demo
	$(BIN)/attar fit digits -o demo/digits.attar --report demo/report.html

recipes: $(VENV)/.installed ## fit recipes that changed, and write docs/recipes.md and recipes.json
	$(BIN)/python docs/make_recipes.py $(ARGS)

pictures: $(VENV)/.docs ## make the pictures of guides, each by the program beside it
	$(BIN)/python docs/make_pictures.py

docs: $(VENV)/.docs ## build the pages in docs/_build/html, and check their links
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

test: $(VENV)/.dev ## run the tests on two workers
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(VENV)/.dev ## check style, types, and that imports go to lower floors only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## bring the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## compare with peers: make bench NAME=textbook ARGS="--json"
	$(BIN)/python -m benchmarks.$(NAME) $(ARGS)

clean: ## remove .venv, demo, built pages and caches
	rm -rf $(VENV) demo docs/_build docs/plots_of_attar docs/reference .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(INSTALL) --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(INSTALL) --editable ".[docs]"
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(INSTALL) --editable ".[bench]"
	@touch $@
