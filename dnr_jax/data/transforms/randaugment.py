"""RandAugment: a few operations out of many, drawn for a clip, at one strength for all of them.

Every operation takes a clip, contiguous uint8 [T H W C], and a strength from -1 to 1, and changes more the farther
from 0 it is. The sign is a direction; operations that have none do not heed it.

Source: Cubuk et al., RandAugment, 2020; operations, ranges and draws of the increasing variety ('inc1') of
huggingface/pytorch-image-models, where geometry is resampled bilinearly or bicubically at random, here bilinearly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dnr_jax.data.transforms.colors import brightness, contrast, look_up, saturation

VALUES = np.arange(256)
FILL = (128, 128, 128)  # what geometry uncovers


@dataclass(frozen=True)
class RandAugment:
    """Layers of operations, each drawn from all `OPERATIONS` and carried out with probability 1/2.

    Attributes:
      layers: number of draws.
      magnitude: mean strength, 0 to 10.
      deviation: standard deviation of the strength, which is drawn for every layer.
    """

    layers: int
    magnitude: float
    deviation: float

    def __post_init__(self):
        if self.layers < 0 or self.deviation < 0 or not 0 <= self.magnitude <= 10:
            raise ValueError(f'layers and deviation start at 0, magnitude lies between 0 and 10: {self}.')

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        operations = tuple(OPERATIONS.values())
        for number in rng.integers(len(operations), size=self.layers):
            if rng.random() < 0.5:
                strength = np.clip(rng.normal(self.magnitude, self.deviation), 0, 10) / 10
                clip = operations[number](clip, float(strength * rng.choice((-1, 1))))
        return clip


def _autocontrast(clip: np.ndarray, strength: float) -> np.ndarray:
    """Stretches the values of each channel of a frame to 0..255; the same at every strength."""
    return _frame_by_frame(_stretch, clip)


def _equalize(clip: np.ndarray, strength: float) -> np.ndarray:
    """Makes the values of each channel of a frame equally frequent; the same at every strength."""
    return _frame_by_frame(_equalize_frame, clip)


def _invert(clip: np.ndarray, strength: float) -> np.ndarray:
    """The same at every strength."""
    return ~clip


def _posterize(clip: np.ndarray, strength: float) -> np.ndarray:
    """Keeps the 4 to 0 highest bits."""
    bits = 4 - int(4 * abs(strength))
    return clip & np.uint8(256 - (1 << (8 - bits)))


def _solarize(clip: np.ndarray, strength: float) -> np.ndarray:
    """Inverts the values from a threshold on: all at 1, none at 0."""
    threshold = 256 - int(256 * abs(strength))
    return look_up(clip, np.where(VALUES < threshold, VALUES, 255 - VALUES).astype(np.uint8))


def _solarize_add(clip: np.ndarray, strength: float) -> np.ndarray:
    """Adds up to 110 to the values below 128."""
    added = np.minimum(VALUES + int(110 * abs(strength)), 255)
    return look_up(clip, np.where(VALUES < 128, added, VALUES).astype(np.uint8))


def _color(clip: np.ndarray, strength: float) -> np.ndarray:
    return saturation(clip, _factor(strength))


def _contrast(clip: np.ndarray, strength: float) -> np.ndarray:
    return contrast(clip, _factor(strength))


def _brightness(clip: np.ndarray, strength: float) -> np.ndarray:
    return brightness(clip, _factor(strength))


def _sharpness(clip: np.ndarray, strength: float) -> np.ndarray:
    """Away from a slightly blurred copy."""
    factor = _factor(strength)
    blur = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    kernel = (1 - factor) * blur
    kernel[1, 1] += factor
    return np.stack([cv2.filter2D(frame, -1, kernel) for frame in clip])


def _rotate(clip: np.ndarray, strength: float) -> np.ndarray:
    """Up to 30 degrees around the centre, counter-clockwise if positive."""
    angle = math.radians(30 * strength)
    cos, sin = math.cos(angle), math.sin(angle)
    y, x = (clip.shape[1] - 1) / 2, (clip.shape[2] - 1) / 2
    return _sample(clip, [[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])


def _shear_x(clip: np.ndarray, strength: float) -> np.ndarray:
    return _sample(clip, [[1, 0.3 * strength, 0], [0, 1, 0]])


def _shear_y(clip: np.ndarray, strength: float) -> np.ndarray:
    return _sample(clip, [[1, 0, 0], [0.3 * strength, 1, 0]])


def _translate_x(clip: np.ndarray, strength: float) -> np.ndarray:
    return _sample(clip, [[1, 0, 0.45 * strength * clip.shape[2]], [0, 1, 0]])


def _translate_y(clip: np.ndarray, strength: float) -> np.ndarray:
    return _sample(clip, [[1, 0, 0], [0, 1, 0.45 * strength * clip.shape[1]]])


OPERATIONS = {
    'autocontrast': _autocontrast,
    'equalize': _equalize,
    'invert': _invert,
    'rotate': _rotate,
    'posterize': _posterize,
    'solarize': _solarize,
    'solarize_add': _solarize_add,
    'color': _color,
    'contrast': _contrast,
    'brightness': _brightness,
    'sharpness': _sharpness,
    'shear_x': _shear_x,
    'shear_y': _shear_y,
    'translate_x': _translate_x,
    'translate_y': _translate_y,
}


def _factor(strength: float) -> float:
    return max(1 + 0.9 * strength, 0.1)


def _sample(clip: np.ndarray, source: list) -> np.ndarray:
    """Takes the pixel at (x, y) from `source` @ (x, y, 1), `source` being [2][3]."""
    matrix, (height, width) = np.array(source, np.float64), clip.shape[1:3]
    how = {'flags': cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, 'borderValue': FILL}
    return np.stack([cv2.warpAffine(frame, matrix, (width, height), **how) for frame in clip])


def _frame_by_frame(change: Callable[[np.ndarray], np.ndarray], clip: np.ndarray) -> np.ndarray:
    return np.stack([change(frame) for frame in clip])


def _stretch(frame: np.ndarray) -> np.ndarray:
    low, high = frame.min(0).min(0).astype(int), frame.max(0).max(0).astype(int)
    table = np.clip((VALUES[:, None] - low) * 255 // np.maximum(high - low, 1), 0, 255)
    return cv2.LUT(frame, np.where(high > low, table, VALUES[:, None]).astype(np.uint8)[None])


def _equalize_frame(frame: np.ndarray) -> np.ndarray:
    return cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(frame)])
