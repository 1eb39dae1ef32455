"""One short training, and what its network knows afterwards: the step, the optimizer and the clips are the library's.

Clips are read once for each seed and kept as bytes; every epoch shows them in the same order. After the last step the
same test clips are scored in five ways:

    training          by the statistics of their own sets of clips, as in training
    running           by the running averages, as evaluation does
    precise_per_hop   by the statistics of training clips under the final parameters, each hop of a relay by its own
    self_inclusive    by these, each clip counted into a set of as many as share statistics in training
    precise           likewise, but all hops by their mean; where there is a relay over frames

Axes: B clips, G frame groups, N test clips, T frames, H W space, C channels, K classes.
"""

import hashlib
import json
import math
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import models, parallel
from dnr_jax.command.bars import bar
from dnr_jax.data import pipeline
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.evaluation import metrics, precise_statistics
from dnr_jax.evaluation.batches import training_batches
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.files import written_whole
from dnr_jax.runs.state import create_state
from dnr_jax.statistics_report import drift
from dnr_jax.training import optimizers, train_step
from dnr_jax.training.setup import with_frozen_statistics

PRECISE_BATCHES = 16
LOSSES_TOLD = 12  # means over as many parts of the training


class Clips(NamedTuple):
    """All that one seed trains with and is tested on."""

    train: np.ndarray  # uint8 [N T H W C], in the order of training
    train_labels: np.ndarray
    test: np.ndarray  # in an order that has nothing to do with the classes
    test_labels: np.ndarray

    def batches(self, size: int):
        """Batches of one epoch, as a training step takes them."""
        for start in range(0, len(self.train) - size + 1, size):
            those = slice(start, start + size)
            yield {
                'clip': self.train[those],
                'label': self.train_labels[those],
                'mask': np.ones(size, bool),
                'damaged': np.zeros(size, np.int32),
            }


