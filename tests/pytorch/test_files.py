"""Files of PyTorch are read as tensors alone."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from dnr_jax.convert import files  # noqa: E402

ARRAYS = {'weight': np.arange(6, dtype=np.float32).reshape(2, 3), 'counter': np.array([3])}


class Executed:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.safetensors', '.npz'])
def test_there_and_back(tmp_path, suffix):
    files.write(tmp_path / f'a{suffix}', ARRAYS)
    found = files.read(tmp_path / f'a{suffix}')
    assert found.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(found[key], array, strict=True)


@pytest.mark.parametrize('envelope', ['state_dict', 'model_state', 'model'])
def test_envelopes_and_short_floats(tmp_path, envelope):
    torch.save({'epoch': 1, envelope: {'a': torch.ones(2, dtype=torch.bfloat16)}}, tmp_path / 'a.pth.tar')
    np.testing.assert_array_equal(files.read(tmp_path / 'a.pth.tar')['a'], np.ones(2, np.float32), strict=True)


def test_bfloat16_in_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file({'a': torch.ones(2, dtype=torch.bfloat16)}, tmp_path / 'a.safetensors')
    np.testing.assert_array_equal(files.read(tmp_path / 'a.safetensors')['a'], np.ones(2, np.float32), strict=True)


def test_nothing_is_executed(tmp_path):
    torch.save({'state_dict': {'a': torch.ones(1)}, 'other': Executed()}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='nothing in it is executed'):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('what', [[1], {'a': 'text'}])
def test_other_things_than_tensors(tmp_path, what):
    torch.save(what, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='Expected tensors by key'):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_garbage(tmp_path, name):
    (tmp_path / name).write_bytes(b'garbage')
    with pytest.raises(ValueError, match='damaged|cannot be read'):
        files.read(tmp_path / name)
