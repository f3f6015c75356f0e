# The commands of the project; `make help` lists them. Each makes what it needs first.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
LOCKS := compose/requirements
RUNS := .venv/runs
TESTS := .venv/tests

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv tools up down ps test lint bench main-job build lock

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(TESTS) ## Make .venv with everything that is needed to run and to test.

# Two stages: to run a cluster, a newcomer need not wait for the linters.
$(RUNS): $(LOCKS)/agent.lock $(LOCKS)/build.lock pyproject.toml
	@compose/make-venv "$(PYTHON)" .venv agent
	@touch $@

$(TESTS): $(LOCKS)/dev.lock $(LOCKS)/build.lock pyproject.toml
	@compose/make-venv "$(PYTHON)" .venv dev
	@touch $(RUNS) $@

tools: $(RUNS) ## Unpack Prometheus and Alertmanager into .outrider/tools, unless they are there.
	@$(BIN)/outrider tools fetch >/dev/null

up: tools ## Run a watched cluster on this machine. Options: make up ARGS="--servers 5"
	@$(BIN)/outrider up $(ARGS)

down: $(RUNS) ## Stop it.
	@$(BIN)/outrider down $(ARGS)

ps: $(RUNS) ## List its processes.
	@$(BIN)/outrider ps $(ARGS)

test: $(TESTS) tools ## Run every test. One part: make test ARGS=tests/compose
	@$(BIN)/pytest -m "not bench" $(ARGS)

lint: $(TESTS) ## Check style, types and who imports whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

main-job: $(TESTS) tools ## Run the end-to-end proof alone: faults in, notifications out, with the seconds of each step.
	@$(BIN)/pytest -s -m main_job $(ARGS)

bench: $(TESTS) tools ## Print measurements. One of them: make bench ONLY=failover
	@$(BIN)/pytest -s -m bench tests/bench $(if $(ONLY),-k "$(ONLY)") $(ARGS)

build: $(RUNS) ## Write compose/generated from compose/outrider.yaml.
	@$(BIN)/outrider build -f compose/outrider.yaml -o compose/generated

lock: $(TESTS) ## Choose the newest allowed versions anew and write the locks.
	@compose/make-locks $(BIN) $(LOCKS)
