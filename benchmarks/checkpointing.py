"""What checkpoints cost: windows of training steps with and without a save at their beginning, in turns.

    python -m benchmarks.checkpointing --every=50 --windows=16

The network of moving_shapes over data that stays on the device; the ratio of each pair of neighbouring windows is
taken within the pair. A save goes on in the background while the steps of its window run, and its seal too.
"""

import argparse
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.networks import random_batch
from configs import moving_shapes
from dnr_jax import models, parallel
from dnr_jax.runs.checkpoints import Checkpoints
from dnr_jax.runs.state import byte_count, create_state
from dnr_jax.training import optimizers
from dnr_jax.training.train_step import make_train_step

CLASSES = 8


def measure(folder: Path, every: int, windows: int) -> tuple[list[float], list[float], int]:
    """Seconds of each window without and with a save, and the bytes of the state."""
    config = moving_shapes.get_config()
    mesh = parallel.make_mesh()
    model = models.build(**config.model.to_dict(), classes=CLASSES)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=256, epochs=100)
    optimizer = optimizers.make(schedule, **config.optimizer)
    clip_shape = (config.train.batch_size, config.clip.frames, config.augment.size, config.augment.size, 3)
    state = jax.jit(
        lambda key: create_state(key, model=model, optimizer=optimizer, clip_shape=clip_shape, averaged=False),
        out_shardings=parallel.replicated(mesh),
    )(jax.random.key(0))
    batch = parallel.place(random_batch(clip_shape, CLASSES), mesh)
    train_step = make_train_step(config, model, optimizer, mesh, CLASSES)
    seconds = [], []
    with Checkpoints(folder, keep=2) as checkpoints:
        for window in range(2 * windows + 2):
            started = time.monotonic()
            if window % 2:
                checkpoints.save(state, {}, None)
            for _ in range(every):
                state, metrics = train_step(state, batch)
                jax.block_until_ready(metrics)
            if window > 1:  # the first two compile and open files
                seconds[window % 2].append(time.monotonic() - started)
        return *seconds, byte_count(state)


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.checkpointing', description=__doc__.split(':')[0])
    parser.add_argument('--every', type=int, default=50, help='steps from save to save')
    parser.add_argument('--windows', type=int, default=16, help='pairs of windows')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        without, with_save, size = measure(Path(folder), options.every, options.windows)
    ratios = np.array(with_save) / np.array(without)
    print(
        f'{options.every} steps: {np.median(without):.3f} s without, {np.median(with_save):.3f} s with a save of '
        f'{size / 1e6:.1f} MB; ratio median {np.median(ratios):.4f}, quartiles {np.quantile(ratios, 0.25):.4f} to '
        f'{np.quantile(ratios, 0.75):.4f}, of {len(ratios)} pairs'
    )


if __name__ == '__main__':
    main()
