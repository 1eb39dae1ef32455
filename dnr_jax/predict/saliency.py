"""Where a network looks: Grad-CAM over the frames of a clip.

The gradient of a class score, averaged over frames and positions, says how much each channel of a layer speaks for the
class; the map is the sum of the channels so weighed, where it is positive:

    map[t, h, w] = ReLU(sum_c w_c x[t, h, w, c]),     w_c = mean over t, h, w of d score / d x[t, h, w, c]

Axes: B clips, T frames, H W space, C channels.

Source: Selvaraju et al., "Grad-CAM", ICCV 2017.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import Array
from jaxtyping import Float, Int, UInt8
from matplotlib import cm, colormaps

from dnr_jax import figures
from dnr_jax.data.transforms import Box
from dnr_jax.files import AnyPath
from dnr_jax.operations import Video
from dnr_jax.registry import choose

LEAST_SIDE = 4  # positions: a smaller map says little of where
COLUMNS = 8  # frames in a row of the picture
SHOWN = 240  # pixels of the short side of a frame, whatever that of the video
GAP = 16  # pixels between frames
OPACITY = 0.6  # of a map where it is highest
COLOURS = colormaps['inferno']


def layers(model: nn.Module, variables: Mapping[str, Any], clip_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The stages of a network, 'stage1' or 'slow/stage1', and the shapes of their features: [B T H W C]."""
    clip = jax.ShapeDtypeStruct(clip_shape, jnp.float32)
    _, captured = jax.eval_shape(partial(_apply, model, stages=r'(.*/)?stage\d+'), variables, clip)
    return {layer: features.shape for layer, features in sorted(captured.items())}


def deepest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The last of these layers that has LEAST_SIDE positions on a side; if none has, the one that has most."""
    sides = {layer: min(shape[2:4]) for layer, shape in shapes.items()}
    large = [layer for layer, side in sides.items() if side >= LEAST_SIDE]
    return large[-1] if large else max(sides, key=sides.get)


def maps(
    model: nn.Module, variables: Mapping[str, Any], clip: Video, labels: Int[Array, 'B'], *, layer: str
) -> Float[Array, 'B T2 H2 W2']:
    """The map of every clip for its label, at the resolution of the layer; pure.

    Raises ValueError for a layer that the network does not have, see `layers`.
    """
    shape = choose(layers(model, variables, clip.shape), layer, 'layer')

    def score(change):
        with nn.intercept_methods(partial(_add, layer, change)):
            logits, captured = _apply(model, variables, clip, stages=re.escape(layer))
        return jnp.take_along_axis(logits, labels[:, None], axis=1).sum(), captured[layer].astype(jnp.float32)

    gradient, features = jax.grad(score, has_aux=True)(jnp.zeros(shape))
    weights = gradient.mean(axis=(1, 2, 3))
    return nn.relu(jnp.einsum('bthwc,bc->bthw', features, weights, precision='highest'))


def _apply(model: nn.Module, variables: Mapping[str, Any], clip: Video, stages: str) -> tuple[Array, dict[str, Array]]:
    """Logits, and by their paths the features of the stages whose path the expression matches."""
    logits, updated = model.apply(
        variables,
        clip,
        train=False,
        capture_intermediates=lambda module, method: (
            method == '__call__' and bool(re.fullmatch(stages, '/'.join(module.path)))
        ),
        mutable=['intermediates'],
    )
    captured = flatten_dict(updated['intermediates'])
    return logits, {'/'.join(path[:-1]): features for path, ((features, _),) in captured.items()}


def _add(layer: str, change: Array, call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext):
    """Adds the change to the features of the layer."""
    output = call(*args, **kwargs)
    if context.method_name == '__call__' and '/'.join(context.module.path) == layer:
        features, carry = output
        return features + change.astype(features.dtype), carry
    return output


def draw(
    path: AnyPath,
    frames: UInt8[np.ndarray, 'T H W C'],
    heat: Float[np.ndarray, 'T2 H2 W2'],
    seen: Box,
    title: str,
) -> None:
    """A picture of all frames in order, and below each of them its map over it; one scale of colours for all.

    Frames are those of the video; `seen` is the part of them that the network saw, and that the map lies over.
    """
    shares = over_frames(heat, frames.shape[:3], seen)
    frames, shares = (np.stack([fitted(each) for each in of]) for of in (frames, shares))
    opacity = OPACITY * np.sqrt(shares)[..., None]
    overlaid = ((1 - opacity) * frames + opacity * 255 * COLOURS(shares)[..., :3]).astype(np.uint8)
    columns = min(COLUMNS, len(frames))
    grid = np.concatenate([
        row(part[first : first + columns], columns)
        for first in range(0, len(frames), columns)
        for part in (frames, overlaid)
    ])  # fmt: skip
    width = 1.4 * columns
    figure = figures.figure(width + 1.2, width * grid.shape[0] / grid.shape[1] + 1.2)
    axes = figure.subplots()
    axes.imshow(grid, interpolation='antialiased')
    across = frames.shape[2]
    axes.set_xticks((across + GAP) * np.arange(columns) + across / 2, np.arange(1, columns + 1))
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel('frame of the clip' + (f'; every two rows go on by {columns}' if len(frames) > columns else ''))
    figures.title(figure, title)
    figure.colorbar(cm.ScalarMappable(cmap=COLOURS), ax=axes, label='share of the highest', shrink=0.9, pad=0.01)
    figures.save(figure, path)


def over_frames(
    heat: Float[np.ndarray, 'T2 H2 W2'], shape: tuple[int, int, int], seen: Box
) -> Float[np.ndarray, 'T H W']:
    """Maps at the frames and pixels of a clip, as shares of the highest, 0 outside of what was `seen`.

    A map stands for all frames it was made of, and is smooth between its positions.
    """
    frames, height, width = shape
    at_frame = heat[np.arange(frames) * len(heat) // frames].astype(np.float32)
    shares = np.zeros((frames, height, width), np.float32)
    within = shares[:, seen.top : seen.top + seen.height, seen.left : seen.left + seen.width]
    for into, each in zip(within, at_frame, strict=True):
        into[:] = cv2.resize(each, into.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return shares / max(float(shares.max()), np.finfo(np.float32).tiny)


def fitted(frame: np.ndarray) -> np.ndarray:
    """A frame or a map with SHOWN pixels on its short side."""
    scale = SHOWN / min(frame.shape[:2])
    height, width = (round(scale * side) for side in frame.shape[:2])
    resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return resized if frame.dtype == np.uint8 else resized.clip(0, 1)


def row(frames: UInt8[np.ndarray, 'T H W C'], columns: int) -> UInt8[np.ndarray, 'H2 W2 C']:
    """Frames side by side in white gaps, with white in place of those that are lacking."""
    lacking = np.full((columns - len(frames), *frames.shape[1:]), 255, np.uint8)
    padded = np.pad(np.concatenate([frames, lacking]), [(0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255)
    return np.concatenate(list(padded), axis=1)
