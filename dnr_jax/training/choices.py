"""What a config leaves open is chosen by its prepared data: keys without a value, as configs/videos.py has them.

A key is set on the command line, or it is chosen by a rule, which sees what was chosen before it and gives its reason.
A work folder keeps what was chosen when it was begun: more videos or other devices do not change a training under way.
"""

import math
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data import inventory
from dnr_jax.data.source import find_folder, parts_of, split_of
from dnr_jax.evaluation.batches import SCORED, steps_per_epoch
from dnr_jax.evaluation.precise_statistics import clips_per_statistic
from dnr_jax.runs import config_ranges

HELD_BACK = 20  # percent of the training videos, to validate on where no split is there for it
KEPT, HELD = f'train[:{100 - HELD_BACK}%]', f'train[{100 - HELD_BACK}%:]'
STEPS, EPOCHS = 480, 30  # of a training, at least
STEPS_OF_AN_EPOCH = 8  # at least, before batches grow
BATCHES = (8, 64)  # clips of a step, least and most: relays and norms take statistics over 8, the recipe has 64
RATE = 0.05  # of the least batch; a quarter of it learned 60 drawn videos worse, 50 % of those held back for 75 %
TUNING = 0.1  # of that rate, for weights that have been trained
WARM_UP = 0.1  # of all steps
WIDEST_STRIDE = 8
MOST_CLIPS = 10  # of a video in the test
SAMPLED = 100  # videos whose length is looked at

Rule = Callable[[ConfigDict, 'Data', parallel.Mesh], tuple[Any, str]]


class Data(NamedTuple):
    """What there is to choose by."""

    labelled: Mapping[str, int]  # videos with a label, by split
    train: int  # videos to train on, in the split that was chosen
    frames: int  # of a training video, the median
    frame_step: int  # frames of a video from one stored frame to the next


def open_keys(config: ConfigDict) -> list[str]:
    """The dotted keys that have no value."""
    return [key for key, value in flatten_dict(config.to_dict(), sep='.').items() if value is None]


