"""Predictions while a video goes on are those of clips that end there, streamed or not; sources need not end."""

import contextlib
import itertools
import os
import threading
import tracemalloc

import jax
import numpy as np
import pytest
from numbered_videos import make_video
from small_networks import normal

from dnr_jax import parallel, streaming
from dnr_jax.data.video import decoding, errors, live
from dnr_jax.data.video.encoding import encode
from dnr_jax.data.video.errors import Reason, VideoError
from dnr_jax.predict import running, whole
from dnr_jax.streaming import endless


def of_last(horizon, groups):
    """How many groups a prediction is of, group by group: of the older of two streams that take turns."""
    began = [0, 0]
    for group in range(groups):
        if group % horizon == 0:
            began[0] = group
        if group % horizon == horizon // 2:
            began[1] = group
        yield group + 1 - min(began)


@pytest.mark.parametrize(('horizon', 'per_hop'), [(3, False), (2, True)])
def test_logits_are_those_of_a_clip_of_the_last_groups(make_found, horizon, per_hop):
    found, groups = make_found(running_per_hop=per_hop), normal(7, 1, 2, 16, 16, 3)
    carry = endless.init(found.model, found.variables, groups.shape[1:], horizon=horizon)
    program = jax.jit(lambda *of: endless.steps(found.model, *of, horizon=horizon))
    after, logits = program(found.variables, carry, groups)
    assert [leaf.shape for leaf in jax.tree.leaves(after)] == [leaf.shape for leaf in jax.tree.leaves(carry)]
    lengths = list(of_last(horizon, len(groups)))
    assert max(lengths) == horizon and min(lengths[horizon:]) > horizon / 2
    start = streaming.init(found.model, found.variables, groups.shape[1:])
    step = jax.jit(lambda *of: streaming.step(found.model, *of))
    for last, length in enumerate(lengths, start=1):
        state = start
        for group in groups[last - length : last]:
            state, expected = step(found.variables, state, group)
        np.testing.assert_allclose(logits[last - 1], expected, atol=1e-5)


@pytest.mark.parametrize('horizon', [0, 3])
def test_streams_longer_than_their_statistics_are_refused(make_found, horizon):
    with pytest.raises(ValueError, match='for each of the 2 hops'):
        running.stream(make_found(running_per_hop=True), horizon=horizon, groups_at_once=1)


def test_both_ways_end_with_what_is_said_of_the_whole(make_found, eight_frames):
    """Of a video as long as a clip; streamed, it takes the frame after the last one that is looked at."""
    found, mesh = make_found(), parallel.make_mesh()
    (of_clip,) = whole.predictor(found, mesh)([eight_frames])
    follow, way = running.follow(found, mesh=mesh)
    assert way.startswith('streamed')
    (seen, _), (last, logits) = follow(eight_frames)
    assert (seen, last) == (3, 7)
    np.testing.assert_allclose(logits, of_clip.logits, atol=1e-5)
    moments = running.look_back(found, mesh=mesh)(eight_frames)
    assert [seen for seen, _ in moments] == [2, 4, 6, 8]
    np.testing.assert_allclose(moments[-1][1], of_clip.logits, atol=1e-5)


def test_networks_that_cannot_be_streamed_look_back(make_found):
    found = make_found('dnr')
    with pytest.raises(ValueError, match='cannot be streamed: the norm .cross_layer. pools the whole clip'):
        running.stream(found, horizon=2, groups_at_once=1)
    _, way = running.follow(found, mesh=parallel.make_mesh())
    assert way.startswith('a clip of the last 8 frames at every moment. This network cannot be streamed')
    found.config.clip.sampling = 'segments'
    assert running.follow(found, mesh=parallel.make_mesh())[1].startswith('a clip of all frames so far')


def test_clips_end_where_the_video_is(make_found):
    config = make_found().config
    assert running.clip_until(100, config).tolist() == [92, 94, 96, 98]
    assert running.clip_until(3, config).max() < 3
    assert running.moments_of(5, config) == [2, 4, 5]
    assert len(running.moments_of(10_000, config)) == running.MOST_MOMENTS
    config.clip.sampling = 'segments'
    assert running.clip_until(100, config).tolist() == [12, 37, 62, 87]
    config.clip.sampling = 'dense_64'
    assert running.window_of(config) == 64 and running.clip_until(100, config).tolist() == [36, 52, 68, 84]


