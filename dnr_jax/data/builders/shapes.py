"""Moving shapes: what is in one clip, and how it looks.

A shape on a textured background moves, grows or turns. Each of the four motions has two directions, and the
clips of one are those of the other run backwards: a clip is drawn as a path from one pose to another, and the
second class of each pair swaps the two. So no frame by itself, and no set of frames without their order,
tells the two apart: a network that only averages over frames is right half of the time.
"""

import colorsys
import json
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from dnr_jax.data.video.encoding import encode

SEED = 0  # part of the data set's version: another seed is another data set
FRAMES = 24  # a window of 16 frames can start anywhere in the first third
SIZE = 72  # pixels; leaves room for a random crop of 64
FPS = 12
QUANTIZER = 27
KEYFRAME_INTERVAL = 1  # every frame coded by itself: the traces of coding must not tell the direction either

# Neighbours are opposite: label ^ 1 is the same clip backwards.
LABEL_NAMES = (
    'move right',
    'move left',
    'move down',
    'move up',
    'grow',
    'shrink',
    'turn clockwise',
    'turn counter-clockwise',
)
SPLITS = ('train', 'validation', 'test')

# Ranges of the uniform draws, per whole clip.
TRAVEL = (28, 40)  # pixels
GROWTH = (2.0, 2.6)  # ratio of the sizes
TURN = (240, 330)  # degrees: at most 15 from frame to frame, so every second or fourth frame stays clear
RADIUS = (12, 17)  # pixels from a shape's centre to its farthest corner; the larger one for growing shapes
TURNING_RADIUS = (20, 26)  # of turning shapes, whose direction is seen at their ends
MARGIN = 4  # pixels the farthest corner may leave the image by
NOISE = (3, 10)  # width of its uniform distribution, grey levels of 255

_SUBPIXEL_BITS = 4


def outline_of(*corners: tuple[float | int, float | int]) -> np.ndarray:
    """Centres a polygon [N 2] on its centroid and scales its farthest corner to distance 1."""
    x, y = np.array(corners, float).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    cross = x * next_y - next_x * y
    centroid = np.array([(x + next_x) @ cross, (y + next_y) @ cross]) / (3 * cross.sum())
    centred = np.stack([x, y], axis=1) - centroid
    return centred / np.linalg.norm(centred, axis=1).max()


# None of them looks the same after any turn of less than 360 degrees, so the direction of a turn can be seen.
SHAPES = {
    'arrow': outline_of((0, 2), (5, 2), (5, 0), (9, 3.5), (5, 7), (5, 5), (0, 5)),
    'comma': outline_of((0, 1), (1, 0), (3, 0), (4, 1), (4, 4), (3, 6), (1, 8), (0, 8), (1.5, 4.5), (0, 3.5)),
    'flag': outline_of((0, 0), (6, 2), (1.5, 4), (1.5, 9), (0, 9)),
    'letter L': outline_of((0, 0), (2, 0), (2, 6), (5, 6), (5, 8), (0, 8)),
    'triangle': outline_of((0, 0), (9, 3), (1, 5)),
}


def draw_parameters(seed: int, split: str, index: int) -> dict[str, Any]:
    """Draws everything that defines one clip.

    Args:
      seed: of the whole data set.
      split: one of SPLITS.
      index: number of the clip in its split; its label is `index % 8`. No clip depends on any other.

    Returns:
      Plain numbers, strings and lists, ready for JSON: `label`, `shape`, the poses `start` and `end` (each x
      and y in pixels, radius in pixels, angle in degrees clockwise), `color` and `background` (RGB), `noise`
      and `noise_seed`.
    """
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    label = index % len(LABEL_NAMES)
    start, end = _draw_path(LABEL_NAMES[label - label % 2], rng)
    color, background = _draw_colors(rng)
    parameters = {
        'label': label - label % 2,
        'shape': str(rng.choice(list(SHAPES))),
        'start': start,
        'end': end,
        'color': color,
        'background': background,
        'noise': float(rng.uniform(*NOISE)),
        'noise_seed': int(rng.integers(2**32)),
    }
    return reverse(parameters) if label % 2 else parameters


