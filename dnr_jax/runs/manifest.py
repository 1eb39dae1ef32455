"""A seal on a folder: the length and the sha256 of every file in it, written last.

A folder without its seal was never finished; one whose files differ from it was damaged since.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from dnr_jax.files import written_whole

NAME = 'manifest.json'


def seal(folder: Path) -> None:
    """Writes the manifest of all files in `folder`, whole or not at all."""
    entries = {name: fingerprint(folder / name) for name in files(folder)}
    with written_whole(folder / NAME) as path:
        path.write_text(json.dumps({'files': entries, 'of_files': fingerprint_of(entries)}, indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in words; None if every byte is as it was sealed."""
    try:
        entries, of_files = read(folder)
    except FileNotFoundError:
        return f'{NAME} is missing: it was never finished'
    except (ValueError, OSError) as error:
        return f'{NAME} cannot be read ({error})'
    if of_files != fingerprint_of(entries):
        return f'{NAME} has changed'
    try:
        there = files(folder)
    except OSError as error:  # it is being taken away
        return f'its files cannot be listed ({error})'
    for name in sorted({*entries, *there}):
        if name not in entries:
            return f'{name} was added'
        if name not in there:
            return f'{name} is missing'
        try:
            changed = fingerprint(folder / name) != entries[name]
        except OSError as error:
            return f'{name} cannot be read ({error})'
        if changed:
            return f'{name} has changed'
    return None


def read(folder: Path) -> tuple[dict[str, Any], str]:
    """What a manifest says of every file, and of itself; ValueError if it is none, OSError if it cannot be read."""
    try:
        manifest = json.loads((folder / NAME).read_text())
    except RecursionError as error:
        raise ValueError('it is nested without end') from error
    if not isinstance(manifest, dict):
        manifest = {}
    entries, of_files = manifest.get('files'), manifest.get('of_files')
    if not isinstance(entries, dict) or not isinstance(of_files, str):
        raise ValueError('it does not say what was sealed')
    return entries, of_files


def still_there(folder: Path, entries: dict[str, Any]) -> bool:
    """Whether a folder has the same manifest and all its files still."""
    try:
        return read(folder)[0] == entries and all((folder / name).is_file() for name in entries)
    except (ValueError, OSError):
        return False


def files(folder: Path) -> list[str]:
    """All files of a folder but the manifest, by their paths within it."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())
    return sorted(name for name in found if name != NAME)


def fingerprint(path: Path) -> list:
    """[bytes, sha256] of a file."""
    with path.open('rb') as file:
        return [path.stat().st_size, hashlib.file_digest(file, 'sha256').hexdigest()]


def fingerprint_of(entries: dict) -> str:
    """sha256 of the manifest's own entries."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
