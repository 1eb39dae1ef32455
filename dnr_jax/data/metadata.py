"""What a prepared data set says of itself, read as coming from anywhere: damaged, or made to do harm.

TFDS imports the modules that `features.json` names, and opens the files that `dataset_info.json` names. So it is given
both only where they name what is written here.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from dnr_jax.data import inventory
from dnr_jax.data.annotations.rows import Rejected
from dnr_jax.data.builders.video import video_features
from dnr_jax.files import AnyPath

FILES = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'  # how the files of a split are named, all in the folder itself
DTYPES = {'int32', 'int64', 'string'}  # of features; TFDS looks for TensorFlow to find others


class Metadata(NamedTuple):
    """Of a data set: how TFDS reads it, what became of its rows, and those that are no records."""

    builder: tfds.core.DatasetBuilder
    inventory: dict[str, Any]
    rejected: list[Rejected]


def read(folder: AnyPath) -> Metadata:
    """The metadata of a prepared data set; ValueError if they are damaged, or not as they are written here."""
    found, rejected = inventory.read(folder)
    with inventory.told_as_damage(folder):
        features, info = (json.loads((folder / name).read_text()) for name in ('features.json', 'dataset_info.json'))
        expect_own_features(features)
        expect_own_files(info)
        builder = tfds.builder_from_directory(folder)
        expect_as_written(builder.info, found)
        return Metadata(builder, found, rejected)


def expect_own_features(features: Any) -> None:
    """ValueError for features of other names or types than a video has."""
    own = video_features([''])
    known = {f'{type(of).__module__}.{type(of).__name__}' for of in (own, *own.values())}
    if others := {*map(str, values_of(features, ('pythonClassName', 'type')))} - known:
        raise ValueError(f'features of the type {", ".join(others)}')
    found = features['featuresDict']['features']
    for name in own:
        if type(own[name]) is tfds.features.Tensor and (dtype := found[name]['tensor']['dtype']) not in DTYPES:
            raise ValueError(f'{name} of the type {dtype}')


def expect_own_files(info: Mapping[str, Any]) -> None:
    """ValueError for files of another format, or that may lie elsewhere."""
    if info['fileFormat'] != tfds.core.FileFormat.ARRAY_RECORD.value:
        raise ValueError(f'files of the format {info["fileFormat"]}, expected array_record')
    for split in info['splits']:
        if split['filepathTemplate'] != FILES or not all(re.fullmatch(r'\w+', of['name']) for of in (info, split)):
            raise ValueError(f'files {split["filepathTemplate"]} of {info["name"]}, {split["name"]}')
        if not all(int(length) >= 0 for length in split['shardLengths']):
            raise ValueError(f'shards of {split["shardLengths"]} records')


def expect_as_written(info: tfds.core.DatasetInfo, found: Mapping[str, Any]) -> None:
    """ValueError where TFDS would read records as they are not written, or classes and splits not in the inventory."""
    if type(found['frame_step']) is not int or found['frame_step'] < 1:
        raise ValueError(f'frame_step is {found["frame_step"]}')
    names = info.features['label'].names
    if info.features.get_serialized_info() != video_features(names).get_serialized_info():
        raise ValueError(f'features {info.features}')
    if names != found['labels'] or set(info.splits) - set(found['splits']):
        raise ValueError(f'{len(names)} classes and splits {list(info.splits)}, others in {inventory.INVENTORY}')


def values_of(tree: Any, keys: Sequence[str]) -> Iterator[Any]:
    """All values under these keys, at any depth of what was read from JSON."""
    if isinstance(tree, Mapping):
        yield from (tree[key] for key in keys if key in tree)
        tree = [*tree.values()]
    if isinstance(tree, list):
        for part in tree:
            yield from values_of(part, keys)
