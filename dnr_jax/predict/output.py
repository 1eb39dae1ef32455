"""What is printed of predictions: a line for people on standard output, a line of JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOBase
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from dnr_jax.command.terminal import printable, tell
from dnr_jax.data.video.errors import VideoError

DIGITS = 6  # of probabilities, in JSON


@dataclass(frozen=True)
class Output:
    """Lines of predictions, each at once.

    Attributes:
      top: classes named of each. people: whether there are lines for people. machines: file for lines of JSON, or None.
    """

    label_names: Sequence[str]
    top: int
    people: bool
    machines: TextIOBase | None

    def prediction(self, video: str, logits: Float[np.ndarray, 'K'], **seen: int) -> None:
        """Of a video; `frames`, how many of them have been seen, where it goes on."""
        best = best_classes(logits, self.label_names, self.top)
        classes = ', '.join(f'{of["name"]} {of["probability"]:.1%}' for of in best)
        after = f'  frame {seen["frames"]}' if seen else ''
        self._print(f'{video}{after}: {classes}', {'video': video, **seen, 'predictions': best})

    def failure(self, video: str, error: VideoError) -> None:
        """Of a video that cannot be read, or be read any further."""
        self._print(f'{video}: {error.reason}: {error}', {'video': video, 'error': str(error), 'reason': error.reason})

    def _print(self, line: str, row: dict[str, Any]) -> None:
        if self.people:
            tell(printable(line))
        if self.machines:
            tell(json.dumps(row, allow_nan=False), file=self.machines)


def best_classes(logits: Float[np.ndarray, 'K'], label_names: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The most probable classes, best first: label, name and probability of each."""
    probabilities = softmax(logits)
    return [
        {'label': int(label), 'name': label_names[label], 'probability': round(float(probabilities[label]), DIGITS)}
        for label in np.argsort(-probabilities, kind='stable')[:top]
    ]
