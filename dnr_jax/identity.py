"""What a config says is trained, apart from how it is run and scored."""

from collections.abc import Iterator, Mapping
from typing import Any

# Sections and keys that may change between one run in a work folder and its continuation.
CHANGEABLE = ('recipe', 'validation', 'test', 'run', 'data.dir', 'data.damaged')
RANGES = 'ranges'  # of a config: what its keys may be, which is no setting itself


def differences(
    there: Mapping[str, Any], here: Mapping[str, Any], changeable: tuple[str, ...], within: str = ''
) -> Iterator[str]:
    """Yields 'key (value there, value here)' for every key that differs and may not; both as read from JSON."""
    for name in sorted({*there, *here}):
        key = f'{within}{name}'
        one, other = there.get(name), here.get(name)
        if key in (*changeable, RANGES) or one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, changeable, f'{key}.')
        else:
            yield f'{key} ({one} there, {other} here)'
