# Everything here sets up what it needs by itself, in .venv.
PYTHON ?= python3
STAMP := .venv/.installed-$(shell cksum < requirements.lock | cut -d' ' -f1)

.PHONY: demo up test crash bench lint lock clean

demo: $(STAMP) ## Provision the example policy's user on this machine, then take everything down
	@.venv/bin/python local_stack.py demo $(if $(SPEED),--speed $(SPEED)) $(if $(DEFECT),--defect $(DEFECT))

up: $(STAMP) ## The same, and it stays until Ctrl-C
	@.venv/bin/python local_stack.py up $(if $(SPEED),--speed $(SPEED)) $(if $(DEFECT),--defect $(DEFECT))

test: $(STAMP) ## Run the tests
	.venv/bin/python -m pytest -q -n 2 --dist worksteal

crash: $(STAMP) ## The long run of the crash harness: every step killed, then SEEDS=1000 in JOBS=8 processes
	.venv/bin/python -m tests.crash --steps
	.venv/bin/python -m tests.crash --seeds $(or $(SEEDS),100) --first $(or $(FIRST),0) --jobs $(or $(JOBS),4)

bench: $(STAMP) requirements-bench.lock ## The benchmarks, two hours; the server of Restate comes from npm
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	.venv/bin/python -m benchmarks.engines
	.venv/bin/python -m benchmarks.fleet fleet-results.json
	.venv/bin/python -m benchmarks.fleet.plots fleet-results.json benchmarks/plots

lint: $(STAMP) ## Formatting, lint, types, import rules
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/pyright -p tests
	.venv/bin/lint-imports

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@rm -f .venv/.installed-* && touch $@

lock: ## Resolve pyproject.toml anew; needs uv
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --group dev -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url -c requirements.lock -o requirements-worker.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url -c requirements.lock --group bench -o requirements-bench.lock pyproject.toml

clean:
	rm -rf .venv .pytest_cache .ruff_cache
