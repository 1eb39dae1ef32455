"""A training killed again and again, against one left alone: no sealed step may be lost, and no bit may differ.

    python -m benchmarks.kills --kills=20 --workdir=/tmp/kills
    python -m benchmarks.kills --kills=20 --workdir=/tmp/kills --bucket=gs://BUCKET/kills

Half of the kills come at a random moment after the first step; of the others every second one waits for a save to
begin, every second for one to await its seal. What was going on is told from the folder the dead process left. With a
bucket, that is where the killed training lies, against one on this disk.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from benchmarks.corruption import load_alone
from dnr_jax.command.bars import bar
from dnr_jax.data import prepare
from dnr_jax.files import AnyPath, absolute, as_path, is_remote, listed, removed
from dnr_jax.runs import manifest
from dnr_jax.runs.copies import Copies, seals

ROOT = Path(__file__).parent.parent
SETTINGS = [
    '--config=configs/moving_shapes.py:resnet18,dnr',
    '--config.data.name=moving_shapes/tiny',
    '--config.model.width=4',
    '--config.clip.frames=2',
    '--config.schedule.warmup_steps=10',
    '--config.run.log_every_steps=3',
    '--config.run.checkpoint_every_steps=2',
]
PACE = ('clips_per_second', 'waiting_share')


class Life:
    """One process that trains, from its start to its end."""

    def __init__(self, command: list[str], log: Path):
        self._log = log
        environment = os.environ | {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}
        with log.open('w') as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        self.wait_until(lambda: 'first step done' in log.read_text())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Until it holds, or the process has ended; RuntimeError if it failed."""
        while self.process.poll() is None and not condition():
            time.sleep(0.001)
        if self.process.returncode not in (None, 0, -signal.SIGKILL):
            raise RuntimeError(f'The training ended with status {self.process.returncode}:\n{self._log.read_text()}')

    def kill(self) -> bool:
        """Whether that was what ended it."""
        self.process.kill()
        self.finish()
        return self.process.returncode == -signal.SIGKILL

    def finish(self) -> None:
        """Waits for its end."""
        self.wait_until(lambda: False)

    @property
    def first_step(self) -> int:
        """The step it went on from."""
        return int(re.search(r'steps (\d+) to', self._log.read_text())[1])


def command(workdir: AnyPath, data_dir: AnyPath, cache: Path, epochs: int) -> list[str]:
    """The command that trains in this folder."""
    settings = [f'--config.data.dir={data_dir}', f'--compilation_cache={cache}']
    return [sys.executable, 'train.py', *SETTINGS, *settings, f'--config.train.epochs={epochs}', f'--workdir={workdir}']


def step_folders(workdir: AnyPath) -> list[AnyPath]:
    """By step."""
    folder = workdir / 'checkpoints'
    names = seals(folder) if is_remote(folder) else [path.name for path in folder.glob('*')]
    return [folder / name for name in sorted(filter(str.isdigit, names), key=int)]


def newest_sealed(workdir: AnyPath) -> int:
    """The step of the newest checkpoint that is whole, 0 if there is none."""
    with Copies() as copies:
        whole = (int(path.name) for path in step_folders(workdir) if not manifest.damage(copies.of(path)))
        return max(whole, default=0)


def saving(workdir: AnyPath) -> bool:
    """Whether a checkpoint is being written, by Orbax or to the bucket."""
    if is_remote(workdir):
        return not all(seals(workdir / 'checkpoints').values())
    return any('tmp' in path.name for path in (workdir / 'checkpoints').glob('*'))


def committed(workdir: AnyPath) -> bool:
    """Whether the newest checkpoint awaits its seal."""
    return any(not (path / manifest.NAME).exists() for path in step_folders(workdir)[-1:])


MOMENTS = (None, saving, None, committed)  # what to wait for before a kill, after the random time


def phase(workdir: AnyPath) -> str:
    """What the folder of a dead process shows to have been going on."""
    if saving(workdir):
        return 'inside a save'
    if committed(workdir):
        return 'after commit, before seal'
    with Copies() as copies:
        removing = any(manifest.damage(copies.of(path)) for path in step_folders(workdir))
    return 'while an old one is removed' if removing else 'between saves'


def whole(train: list[str], log: Path) -> float:
    """Trains without a kill; returns the seconds from the first step to the end."""
    life = Life(train, log)
    started = time.monotonic()
    life.finish()
    return time.monotonic() - started


