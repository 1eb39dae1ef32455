"""What compilers for TPUs and GPUs make of all that stands beside a plain training step, each tool once."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from configs import moving_shapes
from dnr_jax import models, parallel, streaming
from dnr_jax.ahead_of_time import topologies
from dnr_jax.ahead_of_time.compilation import EPOCH
from dnr_jax.evaluation.batches import training_shape, views_shape
from dnr_jax.export import artefact, programs
from dnr_jax.models.resnet import BasicBlock, resnet
from dnr_jax.runs.trained_model import Trained
from dnr_jax.streaming import endless
from dnr_jax.training.setup import assemble

for compiler in ('libtpu', 'jax_cuda13_plugin'):
    pytest.importorskip(compiler)

PLATFORMS = {'tpu': 'v5e:2x2', 'cuda': 'h100:2'}
CLASSES = 8
# Several at once, where they have nothing to do with each other.
TOOLS = {
    'float32 in parts, activations made again': {
        'model.dtype': 'float32', 'model.remat': True, 'train.micro_batches': 2,
    },
    'global statistics, moving average, skipped steps': {
        'model.norm.statistics_scope': 'global', 'train.ema_decay': 0.99, 'train.max_skipped_steps': 3,
    },
    'statistics of 2 that stand still at the end, adamw, mixed clips': {
        'model.norm.statistics_scope': '2', 'train.statistics_until': 0.5, 'optimizer.name': 'adamw',
        'regularization.mixup': 0.2,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def resnet2(monkeypatch):
    monkeypatch.setitem(models.MODELS, 'resnet2', partial(resnet, BasicBlock, (1,)))


@pytest.fixture(params=PLATFORMS)
def mesh(request):
    return parallel.make_mesh(topologies.describe(PLATFORMS[request.param]).devices)


def config_of(mesh, norms='dnr', **changes):
    """Of four clips a device, in bfloat16."""
    config = moving_shapes.get_config(f'resnet2,{norms}').copy_and_resolve_references()
    config.model.update({'width': 8, 'dtype': 'bfloat16'})
    for section in ('train', 'validation', 'test'):
        config[section].batch_size = 4 * mesh.size
    config.update_from_flattened_dict(changes)
    return config


def of_program(step, takes, mesh):
    """What a function of a single device becomes there."""
    device = jax.sharding.SingleDeviceSharding(mesh.devices.flat[0])
    placed = jax.tree.map(lambda of: jax.ShapeDtypeStruct(of.shape, of.dtype, sharding=device), takes)
    return jax.jit(step).lower(*placed).compile()


@pytest.mark.parametrize('tool', TOOLS)
def test_a_training_step(mesh, tool):
    config = config_of(mesh, **TOOLS[tool])
    parts = assemble(config, mesh, CLASSES, EPOCH)
    for step in filter(None, (parts.train_step, parts.frozen_step)):
        compiled = parallel.compiled(step, parts.shapes(), training_shape(config), mesh)
        assert parallel.peak_bytes(compiled) > 0


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
def test_a_score(mesh, dtype):
    """Views in parts, each clip counted into a set by precise statistics."""
    changes = {'run.precise_batches': 2, 'run.self_inclusive': 2, 'test.clips': 4, 'test.views_at_once': 6}
    config = config_of(mesh, **changes, **{'model.dtype': dtype})
    parts = assemble(config, mesh, CLASSES, EPOCH)
    variables = parts.shapes().variables
    observing = parallel.compiled(parts.observe, variables, training_shape(config), mesh)
    _, observed = jax.eval_shape(parts.observe, variables, parallel.batch_shapes(training_shape(config)))
    per_hop = jax.tree.map(lambda of: jax.ShapeDtypeStruct(of.shape[1:], of.dtype), observed)
    scoring = parallel.compiled(
        parts.predict['test'], {**variables, 'batch_stats': per_hop}, views_shape(config, 'test', mesh), mesh
    )
    assert parallel.peak_bytes(observing) > 0 and parallel.peak_bytes(scoring) > 0


@pytest.fixture
def trained(mesh, random_variables):
    """A causal network of random variables, as if it had been read from a checkpoint."""
    config = config_of(mesh, 'dnr_temporal')
    model = models.build(**config.model.to_dict(), classes=CLASSES)
    clip = jnp.zeros((1, config.clip.frames, 32, 32, 3))
    return Trained(model, random_variables(model, clip, train=False), config, tuple(map(str, range(CLASSES))), {}, 0)


def test_a_step_of_a_stream(mesh, trained):
    group = jax.ShapeDtypeStruct((2, streaming.frames_per_group(trained.model), 32, 32, 3), jnp.float32)
    init = partial(endless.init, trained.model, trained.variables, group.shape, horizon=4)
    step = partial(endless.step, trained.model, trained.variables, horizon=4)
    assert parallel.peak_bytes(of_program(step, (jax.eval_shape(init), group), mesh)) > 0


@pytest.mark.parametrize('stream', [False, True])
def test_an_exported_program(mesh, trained, stream):
    program = programs.of_streams(trained, 4) if stream else programs.of_clips(trained)
    platform = mesh.devices.flat[0].platform
    exported = artefact.lower(program, ('cpu', 'cuda' if platform == 'gpu' else platform))
    takes = jax.tree.map(lambda of: jax.ShapeDtypeStruct((2, *of.shape), of.dtype), program.takes)
    assert parallel.peak_bytes(of_program(exported.call, takes, mesh)) > 0
