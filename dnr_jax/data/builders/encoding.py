"""From frames to the bytes of an H.264 file, for the builders that draw their videos."""

import io

import av
import numpy as np
from av.video.reformatter import VideoReformatter


def encode(frames: np.ndarray, fps: int, *, quantizer: int, keyframe_interval: int) -> bytes:
    """Encodes RGB frames as H.264 in an mp4 container; the same input gives the same bytes on one machine.

    The quantizer is constant, so with a keyframe interval of 1 a frame looks the same whatever comes before
    it: then a video run backwards and encoded is the encoded video run backwards.

    Args:
      frames: uint8 [T H W C], H and W even (the colour planes have half the resolution).
      fps: frames per second.
      quantizer: constant quantizer of x264 (`qp`), 0 to 51; 20 to 28 is usual, lower is better and larger.
      keyframe_interval: frames from one keyframe to the next; 1 codes every frame by itself.

    Returns:
      The whole file.

    Raises:
      ValueError: if `frames` is not uint8 [T H W 3] with T > 0 and even H and W.
    """
    if (
        frames.dtype != np.uint8
        or frames.ndim != 4
        or not len(frames)
        or frames.shape[3] != 3
        or (frames.shape[1] % 2 or frames.shape[2] % 2)
    ):
        raise ValueError(
            f'Frames to encode must be uint8 [T H W 3] with even H and W, got {frames.dtype} {list(frames.shape)}.'
        )
    file = io.BytesIO()
    with av.open(file, 'w', format='mp4') as container:
        options = {'preset': 'superfast', 'qp': str(quantizer)}
        stream = container.add_stream('libx264', rate=fps, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.gop_size = keyframe_interval
        stream.codec_context.thread_count = 1  # the bytes depend on the number of threads
        reformatter = VideoReformatter()
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(reformatter.reformat(frame, format='yuv420p', threads=1)))
        container.mux(stream.encode())
    return file.getvalue()
