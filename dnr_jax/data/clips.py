"""The clip of a number: everything about it follows from the number and the seed.

    training    video = order(epoch)[place], epoch and place by number // repeats; frames and crop by (seed, number)
    evaluation  video = number, with all its views

So a clip is the same whoever reads it, and in whatever batch it comes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dnr_jax.data import storage
from dnr_jax.data.order import Order
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import VideoSource
from dnr_jax.data.transforms import TrainTransform, eval_views
from dnr_jax.data.video.errors import VideoError
from dnr_jax.data.videos import DamagedRecord, Videos
from dnr_jax.registry import choose

Clip = dict[str, np.ndarray]  # one of a `pipeline.Batch`
DAMAGED = ('stop', 'skip')
MOST_DAMAGED_IN_A_ROW = 100  # records passed over for one clip, before it is the disk that is damaged


class Reading(NamedTuple):
    """How numbers of clips are divided over those that read them: `batch` in a row, and then again `after` so many."""

    one: int  # tells it from others
    batch: int
    after: int

    def ahead(self, source: Videos, number: int, position: Callable[[int], int | None]) -> None:
        """Before the first clip of a batch: fetches what is not here, of this batch and of the next one."""
        if number % self.batch == 0:
            for first in (number, number + self.after):
                found = map(position, range(first, first + self.batch))
                source.ahead((self.one, first), (each for each in found if each is not None))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainClip:
    """Number to clip of training."""

    source: VideoSource
    reading: Reading
    order: Order
    repeats: int
    seed: int
    sample: Callable[..., np.ndarray]
    frames: int
    stride: int
    transform: TrainTransform
    damaged: str

    def __call__(self, number: int) -> Clip:
        """Clip `number` of the run. In the place of a damaged record stands the next one that is not."""
        self.reading.ahead(self.source, number, self._position)
        position, passed_over = self._position(number), 0
        while True:
            try:
                return self._clip(number, (position + passed_over) % len(self.source), passed_over)
            except DamagedRecord:
                passed_over += 1
                if self.damaged == 'stop' or passed_over > min(MOST_DAMAGED_IN_A_ROW, len(self.source) - 1):
                    raise

    def _position(self, number: int) -> int:
        epoch, place = divmod(number // self.repeats, len(self.source))
        return int(self.order(epoch)[place])

    def _clip(self, number: int, position: int, passed_over: int) -> Clip:
        rng = np.random.default_rng((self.seed, number))
        record = self.source[position]
        indices = self.sample(record['num_frames'], frames=self.frames, stride=self.stride, rng=rng)
        clip, label = self.transform(_read(self.source, position, record, indices), record['label'], rng)
        return _element(clip, label=label, id=record['id'], mask=True, damaged=passed_over)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalClips:
    """Number to all views of a video, V = clips * crops."""

    source: Videos
    reading: Reading
    sample: Callable[..., np.ndarray]
    frames: int
    stride: int
    clips: int
    crops: int
    short_side: int
    size: int
    damaged: str

    def __call__(self, number: int) -> Clip:
        """All views of record `number`; zeros if there is no such record, or if it is damaged."""
        nothing = np.zeros((self.clips * self.crops, self.frames, self.size, self.size, 3), np.uint8)
        self.reading.ahead(self.source, number, lambda of: of if of < len(self.source) else None)
        if number >= len(self.source):
            return _element(nothing, label=0, id='', mask=False, damaged=0)
        try:
            record = self.source[number]
            clip = self._views(number, record)
        except DamagedRecord as error:
            if self.damaged == 'stop':
                raise
            return _element(nothing, label=0, id=error.id or f'record {number}', mask=False, damaged=1)
        return _element(clip, label=record['label'], id=record['id'], mask=True, damaged=0)

    def _views(self, number: int, record: dict[str, Any]) -> np.ndarray:
        indices = self.sample(record['num_frames'], frames=self.frames, stride=self.stride, clips=self.clips)
        frames = _read(self.source, number, record, indices)  # of all clips at once: no frame is decoded twice
        views = eval_views(frames, short_side=self.short_side, size=self.size, crops=self.crops)
        views = views.reshape(self.crops, self.clips, self.frames, self.size, self.size, 3)
        return views.swapaxes(0, 1).reshape(-1, *views.shape[2:])


def _read(source: Videos, position: int, record: dict[str, Any], indices: np.ndarray) -> np.ndarray:
    try:
        return storage.read_frames(record, indices, source.frame_step)
    except VideoError as error:
        raise source.damaged(position, f"video '{record['id']}', {error}", id=record['id']) from error


def _element(clip: np.ndarray, *, label: int, id: str, mask: bool, damaged: int) -> Clip:
    return {
        'clip': clip,
        'label': np.int32(label),
        'mask': np.bool_(mask),
        'id': np.str_(id),
        'damaged': np.int32(damaged),
    }


def expect_stored(source: Videos, sampling: str, frames: int, stride: int) -> None:
    """Raises ValueError where a window would not be evenly spaced, for only every so many frames are stored."""
    distance = choose(SAMPLINGS, sampling, 'sampling').pace(frames=frames, stride=stride)
    if distance and distance % source.frame_step:
        raise ValueError(
            f'{source.name} holds every {source.frame_step}th frame, and {sampling} sampling takes every {distance}th: '
            f'expected a multiple of {source.frame_step}. Change config.clip.stride, or --frame_step when preparing.'
        )
