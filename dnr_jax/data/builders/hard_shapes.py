"""The harder moving shapes: twelve classes in a crowded, moving picture.

A bright shape moves, grows, turns, circles, or changes its pace. Around it darker shapes drift about, a dark bar hides
a part of the picture, and the camera pans. Everything in a clip goes from a start to an end, by one pace,

    way(t) = t + pace * t * (1 - t),     t from 0 to 1

so that run backwards it goes from its end to its start by the opposite pace. As in `shapes`, the clips of the second
class of each pair are those of the first run backwards, and no set of frames without their order tells the two apart.
"""

import colorsys
import json
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from dnr_jax.data.builders.shapes import (
    FPS,
    FRAMES,
    KEYFRAME_INTERVAL,
    QUANTIZER,
    SEED,
    SHAPES,
    SIZE,
    SPLITS,
    cover_of,
    draw_texture,
    outline_of,
)
from dnr_jax.data.builders.shapes import LABEL_NAMES as STANDARD_NAMES
from dnr_jax.data.video.encoding import encode

# Neighbours are opposite: label ^ 1 is the same clip backwards.
LABEL_NAMES = (
    *STANDARD_NAMES,
    'circle clockwise',
    'circle counter-clockwise',
    'speed up',
    'slow down',
)

# Ranges of the uniform draws, per whole clip.
TRAVEL = (28, 42)  # pixels
GROWTH = (2.0, 2.8)  # ratio of the sizes
TURN = (240, 330)  # degrees
SWEEP = (240, 340)  # degrees of a circle
ORBIT = (11, 15)  # its radius, pixels
RADIUS = (11, 15)  # pixels from a shape's centre to its farthest corner
LARGE_RADIUS = (18, 24)  # of shapes that grow or turn
PACE = 0.2  # at most, either way, where the pace is not the class
CHANGE_OF_PACE = (0.75, 0.95)  # where it is: from a quarter of the mean speed, or less, to almost twice
DISTRACTORS = (1, 3)  # how many
DISTRACTOR_RADIUS = (5, 8)
DRIFT = 12  # pixels that a distractor moves at most, in x and in y
PAN = 4  # pixels that the camera is off at most, in x and in y
BAR = (3, 6)  # pixels, the width of what hides the rest
NOISE = (3, 10)  # width of its uniform distribution, grey levels of 255


def draw_parameters(seed: int, split: str, index: int) -> dict[str, Any]:
    """Draws everything that defines one clip; no clip depends on any other.

    Args:
      seed: of the whole data set. split: one of SPLITS.
      index: number of the clip in its split; its label is `index % 12`.

    Returns:
      Plain numbers, strings and lists, ready for JSON: `label`, `pace`; `bodies`, painted in this order (shape, color,
      and the poses `start` and `end`: x, y, radius, angle, orbit, phase in pixels and degrees), the last but one of
      which is what the label is about and the last one the bar; `camera` (offset at start and end), `background`,
      `noise` and `noise_seed`.
    """
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    label = index % len(LABEL_NAMES)
    start, end, pace = _draw_motion(LABEL_NAMES[label - label % 2], rng)
    actor = {'shape': str(rng.choice(list(SHAPES))), 'color': _color(rng, 0.8, 1.0), 'start': start, 'end': end}
    distractors = [_draw_distractor(rng) for _ in range(rng.integers(*DISTRACTORS, endpoint=True))]
    parameters = {
        'label': label - label % 2,
        'pace': round(float(pace), 3),
        'bodies': [*distractors, actor, _draw_bar(rng)],
        'camera': {name: [round(float(of), 3) for of in rng.uniform(-PAN, PAN, 2)] for name in ('start', 'end')},
        'background': _color(rng, 0.15, 0.35),
        'noise': round(float(rng.uniform(*NOISE)), 3),
        'noise_seed': int(rng.integers(2**32)),
    }
    return reverse(parameters) if label % 2 else parameters


