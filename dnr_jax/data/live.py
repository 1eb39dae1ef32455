"""Frames of a source that need not end: a file, a pipe, a camera, an address. One by one, and none is kept.

They are the frames that `decoding.every_frame` hands out, which takes all bytes of a video before the first of them.
"""

from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from dnr_jax.data.decoding import Reason, VideoError, decoded, to_rgb

Frame = UInt8[np.ndarray, 'H W C']

STANDARD_INPUT = '-'


def frames(source: str, *, format: str) -> Iterator[Frame]:
    """Decodes a source frame by frame, as they come: RGB, uint8 [H W C].

    Args:
      source: a file, '-' for standard input, or what else FFmpeg opens: 'rtsp://...', or of its devices '/dev/video0'.
      format: FFmpeg's name of the container or device, where the source does not tell: 'v4l2'. Empty: it does.
    Raises VideoError, with its reason, where the source cannot be opened, or be read any further.
    """
    count, reformatter = 0, VideoReformatter()
    try:
        with av.open('pipe:0' if source == STANDARD_INPUT else source, format=format or None) as container:
            if not container.streams.video:
                raise VideoError('a video was expected, there is no video stream.', Reason.NO_VIDEO_STREAM)
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # threads hold frames back
            for frame in decoded(stream, container.demux(stream)):
                count += 1
                yield to_rgb(frame, reformatter)
    except av.error.FFmpegError as error:
        reason = Reason.MISSING if isinstance(error, FileNotFoundError) else Reason.UNREADABLE
        after = f' after {count} frames' if count else ''
        remedy = (
            '; a pipe takes what can be read forwards, such as -f nut or matroska' if source == STANDARD_INPUT else ''
        )
        raise VideoError(f'the source cannot be read{after}: {error.strerror}{remedy}.', reason) from error
    if count == 0:
        raise VideoError('the source holds no frame.', Reason.EMPTY)
