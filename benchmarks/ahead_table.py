"""The section of docs/benchmarks.md on accelerators that are not here: what their compilers make of training steps."""

from collections.abc import Iterator, Sequence

from benchmarks.tables import Record, latest, sources, table
from dnr_jax.models import MODELS

# What is told, by how much of which unit; what no compiler of an accelerator has told is left out.
TOLD = {
    'cycles': (1e6, 'M'),
    'bytes_accessed': (1e9, 'GB'),
    'written': (1e9, 'GB'),
    'read': (1e9, 'GB'),
    'peak_bytes': (1e6, 'MB'),
    'fusions': (1, ''),
}


def section() -> Iterator[str]:
    """A table for every accelerator, pass, type and size; `dnr` beside the same with batch norm."""
    found = latest('ahead')
    if not found:
        return
    yield 'Estimates of compilers, which know no waiting; only those of TPUs name cycles. Nothing was run. In each cell'
    yield 'batch norm, and `dnr` to it; a dash where it was not compiled.'
    for accelerator, which, dtype, size in dict.fromkeys(map(alike, found)):
        those = [of for of in found if alike(of) == (accelerator, which, dtype, size)]
        shape = f'{those[0]["clips"]} x frames x {size} x {size}'
        yield ''
        yield f'`{accelerator}`, {which}, {dtype}, {shape}:'
        yield ''
        columns = [key for key in TOLD if any(of.get(key) for of in those)]
        header = ' | '.join(['backbone', 'frames', *columns]).replace('_bytes', '').replace('_', ' ')
        yield from table(header, rows(those, columns))
    yield from sources(found)


def alike(of: Record) -> tuple[str, str, str, int]:
    """What the rows of a table have in common."""
    return of['accelerator'], of['pass'], of['dtype'], of['size']


def rows(found: list[Record], columns: Sequence[str]) -> Iterator[list[str]]:
    """By the order of MODELS, and what is no network of ours behind them."""
    names = {of['backbone']: of['frames'] for of in found}
    for name in sorted(names, key=lambda name: list(MODELS).index(name) if name in MODELS else len(MODELS)):
        by_norms = {of['norms']: of for of in found if of['backbone'] == name}
        yield [f'`{name}`', str(names[name]), *(cell(by_norms, key) for key in columns)]


def cell(by_norms: dict[str, Record], key: str) -> str:
    """'53.9 M, 1.06': of batch norm, and the ratio of `dnr` to it."""
    failed = [norms for norms, of in by_norms.items() if 'failed' in of]
    if failed:
        return f'{", ".join(failed)} failed'
    batch, dnr = (by_norms.get(norms, {}).get(key) for norms in ('batch', 'dnr'))
    if not (batch or dnr):
        return '-'
    told = '-' if not batch else with_unit(batch, key)
    return f'{told}, {dnr / batch:.3f}' if batch and dnr else f'{told}, `dnr` {with_unit(dnr, key)}' if dnr else told


def with_unit(value: float, key: str) -> str:
    size, unit = TOLD[key]
    return f'{value / size:,.1f} {unit}' if unit else f'{value:,}'
