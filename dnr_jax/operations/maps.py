"""What is made of every frame by itself: convolutions, maxima over windows, and where a shortcut ends.

On CPUs a matmul or a sum of slices is several times faster than XLA's own convolution or window. TPUs lay a
convolution's result out with frames next to channels, and the sums of the norms leave the convolutions, forward and
backward, as long as nothing joins or cuts height and width: there a convolution is a convolution, a window a window. On
GPUs every convolution is cuDNN's: matmuls of slices with a stride abort XLA there, up to jax 0.10.
"""

import functools
import itertools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.operations.forms import Forms
from dnr_jax.operations.frames import Video, fold_frames, unfold_frames

Kernel = Float[Array, 'k k C D']


def convolution(x: Video, kernel: Kernel, stride: int) -> Float[Array, 'B T H2 W2 D']:
    """k x k convolution of every frame, with k // 2 zeros around it, as in PyTorch."""
    if len(kernel) == 1 or max(x.shape[2:4]) <= 2 * stride:
        return CONVOLUTION_OF_WINDOWS(x, kernel, stride=stride)
    return convolved(x, kernel, stride)


def convolved(x: Video, kernel: Float[Array, 'k k I D'], stride: int, apart: int = 1) -> Float[Array, 'B T H2 W2 D']:
    """`apart` is the number of groups of channels that are convolved each by itself."""
    margin = len(kernel) // 2
    y = lax.conv_general_dilated(
        fold_frames(x),
        kernel,
        window_strides=(stride, stride),
        padding=[(margin, margin)] * 2,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=apart,
    )
    return unfold_frames(y, x.shape[1])


def matmul_of_windows(x: Video, kernel: Kernel, stride: int) -> Float[Array, 'B T H2 W2 D']:
    windows = jnp.concatenate(shifted(x, len(kernel), stride), axis=-1)
    return matmul(windows, kernel.reshape(-1, kernel.shape[-1]))


def matmul(x: Video, kernel: Float[Array, 'C D']) -> Float[Array, 'B T H W D']:
    """x @ kernel, as a product of two axes: one over five makes XLA transpose the large gradient for the kernel's."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)


def shifted(x: Video, kernel: int, stride: int) -> list[Float[Array, 'B T H2 W2 C']]:
    """What each tap of a k x k convolution reads for every position, in the order of the kernel."""
    margin, (height, width) = kernel // 2, x.shape[2:4]
    padded = jnp.pad(x, [(0, 0), (0, 0), (margin, margin), (margin, margin), (0, 0)])
    taps = itertools.product(range(kernel), repeat=2)
    return [padded[:, :, i : i + height : stride, j : j + width : stride] for i, j in taps]


# 1x1 convolutions, and those to maps of at most 2 x 2. On CPUs, XLA's convolutions to so small maps, or their
# gradients, take up to fifty times as long as the matmul.
CONVOLUTION_OF_WINDOWS = Forms(cpu=matmul_of_windows, tpu=convolved, gpu=convolved)


def depthwise_convolution(x: Video, kernel: Float[Array, '3 3 1 C'], stride: int) -> Float[Array, 'B T H2 W2 C']:
    """3x3 convolution of every channel of every frame by itself."""
    return DEPTHWISE_CONVOLUTION(x, kernel, stride=stride)


def sum_of_slices(x: Video, kernel: Float[Array, '3 3 1 C'], stride: int) -> Float[Array, 'B T H2 W2 C']:
    taps = zip(kernel.reshape(9, 1, 1, 1, 1, -1), shifted(x, 3, stride), strict=True)
    return functools.reduce(jnp.add, (tap * part for tap, part in taps))


def convolved_apart(x: Video, kernel: Float[Array, '3 3 1 C'], stride: int) -> Float[Array, 'B T H2 W2 C']:
    return convolved(x, kernel, stride, apart=x.shape[-1])


# On CPUs, XLA's grouped convolution is many times slower forward.
DEPTHWISE_CONVOLUTION = Forms(cpu=sum_of_slices, tpu=convolved_apart, gpu=sum_of_slices)


def max_of_slices(x: Video) -> Float[Array, 'B T H2 W2 C']:
    over_height = over_3(jnp.maximum, x, axis=2, stride=2, padding=-jnp.inf)
    return over_3(jnp.maximum, over_height, axis=3, stride=2, padding=-jnp.inf)


def windowed_max(x: Video) -> Float[Array, 'B T H2 W2 C']:
    padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
    y = lax.reduce_window(fold_frames(x), -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)
    return unfold_frames(y, x.shape[1])


def over_3(combine, x, axis: int, stride: int, padding: float):
    """`combine` of the three neighbours around every `stride`-th place along an axis."""
    width = [(0, 0)] * x.ndim
    width[axis] = (1, 1)
    padded = jnp.pad(x, width, constant_values=padding)
    end = stride * ((x.shape[axis] - 1) // stride) + 1
    slices = (lax.slice_in_dim(padded, i, i + end, stride=stride, axis=axis) for i in range(3))
    return functools.reduce(combine, slices)


# 3x3 maximum with stride 2 and padding 1. The gradient of XLA's windowed maximum is a scatter, several times slower on
# CPUs and the one operation without a deterministic form on GPUs; of equal maxima, it takes one, where slices share.
max_pool = Forms(cpu=max_of_slices, tpu=windowed_max, gpu=max_of_slices)


def relu_and_keep(x: Video) -> Video:
    return lax.optimization_barrier(nn.relu(x))


# Of a sum that convolutions and a shortcut read: on GPUs, some of them would read it before the ReLU and others after
# it, and both stay in memory until the backward pass.
relu_of_sum = Forms(cpu=nn.relu, tpu=nn.relu, gpu=relu_and_keep)
