"""Two sets of predictions whose difference can be counted by hand."""

import csv
import math

import numpy as np
import pytest

from dnr_jax.compare import comparison as compare
from dnr_jax.compare.__main__ import main
from dnr_jax.evaluation import predictions
from dnr_jax.evaluation.predictions import Predictions

NAMES = ('walk', 'run', 'jump')
LABELS = (0, 0, 0, 0, 1, 1, 2, 2)
BY_A = (0, 0, 1, 1, 1, 1, 2, 0)  # which class it says
BY_B = (0, 0, 0, 0, 1, 0, 2, 2)


def stored(said, labels=LABELS, ids=None, names=NAMES, protocol='8x8 frames (8 videos)'):
    """Predictions of one model, as they are read."""
    ids = [f'v{n}' for n in range(len(said))] if ids is None else ids
    logits = np.eye(len(names))[list(said)]
    return predictions.Stored(np.array(ids), np.array(labels), logits, np.array(names), protocol)


@pytest.fixture
def folders(tmp_path):
    """Two folders with predictions.npz."""
    for name, said in (('a', BY_A), ('b', BY_B)):
        of = stored(said)
        (tmp_path / name).mkdir()
        whole = Predictions(of.ids, of.labels, of.logits, of.logits[:, None], (), len(of.ids))
        predictions.save(tmp_path / name, whole, NAMES, of.protocol)
    return [str(tmp_path / name) for name in ('a', 'b')]


def test_counts_by_hand():
    comparison = compare.match(stored(BY_A), stored(BY_B))
    assert comparison.right.sum(axis=1).tolist() == [5, 7]
    text = compare.to_text(comparison, ('one', 'other'))
    assert 'top-1    62.5%  one' in text and 'top-1    87.5%  other' in text
    assert '+25.00 points' in text and 'p = 0.62: could be chance' in text  # 2 (1 + 4) / 2^4
    assert '8 videos; right in A alone 1, in B alone 3' in text and 'left out' not in text
    assert 'gains  +50.0  walk (4)' in text and '+50.0  jump (2)' in text and 'losses -50.0  run (2)' in text


def test_only_common_videos_with_a_label_count():
    """Shuffled, with one video missing on either side and one without a label."""
    labels = (0, -1, *LABELS[2:])
    order = [7, 3, 0, 1, 2, 4, 5]
    a = stored([BY_A[n] for n in order], [labels[n] for n in order], [f'v{n}' for n in order])
    b = stored(BY_B[:7], labels[:7])
    comparison = compare.match(a, b)
    assert comparison.ids.tolist() == ['v0', 'v2', 'v3', 'v4', 'v5'] and comparison.only == (1, 1)
    assert comparison.right.tolist() == [[True, False, False, True, True], [True, True, True, True, False]]
    assert 'left out: 1 videos only A has scored, 1 only B' in compare.to_text(comparison, ('one', 'other'))


@pytest.mark.parametrize(
    ('protocol', 'note'),
    [
        ('8x8 frames (7 videos)', None),
        ('16x4 frames (8 videos)', ['note   A and B were scored by different protocols', '8x8 frames', '16x4 frames']),
        ('', ['note   A and B may have been scored by different protocols', '8x8 frames', 'unknown']),
    ],
)
def test_scores_by_different_protocols_are_told(protocol, note):
    lines = compare.to_text(compare.match(stored(BY_A), stored(BY_B, protocol=protocol)), ('one', 'other')).splitlines()
    if note:
        assert [line.strip() for line in lines[:3]] == note
    assert lines[3 if note else 0].startswith('A      top-1')


def test_two_unknown_protocols_may_differ():
    comparison = compare.match(stored(BY_A, protocol=''), stored(BY_B, protocol=''))
    assert 'may have been scored by different' in compare.to_text(comparison, ('one', 'other'))


def test_ties_are_wrong_as_they_are_in_every_score():
    constant = stored(BY_A)._replace(logits=np.zeros((8, 3)))
    assert not compare.match(constant, constant).right.any()


