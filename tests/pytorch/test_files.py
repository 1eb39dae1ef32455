"""Files of PyTorch are read as tensors alone."""

import argparse
import collections
import pathlib
import struct

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


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('suffix', ['.pth', '.ckpt', '.PTH'])
def test_checkpoints_of_trainings(tmp_path, suffix, zipped):
    """What torchvision and timm save beside the weights is made of nothing, as they save it."""
    network = torch.nn.BatchNorm1d(3)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    saved = {
        'model': network.state_dict(),
        'model_ema': torch.optim.swa_utils.AveragedModel(network).state_dict(),
        'optimizer': optimizer.state_dict(),
        'lr_scheduler': torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2]).state_dict(),
        'args': argparse.Namespace(lr=np.float64(0.1), milestones=[1], out=pathlib.PosixPath('/x')),
        'metric': np.float64(71.5),
        'history': np.arange(3),
        'by_class': collections.defaultdict(dict, a={1: np.float32(2)}),
        'version': torch.__version__,
    }
    torch.save(saved, tmp_path / f'a{suffix}', _use_new_zipfile_serialization=zipped)
    assert list(files.sets(tmp_path / f'a{suffix}')) == ['model', 'model_ema']
    found = files.read(tmp_path / f'a{suffix}')
    np.testing.assert_array_equal(found['running_mean'], network.running_mean.numpy(), strict=True)
    average = files.read(tmp_path / f'a{suffix}', 'model_ema')
    np.testing.assert_array_equal(average['module.weight'], network.weight.detach().numpy(), strict=True)


def test_parameters(tmp_path):
    torch.save({'a': torch.nn.Parameter(torch.ones(2)), 'b': torch.ones(2, requires_grad=True)}, tmp_path / 'a.pth')
    for array in files.read(tmp_path / 'a.pth').values():
        np.testing.assert_array_equal(array, np.ones(2, np.float32), strict=True)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('key', ['state_dict', 'net'])
def test_nothing_is_executed(tmp_path, key, zipped):
    saved = {'other': Executed(), key: {'a': torch.ones(1)}}
    torch.save(saved, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"holds builtins.exec .*nothing in it is executed.*loaded\['{key}'\]"):
        files.read(tmp_path / 'a.pth')


def test_other_types_are_named(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'holds torch.nn.modules.linear.Linear .* state_dict\(\)'):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'tensor',
    [
        torch.eye(2).to_sparse(),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2, device='meta'),
        torch.ones(1).expand(10**13),
    ],
)
def test_tensors_without_real_numbers_of_their_own(tmp_path, tensor):
    torch.save({'a': tensor}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match="real numbers, all there, at 'a'|holds only a part"):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('what', [[1], {'a': 'text'}])
def test_other_things_than_tensors(tmp_path, what):
    torch.save(what, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='Expected tensors by key'):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'it is empty'),
        (b'<!DOCTYPE html><html>', 'it begins with b.<!DOCTYPE'),
        (b'version https://git-lfs.github.com/spec/v1', 'it begins with b.version https'),
    ],
)
def test_files_of_another_kind(tmp_path, content, words):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(ValueError, match=f'is damaged.*{words}'):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('zipped', [True, False])
def test_a_file_cut_short(tmp_path, zipped):
    torch.save({'a': torch.ones(1000)}, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    (tmp_path / 'a.pth').write_bytes((tmp_path / 'a.pth').read_bytes()[:-2000])
    with pytest.raises(ValueError, match='is damaged: '):
        files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('length', [2**63, 10**8 - 1, 100])
def test_headers_of_safetensors_longer_than_the_file(tmp_path, length):
    (tmp_path / 'a.safetensors').write_bytes(struct.pack('<Q', length) + b'{}')
    with pytest.raises(ValueError, match='cannot be read: .*header'):
        files.read(tmp_path / 'a.safetensors')


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_garbage(tmp_path, name):
    (tmp_path / name).write_bytes(b'garbage')
    with pytest.raises(ValueError, match='damaged|cannot be read'):
        files.read(tmp_path / name)
