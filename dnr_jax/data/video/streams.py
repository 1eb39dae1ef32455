"""Which of the streams of a file is the video, where it holds covers, previews or several versions."""

import av
from av.stream import Disposition

# Pictures beside the video, for menus and seek bars.
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_IMAGE_CODECS = frozenset({'bmp', 'gif', 'mjpeg', 'png', 'tiff', 'webp'})


def best_video(container: av.container.InputContainer) -> av.VideoStream | None:
    """The stream that a player shows: the one marked so, then one of more than a picture, then the largest, the first.

    None where no stream is a video that can be decoded.
    """
    videos = [s for s in container.streams.video if s.codec_context is not None and not s.disposition & _PICTURES]
    return max(videos, key=_rank, default=None)


def _rank(stream: av.VideoStream) -> tuple[bool, bool, int]:
    codec = stream.codec_context
    # Matroska does not tell how many frames there are.
    moves = stream.frames > 1 or (stream.frames == 0 and codec.codec.canonical_name not in _IMAGE_CODECS)
    return bool(stream.disposition & Disposition.default), moves, codec.width * codec.height
