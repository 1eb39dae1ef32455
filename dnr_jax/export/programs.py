"""What is exported: pure functions of one clip, or of one step of a stream, with all that was learned inside.

In evaluation no clip knows of another, so a function of one is mapped over any number of them when it is lowered.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt8

from dnr_jax import streaming
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.runs.trained_model import Trained
from dnr_jax.streaming import endless


class Program(NamedTuple):
    """A function without the axis B, and shapes and types of its arguments."""

    call: Callable
    takes: tuple[Any, ...]  # of ShapeDtypeStruct


def of_clips(found: Trained) -> Program:
    """`call(clip) -> logits`."""
    variables, pixels = on_one_device(found.variables), found.config.pixels.to_dict()

    def logits(clip: UInt8[Array, 'T H W 3']) -> Float[Array, 'K']:
        return found.model.apply(variables, normalize_pixels(clip[None], **pixels), train=False)[0]

    return Program(logits, (frames_of(found, found.config.clip.frames),))


def of_streams(found: Trained, horizon: int) -> Program:
    """`call(carry, frames) -> (carry, logits)`, one frame group further; the carry is a dict of arrays, zero at first.

    Args:
      horizon: see `streaming.endless`.
    Raises ValueError for a network that cannot be streamed so far.
    """
    model, variables, pixels = found.model, on_one_device(found.variables), found.config.pixels.to_dict()
    group = frames_of(found, streaming.frames_per_group(model))
    like = jax.eval_shape(partial(endless.init, model, variables, (1, *group.shape), horizon=horizon))
    names = [jax.tree_util.keystr(path, simple=True, separator='/') for path, _ in jax.tree.leaves_with_path(like)]

    def step(carry: dict[str, Array], frames: UInt8[Array, 'T H W 3']) -> tuple[dict[str, Array], Float[Array, 'K']]:
        carry = jax.tree.unflatten(jax.tree.structure(like), [carry[name] for name in names])
        frames = normalize_pixels(frames[None], **pixels)
        carry, logits = endless.step(model, variables, carry, frames, horizon=horizon)
        return dict(zip(names, jax.tree.leaves(carry), strict=True)), logits[0]

    return Program(step, (dict(zip(names, jax.tree.leaves(like), strict=True)), group))


def on_one_device(variables: dict[str, Any]) -> dict[str, Any]:
    """On which all runs that is exported."""
    return jax.tree.map(jnp.asarray, jax.device_get(variables))


def frames_of(found: Trained, frames: int) -> jax.ShapeDtypeStruct:
    """So many frames after resize and crop, as its test protocol takes them."""
    size = found.config.test.size
    return jax.ShapeDtypeStruct((frames, size, size, 3), np.uint8)
