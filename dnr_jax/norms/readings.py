"""Readings: what a cell is given in place of the means themselves. No part of the released method.

    reading(pooled, statistics, train) -> what the transform reads, [B G C] like `pooled`

`statistics` are those of the norm, a `BatchStatistics`. Axes: B clips, G groups of consecutive frames, C channels.
"""

import flax.linen as nn
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.norms.statistics import BatchStatistics


class StandardizedReading(nn.Module):
    """`(pooled - mean) / sqrt(var + epsilon)` by the running averages: how this clip differs from others."""

    epsilon: float

    def __call__(
        self, pooled: Float[Array, 'B G C'], statistics: BatchStatistics, train: bool
    ) -> Float[Array, 'B G C']:
        mean, var = map(lax.stop_gradient, statistics.running(pooled.shape[-1]))
        return (pooled - mean) * lax.rsqrt(var + self.epsilon)


class DroppedReading(nn.Module):
    """In training, each mean is dropped with a probability of `rate`, which the released cell has and does not use."""

    rate: float

    @nn.compact
    def __call__(
        self, pooled: Float[Array, 'B G C'], statistics: BatchStatistics, train: bool
    ) -> Float[Array, 'B G C']:
        return nn.Dropout(self.rate, deterministic=not train)(pooled)
