# `make demo` opens the page, `make test` runs the tests; both set up .venv first and only when it is needed.
# Another interpreter: make demo PYTHON=python3.12

VENV := .venv
INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
# Each candidate is run, not just looked up: a version manager's stand-in may exist without its interpreter.
PYTHON ?= $(shell for candidate in python3 python3.12 python3.13 python3.11 python3.10 python; do \
	"$$candidate" -c '$(SUPPORTED)' >/dev/null 2>&1 && echo "$$candidate" && break; done)

.PHONY: help demo play test browser check docs eval gallery clean

help:
	@echo "make demo    install and open the page on http://127.0.0.1:7860"
	@echo "make play    install and open the lecture's ideas to play with, on http://127.0.0.1:7861"
	@echo "make test    install what the tests need, a browser too, and run every check and test"
	@echo "make eval    install what voiceconv evaluate measures with"
	@echo "make gallery MNIST=FOLDER EMOJI=FOLDER EMOJI_3D=FOLDER OPENMOJI=FOLDER EARTH=FOLDER SPEECH=FOLDER"
	@echo "             run the recipes of the lecture, and write docs/gallery"
	@echo "make docs    write the API reference to docs/api"
	@echo "make check   lint, formatting and types"
	@echo "make clean   remove .venv and caches"

demo: $(VENV)/.installed-demo
	$(VENV)/bin/python app.py

play: $(VENV)/.installed-play
	$(VENV)/bin/python -m recipes.play

test: browser check
	$(VENV)/bin/python -m pytest

# Before anything that takes long: finds the browser that the tests of the page drive, brings one, or says what to do.
browser: $(VENV)/.installed-test
	@$(VENV)/bin/python -m tests.browser

check: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/.installed-docs
	$(VENV)/bin/python docs/api.py docs/api

eval: $(VENV)/.installed-eval

gallery: $(VENV)/.installed-test
	$(VENV)/bin/python -m recipes.gallery $(if $(MNIST),--mnist "$(MNIST)") $(if $(EMOJI),--emoji "$(EMOJI)") \
		$(if $(EMOJI_3D),--emoji-3d "$(EMOJI_3D)") \
		$(if $(OPENMOJI),--openmoji "$(OPENMOJI)") $(if $(EARTH),--earth "$(EARTH)") $(if $(SPEECH),--speech "$(SPEECH)")

$(VENV)/bin/python:
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "voiceconv needs Python 3.10 to 3.13 with its venv module, but found: $$("$(or $(PYTHON),python3)" --version 2>&1 | head -n 1)." >&2; \
		echo "Install one (Debian and Ubuntu: apt install python3-venv), or name it: make demo PYTHON=python3.12" >&2; \
		exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml | $(VENV)/bin/python
	@echo "Installing voiceconv into $(VENV); the first time this takes some minutes."
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-play: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[recipes]'
	@touch $@

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/.installed-eval: pyproject.toml benchmarks/requirements-no-deps.txt | $(VENV)/bin/python
	@echo "Installing voiceconv into $(VENV); the first time this takes some minutes."
	$(INSTALL) --editable '.[hifigan,eval,world]'
	$(INSTALL) --no-deps --requirement benchmarks/requirements-no-deps.txt
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.installed-eval
	$(INSTALL) --editable '.[hifigan,eval,world,phonemes,recipes,onnx,cluster,docs,test]'
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
