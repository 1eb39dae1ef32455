"""Does what a relay has learned of words or shapes help with few clips of something else? J-HMDB, or from nothing.

    python -m experiments.few_clips --words=runs/real_video
    python -m experiments.few_clips --origins='nothing;shapes' --methods='dnr' --seeds=3

Trains configs/jhmdb21.py, whose 671 clips teach a network little: from nothing, from the networks that `python -m
experiments.real_video --keep --workdir=runs/real_video` has trained on words, or from those of configs/moving_shapes.py
at the same width, which it trains first; each of the same norms and seed. Each run is a line of
experiments/records/few_clips.jsonl, or of the file that --records names; started again, it goes on with what is
missing.
"""

import itertools
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import records
from dnr_jax.registry import choose
from experiments import commands, real_video, sessions, tables
from experiments.real_video import METHODS, changes_of, folder_of, kept_whole, tested

RECORDS = Path(__file__).parent / 'records/few_clips.jsonl'
SMALLER = ['--config.schedule.learning_rate=0.02']
ORIGINS = {'nothing': [], 'words': SMALLER, 'shapes': SMALLER}  # flags of what begins with each
AS_WIDE = ['--config.model.width=16', '--config.model.norm.groups=8']  # as configs/jhmdb21.py


class Run(NamedTuple):
    """What tells one record from all others."""

    method: str
    origin: str
    seed: int


def plan(methods: Sequence[str], seeds: int, origins: Sequence[str] = tuple(ORIGINS)) -> list[Run]:
    """All runs, a seed of all methods before the next."""
    for asked, table, kind in ((methods, METHODS, 'method'), (origins, ORIGINS, 'origin')):
        for name in asked:
            choose(table, name, kind)
    return [Run(*of, seed) for seed, *of in itertools.product(range(seeds), methods, origins)]


def command_of(run: Run, config: str, flags: Sequence[str], workdir: Path, data_dir: str) -> list[str]:
    """A training of the network of a run by a config and flags of its own."""
    return [
        sys.executable,
        'train.py',
        f'--config=configs/{config}.py:resnet18,{METHODS[run.method]}',
        *changes_of(run.method),
        f'--config.data.dir={data_dir}',
        f'--config.seed={run.seed}',
        *flags,
        f'--workdir={workdir}',
    ]


def origin_of(run: Run, folder: Path, words: Path) -> Path | None:
    """The work folder of the network that a run begins with, of the same norms and seed; None for nothing."""
    of_words = real_video.Run('resnet18', run.method, 16, 'cut', real_video.RATE, run.seed)
    begun = {'words': words / folder_of(of_words), 'shapes': folder / folder_of(run._replace(origin='only_shapes'))}
    return begun.get(run.origin)


def expect_words(runs: Sequence[Run], words: Path) -> None:
    """Raises ValueError, naming the first, unless all networks that runs begin with have ended and were kept."""
    for run in runs:
        if run.origin == 'words' and not kept_whole(origin := origin_of(run, Path(), words)):
            raise ValueError(
                f'Expected a network that has learned words to the end in {origin}, with its checkpoints: python -m '
                f"experiments.real_video --keep --workdir={words} --methods='{run.method}' --seeds={run.seed + 1} "
                '--records=FILE, FILE a new one.'
            )


def train(run: Run, folder: Path, words: Path, data_dir: str, into: Path) -> dict[str, Any]:
    """Trains, on shapes first where the run begins with them, and records what the network knows of actions."""
    workdir, origin, flags = folder / folder_of(run), origin_of(run, folder, words), ORIGINS[run.origin]
    if run.origin == 'shapes':
        sessions.run(command_of(run, 'moving_shapes', AS_WIDE, origin, data_dir), origin, into)
    if origin:
        flags = [*flags, f'--config.init_from={origin}']
    seconds = sessions.run(command_of(run, 'jhmdb21', flags, workdir, data_dir), workdir, into)
    measured = {**run._asdict(), 'seconds': seconds, **tested(workdir)}
    records.add(into, measured)
    shutil.rmtree(workdir / 'checkpoints')
    return measured


def table(found: tables.Records) -> str:
    """Top-1 and the mean over classes by method and origin, as a table of Markdown."""
    rows = []
    for method, origin in itertools.product(METHODS, ORIGINS):
        if of := [record for record in found if (record['method'], record['origin']) == (method, origin)]:
            shares = (tables.share([record[name] for record in of]) for name in ('top1', 'mean_class'))
            rows.append([method, origin, *shares])
    return tables.table(['norms', 'begun with', 'top-1', 'mean over classes'], rows, left=2)


def main() -> None:
    parser = commands.parser(__doc__, RECORDS)
    parser.add_argument('--methods', type=commands.several(str), default='batch;dnr', help=f'of {"; ".join(METHODS)}')
    parser.add_argument(
        '--origins', type=commands.several(str), default=';'.join(ORIGINS), help=f'of {"; ".join(ORIGINS)}'
    )
    parser.add_argument('--seeds', type=int, default=2, help='how many, from 0')
    parser.add_argument('--words', type=Path, default=Path('runs/real_video'), help='of the networks trained on words')
    parser.add_argument('--data_dir', default='~/tensorflow_datasets')
    parser.add_argument('--workdir', type=Path, default=Path('runs/few_clips'))
    options = parser.parse_args()
    done = {Run(*(record[name] for name in Run._fields)) for record in records.read(options.records)}
    with commands.refusing():
        missing = [run for run in plan(options.methods, options.seeds, options.origins) if run not in done]
        expect_words(missing, options.words)
        for run in missing:
            measured = train(run, options.workdir, options.words, options.data_dir, options.records)
            print(f'{" ".join(map(str, run))}: {measured["top1"]:.1%} ({measured["seconds"]:.0f} s)', flush=True)


if __name__ == '__main__':
    main()