@pytest.mark.parametrize(
    ('size', 'expected'), [(2, [[0, 1], [2, 3], [4]]), (5, [[0, 1, 2, 3, 4]]), (8, [[0, 1, 2, 3, 4]])]
)
def test_what_came_before_an_error_is_handed_on(size, expected):
    """A damaged end takes nothing away from what was read before it, however much passes at once."""

    def items():
        yield from range(5)
        raise VideoError('torn', Reason.DAMAGED)

    found = []
    with pytest.raises(VideoError, match='torn'):
        for part in running.parts(items(), size):
            found.append(part)
    assert found == expected
    assert list(running.parts(iter(range(5)), size)) == expected


def test_a_stream_does_not_depend_on_its_chunks(make_found, video):
    """Nor on its horizon, as long as that is not behind it."""
    found = make_found()
    frames = list(decoding.every_frame(video.read_bytes(), step=1, limits=errors.UNLIMITED))
    plain = list(running.stream(found, horizon=0, groups_at_once=1)(frames))
    chunks = list(running.stream(found, horizon=6, groups_at_once=4)(frames))
    assert [seen for seen, _ in plain] == [seen for seen, _ in chunks] == [3, 7, 11, 15, 19, 23]
    np.testing.assert_allclose([of for _, of in plain], [of for _, of in chunks], atol=1e-5)


def test_a_stream_keeps_no_frame(make_found):
    """What it allocates, 300 frames or 3000, is the same; and it ends nowhere."""
    found = make_found()
    frame = np.random.default_rng(0).integers(0, 256, (36, 36, 3), np.uint8)
    predictions = running.stream(found, horizon=2, groups_at_once=8)(frame.copy() for _ in itertools.count())
    next(predictions)
    tracemalloc.start()
    try:
        peaks = []
        for groups in (75, 675):
            tracemalloc.reset_peak()
            for _ in itertools.islice(predictions, groups):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000


def test_live_frames_are_those_of_the_file(video):
    expected = decoding.every_frame(video.read_bytes(), step=1, limits=errors.UNLIMITED)
    np.testing.assert_array_equal(list(live.frames(str(video), format='')), list(expected))


def write_on(pipe, content):
    with contextlib.suppress(BrokenPipeError):
        pipe.write(content)
        pipe.close()


@contextlib.contextmanager
def standard_input(content):
    """Within the block, standard input is a pipe with that content."""
    reader, writer = os.pipe()
    stdin = os.dup(0)
    try:
        os.dup2(reader, 0)
        with os.fdopen(writer, 'wb') as pipe:
            writing = threading.Thread(target=write_on, args=(pipe, content))
            writing.start()
            yield
            os.close(0)  # a writer that still has something to say hears that nobody listens
            writing.join()
    finally:
        os.dup2(stdin, 0)
        os.close(stdin), os.close(reader)


def test_pipes_are_read_to_their_end():
    with standard_input(make_video(20, format='matroska')):
        assert len(list(live.frames('-', format=''))) == 20


def test_an_mp4_on_a_pipe_is_one_line_with_what_helps():
    """Its index stands at its end, and a pipe is not read backwards."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 128, 128, 3), np.uint8)
    video = encode(noise, 30, quantizer=10, keyframe_interval=5)
    assert len(video) > 2**18  # more than is read ahead
    with standard_input(video):
        with pytest.raises(
            VideoError, match='cannot be read.*; a pipe takes what can be read forwards, such as -f nut'
        ):
            list(live.frames('-', format=''))


def test_a_named_pipe_is_no_video_to_be_read_as_a_whole(tmp_path):
    """And is not waited for."""
    os.mkfifo(tmp_path / 'fifo.mp4')
    with pytest.raises(VideoError, match='a file was expected, it is a pipe or a device; save it to one first'):
        whole.read(tmp_path / 'fifo.mp4')


def test_sources_need_not_end():
    frames = live.frames('testsrc=size=48x32', format='lavfi')
    assert {frame.shape for frame in itertools.islice(frames, 50)} == {(32, 48, 3)}
    frames.close()


def test_what_is_wrong_with_a_source_is_told(tmp_path, video):
    (tmp_path / 'note.txt').write_text('hello')
    for source, reason in (('nowhere.mp4', Reason.MISSING), ('note.txt', Reason.UNREADABLE), ('', Reason.UNREADABLE)):
        with pytest.raises(VideoError) as caught:
            list(live.frames(str(tmp_path / source), format=''))
        assert caught.value.reason == reason
