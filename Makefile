# make demo: train and score the demo from nothing.  make test: the whole suite.
# make tour: open the notebook that shows what a relay is.
# make test-every: the contract of the networks, and their export, for every family of backbones and preset of norms;
# all claims of the tour, a killed training, several processes that stop or stall together, and the commands of the
# pages, typed.
# make test-ahead: what compilers for TPUs and NVIDIA GPUs make of training steps, on any machine without either;
#   make test-ahead-every: of batch norm, scores and float32 too.
# make test-buckets: trainings, data and readers in gs:// and s3://, over emulators.
# make test-beam: preparing data with Apache Beam, make test-torch: equality with PyTorch; these four have
# virtual environments of their own.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
BIN := $(VENV)/bin
DEMO := --config=configs/moving_shapes.py:resnet18

.PHONY: demo tour test test-every test-ahead test-ahead-every test-buckets test-beam test-torch

demo: $(VENV)/installed
	$(BIN)/python -m dnr_jax.data.prepare moving_shapes
	$(BIN)/python train.py $(DEMO),dnr --workdir=$(RUNS)/demo_dnr
	$(BIN)/python eval.py --workdir=$(RUNS)/demo_dnr
	@echo
	@echo "The relay tells the motions apart. To train and score it again, and the same network with plain batch norm:"
	@echo "  $(BIN)/python train.py $(DEMO),dnr --workdir=$(RUNS)/dnr"
	@echo "  $(BIN)/python train.py $(DEMO),batch --workdir=$(RUNS)/batch"

tour: $(VENV)/installed-tour
	$(BIN)/jupyter lab --allow-root docs/relay_tour.ipynb

test: $(VENV)/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15

test-every: $(VENV)/installed-tests
	$(BIN)/python -m pytest -n 2 -m every

# Compilers only: the second line brings no driver, cuDNN or cuBLAS, which nothing here would run on.
test-ahead-every: MARKED = -m every
test-ahead test-ahead-every: $(VENV)-ahead/installed-tests
	$(VENV)-ahead/bin/pip install "jax[tpu]"
	version=$$($(VENV)-ahead/bin/python -c "import jax; print(jax.__version__)") && \
	$(VENV)-ahead/bin/pip install --no-deps jax-cuda13-plugin==$$version jax-cuda13-pjrt==$$version nvidia-nvvm \
	    nvidia-cuda-nvcc
	$(VENV)-ahead/bin/python -m pytest -n 2 $(MARKED) tests/ahead_of_time/compilers --durations=10

test-buckets: $(VENV)-buckets/installed-tests
	$(VENV)-buckets/bin/pip install gcsfs s3fs gcp-storage-emulator "moto[server]"
	$(VENV)-buckets/bin/python -m pytest -W default tests/buckets --durations=10

# Apache Beam wants an older protobuf, of which TFDS uses names that are deprecated.
test-beam: $(VENV)-beam/installed-tests
	$(VENV)-beam/bin/pip install "apache-beam>=2.77,<3"
	$(VENV)-beam/bin/python -m pytest tests/data/test_prepare.py -k beam -W ignore::DeprecationWarning

# Where no NVIDIA GPU is, put PyTorch's CPU build into that environment first: it is a tenth of the size.
test-torch: $(VENV)-torch/installed-tests
	$(VENV)-torch/bin/pip install "torch>=2.13,<3" "safetensors>=0.8,<1"
	$(VENV)-torch/bin/python -m pytest tests/pytorch tests/pages/test_commands.py

%/installed: requirements.txt
	$(PYTHON) -m venv $*
	$*/bin/pip install -r requirements.txt
	touch $@

%/installed-tour: docs/requirements.txt requirements.txt
	$(PYTHON) -m venv $*
	$*/bin/pip install -r docs/requirements.txt
	touch $@

%/installed-tests: tests/requirements.txt requirements.txt
	$(PYTHON) -m venv $*
	$*/bin/pip install -r tests/requirements.txt
	touch $@
