"""Colours of clips, contiguous uint8 [T H W C]: operations on single pixels, and a random jitter made of them.

A factor of 0 takes a property away, 1 leaves the clip as it is, more exaggerates. Grey is 0.299 red + 0.587 green +
0.114 blue. The rules are those of torchvision and Pillow.
"""

from dataclasses import dataclass

import cv2
import numpy as np

GREY = np.array([0.299, 0.587, 0.114])


def brightness(clip: np.ndarray, factor: float) -> np.ndarray:
    """Away from black."""
    return look_up(clip, _away_from(0, factor))


def contrast(clip: np.ndarray, factor: float) -> np.ndarray:
    """Away from the mean grey of each frame."""
    means = [round(float(GREY @ cv2.mean(frame)[:3])) for frame in clip]
    return np.stack([cv2.LUT(frame, _away_from(mean, factor)) for frame, mean in zip(clip, means, strict=True)])


def saturation(clip: np.ndarray, factor: float) -> np.ndarray:
    """Away from the grey of each pixel."""
    mixture = factor * np.eye(3) + (1 - factor) * GREY
    return cv2.transform(_as_image(clip), mixture).reshape(clip.shape)


def hue(clip: np.ndarray, turn: float) -> np.ndarray:
    """Around the circle of colours, by `turn` whole turns."""
    image = cv2.cvtColor(_as_image(clip), cv2.COLOR_RGB2HSV_FULL)
    image[..., 0] += np.uint8(round(256 * turn) % 256)  # overflows, as an angle should
    return cv2.cvtColor(image, cv2.COLOR_HSV2RGB_FULL).reshape(clip.shape)


def look_up(clip: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replaces every value by its entry in a table [256]."""
    return cv2.LUT(_as_image(clip), table).reshape(clip.shape)


@dataclass(frozen=True)
class ColorJitter:
    """Factors drawn from 1 - strength to 1 + strength, a turn of the hue up to its strength, in random order.

    Source: torchvision.transforms.ColorJitter.

    Attributes:
      brightness: strength, 0 for none; so are `contrast` and `saturation`.
      hue: at most 1/2, either way round.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self):
        if min(self.brightness, self.contrast, self.saturation, self.hue) < 0 or self.hue > 0.5:
            raise ValueError(f'Strengths of colours start at 0, and that of hue ends at 1/2: {self}.')

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        changes = [
            (brightness, max(1 - self.brightness, 0), 1 + self.brightness),
            (contrast, max(1 - self.contrast, 0), 1 + self.contrast),
            (saturation, max(1 - self.saturation, 0), 1 + self.saturation),
            (hue, -self.hue, self.hue),
        ]
        for number in rng.permutation(len(changes)):
            change, least, most = changes[number]
            if least < most:
                clip = change(clip, rng.uniform(least, most))
        return clip


def _away_from(value: int, factor: float) -> np.ndarray:
    """What becomes of every value, [256]."""
    return np.clip(np.rint(value + factor * (np.arange(256) - value)), 0, 255).astype(np.uint8)


def _as_image(clip: np.ndarray) -> np.ndarray:
    """All frames below each other, [T*H W C], for what treats every pixel alike."""
    return clip.reshape(-1, *clip.shape[2:])
