"""A few clips of a split, the same ones each time, and what a model says of them, as a picture.

Axes: N clips, T frames, H W space, C channels, K classes.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from ml_collections import ConfigDict
from scipy.special import softmax

from dnr_jax import figures
from dnr_jax.data.videos import Part, Videos
from dnr_jax.evaluation.batches import centre_views
from dnr_jax.evaluation.predictions import Predictions

MOST = 8


class Examples(NamedTuple):
    """Clips as the network reads them, in one centre view."""

    clip: UInt8[np.ndarray, 'N T H W C']
    label: Int[np.ndarray, 'N']
    id: np.ndarray  # [N] of str


def read(source: Videos, config: ConfigDict, section: str) -> Examples:
    """At most MOST clips, spread evenly over the split, but for those that cannot be read."""
    count = min(MOST, len(source))
    numbers = [(2 * number + 1) * len(source) // (2 * count) for number in range(count)]
    with closing(centre_views(Part(source, numbers), config, section, batch_size=count, workers=0)) as batches:
        batch = next(batches)
    there = batch['mask']
    return Examples(np.array(batch['clip'][there][:, 0]), batch['label'][there], batch['id'][there])


def draw(examples: Examples, predictions: Predictions, label_names: Sequence[str], title: str):
    """A figure with the frames of each clip, its class, and the likeliest one with its probability."""
    if not len(examples.id):
        figure = figures.figure(9, 0.5)
        figures.title(figure, f'{title}: no example could be read')
        return figure
    place = {id: number for number, id in enumerate(predictions.ids)}
    figure = figures.figure(9, 0.5 + 1.35 * len(examples.id))
    axes = figure.subplots(len(examples.id), 1, squeeze=False)[:, 0]
    for axis, clip, label, id in zip(axes, *examples, strict=True):
        figures.show_frames(axis, clip)
        axis.set_title(said_of(int(label), predictions.logits[place[id]], label_names), fontsize='small')
    figures.title(figure, title)
    return figure


def said_of(label: int, logits: Float[np.ndarray, 'K'], label_names: Sequence[str]) -> str:
    """The prediction, and whether it is right."""
    predicted = int(logits.argmax())
    share = f'{label_names[predicted]} {softmax(logits)[predicted]:.0%}'
    if label < 0:
        return share
    return f'{share}, right' if label == predicted else f'{share}, wrong: {label_names[label]}'
