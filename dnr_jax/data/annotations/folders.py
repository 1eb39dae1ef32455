"""Data of one's own, as a tree of folders: `train/<class>/`, `validation/<class>/`, `test/`, or `<class>/` alone."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from unicodedata import normalize

from dnr_jax.data.annotations.clips import KINDS, Tree, clip_id, clips, survey
from dnr_jax.data.annotations.rows import (
    UNKNOWN_LABEL,
    Annotated,
    Rejected,
    Row,
    collect,
    counted,
    located,
    some,
    suffixes,
)

# The names of the folder of each split, in small letters or in capitals.
SPLITS = {'train': ('train', 'training'), 'validation': ('validation', 'valid', 'val'), 'test': ('test', 'testing')}


def read(source: Path) -> Annotated:
    """Reads every video, file or folder of frame images, of a tree.

    With folders of splits there, a video belongs to the split whose folder it is in; without them, all are training
    videos. The class is the first folder below. The class names are those of the training videos, sorted; or of all
    videos, where no split is for training. A split none of whose videos is in a class folder has no labels. Ids are
    paths without the extension, relative to `source`.

    Raises:
      ValueError: if there is no video in a class folder, if there are two folders for one split, if one is a link
        that leads nowhere, or if there are videos in other folders beside those of splits.
    """
    folders = _split_folders(source)
    trees = {split: survey(folder) for split, folder in folders.items()}
    labels = {
        split: [_label(path, folders[split]) for path in (*trees[split].clips, *trees[split].lost)] for split in folders
    }
    named = labels['train'] if 'train' in labels else itertools.chain.from_iterable(labels.values())
    names = sorted({label for label in named if label is not None})
    if not names:
        others = counted(suffixes(itertools.chain.from_iterable(tree.others for tree in trees.values())))
        raise ValueError(
            f"Expected videos in '{source}/train/<class>/' or '{source}/<class>/', there are none"
            f'{others and f", but files of other names: {others}"}. Videos are {KINDS}; --list reads files of any name.'
        )
    entries = (entry for split in folders for entry in _entries(source, split, trees[split], labels[split]))
    left_out = itertools.chain.from_iterable(tree.others for tree in trees.values())
    return collect(names, entries, left_out, _notes(source, folders, trees, labels))


def _notes(
    source: Path, folders: Mapping[str, Path], trees: Mapping[str, Tree], labels: Mapping[str, list[str | None]]
) -> Iterator[str]:
    """What lies in the folders of splits and becomes no row."""
    empty = [
        path
        for split, folder in folders.items()
        for path in sorted(folder.glob('[!.]*'))
        if path.is_dir() and any(labels[split]) and normalize('NFC', path.name) not in labels[split]
    ]
    told = {
        'folders without any video': empty,
        'folders of images beside one of RGB frames, left out': [p for tree in trees.values() for p in tree.parts],
        'images beside videos or folders, left out': [p for tree in trees.values() for p in tree.images],
    }
    for what, paths in told.items():
        if paths:
            yield f'{len(paths):,} {what}: {some([path.relative_to(source).as_posix() for path in paths])}'


def _split_folders(source: Path) -> dict[str, Path]:
    entries = sorted(source.glob('[!.]*'))
    folders = [path for path in entries if path.is_dir()]
    found = {split: [folder for folder in folders if folder.name.lower() in words] for split, words in SPLITS.items()}
    of_splits = [folder for same in found.values() for folder in same]
    lost = [path for path in entries if not path.exists()]
    for path in lost:
        if any(path.name.lower() in words for words in SPLITS.values()):
            raise ValueError(f"'{path}' is a link that leads nowhere. Mount its disk, or remove it.")
    if not of_splits:
        return {'train': source}
    twice = [str(folder) for same in found.values() for folder in same if len(same) > 1]
    if twice:
        raise ValueError(f'One folder for each split expected, got {twice}. Rename or move one of them.')
    beside = [folder.name for folder in folders if folder not in of_splits and clips(folder)]
    if beside:
        raise ValueError(
            f"'{source}' has folders of splits, {[folder.name for folder in of_splits]}, and other folders with "
            f"videos, {beside}. Rename those to 'train', 'validation' or 'test', or move them; if all of them are "
            "classes, move all into one folder 'train'."
        )
    return {split: same[0] for split, same in found.items() if same}


def _label(path: Path, folder: Path) -> str | None:
    parts = path.relative_to(folder).parts
    return normalize('NFC', parts[0]) if len(parts) > 1 else None  # accents as list files have them


def _entries(source: Path, split: str, tree: Tree, labels: list[str | None]) -> Iterator[Row | Rejected]:
    lost = set(tree.lost)
    for path, label in zip((*tree.clips, *tree.lost), labels, strict=True):
        id = clip_id(path, source)
        if path in lost:
            yield located(split, id, None, label, expected=str(path))
        elif label is None and any(labels):
            yield Rejected(split, id, str(path), UNKNOWN_LABEL, 'the video is in no class folder')
        else:
            yield Row(split, id, path, label)
