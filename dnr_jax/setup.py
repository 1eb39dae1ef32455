"""All parts of a training, made from its config and checked against each other before anything expensive begins."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dnr_jax import models, optimizers, parallel, precise, ranges, steps, views
from dnr_jax.data import pipeline
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import VideoSource, find_folder, open_split
from dnr_jax.data.transforms import train_transform
from dnr_jax.registry import choose
from dnr_jax.state import TrainState, create_state, parameter_count
from dnr_jax.statistics import clips_of_scope

PyTree = Any

SCORED = ('validation', 'test')  # sections of the config that say how a score is taken
UNTRAINED_SHARE = 0.01  # that a moving average of the parameters may hold of those it began with
LOW_PEAK = 0.9  # of the learning rate; the released warm-up, which multiplies a cosine, lets it reach 0.93


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
    observe: Callable | None  # for precise statistics, where they are wanted, see `precise.compile_observe`
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


def resolved(config: ConfigDict) -> ConfigDict:
    """The config with the full name of its data, lest it become ambiguous; ValueError if there is no such data set."""
    config = config.copy_and_resolve_references()
    folder = find_folder(config.data.name, config.data.dir)
    config.data.name = '/'.join(folder.parts[-3:-1])
    return config


def prepare(config: ConfigDict) -> Setup:
    """Opens the data and puts model and optimizer together, shapes checked; ValueError for what does not fit."""
    mesh = parallel.make_mesh()
    expect_sound(config, mesh)
    if config.run.compilation_cache:
        jax.config.update('jax_compilation_cache_dir', str(Path(config.run.compilation_cache).expanduser()))
    splits = (config.data.train_split, config.validation.split, config.test.split)
    train, validation, test = (open_split(config.data.name, config.data.dir, split) for split in splits)
    expect_labels(train)
    expect_clips(config, train.label_names)
    parts = assemble(config, mesh, len(train.label_names), epoch_of(config, train))
    expect_warmed_up(config, parts.total_steps)
    return Setup(**vars(parts), train=train, validation=validation, test=test)


def assemble(config: ConfigDict, mesh: parallel.Mesh, classes: int, steps_per_epoch: int) -> Parts:
    """Model, optimizer and steps over the devices of `mesh`, shapes checked; ValueError for what does not fit."""
    model = models.build(**config.model.to_dict(), classes=classes)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=steps_per_epoch, epochs=config.train.epochs)
    optimizer = optimizers.sgd(schedule, **config.optimizer)
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
        train_step=steps.make_train_step(config, model, optimizer, mesh, classes),
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


def training_shape(config: ConfigDict) -> tuple[int, ...]:
    """Of the clips of a step over all devices, [B T H W C]."""
    size = config.augment.size
    return config.train.batch_size, config.clip.frames, size, size, 3


def views_shape(config: ConfigDict, section: str) -> tuple[int, ...]:
    """Of the clips of a step that scores by that section, over all devices, [B V T H W C]."""
    of = config[section]
    return of.batch_size, of.clips * of.crops, config.clip.frames, of.size, of.size, 3


def make_predicts(config: ConfigDict, model: nn.Module, mesh: parallel.Mesh) -> dict[str, Callable]:
    """By section of SCORED; see `steps.make_predict`."""
    at_once = {section: config[section].views_at_once for section in SCORED}
    predict_by = {views: steps.make_predict(config, model, mesh, views) for views in at_once.values()}
    return {section: predict_by[views] for section, views in at_once.items()}


def make_observe(
    config: ConfigDict, model: nn.Module, variables: Mapping[str, PyTree], mesh: parallel.Mesh
) -> Callable | None:
    """The step that precise statistics are taken with; None where config.run.precise_batches is 0."""
    if not config.run.precise_batches:
        return None
    return precise.compile_observe(precise.of_whole_batches(model), variables, config.pixels.to_dict(), mesh)


def expect_sound(config: ConfigDict, mesh: parallel.Mesh) -> None:
    """Raises ValueError for keys out of range, batches that devices cannot share, and views not within their frames."""
    ranges.expect(config)
    for section in ('train', *SCORED):
        parallel.per_process(config[section].batch_size, mesh, f'{section}.batch_size')
    for section in SCORED:
        views.expect(config[section], section)


def expect_labels(train: VideoSource) -> None:
    """Raises ValueError for videos without labels."""
    if train.unlabelled:
        raise ValueError(
            f'{train.name} has {train.unlabelled:,} videos without a label; expected a split of labelled ones.'
        )


def expect_clips(config: ConfigDict, label_names: Sequence[str]) -> None:
    """Raises ValueError for clips, of training or of a score, that can be made of no video."""
    sampling = choose(SAMPLINGS, config.clip.sampling, 'sampling')
    clip = {'frames': config.clip.frames, 'stride': config.clip.stride}
    sampling.train(1, **clip, rng=np.random.default_rng(config.seed))
    for section in SCORED:
        sampling.evaluate(1, **clip, clips=config[section].clips)
    augment = config.augment.to_dict()
    del augment['repeats']
    train_transform(label_names=label_names, **augment)


def expect_warmed_up(config: ConfigDict, total_steps: int) -> None:
    """Raises ValueError for a warm-up that the training does not see the end of."""
    warmup_steps = config.schedule.warmup_steps
    if warmup_steps and warmup_steps >= total_steps:
        raise ValueError(
            f'config.schedule.warmup_steps: expected fewer than the {total_steps:,} of the training, '
            f'got {warmup_steps:,}. Give fewer, in proportion to a larger batch or a shorter training.'
        )


def expect_frozen(pattern: str, batch_stats: Mapping) -> None:
    """Raises ValueError for a pattern of frozen statistics that is found in no module with statistics."""
    modules = sorted({path.rpartition('/')[0] for path in flatten_dict(batch_stats, sep='/')})
    if pattern and not any(re.search(pattern, module) for module in modules):
        raise ValueError(
            f"Pattern '{pattern}' of config.model.norm.frozen_statistics fits no norm; expected a regular expression "
            f'found in paths like {", ".join(modules[:3])}.'
        )


def expect_steps_that_fit(config: ConfigDict, parts: Parts) -> None:
    """Traces all steps over the shapes that they are to take; what does not fit is a ValueError."""
    state, batch = parts.shapes(), parallel.batch_shapes(training_shape(config))
    jax.eval_shape(parts.train_step, state, batch)
    if parts.observe:
        jax.eval_shape(parts.observe, state.variables, batch)
    for section in SCORED:
        batch = parallel.batch_shapes(views_shape(config, section))
        jax.eval_shape(parts.predict[section], state.variables, batch)


def clips_per_statistic(config: ConfigDict, mesh: parallel.Mesh) -> int:
    """How many clips share batch statistics; ValueError if devices or micro-batches cannot be divided like that."""
    on_device = config.train.batch_size // mesh.size
    parts = config.train.micro_batches
    if on_device % parts:
        raise ValueError(
            f'config.train.micro_batches divides the {on_device} clips of a device: expected a divisor, got {parts}.'
        )
    scope = config.model.norm.statistics_scope
    clips = clips_of_scope(scope, on_device // parts)
    return clips * mesh.size if scope == 'global' else clips


def read(config: ConfigDict, source: VideoSource, mesh: parallel.Mesh, start_step: int) -> pipeline.Batches:
    """This process's training batches from that step on."""
    return pipeline.train_batches(
        source,
        **config.clip,
        **config.augment.to_dict(),
        damaged=config.data.damaged,
        batch_size=parallel.per_process(config.train.batch_size, mesh, 'train.batch_size'),
        seed=config.seed,
        start_step=start_step,
        workers=config.run.workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
    )


