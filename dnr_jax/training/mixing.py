"""Mixup and CutMix of the clips of a batch, on the device.

    clip_i   <- share * clip_i + (1 - share) * clip_j,     j = i - 1, around the batch
    target_i <- mean(share) * target_i + (1 - mean(share)) * target_j

`share` is a map over space, the same in all frames and clips: one number for mixup, 0 in a box and 1 outside of it for
CutMix, whose mean is then exact for a box that the border cuts off.

Source: Zhang et al., mixup, 2018; Yun et al., CutMix, 2019; partners and boxes as in torchvision.
Axes: B clips, T frames, H W space, C channels, K classes.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key


def mix(
    key: Key[Array, ''],
    clip: Float[Array, 'B T H W C'],
    targets: Float[Array, 'B K'],
    *,
    mixup: float,
    cutmix: float,
) -> tuple[Float[Array, 'B T H W C'], Float[Array, 'B K']]:
    """The batch mixed with itself; `mixup` and `cutmix` are alpha of Beta(alpha, alpha), 0 is off.

    If both are on, each call takes one of them with probability 1/2. Raises ValueError for alpha < 0, and for one clip
    alone, which has no partner.
    """
    if min(mixup, cutmix) < 0:
        raise ValueError(
            f'mixup and cutmix are alpha of a Beta distribution: expected 0 or more, got {mixup} and {cutmix}. '
            '0 switches one off.'
        )
    if len(clip) == 1 and (mixup or cutmix):
        raise ValueError(
            'mixup and cutmix mix clips that pass a device together: expected 2 or more, got 1. Raise '
            'config.train.batch_size, lower config.train.micro_batches, or set both to 0.'
        )
    which, *keys = jax.random.split(key, 3)
    kinds = zip((mixup_share, cutmix_share), keys, (mixup, cutmix), strict=True)
    shares = [share_of(key, alpha, *clip.shape[2:4]) for share_of, key, alpha in kinds if alpha]
    if not shares:
        return clip, targets
    share = jax.random.choice(which, jnp.stack(shares))  # [H W]
    return blend(clip, share[None, None, :, :, None]), blend(targets, share.mean(keepdims=True))


def blend(values: Float[Array, 'B *axes'], share: Float[Array, '*broadcast']) -> Float[Array, 'B *axes']:
    """Each row's share of itself, the rest of the row before it."""
    return (share * values + (1 - share) * jnp.roll(values, 1, axis=0)).astype(values.dtype)


def mixup_share(key: Key[Array, ''], alpha: float, height: int, width: int) -> Float[Array, 'H W']:
    """One number everywhere."""
    return jnp.full((height, width), jax.random.beta(key, alpha, alpha))


def cutmix_share(key: Key[Array, ''], alpha: float, height: int, width: int) -> Float[Array, 'H W']:
    """0 in a box around a uniform centre, 1 outside; its share of the area is Beta until the border cuts it."""
    of_size, of_y, of_x = jax.random.split(key, 3)
    half = 0.5 * jnp.sqrt(1 - jax.random.beta(of_size, alpha, alpha))  # of the sides
    rows, columns = (inside(key, half, length) for key, length in ((of_y, height), (of_x, width)))
    return 1.0 - rows[:, None] * columns[None]


def inside(key: Key[Array, ''], half: Float[Array, ''], length: int) -> Float[Array, 'L']:
    """1 from `half * length` places before a uniform centre to as many after it, else 0."""
    centre, reach = jax.random.randint(key, (), 0, length), jnp.floor(half * length)
    place = jnp.arange(length)
    return ((centre - reach <= place) & (place < centre + reach)).astype(jnp.float32)
