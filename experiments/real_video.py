"""Does the relay help on real video: by the relay, by a transform that knows the clip, or by a clock?

    python -m experiments.real_video                                                # all that is in docs/real_video.md
    python -m experiments.real_video --methods='batch;dnr' --clips=2 --seeds=7      # or a part of it, or more
    python -m experiments.real_video --methods='batch;dnr' --seeds=1 --records=runs/mine.jsonl      # or again
    python -m experiments.pages

Each run is one training of configs/grid_words.py by `train.py`, which scores its test once, and a line of
experiments/records/real_video.jsonl, or of the file that --records names. Started again, it goes on with what is
missing, a stopped training from its last checkpoint; started several times, each takes what the others have not.

The learning rate is 0.1 for all methods: of 0.05, 0.1 and 0.2 it was looked at on validation, for `batch`, `dnr`,
`clock, relay along layers`, `timed` and `layer` with one seed, and no other was tried for the rest.
"""

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks import records
from dnr_jax.evaluation import predictions
from dnr_jax.files import Busy, held
from dnr_jax.models import MODELS
from dnr_jax.norms.words import NORMS, words_of
from dnr_jax.registry import choose
from experiments import commands, sessions

RECORDS = Path(__file__).parent / 'records/real_video.jsonl'
BACKBONES = ('resnet18', 'tsm_resnet18')
CLIPS = 16  # of a step
RATE = 0.1
TEST_CLIPS = 1200
PRECISE_BATCHES = 32  # by which clips are counted into their sets
# Where words lie in their clips, see `grid_words`, and the variant of prepared videos that has them so.
TIMINGS = {'cut': 'grid_words', 'moved': 'grid_moved', 'paced': 'grid_paced'}

# By the norms of a block; hopwise norms have no cell. The last ones are no part of the released method.
METHODS = {
    'batch': 'batch',
    'dnr': 'dnr',
    'clock': 'batch,hopwise',
    'clock, relay along layers': 'cross_layer,hopwise',
    'conditional': 'cross_layer_unrelayed,cross_temporal_unrelayed',
    'timed': 'cross_layer,cross_temporal_timed',
    'temporal': 'dnr_temporal',
    'layer': 'dnr_layer',
    'clock, scale from 1/4': 'batch,hopwise_quarter',
    'whole statistics': 'cross_layer,cross_temporal_whole',
    'residual': 'cross_layer_residual,cross_temporal_residual',
    'residual, no relay': 'cross_layer_residual_unrelayed,cross_temporal_residual_unrelayed',
    'residual, along frames': 'batch,cross_temporal_residual',
    'standardized': 'cross_layer_standardized,cross_temporal_standardized',
    'dropout': 'cross_layer_dropout,cross_temporal_dropout',
    'batch renormalized': 'batch_renormalized,batch_renormalized',
    'group': 'group',
    'group, weights standardized': 'group',
}
# What else of their config is another.
CHANGES = {'group, weights standardized': {'model.standardize_weights': True}}


class Run(NamedTuple):
    """What tells one record from all others."""

    backbone: str
    method: str
    clips: int  # that share statistics
    timing: str
    rate: float
    seed: int


class Part(NamedTuple):
    """Runs of all these methods, with seeds from 0."""

    methods: Sequence[str]
    seeds: int
    backbones: Sequence[str] = ('resnet18',)
    clips: Sequence[int] = (CLIPS,)
    timings: Sequence[str] = ('cut',)
    rates: Sequence[float] = (RATE,)


# What docs/real_video.md is made of.
PAGE = (
    Part(('batch', 'dnr', 'clock, relay along layers'), seeds=5, timings=tuple(TIMINGS)),
    Part(('timed',), seeds=5, timings=tuple(TIMINGS)),
    Part(('clock', 'conditional'), seeds=5),
    Part(('layer', 'whole statistics', 'residual', 'residual, no relay', 'standardized', 'dropout'), seeds=1),
    Part(('temporal', 'clock, scale from 1/4', 'residual, along frames'), seeds=1),
    Part(('batch renormalized', 'group', 'group, weights standardized'), seeds=1),
    Part(('group', 'group, weights standardized'), seeds=1, rates=(0.02,)),
    Part(('batch', 'dnr', 'clock, relay along layers', 'timed', 'layer'), seeds=1, rates=(0.05, 0.2)),
    Part(('batch', 'dnr', 'layer'), seeds=1, clips=(2, 8)),
    Part(('batch', 'dnr', 'layer'), seeds=5, backbones=('tsm_resnet18',), clips=(2,)),
    Part(('batch', 'dnr'), seeds=5, backbones=('tsm_resnet18',)),
    Part(('layer',), seeds=1, backbones=('tsm_resnet18',)),
)