@pytest.mark.parametrize(
    ('b', 'c', 'p'), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (9, 1, 2 * 11 / 1024)]
)
def test_mcnemar_by_hand(b, c, p):
    assert compare.mcnemar(b, c) == p


def test_mcnemar_of_many_videos():
    """The normal approximation, with its correction for continuity, where it is good."""
    z = (5_200 - 4_800 - 1) / math.sqrt(10_000)
    assert compare.mcnemar(4_800, 5_200) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.02)
    assert compare.mcnemar(0, 3_000) == 0


def test_the_interval_holds_what_a_normal_one_holds():
    b, c, n = 300, 400, 5_000
    deviation = math.sqrt(b + c - (c - b) ** 2 / n) / n
    low, high = compare.bootstrap(b, c, n)
    assert low == pytest.approx(0.02 - 1.96 * deviation, abs=4e-4)
    assert high == pytest.approx(0.02 + 1.96 * deviation, abs=4e-4)
    assert compare.bootstrap(b, c, n) == (low, high)
    assert compare.bootstrap(0, 0, 10) == (0, 0)


def test_what_cannot_be_compared():
    a = stored(BY_A)
    with pytest.raises(
        ValueError, match=r'same classes, in the same order.*3 \(walk, run, jump\), B has 4 \(walk, run, jump, ...\)'
    ):
        compare.match(a, stored(BY_B, names=(*NAMES, 'sit')))
    with pytest.raises(ValueError, match=r'same labels.*1 of 8 differ, like 1 \(v0\)'):
        compare.match(a, stored(BY_B, labels=(1, *LABELS[1:])))
    with pytest.raises(ValueError, match=r'got none: A has 8 \(v0, v1, v2, ...\), B has 8 \(w0.*0 are in both'):
        compare.match(a, stored(BY_B, ids=[f'w{n}' for n in range(8)]))
    with pytest.raises(ValueError, match=r'label is known, got none.*8 are in both'):
        compare.match(stored(BY_A, [-1] * 8), stored(BY_B, [-1] * 8))


def test_the_command(folders, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main([folders[0], f'{folders[1]}/predictions.npz', f'--out={out}']) == 0
    assert 'B - A  +25.00 points' in capsys.readouterr().out
    with (out / 'flips.csv').open() as file:
        assert list(csv.reader(file)) == [
            ['id', 'label', 'right', 'predicted_a', 'predicted_b'],
            ['v2', 'walk', 'B', 'run', 'walk'],
            ['v3', 'walk', 'B', 'run', 'walk'],
            ['v5', 'run', 'A', 'run', 'walk'],
            ['v7', 'jump', 'B', 'walk', 'jump'],
        ]
    with (out / 'classes.csv').open() as file:
        rows = list(csv.reader(file))
    assert rows[1] == ['walk', '4', '0.500000', '1.000000', '0.500000']
    assert [row[0] for row in rows] == ['name', 'walk', 'jump', 'run']
    assert (out / 'classes.png').read_bytes().startswith(b'\x89PNG')


def test_the_home_folder_is_meant_by_its_sign(folders, tmp_path, monkeypatch):
    """No shell expands --out=~/comparison, which would become a folder of that name here."""
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.chdir(tmp_path)
    assert main([*folders, '--out=~/comparison']) == 0
    assert (tmp_path / 'home/comparison/classes.csv').exists() and not (tmp_path / '~').exists()


def test_a_mistake_is_one_line(folders, tmp_path, capsys):
    assert main([folders[0], str(tmp_path / 'nowhere')]) == 2
    told = capsys.readouterr()
    assert told.out == '' and len(told.err.splitlines()) == 1 and 'nowhere' in told.err


def test_help_says_how_to_read_it(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    told = capsys.readouterr().out
    assert all(word in told for word in ('McNemar', 'bootstrap', 'flips.csv'))


def test_a_picture_of_many_classes(tmp_path):
    classes = [compare.ClassDifference(f'doing {n} things [somewhere]', n + 1, 0.5, n / 100) for n in range(99, -1, -1)]
    compare.draw(tmp_path / 'classes.png', classes, 'A: one\nB: other')
    assert (tmp_path / 'classes.png').read_bytes().startswith(b'\x89PNG')
