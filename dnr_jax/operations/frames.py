"""How the frames of clips lie: apart, [B T ...], or all of them in one row, [N ...], N = B*T."""

from jax import Array
from jaxtyping import Float

Video = Float[Array, 'B T H W C']


def fold_frames(x):
    """[B T ...] -> [B*T ...]."""
    return x.reshape(-1, *x.shape[2:])


def unfold_frames(x, frames: int):
    """[B*T ...] -> [B T ...]."""
    return x.reshape(-1, frames, *x.shape[1:])
