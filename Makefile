# Two commands: `make run` runs the whole pipeline on this machine, `make test` passes the tests.
# Each makes its own environment in .venv first; torch's CPU build is taken where there is no NVIDIA GPU.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint containers/constraints.txt
TESTS := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
EVERYWHERE := "not docker and not spark and not families and not account and not rehearsal"

.PHONY: run test test-slow account-test faults fast coverage constraints locks clean

run: $(VENV)/.installed-local
	$(BIN)/python pipeline.py start --local --wait

test: $(VENV)/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(TESTS) -m $(EVERYWHERE)

test-slow: $(VENV)/.installed-test  ## Docker (where an engine can be started), Spark, every family, the account test's rehearsal
	$(BIN)/python -m pytest -m "docker or spark or families or rehearsal"

account-test: $(VENV)/.installed-test  ## the quickstart in your AWS account, for cents: tests/account/README.md
	$(BIN)/python -m pytest -m account -s -rs tests/account/test_account.py

faults: $(VENV)/.installed-test  ## kills, full disks, damaged files: at most 40 minutes; `make faults FAULTS="--seed 7 --only kills"`
	$(BIN)/python -m tests.faults --write $(FAULTS)

fast: $(VENV)/.installed-test  ## the tests that start no training
	$(TESTS) -m "not slow and not account and not rehearsal"

coverage: $(VENV)/.installed-test  ## what the tests of `make test` run, their processes included
	$(BIN)/python -m coverage erase
	$(TESTS) -m $(EVERYWHERE) --cov --cov-report=
	$(BIN)/python -m coverage report

constraints: $(VENV)/.installed-test
	{ head -2 containers/constraints.txt; \
	  $(BIN)/python -m pip freeze --all | grep -v -e '^pip==' -e '^-e' -e '@ file' -e '^torch==' -e '^sagemaker-dpo'; \
	  echo "$(TORCH)"; } > containers/constraints.new
	mv containers/constraints.new containers/constraints.txt

# Every package that an image installs, with the hashes of its files. Resolved for Python 3.11, as the constraints are: a
# base whose Python needs one more package fails its build at pip's check of the hashes. The training image's base brings
# torch. uv reads no pip configuration: where the CPU build of torch lies is told to it.
TORCH_FILES := $(or $(PIP_FIND_LINKS),$(CPU_INDEX)/torch/)
LOCK := $(BIN)/uv pip compile --quiet --no-annotate --generate-hashes --python-version 3.11 \
  --python-platform x86_64-manylinux_2_28 --constraints containers/constraints.txt --find-links $(TORCH_FILES) \
  --custom-compile-command "make locks"

locks: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(LOCK) containers/processing/requirements.txt --output-file containers/processing/requirements.lock
	$(LOCK) containers/spark/requirements.txt --output-file containers/spark/requirements.lock
	$(LOCK) containers/training/requirements.txt --no-emit-package torch \
	  --output-file containers/training/requirements.lock

clean:
	rm -rf $(VENV) .local

$(VENV)/bin/python:
	@echo "making the environment in $(VENV), once: 2 GB of packages, about five minutes; warnings of pip do no harm"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "Python 3.11 or 3.12 is needed; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The CPU build has a version of its own (+cpu): a local folder or mirror may offer it, PyTorch's own index always does.
$(VENV)/.installed-torch: | $(VENV)/bin/python
	@if command -v nvidia-smi >/dev/null; then $(INSTALL) '$(TORCH)'; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)+cpu' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --index-url $(CPU_INDEX) '$(TORCH)'; fi
	@touch $@

$(VENV)/.installed-local: pyproject.toml containers/constraints.txt | $(VENV)/.installed-torch
	@$(INSTALL) --editable '.[local]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml containers/constraints.txt | $(VENV)/.installed-torch
	@$(INSTALL) --editable '.[local,spark,test]'
	@touch $@
