"""What must fit together in a config, its devices, its videos and its network, before anything expensive begins."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import VideoSource
from dnr_jax.data.transforms import train_transform
from dnr_jax.evaluation import multi_view, precise_statistics
from dnr_jax.evaluation.batches import SCORED, steps_per_epoch, training_shape, views_shape
from dnr_jax.registry import choose
from dnr_jax.runs import config_ranges
from dnr_jax.training.parts import Parts


def expect_sound(config: ConfigDict, mesh: parallel.Mesh) -> None:
    """Raises ValueError for keys out of range, a batch that devices cannot share, and views not within their frames."""
    config_ranges.expect(config)
    parallel.per_process(config.train.batch_size, mesh, 'train.batch_size')
    for section in SCORED:
        multi_view.expect(config[section], section)
    precise_statistics.expect_sets(config)


def expect_videos(config: ConfigDict, train: VideoSource) -> None:
    """Raises ValueError for videos that nothing can be learned of like that: labels, clips, length of the training."""
    expect_labels(train)
    expect_clips(config, train.label_names)
    expect_warmed_up(config, steps_per_epoch(config, len(train)) * config.train.epochs)


def expect_fitting(config: ConfigDict, parts: Parts) -> None:
    """Raises ValueError for what fits no layer of the model, or not the clips of a step."""
    batch_stats = parts.shapes().batch_stats
    expect_frozen(config.model.norm.frozen_statistics, batch_stats)
    if parts.frozen_step and not batch_stats:
        raise ValueError(
            f'config.train.statistics_until={config.train.statistics_until:g} is for running statistics, and norms '
            f"'{config.model.norms}' keep none: expected 1."
        )
    expect_steps_that_fit(config, parts)


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


def expect_steps_that_fit(config: ConfigDict, parts: Parts) -> None:
    """Traces all steps over the shapes that they are to take; what does not fit is a ValueError."""

    def traced(step: Callable, state: Any, clip_shape: tuple[int, ...]) -> Any:
        return jax.eval_shape(step, *parallel.taken(state, clip_shape, parts.mesh))

    state = parts.shapes()
    for step in filter(None, (parts.train_step, parts.frozen_step)):
        traced(step, state, training_shape(config))
    variables = state.variables
    if parts.observe:
        _, of_devices = traced(parts.observe, variables, training_shape(config))
        if config.run.self_inclusive:  # by which alone scores are taken with statistics of every hop
            per_hop = jax.tree.map(lambda of: jax.ShapeDtypeStruct(of.shape[1:], of.dtype), of_devices)
            variables = {**variables, 'batch_stats': per_hop}
    for section in SCORED:
        traced(parts.predict[section], variables, views_shape(config, section, parts.mesh))
