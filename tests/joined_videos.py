"""Recordings of two kinds in one track, whose frames show their numbers: each kind needs parameter sets of its own."""

import io
import re

import av
from numbered_videos import make_video

FRAMES, JOINT = 48, 24  # of two recordings
RECORDINGS = {  # by codec: settings of the first and of the second kind, of which the parameter sets tell
    'libx264': (dict(x264='cabac=0:qp=10'), dict(x264='cabac=0:qp=30')),
    'libx265': (dict(x265='qp=10:cbqpoffs=-12'), dict(x265='qp=10:cbqpoffs=12')),
}
_PARAMETER_SETS = {'libx264': lambda byte: byte & 31 in (7, 8), 'libx265': lambda byte: byte >> 1 & 63 in (32, 33, 34)}


def join(codec, *, told, format='mp4', kinds=(0, 1)):
    """A file of recordings of JOINT frames each, in groups of 12.

    Args:
      codec: a key of RECORDINGS.
      told: where the parameter sets of another kind are: 'once', in the first packet of a recording; 'again', in each
        of its keyframes; or 'described', in the second of two sample descriptions of an mp4 file.
      format: of the file.
      kinds: of the recordings; the header of the file is that of the first.
    """
    videos = [
        make_video(JOINT, codec=codec, gop=12, first=JOINT * number, **RECORDINGS[codec][kind])
        for number, kind in enumerate(kinds)
    ]
    file = io.BytesIO()
    with av.open(file, 'w', format=format) as target:
        for number, video in enumerate(videos):
            sets = _parameter_sets(codec, kinds[number]) if number and told != 'described' else b''
            with av.open(io.BytesIO(video)) as source:
                if number == 0:
                    stream = target.add_stream_from_template(source.streams.video[0])
                packets = [packet for packet in source.demux(video=0) if packet.size]
                for position, packet in enumerate(packets):
                    tells = packet.is_keyframe and (told == 'again' or position == 0)
                    copy = av.Packet((sets if tells else b'') + bytes(packet))
                    copy.is_keyframe, copy.time_base, copy.stream = packet.is_keyframe, packet.time_base, stream
                    copy.pts, copy.dts = (
                        time + number * packets[0].duration * JOINT for time in (packet.pts, packet.dts)
                    )
                    target.mux(copy)
    return _with_two_descriptions(file.getvalue(), videos[1]) if told == 'described' else file.getvalue()


def _parameter_sets(codec, kind):
    """Those of a kind, each after its length."""
    stream = make_video(1, codec=codec, format={'libx264': 'h264', 'libx265': 'hevc'}[codec], **RECORDINGS[codec][kind])
    units = re.split(b'\0?\0\0\1', stream)[1:]
    return b''.join(len(unit).to_bytes(4) + unit for unit in units if _PARAMETER_SETS[codec](unit[0]))


def _with_two_descriptions(video, second):
    """The file with every frame in a chunk of its own, those from JOINT on described as those of the `second` file."""
    with av.open(io.BytesIO(video)) as container:
        places = [packet.pos for packet in container.demux() if packet.size]
    descriptions = [_find(file, b'moov', b'trak', b'mdia', b'minf', b'stbl', b'stsd')[8:] for file in (video, second)]
    tables = {
        b'stsd': bytes(4) + _numbers(2) + b''.join(descriptions),
        b'stsc': bytes(4) + _numbers(2, 1, 1, 1, JOINT + 1, 1, 2),
        b'stco': bytes(4) + _numbers(len(places), *places),
    }
    return _rewrite(video, tables)


def _numbers(*numbers):
    return b''.join(number.to_bytes(4) for number in numbers)


def _boxes(data):
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4])
        yield data[position + 4 : position + 8], data[position + 8 : position + size]
        position += size


def _find(data, *kinds):
    for kind in kinds:
        data = dict(_boxes(data))[kind]
    return data


def _rewrite(data, tables):
    """An mp4 file, whose index comes last, with other tables in the index."""
    written = b''
    for kind, content in _boxes(data):
        if kind in (b'moov', b'trak', b'mdia', b'minf', b'stbl'):
            content = _rewrite(content, tables)
        content = tables.get(kind, content)
        written += (8 + len(content)).to_bytes(4) + kind + content
    return written