def introduce(config: ConfigDict, setup: Setup, start_step: int) -> str:
    """What is about to be trained, in a few lines, and where it leaves the recipe of its config."""
    batch_size, rate = config.train.batch_size, config.schedule.learning_rate
    lines = [
        f'{config.model.backbone}, norms {config.model.norms}: {parameter_count(setup.shapes().params):,} parameters, '
        f'{config.model.dtype}',
        f'{config.data.name}: {len(setup.train):,} clips to train, {len(setup.validation):,} to validate, '
        f'{len(setup.test):,} to test; {len(setup.train.label_names)} classes',
        f'{parallel.describe(setup.mesh)}: {batch_size} clips a step, {setup.clips_per_statistic} per statistic; '
        f'learning rate {rate:g}; steps {start_step} to {setup.total_steps}, {setup.steps_per_epoch} an epoch',
    ]
    return '\n'.join([*lines, *notes(config, setup)])


def notes(config: ConfigDict, parts: Parts) -> Iterator[str]:
    """A line for everything in which it leaves the recipe."""
    yield from notes_of_a_step(config, parts)
    yield from notes_of_the_length(config, parts)


def notes_of_a_step(config: ConfigDict, parts: Parts) -> Iterator[str]:
    """Of clips a step and per statistic."""
    batch_size, recipe = config.train.batch_size, config.recipe
    if batch_size != recipe.batch_size:
        in_proportion = recipe.learning_rate * batch_size / recipe.batch_size
        yield (
            f'note: {batch_size} clips a step leave the recipe, which has {recipe.batch_size} at learning rate '
            f'{recipe.learning_rate:g}; in proportion that would be {in_proportion:g}'
        )
    if parts.clips_per_statistic != recipe.clips_per_statistic:
        wanted = recipe.clips_per_statistic
        remedy = f'; config.model.norm.statistics_scope={wanted} keeps it' if parts.clips_per_statistic > wanted else ''
        yield f'note: {parts.clips_per_statistic} clips per statistic leave the recipe, which has {wanted}{remedy}'


def notes_of_the_length(config: ConfigDict, parts: Parts) -> Iterator[str]:
    """Of what goes by the number of steps: warm-up and moving average."""
    peak, rate = optimizers.peak(parts.schedule, parts.total_steps), config.schedule.learning_rate
    if peak < LOW_PEAK * rate:
        epochs = config.schedule.warmup_steps / parts.steps_per_epoch
        yield (
            f'note: a warm-up of {epochs:.1f} of {config.train.epochs} epochs lets the learning rate reach {peak:.3g} '
            f'of {rate:g}; fewer config.schedule.warmup_steps raise it'
        )
    decay, last = config.train.ema_decay, parts.total_steps
    if decay**last > UNTRAINED_SHARE:
        needed = math.ceil(math.log(UNTRAINED_SHARE) / math.log(decay))
        yield (
            f'note: after {last:,} steps the moving average, which is scored, still holds {decay**last:.0%} of the '
            f'untrained parameters; config.train.ema_decay={decay:g} needs {needed:,} steps, '
            f'{UNTRAINED_SHARE ** (1 / last):.3g} is for {last:,}'
        )
