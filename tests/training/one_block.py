"""Moving shapes, for a backbone of one block: a config file for commands that tests start."""

from functools import partial

from configs import moving_shapes
from dnr_jax import models
from dnr_jax.models.resnet import BasicBlock, resnet


def get_config(model: str = 'resnet2,batch'):
    """As configs/moving_shapes.py; the backbone is known to this process alone."""
    models.MODELS['resnet2'] = partial(resnet, BasicBlock, (1,))
    return moving_shapes.get_config(model)
