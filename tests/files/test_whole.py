"""A file, or a folder, is there whole or not at all."""

from pathlib import Path

import pytest

from dnr_jax.files import expect_writable, folder_written_whole, written_whole


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


def test_a_folder_takes_the_place_of_an_older_one_as_a_whole(tmp_path):
    folder = tmp_path / 'runs' / 'test'
    for words in ('older', 'newer'):
        with folder_written_whole(folder, last='newer') as unfinished:
            (unfinished / words).write_text(words)
            assert [path.name for path in folder.parent.glob('test/*')] == (['older'] if words == 'newer' else [])
    assert [path.name for path in folder.iterdir()] == ['newer']
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_was_not_finished_leaves_the_older_one(tmp_path):
    (tmp_path / 'test').mkdir()
    (tmp_path / 'test' / 'older').touch()
    left_behind = tmp_path / '.unfinished-test'  # by a process that was killed
    left_behind.mkdir()
    (left_behind / 'half').touch()
    with pytest.raises(KeyboardInterrupt), folder_written_whole(tmp_path / 'test', last='file') as unfinished:
        assert list(unfinished.iterdir()) == []
        (unfinished / 'newer').touch()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ['test']
    assert [path.name for path in (tmp_path / 'test').iterdir()] == ['older']


def test_a_file_does_not_give_way_to_a_folder(tmp_path):
    notes = tmp_path / 'notes'
    notes.write_text('mine')
    with pytest.raises(NotADirectoryError), folder_written_whole(notes, last='new') as unfinished:
        (unfinished / 'new').write_text('new')
    assert notes.read_text() == 'mine' and list(tmp_path.iterdir()) == [notes]


def test_a_disk_that_becomes_full_is_told_with_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '.*/results.json'"):
        with written_whole(tmp_path / 'results.json'), open('/dev/full', 'w', buffering=1) as full:
            full.write('any\n')
    with pytest.raises(OSError, match=r"No space left on device: '.*/test'"):
        with folder_written_whole(tmp_path / 'test', last='file'), open('/dev/full', 'w', buffering=1) as full:
            full.write('any\n')
    with pytest.raises(FileNotFoundError, match='nowhere'), written_whole(tmp_path / 'results.json'):
        (tmp_path / 'nowhere').read_text()


def test_links_that_stand_in_the_way_are_not_followed(tmp_path):
    kept = tmp_path / 'kept'
    kept.mkdir()
    (kept / 'file').write_text('kept')
    (tmp_path / '.unfinished-results.json').symlink_to(kept / 'file')
    with written_whole(tmp_path / 'results.json') as unfinished:
        unfinished.write_text('new')
    for word in ('unfinished', 'replaced'):
        (tmp_path / f'.{word}-test').symlink_to(kept)
    (tmp_path / 'test').mkdir()
    with folder_written_whole(tmp_path / 'test', last='file') as unfinished:
        (unfinished / 'file').write_text('new')
    assert (kept / 'file').read_text() == 'kept'
    assert [(tmp_path / path).read_text() for path in ('results.json', 'test/file')] == ['new', 'new']


def test_what_can_be_written_to(tmp_path):
    """Whether it is there or not, and without a trace."""
    expect_writable(tmp_path)
    expect_writable(tmp_path / 'a' / 'b')
    assert list(tmp_path.iterdir()) == []
    (tmp_path / 'file').touch()
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere')
    for folder in (tmp_path / 'file', tmp_path / 'file/within', tmp_path / 'link/within', Path('/proc/within')):
        with pytest.raises(ValueError, match='Expected a folder that can be written to'):
            expect_writable(folder)
