"""TANet: a ResNet in which every block mixes neighbouring frames with a kernel it draws up for this very clip.

The temporal adaptive module stands between the first convolution of a block, with its norm and ReLU, and the second.
It reads the mean of every frame over space, p [B T C], and has two branches:

    taps = softmax(Dense_3(ReLU(norm(Dense_2T(p over time)))))      global: 3 taps per clip and channel
    gate = sigmoid(conv1(ReLU(norm(conv3(p)))))                     local: along time, through C / 4 channels
    y[t] = taps[0] * z[t - 1] + taps[1] * z[t] + taps[2] * z[t + 1]      with z = gate * x

Frames inform each other both ways in time. The global branch reads the clip as a vector of T numbers, so parameters
made for T frames take clips of T frames only.

Norms stand where those of the ResNet do: cross-layer after the first convolution, before the module, cross-temporal
after the second, behind it. The two norms within a module are batch norms under every preset: they are part of a gate,
not of the features. Like the relay, a module decides over whole feature maps, in float32.

Source: Liu et al., "TAM: Temporal Adaptive Module for Video Recognition", ICCV 2021, as in github.com/liu-zhy/temporal-
adaptive-module; its layers start as PyTorch's do.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dnr_jax.models.network import without_carry
from dnr_jax.models.resnet import BottleneckBlock, resnet
from dnr_jax.norms.relay import uniform_fan_in
from dnr_jax.operations import Video, sum_neighbours


class TemporalAdaptive(nn.Module):
    """Neighbouring frames mixed by a kernel per clip and channel: [B T H W C] -> the same; `norm` as `make_norm`.

    Errors: ValueError if the parameters were made for another number of frames.
    """

    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Video, train: bool) -> Video:
        pooled = x.astype(jnp.float32).mean(axis=(2, 3))
        taps = GlobalBranch(self.norm, name='global')(pooled, train)
        gate = LocalBranch(self.norm, name='local')(pooled, train)
        return sum_neighbours(x * gate[:, :, None, None].astype(x.dtype), taps)


class GlobalBranch(nn.Module):
    """Three taps along time for every clip and channel, which add up to 1."""

    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, pooled: Float[Array, 'B T C'], train: bool) -> Float[Array, '3 B C']:
        frames = pooled.shape[1]
        self.check(frames)
        rows = dense(pooled.swapaxes(1, 2), 2 * frames, 'expand')
        rows = batch_norm(self.norm, rows, train)  # over clips and channels, for each of the 2 T
        rows = dense(nn.relu(rows), 3, 'reduce')
        return jax.nn.softmax(rows).transpose(2, 0, 1)

    def check(self, frames: int):
        if not self.has_variable('params', 'expand'):
            return  # they are being made
        made_for = len(self.get_variable('params', 'expand')['kernel'])
        if frames != made_for:
            raise ValueError(
                f'The parameters of this TANet were made for clips of {made_for} frames, got {frames}: give clips of '
                f'{made_for} frames (config.clip.frames), or train it anew.'
            )


class LocalBranch(nn.Module):
    """A gate between 0 and 1 for every frame and channel."""

    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, pooled: Float[Array, 'B T C'], train: bool) -> Float[Array, 'B T C']:
        channels = pooled.shape[-1]
        init = uniform_fan_in(3 * channels)
        reduce = nn.Conv(
            channels // 4, (3,), padding=1, use_bias=False, kernel_init=init, precision='highest', name='reduce'
        )
        gate = batch_norm(self.norm, reduce(pooled), train)
        return nn.sigmoid(dense(nn.relu(gate), channels, 'expand'))


def dense(x, features: int, name: str):
    init = uniform_fan_in(x.shape[-1])
    return nn.Dense(features, use_bias=False, kernel_init=init, precision='highest', name=name)(x)


def batch_norm(norm, x: Float[Array, 'B N C'], train: bool) -> Float[Array, 'B N C']:
    """The batch norm of a branch, over B and N."""
    x = x[:, :, None, None]
    return without_carry(norm('batch', cell=None, name='norm'), x, train)[:, :, 0, 0]


class AdaptiveBlock(BottleneckBlock):
    """A bottleneck block with a temporal adaptive module before its 3x3."""

    def before_conv2(self, y: Video, train: bool) -> Video:
        return TemporalAdaptive(self.norm, name='tam')(y, train)


TANETS = {'tanet_resnet50': partial(resnet, AdaptiveBlock, (3, 4, 6, 3))}
