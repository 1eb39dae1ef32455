"""Erasing a box of a clip, the same in all frames.

Source: Zhong et al., Random Erasing, 2020; numbers and noise per pixel as in huggingface/pytorch-image-models.
"""

from dataclasses import dataclass

import numpy as np

from dnr_jax.data.transforms.crops import draw_place, draw_shape

AREA = (0.02, 1 / 3)
RATIO = (0.3, 1 / 0.3)


@dataclass(frozen=True)
class Erasing:
    """With some probability, a box of 2 to 33 % of the frame becomes noise: uniform bytes, alike in all frames."""

    probability: float

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if rng.random() >= self.probability:
            return clip
        _, height, width, channels = clip.shape
        for _ in range(10):
            shape = draw_shape(height, width, AREA, RATIO, rng)
            if shape[0] < height and shape[1] < width:
                box = draw_place(height, width, *shape, rng)
                noise = rng.integers(0, 256, (*shape, channels), np.uint8)
                clip = clip.copy()
                clip[:, box.top : box.top + box.height, box.left : box.left + box.width] = noise
                break
        return clip
