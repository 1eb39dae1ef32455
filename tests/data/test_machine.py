import errno
import gc
import itertools
import os
import resource

import pytest
from data.test_pipeline import EVAL, TRAIN
from numbered_videos import make_video

from dnr_jax.data import check, prepare, shards
from dnr_jax.data.builders import moving_shapes
from dnr_jax.data.pipeline import eval_batches, train_batches
from dnr_jax.data.source import open_split
from dnr_jax.data.videos import DamagedRecord
from dnr_jax.files import MachineError, machine


@pytest.fixture
def many_shards(tmp_path, monkeypatch):
    """A data set of more files than a process of this test may open."""
    monkeypatch.setattr(shards, 'CLIPS_PER_SHARD', 1)
    monkeypatch.setitem(moving_shapes.SIZES, 'tiny', {'train': 32})
    assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(tmp_path), '--workers', '0']) == 0
    return tmp_path


@pytest.fixture
def few_files():
    """Allows 8 more open files, a third of the shards that hold a record."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # closes files that are not used any more
    used = set(map(int, os.listdir('/proc/self/fd')))
    free = itertools.islice((number for number in itertools.count() if number not in used), 8)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize('batches', ['train', 'eval', 'check'])
def test_too_many_open_files_are_no_damage(many_shards, few_files, batches, capsys):
    if batches == 'check':
        options = ['moving_shapes/tiny', '--out', str(many_shards), '--workers', '0', '--seconds', '9']
        assert check.main(options) == 2
        error = capsys.readouterr().err
    else:
        source = open_split('moving_shapes/tiny', many_shards, 'train')
        make = {'train': lambda: train_batches(source, **TRAIN | {'damaged': 'skip'})}
        make['eval'] = lambda: eval_batches(source, **EVAL | {'damaged': 'skip'})
        read = make[batches]()
        with pytest.raises(MachineError) as raised:
            for _ in range(32):
                next(read)
        read.close()
        error = str(raised.value)
    assert 'Too many open files: ' in error and "'. Allow more open files: ulimit -n" in error


@pytest.mark.parametrize('code', [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EMFILE, errno.ENOENT])
def test_a_disk_that_is_lost_while_reading_is_no_damage(tiny_dir, monkeypatch, code):
    source = open_split('moving_shapes/tiny', tiny_dir, 'train')

    class Lost:
        def __getitem__(self, index):
            raise RuntimeError(f'pread() failed: {os.strerror(code)}; reading /data/a.array_record at byte 12')

    monkeypatch.setattr(source, '_records', Lost())
    with pytest.raises(MachineError, match=os.strerror(code)) as error:
        source[3]
    assert error.value.errno == code and machine.REMEDIES[code] in str(error.value)
    monkeypatch.setattr(Lost, '__getitem__', lambda self, index: (_ for _ in ()).throw(RuntimeError('hash mismatch')))
    with pytest.raises(DamagedRecord):
        source[3]


def test_remedies_are_told_once():
    error = OSError(errno.EMFILE, 'too many', '/x')
    assert machine.told(error) == "[Errno 24] too many: '/x'. Allow more open files: ulimit -n 8192."
    error = MachineError(errno.EIO, 'broken', '/x')
    error.add_note('while it was read')
    assert machine.told(error) == "broken: '/x', while it was read. See whether its disk is mounted and whole."
    error = FileNotFoundError(errno.ENOENT, 'none', 'gs://bucket/a')
    assert machine.told(error) == "[Errno 2] none: 'gs://bucket/a'. See whether bucket and object are there."
    assert machine.told(ValueError('a mistake')) == 'a mistake'


def test_a_source_that_is_lost_while_preparing_is_no_row_of_missing_videos(tmp_path, monkeypatch, capsys):
    for label in 'ab':
        (tmp_path / 'source' / label).mkdir(parents=True)
        (tmp_path / 'source' / label / '1.mp4').write_bytes(make_video(3))
    options = ['videos', '--variant', 'mine', '--source', str(tmp_path / 'source'), '--out', str(tmp_path / 'out')]
    builder = moving_shapes.VideoBuilder
    plan = builder._plan
    monkeypatch.setattr(
        builder, '_plan', lambda self: (plan(self), os.rename(tmp_path / 'source', tmp_path / 'gone'))[0]
    )
    assert prepare.main([*options, '--workers', '0']) == 2
    assert 'its folder is gone: ' in capsys.readouterr().err
    monkeypatch.undo()
    os.rename(tmp_path / 'gone', tmp_path / 'source')
    assert prepare.main([*options, '--workers', '0']) == 0
    assert '2 rows = 2 records\n' in capsys.readouterr().out
