"""Work folders of networks that have learned nothing, for all that reads a trained model."""

from contextlib import contextmanager
from functools import partial

import jax.numpy as jnp
import pytest

from configs import moving_shapes
from dnr_jax import models
from dnr_jax.data.builders.shapes import LABEL_NAMES
from dnr_jax.models.resnet import BasicBlock, resnet
from dnr_jax.runs import checkpoints
from dnr_jax.runs.state import TrainState


@contextmanager
def one_block():
    """Within, 'resnet2' is a backbone of one block, which compiles fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, 'resnet2', partial(resnet, BasicBlock, (1,)))
        yield


def make_config(norms, data_dir):
    """Of one block on four frames of tiny videos, and batches of eight to test it."""
    config = moving_shapes.get_config(f'resnet2,{norms}')
    config.data.update({'name': 'moving_shapes/tiny', 'dir': str(data_dir)})
    config.model.width, config.model.norm.reduction, config.clip.frames, config.test.batch_size = 4, 1, 4, 8
    return config


def save(workdir, config, variables, label_names=LABEL_NAMES, metrics=None, **about):
    """A work folder with one checkpoint, of step 7."""
    zero = jnp.int32(0)
    about = {'config': config.to_dict(), 'label_names': label_names, 'fingerprints': {}} | about
    state = TrainState(step=jnp.int32(7), average={}, opt_state={}, skipped=zero, damaged=zero, **variables)
    with checkpoints.Checkpoints(workdir / 'checkpoints', keep=2) as saved:
        saved.save(state, about | {'unreported': []}, metrics)
