"""What a model says of every video of a split, and the files it is kept in; nothing here needs a device.

    predictions.npz   ids [N], labels [N], logits [N K] averaged over views, label_names [K], protocol
    views.npz         ids [N], views [N V K]: the logits of every view, where there is more than one
    missing.csv       id, reason: videos of the split that have no score, where there are any

The logits of predictions.npz are the mean over views, or the logarithm of the mean probability (see `multi_view`). Both
rank the classes as their average does, and a softmax turns both into probabilities.

Axes: N videos, V views, K classes.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnr_jax.files import AnyPath, as_path, write_rows

FILES = FILE, VIEWS, MISSING = 'predictions.npz', 'views.npz', 'missing.csv'


class Missing(NamedTuple):
    """A video that has no score."""

    id: str
    reason: str


class Predictions(NamedTuple):
    """All scores of a split, and what it should hold."""

    ids: np.ndarray  # [N] of str
    labels: np.ndarray  # [N], -1 where it is not known
    logits: np.ndarray  # [N K], averaged over views
    views: np.ndarray | None  # [N V K], view v is crop v % crops of clip v // crops; with the leader alone
    missing: tuple[Missing, ...]
    expected: int | None  # videos the annotations list; None for a part of a split, where it is not known

    @property
    def labelled(self) -> np.ndarray:
        """[N], whether the label is known."""
        return self.labels >= 0


class Stored(NamedTuple):
    """What predictions.npz holds."""

    ids: np.ndarray  # [N] of str
    labels: np.ndarray  # [N], -1 where it is not known
    logits: np.ndarray  # [N K], averaged over views
    label_names: np.ndarray  # [K] of str
    protocol: str  # '' where it is not known


KINDS = ('U', 'iu', 'f', 'U')  # of numbers, and of text


def save(folder: Path, predictions: Predictions, label_names: Sequence[str], protocol: str) -> None:
    """Writes the files above to `folder`, which is new."""
    stored = Stored(predictions.ids, predictions.labels, predictions.logits, np.array(label_names), protocol)
    np.savez_compressed(folder / FILE, **stored._asdict())
    if predictions.views.shape[1] > 1:
        np.savez(folder / VIEWS, ids=predictions.ids, views=predictions.views)  # which hardly compress
    if predictions.missing:
        write_rows(folder / MISSING, [Missing._fields, *predictions.missing])


def read(path: str | AnyPath) -> Stored:
    """Reads predictions.npz, or that of a folder; ValueError if there is none, or if it names a video twice."""
    path = as_path(path)
    path = path / FILE if path.is_dir() else path
    try:
        with path.open('rb') as file, zipped(np.load(file, allow_pickle=False)) as arrays:
            protocol = str(arrays['protocol']) if 'protocol' in arrays else ''
            stored = Stored(**{name: arrays[name] for name in Stored._fields if name != 'protocol'}, protocol=protocol)
        expect_scores(stored)
    except (OSError, MemoryError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'Expected a file {FILE} written by eval.py or train.py, or its folder, at {path}: '
            f'{" ".join(str(error).split())}.'
        ) from error
    ids, counts = np.unique(stored.ids, return_counts=True)
    if len(ids) < len(stored.ids):
        raise ValueError(f"{path} holds video '{ids[counts.argmax()]}' {counts.max()} times; ids must tell them apart.")
    return stored


def zipped(loaded: object) -> np.lib.npyio.NpzFile:
    """Several arrays in a file; ValueError if it is one."""
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError('it holds one array and no names')
    return loaded


def expect_scores(stored: Stored) -> None:
    """Raises ValueError unless there are N names, labels and rows of K scores, and K classes."""
    arrays = {name: array for name, array in stored._asdict().items() if name != 'protocol'}
    for (name, array), kind in zip(arrays.items(), KINDS, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kind:
            raise ValueError(f'{name} are {getattr(array, "dtype", type(array).__name__)}')
    shapes, N, K = [array.shape for array in arrays.values()], stored.ids.size, stored.label_names.size
    if shapes != [(N,), (N,), (N, K), (K,)] or not np.isin(stored.labels, np.arange(-1, K)).all():
        raise ValueError(f'{", ".join(arrays)} are {", ".join(map(str, shapes))}, labels to {stored.labels.max()}')
