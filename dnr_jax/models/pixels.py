"""What a network reads of a video: bytes of pixels, standardized on the device."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, UInt8


def normalize_pixels(
    clip: UInt8[Array, '*axes C'], mean: Sequence[float], std: Sequence[float]
) -> Float[Array, '*axes C']:
    """(clip - mean) / std per channel, in float32; done on the device, so that bytes travel."""
    per_channel = (1,) * (clip.ndim - 1) + (-1,)
    mean, std = jnp.reshape(jnp.array(mean), per_channel), jnp.reshape(jnp.array(std), per_channel)
    return (clip.astype(jnp.float32) - mean) / std
