# What a developer does, and what .ci/run and the workflows do: the same lines. Needs an environment: make install.
.PHONY: install lint type test test-slow coverage docs bench dist workflows

install: ## everything, and the hooks that look at a commit
	pip install -e '.[dev-all,docs]'
	pre-commit install

lint:
	ruff check .
	ruff format --check .
	lint-imports

type:
	mypy

test: ## under 10 minutes on two cores
	pytest

test-slow: ## what takes minutes, and what only dev-all installs
	pytest -m 'slow or needs'

coverage: ## of the default suite, what it starts as a process left out; below the floor of pyproject.toml it fails
	pytest --cov --cov-report=term

docs: ## the site, in site/: a link or an anchor that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

bench: ## minutes, on a machine that does nothing else
	python scripts/bench/imports.py
	python scripts/bench/loss.py
	python scripts/bench/train.py

dist: ## sdist and wheel, in dist/
	rm -rf dist
	python -m build
	twine check --strict dist/*

workflows: ## what only GitHub and Docker run
	zizmor --offline --quiet --no-progress .github
	hadolint Dockerfile
