"""Runs an exported model, FILE, with nothing but JAX and NumPy. Copy it, or take `load` and `start` from it.

python alone.py FILE CLIPS.npy LOGITS.npy

reads uint8 clips [B T H W 3] and writes their logits, first of all of them at once, then of the first clip alone:
[B + 1 K], or of a stream, after each of G groups of frames, [B + 1 G K].
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax import export


def load(file: str | Path) -> tuple[Callable, dict]:
    """The function of FILE, compiled for each number of clips, and what FILE.json says of it.

    Raises ValueError if the two do not belong together.
    """
    program, about = Path(file).read_bytes(), json.loads(Path(f'{file}.json').read_text())
    if hashlib.sha256(program).hexdigest() != about['sha256']:
        raise ValueError(f'{file} is not the file that {file}.json describes; export both again.')
    return jax.jit(export.deserialize(bytearray(program)).call), about


def start(about: dict, streams: int) -> dict[str, np.ndarray]:
    """The carry before the first frames, of so many streams; one that is set to zero begins anew."""
    return {name: np.zeros((streams, *of['shape'][1:]), of['dtype']) for name, of in about['carry'].items()}


def logits_of(call: Callable, about: dict, clips: np.ndarray) -> np.ndarray:
    """Of clips [B T H W 3] as above."""
    if 'carry' not in about:
        return np.asarray(call(clips))
    group = about['input']['shape'][1]
    carry, logits = start(about, len(clips)), []
    for first in range(0, clips.shape[1], group):
        carry, of_group = call(carry, clips[:, first : first + group])
        logits.append(of_group)
    return np.stack(logits, axis=1)


def main(file: str, clips: str, logits: str) -> None:
    call, about = load(file)
    several = np.load(clips)
    np.save(logits, np.concatenate([logits_of(call, about, part) for part in (several, several[:1])]))
    loaded = {name.partition('.')[0] for name in sys.modules}
    assert not loaded & {'dnr_jax', 'flax', 'orbax'}, 'JAX and NumPy are all it takes'


if __name__ == '__main__':
    main(*sys.argv[1:])
