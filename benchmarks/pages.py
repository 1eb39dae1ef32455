"""Writes docs/speed.md, prose, and docs/benchmarks.md, tables, from the records: python -m benchmarks.pages

Of records of the same thing on the same device, the last one counts.
"""

import argparse
from collections.abc import Iterator

from benchmarks import ahead_table, records, scaling, sections, speed
from benchmarks.tables import device, latest

DOCS = records.ROOT / 'docs'
PAGE = DOCS / 'benchmarks.md'
PROSE = DOCS / 'speed.md'


def page() -> str:
    """The page of tables."""
    told = 'What they say stands in [`speed.md`](speed.md). Written by `python -m benchmarks.pages` from'
    lines = ['# All measurements', '', told, '`benchmarks/records/`.', *where_measured()]
    for title, section in SECTIONS.items():
        found = list(section())
        lines += ['', f'## {title}', '', *(found or ['Not measured yet.'])]
    return '\n'.join(lines) + '\n'


def where_measured() -> Iterator[str]:
    """On what, and on what not."""
    every = [record for path in sorted(records.FOLDER.glob('*.jsonl')) for record in records.read(path)]
    devices = sorted({device(record) for record in every})
    yield f'Measured on {", ".join(devices)}.'
    if all(record['by']['device'] == 'cpu' for record in every):
        yield 'Nothing here was measured on an accelerator: how to do so stands in `benchmarks/README.md`.'
    yield ''
    yield 'Variants take turns and ratios are taken within each round: medians, with quartiles in brackets.'
    yield 'Where a note says that the machine did other work too, seconds mean little and ratios are what counts.'


SECTIONS = {
    'Aims': sections.aims,
    'Relays against batch norm, by backbone': sections.backbones,
    'Memory at the clips of the recipe': sections.memory,
    'The share of the norms': sections.variants_of(
        'norms', 'norms', 'The same network without norms is the last of each; what the others take more is the norms.'
    ),
    'Types': sections.variants_of(
        'precision', 'dtype', 'Activations in another type; parameters and statistics stay float32.'
    ),
    'Devices': sections.variants_of(
        'devices', 'devices', 'The same clips over several devices; on CPUs, virtual ones of the same cores.'
    ),
    'Beside PyTorch': sections.pytorch,
    'How the cost of a relay grows': sections.growth,
    'Roofline': sections.roofline,
    'End to end': sections.end_to_end,
    'Reading clips': sections.loading,
    'Reading clips of a bucket': sections.bucket,
    'Accelerators, by their compilers': ahead_table.section,
    'Scaling plan': scaling.section,
    'Earlier': sections.earlier,
}


def main() -> None:
    argparse.ArgumentParser(prog='python -m benchmarks.pages', description=__doc__.partition(':')[0]).parse_args()
    from benchmarks.pictures import draw_growth  # a bare machine has no matplotlib

    folder = DOCS / sections.PICTURES
    folder.mkdir(exist_ok=True)
    draw_growth(latest('growth'), folder / sections.GROWTH_PICTURE)
    for path, text in {PAGE: page(), PROSE: speed.page()}.items():
        path.write_text(text)
        print(path.relative_to(records.ROOT))


if __name__ == '__main__':
    main()
