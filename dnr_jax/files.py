"""Files and folders that are there whole or not at all; and whether they can be, asked before the work."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a path to write to, beside `path`; it takes the place of `path` once the block has ended well."""
    unfinished = path.with_name(f'.unfinished-{path.name}')
    unfinished.unlink(missing_ok=True)  # a link there would be followed
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`; it takes the place of all that is there once the block has ended well."""
    folder = folder.resolve()
    unfinished, replaced = (folder.with_name(f'.{word}-{folder.name}') for word in ('unfinished', 'replaced'))
    for link in (unfinished, replaced):
        if link.is_symlink():
            link.unlink()
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        unfinished.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def expect_writable(folder: Path) -> None:
    """Raises ValueError unless files can be written to the folder, which need not be there yet; leaves no trace."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(f'Expected a folder that can be written to, got {folder}: {error}.') from error
