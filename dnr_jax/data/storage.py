"""How a prepared data set holds a video: the original file, a smaller one, or JPEG frames.

A record is a dict of `video`, the bytes; `frame_ends`, where each JPEG frame in them ends, int64 [F], empty if
they are a file of video; and `num_frames`, counted in the original video by decoding all of it. What has been
stored has been decoded completely once.
"""

import errno
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dnr_jax.data.annotations.clips import IMAGE_SUFFIXES
from dnr_jax.data.video import decoding, jpegs, orientation
from dnr_jax.data.video.encoding import reencode, to_jpegs
from dnr_jax.data.video.errors import UNLIMITED, Limits, Reason, VideoError, check_indices, check_pixels
from dnr_jax.files import MachineError
from dnr_jax.registry import choose

# What may be wrong with a path; any other error of reading is one of the machine.
ERRORS_OF_PATHS = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}

FEW_GROUPS, ALL_GROUPS = 3, sys.maxsize  # of pictures, read by themselves to see that they are the same frames

Packed = tuple[bytes, np.ndarray, int]  # video, frame_ends, num_frames


class Storage(NamedTuple):
    """The form of all videos of a data set."""

    form: str  # a key of FORMS
    short_side: int  # pixels; of 'video' and 'jpeg'. 0 keeps the size; frames are never enlarged
    keyframe_interval: int  # frames from one keyframe to the next; of 'video'
    quality: (
        int  # of 'video' 0 (best) to 51; of 'jpeg', and of original frames that are no upright JPEG, 1 to 100 (best)
    )
    frame_step: int  # every how many frames one is stored; 1 for 'original'


def check(storage: Storage) -> None:
    """Raises ValueError for a storage that makes no sense."""
    choose(FORMS, storage.form, 'form of storage')
    if storage.short_side < 0 or storage.keyframe_interval < 1 or storage.frame_step < 1:
        raise ValueError(f'Expected short_side >= 0, keyframe_interval >= 1 and frame_step >= 1, got {storage}.')
    if storage.form == 'original' and storage.frame_step > 1:
        raise ValueError(
            f"Originals hold all frames, got frame_step {storage.frame_step}. Use 1, or the form 'video' or 'jpeg'."
        )
    best, worst = (0, 51) if storage.form == 'video' else (1, 100)
    if not best <= storage.quality <= worst:
        raise ValueError(f"Expected a quality of {best} to {worst} for '{storage.form}', got {storage.quality}.")


def name(storage: Storage) -> str:
    """A short name: 'original', 'video256', 'jpeg256step4'; without the side where the size is kept."""
    if storage.form == 'original':
        return storage.form
    side = storage.short_side or ''
    return f'{storage.form}{side}' + (f'step{storage.frame_step}' if storage.frame_step > 1 else '')


def store(path: pathlib.Path, storage: Storage, limits: Limits, *, groups: int = FEW_GROUPS) -> dict[str, Any]:
    """Reads a video and brings it to the form of the data set.

    Args:
      path: a file of video, or a folder of images numbered from 0 or 1: '00001.jpg', 'img_00001.jpg'. Optical flow
        beside them, 'flow_x_00001.jpg', is left out.
      storage: the form.
      limits: what the video may cost.
      groups: of pictures in what is stored, which are read by themselves too, see `decoding.inspect`.

    Returns:
      A record: `video`, `frame_ends` and `num_frames`.

    Raises:
      ValueError: for a storage that makes no sense.
      VideoError: with a reason, for everything that is wrong with the video.
      MachineError: for trouble of the machine, such as a disk that fails.
    """
    check(storage)
    try:
        video, frame_ends, num_frames = FORMS[storage.form](path, storage, limits, groups)
    except FileNotFoundError as error:
        raise VideoError(f"there is no '{path}'.", Reason.MISSING) from error
    except OSError as error:
        if error.errno not in ERRORS_OF_PATHS:
            raise MachineError(error.errno, error.strerror, str(path)) from error
        raise VideoError(f"'{path}' cannot be read: {error.strerror}.", Reason.UNREADABLE) from error
    return {'video': video, 'frame_ends': frame_ends, 'num_frames': num_frames}


def read_frames(record: Mapping[str, Any], indices: Sequence[int] | np.ndarray, frame_step: int) -> np.ndarray:
    """Decodes frames of a record.

    Args:
      record: `video`, `frame_ends` and `num_frames`.
      indices: numbers of frames in the original video, [N]; read is the stored frame at or before each.
      frame_step: of the storage.

    Returns:
      RGB frames, uint8 [N H W C].

    Raises:
      ValueError: if `indices` are not N > 0 whole numbers from 0.
      VideoError: if the record is damaged or has too few frames.
    """
    indices = check_indices(indices) // frame_step
    if len(record['frame_ends']):
        return jpegs.read_frames(record['video'], record['frame_ends'], indices)
    return decoding.read_frames(record['video'], indices, num_stored(record['num_frames'], frame_step))


