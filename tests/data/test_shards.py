import os
import pathlib

import pytest

from dnr_jax.data import shards
from dnr_jax.data.annotations.rows import Rejected, Row
from dnr_jax.data.shards import Record

ROWS = tuple(Row('train', f'id{number:03d}', pathlib.Path(f'{number}.mp4'), 'a') for number in range(100))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, 'CLIPS_PER_SHARD', 10)


def plan(rows=ROWS, *, size=100, settings='as it is'):
    return shards.plan('set', 'train', rows, size=size, settings=settings)


def convert(rows):
    """Every tenth row is rejected."""
    for row in rows:
        if row.id.endswith('7'):
            yield Rejected(row.split, row.id, str(row.path), 'unreadable', 'for the test')
        else:
            yield Record(row.id, 0, shards.look(row.path), row.id.encode() * 10)


def write(planned, folder):
    """Writes what is missing; returns the ids that had to be converted."""
    return [outcome.id for outcome in shards.write_missing(planned, folder, convert)]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_plan_holds_every_row_once_in_an_order_of_its_own():
    planned = plan()
    assert sorted(row for shard in planned for row in shard.rows) == sorted(ROWS)
    assert [shard.file for shard in planned[:2]] == [
        'set-train.array_record-00000-of-00010',
        'set-train.array_record-00001-of-00010',
    ]
    assert plan(ROWS[::-1]) == planned
    assert [row for shard in planned for row in shard.rows] != list(ROWS)


def test_a_row_that_comes_late_changes_one_shard():
    before, after = plan(ROWS[:40] + ROWS[41:]), plan()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a.fingerprint != b.fingerprint]
    assert len(changed) == 1 and ROWS[40] in changed[0][1].rows


def test_there_are_never_too_many_shards(monkeypatch):
    monkeypatch.setattr(shards, 'MOST_SHARDS', 3)
    assert [shard.file[-5:] for shard in plan()] == ['00003'] * 3


def test_what_is_written_is_written_once_and_all_rows_are_accounted_for(tmp_path):
    planned = plan()
    first = shards.write_missing(planned, tmp_path, convert)
    for _ in range(len(planned[0].rows) + len(planned[1].rows) + 3):
        next(first)
    first.close()  # as if interrupted in the third shard
    assert [shards.find(shard, tmp_path) is not None for shard in planned] == [True, True] + 8 * [False]
    content = files(tmp_path)
    assert sorted(content) == [f'{shard.file}{end}' for shard in planned[:2] for end in ('', '.json', '.videos')]
    assert set(write(planned, tmp_path)) == {row.id for shard in planned[2:] for row in shard.rows}
    assert files(tmp_path) | content == files(tmp_path)

    found = list(shards.check(planned, tmp_path))
    ids = [id for one in found for id, _ in one.records] + [row.id for one in found for row in one.rejected]
    assert sorted(ids) == [row.id for row in ROWS]
    assert sum(len(one.rejected) for one in found) == 10
    assert write(planned, tmp_path) == []


def test_an_interrupted_writing_gives_the_same_bytes(tmp_path):
    for folder, stops in (('once', []), ('often', [3, 27, 12])):
        (tmp_path / folder).mkdir()
        for stop in stops:
            writing = shards.write_missing(plan(), tmp_path / folder, convert)
            for _ in range(stop):
                next(writing)
            writing.close()
        write(plan(), tmp_path / folder)
    assert files(tmp_path / 'once') == files(tmp_path / 'often') and len(files(tmp_path / 'once')) == 30


def test_two_at_one_shard_do_not_hurt_each_other(tmp_path):
    (shard,) = plan(ROWS[:5], size=5)
    one, other = (shards.write_missing([shard], tmp_path, convert) for _ in range(2))
    next(one)
    assert len(list(other)) == 5
    assert len(list(one)) == 4
    assert [len(written.records) for written in shards.check([shard], tmp_path)] == [5] and len(files(tmp_path)) == 3


