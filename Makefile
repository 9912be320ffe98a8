# The two ways in are `make demo` and `make test`; both set up everything that they need.
PYTHON ?= python3
BIN := .venv/bin
N ?= 3
# Test files that run side by side, each with a lab of its own: most of their time is waiting.
WORKERS ?= $(shell n=$$(nproc); [ $$n -lt 8 ] && echo $$((n + 1)) || echo 8)
# The slowest files first, so that none of them begins last.
LONG := tests/soak tests/e2e tests/exhaustive tests/lab tests/contract

.PHONY: setup docs check prepare test soak demo bench lab-up lab-down lock clean

# A virtual environment with exactly the locked packages; rebuilt only when the lock changes.
setup: .venv/.locked
.venv/.locked: requirements-dev.lock pyproject.toml
	tests/lab/bootstrap.sh $(PYTHON)
	touch $@

check: setup
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q -n 2 tests/unit

# All that tests download, before they begin; a second when it is there.
prepare: setup
	$(BIN)/python -m tests.lab prepare

# The first result of a test decides: nothing is repeated, and nothing is downloaded meanwhile.
test: check prepare .peers/ansible-core/.locked
	RELMAN_LAB_OFFLINE=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15 $(LONG)

# Kill 200 hosts at random moments, near and far; then kill relman, cut a host's cable, reboot a host: before every
# single change of a host, by a service and by a set of processes. It takes three hours. Before that, all of what
# `make test` tries a part of, such as the crash table; after it, fifty deployments under load, of which no request fails.
soak: prepare
	RELMAN_TEST_ALL=1 $(BIN)/python -m pytest -q -n $(WORKERS) tests/exhaustive tests/contract/test_foreign.py \
	  tests/e2e/test_self_release.py tests/soak/test_crash_table.py
	$(BIN)/python -m tests.soak
	$(BIN)/python -m tests.soak.traffic

demo: setup
	$(BIN)/python -m tests.demo

bench: setup .peers/ansible/.locked .peers/pyinfra/.locked
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.evidence

# What relman is measured beside, each in a virtual environment of its own with exactly the locked packages.
.peers/%/.locked: tests/bench/%.lock
	$(BIN)/python -m venv --clear .peers/$*
	.peers/$*/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

# ansible-core judges in tests how inventories are read.
.peers/ansible-core/.locked: tests/contract/ansible.lock
	$(BIN)/python -m venv --clear .peers/ansible-core
	.peers/ansible-core/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

lab-up: setup
	$(BIN)/python -m tests.lab up $(N)

lab-down: setup
	$(BIN)/python -m tests.lab down

# What of docs/reference/ is made: the page of commands, and the contents of each page.
docs: setup
	$(BIN)/python -m tests.unit.reference_pages

# Resolve the dependencies of pyproject.toml and the bench's peers anew, with hashes and without the index's address.
COMPILE := $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
  --allow-unsafe --no-header --strip-extras
lock: setup
	$(COMPILE) -o requirements.lock pyproject.toml
	$(COMPILE) --extra dev --extra library -c requirements.lock -o requirements-dev.lock pyproject.toml
	for peer in ansible pyinfra; do echo $$peer | $(COMPILE) -o tests/bench/$$peer.lock - || exit 1; done
	echo 'ansible-core==2.19.*' | $(COMPILE) -o tests/contract/ansible.lock -

clean:
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
