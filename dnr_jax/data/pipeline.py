"""Batches of clips for training and evaluation, decoded by threads or by worker processes (Grain).

Every clip of a run has a number, and everything about it follows from that number and the seed: which video
it is taken from, which frames, which crop. Step k of training is made of the numbers from k times the global
batch size on. So the position in the data is the step, whatever the number of workers, and however the batch
is divided over hosts.
"""

import dataclasses
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import grain
import numpy as np
from absl import flags

from dnr_jax.data import sampling, transforms
from dnr_jax.data.decoding import VideoError, read_frames
from dnr_jax.data.source import VideoSource

Batch = dict[str, np.ndarray]


def train_batches(
    source: VideoSource,
    *,
    frames: int,
    stride: int,
    short_side: int,
    size: int,
    scales: Sequence[float],
    max_scale_gap: int,
    flip: float,
    batch_size: int,
    seed: int,
    start_step: int,
    workers: int,
    shard_index: int,
    shard_count: int,
) -> 'Batches':
    """Endless shuffled batches for training, from step `start_step` on.

    Every epoch has another order; a batch may hold the end of one epoch and the beginning of the next.

    Args:
      source: the videos.
      frames: frames in a clip, T.
      stride: frames from one to the next.
      short_side: pixels that frames are resized to before cropping.
      size: height and width of a clip.
      scales: sizes of the crops, relative to the short side.
      max_scale_gap: how many ranks the scales of height and width may differ by.
      flip: probability of mirroring left and right.
      batch_size: clips in a batch of this process, B.
      seed: of the order and of all draws.
      start_step: number of batches to pass over; costs nothing.
      workers: processes that decode; 0 decodes in threads of this one.
      shard_index: number of this process. The batches of all shards of one step, one after the other, are the
        global batch, which depends on its size but not on the number of shards.
      shard_count: number of processes.

    Returns:
      An iterator of `{'clip': uint8 [B T H W C], 'label': int32 [B], 'mask': bool [B], 'id': str [B]}`.

    Raises:
      ValueError: for numbers out of range. Reading may raise VideoError, with the id of the video, and
        ValueError for a damaged file or a crop that does not fit.
    """
    _check(batch_size, workers, shard_index, shard_count)
    if seed < 0 or start_step < 0 or not 0 <= flip <= 1:
        raise ValueError(f'seed and start_step start at 0, flip is a probability, got {seed=}, {start_step=}, {flip=}.')
    load = _TrainClip(
        source,
        seed,
        functools.partial(sampling.train_indices, frames=frames, stride=stride),
        functools.partial(
            transforms.train_view,
            short_side=short_side,
            size=size,
            scales=tuple(scales),
            max_scale_gap=max_scale_gap,
            flip=flip,
        ),
    )
    # Grain orders epoch e by seed + e: hashed, so that the next seed is not this one's next epoch.
    order_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    clips = grain.MapDataset.range(len(source)).shuffle(seed=order_seed).repeat().map_with_index(load)
    batches = clips.batch(batch_size, drop_remainder=True)
    return Batches(batches[start_step * shard_count + shard_index :: shard_count], workers)


