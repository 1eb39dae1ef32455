"""Small networks of every family, and how to ask for their shapes without compiling."""

import jax
import jax.numpy as jnp
import numpy as np

from dnr_jax.models import build

NORM = {
    'stride': 2, 'reduction': 4, 'statistics_scope': 'device', 'momentum': 0.9, 'running_per_hop': False,
    'frozen_statistics': '', 'epsilon': 1e-5, 'groups': 2,
    'renormalization': (3.0, 5.0), 'reading_dropout': 0.1,
}  # fmt: skip

# Narrow enough to compile quickly, wide enough for every part of a block.
WIDTHS = {'tea_resnet50': 10}

# Blocks per stage in which all that repeats is seen: the first of a stage and one more.
SHORT = {'mobilenet_v2': (1, 2)}


def network(backbone='resnet18', norms='dnr', *, width=8, classes=5, dropout=0.0, remat=False, dtype='float32', **norm):
    head = {'standardize_weights': False, 'classes': classes, 'dropout': dropout, 'remat': remat}
    return build(backbone=backbone, norms=norms, norm=NORM | norm, width=width, dtype=dtype, **head)


def short(backbone, norms, **settings):
    """The first blocks of that backbone: all that repeats, at a fifth of the compile time."""
    settings = {'width': WIDTHS.get(backbone, 8)} | settings
    return network(backbone, norms, **settings).clone(blocks=SHORT.get(backbone, (2,)))


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def shapes(module, *inputs):
    return jax.eval_shape(lambda key: module.init(key, *inputs, train=False), jax.random.key(0))


def parameters(backbone, norms, **settings):
    """How many the published network has, before its head."""
    made = shapes(network(backbone, norms, width=64, classes=None, **settings), jnp.zeros((1, 8, 32, 32, 3)))
    return sum(leaf.size for leaf in jax.tree.leaves(made['params']))


def classifier(features, classes):
    return (features + 1) * classes