def plan(parts: Sequence[Part]) -> list[Run]:
    """All runs, each once, a seed of all methods before the next."""
    found = {}
    for part in parts:
        for asked, table, kind in (
            (part.methods, METHODS, 'method'),
            (part.backbones, MODELS, 'backbone'),
            (part.timings, TIMINGS, 'timing'),
        ):
            for name in asked:
                choose(table, name, kind)
        for seed, method, *of in itertools.product(
            range(part.seeds), part.methods, part.backbones, part.clips, part.timings, part.rates
        ):
            backbone, clips, timing, rate = of
            found[Run(backbone, method, clips, timing, rate, seed)] = None
    return list(found)


def key(record: dict[str, Any]) -> Run:
    """The run of a record."""
    return Run(*(record[name] for name in Run._fields))


def changes_of(method: str) -> list[str]:
    """Flags of what else of the config is another."""
    return [f'--config.{name}={value}' for name, value in CHANGES.get(method, {}).items()]


def folder_of(run: NamedTuple) -> str:
    """The name of the work folder of a run."""
    return '_'.join(map(str, run)).replace(', ', '_').replace(' ', '_').replace('/', '_')


def command_of(run: Run, workdir: Path, data_dir: str) -> list[str]:
    """The training of a run."""
    return [
        sys.executable,
        'train.py',
        f'--config=configs/grid_words.py:{run.backbone},{METHODS[run.method]}',
        f'--config.data.name=videos/{TIMINGS[run.timing]}-jpeg54',
        f'--config.data.dir={data_dir}',
        f'--config.model.norm.statistics_scope={run.clips}',
        f'--config.schedule.learning_rate={run.rate}',
        f'--config.seed={run.seed}',
        *changes_of(run.method),
        f'--workdir={workdir}',
    ]


