"""From frames to encoded bytes: H.264 files and JPEG images, the same bytes for the same frames on one machine."""

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import av
import cv2
import numpy as np
import simplejpeg
from av.video.reformatter import VideoReformatter

from dnr_jax.data.video.errors import Reason, VideoError, check_sizes

FPS = 30  # of re-encoded videos, whose timestamps are frame numbers


def encode(frames: np.ndarray, fps: int, *, quantizer: int, keyframe_interval: int) -> bytes:
    """Encodes RGB frames as H.264 in an mp4 container.

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
    options = {'preset': 'superfast', 'qp': str(quantizer)}
    return _h264(frames, fps, keyframe_interval=keyframe_interval, options=options)


def reencode(
    frames: Iterable[np.ndarray],
    *,
    short_side: int,
    keyframe_interval: int,
    quality: int,
    fps: Fraction | int = FPS,
) -> bytes:
    """Encodes frames as they come, as H.264 of constant quality in an mp4 container without sound.

    As many frames come out as went in, in their order, whatever times they had: frame n is shown at n / `fps`.

    Args:
      frames: RGB, uint8 [H W C] each, all of one size.
      short_side: pixels of the short side of the result, rounded down to even ones as the long side is; 0 keeps
        the size. Frames are never enlarged.
      keyframe_interval: frames from one keyframe to the next, at most.
      quality: constant rate factor of x264 (`crf`), 0 to 51; 18 to 28 is usual, lower is better and larger.

    Returns:
      The whole file.

    Raises:
      VideoError: if there is no frame, if frames differ in size, or if they are too large for the encoder.
    """
    # Closed groups, of which the reader decodes only those it needs. With x264's macroblock tree the bytes change from
    # run to run.
    options = {'preset': 'veryfast', 'crf': str(quality), 'x264-params': 'open-gop=0:mbtree=0'}
    return _h264(_resized(frames, short_side, multiple=2), fps, keyframe_interval=keyframe_interval, options=options)


def to_jpegs(frames: Iterable[np.ndarray], *, short_side: int, quality: int) -> Iterator[bytes]:
    """Encodes every frame as a JPEG image, colours at half the resolution.

    Args:
      frames: RGB, uint8 [H W C] each, all of one size.
      short_side: pixels of the short side of the result; 0 keeps the size. Frames are never enlarged.
      quality: 1 to 100, higher is better and larger.

    Raises:
      VideoError: if frames differ in size.
    """
    for image in _resized(frames, short_side, multiple=1):
        yield simplejpeg.encode_jpeg(image, quality=quality, colorspace='RGB', colorsubsampling='420')


def _h264(
    frames: Iterable[np.ndarray], fps: Fraction | int, *, keyframe_interval: int, options: Mapping[str, str]
) -> bytes:
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise VideoError('the video holds no frame.', Reason.EMPTY)
    height, width = first.shape[:2]
    file, reformatter = io.BytesIO(), VideoReformatter()
    try:
        with av.open(file, 'w', format='mp4') as container:
            stream = container.add_stream('libx264', rate=fps, options=dict(options))
            stream.height, stream.width = height, width
            stream.pix_fmt = 'yuv420p'
            stream.gop_size = keyframe_interval
            stream.codec_context.thread_count = 1  # the bytes depend on the number of threads
            for image in itertools.chain([first], frames):
                frame = av.VideoFrame.from_ndarray(image, format='rgb24')
                container.mux(stream.encode(reformatter.reformat(frame, format='yuv420p', threads=1)))
            container.mux(stream.encode())
    except av.error.FFmpegError as error:  # of what comes here, x264 refuses only sizes
        raise VideoError(
            f'{height} x {width} pixels cannot be encoded as H.264: {error.strerror}.', Reason.TOO_LARGE
        ) from error
    return file.getvalue()


def _resized(frames: Iterable[np.ndarray], short_side: int, *, multiple: int) -> Iterator[np.ndarray]:
    """Frames whose short side is at most `short_side` (0: as it is), both sides multiples of `multiple`."""
    sizes = set()
    for frame in frames:
        sizes.add(frame.shape[:2])
        check_sizes(sizes)
        height, width = frame.shape[:2]
        scale = min(1, short_side / min(height, width)) if short_side else 1
        height, width = (max(multiple, round(scale * side) // multiple * multiple) for side in (height, width))
        if (height, width) == frame.shape[:2]:
            yield np.ascontiguousarray(frame)
        else:
            yield cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
