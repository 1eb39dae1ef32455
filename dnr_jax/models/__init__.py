"""Backbones by name. A new family is a file of its own and its rows in MODELS.

model = build(**config.model.to_dict(), classes=len(label_names))
logits = model.apply(variables, clip, train=False)         # [B T H W 3] -> [B K]
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from dnr_jax.models.mobilenet import MOBILENETS
from dnr_jax.models.r2plus1d import R2PLUS1DS
from dnr_jax.models.resnet import RESNETS
from dnr_jax.models.resnet3d import I3DS, SLOWONLYS
from dnr_jax.models.slowfast import SLOWFASTS
from dnr_jax.models.tanet import TANETS
from dnr_jax.models.tea import TEAS
from dnr_jax.models.tsm import TSMS
from dnr_jax.models.weight_standardization import with_standardized_kernels
from dnr_jax.norms.relay import RelayCell
from dnr_jax.norms.words import make_norm
from dnr_jax.registry import choose

__all__ = ['MODELS', 'build', 'counting', 'layers', 'mobilenet', 'pixels', 'resnet', 'resnet3d', 'tanet', 'tea', 'tsm']

MODELS = {
    **RESNETS,
    **TSMS,
    **TANETS,
    **TEAS,
    **MOBILENETS,
    **SLOWONLYS,
    **I3DS,
    **R2PLUS1DS,
    **SLOWFASTS,
}


def build(
    *,
    backbone: str,
    norms: str | Sequence[str],
    norm: Mapping[str, Any],
    standardize_weights: bool,
    width: int,
    dropout: float,
    dtype: str,
    remat: bool,
    classes: int | None,
) -> nn.Module:
    """The model of a config's `model` section; ValueError for an unknown backbone, norm or dtype.

    Args:
      backbone: a key of MODELS.
      norms: a preset of `words.PRESETS`, or one word of NORMS per convolution of a block.
      norm: settings of the norms, see `words.make_norm`.
      standardize_weights: whether convolutions are by standardized kernels, see `weight_standardization`.
      width: 64 for the published network, of a ResNet the channels of its first stage; all others scale with it.
      dropout: before the linear layer.
      dtype: 'float32' or 'bfloat16', of activations.
      remat: whether the activations within a stage are computed again in the backward pass, to save memory.
      classes: K; None for the features before the head.
    """
    dtypes = {name: jnp.dtype(name) for name in ('float32', 'bfloat16')}
    network = choose(MODELS, backbone, 'backbone')(
        norms=norms,
        norm=partial(make_norm, **norm),
        relay_cell=partial(RelayCell, reduction=norm['reduction']),
        width=width,
        classes=classes,
        dropout=dropout,
        remat=remat,
        dtype=choose(dtypes, dtype, 'dtype'),
    )
    return with_standardized_kernels(network) if standardize_weights else network
