"""Batches of clips for training and evaluation, decoded by threads or by worker processes (Grain).

Every clip of a run has a number, and everything about it follows from that number and the seed: which video
it is taken from, which frames, which crop. Step k of training is made of the numbers from k times the global
batch size on. So the position in the data is the step, whatever the number of workers, and however the batch
is divided over hosts.
"""

import dataclasses
import itertools
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import grain
import numpy as np
from absl import flags
from grain.python import SharedMemoryArray

from dnr_jax.data import storage
from dnr_jax.data.order import Order
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import DamagedRecord, VideoSource
from dnr_jax.data.transforms import TrainTransform, eval_views, mirrored_crops, train_transform
from dnr_jax.data.video.decoding import VideoError
from dnr_jax.data.workers import clean_up_in_silence, expect_importable_main, start_worker
from dnr_jax.registry import choose

Batch = dict[str, np.ndarray]
DAMAGED = ('stop', 'skip')
MOST_DAMAGED_IN_A_ROW = 100  # records passed over for one clip, before it is the disk that is damaged


def train_batches(
    source: VideoSource,
    *,
    sampling: str,
    frames: int,
    stride: int,
    repeats: int,
    damaged: str,
    batch_size: int,
    balanced_sampling: float | int,
    seed: int,
    start_step: int,
    workers: int,
    shard_index: int,
    shard_count: int,
    **augment: Any,
) -> 'Batches':
    """Endless shuffled batches for training, from step `start_step` on.

    Every epoch has another order; a batch may hold the end of one epoch and the beginning of the next.

    Args:
      source: the videos.
      sampling: which frames, a key of SAMPLINGS.
      frames: frames in a clip, T.
      stride: frames from one to the next.
      repeats: clips taken from a video each time it comes up, side by side in the batch, each drawn by itself.
      damaged: what to do about a record that cannot be read: 'stop', or 'skip' to the next record of the data set.
      batch_size: clips in a batch of this process, B.
      balanced_sampling: 0 reads every video once an epoch, 1 of every class as many, see `Order`.
      seed: of the order and of all draws.
      start_step: number of batches to pass over; costs nothing.
      workers: processes that decode; 0 decodes in threads of this one.
      shard_index: number of this process. The batches of all shards of one step, one after the other, are the
        global batch, which depends on its size but not on the number of shards.
      shard_count: number of processes.
      augment: of `train_transform`.

    Returns:
      An iterator of `{'clip': uint8 [B T H W C], 'label': int32 [B], 'mask': bool [B], 'id': str [B], 'damaged':
      int32 [B]}`, the last being the records passed over for a clip.

    Raises:
      ValueError: for numbers out of range or unknown words. Reading may raise DamagedRecord, with shard and id of the
        video, and ValueError for a crop that does not fit.
    """
    _check(batch_size, workers, shard_index, shard_count, damaged)
    _expect_stored(source, sampling, frames, stride)
    if seed < 0 or start_step < 0 or repeats < 1:
        raise ValueError(f'seed and start_step start at 0, repeats at 1, got {seed=}, {start_step=}, {repeats=}.')
    load = _TrainClip(
        source=source,
        reading=_reading(batch_size, workers, shard_count),
        order=Order(source, balanced_sampling, seed),
        repeats=repeats,
        seed=seed,
        sample=choose(SAMPLINGS, sampling, 'sampling').train,
        frames=frames,
        stride=stride,
        transform=train_transform(label_names=source.label_names, **augment),
        damaged=damaged,
    )
    stack = _stack_in_shared_memory if workers else None
    batches = grain.MapDataset.range(sys.maxsize).map(load).batch(batch_size, drop_remainder=True, batch_fn=stack)
    return Batches(batches[start_step * shard_count + shard_index :: shard_count], workers)


