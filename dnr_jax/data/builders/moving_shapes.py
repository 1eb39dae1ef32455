"""The default data set: small videos that can only be told apart by the order of their frames.

Nothing is downloaded. What the clips show is in `shapes.py`.
"""

from pathlib import Path

import tensorflow_datasets as tfds

from dnr_jax.data.annotations.rows import Annotated, Row
from dnr_jax.data.builders import shapes
from dnr_jax.data.builders.video import VideoBuilder

# How many clips each split has; multiples of 8 give every class the same number.
SIZES = {
    'standard': {'train': 4096, 'validation': 512, 'test': 1024},
    'tiny': {'train': 96, 'validation': 32, 'test': 32},
}


class MovingShapes(VideoBuilder):
    """Shapes that move, grow and turn, each in two opposite directions: 8 classes."""

    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name='standard'),
        tfds.core.BuilderConfig(name='tiny', description='For tests.'),
    ]
    default_config = 'standard'

    def list_rows(self) -> Annotated:
        """The clips to draw; none of them has a file."""
        rows = (
            Row(split, f'{split}-{index:05d}', Path(), shapes.LABEL_NAMES[index % len(shapes.LABEL_NAMES)])
            for split, size in SIZES[self.builder_config.name].items()
            for index in range(size)
        )
        return Annotated(shapes.LABEL_NAMES, tuple(rows), ())

    def maker(self):
        """Draws the clip of a row."""
        return make


def make(row: Row) -> dict:
    """Draws, renders and encodes the clip of a row."""
    return shapes.make_example(row.split, int(row.id.rpartition('-')[2]))
