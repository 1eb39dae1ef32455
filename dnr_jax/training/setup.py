"""All parts of a training, made from its config and checked against each other before anything expensive begins."""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from dnr_jax import models, parallel
from dnr_jax.data.source import split_of
from dnr_jax.evaluation import batches
from dnr_jax.evaluation.precise_statistics import clips_per_statistic, make_observe
from dnr_jax.evaluation.scoring import make_predicts
from dnr_jax.runs.state import create_state
from dnr_jax.training import checks, losses, optimizers, train_step
from dnr_jax.training.parts import Parts, Setup


def prepare(config: ConfigDict) -> Setup:
    """Opens the data and puts model and optimizer together, shapes checked; ValueError for what does not fit."""
    mesh = parallel.make_mesh()
    checks.expect_sound(config, mesh)
    train, validation, test = (
        split_of(config.data, split) for split in (config.data.train_split, config.validation.split, config.test.split)
    )
    checks.expect_videos(config, train)
    classes = len(train.label_names)
    class_weights = losses.weights_of_labels(train.labels, classes, config.train.class_weights)
    parts = assemble(config, mesh, classes, batches.steps_per_epoch(config, len(train)), class_weights)
    return Setup(**vars(parts), train=train, validation=validation, test=test)


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
        clip_shape=(1, *batches.training_shape(config)[1:]),
        averaged=config.train.ema_decay > 0,
    )
    variables = jax.eval_shape(create, jax.random.key(0)).variables
    make_step = partial(
        train_step.make_train_step, config, optimizer=optimizer, mesh=mesh, classes=classes, class_weights=class_weights
    )
    total_steps = steps_per_epoch * config.train.epochs
    moving_steps = math.ceil(total_steps * config.train.statistics_until)
    parts = Parts(
        model, optimizer, schedule, mesh, create,
        train_step=make_step(model),
        frozen_step=make_step(with_frozen_statistics(model)) if moving_steps < total_steps else None,
        moving_steps=moving_steps,
        predict=make_predicts(config, model, mesh),
        observe=make_observe(config, model, variables, mesh),
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        clips_per_statistic=clips_per_statistic(config, mesh),
    )  # fmt: skip
    checks.expect_fitting(config, parts)
    return parts


def with_frozen_statistics(model: nn.Module) -> nn.Module:
    """The model whose norms standardize by their running averages in training too, and leave them as they are.

    Source: Wu, Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3.4.
    """
    return model.clone(norm=partial(model.norm, frozen_statistics='.'))
