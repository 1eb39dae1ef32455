"""What a model makes of a video while it goes on: predictions of what has been seen until then.

There are two ways, with one result, pairs (frames seen, logits [K]) in order of time:

    stream       a causal network carries what it knows, see `streaming.endless`: constant memory, every frame read once
    look back    any network reads a clip that ends here: of its window where sampling is dense, else of all so far

Both take the centre crop of the test protocol.

Axes: N moments, V views (one), T frames of a clip or group, H W space, S side of a crop, C channels,
K classes.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8
from ml_collections import ConfigDict

from dnr_jax import parallel, streaming
from dnr_jax.data import storage
from dnr_jax.data.sampling import SAMPLINGS, as_taken, pace_of_streams
from dnr_jax.data.transforms import Box, eval_views, shown_by_centre
from dnr_jax.data.video import decoding, encoding
from dnr_jax.data.video.errors import FILMED, VideoError
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.files import AnyPath
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.predict.whole import AS_IT_IS, read
from dnr_jax.runs.trained_model import Trained
from dnr_jax.streaming import endless

Frame = UInt8[np.ndarray, 'H W C']
Running = tuple[int, Float[np.ndarray, 'K']]

GROUPS_AT_ONCE = 8
MOST_MOMENTS = 100  # of one video, to bound what looking back costs
CLIPS_AT_ONCE = 8  # of a device


def follow(found: Trained, *, mesh: parallel.Mesh) -> tuple[Callable[[AnyPath], Iterable[Running]], str]:
    """(path -> its running predictions, by the way that the network allows; that way in words).

    Reading raises VideoError for a video that cannot be read.
    """
    try:
        predict = stream(found, horizon=groups_of_clip(found), groups_at_once=GROUPS_AT_ONCE)
    except ValueError as refused:
        window = f'the last {window_of(found.config)} frames' if window_of(found.config) else 'all frames so far'
        return look_back(found, mesh=mesh), f'a clip of {window} at every moment. {refused}'
    return lambda path: predict(every_frame(path)), 'streamed, frame group by frame group'


def every_frame(path: AnyPath) -> Iterator[Frame]:
    """The frames of a video one by one; VideoError if it cannot be read."""
    record = read(path)
    if len(record['frame_ends']):  # a folder of images
        return (storage.read_frames(record, [i], AS_IT_IS.frame_step)[0] for i in range(record['num_frames']))
    return decoding.every_frame(record['video'], step=1, limits=FILMED)


def frame_rate(path: AnyPath) -> Fraction | int:
    """Frames of a video a second, those of `encoding.FPS` where it does not say."""
    rate = None if path.is_dir() else decoding.frame_rate(read(path)['video'], FILMED)
    return rate or encoding.FPS


def centre(clip: UInt8[np.ndarray, 'T H W C'], config: ConfigDict) -> UInt8[np.ndarray, 'T S S C']:
    """The centre crop that the test protocol takes of frames."""
    return eval_views(clip, short_side=config.test.short_side, size=config.test.size, crops=1)[0]


def seen_of(height: int, width: int, config: ConfigDict) -> Box:
    """The part of frames of that size that `centre` shows, in their own pixels."""
    return shown_by_centre(height, width, short_side=config.test.short_side, size=config.test.size)


def window_of(config: ConfigDict) -> int | None:
    """Frames of a video that a clip spans; None where it spans all of them."""
    return config.clip.frames * pace_of_streams(**config.clip) if 'stride' in as_taken(**config.clip) else None


def stream(found: Trained, *, horizon: int, groups_at_once: int) -> Callable[[Iterable[Frame]], Iterator[Running]]:
    """What predicts from frames as they come, without end: one prediction for each frame group of the relay.

    Args:
      horizon: groups that a prediction looks back over, see `streaming.endless`; 0 for all.
      groups_at_once: that pass the network in one call; fewer answer sooner, more are faster.
    Raises ValueError, with the reason, for a network that cannot be streamed without end.
    """
    pixels, size = found.config.pixels.to_dict(), found.config.test.size
    group = 1, streaming.frames_per_group(found.model), size, size, 3
    variables = jax.tree.map(jnp.asarray, jax.device_get(found.variables))  # on one device, as the carry
    carry = endless.init(found.model, variables, group, horizon=horizon)

    @jax.jit
    def advance(variables, carry, groups):
        groups = normalize_pixels(groups, **pixels)
        return endless.steps(found.model, variables, carry, groups, horizon=horizon)

    return partial(_stream, found, partial(advance, variables), carry, groups_at_once)


def _stream(
    found: Trained, advance: Callable, carry: streaming.Carry, at_once: int, frames: Iterable[Frame]
) -> Iterator[Running]:
    config, length, done = found.config, streaming.frames_per_group(found.model), 0
    every = pace_of_streams(**config.clip)
    looked_at = (centre(frame[None], config) for number, frame in enumerate(frames) if number % every == 0)
    groups = (np.concatenate(group) for group in parts(looked_at, length) if len(group) == length)
    for some in parts(groups, at_once):
        lacking = [np.zeros_like(some[0])] * (at_once - len(some))  # one size, one program
        carry, logits = advance(carry, np.stack(some + lacking)[:, None])
        for of_group in np.asarray(logits)[: len(some), 0]:
            done += 1
            yield (done * length - 1) * every + 1, of_group


def parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items by so many, the last part with what is left; an error in them comes after what came before it."""
    part, failed = [], None
    try:
        for item in items:
            part.append(item)
            if len(part) == size:
                yield part
                part = []
    except VideoError as error:
        failed = error
    if part:
        yield part
    if failed:
        raise failed