def num_stored(num_frames: int, frame_step: int) -> int:
    """How many of the frames of a video are stored."""
    return -(-num_frames // frame_step)


def verify(record: Mapping[str, Any], frame_step: int) -> None:
    """Decodes all of a record; VideoError if it is damaged, or holds other frames than it says."""
    if len(record['frame_ends']):
        found = jpegs.inspect(record['video'], record['frame_ends'], UNLIMITED).num_frames
    else:
        found = decoding.inspect(record['video'], UNLIMITED, groups=ALL_GROUPS).num_frames
    expected = num_stored(record['num_frames'], frame_step)
    if found != expected:
        raise VideoError(f'{expected} frames expected, {found} found.', Reason.DAMAGED)


def _as_original(path: pathlib.Path, storage: Storage, limits: Limits, groups: int) -> Packed:
    if not path.is_dir():
        video = _read(path, limits)
        return video, _NO_FRAMES, decoding.inspect(video, limits, groups=groups).num_frames
    frames = []
    for file in _frame_files(path, limits):
        data = _read(file, limits)
        if not data.startswith(jpegs.START) or orientation.of_image(data) != orientation.AS_STORED:
            data, *_ = to_jpegs([_image(file, limits)], short_side=0, quality=storage.quality)
        frames.append(data)
    video, frame_ends = jpegs.pack(frames)
    return video, frame_ends, jpegs.inspect(video, frame_ends, limits).num_frames


def _as_video(path: pathlib.Path, storage: Storage, limits: Limits, groups: int) -> Packed:
    num_frames, frames = _open(path, storage.frame_step, limits)
    video = reencode(
        frames,
        short_side=storage.short_side,
        keyframe_interval=storage.keyframe_interval,
        quality=storage.quality,
    )
    stored = decoding.inspect(video, UNLIMITED, groups=groups).num_frames
    assert stored == num_stored(num_frames, storage.frame_step)
    return video, _NO_FRAMES, num_frames


def _as_jpeg(path: pathlib.Path, storage: Storage, limits: Limits, groups: int) -> Packed:
    num_frames, frames = _open(path, storage.frame_step, limits)
    video, frame_ends = jpegs.pack(to_jpegs(frames, short_side=storage.short_side, quality=storage.quality))
    stored = jpegs.inspect(video, frame_ends, UNLIMITED).num_frames
    assert stored == num_stored(num_frames, storage.frame_step)
    return video, frame_ends, num_frames


FORMS: dict[str, Callable[[pathlib.Path, Storage, Limits, int], Packed]] = {
    'original': _as_original,
    'video': _as_video,
    'jpeg': _as_jpeg,
}
_NO_FRAMES = np.zeros(0, np.int64)


def _open(path: pathlib.Path, step: int, limits: Limits) -> tuple[int, Iterator[np.ndarray]]:
    """The number of frames, and every `step`-th of them as RGB."""
    if path.is_dir():
        files = _frame_files(path, limits)
        return len(files), (_image(file, limits) for file in files[::step])
    video = _read(path, limits)
    num_frames = decoding.inspect(video, limits).num_frames  # all that is wrong shows before anything is encoded
    return num_frames, decoding.every_frame(video, step=step, limits=limits)


def _read(path: pathlib.Path, limits: Limits) -> bytes:
    if not path.is_file() and path.exists():  # a pipe may never end
        raise VideoError('a file was expected, it is a pipe or a device; save it to one first.', Reason.UNREADABLE)
    _check_bytes(path.stat().st_size, limits)
    return path.read_bytes()


def _frame_files(folder: pathlib.Path, limits: Limits) -> list[pathlib.Path]:
    """The frames of a folder in the order of their numbers, which must not have gaps."""
    numbered = sorted(_numbered(folder))
    if len(numbered) > limits.frames:
        raise VideoError(f'{len(numbered)} frames, {limits.frames} are allowed.', Reason.TOO_LARGE)
    _check_bytes(sum(file.stat().st_size for _, file in numbered), limits)
    for expected, (number, file) in enumerate(numbered, min(numbered[0][0], 1)):
        if number != expected:
            raise VideoError(
                f"frames must be numbered from 0 or 1 without gaps, got '{file.name}' for number {expected}.",
                Reason.MISSING_FRAMES,
            )
    return [file for _, file in numbered]


def _numbered(folder: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """The images of a folder with the numbers at the end of their names; the names must be alike before them."""
    images = {}
    for file in folder.iterdir():
        if file.suffix.lower() not in IMAGE_SUFFIXES or file.name.startswith('.'):
            continue
        name = re.fullmatch(r'(.*?)(\d+)', file.stem)
        if not name:
            raise VideoError(
                f"a frame must have a number at the end of its name, got '{file.name}'.", Reason.UNREADABLE
            )
        images.setdefault(name[1], []).append((int(name[2]), file))
    if len(images) > 1:  # alone, they are what there is to see: 'flower_00001.jpg'
        images = {name: files for name, files in images.items() if not name.startswith('flow')}
    if not images:
        raise VideoError(
            f"the folder '{folder}' holds no frame: no image {', '.join(sorted(IMAGE_SUFFIXES))}.", Reason.EMPTY
        )
    if len(images) > 1:
        raise VideoError(
            f'frames must be named alike before their numbers, got {sorted(images)}.', Reason.MISSING_FRAMES
        )
    return next(iter(images.values()))


def _image(file: pathlib.Path, limits: Limits) -> np.ndarray:
    """One frame, RGB uint8 [H W C]."""
    try:
        data = _read(file, limits)
        if not data.startswith(jpegs.START):
            return decoding.image(data, limits)
        height, width = jpegs.size(data)
        check_pixels(height, width, limits.pixels)
        image = np.empty((height, width, 3), np.uint8)
        jpegs.decode(data, into=image)
        return orientation.upright(image, orientation.of_image(data))
    except VideoError as error:
        raise VideoError(f"'{file.name}': {error}", error.reason) from error


def _check_bytes(size: int, limits: Limits) -> None:
    if size > limits.bytes:
        raise VideoError(f'{size} bytes, {limits.bytes} are allowed.', Reason.TOO_LARGE)