def reverse(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same clip run backwards, which is a clip of the opposite class (but for its noise)."""
    return {**parameters, 'label': parameters['label'] ^ 1, 'start': parameters['end'], 'end': parameters['start']}


def _draw_path(motion: str, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float]]:
    """Poses of the first and the last frame, for the first class of each pair."""
    travel, growth, turn = rng.uniform(*TRAVEL), rng.uniform(*GROWTH), rng.uniform(*TURN)
    radius, angle = rng.uniform(*RADIUS), rng.uniform(0, 360)
    reach = radius - MARGIN
    x, y = rng.uniform(reach, SIZE - reach, 2)
    start = {'x': x, 'y': y, 'radius': radius, 'angle': angle}
    if motion == 'move right':
        x = rng.uniform(reach, SIZE - reach - travel)
        start, end = start | {'x': x}, start | {'x': x + travel}
    elif motion == 'move down':
        y = rng.uniform(reach, SIZE - reach - travel)
        start, end = start | {'y': y}, start | {'y': y + travel}
    elif motion == 'grow':
        start, end = start | {'radius': radius / growth}, start
    else:
        assert motion == 'turn clockwise', motion
        radius = rng.uniform(*TURNING_RADIUS)
        x, y = rng.uniform(radius - MARGIN, SIZE - radius + MARGIN, 2)
        start = {'x': x, 'y': y, 'radius': radius, 'angle': angle}
        end = start | {'angle': angle + turn}
    return _plain(start), _plain(end)


def _draw_colors(rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """A bright shape on a dark background, both of any hue."""
    values = rng.uniform(0.75, 1), rng.uniform(0.15, 0.35)
    color, background = (colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.6), value) for value in values)
    return [round(255 * part) for part in color], [round(255 * part) for part in background]


def _plain(pose: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in pose.items()}


def poses(parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Pose of the shape in every frame: constant speed, and constant ratio for the size. Each [T]."""
    way = np.linspace(0, 1, FRAMES)
    start, end = parameters['start'], parameters['end']
    path = {name: start[name] + (end[name] - start[name]) * way for name in ('x', 'y', 'angle')}
    return path | {'radius': start['radius'] * (end['radius'] / start['radius']) ** way}


def render(parameters: Mapping[str, Any]) -> np.ndarray:
    """Draws the clip that `draw_parameters` describes, uint8 [T H W C]."""
    rng = np.random.default_rng(parameters['noise_seed'])
    background = np.array(parameters['background'], np.float32) + draw_texture(rng, SIZE)
    color = np.array(parameters['color'], np.float32)
    covers = cover_of(SHAPES[parameters['shape']], poses(parameters))[..., None]
    noise = np.float32(parameters['noise']) * (rng.random(covers.shape, np.float32) - 0.5)
    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    for frame, cover, grain in zip(clip, covers, noise, strict=True):  # one by one, to stay inside the cache
        image = background + cover * (color - background) + grain
        frame[:] = np.clip(image + 0.5, 0, 255)
    return clip


def draw_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Blotches of three sizes, the largest coloured. [H W C] of that size, mean about 0."""
    texture = np.zeros((size, size, 3), np.float32)
    for cells, strength, channels in ((4, 14, 3), (9, 8, 1), (24, 5, 1)):
        blotches = strength * rng.standard_normal((cells, cells, channels), np.float32)
        blotches = cv2.resize(blotches, (size, size), interpolation=cv2.INTER_CUBIC)
        texture += blotches.reshape(size, size, channels)
    return texture


def cover_of(outline: np.ndarray, path: Mapping[str, np.ndarray]) -> np.ndarray:
    """The part of each pixel that the shape covers, anti-aliased: float32 [T H W] from 0 to 1."""
    angle = np.deg2rad(path['angle'])
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)
    turned = outline @ rotation
    center = np.stack([path['x'], path['y']], axis=-1)
    corners = center[:, None] + path['radius'][:, None, None] * turned
    corners -= 0.5  # the centre of pixel 0 lies at 0.5
    corners = np.round(corners * 2**_SUBPIXEL_BITS).astype(np.int32)
    cover = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    for image, polygon in zip(cover, corners, strict=True):
        cv2.fillPoly(image, [polygon], 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    return cover.astype(np.float32) / 255


def make_example(split: str, index: int) -> dict[str, Any]:
    """Draws, renders and encodes one clip: the features of a video data set, but for its id and label."""
    parameters = draw_parameters(SEED, split, index)
    return {
        'video': encode(render(parameters), FPS, quantizer=QUANTIZER, keyframe_interval=KEYFRAME_INTERVAL),
        'frame_ends': np.zeros(0, np.int64),
        'num_frames': FRAMES,
        'parameters': json.dumps(parameters),
    }
