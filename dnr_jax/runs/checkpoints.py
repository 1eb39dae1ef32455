"""Checkpoints in a work folder: which of them count, saved, sealed, found and restored.

A checkpoint holds the state at one step, a description (`about`: config, class names, data set) and the
validation metrics at that step if there are any, see `stored`. The newest ones stay, and the best one by validation
top-1. A checkpoint counts once it is sealed (see `manifest`), and only while every byte of it is as it was: Orbax
itself restores flipped bits without a word.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from absl import logging

from dnr_jax import parallel
from dnr_jax.command.terminal import printable
from dnr_jax.files import AnyPath, absolute, as_path, is_remote
from dnr_jax.runs import manifest, stored
from dnr_jax.runs.copies import Copies, drop, push, seals, set_aside
from dnr_jax.runs.state import TrainState, byte_count
from dnr_jax.runs.stored import Checkpoint, Store, best_of, describe
from dnr_jax.runs.taken_away import Gone, gone_if_not_there, is_going, while_there

PyTree = Any

UNSEALED = 'unsealed'  # the one name that all unfinished checkpoints are set aside by, so that they cannot pile up
LEAST_KEPT = 2  # while the newest is being sealed, an older one must be there to fall back to


class CheckpointError(Exception):
    """A checkpoint could not be saved; those before it are untouched."""


class Checkpoints:
    """The checkpoints of `folder`; close it, or use it as a context, to see asynchronous saves through.

    What is damaged is renamed, STEP.damaged, what was never finished, `unsealed`, with a warning; neither counts.

    Attributes:
      folder: made if it does not exist; see `copies` for that of a bucket.
      keep: how many of the newest checkpoints stay, 2 or more.
    """

    def __init__(self, folder: AnyPath, keep: int):
        expect_enough_kept(keep)
        self._folder = absolute(as_path(folder))
        self._remote = is_remote(self._folder)
        self._copies = Copies()
        self._root = self._copies.root if self._remote else self._folder
        _set_aside_damaged(self._folder, self._copies)
        self._store = Store(self._root, keep, alone=self._remote)
        self._sealer = ThreadPoolExecutor(1, thread_name_prefix='seal')
        self._sealing: Future | None = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.wait()
        finally:
            self._sealer.shutdown()
            self._store.close()
            self._copies.__exit__(*error)

    @property
    def latest(self) -> Checkpoint | None:
        """The newest checkpoint, None if there is none."""
        steps = self._store.steps()
        return describe(self._root / str(steps[-1])) if steps else None

    @property
    def best(self) -> Checkpoint | None:
        """The best one by validation top-1, the later one of equals; None if none was validated."""
        return best_of(describe(self._root / str(step)) for step in self._store.steps())

    def save(self, state: TrainState, about: dict[str, Any], metrics: dict[str, float] | None) -> None:
        """Starts to save this state under its step; returns as soon as the state is copied off the devices.

        Waits for the save before it. Raises CheckpointError if that one failed, or if the disk is too full for this.
        """
        self.wait()
        self._expect_room_for(state)
        saved = self._store.save(state, about, metrics)
        self._sealing = self._sealer.submit(self._seal, int(state.step), saved)

    def check(self) -> None:
        """Raises CheckpointError if the save under way has failed; does not wait for it."""
        if self._sealing is not None and self._sealing.done():
            self.wait()

    def wait(self) -> None:
        """Sees the save under way through; raises CheckpointError if it fails."""
        sealing, self._sealing = self._sealing, None
        if sealing is not None:
            sealing.result()

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of that step, with the shapes, types and shardings of `like` (see `parallel.abstract`)."""
        return self._store.restore(step, like)

    def unlike(self, step: int, like: TrainState) -> list[str]:
        """How the arrays saved at that step are not those of `like`, to read; empty where `restore` can give them."""
        return stored.unlike(self._root / str(step), stored.parts(like))

    def _seal(self, step: int, saved: Callable[[], Any]) -> None:
        try:
            saved()
            if parallel.is_leader():
                manifest.seal(self._root / str(step))
                if self._remote:
                    self._push(step)
        except Exception as error:
            raise CheckpointError(
                f'The checkpoint of step {step} could not be written to {self._folder}: {error}. Those before it are '
                'untouched; make room or mend the disk, and start the same command again.'
            ) from error

    def _push(self, step: int) -> None:
        """Writes a sealed step to the bucket, and then takes away those that do not stay."""
        push(self._root / str(step), self._folder / str(step))
        for path in _step_folders(self._folder):
            if not (self._root / path.name).exists():
                drop(path)

    def _expect_room_for(self, state: TrainState) -> None:
        needed, free = byte_count(state), shutil.disk_usage(self._root).free
        if free < 1.1 * needed:
            raise CheckpointError(
                f'A checkpoint takes {needed / 1e6:,.0f} MB, the disk of {self._root} has {free / 1e6:,.0f} MB left. '
                'Older checkpoints are untouched; make room on it, for example by moving other runs away or by a '
                'smaller config.run.keep, and start the same command again.'
            )


def expect_enough_kept(keep: int) -> None:
    """Raises ValueError if so few checkpoints stay that there may be none to fall back to."""
    if keep < LEAST_KEPT:
        raise ValueError(f'config.run.keep is {LEAST_KEPT} or more, to have one to fall back to; got {keep}.')


def any_in(folder: AnyPath) -> bool:
    """Whether there are checkpoints in it, undamaged or not."""
    return folder.is_dir() and bool(_step_folders(folder))


