"""Tables of comma-separated values, in UTF-8 whatever the locale; names of files that are none keep their bytes."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table, the first row of which says what is in the others."""
    with path.open('w', newline='', encoding='utf-8', errors='surrogateescape') as file:
        csv.writer(file).writerows(rows)
