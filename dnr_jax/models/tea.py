"""TEA: a Res2Net whose blocks weigh channels by motion and aggregate frames over several ranges.

    1x1, norm, ReLU, motion excitation, four groups of channels through multiple temporal aggregation, 1x1, norm

*Motion excitation* takes the difference of neighbouring frames, through few channels, as a gate: channels that see
motion grow by up to a half, others shrink. In *multiple temporal aggregation* every group is mixed along time; the
first three are then convolved 3x3, the second and third with what the group before has become added to them, and so
see further in time and space. In the first block of a stage, whose stride shrinks them, groups are apart, and the last
is averaged 3x3. Information moves both ways in time; clips may have any number of frames.

Norms: cross-layer after the first convolution, at the same 4 w channels throughout a stage; the second word stands
after each of the three 3x3 convolutions, so that a cross-temporal block has three cells of w channels; the third after
the last 1x1. The two norms within the motion excitation are batch norms under every preset: they are part of a gate,
not of the features. Groups of channels for group norms must divide both 26 and 64 at full width: 1 or 2.

Source: Li et al., "TEA: Temporal Excitation and Aggregation for Action Recognition", CVPR 2020, as in
github.com/Phoenix1327/tea-action-recognition; Res2Net (26 wide, 4 scales): Gao et al., TPAMI 2021.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from dnr_jax.models.layers import DepthwiseConv, SpatialConv, mean_pool
from dnr_jax.models.network import Block, Input, Output, without_carry
from dnr_jax.models.resnet import resnet
from dnr_jax.norms.relay import Carry
from dnr_jax.operations import Video, relu_of_sum, sum_neighbours

GROUPS = 4
REDUCTION = 16  # of channels within the motion excitation


class MotionExcitation(nn.Module):
    """x + x * (sigmoid(motion) - 1/2), motion per frame and channel; the last frame sees none: [B T H W C] -> same.

    Attributes: `norm` as `make_norm`; `dtype` of activations. The gate itself is float32.
    """

    norm: Callable[..., nn.Module]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video, train: bool) -> Video:
        channels = x.shape[-1]
        reduced = SpatialConv(max(1, channels // REDUCTION), 1, 1, self.dtype, name='reduce')(x)
        reduced = self.batch_norm(reduced, 'norm_reduce', train)
        transformed = DepthwiseConv(1, self.dtype, name='transform')(reduced)
        motion = jnp.pad(transformed[:, 1:] - reduced[:, :-1], [(0, 0), (0, 1)] + [(0, 0)] * 3)
        motion = motion.astype(jnp.float32).mean(axis=(2, 3), keepdims=True)
        motion = SpatialConv(channels, 1, 1, jnp.dtype('float32'), name='expand')(motion)
        motion = self.batch_norm(motion, 'norm_expand', train)
        return x + x * (nn.sigmoid(motion) - 0.5).astype(x.dtype)

    def batch_norm(self, x: Video, name: str, train: bool) -> Video:
        return without_carry(self.norm('batch', cell=None, name=name), x, train)


class TemporalConv(nn.Module):
    """Convolution of 3 frames for every channel by itself, no bias: [B T H W C] -> the same."""

    start: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Video) -> Video:
        return sum_neighbours(x, self.param('kernel', self.start, (3, 1, x.shape[-1])))


def stay(key, shape, dtype=jnp.float32):
    """Initializer: every frame as it is."""
    return jnp.zeros(shape, dtype).at[1].set(1)


def part_shift(key, shape, dtype=jnp.float32):
    """Initializer: the first half of channels from the next frame, the others from the previous one."""
    half = shape[-1] // 2
    return jnp.zeros(shape, dtype).at[2, :, :half].set(1).at[0, :, half:].set(1)


class TemporalAggregationBlock(Block):
    """1x1, motion excitation, multiple temporal aggregation over 3x3s, 1x1 to four times the features."""

    @staticmethod
    def widths(features: int) -> tuple[int, ...]:
        """Channels after each convolution; w after a 3x3, 26 for 64 features."""
        w = features * 26 // 64
        return GROUPS * w, w, 4 * features

    @nn.compact
    def __call__(self, x: Input, carry: Carry, train: bool) -> tuple[Output, Carry]:
        first, _, third = self.norms
        widths = self.widths(self.features)
        y = SpatialConv(widths[0], 1, 1, self.dtype, name='conv1')(x)
        y, carry = self.norm(first, cell=self.cell, name='norm1')(y, carry, train)
        y = MotionExcitation(self.norm, self.dtype, name='excitation')(nn.relu(y), train)
        y, carry = self.aggregate(y, carry, train)
        y = SpatialConv(widths[2], 1, 1, self.dtype, name='conv3')(y)
        y, carry = self.norm(third, cell=self.cell, name='norm3')(y, carry, train)
        return relu_of_sum(y + self.shortcut(x, y, train)), carry

    def aggregate(self, y: Input, carry: Carry, train: bool) -> tuple[Output, Carry]:
        """Multiple temporal aggregation of the groups of y, strided as the block."""
        *groups, last = jnp.split(y, GROUPS, axis=-1)
        outputs = []
        for i, group in enumerate(groups, start=1):
            if i > 1 and self.index > 0:
                group += outputs[-1]
            group = TemporalConv(stay, name=f'temporal{i}')(group)
            group = SpatialConv(group.shape[-1], 3, self.stride, self.dtype, name=f'conv2_{i}')(group)
            group, carry = self.norm(self.norms[1], cell=self.cell, name=f'norm2_{i}')(group, carry, train)
            outputs.append(nn.relu(group))
        last = TemporalConv(part_shift, name=f'temporal{GROUPS}')(last)
        if self.index == 0:
            last = mean_pool(last, self.stride)
        return jnp.concatenate([*outputs, last], axis=-1), carry


TEAS = {'tea_resnet50': partial(resnet, TemporalAggregationBlock, (3, 4, 6, 3))}