def reverse(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same clip run backwards, which is a clip of the opposite class (but for its noise)."""
    return {
        **parameters,
        'label': parameters['label'] ^ 1,
        'pace': -parameters['pace'],
        'bodies': [_swapped(body) for body in parameters['bodies']],
        'camera': _swapped(parameters['camera']),
    }


def _swapped(of: Mapping[str, Any]) -> dict[str, Any]:
    return {**of, 'start': of['end'], 'end': of['start']}


def _draw_motion(motion: str, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float], float]:
    """Poses of the first and the last frame, and the pace, for the first class of each pair."""
    radius = rng.uniform(*(LARGE_RADIUS if motion in ('grow', 'turn clockwise') else RADIUS))
    travel, angle, phase = rng.uniform(*TRAVEL), rng.uniform(0, 360), rng.uniform(0, 360)
    x, y = rng.uniform(radius, SIZE - radius, 2)
    pace = rng.uniform(-PACE, PACE)
    ways = {'move right': 0.0, 'move down': 90.0, 'speed up': phase}
    if motion in ways:
        direction = np.deg2rad(ways[motion])
        dx, dy = travel * np.cos(direction) / 2, travel * np.sin(direction) / 2
        x, y = (np.clip(at, radius + abs(by), SIZE - radius - abs(by)) for at, by in ((x, dx), (y, dy)))
        start, end = _pose(x - dx, y - dy, radius, angle), _pose(x + dx, y + dy, radius, angle)
        if motion == 'speed up':
            pace = -rng.uniform(*CHANGE_OF_PACE)
    elif motion == 'grow':
        start, end = _pose(x, y, radius / rng.uniform(*GROWTH), angle), _pose(x, y, radius, angle)
    elif motion == 'turn clockwise':
        start, end = _pose(x, y, radius, angle), _pose(x, y, radius, angle + rng.uniform(*TURN))
    else:
        assert motion == 'circle clockwise', motion
        orbit = rng.uniform(*ORBIT)
        x, y = rng.uniform(orbit + radius, SIZE - orbit - radius, 2)
        start = _pose(x, y, radius, angle, orbit, phase)
        end = _pose(x, y, radius, angle, orbit, phase + rng.uniform(*SWEEP))
    return start, end, pace


def _draw_distractor(rng: np.random.Generator) -> dict[str, Any]:
    """A darker shape on a straight way of any direction."""
    radius, angle = rng.uniform(*DISTRACTOR_RADIUS), rng.uniform(0, 360)
    x, y = rng.uniform(0, SIZE, 2)
    dx, dy = rng.uniform(-DRIFT / 2, DRIFT / 2, 2)
    start, end = _pose(x - dx, y - dy, radius, angle), _pose(x + dx, y + dy, radius, angle)
    return {'shape': str(rng.choice(list(SHAPES))), 'color': _color(rng, 0.35, 0.5), 'start': start, 'end': end}


def _draw_bar(rng: np.random.Generator) -> dict[str, Any]:
    """A dark bar across the whole picture, which stays where it is; its shape is its width."""
    pose = _pose(*rng.uniform(0.25 * SIZE, 0.75 * SIZE, 2), float(SIZE), rng.uniform(0, 180))
    return {'shape': round(float(rng.uniform(*BAR)), 3), 'color': _color(rng, 0.0, 0.1), 'start': pose, 'end': pose}


def _pose(x: float, y: float, radius: float, angle: float, orbit: float = 0.0, phase: float = 0.0) -> dict[str, float]:
    pose = {'x': x, 'y': y, 'radius': radius, 'angle': angle, 'orbit': orbit, 'phase': phase}
    return {name: round(float(value), 3) for name, value in pose.items()}


def _color(rng: np.random.Generator, darkest: float, brightest: float) -> list[int]:
    """RGB of any hue, between two values."""
    color = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(darkest, brightest))
    return [round(255 * part) for part in color]


def poses(body: Mapping[str, Any], pace: float) -> dict[str, np.ndarray]:
    """Place [pixels], radius and angle [degrees] of a body in every frame, seen by a camera that stands. Each [T]."""
    t = np.linspace(0, 1, FRAMES)
    way = t + pace * t * (1 - t)
    start, end = body['start'], body['end']
    at = {name: start[name] + (end[name] - start[name]) * way for name in ('x', 'y', 'angle', 'orbit', 'phase')}
    phase = np.deg2rad(at['phase'])
    return {
        'x': at['x'] + at['orbit'] * np.cos(phase),
        'y': at['y'] + at['orbit'] * np.sin(phase),
        'radius': start['radius'] * (end['radius'] / start['radius']) ** way,
        'angle': at['angle'],
    }


def render(parameters: Mapping[str, Any]) -> np.ndarray:
    """Draws the clip that `draw_parameters` describes, uint8 [T H W C]."""
    rng = np.random.default_rng(parameters['noise_seed'])
    texture = np.array(parameters['background'], np.float32) + draw_texture(rng, SIZE + 2 * PAN)
    noise = np.float32(parameters['noise']) * (rng.random((FRAMES, SIZE, SIZE, 1), np.float32) - 0.5)
    camera = parameters['camera']
    way = np.linspace(0, 1, FRAMES)[:, None]
    offsets = np.array(camera['start']) * (1 - way) + np.array(camera['end']) * way
    clip = np.stack([_seen(texture, offset) for offset in offsets])
    for body in parameters['bodies']:
        path = poses(body, parameters['pace'])
        path |= {'x': path['x'] + offsets[:, 0], 'y': path['y'] + offsets[:, 1]}
        cover = cover_of(_outline(body['shape']), path)[..., None]
        clip += cover * (np.array(body['color'], np.float32) - clip)
    return np.clip(clip + noise + 0.5, 0, 255).astype(np.uint8)


def _seen(texture: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The part of the background that a camera sees when what it looks at is `offset` pixels (x, y) off."""
    moved = np.array([[1, 0, offset[0] - PAN], [0, 1, offset[1] - PAN]])
    return cv2.warpAffine(texture, moved, (SIZE, SIZE))


def _outline(shape: str | float) -> np.ndarray:
    """Corners of a shape by its name, or of a bar by its width in pixels."""
    if isinstance(shape, str):
        return SHAPES[shape]
    return outline_of((0, 0), (2 * SIZE, 0), (2 * SIZE, shape), (0, shape))


def make_example(split: str, index: int) -> dict[str, Any]:
    """Draws, renders and encodes one clip: the features of a video data set, but for its id and label."""
    parameters = draw_parameters(SEED, split, index)
    return {
        'video': encode(render(parameters), FPS, quantizer=QUANTIZER, keyframe_interval=KEYFRAME_INTERVAL),
        'frame_ends': np.zeros(0, np.int64),
        'num_frames': FRAMES,
        'parameters': json.dumps(parameters),
    }
