"""Diving48: 48 dives, told apart by take-off, somersaults, twists and position, and by nothing around the diver.

    Diving48_V2_train.json, Diving48_V2_test.json    [{"vid_name": "-mmq0PT-u8k_00155", "label": 0, ...}, ...]
    Diving48_vocab.json                              [["Back", "15som", "05Twis", "FREE"], ...], by label

V2 are the labels that its authors corrected in October 2020 (Li, Li and Vasconcelos, RESOUND, ECCV 2018). Videos come
cut into dives: `start_frame` and `end_frame` of a row are the ends of its file, and are not read here nor elsewhere.

Source of the formats: svcl.ucsd.edu/projects/resound/dataset.html; github.com/open-mmlab/mmaction2, tools of Diving48.
"""

from collections.abc import Iterator
from pathlib import Path

from dnr_jax.data.annotations.clips import clips_by_name
from dnr_jax.data.annotations.reading import load, require
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, check_label_names, collect, located, malformed

CLASSES = 48
_SUBFOLDERS = ('annotations', 'labels')


def read(source: Path, *, annotations: Path) -> Annotated:
    """Reads the splits 'train' and 'test', by the labels of V2; class names are the words of the vocabulary, joined.

    Args:
      source: the folder of the videos `<vid_name>.mp4`, or of folders of their frames, at any depth.
      annotations: the folder of the annotation files, or the folder above its `annotations`.

    Raises:
      ValueError: if a file is missing or unreadable, or if the vocabulary does not list 48 dives.
    """
    names = _label_names(require(annotations, ['Diving48_vocab.json'], _SUBFOLDERS))
    files = {split: require(annotations, [f'Diving48_V2_{split}.json'], _SUBFOLDERS) for split in ('train', 'test')}
    found = clips_by_name(source)
    return collect(names, (row for split, file in files.items() for row in _rows(split, file, names, found)))


def _label_names(file: Path) -> list[str]:
    vocabulary = load(file, list)
    if not all(isinstance(words, list) and all(isinstance(word, str) for word in words) for words in vocabulary):
        raise ValueError(f'\'{file}\' must list the words of every dive, as in ["Back", "15som", "05Twis", "FREE"].')
    names = [' '.join(words) for words in vocabulary]
    check_label_names(names, count=CLASSES, origin=f"'{file}'")
    return names


def _rows(split: str, file: Path, names: list[str], found: dict[str, Path]) -> Iterator[Row | Rejected]:
    for item in load(file, list):
        match item:
            case {'vid_name': str(id), 'label': int(label)}:
                name = names[label] if 0 <= label < len(names) else str(label)
                yield located(split, id, found.get(id), name, expected=f'{id}.mp4')
            case _:
                yield malformed(split, str(item), 'expected: vid_name and label')