def sealed(folder: AnyPath) -> list[int]:
    """The steps of finished checkpoints, in order; none where there is no such folder."""
    return _sealed(_step_folders(folder)) if folder.is_dir() else []


def last_step(folder: AnyPath, step: int) -> int | None:
    """The step at which the training of a checkpoint ends; None where it is gone, or does not say so."""
    try:
        with Copies() as copies:
            return describe(copies.of(folder / str(step))).about.get('last_step')
    except (ValueError, Gone):
        return None


def find(folder: AnyPath, which: str) -> Checkpoint:
    """The checkpoint `which` ('last', 'best' or a step) of a work folder, every byte of it verified.

    Where the last or the best one is damaged, the next one takes its place, with a warning. ValueError, naming what is
    there, if none is left, or if the step asked for is damaged. A training may go on meanwhile.
    """
    folder = as_path(folder)

    def read() -> Checkpoint:
        with Copies() as copies:
            return _find(folder, which, copies)

    return while_there(read, folder)


def load(folder: AnyPath, which: str, like: Callable[[Checkpoint], PyTree]) -> tuple[Checkpoint, PyTree]:
    """What `find` finds, and its parameters and statistics for `model.apply`, shaped as `like` says of it.

    A training that goes on may take a checkpoint away while it is read, of which Orbax makes arrays of zeros: what is
    read counts only if all of it is still there afterwards, and the next one is read else.
    """
    folder = as_path(folder)
    shaped: list[tuple[dict, PyTree]] = []  # of the config read last: making a model takes longer than reading one

    def read() -> tuple[Checkpoint, PyTree]:
        with Copies() as copies:
            found = _find(folder, which, copies)
            path = copies.of(folder / str(found.step))
            with gone_if_not_there(path):
                entries, _ = manifest.read(path)
                config = found.about.get('config')
                if not shaped or shaped[-1][0] != config:
                    shaped.append((config, like(found)))
                with stored.by_itself(is_remote(folder)):
                    variables = stored.load_variables(path.parent, found.step, shaped[-1][1])
                if not manifest.still_there(path, entries):
                    raise Gone
            return found, variables

    return while_there(read, folder)


def _find(folder: AnyPath, which: str, copies: Copies) -> Checkpoint:
    if not folder.is_dir():
        raise ValueError(f'Expected a folder of checkpoints at {folder}, found none; give the --workdir of a training.')
    paths = _step_folders(folder)
    steps, whole = [int(path.name) for path in paths], _sealed(paths)
    if not steps:
        raise ValueError(f'{folder} holds no finished checkpoint; let train.py save one there first.')
    if _is_step(which) and int(which) in steps:
        if (found := manifest.damage(copies.of(folder / which))) and not is_going(folder / which):
            raise ValueError(f'The checkpoint of step {which} in {folder} is damaged: {found}. There are {steps}.')
        return describe(copies.of(folder / which))
    undamaged = map(copies.of, _undamaged(reversed(paths), copies))
    newest = next(undamaged, None)
    if newest is None:
        if sealed(folder) != whole:  # while they were verified a newer one has come
            raise Gone
        raise ValueError(f'{folder} holds no finished checkpoint that is undamaged, only {steps}.')
    if which == 'last':
        return describe(newest)
    scored = [checkpoint for checkpoint in map(describe, [newest, *undamaged]) if checkpoint.metrics]
    if which == 'best' and scored:
        return best_of(scored)
    raise ValueError(
        f"Expected 'last', 'best' (of {len(scored)} validated ones) or one of the steps {steps}, got '{which}'."
    )


def _step_folders(folder: AnyPath) -> list[AnyPath]:
    """By step; of a bucket those that are sealed, for the others are being written or removed."""
    if is_remote(folder):
        found = [folder / name for name, whole in seals(folder).items() if whole and _is_step(name)]
    else:
        found = [path for path in folder.iterdir() if _is_step(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _sealed(paths: Iterable[AnyPath]) -> list[int]:
    return [int(path.name) for path in paths if is_remote(path) or (path / manifest.NAME).exists()]


def _is_step(name: str) -> bool:
    """Whether this is a number as we write it; '²' and '٣' are digits too, and '007' is no name of ours."""
    return name.isascii() and name.isdecimal() and name == str(int(name))


def _undamaged(paths: Iterable[AnyPath], copies: Copies) -> Iterator[AnyPath]:
    for path in paths:
        if not (found := manifest.damage(copies.of(path))):
            yield path
        elif is_going(path):
            raise Gone
        else:
            logging.warning('%s', printable(f'The checkpoint {path} is damaged and is not used: {found}.'))


def _set_aside_damaged(folder: AnyPath, copies: Copies) -> None:
    """Of a bucket every process looks at its own copies of all that is there; the leader alone moves it."""
    damaged = []
    if (parallel.is_leader() or is_remote(folder)) and folder.is_dir():
        folders = _step_folders(folder)
        undamaged = set(_undamaged(folders, copies))
        damaged = [path for path in folders if path not in undamaged]
    parallel.barrier('checkpoints are verified')
    for path in damaged:
        unsealed = not is_remote(path) and not (path / manifest.NAME).exists()
        aside = path.with_name(UNSEALED if unsealed else f'{path.name}.damaged')
        if not is_remote(path):
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            continue
        copies.forget(path)
        if parallel.is_leader():
            set_aside(path, aside)
    if parallel.is_leader() and is_remote(folder):
        for name, whole in seals(folder).items():
            if _is_step(name) and not whole:
                drop(folder / name)
    parallel.barrier('damaged checkpoints are set aside')
