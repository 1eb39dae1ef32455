"""From the bytes of an encoded video to the frames that were asked for, and to nothing else.

A frame's index is its position in the order in which the decoder hands frames out. Timestamps do not number
frames: in AVI files they count packets, not pictures. Nor do packets: in interlaced recordings one may hold half a
frame. Only where a file proves that all agree, and as many frames were decoded as there are packets, is anything
skipped.
"""

import contextlib
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from dnr_jax.data.video import matroska
from dnr_jax.data.video.errors import (
    UNLIMITED,
    Inspected,
    Limits,
    Reason,
    VideoError,
    check_indices,
    check_pixels,
    check_sizes,
)
from dnr_jax.data.video.groups import closed_groups, needed
from dnr_jax.data.video.orientation import is_transposed, of_frame, of_image, upright
from dnr_jax.data.video.streams import best_video

FRAME_RATES = 1, 1000  # least and most a second that are believed


def read_frames(video: bytes, indices: Sequence[int] | np.ndarray, num_frames: int | None = None) -> np.ndarray:
    """Decodes the frames at `indices` (0-based, in any order, repeats allowed) of an encoded video.

    Where the container proves which frames follow a keyframe, only the groups of pictures that hold wanted
    frames are decoded, otherwise everything up to the last frame needed. The display matrix is applied.

    Args:
      video: the whole file.
      indices: [N].
      num_frames: of the whole video, as `inspect` has counted them; None decodes everything up to the last frame
        needed, for without their number no container proves anything.

    Returns:
      RGB frames, uint8 [N H W C], the same as when everything is decoded.

    Raises:
      ValueError: if `indices` are not N > 0 whole numbers from 0.
      VideoError: if a frame cannot be had: the file is damaged, truncated, no video, or has too few frames.
    """
    indices = check_indices(indices)
    wanted = set(indices.tolist())
    if num_frames is not None:
        with contextlib.suppress(VideoError):  # decoding everything tells whether the file is to blame
            frames = _from_groups(video, wanted, num_frames)
            if frames.keys() == wanted:
                return _stack(frames, indices)
    return _stack(_from_start(video, wanted), indices)


def every_frame(video: bytes, *, step: int, limits: Limits) -> Iterator[np.ndarray]:
    """Decodes a whole video and hands out frames 0, `step`, 2 `step`, ..., one by one: RGB, uint8 [H W C].

    Raises:
      VideoError: if the file is damaged or truncated, as far as `inspect` can tell, no video, or beyond the limits.
    """
    reformatter = VideoReformatter()
    for frame in itertools.islice(_limited(video, limits), 0, None, step):
        yield to_rgb(frame, reformatter)


def frame_rate(video: bytes, limits: Limits) -> Fraction | None:
    """Frames a second, on average, as the file says; None where it says nothing that can be."""
    with _opened(video, pixels=limits.pixels) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
    low, high = FRAME_RATES
    rate = Fraction(rate) if rate else None  # PyAV 19 has a class of its own
    return rate.limit_denominator(10_000) if rate and low <= rate <= high else None


def image(file: bytes, limits: Limits) -> np.ndarray:
    """Decodes a file of one image, PNG or WebP or another, as it is to be shown: RGB, uint8 [H W C].

    Raises:
      VideoError: if the file is damaged, no image, or beyond the limits.
    """
    frame = next(_limited(file, limits), None)
    if frame is None:
        raise VideoError('the file holds no image.', Reason.EMPTY)
    return upright(_as_stored(frame, VideoReformatter()), of_image(file))


def inspect(video: bytes, limits: Limits, *, groups: int = 0) -> Inspected:
    """Decodes every frame once, counts them and measures them: headers are often wrong.

    That a file was cut right between two frames shows in mp4, mov, mkv and webm only, and not in streamed ones.

    Args:
      video: the whole file.
      limits: what it may cost.
      groups: so many groups of pictures are read once more by themselves, as `read_frames` does.

    Raises:
      VideoError: if the file is damaged, truncated, no video, beyond the limits, of frames of several sizes, or of
        frames that are others when read by themselves.
    """
    count, sizes = 0, set()
    frames = _limited(video, limits)
    for frame in _compared(frames, video, groups) if groups else frames:
        count += 1
        size = frame.height, frame.width
        sizes.add(size[::-1] if is_transposed(of_frame(frame)) else size)
        check_sizes(sizes)
    if count == 0:
        raise VideoError('the video holds no frame.', Reason.EMPTY)
    return Inspected(count, *sizes.pop())


