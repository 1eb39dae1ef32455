"""Checkpoints of a bucket, and their copies on the disk of this host, where Orbax works.

    BUCKET/checkpoints/STEP/...              objects; the seal, manifest.json, is written last and removed first
    SCRATCH/STEP/...                         what a process has read or written of them, gone with the process

Orbax could write to some buckets by itself, each kind in another way, with tries and errors of its own and renaming
where objects know none. So it never sees a bucket: a step is written to this disk and sealed there, and its objects
are then put, the seal last; a step that is read is copied first, and every byte of the copy is held against the seal.
One process writes all: what is trained is the same on all of them.
"""

import functools
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

from dnr_jax.files import AnyPath, buckets, is_remote, listed, scratch_folder
from dnr_jax.runs import manifest


class Copies:
    """Copies of folders of a bucket, each made when it is first asked for; local folders are as they are."""

    def __init__(self):
        self._stack = ExitStack()

    def __enter__(self) -> 'Copies':
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @functools.cached_property
    def root(self) -> Path:
        """Where copies lie."""
        return self._stack.enter_context(scratch_folder())

    def of(self, folder: AnyPath) -> Path:
        """The folder on this disk; without what was taken away while it was copied, and empty if it has no seal."""
        if not is_remote(folder):
            return folder
        copy = self.root / folder.name
        if not copy.exists():
            copy.mkdir()
            names = listed(folder)
            if manifest.NAME in names:
                buckets.at_once(lambda name: _download(folder / name, copy / name), names)
        return copy

    def forget(self, folder: AnyPath) -> None:
        """Takes the copy away."""
        shutil.rmtree(self.root / folder.name, ignore_errors=True)


def seals(folder: AnyPath) -> dict[str, bool]:
    """The folders in one of a bucket by their names, and whether each has its seal."""
    names = listed(folder)
    return {name.partition('/')[0]: f'{name.partition("/")[0]}/{manifest.NAME}' in names for name in names}


def push(copy: Path, folder: AnyPath) -> None:
    """Makes a folder of the bucket that of a sealed one, its seal last; Orbax names the files of every save anew."""
    buckets.replace(folder, copy, manifest.files(copy), last=manifest.NAME)


def drop(folder: AnyPath) -> None:
    """Removes a folder from the bucket, its seal first."""
    names = listed(folder)
    buckets.remove([folder / manifest.NAME])
    buckets.at_once(lambda name: buckets.remove([folder / name]), set(names) - {manifest.NAME})


def set_aside(folder: AnyPath, aside: AnyPath) -> None:
    """Moves a folder of the bucket, its seal first: from then on it does not count."""
    if manifest.NAME in (names := listed(folder)):
        buckets.copy(folder / manifest.NAME, aside / manifest.NAME)
        buckets.remove([folder / manifest.NAME])
    buckets.at_once(lambda name: buckets.copy(folder / name, aside / name), set(names) - {manifest.NAME})
    drop(folder)


def _download(path: AnyPath, file: Path) -> None:
    with suppress(FileNotFoundError):  # it is being taken away
        buckets.download(path, file)
