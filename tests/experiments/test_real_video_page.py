"""The page of real video says what its records say."""

import re

import numpy as np
import pytest

from benchmarks.records import ROOT, provenance, read
from experiments import real_video, real_video_page, small_batch, turns
from experiments.real_video_page import (
    TEST_CLIPS,
    ahead,
    counted,
    counted_top1,
    difference,
    differences,
    group,
    scores,
    share_of,
)


def record(method, seed, correct, timing='cut', backbone='resnet18', rate=real_video.RATE):
    """A run that is right on the first `correct` test clips."""
    right = np.packbits(np.arange(TEST_CLIPS) < correct).tobytes().hex()
    return {
        'backbone': backbone, 'method': method, 'clips': 16, 'timing': timing, 'rate': rate, 'seed': seed,
        'seconds': 60.0, 'top1': correct / TEST_CLIPS, 'mean_class': 0.25, 'right': right, 'by': provenance(),
    }  # fmt: skip


@pytest.fixture
def found():
    return [
        record('batch', 0, 480), record('batch', 1, 504), record('dnr', 0, 600), record('dnr', 1, 612),
        record('dnr', 0, 300, timing='moved'), record('dnr', 2, 900, rate=0.03),
        record('dnr', 3, 900, backbone='tsm_resnet18'),
    ]  # fmt: skip


def test_scores_are_means_over_seeds_at_the_usual_rate(found):
    (of_batch, of_dnr) = scores(found, 'resnet18').splitlines()[2:]
    assert of_batch == '| batch | `batch` | 41.0 ± 1.4 (2) |  | 25.0 ± 0.0 (2) |'
    assert of_dnr == '| dnr | `dnr` | 50.5 ± 0.7 (2) | 25.0 (1) | 25.0 ± 0.0 (2) |'


def test_differences_are_of_the_seeds_of_both(found):
    of = difference(found, 'dnr', 'batch', 'cut')
    assert of.pairs == 2 and of.mean == pytest.approx((120 + 108) / 2 / TEST_CLIPS)
    assert ahead(found, 'dnr', 'batch', 'cut') == '+9.5 points (2 seeds)'
    table = differences(found, [('dnr', 'batch', 'cut'), ('dnr', 'batch', 'moved'), ('clock', 'batch', 'cut')])
    assert len(table.splitlines()) == 3 and '| dnr | batch | cut | 2 | +9.5 |' in table


def test_only_networks_that_were_scored_in_every_way_stand_side_by_side():
    ways = {'training': 0.7, 'running': 0.3, 'precise_per_hop': 0.3, 'self_inclusive': 0.65}
    of = {'backbone': 'tsm_resnet18', 'method': 'batch', 'clips': 2, 'epochs': small_batch.EPOCHS[-1]}
    runs = [of | {'seed': 0, 'top1': {'training': 0.1, 'running': 0.9}}, of | {'seed': 5, 'top1': ways}]
    (row,) = counted(runs).splitlines()[2:]
    assert row == '| `tsm_resnet18` | batch | 2 | 1 | 70.0 | 30.0 | 30.0 | 65.0 |'
    assert counted_top1(runs, 'batch', '2', 'running') == '30.0'


def test_the_page_is_written_from_the_records():
    of_real, of_shapes, of_turns = (read(module.RECORDS) for module in (real_video, small_batch, turns))
    page = (ROOT / 'docs/real_video.md').read_text()
    of_two = counted(of_shapes)  # a row of the first page is a cell of this
    first = re.search(r'counted into its set of 2 \| (.*?) \| (.*?) \|', (ROOT / 'README.md').read_text()).groups()
    for method, score in zip(('batch', 'layer'), first, strict=True):
        (row,) = (row for row in of_two.splitlines() if row.startswith(f'| `tsm_resnet18` | {method} | 2 |'))
        assert row.endswith(f'| {score} |')
    clock, paced, relayed = (
        share_of(group(of_real, method, timing))
        for method, timing in (
            ('clock, relay along layers', 'cut'),
            ('clock, relay along layers', 'paced'),
            ('dnr', 'paced'),
        )
    )
    told = f'(a clock with relays along layers: {clock}; of words at other speeds {paced}, relays {relayed})'
    assert told in (ROOT / 'README.md').read_text()
    assert page == real_video_page.page(of_real, of_shapes, of_turns)
