"""Does the relay help, in small batches, and where the backbone already models time?

    python -m dnr_jax.data.prepare moving_shapes --variant hard
    python -m experiments.small_batch                                               # all that is in docs/runs.md
    python -m experiments.small_batch --methods='batch;dnr' --clips=2 --seeds=7     # or a part of it, or more
    python -m experiments.pages

A short training of every method on the harder moving shapes: 2, 4, 8 or 16 of the 16 clips of a step share statistics,
steps and clips are equal. Each run is a line of experiments/records/small_batch.jsonl, or of the file that --records
names; started again, it goes on with what is missing, and says first how long that will take.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from benchmarks import records
from configs import hard_shapes
from dnr_jax.data.builders.hard_shapes import LABEL_NAMES
from dnr_jax.models import MODELS
from dnr_jax.registry import choose
from experiments import commands
from experiments.short_training import Trainer, read_clips

RECORDS = Path(__file__).parent / 'records/small_batch.jsonl'
BACKBONES = ('resnet18', 'tsm_resnet18')
CLIPS = (2, 4, 8, 16)  # that share statistics
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
# Statistics that stand still for the last third of a training: what else is done about small batches.
FROZEN = {
    f'{norms}, statistics frozen for a third': Method(norms, True, {'train.statistics_until': 2 / 3})
    for norms in ('batch', 'dnr')
}
ALL = METHODS | IMPROVEMENTS | CONTROLS | RATES | FROZEN


class Run(NamedTuple):
    """What tells one record from all others."""

    backbone: str
    method: str
    clips: int  # that share statistics; 1 where every clip has its own
    seed: int
    epochs: int


class Part(NamedTuple):
    """Runs of all these methods on all backbones, at all these clips per statistic, with so many seeds."""

    methods: Sequence[str]
    clips: Sequence[int]
    seeds: int
    epochs: int
    backbones: Sequence[str] = BACKBONES
    first_seed: int = 0


NEW_SEED = 5  # and those after it have clips counted into their sets, in docs/real_video.md; no other table has them

# What docs/runs.md and that page are made of.
PAGE = (
    Part(('batch', 'dnr', 'layer', 'dnr, whole statistics'), CLIPS, seeds=5, epochs=6),
    Part(('temporal', 'group', 'dnr over group', 'group, rate 0.03'), CLIPS, seeds=3, epochs=6),
    Part(
        ('batch, scale from 1/4', 'dnr, across stages', 'dnr, smaller cell', 'dnr, stride 1'), (2,), seeds=3, epochs=6
    ),
    Part(('dnr, across stages',), (16,), seeds=3, epochs=6, backbones=('tsm_resnet18',)),
    Part(tuple(METHODS), CLIPS, seeds=3, epochs=2),
    Part(('batch, scale from 1/4',), (2, 16), seeds=3, epochs=2),
    Part(('dnr, scale from 1', 'dnr, stride 4'), (2,), seeds=3, epochs=2),
    Part(('dnr, running pair per hop',), (16,), seeds=3, epochs=2),
    Part(('batch, rate 0.03',), (16,), seeds=1, epochs=2, backbones=('resnet18',)),
    Part(('batch', 'dnr', 'layer', 'dnr, whole statistics'), (2,), 5, 6, ('tsm_resnet18',), first_seed=NEW_SEED),
    Part(('batch', 'dnr'), (4, 16), 3, 6, ('tsm_resnet18',), first_seed=NEW_SEED),
    Part(tuple(FROZEN), (2,), 5, 6, ('tsm_resnet18',), first_seed=NEW_SEED),
)


def plan(parts: Sequence[Part]) -> list[Run]:
    """All runs, each once, those of one program together."""
    found = {}
    for part in parts:
        for backbone in part.backbones:
            choose(MODELS, backbone, 'backbone')
        for method in part.methods:
            seeds = range(part.first_seed, part.first_seed + part.seeds)
            counts = part.clips if choose(ALL, method, 'method').over_clips else (1,)
            for backbone, clips, seed in itertools.product(part.backbones, counts, seeds):
                found[Run(backbone, method, clips, seed, part.epochs)] = None
    programs = list(dict.fromkeys(program(run) for run in found))
    return sorted(found, key=lambda run: programs.index(program(run)))


def program(run: Run) -> Run:
    """What runs that differ in their seed alone share."""
    return run._replace(seed=0)


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


def carry_out(runs: Sequence[Run], data_dir: str, cache: Path, into: Path) -> None:
    """Trains and records each of the runs."""
    trainers, clips = {}, {}
    for number, run in enumerate(runs):
        config = config_of(run, data_dir)
        if run.seed not in clips:
            clips[run.seed] = read_clips(config, cache)
        if program(run) not in trainers:
            trainers = {
                program(run): Trainer(config, len(LABEL_NAMES), len(clips[run.seed].train) // config.train.batch_size)
            }
        measured = trainers[program(run)].run(run.seed, clips[run.seed])
        records.add(into, {**run._asdict(), **measured})
        told = ', '.join(f'{way} {top1:.1%}' for way, top1 in measured['top1'].items())
        print(f'{number + 1}/{len(runs)} {" ".join(map(str, run))}: {told} ({measured["seconds"]:.0f} s)', flush=True)


def expected_minutes(missing: Sequence[Run], found: Sequence[dict[str, Any]]) -> float:
    """By the recorded runs of as many epochs, compilation included."""
    seconds = {epochs: [record['seconds'] for record in found if record['epochs'] == epochs] for epochs in EPOCHS}
    return sum(median(seconds.get(run.epochs) or [0]) for run in missing) / 60


def main() -> None:
    parser = commands.parser(__doc__, RECORDS)
    names = commands.several(str)
    parser.add_argument(
        '--methods', type=names, help=f'these alone, in place of all in docs/runs.md; of {"; ".join(ALL)}'
    )
    parser.add_argument('--backbones', type=names, default=';'.join(BACKBONES), help='of --methods')
    clips = ';'.join(map(str, CLIPS))
    parser.add_argument('--clips', type=commands.several(int), default=clips, help='per statistic, of --methods')
    parser.add_argument('--seeds', type=int, default=3, help='how many, of --methods')
    parser.add_argument('--first_seed', type=int, default=0, help='of --methods')
    parser.add_argument('--epochs', type=int, default=EPOCHS[-1], help=f'of --methods; in docs/runs.md: {EPOCHS}')
    parser.add_argument('--data_dir', default='~/tensorflow_datasets')
    parser.add_argument('--cache', type=Path, default=Path('runs/small_batch'), help='for clips and compiled programs')
    options = parser.parse_args()
    jax.config.update('jax_compilation_cache_dir', str((options.cache / 'compiled').resolve()))
    wanted = PAGE
    if options.methods:
        of_all = options.epochs, options.backbones, options.first_seed
        wanted = [Part(options.methods, options.clips, options.seeds, *of_all)]
    with commands.refusing():
        planned, found = plan(wanted), records.read(options.records)
        done = set(map(key, found))
        missing = [run for run in planned if run not in done]
        minutes = expected_minutes(missing, found or records.read(RECORDS))
        print(f'{len(missing)} runs are missing: about {minutes:.0f} minutes on two CPU cores.', flush=True)
        carry_out(missing, options.data_dir, options.cache, options.records)


if __name__ == '__main__':
    main()
