"""Does the relay help, in small batches, and where the backbone already models time?

    python -m dnr_jax.data.prepare moving_shapes --variant hard
    python -m experiments.small_batch
    python -m experiments.small_batch --methods='batch;dnr' --clips=2 --seeds=5 --epochs=6
    python -m experiments.pages

A short training of every method on the harder moving shapes: 2, 4, 8 or 16 of the 16 clips of a step share statistics,
steps and clips are equal. Each run is a line of experiments/records/small_batch.jsonl; started again, it goes on with
what is missing. The most telling runs come first.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from benchmarks import records
from configs import hard_shapes
from dnr_jax.data.builders.hard_shapes import LABEL_NAMES
from dnr_jax.registry import choose
from experiments.short_training import Trainer, read_clips

RECORDS = Path(__file__).parent / 'records/small_batch.jsonl'
BACKBONES = ('resnet18', 'tsm_resnet18')
CLIPS = (2, 16, 4, 8)  # that share statistics; the ends tell most
EPOCHS = (2, 6)  # 300 steps, in which networks learn their first, and 900


class Method(NamedTuple):
    """Norms, and what else differs from the config; `over_clips` is whether statistics are taken over several clips."""

    norms: str
    over_clips: bool
    changes: dict[str, Any] = {}


# Global statistics are those over all clips of a step: `batch` at 16.
METHODS = {
    'batch': Method('batch', True),
    'dnr': Method('dnr', True),
    'group': Method('group', False),
    'temporal': Method('dnr_temporal', True),
    'layer': Method('dnr_layer', True),
    'dnr over group': Method('dnr_group', False),
}
# No part of the released method.
IMPROVEMENTS = {
    'dnr, scale from 1': Method('cross_layer_unit,cross_temporal_unit', True),
    'dnr, stride 4': Method('dnr', True, {'model.norm.stride': 4}),
    'dnr, stride 1': Method('dnr', True, {'model.norm.stride': 1}),
    'dnr, running pair per hop': Method('dnr', True, {'model.norm.running_per_hop': True}),
    'dnr, whole statistics': Method('cross_layer,cross_temporal_whole', True),
    'dnr, across stages': Method('cross_layer_onward,cross_temporal', True),
    'dnr, smaller cell': Method('dnr', True, {'model.norm.reduction': 8}),
}
# Is the learning rate in favour of one of them?
RATES = {
    'batch, rate 0.03': Method('batch', True, {'schedule.learning_rate': 0.03}),
    'dnr, rate 0.03': Method('dnr', True, {'schedule.learning_rate': 0.03}),
    'group, rate 0.03': Method('group', False, {'schedule.learning_rate': 0.03}),
}
# Is it the relay, or only that its scale starts at a quarter?
CONTROLS = {'batch, scale from 1/4': Method('batch_quarter,batch_quarter', True)}
ALL = METHODS | IMPROVEMENTS | CONTROLS | RATES


class Run(NamedTuple):
    """What tells one record from all others."""

    backbone: str
    method: str
    clips: int  # that share statistics; 1 where every clip has its own
    seed: int
    epochs: int


def plan(backbones: Sequence[str], methods: Sequence[str], clips: Sequence[int], seeds: int, epochs: int) -> list[Run]:
    """All runs, by clips and then by method; those without statistics over clips stand among the first."""
    found = []
    for method in methods:
        over_clips = choose(ALL, method, 'method').over_clips
        counts = clips if over_clips else (1,)
        found += [
            (position, Run(backbone, method, count, seed, epochs))
            for position, count in enumerate(counts)
            for backbone in backbones
            for seed in range(seeds)
        ]
    return [run for _, run in sorted(found, key=lambda of: of[0])]  # which keeps the order of equals


def key(record: dict[str, Any]) -> Run:
    """The run of a record."""
    return Run(*(record[name] for name in Run._fields))


def config_of(run: Run, data_dir: str) -> ConfigDict:
    """The config of a run."""
    method = ALL[run.method]
    config = hard_shapes.get_config(f'{run.backbone},{method.norms}')
    config.update_from_flattened_dict(method.changes)
    config.model.norm.statistics_scope = str(run.clips) if method.over_clips else 'device'
    config.data.dir = data_dir
    config.seed, config.train.epochs = run.seed, run.epochs
    return config


def carry_out(runs: Sequence[Run], data_dir: str, cache: Path) -> None:
    """Trains and records each of the runs."""
    trainers, clips = {}, {}
    for number, run in enumerate(runs):
        config = config_of(run, data_dir)
        if run.seed not in clips:
            clips[run.seed] = read_clips(config, cache)
        program = run._replace(seed=0)
        if program not in trainers:
            trainers = {
                program: Trainer(config, len(LABEL_NAMES), len(clips[run.seed].train) // config.train.batch_size)
            }
        measured = trainers[program].run(run.seed, clips[run.seed])
        records.add(RECORDS, {**run._asdict(), **measured})
        told = ', '.join(f'{way} {top1:.1%}' for way, top1 in measured['top1'].items())
        print(f'{number + 1}/{len(runs)} {" ".join(map(str, run))}: {told} ({measured["seconds"]:.0f} s)', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m experiments.small_batch', description=__doc__.split('\n')[0])
    parser.add_argument('--backbones', default=';'.join(BACKBONES))
    parser.add_argument('--methods', default=';'.join(METHODS), help=f'of {"; ".join(ALL)}')
    parser.add_argument('--clips', default=';'.join(map(str, CLIPS)), help='clips per statistic, first ones first')
    parser.add_argument('--seeds', type=int, default=3, help='how many, from 0')
    parser.add_argument('--epochs', type=int, default=EPOCHS[0], help=f'each of a run; on the page: {EPOCHS}')
    parser.add_argument('--data_dir', default='~/tensorflow_datasets')
    parser.add_argument('--cache', type=Path, default=Path('runs/small_batch'), help='for clips and compiled programs')
    options = parser.parse_args()
    jax.config.update('jax_compilation_cache_dir', str((options.cache / 'compiled').resolve()))
    done = {key(record) for record in records.read(RECORDS)}
    backbones, methods, clips = (given.split(';') for given in (options.backbones, options.methods, options.clips))
    wanted = plan(backbones, methods, [int(count) for count in clips], options.seeds, options.epochs)
    carry_out([run for run in wanted if run not in done], options.data_dir, options.cache)


if __name__ == '__main__':
    main()
