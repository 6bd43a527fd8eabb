# Two commands: `make lab` and `make test`. labhelpers does the work; this file only finds the Python.
# GNU make 3.81 (macOS) is enough.
PYTHON ?= python3
ENVIRONMENT = $(PYTHON) -m labhelpers.cluster.environment
IN = "$$($(ENVIRONMENT) --python)"
export LAB

.PHONY: lab test test-all unit check try refresh versions site readme bench down

# LAB=02 opens another notebook; BUNDLE=FILE takes everything from a file instead of the
# network; so does BUNDLE=http://… from a teacher's `podlab bundle serve`.
lab: ## environment, cluster, JupyterLab on the first notebook
	@$(ENVIRONMENT) $(if $(BUNDLE),--bundle "$(BUNDLE)")
	@$(if $(BUNDLE),$(IN) -m labhelpers.cli bundle load "$(BUNDLE)")
	@$(IN) -m labhelpers.cli up
	@$(IN) -m labhelpers.cli open $(or $(LAB),00)

test: ## what every commit has to pass, and one slow group; on a cluster of its own
	@$(ENVIRONMENT) --test
	@$(IN) -m tests.run

test-all: export PODLAB_ROTA = all
test-all: test ## everything, for a release

unit: ## what needs no cluster
	@$(ENVIRONMENT) --test
	@$(IN) -m tests.run unit

check: ## a lab's rules, manifests, claims and proofs, without a cluster: make check LAB=02
	@$(ENVIRONMENT) --test
	@$(IN) -m tests.author check "$(LAB)"

try: ## a lab run and stored twice, and its exercises, on the cluster: make try LAB=02
	@$(ENVIRONMENT) --test
	@$(IN) -m labhelpers.cli up
	@$(IN) -m tests.author try "$(LAB)"

refresh: ## run a notebook and store its outputs: make refresh LAB=02 [PICTURES=new]
	@$(ENVIRONMENT)
	@$(IN) -m labhelpers.cli up
	@$(IN) -m labhelpers.stored refresh notebooks/$(or $(LAB),[0-9])*.ipynb \
		$(if $(PICTURES),--pictures $(PICTURES))

versions: ## raise the pins of Kubernetes, kind and the node's programs together
	@$(ENVIRONMENT)
	@$(IN) -m labhelpers.cluster.versions

site: ## the labs as a static site, in build/site; no network, no cluster
	@$(ENVIRONMENT) --site
	@$(IN) -m docs.site.build

readme: ## write docs/helpers.md, and the computed parts of README.md
	@$(ENVIRONMENT) --test
	@$(IN) docs/write_readme.py
	@$(IN) docs/write_helpers.py

bench: ## measure; one table
	@$(ENVIRONMENT) --test
	@$(IN) -m benchmarks

down: ## delete the cluster
	@$(IN) -m labhelpers.cli down
