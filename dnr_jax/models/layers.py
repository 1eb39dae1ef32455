"""Layers shared by the backbone families, over [B T H W C]: spatial convolution, pooling, the classification head.

Padding is k // 2 on both sides, as in PyTorch, so that published weights fit; `SAME` would shift every strided layer.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.normalization import Video

kaiming_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class SpatialConv(nn.Module):
    """k x k convolution of every frame, no bias: [B T H W C] -> [B T H' W' D]; parameters stay float32.

    A 1x1 convolution is a matmul over channels; with a stride, of every other position only. The kernel is
    [k k C D] either way.
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
            return x[:, :, :: self.stride, :: self.stride] @ kernel[0, 0]
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
    """3x3 maximum with stride 2 and padding 1 in every frame."""
    y = nn.max_pool(fold_frames(x), (3, 3), strides=(2, 2), padding=[(1, 1), (1, 1)])
    return unfold_frames(y, x.shape[1])


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
