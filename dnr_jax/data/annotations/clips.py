"""The videos of a folder: files, and folders of frame images."""

import os
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = frozenset('.3gp .avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv'.split())
IMAGE_SUFFIXES = frozenset('.jpeg .jpg .png'.split())


def clips(folder: Path) -> Iterator[Path]:
    """All videos in a folder and below it, each level by name.

    A folder with images, without videos and without folders in it, is one video. Links are followed; hidden
    files and folders are not looked at.

    Raises:
      ValueError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"No folder of videos '{folder}'.")
    return _below(folder)


def clip_name(path: Path) -> str:
    """The name of a video without the extension of a video file."""
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name


def clip_id(path: Path, source: Path) -> str:
    """The path of a video relative to `source`, without the extension of a video file."""
    return (path.relative_to(source).parent / clip_name(path)).as_posix()


def clips_by_name(folder: Path) -> dict[str, Path]:
    """All videos in a folder and below it by `clip_name`; of several with one name the first."""
    found = {}
    for path in clips(folder):
        found.setdefault(clip_name(path), path)
    return found


def is_clip(path: Path) -> bool:
    """Whether there is a file, or a folder with images, at `path`."""
    return path.is_file() or (path.is_dir() and any(map(_is_image, path.iterdir())))


def _below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as listing:
        entries = sorted((entry for entry in listing if not entry.name.startswith('.')), key=lambda entry: entry.name)
    folders = [Path(entry.path) for entry in entries if entry.is_dir() and not _leads_back(entry, folder)]
    files = [Path(entry.path) for entry in entries if entry.is_file()]
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    if not folders and not videos and any(map(_is_image, files)):
        yield folder
    yield from videos
    for subfolder in folders:
        yield from _below(subfolder)


def _leads_back(entry: os.DirEntry, folder: Path) -> bool:
    return entry.is_symlink() and folder.resolve().is_relative_to(Path(entry.path).resolve())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
