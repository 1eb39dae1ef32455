"""What a training would take, before it is begun: everything is built and compiled, a few steps are run and timed.

The loader and the model are timed apart; the slower one sets the pace:

    clips/s = min(loader, model),    time = steps * batch / (clips/s)
"""

import math
import time
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.command.terminal import tell
from dnr_jax.data.pipeline import Batches
from dnr_jax.evaluation.batches import training_batches, training_shape, views_shape
from dnr_jax.models.counting import multiply_adds
from dnr_jax.runs.reporting import as_time
from dnr_jax.runs.state import byte_count
from dnr_jax.training import optimizers
from dnr_jax.training.choices import resolved
from dnr_jax.training.introduction import introduce
from dnr_jax.training.parts import Setup
from dnr_jax.training.setup import prepare

TIMED_STEPS = 2
LEAST_BATCHES, LEAST_ROUNDS = 8, 2  # of the loader that are timed, after as many that fill its queues


def dry_run(config: ConfigDict) -> str:
    """The findings, to read; nothing is written. Raises ValueError for what does not fit, as training does."""
    config, chosen = resolved(config, parallel.make_mesh(), {})
    setup = prepare(config)
    tell('\n'.join([*chosen, introduce(config, setup, 0)]))
    state = setup.fresh(config.seed)
    with closing(training_batches(config, setup.train, setup.mesh, 0)) as batches:
        loader = loader_pace(config, batches)
        batch = next(batches)
    del batch['id']
    batch = parallel.place(batch, setup.mesh)
    started = time.monotonic()
    train_step = parallel.compiled(setup.train_step, setup.shapes(), training_shape(config), setup.mesh)
    compiling = time.monotonic() - started
    of_test = parallel.compiled(
        setup.predict['test'], setup.shapes().variables, views_shape(config, 'test', setup.mesh), setup.mesh
    )
    memory, memory_of_test = map(parallel.peak_bytes, (train_step, of_test))
    model = model_pace(config, train_step, state, batch)
    return '\n'.join([
        f'compute    {forward_flops(config, setup) / 1e9:,.2f} GFLOPs a clip forward, multiplications and additions of '
        f'convolutions and matrix products; compiled in {as_time(compiling)}',
        f'memory     {in_mb(memory)} per device, state {in_mb(byte_count(setup.shapes()))}; '
        f'{in_mb(memory_of_test)} in a step of test',
        *pace_lines(config, setup, loader, model),
        'learning rate  ' + ', '.join(f'{rate:.4g} at step {step:,}' for step, rate in milestones(config, setup)),
    ])  # fmt: skip


def in_mb(size: int) -> str:
    """Bytes, to read; 0 where a compiler does not say."""
    return f'{size / 1e6:,.0f} MB' if size else 'MB untold by the compiler'


def loader_pace(config: ConfigDict, batches: Batches) -> float:
    """Clips per second of all processes' loaders, if each is as fast as this one.

    Readers that begin together are ready together, so whole rounds of all of them are passed over, and timed.
    """
    count = max(math.ceil(LEAST_BATCHES / batches.readers), LEAST_ROUNDS) * batches.readers
    for _ in islice(batches, count):
        pass
    started = time.monotonic()
    for _ in islice(batches, count):
        pass
    return count * config.train.batch_size / (time.monotonic() - started)


def model_pace(config: ConfigDict, train_step: Any, state: Any, batch: Any) -> float:
    """Clips per second of the training step over data that is already there."""
    state, metrics = train_step(state, batch)
    jax.block_until_ready(metrics)
    started = time.monotonic()
    for _ in range(TIMED_STEPS):
        state, metrics = train_step(state, batch)
    jax.block_until_ready((state, metrics))
    return TIMED_STEPS * config.train.batch_size / (time.monotonic() - started)


def forward_flops(config: ConfigDict, setup: Setup) -> int:
    """Floating-point operations of one clip in evaluation."""
    variables, size = setup.shapes().variables, config.augment.size
    clip = jax.ShapeDtypeStruct((1, config.clip.frames, size, size, 3), jnp.float32)
    return 2 * multiply_adds(jax.jit(partial(setup.model.apply, train=False)).trace(variables, clip))


def pace_lines(config: ConfigDict, setup: Setup, loader: float, model: float) -> list[str]:
    """The paces, which of them holds the other up, and how long all steps take."""
    bound = 'the loader: more config.run.workers, or smaller videos' if loader < model else 'the model'
    seconds = setup.total_steps * config.train.batch_size / min(loader, model)
    return [
        f'pace       loader {loader:,.1f} clips/s, model {model:,.1f} clips/s; held up by {bound}',
        f'time       {setup.total_steps:,} steps in {as_time(seconds)}, without validation and test',
    ]


def milestones(config: ConfigDict, setup: Setup) -> list[tuple[int, float]]:
    """(step, learning rate) where the schedule turns."""
    keys = ('decay', 'milestones', 'warmup_steps')
    return optimizers.learning_rate_milestones(
        setup.schedule,
        **{key: config.schedule[key] for key in keys},
        steps_per_epoch=setup.steps_per_epoch,
        epochs=config.train.epochs,
    )
