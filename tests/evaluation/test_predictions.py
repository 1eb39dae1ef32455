"""What is written is what is read."""

import io
import struct
import zipfile

import numpy as np
import pytest

from dnr_jax.evaluation import predictions
from dnr_jax.evaluation.predictions import Missing, Predictions

LOGITS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
SCORED = Predictions(
    ids=np.array(['v0', 'v1', 'v2', 'v3']),
    labels=np.array([0, 1, -1, 2]),
    logits=LOGITS.mean(axis=1),
    views=LOGITS,
    missing=(Missing('v4', 'too short, "really"'),),
    expected=5,
)
NAMES = ('a', 'b', 'c')


def test_files(tmp_path):
    predictions.save(tmp_path, SCORED, NAMES, '8x8 frames')
    stored = predictions.read(tmp_path)
    for name in ('ids', 'labels', 'logits'):
        np.testing.assert_array_equal(getattr(stored, name), getattr(SCORED, name))
    assert stored.label_names.tolist() == list(NAMES) and stored.protocol == '8x8 frames'
    with np.load(tmp_path / 'views.npz') as file:
        np.testing.assert_array_equal(file['views'], LOGITS)
        np.testing.assert_array_equal(file['ids'], SCORED.ids)
    assert (tmp_path / 'missing.csv').read_text() == 'id,reason\nv4,"too short, ""really"""\n'


def test_one_view_of_a_whole_split_is_one_file(tmp_path):
    predictions.save(tmp_path, SCORED._replace(views=LOGITS[:, :1], missing=()), NAMES, '8x8 frames')
    assert [path.name for path in tmp_path.iterdir()] == ['predictions.npz']


def test_a_file_that_does_not_tell_its_protocol(tmp_path):
    predictions.save(tmp_path, SCORED, NAMES, '8x8 frames')
    with np.load(tmp_path / 'predictions.npz') as file:
        np.savez(tmp_path / 'predictions.npz', **{name: file[name] for name in file if name != 'protocol'})
    assert predictions.read(tmp_path).protocol == ''


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match='Expected a file predictions.npz.*nowhere'):
        predictions.read(tmp_path / 'nowhere')
    for wrong in (b'', b'no such format', b'PK\x03\x04'):
        (tmp_path / 'predictions.npz').write_bytes(wrong)
        with pytest.raises(ValueError, match='Expected a file predictions.npz'):
            predictions.read(tmp_path)
    predictions.save(tmp_path, SCORED._replace(ids=np.array(['v0', 'v1', 'v1', 'v3'])), NAMES, '8x8 frames')
    with pytest.raises(ValueError, match="'v1' 2 times"):
        predictions.read(tmp_path)


class Executed:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def header(shape):
    """Of an array that is not there."""
    told = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + '\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(told)) + told.encode()


@pytest.mark.parametrize(
    ('name', 'member', 'words'),
    [
        ('logits', header((10**9, 10**6)), 'Unable to allocate'),
        ('logits', header((-1, 3)), 'negative dimensions'),
        ('logits', b'hello', 'logits are bytes'),
        ('logits', np.zeros((4, 7), np.float32), r'logits, label_names are .*\(4, 7\), \(3,\)'),
        ('logits', np.zeros((4, 3), complex), 'logits are complex128'),
        ('labels', np.array([0, 1, 2, 3]), 'labels to 3'),
        ('labels', np.zeros(2, int), r'are \(4,\), \(2,\)'),
        ('labels', np.zeros(4), 'labels are float64'),
        ('ids', np.arange(4), 'ids are int64'),
        ('ids', np.array([Executed()] * 4), 'Object arrays cannot be loaded'),
        ('label_names', np.array([['a', 'b', 'c']]), r'\(1, 3\)'),
    ],
)
def test_scores_that_nobody_has_written(tmp_path, name, member, words):
    predictions.save(tmp_path, SCORED, NAMES, '8x8 frames')
    with zipfile.ZipFile(tmp_path / 'predictions.npz') as file:
        members = {of: file.read(of) for of in file.namelist()}
    if isinstance(member, np.ndarray):
        written = io.BytesIO()
        np.save(written, member)
        member = written.getvalue()
    with zipfile.ZipFile(tmp_path / 'predictions.npz', 'w') as file:
        for of, content in (members | {f'{name}.npy': member}).items():
            file.writestr(of, content)
    with pytest.raises(ValueError, match=f'Expected a file predictions.npz .*{words}') as refused:
        predictions.read(tmp_path)
    assert len(str(refused.value).splitlines()) == 1


def test_an_array_alone(tmp_path):
    with (tmp_path / 'predictions.npz').open('wb') as file:
        np.save(file, LOGITS)
    with pytest.raises(ValueError, match='one array and no names'):
        predictions.read(tmp_path)
