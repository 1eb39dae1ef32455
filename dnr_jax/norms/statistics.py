"""Statistics: over what mean and variance of a feature are taken, to standardize it.

    moments(x, groups) -> Moments                       one read of x, [B T H W C]
    statistics(moments, train) -> (mean, var)           [1 G C] or [B G C]

Of a batch, whose running averages evaluation uses, or of each clip alone and groups of its channels.

Axes: B clips, S sets of clips that share statistics, T frames, G groups of consecutive frames, H W space, C channels.
Float32 whatever the type of x.

Source: Ioffe, Szegedy, "Batch Normalization", ICML 2015; as released in github.com/caidonkey/dnr.
"""

import re
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.operations import PerGroup, Video, mean_and_square
from dnr_jax.parallel import CLIPS_AXIS


class Moments(NamedTuple):
    """Mean and mean of squares of x over the frames and positions of each group, and how many there are."""

    mean: Float[Array, 'B G C']
    square: Float[Array, 'B G C']
    count: int

    def of_whole_clips(self) -> 'Moments':
        """Those of all groups together, [B 1 C]."""
        mean, square = (of.mean(axis=1, keepdims=True) for of in (self.mean, self.square))
        return Moments(mean, square, self.count * self.mean.shape[1])


def moments(x: Video, groups: int, clips_apart: bool) -> Moments:
    """One read of x for everything that statistics and relay need; B is 1 where clips need not be told apart.

    The variance is then mean of squares less square of mean: exact to float32 as long as |mean| is within a few
    hundred standard deviations, as activations of convolutions are.
    """
    mean, square = mean_and_square(x, groups, clips_apart)
    return Moments(mean, square, x.size // mean.size)


def variance(mean: Float[Array, '*of'], square: Float[Array, '*of']) -> Float[Array, '*of']:
    """The biased variance from a mean and a mean of squares."""
    return jnp.maximum(square - jnp.square(mean), 0.0)


class BatchStatistics(nn.Module):
    """Mean and biased variance per channel over a set of clips; in evaluation, their running averages.

    As released, one running pair serves all frame groups and is updated once per group, in order of time:
    r <- m^G r + (1 - m) sum_g m^(G-1-g) s_g. But each group is standardized alone in training, and the groups differ,
    since the relay starts from zero at the first: `running_per_hop` keeps a pair of running averages for each group,
    so that evaluation sees what training saw; T is then fixed. The running variance is fed the unbiased variance,
    and where several sets are at hand, both are fed the mean over the sets.

    Attributes:
      statistics_scope: the clips of one set: those of this 'device' (the method), of all devices ('global'), or a
        number of clips ('2'), by which the clips of this device are divided in their order. Where statistics are
        observed, 'global/2' divides those of all devices, so that a set may lie on several.
      momentum: m, the share of the old running value kept at each update (PyTorch's `momentum` is 1 - m).
      running_per_hop: whether every group has its own running pair, [G C], instead of one for all, [C].
      frozen: a regular expression; where it is found in the path of this module ('stage1/block1/norm1'), training
        too uses the running averages and leaves them as they are. Empty: nowhere.
    """

    statistics_scope: str
    momentum: float
    running_per_hop: bool
    frozen: str

    @nn.compact
    def __call__(self, of: Moments, train: bool) -> tuple[PerGroup, PerGroup]:
        clips, groups, channels = of.mean.shape
        shape = (groups, channels) if self.running_per_hop and groups > 1 else (channels,)
        running_mean = self.variable('batch_stats', 'mean', jnp.zeros, shape)
        running_var = self.variable('batch_stats', 'var', jnp.ones, shape)
        if not train or self.is_frozen:
            return self.running(channels)
        mean, square = self.over_sets(of.mean), self.over_sets(of.square)
        var = variance(mean, square)
        if not self.is_initializing():
            unbiased = var * bessel(self.clips_per_set(clips) * of.count)
            running_mean.value = self.relax(running_mean.value, mean.mean(axis=0))
            running_var.value = self.relax(running_var.value, unbiased.mean(axis=0))
        if len(mean) == 1:
            return mean, var
        return jnp.repeat(mean, clips // len(mean), axis=0), jnp.repeat(var, clips // len(var), axis=0)

    def running(self, channels: int) -> tuple[PerGroup, PerGroup]:
        """The running averages as they are, [1 G C], or [1 1 C] for one pair; zero and one before there are any."""
        mean = self.get_variable('batch_stats', 'mean', jnp.zeros(channels))
        var = self.get_variable('batch_stats', 'var', jnp.ones(channels))
        return mean.reshape(1, -1, channels), var.reshape(1, -1, channels)

    @property
    def is_frozen(self) -> bool:
        """Whether training leaves the running averages as they are."""
        return bool(self.frozen and re.search(self.frozen, '/'.join(self.path)))

    def over_sets(self, per_clip: Float[Array, 'B G C']) -> Float[Array, 'S G C']:
        """The mean over the clips of each set."""
        clips = len(per_clip)
        if self.statistics_scope == 'global':
            return lax.pmean(per_clip.mean(axis=0, keepdims=True), CLIPS_AXIS)
        if size := set_over_devices(self.statistics_scope):  # then one row for each clip, that of its set
            everywhere = lax.all_gather(per_clip, CLIPS_AXIS, tiled=True)
            of_sets = everywhere.reshape(-1, size, *per_clip.shape[1:]).mean(axis=1)
            start = lax.axis_index(CLIPS_AXIS) * clips
            return lax.dynamic_slice_in_dim(jnp.repeat(of_sets, size, axis=0), start, clips)
        return per_clip.reshape(-1, clips_of_scope(self.statistics_scope, clips), *per_clip.shape[1:]).mean(axis=1)

    def clips_per_set(self, clips: int) -> int:
        if self.statistics_scope == 'global':
            return clips * lax.axis_size(CLIPS_AXIS)
        return set_over_devices(self.statistics_scope) or clips_of_scope(self.statistics_scope, clips)

    def relax(self, running: Float[Array, '*pairs C'], per_group: Float[Array, 'G C']) -> Float[Array, '*pairs C']:
        for value in per_group if running.ndim == 1 else [per_group]:
            running = self.momentum * running + (1 - self.momentum) * value
        return running


def set_over_devices(scope: str) -> int:
    """Clips of a set that may lie on several devices; 0 for any other scope."""
    whole, _, clips = scope.partition('/')
    return int(clips) if whole == 'global' and clips.isdigit() else 0


def clips_of_scope(scope: str, clips: int) -> int:
    """Clips that share statistics, of the `clips` of a device; ValueError if the scope does not divide them."""
    if scope in ('device', 'global'):
        return clips
    if not scope.isdigit() or int(scope) < 1 or clips % int(scope):
        raise ValueError(
            "config.model.norm.statistics_scope is 'device', 'global', or a number of clips that divides the "
            f"{clips} of a device, got '{scope}'."
        )
    return int(scope)


def bessel(count: int) -> float:
    """From biased to unbiased variance; ValueError for a single value, which has none."""
    if count == 1:
        raise ValueError(
            'Batch statistics take a variance over clips, frames of a group and positions: expected at least 2 '
            'values per channel, got 1; give more clips per device, a longer relay stride or larger frames.'
        )
    return count / (count - 1)


class GroupStatistics(nn.Module):
    """Mean and biased variance of each clip alone, shared by `groups` groups of neighbouring channels.

    Source: Wu, He, "Group Normalization", ECCV 2018. Errors: ValueError if `groups` does not divide C.
    """

    groups: int

    def __call__(self, of: Moments, train: bool) -> tuple[PerGroup, PerGroup]:
        channels = of.mean.shape[-1]
        if channels % self.groups:
            raise ValueError(
                f'Group statistics split {channels} channels into groups of equal size, got {self.groups} groups; '
                f'set config.model.norm.groups to a divisor of {channels}.'
            )
        mean, square = self.shared(of.mean), self.shared(of.square)
        return mean, variance(mean, square)

    def shared(self, per_channel):
        per_channel_group = per_channel.reshape(*per_channel.shape[:-1], self.groups, -1).mean(axis=-1)
        return jnp.repeat(per_channel_group, per_channel.shape[-1] // self.groups, axis=-1)
