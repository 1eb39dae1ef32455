"""Files and folders that are there whole or not at all; and whether they can be, asked before the work.

On a disk a file takes its name once it is complete. A bucket has no such renaming, but an object is there whole or not
at all: what goes there is written to a scratch folder of this disk first. Of several objects the last one tells that
all are there.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dnr_jax.files import buckets
from dnr_jax.files.paths import AnyPath, is_remote, listed
from dnr_jax.files.scratch import scratch_folder


@contextmanager
def written_whole(path: AnyPath) -> Iterator[Path]:
    """Yields a local path to write to; it takes the place of `path` once the block has ended well."""
    if is_remote(path):
        with scratch_folder() as folder:
            yield folder / path.name
            buckets.upload(folder / path.name, path)
        return
    unfinished = path.with_name(f'.unfinished-{path.name}')
    unfinished.unlink(missing_ok=True)  # a link there would be followed
    try:
        with _named(path):
            yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def written_together(*paths: AnyPath) -> Iterator[tuple[Path, ...]]:
    """`written_whole` of files of one folder, side by side in the meantime too; the first one takes its place last."""
    with ExitStack() as stack:
        if not is_remote(paths[0]):
            yield tuple(stack.enter_context(written_whole(path)) for path in paths)
            return
        folder = stack.enter_context(scratch_folder())
        yield tuple(folder / path.name for path in paths)
        for path in reversed(paths):
            buckets.upload(folder / path.name, path)


@contextmanager
def folder_written_whole(folder: AnyPath, last: str) -> Iterator[Path]:
    """Yields an empty local folder; it takes the place of all that is in `folder` once the block has ended well.

    In a bucket the file `last` goes first, and comes last: without it the folder is not whole. NotADirectoryError,
    before anything is written, where a file has its name.
    """
    if is_remote(folder):
        with scratch_folder() as unfinished:
            yield unfinished
            buckets.replace(folder, unfinished, listed(unfinished), last)
        return
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f'{folder} is a file, which a folder would take the place of.')
    unfinished, replaced = (folder.with_name(f'.{word}-{folder.name}') for word in ('unfinished', 'replaced'))
    for link in (unfinished, replaced):
        if link.is_symlink():
            link.unlink()
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with _named(folder):
            yield unfinished
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        unfinished.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def expect_writable(folder: AnyPath) -> None:
    """Raises ValueError unless files can be written to the folder, which need not be there yet; leaves no trace."""
    try:
        if is_remote(folder):
            trial = folder / f'.trial-{uuid.uuid4().hex}'
            buckets.put(trial, b'trial')
            buckets.remove([trial])
            return
        folder = folder.absolute()
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(f'Expected a folder that can be written to, got {folder}: {error}.') from error


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the system that names no file, as that of a full disk, is told with this one."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise
