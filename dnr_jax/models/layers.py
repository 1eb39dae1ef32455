"""Layers shared by the backbone families, over [B T H W C]: spatial convolution, pooling, the classification head.

Padding is k // 2 on both sides, as in PyTorch, so that published weights fit; `SAME` would shift every strided layer.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.normalization import Video

kaiming_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class SpatialConv(nn.Module):
    """k x k convolution of every frame, no bias: [B T H W C] -> [B T H' W' D]; parameters stay float32.

    A 1x1 convolution is a matmul over channels; with a stride, of every other position only. It is a matmul of two
    axes: one over five makes XLA transpose the large gradient for that of the kernel. The kernel is [k k C D] always.
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
        if k == 1:
            x = x[:, :, :: self.stride, :: self.stride]
            return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], self.features)
        y = lax.conv_general_dilated(
            fold_frames(x),
            kernel,
            window_strides=(self.stride, self.stride),
            padding=[(k // 2, k // 2)] * 2,
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )
        return unfold_frames(y, x.shape[1])


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
    return _max_of_3(_max_of_3(x, axis=2), axis=3)


def _max_of_3(x, axis: int):
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 1)
    padded = jnp.pad(x, padding, constant_values=-jnp.inf)
    outputs = (x.shape[axis] - 1) // 2 + 1
    shifted = (lax.slice_in_dim(padded, i, i + 2 * outputs - 1, stride=2, axis=axis) for i in range(3))
    return functools.reduce(jnp.maximum, shifted)


class Head(nn.Module):
    """Mean of the features over space and frames, dropout, linear classifier: [B T H W C] -> float32 logits [B K].

    Source: `TSN2DHead` of open-mmlab/mmaction as configured in github.com/caidonkey/dnr: features, not logits, are
    averaged over frames; the linear layer starts at N(0, 0.01) with zero bias.
    """

    classes: int
    dropout: float

    @nn.compact
    def __call__(self, x: Video, train: bool) -> Float[Array, 'B K']:
        features = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        return nn.Dense(self.classes, kernel_init=nn.initializers.normal(0.01), name='linear')(features)