def resolved(config: ConfigDict, mesh: parallel.Mesh, begun: Mapping[str, Any]) -> tuple[ConfigDict, list[str]]:
    """The config with the full name of its data, lest it become ambiguous, and a value for every key.

    With what was chosen, to read; see `choose`. ValueError if there is no such data set.
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


def choose(config: ConfigDict, mesh: parallel.Mesh, begun: Mapping[str, Any]) -> list[str]:
    """Gives a value to every open key: as a training was begun, else by the data. Returns what was chosen, to read.

    `begun` is the config of that training, as read from JSON, or empty. ValueError where there is nothing to train on.
    """
    wanted, before, told = open_keys(config), flatten_dict(begun, sep='.'), []
    if not wanted:
        return []
    config_ranges.expect(config, closed=False)
    if kept := {key: before[key] for key in wanted if before.get(key) is not None}:
        config.update_from_flattened_dict(kept)
        told.append(f'as it was begun: {", ".join(f"{key}={value}" for key, value in kept.items())}')
    if missing := [key for key in RULES if key in wanted and key not in kept]:
        told.append('chosen by the videos, where --config.KEY=VALUE does not:')
        data = look_at(config)
        for key in missing:
            value, why = RULES[key](config, data, mesh)
            config.update_from_flattened_dict({key: value})
            told += [f'  {key}={value}: {why}'] if why else []
            data = look_at(config) if key == 'data.train_split' else data
    return told


def look_at(config: ConfigDict) -> Data:
    """Counts of the splits, and the length of videos to train on; ValueError where there are none."""
    name, dir, split = config.data.name, config.data.dir, config.data.train_split
    found, _ = inventory.read(find_folder(name, dir))
    labelled = {of: counts['records'] - counts['unlabelled'] for of, counts in found['splits'].items()}
    if not labelled.get('train') and split is None:
        there = ', '.join(f'{of} ({count:,})' for of, count in labelled.items())
        raise ValueError(
            f'{name} has no videos with a label to train on, only {there}. It is there to score a model on: python '
            f'eval.py --workdir=... --config.data.name={name} --config.test.split={next(iter(labelled))}'
        )
    train = split_of(config.data, split or 'train')
    places = range(0, len(train), max(1, len(train) // SAMPLED))
    frames = round(median(train[place]['num_frames'] for place in places))
    return Data(labelled, len(train), frames, train.frame_step)


def train_split(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[str, str]:
    for section in SCORED:
        if 'train' in parts_of(config[section].split or ''):
            raise ValueError(
                f'config.{section}.split={config[section].split} is of the videos that there are to train on: give '
                'config.data.train_split too, those that are left, as train[:90%] beside train[90%:].'
            )
    if config.validation.split is not None:
        return 'train', f'it is validated on {config.validation.split}'
    if data.labelled.get('validation'):
        return 'train', 'validation has a split of its own'
    return KEPT, f'no split to validate on, so {HELD_BACK} % of the videos are held back'


def validation_split(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[str, str]:
    trained = config.data.train_split
    if data.labelled.get('validation') and 'validation' not in parts_of(trained):
        return 'validation', 'there is one'
    if trained == KEPT:
        return HELD, 'the videos that are held back'
    raise ValueError(
        f'{config.data.name} has no split to validate on beside config.data.train_split={trained}: give '
        'config.validation.split too, other videos than those, as train[90%:] beside train[:90%]; or leave both open, '
        f'and {HELD_BACK} % of the training videos are held back.'
    )


def test_split(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[str, str]:
    validated = config.validation.split
    if data.labelled.get('test') and validated != 'test' and 'test' not in parts_of(config.data.train_split):
        return 'test', 'there is one'
    return validated, 'no other split to test on: the final score is of the same videos as validation'


def batch_size(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    least, most = BATCHES
    wanted = 2 ** int(math.log2(max(data.train // STEPS_OF_AN_EPOCH, 1)))
    size = math.ceil(min(max(wanted, least), most) / mesh.size) * mesh.size
    return size, f'{data.train:,} videos are {math.ceil(data.train / size):,} steps an epoch'


def scored_at_once(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    return config.train.batch_size, ''


def stride(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    fitting = min(max(data.frames // config.clip.frames, 1), WIDEST_STRIDE)
    step = max(fitting // data.frame_step, 1) * data.frame_step
    return step, f'{config.clip.frames} frames span {config.clip.frames * step} of the {data.frames} of a video'


def test_clips(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    span = config.clip.frames * config.clip.stride
    clips = min(max(round(data.frames / span), 1), MOST_CLIPS)
    return clips, f'a clip spans {span} of the {data.frames} frames of a video'


def epochs(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    a_epoch = steps_per_epoch(config, data.train)
    chosen = max(math.ceil(STEPS / a_epoch), EPOCHS)
    return chosen, f'{chosen * a_epoch:,} steps; from {STEPS} steps and {EPOCHS} epochs on'


def learning_rate(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[float, str]:
    rate = RATE * math.sqrt(config.train.batch_size / BATCHES[0])
    why = f'{RATE:g} for {BATCHES[0]} clips a step, growing with their square root'
    if config.init_from:
        rate, why = TUNING * rate, f'{why}; {TUNING:g} of that for weights that have been trained'
    return float(f'{rate:.3g}'), why


def warmup_steps(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    return int(WARM_UP * total_steps(config, data)), f'{WARM_UP:.0%} of all steps'


def validate_every(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    return max(config.train.epochs // 10, 1), 'ten times in all'


def log_every(config: ConfigDict, data: Data, mesh: parallel.Mesh) -> tuple[int, str]:
    return max(total_steps(config, data) // 20, 1), 'twenty times in all'


def total_steps(config: ConfigDict, data: Data) -> int:
    return steps_per_epoch(config, data.train) * config.train.epochs


# In the order in which they are applied. A recipe is what was chosen: there is none to leave.
RULES: dict[str, Rule] = {
    'data.train_split': train_split,
    'validation.split': validation_split,
    'test.split': test_split,
    'train.batch_size': batch_size,
    'validation.batch_size': scored_at_once,
    'test.batch_size': scored_at_once,
    'clip.stride': stride,
    'test.clips': test_clips,
    'train.epochs': epochs,
    'schedule.learning_rate': learning_rate,
    'schedule.warmup_steps': warmup_steps,
    'run.validate_every_epochs': validate_every,
    'run.log_every_steps': log_every,
    'recipe.batch_size': lambda config, data, mesh: (config.train.batch_size, ''),
    'recipe.learning_rate': lambda config, data, mesh: (config.schedule.learning_rate, ''),
    'recipe.clips_per_statistic': lambda config, data, mesh: (clips_per_statistic(config, mesh), ''),
}
