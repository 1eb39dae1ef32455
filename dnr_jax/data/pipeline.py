"""Batches of clips for training and evaluation, decoded by threads or by worker processes (Grain).

Every clip of a run has a number (see `clips`). Step k of training is made of the numbers from k times the global
batch size on. So the position in the data is the step, whatever the number of workers, and however the batch
is divided over hosts.
"""

import itertools
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

import cv2
import grain
import numpy as np
from absl import flags
from grain.python import SharedMemoryArray

from dnr_jax.data import cores
from dnr_jax.data.clips import DAMAGED, Clip, EvalClips, Reading, TrainClip, expect_stored
from dnr_jax.data.order import Order
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import VideoSource
from dnr_jax.data.transforms import mirrored_crops, train_transform
from dnr_jax.data.videos import Videos
from dnr_jax.data.workers import clean_up_in_silence, expect_importable_main, start_worker
from dnr_jax.registry import choose

Batch = dict[str, np.ndarray]
MOST_THREADS = 8  # each takes a batch of memory; where more cores are free, processes are to read


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
    expect_stored(source, sampling, frames, stride)
    if seed < 0 or start_step < 0 or repeats < 1:
        raise ValueError(f'seed and start_step start at 0, repeats at 1, got {seed=}, {start_step=}, {repeats=}.')
    load = TrainClip(
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
    source: Videos,
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
    expect_stored(source, sampling, frames, stride)
    sample = choose(SAMPLINGS, sampling, 'sampling').evaluate
    sample(1, frames=frames, stride=stride, clips=clips), mirrored_crops(crops)  # refuse what they cannot do
    load = EvalClips(
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
    """An iterator over batches, which are made in the background. Close it to end its workers.

    Attributes:
      readers: threads or processes that make a batch each at the same time, so that as many may be ready together.
    """

    def __init__(self, batches: grain.MapDataset, workers: int):
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads absl flags, which only absl programs parse
        self._length = len(batches)
        self.readers = workers or _threads()
        if workers:
            expect_importable_main()
            clean_up_in_silence()
            # A worker makes one batch at a time, and is one batch ahead.
            batches = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
            options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
            batches = batches.mp_prefetch(options, worker_init_fn=start_worker)
        else:
            cv2.setNumThreads(0)
            options = grain.ReadOptions(num_threads=self.readers, prefetch_buffer_size=self.readers)
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


_READINGS = itertools.count()


def _reading(batch_size: int, workers: int, shard_count: int) -> Reading:
    return Reading(next(_READINGS), batch_size, batch_size * shard_count * (workers or _threads()))


def _threads() -> int:
    """That read where there are no worker processes; each holds a batch."""
    return min(max(2, cores.allotted()), MOST_THREADS)


def _stack_in_shared_memory(elements: Sequence[Clip]) -> Batch:
    """A batch whose clips lie where the parent of this worker process reads them, without another copy."""
    batch = {key: np.stack([element[key] for element in elements]) for key in elements[0] if key != 'clip'}
    clips = [element['clip'] for element in elements]
    shared = SharedMemoryArray((len(clips), *clips[0].shape), clips[0].dtype)
    return batch | {'clip': np.stack(clips, out=shared)}


def _check(batch_size: int, workers: int, shard_index: int, shard_count: int, damaged: str) -> None:
    choose(dict.fromkeys(DAMAGED), damaged, 'treatment of damaged records')
    if batch_size < 1 or workers < 0 or not 0 <= shard_index < shard_count:
        raise ValueError(
            'Expected batch_size >= 1, workers >= 0 and 0 <= shard_index < shard_count, '
            f'got {batch_size=}, {workers=}, {shard_index=}, {shard_count=}.'
        )
