"""What compilers for TPUs and GPUs make of training steps: the demo's network, and a small network of every family."""

import functools
import re
from math import prod

import jax
import jax.numpy as jnp
import pytest
import small_networks
import small_networks3d
from flax.traverse_util import flatten_dict

from configs import base, moving_shapes
from dnr_jax import models, parallel
from dnr_jax.ahead_of_time import hlo, topologies
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.runs.state import byte_count, create_state
from dnr_jax.training import optimizers, train_step

for compiler in ('libtpu', 'jax_cuda13_plugin'):
    pytest.importorskip(compiler)

CLASSES, SIZE, WIDTH = 5, 64, 16
PLATFORMS = {'tpu': 'v5e:2x2', 'cuda': 'h100:2'}
CLIPS = 2  # per device
FRAMES = {'i3d_resnet50': 16, 'r2plus1d_18': 16, 'slowfast_resnet50_8x8': 16}
WIDTHS = {'tea_resnet50': 20, 'slowfast_resnet50_8x8': 64}
# Where some arrays of the size of activations are written in float32 all the same.
FLOAT32 = {
    ('tea_resnet50', 'tpu'), ('tea_resnet50', 'cuda'), ('tanet_resnet50', 'tpu'), ('i3d_resnet50', 'tpu'),
    ('mobilenet_v2', 'cuda'), ('slowfast_resnet50_8x8', 'cuda'),
}  # fmt: skip
FAMILIES = (
    'resnet50', 'tsm_resnet50', 'tanet_resnet50', 'tea_resnet50', 'mobilenet_v2', 'slowonly_resnet50', 'i3d_resnet50',
    'r2plus1d_18', 'slowfast_resnet50_8x8',
)  # fmt: skip


def clips_of(backbone):
    return CLIPS, FRAMES.get(backbone, 8), SIZE, SIZE, 3


def short(backbone, norms, dtype='bfloat16'):
    """The first blocks of that backbone."""
    of = small_networks3d if backbone in small_networks3d.BACKBONES else small_networks
    settings = {'width': WIDTHS.get(backbone, WIDTH), 'classes': CLASSES, 'dtype': dtype, 'reduction': 1}
    return of.short(backbone, norms, **settings)


def mesh_of(platform):
    return parallel.make_mesh(topologies.describe(PLATFORMS[platform]).devices)


def compiled(model, config, platform, clip_shape):
    """The program of a training step of that model, and the shapes of its state."""
    mesh = mesh_of(platform)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=10_000, epochs=config.train.epochs)
    optimizer = optimizers.make(schedule, **config.optimizer)
    create = functools.partial(
        create_state, model=model, optimizer=optimizer, clip_shape=(1, *clip_shape[1:]), averaged=False
    )
    state = jax.eval_shape(create, jax.random.key(0))
    step = train_step.make_train_step(config, model, optimizer, mesh, CLASSES)
    program = parallel.compiled(step, state, (CLIPS * mesh.size, *clip_shape[1:]), mesh)
    return hlo.Program(program.as_text()), state


def scored(model, config, platform, clip_shape):
    """The program that scores two views of every video."""
    mesh = mesh_of(platform)
    shapes = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), jnp.zeros(clip_shape))
    step = make_predict(config, model, mesh, views_at_once=0)
    views_shape = CLIPS * mesh.size, 2, *clip_shape[1:]
    return hlo.Program(parallel.compiled(step, shapes, views_shape, mesh).as_text())


def added_twice(params):
    """What is added to another parameter: their gradients are the same, and exchanged once."""
    second = r'state_gates/expand/bias|norm_shortcut\w*/transform/shift'
    return [leaf for path, leaf in flatten_dict(params, sep='/').items() if re.search(second, path)]


@pytest.mark.parametrize('platform', PLATFORMS)
@pytest.mark.parametrize('norms', ['dnr', 'batch'])
def test_the_demo(norms, platform):
    config = moving_shapes.get_config(f'resnet18,{norms}')
    config = config.copy_and_resolve_references()
    model = models.build(**config.model.to_dict(), classes=CLASSES)
    size = config.augment.size
    program, _ = compiled(model, config, platform, (CLIPS, config.clip.frames, size, size, 3))
    assert program.loops == 0


@pytest.mark.parametrize('platform', PLATFORMS)
@pytest.mark.parametrize('norms', ['dnr', pytest.param('batch', marks=pytest.mark.every)])  # a part of `dnr`
@pytest.mark.parametrize('backbone', FAMILIES)
def test_a_family(backbone, norms, platform):
    """No loop for a relay; two exchanges, of what is averaged and no more; no activation in float32."""
    shape = clips_of(backbone)
    program, state = compiled(short(backbone, norms), base.get_config(f'{backbone},{norms}'), platform, shape)
    assert program.loops == 0

    exchanged = program.collectives()
    assert 1 <= len(exchanged) <= 2 and {each.operation.removesuffix('-start') for each in exchanged} == {'all-reduce'}
    averaged = byte_count((state.params, state.batch_stats))
    twins = byte_count(added_twice(state.params))
    metrics = 4 * 4  # bytes: loss, top-1, top-5, records that are damaged
    assert averaged - twins <= sum(each.written for each in exchanged) <= averaged + metrics

    width = WIDTHS.get(backbone, WIDTH)
    activation = prod(shape) // 3 // 4**2 * width // 2  # numbers: half of a map behind the stem, more than any kernel
    wide = [each.name for each in program.wide(activation)]
    assert wide == [] or (backbone, platform) in FLOAT32


@pytest.mark.every
@pytest.mark.parametrize('platform', PLATFORMS)
@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
@pytest.mark.parametrize('norms', ['dnr', 'batch'])
@pytest.mark.parametrize('backbone', FAMILIES)
def test_a_family_is_scored_and_trained_in_either_type(backbone, norms, dtype, platform):
    """No loop for a relay, and nothing is exchanged by scores; training in bfloat16 is told more of above."""
    model, config = short(backbone, norms, dtype), base.get_config(f'{backbone},{norms}')
    program = scored(model, config, platform, clips_of(backbone))
    assert program.loops == 0 and program.collectives() == []
    if dtype == 'float32':
        assert compiled(model, config, platform, clips_of(backbone))[0].loops == 0
