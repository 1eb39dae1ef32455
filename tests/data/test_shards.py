import pathlib

import pytest

from dnr_jax.data import shards
from dnr_jax.data.annotations.rows import Rejected, Row
from dnr_jax.data.shards import Record

ROWS = tuple(
    Row(split, f'{split}{number:03d}', pathlib.Path(), 'a') for split in ('train', 'test') for number in range(50)
)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, 'CLIPS_PER_SHARD', 12)


def convert(rows):
    """Every tenth row is rejected."""
    for row in rows:
        if row.id.endswith('7'):
            yield Rejected(row.split, row.id, '', 'unreadable', 'for the test')
        else:
            yield Record(row.id, 0, row.id.encode() * 10)


def test_the_plan_holds_every_row_once_and_depends_on_nothing_but_their_ids():
    planned = shards.plan('set', ROWS)
    assert sorted(row for shard in planned for row in shard.rows) == sorted(ROWS)
    assert [shard.file for shard in planned[:2]] == [
        'set-train.array_record-00000-of-00005',
        'set-train.array_record-00001-of-00005',
    ]
    assert {len(shard.rows) for shard in planned} == {10}
    assert all(row.split == shard.split for shard in planned for row in shard.rows)
    by_file = {shard.file: shard for shard in planned}
    assert {shard.file: shard for shard in shards.plan('set', ROWS[::-1])} == by_file
    assert [row for shard in planned[:5] for row in shard.rows] != list(ROWS[:50])


def test_there_are_never_too_many_shards(monkeypatch):
    monkeypatch.setattr(shards, 'MOST_SHARDS', 3)
    assert [shard.file[-5:] for shard in shards.plan('set', ROWS)] == ['00003'] * 6


def test_what_is_written_is_written_once_and_all_rows_are_accounted_for(tmp_path):
    planned = shards.plan('set', ROWS)
    asked = []

    def remember(rows):
        for row in rows:
            asked.append(row.id)
            yield from convert([row])

    first = shards.write_missing(planned, tmp_path, remember)
    for _ in range(25):
        next(first)
    first.close()  # as if interrupted in the third shard
    assert [shards.is_written(shard, tmp_path) for shard in planned] == [True, True] + 8 * [False]
    done = {row.id for shard in planned[:2] for row in shard.rows}
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    asked.clear()
    results = list(shards.write_missing(planned, tmp_path, remember))
    assert len(results) == 80 and set(asked).isdisjoint(done)
    assert all((tmp_path / name).read_bytes() == before for name, before in content.items())

    outcomes = [shards.outcomes(shard, tmp_path) for shard in planned]
    ids = [id for records, _, _ in outcomes for id, _ in records] + [row.id for _, lost, _ in outcomes for row in lost]
    assert sorted(ids) == sorted(row.id for row in ROWS)
    assert sum(len(lost) for _, lost, _ in outcomes) == 10
    assert sum(size for _, _, size in outcomes) == sum(10 * len(row.id) for row in ROWS if not row.id.endswith('7'))


def test_an_interrupted_writing_gives_the_same_bytes(tmp_path):
    planned = shards.plan('set', ROWS)
    for folder, stops in (('once', []), ('often', [3, 27, 12])):
        (tmp_path / folder).mkdir()
        for stop in stops:
            writing = shards.write_missing(planned, tmp_path / folder, convert)
            for _ in range(stop):
                next(writing)
            writing.close()
        list(shards.write_missing(planned, tmp_path / folder, convert))
    once, often = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ('once', 'often'))
    assert once == often and len(once) == 20


def test_a_file_that_is_not_what_was_written_is_not_accounted_for(tmp_path):
    planned = shards.plan('set', ROWS)
    list(shards.write_missing(planned, tmp_path, convert))
    kept = [sum(not row.id.endswith('7') for row in shard.rows) for shard in planned]
    other = next(place for place, count in enumerate(kept) if count != kept[0])
    (tmp_path / planned[0].file).write_bytes((tmp_path / planned[other].file).read_bytes())
    with pytest.raises(AssertionError, match='holds other records'):
        shards.outcomes(planned[0], tmp_path)
