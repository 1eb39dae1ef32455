"""A seal on a folder: the length and the sha256 of every file in it, written last.

A folder without its seal was never finished; one whose files differ from it was damaged since.
"""

import hashlib
import json
from pathlib import Path

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
        manifest = json.loads((folder / NAME).read_text())
        entries, of_files = manifest['files'], manifest['of_files']
    except FileNotFoundError:
        return f'{NAME} is missing: it was never finished'
    except (ValueError, KeyError, TypeError, OSError) as error:
        return f'{NAME} cannot be read ({error})'
    if of_files != fingerprint_of(entries):
        return f'{NAME} has changed'
    for name in sorted(entries.keys() | set(files(folder))):
        if name not in entries:
            return f'{name} was added'
        if not (folder / name).is_file():
            return f'{name} is missing'
        try:
            changed = fingerprint(folder / name) != entries[name]
        except OSError as error:
            return f'{name} cannot be read ({error})'
        if changed:
            return f'{name} has changed'
    return None


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