def killed(workdir: AnyPath, train: list[str], logs: Path, kills: int, longest: float, seed: int) -> list[dict]:
    """Trains with so many kills, or until it is done, each at most so many seconds after a first step or a save."""
    rng, records, sealed = random.Random(seed), [], 0
    with bar(kills, 'kills', 'kill', leave=True) as progress:
        for number, moment in zip(range(kills + 1), itertools.cycle(MOMENTS), strict=False):
            life = Life(train, logs / f'killed.{number}.log')
            if records:
                records[-1] |= {'resumed': life.first_step, 'lost': sealed - life.first_step}
            if number == kills:
                life.finish()
                break
            until = time.monotonic() + rng.uniform(0, longest)
            life.wait_until(lambda until=until: time.monotonic() > until)
            if moment:
                life.wait_until(lambda moment=moment: moment(workdir))
            if not life.kill():
                break
            sealed = max(sealed, newest_sealed(workdir))
            records.append({'aim': moment.__name__ if moment else 'random', 'phase': phase(workdir), 'sealed': sealed})
            progress.update()
    return records


def digest(workdir: AnyPath) -> str:
    """sha256 of all arrays of the last checkpoint."""
    path = step_folders(workdir)[-1]
    with Copies() as copies:
        loaded = load_alone(copies.of(path))
    hashed = hashlib.sha256(path.name.encode())
    for name, leaf in jax.tree.leaves_with_path({part: loaded[part] for part in ('variables', 'progress')}):
        hashed.update(f'{jax.tree_util.keystr(name)} {leaf.dtype} {leaf.shape}'.encode() + np.asarray(leaf).tobytes())
    return hashed.hexdigest()


def lines(workdir: AnyPath) -> list[dict]:
    """What was reported, without the pace."""
    read = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in PACE} for line in read]


def measure(
    folder: Path,
    data_dir: AnyPath,
    kills: int,
    epochs: int,
    seed: int,
    longest: float | None = None,
    bucket: AnyPath | None = None,
) -> dict:
    """Trains twice in a folder, once with kills; returns the record of both.

    `longest` is of the seconds to a kill; by default such that the run lasts for all of them. In a bucket, the killed
    one lies there.
    """
    folders = {'whole': folder / 'whole', 'killed': (bucket or folder) / 'killed'}
    for path in folders.values():
        for name in listed(path):
            removed(path / name)
        if not is_remote(path):
            shutil.rmtree(path, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    trains = {name: command(path, data_dir, folder / 'cache', epochs) for name, path in folders.items()}
    seconds = whole(trains['whole'], folder / 'whole.log')
    records = killed(folders['killed'], trains['killed'], folder, kills, longest or 1.5 * seconds / max(kills, 1), seed)
    return {
        'seconds': seconds,
        'steps': int(step_folders(folders['whole'])[-1].name),
        'kills': records,
        'lost': sum(record['lost'] for record in records),
        'digests': [digest(path) for path in folders.values()],
        'same_lines': lines(folders['whole']) == lines(folders['killed']),
    }


def is_same(record: dict) -> bool:
    """Whether nothing was lost and the ends are the same."""
    return not record['lost'] and len(set(record['digests'])) == 1 and record['same_lines']


def as_table(record: dict) -> str:
    """The record, to read."""
    rows = [f'{"kill":>5} {"aimed at":>10} {"died":>28} {"sealed":>7} {"resumed":>8} {"lost":>5}']
    for number, kill in enumerate(record['kills'], 1):
        rows.append(
            f'{number:>5} {kill["aim"]:>10} {kill["phase"]:>28} {kill["sealed"]:>7} {kill["resumed"]:>8} '
            f'{kill["lost"]:>5}'
        )
    rows.append(f'{record["steps"]} steps, {record["seconds"]:.1f} s uninterrupted; lost: {record["lost"]} steps')
    states = 'the same' if len(set(record['digests'])) == 1 else 'different'
    rows.append(f'final states: {states}; lines: {"the same" if record["same_lines"] else "different"}')
    return '\n'.join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--kills', type=int, default=20, help='how many; default: %(default)s')
    parser.add_argument('--epochs', type=int, default=40, help='of the training; default: %(default)s')
    parser.add_argument('--seed', type=int, default=0, help='of the moments; default: %(default)s')
    parser.add_argument('--longest', type=float, help='seconds to a kill; default: so that the run lasts for all')
    parser.add_argument('--workdir', type=Path, required=True, help='folder for the runs and their logs')
    parser.add_argument('--bucket', help='URL: where the killed training lies, and its data')
    parser.add_argument('--data_dir', help='folder of data sets; default: WORKDIR/data, or BUCKET/data')
    parser.add_argument('--out', type=Path, help='JSON file to write the record to')
    options = parser.parse_args()
    folder = options.workdir.absolute()
    bucket = as_path(options.bucket) if options.bucket else None
    data_dir = absolute(as_path(options.data_dir) if options.data_dir else (bucket or folder) / 'data')
    if status := prepare.main(['moving_shapes', '--variant=tiny', f'--out={data_dir}', '--workers=0']):
        return status
    record = measure(folder, data_dir, options.kills, options.epochs, options.seed, options.longest, bucket)
    print(as_table(record))
    if options.out:
        options.out.write_text(json.dumps(record, indent=2) + '\n')
    return int(not is_same(record))


if __name__ == '__main__':
    sys.exit(main())
