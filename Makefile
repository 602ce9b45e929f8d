# `make` alone prints the targets. Everything runs from .venv, which `setup` makes and keeps.
.DEFAULT_GOAL := help
.PHONY: help setup kernels demo secrets up down status test check fmt bench faults schemas lock wheels clean
MAKEFLAGS += --no-print-directory
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

BIN := .venv/bin
MIGRATIONS = $(wildcard services/*/src/*/migrations/*.sql libs/servicekit/src/servicekit/migrations/*.sql)

# Tests end what they start, so testcontainers' helper that ends containers isn't needed.
IN_CONTAINERS = ONCOMENTOR_TEST_STACK=$(STACK) TESTCONTAINERS_RYUK_DISABLED=true

help: ## show these lines
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: ## make .venv from the locks (every other target does it by itself)
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
		if command -v $$python >/dev/null; then exec $$python requirements/bootstrap.py; fi; \
	done; \
	echo 'set-up: Python 3.11 or newer is needed and none is on PATH: install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python) and run this again.' >&2; \
	exit 1

kernels: setup ## compile the matching engine, if it was changed (demo, up, test do it by themselves)
	@$(BIN)/python -m matching_service.engine.warm

demo: kernels ## start the whole network and show one match through it (AGAINST=compose: the one in containers)
	@$(BIN)/oncomentor demo $(if $(AGAINST),--against $(AGAINST))

secrets: setup ## make what docker-compose.yml needs: secrets, ports, .env
	@$(BIN)/python -m devstack.containers

up: kernels ## start Kafka, PostgreSQL, identity, mail and the services, and leave them running
	@$(BIN)/oncomentor dev up

down: setup ## stop what `make up` started
	@$(BIN)/oncomentor dev down

status: setup ## say what runs, where, and how it is
	@$(BIN)/oncomentor dev status

test: setup ## run every test, on a real Kafka and a real PostgreSQL (STACK=containers: on Docker's)
	@$(BIN)/python -m matching_service.engine.warm rounds
	@$(if $(STACK),$(IN_CONTAINERS)) $(BIN)/python -m pytest -n 2 --dist loadfile
	@$(if $(STACK),$(BIN)/python -m pytest -p no:randomly -o timeout=900 tests/containers)

check: setup ## lint, types, import rules, SQL, containers, generated files: what needs no stack
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python contracts/tools/generate.py --check
	@$(BIN)/python libs/servicekit/tools/metrics_table.py --check
	@$(if $(MIGRATIONS),$(BIN)/squawk $(MIGRATIONS))
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@said=$$($(BIN)/compose-lint check --skip-suppressed --no-env --fail-on low docker-compose.yml 2>&1) || { echo "$$said"; exit 1; }

fmt: setup ## format, and repair what ruff can repair
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: setup ## measure what docs promise against bare limits (ONLY=prefix for a part)
	@$(BIN)/python tests/perf/run.py --only "$(ONLY)"

faults: kernels ## kill, cut and freeze things under load and judge what is left (SEED=1 CYCLES=20; CYCLE=k: that one again)
	@$(BIN)/python -m testkit.faults.campaign $(if $(SEED),--seed $(SEED)) $(if $(CYCLES),--cycles $(CYCLES)) $(if $(CYCLE),--cycle $(CYCLE))

schemas: setup ## regenerate schemas, samples and tables from the contracts, docs/metrics.md too
	@$(BIN)/python contracts/tools/generate.py
	@$(BIN)/python libs/servicekit/tools/metrics_table.py

lock: setup ## lock what the packages declare (UPGRADE=1: everything to its newest version)
	@$(BIN)/python requirements/lock.py $(if $(UPGRADE),--upgrade)
	@$(MAKE) setup

wheels: setup ## build each service alone and start it in a clean environment (build/wheels)
	@$(BIN)/python requirements/wheels.py

clean: ## remove what was made here: .venv, caches, build (.oncomentor holds data: `make down`, then yours)
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
