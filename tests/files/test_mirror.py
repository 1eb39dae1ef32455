"""Files that grow appear in a bucket: at once when asked for, by themselves after a while."""

import time

import pytest
from bucket import FAULTS, OBJECTS

from dnr_jax.files import Mirror, buckets, mirror


def test_what_has_changed_is_put(bucket, monkeypatch):
    put = []
    monkeypatch.setattr(buckets, 'put', lambda path, data: put.append((str(path), data)))
    of = Mirror(bucket / 'run')
    (of.root / 'a').mkdir()
    for text in ('1', '12'):
        (of.root / 'a' / 'b').write_text(text)
        (of.root / 'c').exists() or (of.root / 'c').touch()
        of.flush()
    of.close()
    assert put == [('gs://bucket/run/a/b', b'1'), ('gs://bucket/run/c', b''), ('gs://bucket/run/a/b', b'12')]
    assert not of.root.exists()


def test_it_goes_round_and_tells_at_the_next_flush(bucket, monkeypatch):
    monkeypatch.setattr(mirror, 'LEAST_PAUSE', 0.05)
    of = Mirror(bucket)
    (of.root / 'a').write_text('1')
    time.sleep(0.3)
    assert OBJECTS == {'bucket/a': b'1'}
    FAULTS[:] = [ConnectionError('away')] * 10**3
    (of.root / 'a').write_text('12')
    with pytest.raises(buckets.BucketError, match='^gs://bucket/a: .*away'):
        time.sleep(0.2)
        of.flush()
    FAULTS.clear()
    of.close()
    assert OBJECTS == {'bucket/a': b'12'}


def test_a_local_folder_is_as_it_is(tmp_path):
    of = Mirror(tmp_path)
    assert of.root == tmp_path
    of.close()
    assert tmp_path.exists()
