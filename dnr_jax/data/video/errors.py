"""What a video has to be, whatever decodes it, and why one is no good."""

import enum
import sys
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np


class Reason(enum.StrEnum):
    """Why a video is no good, for counting; the message of the error tells the details."""

    MISSING = 'missing'  # no such file
    EMPTY = 'empty'  # no bytes, or no frame
    UNREADABLE = 'unreadable'  # not a file of video or image
    NO_VIDEO_STREAM = 'no video stream'
    DAMAGED = 'damaged'
    TOO_SHORT = 'too short'
    TOO_LARGE = 'too large'
    SIZES_DIFFER = 'sizes differ'  # from frame to frame
    MISSING_FRAMES = 'missing frames'  # gaps in a folder of frames


class VideoError(ValueError):
    """A video that cannot be decoded, or that is not what it has to be.

    Attributes:
      reason: a Reason.
    """

    def __init__(self, message: str, reason: Reason):
        super().__init__(message, reason)  # both, so that the error can travel between processes
        self.reason = reason

    def __str__(self) -> str:
        return self.args[0]


class Limits(NamedTuple):
    """What a video may cost. A few bytes can claim to be millions of pixels."""

    pixels: int  # of one frame
    frames: int
    bytes: int  # of the file, or of all frame images


UNLIMITED = Limits(pixels=2**31 - 1, frames=sys.maxsize, bytes=sys.maxsize)  # the decoder's own limit of pixels
FILMED = UNLIMITED._replace(pixels=8192 * 4320, bytes=2**32)  # what is filmed; larger ones are made to fill memories


class Inspected(NamedTuple):
    """What decoding a whole video has shown; height and width are those of upright frames."""

    num_frames: int
    height: int
    width: int


def check_indices(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns frame indices as an array [N]; raises ValueError if they are not N > 0 whole numbers from 0."""
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in 'iu' or indices.min() < 0:
        raise ValueError(f'Frame indices must be a non-empty list of whole numbers from 0, got {indices!r}.')
    return indices


def check_sizes(sizes: Collection[tuple[int, int]]) -> None:
    """Raises VideoError if a set of (height, width) holds more than one."""
    if len(sizes) > 1:
        raise VideoError(f'all frames must have one size, got {sorted(sizes)}.', Reason.SIZES_DIFFER)


def check_pixels(height: int, width: int, pixels: int) -> None:
    """Raises VideoError if a frame has more than `pixels` pixels."""
    if height * width > pixels:
        raise VideoError(f'a frame of {height} x {width} has more than {pixels} pixels.', Reason.TOO_LARGE)
