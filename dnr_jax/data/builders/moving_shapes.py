"""The default data set: small videos that can only be told apart by the order of their frames.

Nothing is downloaded. What the clips show is in `shapes.py`, and in `hard_shapes.py` for the variant 'hard'.
"""

import tensorflow_datasets as tfds

from dnr_jax.data.annotations.rows import DRAWN, Annotated, Row
from dnr_jax.data.builders import hard_shapes, shapes
from dnr_jax.data.builders.video import VideoBuilder

# How many clips each split has; multiples of the number of classes give every class the same number.
SIZES = {
    'standard': {'train': 4096, 'validation': 512, 'test': 1024},
    'tiny': {'train': 96, 'validation': 32, 'test': 32},
    'hard': {'train': 2400, 'validation': 240, 'test': 480},
}


class MovingShapes(VideoBuilder):
    """Shapes that move, grow and turn, each in two opposite directions: 8 classes, or 12 of the variant 'hard'."""

    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name='standard'),
        tfds.core.BuilderConfig(name='tiny', description='For tests.'),
        tfds.core.BuilderConfig(name='hard', description='Twelve classes; distractors, camera motion, occlusion.'),
    ]
    default_config = 'standard'

    @property
    def trained_by(self) -> str:
        """Each variant has a config."""
        return 'hard_shapes' if self.builder_config.name == 'hard' else 'moving_shapes'

    def list_rows(self) -> Annotated:
        """The clips to draw; none of them has a file."""
        variant = self.builder_config.name
        names = hard_shapes.LABEL_NAMES if variant == 'hard' else shapes.LABEL_NAMES
        rows = (
            Row(split, f'{split}-{index:05d}', DRAWN, names[index % len(names)])
            for split, size in SIZES[variant].items()
            for index in range(size)
        )
        return Annotated(names, tuple(rows), ())

    def maker(self, *, thorough=False):
        """Draws the clip of a row."""
        return make_hard if self.builder_config.name == 'hard' else make


def make(row: Row) -> dict:
    """Draws, renders and encodes the clip of a row."""
    return shapes.make_example(row.split, number(row))


def make_hard(row: Row) -> dict:
    """As `make`, of the variant 'hard'."""
    return hard_shapes.make_example(row.split, number(row))


def number(row: Row) -> int:
    """Of the clip in its split."""
    return int(row.id.rpartition('-')[2])
