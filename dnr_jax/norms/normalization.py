"""Normalization = standardization of the features, then a linear transform of them:

    y = scale * (x - mean) / sqrt(var + epsilon) + shift

A norm is put together from the two. Its *statistics*, see `statistics`, say over what `mean` and `var` are taken; its
*transform*, see `transforms`, where `scale` and `shift` come from. Both need only the moments of x per clip and
frame group, so one read of x serves statistics and relay alike, and a relayed norm costs what batch norm costs.

    norm(x, carry, train) -> (y, carry)      x, y: [B T H W C], carry (h, c): two of [B C]

Axes: B clips, T frames, G groups of consecutive frames, H W space, C channels. Statistics and transforms are float32
whatever the type of x.

Source: Cai, Yao, Chen, NeurIPS 2021; statistics as released in github.com/caidonkey/dnr.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.norms.relay import Carry, RelayCell, zero_carry
from dnr_jax.norms.statistics import BatchStatistics, GroupStatistics, moments
from dnr_jax.norms.transforms import (
    ClipTransform,
    CrossLayerTransform,
    CrossTemporalTransform,
    HopTransform,
    HopwiseTransform,
    StaticTransform,
)
from dnr_jax.operations import PerGroup, Video, multiply_add
from dnr_jax.registry import choose

Pooled = Float[Array, 'B T H2 W2 C']


def linear_transform(x: Video, mean: PerGroup, var: PerGroup, epsilon: float, scale: PerGroup, shift: PerGroup):
    """`scale * (x - mean) / sqrt(var + epsilon) + shift` as one multiply-add over x; [B T H W C] in the type of x."""
    slope = scale * lax.rsqrt(var + epsilon)
    return multiply_add(x, slope, shift - mean * slope)


class Norm(nn.Module):
    """Statistics and transform put together.

    Attributes:
      statistics, transform: constructors of the two parts.
      epsilon: added to the variance.
      stride: frames per group, that is per hop of a cross-temporal relay; None takes all frames as one group.
      by_hop: whether every group is standardized by itself, or all of them alike.
      clips_apart: whether statistics or transform tell clips apart.
    """

    statistics: Callable[..., nn.Module]
    transform: Callable[..., nn.Module]
    epsilon: float
    stride: int | None
    by_hop: bool
    clips_apart: bool

    @nn.compact
    def __call__(self, x: Video, carry: Carry, train: bool) -> tuple[Video, Carry]:
        of = moments(x, frame_groups(x.shape[1], self.stride), self.clips_apart)
        mean, var = self.statistics(name='statistics')(of if self.by_hop else of.of_whole_clips(), train)
        carry, (scale, shift) = self.transform(name='transform')(carry, of.mean)
        return linear_transform(x, mean, var, self.epsilon, scale, shift), carry


class PooledNorm(Norm):
    """`pool(norm(convolve()))` of a static norm and a maximum over windows, normalizing only what the maximum leaves.

    A multiply-add by a scale above zero keeps the order of values, rounded or not, so the maximum may come first, and
    leaves a quarter of them to be normalized. Channels of a scale below zero are turned round by the convolution.
    """

    pool: Callable[[Video], Pooled]

    @nn.compact
    def __call__(self, convolve: Callable[[Float[Array, 'C']], Video], features: int, train: bool) -> Pooled:
        """`convolve(signs)` are the features, of so many channels, each times its sign."""
        shape_alone = jnp.zeros((1, 1, features))  # is what a static transform looks at
        _, (scale, shift) = self.transform(name='transform')(zero_carry(1, features), shape_alone)
        sign = jnp.where(scale < 0, -1.0, 1.0)
        x = convolve(sign[0, 0])
        turned = moments(x, 1, self.clips_apart)
        mean, var = self.statistics(name='statistics')(turned._replace(mean=sign * turned.mean), train)
        return linear_transform(self.pool(x), sign * mean, var, self.epsilon, sign * scale, shift)


class NoNorm(nn.Module):
    """Leaves x and the carry as they are."""

    def __call__(self, x: Video, carry: Carry, train: bool) -> tuple[Video, Carry]:
        return x, carry


class Pool(nn.Module):
    """`pool(convolve())` without a norm, see `PooledNorm`."""

    pool: Callable[[Video], Pooled]

    def __call__(self, convolve: Callable[[Float[Array, 'C']], Video], features: int, train: bool) -> Pooled:
        return self.pool(convolve(jnp.ones(features)))


def frame_groups(frames: int, stride: int | None) -> int:
    """G, the hops of a relay of `stride` frames each; ValueError, naming the strides that fit, if T is no multiple."""
    if stride is None:
        return 1
    if stride < 1 or frames % stride:
        fitting = ', '.join(str(s) for s in range(1, frames + 1) if frames % s == 0)
        raise ValueError(
            f'The relay stride must divide the number of frames: got stride {stride} for T = {frames} frames; '
            f'strides that fit: {fitting}.'
        )
    return frames // stride


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


def batch_statistics(of: Settings) -> Callable[..., nn.Module]:
    return partial(BatchStatistics, of.statistics_scope, of.momentum, of.running_per_hop, of.frozen_statistics)


def group_statistics(of: Settings) -> Callable[..., nn.Module]:
    return partial(GroupStatistics, of.groups)


# Constructors of statistics, from the settings.
STATISTICS = {'none': None, 'batch': batch_statistics, 'group': group_statistics}


class Transform(NamedTuple):
    """A transform by name.

    Attributes:
      make: its constructor, from the settings, the gain of the word and the cell of the stage.
      by_hop: whether there is one for each frame group, or one for the whole clip.
      own: whether it tells clips apart.
      of_stage: whether it takes the cell of its stage.
    """

    make: Callable[[Settings, float, RelayCell | None], Callable[..., nn.Module]]
    by_hop: bool
    own: bool
    of_stage: bool


TRANSFORMS = {
    'none': None,
    'static': Transform(lambda of, gain, cell: partial(StaticTransform, gain), False, False, False),
    'hopwise': Transform(lambda of, gain, cell: partial(HopwiseTransform, gain), True, False, False),
    'clip': Transform(lambda of, gain, cell: partial(ClipTransform, cell, gain), False, True, True),
    'hop': Transform(lambda of, gain, cell: partial(HopTransform, of.reduction, gain), True, True, False),
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
    """

    statistics: str
    transform: str
    gain: float = 1.0
    by_hop: bool = True
    onward: bool = False

    def __post_init__(self):
        parts = choose(STATISTICS, self.statistics, 'statistics'), choose(TRANSFORMS, self.transform, 'transform')
        if None in parts and parts != (None, None):
            raise ValueError(f"A norm has statistics and transform, or 'none' for both, got {self}.")


