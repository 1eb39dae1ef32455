import contextlib
import itertools
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import grain
import numpy as np
import pytest
from data.test_workers import is_alive, wait_until
from grain.python import SharedMemoryArray

from dnr_jax.data import cores, pipeline
from dnr_jax.data.pipeline import LoaderError, eval_batches, train_batches
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import open_split
from dnr_jax.data.transforms import eval_views, train_transform
from dnr_jax.data.video.decoding import read_frames
from dnr_jax.data.videos import DamagedRecord

AUGMENT = dict(
    crop='multi_scale',
    short_side=40,
    size=32,
    scales=(1.0, 0.75),
    max_scale_gap=1,
    positions=5,
    snap=0,
    area=(0.5, 1.0),
    ratio=(0.75, 1.5),
    short_sides=(32, 40),
    flip=0.5,
    flip_labels=True,
    color_jitter=(0.0, 0.0, 0.0, 0.0),
    rand_augment={'layers': 0, 'magnitude': 7.0, 'deviation': 0.5},
    erasing=0.0,
)
TRAIN = AUGMENT | dict(
    sampling='dense',
    frames=2,
    stride=5,
    repeats=1,
    damaged='stop',
    batch_size=8,
    balanced_sampling=0.0,
    seed=0,
    start_step=0,
    workers=0,
    shard_index=0,
    shard_count=1,
)
EVAL = dict(
    sampling='dense',
    frames=4,
    stride=3,
    clips=2,
    crops=3,
    short_side=32,
    size=32,
    damaged='stop',
    batch_size=5,
    workers=0,
    shard_index=0,
    shard_count=1,
)


@pytest.fixture(scope='module')
def source(tiny_dir):
    return open_split('moving_shapes/tiny', tiny_dir, 'train')


def take(source, steps, **changes):
    """The first batches for training."""
    batches = train_batches(source, **TRAIN | changes)
    taken = list(itertools.islice(batches, steps))
    batches.close()
    return taken


def all_of(source, **changes):
    """All batches for evaluation."""
    batches = eval_batches(source, **EVAL | changes)
    taken = list(batches)
    batches.close()
    assert len(taken) == len(batches)
    return taken


def assert_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def join(batches):
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_a_training_batch(source):
    (batch,) = take(source, 1)
    assert {name: (value.dtype.kind, value.shape) for name, value in batch.items()} == {
        'clip': ('u', (8, 2, 32, 32, 3)),
        'label': ('i', (8,)),
        'mask': ('b', (8,)),
        'id': ('U', (8,)),
        'damaged': ('i', (8,)),
    }
    assert batch['clip'].dtype == np.uint8 and batch['label'].dtype == np.int32 and batch['mask'].all()


def test_clips_of_workers_are_stacked_in_shared_memory(source):
    load = [{'clip': np.full((2, 3), number, np.uint8), 'id': np.str_('x' * number)} for number in range(3)]
    batch = pipeline._stack_in_shared_memory(load)
    assert isinstance(batch['clip'], SharedMemoryArray) and batch['clip'].tolist() == [[[n] * 3] * 2 for n in range(3)]
    assert batch['id'].tolist() == ['', 'x', 'xx']
    batch['clip'].metadata.close_and_unlink_shm()
    own, of_workers = (take(source, 4, workers=workers) for workers in (0, 2))
    assert_equal(own, of_workers)
    assert not any(isinstance(batch['clip'], SharedMemoryArray) for batch in own)
    files = [pathlib.Path('/dev/shm', batch['clip'].metadata.name) for batch in of_workers]
    assert all(file.exists() for file in files)
    del batch, of_workers
    wait_until(lambda: not any(file.exists() for file in files))


def test_a_training_clip_is_its_parts_one_after_the_other(source):
    batch = take(source, 3)[2]
    records = {source[index]['id']: source[index] for index in range(len(source))}
    transform = train_transform(label_names=source.label_names, **AUGMENT)
    labels = []
    for place in range(8):
        record, rng = records[batch['id'][place]], np.random.default_rng((0, 2 * 8 + place))
        indices = SAMPLINGS['dense'].train(record['num_frames'], frames=2, stride=5, rng=rng)
        view, label = transform(read_frames(record['video'], indices), record['label'], rng)
        np.testing.assert_array_equal(batch['clip'][place], view)
        assert batch['label'][place] == label
        labels.append((record['label'], label))
    assert any(label != flipped for label, flipped in labels)  # among them a flipped clip that moves left or right


def test_a_video_that_comes_up_is_taken_several_times_each_drawn_by_itself(source):
    once, thrice = join(take(source, 3)), join(take(source, 9, repeats=3))
    assert thrice['id'].tolist() == once['id'].repeat(3).tolist()
    clips = thrice['clip'].reshape(24, 3, -1)
    assert all((clip[0] != clip[1]).any() and (clip[1] != clip[2]).any() for clip in clips)


def test_every_epoch_has_every_video_once_in_another_order(source):
    ids = join(take(source, 36, frames=1))['id'].reshape(3, 96)
    for epoch in ids:
        assert len(set(epoch)) == 96
    assert all((a != b).any() for a, b in itertools.combinations(ids, 2))


