# The commands of this project. Each sets up what it needs; all a machine must have is Python 3.11+, venv and make.
PYTHON ?= python3
PYTEST_ARGS ?=
# How many tests run at once, twice the cores of a small machine, since many wait for servers; 0 for one after another.
TESTS_AT_ONCE ?= 4
ARGS ?=
# How often property tests try their law, in runs that are meant to be short; tests/conftest.py has the numbers.
FEW_EXAMPLES = --hypothesis-profile=few

.PHONY: demo docs picture test test-all lint install test-lowest test-python coverage bench soak fuzz clean lock templates schemas

# An export of sample events in ./demo; run it again after changing demo/dovecot.conf.
demo: .venv/bin/dovebeam
	.venv/bin/dovebeam demo demo

# For daily use: the package as it is in this tree, in an environment of its own.
.venv/bin/dovebeam: pyproject.toml $(wildcard transforms/*.py transforms/*/*.py transforms/*/*/*.py pipelines/*.py pipelines/*/*.py pipelines/samples/*.*)
	rm -rf build
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet .
	touch $@

# The documentation's site in .build/docs; a warning is an error.
docs: .venv/bin/dovebeam
	rm -rf build
	.venv/bin/python -m pip install --quiet '.[docs]'
	.venv/bin/sphinx-build --fail-on-warning --keep-going --nitpicky --fresh-env --quiet docs .build/docs
	@echo "The site is in .build/docs/index.html"

# The picture in README.md, drawn from a real run; a test notices when it is stale.
picture: .venv/bin/dovebeam
	.venv/bin/python -P docs/sitetools/picture.py

# The metadata of the Flex Templates, and the lock file of their image (`make lock ARGS=--upgrade` for newer versions).
templates: .venv/bin/dovebeam
	.venv/bin/python templates/metadata.py

# The JSON Schemas in docs/reference/schemas.
schemas: .venv/bin/dovebeam
	.venv/bin/python docs/sitetools/json_schemas.py

lock:
	PYTHON="$(PYTHON)" ./templates/lock $(ARGS)

# COVERAGE=yes measures lines and branches, of all processes, but for tests with the mark `alone`.
PYTEST = .build/venv/bin/python -m $(if $(COVERAGE),coverage run -m )pytest

# Tests, in an environment of their own, against the wheel: what most changes need to know. Files and folders in the
# table of tests/support/spread.py are left to `make test-all`, which also tries laws with more examples.
test: lint
	@echo "== 4 tests of the core, of drivers, and runs of each command; the others run with make test-all"
	$(PYTEST) -n $(TESTS_AT_ONCE) -m "not slow and not alone" $(FEW_EXAMPLES) $(PYTEST_ARGS)

# All tests. Those that need the machine to themselves run after the others, and also if one of those has failed.
test-all: lint
	@echo "== 4 all tests"
	$(PYTEST) -n $(TESTS_AT_ONCE) -m "not alone" $(PYTEST_ARGS); \
	together=$$?; \
	echo "== 5 tests that need the machine to themselves"; \
	.build/venv/bin/python -m pytest -m alone $(PYTEST_ARGS); \
	alone=$$?; \
	[ $$together -eq 0 ] && [ $$alone -eq 0 ]

# What tests with COVERAGE=yes have measured since the last report. A process that was killed while it saved has left a
# broken file, which is named and passed over.
coverage:
	.build/venv/bin/coverage combine --quiet
	.build/venv/bin/coverage report; enough=$$?; rm -rf .build/coverage; exit $$enough

# Lint and types.
lint: install
	@echo "== 2 ruff"
	.build/venv/bin/ruff check .
	.build/venv/bin/ruff format --check .
	@echo "== 3 mypy"
	.build/venv/bin/mypy --strict -p dovebeam.transforms -p dovebeam.pipelines

# What tests import of the environment is compiled beforehand by all cores; this is what they do not import.
NOT_COMPILED = /tests?/|_test[.]py|/(mypy|mypyc|pip|setuptools|pkg_resources|pygments|babel|snowballstemmer)/

# The wheel of this tree in the environment of the tests, which is made anew when pyproject.toml or Python has changed.
install:
	@echo "== 1 environment in .build/venv; a minute or two when it is made anew"
	@[ -e $(ENVIRONMENT) ] || { set -ex; rm -rf .build/venv; $(PYTHON) -m venv .build/venv; \
	    .build/venv/bin/python -m pip install --quiet --upgrade pip; \
	    .build/venv/bin/python -m pip install --quiet --no-compile '.[test]'; \
	    .build/venv/bin/python -m compileall -q -j 0 -x '$(NOT_COMPILED)' .build/venv/lib >/dev/null || :; touch $(ENVIRONMENT); }
	rm -rf build .build/dist
	.build/venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir .build/dist .
	.build/venv/bin/python -m pip install --quiet --no-deps --force-reinstall .build/dist/dovebeam-*.whl

# The name of this file holds what the environment was made from.
MADE_FROM := $(shell { cat pyproject.toml; $(PYTHON) -VV; } | cksum | cut -d' ' -f1)
ENVIRONMENT = .build/venv/made-from-$(MADE_FROM)

# What of the tests is the core, for the two targets below.
CORE ?= tests/codecs tests/config tests/drivers tests/events tests/filters tests/formats tests/sources

.build/uv/bin/uv:
	$(PYTHON) -m venv .build/uv
	.build/uv/bin/python -m pip install --quiet uv

# The core on the lowest versions of its dependencies that pyproject.toml allows; `make test-all` runs a part of it.
test-lowest: .build/uv/bin/uv
	.build/uv/bin/uv pip compile --quiet --python "$(PYTHON)" --resolution lowest-direct --extra collect --extra gcp --output-file .build/lowest.txt pyproject.toml
	.build/uv/bin/uv venv --quiet --clear --python "$(PYTHON)" .build/lowest
	.build/uv/bin/uv pip install --quiet --python .build/lowest/bin/python -r .build/lowest.txt pytest hypothesis gcp-storage-emulator .
	.build/lowest/bin/python -m pytest -q -W default $(CORE) tests/test_transforms.py tests/test_corpus_export.py

# The core with another Python, on the newest versions of its dependencies: make test-python PYTHON=python3.13
test-python: .build/uv/bin/uv
	folder=.build/python-$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
	.build/uv/bin/uv venv --quiet --clear --python "$(PYTHON)" $$folder && \
	.build/uv/bin/uv pip install --quiet --python $$folder/bin/python '.[collect,gcp]' pytest hypothesis gcp-storage-emulator && \
	$$folder/bin/python -m pytest -q -W default $(FEW_EXAMPLES) $(PYTEST_ARGS) $(CORE) tests/test_transforms.py

# Everything beside its rivals, after `make test`; an hour, on a machine that does nothing else.
bench:
	.build/venv/bin/python -m pip install --quiet aiohttp
	.build/venv/bin/python tests/bench/core.py
	.build/venv/bin/python tests/bench/export.py
	.build/venv/bin/python tests/bench/http_post.py
	.build/venv/bin/python tests/bench/scale.py

# How close an export comes to what a slow target allows, its memory over a gibibyte at 1 MB/s, and how late a stream
# is; half an hour.
soak:
	.build/venv/bin/python tests/bench/soak.py latency
	.build/venv/bin/python tests/bench/soak.py memory
	.build/venv/bin/python tests/bench/soak.py stream

# A million random and mutated inputs to every parser; CI runs a shorter time of the same.
fuzz:
	.build/venv/bin/python tests/fuzz/parsers.py --inputs 1000000

clean:
	rm -rf .build build dist *.egg-info