def count_frames(video: bytes) -> int:
    """Counts the frames of an encoded video by decoding them all.

    Raises:
      VideoError: as `inspect` does.
    """
    return inspect(video, UNLIMITED).num_frames


@contextlib.contextmanager
def _opened(video: bytes, *, pixels: int) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens the video stream for one thread; every failure inside leaves as a VideoError."""
    if not video:
        raise VideoError('a video was expected, the file is empty: 0 bytes.', Reason.EMPTY)
    limit = {'max_pixels': str(pixels)}
    try:
        # Some formats are lists of other files, which are not to be opened.
        with av.open(io.BytesIO(video), options={'protocol_whitelist': 'none', **limit}) as container:
            stream = best_video(container)
            if stream is None:
                raise VideoError(
                    f'a video was expected, the {len(video)} bytes hold no video stream that can be decoded.',
                    Reason.NO_VIDEO_STREAM,
                )
            codec = stream.codec_context
            check_pixels(codec.height, codec.width, pixels)
            codec.options = limit
            codec.thread_count = 1  # the loader's workers are what runs in parallel
            yield container, stream
    except av.error.FFmpegError as error:
        raise VideoError(
            f'the {len(video)} bytes are no readable video: {error.strerror}.', Reason.UNREADABLE
        ) from error


def _from_start(video: bytes, wanted: set[int]) -> dict[int, np.ndarray]:
    frames, reformatter, last = {}, VideoReformatter(), max(wanted)
    with _opened(video, pixels=UNLIMITED.pixels) as (container, stream):
        count = 0
        for count, frame in enumerate(decoded(stream, container.demux(stream)), 1):
            if count - 1 in wanted:
                frames[count - 1] = to_rgb(frame, reformatter)
            if count > last:
                return frames
    raise VideoError(
        f'frame {last} asked for, the video ends after {count}: the file is damaged or truncated.', Reason.TOO_SHORT
    )


def _from_groups(video: bytes, wanted: set[int], num_frames: int) -> dict[int, np.ndarray]:
    """Those of the wanted frames that lie in closed groups of pictures, decoded from these groups alone."""
    frames, reformatter = {}, VideoReformatter()
    with _opened(video, pixels=UNLIMITED.pixels) as (container, stream):
        start, groups = 0, closed_groups(container, stream)
        if sum(map(len, groups)) != num_frames:
            return {}
        for group in groups:
            ranks = {index - start for index in wanted.intersection(range(start, start + len(group)))}
            if ranks:
                for rank, frame in _frames_of_group(stream, group, ranks):
                    frames[start + rank] = to_rgb(frame, reformatter)
            start += len(group)
    return frames


def _from_some_groups(video: bytes, groups: list[list[av.Packet]], most: int) -> Iterator[tuple[int, np.ndarray]]:
    """Half of the frames, with their indices, of so many of the closed groups, in order; to each its own decoder."""
    reformatter = VideoReformatter()
    starts = itertools.accumulate(map(len, groups), initial=0)
    chosen = range(len(groups) - 1, -1, -max(1, -(-len(groups) // most)))
    for position, (start, group) in enumerate(zip(starts, groups, strict=False)):
        if position not in chosen:
            continue
        last = len(group) - 1
        # In no rhythm (Thue and Morse), since fields and reordered frames have theirs: some of every kind are there.
        ranks = {rank for rank in range(len(group)) if (last - rank).bit_count() % 2 == 0}
        # What cannot be decoded in this way, `read_frames` decodes from the beginning.
        with contextlib.suppress(VideoError), _opened(video, pixels=UNLIMITED.pixels) as (_, stream):
            for rank, frame in _frames_of_group(stream, group, ranks):
                yield start + rank, to_rgb(frame, reformatter)


def _compared(frames: Iterable[av.VideoFrame], video: bytes, most: int) -> Iterator[av.VideoFrame]:
    """Hands on all frames; then VideoError if one is another in its closed group, of which so many are looked at.

    As `read_frames` does, it looks at no group of a video that has more packets than frames, or fewer.
    """
    reformatter, groups, differing, count = VideoReformatter(), [], None, 0
    for count, frame in enumerate(frames, 1):
        if count == 1:
            with _opened(video, pixels=UNLIMITED.pixels) as (container, stream):
                groups = closed_groups(container, stream)
            others = _from_some_groups(video, groups, most)
            at, other = next(others, (-1, None))
        if count - 1 == at:
            if differing is None and not np.array_equal(to_rgb(frame, reformatter), other):
                differing = at
            at, other = next(others, (-1, None))
        yield frame
    if differing is not None and count == sum(map(len, groups)):
        raise VideoError(
            f'frame {differing} is another one when its group of pictures is decoded by itself: store the video '
            'as --form video or jpeg, for which all is decoded from the beginning.',
            Reason.DAMAGED,
        )


def _frames_of_group(
    stream: av.VideoStream, group: list[av.Packet], ranks: set[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames of a closed group that are at `ranks` in time.

    Raises:
      VideoError: if the decoder hands frames out in another order than that of their times.
    """
    codec = stream.codec_context
    codec.flush_buffers()
    times = [packet.pts for packet in group]
    rank_of = {time: rank for rank, time in enumerate(sorted(times))}
    # An H.264 picture says whether any other needs it. But some containers have lost the order of reordered pictures:
    # where they tell of none, every frame has to come out to see that it is the next one.
    may_skip = codec.codec.canonical_name == 'h264' and times != sorted(times)
    packets = needed(codec, group, [rank_of[time] for time in times], ranks) if may_skip else [*group, None]
    latest = -1
    for frame in decoded(stream, packets):
        rank = rank_of.get(frame.pts, -1)
        if rank <= latest or (rank > latest + 1 and not may_skip):
            raise VideoError('frames are not in the order of their times.', Reason.DAMAGED)
        if rank in ranks:
            yield rank, frame
        if rank == max(ranks) and not may_skip:
            return
        latest = rank


