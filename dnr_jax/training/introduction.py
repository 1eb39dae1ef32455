"""What is about to be trained, in a few lines, and where it leaves the recipe of its config; and how it has ended."""

import math
import shlex
from collections.abc import Iterator, Sequence

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data.annotations.rows import some
from dnr_jax.data.transforms import mirrored_labels, without_mirror_image
from dnr_jax.evaluation import metrics
from dnr_jax.evaluation.results import describe
from dnr_jax.files import AnyPath
from dnr_jax.runs.state import parameter_count
from dnr_jax.runs.stored import Checkpoint
from dnr_jax.training import optimizers
from dnr_jax.training.parts import Parts, Setup

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
        f'validated {how_often(config)} by {describe(config, "validation", len(setup.validation))}',
    ]
    lines += mirrored(config.augment, setup.train.label_names)
    return '\n'.join([*lines, *notes(config, setup), *continued(start_step, setup.total_steps, setup.steps_per_epoch)])


def mirrored(augment: ConfigDict, label_names: Sequence[str]) -> Iterator[str]:
    """Which classes mirrored clips exchange, and which do not though their names have a direction."""
    if not (augment.flip and augment.flip_labels):
        return
    pairs = [
        f'{label_names[one]} / {label_names[other]}'
        for one, other in enumerate(mirrored_labels(label_names))
        if one < other
    ]
    exchanged = f'the classes {some(pairs)}' if pairs else 'no classes, by their names'
    yield f'{augment.flip:.0%} of the clips are mirrored, which exchanges {exchanged}'
    if alone := without_mirror_image(label_names):
        yield (
            f'note: no class is the mirror image of {some(alone)} by its name, so mirrored clips keep that class; '
            'where it is one of a direction, rename it and its opposite alike, or give --config.augment.flip=0'
        )


def how_often(config: ConfigDict) -> str:
    """When a training is validated."""
    epochs = config.run.validate_every_epochs
    return {0: 'at the end', 1: 'after every epoch'}.get(epochs, f'every {epochs} epochs')


def continued(start_step: int, last_step: int, steps_per_epoch: int) -> Iterator[str]:
    """A line for a training that was begun before."""
    if start_step == last_step:
        yield (
            f'this training is finished, step {start_step:,} of {last_step:,}: its last checkpoint is scored '
            'again. More --config.train.epochs train it further, with --allow_change=train.epochs'
        )
    elif start_step:
        yield f'goes on from its checkpoint of step {start_step:,}, epoch {start_step / steps_per_epoch:.2f}'


def conclude(workdir: AnyPath, step: int, best: Checkpoint | None) -> str:
    """Which checkpoint was tested, how the best one would be, and where everything lies."""
    folder = shlex.quote(str(workdir))
    tested = f'tested is the last checkpoint, of step {step:,}'
    if best and best.step == step:
        tested += ', which is the best one by validation too'
    elif best:
        top1 = metrics.percent(best.metrics['top1'], int(best.metrics['videos']))
        tested += (
            f'; the best one by validation is of step {best.step:,}, top-1 {top1}: '
            f'python eval.py --workdir={folder} --checkpoint=best'
        )
    return (
        f'{tested}\nscores and pictures lie in {folder}/test, checkpoints in {folder}/checkpoints, curves in '
        f'{folder}/metrics.jsonl and for tensorboard --logdir={folder}'
    )


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
