# setup   a virtual environment in .venv with this package and its test tools
# test    what CI runs: the Debian packages that the tests start, lint, format, types, tests
# run     the collector, fed with a recording: nothing else is needed
# bench   measures the collector beside what it replaces
# docs    makes the generated tables of the documentation, dashboards, man pages and completions anew
# install all of it for this machine: program, systemd units, man pages, completions
# format  puts the source into form
# clean   removes what the other targets made

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-for
PYTEST_ARGS ?=
export PATH := $(or $(PATH),/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

# An environment belongs to the directory in which it was made, and to a Python that is still there.
ifneq ($(CURDIR),$(shell test -x $(BIN)/python && $(BIN)/python -c '' 2>/dev/null && cat $(STAMP) 2>/dev/null))
$(STAMP): remake
endif

.PHONY: setup test run bench docs format clean packages remake
.NOTPARALLEL:

setup: $(STAMP)

$(STAMP): pyproject.toml
	@tools/setup-system run
	@rm -rf $(VENV)
	"$$(tools/setup-system python)" -m venv $(VENV)
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --editable '.[test]'
	@printf '%s\n' '$(CURDIR)' >$(STAMP)

packages:
	@tools/setup-system test

test: packages setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/python -m pytest $(PYTEST_ARGS)

run: setup
	$(BIN)/sflow-gmetrics serve --demo

bench: setup
	$(BIN)/python -m tests.bench

docs: setup
	$(BIN)/python -m tests.test_docs --update
	$(BIN)/python -m exporters.mixin exporters/mixin

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- a machine's own installation

PREFIX ?= /usr/local
UNITS ?= /etc/systemd/system
INSTALL_FILE := install -D -m 644

.PHONY: install install-files

# venv leaves links as they are: those of an earlier installation may lead to another Python
install: install-files
	umask 022; python=$$(tools/setup-system service-python) && \
	  rm -f $(PREFIX)/lib/sflow-gmetrics/bin/python* && "$$python" -m venv $(PREFIX)/lib/sflow-gmetrics
	umask 022; $(PREFIX)/lib/sflow-gmetrics/bin/python -m pip --disable-pip-version-check install --quiet --upgrade .
	mkdir -p $(PREFIX)/bin
	ln -sf ../lib/sflow-gmetrics/bin/sflow-gmetrics $(PREFIX)/bin/sflow-gmetrics

install-files:
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' deploy/sflow-gmetrics.service | \
	  $(INSTALL_FILE) /dev/stdin $(DESTDIR)$(UNITS)/sflow-gmetrics.service
	for one in deploy/*.socket; do $(INSTALL_FILE) $$one $(DESTDIR)$(UNITS)/$${one##*/} || exit 1; done
	$(INSTALL_FILE) deploy/sflow-gmetrics.sysusers $(DESTDIR)/etc/sysusers.d/sflow-gmetrics.conf
	test -e $(DESTDIR)/etc/sflow-gmetrics.toml || \
	  $(INSTALL_FILE) deploy/sflow-gmetrics.toml $(DESTDIR)/etc/sflow-gmetrics.toml
	$(INSTALL_FILE) man/sflow-gmetrics.1 $(DESTDIR)$(PREFIX)/share/man/man1/sflow-gmetrics.1
	$(INSTALL_FILE) man/sflow-gmetrics.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/sflow-gmetrics.toml.5
	$(INSTALL_FILE) completions/sflow-gmetrics.bash \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sflow-gmetrics
	$(INSTALL_FILE) completions/_sflow-gmetrics $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sflow-gmetrics
	$(INSTALL_FILE) completions/sflow-gmetrics.fish \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sflow-gmetrics.fish
