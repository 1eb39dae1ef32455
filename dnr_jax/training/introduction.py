"""What is about to be trained, in a few lines, and where it leaves the recipe of its config."""

import math
from collections.abc import Iterator

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.runs.state import parameter_count
from dnr_jax.training import optimizers
from dnr_jax.training.setup import Parts, Setup

UNTRAINED_SHARE = 0.01  # that a moving average of the parameters may hold of those it began with


LOW_PEAK = 0.9  # of the learning rate; the released warm-up, which multiplies a cosine, lets it reach 0.93


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
