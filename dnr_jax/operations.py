"""Operations that compilers want written differently: one meaning, and a form for each platform, side by side.

    convolution, depthwise_convolution, max_pool    over [B T H W C], of every frame
    shift_channels, shifted_sum, sum_neighbours     what frames have of their neighbours
    mean_and_square, multiply_add                   what a norm reads of x, and what it makes of it
    relu_of_sum                                     where a shortcut ends

On CPUs a matmul or a sum of slices is several times faster than XLA's own convolution or window, and sums are fastest
frame by frame. TPUs lay a convolution's result out with frames next to channels, and the sums of the norms leave the
convolutions, forward and backward, as long as nothing joins or cuts height and width: there a convolution is a
convolution, a window a window, and sums over frames are matmuls, which cost less than fusions of their own. On GPUs
every convolution is cuDNN's: matmuls of slices with a stride abort XLA there, up to jax 0.10. What each form costs
where stands in docs/accelerators.md.

This is the only place that knows platforms by name.
"""

import functools
import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

Video = Float[Array, 'B T H W C']
PerGroup = Float[Array, '#B #G C']
Kernel = Float[Array, 'k k C D']


class Forms(NamedTuple):
    """The same function as each platform wants it."""

    cpu: Callable
    tpu: Callable
    gpu: Callable

    def __call__(self, *arrays: Array, **settings):
        """By the platform of the mesh that the program is traced under, else by the one it is compiled for."""
        forms = {'cpu': self.cpu, 'tpu': self.tpu}
        if device := jax.sharding.get_abstract_mesh().abstract_device:
            return forms.get(device.platform, self.gpu)(*arrays, **settings)
        apart = {platform: partial(form, **settings) for platform, form in forms.items() if form != self.gpu}
        return lax.platform_dependent(*arrays, **apart, default=partial(self.gpu, **settings))


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


def fold_frames(x):
    """[B T ...] -> [B*T ...]."""
    return x.reshape(-1, *x.shape[2:])


def unfold_frames(x, frames: int):
    """[B*T ...] -> [B T ...]."""
    return x.reshape(-1, frames, *x.shape[1:])


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


def shift_channels(x: Video, share: int) -> Video:
    """The first `share` channels from the next frame, as many from the previous one, the others as they are.

    Beyond a clip there are zeros.
    """
    return SHIFT_CHANNELS(x, share=share)


def channels_by_slices(x: Video, share: int) -> Video:
    ahead, behind, rest = jnp.split(x, [share, 2 * share], axis=-1)
    return jnp.concatenate([next_frames(ahead), previous_frames(behind), rest], axis=-1)


