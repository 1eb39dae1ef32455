"""Interlaced H.264 whose frames show their number and are coded as two fields each, which no encoder at hand writes.

Every macroblock is raw samples (I_PCM), so what is written here is headers (ITU-T H.264, clause 7.3).
"""

import io
from fractions import Fraction

import av
from numbered_videos import BITS, CELL, draw

HEIGHT, WIDTH = 32, BITS * CELL
_START = b'\0\0\1'
_SEQUENCE, _PICTURE, _KEYFRAME, _OTHER = 0x67, 0x68, 0x65, 0x41  # first bytes of units that others need
_NOT_NEEDED = 0x01


def make_field_video(frames, *, gop, format, in_fields=lambda index: True):
    """A file of frames in groups of `gop`, an odd number; in each, every second frame is needed by no other and is
    coded after the one behind it.

    Args:
      frames: how many.
      gop: frames from one keyframe to the next.
      format: of the file.
      in_fields: whether a frame is coded as two fields, by its number. Each of them is a packet, as FFmpeg's parser
        makes them.
    """
    stream = _START + _sequence() + _START + _picture()
    pictures = []  # number, whether it is a second field
    for start in range(0, frames, gop):
        needed = 0
        for rank in _coded_order(min(gop, frames - start)):
            index = start + rank
            for field in (0, 1) if in_fields(index) else (None,):
                stream += _START + _slice(index, rank, needed, field)
                pictures.append((index, field == 1))
            needed += rank % 2 == 0
    file = io.BytesIO()
    with av.open(io.BytesIO(stream), format='h264') as source, av.open(file, 'w', format=format) as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux() if packet.size]
        for position, (packet, (index, second)) in enumerate(zip(packets, pictures, strict=True)):
            packet.time_base, packet.stream = Fraction(1, 24), copied
            packet.pts, packet.dts, packet.duration = 2 * index + second + 4, position, 1
            target.mux(packet)
    return file.getvalue()


def _coded_order(frames):
    """0, 2, 1, 4, 3, ..."""
    return [0, *(rank for last in range(2, frames, 2) for rank in (last, last - 1))]


class _Bits:
    def __init__(self):
        self._bits = ''

    def fixed(self, value, size):
        self._bits += f'{value:0{size}b}'

    def numbers(self, *values):
        """Exp-Golomb codes."""
        for value in values:
            self._bits += f'{value + 1:0{2 * (value + 1).bit_length() - 1}b}'

    def flags(self, *values):
        for value in values:
            self.fixed(value, 1)

    def samples(self, data):
        self._bits += '0' * (-len(self._bits) % 8) + ''.join(f'{byte:08b}' for byte in data)

    def unit(self, first):
        """A unit of the stream, with the bytes that keep start codes from it."""
        bits = self._bits + '1'
        data, escaped = int(bits.ljust(-(-len(bits) // 8) * 8, '0'), 2).to_bytes(-(-len(bits) // 8)), bytearray()
        for byte in data:
            if byte <= 3 and escaped.endswith(b'\0\0'):
                escaped.append(3)
            escaped.append(byte)
        return bytes([first]) + bytes(escaped)


def _sequence():
    bits = _Bits()
    for value in (77, 0, 30):  # profile, constraints, level
        bits.fixed(value, 8)
    bits.numbers(0, 4, 0, 4, 2)  # id, bits of frame_num, kind of order, bits of order, frames that others need
    bits.flags(0)
    bits.numbers(WIDTH // 16 - 1, HEIGHT // 32 - 1)
    bits.flags(0, 0, 1, 0)  # not only frames, no fields in macroblocks, direct_8x8_inference, no cropping
    bits.flags(1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1)  # of the VUI only how far pictures are reordered
    bits.numbers(0, 0, 10, 10, 1, 2)
    return bits.unit(_SEQUENCE)


def _picture():
    bits = _Bits()
    bits.numbers(0, 0)
    bits.flags(0, 0)
    bits.numbers(0, 0, 0)
    bits.flags(0, 0, 0)
    bits.numbers(0, 0, 0)
    bits.flags(1, 0, 0)  # slices tell of deblocking
    return bits.unit(_PICTURE)


def _slice(index, rank, needed, field):
    """A frame, or field 0 or 1 of it; `needed` frames before it in its group are needed by others."""
    is_keyframe, is_needed, bits = rank == 0 and not field, rank % 2 == 0, _Bits()
    bits.numbers(0, 7, 0)
    bits.fixed(needed, 8)
    bits.flags(*((0,) if field is None else (1, field)))
    if is_keyframe:
        bits.numbers(index % 2)
    bits.fixed(2 * rank + (field or 0), 8)
    if is_needed:
        bits.flags(*(0, 0) if is_keyframe else (0,))
    bits.numbers(0, 1)  # quantizer as it is, no deblocking
    rows = slice(field, None, 2) if field is not None else slice(None)
    planes = av.VideoFrame.from_ndarray(draw(index), format='rgb24').reformat(format='yuv420p').to_ndarray()
    luma, chroma = planes[:HEIGHT], planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    luma, chroma = luma[rows], chroma[:, rows]
    for top in range(0, luma.shape[0], 16):
        for left in range(0, WIDTH, 16):
            bits.numbers(25)
            half = slice(top // 2, top // 2 + 8), slice(left // 2, left // 2 + 8)
            bits.samples(luma[top : top + 16, left : left + 16].tobytes())
            bits.samples(chroma[:, *half].tobytes())
    return bits.unit(_KEYFRAME if is_keyframe else _OTHER if is_needed else _NOT_NEEDED)
