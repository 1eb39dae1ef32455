"""A small causal network with random weights, and videos for it."""

import numpy as np
import pytest
from small_networks import normal, short

from configs import moving_shapes
from dnr_jax.data.builders.shapes import LABEL_NAMES, make_example
from dnr_jax.data.video.encoding import encode
from dnr_jax.runs.trained_model import Trained


@pytest.fixture
def make_found(random_variables):
    """`make_found(norms)`: a network of clips of 4 frames, every second, as it is found in a work folder."""

    def make(norms='dnr_temporal', **settings):
        config = moving_shapes.get_config(f'resnet18,{norms}')
        config.clip.frames = 4
        config.test.batch_size = 4
        model = short('resnet18', norms, classes=len(LABEL_NAMES), **settings).clone(blocks=(1,))
        variables = random_variables(model, normal(1, 4, 32, 32, 3), train=False)
        return Trained(model, variables, config, LABEL_NAMES, {}, 1)

    return make


@pytest.fixture
def video(tmp_path):
    """A file of 24 frames of 72 x 72."""
    path = tmp_path / 'shapes.mp4'
    path.write_bytes(make_example('test', 1)['video'])
    return path


@pytest.fixture
def eight_frames(tmp_path):
    """A file of as many frames as a clip spans."""
    path, frames = tmp_path / 'eight.mp4', np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8)
    path.write_bytes(encode(frames, 30, quantizer=20, keyframe_interval=4))
    return path
