"""Groups of pictures: runs of packets that decode by themselves, where that is provable, and what of them is needed."""

import itertools
from collections.abc import Iterator

import av

from dnr_jax.data.video.parameter_sets import told_by

# In these codecs and containers packets hold one shown frame each, but for H.264 of interlaced recordings, where a
# packet may hold a field, which is half a frame. It does not say so: who has counted frames compares the numbers.
_COUNTABLE_CODECS = frozenset({'h264', 'hevc', 'mjpeg', 'vp9', 'av1'})
_COUNTABLE_CONTAINERS = frozenset({'mov', 'mp4', 'matroska', 'webm'})


def closed_groups(container: av.container.InputContainer, stream: av.VideoStream) -> list[list[av.Packet]]:
    """Cuts a video into runs of packets that decode by themselves to consecutive frames, where that is provable.

    Such a run begins with a keyframe whose rank in presentation time is its position in the file: what comes
    before it is shown before it. It tells again whatever parameter sets were told before it, but for those of the
    header. The video has to begin with a keyframe, and its presentation times must be all there and all
    different; otherwise there are no groups. That packets hold one shown frame each is taken for granted: it is so
    where decoding everything gives as many frames as the groups have packets.
    """
    known = stream.codec_context.codec.canonical_name in _COUNTABLE_CODECS
    if not known or _COUNTABLE_CONTAINERS.isdisjoint(container.format.name.split(',')):
        return []
    packets = [packet for packet in container.demux(stream) if packet.size]
    times = [packet.pts for packet in packets]
    if None in times or len(set(times)) < len(times) or any(p.is_discard or p.is_corrupt for p in packets):
        return []
    latest = itertools.accumulate(times, max)
    starts = [
        position
        for position, (packet, time, latest, knows_all) in enumerate(
            zip(packets, sorted(times), latest, _know_all(packets, stream), strict=True)
        )
        if packet.is_keyframe and packet.pts == time == latest and knows_all
    ]
    if not starts or starts[0] != 0:
        return []
    return [packets[start:end] for start, end in itertools.pairwise([*starts, len(packets)])]


def _know_all(packets: list[av.Packet], stream: av.VideoStream) -> Iterator[bool]:
    """For each packet, whether it and the header of the file tell all that was told before it."""
    codec, header = stream.codec_context.codec.canonical_name, stream.codec_context.extradata or b''
    before = set()
    for packet in packets:
        told = told_by(packet, codec, header)
        yield before <= told
        before |= told


def needed(
    codec: av.VideoCodecContext, group: list[av.Packet], order: list[int], ranks: set[int]
) -> Iterator[av.Packet | None]:
    """The packets of all frames up to the last of `ranks`; the decoder skips unwanted ones that no other refers to.

    Args:
      codec: the decoder.
      group: H.264 packets, and at the end None, which asks for what is left.
      order: the rank in time of each.
      ranks: of the wanted frames.
    """
    end = 1 + max(position for position, rank in enumerate(order) if rank <= max(ranks))
    for packet, rank in zip(group[:end], order[:end], strict=True):
        codec.skip_frame = 'DEFAULT' if rank in ranks else 'NONREF'
        yield packet
    yield None