def test_what_could_become_a_record_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (5, 6, 7, 17):
        pathlib.Path(f'{number}.mp4').write_bytes(b'video')
    (shard,) = plan([*ROWS[5:8], ROWS[17], ROWS[27]], size=6)  # 27 is not there, and so rejected
    (later,) = plan([*ROWS[5:9], ROWS[17], ROWS[27]], size=6)
    assert {row.id for row in shards.unsettled(shard, tmp_path)} == {'id005', 'id006', 'id007', 'id017', 'id027'}
    write([shard], tmp_path)
    assert shards.unsettled(shard, tmp_path) == []
    pathlib.Path('6.mp4').write_bytes(b'another')  # a record does not become one
    pathlib.Path('17.mp4').write_bytes(b'repaired')
    assert {row.id for row in shards.unsettled(later, tmp_path)} == {'id008', 'id017'}


@pytest.mark.parametrize('change', ['settings', 'labels', 'cut', 'repaired', 'given up'])
def test_a_shard_is_written_again_if_it_could_be_another_now(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'out'
    folder.mkdir()
    rows = ROWS[5:9]  # the third of which is rejected
    (shard,) = plan(rows, size=4)
    pathlib.Path('7.mp4').write_bytes(b'broken')
    assert len(write([shard], folder)) == 4 and write([shard], folder) == []
    if change == 'settings':
        (shard,) = plan(rows, size=4, settings='smaller')
    elif change == 'labels':
        (shard,) = plan([row._replace(label='b') for row in rows], size=4)
    elif change == 'cut':
        os.truncate(folder / shard.file, 100)
    elif change == 'repaired':
        pathlib.Path('7.mp4').write_bytes(b'as it should be')
    else:
        told = folder / f'{shard.file}.json'
        (folder / shard.file).unlink()
        told.unlink()
        monkeypatch.setattr(shards, 'GIVEN_UP', 'unreadable')
        write([shard], folder)
    assert len(write([shard], folder)) == 4


@pytest.mark.parametrize('kind', ['file', 'frames', 'another folder', 'touched after it was read'])
def test_a_preparation_that_goes_on_does_not_mix_videos_with_others(kind, tmp_path):
    """In two shards of two videos, one video is replaced after both were written, or after it was read."""
    rows = [row._replace(path=tmp_path / row.id) for row in ROWS[:4]]
    for row in rows:
        if kind == 'frames':
            row.path.mkdir()
            (row.path / '1.jpg').write_bytes(b'frame')
        else:
            row.path.write_bytes(b'video')
    folder = tmp_path / 'out'
    folder.mkdir()
    planned = plan(rows, size=20)
    changed = planned[0].rows[0]

    def convert_and_replace(rows):
        for outcome in convert(rows):
            if kind == 'touched after it was read' and outcome.id == changed.id:
                os.utime(changed.path, ns=(1, 1))
            yield outcome

    assert len(list(shards.write_missing(planned, folder, convert_and_replace))) == 4
    if kind == 'file':
        changed.path.write_bytes(b'viDeo')
    elif kind == 'frames':
        (changed.path / '1.jpg').write_bytes(b'fraMe')  # its folder is as it was
    elif kind == 'another folder':
        other = tmp_path / 'other'
        other.mkdir()
        (other / changed.id).write_bytes(b'viDeo')
        here = [row._replace(path=other / row.id) if row == changed else row for row in rows]
        planned = plan(here, size=20)
    assert write(planned, folder) == [row.id for row in planned[0].rows]
    assert write(planned, folder) == []


def test_records_of_a_whole_data_set_stay_whatever_becomes_of_their_videos(tmp_path):
    (shard,) = plan([row._replace(path=tmp_path / row.id) for row in ROWS[:4]], size=4)
    write([shard], tmp_path)
    (tmp_path / f'{shard.file}.videos').unlink()  # as a data set that is whole has none
    shard.rows[0].path.write_bytes(b'it was not there')
    assert write([shard], tmp_path) == []
