"""Norms by name: a word is its parts, statistics and a transform, each by the name of its constructor.

    make_norm('cross_temporal', stride=2, ...)      the norm of a word
    norm_slots('dnr', 3)                            ('cross_layer', 'cross_temporal', 'batch'), one for each convolution

Source: Cai, Yao, Chen, NeurIPS 2021, for the words of the released method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import flax.linen as nn

from dnr_jax.norms.normalization import NoNorm, Norm, Pool, Pooled, PooledNorm
from dnr_jax.norms.readings import DroppedReading, StandardizedReading
from dnr_jax.norms.relay import RelayCell
from dnr_jax.norms.set_statistics import RenormalizedStatistics, SelfInclusiveStatistics
from dnr_jax.norms.statistics import BatchStatistics, GroupStatistics
from dnr_jax.norms.transforms import (
    ClipTransform,
    CrossLayerTransform,
    CrossTemporalTransform,
    HopTransform,
    HopwiseTransform,
    ResidualTransform,
    StaticTransform,
    TimedTransform,
)
from dnr_jax.operations import Video
from dnr_jax.registry import choose


class Settings(NamedTuple):
    """What the norms of a network share: the section `model.norm` of a config."""

    stride: int
    reduction: int
    statistics_scope: str
    momentum: float
    running_per_hop: bool
    frozen_statistics: str
    epsilon: float
    groups: int
    renormalization: Sequence[float]
    reading_dropout: float


def batch_statistics(of: Settings, clips: int) -> Callable[..., nn.Module]:
    bound = of.statistics_scope, of.momentum, of.running_per_hop, of.frozen_statistics
    return partial(SelfInclusiveStatistics, *bound, clips) if clips else partial(BatchStatistics, *bound)


def renormalized_statistics(of: Settings, clips: int) -> Callable[..., nn.Module]:
    bound = of.statistics_scope, of.momentum, of.running_per_hop, of.frozen_statistics
    return partial(RenormalizedStatistics, *bound, of.epsilon, *of.renormalization)


def group_statistics(of: Settings, clips: int) -> Callable[..., nn.Module]:
    return partial(GroupStatistics, of.groups)


# Constructors of statistics, from the settings and the clips of the set that evaluation counts a clip into, or 0.
STATISTICS = {
    'none': None,
    'batch': batch_statistics,
    'renormalized': renormalized_statistics,
    'group': group_statistics,
}

# Constructors of readings, from the settings.
READINGS = {
    'means': None,
    'standardized': lambda of: partial(StandardizedReading, of.epsilon),
    'dropped': lambda of: partial(DroppedReading, of.reading_dropout),
}


class Transform(NamedTuple):
    """A transform by name.

    Attributes:
      make: its constructor, from the settings, the gain of the word and the cell of the stage.
      by_hop: whether there is one for each frame group, or one for the whole clip.
      own: whether it tells clips apart.
      of_stage: whether it takes the cell of its stage.
      timed: whether something of it is learned for every hop by itself.
    """

    make: Callable[[Settings, float, RelayCell | None], Callable[..., nn.Module]]
    by_hop: bool
    own: bool
    of_stage: bool
    timed: bool = False


TRANSFORMS = {
    'none': None,
    'static': Transform(lambda of, gain, cell: partial(StaticTransform, gain), False, False, False),
    'hopwise': Transform(lambda of, gain, cell: partial(HopwiseTransform, gain), True, False, False, timed=True),
    'clip': Transform(lambda of, gain, cell: partial(ClipTransform, cell, gain), False, True, True),
    'hop': Transform(lambda of, gain, cell: partial(HopTransform, of.reduction, gain), True, True, False),
    'timed': Transform(
        lambda of, gain, cell: partial(TimedTransform, of.reduction, gain), True, True, False, timed=True
    ),
    'cross_layer': Transform(lambda of, gain, cell: partial(CrossLayerTransform, cell, gain), False, True, True),
    'cross_temporal': Transform(
        lambda of, gain, cell: partial(CrossTemporalTransform, of.reduction, gain), True, True, False
    ),
}


@dataclass(frozen=True)
class Parts:
    """What a norm is put together from; ValueError where one of them has no constructor.

    Attributes:
      statistics, transform: keys of STATISTICS and TRANSFORMS; 'none' for both or for neither.
      gain: times the scale of a relay; of a static transform, the scale at first.
      by_hop: see `Norm`.
      onward: whether the carry of a relay along layers goes on from stage to stage.
      reading: key of READINGS, what a cell is given.
      residual: whether the transform is added to a static one, and begins at nothing.
    """

    statistics: str
    transform: str
    gain: float = 1.0
    by_hop: bool = True
    onward: bool = False
    reading: str = 'means'
    residual: bool = False

    def __post_init__(self):
        choose(READINGS, self.reading, 'reading')
        parts = choose(STATISTICS, self.statistics, 'statistics'), choose(TRANSFORMS, self.transform, 'transform')
        if None in parts and parts != (None, None):
            raise ValueError(f"A norm has statistics and transform, or 'none' for both, got {self}.")


# One word per norm; a new norm is a new row. Those after the blank line are no part of the released method: the scale
# of a relay starts at sigmoid(0) * sigmoid(0) = 1/4, that of a unit relay, four times as large, at 1, and that of a
# quarter norm, which has no relay, at 1/4; a whole relay along frames scales and shifts hop by hop what is standardized
# by the statistics of all frames; an onward relay along layers begins every stage with the state that the last one
# left. Unrelayed cells hear of nothing before and have no state side, which is half of a cell, biases and all (see
# `RelayCell.alone`), a timed one is told the time in its place, and a hopwise norm has no cell: what a relay is ahead
# of the second is owed to what it hears, and of the third to the clip. A residual relay begins as batch norm; a
# standardized one reads how its clip differs from others, one with dropout a part of what there is to read.
NORMS = {
    'none': Parts('none', 'none'),
    'batch': Parts('batch', 'static'),
    'group': Parts('group', 'static'),
    'cross_layer': Parts('batch', 'cross_layer'),
    'cross_temporal': Parts('batch', 'cross_temporal'),
    'cross_layer_group': Parts('group', 'cross_layer'),
    'cross_temporal_group': Parts('group', 'cross_temporal'),
    'cross_layer_unit': Parts('batch', 'cross_layer', gain=4.0),
    'cross_temporal_unit': Parts('batch', 'cross_temporal', gain=4.0),
    'batch_quarter': Parts('batch', 'static', gain=0.25),
    'cross_temporal_whole': Parts('batch', 'cross_temporal', by_hop=False),
    'cross_layer_onward': Parts('batch', 'cross_layer', onward=True),
    'cross_layer_unrelayed': Parts('batch', 'clip'),
    'cross_temporal_unrelayed': Parts('batch', 'hop'),
    'cross_temporal_timed': Parts('batch', 'timed'),
    'hopwise': Parts('batch', 'hopwise'),
    'hopwise_quarter': Parts('batch', 'hopwise', gain=0.25),
    'cross_layer_residual': Parts('batch', 'cross_layer', residual=True),
    'cross_temporal_residual': Parts('batch', 'cross_temporal', residual=True),
    'cross_layer_residual_unrelayed': Parts('batch', 'clip', residual=True),
    'cross_temporal_residual_unrelayed': Parts('batch', 'hop', residual=True),
    'cross_layer_standardized': Parts('batch', 'cross_layer', reading='standardized'),
    'cross_temporal_standardized': Parts('batch', 'cross_temporal', reading='standardized'),
    'cross_layer_dropout': Parts('batch', 'cross_layer', reading='dropped'),
    'cross_temporal_dropout': Parts('batch', 'cross_temporal', reading='dropped'),
    'batch_renormalized': Parts('renormalized', 'static'),
}

# One word per convolution of a bottleneck block (1x1, 3x3, 1x1); of a preset, a basic block (3x3, 3x3) takes the
# first two.
PRESETS = {
    'dnr': ('cross_layer', 'cross_temporal', 'batch'),
    'dnr_temporal': ('batch', 'cross_temporal', 'batch'),
    'dnr_layer': ('cross_layer', 'batch', 'batch'),
    'dnr_group': ('cross_layer_group', 'cross_temporal_group', 'group'),
    'batch': ('batch', 'batch', 'batch'),
    'group': ('group', 'group', 'group'),
    'none': ('none', 'none', 'none'),
}


def norm_slots(norms: str | Sequence[str], convolutions: int) -> tuple[str, ...]:
    """The norm after each convolution of a block, from a preset's name or one word per convolution ('a,b,c').

    ValueError if a word is unknown or their number is not that of the convolutions.
    """
    words = words_of(norms)
    if isinstance(norms, str) and norms in PRESETS:
        words = words[:convolutions]
    if len(words) != convolutions:
        raise ValueError(
            f'Expected one norm per convolution of a block, {convolutions} words, got {len(words)}: {words}. '
            f'Presets: {", ".join(PRESETS)}.'
        )
    return words


def words_of(norms: str | Sequence[str]) -> tuple[str, ...]:
    """The words of a preset, or those of 'a,b,c', as they are known; ValueError for one that is not."""
    if isinstance(norms, str):
        norms = norms.split(',') if ',' in norms else choose(PRESETS, norms, 'norm preset')
    words = tuple(word.strip() for word in norms)
    for word in words:
        choose(NORMS, word, 'norm')
    return words


def renormalized(norms: str | Sequence[str]) -> list[str]:
    """The words that standardize in training as in evaluation, by running averages, and not by the set of a clip."""
    return [word for word in words_of(norms) if NORMS[word].statistics == 'renormalized']


def is_cross_layer(word: str) -> bool:
    """Whether this norm reads the whole clip by the cell of its stage."""
    transform = TRANSFORMS[NORMS[word].transform]
    return transform is not None and transform.of_stage


def knows_time(word: str) -> bool:
    """Whether something of this norm is learned for every hop by itself, so that it needs the number of a hop."""
    transform = TRANSFORMS[NORMS[word].transform]
    return transform is not None and transform.timed


def goes_on(word: str) -> bool:
    """Whether the carry of this norm goes on from stage to stage."""
    return NORMS[word].onward


def plain(word: str) -> str:
    """The static norm over the same statistics, for the stem and the shortcuts, where no relay stands."""
    statistics = NORMS[word].statistics
    return 'batch_renormalized' if statistics == 'renormalized' else statistics


def make_norm(
    word: str,
    *,
    cell: RelayCell | None,
    name: str,
    pool: Callable[[Video], Pooled] | None = None,
    counted_into: int = 0,
    **settings,
) -> nn.Module:
    """The norm of that word (see NORMS) under these `Settings`; ValueError if the word is unknown.

    `cell` is the stage's, for cross-layer norms. With a `pool` behind it, a static norm is called as `PooledNorm` is.
    `counted_into` is the clips of the set that evaluation takes a clip as one of, see `SelfInclusiveStatistics`; norms
    that training does not standardize by sets stay as they are.
    """
    parts, of = choose(NORMS, word, 'norm'), Settings(**settings)
    if parts.statistics == 'none':
        return Pool(pool, name=name) if pool else NoNorm(name=name)
    transform = TRANSFORMS[parts.transform]
    assert not (transform.of_stage and cell is None), 'the stage hands its cell to every block'
    of_batch = parts.statistics in ('batch', 'renormalized') and not counted_into
    alike = of_batch and not (transform.own or transform.by_hop) and of.statistics_scope in ('device', 'global')
    make_reading, make_transform = READINGS[parts.reading], transform.make(of, parts.gain, cell)
    put_together = {
        'statistics': STATISTICS[parts.statistics](of, counted_into),
        'transform': partial(ResidualTransform, make_transform) if parts.residual else make_transform,
        'reading': make_reading and make_reading(of),
        'epsilon': of.epsilon,
        'stride': of.stride if transform.by_hop else None,
        'by_hop': parts.by_hop,
        'clips_apart': not alike,
    }
    return PooledNorm(**put_together, pool=pool, name=name) if pool else Norm(**put_together, name=name)
