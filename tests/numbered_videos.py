"""Videos whose frames show their number."""

import io
import pathlib
import tempfile

import av
import numpy as np

BITS, CELL = 8, 8  # a frame shows its index as black and white bars


def draw(index):
    """A frame of 32 x 64 pixels: bars in the upper half, noise in the lower, which makes frames differ."""
    bits = (index >> np.arange(BITS)) & 1
    frame = np.random.default_rng(index).integers(0, 256, (32, BITS * CELL, 3), np.uint8)
    frame[:16] = 255 * np.repeat(bits, CELL)[:, None]
    return frame


def read(frames):
    """The indices that frames [N H W C] show, whatever their size."""
    count, height, width, _ = frames.shape
    cells = frames[:, : height // 2].mean(axis=(1, 3)).reshape(count, BITS, width // BITS).mean(axis=2)
    assert (np.abs(cells - 127.5) > 60).all(), 'frames must be clear'
    return ((cells > 127.5) << np.arange(BITS)).sum(axis=1).tolist()


def make_video(
    frames,
    *,
    format='mp4',
    codec='libx264',
    gop=12,
    b_frames=0,
    x264='',
    x265='',
    pix_fmt='yuv420p',
    rotation=0,
    matrix=None,
    times=None,
    first=0,
):
    file = io.BytesIO()
    with av.open(file, 'w', format=format) as container:
        params = f'bframes={b_frames}:b-adapt=0:scenecut=0:{x264}'
        options = {
            'libx264': {'x264-params': params},
            'libx265': {'preset': 'ultrafast', 'x265-params': f'bframes={b_frames}:log-level=none:pools=none:{x265}'},
            'libvpx-vp9': {'deadline': 'realtime', 'cpu-used': '8'},
        }
        stream = container.add_stream(codec, rate=12, options=options.get(codec, {}))
        stream.width, stream.height, stream.gop_size = BITS * CELL, 32, gop
        stream.pix_fmt = pix_fmt
        stream.max_b_frames = b_frames
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix:
            stream.set_display_matrix(matrix)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(first + index), format='rgb24')
            if times:
                frame.pts = times(index)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def remux(video, keep, format, retime=lambda number, packet: None, **options):
    """Copies the packets of a video for whose numbers `keep` holds; `retime` may change their times."""
    with tempfile.NamedTemporaryFile() as file:  # some options read again what they have written
        with (
            av.open(io.BytesIO(video)) as source,
            av.open(file.name, 'w', format=format, options=options) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for number, packet in enumerate(source.demux()):
                if packet.size and keep(number):
                    retime(number, packet)
                    packet.stream = stream
                    target.mux(packet)
        return pathlib.Path(file.name).read_bytes()


def decode_everything(video):
    """All frames, the plain way."""
    with av.open(io.BytesIO(video)) as container:
        return np.stack([frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)])
