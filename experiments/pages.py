"""Writes docs/findings.md, docs/runs.md and docs/real_video.md from the records: no figure in them is typed by hand.

python -m experiments.pages
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import records
from benchmarks.tables import wrapped
from dnr_jax.data.builders.hard_shapes import LABEL_NAMES
from dnr_jax.data.builders.moving_shapes import SIZES
from dnr_jax.files import written_whole
from experiments import captions, families, pictures, real_video_page, small_batch, tables
from experiments.pairs import certainty, compare
from experiments.tables import FEW, GLOBAL, MANY, METHODS, TEST_CLIPS, WAYS, Groups, Records, grouped

DOCS = Path(__file__).parent.parent / 'docs'
TEMPLATE = Path(__file__).parent / 'findings.template.md'  # docs/findings.md, with braces for its figures
PICTURES = 'experiments'  # folder beside the pages
BACKBONES = {'tsn': 'resnet18', 'tsm': 'tsm_resnet18'}  # by their short names in TEMPLATE


def lookup(read: Callable[[str, str, int], str]) -> tables.Lookup:
    """`{name[tsm|dnr|2]}` in the template: what `read` says of backbone, method and clips per statistic."""
    return tables.Lookup(lambda backbone, method, clips: read(BACKBONES[backbone], method, int(clips)))


def figures_of(runs: Records, newer: Records = ()) -> dict[str, Any]:
    """Whatever the template has in braces; `newer` are runs of seeds that no table of the page has."""
    early, late = (grouped(runs, epochs) for epochs in (FEW, MANY))
    all_seeds = grouped([*runs, *newer], MANY)
    return {
        'runs': str(len(runs)),
        'classes': str(len(LABEL_NAMES)),
        'train': f'{SIZES["hard"]["train"]:,}',
        'test': str(TEST_CLIPS),
        'chance': f'{1 / len(LABEL_NAMES):.1%}',
        'top1': lookup(partial(accuracy, late, 'running')),
        'training': lookup(partial(mean, late, 'training')),
        'precise': lookup(partial(mean, late, 'precise_per_hop')),
        'p': lookup(partial(p_of_gain, late)),
        'top1_of_all_seeds': lookup(partial(accuracy, all_seeds, 'running')),
        'gain_of_all_seeds': lookup(partial(gain, all_seeds, 'batch')),
        'gain': lookup(partial(gain, late, 'batch')),
        'early': lookup(partial(gain, early, 'batch')),
        'over': lookup(partial(points, late, 'dnr')),
        'early_over': lookup(partial(points, early, 'dnr')),
    }


def accuracy(groups: Groups, way: str, backbone: str, method: str, clips: int) -> str:
    """'47.2 ± 7.9', in per cent."""
    return tables.share(tables.top1(tables.at(groups, backbone, method, clips), way)).rpartition(' (')[0]


def mean(groups: Groups, way: str, backbone: str, method: str, clips: int) -> str:
    """'47.2', in per cent."""
    return accuracy(groups, way, backbone, method, clips).partition(' ')[0]


def difference(groups: Groups, reference: str, backbone: str, method: str, clips: int):
    """The method against the reference, over the seeds of both."""
    a, b = (tables.at(groups, backbone, of, clips) for of in (reference, method))
    return compare(a, b, 'running', TEST_CLIPS)


def p_of_gain(groups: Groups, backbone: str, method: str, clips: int) -> str:
    """'< 0.001' or '0.14', against batch norm."""
    return certainty(difference(groups, 'batch', backbone, method, clips).p_seeds).removeprefix('p ').removeprefix('= ')


def gain(groups: Groups, *asked) -> str:
    """'+37.7 points, p < 0.001, 5 seeds'."""
    found = difference(groups, *asked)
    return f'{100 * found.mean:+.1f} points, {certainty(found.p_seeds)}, {found.pairs} seeds'


def points(groups: Groups, *asked) -> str:
    """'+17.9 (p = 0.033)'."""
    found = difference(groups, *asked)
    return f'{100 * found.mean:+.1f} ({certainty(found.p_seeds)})'


def findings_page(runs: Records, newer: Records = ()) -> str:
    """All of docs/findings.md; see `figures_of`."""
    return wrapped(TEMPLATE.read_text().format_map(figures_of(runs, newer)))


def by_age(runs: Records) -> tuple[Records, Records]:
    """Those of the seeds that the tables have, and newer ones."""
    newer = [record for record in runs if record['seed'] >= small_batch.NEW_SEED]
    return [record for record in runs if record not in newer], newer


def runs_page(runs: Records, of_families: Records) -> str:
    """All of docs/runs.md."""
    after_300, after_900 = (grouped(runs, epochs) for epochs in (FEW, MANY))
    improvements, also = list(small_batch.IMPROVEMENTS), [*small_batch.CONTROLS, *small_batch.RATES]
    others = [method for method in METHODS if method not in ('batch', GLOBAL)]
    parts = [
        captions.INTRODUCTION,
        captions.AFTER_900,
        tables.accuracies(after_900, [*METHODS, *also], 'running'),
        tables.not_run(after_900),
        captions.WAYS,
        tables.gaps(after_900, [*METHODS, *also]),
        captions.PAIRS,
        tables.differences(after_900, [*others, *also], 'batch', list(WAYS)),
        captions.AFTER_300,
        f'![top-1 against clips per statistic after 300 steps]({PICTURES}/after_300.png)',
        '### Evaluation as released: running statistics\n\n' + tables.accuracies(after_300, METHODS, 'running'),
        '### Precise statistics of every hop\n\n' + tables.accuracies(after_300, METHODS, 'precise_per_hop'),
        tables.not_run(after_300),
        '### Against batch norm after 300 steps\n\n' + tables.differences(after_300, others, 'batch', list(WAYS)),
        '### All ways of scoring after 300 steps\n\n' + tables.gaps(after_300, METHODS),
        captions.CONTROLS,
        tables.accuracies(after_300, ['batch', *small_batch.CONTROLS, 'dnr', 'group', *small_batch.RATES], 'running'),
        '`dnr` against batch norm whose scale starts at a quarter:',
        tables.differences(after_300, ['dnr'], *small_batch.CONTROLS, list(WAYS)),
        captions.IMPROVEMENTS,
        *improvement_tables('900', after_900, improvements),
        *improvement_tables('300', after_300, improvements),
        tables.provenance(runs),
        captions.FAMILIES,
        tables.families_table(of_families),
        tables.provenance(of_families),
    ]
    return '\n\n'.join(part.strip() for part in parts if part) + '\n'


def improvement_tables(steps: str, groups: Groups, methods: list[str]) -> list[str]:
    """Scores of `dnr` and of its changes, and their differences."""
    return [
        f'### Changed, after {steps} steps: running statistics\n\n'
        + tables.accuracies(groups, ['dnr', *methods], 'running'),
        f'### Changed, after {steps} steps: precise statistics of every hop\n\n'
        + tables.accuracies(groups, ['dnr', *methods], 'precise_per_hop'),
        tables.gaps(groups, methods),
        f'### Changed, after {steps} steps, against `dnr`\n\n' + tables.differences(groups, methods, 'dnr', list(WAYS)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m experiments.pages', description=__doc__.split('\n')[0])
    parser.parse_args()
    runs, of_families = (records.read(path) for path in (small_batch.RECORDS, families.RECORDS))
    runs, newer = by_age(runs)
    (DOCS / PICTURES).mkdir(exist_ok=True)
    pictures.draw_accuracies(runs, pictures.AFTER_900, DOCS / PICTURES / 'after_900.png')
    pictures.draw_accuracies(runs, pictures.AFTER_300, DOCS / PICTURES / 'after_300.png')
    pictures.draw_gains(runs, DOCS / PICTURES / 'gains.png')
    about_words = real_video_page.recorded()
    pages = {
        'findings.md': findings_page(runs, newer),
        'runs.md': runs_page(runs, of_families),
        'real_video.md': real_video_page.page(about_words),
    }
    (DOCS / 'real_video').mkdir(exist_ok=True)
    real_video_page.draw(about_words.words, DOCS / 'real_video/methods.png')
    real_video_page.draw_costs(about_words.relays, DOCS / 'real_video/ablate.png')
    for name, text in pages.items():
        with written_whole(DOCS / name) as unfinished:
            unfinished.write_text(text)


if __name__ == '__main__':
    main()
