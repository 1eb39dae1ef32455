"""Normalization = standardization of the features, then a linear transform of them:

    y = scale * (x - mean) / sqrt(var + epsilon) + shift

A norm is put together from the two. Its *statistics*, see `statistics`, say over what `mean` and `var` are taken
(batch or group); its *transform* says where `scale` and `shift` come from: learned once for all videos (static), or
relayed from the previous layer or the previous frames of this very clip. Both need only the moments of x per clip and
frame group, so one read of x serves statistics and relay alike, and a relayed norm costs what batch norm costs.

    norm(x, carry, train) -> (y, carry)      x, y: [B T H W C], carry (h, c): two of [B C]

Static norms pass the carry through, the cross-layer norm moves it, the cross-temporal norm starts its own.

Axes: B clips, T frames, G groups of consecutive frames, H W space, C channels. Statistics and transforms are float32
whatever the type of x.

Source: Cai, Yao, Chen, NeurIPS 2021; statistics as released in github.com/caidonkey/dnr.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.forms import PerGroup, Video, multiply_add
from dnr_jax.registry import choose
from dnr_jax.relay import Carry, RelayCell, relay_over_frames, zero_carry
from dnr_jax.statistics import BatchStatistics, GroupStatistics, moments

Pooled = Float[Array, 'B T H2 W2 C']


def linear_transform(x: Video, mean: PerGroup, var: PerGroup, epsilon: float, scale: PerGroup, shift: PerGroup):
    """`scale * (x - mean) / sqrt(var + epsilon) + shift` as one multiply-add over x; [B T H W C] in the type of x."""
    slope = scale * lax.rsqrt(var + epsilon)
    return multiply_add(x, slope, shift - mean * slope)


# Transforms: transform(carry, pooled) -> (carry, (scale, shift)), pooled [B G C], scale and shift [1 G C] or [B G C]


class StaticTransform(nn.Module):
    """One learned scale and shift per channel for all videos: what the relay replaces. The scale begins at `start`."""

    start: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: PerGroup) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        scale = self.param('scale', nn.initializers.constant(self.start), pooled.shape[-1:])
        shift = self.param('shift', nn.initializers.zeros, pooled.shape[-1:])
        return carry, (scale[None, None], shift[None, None])


class CrossLayerTransform(nn.Module):
    """One hop along the layers: the cell of the stage reads the whole clip and the state of the layer before.

    The scale is `gain` times that of the cell.
    """

    cell: RelayCell
    gain: float

    def __call__(self, carry: Carry, pooled: Float[Array, 'B 1 C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        carry, (scale, shift) = self.cell(carry, pooled[:, 0])
        return carry, (self.gain * scale[:, None], shift[:, None])


class CrossTemporalTransform(nn.Module):
    """A relay along the frame groups with this layer's own cell, from zero at the first frames.

    Where the collection 'stream' is mutable, the relay goes on from the state it holds there, and leaves its own.
    The scale is `gain` times that of the cell.
    """

    reduction: int
    gain: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: Float[Array, 'B G C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        clips, _, channels = pooled.shape
        cell = RelayCell(channels, self.reduction, name='relay')
        state = self.get_variable('stream', 'state', zero_carry(clips, channels))
        state, (scale, shift) = relay_over_frames(cell, state, pooled)
        if self.is_mutable_collection('stream') and not self.is_initializing():
            self.put_variable('stream', 'state', state)
        return carry, (self.gain * scale, shift)


# Norms: norm(x, carry, train) -> (y, carry)


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


class Parts(NamedTuple):
    """What a norm is put together from.

    Attributes:
      gain: times the scale of a relay; of a static transform, the scale at first.
      by_hop: see `Norm`.
      onward: whether the carry of a relay along layers goes on from stage to stage.
    """

    statistics: str
    transform: str
    gain: float = 1.0
    by_hop: bool = True
    onward: bool = False


# One word per norm; a new norm is a new row. The last five are no part of the released method: the scale of a relay
# starts at sigmoid(0) * sigmoid(0) = 1/4, that of a unit relay, four times as large, at 1, and that of a quarter norm,
# which has no relay, at 1/4; a whole relay along frames scales and shifts hop by hop what is standardized by the
# statistics of all frames; an onward relay along layers begins every stage with the state that the last one left.
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
    """Whether this norm moves the carry, and so needs the cell of its stage."""
    return NORMS[word].transform == 'cross_layer'


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
    stride: int,
    reduction: int,
    statistics_scope: str,
    momentum: float,
    running_per_hop: bool,
    frozen_statistics: str,
    epsilon: float,
    groups: int,
    name: str,
    pool: Callable[[Video], Pooled] | None = None,
) -> nn.Module:
    """The norm of that word (see NORMS); `cell` is the stage's, for cross-layer norms; ValueError if unknown.

    With a `pool` behind it, a static norm is called as `PooledNorm` is.
    """
    parts = choose(NORMS, word, 'norm')
    if word == 'none':
        return Pool(pool, name=name) if pool else NoNorm(name=name)
    over_time = parts.transform == 'cross_temporal'

    def make_statistics(name):
        if parts.statistics == 'batch':
            return BatchStatistics(statistics_scope, momentum, running_per_hop, frozen_statistics, name=name)
        return GroupStatistics(groups, name=name)

    def make_transform(name):
        if is_cross_layer(word):
            assert cell is not None, 'the stage hands its cell to every block'
            return CrossLayerTransform(cell, parts.gain, name=name)
        if over_time:
            return CrossTemporalTransform(reduction, parts.gain, name=name)
        return StaticTransform(parts.gain, name=name)

    stride_of_relay = stride if over_time else None
    alike = (parts.statistics, parts.transform) == ('batch', 'static') and statistics_scope in ('device', 'global')
    settings = make_statistics, make_transform, epsilon, stride_of_relay, parts.by_hop, not alike
    return PooledNorm(*settings, pool, name=name) if pool else Norm(*settings, name=name)
