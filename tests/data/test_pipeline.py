import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from dnr_jax.data import sampling, transforms
from dnr_jax.data.decoding import VideoError, read_frames
from dnr_jax.data.pipeline import eval_batches, train_batches
from dnr_jax.data.source import VideoSource, open_split

TRAIN = dict(
    frames=2,
    stride=5,
    short_side=40,
    size=32,
    scales=(1.0, 0.75),
    max_scale_gap=1,
    flip=0.5,
    batch_size=8,
    seed=0,
    start_step=0,
    workers=0,
    shard_index=0,
    shard_count=1,
)
EVAL = dict(
    frames=4, stride=3, clips=2, crops=3, short_side=32, size=32, batch_size=5, workers=0, shard_index=0, shard_count=1
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
    }
    assert batch['clip'].dtype == np.uint8 and batch['label'].dtype == np.int32 and batch['mask'].all()


def test_a_training_clip_is_its_parts_one_after_the_other(source):
    batch = take(source, 3)[2]
    records = {source[index]['id']: source[index] for index in range(len(source))}
    for place in range(8):
        record, rng = records[batch['id'][place]], np.random.default_rng((0, 2 * 8 + place))
        indices = sampling.train_indices(record['num_frames'], frames=2, stride=5, rng=rng)
        view = transforms.train_view(
            read_frames(record['video'], indices),
            short_side=40,
            size=32,
            scales=(1.0, 0.75),
            max_scale_gap=1,
            flip=0.5,
            rng=rng,
        )
        np.testing.assert_array_equal(batch['clip'][place], view)
        assert batch['label'][place] == record['label']


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
        clips = sampling.eval_indices(record['num_frames'], frames=4, stride=3, clips=2)
        for clip, indices in enumerate(clips):
            frames = read_frames(record['video'], indices)
            crops = transforms.eval_views(frames, short_side=40, size=32, crops=3)
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
        dict(flip=1.5),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(source, changes):
    with pytest.raises(ValueError, match=f'got.*{next(iter(changes))}='):
        train_batches(source, **TRAIN | changes)


def test_other_numbers_of_crops_are_refused_at_once(source):
    with pytest.raises(ValueError, match='crops is 1 .* or 3 .*, got 2'):
        eval_batches(source, **EVAL | dict(crops=2))


def test_a_crop_that_does_not_fit_is_a_clear_error(source):
    with pytest.raises(ValueError, match='does not fit into 24 x 24 pixels'):
        all_of(source, short_side=24)


class Damaged(VideoSource):
    """A source of which one video is cut in half."""

    name = 'damaged train'

    def __init__(self, video):
        self.video = video

    def __len__(self):
        return 8

    def __getitem__(self, index):
        video = self.video[: len(self.video) // 2] if index == 5 else self.video
        return {'video': video, 'label': 0, 'id': f'v{index}', 'num_frames': 24, 'parameters': ''}


@pytest.mark.parametrize('workers', [0, 1])
def test_a_damaged_video_is_named(source, workers):
    with pytest.raises(VideoError, match="Video 'v5' of damaged train: .*"):
        all_of(Damaged(source[0]['video']), workers=workers)


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
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline, 'a worker outlives its parent'
        time.sleep(0.1)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as stat:
        return stat.read().rsplit(')', 1)[1].split()[0] != 'Z'
