"""Normalization = standardization of the features, then a linear transform of them:

    y = scale * (x - mean) / sqrt(var + epsilon) + shift

A norm is put together from the two, see `words`. Its *statistics*, see `statistics`, say over what `mean` and `var` are
taken; its *transform*, see `transforms`, where `scale` and `shift` come from. Both need only the moments of x per clip
and frame group, so one read of x serves statistics and relay alike, and a relayed norm costs what batch norm costs.

    norm(x, carry, train) -> (y, carry)      x, y: [B T H W C], carry (h, c): two of [B C]

Axes: B clips, T frames, G groups of consecutive frames, H W space, C channels. Statistics and transforms are float32
whatever the type of x.

Source: Cai, Yao, Chen, NeurIPS 2021; statistics as released in github.com/caidonkey/dnr.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.norms.relay import Carry, zero_carry
from dnr_jax.norms.statistics import moments
from dnr_jax.operations import PerGroup, Video, multiply_add

Pooled = Float[Array, 'B T H2 W2 C']


def linear_transform(x: Video, mean: PerGroup, var: PerGroup, epsilon: float, scale: PerGroup, shift: PerGroup):
    """`scale * (x - mean) / sqrt(var + epsilon) + shift` as one multiply-add over x; [B T H W C] in the type of x."""
    slope = scale * lax.rsqrt(var + epsilon)
    return multiply_add(x, slope, shift - mean * slope)


class Norm(nn.Module):
    """Statistics and transform put together.

    Attributes:
      statistics, transform: constructors of the two parts.
      reading: constructor of what the transform is given in place of the means themselves, or None; see `readings`.
      epsilon: added to the variance.
      stride: frames per group, that is per hop of a cross-temporal relay; None takes all frames as one group.
      by_hop: whether every group is standardized by itself, or all of them alike.
      clips_apart: whether statistics or transform tell clips apart.
    """

    statistics: Callable[..., nn.Module]
    transform: Callable[..., nn.Module]
    reading: Callable[..., nn.Module] | None
    epsilon: float
    stride: int | None
    by_hop: bool
    clips_apart: bool

    @nn.compact
    def __call__(self, x: Video, carry: Carry, train: bool) -> tuple[Video, Carry]:
        of = moments(x, frame_groups(x.shape[1], self.stride), self.clips_apart)
        statistics = self.statistics(name='statistics')
        read = self.reading(name='reading')(of.mean, statistics, train) if self.reading else of.mean
        mean, var = statistics(of if self.by_hop else of.of_whole_clips(), train)
        carry, (scale, shift) = self.transform(name='transform')(carry, read)
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
