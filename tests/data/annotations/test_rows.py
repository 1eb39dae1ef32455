from pathlib import Path

import pytest

from dnr_jax.data.annotations import folders
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, collect, overlaps

LATIN = 'caf\udce9'  # how a file name of the bytes b'caf\xe9' is read
ESCAPED = 'caf\\udce9'


def test_what_is_no_utf8_is_rejected_and_escaped():
    entries = [
        Row('train', LATIN, Path('a.mp4'), 'run'),
        Row('train', 'a', Path(f'{LATIN}.mp4'), 'run'),
        Row('train', 'a', Path('a.mp4'), LATIN),
        Row('train', 'a', Path('é.mp4'), 'run'),
        Rejected('train', LATIN, f'{LATIN}.mp4', 'missing', f'no {LATIN}'),
    ]
    names, rows, rejected, *_ = collect(['run', LATIN], entries)
    assert names == ('run', ESCAPED) and rows == (entries[3],)
    assert [entry[1:4] for entry in rejected] == [
        (ESCAPED, 'a.mp4', 'malformed row'),
        ('a', f'{ESCAPED}.mp4', 'malformed row'),
        ('a', 'a.mp4', 'unknown label'),
        (ESCAPED, f'{ESCAPED}.mp4', 'missing'),
    ]
    repr(rejected).encode()


def test_files_that_are_no_utf8(put):
    source = put({'a/1.mp4': '', f'a/{LATIN}.mp4': '', f'{LATIN}/2.mp4': ''})
    annotated = folders.read(source)
    assert [row.id for row in annotated.rows] == ['a/1']
    assert [entry.id for entry in annotated.rejected] == [f'a/{ESCAPED}', f'{ESCAPED}/2']


@pytest.mark.parametrize('name', ['a\nb', 'a\rb', 'walk ', ' walk', '\u00a0walk', 'walk\u2028', ''])
def test_class_names_that_would_be_read_otherwise_are_refused(name):
    assert collect(['$run$', 'a\u2028b'], []).label_names == ('$run$', 'a\u2028b')
    with pytest.raises(ValueError, match='Rename the class'):
        collect(['run', name], [])


def test_overlaps():
    ids = {'train': 'abc', 'validation': 'bcd', 'test': 'e', 'more': 'ce'}
    rows = tuple(Row(split, id, Path(id), None) for split in ids for id in ids[split])
    assert overlaps(Annotated((), rows, ())) == {
        ('train', 'validation'): 2,
        ('train', 'more'): 1,
        ('validation', 'more'): 1,
        ('test', 'more'): 1,
    }
