"""What must fit together in a config, its devices, its videos and its network, before anything expensive begins."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import VideoSource
from dnr_jax.data.transforms import train_transform
from dnr_jax.evaluation import multi_view, precise_statistics
from dnr_jax.norms.statistics import clips_of_scope
from dnr_jax.registry import choose
from dnr_jax.runs import config_ranges

SCORED = ('validation', 'test')  # sections of the config that say how a score is taken


def expect_sound(config: ConfigDict, mesh: parallel.Mesh) -> None:
    """Raises ValueError for keys out of range, batches that devices cannot share, and views not within their frames."""
    config_ranges.expect(config)
    for section in ('train', *SCORED):
        parallel.per_process(config[section].batch_size, mesh, f'{section}.batch_size')
    for section in SCORED:
        multi_view.expect(config[section], section)
    precise_statistics.expect_sets(config, mesh)


def expect_labels(train: VideoSource) -> None:
    """Raises ValueError for videos without labels."""
    if train.unlabelled:
        raise ValueError(
            f'{train.name} has {train.unlabelled:,} videos without a label; expected a split of labelled ones.'
        )


def expect_clips(config: ConfigDict, label_names: Sequence[str]) -> None:
    """Raises ValueError for clips, of training or of a score, that can be made of no video."""
    sampling = choose(SAMPLINGS, config.clip.sampling, 'sampling')
    clip = {'frames': config.clip.frames, 'stride': config.clip.stride}
    sampling.train(1, **clip, rng=np.random.default_rng(config.seed))
    for section in SCORED:
        sampling.evaluate(1, **clip, clips=config[section].clips)
    augment = config.augment.to_dict()
    del augment['repeats']
    train_transform(label_names=label_names, **augment)


def expect_warmed_up(config: ConfigDict, total_steps: int) -> None:
    """Raises ValueError for a warm-up that the training does not see the end of."""
    warmup_steps = config.schedule.warmup_steps
    if warmup_steps and warmup_steps >= total_steps:
        raise ValueError(
            f'config.schedule.warmup_steps: expected fewer than the {total_steps:,} of the training, '
            f'got {warmup_steps:,}. Give fewer, in proportion to a larger batch or a shorter training.'
        )


def expect_frozen(pattern: str, batch_stats: Mapping) -> None:
    """Raises ValueError for a pattern of frozen statistics that is found in no module with statistics."""
    modules = sorted({path.rpartition('/')[0] for path in flatten_dict(batch_stats, sep='/')})
    if pattern and not any(re.search(pattern, module) for module in modules):
        raise ValueError(
            f"Pattern '{pattern}' of config.model.norm.frozen_statistics fits no norm; expected a regular expression "
            f'found in paths like {", ".join(modules[:3])}.'
        )


def clips_per_statistic(config: ConfigDict, mesh: parallel.Mesh) -> int:
    """How many clips share batch statistics; ValueError if devices or micro-batches cannot be divided like that."""
    on_device = config.train.batch_size // mesh.size
    parts = config.train.micro_batches
    if on_device % parts:
        raise ValueError(
            f'config.train.micro_batches divides the {on_device} clips of a device: expected a divisor, got {parts}.'
        )
    scope = config.model.norm.statistics_scope
    clips = clips_of_scope(scope, on_device // parts)
    return clips * mesh.size if scope == 'global' else clips
