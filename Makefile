# make lab    set up and open the start page in JupyterLab
# make test   set up and run the unit tests, then every notebook with its claims
VENV ?= .venv
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,$(shell \
  $(p) -c 'import ensurepip, sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
PY := $(VENV)/bin/python
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
AS_ROOT := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)# in a container; Jupyter refuses otherwise

export OMP_WAIT_POLICY := PASSIVE# two cores: waiting threads must not spin

.PHONY: lab test test-units test-chapters test-short bench book evidence readme data lint clean
.NOTPARALLEL:# unit tests share the cores themselves, and so do the runs of a notebook

lab: $(VENV)/.installed
	$(PY) -m jupyter lab $(AS_ROOT) notebooks/00_start_here.ipynb

test: test-units test-chapters

test-units: $(VENV)/.installed
	LOKY_MAX_CPU_COUNT=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal \
	  --ignore=tests/chapters --ignore=tests/data/test_real.py tests

test-chapters: $(VENV)/.installed
	$(PY) -m pytest -m "not smoke and not own_data" notebooks tests/chapters tests/data/test_real.py

test-short: $(VENV)/.installed# together: what the first runs have finished, the second need not repeat
	$(PY) -m pytest -m "smoke or own_data" tests/chapters

bench: $(VENV)/.installed
	for script in $(sort $(wildcard tests/benchmarks/[a-z]*.py)); do echo "== $$script"; $(PY) $$script || exit 1; done

book: $(VENV)/.installed# every run anew, so that the times in the records are true
	rm -rf build/runs
	SSLBOOK_RUNS=$(CURDIR)/build/runs $(PY) -m nbconvert --execute --ExecutePreprocessor.timeout=900 --ExecutePreprocessor.record_timing=False \
	  --to notebook --output-dir build $(NOTEBOOKS)
	$(PY) -m nbconvert --to html --output-dir build $(NOTEBOOKS:notebooks/%=build/%)
	$(PY) -m sslbook.results --json build/records.json $(NOTEBOOKS:notebooks/%=build/%)

# The full study of a chapter, make evidence CHAPTER=10: goes on where it was; FRESH=1 begins anew, CLUSTER=tcp://... sends
# the runs to a Dask cluster.
evidence: $(VENV)/.installed
	$(if $(FRESH),rm -rf build/evidence)
	$(PY) -m sslbook.evidence $(or $(wildcard notebooks/$(CHAPTER)_*.ipynb),$(error CHAPTER=$(CHAPTER) is no notebook)) \
	  --store build/evidence --cluster "$(CLUSTER)"

readme: $(VENV)/.installed
	$(PY) -m sslbook.results --readme README.md $(NOTEBOOKS)

data: $(VENV)/.installed
	$(PY) data_scripts/fetch.py

lint: $(VENV)/.installed
	$(PY) -m ruff format --check
	$(PY) -m ruff check

clean:
	rm -rf $(VENV) build

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(PY) || test -n "$(PYTHON)" || { echo "sslbook needs Python 3.11 or newer with its venv module:" \
	  "install it from python.org or your package manager (on Debian and Ubuntu: python3 and python3-venv)," \
	  "or name one you have, as in: make PYTHON=/path/to/python3.12 lab" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[lab,test]"
	@touch $@
