"""Random access to the records of a prepared data set."""

import bisect
import itertools
import os
import pathlib
from typing import Any

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader

from dnr_jax.data import builder_class
from dnr_jax.registry import choose


class VideoSource:
    """The records of one split: `len(source)`, and `source[i]` for i from 0.

    A record is a dict: `video` bytes, `label` int, `id` str, `num_frames` int, `parameters` str (JSON or
    empty).

    Attributes:
      name: data set, configuration and split, for messages.
      label_names: names of the classes, in the order of the labels.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        info = builder.info
        self.name = f'{info.full_name} {split}'
        self.label_names = tuple(info.features['label'].names)
        self._shards = info.splits[split].file_instructions
        if not self._shards:
            raise ValueError(f"Split '{split}' of {info.full_name} holds no record.")
        self._ends = list(itertools.accumulate(shard.take for shard in self._shards))
        self._records = builder.as_data_source(split)
        self._check_shards()

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f'{self.name} has {len(self)} records, got index {index}.')
        try:
            record = self._records[index]
        except RuntimeError as error:  # ArrayRecord checks a hash of every record
            shard = self._shards[bisect.bisect_right(self._ends, index)]
            raise _damaged(shard.filename, error) from error
        return record | {'id': record['id'].decode(), 'parameters': record['parameters'].decode()}

    def _check_shards(self) -> None:
        """Opens every file of the split once, which shows those that were cut short."""
        for shard in self._shards:
            try:
                reader = ArrayRecordReader(shard.filename)
                found = reader.num_records()
                reader.close()  # raises what went wrong since opening
            except RuntimeError as error:
                raise _damaged(shard.filename, error) from error
            if found != shard.examples_in_shard:
                raise _damaged(shard.filename, f'{shard.examples_in_shard} records expected, {found} found')


def open_split(name: str, dir: str | os.PathLike, split: str) -> VideoSource:
    """Opens one split of a prepared data set.

    Args:
      name: a key of DATASETS, if need be with a configuration: 'moving_shapes' or 'moving_shapes/tiny'.
      dir: the folder of all data sets.
      split: 'train', or anything of the TFDS split language, such as 'train[:10%]'.

    Raises:
      ValueError: if there is no such data set, configuration or split, if it is not prepared, or if a file of
        it is truncated or missing. A record that is damaged inside its file raises when it is read.
    """
    name, _, config = name.partition('/')
    cls = builder_class(name)
    if cls.builder_configs:
        config = config or next(iter(cls.builder_configs))
        choose(cls.builder_configs, config, f'configuration of {name}')
    dir = pathlib.Path(dir).expanduser()
    folder = dir / name / config / str(cls.VERSION)
    if not (folder / 'dataset_info.json').exists():
        with_config = f' --config {config}' if config else ''
        raise ValueError(
            f"No prepared data set in '{folder}'. To prepare it, run: "
            f'python -m dnr_jax.data.prepare {name}{with_config} --out {dir}'
        )
    return VideoSource(tfds.builder_from_directory(folder), split)


def _damaged(filename: str | os.PathLike, reason: object) -> ValueError:
    return ValueError(
        f"'{os.fspath(filename)}' is damaged: {reason}. Delete its folder and prepare the data set again."
    )
