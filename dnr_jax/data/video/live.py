"""Frames of a source that need not end: a file, a pipe, a camera, an address. One by one, and none is kept.

They are the frames that `decoding.every_frame` hands out, which takes all bytes of a video before the first of them.

FFmpeg opens whatever a source names: a playlist is a list of other files and addresses. So a source is opened by the
protocols of its own address and by no other, and a list is none, unless more protocols are given.
"""

import contextlib
import errno
from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8

from dnr_jax.data.storage import ERRORS_OF_PATHS
from dnr_jax.data.video.decoding import decoded, to_rgb
from dnr_jax.data.video.errors import FILMED, Reason, VideoError
from dnr_jax.data.video.streams import best_video
from dnr_jax.files import PACKAGES, MachineError, as_path, buckets, local_copy

Frame = UInt8[np.ndarray, 'H W C']

STANDARD_INPUT = '-'

# FFmpeg's protocols that an address takes.
ADDRESSES = {
    'http': ('http', 'tcp'),
    'https': ('https', 'tls', 'tcp'),
    'rtmp': ('rtmp', 'tcp'),
    'rtmps': ('rtmps', 'tls', 'tcp'),
    'rtp': ('rtp', 'udp'),
    'rtsp': ('rtsp', 'rtp', 'udp', 'tcp'),
    'rtsps': ('rtsps', 'rtsp', 'rtp', 'udp', 'tls', 'tcp'),
    'srt': ('srt',),
    'tcp': ('tcp',),
    'udp': ('udp',),
}
LISTS = ('concat', 'dash', 'hls', 'imf', 'sdp', 'webm_dash_manifest')  # formats that are nothing but other sources


def frames(source: str, *, format: str, protocols: Sequence[str] = ()) -> Iterator[Frame]:
    """Decodes a source frame by frame, as they come: RGB, uint8 [H W C].

    Args:
      source: a file, which is copied first where it lies in a bucket, '-' for standard input, one of ADDRESSES,
        'rtsp://...', or what a device of FFmpeg's takes: '/dev/video0'.
      format: FFmpeg's name of the container or device, where the source does not tell: 'v4l2'. Empty: it does.
      protocols: of FFmpeg, by which lists of other sources are followed, beside those of the source: 'file', 'http'.
        None: lists are not read.
    Raises VideoError, with its reason, where the source cannot be opened, or be read any further, MachineError, or
    BucketError, where that is no fault of its own.
    """
    count, reformatter = 0, VideoReformatter()
    try:
        with opened(source, format, protocols) as container:
            stream = best_video(container)
            if stream is None:
                raise VideoError(
                    'a video was expected, there is no video stream that can be decoded.', Reason.NO_VIDEO_STREAM
                )
            stream.codec_context.thread_count = 1  # threads hold frames back
            stream.codec_context.options = {'max_pixels': str(FILMED.pixels)}
            for frame in decoded(stream, container.demux(stream)):
                count += 1
                yield to_rgb(frame, reformatter)
    except buckets.BucketError:
        raise
    except (av.error.FFmpegError, OSError) as error:
        if not isinstance(error, av.error.FFmpegError) and error.errno not in {errno.ENOENT, *ERRORS_OF_PATHS}:
            raise MachineError(error.errno, error.strerror, source) from error
        reason = Reason.MISSING if isinstance(error, FileNotFoundError) else Reason.UNREADABLE
        after = f' after {count} frames' if count else ''
        remedy = (
            '; a pipe takes what can be read forwards, such as -f nut or matroska' if source == STANDARD_INPUT else ''
        )
        listed = isinstance(error, av.error.ArgumentError) or source.endswith(('.m3u', '.m3u8', '.mpd'))
        if not protocols and (listed or ':' in source):
            remedy += '; a list of other sources, or an unusual address, takes --protocols=file,http,tcp'
        raise VideoError(f'the source cannot be read{after}: {error.strerror}{remedy}.', reason) from error
    if count == 0:
        raise VideoError('the source holds no frame.', Reason.EMPTY)


@contextlib.contextmanager
def opened(source: str, format: str, protocols: Sequence[str]) -> Iterator[av.container.InputContainer]:
    """Opens a source, and of what it refers to nothing but by these protocols."""
    scheme, options = source.partition('://')[0], {}
    with contextlib.ExitStack() as stack:
        if source == STANDARD_INPUT:
            url, own = 'pipe:0', ('pipe',)
        elif scheme in ADDRESSES:
            url, own = source, ADDRESSES[scheme]
        elif protocols or is_device(format):
            url, own = source, ('file',) if protocols else ('none',)
        else:
            near = stack.enter_context(local_copy(as_path(source))) if scheme in PACKAGES else source
            file = stack.enter_context(open(near, 'rb', buffering=0))
            url, own, options['fd'] = 'fd:', ('fd',), str(file.fileno())
        options['max_pixels'] = str(FILMED.pixels)
        options['protocol_whitelist'] = ','.join((*own, *protocols))
        if not protocols:
            options['format_whitelist'] = ','.join(sorted(av.formats_available - set(LISTS)))
        yield stack.enter_context(av.open(url, format=format or None, options=options))


def is_device(format: str) -> bool:
    """Whether FFmpeg opens what is of that format by other means than its protocols."""
    return bool(format) and bool(av.format.ContainerFormat(format, 'r').flags & av.format.Flags.no_file.value)
