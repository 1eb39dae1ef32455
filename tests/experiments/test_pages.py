import numpy as np
import pytest

from benchmarks.records import provenance
from experiments import families, pages, small_batch
from experiments.small_batch import METHODS


def run(backbone, method, clips, seed, correct):
    """A record of a run that is right on the first `correct` test clips."""
    right = np.arange(pages.TEST_CLIPS) < correct
    ways = {'running': right, 'precise_per_hop': right, 'training': right} if clips > 1 else {'running': right}
    drift = {'drift_mean': 0.25, 'drift_var': 0.5} | ({} if method == 'batch' else {'spread_mean': 1, 'spread_var': 2})
    return {
        'backbone': backbone, 'method': method, 'clips': clips, 'seed': seed, 'epochs': pages.FEW,
        'top1': {way: float(of.mean()) for way, of in ways.items()},
        'right': {way: np.packbits(of).tobytes().hex() for way, of in ways.items()},
        **({'drift': drift} if clips > 1 else {}),
        'by': provenance(),
    }  # fmt: skip


@pytest.fixture(scope='module')
def runs():
    return [
        run(
            backbone, method, clips if METHODS[method].over_clips else 1, seed, 100 + 12 * seed + 48 * (method == 'dnr')
        )
        for backbone in ('resnet18', 'tsm_resnet18')
        for method in METHODS
        for clips in ((2, 16) if METHODS[method].over_clips else (1,))
        for seed in (1, 0, 2)
    ]


def rows(text, *words):
    return [line for line in text.splitlines() if line.startswith('|') and all(f'| {word} |' in line for word in words)]


def test_accuracies_are_means_and_spreads_over_seeds(runs):
    text = pages.accuracies(pages.grouped(runs, pages.FEW), list(METHODS), 'running')
    total = pages.TEST_CLIPS
    cell = f'{100 * 112 / total:.1f} ± {100 * 12 / total:.1f} (3)'
    assert rows(text, '`resnet18`', 'batch') == [f'| `resnet18` | batch | {cell} |  |  | {cell} |']


def test_norms_without_statistics_over_clips_stand_at_every_number(runs):
    (line,) = rows(
        pages.accuracies(pages.grouped(runs, pages.FEW), ['group'], 'precise_per_hop'), '`tsm_resnet18`', 'group'
    )
    cells = [cell.strip() for cell in line.split('|')[3:7]]
    assert len(set(cells)) == 1 and '±' in cells[0]


def test_runs_of_other_lengths_stand_apart(runs):
    longer = [record | {'epochs': pages.MANY} for record in runs if record['method'] == 'dnr']
    groups = pages.grouped(runs + longer, pages.MANY)
    assert {method for _, method, _ in groups} == {'dnr'} and {len(group) for group in groups.values()} == {3}
    assert 'batch at 2, 4, 8, 16' in pages.not_run(groups)


def test_differences_say_what_is_significant(runs):
    text = pages.differences(pages.grouped(runs, pages.FEW), ['dnr', 'layer'], 'batch', ['running'])
    gain = f'{100 * 48 / pages.TEST_CLIPS:+.1f}'
    assert rows(text, '`resnet18`', 'dnr', '2') == [
        f'| `resnet18` | dnr | 2 | 3 | {gain} | **< 0.001** | **< 0.001** |'
    ]
    assert rows(text, '`resnet18`', 'layer', '16') == ['| `resnet18` | layer | 16 | 3 | +0.0 | 1 | 1 |']
    assert rows(text, 'both', 'dnr', '2') == [f'| both | dnr | 2 | 6 | {gain} | **< 0.001** | **< 0.001** |']
    assert not rows(text, '4')


def test_over_both_backbones_the_seeds_of_both_count(runs):
    more = [record | {'seed': 7} for record in runs if record['backbone'] == 'resnet18' and record['seed'] == 0]
    text = pages.differences(pages.grouped(runs + more, pages.FEW), ['dnr'], 'batch', ['running'])
    assert rows(text, '`resnet18`', 'dnr', '2')[0].split(' | ')[3] == '4'
    assert rows(text, 'both', 'dnr', '2')[0].split(' | ')[3] == '6'


def test_gaps_leave_out_the_spread_of_one_hop(runs):
    text = pages.gaps(pages.grouped(runs, pages.FEW), list(METHODS))
    assert rows(text, 'batch', '2')[0].endswith('| 0.25 | 0.50 |  |  |')
    assert rows(text, 'dnr', '2')[0].endswith('| 0.25 | 0.50 | 1.00 | 2.00 |')
    assert not rows(text, 'group')


def test_the_page_is_written_from_the_records_alone(runs, monkeypatch, tmp_path):
    trained = {
        'backbone': 'resnet18', 'norms': 'dnr', 'seed': 0, 'settings': [], 'top1': 0.875, 'by': provenance(),
    }  # fmt: skip
    others = [trained | {'seed': 1, 'top1': 0.5}, trained | {'settings': ['--config.train.epochs=1'], 'top1': 0.25}]
    stored = {small_batch.RECORDS: runs, families.RECORDS: [trained, *others]}
    monkeypatch.setattr(pages, 'DOCS', tmp_path)
    monkeypatch.setattr(pages.records, 'read', stored.get)
    monkeypatch.setattr('sys.argv', ['pages'])
    pages.main()
    text = (tmp_path / 'experiments.md').read_text()
    assert '| `resnet18` |  | 87.5% |' in text
    assert f'{len(runs)} runs; commit {trained["by"]["commit"]}' in text
    assert (tmp_path / 'experiments/small_batch.png').stat().st_size > 10_000
