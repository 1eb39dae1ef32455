"""Layers shared by the backbone families, over [B T H W C]: convolutions of every frame, pooling, sums over
neighbouring frames, the classification head.

Padding is k // 2 on both sides, as in PyTorch, so that published weights fit; `SAME` would shift every strided layer.
"""

import functools
import itertools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.statistics import Video

kaiming_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
kaiming_fan_in = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class SpatialConv(nn.Module):
    """k x k convolution of every frame, no bias: [B T H W C] -> [B T H' W' D]; parameters stay float32.

    A 1x1 convolution is a matmul over channels; with a stride, of every other position only. Results of at most 2 x 2
    positions are a matmul too, over the windows they see: on CPUs, XLA's convolutions to so small maps, or their
    gradients, take up to fifty times as long. The kernel is [k k C D] always.
    """

    features: int
    kernel: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video) -> Float[Array, 'B T H2 W2 D']:
        k = self.kernel
        kernel = self.param('kernel', kaiming_fan_out, (k, k, x.shape[-1], self.features)).astype(self.dtype)
        x = x.astype(self.dtype)
        if k == 1 or max(x.shape[2:4]) <= 2 * self.stride:
            x = jnp.concatenate(shifted(x, k, self.stride), axis=-1)
            return matmul(x, kernel.reshape(-1, self.features))
        y = lax.conv_general_dilated(
            fold_frames(x),
            kernel,
            window_strides=(self.stride, self.stride),
            padding=[(k // 2, k // 2)] * 2,
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )
        return unfold_frames(y, x.shape[1])


def matmul(x: Video, kernel: Float[Array, 'C D']) -> Float[Array, 'B T H W D']:
    """x @ kernel, as a product of two axes: one over five makes XLA transpose the large gradient for the kernel's."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)


def shifted(x: Video, kernel: int, stride: int) -> list[Float[Array, 'B T H2 W2 C']]:
    """What each tap of a k x k convolution reads for every position, in the order of the kernel."""
    margin, (height, width) = kernel // 2, x.shape[2:4]
    padded = jnp.pad(x, [(0, 0), (0, 0), (margin, margin), (margin, margin), (0, 0)])
    taps = itertools.product(range(kernel), repeat=2)
    return [padded[:, :, i : i + height : stride, j : j + width : stride] for i, j in taps]


class DepthwiseConv(nn.Module):
    """3x3 convolution of every channel of every frame by itself, no bias: [B T H W C] -> [B T H' W' C].

    Taken as a sum of shifted slices: on CPUs, XLA's grouped convolution is many times slower forward. The kernel is
    [3 3 1 C]. It is drawn by its fan in, 9: by fan out, which counts the kernels of all channels, outputs would be ten
    to thirty times smaller than inputs, and a relay, which reads them before they are standardized, would hear little.
    """

    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video) -> Float[Array, 'B T H2 W2 C']:
        kernel = self.param('kernel', kaiming_fan_in, (3, 3, 1, x.shape[-1])).astype(self.dtype)
        taps = zip(kernel.reshape(9, 1, 1, 1, 1, -1), shifted(x.astype(self.dtype), 3, self.stride), strict=True)
        return functools.reduce(jnp.add, (tap * part for tap, part in taps))


def fold_frames(x):
    """[B T ...] -> [B*T ...]."""
    return x.reshape(-1, *x.shape[2:])


def unfold_frames(x, frames: int):
    """[B*T ...] -> [B T ...]."""
    return x.reshape(-1, frames, *x.shape[1:])


def max_pool(x: Video) -> Float[Array, 'B T H2 W2 C']:
    """3x3 maximum with stride 2 and padding 1 in every frame.

    Taken as maxima of shifted slices, along height and then width: the gradient of XLA's windowed maximum is a
    scatter, several times slower on CPUs and the one operation without a deterministic form on GPUs. Equal maxima
    share their gradient, where PyTorch gives it to the first: after a ReLU, ties are zeros, which pass none on.
    """
    over_height = _over_3(jnp.maximum, x, axis=2, stride=2, padding=-jnp.inf)
    return _over_3(jnp.maximum, over_height, axis=3, stride=2, padding=-jnp.inf)


def mean_pool(x: Video, stride: int) -> Float[Array, 'B T H2 W2 C']:
    """3x3 mean with padding 1 in every frame; the zeros of the padding count, as in PyTorch."""
    over_height = _over_3(jnp.add, x, axis=2, stride=stride, padding=0.0)
    return _over_3(jnp.add, over_height, axis=3, stride=stride, padding=0.0) / 9


def _over_3(combine, x, axis: int, stride: int, padding: float):
    width = [(0, 0)] * x.ndim
    width[axis] = (1, 1)
    padded = jnp.pad(x, width, constant_values=padding)
    end = stride * ((x.shape[axis] - 1) // stride) + 1
    shifted = (lax.slice_in_dim(padded, i, i + end, stride=stride, axis=axis) for i in range(3))
    return functools.reduce(combine, shifted)


def previous_frames(x):
    """Frame t of [B T ...] becomes t - 1; the first becomes zero."""
    return jnp.pad(x[:, :-1], [(0, 0), (1, 0)] + [(0, 0)] * (x.ndim - 2))


def next_frames(x):
    """Frame t of [B T ...] becomes t + 1; the last becomes zero."""
    return jnp.pad(x[:, 1:], [(0, 0), (0, 1)] + [(0, 0)] * (x.ndim - 2))


def sum_neighbours(x: Video, taps: Float[Array, '3 #B C']) -> Video:
    """taps[0] * x[t - 1] + taps[1] * x[t] + taps[2] * x[t + 1] per channel, with zeros beyond the clip."""
    before, here, after = taps.astype(x.dtype)[:, :, None, None, None]
    return before * previous_frames(x) + here * x + after * next_frames(x)


class Head(nn.Module):
    """Mean of the features over space and frames, dropout, linear classifier: [B T H W C] -> logits [B K].

    In full float32, whatever the accelerator's default precision.

    Source: `TSN2DHead` of open-mmlab/mmaction as configured in github.com/caidonkey/dnr: features, not logits, are
    averaged over frames; the linear layer starts at N(0, 0.01) with zero bias.
    """

    classes: int
    dropout: float

    @nn.compact
    def __call__(self, x: Video, train: bool) -> Float[Array, 'B K']:
        features = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        init = nn.initializers.normal(0.01)
        return nn.Dense(self.classes, kernel_init=init, precision='highest', name='linear')(features)
