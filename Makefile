# What a newcomer and CI type. The work is done in scripts/; nothing here needs more than make and sh.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench clean setup-demo

PYTHON ?=
ARGS ?=
BENCH ?= all

RUN_SETUP = py=$$(sh scripts/find-python.sh "$(PYTHON)") && "$$py" -m scripts.setup --python "$(PYTHON)"

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  variables: PYTHON=/usr/bin/python3.12 (for .venv)  ARGS=--exit (demo; or test options)  BENCH=refcrm"

setup: ## set up .venv and .tools, and nothing else
	@$(RUN_SETUP)

setup-demo:
	@$(RUN_SETUP) --for demo

demo: setup-demo ## set up what is missing, then rehearse a CRM launch (ARGS=--exit: end with its verdict)
	@.venv/bin/crmops demo $(ARGS)

test: setup ## the whole test suite, real servers included (ARGS="tests/kernel -k judge")
	@sh scripts/test.sh $(ARGS)

check: setup ## format, lint, types, import contracts, YAML, Ansible, Prometheus rules, spelling
	@sh scripts/check.sh

bench: setup ## run bench/BENCH.py, or all of them
	@sh scripts/bench.sh "$(BENCH)" $(ARGS)

clean: ## remove .venv, .tools, caches and builds; .crmops (your evidence) stays
	@sh scripts/clean.sh
