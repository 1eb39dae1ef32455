"""Space: resizing, cropping and flipping clips, uint8 [T H W C].

The rules are those of the released training and test pipelines. One draw holds for all frames of a clip.
Crops are views of their input, without a copy.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np


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


def crop(clip: np.ndarray, box: Box) -> np.ndarray:
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


def crop_sizes(height: int, width: int, *, scales: Sequence[float], max_scale_gap: int) -> list[tuple[int, int]]:
    """All (height, width) of a multi-scale crop: the short side times two scales of neighbouring rank."""
    sizes = [int(min(height, width) * scale) for scale in scales]
    return [(h, w) for i, h in enumerate(sizes) for j, w in enumerate(sizes) if abs(i - j) <= max_scale_gap]


def draw_crop(height: int, width: int, *, scales: Sequence[float], max_scale_gap: int, rng: np.random.Generator) -> Box:
    """Draws a multi-scale crop: any of `crop_sizes`, in any corner or the centre, all equally likely."""
    sizes = crop_sizes(height, width, scales=scales, max_scale_gap=max_scale_gap)
    crop_height, crop_width = sizes[rng.integers(len(sizes))]
    down, right = (height - crop_height) // 4, (width - crop_width) // 4  # corners lie at 0 or 4 steps
    steps_down, steps_right = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))[rng.integers(5)]
    return Box(steps_down * down, steps_right * right, crop_height, crop_width)


def center_crop(clip: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle. [T H W C] to [T size size C]. Raises ValueError if it does not fit."""
    height, width = clip.shape[1:3]
    return crop(clip, Box((height - size) // 2, (width - size) // 2, size, size))


def three_crops(clip: np.ndarray, size: int) -> np.ndarray:
    """Three squares along the long side: begin, middle, end. [T H W C] to [3 T size size C].

    Raises:
      ValueError: if the square does not fit.
    """
    height, width = clip.shape[1:3]
    top, left = (height - size) // 2, (width - size) // 2
    if width >= height:
        boxes = [Box(top, step * left, size, size) for step in (0, 1, 2)]
    else:
        boxes = [Box(step * top, left, size, size) for step in (0, 1, 2)]
    return np.stack([crop(clip, box) for box in boxes])


def train_view(
    clip: np.ndarray,
    *,
    short_side: int,
    size: int,
    scales: Sequence[float],
    max_scale_gap: int,
    flip: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The training pipeline: short side, multi-scale crop, square, mirrored with probability `flip`.

    Returns:
      [T size size C], contiguous.

    Raises:
      ValueError: if a scale above 1 makes a crop that does not fit.
    """
    clip = resize_short_side(clip, short_side)
    box = draw_crop(*clip.shape[1:3], scales=scales, max_scale_gap=max_scale_gap, rng=rng)
    clip = resize(crop(clip, box), size, size)
    if rng.random() < flip:
        clip = clip[:, :, ::-1]
    return np.ascontiguousarray(clip)


def eval_views(clip: np.ndarray, *, short_side: int, size: int, crops: int) -> np.ndarray:
    """The test pipeline: short side, then the centre (`crops` = 1) or three crops along the long side (3).

    Returns:
      [crops T size size C], contiguous.

    Raises:
      ValueError: for another number of crops, or if the crop does not fit.
    """
    clip = resize_short_side(clip, short_side)
    if crops == 1:
        return np.ascontiguousarray(center_crop(clip, size)[None])
    if crops == 3:
        return three_crops(clip, size)
    raise ValueError(f'crops is 1 (centre) or 3 (along the long side), got {crops}.')
