"""What a decoder is told before it can read a picture: parameter sets of H.264 and HEVC, the sequence header of AV1.

The header of a file tells them, and any packet may tell others, which hold from there on. So in a file of two
recordings a keyframe may be readable only after a packet that lies far before it.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import av


class _Syntax(NamedTuple):
    """Of one codec: how its packets are divided into units, and which of these are parameter sets."""

    type_of: Callable[[int], int]  # of the first byte of a unit
    parameter_sets: frozenset[int]  # types
    size_at: int  # byte of the header of a file whose last two bits say how many bytes the length of a unit takes


_SYNTAXES = {
    'h264': _Syntax(lambda byte: byte & 0x1F, frozenset({7, 8, 13, 15}), 4),
    'hevc': _Syntax(lambda byte: byte >> 1 & 0x3F, frozenset({32, 33, 34}), 21),
}
_SEQUENCE_HEADER = 1  # of AV1


def told_by(packet: av.Packet, codec: str, header: bytes) -> set[bytes]:
    """The parameter sets that a packet tells and that the header of its file does not.

    Args:
      packet: of a video.
      codec: FFmpeg's name of it.
      header: what the file tells of it before all packets ("extradata").
    """
    told = {bytes(packet.get_sidedata('new_extradata'))} if packet.has_sidedata('new_extradata') else set()
    if codec in _SYNTAXES:
        told.update(_of_units(bytes(packet), _SYNTAXES[codec], header))
    elif codec == 'av1':
        told.update(unit for unit in _of_av1(bytes(packet)) if unit not in header)
    return told - {header}


def _of_units(data: bytes, syntax: _Syntax, header: bytes) -> Iterator[bytes]:
    if header.startswith((b'\0\0\1', b'\0\0\0\1')) or len(header) <= syntax.size_at:
        units, written = data.split(b'\0\0\1'), lambda unit: b'\0\0\1' + unit
    else:
        size = (header[syntax.size_at] & 3) + 1
        units, written = _after_lengths(data, size), lambda unit: len(unit).to_bytes(2) + unit
    for unit in units:
        if unit and syntax.type_of(unit[0]) in syntax.parameter_sets and written(unit.rstrip(b'\0')) not in header:
            yield unit


def _after_lengths(data: bytes, size: int) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        start = position + size
        position = start + int.from_bytes(data[position:start])
        yield data[start:position]


def _of_av1(data: bytes) -> Iterator[bytes]:
    """The contents of sequence headers."""
    position = 0
    while position < len(data):
        first = data[position]
        position += 2 if first & 4 else 1
        size = len(data) - position
        if first & 2:  # the size is told, seven bits in a byte
            size, shift, more = 0, 0, True
            while more and position < len(data):
                more = data[position] & 0x80
                size |= (data[position] & 0x7F) << shift
                position, shift = position + 1, shift + 7
        if first >> 3 & 15 == _SEQUENCE_HEADER:
            yield data[position : position + size]
        position += size
