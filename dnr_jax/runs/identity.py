"""What is trained, apart from how it is run and scored, and by which code."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Sections and keys that may change between one run in a work folder and its continuation.
CHANGEABLE = ('recipe', 'validation', 'test', 'run', 'data.dir', 'data.cache', 'data.damaged')
# Keys that configs of earlier versions have not, and what was done without them.
ADDED = {
    'model': {'standardize_weights': False, 'norm': {'renormalization': [3.0, 5.0], 'reading_dropout': 0.1}},
    'data': {'cache': 0},
    'optimizer': {'name': 'sgd', 'second_momentum': 0.999, 'epsilon': 1e-8},
    'train': {'balanced_sampling': 0.0, 'class_weights': 0.0, 'statistics_until': 1.0},
    'run': {'self_inclusive': 0},
}
COMPUTES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
RANGES = 'ranges'  # of a config: what its keys may be, which is no setting itself


def completed(config: Mapping[str, Any], added: Mapping[str, Any] = ADDED) -> dict[str, Any]:
    """A stored config, as read from JSON, with a value for every key that its sections were stored without."""
    whole = dict(config)
    for name, of in added.items():
        if not isinstance(of, Mapping):
            whole.setdefault(name, of)
        elif isinstance(config.get(name), Mapping):
            whole[name] = completed(config[name], of)
    return whole


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


def code_version() -> dict[str, str]:
    """A hash of this package's sources, and the versions of what it computes with."""
    sources = sorted(Path(__file__).parent.parent.rglob('*.py'))
    digest = hashlib.sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()
    return {'dnr_jax': digest[:12]} | {name: version(name) for name in COMPUTES}