def carry_out(runs: Sequence[Run], folder: Path, data_dir: str, keep: bool, into: Path) -> None:
    """Trains and records each of the runs, but those that another process has taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs):
        name = folder_of(run)
        try:
            with held(folder / f'{name}.lock', name, tell=print):
                if run not in map(key, records.read(into)):
                    measured = train(run, folder / name, data_dir, keep, into)
                    told = f'{measured["top1"]:.1%} ({measured["seconds"]:.0f} s)'
                    print(f'{number + 1}/{len(runs)} {" ".join(map(str, run))}: {told}', flush=True)
        except Busy as taken:
            print(taken, flush=True)


def train(run: Run, workdir: Path, data_dir: str, keep: bool, into: Path) -> dict[str, Any]:
    """Trains, and records what the network knows."""
    seconds = sessions.run(command_of(run, workdir, data_dir), workdir, into)
    measured = {**run._asdict(), 'seconds': seconds, **scores(workdir)}
    if run.clips < CLIPS and by_sets(run.method):
        measured['counted'] = counted(workdir, run.clips)
    records.add(into, measured)
    if not keep:
        shutil.rmtree(workdir / 'checkpoints')
    return measured


def by_sets(method: str) -> bool:
    """Whether training standardizes every clip by its set, so that there is something to count it into."""
    return all(NORMS[word].statistics == 'batch' for word in words_of(METHODS[method]))


def counted(workdir: Path, clips: int) -> dict[str, Any]:
    """What the test says where every clip is counted into a set of so many, as it was in training."""
    out = workdir / 'counted'
    run = {'precise_batches': PRECISE_BATCHES, 'self_inclusive': clips}
    changes = [f'--config.run.{name}={value}' for name, value in run.items()]
    subprocess.run([sys.executable, 'eval.py', f'--workdir={workdir}', f'--out={out / "test"}', *changes], check=True)
    return tested(out)


def scores(workdir: Path) -> dict[str, Any]:
    """What a finished training knows: the test, and top-1 of the validations."""
    lines = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
    validations = {line['step']: round(line['top1'], 4) for line in lines if line.get('kind') == 'validation'}
    return tested(workdir) | {'validation': list(validations.values())}


def kept_whole(workdir: Path) -> bool:
    """Whether a training lies there that has ended, with its checkpoints."""
    return (workdir / 'checkpoints').exists() and (workdir / 'test/results.json').exists()


def tested(workdir: Path) -> dict[str, Any]:
    """What the test of a work folder says."""
    results = json.loads((workdir / 'test/results.json').read_text())
    stored = predictions.read(workdir / 'test')
    return {
        'steps': results['step'],
        'top1': round(results['top1'], 4),
        'mean_class': round(results['mean_class_accuracy'], 4),
        'test': {'videos': len(stored.ids), 'ids': fingerprint(stored.ids)},
        'right': right(stored),
    }


def right(stored: predictions.Stored) -> str:
    """Which videos are right, in the order of their names, as bits in hexadecimal."""
    order = np.argsort(stored.ids)
    return np.packbits((stored.logits.argmax(axis=1) == stored.labels)[order]).tobytes().hex()


def fingerprint(ids: Sequence[str]) -> str:
    """What tells these videos from all others, in whatever order: 16 digits of the SHA-256 of their sorted ids."""
    return hashlib.sha256('\n'.join(sorted(map(str, ids))).encode()).hexdigest()[:16]


def same_test(found: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError, naming two, unless all records are of one test: `right` is paired video by video."""
    for record in found[1:]:
        if record['test'] != found[0]['test']:
            raise ValueError(
                'Expected runs with the same test videos, for they are compared one by one; got '
                f'{test_of(found[0])} and {test_of(record)}. Train both on the same prepared videos.'
            )


def test_of(record: Mapping[str, Any]) -> str:
    """'resnet18 dnr 16 cut 0.1 0 with 1,200 videos (310f4e98cef6c18f)'."""
    return f'{" ".join(map(str, key(record)))} with {record["test"]["videos"]:,} videos ({record["test"]["ids"]})'


def main() -> None:
    parser = commands.parser(__doc__, RECORDS)
    names = commands.several(str)
    parser.add_argument(
        '--methods', type=names, help=f'these alone, in place of all in docs/real_video.md; of {"; ".join(METHODS)}'
    )
    parser.add_argument('--backbones', type=names, default='resnet18', help=f'of --methods: {";".join(BACKBONES)}')
    parser.add_argument('--clips', type=commands.several(int), default=str(CLIPS), help='per statistic, of --methods')
    parser.add_argument('--timings', type=names, default='cut', help=f'of --methods: {";".join(TIMINGS)}')
    parser.add_argument('--rates', type=commands.several(float), default=str(RATE), help='learning rates, of --methods')
    parser.add_argument('--seeds', type=int, default=3, help='how many, from 0, of --methods')
    parser.add_argument('--data_dir', default='~/tensorflow_datasets')
    parser.add_argument('--workdir', type=Path, default=Path('runs/real_video'))
    parser.add_argument('--keep', action='store_true', help='checkpoints of finished trainings, for the study')
    options = parser.parse_args()
    wanted = PAGE
    if options.methods:
        of = (options.backbones, options.clips, options.timings, options.rates)
        wanted = [Part(options.methods, options.seeds, *of)]
    with commands.refusing():
        planned, found = plan(wanted), records.read(options.records)
        done = set(map(key, found))
        missing = [run for run in planned if run not in done]
        expected = median([record['seconds'] for record in found or records.read(RECORDS)]) * len(missing) / 60
        print(f'{len(missing)} runs are missing: about {expected:.0f} minutes.', flush=True)
        carry_out(missing, options.workdir, options.data_dir, options.keep, options.records)


if __name__ == '__main__':
    main()
