"""What frames have of their neighbours: channels that are shifted, and sums over the frames around.

TPUs have frames next to channels, and lay slices of either out anew; matmuls by zeros and ones over all frames keep
that layout, and are exact. Of few channels they pay for lanes that stand empty.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from dnr_jax.operations.forms import Forms
from dnr_jax.operations.frames import Video, fold_frames, unfold_frames
from dnr_jax.operations.groups import membership

LANES = 128  # channels that a TPU has side by side


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


SHIFT_CHANNELS = Forms(cpu=channels_by_slices, tpu=channels_by_matmuls, gpu=channels_by_slices)
SHIFTED_SUM = Forms(cpu=sum_by_slices, tpu=sum_by_matmuls, gpu=sum_by_slices)
SUM_NEIGHBOURS = Forms(cpu=neighbours_by_slices, tpu=neighbours_by_matmuls, gpu=neighbours_by_slices)
