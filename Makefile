# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo-run

.PHONY: object-stores demo test lint browser docs golden pretended-gpu fuzz multinode screenshots clean types coverage mutants

# About two minutes, most of it the set-up.
demo: $(STAMP)
	$(BIN)/dpprof profile --schedule dualpipe,1f1b --pp 8 --micro-batches 20 --device emulated \
		--force -o $(DEMO) >/dev/null
	$(BIN)/dpprof analyze $(DEMO)/dualpipe
	@echo
	$(BIN)/dpprof analyze $(DEMO)/1f1b
	@echo
	$(BIN)/dpprof analyze $(DEMO)/dualpipe $(DEMO)/1f1b

test: lint browser
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The public names as users' type checkers see them.
types: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt 'pyright[nodejs]'
	$(BIN)/pyright

# Lines and branches that the tests run, in build/coverage; as long again as the tests.
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 0 $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/coverage html --quiet -d build/coverage

# How many small changes of the code the tests see: hours for all, `AREA=gate` for one part.
mutants: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	nice -n 19 $(BIN)/python .ci/mutants/mutants.py $(AREA)

# A Chromium for the tests in a browser; installed only in CI or with DPPROF_INSTALL_CHROMIUM=1.
browser:
	@.ci/browser

# The site, in build/site; a link that leads nowhere is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Unchanged runs pass against the committed baselines, planted regressions fail: two minutes.
gate: $(STAMP)
	$(BIN)/python .ci/gate/self_gate.py

# The CUDA path on a GPU that is pretended (tests/pretended_gpu/README.md): torch for CUDA, 5 GB.
PYTHON_CUDA ?= python3.12
pretended-gpu: $(STAMP) .venv-cuda/.installed
	PRETENDED_GPU_REQUIRED=1 $(BIN)/pytest tests/pretended_gpu

.venv-cuda/.installed:
	$(PYTHON_CUDA) -m venv .venv-cuda
	.venv-cuda/bin/pip install --quiet --disable-pip-version-check torch==2.11.0 numpy msgspec \
		click rich regex pandas pyarrow pytest pytest-timeout hypothesis 'nvidia-cuda-crt==13.0.*' \
		'nvidia-cuda-cccl==13.0.*'
	@touch $@

# The compiled scanner under libFuzzer with address and undefined-behaviour sanitizers (needs clang),
# then every reader, the dashboard's callbacks, and kills of every verb: an hour each way at most.
FUZZ_SECONDS ?= 3600
FUZZ_COUNT ?= 20000
FUZZ_KILLS ?= 100
FUZZER := tests/robustness/scan_fuzzer
fuzz: $(STAMP)
	$(FUZZER)/build.sh $(BIN)/python build/fuzz/scan
	@mkdir -p build/fuzz/found
	build/fuzz/scan -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -dict=$(FUZZER)/words.dict \
		-print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/found $(FUZZER)/corpus
	$(BIN)/python tests/robustness/fuzz_readers.py $(FUZZ_COUNT)
	$(BIN)/python tests/robustness/fuzz_callbacks.py $(FUZZ_COUNT)
	$(BIN)/python tests/robustness/kill_verbs.py $(FUZZ_KILLS)

# Runs in S3 (moto) and on a host (asyncssh), both in the process: 140 MB, one minute.
STORES := build/object-stores
object-stores: $(STAMP)
	$(BIN)/python -m pip install -q --target $(STORES) --no-deps -r tests/store/object-stores.txt
	PYTHONPATH=$(STORES) $(BIN)/python -m pytest tests/store/test_object_stores.py

# Four hosts that are network namespaces: needs root and iproute2; ten minutes.
multinode: $(STAMP)
	$(BIN)/python tests/multinode/scenarios.py

# Make the sample runs in traces/ anew, with their golden metrics.
golden: $(STAMP)
	$(BIN)/python traces/make.py

LOCKED := .ci/locked
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps
# Only files with the hashes of .ci/locked; the registry's torch where none for CPUs is at hand.
$(STAMP): pyproject.toml $(wildcard $(LOCKED)/*.txt dpprof/*/*.[ch] dpprof/*/*/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r $(LOCKED)/dev.txt
	$(INSTALL) --require-hashes -r $(LOCKED)/cpu.txt 2>/dev/null || \
		$(INSTALL) --require-hashes -r $(LOCKED)/cuda.txt
	$(INSTALL) --no-build-isolation -e .
	@touch $@

# Take the pictures in docs/images/ anew, of the demo's runs.
screenshots: $(STAMP) browser
	test -e $(DEMO)/1f1b/run.json || $(BIN)/dpprof profile --schedule dualpipe,1f1b --pp 8 \
		--micro-batches 20 --device emulated --force -o $(DEMO) >/dev/null
	$(BIN)/python -m docs.images.make_screenshots $(DEMO)/dualpipe $(DEMO)/1f1b -o docs/images

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info
