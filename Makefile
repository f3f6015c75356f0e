# The commands of the project; `make help` lists them. Each makes what it needs first.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
LOCKS := compose/requirements
READY := .venv/complete

.DEFAULT_GOAL := help
.PHONY: help venv tools up down ps test lint bench main-job build lock

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## Make .venv with the locked packages and the `outrider` command.

$(READY): $(LOCKS)/dev.lock $(LOCKS)/build.lock pyproject.toml
	@compose/make-venv "$(PYTHON)" .venv
	@touch $@

tools: $(READY) ## Unpack Prometheus and Alertmanager into .outrider/tools, unless they are there.
	@$(BIN)/outrider tools fetch >/dev/null

up: tools ## Run a watched cluster on this machine. Options: make up ARGS="--servers 5"
	@$(BIN)/outrider up $(ARGS)

down: $(READY) ## Stop it.
	@$(BIN)/outrider down $(ARGS)

ps: $(READY) ## List its processes.
	@$(BIN)/outrider ps $(ARGS)

test: tools ## Run every test. One part: make test ARGS=tests/compose
	@$(BIN)/pytest -m "not bench" $(ARGS)

lint: $(READY) ## Check style, types and who imports whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

main-job: tools ## Run the end-to-end proof alone: faults in, notifications out, with the seconds of each step.
	@$(BIN)/pytest -s -m main_job $(ARGS)

bench: tools ## Print measurements. One of them: make bench ONLY=failover
	@$(BIN)/pytest -s -m bench tests/bench $(if $(ONLY),-k "$(ONLY)") $(ARGS)

build: $(READY) ## Write compose/generated from compose/outrider.yaml.
	@$(BIN)/outrider build -f compose/outrider.yaml -o compose/generated

lock: $(READY) ## Choose the newest allowed versions anew and write the locks.
	@compose/make-locks $(BIN) $(LOCKS)
