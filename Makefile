# Two commands: `make run` runs the whole pipeline on this machine, `make test` passes the tests.
# Each makes its own environment in .venv first; torch's CPU build is taken where there is no NVIDIA GPU.

# torch is installed beside all else. Python keeps what it compiles, also where an image forbids that: uv compiles nothing,
# and each process of a run would do it again.
MAKEFLAGS += --jobs=2
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
UV := uv==0.13.9
CPU_INDEX := https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKS := containers/locks
INSTALL := $(BIN)/python $(LOCKS)/install.py
TESTS := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
EVERYWHERE := "not docker and not spark and not families and not account and not rehearsal and not gpu"

.PHONY: run test test-slow account-test gpu-test faults fast coverage constraints locks audit clean

run: $(VENV)/.installed-local
	$(BIN)/python pipeline.py start --local --wait

test: $(VENV)/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(TESTS) -m $(EVERYWHERE)

test-slow: $(VENV)/.installed-test  ## Docker (where an engine can be started), Spark, every family, the rehearsals
	$(BIN)/python -m pytest -m "docker or spark or families or rehearsal"

account-test: $(VENV)/.installed-test  ## the quickstart in your AWS account, for cents: tests/account/README.md
	$(BIN)/python -m pytest -m account -s -rs tests/account/test_account.py

gpu-test: $(VENV)/.installed-test  ## exactness, speed and memory on this machine's GPU, 8 minutes: tests/gpu/README.md
	$(BIN)/python -m pytest -m gpu -s -rs tests/gpu/test_gpu.py

faults: $(VENV)/.installed-test  ## kills, full disks, damaged files: at most 40 minutes; `make faults FAULTS="--seed 7 --only kills"`
	$(BIN)/python -m tests.faults --write $(FAULTS)

fast: $(VENV)/.installed-test  ## the tests that start no training
	$(TESTS) -m "not slow and not account and not rehearsal and not gpu"

coverage: $(VENV)/.installed-test  ## what the tests of `make test` run, their processes included
	$(BIN)/python -m coverage erase
	$(TESTS) -m $(EVERYWHERE) --cov --cov-report=
	$(BIN)/python -m coverage report

constraints: $(VENV)/.installed-test
	{ head -2 containers/constraints.txt; \
	  $(BIN)/python -m pip freeze --all | grep -v -e '^pip==' -e '^-e' -e '@ file' -e '^torch==' -e '^sagemaker-dpo' -e '^uv=='; \
	  echo "$(TORCH)"; } > containers/constraints.new
	mv containers/constraints.new containers/constraints.txt

# Every package that an image or this machine's environment installs, with the hashes of its files. Resolved for Python 3.11, as the constraints are: a
# base whose Python needs one more package fails its build at pip's check of the hashes. The training image's base brings
# torch. uv reads no pip configuration: where the CPU build of torch lies is told to it.
TORCH_FILES := $(or $(PIP_FIND_LINKS),$(CPU_INDEX)/torch/)
LOCK_PYPI := $(BIN)/uv pip compile --quiet --no-annotate --generate-hashes --python-version 3.11 --no-config \
  --python-platform x86_64-manylinux_2_28 --constraints containers/constraints.txt --custom-compile-command "make locks"
LOCK := $(LOCK_PYPI) --find-links $(TORCH_FILES)

locks: $(VENV)/.installed-test
	$(PIP) '$(UV)'
	echo '$(UV)' | $(LOCK_PYPI) - --output-file $(LOCKS)/uv.lock
	$(LOCK) pyproject.toml --extra local --no-emit-package torch --output-file $(LOCKS)/local.lock
	$(LOCK) pyproject.toml --extra local --extra spark --extra test --no-emit-package torch \
	  --output-file $(LOCKS)/test.lock
	echo '$(TORCH)' | $(LOCK_PYPI) - --output-file $(LOCKS)/torch-cuda.lock
	echo 'pip-audit==2.10.1' | $(LOCK_PYPI) - --output-file $(LOCKS)/audit.lock
	$(LOCK) containers/processing/requirements.txt --output-file containers/processing/requirements.lock
	sed -n '1,2p; /^torch==/,/[^\\]$$/p' containers/processing/requirements.lock >$(LOCKS)/torch-cpu.lock
	$(LOCK) containers/spark/requirements.txt --output-file containers/spark/requirements.lock
	$(LOCK) containers/training/requirements.txt --no-emit-package torch \
	  --output-file containers/training/requirements.lock

