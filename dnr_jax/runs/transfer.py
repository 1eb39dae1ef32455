"""What becomes of every array that goes from one network into another: nothing is left unsaid.

    loaded        has its place, and the shape of it
    skipped       has none, for a reason
    fresh         keeps its initial value, for a reason
    unexpected, missing, wrong shape      have no explanation, and are mistakes

Arrays are named by their path in the variables of a model, 'params/stage1/block1/conv1/kernel'.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

MISTAKES = ('unexpected', 'missing', 'wrong shape')

Reasons = Sequence[tuple[str, str]]  # a pattern searched for in paths, and the reason

# Patterns of modules: what they match is the path of the module.
RELAY = r'^.*/(?:relay|cell|share)/|^.*/transform/(?:gates|c)$'  # cells, and what is learned beside
HEAD = r'^params/head/'


class Entry(NamedTuple):
    """One array: what became of it, its name, or that of its module where all of that is fresh, and why or how."""

    kind: str
    name: str
    why: str


def flat(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves of a tree by their paths."""
    return flatten_dict(variables, sep='/')


def in_order(paths: Iterable[str]) -> list[str]:
    """Paths of modules in the order of the network, block2 before block10."""
    return sorted(paths, key=lambda path: re.sub(r'\d+', lambda number: number[0].zfill(4), path))


def shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {path: array.shape for path, array in arrays.items()}


def compare(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], *, skip: Reasons, fresh: Reasons
) -> list[Entry]:
    """What becomes of every array, by the shapes that a network has and those that were found.

    Args:
      skip: patterns of paths that are not taken over even if they fit.
      fresh: patterns of modules that may be missing, each as a whole: not if a part of one is there.
    """
    skipped = {path: why for path in found if (why := reason_to_skip(path, wanted, skip))}
    taken = found.keys() - skipped.keys()
    entries = [Entry('skipped', path, why) for path, why in skipped.items()]
    for path in sorted(taken):
        if path not in wanted:
            entries.append(Entry('unexpected', path, ''))
        elif found[path] != wanted[path]:
            entries.append(Entry('wrong shape', path, f'expected {list(wanted[path])}, got {list(found[path])}'))
        else:
            entries.append(Entry('loaded', path, ''))
    return entries + [not_found(path, taken, fresh) for path in wanted.keys() - taken]


def reason_to_skip(path: str, wanted: Iterable[str], skip: Reasons) -> str:
    """Empty if there is none."""
    for pattern, why in skip:
        if re.search(pattern, path):
            return why
    norm = re.fullmatch(r'params/(.*)/transform/(?:scale|shift)', path)
    if norm and path not in wanted and has_norm(norm[1], wanted):
        return 'a relayed norm has no static scale and shift'
    return ''


def has_norm(norm: str, wanted: Iterable[str]) -> bool:
    """Whether a network of these paths has that norm: a transform of its own there, or a relay of its stage."""
    names = norm.split('/')
    stages = ('/'.join(names[:n]) for n in range(1, len(names)))
    within = f'params/{norm}/transform/', *(f'params/{stage}/relay/' for stage in stages)
    return any(path.startswith(within) for path in wanted)


def placed(arrays: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """The arrays by path; a static scale and shift in the static part of a norm that is wanted to be residual."""

    def place(path: str) -> str:
        static = re.sub(r'/transform/(?=(?:scale|shift)$)', '/transform/static/', path)
        return static if path not in wanted and static in wanted else path

    return {place(path): array for path, array in arrays.items()}


def not_found(path: str, taken: Iterable[str], fresh: Reasons) -> Entry:
    """An array that is missing; one of a module that may be, by the name of the module."""
    for pattern, why in fresh:
        module = re.search(pattern, path)
        is_whole = module and module[0].endswith('/')
        if module and not (is_whole and any(other.startswith(module[0]) for other in taken)):
            return Entry('fresh', module[0].rstrip('/'), why)
    return Entry('missing', path, '')


def expect_explained(entries: Sequence[Entry], of: str, remedy: str) -> None:
    """ValueError listing every array that is unexpected, missing or of a wrong shape."""
    mistakes = [entry for entry in entries if entry.kind in MISTAKES]
    if mistakes:
        raise ValueError(f'{of} does not fit the network: {"; ".join(grouped(mistakes))}. {remedy}')


def to_text(entries: Sequence[Entry]) -> str:
    """The account as lines; what is loaded as it is, only counted."""
    loaded = sum(entry.kind == 'loaded' for entry in entries)
    told = [entry for entry in entries if entry.kind != 'loaded' or entry.why]
    return '\n'.join([f'loaded {loaded} arrays', *grouped(told)])


def grouped(entries: Iterable[Entry]) -> list[str]:
    """One line for names that differ in numbers only: 'skipped 16 stage*/block*/norm*/transform/scale: why'."""
    groups = Counter((kind, re.sub(r'\d+', '*', name), why) for kind, name, why in entries)
    return [f'{kind} {count} {name}{f": {why}" if why else ""}' for (kind, name, why), count in sorted(groups.items())]
