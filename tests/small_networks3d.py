"""The networks under test: published ones by name, and the same with so few blocks that they compile in a second."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dnr_jax.models import build
from dnr_jax.models.r2plus1d import R2PLUS1DS
from dnr_jax.models.resnet3d import I3DS, SLOWONLYS
from dnr_jax.models.slowfast import SLOWFASTS

BACKBONES = {**SLOWONLYS, **I3DS, **R2PLUS1DS, **SLOWFASTS}

NORM = {
    'stride': 2, 'reduction': 1, 'statistics_scope': 'device', 'momentum': 0.9, 'running_per_hop': False,
    'frozen_statistics': '', 'epsilon': 1e-5, 'groups': 2,
    'renormalization': (3.0, 5.0), 'reading_dropout': 0.1,
}  # fmt: skip


def network(backbone, norms, *, width=64, classes=400, dropout=0.0, remat=False, dtype='float32', **norm):
    head = {'standardize_weights': False, 'classes': classes, 'dropout': dropout, 'remat': remat}
    return build(backbone=backbone, norms=norms, norm=NORM | norm, width=width, dtype=dtype, **head)


def short(backbone, norms, **settings):
    """One stage of that backbone, of a block with a convolution over time; of SlowOnly, behind one without."""
    if backbone in SLOWFASTS:
        whole = network(backbone, norms, **{'width': 32} | settings)
        return whole.clone(kernels=((3,),))
    if backbone in R2PLUS1DS:
        return network(backbone, norms, **{'width': 8, 'groups': 1} | settings).clone(blocks=(1,))
    whole = network(backbone, norms, **{'width': 8} | settings)
    return whole.clone(kernels=((1, 3),) if backbone in SLOWONLYS else ((3,),))


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def shapes(module, clip_shape):
    """Of its variables."""
    clip = jax.ShapeDtypeStruct(clip_shape, jnp.float32)
    return jax.eval_shape(partial(module.init, train=False), jax.random.key(0), clip)