def _limited(video: bytes, limits: Limits) -> Iterator[av.VideoFrame]:
    if len(video) > limits.bytes:
        raise VideoError(f'the file has {len(video)} bytes, {limits.bytes} are allowed.', Reason.TOO_LARGE)
    with _opened(video, pixels=limits.pixels) as (container, stream):
        if 'matroska' in container.format.name and (end := matroska.end(video)) > len(video):
            raise VideoError(f'the file has {len(video)} bytes of at least {end}: it is truncated.', Reason.DAMAGED)
        for count, frame in enumerate(decoded(stream, container.demux(stream)), 1):
            if count > limits.frames:
                raise VideoError(f'the video has more than {limits.frames} frames.', Reason.TOO_LARGE)
            yield frame


def decoded(stream: av.VideoStream, packets: Iterable[av.Packet | None]) -> Iterator[av.VideoFrame]:
    """Decodes packets one by one, each when it is taken; None, or an empty one, asks for what is left.

    What the decoder cannot read, or only guesses, is a VideoError.
    """
    count = 0
    for packet in packets:
        try:
            frames = stream.codec_context.decode(packet if packet is not None and packet.size else None)
        except av.error.ArgumentError as error:
            raise VideoError(f'the size of frame {count} is invalid or too large.', Reason.TOO_LARGE) from error
        except av.error.FFmpegError as error:
            raise VideoError(
                f'undecodable data near frame {count}, the file is damaged: {error.strerror}.', Reason.DAMAGED
            ) from error
        for frame in frames:
            if frame.is_corrupt:
                raise VideoError(f'frame {count} is incomplete: the file is damaged or truncated.', Reason.DAMAGED)
            yield frame
            count += 1


def to_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """The frame as it is to be shown, RGB, uint8 [H W C]."""
    return upright(_as_stored(frame, reformatter), of_frame(frame))


def _as_stored(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    return reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()


def _stack(frames: dict[int, np.ndarray], indices: np.ndarray) -> np.ndarray:
    check_sizes({frame.shape[:2] for frame in frames.values()})
    return np.stack([frames[index] for index in indices.tolist()])
