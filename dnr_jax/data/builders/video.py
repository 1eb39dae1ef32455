"""What every data set of labelled videos shares: its features, and how it is written by many processes.

A subclass says which rows there are (`list_rows`) and how one of them becomes an example (`maker`). Rows are
written in shards (`data/shards.py`) into a folder `incomplete.*` beside the data set's own, which takes its name once
everything is there; a run that was interrupted goes on with the shards that are missing. A data set that is there is
refreshed in the same way: all of its shards are in the new folder from the beginning, but those that would differ.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from dnr_jax.command.bars import bar
from dnr_jax.command.terminal import tell
from dnr_jax.data import inventory, shards
from dnr_jax.data.annotations.rows import UNKNOWN_LABEL, Annotated, Rejected, Row
from dnr_jax.data.ranges import AT_ONCE
from dnr_jax.data.shards import Record
from dnr_jax.data.video.errors import VideoError
from dnr_jax.data.workers import GivenUp, guarded_map
from dnr_jax.files import AnyPath, as_path, held, is_remote, listed, removed, scratch_folder, written_whole

Example = dict[str, Any]
VERSION = '1.1.0'  # of the features and of the order on disk


def video_features(label_names: Sequence[str]) -> tfds.features.FeaturesDict:
    """The features of one video, none of which needs TensorFlow to be written or read.

    `video` holds the bytes of a file, or of JPEG frames one after the other, which end at `frame_ends` (empty for a
    file); decoding takes only the frames it needs. `num_frames` is that of the original video, counted by decoding;
    `label` is -1 where there is none; `parameters` is JSON that says how the video was made, or empty.
    """
    return tfds.features.FeaturesDict(
        {
            'video': tfds.features.Tensor(shape=(), dtype=np.object_),
            'frame_ends': tfds.features.Tensor(shape=(None,), dtype=np.int64),
            'label': tfds.features.ClassLabel(names=list(label_names)),
            'id': tfds.features.Text(),
            'num_frames': np.int32,
            'parameters': tfds.features.Text(),
        }
    )


class Effort(NamedTuple):
    """How a data set is prepared; what is written does not depend on it."""

    workers: int  # processes; 0 makes everything in this one
    seconds: float | int  # for one video, after which it is given up
    strict: bool  # whether the first row that is rejected ends it all
    beam: str | None  # command line of Apache Beam, in place of processes; None for none


class Info(tfds.core.DatasetInfo):
    """Also reads the metadata of a data set that is there already; ValueError if they are damaged.

    One that is not is no data set that TFDS has published, and is not looked for.
    """

    def initialize_from_bucket(self) -> None:
        pass  # TFDS would leave an empty temporary folder

    def read_from_directory(self, dataset_info_dir: str | os.PathLike) -> None:
        with inventory.told_as_damage(as_path(dataset_info_dir)):
            super().read_from_directory(dataset_info_dir)


class VideoBuilder(tfds.core.dataset_builder.FileReaderBuilder, skip_registration=True):
    """A data set of labelled videos.

    Attributes:
      default_config: the configuration that a name alone stands for; None where it is the one that is prepared.
      trained_by: name of the file in configs/ that trains on it.
    """

    VERSION = tfds.core.Version(VERSION)
    url_infos = None  # nothing to download; looking for checksums would need a package TFDS does not declare
    default_config: str | None = None
    trained_by: str = 'videos'

    def list_rows(self) -> Annotated:
        """Class names, rows and what is rejected before anything is decoded."""
        raise NotImplementedError

    def maker(self, *, thorough: bool = False) -> Callable[[Row], Example]:
        """A function that can be sent to other processes and makes the features of a row, but for `id` and `label`.

        It raises VideoError for a row that cannot become a record. A thorough one reads every group of pictures in the
        way of a training, and not a few.
        """
        raise NotImplementedError

    def about(self) -> Mapping[str, Any]:
        """What else the inventory says of the data set."""
        return {'frame_step': 1}

    @functools.cached_property
    def annotated(self) -> Annotated:
        """The rows, read once."""
        return self.list_rows()

    def _info(self) -> tfds.core.DatasetInfo:
        return Info(builder=self, description=type(self).__doc__, features=video_features(self.annotated.label_names))

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        raise NotImplementedError('Use `prepare`.')

    def prepare(self, effort: Effort) -> dict[str, Any]:
        """Writes the whole data set, or what is missing of it; returns its inventory.

        One that is there already is refreshed: it stays until the new one takes its place, with which it shares all
        shards but those whose rows could fare better now.

        Raises:
          ValueError: with `effort.strict`, for the first row that is rejected; if another process is at it; or if no
            row has become a record.
        """
        folder = as_path(self.data_dir)
        if is_remote(folder):
            return self._prepare_in_bucket(folder, effort)
        unfinished = folder.with_name(f'incomplete.{folder.name}')
        unfinished.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            planned = self._plan()
            _share(folder, unfinished)
            self._write(planned, unfinished, effort)
            found = self._finish(planned, unfinished, effort.strict)
            if (folder / inventory.INVENTORY).exists():
                folder.rename(unfinished / _REPLACED)
            unfinished.rename(folder)
        shutil.rmtree(folder / _REPLACED, ignore_errors=True)
        kept = {f'{shard.file}{suffix}' for shard in planned for suffix in ('', '.json')}
        for leftover in folder.glob('.*'), folder.glob('*.array_record-*'):
            for path in leftover:
                if path.name not in kept:
                    path.unlink()
        return found

    def _prepare_in_bucket(self, folder: AnyPath, effort: Effort) -> dict[str, Any]:
        """Likewise, but where its objects are to be, for they cannot be renamed: the inventory goes first, comes last.

        Without it they are no data set, so one that is refreshed is none meanwhile.
        """
        with _alone(folder):
            planned = self._plan()
            removed(folder / inventory.INVENTORY)
            self._write(planned, folder, effort)
            found = self._finish(planned, folder, effort.strict)
            kept = {f'{shard.file}{suffix}' for shard in planned for suffix in ('', '.json')}
            for name in listed(folder):
                if '.array_record-' in name and name not in kept:
                    removed(folder / name)
        return found

    def changes(self, rejected: Iterable[Rejected]) -> tuple[list[Row], list[Rejected]]:
        """What has changed since the data set was prepared.

        Args:
          rejected: its rows that are no records.

        Returns:
          Those of them that could become records now, and rows that are records and have no video any more.
        """
        folder, failed = as_path(self.data_dir), {(row.split, row.id) for row in rejected}
        unsettled = (row for shard in self._plan() for row in shards.unsettled(shard, folder))
        late = [row for row in unsettled if (row.split, row.id) in failed]
        return late, [row for row in self.annotated.rejected if (row.split, row.id) not in failed]

    def relabelled(self) -> list[tuple[Row | Rejected, str | None]]:
        """Rows that are records under other labels, with the class they have there, None for none."""
        folder, names, rows = as_path(self.data_dir), self.annotated.label_names, self.annotated.rows
        strangers = (row for row in self.annotated.rejected if row.reason == UNKNOWN_LABEL)
        here = {(row.split, row.id): row for row in (*strangers, *rows)}  # of two of one id, the row
        planned = self._plan()
        with ThreadPoolExecutor(AT_ONCE if is_remote(folder) else 1) as threads:
            recorded = threads.map(shards.recorded, [folder / shard.file for shard in planned])
            there = [(shard.split, *each) for shard, found in zip(planned, recorded, strict=True) for each in found]
        labelled = ((here.get((split, id)), names[label] if label >= 0 else None) for split, id, label in there)
        return [(row, there) for row, there in labelled if row and (isinstance(row, Rejected) or row.label != there)]

    def _plan(self) -> list[shards.Shard]:
        rows, rejected = self.annotated.rows, self.annotated.rejected
        settings = json.dumps([self.about(), self.annotated.label_names])
        planned = []
        for split in dict.fromkeys(row.split for row in rows):
            here = [row for row in rows if row.split == split]
            size = len(here) + sum(row.split == split for row in rejected)
            planned += shards.plan(self.name, split, here, size=size, settings=settings)
        return planned

    def converter(self, *, thorough: bool = False) -> 'Converter':
        """What makes records of rows, with or without writing them."""
        return Converter(self.maker(thorough=thorough), self.info.features, self.annotated.label_names)

    def differences(self, found: Mapping[str, Any]) -> list[str]:
        """In what a data set with that inventory is not what this builder would prepare; empty where it is."""
        wanted = json.loads(json.dumps(self._told()))
        return [
            f'{key} ({found.get(key)} there, {wanted[key]} here)' for key in wanted if found.get(key) != wanted[key]
        ]

    def _told(self) -> dict[str, Any]:
        """What the inventory says of the data set, but for what became of its rows."""
        ids = sorted((row.split, row.id) for row in (*self.annotated.rows, *self.annotated.rejected))
        told = json.dumps([ids, self.annotated.label_names])
        return {**self.about(), 'annotations': hashlib.sha256(told.encode()).hexdigest()}

    def _write(self, planned: Sequence[shards.Shard], folder: AnyPath, effort: Effort) -> None:
        if effort.strict and self.annotated.rejected:
            raise _refused(self.annotated.rejected[0])
        convert = functools.partial(self.converter(), workers=effort.workers, seconds=effort.seconds)
        if effort.beam is not None:
            from dnr_jax.data import beam

            return beam.write(planned, folder, functools.partial(convert, workers=1), effort.beam)
        missing = shards.missing_of(planned, folder)
        total = sum(len(shard.rows) for shard in planned)
        done = total - sum(len(shard.rows) for shard in missing)
        with bar(total, self.info.full_name, ' clips', leave=True, done=done) as progress:
            for outcome in shards.write_missing(missing, folder, convert):
                progress.update()
                if effort.strict and isinstance(outcome, Rejected):
                    raise _refused(outcome)

    def _finish(self, planned: Sequence[shards.Shard], folder: AnyPath, strict: bool) -> dict[str, Any]:
        """Writes what tells of the shards."""
        records, lengths, sizes, lost = {}, {}, {}, list(self.annotated.rejected)
        for shard, written in zip(planned, shards.check(planned, folder), strict=True):
            records.setdefault(shard.split, []).extend(written.records)
            lengths.setdefault(shard.split, []).append(len(written.records))
            sizes[shard.split] = sizes.get(shard.split, 0) + written.file_size
            lost += written.rejected
        if strict and lost:
            raise _refused(lost[0])
        if not any(records.values()):
            raise ValueError(f'None of the {len(lost):,} rows of {self.info.full_name} became a record: {_first(lost)}')
        self._tell_tfds(folder, {split: lengths[split] for split in records if records[split]}, sizes)
        found = {
            'name': self.info.full_name,
            'labels': self.annotated.label_names,
            **self._told(),
            'splits': inventory.take(records, lost),
            'unseen': inventory.unseen(records, self.annotated.label_names),
        }
        inventory.write(folder, found, lost)
        return found

    def _tell_tfds(self, folder: AnyPath, lengths: Mapping[str, Sequence[int]], sizes: Mapping[str, int]) -> None:
        splits = [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=list(lengths[split]),
                num_bytes=sizes[split],
                filename_template=tfds.core.ShardedFileTemplate(
                    data_dir=folder, dataset_name=self.name, split=split, filetype_suffix='array_record'
                ),
            )
            for split in lengths
        ]
        info = self._info()  # a new one: `self.info` is that of the data set that is there already, if one is
        info.set_file_format(tfds.core.FileFormat.ARRAY_RECORD)
        info.set_splits(tfds.core.splits.SplitDict(splits))
        with scratch_folder() as told:
            info.write_to_directory(told)
            for name in listed(told):
                with written_whole(folder / name) as file:
                    shutil.copyfile(told / name, file)
        kept = tuple(tfds.builder_from_directory(folder).info.features['label'].names)
        assert kept == self.annotated.label_names, f'{kept} read, {self.annotated.label_names} written'


class Converter:
    """Rows to their outcomes: their features are made and serialized, by as many processes."""

    def __init__(self, make: Callable[[Row], Example], features: tfds.features.FeaturesDict, names: Sequence[str]):
        self._make, self._features = make, features
        self._serializer = tfds.core.example_serializer.ExampleSerializer(features.get_serialized_info())
        self._labels = {name: label for label, name in enumerate(names)}

    def __call__(self, rows: Iterable[Row], *, workers: int, seconds: float | int) -> Iterator[Record | Rejected]:
        rows = list(rows)
        for row, outcome in zip(rows, guarded_map(self._convert, rows, workers=workers, seconds=seconds), strict=True):
            yield _reject(row, shards.GIVEN_UP, str(outcome)) if isinstance(outcome, GivenUp) else outcome

    def _convert(self, row: Row) -> Record | Rejected:
        label = -1 if row.label is None else self._labels[row.label]
        video = shards.look(row.path)  # before it is read: what comes later is another one
        try:
            example = self._make(row)
        except VideoError as error:
            return _reject(row, error.reason, str(error))
        except Exception as error:
            error.add_note(f"while '{row.id}' was made of {row.path}")
            raise
        encoded = self._features.encode_example({'parameters': '', **example, 'id': row.id, 'label': label})
        example = self._serializer.get_tf_example(encoded)
        return Record(row.id, label, video, example.SerializeToString(deterministic=True))


def _reject(row: Row, reason: str, detail: str) -> Rejected:
    return Rejected(row.split, row.id, str(row.path), reason, detail)


def _refused(row: Rejected) -> ValueError:
    return ValueError(f"'{row.id}' of {row.split} cannot become a record, {row.reason}: {row.detail} ({row.path})")


def _first(lost: Sequence[Rejected]) -> str:
    return f'for example {lost[0].path}, {lost[0].reason}.' if lost else 'there is none.'


_REPLACED = '.replaced'


def _alone(folder: AnyPath) -> AbstractContextManager[None]:
    """Keeps the folder of a data set for this process, also while it is not there yet."""
    return held(folder.with_name(f'.lock-{folder.name}'), f"The data set '{folder}'", tell=tell)


def _share(folder: AnyPath, unfinished: Path) -> None:
    """Gives shards a second name in another folder, where they are not there yet; the disk holds them once."""
    for path in folder.glob('*.array_record-*'):
        with contextlib.suppress(OSError):  # it is there; or the disk knows no second names, and it is written again
            os.link(path, unfinished / path.name)
