"""Space and colour: from decoded frames to the clips of training and evaluation, uint8 [T H W C].

A clip for training is cropped, perhaps mirrored, and then perhaps distorted in colour and shape. One draw holds for
all frames of a clip. The clip that is given in is never changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnr_jax.data.transforms.colors import ColorJitter
from dnr_jax.data.transforms.crops import Box, eval_views, mirror, mirrored_crops, shown_by_centre, train_crop
from dnr_jax.data.transforms.erasing import Erasing
from dnr_jax.data.transforms.flips import mirrored_labels, without_mirror_image
from dnr_jax.data.transforms.randaugment import RandAugment

__all__ = [
    'Box',
    'TrainTransform',
    'eval_views',
    'mirrored_crops',
    'mirrored_labels',
    'shown_by_centre',
    'train_transform',
    'without_mirror_image',
]


@dataclass(frozen=True)
class TrainTransform:
    """The training pipeline, made by `train_transform`.

    Attributes:
      crop: (clip, rng) -> clip [T size size C].
      flip: probability of mirroring left and right.
      mirrored: for every label, the label of the mirrored clip.
      distortions: (clip, rng) -> clip of the same shape, one after the other.
    """

    crop: Callable[..., np.ndarray]
    flip: float
    mirrored: tuple[int, ...]
    distortions: tuple[Callable[..., np.ndarray], ...]

    def __call__(self, clip: np.ndarray, label: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """One view of a clip, [T H W C] to contiguous [T size size C], and its label."""
        clip = self.crop(clip, rng)
        if rng.random() < self.flip:
            clip, label = mirror(clip), self.mirrored[label]
        clip = np.ascontiguousarray(clip)
        for distort in self.distortions:
            clip = distort(clip, rng)
        return clip, label


def train_transform(
    *,
    label_names: Sequence[str],
    flip: float,
    flip_labels: bool,
    color_jitter: Sequence[float],
    rand_augment: dict[str, Any],
    erasing: float,
    **cropping: Any,
) -> TrainTransform:
    """The training pipeline with these settings.

    Args:
      label_names: names of the classes, in the order of the labels.
      flip: probability of mirroring left and right.
      flip_labels: whether a mirrored clip takes the label of the class with left and right exchanged.
      color_jitter: strengths of brightness, contrast, saturation and hue; all 0 is off.
      rand_augment: `layers`, `magnitude` and `deviation`; 0 layers is off.
      erasing: probability of erasing a box; 0 is off.
      **cropping: `crop`, `size` and what else `crops.train_crop` takes.

    Raises:
      ValueError: for settings out of range, or that do not fit each other.
    """
    if not (0 <= flip <= 1 and 0 <= erasing <= 1):
        raise ValueError(f'flip and erasing are probabilities, from 0 to 1, got {flip=} and {erasing=}.')
    if len(color_jitter) != 4:
        raise ValueError(f'color_jitter is (brightness, contrast, saturation, hue), got {color_jitter}.')
    jitter, augment = ColorJitter(*color_jitter), RandAugment(**rand_augment)
    distortions = [(jitter, any(color_jitter)), (augment, augment.layers), (Erasing(erasing), erasing)]
    return TrainTransform(
        train_crop(**cropping),
        flip,
        mirrored_labels(label_names) if flip_labels else tuple(range(len(label_names))),
        tuple(distortion for distortion, is_on in distortions if is_on),
    )
