"""Requests to a bucket are tried again, with a bound, and what cannot be mended is told with the object's name."""

import asyncio
import errno

import pytest
from bucket import ASKED, FAULTS, OBJECTS

from dnr_jax.files import (
    buckets,
    expect_writable,
    folder_written_whole,
    listed,
    local_copy,
    written_together,
    written_whole,
)


def test_an_object_is_written_and_read_whole(bucket):
    with written_whole(bucket / 'a.txt') as file:
        file.write_text('hello')
        assert OBJECTS == {}
    assert (bucket / 'a.txt').read_text() == 'hello' and buckets.read(bucket / 'a.txt', 1, 3) == b'el'
    with pytest.raises(RuntimeError), written_whole(bucket / 'a.txt') as file:
        file.write_text('half')
        raise RuntimeError
    assert OBJECTS == {'bucket/a.txt': b'hello'} and not file.parent.exists()
    with pytest.raises(OSError, match='objects are written whole'):
        (bucket / 'a.txt').open('a')


def test_what_libraries_write_is_put_whole_too(bucket):
    (bucket / 'a').write_text('hello')
    with pytest.raises(RuntimeError), (bucket / 'b').open('wb') as file:
        file.write(b'half')
        raise RuntimeError
    assert OBJECTS == {'bucket/a': b'hello'} and ASKED['pipe'] == 1


def test_files_that_belong_together_lie_side_by_side(bucket, tmp_path):
    for folder in (bucket, tmp_path):
        with written_together(folder / 'a', folder / 'a.json') as (file, beside):
            assert beside == file.with_name(f'{file.name}.json')
            file.write_text('1'), beside.write_text('2')
            assert not (folder / 'a.json').exists()
        assert [(folder / name).read_text() for name in ('a', 'a.json')] == ['1', '2']


def test_the_last_file_of_a_folder_goes_first_and_comes_last(bucket, monkeypatch):
    def written(*names):
        with folder_written_whole(bucket / 'test', last='seal') as folder:
            for name in names:
                (folder / name).write_text(name)

    written('seal', 'a', 'b')
    order = []
    monkeypatch.setattr(buckets, 'upload', lambda file, path: order.append(path.name))
    written('seal', 'a', 'c')
    assert order == ['a', 'c', 'seal']
    monkeypatch.undo()
    assert 'bucket/test/seal' not in OBJECTS


def test_what_fails_is_tried_again(bucket):
    OBJECTS['bucket/a'] = b'hello'
    FAULTS[:] = [ConnectionError('reset'), TimeoutError()]
    assert buckets.read(bucket / 'a') == b'hello' and ASKED['cat'] == 3
    FAULTS[:] = [2]  # bytes of three
    assert buckets.read(bucket / 'a', 0, 3) == b'hel' and ASKED['cat'] == 5


def test_after_that_the_object_is_named(bucket):
    OBJECTS['bucket/a'] = b'hello'
    FAULTS[:] = [ConnectionError('reset')] * 3
    with pytest.raises(buckets.BucketError, match='^gs://bucket/a: ConnectionError: reset, tried 3 times$'):
        buckets.read(bucket / 'a')
    FAULTS[:] = [2, 2, 2]
    with pytest.raises(buckets.BucketError, match='^gs://bucket/a: .*2 bytes came, 3 were asked for, tried 3 times$'):
        buckets.read(bucket / 'a', 0, 3)


class Answer(Exception):
    """As gcsfs tells an answer of the server."""

    def __init__(self, code):
        super().__init__(f'answer {code}')
        self.code = code


EXPIRED = OSError('An error occurred (ExpiredToken): The provided token has expired')
RIGHTS = [
    PermissionError('no'),
    type('NoCredentialsError', (Exception,), {})('none'),
    Answer(401),
    Answer('403'),
    EXPIRED,
]


@pytest.mark.parametrize('code', [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(bucket, code):
    OBJECTS['bucket/a'] = b'hello'
    FAULTS[:] = [Answer(code)]
    assert buckets.read(bucket / 'a') == b'hello' and ASKED['cat'] == 2


def test_what_a_server_refuses_is_told_at_once(bucket):
    FAULTS[:] = [Answer(400)]
    with pytest.raises(buckets.BucketError, match='^gs://bucket/a: Answer: answer 400$'):
        buckets.read(bucket / 'a')


@pytest.mark.parametrize('error', RIGHTS)
def test_missing_rights_are_told_at_once(bucket, error):
    FAULTS[:] = [error]
    with pytest.raises(ValueError, match='written to, got gs://bucket/run: gs://bucket/run/.trial-.*; sign in with'):
        expect_writable(bucket / 'run')
    assert ASKED.total() == 1


FULL = [
    Answer(507),
    OSError(errno.ENOSPC, 'No space left on device'),
    OSError(errno.EDQUOT, 'Disk quota exceeded'),
    OSError(errno.EIO, 'An error occurred (QuotaExceeded) when calling the PutObject operation: Unknown'),
    OSError(errno.EIO, 'An error occurred (XMinioStorageFull) when calling the PutObject operation'),
]


@pytest.mark.parametrize('error', FULL)
def test_a_bucket_that_is_full_is_told_at_once(bucket, error):
    FAULTS[:] = [error]
    with pytest.raises(buckets.BucketError, match='^gs://bucket/a: no room left for it '):
        buckets.put(bucket / 'a', b'hello')
    assert ASKED.total() == 1


def test_a_quota_of_requests_is_waited_for(bucket):
    error = Answer(429)
    error.args = ("Quota exceeded for quota metric 'Write requests'",)
    FAULTS[:] = [error]
    buckets.put(bucket / 'a', b'hello')
    assert ASKED['pipe'] == 2


def test_a_trial_leaves_no_trace(bucket):
    expect_writable(bucket / 'run')
    assert OBJECTS == {} and ASKED['pipe'] == 1


def test_no_object_is_an_answer(bucket):
    with pytest.raises(FileNotFoundError, match="No such file or directory: 'gs://bucket/a'"):
        (bucket / 'a').read_text()
    assert ASKED.total() == 1 and not (bucket / 'a').exists()


@pytest.mark.parametrize('ask', ['exists', 'is_dir', 'is_file', 'read_text'])
def test_a_network_that_is_away_is_no_empty_bucket(bucket, ask):
    FAULTS[:] = [ConnectionError('away')] * 3
    with pytest.raises(buckets.BucketError, match='^gs://bucket/a: .*away, tried 3 times$'):
        getattr(bucket / 'a', ask)()


def test_pauses_grow(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    async def fail():
        raise ConnectionError

    monkeypatch.setattr(asyncio, 'sleep', sleep)
    with pytest.raises(buckets.BucketError):
        asyncio.run(buckets.tried(fail, 'gs://bucket/a'))
    assert len(pauses) == len(buckets.PAUSES) == 6
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, buckets.PAUSES, strict=True))


def test_listings_and_copies(bucket):
    OBJECTS.update({'bucket/a/b': b'12', 'bucket/a/c/d': b'3', 'bucket/ab': b''})
    assert listed(bucket / 'a') == {'b': 2, 'c/d': 1}
    assert sorted(path.name for path in (bucket / 'a').iterdir()) == ['b', 'c']
    with local_copy(bucket / 'a' / 'b') as file:
        assert file.read_bytes() == b'12' and file.name == 'b'
    buckets.copy(bucket / 'ab', bucket / 'e')
    buckets.remove([bucket / 'ab', bucket / 'ab'])
    assert sorted(OBJECTS) == ['bucket/a/b', 'bucket/a/c/d', 'bucket/e']
