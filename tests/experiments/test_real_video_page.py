"""The page of real video says what its records say."""

import re

import numpy as np
import pytest

from benchmarks.records import ROOT, provenance
from experiments import real_video, real_video_page, small_batch
from experiments.real_video_page import (
    FROZEN,
    TEST_CLIPS,
    ahead,
    counted,
    counted_top1,
    deaf,
    dearest,
    difference,
    differences,
    draw_costs,
    frozen,
    in_small_sets,
    lost,
    mean_cost,
    memory,
    ordered,
    rates,
    recorded,
    scores,
)


def record(method, seed, correct, timing='cut', backbone='resnet18', rate=real_video.RATE, clips=real_video.CLIPS):
    """A run that is right on the first `correct` test clips."""
    right = np.packbits(np.arange(TEST_CLIPS) < correct).tobytes().hex()
    return {
        'backbone': backbone, 'method': method, 'clips': clips, 'timing': timing, 'rate': rate, 'seed': seed,
        'seconds': 60.0, 'test': {'videos': TEST_CLIPS, 'ids': 'the same'}, 'top1': correct / TEST_CLIPS,
        'mean_class': 0.25, 'right': right, 'by': provenance(),
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


def test_rates_are_compared_on_validation():
    found = [
        record('dnr', seed, 600, rate=rate) | {'validation': [0.9, of]}
        for seed, rate, of in [(0, 0.05, 0.4), (0, 0.1, 0.5), (1, 0.1, 0.52)]
    ]
    found += [record('batch', 0, 480) | {'validation': [0.3]}, record('dnr', 0, 600, clips=2) | {'validation': [0.1]}]
    found.append(record('group', 0, 480, rate=0.02) | {'validation': [0.2]})  # at one rate alone
    assert rates(found).splitlines()[2:] == ['| dnr |  | 40.0 (1) | 50.0 (1) |']  # of the seed that has both


def test_small_sets_stand_beside_the_usual_ones():
    found = [record('batch', 0, 120, clips=2) | {'counted': record('batch', 0, 360)}, record('batch', 0, 480)]
    found.append(record('batch', 1, 600))
    found.append(record('group', 0, 240, clips=2))  # which has no sets to be counted into
    found.append(record('batch', 0, 600, clips=2, backbone='tsm_resnet18'))
    assert in_small_sets(found).splitlines()[2:] == [
        '| `resnet18` | batch | 2 | 10.0 (1) | 30.0 (1) | 40.0 (1) |',
        '| `resnet18` | group | 2 | 20.0 (1) |  |  |',
        '| `tsm_resnet18` | batch | 2 | 50.0 (1) |  |  |',
    ]


def test_differences_are_of_the_seeds_of_both(found):
    of = difference(found, 'dnr', 'batch', 'cut')
    assert of.pairs == 2 and of.mean == pytest.approx((120 + 108) / 2 / TEST_CLIPS)
    assert ahead(found, 'dnr', 'batch', 'cut') == '+9.5 points (2 seeds, p = 0.033)'
    table = differences(found, [('dnr', 'batch', 'cut'), ('dnr', 'batch', 'moved'), ('clock', 'batch', 'cut')])
    assert (
        len(table.splitlines()) == 3 and '| dnr | batch | cut | 2 | +9.5 ± 0.7 | 0.033 | < 0.001 | **0.033** |' in table
    )


def test_runs_with_other_tests_are_not_paired(found):
    found[2]['test'] = {'videos': TEST_CLIPS, 'ids': 'other'}
    with pytest.raises(ValueError, match='Expected runs with the same test videos'):
        difference(found, 'dnr', 'batch', 'cut')


def test_over_all_timings_are_the_seeds_that_have_them(found):
    assert difference(found, 'dnr', 'batch', 'all') is None
    found += [record('batch', 0, 240, timing='moved'), record('batch', 0, 60, timing='paced'),
              record('dnr', 0, 150, timing='paced')]  # fmt: skip
    of = difference(found, 'dnr', 'batch', 'all')
    assert of.pairs == 1 and of.mean == pytest.approx((120 + 60 + 90) / 3 / TEST_CLIPS)


def test_differences_are_corrected_for_their_number(found):
    """Asked twice, p is twice as large; a difference of one seed is no test over seeds."""
    more = [*found, record('layer', 0, 500)]
    table = differences(more, [('dnr', 'batch', 'cut'), ('batch', 'dnr', 'cut'), ('layer', 'batch', 'cut')])
    first, _, last = table.splitlines()[2:]
    assert first.endswith('| 0.033 | < 0.001 | 0.067 |') and last.endswith('|  |')


@pytest.fixture
def of_relays():
    """Two networks, whose clocks are right on 60 clips fewer; one relay of the first is deaf, two of the second."""

    def asked(seed, memories, agreement):
        costs = [
            {'layers': layers, 'ablated': 8, 'ablation': 'mean', 'top1': 0.4, 'cost': 0.1, 'low': 0.0, 'high': 0.2,
             'changed': 0.2}
            for layers in ('norm1$', 'norm2$')
        ]  # fmt: skip
        clock = record(FROZEN, seed, 540 + 12 * seed)
        return record('dnr', seed, 600 + 12 * seed) | {
            'clock': {name: clock[name] for name in ('top1', 'mean_class', 'right', 'test')},
            'costs': costs, 'memory': dict(enumerate(memories)), 'order': {'agreement': agreement},
        }  # fmt: skip

    return [
        asked(0, [[1.0, 0.25], [0.0, 0.0], [1.0, 0.5]], 0.25), asked(1, [[1.0, 0.1], [0.0, 0.0], [0.0, 0.0]], 0.5)
    ]  # fmt: skip


def test_frozen_networks_stand_beside_those_they_were(found, of_relays):
    both = [*found, *frozen(of_relays)]
    assert (
        scores(both, 'resnet18').splitlines()[-1].startswith(f'| {FROZEN} | `cross_layer,hopwise` | 45.5 ± 0.7 (2) |')
    )
    assert ahead(both, 'dnr', FROZEN, 'cut').startswith('+5.0 points (2 seeds')


def test_what_freezing_costs_a_network_is_by_its_own_clock(found, of_relays):
    def clock(network, top1):
        return {**network, 'clock': {**network['clock'], 'top1': top1}}

    assert (
        lost(found, [of_relays[0], clock(of_relays[1], 0.45), of_relays[0] | {'backbone': 'tsm_resnet18'}])
        == '5.5 ± 0.7 points, and something in 2 of 2 networks (p = 0.058)'
    )
    assert 'something in 1 of 2 networks' in lost(found, [of_relays[0], clock(of_relays[1], 0.9)])


def test_what_relays_hear_and_tell(of_relays, tmp_path):
    of_tsm = {'backbone': 'tsm_resnet18', 'memory': {'hears': [1.0, 0.9]}, 'order': {'agreement': 1.0}}
    of_relays.append(of_relays[0] | of_tsm)  # of which the page says nothing
    assert memory(of_relays, 1) == '0.10 to 0.50'
    of_relays[1]['costs'][0]['cost'] = 0.25
    assert (dearest(of_relays, 'norm1$', 'mean'), dearest(of_relays, 'norm2$', 'mean')) == ('25.0', '10.0')
    assert (mean_cost(of_relays, 'norm1$', 'mean'), mean_cost(of_relays, 'norm2$', 'mean')) == ('17.5', '10.0')
    assert (deaf(of_relays), deaf(of_relays[:1])) == ('1 to 2', '1')
    assert ordered(of_relays, 'cut', 'agreement') == '37.5'
    draw_costs(of_relays, tmp_path / 'ablate.png')
    assert (tmp_path / 'ablate.png').stat().st_size > 10_000


def test_only_networks_that_were_scored_in_every_way_stand_side_by_side():
    ways = {'training': 0.7, 'running': 0.3, 'precise_per_hop': 0.3, 'self_inclusive': 0.65}
    of = {'backbone': 'tsm_resnet18', 'method': 'batch', 'clips': 2, 'epochs': small_batch.EPOCHS[-1]}
    runs = [of | {'seed': 0, 'top1': {'training': 0.1, 'running': 0.9}}, of | {'seed': 5, 'top1': ways}]
    (row,) = counted(runs).splitlines()[2:]
    assert row == '| `tsm_resnet18` | batch | 2 | 1 | 70.0 | 30.0 | 30.0 | 65.0 |'
    assert counted_top1(runs, 'batch', '2', 'running') == '30.0'


def test_the_page_is_written_from_the_records():
    of = recorded()
    page = (ROOT / 'docs/real_video.md').read_text()
    of_two = counted(of.shapes)  # a row of the first page is a cell of this
    first = re.search(r'-into-their-sets\) should be \| (.*?) \| (.*?) \|', (ROOT / 'README.md').read_text()).groups()
    for method, score in zip(('batch', 'layer'), first, strict=True):
        (row,) = (row for row in of_two.splitlines() if row.startswith(f'| `tsm_resnet18` | {method} | 2 |'))
        assert row.endswith(f'| {score} |')
    assert page == real_video_page.page(of)
