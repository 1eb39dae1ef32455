"""Training with its input pipeline: steps fed by the loader, steps over clips that are there already, and the loader.

    python -m benchmarks.end_to_end --config=configs/moving_shapes.py:resnet18,dnr --repeats=64 --record=end_to_end

They take turns of --repeats steps, many times what the loader has ready; the ratio of the first two is what reading
costs. All it needs is the config and its data: --config=configs/kinetics400.py:resnet50,dnr --config.data.dir=DIR.
"""

from contextlib import closing
from itertools import repeat

from absl import app
from ml_collections import config_flags

from benchmarks.options import REPEATS, ROUNDS, keep
from benchmarks.timing import alternate, spread
from dnr_jax import parallel
from dnr_jax.evaluation.batches import training_batches
from dnr_jax.training import setup

CONFIG = config_flags.DEFINE_config_file('config', 'configs/moving_shapes.py:resnet18,dnr', 'What is trained.')


class Training:
    """Steps over batches, one a call."""

    def __init__(self, step, state, batches):
        self._step, self._state, self._batches = step, state, batches

    def __call__(self):
        self._state, metrics = self._step(self._state, next(self._batches))
        return self._state, metrics


def measure(config) -> dict:
    """The record of one training."""
    made = setup.prepare(config)
    with closing(training_batches(config, made.train, made.mesh, 0)) as batches:
        placed = (batch for batch, _ in parallel.place_ahead(batches, made.mesh, config.run.prefetch))
        runs = {
            'fed': Training(made.train_step, made.fresh(0), placed),
            'resident': Training(made.train_step, made.fresh(0), repeat(next(placed))),
            'loader': lambda: next(placed),
        }
        times = alternate(runs, ROUNDS.value, REPEATS.value)
    return {
        'backbone': config.model.backbone,
        'norms': config.model.norms,
        'data': config.data.name,
        'clips': config.train.batch_size,
        'frames': config.clip.frames,
        'size': config.augment.size,
        'workers': config.run.workers,
        'seconds': {name: spread(seconds) for name, seconds in times.items()},
        'ratio': spread(times['fed'] / times['resident']),
    }


def main(_) -> None:
    measured = measure(CONFIG.value)
    for name, seconds in measured['seconds'].items():
        print(
            f'{name:>9} {1e3 * seconds["median"]:8.1f} ms a step, {measured["clips"] / seconds["median"]:8.1f} clips/s'
        )
    print('fed to resident {median:.3f}, quartiles {low:.3f} to {high:.3f}'.format(**measured['ratio']))
    keep(measured)


if __name__ == '__main__':
    app.run(main)