def test_batches_go_on_across_epochs(source):
    ids = join(take(source, 6, batch_size=36, frames=1))['id']
    assert len(set(ids[:96])) == len(set(ids[96:192])) == 96


def test_a_seed_gives_another_order_and_not_another_epoch_of_the_same(source):
    zero, one = (join(take(source, 24, seed=seed, frames=1))['id'].reshape(2, 96) for seed in (0, 1))
    assert not any((a == b).all() for a in zero for b in one)


@pytest.mark.parametrize('start_step', [1, 12, 25])
def test_a_later_start_gives_the_batches_of_an_uninterrupted_run(source, start_step):
    assert_equal(take(source, 28)[start_step:], take(source, 28 - start_step, start_step=start_step))


def test_a_balanced_order_goes_on_too(source):
    """With loader processes as without: a later start gives the same clips."""
    took = take(source, 28, balanced_sampling=0.5)
    assert_equal(took[25:], take(source, 3, balanced_sampling=0.5, start_step=25, workers=1))
    assert not np.array_equal(took[0]['id'], take(source, 1)[0]['id'])


def test_a_start_far_away_costs_nothing(source):
    began = time.monotonic()
    take(source, 1, start_step=10**12)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize('shard_count', [2, 4])
def test_shards_are_the_parts_of_the_same_global_batch(source, shard_count):
    changes = dict(batch_size=8 // shard_count, shard_count=shard_count, start_step=9)
    shards = [take(source, 5, shard_index=index, **changes) for index in range(shard_count)]
    assert_equal([join(parts) for parts in zip(*shards, strict=True)], take(source, 5, start_step=9))


def test_workers_change_nothing(source):
    assert_equal(take(source, 5, start_step=10), take(source, 5, start_step=10, workers=2))
    assert_equal(all_of(source), all_of(source, workers=2))
    assert not multiprocessing.active_children()


def test_evaluation_takes_every_video_once_and_fills_up_the_last_batch(source):
    batches = all_of(source, batch_size=7)
    assert len(batches) == 14
    assert {batch['clip'].shape for batch in batches} == {(7, 6, 4, 32, 32, 3)}
    everything = join(batches)
    assert everything['mask'].tolist() == [True] * 96 + [False] * 2
    assert everything['id'][:96].tolist() == [source[index]['id'] for index in range(96)]
    assert everything['label'][:96].tolist() == [source[index]['label'] for index in range(96)]
    assert everything['clip'][:96].any(axis=(1, 2, 3, 4, 5)).all()
    for name, padding in (('clip', 0), ('label', 0), ('id', '')):
        assert (everything[name][96:] == padding).all()


@pytest.mark.parametrize('shard_count', [2, 4])
def test_evaluation_shards_have_equally_many_batches_and_no_video_in_common(source, shard_count):
    shards = [all_of(source, shard_count=shard_count, shard_index=index) for index in range(shard_count)]
    assert {len(shard) for shard in shards} == {-(-96 // (5 * shard_count))}
    everything = join([join(shard) for shard in shards])
    ids = everything['id'][everything['mask']]
    assert sorted(ids) == sorted(source[index]['id'] for index in range(96))


def test_views_are_clip_major(source):
    batch = all_of(source, short_side=40)[0]
    for place in range(3):
        record = source[place]
        clips = SAMPLINGS['dense'].evaluate(record['num_frames'], frames=4, stride=3, clips=2)
        for clip, indices in enumerate(clips.reshape(2, 4)):
            frames = read_frames(record['video'], indices)
            crops = eval_views(frames, short_side=40, size=32, crops=3)
            np.testing.assert_array_equal(batch['clip'][place, 3 * clip : 3 * clip + 3], crops)


def test_closed_batches_say_so(source):
    batches = train_batches(source, **TRAIN)
    batches.close()
    batches.close()
    with pytest.raises(ValueError, match='closed'):
        next(batches)


@pytest.mark.parametrize(
    'changes',
    [
        dict(batch_size=0),
        dict(workers=-1),
        dict(shard_index=1),
        dict(shard_index=-1),
        dict(shard_count=0),
        dict(seed=-1),
        dict(start_step=-1),
        dict(repeats=0),
        dict(flip=1.5),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(source, changes):
    with pytest.raises(ValueError, match=f'got.*{next(iter(changes))}='):
        train_batches(source, **TRAIN | changes)


@pytest.mark.parametrize('allotted', [1, 3, 128])
def test_threads_hold_few_batches_however_many_cores_there_are(allotted, monkeypatch):
    monkeypatch.setattr(cores, 'allotted', lambda: allotted)
    begun = []
    with contextlib.closing(pipeline.Batches(grain.MapDataset.range(1000).map(begun.append), workers=0)):
        time.sleep(1)
        assert len(begun) == {1: 2, 3: 3, 128: 8}[allotted]


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(crops=2), 'crops .*, got 2'),
        (dict(sampling='segments', clips=3), 'segments_uniform'),
        (dict(sampling='random'), "Unknown sampling 'random'"),
        (dict(damaged='ignore'), "Unknown treatment of damaged records 'ignore'.*stop, skip"),
    ],
)
def test_protocols_that_cannot_be_are_refused_at_once(source, changes, message):
    with pytest.raises(ValueError, match=message):
        eval_batches(source, **EVAL | changes)


@pytest.mark.parametrize(
    'changes', [dict(stride=5), dict(sampling='dense_looped', stride=2), dict(sampling='dense_64', frames=3)]
)
def test_windows_that_fall_between_stored_frames_are_refused(tiny_dir, changes):
    source = open_split('moving_shapes/tiny', tiny_dir, 'train')
    source.frame_step = 4
    for read, settings in ((train_batches, TRAIN), (eval_batches, EVAL)):
        read(source, **settings | dict(stride=8)).close()
        with pytest.raises(ValueError, match='holds every 4th frame.*expected a multiple of 4'):
            read(source, **settings | changes)


def test_a_crop_that_does_not_fit_is_a_clear_error(source):
    with pytest.raises(ValueError, match='does not fit into 24 x 24 pixels'):
        all_of(source, short_side=24)


BAD = {5, 6, 40}


@pytest.fixture(scope='module')
def damaged(tiny_dir):
    """The training videos, of which some are cut in half."""
    source = open_split('moving_shapes/tiny', tiny_dir, 'train')
    source._records = CutInHalf(source._records)
    return source


class CutInHalf:
    def __init__(self, records):
        self.records = records

    def __getitem__(self, index):
        record = self.records[index]
        return record | {'video': record['video'][: len(record['video']) // 2]} if index in BAD else record


@pytest.mark.parametrize('workers', [0, 1])
def test_a_damaged_video_stops_and_is_named(damaged, workers):
    named = f"Record 5 of .* train, in '.*array_record.*', is damaged: video '{damaged[5]['id']}'"
    with pytest.raises(DamagedRecord, match=named):
        all_of(damaged, workers=workers)


def test_damaged_videos_are_replaced_by_the_next_in_training_and_counted(source, damaged):
    sound, mended = (join(take(videos, 12, damaged='skip', frames=1)) for videos in (source, damaged))
    position = {source[index]['id']: index for index in range(96)}
    passed_over = {5: 2, 6: 1, 40: 1}
    for place in range(96):
        wanted = position[sound['id'][place]]
        assert mended['damaged'][place] == passed_over.get(wanted, 0)
        assert position[mended['id'][place]] == wanted + passed_over.get(wanted, 0)
        if wanted not in BAD:
            np.testing.assert_array_equal(mended['clip'][place], sound['clip'][place])
    assert not sound['damaged'].any() and mended['mask'].all()
    assert_equal(take(damaged, 5, damaged='skip'), take(damaged, 5, damaged='skip', workers=2))


def test_damaged_videos_are_left_out_in_evaluation_and_counted(source, damaged):
    sound, left = (join(all_of(videos, damaged='skip')) for videos in (source, damaged))
    assert left['damaged'].nonzero()[0].tolist() == sorted(BAD)
    assert (sound['mask'] & ~left['mask']).nonzero()[0].tolist() == sorted(BAD)
    assert left['id'].tolist() == sound['id'].tolist()
    assert (left['clip'] == sound['clip']).all(axis=(1, 2, 3, 4, 5)).sum() == len(sound['clip']) - len(BAD)


def test_a_source_of_nothing_but_damage_stops(damaged, monkeypatch):
    monkeypatch.setattr(
        damaged,
        '_records',
        {index: {**damaged[index], 'video': b'', 'id': b'', 'parameters': b''} for index in range(96)},
    )
    with pytest.raises(DamagedRecord):
        take(damaged, 1, damaged='skip')


@pytest.mark.parametrize(
    'death, remedy',
    [
        (signal.SIGBUS, 'Shared memory, /dev/shm, is full: .* --shm-size=8g or --ipc=host, or .*workers=0.'),
        (signal.SIGKILL, 'Often memory has run out: fewer config.run.workers take less.'),
    ],
)
def test_a_worker_that_dies_says_what_helps(source, death, remedy):
    batches = train_batches(source, **TRAIN | dict(workers=1))
    with contextlib.closing(batches):
        next(batches)
        for child in multiprocessing.active_children():
            os.kill(child.pid, death)
        with pytest.raises(LoaderError, match=f'A loader process has died with exit code -{death:d}[.] {remedy}$'):
            for _ in range(10):
                next(batches)


def test_workers_end_with_a_killed_parent(tiny_dir):
    program = textwrap.dedent(f"""
        import multiprocessing, time
        from dnr_jax.data.pipeline import train_batches
        from dnr_jax.data.source import open_split

        if __name__ == '__main__':
            source = open_split('moving_shapes/tiny', {str(tiny_dir)!r}, 'train')
            batches = train_batches(source, **{TRAIN | dict(workers=1)!r})
            next(batches)
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 1 and is_alive(workers[0])
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, workers)))