def eval_batches(
    source: VideoSource,
    *,
    sampling: str,
    frames: int,
    stride: int,
    clips: int,
    crops: int,
    short_side: int,
    size: int,
    damaged: str,
    batch_size: int,
    workers: int,
    shard_index: int,
    shard_count: int,
) -> 'EvalBatches':
    """Every video exactly once over all shards, each as V = `clips` * `crops` views.

    Args:
      source: the videos.
      sampling: which frames, a key of SAMPLINGS.
      frames: frames in a clip, T.
      stride: frames from one to the next.
      clips: clips spread over each video.
      crops: of every clip, see `eval_views`.
      short_side: pixels that frames are resized to before cropping.
      size: height and width of a clip.
      damaged: what to do about a record that cannot be read: 'stop', or 'skip' it.
      batch_size: videos in a batch of this process, B.
      workers: processes that decode; 0 decodes in threads of this one.
      shard_index: number of this process.
      shard_count: number of processes; all have the same number of batches.

    Returns:
      An iterator, with a length, of `{'clip': uint8 [B V T H W C], 'label': int32 [B], 'mask': bool [B],
      'id': str [B], 'damaged': int32 [B]}`; view v is crop v % crops of clip v // crops. Where a record is skipped,
      mask is False and damaged 1; where the videos do not fill the last batches, mask is False and id is ''.

    Raises:
      ValueError: for numbers out of range or unknown words. Reading may raise DamagedRecord, with shard and id of the
        video, and ValueError for a crop that does not fit.
    """
    _check(batch_size, workers, shard_index, shard_count, damaged)
    _expect_stored(source, sampling, frames, stride)
    sample = choose(SAMPLINGS, sampling, 'sampling').evaluate
    sample(1, frames=frames, stride=stride, clips=clips), mirrored_crops(crops)  # refuse what they cannot do
    load = _EvalClips(
        source=source,
        reading=_reading(batch_size, workers, shard_count),
        sample=sample,
        frames=frames,
        stride=stride,
        clips=clips,
        crops=crops,
        short_side=short_side,
        size=size,
        damaged=damaged,
    )
    global_batch_size = batch_size * shard_count
    steps = -(-len(source) // global_batch_size)
    stack = _stack_in_shared_memory if workers else None
    batches = grain.MapDataset.range(steps * global_batch_size).map(load).batch(batch_size, batch_fn=stack)
    return EvalBatches(batches[shard_index::shard_count], workers)


class LoaderError(Exception):
    """Reading cannot go on."""


_FULL_MEMORY = 'Often memory has run out: fewer config.run.workers take less.'
_FULL_SHARED_MEMORY = (
    'Shared memory, /dev/shm, is full: start the container with --shm-size=8g or --ipc=host, or set '
    'config.run.workers=0.'
)


class Batches:
    """An iterator over batches, which are made in the background. Close it to end its workers."""

    def __init__(self, batches: grain.MapDataset, workers: int):
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads absl flags, which only absl programs parse
        self._length = len(batches)
        if workers:
            expect_importable_main()
            clean_up_in_silence()
            # A worker makes one batch at a time, and is one batch ahead.
            batches = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
            options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
            batches = batches.mp_prefetch(options, worker_init_fn=start_worker)
        else:
            cv2.setNumThreads(0)
            options = grain.ReadOptions(num_threads=_threads(), prefetch_buffer_size=_threads())
            batches = batches.to_iter_dataset(options)
        self._iterator = iter(batches)
        self._iterator.start_prefetch()

    def __iter__(self) -> 'Batches':
        return self

    def __next__(self) -> Batch:
        if self._iterator is None:
            raise ValueError('These batches are closed.')
        try:
            return next(self._iterator)
        except RuntimeError as error:
            died = re.search(r'terminated unexpectedly with exit code (-?\d+)', str(error))
            if not died:
                raise
            remedy = _FULL_SHARED_MEMORY if int(died[1]) == -signal.SIGBUS else _FULL_MEMORY
            raise LoaderError(f'A loader process has died with exit code {died[1]}. {remedy}') from error

    def close(self) -> None:
        """Ends the threads or processes. No batch can be taken afterwards."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None  # left to the end of the program, Grain's finalizer would come too late


class EvalBatches(Batches):
    """Batches that come to an end; `len()` is their number."""

    def __len__(self) -> int:
        return self._length


class _Reading(NamedTuple):
    """How numbers of clips are divided over those that read them: `batch` in a row, and then again `after` so many."""

    one: int  # tells it from others
    batch: int
    after: int

    def ahead(self, source: VideoSource, number: int, position: Callable[[int], int | None]) -> None:
        """Before the first clip of a batch: fetches what is not here, of this batch and of the next one."""
        if number % self.batch == 0:
            for first in (number, number + self.after):
                found = map(position, range(first, first + self.batch))
                source.ahead((self.one, first), (each for each in found if each is not None))


_READINGS = itertools.count()


def _reading(batch_size: int, workers: int, shard_count: int) -> _Reading:
    return _Reading(next(_READINGS), batch_size, batch_size * shard_count * (workers or _threads()))


def _threads() -> int:
    """That read where there are no worker processes."""
    return max(2, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TrainClip:
    source: VideoSource
    reading: _Reading
    order: Order
    repeats: int
    seed: int
    sample: Callable[..., np.ndarray]
    frames: int
    stride: int
    transform: TrainTransform
    damaged: str

    def __call__(self, number: int) -> Batch:
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

    def _clip(self, number: int, position: int, passed_over: int) -> Batch:
        rng = np.random.default_rng((self.seed, number))
        record = self.source[position]
        indices = self.sample(record['num_frames'], frames=self.frames, stride=self.stride, rng=rng)
        clip, label = self.transform(_read(self.source, position, record, indices), record['label'], rng)
        return _element(clip, label=label, id=record['id'], mask=True, damaged=passed_over)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _EvalClips:
    source: VideoSource
    reading: _Reading
    sample: Callable[..., np.ndarray]
    frames: int
    stride: int
    clips: int
    crops: int
    short_side: int
    size: int
    damaged: str

    def __call__(self, number: int) -> Batch:
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


def _stack_in_shared_memory(elements: Sequence[Batch]) -> Batch:
    """A batch whose clips lie where the parent of this worker process reads them, without another copy."""
    batch = {key: np.stack([element[key] for element in elements]) for key in elements[0] if key != 'clip'}
    clips = [element['clip'] for element in elements]
    shared = SharedMemoryArray((len(clips), *clips[0].shape), clips[0].dtype)
    return batch | {'clip': np.stack(clips, out=shared)}


def _read(source: VideoSource, position: int, record: dict[str, Any], indices: np.ndarray) -> np.ndarray:
    try:
        return storage.read_frames(record, indices, source.frame_step)
    except VideoError as error:
        raise source.damaged(position, f"video '{record['id']}', {error}", id=record['id']) from error


def _element(clip: np.ndarray, *, label: int, id: str, mask: bool, damaged: int) -> Batch:
    return {
        'clip': clip,
        'label': np.int32(label),
        'mask': np.bool_(mask),
        'id': np.str_(id),
        'damaged': np.int32(damaged),
    }


def _expect_stored(source: VideoSource, sampling: str, frames: int, stride: int) -> None:
    """Raises ValueError where a window would not be evenly spaced, for only every so many frames are stored."""
    distance = choose(SAMPLINGS, sampling, 'sampling').pace(frames=frames, stride=stride)
    if distance and distance % source.frame_step:
        raise ValueError(
            f'{source.name} holds every {source.frame_step}th frame, and {sampling} sampling takes every {distance}th: '
            f'expected a multiple of {source.frame_step}. Change config.clip.stride, or --frame_step when preparing.'
        )


def _check(batch_size: int, workers: int, shard_index: int, shard_count: int, damaged: str) -> None:
    choose(dict.fromkeys(DAMAGED), damaged, 'treatment of damaged records')
    if batch_size < 1 or workers < 0 or not 0 <= shard_index < shard_count:
        raise ValueError(
            'Expected batch_size >= 1, workers >= 0 and 0 <= shard_index < shard_count, '
            f'got {batch_size=}, {workers=}, {shard_index=}, {shard_count=}.'
        )