# Known faults of the locked packages, as PyPI lists them, or with `make audit AUDIT="--vulnerability-service osv"` as OSV
# does. One that is accepted stands in accepted.txt, with why and when.
audit: $(VENV)/.installed-audit
	@sed -n 's/^\([A-Z][A-Z]*-[A-Za-z0-9-]*\) .*/--ignore-vuln \1/p' $(LOCKS)/accepted.txt >$(VENV)/accepted
	@failed=; for lock in $(LOCKS)/*.lock containers/*/requirements.lock; do echo "$$lock"; \
	  sed 's/^torch==\([0-9.]*\)+cpu/torch==\1/' $$lock >$(VENV)/audited.txt; \
	  $(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement $(VENV)/audited.txt \
	    $$(cat $(VENV)/accepted) $(AUDIT) || failed=1; done; test -z "$$failed"

clean:
	rm -rf $(VENV) .local

$(VENV)/bin/python:
	@echo "making the environment in $(VENV), once: 2 GB of packages, minutes with a slow network; warnings of pip do no harm"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "Python 3.11 or 3.12 is needed; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The CPU build has a version of its own (+cpu): a local folder or mirror may offer it, PyTorch's own index always does.
# Its hash is that of Python 3.11 on Linux and x86_64; elsewhere it is installed by its version alone, and that is said.
$(VENV)/.installed-torch: $(LOCKS)/torch-cpu.lock $(LOCKS)/torch-cuda.lock | $(VENV)/.installed-uv
	@if command -v nvidia-smi >/dev/null && test "$$(uname -sm)" = "Linux x86_64"; then \
	  $(INSTALL) $(LOCKS)/torch-cuda.lock; \
	elif test "$$(uname -sm)" = "Linux x86_64" \
	  && $(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then \
	  $(INSTALL) $(LOCKS)/torch-cpu.lock --else-index $(CPU_INDEX); \
	elif command -v nvidia-smi >/dev/null; then \
	  echo "torch is installed without a check of its hash, which is known for Linux x86_64 alone"; $(PIP) '$(TORCH)'; \
	else echo "torch is installed without a check of its hash, which is known for Python 3.11 on Linux x86_64 alone"; \
	  $(PIP) --no-deps '$(TORCH)+cpu' 2>/dev/null || $(PIP) --no-deps --index-url $(CPU_INDEX) '$(TORCH)'; fi
	@touch $@

# uv installs in seconds what takes pip minutes (install.py, which tells where there is none and pip is asked).
$(VENV)/.installed-uv: $(LOCKS)/uv.lock | $(VENV)/bin/python
	@echo "installing uv, and with it the packages"
	@$(PIP) --require-hashes -r $< || true
	@touch $@

# What the locks name, then the project itself, whose build needs nothing but the locked setuptools. They were resolved
# for Linux on x86_64: another machine may need other packages, which are then pinned but not checked.
ifeq ($(shell uname -sm),Linux x86_64)
$(VENV)/.locked-%: $(LOCKS)/%.lock pyproject.toml | $(VENV)/.installed-uv
	@$(INSTALL) $< && $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
else
$(VENV)/.locked-%: pyproject.toml $(VENV)/.installed-torch
	@echo "no lock for this kind of machine: versions are pinned, hashes are not checked"
	@$(PIP) --constraint containers/constraints.txt --editable '.[$(EXTRAS_$*)]'
	@touch $@
endif
EXTRAS_local := local
EXTRAS_test := local,spark,test

$(VENV)/.installed-local: $(VENV)/.locked-local $(VENV)/.installed-torch
$(VENV)/.installed-test: $(VENV)/.locked-test $(VENV)/.installed-torch
$(VENV)/.installed-local $(VENV)/.installed-test:
	@touch $@

$(VENV)/.installed-audit: $(LOCKS)/audit.lock | $(VENV)/bin/python
	@$(BIN)/python -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
