"""Statistics of the small sets of clips that training has, and evaluation has not. No part of the released method.

In training a clip is one of the B whose statistics it is standardized by, and so a part of them; in evaluation it is
standardized by averages over other clips. `SelfInclusiveStatistics` closes that gap in evaluation. For a clip of mean m
and variance v, where clips have the mean mu, the variance V within, and means of variance t2 (of each hop by itself):

    E[mean of the set] = m / B + (B - 1) / B mu
    E[var of the set]  = v / B + (B - 1) / B V + (B - 1) / B^2 ((m - mu)^2 + (B - 1) t2)

over B - 1 random companions: a prediction stays a function of its own clip alone. `RenormalizedStatistics` closes the
gap from the side of training instead.

Source: Singh, Shrivastava, "EvalNorm", ICCV 2019; Summers, Dinneen, "Four things everyone should know to improve batch
normalization", ICLR 2020; Ioffe, "Batch Renormalization", NeurIPS 2017.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from dnr_jax.norms.statistics import BatchStatistics, Moments, variance
from dnr_jax.operations import PerGroup


class SelfInclusiveStatistics(BatchStatistics):
    """In training those of a batch; in evaluation those that a set of `clips` with this one in it is expected to have.

    V and mu^2 + t2 are two more running averages, 'within' and 'square_of_means'; see `precise_statistics`, which takes
    them anew, for no training keeps them.
    """

    clips: int

    @nn.compact
    def __call__(self, of: Moments, train: bool) -> tuple[PerGroup, PerGroup]:
        mean, var = super().__call__(of, train)
        within_clips, of_means = variance(of.mean, of.square), jnp.square(of.mean)
        shape = self.get_variable('batch_stats', 'mean').shape
        within = self.variable('batch_stats', 'within', jnp.ones, shape)
        square = self.variable('batch_stats', 'square_of_means', jnp.zeros, shape)
        if self.is_frozen:
            return mean, var
        if train:
            if not self.is_initializing():
                within.value = self.relax(within.value, within_clips.mean(axis=0))
                square.value = self.relax(square.value, of_means.mean(axis=0))
            return mean, var
        within, square = (of.value.reshape(mean.shape) for of in (within, square))
        between, own, others = variance(mean, square), 1 / self.clips, (self.clips - 1) / self.clips
        apart = jnp.square(of.mean - mean) + (self.clips - 1) * between
        return own * of.mean + others * mean, own * within_clips + others * within + own * others * apart


class RenormalizedStatistics(BatchStatistics):
    """In training the statistics of the set, moved to the running averages by factors that have no gradient:

        y = (x - mean) / std * r + d      r = std / running std, d = (mean - running mean) / running std

    within limits, so that training standardizes as evaluation does. The paper begins as batch norm, r = 1 and d = 0,
    and widens the limits as training goes on. Here they are the same from the first step on, when the running averages
    are still 0 and 1. Until these are nine tenths of features, after 22 updates by a momentum of 0.9, what comes out
    has another scale and shift, up to the limits. Variables are those of batch norm, so a training may begin with the
    weights of one.

    Attributes:
      epsilon: added to both variances.
      most_r, most_d: r is from 1 / most_r to most_r, d from -most_d to most_d.
    """

    epsilon: float
    most_r: float
    most_d: float

    @nn.compact
    def __call__(self, of: Moments, train: bool) -> tuple[PerGroup, PerGroup]:
        running_mean, running_var = self.running(of.mean.shape[-1])
        mean, var = super().__call__(of, train)
        if not train or self.is_frozen:
            return mean, var
        std, running_std = jnp.sqrt(var + self.epsilon), jnp.sqrt(running_var + self.epsilon)
        r = lax.stop_gradient(jnp.clip(std / running_std, 1 / self.most_r, self.most_r))
        d = lax.stop_gradient(jnp.clip((mean - running_mean) / running_std, -self.most_d, self.most_d))
        return mean - d / r * std, jnp.square(std / r) - self.epsilon
