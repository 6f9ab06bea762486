# Bare `make` lists the targets. On a fresh Debian 12 with git, make and python3 nothing else needs
# doing first: whatever is missing is installed, once; what has been done is not done again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
BIN := .venv/bin
CM := $(BIN)/cm
STAMPS := build/stamps
READY := $(STAMPS)/venv
TEST_CLOUD := $(CURDIR)/build/test-cloud
PYTEST_ARGS ?=
HADOOP := build/hadoop-$(shell sed -n 's:.*<hadoop\.version>\(.*\)</.*:\1:p' tests/hadoop-dist/pom.xml).tar.gz

.PHONY: help demo test check lint types imports shellcheck docs notebooks dist bench faults live \
        hadoop-dist clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(READY) ## Start the cloud on this machine and make a Slurm cluster "demo" with 2 workers in it
	$(CM) cloud up
	eval "$$($(CM) cloud env)"
	echo 'echo "$$(hostname) greets $$(getent hosts master)" > /srv/greeting' \
	    | $(CM) cluster write demo worker
	if ! $(CM) cluster show demo >/dev/null 2>&1; then
	    $(CM) cluster create demo --product=slurm --workers=2
	fi
	$(CM) cluster test demo </dev/null
	$(CM) cluster test demo --role=worker cat /srv/greeting
	echo 'A job on every worker: srun --nodes=2 hostname'
	$(CM) cluster ssh demo -- sudo -iu cluster srun --nodes=2 hostname
	echo
	echo "Log in with:      $(CM) cluster ssh demo"
	echo "Or to a worker:   $(CM) cluster ssh demo worker1"
	echo "When done:        $(CM) cluster delete demo; $(CM) cloud down"

test: $(READY) ## Run all tests; as root on Linux with a cloud of their own on this machine
	$(MAKE) --no-print-directory hadoop-dist \
	    || echo "left out: tests of Hadoop, because its tarball cannot be assembled here"
	$(BIN)/pytest $(PYTEST_ARGS)

check: lint types imports shellcheck docs test dist ## Everything that must hold before a commit

lint: $(READY) ## Style and layout of the Python code (ruff)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Types of the package (mypy --strict)
	$(BIN)/mypy --strict

imports: $(READY) ## Which floor may import which (import-linter)
	$(BIN)/lint-imports

shellcheck: $(READY) ## Shell scripts; those of products are checked rendered, by a test
	find templates .ci -type f \( -name '*.sh' -o -path '.ci/*' \) -print0 | xargs -0 $(BIN)/shellcheck
	$(BIN)/shellcheck -x $(addprefix tests/hadoop-dist/,assemble bin/* libexec/*)

docs: $(READY) ## Build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

notebooks: $(READY) ## Run the notebooks of the docs and keep what they show (cm cloud up first)
	for one in docs/notebooks/*.ipynb; do $(BIN)/python docs/notebooks/run.py "$$one"; done

dist: $(READY) ## Build sdist and wheel, install the wheel in a fresh environment and run it
	rm -rf dist build/dist-venv
	$(BIN)/python -m build --no-isolation --outdir dist . >build/dist.log 2>&1 || { cat build/dist.log; exit 1; }
	$(PYTHON) -m venv build/dist-venv
	build/dist-venv/bin/pip install --quiet dist/*.whl
	cd build/dist-venv
	bin/cm --help >/dev/null
	bin/cm --version
	bin/cm cluster products
	ls -1 $(CURDIR)/dist

bench: $(STAMPS)/bench ## Measure what is promised about speed, beside others
	exec {lock}>build/bench.lock
	flock --nonblock $$lock || { echo "another make bench is at work here: their figures would mean nothing"; exit 1; }
	echo "processors: $$(nproc), load: $$(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || true)"
	failed=
	for one in benchmarks/*.py; do
	    echo "== $$one"
	    $(BIN)/python "$$one" || failed+=" $$one"
	done
	[ -z "$$failed" ] || { echo "not within what is wanted:$$failed"; exit 1; }

faults: $(READY) ## Break things while clusters are made: RUNS=200 SEED=1 FIRST=1 CLOUDS=2
	$(BIN)/python -m tests.faults --runs=$(or $(RUNS),200) --seed=$(or $(SEED),1) \
	    --first=$(or $(FIRST),1) --clouds=$(or $(CLOUDS),2)

live: $(READY) ## Run tests/live against the cloud that OS_CLOUD or OS_* name
	CM_LIVE=1 $(BIN)/pytest tests/live $(PYTEST_ARGS)

hadoop-dist: $(HADOOP).sha512 ## Assemble build/hadoop-VERSION.tar.gz for tests, from Maven Central

clean: ## Remove what was built, the environment too; the cloud in ~/.cloudmesh stays
	if [ -d $(TEST_CLOUD) ]; then CM_CLOUD_HOME=$(TEST_CLOUD) $(CM) cloud down --purge; fi
	rm -rf --one-file-system build dist docs/_build .venv *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(STAMPS)/system: .ci/packages $(wildcard cloudmesh_cluster/local/packages.py)
	mkdir -p $(STAMPS)
	PYTHON=$(PYTHON) .ci/packages
	touch $@

$(READY): setup.py pyproject.toml $(STAMPS)/system
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test,docs]'
	touch $@

$(STAMPS)/bench: $(READY)
	$(BIN)/pip install --quiet --editable '.[bench]'
	touch $@

# Maven, and the Java that it brings, are for the tarball alone.
$(STAMPS)/hadoop-dist: .ci/packages
	mkdir -p $(STAMPS)
	.ci/packages maven
	touch $@

$(HADOOP).sha512: $(STAMPS)/hadoop-dist $(shell find tests/hadoop-dist -type f)
	HOME=$$(getent passwd "$$(id -u)" | cut -d: -f6) tests/hadoop-dist/assemble

.ONESHELL:
.SILENT: demo
