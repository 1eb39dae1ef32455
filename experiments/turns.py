"""Why does the demo's network not tell turns apart? A plainer training of it, with one thing changed at a time.

    python -m experiments.turns
    python -m experiments.turns --cases='as it is;TSM' --seeds=3

A turn begins at any angle, so neither what is seen at one time nor a sum over times with weights for each says which
way it goes: that takes a product of what is seen at two times. A clock has only weights. Where all turns pass the same
angle in their middle, what is seen first and last tells them apart, and weights are enough.

Network, clips, steps and learning rate are those of the demo. What it draws anew is fixed here: clips begin with their
first frame, are shown whole and not cropped, and come in the same order in every epoch; the test is half of its test.

Each run is a line of experiments/records/turns.jsonl, or of the file that --records names; started again, it goes on
with what is missing.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks import records
from configs import moving_shapes
from dnr_jax.data.builders import shapes
from dnr_jax.registry import choose
from experiments import commands
from experiments.pairs import bits
from experiments.short_training import Clips, Trainer

RECORDS = Path(__file__).parent / 'records/turns.jsonl'
TRAIN, TEST = 4096, 512  # clips: all of the one split, the first half of the other
IS_TURN = np.array([name.startswith('turn') for name in shapes.LABEL_NAMES])
SPREAD = 30  # degrees that turns may be off the angle in their middle, where they all pass one


class Case(NamedTuple):
    """A network, and the videos that it learns."""

    model: str = 'resnet18,dnr'
    changes: dict[str, Any] = {}
    any_angle: bool = True  # turns begin at any angle; else they pass one in their middle
    alone: bool = False  # whether turns are all that there is to learn


CASES = {
    'as it is': Case(),
    'one angle': Case(any_angle=False),
    'one angle, a clock': Case('resnet18,batch,hopwise', any_angle=False),
    'one angle, batch norm': Case('resnet18,batch', any_angle=False),
    'three times as long': Case(changes={'train.epochs': 12}),
    'a hop for every frame': Case(changes={'model.norm.stride': 1}),
    'twice the width': Case(changes={'model.width': 16}),
    'TSM': Case('tsm_resnet18,dnr'),
    'TSM, batch norm': Case('tsm_resnet18,batch'),
    'TSM, residual': Case('tsm_resnet18,cross_layer_residual,cross_temporal_residual'),
    'TSM, relay along frames': Case('tsm_resnet18,dnr_temporal'),
    'TSM, relay along layers': Case('tsm_resnet18,dnr_layer'),
    'TSM, a clock': Case('tsm_resnet18,batch,hopwise'),
    'TSM, whole statistics': Case('tsm_resnet18,cross_layer,cross_temporal_whole'),
    'TSM, scale from 1': Case('tsm_resnet18,cross_layer_unit,cross_temporal_unit'),
    'residual': Case('resnet18,cross_layer_residual,cross_temporal_residual'),
    'turns alone': Case(changes={'train.epochs': 16}, alone=True),
    'turns alone, TSM': Case('tsm_resnet18,dnr', {'train.epochs': 16}, alone=True),
    'turns alone, TSM, batch norm': Case('tsm_resnet18,batch', {'train.epochs': 16}, alone=True),
    'TSM, three times as long': Case('tsm_resnet18,dnr', {'train.epochs': 12}),
}


def draw(case: Case, split: str, count: int, config) -> tuple[np.ndarray, np.ndarray]:
    """Clips as the network sees them, uint8 [N T H W 3], in an order without classes, and their labels."""
    clips, labels = [], []
    for index in np.random.default_rng(0).permutation(count):
        parameters = shapes.draw_parameters(shapes.SEED, split, int(index))
        if case.alone and not IS_TURN[parameters['label']]:
            continue
        if not case.any_angle and IS_TURN[parameters['label']]:
            parameters = passing_one_angle(parameters, np.random.default_rng(int(index)))
        frames = shapes.render(parameters)[:: config.clip.stride][: config.clip.frames]
        size = (config.augment.size, config.augment.size)
        clips.append([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
        labels.append(parameters['label'])
    return np.array(clips), np.array(labels, np.int32)


def passing_one_angle(parameters: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The same turn, its middle within SPREAD of upright."""
    start, end = parameters['start'], parameters['end']
    off = rng.uniform(-SPREAD, SPREAD) - (start['angle'] + end['angle']) / 2
    return {**parameters, 'start': start | {'angle': start['angle'] + off}, 'end': end | {'angle': end['angle'] + off}}


def plan(cases: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Case and seed of all runs, a seed of all cases before the next."""
    for name in cases:
        choose(CASES, name, 'case')
    return [(name, seed) for seed, name in itertools.product(range(seeds), cases)]


def run(name: str, seed: int) -> dict[str, Any]:
    """Trains; what is to be recorded: top-1 of all classes, and of the turns."""
    case = CASES[name]
    config = moving_shapes.get_config(case.model)
    config.update_from_flattened_dict(case.changes)
    config.seed = seed
    clips = Clips(*draw(case, 'train', TRAIN, config), *draw(case, 'test', TEST, config))
    trainer = Trainer(config, len(shapes.LABEL_NAMES), len(clips.train) // config.train.batch_size)
    measured = trainer.run(seed, clips)
    of_turns = bits(measured['right']['running'], len(clips.test))[IS_TURN[clips.test_labels]].mean()
    kept = {key: measured[key] for key in ('steps', 'seconds', 'loss')}
    return {'case': name, 'seed': seed, 'top1': measured['top1']['running'], 'turns': round(float(of_turns), 4), **kept}


def table(found: Sequence[dict[str, Any]]) -> str:
    """Top-1 of all and of turns, by case, as a table of Markdown."""
    rows = ['| training | seeds | steps | all eight | turns |', '| --- | ---: | ---: | ---: | ---: |']
    for name in CASES:
        if of := [record for record in found if record['case'] == name]:
            shares = (', '.join(f'{record[key]:.1%}' for record in of) for key in ('top1', 'turns'))
            rows.append(f'| {name} | {len(of)} | {of[0]["steps"]:,} | {" | ".join(shares)} |')
    return '\n'.join(rows)


def main() -> None:
    parser = commands.parser(__doc__, RECORDS)
    parser.add_argument('--cases', type=commands.several(str), default=';'.join(CASES))
    parser.add_argument('--seeds', type=int, default=2, help='how many, from 0')
    options = parser.parse_args()
    done = {(record['case'], record['seed']) for record in records.read(options.records)}
    with commands.refusing():
        for name, seed in plan(options.cases, options.seeds):
            if (name, seed) not in done:
                measured = run(name, seed)
                records.add(options.records, measured)
                print(f'{name}, seed {seed}: all {measured["top1"]:.1%}, turns {measured["turns"]:.1%}', flush=True)
    print(table(records.read(options.records)))


if __name__ == '__main__':
    main()