def channels_by_matmuls(x: Video, share: int) -> Video:
    frames, channels = x.shape[1], x.shape[-1]
    x = fold_frames(x)
    lent = min(channels, -(-2 * share // LANES) * LANES)
    part, channel = x[..., :lent], lax.iota(jnp.int32, channels)
    lent_on = jnp.where(channel[:lent] < share, from_frame(part, 1, frames), from_frame(part, -1, frames))
    mixed = jnp.where(channel[:lent] < 2 * share, lent_on, part)
    mixed = jnp.pad(mixed, [(0, 0)] * 3 + [(0, channels - lent)])
    return unfold_frames(jnp.where(channel < lent, mixed, x), frames)


def shifted_sum(told: Float[Array, 'B T H W E'], taps: int) -> Float[Array, 'B T H W D']:
    """For every frame t the sum of part i of told[t + i - taps // 2], over all `taps` parts, each of D channels.

    Beyond a clip there are zeros.
    """
    return SHIFTED_SUM(told, taps=taps)


def sum_by_slices(told: Float[Array, 'B T H W E'], taps: int) -> Float[Array, 'B T H W D']:
    frames, margin = told.shape[1], taps // 2
    parts = jnp.split(told, taps, axis=-1)
    padded = (jnp.pad(of, [(0, 0), (margin, margin), (0, 0), (0, 0), (0, 0)]) for of in parts)
    return functools.reduce(jnp.add, (of[:, i : i + frames] for i, of in enumerate(padded)))


def sum_by_matmuls(told: Float[Array, 'B T H W E'], taps: int) -> Float[Array, 'B T H W D']:
    frames = told.shape[1]
    parts = enumerate(jnp.split(fold_frames(told), taps, axis=-1))
    return unfold_frames(functools.reduce(jnp.add, (from_frame(of, i - taps // 2, frames) for i, of in parts)), frames)


def sum_neighbours(x: Video, taps: Float[Array, '3 #B C']) -> Video:
    """taps[0] * x[t - 1] + taps[1] * x[t] + taps[2] * x[t + 1] per channel, with zeros beyond the clip."""
    return SUM_NEIGHBOURS(x, taps)


def neighbours_by_slices(x: Video, taps: Float[Array, '3 #B C']) -> Video:
    before, here, after = taps.astype(x.dtype)[:, :, None, None, None]
    return before * previous_frames(x) + here * x + after * next_frames(x)


def neighbours_by_matmuls(x: Video, taps: Float[Array, '3 #B C']) -> Video:
    clips, frames, *_, channels = x.shape
    if channels < LANES // 2:
        return neighbours_by_slices(x, taps)
    spread = membership(clips, frames, 1).T
    taps = (jnp.matmul(spread, jnp.broadcast_to(of, (clips, channels)), precision='highest') for of in taps)
    before, here, after = (fold_frames(x) * of[:, None, None].astype(x.dtype) for of in taps)
    return unfold_frames(from_frame(before, -1, frames) + here + from_frame(after, 1, frames), frames)


def from_frame(x: Float[Array, 'N H W C'], offset: int, frames: int) -> Float[Array, 'N H W C']:
    """x[t + offset] for every frame t of each clip, of so many frames, zeros beyond it; N frames of all clips."""
    if offset == 0:
        return x
    moved = np.kron(np.eye(len(x) // frames), np.eye(frames, k=offset)).astype(x.dtype)
    return jnp.einsum('mn,nhwc->mhwc', moved, x, precision='highest')


def previous_frames(x):
    """Frame t of [B T ...] becomes t - 1; the first becomes zero."""
    return jnp.pad(x[:, :-1], [(0, 0), (1, 0)] + [(0, 0)] * (x.ndim - 2))


def next_frames(x):
    """Frame t of [B T ...] becomes t + 1; the last becomes zero."""
    return jnp.pad(x[:, 1:], [(0, 0), (0, 1)] + [(0, 0)] * (x.ndim - 2))


LANES = 128  # channels that a TPU has side by side

# TPUs have frames next to channels, and lay slices of either out anew; matmuls by zeros and ones over all frames keep
# that layout, and are exact. Of few channels they pay for lanes that stand empty.
SHIFT_CHANNELS = Forms(cpu=channels_by_slices, tpu=channels_by_matmuls, gpu=channels_by_slices)
SHIFTED_SUM = Forms(cpu=sum_by_slices, tpu=sum_by_matmuls, gpu=sum_by_slices)
SUM_NEIGHBOURS = Forms(cpu=neighbours_by_slices, tpu=neighbours_by_matmuls, gpu=neighbours_by_slices)


def mean_and_square(x: Video, groups: int, clips_apart: bool) -> tuple[PerGroup, PerGroup]:
    """Mean and mean of squares of x over positions, the frames of a group and, unless `clips_apart`, the clips."""
    return MEAN_AND_SQUARE(x, groups=groups, clips_apart=clips_apart)


def by_frame(x: Video, groups: int, clips_apart: bool) -> tuple[PerGroup, PerGroup]:
    wide = positions_of_frames(x).astype(jnp.float32)
    per_frame = (unfold_frames(of.mean(axis=1), x.shape[1]) for of in (wide, jnp.square(wide)))
    return tuple(of_groups(of, groups, clips_apart) for of in per_frame)


def at_once(x: Video, groups: int, clips_apart: bool) -> tuple[PerGroup, PerGroup]:
    wide = x.astype(jnp.float32)
    if groups == 1 and not clips_apart:
        return tuple(of.mean(axis=(0, 1, 2, 3)).reshape(1, 1, -1) for of in (wide, jnp.square(wide)))
    clips, frames, *_ = x.shape
    mean = membership(clips, frames, groups) / (frames // groups)
    per_frame = (fold_frames(of.mean(axis=(2, 3))) for of in (wide, jnp.square(wide)))
    return tuple(jnp.matmul(mean, of, precision='highest').reshape(clips, groups, -1) for of in per_frame)


def membership(clips: int, frames: int, groups: int) -> np.ndarray:
    """[B*G, B*T]: 1 where a frame belongs to a group of its clip."""
    return np.kron(np.eye(clips * groups, dtype=np.float32), np.ones(frames // groups, np.float32))


def of_groups(per_frame: Float[Array, 'B T C'], groups: int, clips_apart: bool) -> PerGroup:
    clips, _, channels = per_frame.shape
    per_frame = per_frame.reshape(clips, groups, -1, channels)
    return per_frame.mean(axis=2) if clips_apart else per_frame.mean(axis=(0, 2))[None]


# On CPUs, XLA takes a whole clip as one long sum per channel, up to ten times slower than sums of frames; and sums of
# products over a single clip, such as the gradient of slope, up to forty times slower with an axis of clips.
MEAN_AND_SQUARE = Forms(cpu=by_frame, tpu=at_once, gpu=by_frame)


def multiply_add(x: Video, slope: PerGroup, offset: PerGroup) -> Video:
    """x * slope + offset in float32, in the type of x; slope and offset of clips or of all, and of groups of frames."""
    return MULTIPLY_ADD(x, slope, offset)


def multiply_add_by_frame(x: Video, slope: PerGroup, offset: PerGroup) -> Video:
    if slope.shape[:2] != (1, 1):
        slope, offset = (to_frames(of, *x.shape[:2]) for of in (slope, offset))
    y = positions_of_frames(x).astype(jnp.float32) * slope + offset
    return y.astype(x.dtype).reshape(x.shape)


def multiply_add_at_once(x: Video, slope: PerGroup, offset: PerGroup) -> Video:
    clips, frames, *_ = x.shape
    if slope.shape[:2] != (1, 1):
        spread = membership(clips, frames, slope.shape[1]).T
        slope, offset = (fold_frames(jnp.broadcast_to(of, (clips, *of.shape[1:]))) for of in (slope, offset))
        slope, offset = (jnp.matmul(spread, of, precision='highest') for of in (slope, offset))
        slope, offset = unfold_frames(slope, frames), unfold_frames(offset, frames)
    y = x.astype(jnp.float32) * slope[:, :, None, None] + offset[:, :, None, None]
    return y.astype(x.dtype)


def to_frames(of_groups: PerGroup, clips: int, frames: int) -> Float[Array, 'N 1 C']:
    of_clips = jnp.broadcast_to(of_groups, (clips, *of_groups.shape[1:]))
    return fold_frames(jnp.repeat(of_clips, frames // of_groups.shape[1], axis=1))[:, None]


def positions_of_frames(x: Video) -> Float[Array, 'N P C']:
    """[B T H W C] -> [B*T H*W C]."""
    return fold_frames(x).reshape(-1, x.shape[2] * x.shape[3], x.shape[-1])


# The gradients of slope and offset are sums as above, and so each form goes with its own.
MULTIPLY_ADD = Forms(cpu=multiply_add_by_frame, tpu=multiply_add_at_once, gpu=multiply_add_by_frame)


def relu_and_keep(x: Video) -> Video:
    return lax.optimization_barrier(nn.relu(x))


# Of a sum that convolutions and a shortcut read: on GPUs, some of them would read it before the ReLU and others after
# it, and both stay in memory until the backward pass.
relu_of_sum = Forms(cpu=nn.relu, tpu=nn.relu, gpu=relu_and_keep)