def groups_of_clip(found: Trained) -> int:
    """Frame groups in a clip."""
    return streaming.groups_of(found.model, found.config.clip.frames)


def look_back(found: Trained, *, mesh: parallel.Mesh) -> Callable[[AnyPath], list[Running]]:
    """What predicts a video at moments along it, from one clip each; VideoError if it cannot be read."""
    predict = make_predict(found.config, found.model, mesh, found.config.test.views_at_once)
    return partial(_look_back, found, partial(_logits, predict, found.variables, mesh))


def _look_back(found: Trained, logits_of: Callable, path: AnyPath) -> list[Running]:
    moments = {seen: clip_until(seen, found.config) for seen in moments_of(read(path)['num_frames'], found.config)}
    wanted = set(np.concatenate(list(moments.values())).tolist())
    kept = {i: centre(frame[None], found.config) for i, frame in enumerate(every_frame(path)) if i in wanted}
    clips = np.stack([np.concatenate([kept[i] for i in indices.tolist()])[None] for indices in moments.values()])
    return list(zip(moments, logits_of(clips), strict=True))


def moments_of(frames: int, config: ConfigDict) -> list[int]:
    """Numbers of frames seen: at the pace of a clip, or slower for a long video, and the whole."""
    step = max(pace_of_streams(**config.clip), -(-frames // MOST_MOMENTS))
    return [*range(step, frames, step), frames]


def clip_until(seen: int, config: ConfigDict) -> Int[np.ndarray, 'T']:
    """The frames of the clip at the end of what has been seen."""
    start = max(seen - (window_of(config) or seen), 0)
    sample = SAMPLINGS[config.clip.sampling].evaluate
    return start + sample(seen - start, frames=config.clip.frames, stride=config.clip.stride, clips=1)


def _logits(
    predict: Callable, variables: Any, mesh: parallel.Mesh, clips: UInt8[np.ndarray, 'N V T H W C']
) -> Float[np.ndarray, 'N K']:
    """Of the one view of any number of videos, by parts of one size."""
    rows, found = CLIPS_AT_ONCE * mesh.size, []
    for first in range(0, len(clips), rows):
        part = clips[first : first + rows]
        lacking = np.zeros((rows - len(part), *part.shape[1:]), part.dtype)
        logits = predict(variables, parallel.place({'clip': np.concatenate([part, lacking])}, mesh))
        found.append(parallel.to_host(logits)[: len(part), 0])
    return np.concatenate(found)
