# The commands of the project; `make help` lists them. Each makes what it needs first.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
LOCKS := compose/requirements
RUNS := .venv/runs
TESTS := .venv/tests
MINUTES := 60
SEEDS := 100
HAS_DOCKER := docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv tools up up-docker up-local down ps test unit integration lint sim raft-sim raft-sim-planted crash-points detection-sim hostile bench rules-test replay catalogue main-job drill churn dashboards-live dashboards-shots build lock

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

up: ## Run a watched cluster on this machine: in containers where Docker runs, else as local processes.
	@if $(HAS_DOCKER); then $(MAKE) --no-print-directory up-docker; else $(MAKE) --no-print-directory up-local; fi

up-docker: ## Run it in containers.
	@docker compose up --detach --build --wait
	@cat compose/after-up.txt

up-local: tools ## Run it as local processes. Options: make up-local ARGS="--servers 5"
	@$(BIN)/outrider up $(ARGS)

down: ## Stop it, whichever way it runs.
	@if [ -x $(BIN)/outrider ]; then $(BIN)/outrider down $(ARGS); fi
	@if $(HAS_DOCKER); then docker compose down; fi

ps: ## List its processes.
	@if [ -x $(BIN)/outrider ]; then $(BIN)/outrider ps $(ARGS); fi
	@if $(HAS_DOCKER); then docker compose ps; fi

test: lint ## Run the checks and every test. One part: make test ARGS=tests/compose
	@$(MAKE) --no-print-directory tools
	@$(BIN)/pytest -rs $(if $(ARGS),$(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)

unit: $(TESTS) tools ## Run the tests that start no agent.
	@$(BIN)/pytest -rs -m "not integration and not main_job and not compose" $(ARGS)

integration: $(TESTS) tools ## Run the tests with real agents, Prometheus and Alertmanager, without the main job.
	@$(BIN)/pytest -rs -m "integration and not main_job and not compose" $(ARGS)

lint: $(TESTS) ## Check style, types and who imports whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

dashboards-shots: $(TESTS) tools ## Take pictures of every dashboard, light, dark and on a phone. Of your own: make dashboards-shots ARGS="--prometheus URL"
	@$(BIN)/python -m tests.dashboards.shots $(ARGS)

rules-test: $(TESTS) tools ## Run every case of every alert, and every wrong form of every rule on the cases. Minutes.
	@$(BIN)/python -m tests.alert_rules.prove

replay: $(TESTS) tools ## Replay recorded faults of a real Nomad to a receiver. Others: make replay RECORDINGS=folder
	@$(BIN)/python -m tests.detection.replay $(RECORDINGS)

catalogue: $(TESTS) tools ## Compare the catalogue with scrapes, both ways: recorded, and of a live cluster. Minutes.
	@$(BIN)/python -m tests.telemetry.both_ways $(RECORDINGS) $(ARGS)

main-job: $(TESTS) tools ## Run the end-to-end proof alone: faults in, notifications out, with the seconds of each step.
	@$(BIN)/pytest -m main_job $(ARGS)

detection-sim: $(TESTS) tools ## Print how long detection takes for each simulated fault. Options: make detection-sim ARGS="--only paused --workers 2"
	@$(BIN)/python -m tests.detection.simulation $(ARGS)

crash-points: $(TESTS) ## Cut, tear and damage a server's log, vote and snapshot at every byte, and open what is left. Minutes.
	@$(BIN)/python -m tests.sim.crash_points $(ARGS)

sim: $(TESTS) ## Simulate groups of servers under faults, with clients whose histories are judged: make sim SEEDS=500
	@$(BIN)/python -m tests.sim.run --seeds $(SEEDS) $(ARGS)

raft-sim: sim

raft-sim-planted: $(TESTS) ## Plant bugs in the real code, one after the other, until a seed finds each. Minutes.
	@$(BIN)/python -m tests.sim.planted $(ARGS)

hostile: $(TESTS) ## Send 100,000 hostile inputs to every port of real agents, which must outlive them. Minutes.
	@$(BIN)/python -m tests.hostile.run $(ARGS)

bench: $(TESTS) tools ## Print measurements. One of them: make bench ONLY=failover
	@$(BIN)/python -m tests.bench.run $(ONLY)

drill: tools ## Make every fault on clusters of its own, and keep score. One of them: make drill ONLY=kill-leader
	@$(BIN)/outrider drill $(ONLY) $(ARGS)

churn: tools ## Change a healthy cluster for an hour, in which nothing may arrive. Shorter: make churn MINUTES=10
	@$(BIN)/outrider drill --churn $(MINUTES) $(ARGS)

dashboards-live: $(TESTS) tools ## Ask every query of the dashboards about the life of a cluster of ours. Of a real Nomad, too: make dashboards-live RECORDINGS=folder
	@$(BIN)/python -m tests.dashboards.live $(RECORDINGS) $(ARGS)

build: $(RUNS) ## Write compose/generated from compose/outrider.yaml.
	@$(BIN)/outrider build -f compose/outrider.yaml -o compose/generated

lock: $(TESTS) ## Choose the newest allowed versions anew and write the locks.
	@compose/make-locks $(BIN) $(LOCKS)
