"""Which class a mirrored clip belongs to: that whose name has left and right exchanged.

Classes are found by their names, for the same classes have come in different orders: those of Something-Something V1
in the order of its label file, or sorted.
"""

import re
from collections.abc import Sequence

EXCHANGED = {
    'left': 'right',
    'right': 'left',
    'clockwise': 'counterclockwise',
    'counterclockwise': 'clockwise',
}
_DIRECTION = re.compile(rf'(?<![a-z])({"|".join(EXCHANGED)})(?![a-z])')
_COUNTERCLOCKWISE = re.compile(r'(counter|anti)[ _-]?clockwise')


def mirrored_labels(label_names: Sequence[str]) -> tuple[int, ...]:
    """For every label, the label of the mirrored clip; its own where no class has the exchanged name.

    Whole words are exchanged, upper or lower case: left and right, clockwise and counter-clockwise (counterclockwise,
    anticlockwise).
    """
    names = [_COUNTERCLOCKWISE.sub('counterclockwise', name.lower()) for name in label_names]
    labels = {name: label for label, name in enumerate(names)}
    mirrored = (_DIRECTION.sub(lambda word: EXCHANGED[word[0]], name) for name in names)
    return tuple(labels.get(name, label) for label, name in enumerate(mirrored))
