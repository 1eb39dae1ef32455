# make demo: train and score the demo from nothing.  make test: the whole suite.
# make test-every: the contract of the networks, and their export, for every family of backbones and preset of norms;
# all claims of the tour, a killed training, and several processes that stop or stall together.
# make test-beam: preparing data with Apache Beam, make test-torch: equality with PyTorch; both have virtual
# environments of their own.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
BIN := $(VENV)/bin
DEMO := --config=configs/moving_shapes.py:resnet18

.PHONY: demo test test-every test-beam test-torch

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
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15

test-every: $(VENV)/installed-tests
	$(BIN)/python -m pytest -n 2 -m every

# Apache Beam wants an older protobuf, of which TFDS uses names that are deprecated.
test-beam: $(VENV)-beam/installed-tests
	$(VENV)-beam/bin/pip install "apache-beam>=2.77,<3"
	$(VENV)-beam/bin/python -m pytest tests/data/test_prepare.py -k beam -W ignore::DeprecationWarning

# Where no NVIDIA GPU is, put PyTorch's CPU build into that environment first: it is a tenth of the size.
test-torch: $(VENV)-torch/installed-tests
	$(VENV)-torch/bin/pip install "torch>=2.13,<3" "safetensors>=0.8,<1"
	$(VENV)-torch/bin/python -m pytest tests/pytorch

%/installed: requirements.txt
	$(PYTHON) -m venv $*
	$*/bin/pip install -r requirements.txt
	touch $@

%/installed-tests: tests/requirements.txt requirements.txt
	$(PYTHON) -m venv $*
	$*/bin/pip install -r tests/requirements.txt
	touch $@
