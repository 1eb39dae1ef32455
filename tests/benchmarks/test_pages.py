"""The page of figures is what the records say."""

import re
import subprocess
import sys

import pytest

from benchmarks import pages, records, sections, speed, tables


def test_the_pages_are_made_of_the_records():
    asked = 'run python -m benchmarks.pages'
    assert pages.PAGE.read_text() == pages.page(), asked
    assert pages.PROSE.read_text() == speed.page(), asked


def test_the_speed_of_the_first_page_is_that_of_the_records():
    """The row of README.md."""
    assert f'on a CPU | 1 | {speed.relays()["step_8"]} |' in (records.ROOT / 'README.md').read_text()


def test_lines_are_broken_anew():
    long = 'word ' * 30
    kept = ['# A', f'| {long} |', f'```\n{long}\n\n{long}\n```']
    prose = f'{long}\n{long}'
    items = f'* {long}\n  {long}\n* b'
    found = tables.wrapped('\n\n'.join([*kept, prose, items])).split('\n\n')
    assert '\n\n'.join(found[:4]) == '\n\n'.join(kept)
    assert [len(line) for line in found[4].splitlines()] == [119, 119, 59]  # 24 words of 5 letters, and 12
    assert [line[:6] for line in found[5].splitlines()] == ['* word', '  word', '  word', '* b']


def test_of_accelerators_the_page_of_speed_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(records, 'FOLDER', tmp_path)
    for device in ('cpu', 'NVIDIA H100'):
        records.add(tmp_path / 'norms.jsonl', {'backbone': 'resnet50'}, {'device': device})
    assert speed.of_backbone('norms', 'resnet50')['by']['device'] == 'cpu'


def test_of_the_same_thing_the_last_record_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(records, 'FOLDER', tmp_path)
    for value, pace in ((8, 1), (16, 2), (8, 3)):
        records.add(tmp_path / 'growth.jsonl', {'axis': 'frames', 'frames': value, 'pace': pace})
    assert [record['pace'] for record in tables.latest('growth')] == [2, 3]


@pytest.mark.parametrize('key', ['clips', 'frames', 'size', 'dtypes'])
@pytest.mark.parametrize('name', ['backbones', 'memory', 'norms'])
def test_other_clips_are_another_measurement(name, key, tmp_path, monkeypatch):
    monkeypatch.setattr(records, 'FOLDER', tmp_path)
    for value in (16, 32):
        records.add(tmp_path / f'{name}.jsonl', {'backbone': 'i3d_resnet50', 'pass': 'training', key: value})
    assert [record[key] for record in tables.latest(name)] == [16, 32]


def test_nothing_measured_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(records, 'FOLDER', tmp_path)
    assert pages.page().count('Not measured yet.') >= len(pages.SECTIONS) - 1


def test_tables():
    assert list(tables.table('a | b', [['x', '1'], ['y', '2']])) == [
        '| a | b |',
        '| --- | ---: |',
        '| x | 1 |',
        '| y | 2 |',
    ]


def test_ratios_by_hand():
    def row(norms, seconds, factor):
        return {
            'norms': norms, 'dtype': 'float32', 'devices': 1, 'ratio': {'median': seconds}, 'peak_bytes': 100 * factor,
            'processor_seconds': 10 * factor, 'bytes_accessed': 4 * factor,
        }  # fmt: skip

    found = sections.relayed_ratios({'variants': [row('dnr', 1.04, 3), row('batch', 1.0, 2)]})
    assert found == {'step time': 1.04, 'memory': 1.5, 'compile time': 1.5, 'bytes': 1.5}


@pytest.mark.parametrize('path', sorted(records.FOLDER.glob('*.jsonl')), ids=lambda path: path.stem)
def test_records_say_where_they_are_from(path):
    for record in records.read(path):
        assert record['by'].keys() >= {'command', 'commit', 'date', 'versions', 'device'}
        assert re.fullmatch(r'[0-9a-f]{7,}\+?', record['by']['commit'])


def test_a_record_without_room_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / 'growth.jsonl'
    records.add(path, {'pace': 1})
    before = path.read_bytes()
    limited = (
        'import resource, signal; from pathlib import Path; from benchmarks import records; '
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN); '
        f'resource.setrlimit(resource.RLIMIT_FSIZE, 2 * [{len(before) + 100}]); '
        f'records.add(Path({str(path)!r}), {{"pace": list(range(1000))}})'
    )
    ended = subprocess.run([sys.executable, '-c', limited], cwd=records.ROOT, capture_output=True, text=True)
    assert 'No room for a record' in ended.stderr
    assert path.read_bytes() == before