# One word per norm; a new norm is a new row. Those after the blank line are no part of the released method: the scale
# of a relay starts at sigmoid(0) * sigmoid(0) = 1/4, that of a unit relay, four times as large, at 1, and that of a
# quarter norm, which has no relay, at 1/4; a whole relay along frames scales and shifts hop by hop what is standardized
# by the statistics of all frames; an onward relay along layers begins every stage with the state that the last one
# left. Unrelayed cells hear of nothing before, and a hopwise norm has no cell: what a relay is ahead of the first is
# owed to the relay, and of the second to the clip.
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
    'hopwise': Parts('batch', 'hopwise'),
    'hopwise_quarter': Parts('batch', 'hopwise', gain=0.25),
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
    if isinstance(norms, str):
        words = norms.split(',') if ',' in norms else choose(PRESETS, norms, 'norm preset')[:convolutions]
    else:
        words = norms
    words = tuple(word.strip() for word in words)
    for word in words:
        choose(NORMS, word, 'norm')
    if len(words) != convolutions:
        raise ValueError(
            f'Expected one norm per convolution of a block, {convolutions} words, got {len(words)}: {words}. '
            f'Presets: {", ".join(PRESETS)}.'
        )
    return words


def is_cross_layer(word: str) -> bool:
    """Whether this norm reads the whole clip by the cell of its stage."""
    transform = TRANSFORMS[NORMS[word].transform]
    return transform is not None and transform.of_stage


def goes_on(word: str) -> bool:
    """Whether the carry of this norm goes on from stage to stage."""
    return NORMS[word].onward


def plain(word: str) -> str:
    """The static norm over the same statistics, for the stem and the shortcuts, where no relay stands."""
    return NORMS[word].statistics


def make_norm(
    word: str,
    *,
    cell: RelayCell | None,
    name: str,
    pool: Callable[[Video], Pooled] | None = None,
    **settings,
) -> nn.Module:
    """The norm of that word (see NORMS) under these `Settings`; ValueError if the word is unknown.

    `cell` is the stage's, for cross-layer norms. With a `pool` behind it, a static norm is called as `PooledNorm` is.
    """
    parts, of = choose(NORMS, word, 'norm'), Settings(**settings)
    if parts.statistics == 'none':
        return Pool(pool, name=name) if pool else NoNorm(name=name)
    transform = TRANSFORMS[parts.transform]
    assert not (transform.of_stage and cell is None), 'the stage hands its cell to every block'
    plain_of_batch = parts.statistics == 'batch' and not (transform.own or transform.by_hop)
    alike = plain_of_batch and of.statistics_scope in ('device', 'global')
    put_together = {
        'statistics': STATISTICS[parts.statistics](of),
        'transform': transform.make(of, parts.gain, cell),
        'epsilon': of.epsilon,
        'stride': of.stride if transform.by_hop else None,
        'by_hop': parts.by_hop,
        'clips_apart': not alike,
    }
    return PooledNorm(**put_together, pool=pool, name=name) if pool else Norm(**put_together, name=name)
