"""Two CPU devices, strict shapes, the same numbers on every run; what one process has compiled, all of them use."""

import atexit
import fcntl
import gc
import io
import os
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from importlib import metadata

if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:  # else this is a process of a run that has begun already
    os.environ['JAX_COMPILATION_CACHE_DIR'] = tempfile.mkdtemp(prefix='compiled-')
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.1'
    os.environ['JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES'] = '-1'
    atexit.register(shutil.rmtree, os.environ['JAX_COMPILATION_CACHE_DIR'], ignore_errors=True)

# All of this must stand before JAX is imported, and holds for the commands that tests start: nearly all of the time
# here is compilation. The older of two generators of code, which later releases have no more, takes a third of it.
os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=2'
if metadata.version('jaxlib').startswith('0.10.'):
    os.environ['XLA_FLAGS'] += ' --xla_cpu_use_fusion_emitters=false'
os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = '1'
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import Phase, settings  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')

# Every new shape compiles for a second: no deadline, and no search for a smaller failure.
profile = {'derandomize': True, 'deadline': None, 'phases': [Phase.explicit, Phase.generate]}
settings.register_profile('compiled', **profile)
settings.load_profile('compiled')


# Side by side these go first, lest one process be left alone with them at the end.
LONG = (
    'test_training', 'test_commands', 'test_distributed', 'test_steps', 'test_contract', 'test_api', 'test_models',
    'test_pipeline', 'test_sizes3d',
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    if hasattr(config, 'workerinput'):
        items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collection_finish():
    """What is imported by now stays: looking for garbage among it takes a third of the time of tracing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope='session')
def tiny_dir(tmp_path_factory):
    """A folder of data sets that holds 'moving_shapes/tiny', made once for all processes. Not to be written to."""
    from dnr_jax.data import prepare  # now that shapes are looked at

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    unfinished, finished = shared / 'preparing', shared / 'prepared'
    with (shared / 'lock').open('w') as lock, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            tiny = ['moving_shapes', '--variant', 'tiny', '--workers', '0']
            assert prepare.main([*tiny, '--out', str(unfinished)]) == 0
            unfinished.rename(finished)
    return finished


@pytest.fixture
def bucket(monkeypatch):
    """The URL of an empty bucket in memory, see `bucket.py`."""
    import bucket

    bucket.stand_in(monkeypatch)
    from dnr_jax.files import as_path

    return as_path('gs://bucket')


@pytest.fixture
def traced_for_cpus():
    """Programs are traced for CPUs alone, as those of a training are, in three quarters of the time."""
    one = jax.make_mesh((1,), ('one',), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    with jax.sharding.use_abstract_mesh(one.abstract_mesh):
        yield


@pytest.fixture(scope='session')
def random_variables():
    """`make_random_variables`, for tests."""
    return make_random_variables


@pytest.fixture(scope='module')
def resnet2():
    """A backbone of one block, which compiles fast."""
    from untrained import one_block

    with one_block():
        yield


@pytest.fixture(scope='session')
def save_untrained(random_variables):
    """`save_untrained(workdir, config)`: a work folder of random variables; its model and variables."""
    from untrained import save

    from dnr_jax import models
    from dnr_jax.runs.trained_model import clip_of

    def saved(workdir, config, *, classes=8, variables=None, **settings):
        model = models.build(**config.model.to_dict(), classes=classes)
        drawn = random_variables(model, jax.numpy.zeros(clip_of(config).shape), train=False)
        variables = {'batch_stats': {}} | drawn | (variables or {})
        save(workdir, config, variables, **settings)
        return model, variables

    return saved


def make_random_variables(module, *inputs, seed=0, **settings):
    """Variables of a Flax module, none at its initial value; from NumPy, for compiling `init` is slow."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: module.init(key, *inputs, **settings), jax.random.key(0))

    def draw(path, leaf):
        kind = path[-1].key
        fan_in = np.prod(leaf.shape[:-1])
        value = {
            'kernel': lambda: rng.normal(size=leaf.shape) * (2 / fan_in) ** 0.5,
            'scale': lambda: rng.uniform(0.5, 1.5, leaf.shape),
            'var': lambda: rng.uniform(0.5, 2.0, leaf.shape),
        }.get(kind, lambda: rng.normal(size=leaf.shape) * 0.5)()
        return jax.numpy.asarray(value, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)
