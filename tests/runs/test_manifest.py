"""A seal holds as long as every byte is as it was; what is wrong otherwise is said in words."""

import json
import random

import pytest

from benchmarks import corruption
from dnr_jax.runs import manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'arrays').mkdir()
    (tmp_path / 'arrays' / 'kernel').write_bytes(bytes(range(256)))
    (tmp_path / 'metadata').write_text('{}')
    return tmp_path


@pytest.fixture
def sealed(folder):
    manifest.seal(folder)
    return folder


def test_a_seal_covers_all_files_and_can_be_renewed(folder):
    assert manifest.damage(folder) == 'manifest.json is missing: it was never finished'
    manifest.seal(folder)
    assert manifest.damage(folder) is None
    assert json.loads((folder / 'manifest.json').read_text())['files'].keys() == {'arrays/kernel', 'metadata'}
    (folder / 'metadata').write_text('[]')
    manifest.seal(folder)
    assert manifest.damage(folder) is None
    assert {path.name for path in folder.iterdir()} == {'arrays', 'metadata', 'manifest.json'}


def test_a_folder_that_goes_while_it_is_read_is_damaged(sealed, monkeypatch):
    def files(folder):
        raise FileNotFoundError('arrays')

    monkeypatch.setattr(manifest, 'files', files)
    assert manifest.damage(sealed) == 'its files cannot be listed (arrays)'


@pytest.mark.parametrize(
    ('harm', 'words'),
    [
        (lambda folder: (folder / 'metadata').write_text('[]'), 'metadata has changed'),
        (lambda folder: (folder / 'metadata').write_text(''), 'metadata has changed'),
        (lambda folder: (folder / 'arrays' / 'kernel').unlink(), 'arrays/kernel is missing'),
        (lambda folder: (folder / 'metadata').rename(folder / 'other'), 'metadata is missing'),
        (lambda folder: (folder / 'arrays' / 'more').touch(), 'arrays/more was added'),
    ],
)
def test_files_that_differ_are_named(sealed, harm, words):
    harm(sealed)
    assert manifest.damage(sealed) == words


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'cannot be read'),
        (b'{"files": ', 'cannot be read'),
        (b'\xff\xfe', 'cannot be read'),
        (b'[1, 2]', 'cannot be read'),
        (b'"files"', 'cannot be read'),
        (b'null', 'cannot be read'),
        (b'{"files": {}}', 'cannot be read'),
        (b'{"files": [], "of_files": "x"}', 'cannot be read'),
        (b'{"files": {"a": 1}, "of_files": {}}', 'cannot be read'),
        (b'[' * 100_000, 'cannot be read'),
        (b'{"files": {}, "of_files": ""}', 'has changed'),
    ],
)
def test_a_manifest_that_is_none(sealed, content, words):
    (sealed / 'manifest.json').write_bytes(content)
    assert manifest.damage(sealed).startswith(f'manifest.json {words}')


def test_no_bit_of_a_manifest_can_flip_and_no_byte_be_cut_off(sealed):
    path = sealed / 'manifest.json'
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            assert manifest.damage(sealed).startswith('manifest.json ')
        path.write_bytes(content[:place])
        assert manifest.damage(sealed).startswith('manifest.json ')


@pytest.mark.parametrize('seed', range(50))
def test_random_faults(sealed, seed):
    fault = corruption.strike(sealed, random.Random(seed))
    assert manifest.damage(sealed), fault


def test_a_file_that_the_disk_does_not_give_back(sealed, monkeypatch):
    def fail(path):
        raise OSError('bad sector')

    monkeypatch.setattr(manifest, 'fingerprint', fail)
    assert manifest.damage(sealed) == 'arrays/kernel cannot be read (bad sector)'
