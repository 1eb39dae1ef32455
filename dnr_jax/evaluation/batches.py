"""Batches of clips as the sections of a config ask for them, each process its own share; their shapes and number.

Axes: B clips or videos, V views, T frames, H W space.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data import pipeline
from dnr_jax.data.source import VideoSource
from dnr_jax.data.videos import Videos

SCORED = ('validation', 'test')  # sections of the config that say how a score is taken


def training_shape(config: ConfigDict) -> tuple[int, ...]:
    """Of the clips of a step over all devices, [B T H W C]."""
    size = config.augment.size
    return config.train.batch_size, config.clip.frames, size, size, 3


def views_shape(config: ConfigDict, section: str, mesh: parallel.Mesh) -> tuple[int, ...]:
    """Of the clips of a step that scores by that section, over all devices, [B V T H W C]."""
    of = config[section]
    return parallel.filled(of.batch_size, mesh), of.clips * of.crops, config.clip.frames, of.size, of.size, 3


def steps_per_epoch(config: ConfigDict, videos: int) -> int:
    """Steps in which each of so many training videos is read as often as config.augment.repeats says."""
    return math.ceil(videos * config.augment.repeats / config.train.batch_size)


def training_batches(config: ConfigDict, source: VideoSource, mesh: parallel.Mesh, start_step: int) -> pipeline.Batches:
    """This process's training batches from that step on."""
    return pipeline.train_batches(
        source,
        **config.clip,
        **config.augment.to_dict(),
        damaged=config.data.damaged,
        batch_size=parallel.per_process(config.train.batch_size, mesh, 'train.batch_size'),
        balanced_sampling=config.train.balanced_sampling,
        seed=config.seed,
        start_step=start_step,
        workers=config.run.workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
    )


def scored_batches(config: ConfigDict, source: VideoSource, section: str, mesh: parallel.Mesh) -> pipeline.EvalBatches:
    """This process's share of all videos, in all views of the protocol of that section, [B V T H W C]."""
    taken, rest = protocol(config, section)
    return pipeline.eval_batches(
        source,
        **config.clip,
        **taken,
        damaged=config.data.damaged,
        batch_size=parallel.filled(rest['batch_size'], mesh) // jax.process_count(),
        workers=config.run.workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
    )


def centre_views(
    source: Videos, config: ConfigDict, section: str, *, batch_size: int, workers: int
) -> pipeline.EvalBatches:
    """Batches of every video in one view, [B 1 T H W C], the centre as that section of the config takes it.

    This process reads all of them.
    """
    return pipeline.eval_batches(
        source,
        **config.clip,
        clips=1,
        crops=1,
        short_side=config[section].short_side,
        size=config[section].size,
        damaged=config.data.damaged,
        batch_size=batch_size,
        workers=workers,
        shard_index=0,
        shard_count=1,
    )


def protocol(config: ConfigDict, section: str) -> tuple[dict[str, int], dict[str, Any]]:
    """What the pipeline takes of a section of the config, and the rest of it."""
    taken = dict(config[section])
    return taken, {key: taken.pop(key) for key in ('split', 'batch_size', 'average', 'views_at_once')}


def called_before(call: Callable[[], None], batches: Iterable) -> Iterator:
    """The batches, with the call before each of them."""
    batches = iter(batches)
    while True:
        call()
        try:
            yield next(batches)
        except StopIteration:
            return
