"""From the bytes of an encoded video to the frames that were asked for, and to nothing else.

A frame's index is its position in the order in which the decoder hands frames out. Timestamps do not number
frames: in AVI files they count packets, not pictures.
"""

import contextlib
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# In these codecs and containers a packet holds one shown frame, so packets can be counted instead of frames.
_COUNTABLE_CODECS = frozenset({'h264', 'hevc', 'mjpeg', 'vp9', 'av1'})
_COUNTABLE_CONTAINERS = frozenset({'mov', 'mp4', 'matroska', 'webm'})


class VideoError(ValueError):
    """A video that cannot be decoded, or that holds fewer frames than asked for."""


def read_frames(video: bytes, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Decodes the frames at `indices` (0-based, in any order, repeats allowed) of an encoded video.

    Decoding stops after the last frame needed. It starts at the last keyframe before the first one needed if
    the container proves that this keyframe is that frame, otherwise at the beginning. Display rotation is
    applied.

    Args:
      video: the whole file.
      indices: [N].

    Returns:
      RGB frames, uint8 [N H W C].

    Raises:
      ValueError: if `indices` are not N > 0 whole numbers from 0.
      VideoError: if the file is damaged, truncated, no video, or has too few frames.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in 'iu' or indices.min() < 0:
        raise ValueError(f'Frame indices must be a non-empty list of whole numbers from 0, got {indices!r}.')
    wanted = set(indices.tolist())
    try:
        frames = _decode(video, wanted, from_keyframe=True)
    except _UnexpectedFrame:
        frames = _decode(video, wanted, from_keyframe=False)
    shapes = {frame.shape for frame in frames.values()}
    if len(shapes) > 1:
        raise VideoError(f'all frames must have one size, got {sorted(shapes)}.')
    return np.stack([frames[index] for index in indices.tolist()])


def count_frames(video: bytes) -> int:
    """Counts the frames of an encoded video by decoding them all: headers are often wrong.

    Raises:
      VideoError: if the file is damaged, truncated, or no video.
    """
    with _opened(video) as (container, stream):
        count = sum(1 for _ in _frames(stream, container.demux(stream), 0))
    if count == 0:
        raise VideoError('the video holds no frame.')
    return count


class _UnexpectedFrame(Exception):
    """The decoder handed out another frame after a keyframe than the container had promised."""


@contextlib.contextmanager
def _opened(video: bytes) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens the first video stream for one thread; every failure inside leaves as a VideoError."""
    try:
        with av.open(io.BytesIO(video)) as container:
            if not container.streams.video:
                raise VideoError(f'a video was expected, the {len(video)} bytes hold no video stream.')
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # the loader's workers are what runs in parallel
            yield container, stream
    except av.error.FFmpegError as error:
        raise VideoError(f'the {len(video)} bytes are no readable video: {error.strerror}.') from error


def _decode(video: bytes, wanted: set[int], *, from_keyframe: bool) -> dict[int, np.ndarray]:
    first, last = min(wanted), max(wanted)
    frames, reformatter = {}, VideoReformatter()
    with _opened(video) as (container, stream):
        packets, start, promised = container.demux(stream), 0, None
        if from_keyframe and first > 0 and _is_countable(container, stream):
            packets, start, promised = _enter(list(packets), first)
        index = start - 1
        for index, frame in _frames(stream, packets, start):
            if promised is not None and (index >= len(promised) or frame.pts != promised[index]):
                raise _UnexpectedFrame
            if index in wanted:
                frames[index] = _to_rgb(frame, reformatter)
            if index == last:
                return frames
    if promised is not None:
        raise _UnexpectedFrame
    raise VideoError(f'frame {last} asked for, the video ends after {index + 1}: the file is damaged or truncated.')


def _is_countable(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    return stream.codec_context.codec.canonical_name in _COUNTABLE_CODECS and not _COUNTABLE_CONTAINERS.isdisjoint(
        container.format.name.split(',')
    )


def _enter(packets: list[av.Packet], first: int) -> tuple[Iterable[av.Packet], int, list[int] | None]:
    """Drops the packets before the last keyframe at or before frame `first`, where that is provably safe.

    Safe is a keyframe whose rank in presentation time is its position in the file (a closed group of
    pictures: everything before it is shown before it), in a stream whose presentation times are all there and
      all different.

    Returns:
      The packets to decode, the index of their first frame, and the presentation time of every frame of the
      video to check the decoded frames against; (all packets, 0, None) where nothing is proven.
    """
    pictures = [packet for packet in packets if packet.size]
    times = [packet.pts for packet in pictures]
    if None in times or len(set(times)) < len(times) or any(packet.is_discard for packet in pictures):
        return packets, 0, None
    times.sort()
    for start in range(min(first, len(pictures) - 1), 0, -1):
        if not pictures[start].is_keyframe:
            continue
        shown_before = max(packet.pts for packet in pictures[:start])
        if shown_before < pictures[start].pts == times[start]:
            flush = itertools.dropwhile(lambda packet: packet.size, packets)
            return itertools.chain(pictures[start:], flush), start, times
    return packets, 0, None


def _frames(stream: av.VideoStream, packets: Iterable[av.Packet], start: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decodes packets one by one to pairs of index and frame, the first index being `start`.

    What the decoder cannot read, or only guesses, is a VideoError.
    """
    index = start
    for packet in packets:
        try:
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.error.FFmpegError as error:
            raise VideoError(f'undecodable data near frame {index}, the file is damaged: {error.strerror}.') from error
        for frame in frames:
            if frame.is_corrupt:
                raise VideoError(f'frame {index} is incomplete: the file is damaged or truncated.')
            yield index, frame
            index += 1


def _to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    image = reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise, as np.rot90 counts
    return np.rot90(image, quarter_turns) if quarter_turns else image
