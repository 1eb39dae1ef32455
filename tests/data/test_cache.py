"""Pieces are kept within a number of bytes, used only while they are whole, and the longest unused go first."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnr_jax.data.cache import Cache, cache_folder

PIECE, PIECE_ON_DISK = 968, 1000  # bytes


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'cache'


def fetcher(fetched):
    def fetch(of):
        fetched.append(of)
        return of.encode().ljust(PIECE)

    return fetch


def ask(cache, of, fetched):
    """What the cache says of it; `fetched` gets what was not there."""
    found = cache.get(of, lambda: fetcher(fetched)(of))
    assert found == of.encode().ljust(PIECE)


def size_of(folder):
    return PIECE_ON_DISK * len(list(folder.glob('??/*')))


def test_a_piece_is_fetched_once(folder):
    cache, fetched = Cache(folder, 10_000), []
    for of in 'abab':
        ask(cache, of, fetched)
    assert fetched == ['a', 'b'] and size_of(folder) == 2000


def test_none_is_kept_without_room(folder):
    for most in (0, 1000):
        fetched = []
        for _ in range(2):
            ask(Cache(folder, most), 'a', fetched)
        assert fetched == ['a', 'a'] and (not folder.exists() or size_of(folder) == 0)


def test_the_longest_unused_go_first(folder):
    cache, fetched = Cache(folder, 8_000), []
    for of in 'abcdefgh':
        ask(cache, of, fetched)
        for path in folder.glob('??/*'):
            os.utime(path, (time.time() - 1000, path.stat().st_mtime - 100))
    ask(cache, 'a', fetched)  # used again
    ask(cache, 'i', fetched)
    assert size_of(folder) <= 7_000
    fetched.clear()
    for of in 'ahi':
        ask(cache, of, fetched)
    assert fetched == []
    ask(cache, 'b', fetched)
    assert fetched == ['b']


@pytest.mark.parametrize(
    'damage', [lambda data: data[:-1], lambda data: data[:50] + b'!' + data[51:], lambda data: b'']
)
def test_a_damaged_piece_is_fetched_again(folder, damage):
    cache, fetched = Cache(folder, 10_000), []
    ask(cache, 'a', fetched)
    (path,) = folder.glob('??/*')
    path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):
        ask(cache, 'a', fetched)
    assert fetched == ['a', 'a']


@pytest.mark.parametrize('damage', [b'', bytes(4), b'12\0', b'-5', b'none'])
def test_what_is_no_number_of_bytes_is_counted_again(folder, damage):
    """As a loss of power leaves it: no record of the bucket is the worse for it, and the bound holds."""
    cache, fetched = Cache(folder, 4_000), []
    for of in 'abc':
        ask(cache, of, fetched)
    (folder / '.bytes').write_bytes(damage)
    for of in 'dd':
        ask(cache, of, fetched)
    assert fetched == ['a', 'b', 'c', 'd']
    assert int((folder / '.bytes').read_bytes()) == size_of(folder) <= 4_000


def test_a_disk_that_cannot_be_written_costs_only_fetches(folder):
    folder.parent.joinpath('file').touch()
    fetched = []
    for _ in range(2):
        ask(Cache(folder.parent / 'file' / 'cache', 10_000), 'a', fetched)
    assert fetched == ['a', 'a']


FILL = f"""
import pathlib, sys
from dnr_jax.data.cache import Cache
folder = pathlib.Path(sys.argv[1])
for of in range(50):
    Cache(folder, 20_000).get(f'{{sys.argv[2]}} {{of}}', lambda: bytes({PIECE}))
    assert {PIECE_ON_DISK} * len(list(folder.glob('??/*'))) <= 20_000
"""


def test_processes_share_its_bytes(folder):
    processes = [subprocess.Popen([sys.executable, '-c', FILL, str(folder), str(number)]) for number in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0] and 10_000 < size_of(folder) <= 20_000


def test_what_a_killed_process_left_goes_first(folder):
    cache = Cache(folder, 4_000)
    cache.get('a', lambda: bytes(PIECE))
    (folder / '.left').write_bytes(bytes(3000))
    os.utime(folder / '.left', (0, 0))
    (folder / '.bytes').write_text('')
    cache.get('b', lambda: bytes(PIECE))
    assert not (folder / '.left').exists() and size_of(folder) == 2000


def test_where_it_is(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/x')
    assert cache_folder() == Path('/x/dnr_jax/data')
