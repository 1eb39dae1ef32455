"""A video as JPEG frames, one after the other: any frame is read by itself, for some ten times the bytes.

JPEG data carry no checksum. A decoder that takes every warning for an error, as this one, finds all frames that
were cut short, but only a sixth to a third of single flipped bits: what stores the bytes has to vouch for them.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import simplejpeg

from dnr_jax.data.video.errors import Inspected, Limits, Reason, VideoError, check_indices, check_pixels, check_sizes

START = b'\xff\xd8'  # of every JPEG image


def pack(frames: Iterable[bytes]) -> tuple[bytes, np.ndarray]:
    """Joins encoded frames: their bytes, and where each one ends, int64 [F]."""
    frames = list(frames)
    return b''.join(frames), np.cumsum([len(frame) for frame in frames], dtype=np.int64)


def read_frames(video: bytes, frame_ends: np.ndarray, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Decodes the frames at `indices` (0-based, in any order, repeats allowed), each once.

    Args:
      video: the frames, one after the other.
      frame_ends: where each one ends, [F].
      indices: [N].

    Returns:
      RGB frames, uint8 [N H W C].

    Raises:
      ValueError: if `indices` are not N > 0 whole numbers from 0.
      VideoError: if a frame is damaged, frames differ in size, or there are too few.
    """
    indices = check_indices(indices).tolist()
    if max(indices) >= len(frame_ends):
        raise VideoError(f'frame {max(indices)} asked for, the video has {len(frame_ends)}.', Reason.TOO_SHORT)
    places = {}
    for place, index in enumerate(indices):
        if index in places:
            frames[place] = frames[places[index]]
            continue
        frame = _cut(video, frame_ends, index)
        if not places:
            frames = np.empty((len(indices), *size(frame), 3), np.uint8)
        decode(frame, into=frames[place])
        places[index] = place
    return frames


def inspect(video: bytes, frame_ends: np.ndarray, limits: Limits) -> Inspected:
    """Decodes every frame once.

    Raises:
      VideoError: if there is no frame, a frame is damaged, frames differ in size, or are beyond the limits.
    """
    if len(frame_ends) == 0:
        raise VideoError('the video holds no frame.', Reason.EMPTY)
    if len(video) > limits.bytes or len(frame_ends) > limits.frames:
        raise VideoError(f'{len(frame_ends)} frames of {len(video)} bytes are beyond {limits}.', Reason.TOO_LARGE)
    height, width = size(_cut(video, frame_ends, 0))
    check_pixels(height, width, limits.pixels)
    image = np.empty((height, width, 3), np.uint8)
    for index in range(len(frame_ends)):
        decode(_cut(video, frame_ends, index), into=image)
    return Inspected(len(frame_ends), height, width)


def size(frame: bytes | memoryview) -> tuple[int, int]:
    """Height and width of an encoded frame. Raises VideoError if it is no JPEG."""
    try:
        return simplejpeg.decode_jpeg_header(frame)[:2]
    except ValueError as error:
        raise VideoError(f'the {len(frame)} bytes of a frame are no JPEG: {error}.', Reason.DAMAGED) from error


def decode(frame: bytes | memoryview, *, into: np.ndarray) -> None:
    """Decodes one frame, of any colours, to RGB in `into`, uint8 [H W C].

    Raises:
      VideoError: if the frame is damaged or of another size.
    """
    check_sizes({size(frame), into.shape[:2]})
    try:
        simplejpeg.decode_jpeg(frame, colorspace='RGB', buffer=into, strict=True)
    except ValueError as error:
        raise VideoError(f'a JPEG frame is damaged: {error}.', Reason.DAMAGED) from error


def _cut(video: bytes, frame_ends: np.ndarray, index: int) -> memoryview:
    return memoryview(video)[frame_ends[index - 1] if index else 0 : frame_ends[index]]
