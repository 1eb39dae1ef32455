from collections.abc import Mapping
from pathlib import Path

import pytest

from dnr_jax.data.annotations.rows import Annotated


@pytest.fixture
def put(tmp_path):
    """Writes files, a mapping from relative path to content, below one folder, and returns it."""

    def put(files: Mapping[str, str]) -> Path:
        for name, content in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode())
        return tmp_path

    return put


@pytest.fixture
def brief():
    """Rows as (split, id, path relative to the source, label), and rejections as (split, id, reason)."""

    def brief(annotated: Annotated, source: Path) -> tuple[list[tuple], list[tuple]]:
        rows = [(row.split, row.id, row.path.relative_to(source).as_posix(), row.label) for row in annotated.rows]
        return rows, [(rejected.split, rejected.id, rejected.reason) for rejected in annotated.rejected]

    return brief


@pytest.fixture
def numbered():
    """Makes class names: 'class 000', 'class 001', ..., in sorted order."""
    return lambda count: [f'class {number:03d}' for number in range(count)]
