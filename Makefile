# make demo: train and score the demo from nothing.  make test: the whole suite.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
BIN := $(VENV)/bin
DEMO := --config=configs/moving_shapes.py:resnet18

.PHONY: demo test lint

demo: $(VENV)/installed
	$(BIN)/python -m dnr_jax.data.prepare moving_shapes
	$(BIN)/python train.py $(DEMO),dnr --workdir=$(RUNS)/demo_dnr
	$(BIN)/python eval.py --workdir=$(RUNS)/demo_dnr
	@echo
	@echo "The relay tells the motions apart. To train and score it again, and the same network with plain batch norm:"
	@echo "  $(BIN)/python train.py $(DEMO),dnr --workdir=$(RUNS)/dnr"
	@echo "  $(BIN)/python train.py $(DEMO),batch --workdir=$(RUNS)/batch"

test: $(VENV)/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -r requirements.txt
	touch $@

$(VENV)/installed-tests: tests/requirements.txt requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -r tests/requirements.txt
	touch $@
