"""All parts of a training, made from its config and checked against each other before anything expensive begins."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import optax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dnr_jax import models, optimizers, parallel, steps, views
from dnr_jax.checkpoints import expect_enough_kept
from dnr_jax.data import pipeline
from dnr_jax.data.source import VideoSource, find_folder, open_split
from dnr_jax.files import written_whole
from dnr_jax.identity import CHANGEABLE, differences
from dnr_jax.state import TrainState, create_state, parameter_count
from dnr_jax.statistics import clips_of_scope


class Setup(NamedTuple):
    """What a training is made of."""

    train: VideoSource
    validation: VideoSource
    test: VideoSource
    model: nn.Module
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: parallel.Mesh
    create: Callable[[jax.Array], TrainState]
    train_step: Callable
    steps_per_epoch: int
    total_steps: int
    clips_per_statistic: int

    @property
    def fingerprints(self) -> dict[str, str]:
        """Which videos every split holds, see `VideoSource`."""
        return {source.split: source.fingerprint for source in (self.train, self.validation, self.test)}

    def shapes(self) -> TrainState:
        """Shapes and types of the state."""
        return jax.eval_shape(self.create, jax.random.key(0))


def resolved(config: ConfigDict) -> ConfigDict:
    """The config with the full name of its data, lest it become ambiguous; ValueError if there is no such data set."""
    config = config.copy_and_resolve_references()
    folder = find_folder(config.data.name, config.data.dir)
    config.data.name = '/'.join(folder.parts[-3:-1])
    return config


def prepare(config: ConfigDict) -> Setup:
    """Opens the data and puts model and optimizer together, shapes checked; ValueError for what does not fit."""
    if config.run.compilation_cache:
        jax.config.update('jax_compilation_cache_dir', str(Path(config.run.compilation_cache).expanduser()))
    expect_enough_kept(config.run.keep)
    mesh = parallel.make_mesh()
    for section in ('train', 'validation', 'test'):
        parallel.per_process(config[section].batch_size, mesh, f'{section}.batch_size')
    for section in ('validation', 'test'):
        views.expect(config[section], section)
    splits = (config.data.train_split, config.validation.split, config.test.split)
    train, validation, test = (open_split(config.data.name, config.data.dir, split) for split in splits)
    expect_labels(train)
    model = models.build(**config.model.to_dict(), classes=len(train.label_names))

    steps_per_epoch = math.ceil(len(train) * config.augment.repeats / config.train.batch_size)
    schedule = optimizers.learning_rate(**config.schedule, steps_per_epoch=steps_per_epoch, epochs=config.train.epochs)
    optimizer = optimizers.sgd(schedule, **config.optimizer)
    size = config.augment.size
    create = partial(
        create_state,
        model=model,
        optimizer=optimizer,
        clip_shape=(1, config.clip.frames, size, size, 3),
        averaged=config.train.ema_decay > 0,
    )
    setup = Setup(
        train, validation, test, model, optimizer, schedule, mesh, create,
        train_step=steps.make_train_step(config, model, optimizer, mesh, classes=len(train.label_names)),
        steps_per_epoch=steps_per_epoch,
        total_steps=steps_per_epoch * config.train.epochs,
        clips_per_statistic=clips_per_statistic(config, mesh),
    )  # fmt: skip
    expect_frozen(config.model.norm.frozen_statistics, setup.shapes().batch_stats)
    clips = config.train.batch_size, config.clip.frames, size, size, 3
    jax.eval_shape(setup.train_step, setup.shapes(), parallel.batch_shapes(clips))  # what does not fit is refused here
    return setup


def expect_labels(train: VideoSource) -> None:
    """Raises ValueError for videos without labels."""
    if train.unlabelled:
        raise ValueError(
            f'{train.name} has {train.unlabelled:,} videos without a label; expected a split of labelled ones.'
        )


def expect_same_videos(there: Mapping[str, str], train: VideoSource, allow_change: Sequence[str]) -> None:
    """Raises ValueError if a training that began with those fingerprints would go on with other videos.

    Converted weights have read no videos: they are not a training to go on with.
    """
    if not there:
        raise ValueError(
            'The work folder holds converted weights and no training. Give another --workdir, and this one as '
            'config.init_from.'
        )
    if there[train.split] != train.fingerprint and 'data' not in allow_change:
        raise ValueError(
            f'{train.name} no longer holds the videos this training began with (now {len(train):,}). Give the data set '
            'back, or allow the change with --allow_change=data.'
        )


def expect_frozen(pattern: str, batch_stats: Mapping) -> None:
    """Raises ValueError for a pattern of frozen statistics that is found in no module with statistics."""
    modules = sorted({path.rpartition('/')[0] for path in flatten_dict(batch_stats, sep='/')})
    if pattern and not any(re.search(pattern, module) for module in modules):
        raise ValueError(
            f"Pattern '{pattern}' of config.model.norm.frozen_statistics fits no norm; expected a regular expression "
            f'found in paths like {", ".join(modules[:3])}.'
        )


def clips_per_statistic(config: ConfigDict, mesh: parallel.Mesh) -> int:
    """How many clips share batch statistics; ValueError if devices or micro-batches cannot be divided like that."""
    on_device = config.train.batch_size // mesh.size
    parts = config.train.micro_batches
    if parts < 1 or on_device % parts:
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


def claim(workdir: Path, config: ConfigDict, allow_change: Sequence[str]) -> None:
    """Makes the work folder this config's own; ValueError, listing the keys, if it is another's.

    Keys named in `allow_change` may differ.
    """
    path = workdir / 'config.json'
    wanted = json.loads(config.to_json())
    if path.exists():
        differing = list(differences(json.loads(path.read_text()), wanted, (*CHANGEABLE, *allow_change)))
        if differing:
            raise ValueError(
                f'{workdir} belongs to another config. Give another --workdir, the config it was begun with, or allow '
                f'what is meant to change with --allow_change=KEY; they differ in {"; ".join(differing)}.'
            )
    parallel.barrier('configs are compared')
    if not parallel.is_leader():
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(wanted, indent=2) + '\n')
    except OSError as error:
        raise ValueError(f'The work folder must be one that can be written to: {error}') from error


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
    recipe = config.recipe
    if batch_size != recipe.batch_size:
        in_proportion = recipe.learning_rate * batch_size / recipe.batch_size
        lines.append(
            f'note: {batch_size} clips a step leave the recipe, which has {recipe.batch_size} at learning rate '
            f'{recipe.learning_rate:g}; in proportion that would be {in_proportion:g}'
        )
    if setup.clips_per_statistic != recipe.clips_per_statistic:
        wanted = recipe.clips_per_statistic
        remedy = f'; config.model.norm.statistics_scope={wanted} keeps it' if setup.clips_per_statistic > wanted else ''
        lines.append(
            f'note: {setup.clips_per_statistic} clips per statistic leave the recipe, which has {wanted}{remedy}'
        )
    return '\n'.join(lines)
