"""Bottleneck ResNets whose convolutions also reach over time, [B T H W C]: SlowOnly and I3D.

A ResNet whose first convolution of some blocks is 3 x 1 x 1 instead of 1 x 1 x 1. SlowOnly inflates the last two
stages and keeps every frame. I3D inflates every other block and the stem (5 x 7 x 7), and shortens clips:

    i3d_resnet50       as in mmaction2: stem, its max-pool and the pool after stage 1 halve T each, 32 -> 16 -> 8 -> 4
    i3d_resnet50_8x8   as in PySlowFast: only the pool after stage 1 does, 8 -> 4

Norms stand as in the 2D network: cross-layer after the first convolution of a block, whose width repeats within the
stage; cross-temporal after the second, the spatial one; a plain norm after the third. A relay over frames follows
the T of its layer, so its stride must divide T wherever clips have been shortened to.

The last scale of a block starts at zero, but for `i3d_resnet50`, as in the sources.

Source: Feichtenhofer et al., "SlowFast", ICCV 2019 (its slow pathway alone); Carreira, Zisserman, "Quo Vadis",
CVPR 2017, as a ResNet by Wang et al., "Non-local Neural Networks", CVPR 2018; both in the form of
open-mmlab/mmaction2 and facebookresearch/SlowFast, which differ in I3D alone: its time strides and its last scales.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dnr_jax import operations
from dnr_jax.models.layers import PerFeature, SpatialConv, kaiming_fan_out, times_each
from dnr_jax.models.network import Block, Network, Output
from dnr_jax.norms.relay import Carry, zero_carry
from dnr_jax.norms.transforms import StaticTransform
from dnr_jax.norms.words import NORMS, norm_slots
from dnr_jax.operations import Video, relu_of_sum

Frames = Float[Array, 'B T2 H W D']


class TemporalConv(nn.Module):
    """kt x 1 x 1 convolution, no bias: [B T H W C] -> [B T' H W D]; the kernel is [kt 1 1 C D].

    One convolution of 1x1 gives what every frame tells each of its neighbours, [N C] @ [C kt*D], and shifted sums
    collect it; where a stride skips frames, one over stacked neighbours does. XLA's convolution over frames is as fast
    forward on CPUs, but its gradients, that of the kernel above all, take up to three times as long; its 3D one is
    slower still.
    """

    features: int
    kernel: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video, times: PerFeature | None = None) -> Output:
        shape = self.kernel, 1, 1, x.shape[-1], self.features
        kernel = times_each(self.param('kernel', kaiming_fan_out, shape), times)
        kernel, x = kernel[:, 0].astype(self.dtype), x.astype(self.dtype)
        if self.stride > 1:
            x = frames_around(x, self.kernel, self.stride)
            return operations.convolution(x, kernel.reshape(1, 1, -1, self.features), 1)
        told = operations.convolution(x, jnp.moveaxis(kernel, 0, 2).reshape(1, 1, x.shape[-1], -1), 1)
        return operations.shifted_sum(told, self.kernel)


class StemConv(nn.Module):
    """kt x 7 x 7 convolution of spatial stride 2, no bias: [B T H W C] -> [B T' H' W' D]; the kernel is [kt 7 7 C D].

    A 2D convolution over the kt frames around each frame, stacked in channels: for the few channels of pixels this is
    8 to 17 times faster than XLA's 3D convolution, forward and backward on CPUs.
    """

    features: int
    kernel: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video, times: PerFeature | None = None) -> Output:
        shape = self.kernel, 7, 7, x.shape[-1], self.features
        kernel = times_each(self.param('kernel', kaiming_fan_out, shape), times)
        x = frames_around(x.astype(self.dtype), self.kernel, self.stride)
        kernel = jnp.moveaxis(kernel, 0, 2).reshape(7, 7, -1, self.features).astype(self.dtype)
        return operations.convolution(x, kernel, 2)


def frames_around(x: Video, kernel: int, stride: int) -> Float[Array, 'B T2 H W D']:
    """Every stride-th frame stacked with its neighbours, zeros beyond the clip: [B T' H W kernel*C]."""
    padded = jnp.pad(x, [(0, 0), (kernel // 2, kernel // 2), (0, 0), (0, 0), (0, 0)])
    return jnp.concatenate([padded[:, i : i + x.shape[1] : stride] for i in range(kernel)], axis=-1)


def max_of_pairs(x: Video) -> Frames:
    """The maximum of every two frames, without an odd last one; ValueError for a single frame, which has no pair."""
    if x.shape[1] < 2:
        raise ValueError('The pool after stage 1 takes frames by twos, got T = 1 frame there; give longer clips.')
    odd = x[:, 1::2]
    return jnp.maximum(x[:, ::2][:, : odd.shape[1]], odd)


def apply_norm(norm: nn.Module, x: Video, carry: Carry, train: bool) -> tuple[Video, Carry]:
    """norm(x, carry, train), whose ValueError also says at which layer and for what T: clips shorten on their way."""
    try:
        return norm(x, carry, train)
    except ValueError as error:
        layer, frames = '/'.join(norm.path), x.shape[1]
        raise ValueError(f'At {layer}, where clips have T = {frames} (longer clips have more): {error}') from error


class Bottleneck3D(Block):
    """kt x 1 x 1, 1 x 3 x 3 with the stride, 1 x 1 x 1 to four times the features.

    Further attributes: `kernel` is kt; `from_zero`, whether the scale of the last norm, where static, starts at zero.
    """

    kernel: int
    from_zero: bool

    @staticmethod
    def widths(features: int) -> tuple[int, ...]:
        """Channels after each convolution."""
        return features, features, 4 * features

    @nn.compact
    def __call__(self, x: Video, carry: Carry, train: bool) -> tuple[Output, Carry]:
        first, second, third = self.norms
        temporal = SpatialConv if self.kernel == 1 else TemporalConv
        y = temporal(self.features, self.kernel, 1, self.dtype, name='conv1')(x)
        y, carry = apply_norm(self.norm(first, cell=self.cell, name='norm1'), y, carry, train)
        y = nn.relu(y)
        y = SpatialConv(self.features, 3, self.stride, self.dtype, name='conv2')(y)
        y, carry = apply_norm(self.norm(second, cell=self.cell, name='norm2'), y, carry, train)
        y = nn.relu(y)
        y = SpatialConv(4 * self.features, 1, 1, self.dtype, name='conv3')(y)
        y, carry = apply_norm(self.last_norm(third), y, carry, train)
        return relu_of_sum(y + self.shortcut(x, y, train)), carry

    def last_norm(self, word: str) -> nn.Module:
        if self.from_zero and NORMS[word].transform == 'static':
            template = self.norm(word, cell=None, name='norm3_template')
            return template.clone(transform=partial(StaticTransform, 0.0), parent=self, name='norm3')
        return self.norm(word, cell=self.cell, name='norm3')


class Pathway(Network):
    """Stem and stages by themselves: x = stem(clip, train), then x, carry = stage(x, carry, train) of `stages`.

    Attributes:
      kernels: for each stage, the extent in time of every block's first convolution.
      stem_kernel: extent in time of the stem. stem_stride: time stride of its convolution, and of its max-pool.
      from_zero: whether the last scale of a block starts at zero.
    """

    kernels: tuple[tuple[int, ...], ...]
    stem_kernel: int
    stem_stride: int
    from_zero: bool

    def setup(self):
        if self.stem_kernel == 1:
            self.conv_stem = SpatialConv(self.width, 7, 2, self.dtype)
        else:
            self.conv_stem = StemConv(self.width, self.stem_kernel, self.stem_stride, self.dtype)
        self.norm_stem = self.pooled_norm('norm_stem')
        self.stages = [self.stage_of(i, kernels) for i, kernels in enumerate(self.kernels)]

    def stage_of(self, i: int, kernels: tuple[int, ...]) -> nn.Module:
        blocks = tuple(partial(Bottleneck3D, kernel=kernel, from_zero=self.from_zero) for kernel in kernels)
        return self.stage(i, blocks, Bottleneck3D.widths, self.width * 2**i, 1 if i == 0 else 2)

    def stem(self, clip: Video, train: bool) -> Output:
        x = self.norm_stem(partial(self.conv_stem, clip), self.width, train)
        return nn.relu(x)[:, :: self.stem_stride]


class ResNet3D(Pathway):
    """A pathway and a head. Further attribute: `halves`, whether a pool after stage 1 halves the frames."""

    halves: bool

    @nn.compact
    def __call__(self, clip: Float[Array, 'B T H W 3'], train: bool) -> Float[Array, 'B *features']:
        x, carry = self.stem(clip, train), zero_carry(len(clip), self.width)
        for i, stage in enumerate(self.stages):
            x, carry = stage(x, carry, train)
            if i == 0 and self.halves:
                x = max_of_pairs(x)
        return self.classify(x, train)


def resnet3d(kernels, *, norms, **settings) -> ResNet3D:
    """A ResNet3D; `norms` is a preset's name or one word per convolution."""
    return ResNet3D(kernels=kernels, norms=norm_slots(norms, len(Bottleneck3D.widths(1))), **settings)


SLOW_KERNELS = {
    'resnet50': ((1,) * 3, (1,) * 4, (3,) * 6, (3,) * 3),
    'resnet101': ((1,) * 3, (1,) * 4, (3,) * 23, (3,) * 3),
}
I3D_KERNELS = (3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1)

SLOWONLYS = {
    f'slowonly_{depth}': partial(resnet3d, kernels, stem_kernel=1, stem_stride=1, halves=False, from_zero=True)
    for depth, kernels in SLOW_KERNELS.items()
}
I3DS = {
    'i3d_resnet50': partial(resnet3d, I3D_KERNELS, stem_kernel=5, stem_stride=2, halves=True, from_zero=False),
    'i3d_resnet50_8x8': partial(resnet3d, I3D_KERNELS, stem_kernel=5, stem_stride=1, halves=True, from_zero=True),
}
