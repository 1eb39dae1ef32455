"""A file is there whole or not at all."""

import pytest

from dnr_jax.files import written_whole


def test_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / 'results.json'
    path.write_text('old')
    with written_whole(path) as unfinished:
        unfinished.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_one(tmp_path):
    path = tmp_path / 'results.json'
    path.write_text('old')
    with pytest.raises(RuntimeError), written_whole(path) as unfinished:
        unfinished.write_text('ne')
        raise RuntimeError
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]
