"""The programs of a config, compiled for devices that may not be here: from shapes alone, without data."""

from functools import partial

import jax
from ml_collections import ConfigDict

from dnr_jax import models, optimizers, parallel, steps
from dnr_jax.state import TrainState, create_state

EPOCH = 1000  # steps; a schedule is a few numbers in the program, whatever they are


def shapes(config: ConfigDict, classes: int) -> TrainState:
    """Shapes and types of the state of a training."""
    clip_shape = (1, *training_shape(config)[1:])
    create = partial(
        create_state,
        model=models.build(**config.model.to_dict(), classes=classes),
        optimizer=make_optimizer(config),
        clip_shape=clip_shape,
        averaged=config.train.ema_decay > 0,
    )
    return jax.eval_shape(create, jax.random.key(0))


def make_optimizer(config: ConfigDict):
    settings = dict(config.schedule.to_dict())
    schedule = optimizers.learning_rate(**settings, steps_per_epoch=EPOCH, epochs=config.train.epochs)
    return optimizers.sgd(schedule, **config.optimizer)


def training_shape(config):
    size = config.augment.size
    return config.train.batch_size, config.clip.frames, size, size, 3


def train_step(config: ConfigDict, mesh: parallel.Mesh, classes: int):
    model = models.build(**config.model.to_dict(), classes=classes)
    step = steps.make_train_step(config, model, make_optimizer(config), mesh, classes)
    state = abstract(shapes(config, classes), parallel.replicated(mesh))
    batch = abstract(parallel.batch_shapes(training_shape(config)), parallel.split(mesh))
    return step.lower(state, batch).compile()


def predict(config: ConfigDict, mesh, classes, clip_shape):
    model = models.build(**config.model.to_dict(), classes=classes)
    step = steps.make_predict(config, model, mesh, 0)
    variables = abstract(shapes(config, classes).variables, parallel.replicated(mesh))
    batch = abstract(parallel.batch_shapes(clip_shape), parallel.split(mesh))
    return step.lower(variables, batch).compile()


def abstract(state, sharding):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)
