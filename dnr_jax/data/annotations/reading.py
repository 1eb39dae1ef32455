"""Annotation files: where they lie, and what is written in them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SUFFIXES = frozenset({'.csv', '.json', '.txt'})  # of annotation files; of a bucket no others are copied


def find(folder: Path, names: Sequence[str], subfolders: Sequence[str]) -> Path | None:
    """The first file of one of these names in a folder or, failing that, in one of its `subfolders`."""
    assert {Path(name).suffix for name in names} <= SUFFIXES, names
    places = (folder, *(folder / subfolder for subfolder in subfolders))
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def require(folder: Path, names: Sequence[str], subfolders: Sequence[str]) -> Path:
    """As `find`, but raises ValueError where there is no such file."""
    file = find(folder, names, subfolders)
    if file is None:
        expected = ' or '.join(f"'{name}'" for name in names)
        raise ValueError(
            f"Expected the annotation file {expected} in '{folder}' or in its folders {', '.join(subfolders)}. "
            'Name the folder that holds the official annotation files.'
        )
    return file


def lines(file: Path) -> list[str]:
    """The lines of a text file that hold anything, stripped.

    Raises:
      ValueError: if the file is not UTF-8, with or without a byte order mark.
    """
    try:
        with open(file, encoding='utf-8-sig') as text:
            return [line.strip() for line in text if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"'{file}' is not UTF-8 at byte {error.start}. Save it as UTF-8.") from error


def fields(line: str, delimiter: str) -> list[str]:
    """The fields of one line of a csv file, stripped; none where its quotes do not close."""
    try:
        [values] = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    except csv.Error:
        return []
    return [value.strip() for value in values]


def load(file: Path, kind: type) -> Any:
    """What a JSON file holds. Raises ValueError if that is not of this `kind`, list or dict."""
    try:
        content = json.loads(file.read_text(encoding='utf-8-sig'))
    except ValueError as error:
        raise ValueError(f"'{file}' is not JSON: {error}. Copy it again from its origin.") from error
    if not isinstance(content, kind):
        raise ValueError(f"'{file}' must hold a JSON {kind.__name__}, got {type(content).__name__}.")
    return content
