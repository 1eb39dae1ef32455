"""What every data set of labelled videos shares: its features, and examples made by several processes."""

import itertools
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dnr_jax.bars import bar

Example = dict[str, Any]


def video_features(label_names: Sequence[str]) -> tfds.features.FeaturesDict:
    """The features of one video, none of which needs TensorFlow to be written or read.

    `video` holds the bytes of the original file, so nothing is lost and decoding takes only the frames it
    needs; `num_frames` is counted by decoding; `parameters` is JSON that says how the video was made, or
    empty.
    """
    return tfds.features.FeaturesDict(
        {
            'video': tfds.features.Tensor(shape=(), dtype=np.object_),
            'label': tfds.features.ClassLabel(names=list(label_names)),
            'id': tfds.features.Text(),
            'num_frames': np.int32,
            'parameters': tfds.features.Text(),
        }
    )


class VideoBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of labelled videos. A subclass says what there is (`_info`, `tasks`) and how one is made.

    Attributes:
      make_example: called with the values of a task; returns a unique key and the features. A function of a
        module that imports little, since every worker process imports that module.
    """

    make_example: Callable[..., tuple[str, Example]]
    url_infos = None  # nothing to download; looking for checksums would need a package TFDS does not declare

    def __init__(self, *, workers: int = 0, **kwargs: Any):
        """Takes the number of processes that make examples; 0 makes them in this one."""
        super().__init__(**kwargs)
        self._workers = workers
        self._progress = None

    def tasks(self) -> Mapping[str, Sequence[tuple]]:
        """For every split, the arguments of `make_example` for each of its examples."""
        raise NotImplementedError

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[str, Example]]]:
        splits = self.tasks()
        self._progress = bar(sum(map(len, splits.values())), self.info.full_name, ' clips', leave=True)
        return {split: self._generate_examples(tasks) for split, tasks in splits.items()}

    def _generate_examples(self, tasks: Sequence[tuple]) -> Iterator[tuple[str, Example]]:
        try:
            for example in parallel_map(self.make_example, tasks, workers=self._workers):
                self._progress.update()
                yield example
        finally:
            if self._progress.n == self._progress.total or sys.exception():
                self._progress.close()


def parallel_map(function: Callable[..., Any], tasks: Iterable[tuple], *, workers: int) -> Iterator[Any]:
    """`function(*task)` for each task, in order, by as many processes; 0 uses none."""
    if workers == 0:
        yield from itertools.starmap(function, tasks)
        return
    # A forked child may hang on a lock that some other thread of its parent held, so start afresh.
    with multiprocessing.get_context('spawn').Pool(workers) as pool:
        yield from pool.imap(_Starred(function), tasks, chunksize=8)


class _Starred:
    """A function of a tuple instead of its values, that can be sent to another process."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, task: tuple) -> Any:
        return self._function(*task)
