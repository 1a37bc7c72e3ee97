# Foretide. `make help` lists what there is; every target does its own set-up.
#
# Wanted on the machine: Python 3.11 or newer (with venv), Go 1.26.7 or newer, a C compiler, git.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# What Python has compiled once it need not compile at each start: that would take most of the time.
unexport PYTHONDONTWRITEBYTECODE
PY := .venv/bin/python
STAMP := .venv/.complete
# On all cores; the tests of a file stay together, as they share what is slow to set up.
SIDE_BY_SIDE := -n auto --dist loadscope

.PHONY: help setup binaries test-binaries demo demo-down check format test test-unit test-sandbox test-e2e \
	coverage crds bench-reconcile bench-databaseadvisors bench-scaling bench-forecast bench-store bench-profiling bench-dbadvisor sandbox-up sandbox-down sandbox-status clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 20

setup: $(STAMP) ## create the environment in .venv

.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Foretide needs Python 3.11 or newer: install it, or name it with PYTHON=..." >&2; exit 1; }
	@echo "== installing uv $(UV_VERSION)"
	@$(PYTHON) -m venv .uv || { echo "Python's venv is missing: install the package python3-venv" >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): pyproject.toml uv.lock $(filter .uv/bin/uv,$(UV))
	@echo "== creating the environment in .venv"
	@$(UV) sync --locked --all-extras --quiet --python "$(PYTHON)"
	@touch $@

binaries: $(STAMP) ## find or build etcd, Kubernetes, KWOK and Prometheus (about 12 min the first time)
	@$(PY) -m sandbox binaries $(if $(NODE),--node)

# Root's tests run a real node, too.
test-binaries: $(STAMP)
	@$(PY) -m sandbox binaries $(if $(filter 0,$(shell id -u)),--node)

demo: binaries ## the main job on real traffic: TRACE=file.csv COLUMN=name, KEEP=1 to leave it up
	@$(PY) -m sandbox.demo $(if $(TRACE),--trace "$(TRACE)") $(if $(COLUMN),--column "$(COLUMN)") \
		$(if $(TIME_COLUMN),--time-column "$(TIME_COLUMN)") \
		$(if $(TIME_ZONE),--time-zone "$(TIME_ZONE)") $(if $(KEEP),--keep)

demo-down: $(STAMP) ## end a demo that KEEP=1 has left up
	@$(PY) -m sandbox.demo --down

check: $(STAMP) ## format, lint, types, import contract, generated files
	@$(PY) -m pre_commit run --all-files --show-diff-on-failure

format: $(STAMP) ## format the code and mend what can be mended
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format .

# Tests in the sandbox share its clock, and so run one after the other.
test: test-binaries ## all tests, with coverage (about 25 min on 2 cores once the binaries are there)
	@rm -f .coverage .coverage.*
	@failed=0; \
	$(PY) -m pytest $(SIDE_BY_SIDE) -m "not sandbox" --cov --cov-report= --durations=15 || failed=1; \
	$(PY) -m pytest -m sandbox --cov --cov-append --cov-report=term:skip-covered --durations=15 || failed=1; \
	exit $$failed

# Those in tests/e2e all need the sandbox: to import them takes time, too.
test-unit: $(STAMP) ## fast tests: no cluster, no database, no network (a minute on 2 cores)
	@$(PY) -m pytest $(SIDE_BY_SIDE) -m "not sandbox and not slow and not postgres and not redis" --ignore tests/e2e

test-sandbox: test-binaries ## tests of the sandbox itself
	@$(PY) -m pytest tests/sandbox

test-e2e: test-binaries ## end to end against a real kube-apiserver and a real Prometheus
	@$(PY) -m pytest tests/e2e

coverage: $(STAMP) ## tests without a cluster, with coverage in htmlcov/
	@$(PY) -m pytest $(SIDE_BY_SIDE) -m "not sandbox" --cov --cov-report=term-missing --cov-report=html

crds: $(STAMP) ## generate crds/ from the models
	@for kinds in predictivescalers profilers databaseadvisors; do .venv/bin/foretide crds $$kinds > crds/$$kinds.yaml; done

bench-reconcile: binaries ## cost of the operator with 100 PredictiveScalers, or SCALERS=500
	@$(PY) benchmarks/reconcile.py --scalers $(or $(SCALERS),100) --json out/reconcile.json

bench-databaseadvisors: binaries ## cost of the operator with 50 DatabaseAdvisors, or ADVISORS=100
	@$(PY) benchmarks/databaseadvisors.py --advisors $(or $(ADVISORS),50) --json out/databaseadvisors.json

bench-scaling: $(STAMP) ## Foretide against other autoscalers on real demand (20 min)
	@$(PY) benchmarks/scaling.py --json out/scaling.json --picture out/scaling.png

bench-forecast: $(STAMP) ## forecasts, model by model, walk-forward (20 min)
	@$(PY) benchmarks/forecast.py --json out/forecast.json

bench-store: $(STAMP) ## size and speed of the store
	@$(PY) benchmarks/store.py --json out/store.json

bench-profiling: $(STAMP) ## cost and accuracy of profiling on known programs (25 min; as root, all of it)
	@$(PY) benchmarks/profiling.py --json out/profiling.json

bench-dbadvisor: $(STAMP) ## database advice: indexes for TPC-H and TPC-DS against other ways, N+1, caching; FULL=1: measure the peers again, and keep that
	@$(PY) benchmarks/dbadvisor.py --json out/dbadvisor.json $(if $(FULL),--full)

sandbox-up: binaries ## start a sandbox that stays; NODE=1: with a real node (as root)
	@$(PY) -m sandbox up $(if $(NODE),--node)

sandbox-down: $(STAMP) ## stop it
	@$(PY) -m sandbox down

sandbox-status: $(STAMP) ## what runs
	@$(PY) -m sandbox status

clean: ## remove what the targets above have made in this folder
	rm -rf .venv .uv out htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
