"""Random access to the records of a prepared data set."""

import bisect
import copy
import errno
import itertools
import os
import re
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from ml_collections import ConfigDict

from dnr_jax.data import builder_class, inventory, metadata, ranges, shards
from dnr_jax.data.annotations.rows import DUPLICATE_ID
from dnr_jax.data.builders.video import VERSION
from dnr_jax.data.cache import Cache, cache_folder
from dnr_jax.data.video.errors import Reason
from dnr_jax.data.videos import DamagedRecord, Videos
from dnr_jax.files import AnyPath, as_path, is_remote, machine, signature
from dnr_jax.registry import choose

KINDS = {'video': bytes, 'frame_ends': np.ndarray, 'label': int, 'id': str, 'num_frames': int, 'parameters': str}


class VideoSource(Videos):
    """The records of one split.

    Attributes:
      name: data set, configuration and split, for messages. split: as it was asked for.
      own_names: of the classes of the data set itself, which are others where `of_classes` has given it others.
      expected: videos that the annotations list for this split, with those that could not be prepared; None for a part
        of a split, of which that is not known.
      failures: why these could not.
      unlabelled: how many videos of the whole split have no label, but -1.
      fingerprint: hash of ids and labels of the whole split.
    """

    def __init__(self, folder: AnyPath, split: str, cache: int = 0):
        """`cache`: bytes of this disk for records of a bucket, of all processes of this host together."""
        builder, found, rejected = metadata.read(folder)
        info = builder.info
        self.name, self.split = f'{info.full_name} {split}', split
        self.own_names = self.label_names = tuple(info.features['label'].names)
        self._labels = tuple(range(len(self.own_names)))  # of its own, as they are in `label_names`
        parts = self._parts(split, info)
        self._shards = info.splits[split].file_instructions
        if not self._shards:
            raise ValueError(f"Split '{split}' of {info.full_name} holds no record.")
        self._ends = list(itertools.accumulate(shard.take for shard in self._shards))
        self._ranges = self._read_ends(cache) if is_remote(folder) else None
        if self._ranges is None:
            self._records = builder.as_data_source(split)
            self._signatures, self._known = self._check_shards(), set()
        self._features = info.features
        counts = [found['splits'][part] for part in parts]
        self.frame_step = found['frame_step']
        self.fingerprint = '+'.join(count['fingerprint'] for count in counts)
        self.unlabelled = sum(count['unlabelled'] for count in counts)
        self.failures = tuple(row for row in rejected if row.split in parts and row.reason != DUPLICATE_ID)
        self.expected = len(self) + len(self.failures)
        if '[' in split:
            self.expected, self.failures = None, ()

    def __len__(self) -> int:
        return self._ends[-1]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {'_known': set()}  # another process opens the files for itself

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f'{self.name} has {len(self)} records, got index {index}.')
        if self._ranges is None:
            self._expect_same_file(bisect.bisect_right(self._ends, index))
        try:  # ArrayRecord checks a hash of every record
            record = self._records[index] if self._ranges is None else self._decoded(self._ranges[index])
            record |= {key: record[key].decode() for key in ('id', 'parameters')}
            self._expect_video(record)
            record['label'] = self._label(record['label'])
        except (OSError, MemoryError):  # of the machine
            raise
        except Exception as error:  # many kinds, by what is damaged
            raise machine.behind(error, self._file_of(index)) or self.damaged(index, error) from error
        return record

    def ahead(self, batch: Hashable, positions: Iterable[int]) -> None:
        """Begins to fetch the records of a batch that is read soon, where they lie in a bucket; see `ranges`."""
        if self._ranges is not None:
            self._ranges.ahead(batch, positions)

    @property
    def labels(self) -> np.ndarray:
        """Those of all records, [N], -1 where one is not known. No record is read for them, but what stands beside."""
        with ThreadPoolExecutor(ranges.AT_ONCE) as threads:
            recorded = threads.map(shards.recorded, [as_path(of.filename) for of in self._shards])
        taken = zip(recorded, map(_part, self._shards), strict=True)
        return np.array([self._label(label) for records, part in taken for _, label in records[part]])

    def _label(self, own: int) -> int:
        return self._labels[own] if own >= 0 else -1

    def of_classes(self, label_names: Sequence[str]) -> 'VideoSource':
        """The same videos with the labels that their classes have among these; -1 where a class is none of them."""
        numbers = {name: number for number, name in enumerate(label_names)}
        other = copy.copy(self)
        other.label_names, other._labels = tuple(label_names), tuple(numbers.get(name, -1) for name in self.own_names)
        return other

    def damaged(self, index: int, what: object, id: str = '') -> DamagedRecord:
        """The error for a record that cannot be read; names its file."""
        error = DamagedRecord(
            f"Record {index} of {self.name}, in '{self._file_of(index)}', is damaged: {what} Prepare the data set "
            'again, or leave out what is damaged with --config.data.damaged=skip.',
            Reason.DAMAGED,
        )
        error.id = id
        return error

    def _expect_same_file(self, shard: int) -> None:
        """ValueError where a file is another one than when the split was opened, before it is read in this process."""
        if shard in self._known:
            return
        file = self._shards[shard].filename
        try:
            same = signature(file) == self._signatures[shard]
        except OSError:  # as reading will tell
            return
        if not same:
            raise ValueError(
                f"'{os.fspath(file)}' is not the file that it was when {self.name} was opened: the data set was "
                'refreshed or prepared anew meanwhile. Start again, to read it as it is now.'
            )
        self._known.add(shard)

    def _expect_video(self, record: dict[str, Any]) -> None:
        """Raises ValueError for a record whose features are not those of a video."""
        for key, kind in KINDS.items():
            if not isinstance(record[key], kind):
                raise ValueError(f'{key} is {type(record[key]).__name__}, expected {kind.__name__}.')
        if not -1 <= record['label'] < len(self.own_names) or record['num_frames'] < 1:
            raise ValueError(f'label {record["label"]}, {record["num_frames"]} frames.')

    def _file_of(self, index: int) -> str:
        return os.fspath(self._shards[bisect.bisect_right(self._ends, index)].filename)

    @staticmethod
    def _parts(split: str, info: tfds.core.DatasetInfo) -> list[str]:
        """The splits that an expression of the TFDS split language is made of; ValueError if there is none such."""
        parts = parts_of(split)
        if not parts or not set(parts) <= set(info.splits):
            known = ', '.join(f'{name} ({info.splits[name].num_examples:,})' for name in info.splits)
            raise ValueError(
                f"{info.full_name} has no split '{split}', but {known}. Choose config.data.train_split, "
                "config.validation.split and config.test.split among them; 'train[:90%]' and 'train[90%:]' are parts."
            )
        return parts

    def _decoded(self, record: bytes) -> dict[str, Any]:
        return self._features.deserialize_example_np(record)

    def _read_ends(self, cache: int) -> ranges.Records:
        """Of every file of the split, which shows those that were cut short, and where their records are."""
        indices, paths = [], [as_path(shard.filename) for shard in self._shards]
        found = ranges.read_indices(paths)
        for shard in self._shards:
            try:
                indices.append(next(found))
            except ValueError as error:
                raise _damaged(shard.filename, error) from error
            if (count := len(indices[-1].begins) - 1) != shard.examples_in_shard:
                raise _damaged(shard.filename, f'{shard.examples_in_shard} records expected, {count} found')
        return ranges.Records(indices, list(map(_part, self._shards)), Cache(cache_folder(), cache))

    def _check_shards(self) -> list[tuple[int, int]]:
        """The signatures of all files of the split. Opens each once, which shows those that were cut short."""
        signatures = []
        for shard in self._shards:
            try:
                reader = ArrayRecordReader(shard.filename)
                found = reader.num_records()
                reader.close()  # raises what went wrong since opening
            except RuntimeError as error:
                trouble = machine.behind(error, shard.filename)
                if trouble is None or trouble.errno == errno.ENOENT:
                    raise _damaged(shard.filename, error) from error
                raise trouble from error
            if found != shard.examples_in_shard:
                raise _damaged(shard.filename, f'{shard.examples_in_shard} records expected, {found} found')
            signatures.append(signature(shard.filename))
        return signatures


