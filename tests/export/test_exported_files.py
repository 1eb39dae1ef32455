"""An exported file from elsewhere is refused where it is damaged, or calls more than arithmetic."""

import hashlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from dnr_jax.export import alone


def file_of(folder, program):
    """A file and what belongs to it."""
    file = folder / 'a.stablehlo'
    file.write_bytes(program)
    Path(f'{file}.json').write_text(json.dumps({'sha256': hashlib.sha256(program).hexdigest()}))
    return file


def test_a_program_that_calls_what_is_outside_of_it(tmp_path):
    """Of a library here; it could as well be handed an address in memory to call."""
    call = jax.jit(lambda x: jnp.linalg.svd(x)[1])
    checks = [export.DisabledSafetyCheck.custom_call('lapack_sgesdd_ffi')]
    program = export.export(call, disabled_checks=checks)(jnp.ones((3, 3))).serialize()
    with pytest.raises(ValueError, match='calls lapack_sgesdd_ffi; what is exported here is arithmetic alone'):
        alone.load(file_of(tmp_path, bytes(program)))


@pytest.mark.parametrize(
    'damage',
    [
        lambda program: b'',
        lambda program: b'\xff' * 1000,
        lambda program: program[: len(program) // 2],
        lambda program: bytes(byte ^ (255 if i % 500 == 7 else 0) for i, byte in enumerate(program)),
    ],
)
def test_damaged_programs(tmp_path, damage, capfd):
    program = export.export(jax.jit(lambda x: x @ x + 1))(jnp.ones((3, 3))).serialize()
    assert alone.load(file_of(tmp_path, bytes(program)))[0](jnp.ones((3, 3), np.float32))[0, 0] == 4
    capfd.readouterr()
    with pytest.raises(ValueError, match='no exported program') as refused:
        alone.load(file_of(tmp_path, damage(bytes(program))))
    assert len(str(refused.value).splitlines()) == 1 and capfd.readouterr().err == ''


@pytest.mark.parametrize('told', [None, b'{', b'[]', b'{}', b'\xff', b'[' * 100_000])
def test_damaged_descriptions(tmp_path, told):
    file = file_of(tmp_path, b'')
    Path(f'{file}.json').unlink() if told is None else Path(f'{file}.json').write_bytes(told)
    with pytest.raises(ValueError, match='Expected .* as exported') as refused:
        alone.load(file)
    assert len(str(refused.value).splitlines()) == 1
