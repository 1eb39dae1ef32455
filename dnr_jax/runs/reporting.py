"""What a training tells while it runs: lines to read, `metrics.jsonl` for machines, TensorBoard for the eye."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ml_collections import ConfigDict

from dnr_jax import figures
from dnr_jax.command.config_table import RANGES, flat, written
from dnr_jax.command.terminal import tell
from dnr_jax.files import AnyPath, Mirror, buckets, written_whole
from dnr_jax.runs.event_file import EventFile

METRICS = 'metrics.jsonl'

NUMBERS = (bool, int, float)  # that a table of runs sorts by


class ReportError(Exception):
    """What a run tells could not be written to its work folder; its checkpoints are untouched."""


class Reporter:
    """Writes what is seen of a run to its work folder; a continued run first drops what lies after its start.

    ReportError where a disk does not take it, BucketError where a bucket does not.
    """

    def __init__(self, workdir: AnyPath, start_step: int, writes: bool):
        """`writes` is false for all processes of a run but one, which then tell nothing."""
        self._writes = writes
        if not writes:
            return
        self._mirror = Mirror(workdir)
        self._path, there = self._mirror.root / METRICS, workdir / METRICS
        with self._writing():
            if there.exists():
                kept = [
                    line
                    for line in there.read_bytes().decode(errors='replace').splitlines()
                    if _step_of(line) <= start_step
                ]
                with written_whole(self._path) as path:
                    path.write_text(''.join(f'{line}\n' for line in kept))
            self._events = EventFile(self._mirror.root / 'tensorboard', start_step + 1)

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        if self._writes:
            # What has ended the run is told, not what that led to.
            with suppress(*([OSError, ReportError] if kind else [])), self._writing():
                try:
                    self._events.close()
                finally:
                    self._mirror.close()

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Records values of one kind ('train', 'validation', 'test') at a step."""
        if not self._writes:
            return
        with self._writing():
            with self._path.open('a') as lines:
                lines.write(json.dumps({'step': step, 'kind': kind, **values}) + '\n')
            for name, value in values.items():
                self._events.scalar(f'{kind}/{name}', value, step)
            self._events.flush()

    def picture(self, step: int, name: str, draw: Callable[[], Any]) -> None:
        """Shows the figure that `draw` makes, which is not called where nothing is written."""
        if self._writes:
            pixels = figures.pixels(draw())
            with self._writing():
                self._events.picture(name, pixels, step)
                self._events.flush()

    def config(self, step: int, config: ConfigDict) -> None:
        """Shows a config as text."""
        if self._writes:
            lines = (f'    {key} = {written(value)}' for key, value in settings(config).items())  # as Markdown has code
            with self._writing():
                self._events.text('config', '\n'.join(lines), step)
                self._events.flush()

    def outcome(self, config: ConfigDict, scalars: Sequence[str]) -> None:
        """Puts a config beside what has come of it, by the names of scalars, for a table of several runs."""
        if self._writes:
            values = {
                key: value if type(value) in NUMBERS else written(value) for key, value in settings(config).items()
            }
            with self._writing():
                self._events.row(values, scalars)
                self._events.flush()

    def flush(self) -> None:
        """Sees what was recorded into the work folder: no checkpoint is to be ahead of it."""
        if self._writes:
            self._mirror.flush()

    def line(self, text: str) -> None:
        """Tells a line, or several."""
        if self._writes:
            tell(text)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except buckets.BucketError:
            raise
        except OSError as error:
            raise ReportError(
                f'What this run tells could not be written to {self._mirror.root}: {error}. Its checkpoints are '
                'untouched; make room on that disk or mend it, and start the same command again.'
            ) from error


def settings(config: ConfigDict) -> dict[str, Any]:
    """The values of a config by their dotted keys."""
    return {key: value for key, value in flat(config.to_dict()).items() if key.partition('.')[0] != RANGES}


def recorded(folder: AnyPath) -> set[int]:
    """The steps that stand in metrics.jsonl of a folder; empty where there is none."""
    path = folder / 'metrics.jsonl'
    steps = map(_step_of, path.read_bytes().decode(errors='replace').splitlines()) if path.exists() else ()
    return {step for step in steps if step < sys.maxsize}


def place(step: int, last_step: int, steps_per_epoch: int) -> str:
    """Where a training is, as its lines begin."""
    return f'step {step:>6}/{last_step}  epoch {step / steps_per_epoch:7.2f}'


def as_time(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)['step'])
    except (
        ValueError,
        TypeError,
        LookupError,
        RecursionError,
    ):  # of a run that was killed while writing it, or of none
        return sys.maxsize
