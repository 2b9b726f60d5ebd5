# prelabel: `make demo` shows it, `make test` checks it, `make help` lists the rest.
#
#   make demo DEMO_IMAGES=~/photos     the demo on images of your own
#   make test ARGS="tests/e2e -x"      a part of the tests
#   make test ARGS="-n 0 --pdb"        in one process, as --pdb and -s need it
#   make PYTHON=/opt/python3.12 test   with an interpreter that is not found by itself
#
# Environments are made once and again when pyproject.toml changes. Installing takes minutes, mostly PyTorch's
# download; its logs are in .build/.

SHELL := bash
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.PHONY: demo test install lint mutants bench clean help

LABEL_STUDIO := 1.23

# Stamps: an environment is ready when its stamp is newer than what it was made from.
PRELABEL := .venv/.prelabel
PRELABEL_DEV := .venv/.prelabel-dev
LABEL_STUDIO_VENV := .venv-labelstudio/.label-studio-$(LABEL_STUDIO)

demo: ## Start Label Studio and prelabel with images to look at; Ctrl-C stops both
	@$(MAKE) -sj2 $(PRELABEL) $(LABEL_STUDIO_VENV)
	@.venv/bin/prelabel demo --label-studio .venv-labelstudio/bin/label-studio

test: ## Run every test, those against a real Label Studio too
	@$(MAKE) -sj2 $(PRELABEL_DEV) $(LABEL_STUDIO_VENV)
	@.venv/bin/pytest -n auto --maxprocesses 4 $(ARGS)

install: $(PRELABEL) ## Make .venv with prelabel in it, and nothing else
	@echo "prelabel is installed: .venv/bin/prelabel --help"

lint: $(PRELABEL_DEV) ## Check style, formatting and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

mutants: $(PRELABEL_DEV) ## Change the code here and there, and show what no test notices
	@.venv/bin/python tests/mutants.py $(ARGS)

bench: $(PRELABEL_DEV) ## Run the benchmarks; those that need data of yours say how to run them
	@for benchmark in benchmarks/*.py; do \
	    echo "== $$benchmark"; .venv/bin/python "$$benchmark" || [ $$? = 2 ] || exit 1; \
	done

clean: ## Remove the demo's projects, caches and logs; the environments stay
	rm -rf .demo .build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find model backend tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

help: ## List the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

$(PRELABEL): pyproject.toml
	@.ci/install .venv "prelabel" --editable .
	@touch $@

$(PRELABEL_DEV): pyproject.toml
	@.ci/install .venv "prelabel and its test tools" --editable ".[dev]"
	@touch $(PRELABEL) $@

$(LABEL_STUDIO_VENV):
	@.ci/install .venv-labelstudio "Label Studio $(LABEL_STUDIO)" "label-studio~=$(LABEL_STUDIO).0"
	@touch $@
