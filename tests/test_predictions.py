"""What is written is what is read."""

import numpy as np
import pytest

from dnr_jax import predictions
from dnr_jax.predictions import Missing, Predictions

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
