"""Training step and forward pass of a network, compiled for random clips that stay on the device.

    program, parameters = training(settings);  program()          one step

They are put together from the parts of `dnr_jax` that need no data, so a machine with only JAX, Flax, Optax, jaxtyping
and ml-collections measures them.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from benchmarks.program import Program
from configs import base
from dnr_jax import models, parallel
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.runs.state import TrainState, create_state, parameter_count
from dnr_jax.training import optimizers, train_step

BACKBONES = flags.DEFINE_list('backbones', ['resnet50'], "Keys of dnr_jax.models.MODELS, or 'all'.")
NORMS = flags.DEFINE_list('norms', ['dnr', 'batch'], 'Norm presets.')
CLIPS = flags.DEFINE_integer('clips', 2, 'Clips per step, over all devices.')
FRAMES = flags.DEFINE_integer('frames', 0, 'Frames per clip; 0 for the fewest a backbone takes, at least 8.')
SIZE = flags.DEFINE_integer('size', 112, 'Height and width.')
WIDTH = flags.DEFINE_integer('width', 64, 'Channels of the first stage.')
STRIDE = flags.DEFINE_integer('stride', 2, 'Frames per hop of the relay.')

CLASSES = 400

# The fewest frames of which strides in time leave two for the relay; 8 of all others.
FEWEST_FRAMES = dict.fromkeys(
    ('i3d_resnet50', 'r2plus1d_18', 'r2plus1d_34', 'slowfast_resnet50_4x16', 'pyslowfast_resnet50_4x16'), 16
)


class Settings(NamedTuple):
    """What is to be measured: B clips of T frames of `size` x `size` over so many devices."""

    backbone: str
    norms: str
    dtype: str
    devices: int
    clips: int
    frames: int
    size: int
    width: int
    stride: int  # frames per hop of the relay


def backbones() -> list[str]:
    """Those asked for on the command line."""
    return list(models.MODELS) if BACKBONES.value == ['all'] else BACKBONES.value


def settings_of(backbone: str, norms: str, dtype: str, devices: int) -> Settings:
    """The rest is as the command line says."""
    frames = FRAMES.value or FEWEST_FRAMES.get(backbone, 8)
    return Settings(backbone, norms, dtype, devices, CLIPS.value, frames, SIZE.value, WIDTH.value, STRIDE.value)


def training(settings: Settings) -> tuple[Program, int]:
    """The whole training step, and how many parameters it trains."""
    config, model, mesh = parts(settings)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=3757, epochs=196)
    optimizer = optimizers.make(schedule, **config.optimizer)
    state = initial_state(settings, model, optimizer)
    step = train_step.make_train_step(config, model, optimizer, mesh, CLASSES)
    state = jax.device_put(state, parallel.replicated(mesh))
    batch = parallel.place(random_batch(clip_shape(settings), CLASSES), mesh)
    program = Program(step, state, batch, updates=True)
    return program, parameter_count(state.params)


def forward(settings: Settings) -> tuple[Program, int]:
    """The network in evaluation, with running statistics, and how many parameters it has."""
    config, model, mesh = parts(settings)
    state = initial_state(settings, model, optimizers.make(lambda _: 0.1, **config.optimizer))
    variables = jax.device_put(state.variables, parallel.replicated(mesh))
    batch = random_batch(clip_shape(settings), CLASSES)
    batch = parallel.place(batch | {'clip': batch['clip'][:, None]}, mesh)
    program = Program(make_predict(config, model, mesh, views_at_once=0), variables, batch, updates=False)
    return program, parameter_count(state.params)


PASSES = {'training': training, 'forward': forward}


def parts(settings: Settings) -> tuple[Any, Any, parallel.Mesh]:
    """Config, model and mesh."""
    config = base.get_config(f'{settings.backbone},{settings.norms}')
    config.model.dtype, config.model.width = settings.dtype, settings.width
    config.model.norm.stride = settings.stride
    mesh = parallel.make_mesh(jax.devices()[: settings.devices])
    return config, models.build(**config.model.to_dict(), classes=CLASSES), mesh


def clip_shape(settings: Settings) -> tuple[int, ...]:
    return settings.clips, settings.frames, settings.size, settings.size, 3


def initial_state(settings: Settings, model: Any, optimizer: Any) -> TrainState:
    """A state drawn with NumPy: initializers take as long to compile as the step, and their numbers do not matter."""
    random = np.random.default_rng(0)
    shape = (1, *clip_shape(settings)[1:])
    create = partial(create_state, model=model, optimizer=optimizer, clip_shape=shape, averaged=False)

    def draw(path, leaf):
        name = path[-1].key
        if name == 'kernel':
            fan_in = np.prod(leaf.shape[:-1])
            return random.normal(scale=fan_in**-0.5, size=leaf.shape).astype(leaf.dtype)
        return (np.ones if name in ('scale', 'var') else np.zeros)(leaf.shape, leaf.dtype)

    shapes = jax.eval_shape(create, jax.random.key(0))
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    variables = jax.tree_util.tree_map_with_path(draw, {'params': shapes.params, 'batch_stats': shapes.batch_stats})
    return state.replace(**variables)


def random_batch(clip_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
    """Random clips [B T H W C] and labels."""
    random = np.random.default_rng(0)
    return {
        'clip': random.integers(0, 256, clip_shape, np.uint8),
        'label': random.integers(0, classes, clip_shape[0]).astype(np.int32),
        'mask': np.ones(clip_shape[0], bool),
        'damaged': np.zeros(clip_shape[0], np.int32),
    }