def _part(shard: Any) -> slice:
    """Of the records of a shard, those that belong to the split."""
    return slice(shard.skip, shard.skip + shard.take)


def parts_of(split: str) -> list[str]:
    """The splits that an expression of the TFDS split language names: ['train', 'test'] of 'train[:80%]+test'."""
    return re.findall(r'(?:^|\+)\s*([^\[\]+\s]+)', split)


def open_split(name: str, dir: str | os.PathLike, split: str, cache: int = 0) -> VideoSource:
    """Opens one split of a prepared data set.

    Args:
      name: a key of DATASETS, if need be with what it was prepared as: 'moving_shapes' or 'kinetics400/jpeg256'.
      dir: the folder of all data sets.
      split: 'train', or anything of the TFDS split language, such as 'train[:10%]'.
      cache: bytes of this disk for records of a bucket, of all processes of this host together; 0 keeps none.

    Raises:
      ValueError: if there is no such data set, configuration or split, if it is not prepared, or if a file of
        it is truncated or missing. A record that is damaged inside its file raises when it is read.
    """
    return VideoSource(find_folder(name, dir), split, cache)


def split_of(data: ConfigDict, split: str) -> VideoSource:
    """A split of the data set that the section `data` of a config names, see `open_split`."""
    return open_split(data.name, data.dir, split, data.cache)


def find_folder(name: str, dir: str | os.PathLike) -> AnyPath:
    """The folder of a prepared data set, see `open_split`."""
    name, _, config = name.partition('/')
    cls = builder_class(name)
    dir = as_path(dir).expanduser()
    prepared = {path.parts[-3]: path.parent for path in sorted(dir.glob(f'{name}/*/{VERSION}/{inventory.INVENTORY}'))}
    config = config or cls.default_config or (next(iter(prepared)) if len(prepared) == 1 else '')
    if config in prepared:
        return prepared[config]
    if prepared and not config:
        raise ValueError(
            f"'{name}' is prepared as {', '.join(prepared)} in '{dir}': say which, as in {name}/{next(iter(prepared))}."
        )
    if cls.default_config is None:
        variant = config.rpartition('-')[0]
        how = f'{name}{variant and " --variant "}{variant} --source FOLDER_OF_VIDEOS'
    else:
        choose(cls.builder_configs, config, f'configuration of {name}')
        how = f'{name} --variant {config}'
    known = f' (there is {", ".join(prepared)})' if prepared else ''
    raise ValueError(
        f"No prepared data set {name}{config and '/'}{config} in '{dir}'{known}. To prepare it, run: "
        f'python -m dnr_jax.data.prepare {how} --out {dir}'
    )


def _damaged(filename: str | os.PathLike, reason: object) -> ValueError:
    return ValueError(
        f"'{os.fspath(filename)}' is damaged: {reason}. Delete its folder and prepare the data set again."
    )
