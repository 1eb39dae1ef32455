"""One step of evaluation, as a pure function of variables and batch.

Axes: B videos (one device's share), V views, T frames, H W space, C channels, K classes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.parallel import Batch


def eval_step(
    variables: Mapping, batch: Batch, *, model: nn.Module, pixels: Mapping[str, Sequence[float]], views_at_once: int
) -> Float[Array, 'B V K']:
    """The logits of each view of each video.

    `views_at_once` clips pass the network at once, to save memory, in as many equal parts as that takes; 0 for all.
    """
    clip = batch['clip']
    views = clip.reshape(-1, *clip.shape[2:])  # [B*V T H W C]

    def logits_of(views):
        return model.apply(variables, normalize_pixels(views, **pixels), train=False)

    parts = math.ceil(len(views) / views_at_once) if views_at_once else 1
    if parts > 1:
        lacking = jnp.zeros((-len(views) % parts, *views.shape[1:]), views.dtype)
        padded = jnp.concatenate([views, lacking])
        logits = lax.map(logits_of, padded.reshape(parts, -1, *views.shape[1:])).reshape(len(padded), -1)[: len(views)]
    else:
        logits = logits_of(views)
    return logits.reshape(*clip.shape[:2], -1)


def make_predict(config: ConfigDict, model: nn.Module, mesh: parallel.Mesh, views_at_once: int) -> Callable:
    """`eval_step` of that config, over all devices: (variables, batch) -> logits [B V K]."""
    step = partial(eval_step, model=model, pixels=config.pixels.to_dict(), views_at_once=views_at_once)
    return parallel.compile_eval_step(step, mesh)
