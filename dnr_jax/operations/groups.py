"""What a norm reads of groups of frames, and what it makes of x by values of groups.

Sums are fastest frame by frame on CPUs; on TPUs they leave the convolutions as long as height and width stay apart, and
sums over frames are matmuls, which cost less than fusions of their own.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from dnr_jax.operations.forms import Forms
from dnr_jax.operations.frames import Video, fold_frames, unfold_frames

PerGroup = Float[Array, '#B #G C']


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
# products over a single clip, such as the gradient of slope, up to twenty times slower with an axis of clips.
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
