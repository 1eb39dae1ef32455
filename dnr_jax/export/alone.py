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
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import chlo, sdy, stablehlo

OWN_CALLS = {'shape_assertion'}  # the one of what is exported here: that shapes agree


def load(file: str | Path) -> tuple[Callable, dict]:
    """The function of FILE, compiled for each number of clips, and what FILE.json says of it.

    Raises ValueError if the two do not belong together, are damaged, or call more than arithmetic.
    """
    try:
        program, about = Path(file).read_bytes(), json.loads(Path(f'{file}.json').read_text())
        wanted = about['sha256']
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f'Expected {file} and {file}.json as exported, got {type(error).__name__}: {error}') from error
    if hashlib.sha256(program).hexdigest() != wanted:
        raise ValueError(f'{file} is not the file that {file}.json describes; export both again.')
    try:
        exported = export.deserialize(bytearray(program))
        called = custom_calls(exported)
    except Exception as error:  # many kinds, by what is damaged
        raise ValueError(f'{file} is no exported program of a JAX that this one reads: {error!r}') from error
    if others := called - OWN_CALLS:
        raise ValueError(f'{file} calls {", ".join(sorted(others))}; what is exported here is arithmetic alone.')
    return jax.jit(exported.call), about


def custom_calls(exported: export.Exported) -> set[str]:
    """Names of the functions outside of it that a program calls: they can be handed any address."""
    found = set()

    def see(operation):
        if operation.name == 'stablehlo.custom_call':
            found.add(ir.StringAttr(operation.attributes['call_target_name']).value)
        return ir.WalkResult.ADVANCE

    with ir.Context() as context:
        for dialect in (chlo, sdy, stablehlo):
            dialect.register_dialect(context)
        context.attach_diagnostic_handler(lambda told: True)  # what is wrong is said in one line
        stablehlo.deserialize_portable_artifact(context, exported.mlir_module_serialized).operation.walk(see)
    return found


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
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(ascii(str(error)))
