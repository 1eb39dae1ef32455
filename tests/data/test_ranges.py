"""Records of a bucket are those of the files, whatever is fetched for them, and whoever reads them."""

import os
import pickle

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from bucket import ASKED, FAULTS, OBJECTS

from dnr_jax.data import pipeline, ranges
from dnr_jax.data.cache import Cache
from dnr_jax.data.source import open_split
from dnr_jax.data.videos import DamagedRecord
from dnr_jax.files import buckets

SIZES = [1, 10, 70_000, 65_536, 3, 200_000, 0] + [5] * 300  # bytes of records, some longer than a block


@pytest.fixture
def cached(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def data(bucket, tiny_dir, cached):
    """moving_shapes/tiny in a bucket."""
    for path in (path for path in tiny_dir.rglob('*') if path.is_file()):
        OBJECTS[f'bucket/data/{path.relative_to(tiny_dir).as_posix()}'] = path.read_bytes()
    return 'gs://bucket/data'


def shard(data):
    (name,) = [name for name in OBJECTS if 'train.array_record' in name and not name.endswith('.json')]
    return name


@pytest.mark.parametrize('sizes', [SIZES, [100_000], [5], [3] * 12_000], ids=['mixed', 'long', 'one', 'many'])
def test_every_record_is_found(bucket, tmp_path, sizes):
    rng, path = np.random.default_rng(0), tmp_path / 'a'
    writer = ArrayRecordWriter(str(path), 'group_size:1,uncompressed')
    for size in sizes:
        writer.write(rng.bytes(size))
    writer.close()
    OBJECTS['bucket/a'] = path.read_bytes()
    (index,) = ranges.read_indices([bucket / 'a'])
    records = ranges.Records([index], [slice(0, len(sizes))], Cache(tmp_path / 'cache', 0))
    expected, some = ArrayRecordReader(str(path)).read_all(), range(0, len(sizes), len(sizes) // 300 + 1)
    assert len(records) == len(expected) and all(records[i] == expected[i] for i in some)


def test_what_is_read_is_what_lies_there(data, tiny_dir):
    for split in ('train', 'test', 'train[25%:50%]+test'):
        near, far = (open_split('moving_shapes/tiny', dir, split) for dir in (tiny_dir, data))
        assert len(near) == len(far) and near.fingerprint == far.fingerprint and (near.labels == far.labels).all()
        for index in range(0, len(near), 7):
            assert {key: str(of) for key, of in near[index].items()} == {key: str(of) for key, of in far[index].items()}


def test_a_record_takes_its_own_bytes_alone(data, monkeypatch):
    source, asked = open_split('moving_shapes/tiny', data, 'train'), []
    read = buckets.read
    monkeypatch.setattr(
        buckets, 'read', lambda path, start, stop: asked.append(stop - start) or read(path, start, stop)
    )
    sizes = [len(source[index]['video']) for index in range(5)]
    assert all(size < asked < size + 1000 for size, asked in zip(sizes, asked, strict=True))


@pytest.mark.parametrize('settings', [{'workers': 0}, {'workers': 0, 'shard_index': 1, 'shard_count': 2}])
def test_batches_are_those_of_the_disk(data, tiny_dir, settings):
    reading = {'sampling': 'dense', 'frames': 2, 'stride': 1, 'damaged': 'stop', 'batch_size': 8}
    views = {'clips': 1, 'crops': 1, 'short_side': 32, 'size': 32}
    settings = {'shard_index': 0, 'shard_count': 1} | settings
    made = []
    for dir in (tiny_dir, data):
        batches = pipeline.eval_batches(open_split('moving_shapes/tiny', dir, 'test'), **reading, **views, **settings)
        made.append(list(batches))
        batches.close()
    for near, far in zip(*made, strict=True):
        assert all((near[key] == far[key]).all() for key in near)


def test_the_next_batch_is_on_its_way(data):
    source = open_split('moving_shapes/tiny', data, 'train')
    ASKED.clear()
    for _ in range(2):
        source.ahead(0, iter([3, 4, 4]))
    for position in (3, 4, 4):
        source[position]
    assert ASKED['cat'] == 2
    source[4]
    assert ASKED['cat'] == 3
    again = pickle.loads(pickle.dumps(source))  # as a worker process gets it
    assert again[4]['id'] == source[4]['id']


def test_a_cache_is_read_before_the_bucket(data):
    source = open_split('moving_shapes/tiny', data, 'train', 10**7)
    first = source[4]
    ASKED.clear()
    assert source[4]['video'] == first['video'] and ASKED.total() == 0
    name = shard(data)
    OBJECTS[name] = OBJECTS[name] + bytes(2 * ranges.BLOCK)
    with pytest.raises(ValueError, match='is damaged'):
        open_split('moving_shapes/tiny', data, 'train', 10**7)


def test_damage_within_a_record_is_found(data):
    name = shard(data)
    OBJECTS[name] = OBJECTS[name][:20_000] + b'!' + OBJECTS[name][20_001:]
    source, damaged = open_split('moving_shapes/tiny', data, 'train'), []
    for index in range(len(source)):
        try:
            source[index]
        except DamagedRecord as error:
            damaged.append(str(error))
    assert len(damaged) == 1 and f"'gs://{name}'" in damaged[0]


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda file: None, 'it is missing'),
        (lambda file: file[: -ranges.BLOCK], 'damaged|whole blocks|not read by ranges'),
        (lambda file: file[:-1], 'are no whole blocks'),
        (lambda file: b'', 'are no whole blocks'),
        (lambda file: file[: -ranges.BLOCK] + bytes(ranges.BLOCK), 'not read by ranges'),
    ],
)
def test_a_file_that_is_cut_short_is_found_at_once(data, change, told):
    name = shard(data)
    changed = change(OBJECTS.pop(name))
    if changed is not None:
        OBJECTS[name] = changed
    with pytest.raises(ValueError, match=rf"'gs://{name}' is damaged: .*({told})"):
        open_split('moving_shapes/tiny', data, 'train')


def test_a_network_that_is_away_is_told_with_the_object(data):
    source = open_split('moving_shapes/tiny', data, 'train')
    FAULTS[:] = [ConnectionError('away')] * 3
    with pytest.raises(buckets.BucketError, match=rf'^gs://{shard(data)}: .*away, tried 3 times$'):
        source[0]
    del OBJECTS[shard(data)]
    with pytest.raises(buckets.BucketError, match=rf'^gs://.*{os.path.basename(source._file_of(0))}: it is gone$'):
        source[0]
