"""20BN-Jester: 27 gestures before a webcam, as folders of JPEG frames, 12 of them a second.

    jester-v1-labels.csv                                    a class name a line
    jester-v1-train.csv, -validation.csv                    34870;Drumming Fingers
    jester-v1-test.csv                                      a number a line; its labels were never published
    20bn-jester-v1/34870/00001.jpg

Source of the formats: the package of 20BN (Materzynska et al., The Jester Dataset, ICCV workshops 2019), as read by
github.com/udacity/CVND---Gesture-Recognition and github.com/open-mmlab/mmaction2.
"""

from pathlib import Path

from dnr_jax.data.annotations.clips import clips_by_name
from dnr_jax.data.annotations.reading import find, lines, require
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, check_label_names, collect, located
from dnr_jax.data.annotations.something import Entry, csv_entries

CLASSES = 27
_SUBFOLDERS = ('annotations', 'labels')


def read(source: Path, *, annotations: Path) -> Annotated:
    """Reads training, validation and, where its file is there, test; class names stand in the order of their file.

    Args:
      source: the folder of the folders `<id>` of frame images, at any depth.
      annotations: the folder of the annotation files, or the folder above its `annotations`.

    Raises:
      ValueError: if a file is missing or unreadable, or if it does not list 27 classes.
    """
    file = _file(annotations, 'labels')
    names = lines(file)
    check_label_names(names, count=CLASSES, origin=f"'{file}'")
    files = {split: _file(annotations, split) for split in ('train', 'validation', 'test')}
    found = clips_by_name(source)
    entries = (entry for split, file in files.items() if file for entry in csv_entries(split, file))
    return collect(names, (_row(entry, found) for entry in entries))


def _file(folder: Path, part: str) -> Path | None:
    """The file of a part of the annotations; only that of the test split may be missing."""
    return (find if part == 'test' else require)(folder, [f'jester-v1-{part}.csv', f'{part}.csv'], _SUBFOLDERS)


def _row(entry: Entry | Rejected, found: dict[str, Path]) -> Row | Rejected:
    if isinstance(entry, Rejected):
        return entry
    split, id, label = entry
    return located(split, id, found.get(id), label, expected=f'{id}/')
