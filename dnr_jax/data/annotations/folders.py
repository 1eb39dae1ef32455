"""Data of one's own, as a tree of folders: `train/<class>/`, `validation/<class>/`, `test/`, or `<class>/` alone."""

from collections.abc import Iterator
from pathlib import Path

from dnr_jax.data.annotations.clips import clip_id, clips, others
from dnr_jax.data.annotations.rows import UNKNOWN_LABEL, Annotated, Rejected, Row, collect

# The names of the folder of each split, in small letters or in capitals.
SPLITS = {'train': ('train', 'training'), 'validation': ('validation', 'valid', 'val'), 'test': ('test', 'testing')}


def read(source: Path) -> Annotated:
    """Reads every video, file or folder of frame images, of a tree.

    With a folder `train` there, a video belongs to the split whose folder it is in; without it, all of them are
    training videos. The class is the first folder below. The class names are those of the training videos, sorted.
    A split none of whose videos is in a class folder has no labels. Ids are paths without the extension, relative
    to `source`.

    Raises:
      ValueError: if there is no training video in a class folder, if there are two folders for one split, or if
        there are videos in other folders beside those of splits.
    """
    videos, labels, left_out = {}, {}, []
    for split, folder in _split_folders(source).items():
        videos[split] = list(clips(folder))
        labels[split] = [_label(path, folder) for path in videos[split]]
        left_out += others(folder)
    names = sorted({label for label in labels['train'] if label is not None})
    if not names:
        raise ValueError(f"Expected videos in '{source}/train/<class>/' or '{source}/<class>/', there are none.")
    entries = (entry for split in videos for entry in _entries(source, split, videos[split], labels[split]))
    return collect(names, entries, left_out)


def _split_folders(source: Path) -> dict[str, Path]:
    folders = sorted(path for path in source.glob('[!.]*') if path.is_dir())
    found = {split: [folder for folder in folders if folder.name.lower() in words] for split, words in SPLITS.items()}
    of_splits = [folder for same in found.values() for folder in same]
    if not of_splits:
        return {'train': source}
    twice = [str(folder) for same in found.values() for folder in same if len(same) > 1]
    if twice:
        raise ValueError(f'One folder for each split expected, got {twice}. Rename or move one of them.')
    if not found['train']:
        raise ValueError(f"'{source}' has folders of other splits, but no folder 'train'.")
    beside = [folder.name for folder in folders if folder not in of_splits and any(clips(folder))]
    if beside:
        raise ValueError(
            f"'{source}' has folders of splits, {[folder.name for folder in of_splits]}, and other folders with "
            f"videos, {beside}. Rename those to 'train', 'validation' or 'test', or move them; if all of them are "
            "classes, move all into one folder 'train'."
        )
    return {split: same[0] for split, same in found.items() if same}


def _label(path: Path, folder: Path) -> str | None:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else None


def _entries(source: Path, split: str, paths: list[Path], labels: list[str | None]) -> Iterator[Row | Rejected]:
    for path, label in zip(paths, labels, strict=True):
        id = clip_id(path, source)
        if label is None and any(labels):
            yield Rejected(split, id, str(path), UNKNOWN_LABEL, 'the video is in no class folder')
        else:
            yield Row(split, id, path, label)
