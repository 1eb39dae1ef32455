"""A work folder is claimed by one config, and gone on with by the same videos and arrays of the same shapes."""

import json
import os
import threading

import numpy as np
import pytest

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.data.source import VideoSource
from dnr_jax.runs import ownership


@pytest.fixture
def config():
    return moving_shapes.get_config()


class Videos(VideoSource):
    """Only what tells them apart."""

    name, fingerprint = 'moving_shapes', 'of these'

    def __init__(self, split):
        self.split = split

    def __len__(self):
        return 48


def claim(folder, config, allow_change=()):
    """The seed in the folder's config.json afterwards."""
    with ownership.kept(folder / '.lock', 'The folder'), ownership.claimed(folder, config, allow_change):
        pass
    return seed_of(folder)


def seed_of(folder):
    return json.loads((folder / 'config.json').read_text())['seed']


def test_a_folder_without_a_checkpoint_may_be_claimed_anew(config, tmp_path):
    assert claim(tmp_path / 'run', config) == 0
    config.seed = 1
    assert claim(tmp_path / 'run', config) == 1
    (tmp_path / 'run/checkpoints/2').mkdir(parents=True)
    config.seed = 2
    with pytest.raises(ValueError, match=r'another config.*seed \(1 there, 2 here\)'):
        claim(tmp_path / 'run', config)
    assert seed_of(tmp_path / 'run') == 1
    assert claim(tmp_path / 'run', config, ['seed']) == 2


def test_it_is_not_claimed_by_what_goes_wrong(config, tmp_path):
    claim(tmp_path, config)
    config.seed = 1
    with pytest.raises(KeyError), ownership.claimed(tmp_path, config, ()):
        raise KeyError
    assert seed_of(tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == ['config.json']


def test_a_folder_that_cannot_be_written_to(config, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='one that can be written to'):
        claim(tmp_path / 'file', config)


@pytest.mark.parametrize('split', ['train', 'train[:50%]'])
def test_other_videos(split):
    """Also of a split that is not one of those it began with."""
    ownership.expect_same_videos({split: 'of these'}, Videos(split), [])
    with pytest.raises(ValueError, match='videos this training began with.*--allow_change=data'):
        ownership.expect_same_videos({'train': 'of others'}, Videos(split), ['data.train_split'])
    ownership.expect_same_videos({'train': 'of others'}, Videos(split), ['data'])


def test_another_state(config):
    there = ownership.as_json(config)
    config.train.ema_decay, config.run.keep = 0.5, 4
    ownership.expect_same_state([], there, config)
    with pytest.raises(ValueError, match=r'missing 2 params.*: train.ema_decay \(0.0 there, 0.5 here\)\.$'):
        ownership.expect_same_state(['missing 2 params'], there, config)


def test_a_folder_in_use(config, tmp_path):
    """Before its config is read, and as often as it is tried."""
    with ownership.kept(tmp_path / 'run/.lock', 'The folder'):
        for _ in range(2):
            with pytest.raises(ValueError, match=f'The folder is in use by process {os.getpid()} on .*, since 20'):
                claim(tmp_path / 'run', config)
    assert claim(tmp_path / 'run', config) == 0


def test_fewer_epochs_than_were_trained(config):
    ownership.expect_steps_left(9, 9, config)
    with pytest.raises(ValueError, match=r'of step 10, but config.train.epochs=4 ends at step 9'):
        ownership.expect_steps_left(10, 9, config)


def test_a_folder_that_is_not_one_for_all_processes(tmp_path, monkeypatch):
    lock, what = tmp_path / '.lock', 'The work folder'
    ownership.expect_shared(lock, what)  # alone

    def expect_shared_with_a_leader():
        texts = iter(['of process 0'])  # what the leader has read; then nobody has made a mistake
        monkeypatch.setattr(parallel, 'gather', lambda rows: np.array([next(texts, rows[0]), *rows]))
        ownership.expect_shared(lock, what)

    monkeypatch.setattr(ownership, 'SHOWN_WITHIN', 0.2)
    for there in (None, 'of an earlier run'):
        if there:
            lock.write_text(there)
        with pytest.raises(ValueError, match='not one for all processes: .* a disk that all hosts share, or in a buck'):
            expect_shared_with_a_leader()
    late = threading.Timer(0.05, lock.write_text, ['of process 0'])
    late.start()
    expect_shared_with_a_leader()
    late.join()
