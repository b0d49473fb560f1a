# What people and machines do with Suti. `make` alone lists it. Every target bootstraps what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
READY := .venv/.ready
OUT ?= out

# glibc gives large blocks back to the system at once and takes them anew, page fault by page fault: training on the
# processor is faster when it keeps them.
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TRIM_THRESHOLD_ ?= 8589934592
export MALLOC_TOP_PAD_ ?= 268435456
# Test and demo runs are small: threads beyond the cores only wait for one another.
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-17s %s\n", $$1, $$2}'

.PHONY: install
install: $(READY) ## Finds uv and Python >= 3.12 and makes .venv with everything in it (also: every other target)

$(READY): uv.lock pyproject.toml scripts/bootstrap.sh
	@scripts/bootstrap.sh
	@touch $@

.PHONY: demo
demo: $(READY) ## A drawn web crawl becomes an apprentice that draws subjects it never saw; report in out/demo
	$(BIN)/suti demo --out $(OUT)/demo $(ARGS)

.PHONY: up
up: $(READY) ## Starts NATS, the store and the seven services on this machine; Ctrl-C stops them
	$(BIN)/suti up $(ARGS)

.PHONY: doctor
doctor: $(READY) ## Says what is missing on this machine and how to get it
	$(BIN)/suti doctor

.PHONY: test
test: $(READY) servers chart-tools ## The everyday tests; ARGS="-k filter" chooses, SUTI_REQUIRE=all turns skips into failures
	$(BIN)/pytest tests --ignore=tests/cluster -m "not accelerator and not extended" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-extended
test-extended: $(READY) servers ## Tests of minutes: disturbed batches, gangs, Ray, every command and call on a live stack
	$(BIN)/pytest tests --ignore=tests/cluster -m extended -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-fast
test-fast: $(READY) ## The tests without processes and servers, those of more than ten seconds left out
	$(BIN)/pytest tests/unit tests/numerics tests/contract/api -m "not slow and not accelerator and not extended" $(ARGS)

.PHONY: test-accelerator
test-accelerator: $(READY) ## The tests that need a GPU
	$(BIN)/pytest tests -m accelerator $(ARGS)

.PHONY: lint
lint: $(READY) ## ruff, formatting, pyright (strict), import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/pyright

.PHONY: format
format: $(READY) ## Formats the code and mends what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: protos
protos: $(READY) ## Generates libs/suti/api from protos/
	$(BIN)/python scripts/generate_protos.py libs

.PHONY: bench
bench: $(READY) ## Measures every claim of speed as a ratio in one run; results in out/bench
	$(BIN)/python -m bench --out $(OUT)/bench $(ARGS)

.PHONY: bench-cluster
bench-cluster: $(READY) ## Expert shards on a cluster with simulated nodes (kwok): KUBECONFIG=..., sizes by ARGS="--shards 400 1000"
	$(BIN)/python -m bench.cluster --out $(OUT)/bench-cluster $(ARGS)

.PHONY: reproduce
reproduce: $(READY) ## The paper's findings on the toy world, as far as time allows; tables and figures in docs/results
	$(BIN)/python -m suti.reproduce $(ARGS)

.PHONY: reproduce-quick
reproduce-quick: $(READY) ## The experiments in small, from nothing: rows, pairs, noise, repetition, seeing the subject above not seeing it
	$(BIN)/python -m suti.reproduce --quick --out $(OUT)/reproduce-quick

.PHONY: toy-models
toy-models: $(READY) ## Trains the small models that come with Suti anew (hours on two cores)
	$(BIN)/python -m suti.toyworld.training $(ARGS)

.PHONY: picture
picture: $(READY) ## Draws the README's picture anew with the models that come along
	$(BIN)/python scripts/readme_picture.py docs/demo.png

.PHONY: servers
servers: ## Builds the MinIO server that the store's tests run against, once (needs Go, two minutes)
	@if [[ -n "$${SUTI_MINIO_BIN:-}" ]] || ! command -v go >/dev/null; then echo "MinIO: nothing to build"; \
	else scripts/build_minio.sh >/dev/null; fi

.PHONY: images
images: ## Builds the three images and says their sizes; REGISTRY=... pushes them, TAG=... names them
	@scripts/images.sh $(ARGS)

.PHONY: chart
chart: $(READY) chart-tools ## Writes the chart's schema and README from values.yaml and packages it into dist/
	$(BIN)/python scripts/chart_docs.py
	"$$(scripts/build_helm.sh)" package charts/suti --destination dist

.PHONY: test-charts
test-charts: $(READY) chart-tools ## The chart's tests over rendered manifests
	$(BIN)/pytest tests/charts $(ARGS)

.PHONY: test-cluster
test-cluster: $(READY) chart-tools ## The tests on a real cluster: KUBECONFIG=..., LOAD_IMAGE="kind load docker-image" if images must be loaded, SUTI_BUILD=1 if they must be built, SUTI_EARLIER=COMMIT to upgrade from (unset: 943e53f)
	@scripts/test_cluster.sh $(BIN)/pytest $(ARGS)

.PHONY: chart-tools
chart-tools: $(READY) ## Helm and the schemas of Kubernetes for the chart's tests, once (needs Go)
	@if command -v go >/dev/null; then scripts/build_helm.sh >/dev/null; $(BIN)/python scripts/kubernetes_schemas.py >/dev/null; \
	else echo "Helm and schemas: nothing to fetch, there is no Go"; fi

.PHONY: hooks
hooks: $(READY) ## Runs the linters before every git commit
	$(BIN)/pre-commit install

.PHONY: ci
ci: ## What the build machine does: lint, test, demo, every skip a failure
	.ci/run

.PHONY: clean
clean: ## Removes what was made here, .venv included; trained models and caches in ~/.cache stay
	rm -rf .venv .cache .pytest_cache .ruff_cache .import_linter_cache dist $(OUT)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
