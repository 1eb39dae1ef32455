import re

import numpy as np
import pytest

from benchmarks.records import ROOT, provenance
from benchmarks.records import read as read_records
from experiments import families, pages, pictures, real_video, real_video_page, small_batch, tables
from experiments.small_batch import METHODS


def run(backbone, method, clips, seed, correct):
    """A record of a run that is right on the first `correct` test clips."""
    right = np.arange(tables.TEST_CLIPS) < correct
    ways = {'running': right, 'precise_per_hop': right, 'training': right} if clips > 1 else {'running': right}
    drift = {'drift_mean': 0.25, 'drift_var': 0.5} | ({} if method == 'batch' else {'spread_mean': 1, 'spread_var': 2})
    return {
        'backbone': backbone, 'method': method, 'clips': clips, 'seed': seed, 'epochs': tables.FEW,
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
    text = tables.accuracies(tables.grouped(runs, tables.FEW), list(METHODS), 'running')
    total = tables.TEST_CLIPS
    cell = f'{100 * 112 / total:.1f} ± {100 * 12 / total:.1f} (3)'
    assert rows(text, '`resnet18`', 'batch') == [f'| `resnet18` | batch | {cell} |  |  | {cell} |']


def test_norms_without_statistics_over_clips_stand_at_every_number(runs):
    (line,) = rows(
        tables.accuracies(tables.grouped(runs, tables.FEW), ['group'], 'precise_per_hop'), '`tsm_resnet18`', 'group'
    )
    cells = [cell.strip() for cell in line.split('|')[3:7]]
    assert len(set(cells)) == 1 and '±' in cells[0]


def test_runs_of_other_lengths_stand_apart(runs):
    longer = [record | {'epochs': tables.MANY} for record in runs if record['method'] == 'dnr']
    groups = tables.grouped(runs + longer, tables.MANY)
    assert {method for _, method, _ in groups} == {'dnr'} and {len(group) for group in groups.values()} == {3}
    assert 'batch at 2, 4, 8, 16' in tables.not_run(groups)


def test_differences_say_what_is_significant(runs):
    text = tables.differences(tables.grouped(runs, tables.FEW), ['dnr', 'layer'], 'batch', ['running'])
    gain = f'{100 * 48 / tables.TEST_CLIPS:+.1f}'
    assert rows(text, '`resnet18`', 'dnr', '2') == [
        f'| `resnet18` | dnr | 2 | 3 | {gain} | **< 0.001** | **< 0.001** |'
    ]
    assert rows(text, '`resnet18`', 'layer', '16') == ['| `resnet18` | layer | 16 | 3 | +0.0 | 1 | 1 |']
    assert rows(text, 'both', 'dnr', '2') == [f'| both | dnr | 2 | 6 | {gain} | **< 0.001** | **< 0.001** |']
    assert not rows(text, '4')


def test_over_both_backbones_the_seeds_of_both_count(runs):
    more = [record | {'seed': 7} for record in runs if record['backbone'] == 'resnet18' and record['seed'] == 0]
    text = tables.differences(tables.grouped(runs + more, tables.FEW), ['dnr'], 'batch', ['running'])
    assert rows(text, '`resnet18`', 'dnr', '2')[0].split(' | ')[3] == '4'
    assert rows(text, 'both', 'dnr', '2')[0].split(' | ')[3] == '6'


def test_gaps_leave_out_the_spread_of_one_hop(runs):
    text = tables.gaps(tables.grouped(runs, tables.FEW), list(METHODS))
    assert rows(text, 'batch', '2')[0].endswith('| 0.25 | 0.50 |  |  |')
    assert rows(text, 'dnr', '2')[0].endswith('| 0.25 | 0.50 | 1.00 | 2.00 |')
    assert not rows(text, 'group')


RECORDED = [read_records(path) for path in (small_batch.RECORDS, families.RECORDS)]
RECORDED[0], NEWER = pages.by_age(RECORDED[0])


def test_the_pages_are_what_the_records_say():
    asked = 'run python -m experiments.pages'
    assert (pages.DOCS / 'runs.md').read_text() == pages.runs_page(*RECORDED), asked
    assert (pages.DOCS / 'findings.md').read_text() == pages.findings_page(RECORDED[0], NEWER), asked


def test_figures_in_prose_are_those_of_the_records(runs, monkeypatch, tmp_path):
    """Five ways to ask, of runs that are right on 100, 112 and 124 clips, `dnr` on 48 more."""
    longer = [record | {'epochs': tables.MANY} for record in runs]
    template = tmp_path / 'template.md'
    template.write_text(
        '{top1[tsm|batch|2]}; {training[tsm|dnr|2]}; {p[tsn|dnr|16]}; {gain[tsn|layer|2]}; {over[tsn|batch|2]}; {runs}'
    )
    monkeypatch.setattr(pages, 'TEMPLATE', template)
    assert pages.findings_page(longer).split('; ') == [
        '23.3 ± 2.5', '33.3', '< 0.001', '+0.0 points, p = 1, 3 seeds', '-10.0 (p < 0.001)', f'{len(runs)}\n',
    ]  # fmt: skip


def test_half_an_interval_by_hand():
    """Of 9, 10, 11: standard deviation 1, and Student's t of two degrees of freedom is 4.303 at 97.5 %."""
    assert pictures.half_interval(1.0, 3) == pytest.approx(4.3027 / 3**0.5, abs=1e-4)


def test_what_the_findings_quote_from_another_page_stands_there():
    study = re.search(r'along frames .*`norm2\$`.*', (pages.DOCS / 'study.md').read_text())[0].split(' | ')
    assert f'costs {study[3]} points' in (pages.DOCS / 'findings.md').read_text()


def test_the_results_of_the_first_page_are_those_of_the_records():
    """The table of README.md."""
    text = (ROOT / 'README.md').read_text()
    of = pages.figures_of(RECORDED[0])
    real = read_records(real_video.RECORDS)
    for cells in (
        *(
            [real_video_page.share_of(real_video_page.group(real, of, 'cut', backbone)) for of in ('batch', method)]
            for backbone, method in (('resnet18', 'dnr'), ('resnet18', 'timed'), ('tsm_resnet18', 'dnr'))
        ),
        [of['top1']['tsn|batch|16'], of['top1']['tsn|dnr|16']],
        [real_video_page.counted_words(real, method, 'tsm_resnet18', '2') for method in ('batch', 'layer')],
    ):
        assert f'| {" | ".join(cells)} |' in text


def test_the_pages_are_written_from_the_records_alone(runs, monkeypatch, tmp_path):
    trained = {
        'backbone': 'resnet18', 'norms': 'dnr', 'seed': 0, 'settings': [], 'top1': 0.875, 'by': provenance(),
    }  # fmt: skip
    others = [trained | {'seed': 1, 'top1': 0.5}, trained | {'settings': ['--config.train.epochs=1'], 'top1': 0.25}]
    text = pages.runs_page(runs, [trained, *others])
    assert '| `resnet18` |  | 87.5% |' in text
    assert f'{len(runs)} runs; commit {trained["by"]["commit"]}' in text


def test_the_command_writes_pages_and_pictures(monkeypatch, tmp_path):
    monkeypatch.setattr(pages, 'DOCS', tmp_path)
    monkeypatch.setattr('sys.argv', ['pages'])
    pages.main()
    assert {path.name for path in tmp_path.glob('*.md')} == {'findings.md', 'runs.md', 'real_video.md'}
    pictured = re.findall(
        r'!\[.*?\]\((.*?)\)', (tmp_path / 'findings.md').read_text() + (tmp_path / 'runs.md').read_text()
    )
    assert len(pictured) == 3 and all((tmp_path / of).stat().st_size > 10_000 for of in pictured)
