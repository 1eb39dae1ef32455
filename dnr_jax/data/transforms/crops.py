"""Resizing and cropping clips, [T H W C].

Every crop for training is drawn by a rule of its own and resized to a square; crops for evaluation have fixed places.
Crops are views of their input, without a copy.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from dnr_jax.registry import choose

# (down, right) in quarters of the free space: the corners and the centre, then the sides and the inner corners.
PLACES = (
    *((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)),
    *((2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)),
)


class Box(NamedTuple):
    """A rectangle of pixels inside a frame."""

    top: int
    left: int
    height: int
    width: int


def resize(clip: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear; the clip itself if it has this size already. [T H W C] to [T height width C]."""
    if clip.shape[1:3] == (height, width):
        return clip
    resized = np.empty((len(clip), height, width, clip.shape[3]), clip.dtype)
    for source, target in zip(clip, resized, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return resized


def resize_short_side(clip: np.ndarray, short_side: int) -> np.ndarray:
    """Brings the short side to `short_side` and keeps the aspect ratio. [T H W C] to [T H' W' C]."""
    height, width = clip.shape[1:3]
    scale = short_side / min(height, width)
    return resize(clip, int(scale * height + 0.5), int(scale * width + 0.5))


def cut(clip: np.ndarray, box: Box) -> np.ndarray:
    """Cuts the box out. [T H W C] to [T height width C].

    Raises:
      ValueError: if the box does not lie inside the frames.
    """
    height, width = clip.shape[1:3]
    if box.top < 0 or box.left < 0 or box.top + box.height > height or box.left + box.width > width:
        raise ValueError(
            f'A crop must lie inside the frame: {box} does not fit into {height} x {width} '
            'pixels. Use a smaller crop or resize to a longer short side.'
        )
    return clip[:, box.top : box.top + box.height, box.left : box.left + box.width]


@dataclass(frozen=True)
class MultiScaleCrop:
    """The short side times two scales of neighbouring rank, in one of few places, all equally likely.

    Source: Wang et al., TSN, 2016. 5 places as in open-mmlab/mmaction2 and in the released code, 13 as in
    mit-han-lab/temporal-shift-module.

    Attributes:
      size: height and width of the result.
      short_side: pixels that frames are resized to before.
      scales: sizes of the crops, relative to the short side.
      max_scale_gap: how many ranks the scales of height and width may differ by.
      positions: number of places: 5, the corners and the centre, or 13.
      snap: a crop side closer than so many pixels to `size` becomes `size`; 0 is off, the sources have 3.
    """

    size: int
    short_side: int
    scales: tuple[float, ...]
    max_scale_gap: int
    positions: int
    snap: int

    def __post_init__(self):
        if self.positions not in (5, 13):
            raise ValueError(f'positions is 5 (corners and centre) or 13 (sides and inner corners too): {self}.')
        if self.snap < 0 or self.max_scale_gap < 0:
            raise ValueError(f'snap and max_scale_gap start at 0: {self}.')
        sides = self._sides(self.short_side)
        if not sides or min(sides) < 1 or max(sides) > self.short_side:
            raise ValueError(
                f'At least one scale is needed, and crops of 1 to short_side pixels, got sides of {sides}: {self}. '
                'Scales lie between 0 and 1.'
            )

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clip = resize_short_side(clip, self.short_side)
        return resize(cut(clip, self.draw(*clip.shape[1:3], rng)), self.size, self.size)

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """Any of `sizes` in any place."""
        sizes = self.sizes(height, width)
        crop_height, crop_width = sizes[rng.integers(len(sizes))]
        place = PLACES[rng.integers(self.positions)]
        return _placed(height, width, crop_height, crop_width, place)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """All (height, width) of crops of a frame."""
        sides = self._sides(min(height, width))
        gap = self.max_scale_gap
        return [(h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= gap]

    def _sides(self, short_side: int) -> list[int]:
        sides = (int(short_side * scale) for scale in self.scales)
        return [self.size if abs(side - self.size) < self.snap else side for side in sides]


@dataclass(frozen=True)
class RandomResizedCrop:
    """A box of random area, shape and place; the central square if none of ten fits.

    Source: Szegedy et al., 2015; as in open-mmlab/mmaction2.

    Attributes:
      size: height and width of the result.
      short_side: pixels that frames are resized to before.
      area: least and largest share of the frame.
      ratio: least and largest width over height; its logarithm is uniform.
    """

    size: int
    short_side: int
    area: tuple[float, ...]
    ratio: tuple[float, ...]

    def __post_init__(self):
        if not (_is_range(self.area) and _is_range(self.ratio) and 0 < self.area[0] and self.area[1] <= 1):
            raise ValueError(f'area and ratio are pairs (least, largest) above 0, area at most 1: {self}.')
        if self.ratio[0] <= 0 or self.short_side < 1:
            raise ValueError(f'ratio and short_side lie above 0: {self}.')

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clip = resize_short_side(clip, self.short_side)
        return resize(cut(clip, self.draw(*clip.shape[1:3], rng)), self.size, self.size)

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """The first of ten boxes that fits."""
        for _ in range(10):
            crop_height, crop_width = draw_shape(height, width, self.area, self.ratio, rng)
            if crop_height <= height and crop_width <= width:
                return draw_place(height, width, crop_height, crop_width, rng)
        return _center(height, width, min(height, width))


@dataclass(frozen=True)
class ScaleJitterCrop:
    """A square in a random place of a frame whose short side is drawn; crops of a small frame show more of it.

    Source: Simonyan and Zisserman, 2015; as in facebookresearch/SlowFast, whose draw is uniform in the reciprocal.

    Attributes:
      size: height and width of the crop.
      short_sides: least and largest short side, both inclusive.
    """

    size: int
    short_sides: tuple[int, ...]

    def __post_init__(self):
        if not _is_range(self.short_sides) or self.short_sides[0] < self.size:
            raise ValueError(f'short_sides is a pair (least, largest), from size on: {self}.')

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        least, largest = self.short_sides
        clip = resize_short_side(clip, int(rng.integers(least, largest + 1)))
        return cut(clip, draw_place(*clip.shape[1:3], self.size, self.size, rng))


def train_crop(
    *,
    crop: str,
    size: int,
    short_side: int,
    scales: Sequence[float],
    max_scale_gap: int,
    positions: int,
    snap: int,
    area: Sequence[float],
    ratio: Sequence[float],
    short_sides: Sequence[int],
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """The crop of this name, made of the settings that it has; the others play no part.

    Returns:
      (clip [T H W C], rng) -> [T size size C].

    Raises:
      ValueError: for an unknown name, or for settings out of range.
    """
    if size < 1:
        raise ValueError(f'A clip is at least 1 pixel wide and high, got {size=}.')
    multi_scale = {'max_scale_gap': max_scale_gap, 'positions': positions, 'snap': snap}
    crops = {
        'multi_scale': partial(MultiScaleCrop, short_side=short_side, scales=tuple(scales), **multi_scale),
        'random_resized': partial(RandomResizedCrop, short_side=short_side, area=tuple(area), ratio=tuple(ratio)),
        'scale_jitter': partial(ScaleJitterCrop, short_sides=tuple(short_sides)),
    }
    return choose(crops, crop, 'crop')(size=size)


def mirror(clip: np.ndarray) -> np.ndarray:
    """Left and right exchanged. [T H W C] to contiguous [T H W C]; by OpenCV, for NumPy copies backwards slowly."""
    mirrored = np.empty(clip.shape, clip.dtype)
    for source, target in zip(clip, mirrored, strict=True):
        cv2.flip(source, 1, dst=target)
    return mirrored


def eval_views(clip: np.ndarray, *, short_side: int, size: int, crops: int) -> np.ndarray:
    """The test pipeline: short side, then crops in fixed places.

    Args:
      clip: [T H W C].
      short_side: pixels that frames are resized to before cropping.
      size: height and width of a crop.
      crops: 1 (centre), 3 (along the long side), 5 (corners and centre) or 10 (those, then their mirror images).

    Returns:
      [crops T size size C], contiguous.

    Raises:
      ValueError: for another number of crops, or if the crop does not fit.
    """
    mirrored = mirrored_crops(crops)
    clip = resize_short_side(clip, short_side)
    height, width = clip.shape[1:3]
    if crops == 1:
        boxes = [_center(height, width, size)]
    elif crops == 3:
        boxes = _along_the_long_side(height, width, size)
    else:
        boxes = [_placed(height, width, size, size, place) for place in PLACES[:5]] * (crops // 5)
    views = np.empty((crops, len(clip), size, size, clip.shape[3]), clip.dtype)
    for view, box, is_mirrored in zip(views, boxes, mirrored, strict=True):
        view[:] = mirror(cut(clip, box)) if is_mirrored else cut(clip, box)
    return views


def shown_by_centre(height: int, width: int, *, short_side: int, size: int) -> Box:
    """The part of a frame, in its own pixels, that the centre crop of `eval_views` shows."""
    scale = short_side / min(height, width)
    resized = int(scale * height + 0.5), int(scale * width + 0.5)
    down, across = height / resized[0], width / resized[1]
    top, left, *_ = _center(*resized, size)
    return Box(round(down * top), round(across * left), round(down * size), round(across * size))


def mirrored_crops(crops: int) -> list[bool]:
    """Which of so many crops of `eval_views` are mirror images; ValueError for a number that it does not have."""
    if crops not in (1, 3, 5, 10):
        raise ValueError(
            'crops is 1 (centre), 3 (along the long side), 5 (corners and centre) or 10 (those and their mirror '
            f'images), got {crops}.'
        )
    return [False] * min(crops, 5) + [True] * (crops - min(crops, 5))


def draw_shape(
    height: int, width: int, area: tuple[float, ...], ratio: tuple[float, ...], rng: np.random.Generator
) -> tuple[int, int]:
    """Height and width of a box with a share of the frame in `area` and width over height in `ratio`."""
    pixels = rng.uniform(*area) * height * width
    shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    return max(round(math.sqrt(pixels / shape)), 1), max(round(math.sqrt(pixels * shape)), 1)


def draw_place(height: int, width: int, crop_height: int, crop_width: int, rng: np.random.Generator) -> Box:
    """A box of this size anywhere inside the frame, all places equally likely."""
    top, left = rng.integers(height - crop_height + 1), rng.integers(width - crop_width + 1)
    return Box(int(top), int(left), crop_height, crop_width)


def _placed(height: int, width: int, crop_height: int, crop_width: int, place: tuple[int, int]) -> Box:
    down, right = (height - crop_height) // 4, (width - crop_width) // 4
    return Box(place[0] * down, place[1] * right, crop_height, crop_width)


def _center(height: int, width: int, size: int) -> Box:
    return Box((height - size) // 2, (width - size) // 2, size, size)


def _along_the_long_side(height: int, width: int, size: int) -> list[Box]:
    top, left, *square = _center(height, width, size)
    if width >= height:
        return [Box(top, step * left, *square) for step in (0, 1, 2)]
    return [Box(step * top, left, *square) for step in (0, 1, 2)]


def _is_range(pair: tuple) -> bool:
    return len(pair) == 2 and pair[0] <= pair[1]
