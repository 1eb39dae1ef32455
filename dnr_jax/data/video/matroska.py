"""Where a Matroska or WebM file ends by its own account: FFmpeg takes any end of the file for the end of the video.

Such a file is made of elements: an id, a size, and as many bytes. A writer that cannot go back to the beginning, as of
a live stream, leaves the size of the whole unknown; then its parts tell theirs.
"""

_SEGMENT = bytes.fromhex('18538067')  # all that follows the header
_CLUSTER = bytes.fromhex('1f43b675')  # some seconds of it


def end(file: bytes) -> int:
    """The position where the last element of a file ends, in bytes: beyond all of them if the file is truncated.

    Where the size of the whole is unknown, a cut right between two elements does not show.
    """
    position = 0
    while position < len(file) and file[position] >= 0x10:  # no id begins with less: it is padding
        size_at = position + _width(file, position)
        content = size_at + _width(file, size_at)
        unknown = (1 << 7 * (content - size_at)) - 1
        id, size = file[position:size_at], int.from_bytes(file[size_at:content]) & unknown
        is_parted = size == unknown and id in (_SEGMENT, _CLUSTER)
        position = content if is_parted else content + size
        if id == _SEGMENT and not is_parted:
            break
    return position


def _width(file: bytes, position: int) -> int:
    """How many bytes a number takes: one more than the zero bits that it begins with."""
    return 9 - int.from_bytes(file[position : position + 1]).bit_length()
