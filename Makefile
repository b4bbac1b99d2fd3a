# habeas: what a fresh machine needs is Python >= 3.11 and make. PostgreSQL (and MariaDB) for the tests: see .ci/run.
#
#   make demo     a small invented company, a person's request answered from end to end   (< 60 s cold, < 10 s again)
#   make test     everything: style, types, import contracts, units, properties, real servers, kills
#   make lint     ruff, mypy, import contracts only
#   make bench    the claims of docs/benchmarks.md, each beside its reference (15 min); bench-quick: small sizes (2 min)
#   make prove    N random companies from SEED on against an oracle: the machine that tries to prove habeas wrong
#   make prove-receipts  N tampered receipts and chains against both verifiers: all are refused
#   make prove-faults  the prover is proven: faults planted in habeas one at a time, each of which it must find
#   make crash    kill -9 at every boundary × action × own database × engine; EVERY=9 every ninth, SECONDS=600 at most;
#                 N=1000: so many random kills of workers, web and database servers, links, a stopped worker, a full disk
#   make fuzz     every route of the OpenAPI document with generated cases, new seeds for SECONDS=600 or until one finds something
#   make reference  writes docs/reference/api.md from the OpenAPI document
#   make bench-X  one claim, X = the name of a file in bench/
#
# Time that each part of `make test` may take on 2 cores (the whole: 15 minutes when the product is complete):
#   tests/quality 90 s · core, dataset, policy, plan, masking, spool, deliver 90 s · store, durable 90 s
#   connectors 120 s · api, cli, demo 120 s · requests, execute, cases 180 s · kills and take-over 210 s
# `make test T=tests/plan` runs one part; WORKERS=0 runs in this process.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One more than cores: tests wait for processes and disks a third of their time.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
T ?= tests
# Where there is room in memory, the tests' files lie there: a kill leaves what was written, on any file system, and
# the disk's fsyncs are half of the time.
ROOMY := $(shell [ -w /dev/shm ] && [ "$$(df -k --output=avail /dev/shm | tail -n 1)" -gt 4000000 ] && echo /dev/shm)

.DEFAULT_GOAL := help
.PHONY: help demo reference fuzz crash prove prove-receipts test lint format clean bench bench-quick

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "habeas needs Python 3.11 or newer; say which: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run | $(BIN)/python
	@echo "adding what the tests need …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/habeas demo

test: $(VENV)/.test
	$(if $(ROOMY),TMPDIR=$(ROOMY)) $(BIN)/pytest -n $(WORKERS) --dist worksteal $(T)

lint: $(VENV)/.test
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

bench: $(VENV)/.test
	$(BIN)/python bench/start.py
	$(BIN)/python bench/lone.py --rounds 200
	$(BIN)/python bench/access.py --rows 100000 --rows 1000000
	$(BIN)/python bench/erasure.py
	$(BIN)/python bench/erasure.py --rows 1000000
	$(BIN)/python bench/erasure.py --strategy hmac
	$(BIN)/python bench/cohort.py

bench-quick: $(VENV)/.test
	$(BIN)/python bench/start.py
	$(BIN)/python bench/lone.py --rounds 30
	$(BIN)/python bench/access.py --rounds 3
	$(BIN)/python bench/erasure.py --rounds 3
	$(BIN)/python bench/cohort.py --people 2000

reference: $(VENV)/.test
	WRITE_REFERENCE=1 $(BIN)/pytest -q tests/contract/test_reference.py

fuzz: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python tests/fuzzbook.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

prove: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m truth --n $(or $(N),100) --seed $(or $(SEED),1) --shrink 3

crash: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python $(if $(N),tests/killbook.py --kills $(N) $(if $(SEED),--seed $(SEED)),tests/crashbook.py --every $(or $(EVERY),1)) --seconds $(or $(SECONDS),1e9)

prove-receipts: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python tests/receiptbook.py --n $(or $(N),100000) --seed $(or $(SEED),1)

prove-faults: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m truth.faults --seconds $(or $(SECONDS),600)

bench-%: $(VENV)/.test bench/%.py
	$(BIN)/python bench/$*.py

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
