"""A trained model as it is found in a work folder: everything comes from the checkpoint itself."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dnr_jax import checkpoints, models, parallel
from dnr_jax.identity import CHANGEABLE, differences

# What may differ from the config of the checkpoint when the model is used.
USE = (*CHANGEABLE, 'clip')


class Trained(NamedTuple):
    """`model.apply(variables, clip, train=False)`, and what it was trained for."""

    model: nn.Module
    variables: dict[str, Any]
    config: ConfigDict
    label_names: tuple[str, ...]
    fingerprints: dict[str, str]  # of the videos of every split that the training read, see `VideoSource`
    step: int


def load(workdir: str | Path, which: str, adapt: Callable[[ConfigDict], ConfigDict], mesh: parallel.Mesh) -> Trained:
    """The model of a checkpoint of `workdir`, on all devices of `mesh`.

    Args:
      which: 'last', 'best' or a step.
      adapt: changes of the stored config what says how to use it, see USE.
    Raises ValueError if there is no such checkpoint, or if `adapt` changes what was trained.
    """
    folder = Path(workdir) / 'checkpoints'
    found = checkpoints.find(folder, which)
    stored, label_names = found.about['config'], tuple(found.about['label_names'])
    config = adapt(ConfigDict(stored))
    names = {of['data']['name'].partition('/')[0] for of in (stored, config.to_dict())}
    same_data = ('data.name',) if len(names) == 1 else ()  # however its videos are stored
    for changed in differences(stored, config.to_dict(), (*USE, *same_data)):
        raise ValueError(f'Only config.{", config.".join(USE)} can change in a trained model, not {changed}.')
    model = models.build(**config.model.to_dict(), classes=len(label_names))
    clip = jnp.zeros((1, config.clip.frames, config.test.size, config.test.size, 3))
    shapes = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), clip)
    like = checkpoints.abstract({'batch_stats': {}} | shapes, parallel.replicated(mesh))
    variables = checkpoints.load_variables(folder, found.step, like)
    return Trained(model, variables, config, label_names, found.about['fingerprints'], found.step)
