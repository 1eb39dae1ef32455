"""The default data set: small videos that can only be told apart by the order of their frames.

Nothing is downloaded. What the clips show is in `shapes.py`.
"""

import dataclasses

import tensorflow_datasets as tfds

from dnr_jax.data.builders import shapes
from dnr_jax.data.builders.video import VideoBuilder, video_features

SEED = 0  # part of the data set's version: another seed is another data set


@dataclasses.dataclass(kw_only=True)
class MovingShapesConfig(tfds.core.BuilderConfig):
    """How many clips each split has; multiples of 8 give every class the same number."""

    train: int
    validation: int
    test: int


class MovingShapes(VideoBuilder):
    """Shapes that move, grow and turn, each in two opposite directions: 8 classes."""

    VERSION = tfds.core.Version('1.0.0')
    RELEASE_NOTES = {'1.0.0': 'First release.'}
    BUILDER_CONFIGS = [
        MovingShapesConfig(name='standard', train=4096, validation=512, test=1024),
        MovingShapesConfig(name='tiny', train=96, validation=32, test=32, description='For tests.'),
    ]

    make_example = staticmethod(shapes.make_example)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self, description=shapes.__doc__, features=video_features(shapes.LABEL_NAMES)
        )

    def tasks(self) -> dict[str, list[tuple[int, str, int]]]:
        return {
            split: [(SEED, split, index) for index in range(getattr(self.builder_config, split))]
            for split in shapes.SPLITS
        }
