"""All parts of a training, made from its config and checked against each other before anything expensive begins."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from dnr_jax import models, parallel
from dnr_jax.data.source import VideoSource, find_folder, open_split
from dnr_jax.evaluation import precise_statistics
from dnr_jax.evaluation.batches import training_shape, views_shape
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.runs.state import TrainState, create_state
from dnr_jax.training import optimizers, train_step
from dnr_jax.training.checks import (
    SCORED,
    clips_per_statistic,
    expect_clips,
    expect_frozen,
    expect_labels,
    expect_sound,
    expect_warmed_up,
)
from dnr_jax.training.choices import choose, open_keys
from dnr_jax.training.losses import class_weights as class_weights_of

PyTree = Any


@dataclass(frozen=True)
class Parts:
    """What a training is made of beside its videos."""

    model: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: parallel.Mesh
    create: Callable[[jax.Array], TrainState]
    train_step: Callable
    predict: Mapping[str, Callable]  # by section of SCORED; the same one where both can share it
    observe: Callable | None  # for precise statistics, where they are wanted, see `precise_statistics.compile_observe`
    steps_per_epoch: int
    total_steps: int
    clips_per_statistic: int

    def shapes(self) -> TrainState:
        """Shapes and types of the state."""
        return jax.eval_shape(self.create, jax.random.key(0))


@dataclass(frozen=True)
class Setup(Parts):
    """All that a training is made of."""

    train: VideoSource
    validation: VideoSource
    test: VideoSource

    @property
    def fingerprints(self) -> dict[str, str]:
        """Which videos every split holds, see `VideoSource`."""
        return {source.split: source.fingerprint for source in (self.train, self.validation, self.test)}


def resolved(config: ConfigDict, mesh: parallel.Mesh, begun: Mapping[str, Any]) -> tuple[ConfigDict, list[str]]:
    """The config with the full name of its data, lest it become ambiguous, and a value for every key.

    With what was chosen, to read; see `choices.choose`. ValueError if there is no such data set.
    """
    config = config.copy_and_resolve_references()
    folder = find_folder(config.data.name, config.data.dir)
    config.data.name = '/'.join(folder.parts[-3:-1])
    return config, choose(config, mesh, begun)


def shown(config: ConfigDict) -> ConfigDict:
    """The config with what its data chooses, where that is prepared; what it leaves open stays open else."""
    try:
        return resolved(config, parallel.make_mesh(), {})[0] if open_keys(config) else config
    except ValueError:
        return config


def prepare(config: ConfigDict) -> Setup:
    """Opens the data and puts model and optimizer together, shapes checked; ValueError for what does not fit."""
    mesh = parallel.make_mesh()
    expect_sound(config, mesh)
    splits = (config.data.train_split, config.validation.split, config.test.split)
    train, validation, test = (
        open_split(config.data.name, config.data.dir, split, config.data.cache) for split in splits
    )
    expect_labels(train)
    expect_clips(config, train.label_names)
    parts = assemble(config, mesh, len(train.label_names), epoch_of(config, train), weights_of_classes(config, train))
    expect_warmed_up(config, parts.total_steps)
    return Setup(**vars(parts), train=train, validation=validation, test=test)


def weights_of_classes(config: ConfigDict, train: VideoSource) -> tuple[float, ...] | None:
    """Of the losses, by the videos there are of each class; None where all weigh alike, see `losses.class_weights`."""
    if not config.train.class_weights:
        return None
    counts = np.bincount(train.labels, minlength=len(train.label_names))
    return tuple(map(float, class_weights_of(counts, config.train.class_weights)))


def assemble(
    config: ConfigDict,
    mesh: parallel.Mesh,
    classes: int,
    steps_per_epoch: int,
    class_weights: Sequence[float] | None = None,
) -> Parts:
    """Model, optimizer and steps over the devices of `mesh`, shapes checked; ValueError for what does not fit."""
    model = models.build(**config.model.to_dict(), classes=classes)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=steps_per_epoch, epochs=config.train.epochs)
    optimizer = optimizers.make(schedule, **config.optimizer)
    create = partial(
        create_state,
        model=model,
        optimizer=optimizer,
        clip_shape=(1, *training_shape(config)[1:]),
        averaged=config.train.ema_decay > 0,
    )
    variables = jax.eval_shape(create, jax.random.key(0)).variables
    expect_frozen(config.model.norm.frozen_statistics, variables['batch_stats'])
    parts = Parts(
        model, optimizer, schedule, mesh, create,
        train_step=train_step.make_train_step(config, model, optimizer, mesh, classes, class_weights),
        predict=make_predicts(config, model, mesh),
        observe=make_observe(config, model, variables, mesh),
        steps_per_epoch=steps_per_epoch,
        total_steps=steps_per_epoch * config.train.epochs,
        clips_per_statistic=clips_per_statistic(config, mesh),
    )  # fmt: skip
    expect_steps_that_fit(config, parts)
    return parts


def epoch_of(config: ConfigDict, train: VideoSource) -> int:
    """Steps in which each video is read as often as config.augment.repeats says."""
    return math.ceil(len(train) * config.augment.repeats / config.train.batch_size)


def make_predicts(config: ConfigDict, model: nn.Module, mesh: parallel.Mesh) -> dict[str, Callable]:
    """By section of SCORED; see `eval_step.make_predict`."""
    at_once = {section: config[section].views_at_once for section in SCORED}
    scored = precise_statistics.scored_model(model, config.run.self_inclusive)
    predict_by = {views: make_predict(config, scored, mesh, views) for views in at_once.values()}
    return {section: predict_by[views] for section, views in at_once.items()}


def make_observe(
    config: ConfigDict, model: nn.Module, variables: Mapping[str, PyTree], mesh: parallel.Mesh
) -> Callable | None:
    """The step that precise statistics are taken with; None where config.run.precise_batches is 0."""
    if not config.run.precise_batches:
        return None
    observed = precise_statistics.observed_model(model, config.run.self_inclusive)
    return precise_statistics.compile_observe(observed, variables, config.pixels.to_dict(), mesh)


def expect_steps_that_fit(config: ConfigDict, parts: Parts) -> None:
    """Traces all steps over the shapes that they are to take; what does not fit is a ValueError."""
    state, batch = parts.shapes(), parallel.batch_shapes(training_shape(config))
    jax.eval_shape(parts.train_step, state, batch)
    variables = state.variables
    if parts.observe:
        _, of_devices = jax.eval_shape(parts.observe, variables, batch)
        per_hop = jax.tree.map(lambda of: jax.ShapeDtypeStruct(of.shape[1:], of.dtype), of_devices)
        variables = {**variables, 'batch_stats': per_hop}
    for section in SCORED:
        batch = parallel.batch_shapes(views_shape(config, section))
        jax.eval_shape(parts.predict[section], variables, batch)