def eval_batches(
    source: VideoSource,
    *,
    frames: int,
    stride: int,
    clips: int,
    crops: int,
    short_side: int,
    size: int,
    batch_size: int,
    workers: int,
    shard_index: int,
    shard_count: int,
) -> 'EvalBatches':
    """Every video exactly once over all shards, each as V = `clips` * `crops` views.

    Args:
      source: the videos.
      frames: frames in a clip, T.
      stride: frames from one to the next.
      clips: clips spread over each video.
      crops: 1 (centre) or 3 (along the long side) of every clip.
      short_side: pixels that frames are resized to before cropping.
      size: height and width of a clip.
      batch_size: videos in a batch of this process, B.
      workers: processes that decode; 0 decodes in threads of this one.
      shard_index: number of this process.
      shard_count: number of processes; all have the same number of batches.

    Returns:
      An iterator, with a length, of `{'clip': uint8 [B V T H W C], 'label': int32 [B], 'mask': bool [B],
      'id': str [B]}`; view v is crop v % crops of clip v // crops. Where the videos do not fill the last
      batches, mask is False, clip and label are 0 and id is ''.

    Raises:
      ValueError: for numbers out of range. Reading may raise VideoError, with the id of the video, and
        ValueError for a damaged file or a crop that does not fit.
    """
    _check(batch_size, workers, shard_index, shard_count)
    if crops not in (1, 3):
        raise ValueError(f'crops is 1 (centre) or 3 (along the long side), got {crops}.')
    load = _EvalClips(
        source=source, frames=frames, stride=stride, clips=clips, crops=crops, short_side=short_side, size=size
    )
    global_batch_size = batch_size * shard_count
    steps = -(-len(source) // global_batch_size)
    batches = grain.MapDataset.range(steps * global_batch_size).map(load).batch(batch_size)
    return EvalBatches(batches[shard_index::shard_count], workers)


class LoaderError(Exception):
    """Reading cannot go on."""


class Batches:
    """An iterator over batches, which are made in the background. Close it to end its workers."""

    def __init__(self, batches: grain.MapDataset, workers: int):
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads absl flags, which only absl programs parse
        self._length = len(batches)
        if workers:
            # A worker makes one batch at a time, and is one batch ahead.
            batches = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
            options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
            batches = batches.mp_prefetch(options, worker_init_fn=_start_worker)
        else:
            cv2.setNumThreads(0)
            threads = max(2, os.cpu_count() or 1)
            options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
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
            if 'terminated unexpectedly' not in str(error):
                raise
            raise LoaderError(
                f'A loader process has died: {error}. Often memory has run out: fewer config.run.workers take less.'
            ) from error

    def close(self) -> None:
        """Ends the threads or processes. No batch can be taken afterwards."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None  # left to the end of the program, Grain's finalizer would come too late


class EvalBatches(Batches):
    """Batches that come to an end; `len()` is their number."""

    def __len__(self) -> int:
        return self._length


@dataclasses.dataclass(frozen=True)
class _TrainClip:
    source: VideoSource
    seed: int
    sample: Callable[..., np.ndarray]
    view: Callable[..., np.ndarray]

    def __call__(self, number: int, position: int) -> Batch:
        """Clip `number` of the run, taken from record `position`."""
        rng = np.random.default_rng((self.seed, number))
        record = self.source[position]
        clip = _read(self.source, record, self.sample(record['num_frames'], rng=rng))
        return _element(self.view(clip, rng=rng), label=record['label'], id=record['id'], mask=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _EvalClips:
    source: VideoSource
    frames: int
    stride: int
    clips: int
    crops: int
    short_side: int
    size: int

    def __call__(self, number: int) -> Batch:
        """All views of record `number`, padding if there is no such record."""
        shape = (self.clips * self.crops, self.frames, self.size, self.size, 3)
        if number >= len(self.source):
            return _element(np.zeros(shape, np.uint8), label=0, id='', mask=False)
        record = self.source[number]
        indices = sampling.eval_indices(record['num_frames'], frames=self.frames, stride=self.stride, clips=self.clips)
        clips = _read(self.source, record, indices.reshape(-1))  # at once: no frame is decoded twice
        views = transforms.eval_views(clips, short_side=self.short_side, size=self.size, crops=self.crops)
        views = views.reshape(self.crops, self.clips, *shape[1:]).swapaxes(0, 1).reshape(shape)
        return _element(views, label=record['label'], id=record['id'], mask=True)


def _read(source: VideoSource, record: Mapping[str, Any], indices: np.ndarray) -> np.ndarray:
    try:
        return read_frames(record['video'], indices)
    except VideoError as error:
        raise VideoError(f"Video '{record['id']}' of {source.name}: {error}") from error


def _element(clip: np.ndarray, *, label: int, id: str, mask: bool) -> Batch:
    return {'clip': clip, 'label': np.int32(label), 'mask': np.bool_(mask), 'id': np.str_(id)}


def _check(batch_size: int, workers: int, shard_index: int, shard_count: int) -> None:
    if batch_size < 1 or workers < 0 or not 0 <= shard_index < shard_count:
        raise ValueError(
            'Expected batch_size >= 1, workers >= 0 and 0 <= shard_index < shard_count, '
            f'got {batch_size=}, {workers=}, {shard_index=}, {shard_count=}.'
        )


def _start_worker(worker_index: int, worker_count: int) -> None:
    """Sets up a worker process: no threads of its own, and an end together with its parent."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes its workers
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:  # a killed parent cannot close its workers
        time.sleep(1)
    os._exit(1)
