"""Examples are the same clips each time, and what is said of them is what was predicted."""

import numpy as np
import pytest

from configs import moving_shapes
from dnr_jax import figures
from dnr_jax.data.source import open_split
from dnr_jax.evaluation import examples
from dnr_jax.evaluation.predictions import Predictions

NAMES = ('run', 'jump')


@pytest.fixture(scope='module')
def source(tiny_dir):
    return open_split('moving_shapes/tiny', str(tiny_dir), 'test')


def test_examples_are_spread_over_the_split(source):
    """Of 32 videos every fourth, from the third on, as the network reads them."""
    config = moving_shapes.get_config()
    found = examples.read(source, config, 'validation')
    assert found.id.tolist() == [source[number]['id'] for number in range(2, 32, 4)]
    assert found.label.tolist() == [source[number]['label'] for number in range(2, 32, 4)]
    assert found.clip.shape == (8, 8, 32, 32, 3) and found.clip.dtype == np.uint8 and found.clip.std() > 10


def test_of_few_videos_all_are_shown(tiny_dir):
    few = open_split('moving_shapes/tiny', str(tiny_dir), 'test[:10%]')
    found = examples.read(few, moving_shapes.get_config(), 'validation')
    assert found.id.tolist() == [few[number]['id'] for number in range(len(few))] and len(few) == 3


@pytest.mark.parametrize(('label', 'said'), [(1, 'jump 75%, right'), (0, 'jump 75%, wrong: run'), (-1, 'jump 75%')])
def test_what_is_said(label, said):
    assert examples.said_of(label, np.log(np.array([0.25, 0.75], np.float32)), NAMES) == said


def test_every_example_has_its_own_prediction():
    """Whatever the order of the predictions."""
    clip = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), np.uint8)
    shown = examples.Examples(clip, np.array([0, 1]), np.array(['a', 'b']))
    logits = np.log(np.array([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]], np.float32))
    predictions = Predictions(np.array(['b', 'c', 'a']), np.array([1, 0, 0]), logits, None, (), 3)
    figure = examples.draw(shown, predictions, NAMES, 'validation')
    assert [axis.get_title() for axis in figure.axes] == ['run 80%, right', 'jump 90%, right']
    assert figures.pixels(figure).shape == (320, 900, 3)


def test_where_no_example_can_be_read_that_is_shown():
    """A picture must not end a training."""
    none = examples.Examples(np.zeros((0, 3, 8, 8, 3), np.uint8), np.zeros(0, int), np.zeros(0, str))
    predictions = Predictions(np.array(['b']), np.array([1]), np.zeros((1, 2), np.float32), None, (), 1)
    assert figures.pixels(examples.draw(none, predictions, NAMES, 'validation')).shape == (50, 900, 3)
