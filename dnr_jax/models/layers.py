"""Layers shared by the backbone families, over [B T H W C]: convolutions of every frame, pooling, the head.

Padding is k // 2 on both sides, as in PyTorch, so that published weights fit; `SAME` would shift every strided layer.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dnr_jax import operations
from dnr_jax.operations import Video

PerFeature = Float[Array, 'D']

kaiming_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
kaiming_fan_in = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class SpatialConv(nn.Module):
    """k x k convolution of every frame, no bias: [B T H W C] -> [B T H' W' D]; parameters stay float32.

    The kernel is [k k C D]. Called with `times`, each feature of the result is multiplied by its number.
    """

    features: int
    kernel: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video, times: PerFeature | None = None) -> Float[Array, 'B T H2 W2 D']:
        k = self.kernel
        kernel = times_each(self.param('kernel', kaiming_fan_out, (k, k, x.shape[-1], self.features)), times)
        return operations.convolution(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)


def times_each(kernel: Float[Array, '*taps C D'], times: PerFeature | None) -> Float[Array, '*taps C D']:
    """A kernel whose results are multiplied by `times`, where it is given."""
    return kernel if times is None else kernel * jnp.expand_dims(times, tuple(range(kernel.ndim - 1)))


class DepthwiseConv(nn.Module):
    """3x3 convolution of every channel of every frame by itself, no bias: [B T H W C] -> [B T H' W' C].

    The kernel is [3 3 1 C]. It is drawn by its fan in, 9: by fan out, which counts the kernels of all channels, outputs
    would be ten to thirty times smaller than inputs, and a relay, which reads them before they are standardized, would
    hear little.
    """

    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Video) -> Float[Array, 'B T H2 W2 C']:
        kernel = self.param('kernel', kaiming_fan_in, (3, 3, 1, x.shape[-1])).astype(self.dtype)
        return operations.depthwise_convolution(x.astype(self.dtype), kernel, self.stride)


def mean_pool(x: Video, stride: int) -> Float[Array, 'B T H2 W2 C']:
    """3x3 mean with padding 1 in every frame; the zeros of the padding count, as in PyTorch."""
    over_height = operations.over_3(jnp.add, x, axis=2, stride=stride, padding=0.0)
    return operations.over_3(jnp.add, over_height, axis=3, stride=stride, padding=0.0) / 9


def pooled(x: Video) -> Float[Array, 'B C']:
    """What the head classifies: the mean over space and frames, in float32."""
    return x.astype(jnp.float32).mean(axis=(1, 2, 3))


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
        features = nn.Dropout(self.dropout, deterministic=not train)(pooled(x))
        init = nn.initializers.normal(0.01)
        return nn.Dense(self.classes, kernel_init=init, precision='highest', name='linear')(features)