def read_clips(config: ConfigDict, folder: Path) -> Clips:
    """The clips of the config's seed, from a file in `folder` where the same ones were read before."""
    source, test = (
        open_split(config.data.name, config.data.dir, split) for split in (config.data.train_split, config.test.split)
    )
    read_by = [source.fingerprint, test.fingerprint, config.seed, config.train.batch_size]
    read_by += [config[section].to_dict() for section in ('clip', 'augment', 'test')]
    of_clips = hashlib.sha256(json.dumps(read_by, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f'clips_{config.data.name.replace("/", "_")}_{config.seed}_{of_clips}.npz'
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = len(source) // config.train.batch_size
        with closing(training_batches(config, source, parallel.make_mesh(), start_step=0)) as batches:
            train = stacked(islice(batches, wanted))
        with written_whole(path) as unfinished, unfinished.open('wb') as file:
            np.savez(file, **Clips(*train, *test_clips(config, test))._asdict())
    with np.load(path) as stored:
        return Clips(**stored)


def test_clips(config: ConfigDict, source: VideoSource) -> tuple[np.ndarray, np.ndarray]:
    """Full batches of centre views of the test, shuffled, for neighbours in it are opposite classes."""
    taken = {key: value for key, value in config.test.items() if key not in ('split', 'average', 'views_at_once')}
    reading = {'damaged': 'stop', 'workers': 0, 'shard_index': 0, 'shard_count': 1}
    with closing(pipeline.eval_batches(source, **config.clip, **taken, **reading)) as batches:
        clips, labels = stacked(batches)
    order = np.random.default_rng(0).permutation(len(source))
    order = order[: len(order) // config.train.batch_size * config.train.batch_size]
    return clips[order, 0], labels[order]


def stacked(batches) -> tuple[np.ndarray, np.ndarray]:
    """Clips and labels of all batches."""
    clips, labels = zip(*((batch['clip'], batch['label']) for batch in batches), strict=True)
    return np.concatenate(clips), np.concatenate(labels)


class Trainer:
    """The compiled programs of one config, for any number of seeds."""

    def __init__(self, config: ConfigDict, classes: int, steps_per_epoch: int):
        self.config, self.mesh = config, parallel.make_mesh()
        self.pixels = config.pixels.to_dict()
        self.model = models.build(**config.model.to_dict(), classes=classes)
        timing = {'steps_per_epoch': steps_per_epoch, 'epochs': config.train.epochs}
        self.optimizer = optimizers.make(optimizers.learning_rate(**config.schedule, **timing), **config.optimizer)
        self.step, self.frozen_step = (
            train_step.make_train_step(config, model, self.optimizer, self.mesh, classes)
            for model in (self.model, with_frozen_statistics(self.model))
        )
        self.predict = make_predict(config, self.model, self.mesh, views_at_once=0)
        # Drawing weights takes no time, but its compilation does.
        self.create = jax.jit(self.fresh, compiler_options={'xla_backend_optimization_level': 0})

    def fresh(self, key: jax.Array):
        """The state at step 0."""
        size = self.config.augment.size
        clip_shape = (1, self.config.clip.frames, size, size, 3)
        return create_state(key, model=self.model, optimizer=self.optimizer, clip_shape=clip_shape, averaged=False)

    def run(self, seed: int, clips: Clips) -> dict[str, Any]:
        """Trains from that seed; returns what is to be recorded."""
        began = time.perf_counter()
        state = jax.device_put(self.create(jax.random.key(seed)), parallel.replicated(self.mesh))
        batch_size, epochs = self.config.train.batch_size, self.config.train.epochs
        losses, total = [], len(clips.train) // batch_size * epochs
        moving = math.ceil(total * self.config.train.statistics_until)
        with bar(total, f'seed {seed}', ' steps', leave=False) as shown:
            for _ in range(epochs):
                for batch in clips.batches(batch_size):
                    step = self.step if len(losses) < moving else self.frozen_step
                    state, averages = step(state, parallel.place(batch, self.mesh))
                    losses.append(averages['loss'])
                    shown.update()
        losses = np.array(jax.device_get(losses))
        metrics.check_finite({'loss': float(losses[-1])}, f'at the last of {total} steps')
        measured = self.score(state.variables, clips)
        parts = np.array_split(losses, LOSSES_TOLD)
        return {
            'steps': total,
            'seconds': round(time.perf_counter() - began, 1),
            'loss': [round(float(part.mean()), 3) for part in parts],
            **measured,
        }

    def score(self, variables, clips: Clips) -> dict[str, Any]:
        """Which of the test clips it gets right in every way, and how far the running averages are off."""
        size = self.config.train.batch_size
        test = [clips.test[start : start + size] for start in range(0, len(clips.test), size)]

        def right(logits) -> np.ndarray:
            return metrics.right(np.concatenate(logits), clips.test_labels)

        def evaluated(batch_stats, predict=self.predict) -> np.ndarray:
            those = {**variables, 'batch_stats': batch_stats}
            batches = (parallel.place({'clip': clip[:, None]}, self.mesh) for clip in test)
            return right([np.asarray(predict(those, batch))[:, 0] for batch in batches])

        if not variables['batch_stats']:  # every clip is standardized alone, in evaluation as in training
            return told({'running': evaluated({})})
        if not hasattr(self, 'observe'):
            of_set = precise_statistics.clips_per_statistic(self.config, self.mesh)
            counting = precise_statistics.counting(self.model, of_set)
            self.observe, self.observe_sets = (
                precise_statistics.compile_observe(model, variables, self.pixels, self.mesh)
                for model in (self.model, counting)
            )
            self.predict_counted = make_predict(self.config, counting, self.mesh, views_at_once=0)

        def observed(observe, batches):
            rows = [jax.device_get(observe(variables, parallel.place(of, self.mesh))) for of in batches]
            return zip(*rows, strict=True)

        first = [{'clip': batch['clip']} for batch in islice(clips.batches(size), PRECISE_BATCHES)]
        _, of_hops = observed(self.observe, first)
        _, of_sets = observed(self.observe_sets, first)
        per_hop, of_sets = map(precise_statistics.average, (of_hops, of_sets))
        running = jax.device_get(variables['batch_stats'])
        of_training, _ = observed(self.observe, ({'clip': clip} for clip in test))
        scores = {
            'training': right(of_training),
            'running': evaluated(for_every_hop(running, per_hop)),
            'precise_per_hop': evaluated(per_hop),
            'self_inclusive': evaluated(of_sets, self.predict_counted),
        }
        if any(len(of) > 1 for of in jax.tree.leaves(per_hop)):
            scores['precise'] = evaluated(for_every_hop(precise_statistics.as_running(per_hop, running), per_hop))
        layers = drift.compare(running, per_hop, self.config.model.norm.epsilon)
        return told(scores) | {'drift': deviations(layers)}


def for_every_hop(batch_stats, per_hop):
    """One pair for all hops as the same pair for each, [G C]: what is computed is the same, and compiled once."""
    return jax.tree.map(lambda of, like: np.broadcast_to(of, like.shape), batch_stats, per_hop)


def told(scores: dict[str, np.ndarray]) -> dict[str, Any]:
    """Top-1 by every way, and the clips that are right as bits in hexadecimal, the first clip foremost."""
    return {
        'top1': {way: round(float(right.mean()), 4) for way, right in scores.items()},
        'right': {way: np.packbits(right).tobytes().hex() for way, right in scores.items()},
    }


def deviations(layers: list[drift.Layer]) -> dict[str, float]:
    """Drift and spread as `statistics_report.drift` defines them, averaged over the layers that have them."""
    found = {}
    for name in ('drift_mean', 'drift_var', 'spread_mean', 'spread_var'):
        values = [getattr(layer, name) for layer in layers if getattr(layer, name) is not None]
        if values:
            found[name] = round(float(np.mean(values)), 4)
    return found
