"""A trained model as it is found in a work folder: everything comes from the checkpoint itself."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dnr_jax import models, parallel
from dnr_jax.files import AnyPath, as_path
from dnr_jax.runs import checkpoints, config_ranges
from dnr_jax.runs.identity import CHANGEABLE, differences
from dnr_jax.runs.state import TrainState
from dnr_jax.runs.stored import Checkpoint, expect_described

# What may differ from the config of the checkpoint when the model is used.
USE = (*CHANGEABLE, 'clip', 'data.name')


class Trained(NamedTuple):
    """`model.apply(variables, clip, train=False)`, and what it was trained for."""

    model: nn.Module
    variables: dict[str, Any]
    config: ConfigDict
    label_names: tuple[str, ...]
    fingerprints: dict[str, str]  # of the videos of every split that the training read, see `VideoSource`
    step: int
    changes: Mapping[str, Any] = MappingProxyType({})  # keys of the config that this use has changed, as they are now
    clips_per_statistic: int | None = None  # in training; None where the checkpoint does not say


def load(workdir: str | AnyPath, which: str, adapt: Callable[[ConfigDict], ConfigDict], mesh: parallel.Mesh) -> Trained:
    """The model of a checkpoint of `workdir`, on all devices of `mesh`.

    Args:
      which: 'last', 'best' or a step.
      adapt: changes of the stored config what says how to use it, see USE.
    Raises ValueError if there is no such checkpoint, if `adapt` changes what was trained or leaves the range of a key,
    or if the model cannot take clips of so many frames.
    """
    model = config = None

    def like(found: Checkpoint) -> Any:
        nonlocal model, config
        model, shapes = network_of(found)
        stored = found.about['config']
        config = adapted(stored, adapt)
        expect_frames(model, shapes, stored['clip']['frames'], config)
        return parallel.abstract(shapes, parallel.replicated(mesh))

    found, variables = checkpoints.load(as_path(workdir) / 'checkpoints', which, like)
    about = found.about
    before, now = (flatten_dict(of, sep='.') for of in (about['config'], config.to_dict()))
    changes = {key: value for key, value in now.items() if value != before[key]}
    names, prints, of_set = tuple(about['label_names']), about['fingerprints'], about.get('clips_per_statistic')
    return Trained(model, variables, config, names, prints, found.step, changes, of_set)


def save(variables: Mapping[str, Any], about: Mapping[str, Any], workdir: AnyPath) -> None:
    """Makes a work folder of variables alone, as of a training that has not taken a step.

    `about` has config, label_names and fingerprints, see `Checkpoints.save`.
    """
    zero = jnp.zeros((), jnp.int32)
    state = TrainState(
        step=zero,
        params=variables['params'],
        average={},
        batch_stats=variables.get('batch_stats', {}),
        opt_state={},
        skipped=zero,
        damaged=zero,
    )
    with checkpoints.Checkpoints(workdir / 'checkpoints', checkpoints.LEAST_KEPT) as kept:
        kept.save(state, {**about, 'unreported': []}, None)


def network_of(found: Checkpoint) -> tuple[nn.Module, dict[str, Any]]:
    """The network that a checkpoint was trained as, and the shapes of its variables; ValueError if there is none."""
    expect_described(found)
    try:
        stored = ConfigDict(found.about['config'])
        config_ranges.expect(stored)
        model = models.build(**stored.model.to_dict(), classes=len(found.about['label_names']))
        return model, shapes_of(model, clip_of(stored))
    except Exception as error:  # many kinds, by what is wrong with it
        what = ' '.join(f'{type(error).__name__}: {error}'.removeprefix('ValueError: ').split())[:300]
        raise ValueError(f'The config that stands in the checkpoint is that of no network: {what}') from error


def adapted(stored: Mapping[str, Any], adapt: Callable[[ConfigDict], ConfigDict]) -> ConfigDict:
    """The stored config as it is to be used; ValueError for what cannot be, or is what was trained."""
    config = adapt(ConfigDict(stored))
    config_ranges.expect(config)
    for changed in differences(stored, config.to_dict(), USE):
        raise ValueError(f'Only config.{", config.".join(USE)} can change in a trained model, not {changed}.')
    return config


def clip_of(config: ConfigDict) -> jax.ShapeDtypeStruct:
    """One clip as its test protocol takes it, [1 T H W 3]."""
    return jax.ShapeDtypeStruct((1, config.clip.frames, config.test.size, config.test.size, 3), jnp.float32)


def shapes_of(model: nn.Module, clip: jax.ShapeDtypeStruct) -> dict[str, Any]:
    """Shapes and types of the variables of a model of such clips."""
    return {'batch_stats': {}} | jax.eval_shape(partial(model.init, train=False), jax.random.key(0), clip)


def expect_frames(model: nn.Module, shapes: Mapping[str, Any], trained_with: int, config: ConfigDict) -> None:
    """Raises ValueError unless a model with variables of these shapes takes clips of config.clip.frames."""
    frames, clip = config.clip.frames, clip_of(config)
    if frames == trained_with:
        return
    if config.model.norm.running_per_hop and shapes_of(model, clip)['batch_stats'] != shapes['batch_stats']:
        raise ValueError(
            f'The running statistics of this model are those of each hop of its relays, in clips of {trained_with} '
            f'frames (config.model.norm.running_per_hop), got config.clip.frames={frames}: give clips of '
            f'{trained_with} frames, or train it anew.'
        )
    jax.eval_shape(partial(model.apply, train=False), shapes, clip)
