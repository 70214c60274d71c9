# Everything a fresh machine with Python >= 3.11 and make needs; the environment lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Both cores for the tests; set JOBS=1 to see them one by one.
JOBS ?= 2
BENCH ?= quick

.PHONY: install demo test spark sim mutants faults kill-run crash fuzz check docs bench fmt clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Gapless needs Python 3.11 or later: call make with PYTHON=/path/to/it"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# September 2024, replayed: about a minute, nothing is left behind.
demo: install
	$(BIN)/gapless drill run microsoft-2024-09

check: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -n $(JOBS)

# The same queries on DuckDB and on Spark (two threads of this machine): needs Java 17 or later.
spark: install
	@if ! command -v java >/dev/null; then \
	  echo "skipped: Spark needs Java 17 or later, such as Debian's default-jre-headless"; \
	else \
	  $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[spark]' && \
	  $(BIN)/python -m pytest tests/query/spark; \
	fi

# The whole pipeline under drawn faults, in simulated time: SEEDS of them, from seed FROM on.
SEEDS ?= 300
FROM ?= 1
sim: install
	$(BIN)/python -m gapless.testing.sim --seeds $(SEEDS) --from $(FROM) --jobs $(JOBS)

# Each seeded bug must be found by the simulation within 200 seeds.
mutants: install
	$(BIN)/python -m gapless.testing.mutants --seeds 200 --jobs $(JOBS)

# The figures of docs/internals/faults.md: about an hour on two cores. FAULTS="--seeds 500" is five minutes.
FAULTS ?= --seeds 10000 --hours 1000
faults: install
	$(BIN)/python -m gapless.testing.campaign --jobs $(JOBS) $(FAULTS)

# A million records over fifty files, while agent and platform are killed for two minutes.
kill-run: install
	GAPLESS_KILL_RUN_RECORDS=1000000 GAPLESS_KILL_RUN_FILES=50 GAPLESS_KILL_RUN_S=120 \
	  $(BIN)/python -m pytest tests/platform/test_kill_run.py

# Every process killed, failing and frozen at every commit point; every state file harmed in every way;
# disks and spools that are full.
crash: install
	GAPLESS_CRASH_ALL=1 $(BIN)/python -m pytest tests/platform/test_kill_at_points.py \
	  tests/platform/test_state_files.py tests/platform/test_full_disk.py

# Everything that parses bytes, over EXAMPLES drawn anew for each target.
EXAMPLES ?= 5000
fuzz: install
	HYPOTHESIS_PROFILE=explore GAPLESS_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(JOBS) tests/fuzz

# What it costs, against its goals: about five minutes; BENCH=full takes half an hour.
bench: install
	$(BIN)/python -m bench $(BENCH)

# docs/reference, from the code.
docs: install
	$(BIN)/python docs/generate.py

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
