"""Checkpoints of a bucket keep the promises of those on a disk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bucket import ASKED, FAULTS, OBJECTS, ROOM

from dnr_jax import parallel
from dnr_jax.files import buckets, listed
from dnr_jax.runs import checkpoints, manifest
from dnr_jax.runs.checkpoints import CheckpointError, Checkpoints
from dnr_jax.runs.state import TrainState

ABOUT = {'config': {}, 'label_names': ['a'], 'fingerprints': {}, 'unreported': []}


def state_at(step):
    def array(seed):
        return jnp.asarray(np.random.default_rng(seed).normal(size=(64, 64)), jnp.float32)

    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        step=jnp.int32(step),
        params={'kernel': array(step)},
        average={},
        batch_stats={'mean': array(step + 1)},
        opt_state={'trace': array(step + 2)},
        skipped=zero,
        damaged=zero,
    )


def like():
    return parallel.abstract(state_at(0), parallel.replicated(parallel.make_mesh()))


def saved(folder, *steps, keep=2, top1=None):
    """Saves these steps, each seen through."""
    with Checkpoints(folder, keep) as kept:
        for step in steps:
            kept.save(state_at(step), ABOUT, None if top1 is None else {'top1': top1[step]})
            kept.wait()


def steps_of(folder):
    return sorted({name.partition('/')[0] for name in listed(folder)})


def same(one, other):
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), one, other)))


def test_a_state_comes_back_and_old_ones_go(bucket):
    folder = bucket / 'checkpoints'
    saved(folder, 1, 2, 3, top1={1: 0.9, 2: 0.1, 3: 0.2})
    assert steps_of(folder) == ['1', '2', '3']  # the best one stays
    saved(folder, 4, top1={4: 0.3})
    assert steps_of(folder) == ['1', '3', '4']
    with Checkpoints(folder, 2) as kept:
        assert kept.latest.step == 4 and kept.best.step == 1
        assert kept.unlike(4, like()) == []
        assert same(kept.restore(4, like()), state_at(4))


def test_a_step_that_is_saved_again_with_scores_is_the_newest_and_the_best(bucket):
    """As a run does that was stopped while it validated."""
    folder = bucket / 'checkpoints'
    saved(folder, 1, 2)
    saved(folder, 2, top1={2: 0.9})
    assert [checkpoints.find(folder, which).step for which in ('last', 'best')] == [2, 2]
    with Checkpoints(folder, 2) as kept:
        assert kept.latest.step == kept.best.step == 2
    assert steps_of(folder) == ['1', '2']


def test_the_seal_is_the_last_object_that_is_written(bucket, monkeypatch):
    put = []
    upload = buckets.upload
    monkeypatch.setattr(buckets, 'upload', lambda file, path: (put.append(path), upload(file, path)))
    saved(bucket / 'checkpoints', 1)
    assert put[-1] == bucket / 'checkpoints/1' / manifest.NAME and len(put) > 5
    removed = []
    monkeypatch.setattr(buckets, 'remove', lambda paths: removed.extend(paths))
    saved(bucket / 'checkpoints', 2, 3)
    assert [path for path in removed if path.parts[-2] == '1'][0].name == manifest.NAME


def test_one_is_found_and_read_while_others_are_damaged(bucket):
    folder = bucket / 'checkpoints'
    saved(folder, 1, 2, 3, keep=3)
    assert checkpoints.any_in(folder) and not checkpoints.any_in(bucket / 'other')
    assert checkpoints.find(folder, 'last').step == 3
    data = next(name for name in OBJECTS if name.startswith('bucket/checkpoints/3/') and '/d/' in name)
    OBJECTS[data] = OBJECTS[data][:-1] + bytes([OBJECTS[data][-1] ^ 1])
    found, variables = checkpoints.load(folder, 'last', lambda _: like().variables)
    assert found.step == 2 and same(variables, state_at(2).variables)
    with pytest.raises(ValueError, match='The checkpoint of step 3 in gs://bucket/checkpoints is damaged: .* changed'):
        checkpoints.find(folder, '3')
    del OBJECTS[f'bucket/checkpoints/2/{manifest.NAME}']  # as a process leaves it that is killed while it saves
    with Checkpoints(folder, 3) as kept:
        assert kept.latest.step == 1
    assert steps_of(folder) == ['1', '3.damaged']


def test_a_reader_goes_on_where_one_is_taken_away(bucket, monkeypatch):
    """Between the listing and the copy; its seal went first."""
    folder = bucket / 'checkpoints'
    saved(folder, 1, 2)
    download, taken = buckets.download, []

    def take_away(path, file):
        if '/2/' in str(path) and not taken:
            taken.extend(name for name in OBJECTS if name.startswith('bucket/checkpoints/2/'))
            for name in taken:
                del OBJECTS[name]
        download(path, file)

    monkeypatch.setattr(buckets, 'download', take_away)
    found, variables = checkpoints.load(folder, 'last', lambda _: like().variables)
    assert taken and found.step == 1 and same(variables, state_at(1).variables)


def test_a_network_that_is_away_damages_nothing(bucket):
    """It ends what is asked of it, with the object's name."""
    folder = bucket / 'checkpoints'
    saved(folder, 1)
    before = dict(OBJECTS)
    for number in range(4):
        FAULTS[:] = [None] * number + [ConnectionError('away')] * 100
        with pytest.raises(buckets.BucketError, match='^gs://bucket/checkpoints.*away, tried 3 times$'):
            Checkpoints(folder, 2)
        assert OBJECTS == before
    FAULTS.clear()


def test_a_bucket_that_becomes_full_in_a_save(bucket):
    """At whichever object: what was sealed stays, and with room the next one is saved."""
    folder = bucket / 'checkpoints'
    saved(folder, 1)
    one, last = sum(listed(folder).values()), None
    for room in (0, one // 4, one // 2, one - 100):
        ROOM[:] = [one + room]
        with pytest.raises(
            CheckpointError, match='step 2 could not be .*: gs://bucket/checkpoints/2/[^ ]*: no room left'
        ):
            saved(folder, 2)
        assert manifest.NAME not in listed(folder / '2') and checkpoints.find(folder, 'last').step == 1
        last = max(last or 0, len(listed(folder / '2')))
    assert last > 3
    ROOM.clear()
    saved(folder, 2)
    assert steps_of(folder) == ['1', '2'] and checkpoints.find(folder, 'last').step == 2


def test_what_a_checkpoint_says(bucket):
    with Checkpoints(bucket / 'checkpoints', 2) as kept:
        kept.save(state_at(1), ABOUT | {'last_step': 7}, None)
    assert checkpoints.last_step(bucket / 'checkpoints', 1) == 7 and checkpoints.sealed(bucket / 'checkpoints') == [1]
    assert checkpoints.last_step(bucket / 'checkpoints', 2) is None


def test_a_save_that_fails_is_told_and_leaves_the_one_before(bucket):
    folder = bucket / 'checkpoints'
    saved(folder, 1)
    with pytest.raises(CheckpointError, match='step 2 could not be written to gs://bucket/checkpoints: .*away'):
        with Checkpoints(folder, 2) as kept:
            FAULTS[:] = [ConnectionError('away')] * 10**4
            kept.save(state_at(2), ABOUT, None)
            kept.wait()
    FAULTS.clear()
    assert checkpoints.find(folder, 'last').step == 1 and ASKED['put'] > 5
