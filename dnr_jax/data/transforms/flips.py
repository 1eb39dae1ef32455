"""Which class a mirrored clip belongs to: that whose name has left and right exchanged.

Classes are found by their names, for the same classes have come in different orders: those of Something-Something V1
in the order of its label file, or sorted.
"""

import re
from collections.abc import Iterator, Sequence

EXCHANGED = {
    'left': 'right',
    'right': 'left',
    'clockwise': 'counterclockwise',
    'counterclockwise': 'clockwise',
    'cw': 'ccw',
    'ccw': 'cw',
}
_CASE = re.compile('(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])')  # where a word begins in TurnLeft and in USALeft
_WORDS = re.compile(rf'(?<![a-z])({"|".join(EXCHANGED)})(?![a-z])')
_PARTS = re.compile(rf'left|right|{_WORDS.pattern}')  # of words too: leftward, lefthook
_COUNTERCLOCKWISE = re.compile(r'(counter|anti)[ _-]?clockwise')


def mirrored_labels(label_names: Sequence[str]) -> tuple[int, ...]:
    """For every label, the label of the mirrored clip; its own where no class has the exchanged name.

    Exchanged are left and right, clockwise and counter-clockwise (counterclockwise, anticlockwise), cw and ccw, in
    upper or lower case: as whole words, which may begin with a capital, or else left and right as parts of words too,
    where that is the name of a class.
    """
    names = [_spelled(name) for name in label_names]
    labels = {name: label for label, name in enumerate(names)}
    mirrored = [
        next((labels[other] for other in _exchanged(name) if other in labels), label)
        for label, name in enumerate(names)
    ]
    return tuple(other if mirrored[other] == label else label for label, other in enumerate(mirrored))


def without_mirror_image(label_names: Sequence[str]) -> list[str]:
    """The classes that have a direction in their names, and keep their label when a clip is mirrored."""
    mirrored = mirrored_labels(label_names)
    kept = (name for label, name in enumerate(label_names) if label == mirrored[label])
    return [name for name in kept if _PARTS.search(_spelled(name))]


def _spelled(name: str) -> str:
    return _COUNTERCLOCKWISE.sub('counterclockwise', _CASE.sub(' ', name).lower())


def _exchanged(name: str) -> Iterator[str]:
    for directions in (_WORDS, _PARTS):
        other, count = directions.subn(lambda found: EXCHANGED[found[0]], name)
        if count:
            yield other
