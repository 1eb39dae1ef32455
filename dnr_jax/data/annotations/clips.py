"""The videos of a folder: files, and folders of frame images."""

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    '.3g2 .3gp .asf .avi .divx .f4v .flv .m2ts .m2v .m4v .mkv .mov .mp4 .mpe .mpeg .mpg .mts .mxf .ogv .ts .vob .webm '
    '.wmv'.split()
)
IMAGE_SUFFIXES = frozenset('.bmp .jpeg .jpg .png .webp'.split())  # of the frames in a folder


def clips(folder: Path) -> Iterator[Path]:
    """All videos in a folder and below it, each level by name.

    A folder with images, without videos and without folders in it, is one video. Links are followed, but not back
    into a folder on the way; hidden files and folders are not looked at.

    Raises:
      ValueError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"No folder of videos '{folder}'.")
    return _clips(folder)


def others(folder: Path) -> list[Path]:
    """The visible files in a folder and below it that are neither videos nor images."""
    files = itertools.chain.from_iterable(files for _, _, files in _walk(folder, frozenset()))
    return [file for file in files if not _is_video(file) and not _is_image(file)]


def clip_name(path: Path) -> str:
    """The name of a video without the extension of a video file."""
    return path.stem if _is_video(path) else path.name


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
    try:
        return path.is_file() or (path.is_dir() and any(map(_is_image, path.iterdir())))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _clips(top: Path) -> Iterator[Path]:
    for folder, folders, files in _walk(top, frozenset()):
        videos = list(filter(_is_video, files))
        if not folders and not videos and any(map(_is_image, files)):
            yield folder
        yield from videos


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """A folder reached through the folders `above`, real paths, with the folders and files in it; then those below."""
    above |= {folder.resolve()}
    with os.scandir(folder) as listing:
        visible = [entry for entry in listing if not entry.name.startswith('.') and not _leads_back(entry, above)]
    entries = sorted(visible, key=lambda entry: entry.name)
    folders = [Path(entry.path) for entry in entries if entry.is_dir()]
    yield folder, folders, [Path(entry.path) for entry in entries if entry.is_file()]
    for subfolder in folders:
        yield from _walk(subfolder, above)


def _leads_back(entry: os.DirEntry, above: frozenset[Path]) -> bool:
    """Whether an entry is a link to one of the folders `above`, to a folder that holds one, or to nothing."""
    if not entry.is_symlink():
        return False
    path = Path(entry.path)
    return not path.exists() or any(folder.is_relative_to(path.resolve()) for folder in above)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
