"""The videos of a folder: files, and folders of frame images; and what else lies there."""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

VIDEO_SUFFIXES = frozenset(
    '.264 .265 .3g2 .3gp .3gpp .asf .avi .divx .f4v .flv .h264 .h265 .hevc .m1v .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mkv '
    '.mov .mp4 .mpe .mpeg .mpg .mts .mxf .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m'.split()
)
IMAGE_SUFFIXES = frozenset('.bmp .jpeg .jpg .png .webp'.split())  # of the frames in a folder
KINDS = f'files {" ".join(sorted(VIDEO_SUFFIXES))} and folders of images {" ".join(sorted(IMAGE_SUFFIXES))}'
_FRAMES = frozenset('rgb img imgs image images frame frames color colour'.split())  # names of folders of them
_NOWHERE = errno.ENOENT, errno.ENOTDIR, errno.ELOOP  # there is nothing; other errors are those of the machine
_SUFFIX = re.compile(r'\.[a-z]\w{0,4}', re.IGNORECASE)  # of a file; a folder may be 'v1.2'


class Tree(NamedTuple):
    """What lies in a folder and below it, each level by name."""

    clips: list[Path]  # files, and folders of images
    lost: list[Path]  # links that lead nowhere, where a video or a folder may have been
    parts: list[Path]  # folders of images beside one of RGB frames: optical flow, depth
    images: list[Path]  # beside videos or folders, and therefore no frames
    others: list[Path]  # files that are neither videos nor images


def survey(folder: Path) -> Tree:
    """Looks at a folder and all below it.

    A folder with images, without videos and without folders in it, is one video. Links are followed, but not back
    into a folder on the way; hidden files and folders are not looked at.

    Raises:
      ValueError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"No folder of videos '{folder}'.")
    tree = Tree([], [], [], [], [])
    for top, folders, files, nowhere in _walk(folder, frozenset()):
        videos, images = list(filter(_is_video, files)), list(filter(_is_image, files))
        if images and not folders and not videos:
            tree.clips.append(top)
        else:
            tree.images.extend(images)
        tree.clips.extend(videos)
        tree.others.extend(file for file in files if not _is_video(file) and not _is_image(file))
        tree.lost.extend(nowhere)
    tree.parts.extend(_parts(tree.clips))
    left_out = set(tree.parts)
    return tree._replace(clips=[clip for clip in tree.clips if clip not in left_out])


def clips(folder: Path) -> list[Path]:
    """All videos in a folder and below it, then the links that lead nowhere, see `survey`."""
    tree = survey(folder)
    return tree.clips + tree.lost


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
    """Whether there is a file, or a folder with images, at `path`; OSError where the machine does not tell."""
    try:
        mode = os.stat(path).st_mode
        return not stat.S_ISDIR(mode) or any(map(_is_image, path.iterdir()))
    except ValueError:  # a zero within
        return False
    except OSError as error:
        if error.errno in (*_NOWHERE, errno.ENAMETOOLONG):
            return False
        raise


def _parts(clips: Sequence[Path]) -> Iterator[Path]:
    """The folders that show in another way what the RGB frames beside them show."""
    of_frames = {clip.parent for clip in clips if clip.name.lower() in _FRAMES and not _is_video(clip)}
    return (c for c in clips if c.parent in of_frames and c.name.lower() not in _FRAMES and not _is_video(c))


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[tuple[Path, list[Path], list[Path], list[Path]]]:
    """A folder reached through the folders `above`, real paths, with the folders, the files and the links that lead
    nowhere in it; then those below."""
    above |= {folder.resolve()}
    with os.scandir(folder) as listing:
        entries = sorted((entry for entry in listing if not entry.name.startswith('.')), key=lambda entry: entry.name)
    found = {'folder': [], 'file': [], 'nowhere': [], 'back': []}
    for entry in entries:
        found[_kind(entry, above)].append(Path(entry.path))
    yield folder, found['folder'], found['file'], found['nowhere']
    for subfolder in found['folder']:
        yield from _walk(subfolder, above)


def _kind(entry: os.DirEntry, above: frozenset[Path]) -> str:
    """'folder', 'file', a link 'back' to one of the folders `above` or to a folder that holds one, or to 'nowhere'.

    A link to nowhere is a file where its name is that of an image, or of a file that is no video.
    """
    path = Path(entry.path)
    if not entry.is_symlink():
        return 'folder' if entry.is_dir() else 'file'
    try:
        os.stat(path)
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        if _is_video(path):
            return 'nowhere'
        if error.errno == errno.ELOOP:
            return 'back'
        return 'file' if _SUFFIX.fullmatch(path.suffix) else 'nowhere'
    if any(folder.is_relative_to(path.resolve()) for folder in above):
        return 'back'
    return 'folder' if entry.is_dir() else 'file'


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
